//! Reads the envelope of an invocation, for the log and for how often the timer fires.
//!
//! The payload decides nothing of a poll, whose window comes from its own checkpoint; how often the timer fires bounds the
//! work that goes on beside it. So all of it is optional, and a member
//! of another type counts as absent. Only what cannot be an envelope at all is refused.

use crate::instant::Instant;
use axum::http::HeaderMap;
use serde_json::Value;
use std::fmt;
use std::time::Duration;
use thiserror::Error;

/// The header with the invocation's identifier, a GUID. Repeated attempts of one firing share it.
const ID: &str = "x-azure-functions-invocationid";

/// The longest time that the host writes: `2026-01-02T03:04:05.1234567+00:00`.
const LONGEST_TIME: usize = 33;

/// What the host says of an invocation. No window is decided by it; it makes log lines readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// The identifier by which the host's own log lines are found.
    pub id: Option<String>,
    /// The run makes up for ticks that were missed while the host was away. Never set for a run that is merely late.
    pub past_due: bool,
    /// The tick that the timer was waiting for, which is about now, not the tick after.
    pub scheduled: Option<Instant>,
    /// When the timer fired before; absent before its first run.
    pub last: Option<Instant>,
}

/// Why a request is no invocation.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    /// Larger than the limit, or its transfer broke; the server does not tell which.
    #[error("the body has more than {limit} bytes or was not sent to its end")]
    Unreadable { limit: usize },
    /// No JSON text, an empty body included.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON, but not the envelope.
    #[error("the body is JSON but not an object")]
    NotAnObject,
}

impl Refusal {
    /// The sentence with its cause. The parser tells line and column and never quotes the text.
    pub(super) fn reason(&self) -> String {
        match self {
            Self::NotJson(cause) => format!("{self}: {cause}"),
            Self::Unreadable { .. } | Self::NotAnObject => self.to_string(),
        }
    }
}

impl Invocation {
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let envelope: Value = serde_json::from_slice(body).map_err(Refusal::NotJson)?;
        if !envelope.is_object() {
            return Err(Refusal::NotAnObject);
        }
        let timer = timer(&envelope);
        let status = timer.and_then(|timer| timer.get("ScheduleStatus"));
        Ok(Self {
            id: id(headers),
            past_due: timer.and_then(|timer| timer.get("IsPastDue")).and_then(Value::as_bool).unwrap_or(false),
            scheduled: time(status, "Next"),
            last: time(status, "Last"),
        })
    }
}

impl Invocation {
    /// From the tick before to this one, where the host tells both. After an outage it is as long as that.
    #[must_use]
    pub fn interval(&self) -> Option<Duration> {
        let (last, scheduled) = self.last.zip(self.scheduled)?;
        (last < scheduled).then(|| scheduled.since(last))
    }
}

impl fmt::Display for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invocation {}", self.id.as_deref().unwrap_or("without an id"))?;
        if let Some(at) = self.scheduled {
            write!(f, ", scheduled for {at}")?;
        }
        if let Some(at) = self.last {
            write!(f, ", previous one at {at}")?;
        }
        f.write_str(if self.past_due { ", past due" } else { "" })
    }
}

/// The trigger's data under whichever name `function.json` gives it. The function has one binding.
fn timer(envelope: &Value) -> Option<&Value> {
    envelope.get("Data")?.as_object()?.values().find(|value| value.is_object())
}

/// A timer that never ran has .NET's earliest time, in the year 1, with or without an offset.
fn time(status: Option<&Value>, name: &str) -> Option<Instant> {
    let text = status?.get(name)?.as_str()?;
    let short = text.len() <= LONGEST_TIME;
    short.then(|| Instant::from_iso(text))?.filter(|at| *at > Instant(0))
}

