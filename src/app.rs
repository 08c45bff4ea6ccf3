//! Settings to a working app: the only place where the parts are put together.
//!
//! An app lives as long as its process and runs one poll at a time. Instances and sources run side by side and fail
//! separately: one that fails does not stop the others, and makes the poll fail in the end.

mod parts;
mod past;
mod preflight;

pub use past::Tick;
pub use preflight::check;

use crate::backfill::{self, Order};
use crate::cycle::operate::{self, OperateError};
use crate::cycle::{self, Destination, Job, Learnt, Limits, Manner, Progress};
use crate::http::{self, Clock, Deadline, Pace, SharedBudget};
use crate::report::{self, Failure, FailureClass, Outcome, Phase, Report};
use crate::secret::Secret;
use crate::settings::{PrivateToken, Settings};
use crate::source::Source;
use crate::status::Status;
use crate::store::Store;
use crate::vault::VaultSecret;
use parts::say;
use past::Paced;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Sources that run at the same time. Each holds a piece of an answer and a batch that is being filled.
const SIDE_BY_SIDE: usize = 16;

/// Work that no host waits for ends when it is done.
const NO_END: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The instances and sources that something is done for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// The one instance; all that are enabled when absent.
    pub instance: Option<String>,
    /// The one source; all that are polled when absent.
    pub source: Option<Source>,
}

impl Choice {
    /// Whether `job` is chosen.
    #[must_use]
    pub fn holds(&self, job: &Job) -> bool {
        self.instance.as_ref().is_none_or(|name| *name == job.instance)
            && self.source.is_none_or(|source| source == job.source)
    }
}

/// The parts could not be put together.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct AssembleError(String);

/// Everything that a poll needs.
#[derive(Debug)]
pub struct App {
    work: Vec<Arc<Work>>,
    paced: Paced,
    store: Store,
    destination: Arc<Destination>,
    soft_deadline: Duration,
    clock: Clock,
    drain: watch::Receiver<bool>,
}

/// One source of one instance, with where its private token comes from.
#[derive(Debug)]
struct Work {
    job: Job,
    token: TokenSource,
    destination: Arc<Destination>,
    vault_audience: &'static str,
}

#[derive(Clone, Debug)]
enum TokenSource {
    Given(Secret),
    Vault(Arc<VaultSecret>),
}

impl App {
    /// Puts an app together. `drain` becomes true when the process is asked to end.
    ///
    /// # Errors
    /// When a certificate file cannot be read, the system has no root certificates, or the store's address is of no use.
    pub fn assemble(settings: &Settings, drain: watch::Receiver<bool>) -> Result<Self, AssembleError> {
        Self::put_together(settings, drain, None)
    }

    /// As [`App::assemble`], for work that can wait: each master gets so many requests a minute at most.
    ///
    /// # Errors
    /// As [`App::assemble`].
    pub fn assemble_paced(
        settings: &Settings,
        drain: watch::Receiver<bool>,
        requests_per_minute: NonZeroU32,
    ) -> Result<Self, AssembleError> {
        Self::put_together(settings, drain, Some(requests_per_minute))
    }

    fn put_together(
        settings: &Settings,
        drain: watch::Receiver<bool>,
        per_minute: Option<NonZeroU32>,
    ) -> Result<Self, AssembleError> {
        let clock: Clock = http::system_clock;
        let azure = http::azure_client().map_err(say)?;
        let identity = parts::identity_http(settings, &azure)?;
        let store = parts::store(settings, &azure, &identity)?;
        let destination = Arc::new(parts::destination(settings, &azure, &identity, clock));
        let mut work = Vec::new();
        for instance in settings.instances.iter().filter(|instance| instance.enabled) {
            let client = parts::client(instance, clock)?;
            let client = Arc::new(match per_minute {
                Some(requests) => client.paced(Pace::per_minute(requests)),
                None => client,
            });
            let token = match &instance.private_token {
                PrivateToken::Value(token) => TokenSource::Given(token.clone()),
                PrivateToken::Uri(uri) => {
                    TokenSource::Vault(Arc::new(VaultSecret::new(uri.clone(), azure.clone(), clock)))
                }
            };
            for &source in &instance.sources {
                let job = Job {
                    instance: instance.name.clone(),
                    source,
                    layout: settings.layout,
                    client: Arc::clone(&client),
                    filter: parts::filter(instance),
                    store: store.clone(),
                    destination: Arc::clone(&destination),
                    reach: parts::reach(settings, instance),
                    clock,
                    learnt: Learnt::default(),
                };
                let (token, destination) = (token.clone(), Arc::clone(&destination));
                let vault_audience = settings.cloud.vault_audience();
                work.push(Arc::new(Work { job, token, destination, vault_audience }));
            }
        }
        let (paced, soft_deadline) = (Paced::default(), settings.soft_deadline());
        Ok(Self { work, paced, store, destination, soft_deadline, clock, drain })
    }

