//! Pause and resume: a standstill keeps the place, and what came meanwhile is caught up on.

use super::tap::Tap;
use super::{PLACES, Place};
use crate::checkpoints::state;
use crate::journeys::{created, line_of};
use crate::world::{MINUTE, PRIVATE_TOKEN, PUBLIC_TOKEN, World, now_ms};
use darktrace_sentinel::source::Source;
use serde_json::json;

const SOURCE: Source = Source::ModelAlerts;

#[tokio::test]
async fn a_pause_keeps_the_place_and_resume_catches_up() {
    for place in PLACES {
        let world = World::of_alerts_in(place).await;
        world.appliance.issue_alert(created(now_ms() - 5 * MINUTE));
        world.poll_well().await;
        let paused = world.run_well(&["pause", "--instance", "default"]).await;
        assert!(paused.stdout.contains("default model-alerts: paused since 20"), "{}", paused.text());
        let old = world.document(&state(SOURCE)).await.unwrap();

        world.appliance.issue_alert(created(now_ms() - MINUTE));
        let asked = world.appliance.seen().len();
        let still = world.poll_well().await;
        assert_eq!(world.appliance.seen().len(), asked, "no master is asked");
        let line = line_of(&still, SOURCE);
        assert!(line.starts_with("INFO") && line.contains("paused by an operator since 20"), "{line}");
        let health = world.health_of(SOURCE);
        assert_eq!(health["Status"], "Paused");
        assert!(health["Message"].as_str().unwrap().contains("resume"));
        assert_eq!((world.rows().len(), world.document(&state(SOURCE)).await.unwrap()), (1, old), "{place:?}");

        let shown = world.run_well(&["watermark", "show"]).await;
        assert!(shown.line_with("default        model-alerts").ends_with("yes"), "{}", shown.text());
        let resumed = world.run_well(&["resume"]).await;
        assert!(resumed.stdout.contains("goes on with its next run"), "{}", resumed.text());
        assert!(world.run_well(&["resume"]).await.stdout.contains("was not paused"));
        world.poll_well().await;
        world.check_exactly_once();
        world.check_books_without_faults();
    }
}

#[tokio::test]
async fn looking_for_a_pause_costs_an_idle_run_one_request_and_a_paused_run_makes_no_other() {
    let mut world = World::of_alerts_in(Place::Azurite).await;
    let (tap, container) = (Tap::start().await, world.environment()["CHECKPOINT_CONTAINER"].clone());
    world.set("AzureWebJobsStorage", &tap.connection_string());
    world.poll_well().await;
    tap.requests(&container);
    world.poll_well().await;
    let look = "GET control/default/model-alerts.json";
    let idle = tap.requests(&container);
    let (looks, rest): (Vec<_>, Vec<_>) = idle.iter().partition(|request| request.contains("control/"));
    assert_eq!(looks, [look], "one request");
    let counted = |what: &str| rest.iter().filter(|request| request.starts_with(what)).count();
    assert_eq!((counted("PUT lock/"), counted("GET state/")), (2, 1), "{rest:?}");
    // What is left behind to be looked at is a document for all sources of an instance.
    let history = ["GET history/default.json", "PUT history/default.json"];
    assert_eq!(history.map(counted), [1, 1], "{rest:?}");
    assert_eq!(rest.len(), 5 + counted("PUT state/"), "and nothing else but commits: {rest:?}");
    world.run_well(&["pause"]).await;
    tap.requests(&container);
    world.poll_well().await;
    assert_eq!(tap.requests(&container), [look, history[0], history[1]]);
}

#[tokio::test]
async fn one_source_stands_still_and_the_other_goes_on() {
    let mut world = World::of_alerts_in(Place::Directory).await;
    world.set("DARKTRACE_SOURCES", "model-alerts,ai-analyst");
    world.run_well(&["pause", "--source", "ai-analyst"]).await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    world.poll_well().await;
    let status = |source| world.health_of(source)["Status"].clone();
    assert_eq!((status(SOURCE), status(Source::AiAnalyst)), (json!("Success"), json!("Paused")));
    assert_eq!(world.rows().len(), 1);
}

