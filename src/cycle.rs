//! The story: one run of one source, from the lease to the last commit.
//!
//! Read the windows that are due, set aside what was delivered before, map the rest, post it, and move the watermark to
//! what the answers proved and Azure accepted. Only this module commits. It does not know who asked for a run, which
//! store or credential was chosen, or what the other sources do. The rules it follows are [`crate::window`],
//! [`crate::batch`], [`crate::retry`] and [`crate::checkpoint`]; its own parts are the intake of records, the posts under
//! way and the ledger.

mod absence;
mod basis;
mod borders;
pub mod crash;
mod dead_letter;
mod dispatch;
mod fetch;
mod filter;
mod health;
mod history;
mod hold;
mod intake;
mod ledger;
mod listing;
mod naming;
pub mod operate;
mod paging;
mod post;
mod range;
mod reading;
mod snapshot;
mod stop;

pub use filter::{Compliance, Filter};
pub use health::tell_health;
pub use history::keep_history;
pub use post::{Destination, IN_FLIGHT};
pub use range::{Living, Manner, Progress, Range, Start, live_polling, run_range};
pub use stop::Limits;

use crate::batch::Proof;
use crate::checkpoint::Basis;
use crate::darktrace::{self, Client, Fault, Feed};
use crate::http::Clock;
use crate::instant::Instant;
use crate::report::{Counts, Outcome, Pause, Report};
use crate::row::Subnets;
use crate::secret::Secret;
use crate::source::{Layout, Source};
use crate::store::Store;
use crate::window::{Policy, Reach};
use absence::Absences;
use borders::Borders;
use dead_letter::DeadLetter;
use hold::Hold;
use intake::Intake;
use ledger::{Beginning, Ledger, Names};
use operate::Standstill;
use post::{Errand, Poster};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;
use stop::Stop;

/// The largest record, in bytes.
const LARGEST_RECORD: usize = 16 << 20;
/// Answers that broke off or stalled before a run gives up; each was asked for again with half the window.
const MOST_DAMAGED: u32 = 4;
/// What is under way when the process is asked to end has so long to come to its end.
const DRAIN: Duration = Duration::from_secs(5);
/// After so many failed runs in a row a run makes a single attempt: repeats would only add to somebody's trouble.
const PROBE_AFTER: u32 = 3;
/// A difference of clocks that is worth a warning.
const NOTABLE_SKEW_MS: u64 = 30_000;

/// One source of one instance, with everything that a run of it needs. Lives as long as the process.
#[derive(Debug)]
pub struct Job {
    /// The name of the instance in the settings.
    pub instance: String,
    /// What is polled.
    pub source: Source,
    /// The tables that its rows go to.
    pub layout: Layout,
    /// The master.
    pub client: Arc<Client>,
    /// What is left out.
    pub filter: Filter,
    /// Where the checkpoint and the dead letters are.
    pub store: Store,
    /// Where the rows go.
    pub destination: Arc<Destination>,
    /// How far back runs read.
    pub reach: Reach,
    /// Our clock.
    pub clock: Clock,
    /// What earlier runs found out.
    pub learnt: Learnt,
}

/// What the runs of a job leave for the next one, as long as the process lives.
#[derive(Debug, Default)]
pub struct Learnt {
    /// Failed runs in a row.
    failed_runs: AtomicU32,
    /// Which of the feed's paths was answered last.
    path: AtomicUsize,
    /// What the master does not give.
    absences: Absences,
}

/// The report of a run that is not begun because an operator paused `job`; `None` when it may run.
pub async fn paused(job: &Job, run_id: &str) -> Option<Report> {
    let standstill = Standstill::of(job).await.ok()??;
    let mut report = Report::begin(&job.instance, job.source, run_id, (job.clock)());
    report.outcome = Outcome::Paused(standstill.since);
    Some(report)
}

