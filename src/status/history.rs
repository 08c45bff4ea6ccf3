//! What the runs of the last day did, in a document that does not grow: numbers in spans of ten minutes, and the last
//! runs in full.
//!
//! It is there to be looked at. No run depends on it, so what is damaged or lost is begun anew.

use super::moment;
use crate::instant::Instant;
use crate::report::{Outcome, Report};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The version of the document.
const SCHEMA: u32 = 1;
/// How far back the numbers go.
pub const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long one span is, in milliseconds.
pub const SPAN_MS: i64 = 600_000;
/// How many runs of a source are kept in full.
pub const MOST_RUNS: usize = 12;
/// Sentences for operators are shorter; what quotes a remote may not be.
const LONGEST_MESSAGE: usize = 1_000;
const MOST_WARNINGS: usize = 5;

/// The last day of all sources of one instance.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct History {
    schema: u32,
    sources: BTreeMap<String, Past>,
}

/// The last day of one source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Past {
    /// When a run last took everything that the appliance had.
    #[serde(with = "moment::option", skip_serializing_if = "Option::is_none")]
    pub last_success: Option<Instant>,
    /// The last runs, the newest first; [`MOST_RUNS`] at most.
    pub runs: Vec<Run>,
    /// The numbers of the last day, in the order of time. Where there was no run there is no span.
    pub spans: Vec<Span>,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Run {
    /// The same for all sources of one invocation.
    pub run_id: String,
    /// Our clock at the begin.
    #[serde(with = "moment")]
    pub started: Instant,
    /// Our clock at the end.
    #[serde(with = "moment")]
    pub finished: Instant,
    /// The word of the health row.
    pub status: String,
    /// Whether it made its invocation fail.
    pub failed: bool,
    /// Records that came.
    pub fetched: u64,
    /// Records seen for the first time.
    pub new: u64,
    /// Known records in a new revision.
    pub changed: u64,
    /// Rows that Azure accepted.
    pub sent: u64,
    /// Records that were set aside because they had been delivered.
    pub already_delivered: u64,
    /// Records that can never be stored.
    pub dead_lettered: u64,
    /// Records that the next run reads again.
    pub unsent: u64,
    /// How far the watermark lay behind the appliance's clock, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
    /// The run worked off a backlog.
    pub catching_up: bool,
    /// What failed and what to do next; empty when nothing did.
    pub message: String,
    /// Things worth a look that did not fail the run.
    pub warnings: Vec<String>,
}

/// Ten minutes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Span {
    /// Where it begins: a multiple of ten minutes.
    #[serde(with = "moment")]
    pub at: Instant,
    /// Runs that ended in it.
    pub runs: u64,
    /// Those of them that failed.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u64,
    /// Records that came.
    #[serde(skip_serializing_if = "is_zero")]
    pub fetched: u64,
    /// Rows that Azure accepted.
    #[serde(skip_serializing_if = "is_zero")]
    pub sent: u64,
    /// Records that were set aside because they had been delivered.
    #[serde(skip_serializing_if = "is_zero")]
    pub already_delivered: u64,
    /// Records that can never be stored.
    #[serde(skip_serializing_if = "is_zero")]
    pub dead_lettered: u64,
    /// The longest lag, in seconds; none where no run could tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_seconds: Option<u64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl History {
    /// Reads a document. One that is damaged is as good as none.
    #[must_use]
    pub fn parse(document: &[u8]) -> Self {
        serde_json::from_slice(document).unwrap_or_default()
    }

    /// The document.
    #[must_use]
    pub fn print(&self) -> Vec<u8> {
        // Strings and numbers always serialise.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Adds a run, and forgets what is older than a day.
    pub fn note(&mut self, report: &Report) {
        self.schema = SCHEMA;
        self.sources.entry(report.source.name().to_owned()).or_default().note(report);
    }

    /// What is known of a source.
    #[must_use]
    pub fn of(&self, source: &str) -> Past {
        self.sources.get(source).cloned().unwrap_or_default()
    }
}

