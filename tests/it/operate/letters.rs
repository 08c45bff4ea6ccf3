//! Dead letters: listed without their content, shown with it, replayed and removed.

use super::{PLACES, Place};
use crate::checkpoints::state;
use crate::journeys::created;
use crate::world::{ALERTS, MINUTE, World, now_ms};
use darktrace_sentinel::sim::appliance::AlertSpec;
use darktrace_sentinel::sim::ingestion::{Fault, Modes};
use darktrace_sentinel::source::Source;
use serde_json::{Value, json};

const POISON: &str = "P0ISON-7f3a";

impl World {
    fn poison(&self, alerts: usize) -> Vec<i64> {
        let message = || Some(POISON.to_owned());
        (0..alerts)
            .map(|_| self.appliance.issue_alert(AlertSpec { message: message(), ..created(now_ms() - MINUTE) }))
            .collect()
    }

    fn refuse_poison(&self) {
        let reject_rows_containing = Some(POISON.to_owned());
        self.ingestion.set_modes(Modes { reject_rows_containing, ..Modes::default() });
    }

    /// Polls good and bad alerts, of which the bad ones are put aside.
    async fn put_aside(&self, bad: usize) -> Vec<i64> {
        let poisoned = self.poison(bad);
        for _ in 0..3 {
            self.appliance.issue_alert(created(now_ms() - MINUTE));
        }
        self.refuse_poison();
        self.poll_well().await;
        assert_eq!((self.rows().len(), self.letter_names().await.len()), (3, bad));
        poisoned
    }

    async fn letter_names(&self) -> Vec<String> {
        self.store().list("deadletter/").await.unwrap()
    }

    fn replayed(&self) -> Vec<Value> {
        self.rows().into_iter().filter(|row| row["IngestKind"] == "replay").collect()
    }
}

#[tokio::test]
async fn a_dead_letter_is_listed_shown_refused_again_replayed_and_gone() {
    for place in PLACES {
        let world = World::of_alerts_in(place).await;
        let poisoned = world.put_aside(2).await;
        let names = world.letter_names().await;

        let listed = world.run_well(&["dead-letters", "list"]).await;
        let lines: Vec<Vec<&str>> =
            listed.stdout.lines().filter(|line| line.contains('\t')).map(|line| line.split('\t').collect()).collect();
        assert_eq!(lines.iter().map(|line| line[0]).collect::<Vec<_>>(), names, "{place:?}");
        assert_eq!(&lines[0][1..3], ["default", "model-alerts"]);
        assert!(
            lines[0][3].starts_with("20")
                && lines[0][4].starts_with("20")
                && lines[0][5].contains("refused the content")
        );
        assert!(!listed.text().contains(POISON), "never the content");

        let shown = world.run_well(&["dead-letters", "show", &names[0]]).await;
        let document: Value = serde_json::from_str(&shown.stdout).unwrap();
        assert!(document["raw"].as_str().unwrap().contains(POISON), "here it is what is asked for");

        let before = world.everything().await;
        let refused = world.run(&["dead-letters", "replay"]).await;
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(
            refused.stdout.contains("0 of 2 replayed") && refused.stdout.matches("refused the content").count() == 2
        );
        assert!(!refused.text().contains(POISON));
        assert_eq!(world.everything().await, before, "every document is as it was");

        world.ingestion.set_modes(Modes::default());
        let replayed = world.run_well(&["dead-letters", "replay"]).await;
        assert!(replayed.stdout.contains("2 of 2 replayed"), "{}", replayed.text());
        assert_eq!(world.letter_names().await, [""; 0]);
        assert_eq!(world.document(&state(Source::ModelAlerts)).await.unwrap(), before[&state(Source::ModelAlerts)]);
        let mut ids: Vec<_> = world.replayed().iter().map(|row| row["EventId"].as_str().unwrap().to_owned()).collect();
        ids.sort_unstable();
        assert_eq!(ids, poisoned.iter().map(ToString::to_string).collect::<Vec<_>>());

        assert!(world.run_well(&["dead-letters", "replay"]).await.stdout.contains("0 of 0 replayed"));
        world.poll_well().await;
        world.check_exactly_once();
    }
}