    /// One poll of everything, with its health rows. Logs a line for each source, warnings before it.
    pub async fn poll(&self) -> Vec<Report> {
        self.poll_within(&self.limits()).await
    }

    async fn poll_within(&self, limits: &Limits) -> Vec<Report> {
        if self.work.is_empty() {
            tracing::warn!("darktrace: nothing is polled, because no instance is enabled; see DARKTRACE_ENABLED");
        }
        let gate = Arc::new(Semaphore::new(SIDE_BY_SIDE));
        let mut running = JoinSet::new();
        for (place, work) in self.work.iter().enumerate() {
            let (work, gate) = (Arc::clone(work), Arc::clone(&gate));
            let limits = Limits { budget: SharedBudget::default(), ..limits.clone() };
            running.spawn(async move {
                let _turn = gate.acquire().await;
                (place, work.run(limits).await)
            });
        }
        let mut reports: Vec<Option<Report>> = vec![None; self.work.len()];
        let mut told = vec![false; self.work.len()];
        while let Some(ended) = running.join_next().await {
            // A panic is a report of its own below.
            if let Ok((place, report)) = ended {
                // Told at once, in case the host kills the others; what a master does not give is judged with them.
                told[place] = !matches!(report.outcome, Outcome::Unavailable(_));
                if told[place] {
                    log_report(&report);
                }
                reports[place] = Some(report);
            }
        }
        let mut reports: Vec<Report> = reports
            .into_iter()
            .zip(&self.work)
            .map(|(report, work)| report.unwrap_or_else(|| self.panicked(work, &limits.run_id)))
            .collect();
        fail_where_nothing_is_given(&mut reports);
        reports.iter().zip(told).filter(|(_, told)| !told).for_each(|(report, _)| log_report(report));
        let ((), kept) = tokio::join!(self.tell_health(&reports), cycle::keep_history(&self.store, &reports));
        if let Err(error) = kept {
            tracing::warn!("darktrace: DarktraceStatus will not show this run: {}", http::chain(&error));
        }
        reports
    }

    /// What there is to look at, of one instance or of all. Touches no master, writes nothing and waits for no run.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn status(&self, only: Option<&str>) -> Result<Status, OperateError> {
        let jobs: Vec<_> = self.jobs().filter(|job| only.is_none_or(|only| only == job.instance)).collect();
        operate::status(&jobs, &self.store, self.paced.trouble().await, (self.clock)()).await
    }

    /// Every enabled source of every enabled instance, in the order of the settings.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.work.iter().map(|work| &work.job)
    }

    /// Where checkpoints and dead letters are, those of instances that are no longer polled included.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// What bounds work that begins now, under a name of its own.
    #[must_use]
    pub fn limits(&self) -> Limits {
        let (deadline, run_id) = (Deadline::after(self.soft_deadline), uuid::Uuid::new_v4().to_string());
        Limits { deadline, drain: self.drain.clone(), budget: SharedBudget::default(), run_id }
    }

    /// A range of the past for the chosen sources, one after the other, each with its health row unless it only counts.
    /// Ends early when the process is asked to end.
    pub async fn backfill(&self, order: &Order, choice: &Choice, progress: &watch::Sender<Progress>) -> Vec<Report> {
        let run_id = uuid::Uuid::new_v4().to_string();
        let mut reports = Vec::new();
        for work in self.work.iter().filter(|work| choice.holds(&work.job)) {
            if *self.drain.borrow() {
                break;
            }
            let (deadline, budget) = (Deadline::after(NO_END), SharedBudget::default());
            let limits = Limits { deadline, drain: self.drain.clone(), budget, run_id: run_id.clone() };
            let report = work.backfill(limits, order, progress).await;
            log_report(&report);
            if order.manner == Manner::Posted {
                self.tell_health(std::slice::from_ref(&report)).await;
            }
            reports.push(report);
        }
        reports
    }

    async fn tell_health(&self, reports: &[Report]) {
        if let Err(reason) = cycle::tell_health(&self.destination, reports, (self.clock)()).await {
            tracing::warn!("darktrace: the health rows of this run were not stored: {reason}");
        }
    }

    fn panicked(&self, work: &Work, run_id: &str) -> Report {
        let mut report = Report::begin(&work.job.instance, work.job.source, run_id, (self.clock)());
        let message = "the run ended in a panic, which the line before names; please report it".to_owned();
        report.outcome =
            Outcome::Failed(Failure { class: FailureClass::Internal, phase: Phase::Run, status: None, message });
        report
    }
}

