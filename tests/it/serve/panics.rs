//! A panic inside a run, which a build with the feature `crash-points` can be told to have.

use super::{LEASED, poll, printed, tick, until};
use crate::host::Host;
use crate::host::process::Level;
use crate::host::verdict::Verdict;
use crate::world::World;

/// In every part of a run in turn. A lease that its dead holder kept on renewing would turn all later runs away.
#[tokio::test]
async fn a_panic_anywhere_in_a_run_turns_the_invocation_red_and_the_next_one_makes_up_for_it() {
    let mut point = 0;
    loop {
        point += 1;
        let mut world = World::new().await;
        world.issue_news();
        world.set("DARKTRACE_SENTINEL_PANIC_AT", &point.to_string());
        let host = world.app().start().await;
        let panics = |host: &Host| {
            printed(host, Level::Error).iter().filter(|line| line.starts_with("ERROR panic at src/cycle")).count()
        };
        if matches!(host.wire.invoke(&tick()).await, Verdict::Succeeded { .. }) {
            assert_eq!(panics(&host), 0, "a green invocation with a panic at point {point}");
            break;
        }
        until("the line of the panic", || panics(&host) == 1).await;
        assert!(!format!("{:?}", host.lines()).contains("crash point"), "the payload of a panic is not printed");
        let logs = poll(&host).await;
        assert!(logs.iter().all(|log| !log.contains(LEASED)), "point {point}: {logs:?}");
        world.check_nothing_lost();
    }
    println!("{} points panicked", point - 1);
    assert!(point > 20);
}
