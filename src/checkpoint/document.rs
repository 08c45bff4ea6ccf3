//! The checkpoint as bytes: JSON with a schema version, and a checksum over everything before it.
//!
//! The checksum finds a document that was cut or overwritten (blocks of NUL bytes have been seen in the blobs of other
//! connectors); it is no protection against an attacker, who is kept out by the container's permissions.

use super::{Basis, Checkpoint, Delivered, Memory, Position, Sweep};
use crate::instant::Instant;
use crate::key::Key;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use sha2::{Digest, Sha256};
use std::fmt;
use std::fmt::Write as _;
use std::time::Duration;

/// The version that this build writes.
pub const SCHEMA: u32 = 1;

/// 2015-01-01, before which no product that this connector reads kept an alert.
pub const EARLIEST: Instant = Instant(1_420_070_400_000);
/// A watermark may be this far ahead of our clock before it counts as nonsense. It is in the appliance's time, and a clock
/// that was set in another time zone is up to 14 hours off: that must not make every checkpoint look damaged.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(24 * 3600);
const SUM: &str = ",\"sum\":\"";

/// Who wrote a document, and when: read back after a conflict to recognise one's own write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The process that wrote it.
    pub writer: String,
    /// Our clock at that time.
    pub written_at: Instant,
}

/// Why a document cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is damaged, or says what cannot be true. A backup takes its place.
    #[error("the checkpoint is damaged: {0}")]
    Corrupt(&'static str),
    /// A later version of the connector wrote it; writing it again would destroy what this one does not know.
    #[error("the checkpoint has schema {found}, which this version ({SCHEMA}) cannot read")]
    Newer {
        /// The least schema that a reader must know.
        found: u32,
    },
    /// An earlier schema that no longer has a reader.
    #[error("the checkpoint has schema {found}, which is older than any that this version reads")]
    Older {
        /// The schema of the document.
        found: u32,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Versions {
    schema: u32,
    min_reader: u32,
}

/// `D` is the keys, or what somebody wants of them.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document<'a, D> {
    #[serde(borrow)]
    writer: std::borrow::Cow<'a, str>,
    written_at: i64,
    generation: u64,
    floor: i64,
    watermark: i64,
    swept: i64,
    sweep: Option<OpenSweep>,
    width_ms: u64,
    basis: String,
    basis_checked: i64,
    #[serde(default)]
    answered: bool,
    #[serde(default)]
    memory: Option<Remembered>,
    next_sequence: u64,
    delivered: D,
}

/// What a document says of its place, for whoever needs none of its keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Glance {
    /// How far reading has come.
    pub position: Position,
    /// How many delivered records are known.
    pub keys: usize,
}

#[derive(Deserialize)]
struct OpenSweep {
    start: i64,
    next: i64,
}

#[derive(Deserialize)]
struct Remembered {
    at: i64,
    text: String,
    answered: bool,
}

#[derive(Deserialize)]
struct Minute<'a> {
    minute: i32,
    #[serde(borrow)]
    keys: Vec<&'a str>,
}

/// The number of keys of a minute.
#[derive(Deserialize)]
struct CountedMinute {
    #[serde(deserialize_with = "count")]
    keys: usize,
}

/// Counts the elements of a list and keeps none.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    struct Count;

    impl<'de> Visitor<'de> for Count {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of keys")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<usize, A::Error> {
            let mut count = 0;
            while all.next_element::<IgnoredAny>()?.is_some() {
                count += 1;
            }
            Ok(count)
        }
    }
    deserializer.deserialize_seq(Count)
}

