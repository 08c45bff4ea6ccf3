//! Named points of the cycle at which a test build can die, so that tests can prove that dying there loses nothing.
//!
//! Without the feature `crash-points` there is nothing here. With it, `main` arms the n-th point that is passed.

#[cfg(feature = "crash-points")]
mod armed {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    static LEFT: AtomicU64 = AtomicU64::new(0);
    static PANICS: AtomicBool = AtomicBool::new(false);

    /// What ends at an armed point.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Death {
        /// The process, without any clean-up.
        Process,
        /// The task that passes the point, by a panic. The points behind it are passed unharmed.
        Task,
    }

    /// Arms the `n`-th point that is passed, counted from 1; 0 arms none.
    pub fn arm(n: u64, death: Death) {
        PANICS.store(death == Death::Task, Ordering::SeqCst);
        LEFT.store(n, Ordering::SeqCst);
    }

    pub(in crate::cycle) fn point(name: &'static str) {
        let left = LEFT.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left != Ok(1) {
            return;
        }
        if PANICS.load(Ordering::SeqCst) {
            panic!("crash point: {name}");
        }
        tracing::error!("crash point: {name}");
        std::process::abort();
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{Death, arm};

#[cfg(feature = "crash-points")]
pub(super) use armed::point;

#[cfg(not(feature = "crash-points"))]
pub(super) const fn point(_name: &'static str) {}
