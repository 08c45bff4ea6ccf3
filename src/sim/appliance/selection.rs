//! Which records a query selects, and in which shape.

use super::alerts::{Alert, AlertBody, Moment};
use super::memory::{Event, Memory};
use super::modes::Modes;
use super::parameters::{BadInput, Parameters};
use super::records::IssuedAlert;
use crate::sim::story::alert::{self, AlertShape};
use crate::sim::story::bulk::Teller;
use crate::sim::story::event;
use std::sync::Arc;

const WEEK_MS: i64 = 7 * 24 * 3_600_000;
/// The fields that `minimal=true` leaves, according to the API guide; `creationTime` is not among them.
const MINIMAL: [&str; 6] = ["commentCount", "pbid", "time", "model", "score", "device"];

/// Records on their way to the client.
#[derive(Clone, Debug)]
pub(super) enum Selection {
    Alerts(Vec<Arc<Alert>>, AlertShape, Option<Teller>),
    Events(Vec<Arc<Event>>, bool),
    /// Told already: of these there are never so many that it matters.
    Told(Arc<[String]>),
}

impl Selection {
    /// Records told already.
    pub(super) fn told(texts: impl IntoIterator<Item = String>) -> Self {
        Self::Told(texts.into_iter().collect())
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Alerts(alerts, ..) => alerts.len(),
            Self::Events(events, _) => events.len(),
            Self::Told(texts) => texts.len(),
        }
    }

    /// Record `n` as it stands in the answer.
    pub(super) fn text(&self, n: usize) -> String {
        match self {
            Self::Alerts(alerts, shape, teller) => alert_text(&alerts[n], shape, teller.as_ref()),
            Self::Events(events, with_url) => {
                events[n].raw.clone().unwrap_or_else(|| event::text(&events[n].facts, *with_url))
            }
            Self::Told(texts) => texts[n].clone(),
        }
    }
}

fn alert_text(alert: &Alert, shape: &AlertShape, teller: Option<&Teller>) -> String {
    match (&alert.body, teller) {
        (AlertBody::Raw(raw), _) => raw.clone(),
        (AlertBody::Told(facts), _) => alert::text(facts, shape),
        (AlertBody::Bulk, Some(teller)) => {
            let IssuedAlert { pbid, time_ms, creation_ms, comments, acknowledged, .. } = alert.issued;
            let text = teller.text(pbid, time_ms, creation_ms);
            if comments > 0 || acknowledged { alert::marked(&text, comments, acknowledged, shape) } else { text }
        }
        (AlertBody::Bulk, None) => String::from("{}"),
    }
}

/// The alerts that a query of `/modelbreaches` selects.
pub(super) fn alerts(memory: &Memory, ask: Parameters<'_>, modes: &Modes, now_ms: i64) -> Result<Selection, BadInput> {
    let by_creation = ask.flag("creationtime") && !modes.ignores_creationtime;
    let moment = if by_creation { Moment::Creation } else { Moment::Activity };
    let (start, end) = ask.window()?;
    let window = start.unwrap_or(i64::MIN)..=end.unwrap_or(i64::MAX);
    let pbid: Option<i64> = ask.number("pbid")?;
    let least: f64 = ask.number("minscore")?.unwrap_or(0.0);
    let hidden = !ask.flag("includeacknowledged");
    let mut chosen: Vec<Arc<Alert>> = match pbid {
        Some(pbid) => memory.alerts.numbered(pbid).collect(),
        None => {
            let met = memory.alerts.within(window, moment);
            met.filter(|alert| !(hidden && alert.issued.acknowledged)).collect()
        }
    };
    chosen.retain(|alert| alert.issued.visible_from_ms <= now_ms && alert.issued.score >= least);
    chosen.sort_by_key(|alert| moment.of(alert));
    if modes.newest_first {
        chosen.reverse();
    }
    chosen.truncate(ask.number("count")?.unwrap_or(usize::MAX));
    let shape = alert_shape(ask, modes);
    let has_bulk = chosen.iter().any(|alert| matches!(alert.body, AlertBody::Bulk));
    let teller = has_bulk.then(|| Teller::new(&shape));
    Ok(Selection::Alerts(chosen, shape, teller))
}

fn alert_shape(ask: Parameters<'_>, modes: &Modes) -> AlertShape {
    let named = ask.list("responsedata").filter(|_| !modes.ignores_responsedata);
    let minimal = ask.flag("minimal").then(|| MINIMAL.map(str::to_owned).to_vec());
    AlertShape {
        flat_model: ask.flag("historicmodelonly"),
        device_at_top: ask.flag("deviceattop"),
        with_url: ask.flag("includebreachurl"),
        expand_enums: ask.flag("expandenums"),
        keep: named.or(minimal),
    }
}

/// The events that a query of `/aianalyst/incidentevents` selects.
///
/// Nobody public knows whether the window is compared with `createdAt` or with the activity, so an event is selected when
/// either lies in it: a client that relies on one of them meets events outside of its window.
pub(super) fn events(memory: &Memory, ask: Parameters<'_>, modes: &Modes, now_ms: i64) -> Result<Selection, BadInput> {
    let window = event_window(ask.window()?, now_ms);
    let (uuids, groups) = (ask.list("uuid"), ask.list("groupid"));
    let all_pinned = ask.text("includeallpinned") != Some("false");
    let hidden = !ask.flag("includeacknowledged");
    let (least, most) = (ask.number("minscore")?.unwrap_or(0.0), ask.number("maxscore")?.unwrap_or(100.0));
    let mut chosen: Vec<Arc<Event>> = memory
        .events
        .iter()
        .filter(|event| event.visible_from_ms <= now_ms)
        .filter(|event| match (&uuids, &groups) {
            (Some(uuids), _) => uuids.contains(&event.facts.uuid),
            (None, Some(groups)) => groups.contains(&event.facts.group),
            (None, None) => {
                (touches(event, window) || (all_pinned && event.facts.pinned)) && !(hidden && event.facts.acknowledged)
            }
        })
        .filter(|event| (least..=most).contains(&event.facts.score))
        .map(Arc::clone)
        .collect();
    // Real answers are ordered by incident, the worst first, not by time.
    chosen.sort_by(|a, b| b.facts.score.total_cmp(&a.facts.score));
    if modes.newest_first {
        chosen.sort_by_key(|event| std::cmp::Reverse(event.facts.created_ms));
    }
    Ok(Selection::Events(chosen, ask.flag("includeincidenteventurl")))
}

fn event_window((start, end): (Option<i64>, Option<i64>), now_ms: i64) -> (i64, i64) {
    let end = end.unwrap_or(now_ms);
    (start.unwrap_or(end - WEEK_MS), end)
}

fn touches(event: &Event, (start, end): (i64, i64)) -> bool {
    let overlaps = |&(from, to): &(i64, i64)| from <= end && to >= start;
    overlaps(&(event.facts.created_ms, event.facts.created_ms)) || event.facts.periods.iter().any(overlaps)
}
