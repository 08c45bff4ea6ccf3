//! Named points of the cycle at which a test build can die, so that tests can prove that dying there loses nothing.
//!
//! Without the feature `crash-points` there is nothing here. With it, `main` arms one of the points that are passed, and
//! the log has a line for each at TRACE.

#[cfg(feature = "crash-points")]
mod armed {
    use std::str::FromStr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<(Point, Death)> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    /// One passing of a point, from its text: `7` is the seventh of all, `before a post:2` the second of that name.
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Point {
        name: Option<String>,
        /// Counted from 1.
        number: u64,
    }

    impl FromStr for Point {
        type Err = std::num::ParseIntError;

        fn from_str(text: &str) -> Result<Self, Self::Err> {
            let (name, number) = text.rsplit_once(':').map_or((None, text), |(name, number)| (Some(name), number));
            Ok(Self { name: name.map(str::to_owned), number: number.parse()? })
        }
    }

    /// What ends at an armed point.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Death {
        /// The process, without any clean-up.
        Process,
        /// The task that passes the point, by a panic. The points behind it are passed unharmed.
        Task,
    }

    /// Arms a point, once in the life of a process.
    pub fn arm(point: Point, death: Death) {
        let _ = ARMED.set((point, death));
    }

    pub(in crate::cycle) fn point(name: &'static str) {
        tracing::trace!("crash point: {name}");
        let Some((armed, death)) = ARMED.get() else { return };
        let meant = armed.name.as_ref().is_none_or(|armed| armed == name);
        if !meant || PASSED.fetch_add(1, Ordering::SeqCst) + 1 != armed.number {
            return;
        }
        match death {
            Death::Task => panic!("crash point: {name}"),
            Death::Process => {
                tracing::error!("crash point: {name}");
                std::process::abort();
            }
        }
    }
}

#[cfg(feature = "crash-points")]
pub use armed::{Death, Point, arm};

#[cfg(feature = "crash-points")]
pub(super) use armed::point;

#[cfg(not(feature = "crash-points"))]
pub(super) const fn point(_name: &'static str) {}
