//! The work on an order from tick to tick: its pace, whose turn it is, and what is in its way.

use super::Work;
use crate::darktrace::Client;
use crate::http::Pace;
use crate::report::{Outcome, Pause, Report};
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Mutex;

/// The work of the app at the pace of an order. It lives as long as the process, so that what it keeps holds from tick to
/// tick.
#[derive(Debug, Default)]
pub(in crate::app) struct Paced {
    work: Mutex<Option<(NonZeroU32, Vec<Arc<Work>>)>>,
    /// The place in the work that a tick begins with. A slow master that began every tick would keep all others waiting.
    next: AtomicUsize,
    /// What is in the way of the order, by the place of the source that it is in the way of; what holds for all has none.
    troubles: Mutex<BTreeMap<Option<usize>, String>>,
}

/// What a source had of a tick's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    Whole,
    Rest,
}

impl Paced {
    /// `work`, in its order, with one paced client for each instance.
    pub(super) async fn of(&self, work: &[Arc<Work>], per_minute: NonZeroU32) -> Vec<Arc<Work>> {
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

    /// `places`, which ascend, from the one on whose turn it is.
    pub(super) fn in_turn<'a>(&self, places: &'a [usize]) -> impl Iterator<Item = usize> + use<'a> {
        let first = self.next.load(Ordering::Relaxed);
        let (before, behind) = places.split_at(places.partition_point(|place| *place < first));
        behind.iter().chain(before).copied()
    }

    /// The one at `place` had its turn, as the first of its tick or with what the others had left.
    pub(super) fn had_a_turn(&self, place: usize, share: Share, outcome: &Outcome) {
        // Who got only a rest, and was cut short in it, begins the next tick.
        let cut_short = share == Share::Rest && *outcome == Outcome::Partial(Pause::Deadline);
        self.next.store(if cut_short { place } else { place + 1 }, Ordering::Relaxed);
    }

    /// What is in the way of the order, for whoever looks; `None` as long as nothing is.
    pub(in crate::app) async fn trouble(&self) -> Option<String> {
        let troubles = self.troubles.lock().await;
        let trouble = troubles.values().next()?;
        Some(match troubles.len() - 1 {
            0 => trouble.clone(),
            others => format!("{trouble} (and {others} more, see the log)"),
        })
    }

    /// Forgets what was in the way of sources that are not at `places`, which are those of the order.
    pub(super) async fn forget_troubles(&self, places: &[usize]) {
        self.troubles.lock().await.retain(|place, _| place.is_none_or(|place| places.contains(&place)));
    }

    pub(super) async fn note_turn(&self, place: usize, report: &Report) {
        let mut troubles = self.troubles.lock().await;
        match &report.outcome {
            Outcome::Failed(failure) => {
                troubles.insert(Some(place), format!("{}: {}", report.subject(), failure.message))
            }
            _ => troubles.remove(&Some(place)),
        };
    }

    pub(super) async fn note_problem(&self, problem: Option<&String>) {
        let mut troubles = self.troubles.lock().await;
        match problem {
            Some(problem) => troubles.insert(None, problem.clone()),
            None => troubles.remove(&None),
        };
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::Instant;
    use crate::report::{Failure, FailureClass, Phase};
    use crate::source::Source;

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

    #[tokio::test]
    async fn what_is_in_the_way_is_told_until_it_is_gone_or_no_longer_asked_for() {
        let paced = Paced::default();
        let report = |name: &str| Report::begin(name, Source::ALL[0], "run", Instant(0));
        let failed = |name: &str| {
            let (class, phase, message) = (FailureClass::Transient, Phase::Fetch, "no answer came".to_owned());
            Report { outcome: Outcome::Failed(Failure { class, phase, status: None, message }), ..report(name) }
        };
        assert_eq!(paced.trouble().await, None);
        paced.note_turn(0, &failed("hq")).await;
        paced.note_turn(3, &failed("plant")).await;
        let both = paced.trouble().await.unwrap();
        assert!(both.starts_with("hq ") && both.ends_with(": no answer came (and 1 more, see the log)"), "{both}");
        paced.note_turn(0, &report("hq")).await;
        assert!(paced.trouble().await.unwrap().starts_with("plant "));
        paced.forget_troubles(&[0]).await;
        assert_eq!(paced.trouble().await, None, "another order is without the plant");
        paced.note_problem(Some(&"no such source".to_owned())).await;
        assert_eq!(paced.trouble().await.as_deref(), Some("no such source"));
        paced.note_problem(None).await;
        assert_eq!(paced.trouble().await, None);
    }
}
