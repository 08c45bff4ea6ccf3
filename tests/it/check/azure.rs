//! Everything that the simulated endpoints of Azure can do wrong, and sockets that are none, each with the finding, the
//! step, the exit code, and nothing else that is blamed.

use crate::world::{ALERTS, PRIVATE_TOKEN, World, listener};
use darktrace_sentinel::sim::RetryAfter;
use darktrace_sentinel::sim::{identity, ingestion};
use ingestion::Fault;

const ENDPOINT: &str = "data collection endpoint";
const RULE: &str = "data collection rule";
const STREAM: &str = "stream Custom-darktrace_model_alerts_CL";
const HEALTH: &str = "stream Custom-DarktraceConnectorHealth_CL";
const TOKEN: &str = "token for the rule";
/// More often than a check asks.
const ALWAYS: usize = 100;

#[tokio::test]
async fn what_every_post_meets_is_told_once() {
    for (fault, checked, seen, next) in [
        (Fault::Throttle(Some(RetryAfter::Seconds(9))), ENDPOINT, "takes nothing at present (429", "in a few minutes"),
        (Fault::Status(500), ENDPOINT, "takes nothing at present (500", "in a few minutes"),
        (Fault::Status(503), ENDPOINT, "takes nothing at present (503", "in a few minutes"),
        (Fault::ResetBefore, ENDPOINT, "does not answer", "check DATA_COLLECTION_ENDPOINT"),
        (Fault::ResetAfter, ENDPOINT, "does not answer", "check DATA_COLLECTION_ENDPOINT"),
        (Fault::Status(200), ENDPOINT, "answers as nobody of Azure Monitor (200)", "check DATA_COLLECTION_ENDPOINT"),
        (Fault::Status(302), ENDPOINT, "answers as nobody of Azure Monitor (302)", "check DATA_COLLECTION_ENDPOINT"),
        (Fault::Status(400), ENDPOINT, "answers as nobody of Azure Monitor (400)", "check DATA_COLLECTION_ENDPOINT"),
        (Fault::Status(403), ENDPOINT, "answers as nobody of Azure Monitor (403)", "check DATA_COLLECTION_ENDPOINT"),
        (Fault::Status(404), ENDPOINT, "answers as nobody of Azure Monitor (404)", "check DATA_COLLECTION_ENDPOINT"),
        (Fault::Unauthorized, RULE, "refused the token (401)", "check AZURE_CLOUD"),
        (Fault::Forbidden, RULE, "lacks the role Monitoring Metrics Publisher", "the object id above"),
        (Fault::NotFound, RULE, "no rule dcr-0123", "check DCR_IMMUTABLE_ID"),
        (Fault::TooLarge, RULE, "an array without rows is refused as too large (413)", "look for a proxy"),
    ] {
        let world = World::new().await;
        world.ingestion.fail_next(fault.clone(), ALWAYS);
        let read = world.check().await;
        read.fails_only(&[checked], 1);
        read.says("fail", checked, seen, next);
        let hidden =
            if fault == Fault::ResetBefore || fault == Fault::ResetAfter { STREAM } else { "streams of the rule" };
        read.says("skipped", hidden, "", "");
        read.says("pass", "signature", "accepted", "");
        read.says("pass", "checkpoint storage", "", "");
    }
}

#[tokio::test]
async fn what_one_stream_meets_is_told_of_that_stream() {
    for (fault, seen, next) in [
        (Fault::Throttle(None), "takes nothing at present (429", "in a few minutes"),
        (Fault::Status(503), "takes nothing at present (503", "in a few minutes"),
        (Fault::Unauthorized, "refused the token (401)", "check AZURE_CLOUD"),
        (Fault::Forbidden, "lacks the role Monitoring Metrics Publisher", "wait, and run the check again"),
        (Fault::NotFound, "no rule dcr-0123", "check DCR_IMMUTABLE_ID"),
        (Fault::TooLarge, "refused as too large", "look for a proxy"),
        (Fault::Status(403), "somebody answers who is not Azure Monitor (403)", "check DATA_COLLECTION_ENDPOINT"),
    ] {
        let world = World::new().await;
        world.ingestion.fail_next_on(ALERTS, fault, 1);
        let read = world.check().await;
        read.fails_only(&[STREAM], 1);
        read.says("fail", STREAM, seen, next);
        read.says("pass", HEALTH, "took an empty array", "");
        read.says("pass", ENDPOINT, "and answers", "");
    }
    let world = World::new().await;
    world.ingestion.fail_next_on(ALERTS, Fault::ResetBefore, 1);
    let read = world.check().await;
    assert_eq!(read.finding(STREAM).0, "skipped");
}

