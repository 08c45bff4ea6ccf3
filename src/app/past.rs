//! A standing order for a range of the past, worked off beside live polling and yielding to it.
//!
//! It has what is left of a tick after live polling, a share of the timer's interval at most, and no source that live
//! polling has trouble with. What a tick does not come to the end of goes on with the next one, from the range's own
//! checkpoint. Where the order is and what it says is [`operate`]'s business, how a range is read [`crate::backfill`]'s.

mod turns;

pub(super) use turns::Paced;

use super::{App, Choice, Work, log_report};
use crate::backfill::{Order, Overlap};
use crate::cycle::operate::{self, End, Ended, StandingOrder};
use crate::cycle::{Limits, Manner, Progress, Start};
use crate::http::{Deadline, SharedBudget};
use crate::report::{Failure, FailureClass, Outcome, Report};
use std::time::Duration;
use tokio::sync::watch;
use turns::Share;

/// Of the time between two ticks the past gets so much in a hundred.
const SHARE: u32 = 30;
const LEAST: Duration = Duration::from_secs(10);
const MOST: Duration = Duration::from_secs(120);
/// Where the host does not tell how often the timer fires.
const UNKNOWN: Duration = Duration::from_secs(90);

/// What one tick of the timer came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tick {
    /// Of every source, and behind them those of a range of the past.
    pub reports: Vec<Report>,
    /// Why a standing order could not be followed at all, where that is no matter of one source.
    pub problem: Option<String>,
}

impl App {
    /// One poll of everything, and then as much of a standing order for the past as there is time for. `interval` is the
    /// time from the tick before to this one, where it is known.
    pub async fn tick(&self, interval: Option<Duration>) -> Tick {
        let limits = self.limits();
        let reports = self.poll_within(&limits).await;
        let mut tick = Tick { reports, problem: None };
        // Asked for only now, so that live polling never waits for it.
        tick.problem = self.go_on_with_the_past(&mut tick.reports, &limits, share(interval)).await.err();
        if let Some(problem) = &tick.problem {
            tracing::error!("darktrace: {problem}");
        }
        self.paced.note_problem(tick.problem.as_ref()).await;
        tick
    }

    async fn go_on_with_the_past(
        &self,
        reports: &mut Vec<Report>,
        limits: &Limits,
        share: Duration,
    ) -> Result<(), String> {
        if *self.drain.borrow() || limits.deadline.passed() {
            return Ok(());
        }
        let order = operate::standing_order(&self.store).await.map_err(|error| error.told())?;
        let Some(order) = order.filter(|order| order.completed_at.is_none()) else {
            self.paced.forget_troubles(&[]).await;
            return Ok(());
        };
        let chosen = self.chosen(&order)?;
        self.paced.forget_troubles(&chosen).await;
        let deadline = Deadline::after(share.min(limits.deadline.remaining()));
        let past = self.work_off(order, &chosen, reports, &Limits { deadline, ..limits.clone() }).await;
        reports.extend(past);
        Ok(())
    }

    /// The places of what is ordered. A name that is misspelt must not look like a range without alerts.
    fn chosen(&self, order: &StandingOrder) -> Result<Vec<usize>, String> {
        let choice = Choice { instance: order.instance.clone(), source: order.source };
        let places = self.work.iter().enumerate().filter(|(_, work)| choice.holds(&work.job)).map(|(place, _)| place);
        let chosen: Vec<usize> = places.collect();
        if chosen.is_empty() {
            let there: Vec<_> = self.jobs().map(|job| format!("{} {}", job.instance, job.source)).collect();
            return Err(format!(
                "no enabled source fits instance and source of the order in control/backfill.json; there are: {}. Mend it, or \
                 remove it with backfill --withdraw",
                there.join(", ")
            ));
        }
        Ok(chosen)
    }

    /// One source after the other, in turn, as far as the time goes. `live` are the reports of live polling, in the order of the work.
    async fn work_off(
        &self,
        mut order: StandingOrder,
        chosen: &[usize],
        live: &[Report],
        limits: &Limits,
    ) -> Vec<Report> {
        let paced = self.paced.of(&self.work, order.requests_per_minute).await;
        let (mut reports, before) = (Vec::new(), order.ended.len());
        for place in self.paced.in_turn(chosen) {
            let (Some(work), Some(polled)) = (paced.get(place), live.get(place)) else { continue };
            if *self.drain.borrow() || limits.deadline.passed() {
                break;
            }
            if order.end_of(&work.job).is_some() || !leaves_room(polled) {
                continue;
            }
            let report = self.take_turn(work, &order, limits).await;
            self.paced.note_turn(place, &report).await;
            let share = if reports.is_empty() { Share::Whole } else { Share::Rest };
            self.paced.had_a_turn(place, share, &report.outcome);
            order.ended.extend(end(&report));
            reports.push(report);
        }
        let is_done = chosen.iter().all(|&place| self.work.get(place).is_some_and(|w| order.end_of(&w.job).is_some()));
        order.completed_at = is_done.then(|| (self.clock)());
        if order.ended.len() > before || is_done {
            self.note(&order).await;
        }
        reports
    }

