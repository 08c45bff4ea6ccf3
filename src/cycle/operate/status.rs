//! What there is to look at, read from the documents of all sources. Nothing is asked of a master or of Azure Monitor,
//! nothing is written, and no lease is taken: whoever looks disturbs no run.

use super::letters::belongs_to;
use super::order::progress_in_turn;
use super::{BackfillProgress, OperateError, StandingOrder, Standstill, standing_order};
use crate::checkpoint::Glance;
use crate::cycle::Job;
use crate::cycle::dead_letter::PLACE;
use crate::cycle::history::history;
use crate::cycle::ledger::{Names, glance};
use crate::instant::Instant;
use crate::source::Source;
use crate::status::{Apart, Backfill, Found, History, Order, Paused, Position, Status};
use crate::store::Store;
use futures_util::future::join_all;
use std::collections::BTreeMap;
use tokio::sync::Mutex;

/// Documents that are read at once.
const AT_ONCE: usize = 8;

/// Dead letters by instance and source.
type Letters = BTreeMap<(String, Option<Source>), u64>;

/// The status of `jobs`, which are in the order of the settings, by our clock `now`. `trouble` is what was in the way of the
/// order for the past when it was last worked on.
///
/// # Errors
/// When the store cannot be read at all. A checkpoint that cannot be is told of in the status of its source.
pub async fn status(
    jobs: &[&Job],
    store: &Store,
    trouble: Option<String>,
    now: Instant,
) -> Result<Status, OperateError> {
    let mut letters = letters(store).await?;
    let mut past = BTreeMap::new();
    for instance in jobs.chunk_by(|a, b| a.instance == b.instance).filter_map(|jobs| jobs.first()) {
        past.insert(instance.instance.clone(), history(store, &instance.instance).await?);
    }
    let (mut all, turn) = (Vec::with_capacity(jobs.len()), Mutex::default());
    for jobs in jobs.chunks(AT_ONCE) {
        all.extend(join_all(jobs.iter().map(|job| found(job, &past, now, &turn))).await);
    }
    for (found, job) in all.iter_mut().zip(jobs) {
        found.dead_letters = letters.remove(&(job.instance.clone(), Some(job.source))).unwrap_or(0);
    }
    let layout = jobs.first().map_or("", |job| job.layout.name());
    let apart = Apart { other_dead_letters: letters.values().sum(), ..ordered(store, trouble).await? };
    Ok(Status::new(all, apart, layout, now))
}

/// The order for a range of the past. One that cannot be followed is told of.
async fn ordered(store: &Store, trouble: Option<String>) -> Result<Apart, OperateError> {
    match standing_order(store).await {
        Ok(order) => {
            let order = order.map(|StandingOrder { from, to, completed_at, .. }| Order { from, to, completed_at });
            // Of one that was taken back or has ended, what was in its way is no matter any more.
            let stands = order.as_ref().is_some_and(|order| order.completed_at.is_none());
            Ok(Apart { order, order_problem: trouble.filter(|_| stands), ..Apart::default() })
        }
        Err(wrong @ OperateError::WrongOrder(_)) => Ok(Apart { order_problem: Some(wrong.told()), ..Apart::default() }),
        Err(error) => Err(error),
    }
}

async fn found(job: &Job, past: &BTreeMap<String, History>, now: Instant, turn: &Mutex<()>) -> Found {
    let (position, paused, problem) = match standing(job, now, turn).await {
        Ok((position, paused)) => (position, paused, None),
        Err(error) => (None, None, Some(error.told())),
    };
    // One that cannot be read is the business of the next backfill, which says so.
    let backfill = progress_in_turn(job, turn).await.ok().flatten();
    Found {
        instance: job.instance.clone(),
        source: job.source.name(),
        table: job.source.table(job.layout),
        position,
        paused,
        backfill: backfill.map(|BackfillProgress { first, last, next, done }| Backfill { first, last, next, done }),
        dead_letters: 0,
        past: past.get(&job.instance).map(|history| history.of(job.source.name())).unwrap_or_default(),
        problem,
    }
}

async fn standing(
    job: &Job,
    now: Instant,
    turn: &Mutex<()>,
) -> Result<(Option<Position>, Option<Paused>), OperateError> {
    let names = Names::polling(&job.instance, job.source);
    let found = glance(&job.store, &names, now, turn).await?;
    let paused = Standstill::of(job).await?.map(|Standstill { since }| Paused { since });
    let position = found.map(|Glance { position, keys }| Position {
        watermark: position.watermark,
        floor: position.floor,
        swept: position.swept,
        sweep_next: position.sweep.map(|sweep| sweep.next),
        sweep_until: position.sweep.map(|sweep| sweep.start),
        keys,
    });
    Ok((position, paused))
}

/// Their names say whose they are, so that none has to be read.
async fn letters(store: &Store) -> Result<Letters, OperateError> {
    let mut letters = Letters::new();
    for name in store.list(PLACE).await? {
        *letters.entry(belongs_to(&name)).or_default() += 1;
    }
    Ok(letters)
}
