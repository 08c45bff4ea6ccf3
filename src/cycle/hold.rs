//! The lease of a run: taken at its begin, renewed while it lasts, given back at its end.
//!
//! The lease keeps two runs from doing the same work twice. No data depends on it: a run that loses it meets the other one
//! at its next commit, and both are merged.

use super::crash;
use crate::store::{Lease, Renewal, Store, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinSet;

/// A held lease. Dropped without a release, as a panic does, it is not renewed any more.
#[derive(Debug)]
pub(super) struct Hold {
    lease: Arc<Lease>,
    lost: Arc<AtomicBool>,
    /// One task, in a set because that ends it when it is dropped. A task by itself would go on and keep the lease for
    /// ever, from this process too.
    renewal: JoinSet<()>,
}

impl Hold {
    /// Takes the lease of `name`; `None` when another run holds it.
    pub(super) async fn take(store: &Store, name: &str) -> Result<Option<Self>, StoreError> {
        crash::point("before the lease");
        let Some(lease) = store.lease(name).await? else { return Ok(None) };
        crash::point("lease taken");
        let (lease, lost) = (Arc::new(lease), Arc::new(AtomicBool::new(false)));
        let mut renewal = JoinSet::new();
        renewal.spawn(renew(Arc::clone(&lease), Arc::clone(&lost)));
        Ok(Some(Self { lease, lost, renewal }))
    }

    /// Whether another run may have taken over.
    pub(super) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Gives the lease back, so that the next run need not wait for its end.
    pub(super) async fn release(mut self) -> Result<(), StoreError> {
        // The task's share of the lease goes with the task, once it has ended.
        self.renewal.shutdown().await;
        let Ok(lease) = Arc::try_unwrap(self.lease) else { return Ok(()) };
        crash::point("before the release");
        let released = lease.release().await;
        crash::point("after the release");
        released
    }
}

async fn renew(lease: Arc<Lease>, lost: Arc<AtomicBool>) {
    loop {
        tokio::time::sleep(Lease::RENEW_EVERY).await;
        // A renewal that fails for other reasons is tried again; the lease lasts for three of them.
        if matches!(lease.renew().await, Ok(Renewal::Lost)) {
            lost.store(true, Ordering::Relaxed);
            return;
        }
    }
}
