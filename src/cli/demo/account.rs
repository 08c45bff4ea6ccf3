//! What the master had against what was stored, by count.
//!
//! Only the two simulators are asked. What the program says of itself is shown to the reader, but proves nothing here.

use super::{Verdict, say};
use crate::sim::appliance::Issued;
use crate::sim::ingestion::Violation;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// How the polls of a demo ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Polls {
    pub(super) well: usize,
    /// Failed, and were meant to.
    pub(super) failed: usize,
    pub(super) killed: usize,
    /// The rows that a killed poll had stored, as a range of all rows in the order in which they were stored.
    pub(super) interrupted: Range<usize>,
}

/// The count of one demo.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Account {
    alerts: usize,
    events: usize,
    /// Forms that the events took: one when created, and one more for each change.
    revisions: usize,
    rows: usize,
    /// Alerts without a row, and revisions of events without one.
    lost: usize,
    /// Rows of something that the master never had.
    strangers: usize,
    /// Rows stored again after a kill, because the commit that would have remembered them was prevented.
    repeated_by_kill: usize,
    /// Rows stored again for no such reason.
    duplicates: usize,
    violations: Vec<String>,
    polls: Polls,
}

impl Account {
    pub(super) fn of(issued: &Issued, rows: &[Value], violations: &[Violation], polls: Polls) -> Self {
        let stored = Stored::of(rows, &polls.interrupted);
        let alerts = issued.alerts.iter().map(|alert| (alert.pbid.to_string(), 1));
        let events = issued.events.iter().map(|event| (event.uuid.clone(), event.revisions));
        let expected: BTreeMap<String, usize> = alerts.chain(events).collect();
        let missing = |(id, wanted): (&String, &usize)| wanted.saturating_sub(stored.keys_of(id));
        Self {
            alerts: issued.alerts.len(),
            events: issued.events.len(),
            revisions: issued.events.iter().map(|event| event.revisions).sum(),
            rows: rows.len(),
            lost: expected.iter().map(missing).sum(),
            strangers: stored.by_id.keys().filter(|id| !expected.contains_key(**id)).count(),
            repeated_by_kill: stored.repeated_by_kill,
            duplicates: stored.duplicates,
            violations: violations.iter().map(ToString::to_string).collect(),
            polls,
        }
    }

    /// Sound only if nothing was lost, invented, stored twice without a reason, or of a form that the table does not have.
    pub(super) const fn verdict(&self) -> Verdict {
        let faults = self.lost + self.strangers + self.duplicates + self.violations.len();
        if faults == 0 { Verdict::Sound } else { Verdict::Unsound }
    }

    pub(super) fn tell(&self) {
        for line in self.lines() {
            say(line);
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec![
            line("issued", self.alerts + self.revisions, &self.told_issued()),
            line("stored", self.rows, "rows of alerts and events"),
            line("lost", self.lost, ""),
            line("duplicates", self.duplicates, ""),
        ];
        if self.repeated_by_kill > 0 {
            let why = "rows once more, because the kill came before the position was saved that";
            lines.push(line("+ by the kill", self.repeated_by_kill, why));
            lines.push(line("", "", "covers them; both copies have the same EventKey, by which a query takes one"));
        }
        if self.strangers > 0 {
            lines.push(line("strangers", self.strangers, "rows of something that the master never had"));
        }
        lines.push(line(
            "schema misfits",
            self.violations.len(),
            "columns or values that the table would have dropped",
        ));
        lines.extend(self.violations.iter().map(|violation| line("", "", violation)));
        lines.push(line("polls", self.polls.well + self.polls.failed + self.polls.killed, &self.told_polls()));
        lines
    }

    fn told_issued(&self) -> String {
        format!(
            "{}, and {} in {}",
            count(self.alerts, "model alert"),
            count(self.events, "AI Analyst event"),
            count(self.revisions, "revision")
        )
    }

    fn told_polls(&self) -> String {
        let Polls { well, failed, killed, .. } = self.polls;
        let parts = [(well, "succeeded"), (killed, "killed on purpose"), (failed, "made to fail")];
        let told = parts.iter().filter(|(count, _)| *count > 0).map(|(count, how)| format!("{count} {how}"));
        told.collect::<Vec<_>>().join(", ")
    }
}

fn line(name: &str, number: impl std::fmt::Display, what: &str) -> String {
    format!("  {name:<15} {number:>6}  {what}").trim_end().to_owned()
}

/// `1 alert`, `2 alerts`.
pub(super) fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Rows by what they are about.
struct Stored<'a> {
    /// The distinct `EventKey`s of each `EventId`.
    by_id: BTreeMap<&'a str, BTreeSet<&'a str>>,
    repeated_by_kill: usize,
    duplicates: usize,
}

