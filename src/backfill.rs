//! A range of the past that an operator chooses: what of it may be read, and what is left to live polling.
//!
//! Live polling delivers everything from the begin of its first run's look-back on. A backfill ends before that, so that
//! neither delivers what the other does; an overlap has to be asked for. How a range is read is [`crate::cycle`]'s business,
//! which keeps a lease and a checkpoint for it; who asked for it, and how its progress is shown, is not known here.

use crate::checkpoint::EARLIEST;
use crate::cycle::{self, Job, Limits, Living, Manner, Progress, Range, Start};
use crate::instant::Instant;
use crate::report::{Failure, FailureClass, Outcome, Phase, Report, Work};
use crate::secret::Secret;
use std::time::Duration;
use tokio::sync::watch;

/// What an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// The first moment of the range.
    pub from: Instant,
    /// The first moment behind it.
    pub until: Instant,
    /// What is done where live polling delivers too.
    pub overlap: Overlap,
    /// What is done about an earlier range.
    pub start: Start,
    /// What is done with rows.
    pub manner: Manner,
}

/// What is done where live polling delivers too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// The range is refused.
    Refused,
    /// What live polling knows that it delivered is set aside.
    SetAside,
}

/// Why a range is not read. Each says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing lies in it.
    #[error("the range ends before it begins; give an earlier --from or a later --to")]
    Empty,
    /// A number was taken for a time, most likely.
    #[error("the range begins before {EARLIEST}, when no appliance kept alerts; give a later --from")]
    TooEarly,
    /// Records may still appear there.
    #[error("the range ends in the future; it may go up to --to {0}")]
    Future(Instant),
    /// Live polling has been there.
    #[error(
        "live polling delivers from {0} on; the range may go up to --to {0}. With --force it may overlap, and what live \
         polling still knows that it delivered is set aside"
    )]
    Live(Instant),
    /// Live polling will go there.
    #[error(
        "live polling has not run yet and its first run reads from about {0} on; the range may go up to --to {0}, or further \
         with --force, and what both read is stored twice then"
    )]
    FirstRun(Instant),
}

/// Reads the range of `order` for one source, or as much of it as `limits` let it; the next call goes on from there. Never
/// fails: a failure is an outcome.
pub async fn run(
    job: &Job,
    private_token: &Secret,
    limits: Limits,
    order: &Order,
    progress: &watch::Sender<Progress>,
) -> Report {
    let ends = |outcome| {
        let report = Report::begin(&job.instance, job.source, &limits.run_id, (job.clock)());
        Report { work: Work::Backfill, outcome, ..report }
    };
    let (living, permit) = match look(job, order).await {
        Ok(found) => found,
        Err(outcome) => return ends(outcome),
    };
    let &Order { from, until, start, manner, .. } = order;
    let range = Range { from, to: until - MOMENT, start, manner, beyond: permit.beyond };
    let mut report = cycle::run_range(job, private_token, limits, &range, living, progress).await;
    report.warnings.extend(permit.warning);
    report
}

/// Whether the range of `order` may be read for `job` as things are now, without asking a master.
///
/// # Errors
/// Why not, and what to do, on one line.
pub async fn examine(job: &Job, order: &Order) -> Result<(), String> {
    match look(job, order).await {
        Err(Outcome::Failed(failure)) => Err(failure.message),
        _ => Ok(()),
    }
}

/// What live polling delivers, and what of the range is left by it.
async fn look(job: &Job, order: &Order) -> Result<(Option<Living>, Permit), Outcome> {
    let living = cycle::live_polling(job).await?;
    let known = living.as_ref().map(|living| Polled { begin: living.begin, floor: living.floor });
    let permit = permit(order, known, job.client.now(), job.reach.initial).map_err(refused)?;
    Ok((living, permit))
}

/// The smallest step of time.
const MOMENT: Duration = Duration::from_millis(1);

/// What live polling says of itself.
#[derive(Clone, Copy, Debug)]
struct Polled {
    begin: Instant,
    floor: Instant,
}

/// A range that may be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Permit {
    beyond: Option<Instant>,
    warning: Option<String>,
}

