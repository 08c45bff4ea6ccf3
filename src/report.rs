//! What one run did for one instance and source, in numbers that add up.
//!
//! The log line, the health row and the command line all print this and nothing else, so they cannot disagree. It holds
//! counts, times and the reason of a failure; never a token and never what an alert says.

use crate::instant::Instant;
use crate::source::Source;
use std::time::Duration;

/// How a run of one source ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything that the appliance had was taken.
    Complete,
    /// The run stopped at its deadline or was asked to; the next tick goes on where this one stopped.
    Partial(Pause),
    /// Another run holds the lease, so this one did nothing.
    Skipped,
    /// An operator paused this source at that time, where it is known. It keeps its place until it is resumed.
    Paused(Option<Instant>),
    /// No run at all: an operator moved the watermark forward and accepted that what lies between is not read.
    Moved,
    /// The master does not give this source: a permission or a licence is missing, and always was. The others go on, and it
    /// is asked for again within the hour.
    Unavailable(Failure),
    /// Something failed; the position stands where it was proven.
    Failed(Failure),
}

impl Outcome {
    /// The word that the health row and the report table show.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Complete => "Success",
            Self::Partial(_) => "Partial",
            Self::Skipped => "Skipped",
            Self::Paused(_) => "Paused",
            Self::Moved => "WatermarkMoved",
            Self::Unavailable(_) => "Unavailable",
            Self::Failed(failure) => match failure.class {
                FailureClass::Transient => "Retrying",
                FailureClass::Configuration => "ConfigError",
                FailureClass::Internal => "InternalError",
            },
        }
    }
}

/// Why a run that did not fail stopped before the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The soft deadline of the invocation.
    Deadline,
    /// A signal: the instance is going away.
    Drain,
    /// Another run changed the checkpoint; what was delivered here was merged into it.
    Conflict,
}

impl Pause {
    /// What the log line says of it.
    #[must_use]
    pub const fn told(self) -> &'static str {
        match self {
            Self::Deadline => "stopped at the soft deadline, the next tick goes on",
            Self::Drain => "stopped by a signal, the next run goes on",
            Self::Conflict => "ended early because another run wrote the checkpoint",
        }
    }
}

/// A failure as an operator reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who has to act.
    pub class: FailureClass,
    /// What was being done.
    pub phase: Phase,
    /// The HTTP status that told it, where there was one.
    pub status: Option<u16>,
    /// What failed and what to do next, on one line.
    pub message: String,
}

/// Who has to act on a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// Nobody: the next tick tries again.
    Transient,
    /// An operator: a credential, a permission, an address or a clock is wrong, and no repeat will mend it.
    Configuration,
    /// The maintainers: the connector itself is at fault.
    Internal,
}

impl FailureClass {
    /// The word in the health row.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Transient => "Transient",
            Self::Configuration => "Configuration",
            Self::Internal => "Internal",
        }
    }
}

/// The part of a run in which a failure happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Reading or writing the checkpoint, its lease or a dead letter.
    Checkpoint,
    /// Asking the appliance.
    Fetch,
    /// Posting to the data collection endpoint, the token included.
    Post,
    /// Between them.
    Run,
}

impl Phase {
    /// The word in the health row.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "Checkpoint",
            Self::Fetch => "Fetch",
            Self::Post => "Post",
            Self::Run => "Run",
        }
    }
}

/// Counts of one run. `fetched = outside_window + already_delivered + filtered + new + changed`, and
/// `new + changed = sent + dead_lettered + unsent`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records that arrived whole.
    pub fetched: u64,
    /// Records outside of the window that was asked for; their own window brings them.
    pub outside_window: u64,
    /// Records that an earlier answer delivered in the same revision.
    pub already_delivered: u64,
    /// Records that a minimum score or a model exclusion left out.
    pub filtered: u64,
    /// Records seen for the first time.
    pub new: u64,
    /// Known records in a new revision.
    pub changed: u64,
    /// Rows that Azure accepted.
    pub sent: u64,
    /// Records that can never be stored and were put aside as dead letters.
    pub dead_lettered: u64,
    /// Records read but not accepted when the run ended; the next run reads them again.
    pub unsent: u64,
    /// Column values that were cut to the limit of a field.
    pub truncated: u64,
    /// Batches that were accepted.
    pub batches: u64,
    /// Bytes of the accepted batches before compression.
    pub bytes: u64,
    /// Bytes of the accepted batches as sent.
    pub bytes_sent: u64,
    /// Requests to the appliance.
    pub requests: u64,
    /// Attempts, of any request, that repeated an earlier one.
    pub retries: u64,
    /// Attempts that the data collection endpoint answered with 429.
    pub throttled: u64,
    /// Commits that met another writer's checkpoint and were merged into it.
    pub conflicts: u64,
}