impl Past {
    fn note(&mut self, report: &Report) {
        if report.outcome == Outcome::Complete {
            self.last_success = Some(report.finished);
        }
        self.runs.insert(0, Run::of(report));
        self.runs.truncate(MOST_RUNS);
        self.spans.retain(|span| span.at <= report.finished && report.finished.since(span.at) < DAY);
        let at = Instant(report.finished.0.div_euclid(SPAN_MS) * SPAN_MS);
        match self.spans.last_mut().filter(|span| span.at == at) {
            Some(span) => span.add(report),
            None => {
                let mut span = Span { at, ..Span::default() };
                span.add(report);
                self.spans.push(span);
            }
        }
    }

    /// The last run that did something: one that another run kept from it says nothing of the source.
    #[must_use]
    pub fn last(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.status != Outcome::Skipped.name()).or_else(|| self.runs.last())
    }

    /// The sum of the spans that began in the day before `now`; the lag is the longest.
    #[must_use]
    pub fn day(&self, now: Instant) -> Span {
        let mut sum = Span { at: now - DAY, ..Span::default() };
        for span in self.spans.iter().filter(|span| now.since(span.at) < DAY) {
            sum.runs = sum.runs.saturating_add(span.runs);
            sum.failed = sum.failed.saturating_add(span.failed);
            sum.fetched = sum.fetched.saturating_add(span.fetched);
            sum.sent = sum.sent.saturating_add(span.sent);
            sum.already_delivered = sum.already_delivered.saturating_add(span.already_delivered);
            sum.dead_lettered = sum.dead_lettered.saturating_add(span.dead_lettered);
            sum.lag_seconds = sum.lag_seconds.max(span.lag_seconds);
        }
        sum
    }
}

impl Run {
    fn of(report: &Report) -> Self {
        let counts = &report.counts;
        Self {
            run_id: report.run_id.clone(),
            started: report.started,
            finished: report.finished,
            status: report.status().to_owned(),
            failed: report.failed(),
            fetched: counts.fetched,
            new: counts.new,
            changed: counts.changed,
            sent: counts.sent,
            already_delivered: counts.already_delivered,
            dead_lettered: counts.dead_lettered,
            unsent: counts.unsent,
            lag_seconds: report.lag.map(|lag| lag.as_secs()),
            catching_up: report.catching_up,
            message: cut(&told(report)),
            warnings: report.warnings.iter().take(MOST_WARNINGS).map(|warning| cut(warning)).collect(),
        }
    }
}

impl Span {
    fn add(&mut self, report: &Report) {
        let counts = &report.counts;
        // A document may say anything.
        self.runs = self.runs.saturating_add(1);
        self.failed = self.failed.saturating_add(u64::from(report.failed()));
        self.fetched = self.fetched.saturating_add(counts.fetched);
        self.sent = self.sent.saturating_add(counts.sent);
        self.already_delivered = self.already_delivered.saturating_add(counts.already_delivered);
        self.dead_lettered = self.dead_lettered.saturating_add(counts.dead_lettered);
        self.lag_seconds = self.lag_seconds.max(report.lag.map(|lag| lag.as_secs()));
    }
}

