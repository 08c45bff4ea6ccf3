//! What a master refuses, and what comes in its place.

use super::said;
use crate::appliance::Canned;
use crate::journeys::line_of;
use crate::world::{HOUR, MINUTE, World};
use darktrace_sentinel::sim::RetryAfter;
use darktrace_sentinel::sim::appliance::{Fault, Modes};
use darktrace_sentinel::source::Source;

const OFTEN: usize = 100;

/// A world of model alerts whose master does this to every request.
async fn with(fault: Fault) -> World {
    let world = World::of_model_alerts().await;
    world.appliance.fail_next(fault, OFTEN);
    world
}

async fn with_modes(modes: Modes) -> World {
    let world = World::of_model_alerts().await;
    world.appliance.set_modes(modes);
    world
}

#[tokio::test]
async fn a_wrong_token() {
    let mut world = World::of_model_alerts().await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "of-another-pair");
    let [line, row] = world.polled().await;
    said("signature", &[line, row, world.finding("signature").await]);

    let world = with_modes(Modes { absent: vec!["/".to_owned()], ..Modes::default() }).await;
    let [line, row] = world.polled().await;
    said("token-unknown", &[line, row, world.finding("signature").await]);
}

#[tokio::test]
async fn a_missing_permission() {
    let mut world = World::of_model_alerts().await;
    world.set("DARKTRACE_SOURCES", "model-alerts,email");
    world.appliance.set_modes(Modes { forbidden: vec!["/agemail".to_owned()], ..Modes::default() });
    let run = world.poll_well().await;
    let finding = world.finding("permission of email").await;
    said("permission", &[line_of(&run, Source::Email), &world.health_row(Source::Email), &finding]);

    let world = World::of_model_alerts().await;
    world.poll_well().await;
    world.appliance.set_modes(Modes { forbidden: vec!["/modelbreaches".to_owned()], ..Modes::default() });
    let [line, row] = world.polled().await;
    said("permission-lost", &[line, row]);
}

#[tokio::test]
async fn a_source_that_the_master_does_not_have() {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "model-alerts,response");
    world.appliance.set_modes(Modes { absent: vec!["/antigena".to_owned()], ..Modes::default() });
    let run = world.poll_well().await;
    let finding = world.finding("permission of response").await;
    said("no-such-source", &[line_of(&run, Source::Response), &world.health_row(Source::Response), &finding]);
}

#[tokio::test]
async fn a_page_of_somebody_else() {
    let [line, row] = with(Fault::LoginPage).await.polled().await;
    said("login-page", &[line, row]);

    let [line, row] = with(Fault::ProxyHtml(403)).await.polled().await;
    said("web-page", &[line, row]);

    let elsewhere = Canned::new(302, &[("location", "https://portal.example.com/")], "").await;
    let mut world = World::of_model_alerts().await;
    world.set("DARKTRACE_HOST", &elsewhere.base_url);
    let [line, row] = world.polled().await;
    said("redirect", &[line, row]);

    let [line, row] = with(Fault::ErrorEnvelope).await.polled().await;
    said("error-object", &[line, row]);
}

#[tokio::test]
async fn clocks_that_differ() {
    let world = with_modes(Modes { skew_ms: 40 * MINUTE, ..Modes::default() }).await;
    let run = world.poll_well().await;
    said("clock", &[run.line_with("the appliance's clock"), &world.finding("clocks").await]);

    let world = with_modes(Modes { skew_ms: -2 * HOUR, ..Modes::default() }).await;
    world.appliance.fail_next(Fault::DateError, OFTEN);
    let [line, row] = world.polled().await;
    said("clock-refused", &[line, row]);
}

#[tokio::test]
async fn a_master_that_is_overloaded() {
    // A hint beyond the patience of a run, which then does not wait in the test either.
    let hint = Some(RetryAfter::Seconds(3_600));
    let [line, row] = with(Fault::Status(503, hint)).await.polled().await;
    said("master-503", &[line, row]);

    let [line, row] = with(Fault::Status(429, hint)).await.polled().await;
    said("master-429", &[line, row]);
}
