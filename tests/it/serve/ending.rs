//! How the process ends: at a signal, in time, with what is under way finished and a code that is never 0.

use super::{LEASED, MODEL_ALERTS, begin_poll, green, line_of, poll, printed, tick, until};
use crate::host::process::{Exit, Level, Signal};
use crate::host::verdict::Verdict;
use crate::world::World;
use darktrace_sentinel::sim::appliance::{Fault, Modes};
use std::net::TcpListener;

const ASKED: &str = "asked to end: no new work is begun";
const BY_SIGNAL: &str = "stopped by a signal, the next run goes on";
const TERM: Exit = Exit::Counted(143);
const INT: Exit = Exit::Counted(130);

/// An answer that comes too slowly to come to its end in any test, with several batches in what there is of it.
fn slow_answer(world: &World) {
    world.issue_several_batches();
    world.appliance.fail_next_on("/modelbreaches", Fault::SlowBody { bytes: 40_000, every_ms: 20 }, 1);
}

/// Whoever comes next gets the lease at once, although a lease that was not given back lasts for 30 s.
async fn the_next_process_goes_on(world: &World) {
    let next = world.app().start().await;
    let logs = poll(&next).await;
    assert!(logs.iter().all(|log| !log.contains(LEASED)), "{logs:?}");
    assert_eq!(printed(&next, Level::Error), Vec::<String>::new());
}

async fn a_signal_lets_the_posts_under_way_finish(signal: Signal, exit: Exit) {
    let world = World::on_azurite().await;
    slow_answer(&world);
    world.hold_posts_after(0);
    let mut host = world.app().start().await;
    let run = begin_poll(&host);
    world.held_posts(2).await;
    let asked_before = world.appliance.seen().len();
    host.signal(signal);
    host.line_with(ASKED).await;
    world.let_posts_go();
    let logs = green(&host, run.await.unwrap());
    assert!(line_of(&logs, MODEL_ALERTS).ends_with(BY_SIGNAL), "{logs:?}");
    assert_eq!(host.exit().await, exit);
    assert_eq!(world.appliance.seen().len(), asked_before, "no new slice");
    assert!(world.rows().len() > 1, "the batch under way was taken");
    the_next_process_goes_on(&world).await;
    world.check_exactly_once();
}

#[tokio::test]
async fn sigterm_lets_the_posts_under_way_finish_and_gives_the_lease_back() {
    a_signal_lets_the_posts_under_way_finish(Signal::Term, TERM).await;
}

#[tokio::test]
async fn sigint_does_the_same_with_its_own_code() {
    a_signal_lets_the_posts_under_way_finish(Signal::Int, INT).await;
}

#[tokio::test]
async fn a_signal_ends_a_run_whose_answer_does_not_begin() {
    let world = World::on_azurite().await;
    world.issue_news();
    world.appliance.set_modes(Modes { page_delay_ms: 60_000, ..Modes::default() });
    let mut host = world.app().start().await;
    let run = begin_poll(&host);
    until("both questions", || world.appliance.seen().len() == 2).await;
    host.signal(Signal::Term);
    let logs = green(&host, run.await.unwrap());
    assert!(logs.iter().all(|log| log.ends_with(BY_SIGNAL)), "{logs:?}");
    assert_eq!(host.exit().await, TERM);
    world.appliance.set_modes(Modes::default());
    the_next_process_goes_on(&world).await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_signal_ends_a_run_whose_answer_stalls() {
    let world = World::on_azurite().await;
    world.issue_news();
    world.appliance.fail_next(Fault::Stall, 2);
    let mut host = world.app().start().await;
    let run = begin_poll(&host);
    until("both questions", || world.appliance.seen().len() == 2).await;
    host.signal(Signal::Term);
    let logs = green(&host, run.await.unwrap());
    assert!(logs.iter().all(|log| log.ends_with(BY_SIGNAL)), "{logs:?}");
    assert_eq!(host.exit().await, TERM);
    the_next_process_goes_on(&world).await;
    world.check_exactly_once();
}

/// Posts under way, none of which is ever answered, are waited for, but not for long.
#[tokio::test]
async fn a_signal_ends_a_run_whose_posts_are_never_answered() {
    let world = World::on_azurite().await;
    world.issue_news();
    world.hold_posts_after(0);
    let mut host = world.app().start().await;
    let run = begin_poll(&host);
    world.held_posts(2).await;
    host.signal(Signal::Term);
    assert_eq!(host.exit().await, TERM);
    run.abort();
    assert_eq!(world.rows(), Vec::<serde_json::Value>::new());
    world.let_posts_go();
    the_next_process_goes_on(&world).await;
    world.check_exactly_once();
}

#[tokio::test]
async fn an_idle_process_ends_with_the_code_of_its_signal() {
    for (signal, exit) in [(Signal::Term, TERM), (Signal::Int, INT)] {
        let world = World::on_azurite().await;
        let mut host = world.app().start().await;
        poll(&host).await;
        host.signal(signal);
        assert_eq!(host.exit().await, exit);
        assert!(!host.wire.probe().await);
        assert!(matches!(host.wire.invoke(&tick()).await, Verdict::Failed { .. }));
    }
}

#[tokio::test]
async fn a_port_that_is_taken_ends_it_with_a_code_that_the_host_counts_and_a_reason() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let world = World::on_azurite().await;
    let mut host = world.app().port(port).spawn();
    assert_eq!(host.exit().await, Exit::Counted(1));
    let errors = printed(&host, Level::Error);
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains(&format!("127.0.0.1:{port} cannot be listened on")), "{errors:?}");
}