impl Counts {
    /// Adds the counts of another part of the same run.
    pub const fn add(&mut self, part: &Self) {
        self.fetched += part.fetched;
        self.outside_window += part.outside_window;
        self.already_delivered += part.already_delivered;
        self.filtered += part.filtered;
        self.new += part.new;
        self.changed += part.changed;
        self.sent += part.sent;
        self.dead_lettered += part.dead_lettered;
        self.unsent += part.unsent;
        self.truncated += part.truncated;
        self.batches += part.batches;
        self.bytes += part.bytes;
        self.bytes_sent += part.bytes_sent;
        self.requests += part.requests;
        self.retries += part.retries;
        self.throttled += part.throttled;
        self.conflicts += part.conflicts;
    }

    /// Whether the two equations above hold.
    #[must_use]
    pub const fn add_up(&self) -> bool {
        self.fetched == self.outside_window + self.already_delivered + self.filtered + self.new + self.changed
            && self.new + self.changed == self.sent + self.dead_lettered + self.unsent
    }
}

/// What a run was for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Work {
    /// What is new: live polling.
    #[default]
    Poll,
    /// A chosen range of the past.
    Backfill,
}

impl Work {
    /// The word in the health row.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Poll => "Poll",
            Self::Backfill => "Backfill",
        }
    }
}

/// What one run did for one instance and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The name of the instance in the settings.
    pub instance: String,
    /// The source that was polled.
    pub source: Source,
    /// What the run was for.
    pub work: Work,
    /// Identifies the run: the same for all sources of one invocation.
    pub run_id: String,
    /// Our clock at the start and at the end.
    pub started: Instant,
    /// See `started`.
    pub finished: Instant,
    /// How it ended.
    pub outcome: Outcome,
    /// What it did.
    pub counts: Counts,
    /// The watermark when the run began, by the appliance's clock.
    pub watermark_before: Option<Instant>,
    /// The watermark when it ended.
    pub watermark: Option<Instant>,
    /// How far the watermark lies behind the appliance's clock.
    pub lag: Option<Duration>,
    /// The appliance's clock minus ours, in milliseconds, where an answer told it.
    pub clock_skew_ms: Option<i64>,
    /// The run worked off a backlog.
    pub catching_up: bool,
    /// Things worth an operator's look that did not fail the run, a line each.
    pub warnings: Vec<String>,
}

impl Report {
    /// An empty report of a run of live polling that starts now.
    #[must_use]
    pub fn begin(instance: &str, source: Source, run_id: &str, now: Instant) -> Self {
        Self {
            instance: instance.to_owned(),
            source,
            work: Work::Poll,
            run_id: run_id.to_owned(),
            started: now,
            finished: now,
            outcome: Outcome::Complete,
            counts: Counts::default(),
            watermark_before: None,
            watermark: None,
            lag: None,
            clock_skew_ms: None,
            catching_up: false,
            warnings: Vec::new(),
        }
    }

    /// Whose report it is, as log lines begin: `hq model-alerts`, and ` backfill` where it is one.
    #[must_use]
    pub fn subject(&self) -> String {
        let work = match self.work {
            Work::Poll => "",
            Work::Backfill => " backfill",
        };
        format!("{} {}{work}", self.instance, self.source)
    }

