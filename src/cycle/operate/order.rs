//! An order for a range of the past that stands in the store until the function app has worked it off, beside live polling.
//!
//! Whoever orders it writes the document and goes; the app reads it with every tick and writes into it what has ended, so
//! that this costs nothing any more. How far a source has come in between is in its checkpoint alone. When the app works on
//! it is decided in [`crate::app`], whether the range may be read in [`crate::backfill`].

mod document;

pub use document::WrongOrder;

use super::OperateError;
use crate::checkpoint::Glance;
use crate::cycle::Job;
use crate::cycle::ledger::{Names, glance};
use crate::instant::Instant;
use crate::source::Source;
use crate::store::{Etag, Expect, Store, StoreError};
use crate::window::pass;
use bytes::Bytes;
use document::NAME;
use std::num::NonZeroU32;
use tokio::sync::Mutex;

/// The app and an operator may write at the same time; more often than this in a row is neither of them.
const MOST_TRIES: usize = 4;

/// A range of the past that the function app works off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingOrder {
    /// The first moment of the range.
    pub from: Instant,
    /// The first moment behind it.
    pub to: Instant,
    /// The one instance; all that are enabled when absent.
    pub instance: Option<String>,
    /// The one source; all that are polled when absent.
    pub source: Option<Source>,
    /// Whether it may overlap what live polling delivers.
    pub force: bool,
    /// Requests to a master in a minute, at most.
    pub requests_per_minute: NonZeroU32,
    /// When it was ordered; nothing for one that was written by hand.
    pub ordered_at: Option<Instant>,
    /// What has come to its end.
    pub ended: Vec<Ended>,
    /// When everything had; nothing as long as the order stands.
    pub completed_at: Option<Instant>,
}

/// One source of one instance that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The instance.
    pub instance: String,
    /// The source.
    pub source: Source,
    /// How it ended.
    pub end: End,
    /// When, by our clock.
    pub at: Instant,
}

/// How the work for one source ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The whole range is stored.
    Complete,
    /// The master does not give the source.
    Unavailable,
}

impl End {
    const fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unavailable => "unavailable",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Complete, Self::Unavailable].into_iter().find(|end| end.name() == name)
    }
}

impl StandingOrder {
    /// How the work for `job` ended; `None` as long as it has not.
    #[must_use]
    pub fn end_of(&self, job: &Job) -> Option<End> {
        let ended = self.ended.iter().find(|ended| (&ended.instance, ended.source) == (&job.instance, job.source));
        ended.map(|ended| ended.end)
    }

    /// Whether `other` orders the same, whatever has come of it.
    fn is_same(&self, other: &Self) -> bool {
        let bare = |order: &Self| Self { ended: Vec::new(), completed_at: None, ..order.clone() };
        bare(self) == bare(other)
    }
}

/// What became of the wish to take an order back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Withdrawn {
    /// It stands no longer. What it stored stays stored, and the same order goes on from there.
    Removed,
    /// It had been completed at that time; the record of it stays.
    Completed(Instant),
    /// There was none.
    Nothing,
}

/// How far the backfill of one source has come, whoever runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackfillProgress {
    /// The first moment of the last range.
    pub first: Instant,
    /// Its last moment, to the millisecond.
    pub last: Instant,
    /// What is asked for next; behind the range once that is done.
    pub next: Instant,
    /// Whether the range is done.
    pub done: bool,
}

/// The order in `store`, also one that has been completed; `None` when there is none.
///
/// # Errors
/// [`OperateError::WrongOrder`] for one that cannot be followed, and [`OperateError::Store`].
pub async fn standing_order(store: &Store) -> Result<Option<StandingOrder>, OperateError> {
    Ok(found(store).await?.map(|(order, _)| order))
}

async fn found(store: &Store) -> Result<Option<(StandingOrder, Etag)>, OperateError> {
    let Some(stored) = store.read(NAME).await? else { return Ok(None) };
    Ok(Some((document::read(&stored.bytes)?, stored.etag)))
}

/// Leaves `order` to the function app.
///
/// # Errors
/// [`OperateError::Refused`] while another order stands, [`OperateError::WrongOrder`] when what is there cannot be followed,
/// and [`OperateError::Store`].
pub async fn hand_over(store: &Store, order: &StandingOrder) -> Result<(), OperateError> {
    let expect = match found(store).await? {
        None => Expect::Absent,
        Some((StandingOrder { completed_at: Some(_), .. }, etag)) => Expect::Match(etag),
        Some((standing, _)) => return Err(stands(&standing)),
    };
    match store.write(NAME, Bytes::from(document::print(order)), expect).await {
        Err(StoreError::Conflict { .. }) => Err(OperateError::Busy(NAME.to_owned())),
        written => Ok(written.map(drop)?),
    }
}

fn stands(order: &StandingOrder) -> OperateError {
    OperateError::Refused(format!(
        "an order for {} to {} stands and is unfinished; let the function app finish it, or take it back with backfill --withdraw",
        order.from, order.to
    ))
}

/// Takes back the order that stands, also one that cannot be followed. No checkpoint is touched.
///
/// # Errors
/// [`OperateError::Store`].
pub async fn withdraw(store: &Store) -> Result<Withdrawn, OperateError> {
    if let Ok(Some(StandingOrder { completed_at: Some(at), .. })) = standing_order(store).await {
        return Ok(Withdrawn::Completed(at));
    }
    Ok(if store.delete(NAME).await? { Withdrawn::Removed } else { Withdrawn::Nothing })
}

/// Writes down what has come to its end of `order`, as long as the same order stands. Returns whether it does.
///
/// # Errors
/// [`OperateError::Store`], and [`OperateError::WrongOrder`] when somebody has put in another.
pub async fn note_ends(store: &Store, order: &StandingOrder) -> Result<bool, OperateError> {
    for _ in 0..MOST_TRIES {
        let Some((mut there, etag)) = found(store).await? else { return Ok(false) };
        if !order.is_same(&there) {
            return Ok(false);
        }
        for ended in &order.ended {
            if !there.ended.iter().any(|known| (&known.instance, known.source) == (&ended.instance, ended.source)) {
                there.ended.push(ended.clone());
            }
        }
        there.completed_at = there.completed_at.or(order.completed_at);
        match store.write(NAME, Bytes::from(document::print(&there)), Expect::Match(etag)).await {
            Ok(_) => return Ok(true),
            Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(OperateError::Busy(NAME.to_owned()))
}

/// How far the backfill of `job` has come, whether a command or the function app runs it; `None` when there never was one.
///
/// # Errors
/// [`OperateError::Unreadable`] and [`OperateError::Store`].
pub async fn backfill_progress(job: &Job) -> Result<Option<BackfillProgress>, OperateError> {
    progress_in_turn(job, &Mutex::default()).await
}

/// The same for whoever looks at many; see [`glance`].
pub(super) async fn progress_in_turn(job: &Job, turn: &Mutex<()>) -> Result<Option<BackfillProgress>, OperateError> {
    let names = Names::backfill(&job.instance, job.source);
    let found = glance(&job.store, &names, (job.clock)().max(job.client.now()), turn).await?;
    Ok(found.map(|Glance { position, .. }| {
        let (first, last) = pass::range(&position);
        let next = position.sweep.map_or(position.swept, |sweep| sweep.next);
        BackfillProgress { first, last, next, done: position.sweep.is_none() }
    }))
}
