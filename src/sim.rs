//! Simulated remotes: a Darktrace appliance, a Logs Ingestion endpoint, and an identity endpoint with a key vault.
//!
//! They speak the real protocols over real sockets, so the `demo` command and the integration tests need no cloud account
//! and no appliance. Each takes a bound listener, answers until its last handle is dropped or `shutdown` is called, can be
//! told to misbehave, and hands out what it saw as plain data.
//!
//! They deliberately know nothing of the rest of the crate: own dates, own signature check, own JSON. A mistake in shared
//! code would cancel itself out between client and simulator, and no test would see it.
//!
//! Start with [`appliance::Appliance`], [`ingestion::Ingestion`] and [`identity::Identity`].
//!
//! ```
//! use darktrace_sentinel::sim::appliance::{AlertSpec, Appliance, Fault, Tokens};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! // Port 0: the system picks a free one, so tests never fight over it.
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let appliance = Appliance::start(listener, Tokens { public: "public".into(), private: "private".into() });
//!
//! appliance.issue_alert(AlertSpec { score: Some(0.9), ..AlertSpec::default() });
//! appliance.fail_next(Fault::LoginPage, 1);
//! println!("poll {} now", appliance.base_url());
//! assert!(appliance.seen().is_empty());
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```

pub mod appliance;
pub mod identity;
pub mod ingestion;

mod body;
mod calendar;
mod faults;
mod query;
mod server;
mod story;
mod token;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// When a refused client may come back: the value of a `Retry-After` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// `Retry-After: 7`
    Seconds(u64),
    /// `Retry-After: Thu, 01 Jan 2026 00:00:00 GMT`, from epoch milliseconds.
    AtMs(i64),
}

impl RetryAfter {
    fn header(self) -> String {
        match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::AtMs(at) => calendar::http_date(at),
        }
    }
}

/// Plain data stays usable after a panic in some test thread, so poison is not an error here.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