#[tokio::test]
async fn what_is_only_slow_or_only_refuses_an_empty_array_fails_nothing() {
    let world = World::new().await;
    world.ingestion.fail_next(Fault::LatencyMs(300), ALWAYS);
    world.check().await.fails_only(&[], 0);
    let world = World::new().await;
    let reject_rows_containing = Some("[".to_owned());
    world.ingestion.set_modes(ingestion::Modes { reject_rows_containing, ..ingestion::Modes::default() });
    let read = world.check().await;
    read.fails_only(&[], 0);
    read.says("warn", STREAM, "refused the empty array (400), so sender and rule are right", "poll once");
    let world = World::new().await;
    world.ingestion.set_modes(ingestion::Modes { limit_bytes: 1, ..ingestion::Modes::default() });
    world.check().await.fails_only(&[RULE], 1);
}

#[tokio::test]
async fn an_endpoint_that_is_somebody_else_is_no_matter_of_the_rule() {
    let world_at = async |address: &str| {
        let mut world = World::new().await;
        world.set("DATA_COLLECTION_ENDPOINT", address);
        world
    };
    let other = World::new().await;
    for (address, seen) in [
        (other.appliance.base_url().to_owned(), "answers as nobody of Azure Monitor (302)"),
        (other.identity.base_url().to_owned(), ""),
        (other.ingestion.base_url().replace("http:", "https:"), "does not answer"),
        (
            "https://nobody-a1b2.invalid-1.ingest.monitor.azure.com".to_owned(),
            "nobody-a1b2.invalid-1.ingest.monitor.azure.com is not found",
        ),
    ] {
        let read = world_at(&address).await.check().await;
        if seen.is_empty() {
            // It speaks JSON of errors as the service does, and knows no rule.
            read.fails_only(&[RULE], 1);
            read.says("fail", RULE, "no rule dcr-0123", "DATA_COLLECTION_ENDPOINT is of the rule's own region");
        } else {
            read.fails_only(&[ENDPOINT], 1);
            read.says("fail", ENDPOINT, seen, "check DATA_COLLECTION_ENDPOINT");
        }
        assert!(other.appliance.seen().iter().all(|request| request.method == "POST"));
    }
}

/// A web server that says 200 to everything would take rows and keep none.
#[tokio::test]
async fn a_poll_believes_204_alone() {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "model-alerts");
    world.issue_witness();
    world.ingestion.fail_next_on(ALERTS, Fault::Status(200), 1);
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    assert!(run.text().contains("DATA_COLLECTION_ENDPOINT"), "{}", run.text());
    world.poll_well().await;
    world.check_exactly_once();
}

#[tokio::test]
async fn the_principal_and_the_age_of_its_token_are_told_with_a_missing_role() {
    let mut world = World::new().await;
    world.set("AZURE_CLIENT_ID", "11111111-2222-4333-8444-555555555555");
    world.ingestion.fail_next(Fault::Forbidden, ALWAYS);
    let read = world.check().await;
    read.fails_only(&[RULE], 1);
    read.says("pass", TOKEN, "11111111-2222-4333-8444-555555555555", "");
    read.says("pass", TOKEN, "object id 5e1f0000-0000-4000-8000-000000000b1d", "");
    read.says("pass", TOKEN, ", token issued 20", "");
    read.comes_before(TOKEN, RULE);
}

