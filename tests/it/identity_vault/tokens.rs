//! The managed identity.

use crate::appliance::{ALWAYS, created, tick};
use crate::host::verdict::Verdict;
use crate::world::{MINUTE, World, listener, now_ms, rules};
use darktrace_sentinel::sim::appliance::{AlertSpec, EventSpec};
use darktrace_sentinel::sim::identity::{Fault, SeenTokenRequest};
use darktrace_sentinel::sim::ingestion::{self, Ingestion, Rules};
use std::time::Duration;

/// A world with an alert and an event.
async fn world() -> World {
    let world = World::new().await;
    world.appliance.issue_alert(AlertSpec::default());
    world.appliance.issue_event(EventSpec::default());
    world
}

/// The requests for tokens so far.
pub(super) fn asked(world: &World) -> Vec<SeenTokenRequest> {
    world.identity.seen().into_iter().filter(|request| request.path == "/msi/token").collect()
}

#[tokio::test]
async fn a_system_assigned_identity_is_asked_for_azure_monitor_alone() {
    let world = world().await;
    world.poll_well().await;
    let asked = asked(&world);
    assert_eq!(asked.len(), 1, "one token serves all sources and the health rows");
    assert_eq!(asked[0].resource.as_deref(), Some("https://monitor.azure.com"));
    assert_eq!(asked[0].client_id, None);
}

#[tokio::test]
async fn a_user_assigned_identity_is_asked_for_by_its_client_id() {
    let mut world = world().await;
    world.set("AZURE_CLIENT_ID", "0b5c7a55-0000-4000-8000-000000000001");
    world.poll_well().await;
    assert_eq!(asked(&world)[0].client_id.as_deref(), Some("0b5c7a55-0000-4000-8000-000000000001"));
}

#[tokio::test]
async fn the_government_cloud_has_an_audience_of_its_own() {
    let mut world = world().await;
    let rules = Rules { audience: "https://monitor.azure.us".to_owned(), ..rules() };
    world.ingestion = Ingestion::start(listener().await, rules);
    let address = world.ingestion.base_url().to_owned();
    world.set("DATA_COLLECTION_ENDPOINT", &address);
    world.set("AZURE_CLOUD", "government");
    world.poll_well().await;
    world.check_exactly_once();
    assert_eq!(asked(&world)[0].resource.as_deref(), Some("https://monitor.azure.us"));
}

#[tokio::test]
async fn a_token_is_kept_from_poll_to_poll() {
    let world = world().await;
    let host = world.serve().await;
    for _ in 0..3 {
        let verdict = host.wire.invoke(&tick()).await;
        assert!(matches!(verdict, Verdict::Succeeded { .. }), "{verdict:?}");
    }
    assert_eq!(asked(&world).len(), 1);
}

#[tokio::test]
async fn a_token_near_its_end_is_used_while_its_renewal_fails() {
    let world = world().await;
    world.identity.set_ttl_seconds(300);
    let host = world.serve().await;
    host.wire.invoke(&tick()).await;
    world.identity.fail_next(Fault::Status(400), ALWAYS);
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    let verdict = host.wire.invoke(&tick()).await;
    assert!(matches!(verdict, Verdict::Succeeded { .. }), "{verdict:?}");
    world.check_exactly_once();
    assert_eq!(asked(&world).last().unwrap().status, 400, "the renewal was tried");
}

#[tokio::test]
async fn a_token_that_azure_refuses_is_asked_for_anew() {
    let world = world().await;
    world.ingestion.fail_next(ingestion::Fault::Unauthorized, 1);
    world.poll_well().await;
    world.check_exactly_once();
    assert_eq!(asked(&world).len(), 2);
}

/// A poll without a token fails within `limit` and leaves the rows to the next one.
async fn fails(world: &World, limit: Duration, parts: &[&str]) {
    let began = tokio::time::Instant::now();
    let run = world.poll().await;
    let took = began.elapsed();
    assert_eq!(run.code, Some(1), "{}", run.text());
    let line = run.line_with("ERROR darktrace default model-alerts: ");
    for part in ["no token for https://monitor.azure.com from the function app's"].iter().chain(parts) {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    assert!(took < limit, "{took:?}");
    world.check_discretion(&[&run]);
    assert_eq!(world.rows().len(), 0);
}

async fn recovers(world: &World) {
    world.identity.clear_faults();
    world.poll_well().await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_wrong_identity_header_fails_within_seconds_with_a_hint() {
    let mut world = world().await;
    let header = world.environment()["IDENTITY_HEADER"].clone();
    world.set("IDENTITY_HEADER", "another-c4n4ry");
    let parts = [
        "system-assigned managed identity",
        "check that the system-assigned identity of the function app is turned on",
    ];
    fails(&world, Duration::from_secs(5), &parts).await;
    world.set("IDENTITY_HEADER", &header);
    recovers(&world).await;
}

#[tokio::test]
async fn an_identity_that_is_not_assigned_fails_with_the_setting() {
    let mut world = world().await;
    world.set("AZURE_CLIENT_ID", "0b5c7a55-0000-4000-8000-000000000002");
    world.identity.fail_next(Fault::Status(400), ALWAYS);
    let parts = ["0b5c7a55-0000-4000-8000-000000000002", "AZURE_CLIENT_ID is assigned to the function app"];
    fails(&world, Duration::from_secs(5), &parts).await;
    recovers(&world).await;
}

#[tokio::test]
async fn an_identity_endpoint_that_hangs_is_given_up_once_for_all_after_ten_seconds() {
    let world = world().await;
    world.identity.fail_next(Fault::Hang, ALWAYS);
    // Two sources and the health rows want a token.
    fails(&world, Duration::from_secs(14), &["no answer within 10 s"]).await;
}

#[tokio::test]
async fn a_function_app_without_an_identity_fails_at_once_with_a_hint() {
    let mut world = world().await;
    world.set("IDENTITY_ENDPOINT", "");
    world.set("WEBSITE_SITE_NAME", "my-function-app");
    let began = tokio::time::Instant::now();
    let run = world.poll().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(run.code, Some(78), "{}", run.text());
    assert!(run.line_with("IDENTITY_ENDPOINT").contains("turn on the managed identity of the function app"));
    assert_eq!(world.appliance.seen(), []);
}