#[tokio::test]
async fn a_replayed_row_is_the_one_that_was_refused_but_for_its_kind_and_time() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    let letter = world.letters().remove(0).document;
    world.ingestion.set_modes(Modes::default());
    world.run_well(&["dead-letters", "replay"]).await;
    let row = world.replayed().remove(0);
    assert_eq!((&row["EventKey"], &row["IngestSeq"]), (&letter["eventKey"], &letter["ingestSeq"]));

    // What the live path makes of the same alert, in a world that refuses nothing.
    let other = World::of_alerts_in(Place::Directory).await;
    let record: Value = serde_json::from_str(letter["raw"].as_str().unwrap()).unwrap();
    let raw = Some(letter["raw"].as_str().unwrap().to_owned());
    other.appliance.issue_alert(AlertSpec { raw, ..created(record["creationTime"].as_i64().unwrap()) });
    other.poll_well().await;
    let live = other.rows().remove(0);
    for column in ["EventKey", "EventId", "RevisionHash", "EventTime", "modelName_s", "newEvent_b", "Message"] {
        assert_eq!(row[column], live[column], "{column}");
    }
    world.check_books();
}

#[tokio::test]
async fn a_record_that_is_none_stays_put_aside_with_its_reason() {
    let world = World::of_alerts_in(Place::Directory).await;
    let raw = Some("{\"pbid\":NaN}".to_owned());
    world.appliance.issue_alert(AlertSpec { raw, ..created(now_ms() - MINUTE) });
    world.poll_well().await;
    let replayed = world.run(&["dead-letters", "replay"]).await;
    assert_eq!(replayed.code, Some(1), "{}", replayed.text());
    assert!(replayed.line_with("refused\t").contains("not valid JSON"), "{}", replayed.text());
    assert_eq!((world.letters().len(), world.rows().len()), (1, 0));
}

#[tokio::test]
async fn a_letter_without_a_number_is_stored_without_one() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    let name = world.letter_names().await.remove(0);
    let path = world.directory().unwrap().join(&name);
    let mut document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    document.as_object_mut().unwrap().remove("ingestSeq");
    std::fs::write(&path, document.to_string()).unwrap();
    world.ingestion.set_modes(Modes::default());
    world.run_well(&["dead-letters", "replay"]).await;
    assert_eq!(world.replayed()[0].get("IngestSeq").unwrap_or(&Value::Null), &Value::Null);
    assert_eq!(world.ingestion.violations(), []);
}

#[tokio::test]
async fn one_record_under_two_days_is_stored_once_and_both_documents_go() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    let name = world.letter_names().await.remove(0);
    let (_, file) = name.rsplit_once('/').unwrap();
    let copy = format!("deadletter/v1/default/model-alerts/2026/01/01/{file}");
    let bytes = world.document(&name).await.unwrap();
    world.store().write(&copy, bytes, darktrace_sentinel::store::Expect::Absent).await.unwrap();
    world.ingestion.set_modes(Modes::default());
    world.run_well(&["dead-letters", "replay"]).await;
    assert_eq!((world.replayed().len(), world.letter_names().await.len()), (1, 0));
}

#[tokio::test]
async fn a_service_that_is_away_leaves_every_letter_for_the_next_time() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(2).await;
    world.ingestion.set_modes(Modes::default());
    world.ingestion.fail_next_on(ALERTS, Fault::Forbidden, 1);
    let replayed = world.run(&["dead-letters", "replay"]).await;
    assert_eq!(replayed.code, Some(1));
    assert!(replayed.line_with("not sent").contains("Monitoring Metrics Publisher"), "{}", replayed.text());
    assert_eq!(world.letters().len(), 2);
    world.run_well(&["dead-letters", "replay"]).await;
    world.check_exactly_once();
}

