//! Why a run of one source ends before it has read everything: a pause that the next tick makes up for, or a failure.

use crate::darktrace::AskError;
use crate::http::{Deadline, SharedBudget};
use crate::identity::TokenError;
use crate::ingestion::Rejection;
use crate::instant::Instant;
use crate::report::{Failure, FailureClass, Outcome, Pause, Phase};
use crate::store::StoreError;
use tokio::sync::watch;

/// What bounds a run.
#[derive(Clone, Debug)]
pub struct Limits {
    /// No new work is begun after it.
    pub deadline: Deadline,
    /// Becomes true when the process is asked to end.
    pub drain: watch::Receiver<bool>,
    /// The retries that all requests of the run share.
    pub budget: SharedBudget,
    /// Names the run.
    pub run_id: String,
}

impl Limits {
    /// The pause that is due, if one is.
    pub(super) fn reached(&self) -> Option<Pause> {
        if *self.drain.borrow() {
            Some(Pause::Drain)
        } else if self.deadline.passed() {
            Some(Pause::Deadline)
        } else {
            None
        }
    }

    /// Resolves at the deadline.
    pub(super) async fn expired(&self) {
        tokio::time::sleep(self.deadline.remaining()).await;
    }

    /// Resolves when the process is asked to end.
    pub(super) async fn drained(&self) {
        let mut drain = self.drain.clone();
        if drain.wait_for(|drained| *drained).await.is_err() {
            // Whoever could have asked is gone.
            std::future::pending().await
        }
    }
}

/// Why the run ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Another run holds the lease.
    Skipped,
    /// An operator paused the source at that time.
    Standstill(Option<Instant>),
    Pause(Pause),
    /// The master does not give this source, and never did.
    Unavailable(Failure),
    Failed(Failure),
}

impl Stop {
    pub(super) fn failed(class: FailureClass, phase: Phase, message: impl Into<String>) -> Self {
        Self::Failed(Failure { class, phase, status: None, message: message.into() })
    }

    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Skipped => Outcome::Skipped,
            Self::Standstill(since) => Outcome::Paused(since),
            Self::Pause(pause) => Outcome::Partial(pause),
            Self::Unavailable(failure) => Outcome::Unavailable(failure),
            Self::Failed(failure) => Outcome::Failed(failure),
        }
    }
}

/// A question that was not answered, as a failure of the run.
pub(super) fn unanswered(error: &AskError) -> Failure {
    let (class, status) = (error.fault.class(), error.fault.status());
    Failure { class, phase: Phase::Fetch, status, message: error.to_string() }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        let class = match error {
            StoreError::Conflict { .. } | StoreError::Unavailable { .. } => FailureClass::Transient,
            StoreError::Denied { .. } | StoreError::Misconfigured { .. } => FailureClass::Configuration,
        };
        let next = error.hint().unwrap_or("the next run tries again");
        Self::failed(class, Phase::Checkpoint, format!("{}; {next}", crate::http::chain(&error)))
    }
}

impl From<TokenError> for Stop {
    fn from(error: TokenError) -> Self {
        Self::failed(FailureClass::Configuration, Phase::Post, error.to_string())
    }
}

impl From<Rejection> for Stop {
    fn from(error: Rejection) -> Self {
        let class = match error {
            Rejection::Later { .. } => FailureClass::Transient,
            _ => FailureClass::Configuration,
        };
        Self::Failed(Failure { class, phase: Phase::Post, status: error.status(), message: error.to_string() })
    }
}
