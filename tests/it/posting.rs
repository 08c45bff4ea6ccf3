//! What becomes of rows that Azure does not take at once, or never.

use crate::journeys::{count, created, line_of};
use crate::world::{ALERTS, HEALTH, MINUTE, Run, World, listener, now_ms, rules};
use darktrace_sentinel::sim::RetryAfter;
use darktrace_sentinel::sim::appliance::{AlertSpec, Fault as ApplianceFault, Modes as ApplianceModes};
use darktrace_sentinel::sim::identity;
use darktrace_sentinel::sim::ingestion::{Fault, Ingestion, Modes, Rules, SeenPost};
use darktrace_sentinel::source::Source;
use serde_json::json;
use std::time::Duration;

const POISON: &str = "P0ISON-7f3a";

impl World {
    /// A world that polls model alerts alone, so that every post of alerts is one of theirs.
    pub(crate) async fn of_model_alerts() -> Self {
        let mut world = Self::new().await;
        world.set("DARKTRACE_SOURCES", "model-alerts");
        world
    }

    /// Issues alerts of a minute ago.
    fn issue(&self, alerts: usize) {
        for _ in 0..alerts {
            self.appliance.issue_alert(created(now_ms() - MINUTE));
        }
    }

    /// Issues alerts whose rows have about this many bytes, at most 100,000.
    fn issue_large(&self, alerts: usize, bytes: usize) {
        for _ in 0..alerts {
            let message = Some("x".repeat(bytes / 2));
            self.appliance.issue_alert(AlertSpec { message, ..created(now_ms() - MINUTE) });
        }
    }

    fn issue_saying(&self, message: &str) -> i64 {
        self.appliance.issue_alert(AlertSpec { message: Some(message.to_owned()), ..created(now_ms() - MINUTE) })
    }

    fn alert_posts(&self) -> Vec<SeenPost> {
        self.ingestion.posts().into_iter().filter(|post| post.stream == ALERTS).collect()
    }

    fn statuses(&self) -> Vec<u16> {
        self.alert_posts().iter().map(|post| post.status).collect()
    }

    fn refuse(&self, rows_containing: &str) {
        let reject_rows_containing = Some(rows_containing.to_owned());
        self.ingestion.set_modes(Modes { reject_rows_containing, ..self.ingestion.modes() });
    }

    /// Polls into a fault that is no matter of the rows: a red run that says `words`, puts nothing aside, and leaves all to
    /// the run after the fault is gone.
    async fn check_operators_fault(
        &mut self,
        begin: impl FnOnce(&mut Self),
        end: impl FnOnce(&mut Self),
        words: &[&str],
    ) {
        self.issue(3);
        begin(self);
        let run = self.poll().await;
        assert_eq!(run.code, Some(1), "{}", run.text());
        let line = line_of(&run, Source::ModelAlerts);
        assert!(line.starts_with("ERROR"), "{line}");
        assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
        assert!(self.rows().is_empty() && self.letters().is_empty(), "never a dead letter");
        end(self);
        self.issue(1);
        self.poll_well().await;
        self.check_exactly_once();
        self.check_books();
    }
}

impl Run {
    /// What a child that was started earlier left behind, once it has ended.
    pub(crate) async fn of_child(child: tokio::process::Child) -> Self {
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

/// Milliseconds between the first two posts of alerts.
fn gap(world: &World) -> i64 {
    let posts = world.alert_posts();
    posts[1].received_at_ms - posts[0].received_at_ms
}

#[tokio::test]
async fn a_throttled_batch_waits_for_the_seconds_that_it_is_told() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    world.ingestion.fail_next_on(ALERTS, Fault::Throttle(Some(RetryAfter::Seconds(2))), 1);
    world.poll_well().await;
    assert!(gap(&world) >= 2_000, "{} ms", gap(&world));
    let health = world.health_of(Source::ModelAlerts);
    assert_eq!((count(&health, "Throttled"), count(&health, "Retries")), (1, 1));
    world.check_exactly_once();
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_throttled_batch_waits_until_the_date_that_it_is_told() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    // The header counts whole seconds.
    let at = (now_ms() / 1000 + 4) * 1000;
    world.ingestion.fail_next_on(ALERTS, Fault::Throttle(Some(RetryAfter::AtMs(at))), 1);
    world.poll_well().await;
    let again = world.alert_posts()[1].received_at_ms;
    assert!((at..at + 2_000).contains(&again), "{} ms after the date", again - at);
    world.check_exactly_once();
}

#[tokio::test]
async fn a_hint_beyond_the_run_ends_it_and_the_next_run_delivers() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    world.ingestion.fail_next_on(ALERTS, Fault::Throttle(Some(RetryAfter::Seconds(3_600))), 1);
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    assert_eq!(world.health_of(Source::ModelAlerts)["Status"], "Retrying");
    assert_eq!(world.alert_posts().len(), 1);
    world.poll_well().await;
    world.check_exactly_once();
    world.check_books();
}