#[tokio::test]
async fn a_token_that_is_not_given_is_told_with_what_was_said() {
    for (fault, seen) in [
        (identity::Fault::Status(400), "has not been assigned to this resource"),
        (identity::Fault::Status(403), "ordered this status"),
        (identity::Fault::Status(500), "ordered this status"),
        (identity::Fault::Hang, "no answer within 10 s"),
    ] {
        let world = World::new().await;
        world.identity.fail_next(fault.clone(), ALWAYS);
        let read = world.check().await;
        read.fails_only(&[TOKEN], 1);
        read.says("fail", TOKEN, seen, "the system-assigned identity of the function app is turned on");
        read.says("skipped", "streams of the rule", "without a token", "");
        read.says("pass", "signature", "accepted", "");
    }
    let mut world = World::new().await;
    world.set("IDENTITY_HEADER", "guess");
    world.set("AZURE_CLIENT_ID", "11111111-2222-4333-8444-555555555555");
    let read = world.check().await;
    read.fails_only(&[TOKEN], 1);
    read.says("fail", TOKEN, "identity header is missing or wrong", "the identity of AZURE_CLIENT_ID is assigned");
    world.identity.shutdown().await;
    let read = world.check().await;
    read.fails_only(&[TOKEN], 1);
    read.says("fail", TOKEN, "refused", "the identity of AZURE_CLIENT_ID");
}

#[tokio::test]
async fn a_token_that_has_expired_or_is_for_another_cloud_is_refused_by_the_rule() {
    let world = World::new().await;
    world.identity.fail_next(identity::Fault::TtlSeconds(-60), ALWAYS);
    world.check().await.fails_only(&[RULE], 1);
    let mut world = World::new().await;
    world.set("AZURE_CLOUD", "government");
    let read = world.check().await;
    read.fails_only(&[RULE], 1);
    read.says("fail", RULE, "refused the token (401)", "check AZURE_CLOUD");
}

#[tokio::test]
async fn every_refusal_of_the_vault_has_its_step() {
    for (status, seen, next) in [
        (401, "it answered 401", "Key Vault Secrets User"),
        (403, "it answered 403", "Key Vault Secrets User"),
        (404, "there is no such secret", "that the secret is enabled"),
        (500, "it answered 500", "that the function app reaches the vault"),
    ] {
        let mut world = World::new().await;
        world.identity.set_secret("token", PRIVATE_TOKEN);
        world.set("DARKTRACE_PRIVATE_TOKEN", "");
        world.set("DARKTRACE_PRIVATE_TOKEN_URI", &format!("{}/secrets/token", world.identity.base_url()));
        world.identity.fail_next_on("/secrets", identity::Fault::Status(status), ALWAYS);
        let read = world.check().await;
        read.fails_only(&["private token"], 1);
        read.says("fail", "private token", seen, next);
        read.says("pass", "connection", "takes TCP connections", "");
        read.says("skipped", "signature", "without the private token", "");
    }
    let mut world = World::new().await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "");
    let nobody = listener().await.local_addr().unwrap();
    world.set("DARKTRACE_PRIVATE_TOKEN_URI", &format!("http://{nobody}/secrets/token"));
    let read = world.check().await;
    read.fails_only(&["private token"], 1);
    read.says("fail", "private token", "not read from Key Vault: ", "check DARKTRACE_PRIVATE_TOKEN_URI");
    world.identity.fail_next(identity::Fault::Status(400), ALWAYS);
    let read = world.check().await;
    read.fails_only(&["private token", TOKEN], 1);
    read.says("fail", "private token", "no token for the vault", "is turned on");
}

#[tokio::test]
async fn a_place_for_the_checkpoint_that_cannot_be_written_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut world = World::new().await;
    for place in [file.join("below"), "/proc/none".into()] {
        world.set("CHECKPOINT_DIR", place.to_str().unwrap());
        let read = world.check().await;
        read.fails_only(&["checkpoint storage"], 1);
        read.says("fail", "checkpoint storage", "a document could not be created", "choose a directory");
    }
}

#[tokio::test]
async fn a_storage_account_that_nobody_answers_for_or_that_is_none_is_told() {
    let mut world = World::on_azurite().await;
    let nobody = listener().await.local_addr().unwrap();
    let key = "AccountName=devstoreaccount1;AccountKey=d3Jvbmc=;";
    world.set("AzureWebJobsStorage", &format!("{key}BlobEndpoint=http://{nobody}/devstoreaccount1"));
    let read = world.check().await;
    read.fails_only(&["checkpoint storage"], 1);
    read.says("fail", "checkpoint storage", "a document could not be created", "check that this place exists");
    let address = world.appliance.base_url().to_owned();
    world.set("AzureWebJobsStorage", &format!("{key}BlobEndpoint={address}/devstoreaccount1"));
    world.check().await.fails_only(&["checkpoint storage"], 1);
    world.set("AzureWebJobsStorage", "nonsense");
    assert_eq!(world.check().await.run.code, Some(78));
}
