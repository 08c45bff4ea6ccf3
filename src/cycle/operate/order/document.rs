//! What an order for a range of the past looks like as a document. People write it by hand as well, so that whatever is wrong
//! is told by its field, and a field that nobody knows is wrong too: misspelt, it would order something else.

use super::{End, Ended, StandingOrder};
use crate::instant::Instant;
use crate::source::Source;
use serde::Serialize;
use serde_json::{Map, Value};
use std::num::NonZeroU32;

/// Where the order is.
pub(super) const NAME: &str = "control/backfill.json";
const SCHEMA: u64 = 1;
/// Bytes. Some 150 go to each source that has ended; what is larger is no order, and is read with every tick.
const LARGEST: usize = 1_000_000;
const EXAMPLE: &str = r#"{"from": "2026-01-01", "to": "2026-02-01"}"#;
const A_TIME: &str = "a day or a time in UTC such as \"2026-01-01\" or \"2026-01-01T08:00:00Z\"";
/// Requests in a minute where the order does not say.
const PACE: NonZeroU32 = NonZeroU32::MIN.saturating_add(29);
const FIELDS: [&str; 10] =
    ["schema", "from", "to", "instance", "source", "force", "requestsPerMinute", "orderedAt", "ended", "completedAt"];

/// An order that cannot be followed: which field is wrong, what is expected, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the order in {NAME} cannot be followed: {0}. The shortest order is {EXAMPLE}; mend it, or remove it with backfill \
     --withdraw. Live polling goes on without it"
)]
pub struct WrongOrder(String);

/// The document as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a> {
    schema: u64,
    from: String,
    to: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    force: bool,
    requests_per_minute: NonZeroU32,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordered_at: Option<String>,
    ended: Vec<EndDocument<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
}

#[derive(Serialize)]
struct EndDocument<'a> {
    instance: &'a str,
    source: &'static str,
    end: &'static str,
    at: String,
}

pub(super) fn print(order: &StandingOrder) -> Vec<u8> {
    let ended = order.ended.iter().map(|ended| EndDocument {
        instance: &ended.instance,
        source: ended.source.name(),
        end: ended.end.name(),
        at: ended.at.rfc3339(),
    });
    let document = Document {
        schema: SCHEMA,
        from: order.from.rfc3339(),
        to: order.to.rfc3339(),
        instance: order.instance.as_deref(),
        source: order.source.map(Source::name),
        force: order.force,
        requests_per_minute: order.requests_per_minute,
        ordered_at: order.ordered_at.map(Instant::rfc3339),
        ended: ended.collect(),
        completed_at: order.completed_at.map(Instant::rfc3339),
    };
    // Texts and numbers can always be written.
    serde_json::to_vec_pretty(&document).unwrap_or_default()
}

pub(super) fn read(bytes: &[u8]) -> Result<StandingOrder, WrongOrder> {
    if bytes.len() > LARGEST {
        return Err(WrongOrder(format!("it has {} bytes, and an order has {LARGEST} at most", bytes.len())));
    }
    // Editors of some systems put a byte order mark in front.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let document: Value = serde_json::from_slice(text)
        .map_err(|error| WrongOrder(format!("it is not JSON at line {}, column {}", error.line(), error.column())))?;
    let Value::Object(document) = document else { return Err(WrongOrder("it is not a JSON object".to_owned())) };
    let fields = Fields(&document);
    fields.are_known()?;
    fields.schema()?;
    Ok(StandingOrder {
        from: fields.time("from")?.ok_or_else(|| wrong("from", A_TIME))?,
        to: fields.time("to")?.ok_or_else(|| wrong("to", A_TIME))?,
        instance: fields.text("instance", "the name of an instance in the settings")?.map(str::to_owned),
        source: fields.source()?,
        force: fields.force()?,
        requests_per_minute: fields.pace()?,
        ordered_at: fields.time("orderedAt")?,
        ended: fields.ended(),
        completed_at: fields.time("completedAt")?,
    })
}

/// The fields of a document, each with what is expected of it. `null` counts as absent.
struct Fields<'a>(&'a Map<String, Value>);

impl<'a> Fields<'a> {
    fn are_known(&self) -> Result<(), WrongOrder> {
        let Some(unknown) = self.0.keys().find(|name| !FIELDS.contains(&name.as_str())) else { return Ok(()) };
        if unknown == "restart" {
            let why = "restart is not offered in an order, because every tick would begin anew";
            return Err(WrongOrder(format!("{why}; run backfill --restart by hand")));
        }
        let start: String = unknown.chars().take(40).collect();
        Err(WrongOrder(format!("there is no field {start:?}; there are {}", FIELDS[..7].join(", "))))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn schema(&self) -> Result<(), WrongOrder> {
        match self.get("schema").map(Value::as_u64) {
            None | Some(Some(SCHEMA)) => Ok(()),
            Some(Some(newer)) if newer > SCHEMA => {
                Err(WrongOrder(format!("its schema {newer} is that of a later version, and this one knows {SCHEMA}")))
            }
            Some(_) => Err(wrong("schema", "the number 1, or nothing")),
        }
    }

    fn time(&self, name: &str) -> Result<Option<Instant>, WrongOrder> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().and_then(Instant::from_iso_or_day).map(Some).ok_or_else(|| wrong(name, A_TIME))
    }

