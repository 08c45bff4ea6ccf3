//! Named points of the cycle at which a test build can die, so that tests can prove that dying there loses nothing.
//!
//! Without the feature `crash-points` there is nothing here. With it, `main` arms the n-th point that is passed.

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::atomic::{AtomicU64, Ordering};

    static LEFT: AtomicU64 = AtomicU64::new(0);
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// Ends the process without any clean-up when the `n`-th point is passed, counted from 1; 0 never does.
    pub fn arm(n: u64) {
        LEFT.store(n, Ordering::SeqCst);
    }

    /// How many points were passed.
    #[must_use]
    pub fn passed() -> u64 {
        PASSED.load(Ordering::SeqCst)
    }

    pub(in crate::cycle) fn point(name: &'static str) {
        PASSED.fetch_add(1, Ordering::SeqCst);
        let left = LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left == Ok(1) {
            tracing::error!("crash point: {name}");
            std::process::abort();
        }
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{arm, passed};

#[cfg(feature = "crash-points")]
pub(super) use armed::point;

#[cfg(not(feature = "crash-points"))]
pub(super) const fn point(_name: &'static str) {}
