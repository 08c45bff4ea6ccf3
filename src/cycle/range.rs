//! A chosen range of the past through the same cycle: slice after slice, each to its commit before the next is asked for.
//!
//! It has a lease and a checkpoint of its own, so that live polling goes on beside it. Whether a range may be read at all,
//! and what is left to live polling, is [`crate::backfill`]'s business; how a range is cut is in [`crate::window::pass`].

use super::borders::Borders;
use super::hold::Hold;
use super::ledger::{Beginning, Ledger, Names, peek};
use super::stop::Stop;
use super::{Fetched, Job, Limits, MOST_DAMAGED, Run, Span};
use crate::checkpoint::{Basis, Checkpoint, Delivered};
use crate::instant::Instant;
use crate::report::{Counts, FailureClass, Outcome, Pause, Phase, Report, Work};
use crate::secret::Secret;
use crate::window::{Policy, Slice, pass};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// Batches that are under way at once: half of what live polling may have.
pub(super) const IN_FLIGHT: usize = 2;

/// What is to be read.
#[derive(Clone, Debug)]
pub struct Range {
    /// The first millisecond.
    pub from: Instant,
    /// The last millisecond.
    pub to: Instant,
    /// What is done about an earlier pass.
    pub start: Start,
    /// What is done with rows.
    pub manner: Manner,
    /// From where on others deliver, where nothing overlaps.
    pub beyond: Option<Instant>,
}

/// What is done about what an earlier pass left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The same range goes on where it stopped; another one may not lie where the last one was, or wait for its end.
    Resume,
    /// It is forgotten: the range is read from its begin, and what was stored before is stored again.
    Restart,
}

/// What is done with rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// They are posted.
    Posted,
    /// They are counted. Nothing is written anywhere.
    Counted,
}

/// How far a pass has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Of which instance and source.
    pub of: String,
    /// The first millisecond of the range.
    pub from: Instant,
    /// The last millisecond.
    pub to: Instant,
    /// Where this process began.
    pub begun: Instant,
    /// What is asked for next.
    pub next: Instant,
    /// What this process did.
    pub counts: Counts,
}

/// What live polling beside a pass delivers.
#[derive(Debug)]
pub struct Living {
    /// The earliest time that it ever read.
    pub begin: Instant,
    /// Before this time it has forgotten what it delivered.
    pub floor: Instant,
    answered: bool,
    basis: Basis,
    basis_checked: Instant,
    known: Delivered,
}

/// What live polling of the same instance and source has done; `None` when it never ran.
///
/// # Errors
/// When its checkpoint cannot be read, as an outcome.
pub async fn live_polling(job: &Job) -> Result<Option<Living>, Outcome> {
    let names = Names::polling(&job.instance, job.source);
    let now = (job.clock)().max(job.client.now());
    let found = peek(&job.store, &names, now, job.reach.initial).await.map_err(Stop::outcome)?;
    Ok(found.map(|(checkpoint, begin)| Living {
        begin,
        floor: checkpoint.position.floor,
        answered: checkpoint.answered,
        basis: checkpoint.basis,
        basis_checked: checkpoint.basis_checked,
        known: checkpoint.delivered,
    }))
}

/// Reads a range to its end, or as far as `limits` let it. Never fails: a failure is an outcome. The counts of the report
/// are those of this call, its watermark is how far the range was read.
pub async fn run_range(
    job: &Job,
    private_token: &Secret,
    limits: Limits,
    range: &Range,
    living: Option<Living>,
    progress: &watch::Sender<Progress>,
) -> Report {
    let report = Report::begin(&job.instance, job.source, &limits.run_id, (job.clock)());
    let mut report = Report { work: Work::Backfill, ..report };
    report.warnings.extend(job.feed().past.map(str::to_owned));
    let pass = Pass { job, private_token, limits: &limits, range, progress };
    report.outcome = match pass.follow(living, &mut report).await {
        Ok(()) => Outcome::Complete,
        Err(stop) => stop.outcome(),
    };
    report.clock_skew_ms = job.client.skew_ms();
    report.finished = (job.clock)();
    report
}

/// One call of [`run_range`].
struct Pass<'a> {
    job: &'a Job,
    private_token: &'a Secret,
    limits: &'a Limits,
    range: &'a Range,
    progress: &'a watch::Sender<Progress>,
}