/// What an operator should read of how it ended; empty when it ended as it should.
fn told(report: &Report) -> String {
    match &report.outcome {
        Outcome::Failed(failure) | Outcome::Unavailable(failure) => failure.message.clone(),
        Outcome::Partial(pause) => pause.told().to_owned(),
        _ => report.by_hand().unwrap_or_default(),
    }
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(LONGEST_MESSAGE);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Failure, FailureClass, Phase};
    use crate::source::Source;

    /// 2026-01-01T12:34:00Z.
    const NOW: Instant = Instant(1_767_270_840_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn report(at: Instant, sent: u64) -> Report {
        let mut report = Report::begin("hq", Source::ModelAlerts, "run", at);
        (report.counts.sent, report.lag) = (sent, Some(Duration::from_secs(sent)));
        report
    }

    fn failed(at: Instant, message: &str) -> Report {
        let (class, phase, message) = (FailureClass::Configuration, Phase::Fetch, message.to_owned());
        Report { outcome: Outcome::Failed(Failure { class, phase, status: None, message }), ..report(at, 0) }
    }

    fn past(reports: impl IntoIterator<Item = Report>) -> Past {
        let mut history = History::default();
        reports.into_iter().for_each(|report| history.note(&report));
        let read = History::parse(&history.print());
        assert_eq!(read, history, "it is read as it was written");
        read.of(Source::ModelAlerts.name())
    }

    #[test]
    fn a_year_of_runs_leaves_a_day_and_a_dozen_of_runs() {
        let long = "x".repeat(5_000);
        let mut history = History::default();
        for n in 0..105_120 {
            let mut report = failed(NOW + MINUTE * 5 * n, &long);
            report.warnings = vec![long.clone(); 20];
            history.note(&report);
        }
        let past = history.of(Source::ModelAlerts.name());
        assert_eq!((past.runs.len(), past.spans.len()), (MOST_RUNS, 144));
        assert!(history.print().len() < 100_000, "{} bytes", history.print().len());
    }

    #[test]
    fn runs_of_ten_minutes_are_one_span_with_the_longest_lag() {
        let all = [7, 3, 5].into_iter().enumerate().map(|(n, sent)| report(NOW + MINUTE * 5 * n as u32, sent));
        let past = past(all.chain([failed(NOW + MINUTE * 11, "no")]));
        let told: Vec<_> =
            past.spans.iter().map(|span| (span.runs, span.failed, span.sent, span.lag_seconds)).collect();
        assert_eq!(told, [(2, 0, 10, Some(7)), (2, 1, 5, Some(5))]);
        assert_eq!(past.spans[0].at.rfc3339(), "2026-01-01T12:30:00.000Z");
        assert_eq!(past.day(NOW + MINUTE * 12).sent, 15);
        assert_eq!(past.day(NOW + MINUTE * 24 * 60).sent, 5, "what is older than a day does not count");
    }

    #[test]
    fn the_newest_run_is_the_first_and_the_last_success_outlives_failures() {
        let failures = (1..30).map(|n| failed(NOW + MINUTE * n, "the token is refused"));
        let past = past([report(NOW, 1)].into_iter().chain(failures));
        assert_eq!(past.last_success, Some(NOW));
        assert_eq!(past.runs[0].finished, NOW + MINUTE * 29);
        assert_eq!((past.runs[0].failed, past.runs[0].message.as_str()), (true, "the token is refused"));
    }

    #[test]
    fn numbers_that_no_run_wrote_are_borne() {
        let most =
            format!("{{\"at\":\"{NOW}\",\"runs\":{0},\"failed\":{0},\"sent\":{0},\"lagSeconds\":{0}}}", u64::MAX);
        let at = NOW.rfc3339().replace("12:34", "12:30");
        let document = format!(
            "{{\"sources\":{{\"model-alerts\":{{\"spans\":[{most},{}]}}}}}}",
            most.replace(&NOW.rfc3339(), &at)
        );
        let mut history = History::parse(document.as_bytes());
        history.note(&failed(NOW, "no"));
        let day = history.of("model-alerts").day(NOW);
        assert_eq!((day.runs, day.sent, day.lag_seconds), (u64::MAX, u64::MAX, Some(u64::MAX)));
    }

    #[test]
    fn a_clock_that_was_ahead_leaves_nothing_behind() {
        let past = past([report(NOW + MINUTE * 600, 1), report(NOW, 2)]);
        assert_eq!(past.spans.iter().map(|span| span.sent).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_document_that_is_damaged_or_of_another_kind_is_begun_anew() {
        for document in
            ["", "\0\0\0", "[]", "{\"sources\":7}", "{\"sources\":{\"model-alerts\":{\"runs\":[{\"started\":7}]}}}"]
        {
            assert_eq!(History::parse(document.as_bytes()), History::default(), "{document}");
        }
        let read = History::parse(br#"{"schema":2,"sources":{"model-alerts":{"runs":[{"started":"soon"}],"more":1}}}"#);
        assert_eq!(read.of("model-alerts").runs, [Run::default()], "what is not known is left out");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = cut(&"ü".repeat(900));
        assert_eq!(cut.len(), LONGEST_MESSAGE);
    }
}