    async fn take_turn(&self, work: &Work, order: &StandingOrder, limits: &Limits) -> Report {
        let limits = Limits { budget: SharedBudget::default(), ..limits.clone() };
        let mut report = work.backfill(limits, &range(order), &watch::Sender::new(Progress::default())).await;
        if let Outcome::Failed(Failure { class: FailureClass::Configuration, message, .. }) = &mut report.outcome {
            message.push_str("; the order stands until it succeeds or backfill --withdraw takes it back");
        }
        log_report(&report);
        self.tell_health(std::slice::from_ref(&report)).await;
        report
    }

    /// That this fails costs a look at the checkpoint with the next tick, and no question to a master.
    async fn note(&self, order: &StandingOrder) {
        match operate::note_ends(&self.store, order).await {
            Ok(true) if order.completed_at.is_some() => {
                let StandingOrder { from, to, .. } = order;
                tracing::info!("darktrace: the order for {from} to {to} is complete");
            }
            Ok(_) => {}
            Err(error) => {
                tracing::warn!("darktrace: what has ended of the order was not written down: {}", error.told());
            }
        }
    }
}

/// How long the past may take in one tick.
fn share(interval: Option<Duration>) -> Duration {
    interval.map_or(UNKNOWN, |interval| (interval.saturating_mul(SHARE) / 100).clamp(LEAST, MOST))
}

/// Whether live polling has no use for the time itself: it came to its end, or the master does not give it anything.
const fn leaves_room(live: &Report) -> bool {
    matches!(live.outcome, Outcome::Complete | Outcome::Unavailable(_)) && !live.catching_up
}

fn end(report: &Report) -> Option<Ended> {
    let end = match report.outcome {
        Outcome::Complete => End::Complete,
        Outcome::Unavailable(_) => End::Unavailable,
        _ => return None,
    };
    Some(Ended { instance: report.instance.clone(), source: report.source, end, at: report.finished })
}

const fn range(order: &StandingOrder) -> Order {
    Order {
        from: order.from,
        until: order.to,
        overlap: if order.force { Overlap::SetAside } else { Overlap::Refused },
        start: Start::Resume,
        manner: Manner::Posted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::Instant;
    use crate::report::{Pause, Phase};
    use crate::source::Source;

    #[test]
    fn the_share_is_thirty_percent_of_the_interval_within_its_limits() {
        for (interval, seconds) in [(60, 18), (300, 90), (1, 10), (33, 10), (400, 120), (86_400, 120)] {
            assert_eq!(share(Some(Duration::from_secs(interval))), Duration::from_secs(seconds), "{interval}");
        }
        assert_eq!(share(None), Duration::from_secs(90));
        assert_eq!(share(Some(Duration::MAX)), MOST, "no outage is too long");
    }

    #[test]
    fn only_a_source_that_live_polling_is_done_with_gets_a_turn() {
        let report = |outcome| Report { outcome, ..Report::begin("hq", Source::ALL[0], "run", Instant(0)) };
        let (class, phase) = (FailureClass::Transient, Phase::Fetch);
        let failure = || Failure { class, phase, status: None, message: String::new() };
        assert!(leaves_room(&report(Outcome::Complete)) && leaves_room(&report(Outcome::Unavailable(failure()))));
        assert!(!leaves_room(&Report { catching_up: true, ..report(Outcome::Complete) }));
        for outcome in
            [Outcome::Failed(failure()), Outcome::Partial(Pause::Deadline), Outcome::Skipped, Outcome::Paused(None)]
        {
            assert!(!leaves_room(&report(outcome.clone())), "{outcome:?}");
        }
    }

    #[test]
    fn what_may_go_on_with_the_next_tick_has_not_ended() {
        let report = |outcome| Report { outcome, ..Report::begin("hq", Source::ALL[0], "run", Instant(0)) };
        assert_eq!(end(&report(Outcome::Complete)).map(|ended| ended.end), Some(End::Complete));
        assert_eq!(end(&report(Outcome::Partial(Pause::Deadline))), None);
        assert_eq!(end(&report(Outcome::Skipped)), None);
    }
}
