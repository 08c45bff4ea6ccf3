//! A range that is handed over to the function app, and taken back.

use super::super::selection::failed;
use super::super::{FAILED, print};
use super::Range;
use crate::app::{App, Choice};
use crate::backfill;
use crate::cycle::operate::{self, StandingOrder, Withdrawn};
use crate::http::system_clock;
use std::num::NonZeroU32;
use std::process::ExitCode;

/// Writes the order, if every chosen source may be read as things are now.
pub(super) async fn hand_over(app: &App, range: Range, choice: Choice, requests_per_minute: NonZeroU32) -> ExitCode {
    let mut refused = false;
    for job in app.jobs().filter(|job| choice.holds(job)) {
        if let Err(why) = backfill::examine(job, &range.order()).await {
            tracing::error!("{} {}: {why}", job.instance, job.source);
            refused = true;
        }
    }
    if refused {
        return ExitCode::from(FAILED);
    }
    let order = StandingOrder {
        from: range.from,
        to: range.to,
        instance: choice.instance,
        source: choice.source,
        force: range.force,
        requests_per_minute,
        ordered_at: Some(system_clock()),
        ended: Vec::new(),
        completed_at: None,
    };
    if let Err(error) = operate::hand_over(app.store(), &order).await {
        return failed(&error);
    }
    print(&format!(
        "The range {} to {} is handed over. The function app works on it with each tick of its timer, after live polling, until \
         it is complete; each time a health row with the Work Backfill says how far it is. backfill --withdraw takes it back.\n",
        order.from, order.to
    ));
    ExitCode::SUCCESS
}

/// Takes the order back.
pub(super) async fn withdraw(app: &App) -> ExitCode {
    let what = match operate::withdraw(app.store()).await {
        Ok(Withdrawn::Removed) => {
            "The order is taken back; a slice that is under way still ends. The same order goes on where this one stopped.\n"
                .to_owned()
        }
        Ok(Withdrawn::Completed(at)) => format!("Nothing to take back: the last order was complete at {at}.\n"),
        Ok(Withdrawn::Nothing) => "Nothing to take back: no order stands.\n".to_owned(),
        Err(error) => return failed(&error),
    };
    print(&what);
    ExitCode::SUCCESS
}
