//! A chosen range of the past, beside live polling: once, whatever interrupts it. A whole year is in `year`.

mod year;

use crate::azurite;
use crate::checkpoints::{state, state_of_backfill};
use crate::journeys::{count, created};
use crate::world::{ALERTS, HEALTH, HOUR, MINUTE, Run, World, now_ms};
use darktrace_sentinel::checkpoint::Checkpoint;
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::sim::appliance::{ActionSpec, AlertSpec, EventSpec, Fault, Period};
use darktrace_sentinel::sim::ingestion::Modes;
use darktrace_sentinel::source::Source;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::process::Child;

const DAY: i64 = 24 * HOUR;
/// Fast enough for a test, and still a pause.
const QUICK: &str = "60000";

/// A range by its two ends, in milliseconds.
type Ends = (i64, i64);

impl World {
    fn backfill_arguments(&self, (from, to): Ends, more: &[&str]) -> Vec<String> {
        let times = [Instant(from).rfc3339(), Instant(to).rfc3339()];
        let fixed = ["backfill", "--requests-per-minute", QUICK, "--from", &times[0], "--to", &times[1]];
        fixed.iter().chain(more).map(|argument| (*argument).to_owned()).collect()
    }

    fn start_backfill(&self, ends: Ends, more: &[&str]) -> Child {
        let arguments = self.backfill_arguments(ends, more);
        self.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).spawn().unwrap()
    }

    async fn backfill(&self, ends: Ends, more: &[&str]) -> Run {
        Run::of(self.start_backfill(ends, more).wait_with_output().await.unwrap())
    }

    async fn backfill_well(&self, ends: Ends, more: &[&str]) -> Run {
        let run = self.backfill(ends, more).await;
        assert_eq!(run.code, Some(0), "{}", run.text());
        run
    }

    /// The stored checkpoint of a backfill.
    async fn backfill_checkpoint(&self, source: Source) -> Option<(Checkpoint, usize)> {
        let bytes = self.document(&state_of_backfill(source)).await?;
        Some((Checkpoint::parse(&bytes, Instant(now_ms())).unwrap().0, bytes.len()))
    }

    /// Where live polling begins, according to its checkpoint.
    async fn live_begin(&self, source: Source) -> i64 {
        self.checkpoint(source).await.position.floor.0
    }

    /// Kills the backfill when so many rows were taken and what follows them is held.
    async fn kill_when_taken(&self, rows: u64, ends: Ends) {
        self.ingestion.set_modes(Modes { pause_after_rows: Some(rows), ..Modes::default() });
        let mut child = self.start_backfill(ends, &["--source", "model-alerts"]);
        let held = || self.ingestion.posts().last().is_some_and(|post| !post.was_taken && post.rows > 0);
        let waited = tokio::time::timeout(Duration::from_secs(120), async {
            // A post that is held follows the commit of what was taken before it.
            while self.ingestion.taken_rows() < rows || !held() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.expect("the rows come");
        child.kill().await.unwrap();
        child.wait().await.unwrap();
        self.ingestion.set_modes(Modes::default());
    }
}

fn kinds(rows: &[Value]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for row in rows {
        *kinds.entry(row["IngestKind"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    kinds
}

fn keys(rows: &[Value]) -> BTreeSet<String> {
    rows.iter().map(|row| row["EventKey"].as_str().unwrap().to_owned()).collect()
}

/// An AI Analyst event whose activity goes on for so long.
fn event(at: i64, lasts: i64) -> EventSpec {
    let periods = vec![Period { start_ms: at - HOUR, end_ms: at + lasts }];
    EventSpec { created_ms: Some(at), periods, ..EventSpec::default() }
}

#[tokio::test]
async fn a_range_before_live_polling_arrives_once_and_nothing_of_it_moves_live_polling() {
    let world = World::new().await;
    let now = now_ms();
    for n in 0..60 {
        world.appliance.issue_alert(created(now - n * 12 * HOUR - MINUTE));
    }
    for n in 0..15 {
        // Some of them go on for two days, over borders of slices and over the begin of live polling.
        world.appliance.issue_event(event(now - n * 2 * DAY - MINUTE, (n % 2) * 2 * DAY));
    }
    world.poll_well().await;
    let begin = world.live_begin(Source::ModelAlerts).await;
    let live = world.rows();
    let before = [world.checkpoint(Source::ModelAlerts).await, world.checkpoint(Source::AiAnalyst).await];
    let first = begin.min(world.live_begin(Source::AiAnalyst).await);
    world.backfill_well((now - 35 * DAY, first), &[]).await;
    let after = [world.checkpoint(Source::ModelAlerts).await, world.checkpoint(Source::AiAnalyst).await];
    assert_eq!(before, after, "live polling has its own checkpoint");
    world.check_exactly_once();
    let rows = world.rows();
    assert_eq!(kinds(&rows[live.len()..]), [("backfill".to_owned(), rows.len() - live.len())].into());
    world.poll_well().await;
    world.check_exactly_once();
    let numbers: Vec<u64> = rows[live.len()..]
        .iter()
        .filter(|row| row["dtProduct_s"] == "Policy Breach")
        .map(|row| count(row, "IngestSeq"))
        .collect();
    assert_eq!(
        numbers.iter().copied().collect::<BTreeSet<_>>(),
        (1..=numbers.len() as u64).collect(),
        "its rows have numbers of their own"
    );
}

#[tokio::test]
async fn a_record_has_the_same_event_key_whichever_way_it_comes() {
    let (mut live, past) = (World::new().await, World::new().await);
    live.set("INITIAL_LOOKBACK", "30d");
    let now = now_ms();
    let spec = |n: i64| AlertSpec { pbid: Some(900 + n), ..created(now - n * DAY - MINUTE) };
    for world in [&live, &past] {
        for n in 2..20 {
            world.appliance.issue_alert(spec(n));
            world.appliance.issue_event(EventSpec { uuid: Some(format!("event-{n}")), ..event(now - n * DAY, 0) });
        }
    }
    live.poll_well().await;
    past.backfill_well((now - 25 * DAY, now - 25 * HOUR), &[]).await;
    assert_eq!(keys(&live.rows()).len(), 36);
    assert_eq!(keys(&past.rows()), keys(&live.rows()));
}

#[tokio::test]
async fn a_range_that_reaches_into_live_polling_is_refused_with_the_end_that_it_may_have() {
    let world = World::new().await;
    world.appliance.issue_alert(created(now_ms() - 2 * HOUR));
    world.poll_well().await;
    let begin = world.live_begin(Source::ModelAlerts).await;
    // After days of polling the floor has risen over what is forgotten; that was delivered all the same.
    world.edit(Source::ModelAlerts, |checkpoint, _| checkpoint.position.floor = Instant(begin + 20 * HOUR)).await;
    let refused = world.backfill((begin - DAY, begin + 10 * HOUR), &["--source", "model-alerts"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    refused.line_with(&format!("the range may go up to --to {}.", Instant(begin)));
    assert!(world.backfill_checkpoint(Source::ModelAlerts).await.is_none(), "nothing was begun");
    world.backfill_well((begin - DAY, begin), &["--source", "model-alerts"]).await;
}

#[tokio::test]
async fn before_the_first_poll_the_range_may_go_up_to_its_look_back() {
    let world = World::new().await;
    let now = now_ms();
    let refused = world.backfill((now - 3 * DAY, now - 23 * HOUR), &[]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    refused.line_with("live polling has not run yet and its first run reads from about");
    for n in 0..6 {
        world.appliance.issue_alert(created(now - n * 12 * HOUR - MINUTE));
    }
    world.backfill_well((now - 3 * DAY, now - DAY), &[]).await;
    world.poll_well().await;
    world.check_exactly_once();
}

#[tokio::test]
async fn an_overlap_that_is_forced_sets_aside_what_live_polling_knows() {
    let world = World::new().await;
    let now = now_ms();
    for n in 0..40 {
        world.appliance.issue_alert(created(now - n * HOUR - MINUTE));
        world.appliance.issue_event(event(now - n * HOUR - MINUTE, 0));
    }
    world.poll_well().await;
    let live = world.rows().len();
    let run = world.backfill_well((now - 2 * DAY, now - MINUTE / 2), &["--force"]).await;
    assert!(!run.text().contains("stored again"), "{}", run.text());
    assert!(world.rows().len() > live, "what lies before live polling came");
    world.check_exactly_once();
}

#[cfg(feature = "crash-points")]
#[tokio::test]
async fn a_kill_between_a_post_and_its_commit_repeats_that_batch_with_its_keys_and_loses_nothing() {
    let mut world = World::new().await;
    let now = now_ms();
    let ends = (now - 120 * DAY, now - 2 * DAY);
    world.appliance.issue_many(1_200, ends.0, ends.1);
    let mut killed = 0;
    for point in [
        "after a post:2",
        "delivery noted:3",
        "before the commit:4",
        "after the commit:3",
        "answer read:2",
        "before the mark:1",
    ] {
        world.set("DARKTRACE_SENTINEL_CRASH_AT", point);
        let run = world.backfill(ends, &["--source", "model-alerts"]).await;
        killed += usize::from(run.code.is_none());
    }
    world.set("DARKTRACE_SENTINEL_CRASH_AT", "");
    assert!(killed >= 5, "{killed}");
    world.backfill_well(ends, &["--source", "model-alerts"]).await;
    let repeats = world.check_nothing_lost();
    assert!((1..300).contains(&repeats), "{repeats}");
}

#[tokio::test]
async fn another_range_waits_until_the_first_is_complete_or_given_up() {
    let world = World::new().await;
    let now = now_ms();
    let ends = (now - 20 * DAY, now - 10 * DAY);
    let others = (now - 30 * DAY, now - 20 * DAY);
    world.appliance.issue_many(200, others.0, ends.1);
    world.kill_when_taken(10, ends).await;
    let source = ["--source", "model-alerts"];
    let refused = world.backfill(others, &source).await;
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    refused.line_with("is unfinished at");
    world.backfill_well(ends, &source).await;
    world.backfill_well(others, &source).await;
    world.check_exactly_once();
    let again = world.backfill((now - 25 * DAY, now - 15 * DAY), &source).await;
    assert_eq!(again.code, Some(1), "{}", again.text());
    again.line_with("was stored already");
    let rows = world.rows().len();
    world.backfill_well((now - 25 * DAY, now - 24 * DAY), &["--source", "model-alerts", "--restart"]).await;
    let (after, distinct) = (world.rows().len(), keys(&world.rows()).len());
    assert_eq!((after > rows, distinct), (true, rows), "what is stored again has the keys that it had");
}

#[tokio::test]
async fn a_dry_run_counts_and_leaves_nothing_behind() {
    let world = World::new().await;
    let now = now_ms();
    let ends = (now - 20 * DAY, now - 2 * DAY);
    world.appliance.issue_many(700, ends.0, ends.1);
    let run = world.backfill_well(ends, &["--dry-run", "--source", "model-alerts"]).await;
    run.line_with("fetched 700, new 700, changed 0, sent 700");
    assert_eq!((world.ingestion.posts().len(), world.identity.seen().len()), (0, 0));
    assert_eq!(std::fs::read_dir(world.directory().unwrap()).unwrap().count(), 0, "no document");
    world.backfill_well(ends, &["--source", "model-alerts"]).await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_source_says_what_it_cannot_give_of_the_past_and_no_status_is_looked_at() {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "system-status,response");
    let now = now_ms();
    world.appliance.issue_action(ActionSpec { start_ms: Some(now - 5 * DAY), ..ActionSpec::default() });
    let run = world.backfill_well((now - 10 * DAY, now - 2 * DAY), &[]).await;
    run.line_with("GET /status tells only the present");
    run.line_with("the master tells only of actions that it still keeps");
    assert!(world.appliance.seen().iter().all(|request| request.path != "/status"));
}

#[tokio::test]
async fn a_failure_says_that_the_same_command_goes_on() {
    let world = World::new().await;
    let now = now_ms();
    let ends = (now - 20 * DAY, now - 2 * DAY);
    world.appliance.issue_many(300, ends.0, ends.1);
    world.appliance.fail_next(Fault::LoginPage, 1);
    let failed = world.backfill(ends, &["--source", "model-alerts"]).await;
    assert_eq!(failed.code, Some(1), "{}", failed.text());
    failed.line_with("The same command goes on where it stopped");
    world.backfill_well(ends, &["--source", "model-alerts"]).await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_signal_ends_it_after_the_commit_with_the_code_of_the_signal() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let world = World::new().await;
        let now = now_ms();
        let ends = (now - 40 * DAY, now - 2 * DAY);
        world.appliance.issue_many(800, ends.0, ends.1);
        world.ingestion.set_modes(Modes { latency_ms: 50, ..Modes::default() });
        let child = world.start_backfill(ends, &["--source", "model-alerts"]);
        while world.ingestion.taken_rows() < 200 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let kill =
            std::process::Command::new("kill").args([format!("-{signal}"), child.id().unwrap().to_string()]).status();
        assert!(kill.unwrap().success());
        let run = Run::of(child.wait_with_output().await.unwrap());
        assert_eq!(run.code, Some(code), "{}", run.text());
        assert!(world.ingestion.taken_rows() < 800, "it had not come to its end");
        world.ingestion.set_modes(Modes::default());
        world.backfill_well(ends, &["--source", "model-alerts"]).await;
        world.check_exactly_once();
    }
}

#[tokio::test]
async fn two_backfills_of_one_source_do_not_meet_and_a_poll_goes_on_beside() {
    let world = World::on_azurite().await;
    let now = now_ms();
    let ends = (now - 20 * DAY, now - 2 * DAY);
    world.appliance.issue_many(400, ends.0, ends.1);
    world.appliance.issue_alert(created(now - MINUTE));
    world.ingestion.set_modes(Modes { latency_ms: 400, ..Modes::default() });
    let first = world.start_backfill(ends, &["--source", "model-alerts"]);
    while world.ingestion.taken_rows() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let second = world.backfill(ends, &["--source", "model-alerts"]).await;
    assert_eq!(second.code, Some(1), "{}", second.text());
    second.line_with("skipped because another run holds the lease");
    world.poll_well().await;
    let first = Run::of(first.wait_with_output().await.unwrap());
    assert_eq!(first.code, Some(0), "{}", first.text());
    world.check_exactly_once();
    let names = azurite::names(world.container(), "backfill/default/model-alerts/").await;
    assert!(
        names.iter().any(|name| name.ends_with("/lock")) && names.iter().any(|name| name.ends_with("/mark.json")),
        "{names:?}"
    );
    assert!(world.document(&state(Source::ModelAlerts)).await.is_some());
    assert!(!world.ingestion.rows(HEALTH).is_empty() && !world.ingestion.rows(ALERTS).is_empty());
}

#[tokio::test]
async fn requests_keep_to_their_pace() {
    let world = World::new().await;
    let now = now_ms();
    let times = [Instant(now - 5 * DAY).rfc3339(), Instant(now - 2 * DAY).rfc3339()];
    let run = [
        "backfill",
        "--from",
        &times[0],
        "--to",
        &times[1],
        "--requests-per-minute",
        "120",
        "--source",
        "model-alerts",
    ];
    let began = now_ms();
    let output = world.command(&run).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    let asked = i64::try_from(world.appliance.seen().len()).unwrap();
    assert!(asked >= 4, "{asked}");
    assert!(now_ms() - began >= (asked - 1) * 500, "{asked} requests in {} ms", now_ms() - began);
}