impl<'a> Stored<'a> {
    fn of(rows: &'a [Value], interrupted: &Range<usize>) -> Self {
        let mut stored = Self { by_id: BTreeMap::new(), repeated_by_kill: 0, duplicates: 0 };
        // A key that a killed poll stored may come once more, and that once only.
        let mut excused: BTreeSet<&str> = BTreeSet::new();
        for (place, row) in rows.iter().enumerate() {
            let (id, key) = (text(row, "EventId"), text(row, "EventKey"));
            if stored.by_id.entry(id).or_default().insert(key) {
                if interrupted.contains(&place) {
                    excused.insert(key);
                }
            } else if excused.remove(key) && !interrupted.contains(&place) {
                stored.repeated_by_kill += 1;
            } else {
                stored.duplicates += 1;
            }
        }
        stored
    }

    fn keys_of(&self, id: &str) -> usize {
        self.by_id.get(id).map_or(0, BTreeSet::len)
    }
}

fn text<'a>(row: &'a Value, column: &str) -> &'a str {
    row[column].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::appliance::{AlertSpec, Appliance, EventSpec, Growth, Tokens};
    use serde_json::json;

    /// A master with the alerts 1 and 2 and the event `e`, which changed once.
    async fn issued() -> Issued {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let appliance = Appliance::start(listener, Tokens { public: String::new(), private: String::new() });
        for pbid in [1, 2] {
            appliance.issue_alert(AlertSpec { pbid: Some(pbid), ..AlertSpec::default() });
        }
        appliance.issue_event(EventSpec { uuid: Some("e".to_owned()), ..EventSpec::default() });
        appliance.grow_event("e", Growth { score: Some(99.0), ..Growth::default() });
        appliance.issued()
    }

    fn rows(stored: &[(&str, &str)]) -> Vec<Value> {
        stored.iter().map(|(id, key)| json!({"EventId": id, "EventKey": key})).collect()
    }

    const ALL: [(&str, &str); 4] = [("1", "a"), ("2", "b"), ("e", "c"), ("e", "d")];

    async fn account(stored: &[(&str, &str)], interrupted: Range<usize>) -> Account {
        Account::of(&issued().await, &rows(stored), &[], Polls { interrupted, ..Polls::default() })
    }

    #[tokio::test]
    async fn each_alert_and_each_revision_once_is_sound() {
        let account = account(&ALL, 0..0).await;
        assert_eq!((account.alerts, account.events, account.revisions, account.rows), (2, 1, 2, 4));
        assert_eq!(account.verdict(), Verdict::Sound);
    }

    #[tokio::test]
    async fn a_missing_alert_and_a_missing_revision_are_both_lost() {
        let account = account(&ALL[1..3], 0..0).await;
        assert_eq!((account.lost, account.verdict()), (2, Verdict::Unsound));
    }

    #[tokio::test]
    async fn a_row_of_something_that_was_never_issued_is_unsound() {
        let stored = [ALL.as_slice(), &[("3", "z")]].concat();
        let account = account(&stored, 0..0).await;
        assert_eq!((account.strangers, account.lost, account.verdict()), (1, 0, Verdict::Unsound));
    }

    #[tokio::test]
    async fn only_what_a_killed_poll_stored_may_come_again_and_only_once() {
        let again = [ALL.as_slice(), &[("1", "a")]].concat();
        assert_eq!(account(&again, 0..0).await.verdict(), Verdict::Unsound);
        let excused = account(&again, 0..2).await;
        assert_eq!((excused.repeated_by_kill, excused.duplicates, excused.verdict()), (1, 0, Verdict::Sound));
        let twice = [again.as_slice(), &[("1", "a")]].concat();
        assert_eq!(account(&twice, 0..2).await.duplicates, 1);
        let within = [("1", "a"), ("1", "a")];
        assert_eq!(account(&within, 0..2).await.duplicates, 1, "a killed poll has no excuse for repeating itself");
    }

    #[tokio::test]
    async fn a_misfit_is_unsound_and_told() {
        let violation = Violation { stream: "S".into(), column: "c".into(), what: "not an Int but a string".into() };
        let account = Account::of(&issued().await, &rows(&ALL), &[violation], Polls::default());
        assert_eq!(account.verdict(), Verdict::Unsound);
        assert!(account.lines().iter().any(|line| line.contains("S.c: not an Int")), "{:?}", account.lines());
    }
}
