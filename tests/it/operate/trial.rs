//! Test rows: the right table, marked, found by the queries that are named, and without a trace in the checkpoint.

use super::Place;
use crate::queries;
use crate::world::{World, now_ms};
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::sim::ingestion::{Fault, Modes};
use darktrace_sentinel::source::{Layout, Source};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

const ALL: &str = "model-alerts,ai-analyst,system-status,email,response";

impl World {
    async fn of_all_sources(layout: Layout) -> Self {
        let mut world = World::of_alerts_in(Place::Directory).await;
        world.set("DARKTRACE_SOURCES", ALL);
        world.set("TABLE_LAYOUT", layout.name());
        world
    }

    /// The rows of every table of alerts.
    fn rows_by_table(&self, layout: Layout) -> BTreeMap<&'static str, Vec<Value>> {
        let tables: BTreeSet<_> = Source::ALL.into_iter().map(|source| source.table(layout)).collect();
        tables.into_iter().map(|table| (table, self.ingestion.rows(&format!("Custom-{table}")))).collect()
    }
}

/// What a query of `sentinel/queries` finds in these rows.
fn found(query: &str, tables: &BTreeMap<&'static str, Vec<Value>>) -> Vec<Value> {
    queries::run(query, folder_of(tables).path())
}

fn folder_of(tables: &BTreeMap<&'static str, Vec<Value>>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (table, rows) in tables {
        let mut lines = String::new();
        rows.iter().for_each(|row| writeln!(lines, "{row}").unwrap());
        std::fs::write(folder.path().join(format!("{table}.ndjson")), lines).unwrap();
    }
    folder
}

/// The lines that `send-test` prints to be pasted.
fn printed_query(text: &str) -> String {
    let lines: Vec<_> = text.lines().filter(|line| line.starts_with("  ")).collect();
    lines.join("\n")
}

#[tokio::test]
async fn the_query_that_is_printed_finds_the_rows_of_its_test_alone() {
    for layout in Layout::ALL {
        let world = World::of_all_sources(layout).await;
        let first = world.run_well(&["send-test"]).await;
        let second = world.run_well(&["send-test", "--source", "model-alerts"]).await;
        let tables = world.rows_by_table(layout);
        let folder = folder_of(&tables);
        for (run, expected) in [(&first, Source::ALL.len()), (&second, 1)] {
            let rows = queries::run_text(&printed_query(&run.stdout), folder.path());
            assert_eq!(rows.len(), expected, "{layout:?}\n{}", run.text());
        }
        assert_eq!(found("test-rows", &tables).len(), Source::ALL.len() + 1, "{layout:?}");
        // The published query, and what it is by the names of the other layout.
        let by_model = match layout {
            Layout::Legacy => found("test-alerts", &tables),
            Layout::ActiveAi => queries::run_text(
                "DarktraceModelAlerts_CL | where modelName == \"Unrestricted Test Model\"",
                folder.path(),
            ),
        };
        assert_eq!(by_model.len(), 2, "{layout:?}");
    }
}

#[tokio::test]
async fn a_test_of_every_source_is_in_its_table_marked_and_found() {
    for layout in Layout::ALL {
        let world = World::of_all_sources(layout).await;
        let run = world.run_well(&["send-test"]).await;
        assert!(world.appliance.seen().is_empty(), "no master is asked");
        assert_eq!(world.everything().await.len(), 0, "nothing is kept of it");
        assert_eq!(world.ingestion.violations(), []);
        let tables = world.rows_by_table(layout);
        for source in Source::ALL {
            assert!(run.stdout.contains(&format!("default {source}: accepted for {}\n", source.table(layout))));
        }
        let rows: Vec<&Value> = tables.values().flatten().collect();
        assert_eq!(rows.len(), Source::ALL.len());
        let keys: BTreeSet<_> = rows.iter().map(|row| row["EventKey"].as_str().unwrap()).collect();
        assert_eq!(keys.len(), rows.len(), "each has a key of its own");
        let events: Vec<_> = rows.iter().filter_map(|row| row.get("newEvent_b").or(row.get("newEvent"))).collect();
        assert_eq!(events, [&json!(true)], "the event is a new one");
        for row in rows {
            let id = row["EventId"].as_str().unwrap();
            assert!(row["IngestKind"] == "test" && id.starts_with("test-") && row.get("IngestSeq").is_none(), "{row}");
            assert!(run.stdout.contains(&format!("EventId == \"{id}\"")), "{}", run.text());
            assert!(row.to_string().contains(&format!("Test {id} by darktrace-sentinel")), "{row}");
            let at = Instant::from_iso(row["EventTime"].as_str().unwrap()).unwrap();
            assert!((now_ms() - 60_000..=now_ms()).contains(&at.0), "{row}");
        }
        assert!(run.stdout.contains("minutes"), "{}", run.text());
    }
}

#[tokio::test]
async fn the_queries_that_are_named_find_the_tests() {
    let world = World::of_all_sources(Layout::Legacy).await;
    let run = world.run_well(&["send-test"]).await;
    let tables = world.rows_by_table(Layout::Legacy);
    assert!(
        run.stdout.contains("sentinel/queries/test-alerts.kql")
            && run.stdout.contains("sentinel/queries/test-rows.kql")
    );
    let alerts = found("test-alerts", &tables);
    assert_eq!(alerts.len(), 1);
    assert_eq!((&alerts[0]["dtProduct_s"], &alerts[0]["IngestKind"]), (&json!("Policy Breach"), &json!("test")));
    assert_eq!(found("test-rows", &tables).len(), Source::ALL.len());
}

#[tokio::test]
async fn a_test_leaves_a_checkpoint_as_it_is_and_a_poll_knows_nothing_of_it() {
    let world = World::of_alerts_in(Place::Azurite).await;
    world.appliance.issue_alert(crate::journeys::created(now_ms() - 60_000));
    world.poll_well().await;
    let before = world.everything().await;
    world.run_well(&["send-test"]).await;
    assert_eq!(world.everything().await, before);
    let numbers = |world: &World| world.rows().iter().filter_map(|row| row["IngestSeq"].as_u64()).collect::<Vec<_>>();
    assert_eq!(numbers(&world), [1]);
    world.appliance.issue_alert(crate::journeys::created(now_ms() - 50_000));
    world.poll_well().await;
    assert_eq!(numbers(&world), [1, 2], "a test takes no number");
}

#[tokio::test]
async fn a_test_that_is_not_accepted_says_why_and_fails() {
    let world = World::of_all_sources(Layout::ActiveAi).await;
    let mut world = world;
    world.ingestion.fail_next_on("Custom-DarktraceEMAIL_CL", Fault::Forbidden, 1);
    let run = world.run(&["send-test"]).await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    let line = run.line_with("default email: the test row was not accepted");
    assert!(line.contains("Monitoring Metrics Publisher"), "{line}");
    assert!(run.stdout.contains("default model-alerts: accepted"), "one that fails does not stop the others");
    world.set("DARKTRACE_SOURCES", "email");
    world.ingestion.set_modes(Modes { reject_rows_containing: Some("test-".to_owned()), ..Modes::default() });
    let run = world.run(&["send-test"]).await;
    assert_eq!(run.code, Some(1));
    assert!(run.line_with("was not accepted").contains("refused the content"), "{}", run.text());
    assert_eq!(world.everything().await.len(), 0, "a test is never put aside");
}
