//! The watermark, to be looked at and to be moved by hand, under the lease of the source.

use super::OperateError;
use crate::cycle::health::tell_health;
use crate::cycle::hold::Hold;
use crate::cycle::ledger::{Names, Standing};
use crate::cycle::{Job, Limits};
use crate::instant::Instant;
use crate::report::{Outcome, Report};
use std::time::Duration;

/// Where a source stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Everything up to here was delivered, as far as it was visible.
    pub watermark: Instant,
    /// Nothing before it is asked for, and what was delivered before it is no longer known.
    pub floor: Instant,
    /// The begin of the last sweep that came to its end.
    pub swept: Instant,
    /// How far the watermark lies behind our clock.
    pub lag: Duration,
    /// How many delivered records are known.
    pub keys: usize,
}

/// Whether records may be left out for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// They may not: the watermark moves back only.
    Refused,
    /// The operator accepts it.
    Accepted,
}

/// A watermark that was moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Moved {
    /// Where it was.
    pub from: Instant,
    /// Where it is.
    pub to: Instant,
    /// Where the checkpoint from before is kept.
    pub kept: String,
}

/// Where `job` stands; `None` when no run of it has ended yet.
///
/// # Errors
/// All but [`OperateError::Busy`].
pub async fn place(job: &Job) -> Result<Option<Place>, OperateError> {
    let now = (job.clock)();
    let Some(Standing { checkpoint, .. }) = Standing::read(&job.store, &names(job), now).await? else {
        return Ok(None);
    };
    let position = checkpoint.position;
    Ok(Some(Place {
        watermark: position.watermark,
        floor: position.floor,
        swept: position.swept,
        lag: now.since(position.watermark),
        keys: checkpoint.delivered.len(),
    }))
}

/// Moves the watermark of `job` to `to`. Back, reading begins there again, and what was delivered is known by its keys as
/// far back as they are kept. Forward, what lies between is never read, and a health row tells so before it is done.
///
/// # Errors
/// [`OperateError::Busy`] while a run is under way, [`OperateError::Refused`] for a time ahead of our clock, or ahead of the
/// watermark unless the loss is accepted.
pub async fn move_watermark(job: &Job, to: Instant, loss: Loss, limits: &Limits) -> Result<Moved, OperateError> {
    let lock = names(job).lock();
    let Some(hold) = Hold::take(&job.store, &lock).await? else { return Err(OperateError::Busy(lock)) };
    let moved = under_lease(job, to, loss, limits).await;
    if let Err(error) = hold.release().await {
        tracing::warn!("the lease {lock} could not be released and ends by itself: {error}");
    }
    moved
}

async fn under_lease(job: &Job, to: Instant, loss: Loss, limits: &Limits) -> Result<Moved, OperateError> {
    let (names, now) = (names(job), (job.clock)());
    let standing = Standing::read(&job.store, &names, now)
        .await?
        .ok_or_else(|| OperateError::NoCheckpoint { instance: job.instance.clone(), source_name: job.source })?;
    let position = standing.checkpoint.position;
    let from = position.watermark;
    if to > now {
        return Err(OperateError::Refused(format!("{to} lies ahead of our clock, which says {now}")));
    }
    if to > from && loss == Loss::Refused {
        return Err(OperateError::Refused(format!(
            "{to} lies ahead of the watermark {from}, and what lies between would never be read; --accept-loss does it all \
             the same, and writes a health row that says so"
        )));
    }
    if to > from {
        tell_loss(job, from, to, limits).await?;
    }
    let kept = standing.replace(position.moved_to(to), &job.store, &names, now).await?;
    tracing::info!("darktrace {} {}: an operator moved the watermark from {from} to {to}", job.instance, job.source);
    Ok(Moved { from, to, kept })
}

/// Nothing is left out without a row that says so, so the row comes first.
async fn tell_loss(job: &Job, from: Instant, to: Instant, limits: &Limits) -> Result<(), OperateError> {
    let now = (job.clock)();
    let mut report = Report::begin(&job.instance, job.source, &limits.run_id, now);
    report.outcome = Outcome::Moved;
    report.watermark_before = Some(from);
    report.watermark = Some(to);
    tracing::warn!("{}", report.line());
    tell_health(&job.destination, &[report], now).await.map_err(OperateError::NotTold)
}

fn names(job: &Job) -> Names {
    Names::polling(&job.instance, job.source)
}
