//! A source that an operator lets stand still, without losing its place: a document that every run looks for first.

use super::OperateError;
use crate::cycle::Job;
use crate::instant::Instant;
use crate::store::{Expect, StoreError};
use bytes::Bytes;
use serde::Deserialize;

/// A source stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standstill {
    /// When it was paused, where the document tells.
    pub since: Option<Instant>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    paused_at: String,
}

impl Standstill {
    /// Whether an operator paused `job`. That the document is there is what counts, whatever has become of its content.
    pub(in crate::cycle) async fn of(job: &Job) -> Result<Option<Self>, StoreError> {
        let stored = job.store.read(&name(job)).await?;
        Ok(stored.map(|stored| {
            let document: Option<Document> = serde_json::from_slice(&stored.bytes).ok();
            Self { since: document.and_then(|document| Instant::from_iso(&document.paused_at)) }
        }))
    }
}

/// Whether `job` stands still, be it before its first run.
///
/// # Errors
/// [`OperateError::Store`].
pub async fn paused(job: &Job) -> Result<Option<Standstill>, OperateError> {
    Ok(Standstill::of(job).await?)
}

/// Lets `job` stand still from its next run on. A run that is under way ends as it would. Returns since when it does.
///
/// # Errors
/// [`OperateError::Store`].
pub async fn pause(job: &Job) -> Result<Standstill, OperateError> {
    let now = (job.clock)();
    let document = format!("{{\"schema\":1,\"pausedAt\":\"{}\"}}", now.rfc3339());
    match job.store.write(&name(job), Bytes::from(document), Expect::Absent).await {
        Ok(_) => Ok(Standstill { since: Some(now) }),
        Err(StoreError::Conflict { .. }) => Ok(Standstill::of(job).await?.unwrap_or(Standstill { since: None })),
        Err(error) => Err(error.into()),
    }
}

/// Lets `job` go on with its next run, from where it stands. Returns whether it was paused.
///
/// # Errors
/// [`OperateError::Store`].
pub async fn resume(job: &Job) -> Result<bool, OperateError> {
    Ok(job.store.delete(&name(job)).await?)
}

fn name(job: &Job) -> String {
    format!("control/{}/{}.json", job.instance, job.source)
}
