//! Which records a query selects, and in which shape.

use super::memory::{Alert, AlertBody, Event, Memory};
use super::modes::Modes;
use crate::sim::query;
use crate::sim::story::alert::{self, AlertShape};
use crate::sim::story::bulk::Teller;
use crate::sim::story::event;
use std::sync::Arc;

const WEEK_MS: i64 = 7 * 24 * 3_600_000;
/// Smaller than this, a time was meant in seconds: 10^12 ms is September 2001.
const LEAST_MS: i64 = 1_000_000_000_000;
/// The fields that `minimal=true` leaves, according to the API guide; `creationTime` is not among them.
const MINIMAL: [&str; 6] = ["commentCount", "pbid", "time", "model", "score", "device"];

const ALERT_PARAMETERS: &[&str] = &[
    "starttime",
    "endtime",
    "from",
    "to",
    "creationtime",
    "minscore",
    "expandenums",
    "historicmodelonly",
    "includeacknowledged",
    "includebreachurl",
    "minimal",
    "deviceattop",
    "did",
    "pid",
    "uuid",
    "pbid",
    "group",
    "includesuppressed",
    "saasonly",
    "saasfilter",
    "responsedata",
    "fulldevicedetails",
    "count",
    "order",
];
const EVENT_PARAMETERS: &[&str] = &[
    "starttime",
    "endtime",
    "includeacknowledged",
    "includeallpinned",
    "includeonlypinned",
    "includeincidenteventurl",
    "locale",
    "minscore",
    "maxscore",
    "mingroupscore",
    "maxgroupscore",
    "groupcompliance",
    "groupsuspicious",
    "groupcritical",
    "did",
    "excludedid",
    "sid",
    "excludesid",
    "master",
    "saasonly",
    "groupid",
    "uuid",
];
const STATUS_PARAMETERS: &[&str] = &["includechildren", "fast", "responsedata"];

/// Names that the path does not know.
pub(super) fn unknown_parameters(path: &str, query: &[(String, String)]) -> Vec<String> {
    let known = match path.split('/').nth(1) {
        Some("modelbreaches") => ALERT_PARAMETERS,
        Some("aianalyst") => EVENT_PARAMETERS,
        Some("status") => STATUS_PARAMETERS,
        _ => return Vec::new(),
    };
    query.iter().map(|(name, _)| name).filter(|name| !known.contains(&name.as_str())).cloned().collect()
}

/// A parameter that the appliance cannot read: status 400, `INPUT ERROR`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BadInput;

/// The parameters of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameters<'a>(pub(super) &'a [(String, String)]);

impl<'a> Parameters<'a> {
    fn text(self, name: &str) -> Option<&'a str> {
        query::value(self.0, name)
    }

    fn flag(self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    pub(super) fn number<T: std::str::FromStr>(self, name: &str) -> Result<Option<T>, BadInput> {
        self.text(name).map(str::parse).transpose().map_err(|_| BadInput)
    }

    /// A real appliance would take seconds for a moment in 1970 and answer with everything; refusing them is what makes a
    /// test notice.
    fn moment(self, name: &str) -> Result<Option<i64>, BadInput> {
        let at = self.number(name)?;
        if at.is_some_and(|at| at < LEAST_MS) { Err(BadInput) } else { Ok(at) }
    }

    /// `starttime` and `endtime`, where given.
    pub(super) fn window(self) -> Result<(Option<i64>, Option<i64>), BadInput> {
        Ok((self.moment("starttime")?, self.moment("endtime")?))
    }

    fn list(self, name: &str) -> Option<Vec<String>> {
        Some(self.text(name)?.split(',').map(|item| item.trim().to_owned()).collect())
    }
}

/// Records on their way to the client.
#[derive(Clone, Debug)]
pub(super) enum Selection {
    Alerts(Vec<Arc<Alert>>, AlertShape, Option<Teller>),
    Events(Vec<Arc<Event>>, bool),
}

impl Selection {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::Alerts(alerts, ..) => alerts.len(),
            Self::Events(events, _) => events.len(),
        }
    }

    /// Record `n` as it stands in the answer.
    pub(super) fn text(&self, n: usize) -> String {
        match self {
            Self::Alerts(alerts, shape, teller) => alert_text(&alerts[n], shape, teller.as_ref()),
            Self::Events(events, with_url) => {
                events[n].raw.clone().unwrap_or_else(|| event::text(&events[n].facts, *with_url))
            }
        }
    }
}

fn alert_text(alert: &Alert, shape: &AlertShape, teller: Option<&Teller>) -> String {
    match (&alert.body, teller) {
        (AlertBody::Raw(raw), _) => raw.clone(),
        (AlertBody::Told(facts), _) => alert::text(facts, shape),
        (AlertBody::Bulk, Some(teller)) => {
            teller.text(alert.issued.pbid, alert.issued.time_ms, alert.issued.creation_ms)
        }
        (AlertBody::Bulk, None) => String::from("{}"),
    }
}

/// The alerts that a query of `/modelbreaches` selects.
pub(super) fn alerts(memory: &Memory, ask: Parameters<'_>, modes: &Modes, now_ms: i64) -> Result<Selection, BadInput> {
    let by_creation = ask.flag("creationtime") && !modes.ignores_creationtime;
    let moment = |alert: &Alert| if by_creation { alert.issued.creation_ms } else { alert.issued.time_ms };
    let (start, end) = ask.window()?;
    let window = start.unwrap_or(i64::MIN)..=end.unwrap_or(i64::MAX);
    let pbid: Option<i64> = ask.number("pbid")?;
    let least: f64 = ask.number("minscore")?.unwrap_or(0.0);
    let hidden = !ask.flag("includeacknowledged");
    let mut chosen: Vec<Arc<Alert>> = memory
        .alerts
        .iter()
        .filter(|alert| alert.issued.visible_from_ms <= now_ms)
        .filter(|alert| match pbid {
            Some(pbid) => alert.issued.pbid == pbid,
            None => window.contains(&moment(alert)) && !(hidden && alert.issued.acknowledged),
        })
        .filter(|alert| alert.issued.score >= least)
        .map(Arc::clone)
        .collect();
    chosen.sort_by_key(|alert| moment(alert));
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
