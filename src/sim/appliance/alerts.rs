//! The alerts that exist: one by one, or as a crowd of which only the rule is kept.
//!
//! A year of a thousand alerts an hour has to fit into memory, so a crowd is its first number, how many it has and the time
//! over which they are spread. Any alert of it follows from that when a query wants it; only what an analyst changed is
//! kept. Which alerts a query selects is decided in `selection`.

use super::memory::is_system;
use super::records::IssuedAlert;
use crate::sim::story::alert::AlertFacts;
use crate::sim::story::bulk::{self, Teller};
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

/// From first activity to creation, for every alert of a crowd.
const DELAY_MS: i64 = 2000;

#[derive(Clone, Debug)]
pub(super) struct Alert {
    pub(super) issued: IssuedAlert,
    pub(super) body: AlertBody,
}

#[derive(Clone, Debug)]
pub(super) enum AlertBody {
    Told(Box<AlertFacts>),
    Bulk,
    Raw(String),
}

/// Which of its two times decides whether an alert lies in a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    Creation,
    Activity,
}

/// All alerts, in the order of creation.
#[derive(Debug, Default)]
pub(super) struct Alerts {
    entries: Vec<Entry>,
}

#[derive(Debug)]
enum Entry {
    One(Arc<Alert>),
    Many(Crowd),
}

/// Alerts that are spread evenly over a time.
#[derive(Debug)]
pub(super) struct Crowd {
    first: i64,
    count: i64,
    from_ms: i64,
    to_ms: i64,
    /// Those that were acknowledged or commented on, by their number.
    changed: BTreeMap<i64, Arc<Alert>>,
}

impl Moment {
    pub(super) const fn of(self, alert: &Alert) -> i64 {
        match self {
            Self::Creation => alert.issued.creation_ms,
            Self::Activity => alert.issued.time_ms,
        }
    }
}

impl Alerts {
    pub(super) fn push(&mut self, alert: Alert) {
        self.entries.push(Entry::One(Arc::new(alert)));
    }

    pub(super) fn push_crowd(&mut self, crowd: Crowd) {
        self.entries.push(Entry::Many(crowd));
    }

    pub(super) fn all(&self) -> impl Iterator<Item = Arc<Alert>> {
        self.within(i64::MIN..=i64::MAX, Moment::Creation)
    }

    /// Those whose `moment` lies in the window.
    pub(super) fn within(&self, window: RangeInclusive<i64>, moment: Moment) -> impl Iterator<Item = Arc<Alert>> {
        self.entries.iter().flat_map(move |entry| match entry {
            Entry::One(alert) => Found::One(window.contains(&moment.of(alert)).then(|| Arc::clone(alert))),
            Entry::Many(crowd) => Found::Many(crowd, crowd.within(&window, moment)),
        })
    }

    /// Those with this number: it is unique unless a test said otherwise.
    pub(super) fn numbered(&self, pbid: i64) -> impl Iterator<Item = Arc<Alert>> {
        self.entries.iter().filter_map(move |entry| match entry {
            Entry::One(alert) => (alert.issued.pbid == pbid).then(|| Arc::clone(alert)),
            Entry::Many(crowd) => crowd.has(pbid).then(|| crowd.alert(pbid)),
        })
    }

    /// The first with this number, to be changed.
    pub(super) fn numbered_mut(&mut self, pbid: i64) -> Option<&mut Alert> {
        self.entries.iter_mut().find_map(|entry| match entry {
            Entry::One(alert) => (alert.issued.pbid == pbid).then(|| Arc::make_mut(alert)),
            Entry::Many(crowd) => crowd.has(pbid).then(|| crowd.alert_mut(pbid)),
        })
    }
}

/// What a window found in one entry.
enum Found<'a> {
    One(Option<Arc<Alert>>),
    Many(&'a Crowd, Range<i64>),
}

impl Iterator for Found<'_> {
    type Item = Arc<Alert>;

    fn next(&mut self) -> Option<Arc<Alert>> {
        match self {
            Self::One(alert) => alert.take(),
            Self::Many(crowd, pbids) => pbids.next().map(|pbid| crowd.alert(pbid)),
        }
    }
}

impl Crowd {
    /// `count` alerts from number `first` on, created evenly from `from_ms` to `to_ms` (excluded).
    pub(super) fn new(first: i64, count: usize, from_ms: i64, to_ms: i64) -> Self {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        Self { first, count, from_ms, to_ms: to_ms.max(from_ms), changed: BTreeMap::new() }
    }

    fn has(&self, pbid: i64) -> bool {
        (self.first..self.first + self.count).contains(&pbid)
    }

