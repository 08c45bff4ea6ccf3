//! The records that exist on the appliance.

use super::alerts::{Alert, AlertBody, Alerts, Crowd};
use super::antigena::Actions;
use super::comments::Comment;
use super::email::Emails;
use super::records::{AlertSpec, EventSpec, Growth, Issued, IssuedAlert, IssuedEvent, Period};
use super::status::StatusSpec;
use crate::sim::story::Dice;
use crate::sim::story::alert::{self, AlertFacts};
use crate::sim::story::event::EventFacts;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// Alerts of a young appliance begin here; real ones count in tens of thousands.
const FIRST_PBID: i64 = 25_001;

/// All records, in the order of creation. They are shared with answers under way, which keep the state of their request.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) alerts: Alerts,
    pub(super) events: Vec<Arc<Event>>,
    pub(super) actions: Actions,
    pub(super) emails: Emails,
    pub(super) comments: Vec<Comment>,
    pub(super) status: StatusSpec,
    next_pbid: i64,
    serial: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) visible_from_ms: i64,
    pub(super) revisions: usize,
    pub(super) facts: EventFacts,
    pub(super) raw: Option<String>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            alerts: Alerts::default(),
            events: Vec::new(),
            actions: Actions::default(),
            emails: Emails::default(),
            comments: Vec::new(),
            status: StatusSpec::default(),
            next_pbid: FIRST_PBID,
            serial: 0,
        }
    }
}

impl Memory {
    pub(super) fn issue_alert(&mut self, spec: AlertSpec, now_ms: i64) -> i64 {
        let seed = self.next_seed();
        let mut dice = Dice::new(seed);
        let delay = dice.within(1, 10) * 1000;
        let creation_ms = spec.creation_ms.or(spec.time_ms.map(|time| time + delay)).unwrap_or(now_ms);
        // Real times have whole seconds.
        let time_ms = spec.time_ms.unwrap_or_else(|| (creation_ms - delay).div_euclid(1000) * 1000);
        let facts = AlertFacts {
            seed,
            pbid: spec.pbid.unwrap_or_else(|| self.next_pbid()),
            time_ms,
            creation_ms,
            acknowledged: spec.acknowledged,
            comments: 0,
            score: spec.score.unwrap_or_else(|| hundredths(dice.within(20, 99))),
            subject: spec.subject,
            model_name: spec.model,
            category: spec.category,
            compliance: spec.compliance,
            message: spec.message,
        };
        let issued = IssuedAlert {
            pbid: facts.pbid,
            time_ms,
            creation_ms,
            visible_from_ms: spec.visible_from_ms.unwrap_or(i64::MIN),
            acknowledged: spec.acknowledged,
            comments: 0,
            revisions: 1,
            score: facts.score,
            is_system: is_system(&alert::model_of(&facts).1),
            is_raw: spec.raw.is_some(),
        };
        let pbid = facts.pbid;
        let body = spec.raw.map_or_else(|| AlertBody::Told(Box::new(facts)), AlertBody::Raw);
        self.alerts.push(Alert { issued, body });
        pbid
    }

    pub(super) fn issue_many(&mut self, n: usize, from_ms: i64, to_ms: i64) -> RangeInclusive<i64> {
        let first = self.next_pbid;
        self.alerts.push_crowd(Crowd::new(first, n, from_ms, to_ms));
        self.next_pbid += i64::try_from(n).unwrap_or(0);
        first..=self.last_pbid()
    }