impl Checkpoint {
    /// The document as it is stored.
    #[must_use]
    pub fn print(&self, header: &Header) -> Vec<u8> {
        let p = &self.position;
        let mut text = String::with_capacity(600 + self.delivered.len() * 26);
        let sweep = p.sweep.map_or_else(
            || "null".to_owned(),
            |sweep| format!("{{\"start\":{},\"next\":{}}}", sweep.start.0, sweep.next.0),
        );
        let memory = self.memory.as_ref().map_or_else(
            || "null".to_owned(),
            |memory| {
                serde_json::json!({"at": memory.at.0, "text": memory.text, "answered": memory.answered}).to_string()
            },
        );
        // Writing to a `String` cannot fail.
        let _ = write!(
            text,
            "{{\"schema\":{SCHEMA},\"minReader\":{SCHEMA},\"writer\":{},\"writtenAt\":{},\"generation\":{},\"floor\":{},\
             \"watermark\":{},\"swept\":{},\"sweep\":{sweep},\"widthMs\":{},\"basis\":\"{}\",\"basisChecked\":{},\
             \"answered\":{},\"memory\":{memory},\"nextSequence\":{},\"delivered\":[",
            serde_json::Value::from(header.writer.as_str()),
            header.written_at.0,
            self.generation,
            p.floor.0,
            p.watermark.0,
            p.swept.0,
            p.width.as_millis(),
            self.basis.name(),
            self.basis_checked.0,
            self.answered,
            self.next_sequence,
        );
        self.delivered.print(&mut text);
        text.push(']');
        let sum = Key::hex(&Sha256::digest(text.as_bytes()));
        let _ = write!(text, "{SUM}{sum}\"}}");
        text.into_bytes()
    }

    /// Reads a stored document. `now` is our clock: a watermark far ahead of it is damage.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn parse(bytes: &[u8], now: Instant) -> Result<(Self, Header), Unreadable> {
        let document: Document<'_, Vec<Minute<'_>>> = Document::read(bytes)?;
        let header = Header { writer: document.writer.to_string(), written_at: Instant(document.written_at) };
        let checkpoint = document.checkpoint()?;
        checkpoint.position.check(now)?;
        Ok((checkpoint, header))
    }

    /// Reads of a stored document what [`Checkpoint::parse`] would find, without its keys: a large one has 150,000, and who
    /// only looks keeps nobody waiting for them.
    ///
    /// # Errors
    /// See [`Unreadable`].
    pub fn glance(bytes: &[u8], now: Instant) -> Result<Glance, Unreadable> {
        let document: Document<'_, Vec<CountedMinute>> = Document::read(bytes)?;
        let glance =
            Glance { position: document.position(), keys: document.delivered.iter().map(|minute| minute.keys).sum() };
        glance.position.check(now)?;
        Ok(glance)
    }
}

impl Position {
    fn check(&self, now: Instant) -> Result<(), Unreadable> {
        let p = self;
        if p.floor < EARLIEST || p.watermark < p.floor {
            return Err(Unreadable::Corrupt("its watermark lies before its floor"));
        }
        if p.watermark > now + CLOCK_TOLERANCE {
            return Err(Unreadable::Corrupt("its watermark lies in the future"));
        }
        let sweep_holds = p.sweep.is_none_or(|sweep| EARLIEST <= sweep.next && sweep.start <= now + CLOCK_TOLERANCE);
        if !sweep_holds {
            return Err(Unreadable::Corrupt("its sweep is inconsistent"));
        }
        Ok(())
    }
}

impl<'a, D: Deserialize<'a>> Document<'a, D> {
    fn read(bytes: &'a [u8]) -> Result<Self, Unreadable> {
        let text = std::str::from_utf8(bytes).map_err(|_| Unreadable::Corrupt("it is not UTF-8"))?;
        let versions: Versions = serde_json::from_str(text).map_err(|_| Unreadable::Corrupt("it is not its JSON"))?;
        if versions.min_reader > SCHEMA {
            return Err(Unreadable::Newer { found: versions.min_reader });
        }
        if versions.schema < SCHEMA {
            return Err(Unreadable::Older { found: versions.schema });
        }
        verify_sum(text)?;
        serde_json::from_str(text).map_err(|_| Unreadable::Corrupt("a field is missing or has a wrong type"))
    }

    fn position(&self) -> Position {
        Position {
            floor: Instant(self.floor),
            watermark: Instant(self.watermark),
            swept: Instant(self.swept),
            sweep: self.sweep.as_ref().map(|s| Sweep { start: Instant(s.start), next: Instant(s.next) }),
            width: Duration::from_millis(self.width_ms),
        }
    }
}