    /// Whether this run makes its invocation fail.
    #[must_use]
    pub const fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// The word that the health row and the report table show.
    #[must_use]
    pub const fn status(&self) -> &'static str {
        self.outcome.name()
    }

    /// What an operator did that this report tells of; `None` when it tells of a run.
    #[must_use]
    pub fn by_hand(&self) -> Option<String> {
        let at = |at: Option<Instant>| at.map_or_else(|| "an unknown time".to_owned(), Instant::rfc3339);
        match self.outcome {
            Outcome::Paused(since) => Some(format!("paused by an operator since {}, resume lets it go on", at(since))),
            Outcome::Moved => {
                let (from, to) = (at(self.watermark_before), at(self.watermark));
                Some(format!("an operator moved the watermark from {from} to {to}; what lies between is not read"))
            }
            _ => None,
        }
    }

    /// Why a run stopped before the end; of the past, how far it has come.
    fn stopped(&self, pause: Pause) -> String {
        match (pause, self.work, self.watermark) {
            (Pause::Deadline, Work::Backfill, Some(at)) => format!("at {at}, the next tick goes on"),
            _ => pause.told().to_owned(),
        }
    }

    /// The summary line of the log: readable alone, without an alert's contents.
    #[must_use]
    pub fn line(&self) -> String {
        let c = &self.counts;
        let mut line = format!(
            "darktrace {}: fetched {}, new {}, changed {}, sent {}",
            self.subject(),
            c.fetched,
            c.new,
            c.changed,
            c.sent
        );
        for (what, count) in [
            ("already delivered", c.already_delivered),
            ("outside window", c.outside_window),
            ("filtered", c.filtered),
            ("dead-lettered", c.dead_lettered),
            ("not yet sent", c.unsent),
            ("values cut", c.truncated),
            ("retries", c.retries),
            ("conflicts", c.conflicts),
        ] {
            if count > 0 {
                line.push_str(&format!(", {what} {count}"));
            }
        }
        if let Some(lag) = self.lag {
            line.push_str(&format!(", lag {} s", lag.as_secs()));
        }
        match &self.outcome {
            Outcome::Complete => {}
            Outcome::Partial(pause) => line.push_str(&format!(", {}", self.stopped(*pause))),
            Outcome::Skipped => line.push_str(", skipped because another run holds the lease"),
            Outcome::Paused(_) | Outcome::Moved => {
                line.push_str(&self.by_hand().map(|told| format!(", {told}")).unwrap_or_default());
            }
            Outcome::Unavailable(failure) => line.push_str(&format!(", unavailable: {}", failure.message)),
            Outcome::Failed(failure) => line.push_str(&format!(", failed: {}", failure.message)),
        }
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_run_is_one_short_line() {
        let mut report = Report::begin("default", Source::ModelAlerts, "run", Instant(0));
        report.lag = Some(Duration::from_secs(41));
        assert_eq!(report.line(), "darktrace default model-alerts: fetched 0, new 0, changed 0, sent 0, lag 41 s");
    }

    #[test]
    fn the_line_of_a_backfill_says_that_it_is_one() {
        let mut report = Report::begin("hq", Source::ModelAlerts, "run", Instant(0));
        report.work = Work::Backfill;
        assert_eq!(report.line(), "darktrace hq model-alerts backfill: fetched 0, new 0, changed 0, sent 0");
        report.outcome = Outcome::Partial(Pause::Deadline);
        report.watermark = Some(Instant(1_767_225_600_000));
        assert!(
            report.line().ends_with("sent 0, at 2026-01-01T00:00:00.000Z, the next tick goes on"),
            "{}",
            report.line()
        );
    }

    #[test]
    fn a_failure_is_told_in_the_line_and_as_who_has_to_act() {
        let mut report = Report::begin("hq", Source::AiAnalyst, "run", Instant(0));
        let message = "the role is missing".to_owned();
        report.outcome = Outcome::Failed(Failure {
            class: FailureClass::Configuration,
            phase: Phase::Post,
            status: Some(403),
            message,
        });
        assert!(report.failed());
        assert_eq!(report.status(), "ConfigError");
        assert!(report.line().ends_with("failed: the role is missing"));
    }

    #[test]
    fn counts_that_miss_a_record_do_not_add_up() {
        let counts = Counts { fetched: 3, new: 2, already_delivered: 1, sent: 2, ..Counts::default() };
        assert!(counts.add_up());
        assert!(!Counts { sent: 1, ..counts }.add_up());
    }
}
