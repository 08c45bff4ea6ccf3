//! Asking for a slice, and taking in its records while they arrive.
//!
//! What an answer means is [`crate::darktrace`]'s business; here it is decided whether a broken one is asked for again in
//! halves. What becomes of a record is decided in `intake`, what becomes of full batches in `dispatch`.

use super::crash;
use super::intake::Desk;
use super::{Fetched, LARGEST_RECORD, PROBE_AFTER, Run, Stop};
use crate::checkpoint::Basis;
use crate::darktrace::{Fault, window};
use crate::http::Attempts;
use crate::records::{SplitError, Splitter};
use crate::retry;
use crate::source::Source;
use crate::window::Slice;
use std::sync::atomic::Ordering;

impl<'a> Run<'a> {
    /// Asks for a slice and takes in its records while they arrive. Full batches go out in the meantime.
    pub(super) async fn fetch(&mut self, slice: &Slice) -> Result<Fetched, Stop> {
        let (job, basis) = (self.job, self.ledger.checkpoint.basis);
        let target = window(job.source, basis, slice.from, slice.to);
        crash::point("before a question");
        let mut answer = match job.client.ask(job.source.path(), &target, self.private_token, self.attempts()).await {
            Ok(answer) => answer,
            Err(error)
                if error.fault == Fault::Parameter && basis != Basis::Activity && job.source == Source::ModelAlerts =>
            {
                return Ok(Fetched::CreationRefused);
            }
            Err(error) => {
                if matches!(error.fault, Fault::TimedOut(_) | Fault::Server { .. }) {
                    // It may be the width of the window that the appliance cannot bear.
                    self.ask_for_less();
                }
                return Err(error.into());
            }
        };
        crash::point("answer begun");
        let mut splitter = Splitter::new(LARGEST_RECORD);
        loop {
            let piece = match answer.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(fault) => return self.broken(fault),
            };
            let fed = self.feed(slice, &mut splitter, &piece);
            self.send_full().await?;
            if let Err(error) = fed {
                return self.broken(error.into());
            }
            self.may_go_on()?;
        }
        crash::point("answer read");
        match splitter.finish() {
            Ok(()) => Ok(Fetched::Whole(answer.date)),
            Err(error) => self.broken(error.into()),
        }
    }

    fn feed(&mut self, slice: &Slice, splitter: &mut Splitter, piece: &[u8]) -> Result<(), SplitError> {
        let desk = self.desk(slice);
        let (intake, delivered) = (&mut self.intake, &self.ledger.checkpoint.delivered);
        splitter.feed(piece, |record| intake.take(&desk, delivered, record))
    }

    pub(super) fn desk(&self, slice: &Slice) -> Desk<'a> {
        Desk {
            instance: &self.job.instance,
            base_url: self.job.client.base_url(),
            source: self.job.source,
            filter: &self.job.filter,
            slice: *slice,
            basis: self.ledger.checkpoint.basis,
            now: (self.job.clock)(),
        }
    }

    /// A body that broke: half of the window may do better, unless the fault is none of its size.
    pub(super) fn broken(&self, fault: Fault) -> Result<Fetched, Stop> {
        if fault.narrows() {
            Ok(Fetched::Broken(fault))
        } else {
            Err(self.job.client.error(self.job.source.path(), fault).into())
        }
    }

    pub(super) fn attempts(&mut self) -> Attempts {
        self.requests += 1;
        let failing = self.job.failed_runs.load(Ordering::Relaxed) >= PROBE_AFTER;
        let policy = if failing { retry::APPLIANCE.probe() } else { retry::APPLIANCE };
        Attempts::new(policy, self.limits.deadline, &self.limits.budget)
    }
}