    fn text(&self, name: &str, expected: &str) -> Result<Option<&'a str>, WrongOrder> {
        let Some(value) = self.get(name) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| wrong(name, expected))
    }

    fn source(&self) -> Result<Option<Source>, WrongOrder> {
        let expected = || format!("the name of one source: {}", Source::ALL.map(Source::name).join(", "));
        let Some(name) = self.text("source", &expected())? else { return Ok(None) };
        Source::named(name).map(Some).ok_or_else(|| wrong("source", &expected()))
    }

    fn force(&self) -> Result<bool, WrongOrder> {
        self.get("force").map_or(Ok(false), |value| value.as_bool().ok_or_else(|| wrong("force", "true or false")))
    }

    fn pace(&self) -> Result<NonZeroU32, WrongOrder> {
        let Some(value) = self.get("requestsPerMinute") else { return Ok(PACE) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok()).and_then(NonZeroU32::new);
        number.ok_or_else(|| wrong("requestsPerMinute", "a whole number from 1 on, such as 30"))
    }

    /// What cannot be read of this costs a look at a checkpoint, no more.
    fn ended(&self) -> Vec<Ended> {
        let read = |value: &Value| {
            let text = |name: &str| value.get(name)?.as_str();
            Some(Ended {
                instance: text("instance")?.to_owned(),
                source: Source::named(text("source")?)?,
                end: End::named(text("end")?)?,
                at: Instant::from_iso(text("at")?)?,
            })
        };
        self.get("ended").and_then(Value::as_array).into_iter().flatten().filter_map(read).collect()
    }
}

fn wrong(field: &str, expected: &str) -> WrongOrder {
    WrongOrder(format!("the field {field} is missing or wrong; expected is {expected}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW_YEAR: Instant = Instant(1_767_225_600_000);

    fn told(document: &str) -> String {
        read(document.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn two_ends_are_an_order() {
        let order = read(b"\xef\xbb\xbf{\"from\": \"2026-01-01\", \"to\": \"2026-01-02T01:00:00+01:00\"}").unwrap();
        let expected = StandingOrder {
            from: NEW_YEAR,
            to: Instant(NEW_YEAR.0 + 86_400_000),
            instance: None,
            source: None,
            force: false,
            requests_per_minute: NonZeroU32::new(30).unwrap(),
            ordered_at: None,
            ended: Vec::new(),
            completed_at: None,
        };
        assert_eq!(order, expected);
        let nulls =
            br#"{"from":"2026-01-01","to":"2026-01-02","instance":null,"source":null,"force":null,"ended":null}"#;
        assert_eq!(read(nulls), Ok(expected), "null is absent");
        assert_eq!(read(EXAMPLE.as_bytes()).map(|order| order.from), Ok(NEW_YEAR));
    }

    #[test]
    fn what_is_written_is_read() {
        let ended = |end, n: usize| Ended { instance: "hq".to_owned(), source: Source::ALL[n], end, at: NEW_YEAR };
        let order = StandingOrder {
            instance: Some("hq \"1\"".to_owned()),
            source: Some(Source::ALL[1]),
            force: true,
            requests_per_minute: NonZeroU32::new(7).unwrap(),
            ordered_at: Some(NEW_YEAR),
            ended: vec![ended(End::Complete, 0), ended(End::Unavailable, 1)],
            completed_at: Some(NEW_YEAR),
            ..read(EXAMPLE.as_bytes()).unwrap()
        };
        assert_eq!(read(&print(&order)), Ok(order));
    }

    #[test]
    fn each_mistake_is_told_by_its_field_with_what_is_expected() {
        for (fields, parts) in [
            (r#""to": "2026-02-01""#, ["the field from is missing", "2026-01-01T08:00:00Z"]),
            (r#""from": 5, "to": "2026-02-01""#, ["the field from is", "a day or a time"]),
            (r#""from": "2026-01-01", "to": "soon""#, ["the field to is", "a day or a time"]),
            (r#""from": "2026-01-01", "to": "2026-02-01", "sorce": "x""#, ["no field \"sorce\"", "instance, source"]),
            (
                r#""from": "2026-01-01", "to": "2026-02-01", "source": "alerts""#,
                ["the field source", Source::ALL[0].name()],
            ),
            (r#""from": "2026-01-01", "to": "2026-02-01", "force": "yes""#, ["the field force", "true or false"]),
            (
                r#""from": "2026-01-01", "to": "2026-02-01", "requestsPerMinute": 0"#,
                ["requestsPerMinute", "such as 30"],
            ),
            (r#""from": "2026-01-01", "to": "2026-02-01", "restart": true"#, ["every tick", "--restart by hand"]),
            (r#""from": "2026-01-01", "to": "2026-02-01", "schema": 2"#, ["schema 2", "later version"]),
            (r#""from": "2026-01-01", "to": "2026-02-01", "instance": 1"#, ["the field instance", "in the settings"]),
        ] {
            let told = told(&format!("{{{fields}}}"));
            assert!(parts.iter().all(|part| told.contains(part)) && told.contains(EXAMPLE), "{told}");
        }
    }

    #[test]
    fn what_is_no_object_is_told_by_its_place_and_never_quoted() {
        let torn = told("{\"from\":\n canary}");
        assert!(torn.contains("it is not JSON at line 2, column 2") && !torn.contains("canary"), "{torn}");
        assert!(told(&format!("{{\"from\": \"{}\"}}", "x".repeat(LARGEST))).contains("1000012 bytes"));
        assert!(told("[]").contains("it is not a JSON object"));
    }
}