fn permit(order: &Order, polled: Option<Polled>, now: Instant, lookback: Duration) -> Result<Permit, Refusal> {
    if order.until <= order.from {
        return Err(Refusal::Empty);
    }
    if order.from < EARLIEST {
        return Err(Refusal::TooEarly);
    }
    if order.until > now {
        return Err(Refusal::Future(now));
    }
    match (polled, order.overlap) {
        (Some(Polled { begin, .. }), _) if order.until <= begin => {
            Ok(Permit { beyond: Some(begin), ..Permit::default() })
        }
        (Some(Polled { begin, .. }), Overlap::Refused) => Err(Refusal::Live(begin)),
        (Some(polled), Overlap::SetAside) => Ok(Permit { warning: forgotten(order, polled), ..Permit::default() }),
        (None, Overlap::Refused) if order.until > now - lookback => Err(Refusal::FirstRun(now - lookback)),
        (None, _) => Ok(Permit::default()),
    }
}

/// What live polling delivered so long ago that it no longer knows it.
fn forgotten(order: &Order, Polled { begin, floor }: Polled) -> Option<String> {
    let (from, until) = (order.from.max(begin), order.until.min(floor));
    (from < until).then(|| {
        format!(
            "live polling no longer knows what it delivered from {from} to {until}; rows of that time are stored again, with \
             the EventKey that they had"
        )
    })
}

fn refused(refusal: Refusal) -> Outcome {
    let (class, message) = (FailureClass::Configuration, refusal.to_string());
    Outcome::Failed(Failure { class, phase: Phase::Run, status: None, message })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1_767_225_600_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn order(from: u32, until: u32, overlap: Overlap) -> Order {
        let (from, until) = (NOW - DAY * from, NOW - DAY * until);
        Order { from, until, overlap, start: Start::Resume, manner: Manner::Posted }
    }

    /// Live polling began ten days ago and remembers one.
    fn asked(order: &Order) -> Result<Permit, Refusal> {
        permit(order, Some(Polled { begin: NOW - DAY * 10, floor: NOW - DAY }), NOW, DAY)
    }

    #[test]
    fn a_range_may_go_up_to_where_live_polling_began_and_not_to_where_it_remembers() {
        assert_eq!(asked(&order(30, 10, Overlap::Refused)).map(|permit| permit.beyond), Ok(Some(NOW - DAY * 10)));
        assert_eq!(asked(&order(30, 9, Overlap::Refused)), Err(Refusal::Live(NOW - DAY * 10)));
        assert_eq!(asked(&order(5, 2, Overlap::Refused)), Err(Refusal::Live(NOW - DAY * 10)));
    }

    #[test]
    fn before_live_polling_runs_the_reach_of_its_first_run_is_left_to_it() {
        let asked = |until, overlap| permit(&order(30, until, overlap), None, NOW, DAY);
        assert_eq!(asked(1, Overlap::Refused), Ok(Permit::default()));
        assert_eq!(asked(0, Overlap::Refused), Err(Refusal::FirstRun(NOW - DAY)));
        assert_eq!(asked(0, Overlap::SetAside), Ok(Permit::default()));
    }

    #[test]
    fn an_overlap_that_is_asked_for_says_what_is_stored_again() {
        assert_eq!(asked(&order(1, 0, Overlap::SetAside)), Ok(Permit::default()), "all of it is remembered");
        let warning = asked(&order(30, 0, Overlap::SetAside)).unwrap().warning.unwrap();
        assert!(warning.contains(&format!("from {} to {}", NOW - DAY * 10, NOW - DAY)), "{warning}");
    }

    #[test]
    fn what_is_no_range_of_the_past_is_refused() {
        assert_eq!(asked(&order(5, 5, Overlap::SetAside)), Err(Refusal::Empty));
        let future = Order { until: NOW + DAY, ..order(5, 5, Overlap::SetAside) };
        assert_eq!(asked(&future), Err(Refusal::Future(NOW)));
        let early = Order { from: Instant(1_767_225_600), ..order(5, 4, Overlap::SetAside) };
        assert_eq!(asked(&early), Err(Refusal::TooEarly));
    }

    #[test]
    fn a_refusal_says_up_to_where_the_range_may_go() {
        let told = asked(&order(30, 9, Overlap::Refused)).unwrap_err().to_string();
        assert!(told.contains("the range may go up to --to 2025-12-22T00:00:00.000Z."), "{told}");
    }
}