impl Document<'_, Vec<Minute<'_>>> {
    fn checkpoint(&self) -> Result<Checkpoint, Unreadable> {
        let mut delivered = Delivered::default();
        delivered.keys.reserve(self.delivered.iter().map(|minute| minute.keys.len()).sum());
        for minute in &self.delivered {
            for text in &minute.keys {
                delivered.insert_minute(read_key(text)?, minute.minute);
            }
        }
        Ok(Checkpoint {
            position: self.position(),
            basis: Basis::named(&self.basis).ok_or(Unreadable::Corrupt("its basis is unknown"))?,
            basis_checked: Instant(self.basis_checked),
            answered: self.answered,
            memory: self.memory.as_ref().map(|memory| Memory {
                at: Instant(memory.at),
                text: memory.text.clone(),
                answered: memory.answered,
            }),
            delivered,
            next_sequence: self.next_sequence,
            generation: self.generation,
        })
    }
}

impl Delivered {
    /// `{"minute":…,"keys":["…"]},…`: grouped, because the minute would double the size of each key.
    fn print(&self, text: &mut String) {
        let mut open = None;
        for (minute, key) in self.by_minute() {
            if open == Some(minute) {
                text.push_str(",\"");
            } else {
                text.push_str(if open.is_some() { "]},{" } else { "{" });
                let _ = write!(text, "\"minute\":{minute},\"keys\":[\"");
                open = Some(minute);
            }
            URL_SAFE_NO_PAD.encode_string(key.0, text);
            text.push('"');
        }
        if open.is_some() {
            text.push_str("]}");
        }
    }
}

impl Basis {
    const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Creation => "creation",
            Self::Activity => "activity",
        }
    }

    fn named(name: &str) -> Option<Self> {
        [Self::Unknown, Self::Creation, Self::Activity].into_iter().find(|basis| basis.name() == name)
    }
}

fn verify_sum(text: &str) -> Result<(), Unreadable> {
    let (body, sum) = text.rsplit_once(SUM).ok_or(Unreadable::Corrupt("its checksum is missing"))?;
    let sum = sum.strip_suffix("\"}").ok_or(Unreadable::Corrupt("its end is missing"))?;
    (Key::hex(&Sha256::digest(body.as_bytes())) == sum)
        .then_some(())
        .ok_or(Unreadable::Corrupt("its checksum does not match"))
}