    pub(super) fn issue_event(&mut self, spec: EventSpec, now_ms: i64) -> String {
        let seed = self.next_seed();
        let mut dice = Dice::new(seed);
        let created_ms = spec.created_ms.unwrap_or(now_ms);
        let uuid = spec.uuid.unwrap_or_else(|| dice.uuid());
        let usual = Period { start_ms: created_ms - 3_600_000, end_ms: created_ms - 600_000 };
        let periods = if spec.periods.is_empty() { vec![usual] } else { spec.periods };
        let facts = EventFacts {
            seed,
            created_ms,
            periods: periods.iter().map(|period| (period.start_ms, period.end_ms)).collect(),
            score: spec.score.unwrap_or_else(|| hundredths(dice.within(2000, 9900))),
            title: spec.title,
            group: spec.group.unwrap_or_else(|| format!("g{uuid}")),
            previous_groups: Vec::new(),
            acknowledged: spec.acknowledged,
            pinned: spec.pinned,
            related: if spec.related.is_empty() { vec![self.last_pbid()] } else { spec.related },
            uuid: uuid.clone(),
        };
        let visible_from_ms = spec.visible_from_ms.unwrap_or(i64::MIN);
        self.events.push(Arc::new(Event { visible_from_ms, revisions: 1, facts, raw: spec.raw }));
        uuid
    }

    pub(super) fn grow_event(&mut self, uuid: &str, growth: Growth) -> Option<usize> {
        let event = Arc::make_mut(self.events.iter_mut().find(|event| event.facts.uuid == uuid)?);
        let facts = &mut event.facts;
        facts.score = growth.score.unwrap_or(facts.score);
        facts.acknowledged = growth.acknowledged.unwrap_or(facts.acknowledged);
        facts.pinned = growth.pinned.unwrap_or(facts.pinned);
        facts.related.extend(growth.related);
        facts.periods.extend(growth.period.map(|period| (period.start_ms, period.end_ms)));
        if let Some(group) = growth.group {
            facts.previous_groups.push(std::mem::replace(&mut facts.group, group));
        }
        event.revisions += 1;
        Some(event.revisions)
    }

    /// Whether there is such an alert. What is so already is no change.
    pub(super) fn acknowledge_alert(&mut self, pbid: i64, acknowledged: bool) -> bool {
        self.change_alert(pbid, |issued| issued.acknowledged = acknowledged)
    }

    pub(super) fn count_comment(&mut self, pbid: i64) -> bool {
        self.change_alert(pbid, |issued| issued.comments += 1)
    }

    fn change_alert(&mut self, pbid: i64, change: impl FnOnce(&mut IssuedAlert)) -> bool {
        let Some(alert) = self.alerts.numbered_mut(pbid) else { return false };
        let before = alert.issued.clone();
        change(&mut alert.issued);
        let after = &mut alert.issued;
        if *after == before {
            return true;
        }
        after.revisions += 1;
        if let AlertBody::Told(facts) = &mut alert.body {
            facts.acknowledged = after.acknowledged;
            facts.comments = after.comments;
        }
        true
    }

    pub(super) fn issued(&self) -> Issued {
        let event = |event: &Arc<Event>| IssuedEvent {
            uuid: event.facts.uuid.clone(),
            created_ms: event.facts.created_ms,
            visible_from_ms: event.visible_from_ms,
            score: event.facts.score,
            group: event.facts.group.clone(),
            acknowledged: event.facts.acknowledged,
            revisions: event.revisions,
            is_raw: event.raw.is_some(),
        };
        Issued {
            alerts: self.alerts.all().map(|alert| alert.issued.clone()).collect(),
            events: self.events.iter().map(event).collect(),
            actions: self.actions.issued(),
            emails: self.emails.issued(),
        }
    }

    const fn next_pbid(&mut self) -> i64 {
        let pbid = self.next_pbid;
        self.next_pbid += 1;
        pbid
    }

    /// The number of the latest alert, or the one before the first.
    pub(super) const fn last_pbid(&self) -> i64 {
        self.next_pbid - 1
    }

    /// Seeds far apart, and never those of the bulk scenes.
    pub(super) fn next_seed(&mut self) -> u64 {
        self.serial += 1;
        Dice::new(self.serial).roll()
    }
}

pub(super) fn is_system(model: &str) -> bool {
    model.starts_with("System::")
}

/// Two decimals, so that a score reads the same in every language.
pub(super) fn hundredths(n: i64) -> f64 {
    f64::from(i32::try_from(n).unwrap_or(0)) / 100.0
}
