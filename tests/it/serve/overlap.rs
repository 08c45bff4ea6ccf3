//! Two processes at once, and one after another that was killed: nothing is lost, and nothing is stored twice but what was
//! under way when a process was killed.

use super::{AI_ANALYST, LEASED, MODEL_ALERTS, begin_poll, green, poll, printed};
use crate::host::process::{Exit, Level, Signal, free_port};
use crate::world::World;

/// The host starts the new process before it ends the old one, when an app setting changes.
#[tokio::test]
async fn a_process_that_starts_while_another_one_runs_skips_its_turn() {
    let world = World::on_azurite().await;
    world.issue_news();
    world.hold_posts_after(0);
    let old = world.app().start().await;
    let run = begin_poll(&old);
    world.held_posts(2).await;
    let new = world.app().start().await;
    let turn = begin_poll(&new);
    for source in [MODEL_ALERTS, AI_ANALYST] {
        assert!(new.line_with(source).await.text.ends_with(LEASED), "{:?}", new.lines());
    }
    world.let_posts_go();
    green(&old, run.await.unwrap());
    green(&new, turn.await.unwrap());
    drop(old);
    world.issue_news();
    poll(&new).await;
    world.check_exactly_once();
    assert_eq!(printed(&new, Level::Error), Vec::<String>::new());
}

#[tokio::test]
async fn two_processes_that_take_turns_store_everything_once() {
    let world = World::on_azurite().await;
    let hosts = [world.app().start().await, world.app().start().await];
    for turn in 0..6 {
        world.issue_news();
        let logs = poll(&hosts[turn % 2]).await;
        assert!(logs.iter().all(|log| !log.contains(LEASED)), "{logs:?}");
        world.check_exactly_once();
    }
}

#[tokio::test]
async fn two_processes_at_the_same_time_store_everything_once() {
    let world = World::on_azurite().await;
    let hosts = [world.app().start().await, world.app().start().await];
    for _ in 0..5 {
        world.issue_news();
        tokio::join!(poll(&hosts[0]), poll(&hosts[1]));
    }
    poll(&hosts[0]).await;
    world.check_exactly_once();
}

/// What the host does at functionTimeout: SIGKILL without a warning, and a new process at the same port.
#[tokio::test]
async fn a_process_that_is_killed_in_a_run_is_followed_by_one_that_loses_nothing() {
    let world = World::on_azurite().await;
    world.issue_several_batches();
    world.hold_posts_after(1);
    let port = free_port();
    let mut killed = world.app().port(port).start().await;
    let run = begin_poll(&killed);
    let under_way = world.held_posts(1).await;
    let taken = world.rows().len();
    killed.signal(Signal::Kill);
    assert_eq!(killed.exit().await, Exit::Counted(137));
    run.abort();
    world.let_posts_go();
    let next = world.app().port(port).start().await;
    let logs = poll(&next).await;
    assert!(logs.iter().any(|log| log.ends_with(LEASED)), "the lease outlives its holder: {logs:?}");
    world.end_leases().await;
    poll(&next).await;
    let repeats = world.check_nothing_lost();
    assert!(repeats <= taken + under_way, "{repeats} repeats of {taken} rows taken and {under_way} under way");
    poll(&next).await;
    assert_eq!(world.check_nothing_lost(), repeats, "and a third run adds nothing");
}