#[tokio::test]
async fn only_the_letters_that_are_meant_are_replayed() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    world.ingestion.set_modes(Modes::default());
    for elsewhere in [["--instance", "lab"], ["--source", "email"], ["--since", "2999-01-01T00:00:00Z"]] {
        let run = world.run_well(&[&["dead-letters", "replay"][..], &elsewhere].concat()).await;
        assert!(run.stdout.contains("0 of 0 replayed"), "{}", run.text());
        assert_eq!(world.letters().len(), 1);
    }
    let run = world.run_well(&["dead-letters", "replay", "--since", "1h", "--instance", "default"]).await;
    assert!(run.stdout.contains("1 of 1 replayed"), "{}", run.text());
}

#[tokio::test]
async fn a_letter_of_a_source_that_is_no_longer_polled_is_left_and_told() {
    let mut world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    world.ingestion.set_modes(Modes::default());
    world.set("DARKTRACE_SOURCES", "ai-analyst");
    let run = world.run(&["dead-letters", "replay"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.line_with("not sent").contains("not enabled"), "{}", run.text());
    assert_eq!((world.letters().len(), world.rows().len()), (1, 3));
}

#[tokio::test]
async fn nothing_but_a_dead_letter_is_shown() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    for name in [state(Source::ModelAlerts), "deadletter/v1/none.json".to_owned(), "deadletter/v1/../../x".to_owned()] {
        let run = world.run(&["dead-letters", "show", &name]).await;
        assert_eq!(run.code, Some(1), "{}", run.text());
        assert!(!run.stdout.contains("watermark"), "{}", run.text());
    }
}

#[tokio::test]
async fn settings_that_are_wrong_end_every_command_as_they_end_a_poll() {
    let mut world = World::of_alerts_in(Place::Directory).await;
    world.set("DCR_IMMUTABLE_ID", "nonsense");
    for arguments in [&["dead-letters", "list"][..], &["watermark", "show"], &["pause"], &["resume"], &["send-test"]] {
        let run = world.run(arguments).await;
        assert_eq!(run.code, Some(78), "{arguments:?}: {}", run.text());
        assert!(run.text().contains("DCR_IMMUTABLE_ID"), "{}", run.text());
    }
    assert_eq!(json!(world.ingestion.posts().len()), 0);
}

impl World {
    /// Changes the document of a letter, as a later version or somebody with an editor might find it.
    fn edit_letter(&self, name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
        let path = self.directory().unwrap().join(name);
        let mut document: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(document.as_object_mut().unwrap());
        std::fs::write(&path, document.to_string()).unwrap();
    }
}

/// Not when the alert happened, and the moment itself counts.
#[tokio::test]
async fn since_means_when_a_record_was_put_aside() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(3).await;
    let names = world.letter_names().await;
    let (old, then, untold) = (&names[0], &names[1], &names[2]);
    world.edit_letter(old, |document| drop(document.insert("firstSeen".to_owned(), json!("2026-01-01T00:00:00.000Z"))));
    world
        .edit_letter(then, |document| drop(document.insert("firstSeen".to_owned(), json!("2026-01-02T00:00:00.000Z"))));
    world.edit_letter(untold, |document| drop(document.insert("firstSeen".to_owned(), json!("once"))));
    world.ingestion.set_modes(Modes::default());
    let run = world.run_well(&["dead-letters", "replay", "--since", "2026-01-02T00:00:00Z"]).await;
    assert!(run.stdout.contains("2 of 2 replayed"), "one that tells no time is not left out: {}", run.text());
    assert_eq!(world.letter_names().await, [old.as_str()]);
    let wrong = world.run(&["dead-letters", "replay", "--since", "yesterday"]).await;
    assert_eq!(wrong.code, Some(64));
}

