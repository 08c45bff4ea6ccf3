//! What there is to look at: of each source its state, its position, its last runs and its last day.
//!
//! [`History`] is what runs leave behind for it. [`Status`] is put together by `cycle`, which reads the documents; here it
//! is judged, and printed as JSON or as a [`page`] for a browser. Like a [`Report`](crate::report::Report) it has counts,
//! times and reasons in it, and nothing of what an alert says.

mod chart;
mod history;
mod judge;
mod moment;
mod page;

pub use history::{DAY, History, MOST_RUNS, Past, Run, SPAN_MS, Span};
use judge::{State, judge};
pub use page::{page, trouble};

use crate::instant::Instant;
use serde::Serialize;

/// The version of the JSON.
const SCHEMA: u32 = 1;

/// Everything at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    schema: u32,
    /// Our clock.
    #[serde(with = "moment")]
    at: Instant,
    version: &'static str,
    layout: &'static str,
    /// The worst of what the sources are in.
    verdict: Verdict,
    /// Every enabled instance, in the order of the settings.
    instances: Vec<Instance>,
    /// What is found of no single source.
    #[serde(flatten)]
    apart: Apart,
}

/// What is found of no single source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Apart {
    /// Dead letters of instances and sources that are not polled.
    pub other_dead_letters: u64,
    /// The range of the past that the function app works off.
    pub order: Option<Order>,
    /// What is wrong with that order, and what to do about it.
    pub order_problem: Option<String>,
}

/// A range of the past that the function app works off, or has worked off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Order {
    /// The first moment.
    #[serde(with = "moment")]
    pub from: Instant,
    /// The first moment behind it.
    #[serde(with = "moment")]
    pub to: Instant,
    /// When all of it was stored.
    #[serde(with = "moment::option")]
    pub completed_at: Option<Instant>,
}

/// How far the last backfill of a source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    /// The first moment of its range.
    #[serde(with = "moment")]
    pub first: Instant,
    /// The last one.
    #[serde(with = "moment")]
    pub last: Instant,
    /// What it asks for next.
    #[serde(with = "moment")]
    pub next: Instant,
    /// Whether it has come to its end.
    pub done: bool,
}

/// One master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    instance: String,
    sources: Vec<SourceStatus>,
}

/// One source of one master, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The name of the instance in the settings.
    pub instance: String,
    /// The name of the source.
    pub source: &'static str,
    /// The table of its rows.
    pub table: &'static str,
    /// Where reading stands; absent before the first run has ended.
    pub position: Option<Position>,
    /// An operator has it stand still.
    pub paused: Option<Paused>,
    /// How far a backfill has come, if there ever was one.
    pub backfill: Option<Backfill>,
    /// Records that wait as dead letters.
    pub dead_letters: u64,
    /// What runs left behind.
    pub past: Past,
    /// What could not be read, and what to do about it.
    pub problem: Option<String>,
}

/// A source stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Paused {
    /// Since when, where that is known.
    pub since: Option<Instant>,
}