impl Work {
    async fn run(&self, limits: Limits) -> Report {
        let job = &self.job;
        let token = match self.private_token().await {
            Ok(token) => token,
            Err(message) => {
                // What is paused needs no token.
                let paused = cycle::paused(job, &limits.run_id).await;
                return paused.unwrap_or_else(|| self.without_token(&limits, message));
            }
        };
        let report = cycle::run(job, &token, limits).await;
        if let (TokenSource::Vault(secret), Outcome::Failed(failure)) = (&self.token, &report.outcome)
            && (failure.class, failure.phase) == (FailureClass::Configuration, Phase::Fetch)
        {
            // The master may have a new token: the next run reads it again.
            secret.forget().await;
        }
        report
    }

    async fn backfill(&self, limits: Limits, order: &Order, progress: &watch::Sender<Progress>) -> Report {
        match self.private_token().await {
            Ok(token) => backfill::run(&self.job, &token, limits, order, progress).await,
            Err(message) => Report { work: report::Work::Backfill, ..self.without_token(&limits, message) },
        }
    }

    fn without_token(&self, limits: &Limits, message: String) -> Report {
        let job = &self.job;
        let mut report = Report::begin(&job.instance, job.source, &limits.run_id, (job.clock)());
        let class = FailureClass::Configuration;
        report.outcome = Outcome::Failed(Failure { class, phase: Phase::Fetch, status: None, message });
        report
    }

    async fn private_token(&self) -> Result<Secret, String> {
        match &self.token {
            TokenSource::Given(token) => Ok(token.clone()),
            TokenSource::Vault(secret) => {
                let token =
                    self.destination.tokens.get(self.vault_audience).await.map_err(|error| error.to_string())?;
                match secret.get(&token).await {
                    Ok(token) => Ok(token),
                    Err(error) => {
                        // It may be the token that was refused: the next run asks for a fresh one.
                        self.destination.tokens.forget().await;
                        Err(error.to_string())
                    }
                }
            }
        }
    }
}

/// One source that a master does not give is no failure. A master that gives none of them is: nothing of it is watched.
fn fail_where_nothing_is_given(reports: &mut [Report]) {
    for instance in reports.chunk_by_mut(|a, b| a.instance == b.instance) {
        if instance.iter().all(|report| matches!(report.outcome, Outcome::Unavailable(_))) {
            for report in instance {
                if let Outcome::Unavailable(failure) = report.outcome.clone() {
                    report.outcome = Outcome::Failed(failure);
                }
            }
        }
    }
}

fn log_report(report: &Report) {
    for warning in &report.warnings {
        tracing::warn!("darktrace {}: {warning}", report.subject());
    }
    if report.failed() {
        tracing::error!("{}", report.line());
    } else if matches!(report.outcome, Outcome::Unavailable(_)) {
        tracing::warn!("{}", report.line());
    } else {
        tracing::info!("{}", report.line());
    }
}
