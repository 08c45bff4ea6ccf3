//! What a poll leaves behind to be looked at: the last day of each instance, one small document each.
//!
//! Nothing depends on it. A poll that cannot write it goes on, and whoever asked for the poll says so.

use super::crash;
use crate::report::Report;
use crate::status::History;
use crate::store::{Expect, Store, StoreError};
use bytes::Bytes;
use futures_util::future::join_all;
use std::time::Duration;

/// Two polls that end at the same moment meet once; more than that is not worth a wait.
const TRIES: u32 = 3;
/// Nobody waits longer for it, whatever the store does: a poll that came to its end has to be answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Documents that are written at once.
const AT_ONCE: usize = 8;

/// Adds the reports of a poll to what is known of their instances.
///
/// # Errors
/// The first fault of the store, or that it did not come to its end within ten seconds. What could be written was.
pub async fn keep_history(store: &Store, reports: &[Report]) -> Result<(), StoreError> {
    tokio::time::timeout(PATIENCE, keep_all(store, reports)).await.unwrap_or_else(|_| {
        let what = format!("write what there is to look at within {} s", PATIENCE.as_secs());
        Err(StoreError::Unavailable { what, cause: None })
    })
}

async fn keep_all(store: &Store, reports: &[Report]) -> Result<(), StoreError> {
    let instances: Vec<_> = reports.chunk_by(|a, b| a.instance == b.instance).collect();
    let mut kept = Ok(());
    for instances in instances.chunks(AT_ONCE) {
        let ended = join_all(instances.iter().map(|reports| keep(store, reports))).await;
        kept = kept.and(ended.into_iter().collect());
    }
    kept
}

/// What is known of an instance; nothing of one that was never polled.
///
/// # Errors
/// When the store does not do its part.
pub(super) async fn history(store: &Store, instance: &str) -> Result<History, StoreError> {
    let stored = store.read(&name(instance)).await?;
    Ok(stored.map(|stored| History::parse(&stored.bytes)).unwrap_or_default())
}

async fn keep(store: &Store, reports: &[Report]) -> Result<(), StoreError> {
    let Some(first) = reports.first() else { return Ok(()) };
    let name = name(&first.instance);
    let mut tries = 1;
    loop {
        match noted(store, &name, reports).await {
            Err(StoreError::Conflict { .. }) if tries < TRIES => tries += 1,
            done => return done,
        }
    }
}

async fn noted(store: &Store, name: &str, reports: &[Report]) -> Result<(), StoreError> {
    let stored = store.read(name).await?;
    let expect = stored.as_ref().map_or(Expect::Absent, |stored| Expect::Match(stored.etag.clone()));
    let mut history = stored.map(|stored| History::parse(&stored.bytes)).unwrap_or_default();
    reports.iter().for_each(|report| history.note(report));
    crash::point("before the history");
    store.write(name, Bytes::from(history.print()), expect).await.map(drop)
}

fn name(instance: &str) -> String {
    format!("history/{instance}.json")
}