#[tokio::test]
async fn a_record_that_can_be_mapped_by_now_is_stored() {
    let world = World::of_alerts_in(Place::Directory).await;
    let raw = Some("{\"pbid\":NaN}".to_owned());
    world.appliance.issue_alert(AlertSpec { raw, ..created(now_ms() - MINUTE) });
    world.poll_well().await;
    let name = world.letter_names().await.remove(0);
    let key = world.letters()[0].document["eventKey"].clone();
    // What a mapper makes of it that has learnt to read the record.
    world.edit_letter(&name, |document| drop(document.insert("raw".to_owned(), json!("{\"pbid\":7}"))));
    world.run_well(&["dead-letters", "replay"]).await;
    assert_eq!((world.replayed().len(), world.letters().len()), (1, 0));
    assert_eq!(world.replayed()[0]["EventKey"], key, "under the key that it had");
}

#[tokio::test]
async fn letters_of_an_instance_that_is_gone_are_listed_left_and_told() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    let root = world.directory().unwrap().join("deadletter/v1");
    std::fs::rename(root.join("default"), root.join("gone")).unwrap();
    world.ingestion.set_modes(Modes::default());
    let listed = world.run_well(&["dead-letters", "list", "--instance", "gone"]).await;
    assert_eq!(listed.stdout.lines().count(), 1, "nothing but letters: {}", listed.text());
    let run = world.run(&["dead-letters", "replay"]).await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    assert!(run.line_with("not sent").contains("not enabled in the settings"), "{}", run.text());
    assert_eq!((world.letter_names().await.len(), world.rows().len()), (1, 3));
}

#[tokio::test]
async fn one_letter_is_refused_again_and_the_others_are_stored() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(3).await;
    let name = world.letter_names().await.remove(1);
    world.edit_letter(&name, |document| {
        let raw = document["raw"].as_str().unwrap().replace(POISON, "W0RSE-11aa");
        document.insert("raw".to_owned(), json!(raw));
    });
    let reject_rows_containing = Some("W0RSE-11aa".to_owned());
    world.ingestion.set_modes(Modes { reject_rows_containing, ..Modes::default() });
    let run = world.run(&["dead-letters", "replay"]).await;
    assert!(run.code == Some(1) && run.stdout.contains("2 of 3 replayed"), "{}", run.text());
    assert!(run.line_with("refused\t").contains(&name), "{}", run.text());
    assert_eq!(world.letter_names().await, [name]);
    assert_eq!(world.replayed().len(), 2);
}

/// Whoever reads a document by a program gets the document, and nothing else.
#[tokio::test]
async fn what_is_shown_is_the_document_alone() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    let name = world.letter_names().await.remove(0);
    let shown = world.run_well(&["dead-letters", "show", &name]).await;
    let bytes = world.document(&name).await.unwrap();
    assert_eq!(shown.stdout.trim_end().as_bytes(), bytes);
}

/// Killed between the two, the next replay stores the row again under its key, as docs/operations.md says.
#[cfg(feature = "crash-points")]
#[tokio::test]
async fn a_replay_that_is_killed_after_its_post_is_repeated_under_the_same_key() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    world.ingestion.set_modes(Modes::default());
    let mut command = world.command(&["dead-letters", "replay"]);
    let killed = command.env("DARKTRACE_SENTINEL_CRASH_AT", "after a post:1").output().await.unwrap();
    assert!(!killed.status.success() && killed.stdout.is_empty());
    assert_eq!((world.replayed().len(), world.letters().len()), (1, 1), "the letter goes last");
    world.run_well(&["dead-letters", "replay"]).await;
    let keys: Vec<_> = world.replayed().iter().map(|row| (row["EventKey"].clone(), row["IngestSeq"].clone())).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "{keys:?}");
    assert_eq!(world.letters().len(), 0);
}

#[tokio::test]
async fn letters_that_somebody_else_replays_are_left_to_them() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.put_aside(1).await;
    world.ingestion.set_modes(Modes::default());
    let held = world.store().lease("replay/default/model-alerts").await.unwrap().unwrap();
    let run = world.run(&["dead-letters", "replay"]).await;
    assert!(run.code == Some(1) && run.stderr.contains("try again when that has ended"), "{}", run.text());
    assert_eq!((world.replayed().len(), world.letters().len()), (0, 1));
    held.release().await.unwrap();
    world.run_well(&["dead-letters", "replay"]).await;
    world.check_exactly_once();
}
