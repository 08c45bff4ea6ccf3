//! What Azure refuses: tokens, roles, rules, streams, rows, secrets.

use super::{answer, said};
use crate::appliance::Canned;
use crate::journeys::created;
use crate::world::{ALERTS, HEALTH, MINUTE, World, listener, now_ms, rules};
use darktrace_sentinel::sim::RetryAfter;
use darktrace_sentinel::sim::appliance::AlertSpec;
use darktrace_sentinel::sim::identity;
use darktrace_sentinel::sim::ingestion::{Fault, Ingestion, Modes, Rules};

const OFTEN: usize = 100;
const STREAM: &str = "stream Custom-darktrace_model_alerts_CL";
/// What every post meets is a matter of the rule.
const RULE: &str = "data collection rule";
const POISON: &str = "P0ISON-7f3a";

/// A world of model alerts with one alert to post.
async fn with_an_alert() -> World {
    let world = World::of_model_alerts().await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    world
}

/// A world whose endpoint does this to every post of alerts.
async fn with(fault: Fault) -> World {
    let world = with_an_alert().await;
    world.ingestion.fail_next_on(ALERTS, fault, OFTEN);
    world
}

#[tokio::test]
async fn a_token_that_is_refused() {
    let world = with(Fault::Unauthorized).await;
    let [line, row] = world.polled().await;
    world.ingestion.fail_next_on(HEALTH, Fault::Unauthorized, OFTEN);
    said("azure-401", &[line, row, world.finding(RULE).await]);
}

#[tokio::test]
async fn a_missing_role() {
    let world = with(Fault::Forbidden).await;
    world.ingestion.fail_next_on(HEALTH, Fault::Forbidden, OFTEN);
    let run = world.poll().await;
    let lines = [run.line_with("ERROR darktrace default"), run.line_with("the health rows")].map(str::to_owned);
    let [line, health] = lines;
    said("azure-403", &[line, health, world.finding("token for the rule").await, world.finding(RULE).await]);
}

/// The service's refusals of which its clients tell, and that the simulated one does not give.
#[tokio::test]
async fn a_role_that_does_not_count_yet_and_a_rule_of_another_endpoint() {
    said("azure-403-not-yet", &[refused_because("IsRbacPresent: True, IsDcrDceBindingValid: True").await]);
    said("azure-403-endpoint", &[refused_because("IsRbacPresent: True, IsDcrDceBindingValid: False").await]);
}

async fn refused_because(reason: &str) -> String {
    let body = format!(r#"{{"error":{{"code":"OperationFailed","message":"AccessGranted: False, {reason}"}}}}"#);
    let refusing = Canned::new(403, &[("content-type", "application/json")], body).await;
    let mut world = World::of_model_alerts().await;
    world.set("DATA_COLLECTION_ENDPOINT", &refusing.base_url);
    world.finding(RULE).await
}

#[tokio::test]
async fn a_rule_that_is_not_known() {
    let mut world = with_an_alert().await;
    world.set("DCR_IMMUTABLE_ID", "dcr-ffffffffffffffffffffffffffffffff");
    let run = world.poll().await;
    said("rule", &[run.line_with("ERROR darktrace default").to_owned(), world.finding(RULE).await]);
}

#[tokio::test]
async fn a_stream_that_the_rule_does_not_declare() {
    let mut world = with_an_alert().await;
    let mut streams = rules().streams;
    streams.remove(ALERTS);
    let poor = Ingestion::start(listener().await, Rules { streams, ..rules() });
    world.set("DATA_COLLECTION_ENDPOINT", poor.base_url());
    let run = world.poll().await;
    said("stream", &[run.line_with("ERROR darktrace default").to_owned(), world.finding(STREAM).await]);
}

#[tokio::test]
async fn an_endpoint_that_throttles_fails_or_is_silent() {
    let [line, row] = with(Fault::Throttle(Some(RetryAfter::Seconds(3_600)))).await.polled().await;
    said("azure-429", &[line, row]);

    let down = Canned::new(503, &[("retry-after", "3600")], "").await;
    let mut world = with_an_alert().await;
    world.set("DATA_COLLECTION_ENDPOINT", &down.base_url);
    said("azure-503", &[world.poll().await.line_with("ERROR darktrace default")]);

    let mut world = World::of_model_alerts().await;
    world.set("DATA_COLLECTION_ENDPOINT", &format!("http://127.0.0.1:{}", crate::host::process::free_port()));
    said("endpoint", &[world.finding("data collection endpoint").await]);
}

#[tokio::test]
async fn an_identity_that_gets_no_token() {
    let world = with_an_alert().await;
    world.identity.fail_next(identity::Fault::Status(400), OFTEN);
    let run = world.poll().await;
    said("identity", &[run.line_with("ERROR darktrace default").to_owned(), world.finding("token for the rule").await]);
}

/// A world that has such alerts and whose endpoint refuses them for good.
async fn poisoned(alerts: usize) -> World {
    let world = World::of_model_alerts().await;
    for _ in 0..alerts {
        let message = Some(POISON.to_owned());
        world.appliance.issue_alert(AlertSpec { message, ..created(now_ms() - MINUTE) });
    }
    world.ingestion.set_modes(Modes { reject_rows_containing: Some(POISON.to_owned()), ..Modes::default() });
    world
}

#[tokio::test]
async fn records_that_are_refused() {
    let world = poisoned(1).await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    let run = world.poll_well().await;
    let told = [run.line_with("was put aside"), run.line_with(": fetched")].map(by_letter);
    said("dead-letter", &told);
    let listed = world.run_well(&["dead-letters", "list"]).await;
    said(
        "dead-letters-list",
        &answer(&listed).iter().map(|line| by_letter(line).replace('\t', "  ")).collect::<Vec<_>>(),
    );

    let [line, row] = poisoned(60).await.polled().await;
    said("dead-letters-too-many", &[line, row]);
}

/// The day in the name of a dead letter.
fn by_letter(line: &str) -> String {
    let Some((before, after)) = line.split_once("model-alerts/20") else { return line.to_owned() };
    format!("{before}model-alerts/<day>{}", after.get("26/01/01".len()..).unwrap_or_default())
}

#[tokio::test]
async fn a_secret_that_cannot_be_read() {
    let mut world = World::of_model_alerts().await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "");
    world.set("DARKTRACE_PRIVATE_TOKEN_URI", &format!("{}/secrets/missing", world.identity.base_url()));
    let [line, row] = world.polled().await;
    said("secret-missing", &[line, row, world.finding("private token").await]);

    world.identity.fail_next_on("/secrets", identity::Fault::Status(403), OFTEN);
    said("secret-refused", &[world.finding("private token").await]);

    world.set("DARKTRACE_PRIVATE_TOKEN_URI", "");
    world.set(
        "DARKTRACE_PRIVATE_TOKEN",
        "@Microsoft.KeyVault(SecretUri=https://my-vault.vault.azure.net/secrets/darktrace)",
    );
    let run = world.poll().await;
    said("secret-unresolved", &[run.line_with("ERROR")]);
}

#[tokio::test]
async fn rows_of_a_test() {
    let world = World::of_model_alerts().await;
    let run = world.run_well(&["send-test"]).await;
    said("send-test", &answer(&run));
}