/// Where reading stands, by the appliance's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Position {
    /// Everything up to here was delivered, as far as it was visible.
    #[serde(with = "moment")]
    pub watermark: Instant,
    /// What was delivered before it is no longer known.
    #[serde(with = "moment")]
    pub floor: Instant,
    /// The begin of the last sweep that came to its end.
    #[serde(with = "moment")]
    pub swept: Instant,
    /// What the sweep in progress asks for next.
    #[serde(with = "moment::option")]
    pub sweep_next: Option<Instant>,
    /// Up to where it goes: its own begin.
    #[serde(with = "moment::option")]
    pub sweep_until: Option<Instant>,
    /// How many delivered records are known.
    pub keys: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct SourceStatus {
    source: &'static str,
    table: &'static str,
    state: State,
    /// What an operator should know, and what to do; empty when all is well.
    advice: String,
    /// What was worth a look in its last run.
    warnings: Vec<String>,
    #[serde(with = "moment::option")]
    last_success: Option<Instant>,
    lag_seconds: Option<u64>,
    position: Option<Position>,
    backfill: Option<Backfill>,
    dead_letters: u64,
    last_day: Span,
    runs: Vec<Run>,
    history: Vec<Span>,
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Verdict {
    /// Nothing to do.
    Ok,
    /// Something is worth a look.
    Attention,
    /// Something fails, and alerts do not arrive.
    Failing,
}

impl Status {
    /// Judges what was found, by our clock `now`. `found` is in the order of the settings, the sources of an instance
    /// together.
    #[must_use]
    pub fn new(found: Vec<Found>, apart: Apart, layout: &'static str, now: Instant) -> Self {
        let mut instances: Vec<Instance> = Vec::new();
        for found in found {
            let name = found.instance.clone();
            let source = SourceStatus::of(found, now);
            match instances.last_mut().filter(|last| last.instance == name) {
                Some(last) => last.sources.push(source),
                None => instances.push(Instance { instance: name, sources: vec![source] }),
            }
        }
        let sources = instances.iter().flat_map(|instance| &instance.sources);
        let verdict = sources.map(SourceStatus::verdict).fold(apart.verdict(), Verdict::max);
        Self { schema: SCHEMA, at: now, version: env!("CARGO_PKG_VERSION"), layout, verdict, instances, apart }
    }

    /// For machines.
    #[must_use]
    pub fn json(&self) -> String {
        // Strings, numbers and lists of them always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What it comes to.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }
}

impl Apart {
    const fn verdict(&self) -> Verdict {
        if self.order_problem.is_some() {
            // Its invocations are red.
            Verdict::Failing
        } else if self.other_dead_letters > 0 {
            Verdict::Attention
        } else {
            Verdict::Ok
        }
    }
}

impl SourceStatus {
    fn of(found: Found, now: Instant) -> Self {
        let (state, advice) = judge(&found, now);
        let Found { source, table, position, backfill, dead_letters, past, .. } = found;
        let last_day = past.day(now);
        let last = past.last();
        let lag_seconds = last.and_then(|run| run.lag_seconds);
        let warnings = last.map(|run| run.warnings.clone()).unwrap_or_default();
        let Past { last_success, runs, spans } = past;
        let history = spans.into_iter().filter(|span| now.since(span.at) < DAY).collect();
        Self {
            source,
            table,
            state,
            advice,
            warnings,
            last_success,
            lag_seconds,
            position,
            backfill,
            dead_letters,
            last_day,
            runs,
            history,
        }
    }

    fn verdict(&self) -> Verdict {
        match self.state {
            State::Failing | State::Silent => Verdict::Failing,
            State::Waiting | State::Late | State::Unavailable => Verdict::Attention,
            State::Ok | State::Paused => {
                if !self.warnings.is_empty() || self.dead_letters > 0 {
                    Verdict::Attention
                } else {
                    Verdict::Ok
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::judge::LATE;
    use super::*;
    use crate::report::{Failure, FailureClass, Outcome, Phase, Report};
    use crate::source::Source;
    use std::time::Duration;

    const NOW: Instant = Instant(1_767_270_840_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn report(at: Instant) -> Report {
        Report::begin("hq", Source::ModelAlerts, "run", at)
    }

    fn failure(message: &str) -> Failure {
        Failure { class: FailureClass::Configuration, phase: Phase::Fetch, status: None, message: message.to_owned() }
    }

    fn found(reports: impl IntoIterator<Item = Report>) -> Found {
        let mut history = History::default();
        reports.into_iter().for_each(|report| history.note(&report));
        let past = history.of(Source::ModelAlerts.name());
        Found { instance: "hq".to_owned(), source: Source::ModelAlerts.name(), past, ..Found::default() }
    }

    fn state(found: &Found) -> State {
        judge(found, NOW).0
    }

    fn verdict(found: Found) -> Verdict {
        Status::new(vec![found], Apart::default(), "legacy", NOW).verdict()
    }

    #[test]
    fn a_source_is_in_what_its_last_run_left_it_in() {
        let with = |outcome| found([report(NOW - MINUTE * 5), Report { outcome, ..report(NOW - MINUTE) }]);
        assert_eq!(judge(&with(Outcome::Complete), NOW), (State::Ok, String::new()));
        let failing = judge(&with(Outcome::Failed(failure("give it the role"))), NOW);
        assert_eq!(failing, (State::Failing, "give it the role".to_owned()));
        let unavailable = judge(&with(Outcome::Unavailable(failure("give it the permission"))), NOW);
        assert_eq!(unavailable, (State::Unavailable, "give it the permission".to_owned()));
        assert_eq!(verdict(with(Outcome::Unavailable(failure("x")))), Verdict::Attention);
        assert_eq!(state(&found([])), State::Waiting);
        let late = Report { lag: Some(LATE + MINUTE), ..report(NOW) };
        assert_eq!(state(&found([late.clone()])), State::Late);
        assert_eq!(verdict(found([late])), Verdict::Attention);
        let caught_up = Report { catching_up: true, lag: Some(Duration::ZERO), ..report(NOW) };
        assert_eq!(state(&found([caught_up])), State::Ok, "the backlog is worked off");
    }

    #[test]
    fn runs_that_stop_coming_are_silence_at_whatever_pace_they_came() {
        let at = |minutes: u32| report(NOW - MINUTE * minutes);
        assert_eq!(state(&found([at(20), at(15)])), State::Ok);
        assert_eq!(state(&found([at(21), at(16)])), State::Silent);
        assert_eq!(state(&found([at(121), at(61)])), State::Ok, "a timer of an hour");
        assert_eq!(state(&found([at(242), at(182)])), State::Silent);
        let (_, advice) = judge(&found([at(21), at(16)]), NOW);
        assert!(advice.contains("2026-01-01T12:18:00.000Z") && advice.contains("DarktracePoll"), "{advice}");
    }

    #[test]
    fn a_run_that_another_one_kept_from_working_hides_nothing() {
        let skipped = |minutes: u32| Report { outcome: Outcome::Skipped, ..report(NOW - MINUTE * minutes) };
        let broken = Report { outcome: Outcome::Failed(failure("give it the role")), ..report(NOW - MINUTE * 5) };
        assert_eq!(judge(&found([broken, skipped(5)]), NOW), (State::Failing, "give it the role".to_owned()));
        let late = Report { lag: Some(LATE + MINUTE), warnings: vec!["look".to_owned()], ..report(NOW - MINUTE * 5) };
        let late = SourceStatus::of(found([late, skipped(0)]), NOW);
        assert_eq!((late.state, late.lag_seconds, late.warnings.len()), (State::Late, Some(960), 1));
        let always = (0..20).rev().map(|n| skipped(n * 5));
        assert_eq!(state(&found(always)), State::Silent, "whoever holds the lease does not end");
    }

    #[test]
    fn two_apps_and_a_poll_by_hand_do_not_make_an_hour_long() {
        let at = |minutes: u32| report(NOW - MINUTE * minutes);
        assert_eq!(state(&found([at(105), at(105), at(45), at(45)])), State::Ok, "two apps at each hour");
        assert_eq!(state(&found([at(110), at(50), at(45)])), State::Ok, "one by hand behind that of the hour");
        assert_eq!(state(&found([at(301), at(241), at(181)])), State::Silent);
    }

    #[test]
    fn a_pause_is_no_failure_and_what_cannot_be_read_is_one() {
        let broken = Report { outcome: Outcome::Failed(failure("x")), ..report(NOW) };
        let paused = Found { paused: Some(Paused { since: Some(NOW) }), ..found([broken]) };
        assert_eq!(state(&paused), State::Paused);
        assert_eq!(verdict(paused), Verdict::Ok);
        let resumed = found([Report { outcome: Outcome::Paused(Some(NOW)), ..report(NOW) }]);
        assert_eq!(judge(&resumed, NOW), (State::Waiting, "it was resumed and goes on with the next run".to_owned()));
        let unread = Found { problem: Some("the checkpoint is damaged".to_owned()), ..found([report(NOW)]) };
        assert_eq!(verdict(unread), Verdict::Failing);
    }

    #[test]
    fn the_verdict_is_the_worst_of_all() {
        assert_eq!(verdict(found([report(NOW)])), Verdict::Ok);
        assert_eq!(verdict(Found { dead_letters: 1, ..found([report(NOW)]) }), Verdict::Attention);
        let warned = Report { warnings: vec!["the clocks differ".to_owned()], ..report(NOW) };
        assert_eq!(verdict(found([warned])), Verdict::Attention);
        let broken = found([Report { outcome: Outcome::Failed(failure("x")), ..report(NOW) }]);
        let all = vec![found([report(NOW)]), broken, found([])];
        assert_eq!(Status::new(all, Apart::default(), "legacy", NOW).verdict(), Verdict::Failing);
        let alone = |apart| Status::new(vec![], apart, "legacy", NOW).verdict();
        assert_eq!(alone(Apart::default()), Verdict::Ok);
        assert_eq!(alone(Apart { other_dead_letters: 1, ..Apart::default() }), Verdict::Attention);
        assert_eq!(
            alone(Apart { order_problem: Some("from is missing".to_owned()), ..Apart::default() }),
            Verdict::Failing
        );
    }

    #[test]
    fn sources_are_told_by_instance_with_times_that_can_be_read() {
        let position = Position {
            watermark: NOW,
            floor: NOW - DAY,
            swept: NOW - MINUTE,
            sweep_next: Some(NOW - MINUTE * 2),
            sweep_until: Some(NOW),
            keys: 7,
        };
        let two = [("hq", Some(position)), ("hq", None), ("plant", None)];
        let two = two.map(|(name, position)| Found { instance: name.to_owned(), position, ..found([report(NOW)]) });
        let apart = Apart { other_dead_letters: 2, ..Apart::default() };
        let told: serde_json::Value =
            serde_json::from_str(&Status::new(two.into(), apart, "legacy", NOW).json()).unwrap();
        let names: Vec<_> = told["instances"].as_array().unwrap().iter().map(|i| &i["instance"]).collect();
        assert_eq!(names, ["hq", "plant"]);
        let source = &told["instances"][0]["sources"][0];
        assert_eq!((&source["state"], &source["position"]["keys"]), (&"ok".into(), &7.into()));
        assert_eq!(source["position"]["sweepNext"], "2026-01-01T12:32:00.000Z");
        assert_eq!((&told["verdict"], &told["otherDeadLetters"]), (&"attention".into(), &2.into()));
    }
}
