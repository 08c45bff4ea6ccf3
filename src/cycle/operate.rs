//! What an operator does by hand: dead letters, the watermark, a standstill, an order for the past, a test of the way into
//! the tables.
//!
//! It shares the parts of a run and is none: nothing here asks a master or takes a decision that a run takes. It lies
//! within the cycle because only the cycle writes to the store. What is printed, and what has to be confirmed first, is
//! the business of the commands in `cli`.

mod letters;
mod mapping;
mod order;
mod replay;
mod standstill;
mod status;
mod trial;
mod watermark;

pub use letters::{Letter, dead_letter, dead_letters};
pub use order::{
    BackfillProgress, End, Ended, StandingOrder, Withdrawn, WrongOrder, backfill_progress, hand_over, note_ends,
    standing_order, withdraw,
};
pub use replay::{Ending, Replayed, replay};
pub use standstill::{Standstill, pause, paused, resume};
pub use status::status;
pub use trial::send_test;
pub use watermark::{Loss, Moved, Place, move_watermark, place};

use crate::checkpoint::Unreadable;
use crate::http::chain;
use crate::source::Source;
use crate::store::StoreError;

/// Why something was not done by hand, by what the operator can do about it.
#[derive(Debug, thiserror::Error)]
pub enum OperateError {
    /// Try again in a moment.
    #[error("{0} is held by somebody else; try again when that has ended")]
    Busy(String),
    /// There is nothing to work on yet.
    #[error("{instance} {source_name} has no checkpoint, because no run of it has ended yet")]
    NoCheckpoint {
        /// The instance.
        instance: String,
        /// The source.
        source_name: Source,
    },
    /// Runs mend it, or say what to do.
    #[error("the checkpoint cannot be used, and a run has to mend it first")]
    Unreadable(#[from] Unreadable),
    /// What was asked for is wrong.
    #[error("{0}")]
    Refused(String),
    /// The order for a range of the past has to be mended.
    #[error(transparent)]
    WrongOrder(#[from] WrongOrder),
    /// The row that has to tell of it could not be stored.
    #[error("nothing was changed, because the row that has to tell of it was not stored: {0}")]
    NotTold(String),
    /// The store did not do its part.
    #[error("the store did not do its part")]
    Store(#[from] StoreError),
}

impl OperateError {
    /// What to do next, where the sentence does not say it.
    #[must_use]
    pub const fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Store(error) => error.hint(),
            _ => None,
        }
    }

    /// The sentence with its causes and what to do next, on one line.
    #[must_use]
    pub fn told(&self) -> String {
        let hint = self.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        format!("{}{hint}", chain(self))
    }
}