fn read_key(text: &str) -> Result<Key, Unreadable> {
    let mut key = [0; 16];
    match URL_SAFE_NO_PAD.decode_slice(text, &mut key) {
        Ok(16) => Ok(Key(key)),
        _ => Err(Unreadable::Corrupt("one of its keys is no key")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(1_767_225_600_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn header() -> Header {
        Header { writer: "host \"a\"".to_owned(), written_at: NOW }
    }

    fn checkpoint() -> Checkpoint {
        let mut checkpoint = Checkpoint::first(NOW - DAY, NOW, DAY, DAY);
        for n in 0..100_u64 {
            checkpoint.delivered.insert(Key::of(&[&n.to_le_bytes()]), NOW - Duration::from_secs(n * 20));
        }
        checkpoint.position.sweep = Some(Sweep { start: NOW, next: NOW - Duration::from_secs(60) });
        checkpoint.basis = Basis::Creation;
        checkpoint.basis_checked = NOW;
        checkpoint.answered = true;
        checkpoint.memory = Some(Memory { at: NOW, text: "{\"seen\":\"é\"}".to_owned(), answered: true });
        checkpoint.generation = 7;
        checkpoint
    }

    #[test]
    fn what_is_printed_is_read_back() {
        let bytes = checkpoint().print(&header());
        assert_eq!(Checkpoint::parse(&bytes, NOW), Ok((checkpoint(), header())));
        assert!(serde_json::from_slice::<serde_json::Value>(&bytes).is_ok());
    }

    #[test]
    fn a_glance_finds_what_a_reader_finds_and_refuses_what_a_reader_refuses() {
        let bytes = checkpoint().print(&header());
        let glance = Glance { position: checkpoint().position, keys: checkpoint().delivered.len() };
        assert_eq!(Checkpoint::glance(&bytes, NOW), Ok(glance));
        let text = String::from_utf8(bytes).unwrap();
        let later = text.replacen("\"minReader\":1", "\"minReader\":9", 1);
        let ahead = Checkpoint { position: Position { watermark: NOW + DAY * 2, ..glance.position }, ..checkpoint() };
        for wrong in [&later, &text.replacen("writer", "Writer", 1), &text[1..], &text[..text.len() - 1]] {
            let refused = Checkpoint::glance(wrong.as_bytes(), NOW).map(drop);
            assert_eq!(refused, Checkpoint::parse(wrong.as_bytes(), NOW).map(drop));
            assert!(refused.is_err(), "{wrong}");
        }
        assert!(matches!(Checkpoint::glance(&ahead.print(&header()), NOW), Err(Unreadable::Corrupt(_))));
    }

    #[test]
    fn any_changed_byte_is_damage() {
        let bytes = checkpoint().print(&header());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] = if damaged[at] == b'1' { b'2' } else { b'1' };
            assert!(Checkpoint::parse(&damaged, NOW).is_err(), "byte {at}");
        }
        for end in 0..bytes.len() {
            assert!(Checkpoint::parse(&bytes[..end], NOW).is_err(), "cut at {end}");
        }
        let zeroed = vec![0; bytes.len()];
        assert!(matches!(Checkpoint::parse(&zeroed, NOW), Err(Unreadable::Corrupt(_))));
    }

    #[test]
    fn a_later_schema_is_told_from_damage() {
        let text = r#"{"schema":9,"minReader":9,"all":"new","sum":"x"}"#;
        assert_eq!(Checkpoint::parse(text.as_bytes(), NOW), Err(Unreadable::Newer { found: 9 }));
        let text = r#"{"schema":0,"minReader":0}"#;
        assert_eq!(Checkpoint::parse(text.as_bytes(), NOW), Err(Unreadable::Older { found: 0 }));
    }

    #[test]
    fn a_later_schema_that_this_reader_still_knows_is_read() {
        let bytes = checkpoint().print(&header());
        let text = String::from_utf8(bytes).unwrap().replacen("\"schema\":1", "\"schema\":2", 1);
        let (body, _) = text.rsplit_once(SUM).unwrap();
        let again = format!("{body}{SUM}{}\"}}", Key::hex(&Sha256::digest(body.as_bytes())));
        assert!(Checkpoint::parse(again.as_bytes(), NOW).is_ok());
    }

    #[test]
    fn claims_that_cannot_be_true_are_damage() {
        let ahead = |change: fn(&mut Position)| {
            let mut checkpoint = checkpoint();
            change(&mut checkpoint.position);
            Checkpoint::parse(&checkpoint.print(&header()), NOW).map(|_| ())
        };
        assert_eq!(ahead(|_| {}), Ok(()));
        assert_eq!(ahead(|p| p.watermark = NOW + DAY), Ok(()), "an appliance may be in the wrong time zone");
        assert!(ahead(|p| p.watermark = NOW + DAY * 2).is_err());
        assert!(ahead(|p| p.watermark = Instant(0)).is_err());
        assert!(ahead(|p| p.sweep = Some(Sweep { start: NOW + DAY * 2, next: NOW })).is_err());
    }
}
