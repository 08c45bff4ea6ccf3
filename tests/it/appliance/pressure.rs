//! An appliance under pressure: throttled, overloaded, or with windows that are too wide for it.

use super::{ALERTS_PATH, ALWAYS, TRANSIENT, created, fails, passes, settled};
use crate::world::{HOUR, MINUTE, World, now_ms};
use darktrace_sentinel::sim::RetryAfter;
use darktrace_sentinel::sim::appliance::{Fault, Modes, WindowLimit};

/// The pause, in milliseconds, before the last request for model alerts.
fn last_pause(world: &World) -> i64 {
    let seen: Vec<i64> = (world.appliance.seen().iter())
        .filter(|request| request.path == ALERTS_PATH)
        .map(|request| request.received_at_ms)
        .collect();
    seen[seen.len() - 1] - seen[seen.len() - 2]
}

#[tokio::test]
async fn a_throttled_request_waits_as_many_seconds_as_it_is_told() {
    let world = passes(Fault::Status(429, Some(RetryAfter::Seconds(2)))).await;
    let pause = last_pause(&world);
    assert!((2_000..4_000).contains(&pause), "{pause} ms");
    assert_eq!(world.health()["model-alerts"]["Retries"], 1);
}

#[tokio::test]
async fn a_throttled_request_waits_until_the_date_that_it_is_told() {
    let until = now_ms() + 6_000;
    let world = passes(Fault::Status(429, Some(RetryAfter::AtMs(until)))).await;
    let back = world.appliance.seen().last().unwrap().received_at_ms;
    // The header counts whole seconds.
    assert!((until - 1_000..until + 2_000).contains(&back), "{} ms after the date", back - until);
    assert_eq!(world.health()["model-alerts"]["Retries"], 1);
}

#[tokio::test]
async fn the_date_of_a_retry_is_by_the_clock_of_the_appliance() {
    let world = settled().await;
    world.appliance.set_modes(Modes { skew_ms: 20 * MINUTE, ..Modes::default() });
    world.appliance.issue_burst(3, now_ms() - MINUTE);
    let until = world.appliance.now_ms() + 3_000;
    world.appliance.fail_next_on(ALERTS_PATH, Fault::Status(429, Some(RetryAfter::AtMs(until))), 1);
    world.poll_well().await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_longer_wait_than_a_run_can_afford_fails_at_once() {
    let fault = Fault::Status(429, Some(RetryAfter::Seconds(600)));
    fails(fault, TRANSIENT, &["asks for fewer requests (429)", "the next run tries again"]).await;
}

#[tokio::test]
async fn a_server_error_that_passes_is_only_a_retry() {
    for status in [500, 503] {
        let world = passes(Fault::Status(status, None)).await;
        assert_eq!(world.health()["model-alerts"]["Retries"], 1, "{status}");
    }
}

#[tokio::test]
async fn a_server_error_that_stays_costs_four_requests_of_each_source() {
    let world = settled().await;
    let before = world.appliance.seen().len();
    world.appliance.fail_next(Fault::Status(503, None), ALWAYS);
    let began = tokio::time::Instant::now();
    world.fails_now(TRANSIENT, &["503", "overloaded, restarting or being upgraded", "the next run tries again"]).await;
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
    assert_eq!(world.appliance.seen().len() - before, 8, "two sources");
    assert_eq!(world.health()["model-alerts"]["HttpStatus"], 503);
    world.appliance.clear_faults();
    world.recovers().await;
}

#[tokio::test]
async fn a_server_error_is_not_waited_for_beyond_the_soft_deadline() {
    let mut world = settled().await;
    // 70 % of it is 2.1 s.
    world.set("AzureFunctionsJobHost__functionTimeout", "00:00:03");
    world.appliance.fail_next(Fault::Status(503, Some(RetryAfter::Seconds(2))), ALWAYS);
    let began = tokio::time::Instant::now();
    world.fails_now(TRANSIENT, &["503"]).await;
    assert!(began.elapsed().as_millis() < 3_500, "{:?}", began.elapsed());
}

/// Polls until one succeeds; as soon as it does, everything is there once.
async fn too_wide(limit: WindowLimit) {
    let world = World::new().await;
    for hours in 0..23 {
        world.appliance.issue_alert(created(now_ms() - hours * HOUR - MINUTE));
    }
    world.appliance.set_modes(Modes { widest_window: Some(limit), ..Modes::default() });
    let mut polls = 1;
    while world.poll().await.code != Some(0) {
        polls += 1;
        assert!(polls <= 8, "the windows do not come through");
    }
    world.check_exactly_once();
}

#[tokio::test]
async fn a_window_whose_answer_breaks_off_is_halved_until_it_comes_through() {
    too_wide(WindowLimit::Torn(7 * HOUR)).await;
}
