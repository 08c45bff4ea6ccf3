//! One container and one ingestion endpoint, some runs that are killed, and the runs that make up for them.

use super::{IN_FLIGHT, POISON, SOURCES, Scenario, store};
use crate::azurite;
use crate::world::{ALERTS, listener, now_ms, rules};
use darktrace_sentinel::checkpoint::Checkpoint;
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::key::Key;
use darktrace_sentinel::sim::ingestion::{Ingestion, Modes};
use darktrace_sentinel::store::{Expect, Store};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Output};
use std::time::Duration;
use tokio::process::Command;

/// No point has this number.
const NOWHERE: &str = "0";

pub(super) struct Trial<'a> {
    scenario: &'a Scenario,
    container: String,
    store: Store,
    ingestion: Ingestion,
    kills: Vec<Kill>,
}

/// What was there when a run had been killed.
struct Kill {
    /// Rows that the service had taken.
    rows: usize,
    /// What the checkpoints of the two sources claimed.
    committed: Vec<Option<Checkpoint>>,
}

/// A run that ended.
pub(super) struct Ended {
    status: ExitStatus,
    text: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        Self { status: output.status, text }
    }

    /// The point at which it was killed, if it was.
    pub(super) fn point(&self) -> Option<String> {
        let (_, rest) = self.text.split_once("ERROR crash point: ")?;
        assert_eq!(self.status.signal(), Some(6), "{}", self.text);
        rest.lines().next().map(str::to_owned)
    }

    /// It succeeded and has nothing to complain of but the records that it had to put aside.
    pub(super) fn must_be_good(&self) {
        assert_eq!(self.status.code(), Some(0), "{}", self.text);
        let mut complaints = self.text.lines().filter(|line| line.starts_with("WARN") || line.starts_with("ERROR"));
        assert!(complaints.all(|line| line.contains("a record was put aside as deadletter/")), "{}", self.text);
        assert!(!self.text.contains("skipped"), "{}", self.text);
    }
}

impl<'a> Trial<'a> {
    pub(super) async fn new(scenario: &'a Scenario) -> Self {
        let container = azurite::new_container();
        let store = store(&container);
        for (name, bytes) in &scenario.documents {
            store.write(name, bytes.clone(), Expect::Absent).await.unwrap();
        }
        let ingestion = Ingestion::start(listener().await, rules());
        ingestion.set_modes(Modes { reject_rows_containing: Some(POISON.to_owned()), ..Modes::default() });
        Self { scenario, container, store, ingestion, kills: Vec::new() }
    }

    /// One run to its end, which comes at that point if it gets there.
    pub(super) async fn poll(&self, point: &str) -> Ended {
        Ended::of(self.command().env("DARKTRACE_SENTINEL_CRASH_AT", point).output().await.unwrap())
    }

    /// Each passing of a point in an undisturbed run, in the form that arms it.
    pub(super) async fn passings(&self) -> Vec<String> {
        let run = Ended::of(self.command().env("RUST_LOG", "trace").output().await.unwrap());
        run.must_be_good();
        let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
        for name in run.text.lines().filter_map(|line| line.strip_prefix("TRACE crash point: ")) {
            *passed.entry(name).or_default() += 1;
        }
        passed.iter().flat_map(|(name, times)| (1..=*times).map(move |n| format!("{name}:{n}"))).collect()
    }

    fn command(&self) -> Command {
        let mut command = self.scenario.world.command(&["poll"]);
        command.env("CHECKPOINT_CONTAINER", &self.container).env("DATA_COLLECTION_ENDPOINT", self.ingestion.base_url());
        command
    }