    fn creation_ms(&self, pbid: i64) -> i64 {
        let offset = i128::from(self.to_ms - self.from_ms) * i128::from(pbid - self.first) / i128::from(self.count);
        self.from_ms + i64::try_from(offset).unwrap_or(0)
    }

    /// The numbers whose `moment` lies in the window: later alerts have higher numbers.
    fn within(&self, window: &RangeInclusive<i64>, moment: Moment) -> Range<i64> {
        let later = if moment == Moment::Activity { DELAY_MS } else { 0 };
        let begin = self.first_that(|creation| creation - later >= *window.start());
        begin..self.first_that(|creation| creation - later > *window.end()).max(begin)
    }

    /// The lowest number whose creation has come to something, or the one behind the last.
    fn first_that(&self, has_come: impl Fn(i64) -> bool) -> i64 {
        let (mut low, mut high) = (self.first, self.first + self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            if has_come(self.creation_ms(middle)) { high = middle } else { low = middle + 1 }
        }
        low
    }

    fn alert(&self, pbid: i64) -> Arc<Alert> {
        self.changed.get(&pbid).map_or_else(|| Arc::new(self.fresh(pbid)), Arc::clone)
    }

    fn alert_mut(&mut self, pbid: i64) -> &mut Alert {
        let fresh = self.fresh(pbid);
        Arc::make_mut(self.changed.entry(pbid).or_insert_with(|| Arc::new(fresh)))
    }

    /// The alert as it was created.
    fn fresh(&self, pbid: i64) -> Alert {
        let creation_ms = self.creation_ms(pbid);
        let issued = IssuedAlert {
            pbid,
            time_ms: creation_ms - DELAY_MS,
            creation_ms,
            visible_from_ms: i64::MIN,
            acknowledged: false,
            comments: 0,
            revisions: 1,
            score: Teller::score(pbid),
            is_system: is_system(&bulk::model_of(pbid).1),
            is_raw: false,
        };
        Alert { issued, body: AlertBody::Bulk }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MS: i64 = 365 * 24 * 3_600_000;
    const T: i64 = 1_767_225_600_000;

    fn crowd(count: usize, to_ms: i64) -> Alerts {
        let mut alerts = Alerts::default();
        alerts.push_crowd(Crowd::new(100, count, T, to_ms));
        alerts
    }

    fn pbids(alerts: impl Iterator<Item = Arc<Alert>>) -> Vec<i64> {
        alerts.map(|alert| alert.issued.pbid).collect()
    }

    #[test]
    fn a_window_finds_of_a_crowd_what_a_look_at_each_finds() {
        for (count, to_ms) in [(0, T), (1, T), (7, T), (50, T + 13), (50, T + 5000), (50, T + 100_000)] {
            let alerts = crowd(count, to_ms);
            assert_eq!(alerts.all().count(), count);
            for moment in [Moment::Creation, Moment::Activity] {
                for start in (T - 4000..to_ms + 4000).step_by(997) {
                    let window = start..=start + 3001;
                    let looked = alerts.all().filter(|alert| window.contains(&moment.of(alert)));
                    assert_eq!(pbids(alerts.within(window.clone(), moment)), pbids(looked), "{count} {window:?}");
                }
            }
        }
    }

    #[test]
    fn an_hour_of_a_year_has_its_thousand_and_neighbouring_windows_share_none() {
        let alerts = crowd(8_760_000, T + YEAR_MS);
        let hour = |n: i64| pbids(alerts.within(T + n * 3_600_000..=T + (n + 1) * 3_600_000 - 1, Moment::Creation));
        assert_eq!(hour(0), (100..1100).collect::<Vec<_>>());
        assert_eq!(hour(8759).last(), Some(&8_760_099));
        assert_eq!((hour(4000).len(), hour(4000).last().unwrap() + 1), (1000, hour(4001)[0]));
        assert!(hour(8760).is_empty());
    }

    #[test]
    fn what_is_changed_in_a_crowd_stays_changed_and_its_neighbours_stay_as_they_were() {
        let mut alerts = crowd(10, T + 1000);
        alerts.numbered_mut(103).unwrap().issued.acknowledged = true;
        let acknowledged: Vec<i64> = pbids(alerts.all().filter(|alert| alert.issued.acknowledged));
        assert_eq!(acknowledged, [103]);
        assert!(alerts.numbered(103).all(|alert| alert.issued.acknowledged));
        assert!(alerts.numbered_mut(110).is_none());
        assert_eq!(alerts.numbered(99).count(), 0);
    }
}
