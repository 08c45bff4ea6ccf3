//! What an operator sees over many polls: history, news, late alerts, bursts, growth, faults and pauses.

use crate::world::{HOUR, MINUTE, World, now_ms};
use darktrace_sentinel::sim::appliance::{AlertSpec, EventSpec, Growth};

fn created(at: i64) -> AlertSpec {
    AlertSpec { creation_ms: Some(at), ..AlertSpec::default() }
}

#[tokio::test]
async fn a_first_poll_delivers_the_look_back_and_a_second_one_nothing() {
    let world = World::new().await;
    for hours in 0..23 {
        world.appliance.issue_alert(created(now_ms() - hours * HOUR - MINUTE));
    }
    world.appliance.issue_event(EventSpec { created_ms: Some(now_ms() - 3 * HOUR), ..EventSpec::default() });
    world.poll_well().await;
    world.check_exactly_once();
    let second = world.poll_well().await;
    world.check_exactly_once();
    assert!(second.line_with("model-alerts: fetched").contains("new 0, changed 0, sent 0"), "{}", second.text());
}

#[tokio::test]
async fn an_event_that_grows_is_a_new_row_of_the_same_event() {
    let world = World::new().await;
    let uuid = world.appliance.issue_event(EventSpec { score: Some(40.0), ..EventSpec::default() });
    world.poll_well().await;
    world.appliance.grow_event(&uuid, Growth { score: Some(95.0), ..Growth::default() });
    world.poll_well().await;
    world.poll_well().await;
    let rows = world.rows();
    assert_eq!(rows.len(), 2);
    assert_eq!((&rows[0]["newEvent_b"], &rows[1]["newEvent_b"]), (&true.into(), &false.into()));
    assert_eq!(rows[0]["EventId"], rows[1]["EventId"]);
    assert_ne!(rows[0]["RevisionHash"], rows[1]["RevisionHash"]);
    assert_ne!(rows[0]["EventKey"], rows[1]["EventKey"]);
}