#[tokio::test]
async fn a_service_that_is_overloaded_is_asked_again() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    world.ingestion.fail_next_on(ALERTS, Fault::Status(503), 1);
    world.ingestion.fail_next_on(ALERTS, Fault::Status(500), 1);
    world.poll_well().await;
    assert_eq!(world.statuses(), [503, 500, 204]);
    world.check_exactly_once();
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_connection_that_breaks_before_the_rows_are_taken_repeats_nothing() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    world.ingestion.fail_next_on(ALERTS, Fault::ResetBefore, 1);
    world.poll_well().await;
    assert_eq!(world.statuses(), [0, 204]);
    world.check_exactly_once();
    world.check_books_without_faults();
}

#[tokio::test]
async fn an_answer_that_is_lost_repeats_its_one_batch_under_the_same_keys() {
    let world = World::of_model_alerts().await;
    world.issue_large(14, 90_000);
    world.ingestion.fail_next_on(ALERTS, Fault::ResetAfter, 1);
    world.poll_well().await;
    let lost = world.alert_posts().into_iter().find(|post| post.was_taken && post.status == 0).unwrap();
    assert!(lost.rows < 14, "there was more than one batch");
    assert_eq!(world.check_nothing_lost(), lost.rows, "one batch is there twice, under equal keys");
    let twice = world.alert_posts().iter().filter(|post| post.client_request_id == lost.client_request_id).count();
    assert_eq!(twice, 2, "and under one name");
    world.check_books();
}

#[tokio::test]
async fn a_token_that_is_refused_once_is_replaced_by_a_fresh_one() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    world.ingestion.fail_next_on(ALERTS, Fault::Unauthorized, 1);
    world.poll_well().await;
    assert_eq!(world.statuses(), [401, 204]);
    assert_eq!(world.identity.seen().len(), 2, "the second token was asked for anew");
    world.check_exactly_once();
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_a_matter_for_an_operator() {
    let mut world = World::of_model_alerts().await;
    let begin = |world: &mut World| world.ingestion.fail_next_on(ALERTS, Fault::Unauthorized, 2);
    world.check_operators_fault(begin, |_| {}, &["401", "AZURE_CLOUD"]).await;
}

