//! One run at a time, each in a task of its own.
//!
//! A dropped connection drops the future of its request, and a panic would take the connection with it. Neither may touch
//! the run, so the run is spawned, and the lock goes along: it is released when the run is over, however it ended, and
//! before anybody hears of it.

use super::{Invocation, Poll, Summary};
use std::sync::Arc;
use tokio::sync::Mutex;

/// Lets one invocation in and turns the others away.
#[derive(Clone)]
pub(super) struct Gate {
    poll: Poll,
    running: Arc<Mutex<()>>,
}

/// What became of an invocation.
pub(super) enum Run {
    /// The poll ran to its end.
    Finished(Summary),
    /// Another one was running, so this one did not.
    Busy,
    /// The poll panicked, or the runtime went away under it.
    Broken,
}

impl Gate {
    pub(super) fn new(poll: Poll) -> Self {
        Self { poll, running: Arc::new(Mutex::new(())) }
    }

    /// Runs the poll unless one is running. When the caller goes away the run goes on.
    pub(super) async fn run(&self, invocation: Invocation) -> Run {
        let Ok(turn) = Arc::clone(&self.running).try_lock_owned() else { return Run::Busy };
        let poll = Arc::clone(&self.poll);
        let run = tokio::spawn(async move {
            let _turn = turn;
            poll(invocation).await
        });
        // The error of a panicked task prints the panic's payload, which may quote anything: it is dropped unread. The
        // panic hook has logged the place.
        run.await.map_or(Run::Broken, Run::Finished)
    }

    /// Waits for the run in progress, if there is one.
    pub(super) async fn idle(&self) {
        drop(self.running.lock().await);
    }
}