/// Anybody may send this header, so nothing longer or stranger than an identifier gets into the log.
fn id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(ID)?.to_str().ok()?;
    let plain = (1..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plain.then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Instant = Instant(1_795_255_200_000);

    fn read(body: &str) -> Result<Invocation, Refusal> {
        Invocation::read(&HeaderMap::new(), body.as_bytes())
    }

    fn of(timer: &str) -> Invocation {
        read(&format!(r#"{{"Data":{{"anyName":{timer}}},"Metadata":{{}}}}"#)).unwrap()
    }

    #[test]
    fn a_timers_envelope_says_when_it_was_due() {
        let read = of(concat!(
            r#"{"Schedule":{"AdjustForDST":true},"ScheduleStatus":{"Last":"2026-11-21T10:00:00.024965+00:00","#,
            r#""Next":"2026-11-21T10:05:00+00:00","LastUpdated":"2026-11-21T10:00:00.024965+00:00"},"IsPastDue":true}"#
        ));
        let expected = Invocation {
            id: None,
            past_due: true,
            scheduled: Some(Instant(TEN.0 + 300_000)),
            last: Some(Instant(TEN.0 + 24)),
        };
        assert_eq!(read, expected);
        assert_eq!(read.interval(), Some(Duration::from_millis(299_976)));
    }

    #[test]
    fn an_interval_needs_two_ticks_in_their_order() {
        let ticks = |last, scheduled| Invocation { last, scheduled, ..Invocation::default() }.interval();
        assert_eq!(ticks(Some(TEN), Some(TEN + Duration::from_secs(60))), Some(Duration::from_secs(60)));
        for (last, scheduled) in
            [(None, Some(TEN)), (Some(TEN), None), (Some(TEN), Some(TEN)), (Some(TEN), Some(Instant(1)))]
        {
            assert_eq!(ticks(last, scheduled), None);
        }
    }

    #[test]
    fn times_are_read_in_every_form_of_the_host() {
        for text in [
            "2026-11-21T10:00:00+00:00",
            "2026-11-21T10:00:00.0000000+00:00",
            "2026-11-21T11:30:00.0+01:30",
            "2026-11-21T10:00:00Z",
            "2026-11-21T10:00:00",
        ] {
            assert_eq!(of(&format!(r#"{{"ScheduleStatus":{{"Next":"{text}"}}}}"#)).scheduled, Some(TEN), "{text}");
        }
    }

    #[test]
    fn a_time_that_is_none_counts_as_absent() {
        for value in [
            r#""0001-01-01T00:00:00""#,
            r#""0001-01-01T00:00:00+00:00""#,
            r#""0001-01-01T00:00:00.0000000+14:00""#,
            r#""yesterday""#,
            r#""2026-11-21T10:00:00+9223372036854775807:00""#,
            "null",
            "5",
            "{}",
        ] {
            let read = of(&format!(r#"{{"ScheduleStatus":{{"Next":{value},"Last":{value}}}}}"#));
            assert_eq!(read, Invocation::default(), "{value}");
        }
    }

    #[test]
    fn whatever_is_an_object_is_an_invocation() {
        for body in [
            "{}",
            r#"{"Data":null,"Metadata":null}"#,
            r#"{"Data":[]}"#,
            r#"{"Data":{}}"#,
            r#"{"Data":{"timer":"null"}}"#,
            r#"{"Data":{"timer":{"ScheduleStatus":null,"IsPastDue":"yes"}}}"#,
            r#"{"Data":{"timer":{"ScheduleStatus":[],"IsPastDue":null,"New":1}},"More":{"a":[1]}}"#,
        ] {
            assert_eq!(read(body).unwrap(), Invocation::default(), "{body}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused_without_quoting_it() {
        for body in ["", " ", "hunter2", r#"{"hunter2":"#, r#"{"a":hunter2}"#, "{} hunter2"] {
            let reason = read(body).unwrap_err().reason();
            assert!(reason.starts_with("the body is not JSON: ") && !reason.contains("hunter2"), "{body}: {reason}");
        }
        for body in ["null", "[]", "[{}]", r#""hunter2""#, "1", "true"] {
            assert_eq!(read(body).unwrap_err().reason(), "the body is JSON but not an object", "{body}");
        }
    }

    #[test]
    fn only_a_plain_identifier_is_taken_from_the_header() {
        let id = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ID, value.parse().unwrap());
            Invocation::read(&headers, b"{}").unwrap().id
        };
        let guid = "4bd94334-1aae-4ab0-b8ed-2f36bfeee093";
        assert_eq!(id(guid).as_deref(), Some(guid));
        for strange in ["", "two words", "a\tb", "<b>", &"a".repeat(65)] {
            assert_eq!(id(strange), None, "{strange}");
        }
    }

    #[test]
    fn the_log_names_what_is_known() {
        assert_eq!(Invocation::default().to_string(), "invocation without an id");
        let all = Invocation { id: Some("4bd9".into()), past_due: true, scheduled: Some(TEN), last: Some(TEN) };
        assert_eq!(
            all.to_string(),
            "invocation 4bd9, scheduled for 2026-11-21T10:00:00.000Z, previous one at 2026-11-21T10:00:00.000Z, past due"
        );
    }
}