#[tokio::test]
async fn a_token_that_expires_during_a_run_is_renewed() {
    let world = World::of_model_alerts().await;
    world.identity.fail_next(identity::Fault::TtlSeconds(2), 1);
    world.issue(2);
    world.ingestion.fail_next_on(ALERTS, Fault::Throttle(Some(RetryAfter::Seconds(3))), 1);
    world.poll_well().await;
    assert_eq!(world.statuses(), [429, 204], "the second attempt has a token of its own");
    assert!(world.identity.seen().len() >= 2);
    world.check_exactly_once();
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_missing_role_is_named_and_everything_is_delivered_after_the_grant() {
    let mut world = World::of_model_alerts().await;
    let rule = rules().dcr;
    let begin = |world: &mut World| world.ingestion.fail_next_on(ALERTS, Fault::Forbidden, 9);
    let end = |world: &mut World| world.ingestion.clear_faults();
    world.check_operators_fault(begin, end, &["403", "Monitoring Metrics Publisher", &rule, "30 minutes"]).await;
    assert_eq!(world.statuses(), [403, 204], "a missing role is not asked for twice in a run");
}

#[tokio::test]
async fn a_rule_that_does_not_exist_is_named_and_nothing_is_lost() {
    let mut world = World::of_model_alerts().await;
    let wrong = "dcr-ffffffffffffffffffffffffffffffff";
    let begin = |world: &mut World| world.set("DCR_IMMUTABLE_ID", wrong);
    let end = |world: &mut World| world.set("DCR_IMMUTABLE_ID", &rules().dcr);
    world.check_operators_fault(begin, end, &["404", wrong, "DCR_IMMUTABLE_ID", "DATA_COLLECTION_ENDPOINT"]).await;
}

#[tokio::test]
async fn a_rule_without_the_stream_is_named_and_nothing_is_lost() {
    let mut world = World::of_model_alerts().await;
    let mut streams = rules().streams;
    streams.remove(ALERTS);
    let poor = Ingestion::start(listener().await, Rules { streams, ..rules() });
    let (poor_url, url) = (poor.base_url().to_owned(), world.ingestion.base_url().to_owned());
    let begin = |world: &mut World| world.set("DATA_COLLECTION_ENDPOINT", &poor_url);
    let end = |world: &mut World| world.set("DATA_COLLECTION_ENDPOINT", &url);
    world.check_operators_fault(begin, end, &["400", ALERTS, "InvalidStream", "declares the stream"]).await;
    assert_eq!(poor.rows(HEALTH)[0]["Status"], "ConfigError");
}

#[tokio::test]
async fn batches_that_were_accepted_beside_a_refused_one_are_not_posted_again() {
    let world = World::of_model_alerts().await;
    world.issue_large(40, 90_000);
    // Of the four posts under way two are refused at once; the others are taken a little later.
    world.ingestion.fail_next_on(ALERTS, Fault::LatencyMs(800), 1);
    world.ingestion.fail_next_on(ALERTS, Fault::Forbidden, 2);
    world.ingestion.fail_next_on(ALERTS, Fault::LatencyMs(800), 1);
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    let taken = world.rows().len();
    assert!(taken > 10, "two batches were accepted: {:?}", world.statuses());
    let health = world.health_of(Source::ModelAlerts);
    assert_eq!(count(&health, "Sent"), taken as u64, "and the run knows of them");
    world.poll_well().await;
    world.check_exactly_once();
    // Numbers go on behind the first one that is missing, so the next rows fill what the refused batches left open.
    world.issue(40);
    world.poll_well().await;
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_batch_that_is_too_large_for_the_service_is_split() {
    let world = World::of_model_alerts().await;
    world.issue(40);
    world.ingestion.set_modes(Modes { limit_bytes: 30_000, ..Modes::default() });
    world.poll_well().await;
    let taken: Vec<_> = world.alert_posts().into_iter().filter(|post| post.was_taken).collect();
    assert!(taken.len() > 1 && taken.iter().all(|post| post.raw_bytes <= 30_000));
    assert!(world.letters().is_empty());
    assert!(world.rows().iter().all(|row| row["Truncated"].is_null()));
    world.check_exactly_once();
    world.check_books_without_faults();
}

/// An alert whose row has about this many bytes in many columns, none of them longer than a column may be.
fn huge(bytes: usize) -> AlertSpec {
    let at = now_ms() - MINUTE;
    let text = |n: usize| n.to_string().repeat(bytes / 8);
    let record = json!({
        "pbid": 25_001, "time": at - MINUTE, "creationTime": at, "score": 0.5,
        "model": {"name": text(1), "description": text(2), "category": text(3), "uuid": text(4), "tags": text(5)},
        "device": {"hostname": text(6), "macaddress": text(7), "typelabel": text(8), "did": 7},
    });
    AlertSpec { raw: Some(record.to_string()), ..created(at) }
}

#[tokio::test]
async fn a_single_row_that_is_too_large_is_cut_where_it_is_longest() {
    let world = World::of_model_alerts().await;
    world.appliance.issue_alert(huge(472_000));
    world.issue(20);
    world.ingestion.set_modes(Modes { limit_bytes: 420_000, ..Modes::default() });
    world.poll_well().await;
    world.check_exactly_once();
    assert!(world.letters().is_empty());
    let cut: Vec<_> = world.rows().into_iter().filter(|row| row["Truncated"] == true).collect();
    assert_eq!(cut.len(), 1, "its neighbours are whole");
    let longest = cut[0]["modelName_s"].as_str().unwrap();
    assert!((20_000..40_000).contains(&longest.len()) && longest.ends_with("…[cut]"), "{} bytes", longest.len());
    assert_eq!(count(&world.health_of(Source::ModelAlerts), "ValuesCut"), 1);
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_single_row_that_is_too_large_even_when_cut_is_put_aside() {
    let world = World::of_model_alerts().await;
    world.appliance.issue_alert(huge(472_000));
    // Less than what a row has besides the values that can be cut.
    world.ingestion.set_modes(Modes { limit_bytes: 3_000, ..Modes::default() });
    world.poll_well().await;
    world.ingestion.set_modes(Modes::default());
    world.issue(20);
    world.poll_well().await;
    assert_eq!((world.rows().len(), world.letters().len()), (20, 1));
    let letter = &world.letters()[0].document;
    assert!(letter["reason"].as_str().unwrap().contains("too large"), "{}", letter["reason"]);
    world.poll_well().await;
    assert_eq!((world.rows().len(), world.letters().len()), (20, 1));
    world.check_books_without_faults();
}

#[tokio::test]
async fn one_poisonous_record_among_hundreds_costs_its_neighbours_nothing() {
    let world = World::of_model_alerts().await;
    world.issue(150);
    let poison = world.issue_saying(POISON);
    world.issue(149);
    world.refuse(POISON);
    world.poll_well().await;
    assert_eq!(world.rows().len(), 299, "all neighbours in the same run");
    let [letter] = &world.letters()[..] else { panic!("one dead letter") };
    assert!(letter.document["reason"].as_str().unwrap().contains("refused the content"));
    let raw: serde_json::Value = serde_json::from_str(letter.document["raw"].as_str().unwrap()).unwrap();
    assert_eq!(raw["pbid"], poison, "the record is kept as it came");
    assert!(letter.document["raw"].as_str().unwrap().contains(POISON));
    let posts = world.alert_posts().len();
    assert!(posts <= 2 + 2 * 9, "{posts} posts to find one among 300");
    let health = world.health_of(Source::ModelAlerts);
    assert_eq!((count(&health, "Sent"), count(&health, "DeadLettered")), (299, 1));
    let numbers: Vec<u64> = world.rows().iter().map(|row| row["IngestSeq"].as_u64().unwrap()).collect();
    assert!(!numbers.contains(&letter.document["ingestSeq"].as_u64().unwrap()), "the gap has the letter's number");
    world.issue(1);
    world.poll_well().await;
    assert_eq!(world.alert_posts().len(), posts + 1, "the poison is not posted again");
    assert_eq!((world.rows().len(), world.letters().len()), (300, 1));
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_record_that_cannot_be_put_aside_keeps_its_place() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    world.issue_saying(POISON);
    world.refuse(POISON);
    let in_the_way = world.directory().unwrap().join("deadletter");
    std::fs::write(&in_the_way, "a file where a directory belongs").unwrap();
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    assert_eq!((world.rows().len(), count(&world.health_of(Source::ModelAlerts), "Unsent")), (2, 1));
    std::fs::remove_file(&in_the_way).unwrap();
    world.poll_well().await;
    assert_eq!((world.rows().len(), world.letters().len()), (2, 1));
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_refusal_of_every_row_puts_nothing_aside() {
    let mut world = World::of_model_alerts().await;
    world.issue(120);
    let begin = |world: &mut World| world.refuse("EventKey");
    let end = |world: &mut World| world.ingestion.set_modes(Modes::default());
    world.check_operators_fault(begin, end, &["no matter of single records", "400"]).await;
    assert_eq!(world.ingestion.rows(HEALTH)[0]["Status"], "ConfigError");
    let posts = world.alert_posts().len();
    assert!(posts < 130, "{posts} posts: it is given up before every row was tried alone");
}

#[tokio::test]
async fn a_refusal_of_every_row_puts_nothing_aside_though_a_small_batch_is_decided_first() {
    let mut world = World::of_model_alerts().await;
    world.issue_large(22, 55_000);
    world.ingestion.set_modes(Modes { latency_ms: 20, ..Modes::default() });
    let begin = |world: &mut World| world.refuse("EventKey");
    let end = |world: &mut World| world.ingestion.set_modes(Modes::default());
    world.check_operators_fault(begin, end, &["no matter of single records"]).await;
}

#[tokio::test]
async fn no_more_than_four_posts_are_under_way_and_none_is_over_the_limit() {
    let world = World::of_model_alerts().await;
    world.issue_large(60, 90_000);
    world.ingestion.set_modes(Modes { pause_after_rows: Some(0), ..Modes::default() });
    let child = world.start_poll();
    world.wait_for_posts(4).await;
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert_eq!(world.alert_posts().len(), 4, "a fifth waits until one of them is answered");
    world.ingestion.set_modes(Modes::default());
    assert_eq!(Run::of_child(child).await.code, Some(0));
    assert_eq!(world.ingestion.max_in_flight(), 4);
    let sizes: Vec<_> = world.alert_posts().iter().map(|post| post.raw_bytes).collect();
    assert!(sizes.len() > 5 && sizes.iter().all(|bytes| *bytes <= 1_000_000), "{sizes:?}");
    assert!(sizes.iter().filter(|bytes| **bytes > 850_000).count() >= sizes.len() - 1, "they are filled: {sizes:?}");
    assert_eq!(count(&world.health_of(Source::ModelAlerts), "Batches"), sizes.len() as u64);
    world.check_exactly_once();
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_run_that_had_nothing_to_do_tells_its_health() {
    let world = World::new().await;
    world.poll_well().await;
    assert!(world.alert_posts().is_empty(), "no empty batch is posted");
    let sources: Vec<_> = world.health().into_iter().map(|(source, row)| (source, row["Status"].clone())).collect();
    assert_eq!(sources, [("ai-analyst".to_owned(), json!("Success")), ("model-alerts".to_owned(), json!("Success"))]);
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_run_whose_appliance_is_away_tells_its_health() {
    let world = World::of_model_alerts().await;
    world.appliance.set_modes(ApplianceModes { forbidden: vec!["/".to_owned()], ..ApplianceModes::default() });
    assert_eq!(world.poll().await.code, Some(1));
    let health = world.health_of(Source::ModelAlerts);
    assert_eq!((&health["Status"], &health["FailurePhase"]), (&json!("ConfigError"), &json!("Fetch")));
    world.appliance.set_modes(ApplianceModes::default());
    world.appliance.fail_next(ApplianceFault::Status(503, Some(RetryAfter::Seconds(3_600))), 1);
    assert_eq!(world.poll().await.code, Some(1));
    let health = world.health_of(Source::ModelAlerts);
    assert_eq!((&health["Status"], count(&health, "HttpStatus")), (&json!("Retrying"), 503));
    world.check_books();
}

#[tokio::test]
async fn health_that_is_not_stored_fails_no_run() {
    let world = World::of_model_alerts().await;
    world.issue(2);
    world.ingestion.fail_next_on(HEALTH, Fault::Forbidden, 1);
    let run = world.poll_well().await;
    let warning = run.line_with("the health rows of this run were not stored");
    assert!(warning.starts_with("WARN") && warning.contains("Monitoring Metrics Publisher"), "{warning}");
    world.check_exactly_once();
    world.poll_well().await;
    assert_eq!(world.ingestion.rows(HEALTH).len(), 1);
    world.check_books();
}

#[tokio::test]
async fn health_is_told_with_a_fresh_token_when_the_one_in_hand_is_refused() {
    let world = World::of_model_alerts().await;
    world.ingestion.fail_next_on(HEALTH, Fault::Unauthorized, 1);
    world.poll_well().await;
    assert_eq!(world.ingestion.rows(HEALTH).len(), 1);
}