    /// Starts a run and kills it when this many rows were taken and another post waits.
    pub(super) async fn poll_until_posts_are_held(&self, taken: u64) {
        let modes = self.ingestion.modes();
        self.ingestion.set_modes(Modes { pause_after_rows: Some(taken), ..modes.clone() });
        let mut child = self.command().spawn().unwrap();
        let held = || {
            let waits = self.ingestion.posts().iter().any(|post| post.rows > 0 && post.status == 0);
            waits && self.ingestion.taken_rows() >= taken
        };
        while !held() {
            assert_eq!(child.try_wait().unwrap(), None, "the run ended before {taken} rows were taken");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        child.kill().await.unwrap();
        self.ingestion.set_modes(modes);
    }

    /// Takes note of what a killed run left behind, and ends its leases, so that no test waits for them to run out.
    pub(super) async fn note_the_kill(&mut self) {
        let rows = self.rows().len();
        let mut committed = Vec::new();
        for source in SOURCES {
            let stored = self.store.read(&format!("state/default/{source}.json")).await.unwrap();
            committed.push(stored.map(|stored| Checkpoint::parse(&stored.bytes, Instant(now_ms())).unwrap().0));
            azurite::break_lease_if_held(&self.container, &format!("lock/default/{source}")).await;
        }
        self.kills.push(Kill { rows, committed });
    }

    /// The next run is good and completes everything, and the one after it has nothing to do.
    pub(super) async fn must_recover(&self, what: &str) {
        self.poll(NOWHERE).await.must_be_good();
        self.check(what).await;
        let rows = self.rows().len();
        self.poll(NOWHERE).await.must_be_good();
        assert_eq!(self.rows().len(), rows, "{what}: a third run stored something");
    }

    /// The rows of this trial, in the order of their arrival.
    fn rows(&self) -> Vec<Value> {
        self.ingestion.rows(ALERTS)
    }

    async fn check(&self, what: &str) {
        let rows = self.rows();
        self.check_nothing_is_lost_or_invented(what, &rows);
        self.check_repeats(what, &rows);
        self.check_sequences(what, &rows);
        self.check_positions(what).await;
        assert_eq!(self.ingestion.violations(), [], "{what}");
        let letters = azurite::names(&self.container, "deadletter/").await;
        assert_eq!(letters.len(), self.scenario.refused, "{what}: {letters:?}");
    }

    /// Every record in every revision, and nothing else.
    fn check_nothing_is_lost_or_invented(&self, what: &str, rows: &[Value]) {
        let mut keys: BTreeMap<String, BTreeSet<&str>> = BTreeMap::new();
        for row in self.scenario.stored.iter().chain(rows) {
            keys.entry(text(row, "EventId").to_owned()).or_default().insert(text(row, "EventKey"));
        }
        let stored: BTreeMap<String, usize> = keys.into_iter().map(|(id, keys)| (id, keys.len())).collect();
        assert_eq!(stored, self.scenario.expected, "{what}");
    }

    /// What a checkpoint claimed at a kill is not stored again after it, and what else is repeated was under way: no more
    /// than that many batches of a source for each kill.
    fn check_repeats(&self, what: &str, rows: &[Value]) {
        for kill in &self.kills {
            for row in &rows[kill.rows..] {
                let key = key(text(row, "EventKey"));
                let claimed = kill.committed.iter().flatten().any(|checkpoint| checkpoint.delivered.contains(key));
                assert!(!claimed, "{what}: a row was stored again although it had been committed");
            }
        }
        let mut seen: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
        let mut repeated: BTreeMap<bool, BTreeSet<&str>> = BTreeMap::new();
        for row in rows {
            let (batch, times) = seen.entry(text(row, "EventKey")).or_insert((text(row, "BatchId"), 0));
            *times += 1;
            assert!(*times <= 1 + self.kills.len(), "{what}: a row is there {times} times");
            if *times > 1 {
                repeated.entry(is_event(row)).or_default().insert(batch);
            }
        }
        let most = IN_FLIGHT * self.kills.len();
        assert!(repeated.values().all(|batches| batches.len() <= most), "{what}: repeats of {repeated:?}");
    }

    /// `IngestSeq` may repeat after a kill but never skips, unless a dead letter explains it.
    fn check_sequences(&self, what: &str, rows: &[Value]) {
        if self.scenario.refused > 0 {
            return;
        }
        for events in [false, true] {
            let rows = rows.iter().filter(|row| is_event(row) == events);
            let sequences: BTreeSet<u64> = rows.map(|row| row["IngestSeq"].as_u64().unwrap()).collect();
            let count = sequences.len() as u64;
            assert!(sequences.into_iter().eq(1..=count), "{what}: a gap in IngestSeq");
        }
    }

    /// No position goes back.
    async fn check_positions(&self, what: &str) {
        let mut before: Vec<Option<Checkpoint>> = vec![None; SOURCES.len()];
        for kill in &self.kills {
            for (before, after) in before.iter_mut().zip(&kill.committed) {
                let reached = |checkpoint: &Checkpoint| (checkpoint.position.watermark, checkpoint.next_sequence);
                assert!(before.as_ref().map(reached) <= after.as_ref().map(reached), "{what}: a position went back");
                before.clone_from(after);
            }
        }
    }
}

fn is_event(row: &Value) -> bool {
    row["dtProduct_s"] == "AI Analyst"
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_else(|| panic!("no {column} in {row}"))
}

fn key(hex: &str) -> Key {
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    Key(bytes.try_into().unwrap())
}