/// Runs `job` once and tells what happened. Never fails: a failure is an outcome.
pub async fn run(job: &Job, private_token: &Secret, limits: Limits) -> Report {
    let mut report = Report::begin(&job.instance, job.source, &limits.run_id, (job.clock)());
    report.outcome = match follow(job, private_token, &limits, &mut report).await {
        Ok(()) => Outcome::Complete,
        Err(stop) => stop.outcome(),
    };
    report.clock_skew_ms = job.client.skew_ms();
    warn_of_skew(&mut report);
    report.finished = (job.clock)();
    let failed = report.failed();
    // Counted up to the threshold, back to zero with the first run that works.
    let runs = if failed { job.learnt.failed_runs.load(Ordering::Relaxed).saturating_add(1) } else { 0 };
    job.learnt.failed_runs.store(runs, Ordering::Relaxed);
    report
}

async fn follow(job: &Job, private_token: &Secret, limits: &Limits, report: &mut Report) -> Result<(), Stop> {
    if let Some(standstill) = Standstill::of(job).await? {
        return Err(Stop::Standstill(standstill.since));
    }
    let names = Names::polling(&job.instance, job.source);
    let Some(hold) = Hold::take(&job.store, &names.lock()).await? else {
        return Err(Stop::Skipped);
    };
    let result = under_lease(job, private_token, limits, report, &hold).await;
    if let Err(error) = hold.release().await {
        report.warnings.push(format!("the lease could not be released and ends by itself: {error}"));
    }
    result
}

async fn under_lease(
    job: &Job,
    private_token: &Secret,
    limits: &Limits,
    report: &mut Report,
    hold: &Hold,
) -> Result<(), Stop> {
    let now = job.client.now();
    let Policy { deep, width, .. } = job.policy(Basis::Unknown);
    let begin = Beginning::Polling { now, lookback: job.reach.initial, deep, width };
    let names = Names::polling(&job.instance, job.source);
    let ledger = Ledger::open(job.store.clone(), names, job.clock, begin).await?;
    report.watermark_before = Some(ledger.checkpoint.position.watermark);
    let mut run = Run::new(job, private_token, limits, Some(hold), ledger, Span::Present);
    // Reading may wait for minutes on an appliance or a service that does not answer; a process that is asked to end has
    // seconds. It can be dropped wherever it waits: a process that is killed stops there as well.
    let read = tokio::select! {
        read = run.read_all() => read,
        () = limits.drained() => Err(Stop::Pause(Pause::Drain)),
    };
    let settled = run.settle(&read).await;
    run.tell(report);
    read.and(settled)
}

impl Job {
    /// The same job by way of another client, with nothing found out yet.
    #[must_use]
    pub fn by_way_of(&self, client: Arc<Client>) -> Self {
        Self {
            instance: self.instance.clone(),
            source: self.source,
            layout: self.layout,
            client,
            filter: self.filter.clone(),
            store: self.store.clone(),
            destination: Arc::clone(&self.destination),
            reach: self.reach,
            clock: self.clock,
            learnt: Learnt::default(),
        }
    }

    fn feed(&self) -> &'static Feed {
        darktrace::feed(self.source)
    }

    fn policy(&self, basis: Basis) -> Policy {
        (self.feed().policy)(&self.reach, basis)
    }
}

fn warn_of_skew(report: &mut Report) {
    if let Some(skew) = report.clock_skew_ms.filter(|skew| skew.unsigned_abs() > NOTABLE_SKEW_MS) {
        let side = if skew > 0 { "ahead of" } else { "behind" };
        let seconds = skew.unsigned_abs() / 1000;
        report.warnings.push(format!(
            "the appliance's clock is {seconds} s {side} ours; set the one that is wrong by NTP, before requests are refused"
        ));
    }
}

/// A run under its lease.
struct Run<'a> {
    job: &'a Job,
    feed: &'static Feed,
    /// Where subnets are, once that was asked for.
    subnets: Option<Arc<Subnets>>,
    private_token: &'a Secret,
    limits: &'a Limits,
    /// The lease; nothing where nothing is written.
    hold: Option<&'a Hold>,
    ledger: Ledger,
    span: Span,
    intake: Intake,
    poster: Poster,
    policy: Policy,
    warnings: Vec<String>,
    /// Records that the service refused. How many they are is judged when every batch has come to its end.
    refused: Vec<(Proof, DeadLetter)>,
    damaged: u32,
    requests: u64,
    catching_up: bool,
    /// What is under way began with the run, so that it had all of its time.
    had_all_time: bool,
    /// The master does not give what the windows ask for, so that the watermark stands still for no fault of the runs.
    unavailable: bool,
}