impl Pass<'_> {
    async fn follow(&self, living: Option<Living>, report: &mut Report) -> Result<(), Stop> {
        let names = Names::backfill(&self.job.instance, self.job.source);
        let begin = self.beginning();
        if self.range.manner == Manner::Counted {
            let ledger = Ledger::in_memory(self.job.store.clone(), names, self.job.clock, begin);
            return self.read(ledger, living, None, report).await;
        }
        let Some(hold) = Hold::take(&self.job.store, &names.lock()).await? else {
            return Err(Stop::Skipped);
        };
        let result = match Ledger::open(self.job.store.clone(), names, self.job.clock, begin).await {
            Ok(ledger) => self.read(ledger, living, Some(&hold), report).await,
            Err(stop) => Err(stop),
        };
        if let Err(error) = hold.release().await {
            report.warnings.push(format!("the lease could not be released and ends by itself: {error}"));
        }
        result
    }

    fn beginning(&self) -> Beginning {
        let &Range { from, to, .. } = self.range;
        Beginning::Range { now: self.job.client.now(), from, to, width: pass::FIRST }
    }

    /// Slice after slice.
    async fn read(
        &self,
        mut ledger: Ledger,
        living: Option<Living>,
        hold: Option<&Hold>,
        report: &mut Report,
    ) -> Result<(), Stop> {
        report.warnings.append(&mut ledger.warnings);
        let before = self.take_up(&mut ledger.checkpoint)?;
        let beyond = [self.range.beyond, before].into_iter().flatten().min();
        let known = adopt(&mut ledger.checkpoint, living);
        let borders = Arc::new(Borders { range: (self.range.from, self.range.to), beyond, known });
        report.watermark_before = Some(ledger.checkpoint.position.watermark);
        let (mut damaged, mut first) = (0, true);
        self.tell(&ledger.checkpoint, report, true);
        loop {
            let widest = widest(&self.job.policy(ledger.checkpoint.basis));
            let Some(slice) = pass::next(&ledger.checkpoint.position, widest) else { return Ok(()) };
            let span = Span::Past(Arc::clone(&borders), self.range.manner);
            let mut run = Run::new(self.job, self.private_token, self.limits, hold, ledger, span);
            run.damaged = damaged;
            // That the time was over in a later slice says nothing about its width.
            run.had_all_time = std::mem::take(&mut first);
            let read = run.read_to_its_end(&slice).await;
            let settled = run.settle(&read).await;
            report.counts.add(&run.counts());
            report.counts.retries = self.limits.budget.retries();
            report.warnings.append(&mut run.warnings);
            (ledger, damaged) = (run.ledger, run.damaged);
            ledger.conflicts = 0;
            self.tell(&ledger.checkpoint, report, false);
            read.and(settled)?;
        }
    }

    /// Goes on with the range that the checkpoint holds, or puts this one in its place. Returns from where on an earlier
    /// range, behind this one, was delivered.
    fn take_up(&self, checkpoint: &mut Checkpoint) -> Result<Option<Instant>, Stop> {
        let (position, &Range { from, to, .. }) = (checkpoint.position, self.range);
        let (first, last) = pass::range(&position);
        let done = position.sweep.is_none();
        if self.range.start == Start::Restart {
            checkpoint.forget_before(Instant(i64::MAX));
        } else if (first, last) == (from, to) {
            return Ok(None);
        } else if !done {
            return Err(refused(format!(
                "the range {first} to {last} is unfinished at {}; finish it with the same command, or give it up with --restart",
                position.sweep.map_or(last, |sweep| sweep.next)
            )));
        } else if first <= to && from <= last {
            return Err(refused(format!(
                "the range {first} to {last} was stored already; choose one that ends before it or begins behind it, or store \
                 it again with --restart"
            )));
        }
        checkpoint.position = pass::begin(from, to, pass::FIRST);
        Ok((done && self.range.start == Start::Resume && to < first).then_some(first))
    }

    fn tell(&self, checkpoint: &Checkpoint, report: &mut Report, begins: bool) {
        let (position, &Range { from, to, .. }) = (&checkpoint.position, self.range);
        let next = position.sweep.map_or(to, |sweep| sweep.next);
        report.watermark = Some(position.watermark);
        let counts = report.counts.clone();
        self.progress.send_modify(|told| {
            let begun = if begins { next } else { told.begun };
            let of = format!("{} {}", self.job.instance, self.job.source);
            *told = Progress { of, from, to, begun, next, counts };
        });
    }
}

/// What live polling has found out of the appliance holds for a pass as well. Gives back the keys that it knows.
fn adopt(checkpoint: &mut Checkpoint, living: Option<Living>) -> Delivered {
    let Some(living) = living else { return Delivered::default() };
    checkpoint.answered |= living.answered;
    if living.basis_checked > checkpoint.basis_checked {
        (checkpoint.basis, checkpoint.basis_checked) = (living.basis, living.basis_checked);
    }
    living.known
}

fn widest(policy: &Policy) -> Duration {
    policy.widest.max(pass::WIDEST)
}

fn refused(message: String) -> Stop {
    Stop::failed(FailureClass::Configuration, Phase::Checkpoint, message)
}

impl Run<'_> {
    /// One slice, unless the time is over or the process is asked to end meanwhile. Who works beside live polling keeps to
    /// its share, also while a master lets it wait for an answer or the pace for a turn.
    async fn read_to_its_end(&mut self, slice: &Slice) -> Result<(), Stop> {
        self.may_go_on()?;
        let limits = self.limits;
        tokio::select! {
            read = self.read_slice(slice) => read,
            () = limits.drained() => Err(Stop::Pause(Pause::Drain)),
            () = limits.expired() => Err(Stop::Pause(Pause::Deadline)),
        }
    }

    async fn read_slice(&mut self, slice: &Slice) -> Result<(), Stop> {
        self.feed.paths.iter().try_for_each(|path| self.is_given(path))?;
        match self.fetch(slice).await? {
            Fetched::Whole(date) => {
                self.send_all().await?;
                self.note_basis();
                self.slice_done(slice, date)?;
                self.ledger.commit().await?;
                self.find_basis().await
            }
            Fetched::Broken(fault) => {
                self.damaged += u32::from(fault.damaged());
                let narrowed = pass::narrow(&mut self.ledger.checkpoint.position, slice);
                if self.damaged >= MOST_DAMAGED || narrowed.is_err() {
                    return Err(self.broke(slice, fault));
                }
                Ok(())
            }
            Fetched::CreationRefused => {
                self.decide_basis(Basis::Activity);
                Ok(())
            }
        }
    }

    /// Moves on behind the slice, and forgets what no later slice can bring back.
    fn slice_done(&mut self, slice: &Slice, date: Instant) -> Result<(), Stop> {
        let widest = widest(&self.policy);
        let checkpoint = &mut self.ledger.checkpoint;
        pass::answered(&mut checkpoint.position, slice, date, self.intake.came(), widest)
            .map_err(|error| Stop::failed(FailureClass::Configuration, Phase::Fetch, error.to_string()))?;
        checkpoint.answered = true;
        checkpoint.forget_before(slice.to.min(date) - self.policy.margin);
        self.damaged = 0;
        Ok(())
    }
}