#[tokio::test]
async fn a_second_pause_keeps_the_time_of_the_first_and_a_damaged_document_still_pauses() {
    let world = World::of_alerts_in(Place::Directory).await;
    let first = world.run_well(&["pause"]).await;
    let again = world.run_well(&["pause"]).await;
    let told = |run: &crate::world::Run| run.line_with("paused since").to_owned();
    assert_eq!(told(&first), told(&again));
    std::fs::write(world.directory().unwrap().join("control/default/model-alerts.json"), "{").unwrap();
    let still = world.poll_well().await;
    assert!(line_of(&still, SOURCE).contains("since an unknown time"), "{}", still.text());
}

#[tokio::test]
async fn what_is_paused_needs_no_private_token() {
    let mut world = World::of_alerts_in(Place::Directory).await;
    world.run_well(&["pause"]).await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "");
    world.set("DARKTRACE_PRIVATE_TOKEN_URI", "https://nowhere.vault.azure.net/secrets/token");
    world.set("HTTPS_PROXY", "http://127.0.0.1:9");
    let still = world.poll_well().await;
    assert!(line_of(&still, SOURCE).contains("paused by an operator"), "{}", still.text());
    world.run_well(&["resume"]).await;
    assert_eq!(world.poll().await.code, Some(1), "and it is needed again afterwards");
}

#[tokio::test]
async fn a_name_that_is_not_enabled_pauses_nothing_and_tells_what_there_is() {
    let world = World::of_alerts_in(Place::Directory).await;
    for arguments in [["pause", "--instance", "lab"], ["resume", "--source", "email"], ["pause", "--source", "emial"]] {
        let run = world.run(&arguments).await;
        assert_eq!(run.code, Some(64), "{}", run.text());
    }
    assert_eq!(world.everything().await.len(), 0);
    let told = world.run(&["pause", "--instance", "lab"]).await;
    assert!(told.stderr.contains("default model-alerts"), "{}", told.text());
}

/// Two names for the same master, which is as good as two masters here.
#[tokio::test]
async fn a_pause_of_an_instance_is_of_all_its_sources_and_of_no_other() {
    let mut world = World::of_alerts_in(Place::Directory).await;
    let host = world.environment()["DARKTRACE_HOST"].clone();
    world.set("DARKTRACE_HOST", "");
    world.set("DARKTRACE_INSTANCES", "hq,plant");
    world.set("DARKTRACE_SOURCES", "model-alerts,ai-analyst");
    for name in ["HQ", "PLANT"] {
        world.set(&format!("DARKTRACE_{name}_HOST"), &host);
        world.set(&format!("DARKTRACE_{name}_PUBLIC_TOKEN"), PUBLIC_TOKEN);
        world.set(&format!("DARKTRACE_{name}_PRIVATE_TOKEN"), PRIVATE_TOKEN);
    }
    let paused = world.run_well(&["pause", "--instance", "hq"]).await;
    assert_eq!(paused.stdout.matches("hq ").count(), 2, "{}", paused.text());
    assert!(!paused.stdout.contains("plant"));
    world.poll_well().await;
    let shown = world.run_well(&["watermark", "show"]).await;
    let of = |instance: &str| shown.stdout.lines().filter(|line| line.starts_with(instance)).collect::<Vec<_>>();
    assert!(
        of("hq").len() == 2 && of("hq").iter().all(|line| line.contains(" - ") && line.ends_with("yes")),
        "{}",
        shown.text()
    );
    assert!(of("plant").len() == 2 && of("plant").iter().all(|line| line.ends_with("no")), "{}", shown.text());
    let resumed = world.run_well(&["resume", "--instance", "hq", "--source", "ai-analyst"]).await;
    assert_eq!(resumed.stdout, "hq ai-analyst: goes on with its next run\n");
    let all = world.run_well(&["resume"]).await;
    assert_eq!(all.stdout.matches("was not paused").count(), 3, "{}", all.text());
    assert_eq!(all.stdout.matches("goes on").count(), 1, "{}", all.text());
}