impl<'a> Run<'a> {
    fn new(
        job: &'a Job,
        private_token: &'a Secret,
        limits: &'a Limits,
        hold: Option<&'a Hold>,
        ledger: Ledger,
        span: Span,
    ) -> Self {
        let (intake, errand) = (Intake::new(ledger.checkpoint.next_sequence, span.borders()), span.errand());
        let poster = Poster::new(Arc::clone(&job.destination), job.source.table(job.layout), limits.clone(), errand);
        let policy = job.policy(ledger.checkpoint.basis);
        let warnings = ledger.warnings.clone();
        Self {
            job,
            feed: job.feed(),
            subnets: None,
            private_token,
            limits,
            hold,
            ledger,
            span,
            intake,
            poster,
            policy,
            warnings,
            refused: Vec::new(),
            damaged: 0,
            requests: 0,
            catching_up: false,
            had_all_time: true,
            unavailable: false,
        }
    }

    fn may_go_on(&self) -> Result<(), Stop> {
        if self.hold.is_some_and(Hold::is_lost) {
            return Err(Stop::Pause(Pause::Conflict));
        }
        self.limits.reached().map_or(Ok(()), |pause| Err(Stop::Pause(pause)))
    }

    /// Waits for what is under way, and writes down what came of it, whatever ended the reading.
    async fn settle(&mut self, read: &Result<(), Stop>) -> Result<(), Stop> {
        let patience = match read {
            Err(Stop::Pause(Pause::Drain)) => DRAIN,
            _ => self.limits.deadline.remaining().max(DRAIN),
        };
        let mut drained = tokio::time::timeout(patience, self.receive_all()).await.unwrap_or(Ok(()));
        if drained.is_ok() && !matches!(read, Err(Stop::Failed(_))) {
            drained = self.put_aside().await;
        }
        if self.had_all_time && matches!(read, Err(Stop::Pause(Pause::Deadline))) {
            self.ask_for_less();
        }
        crash::point("all settled");
        let committed = self.ledger.commit().await;
        drained.and(committed)?;
        self.ledger.back_up().await
    }

    fn counts(&self) -> Counts {
        let mut counts = self.intake.counts.clone();
        counts.unsent = (counts.new + counts.changed).saturating_sub(counts.sent + counts.dead_lettered);
        counts.requests = self.requests;
        counts.conflicts = self.ledger.conflicts;
        counts.retries = self.limits.budget.retries();
        counts
    }

    fn tell(&mut self, report: &mut Report) {
        report.counts = self.counts();
        let watermark = self.ledger.checkpoint.position.watermark;
        report.watermark = Some(watermark);
        report.lag = (!self.unavailable).then(|| self.job.client.now().since(watermark));
        report.catching_up = self.catching_up;
        report.warnings.append(&mut self.warnings);
    }
}

/// What a run reads.
#[derive(Clone, Debug)]
enum Span {
    /// What is new, and what became visible late.
    Present,
    /// A chosen range of the past.
    Past(Arc<Borders>, Manner),
}

impl Span {
    fn borders(&self) -> Option<Arc<Borders>> {
        match self {
            Self::Present => None,
            Self::Past(borders, _) => Some(Arc::clone(borders)),
        }
    }

    const fn errand(&self) -> Errand {
        match self {
            Self::Present => Errand::Post { at_once: IN_FLIGHT },
            Self::Past(_, Manner::Posted) => Errand::Post { at_once: range::IN_FLIGHT },
            Self::Past(_, Manner::Counted) => Errand::Count,
        }
    }
}

/// How the answer for a slice ended.
enum Fetched {
    /// Complete; made at this time by the appliance's clock.
    Whole(Instant),
    /// In the middle. What arrived whole was taken in, and will be known when it comes again.
    Broken(Fault),
    /// The appliance refused a parameter that only newer versions know.
    CreationRefused,
}
