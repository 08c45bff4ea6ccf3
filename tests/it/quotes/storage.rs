//! What becomes of the position: refused, missing, damaged, contested.

use super::said;
use crate::checkpoints::{spoil_writes, state};
use crate::journeys::{created, line_of};
use crate::world::{ALERTS, MINUTE, Run, World, now_ms};
use darktrace_sentinel::sim::ingestion::Fault;
use darktrace_sentinel::source::Source;

#[tokio::test]
async fn an_account_that_refuses() {
    let mut world = World::on_azurite().await;
    world.set("DARKTRACE_SOURCES", "model-alerts");
    world.set("CHECKPOINT_CONTAINER", "darktrace-checkpoints");
    let address = world.environment()["AzureWebJobsStorage"].rsplit('=').next().unwrap().to_owned();
    let wrong = format!("AccountName=devstoreaccount1;AccountKey=d3Jvbmc=;BlobEndpoint={address}/devstoreaccount1");
    world.set("AzureWebJobsStorage", &wrong);
    let [line, row] = world.polled().await;
    said("storage-refused", &[line, row, world.finding("checkpoint storage").await]);
}

#[tokio::test]
async fn a_directory_that_cannot_be_written_to() {
    let world = World::of_model_alerts().await;
    spoil_writes(&world);
    let [line, row] = world.polled().await;
    said("storage-directory", &[line, row]);
}

#[tokio::test]
async fn a_position_that_is_lost_or_damaged() {
    let world = World::of_model_alerts().await;
    world.poll_well().await;
    world.lose(&state(Source::ModelAlerts));
    said("checkpoint-missing", &[world.poll_well().await.line_with("WARN darktrace")]);

    world.put(&state(Source::ModelAlerts), vec![0; 9]).await;
    said("checkpoint-damaged", &[world.poll_well().await.line_with("WARN darktrace")]);

    for hour in 0..24 {
        world.put(&format!("backup/default/model-alerts/{hour:02}.json"), vec![0; 9]).await;
    }
    world.lose(&state(Source::ModelAlerts));
    said("checkpoint-no-backup", &[world.poll_well().await.line_with("WARN darktrace")]);

    world.put(&state(Source::ModelAlerts), r#"{"schema":9,"minReader":9,"all":"new","sum":"x"}"#).await;
    let [line, row] = world.polled().await;
    said("checkpoint-newer", &[line, row]);
}

#[tokio::test]
async fn two_runs_at_once() {
    let world = World::of_model_alerts().await;
    world.poll_well().await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    world.ingestion.fail_next_on(ALERTS, Fault::LatencyMs(1_500), 1);
    let first = world.start_poll();
    world.wait_for_posts(1).await;
    let [line, row] = world.polled().await;
    said("skipped", &[line, row]);
    assert_eq!(Run::of_child(first).await.code, Some(0));
}

#[tokio::test]
async fn a_lease_that_was_lost() {
    let world = World::of_model_alerts().await;
    world.poll_well().await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    let runs = world.two_polls_that_post_at_once().await;
    let met = runs.iter().find(|run| run.text().contains("another run wrote")).unwrap();
    said("conflict", &[line_of(met, Source::ModelAlerts)]);
}
