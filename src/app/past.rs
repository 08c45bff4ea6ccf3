//! A standing order for a range of the past, worked off beside live polling and yielding to it.
//!
//! It has what is left of a tick after live polling, a share of the timer's interval at most, and no source that live
//! polling has trouble with. What a tick does not come to the end of goes on with the next one, from the range's own
//! checkpoint. Where the order is and what it says is [`operate`]'s business, how a range is read [`crate::backfill`]'s.

use super::{App, Choice, Work, log_report};
use crate::backfill::{Order, Overlap};
use crate::cycle::operate::{self, End, Ended, StandingOrder};
use crate::cycle::{Limits, Manner, Progress, Start};
use crate::darktrace::Client;
use crate::http::{Deadline, Pace, SharedBudget};
use crate::report::{Failure, FailureClass, Outcome, Pause, Report};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

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

/// The work of the app at the pace of an order, and whose turn it is. It lives as long as the process, so that both hold
/// from tick to tick.
#[derive(Debug, Default)]
pub(super) struct Paced {
    work: Mutex<Option<(NonZeroU32, Vec<Arc<Work>>)>>,
    /// The place in the work that a tick begins with. A slow master that began every tick would keep all others waiting.
    next: AtomicUsize,
    /// What is in the way of the order, by the source that it is in the way of; what holds for all of them has no source.
    troubles: Mutex<BTreeMap<Option<String>, String>>,
}

impl Paced {
    /// `work`, in its order, with one paced client for each instance.
    async fn of(&self, work: &[Arc<Work>], per_minute: NonZeroU32) -> Vec<Arc<Work>> {
        let mut kept = self.work.lock().await;
        match &*kept {
            Some((pace, paced)) if *pace == per_minute => paced.clone(),
            _ => {
                let paced = beside(work, per_minute);
                *kept = Some((per_minute, paced.clone()));
                paced
            }
        }
    }
}

impl Paced {
    /// `places`, which ascend, from the one on whose turn it is.
    fn in_turn<'a>(&self, places: &'a [usize]) -> impl Iterator<Item = usize> + use<'a> {
        let first = self.next.load(Ordering::Relaxed);
        let (before, behind) = places.split_at(places.partition_point(|place| *place < first));
        behind.iter().chain(before).copied()
    }

    /// The one at `place` had its turn, as the first of its tick or with what the others had left.
    fn had_a_turn(&self, place: usize, share: Share, outcome: &Outcome) {
        // Who got only a rest, and was cut short in it, begins the next tick.
        let cut_short = share == Share::Rest && *outcome == Outcome::Partial(Pause::Deadline);
        self.next.store(if cut_short { place } else { place + 1 }, Ordering::Relaxed);
    }
}

/// What a source had of a tick's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Share {
    Whole,
    Rest,
}

fn beside(work: &[Arc<Work>], per_minute: NonZeroU32) -> Vec<Arc<Work>> {
    let mut clients: BTreeMap<&str, Arc<Client>> = BTreeMap::new();
    let paced = work.iter().map(|work| {
        let slow = || Arc::new(work.job.client.beside(Pace::per_minute(per_minute)));
        let client = clients.entry(&work.job.instance).or_insert_with(slow);
        Arc::new(Work {
            job: work.job.by_way_of(Arc::clone(client)),
            token: work.token.clone(),
            destination: Arc::clone(&work.destination),
            vault_audience: work.vault_audience,
        })
    });
    paced.collect()
}

impl Paced {
    /// What is in the way of the order, for whoever looks; `None` as long as nothing is.
    pub(super) async fn trouble(&self) -> Option<String> {
        let troubles = self.troubles.lock().await;
        let (subject, trouble) = troubles.first_key_value()?;
        let subject = subject.as_ref().map(|subject| format!("{subject}: ")).unwrap_or_default();
        let others = match troubles.len() - 1 {
            0 => String::new(),
            others => format!(" (and {others} more, see the log)"),
        };
        Some(format!("{subject}{trouble}{others}"))
    }

    async fn note_turn(&self, report: &Report) {
        let (subject, mut troubles) = (Some(report.subject()), self.troubles.lock().await);
        match &report.outcome {
            Outcome::Failed(failure) => troubles.insert(subject, failure.message.clone()),
            _ => troubles.remove(&subject),
        };
    }

    async fn note_problem(&self, problem: Option<&String>) {
        let mut troubles = self.troubles.lock().await;
        match problem {
            Some(problem) => troubles.insert(None, problem.clone()),
            None => troubles.remove(&None),
        };
    }
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
            self.paced.troubles.lock().await.clear();
            return Ok(());
        };
        let chosen = self.chosen(&order)?;
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
        self.paced.note_turn(&report).await;
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
    use crate::report::Phase;
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
    fn each_source_gets_its_turn_however_slow_the_others_are() {
        let (paced, places) = (Paced::default(), [0, 2, 5]);
        let order = |paced: &Paced| paced.in_turn(&places).collect::<Vec<_>>();
        assert_eq!(order(&paced), [0, 2, 5]);
        let slow = Outcome::Partial(Pause::Deadline);
        paced.had_a_turn(0, Share::Whole, &slow);
        assert_eq!(order(&paced), [2, 5, 0], "who had all of a tick waits for the others");
        paced.had_a_turn(2, Share::Whole, &Outcome::Complete);
        paced.had_a_turn(5, Share::Rest, &slow);
        assert_eq!(order(&paced), [5, 0, 2], "a rest of a tick was no turn");
        paced.had_a_turn(5, Share::Rest, &Outcome::Complete);
        assert_eq!(order(&paced), [0, 2, 5]);
    }

    #[test]
    fn what_may_go_on_with_the_next_tick_has_not_ended() {
        let report = |outcome| Report { outcome, ..Report::begin("hq", Source::ALL[0], "run", Instant(0)) };
        assert_eq!(end(&report(Outcome::Complete)).map(|ended| ended.end), Some(End::Complete));
        assert_eq!(end(&report(Outcome::Partial(Pause::Deadline))), None);
        assert_eq!(end(&report(Outcome::Skipped)), None);
    }
}
