//! What is no fault of anybody else: settings, pauses, a run that ends early, a run in which there is nothing.

use super::said;
use crate::appliance::tick;
use crate::host::verdict::Verdict;
use crate::journeys::{created, line_of};
use crate::world::{HOUR, MINUTE, World, now_ms};
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::sim::appliance::Modes;
use darktrace_sentinel::source::Source;

#[tokio::test]
async fn settings_that_are_wrong() {
    let mut world = World::new().await;
    world.set("DARKTRACE_HOST", "");
    world.set("DCR_IMMUTABLE_ID", "my-rule");
    let run = world.poll().await;
    assert_eq!(run.code, Some(78));
    said("settings", &[run.line_with("ERROR")]);
    let host = world.app().start().await;
    let verdict = host.wire.invoke(&tick()).await;
    assert!(!matches!(verdict, Verdict::Succeeded { .. }), "the invocation is red: {verdict:?}");
    said("settings", &[&format!("ERROR {}", host.line_with("DARKTRACE_HOST").await.text.trim_start_matches("ERROR "))]);
}

#[tokio::test]
async fn serve_by_hand() {
    let world = World::new().await;
    said("port", &[world.run(&["serve"]).await.line_with("ERROR")]);
}

#[tokio::test]
async fn a_run_in_which_there_is_nothing() {
    let world = World::of_model_alerts().await;
    let [line, row] = world.polled().await;
    said("nothing-new", &[line, row]);

    let mut world = World::of_model_alerts().await;
    for _ in 0..3 {
        world.appliance.issue_alert(created(now_ms() - MINUTE));
    }
    world.set("DARKTRACE_MIN_SCORE", "100");
    let [line, row] = world.polled().await;
    said("filtered", &[line, row]);
}

#[tokio::test]
async fn a_run_that_ends_early() {
    let mut world = World::of_model_alerts().await;
    world.poll_well().await;
    world.pause_since(Source::ModelAlerts, now_ms() - 7 * 24 * HOUR).await;
    world.appliance.set_modes(Modes { page_delay_ms: 700, ..Modes::default() });
    world.set("AzureFunctionsJobHost__functionTimeout", "00:00:02");
    let run = world.poll_well().await;
    said("deadline", &[line_of(&run, Source::ModelAlerts), &world.health_row(Source::ModelAlerts)]);
}

#[tokio::test]
async fn a_range_of_the_past_that_is_refused() {
    let world = World::of_model_alerts().await;
    world.poll_well().await;
    let [from, to] = [now_ms() - 48 * HOUR, now_ms() - HOUR].map(|at| Instant(at).rfc3339());
    let run = world.run(&["backfill", "--from", &from, "--to", &to]).await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    said("backfill-refused", &[run.line_with("model-alerts backfill: "), run.line_with("not complete")]);
}

#[tokio::test]
async fn orders_for_the_past_that_wait_or_cannot_be_followed() {
    let world = World::of_model_alerts().await;
    let hand_over = ["backfill", "--from", "2026-01-01", "--to", "2026-01-02", "--hand-over"];
    world.run_well(&hand_over).await;
    let run = world.run(&[&hand_over[..], &["--requests-per-minute", "60"]].concat()).await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    said("order-stands", &[run.line_with("ERROR")]);

    world.put("control/backfill.json", r#"{"from": "2025-10-01"}"#).await;
    let host = world.app().start().await;
    let verdict = host.wire.invoke(&tick()).await;
    assert!(!matches!(verdict, Verdict::Succeeded { .. }), "the invocation is red: {verdict:?}");
    let line = host.line_with("cannot be followed").await;
    said("order-wrong", &[&format!("ERROR {}", line.text.trim_start_matches("ERROR "))]);
}

#[tokio::test]
async fn a_source_that_an_operator_paused() {
    let world = World::of_model_alerts().await;
    world.poll_well().await;
    world.run_well(&["pause", "--instance", "default"]).await;
    let [line, row] = world.polled().await;
    said("paused", &[line, row]);
}
