//! What a piece of JSON text means: texts, numbers, times, addresses, GUIDs.
//!
//! The appliance gives numbers as strings, booleans as objects and addresses with a prefix length, so that every reader
//! here takes more than one type and answers `None` for what it cannot read. Where the answers go is not known here.

use super::walk::special;
use crate::instant::Instant;
use memchr::memchr;
use std::borrow::Cow;
use std::net::IpAddr;

/// Epoch milliseconds before 2001 are seconds passed as milliseconds; those from the year 10000 on fit no text form.
const TIMES: std::ops::Range<i64> = 1_000_000_000_000..253_402_300_800_000;

/// The value, unless it is `null` or an empty string, which both mean that there is none.
pub(super) fn present(raw: &str) -> Option<&str> {
    (!matches!(raw, "null" | "\"\"")).then_some(raw)
}

pub(super) fn is_object(raw: &str) -> bool {
    raw.starts_with('{')
}

/// The content of a string token. Anything else is its own text.
pub(super) fn text(raw: &str) -> Cow<'_, str> {
    let Some(inner) = quoted(raw) else { return Cow::Borrowed(raw) };
    if special(inner.as_bytes(), 0) == inner.len() {
        return Cow::Borrowed(inner);
    }
    serde_json::from_str(&mended(raw)).map_or(Cow::Borrowed(inner), Cow::Owned)
}

/// What stands between the quotes of a string token, escapes included.
pub(super) fn quoted(raw: &str) -> Option<&str> {
    raw.strip_prefix('"')?.strip_suffix('"')
}

/// The text of a string or a number, which is what an identifier may be.
pub(super) fn scalar(raw: &str) -> Option<Cow<'_, str>> {
    matches!(raw.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9')).then(|| text(raw))
}

/// JSON text in which no escaped surrogate stands alone: those become U+FFFD, whose escape has the same length.
pub(super) fn mended(raw: &str) -> Cow<'_, str> {
    if let Some(inner) = quoted(raw)
        && special(inner.as_bytes(), 0) == inner.len()
    {
        return Cow::Borrowed(raw);
    }
    let mut lone = Vec::new();
    let mut at = 0;
    while let Some(found) = raw.as_bytes().get(at..).and_then(|rest| memchr(b'\\', rest)) {
        at += found;
        at += match (surrogate(raw, at), surrogate(raw, at + 6)) {
            (Some(0xD8..=0xDB), Some(0xDC..=0xDF)) => 12,
            (Some(_), _) => {
                lone.push(at);
                6
            }
            (None, _) => 2,
        };
    }
    if lone.is_empty() {
        return Cow::Borrowed(raw);
    }
    let mut mended = raw.to_owned();
    lone.iter().for_each(|at| mended.replace_range(at..&(at + 6), "\\ufffd"));
    Cow::Owned(mended)
}

/// The upper byte of the surrogate whose escape begins at `at`.
fn surrogate(raw: &str, at: usize) -> Option<u8> {
    let upper = raw.get(at..at + 6)?.strip_prefix("\\u")?.get(..2)?;
    let upper = u8::from_str_radix(upper, 16).ok()?;
    (0xD8..=0xDF).contains(&upper).then_some(upper)
}

/// A number, or a string that holds one. Never infinite.
pub(super) fn number(raw: &str) -> Option<f64> {
    let digits = quoted(raw).map_or(raw, str::trim);
    matches!(digits.as_bytes().first(), Some(b'-' | b'0'..=b'9')).then_some(())?;
    digits.parse().ok().filter(|number: &f64| number.is_finite())
}

/// `true` or `false`, also as a string.
pub(super) fn boolean(raw: &str) -> Option<bool> {
    match quoted(raw).unwrap_or(raw) {
        "true" => Some(true),
        "false" => Some(false),
        _ => None,
    }
}

/// Epoch milliseconds, as a number or a string, or a written time.
pub(super) fn instant(raw: &str) -> Option<Instant> {
    let milliseconds = raw.parse().ok().or_else(|| number(raw).map(|number| number as i64));
    match milliseconds {
        Some(milliseconds) => Some(Instant(milliseconds)),
        None => Instant::from_iso(quoted(raw)?),
    }
    .filter(|at| TIMES.contains(&at.0))
}

/// The address in `raw`. A prefix length that covers one address is taken off; a network is no address.
pub(super) fn address(raw: &str) -> Option<&str> {
    let written = quoted(raw)?;
    let (text, whole) = match written.split_once('/') {
        Some((text, bits)) => (text, Some(bits)),
        None => (written, None),
    };
    let bits = match text.parse().ok()? {
        IpAddr::V4(_) => "32",
        IpAddr::V6(_) => "128",
    };
    whole.is_none_or(|whole| whole == bits).then_some(text)
}

/// Whether a string token has the shape 8-4-4-4-12 of a GUID.
pub(super) fn is_guid(raw: &str) -> bool {
    let fits = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    quoted(raw).is_some_and(|text| text.len() == 36 && text.bytes().enumerate().all(fits))
}

/// A number between 0 and 100, rounded, from a number that `scale` brings to percent.
pub(super) fn percent(raw: &str, scale: f64) -> Option<u8> {
    number(raw).map(|number| (number * scale).round().clamp(0.0, 100.0) as u8)
}

/// Whether [`percent`] had to bend the number into its range.
pub(super) fn exceeds_percent(raw: &str, scale: f64) -> bool {
    number(raw).is_none_or(|number| !(0.0..=100.0).contains(&(number * scale)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_the_empty_string_are_absent() {
        assert_eq!((present("null"), present("\"\"")), (None, None));
        assert_eq!((present("0"), present("[]"), present("\"null\"")), (Some("0"), Some("[]"), Some("\"null\"")));
    }

    #[test]
    fn a_lone_surrogate_becomes_the_replacement_character_and_a_pair_stays() {
        let pair = "\\ud83d\\ude00";
        for (raw, mend) in [
            ("\\ud83d", "\\ufffd"),
            ("\\uDE00x", "\\ufffdx"),
            ("\\ud83d\\ud83d\\ude00", "\\ufffd\\ud83d\\ude00"),
            (pair, pair),
            ("\\\\ud83d", "\\\\ud83d"),
            ("\\u00e9\\u0000", "\\u00e9\\u0000"),
            ("é\\udfffé", "é\\ufffdé"),
            ("\\ud83d\\\\ude00", "\\ufffd\\\\ude00"),
        ] {
            assert_eq!(mended(&format!("\"{raw}\"")), format!("\"{mend}\""), "{raw}");
        }
        assert_eq!(text("\"a\\ud800b\""), "a\u{fffd}b");
    }

    #[test]
    fn numbers_are_read_from_numbers_and_strings() {
        for (raw, read) in [("1", Some(1.0)), ("\"72.9\"", Some(72.9)), ("-1", Some(-1.0)), ("\" 5 \"", Some(5.0))] {
            assert_eq!(number(raw), read);
        }
        for raw in ["1e400", "\"inf\"", "\"NaN\"", "true", "[]", "\"\"", "\"5 apples\""] {
            assert_eq!(number(raw), None, "{raw}");
        }
    }

    #[test]
    fn times_are_milliseconds_of_this_age_in_any_type() {
        let at = Some(Instant(1_767_225_600_000));
        for raw in ["1767225600000", "1767225600000.0", "\"1767225600000\"", "\"2026-01-01 00:00:00\""] {
            assert_eq!(instant(raw), at, "{raw}");
        }
        for raw in ["1767225600", "0", "-1", "253402300800000", "99999999999999999999", "true", "\"soon\"", "{}"] {
            assert_eq!(instant(raw), None, "{raw}");
        }
    }

    #[test]
    fn an_address_loses_only_a_prefix_that_covers_one_host() {
        for (raw, read) in [
            ("\"192.0.2.7\"", Some("192.0.2.7")),
            ("\"192.0.2.7/32\"", Some("192.0.2.7")),
            ("\"2001:db8::7/128\"", Some("2001:db8::7")),
            ("\"2001:db8::/32\"", None),
            ("\"192.0.2.0/24\"", None),
            ("\"192.0.2.#7\"", None),
            ("\"192.0.2.7 \"", None),
            ("\"host\"", None),
            ("3221225991", None),
            ("null", None),
        ] {
            assert_eq!(address(raw), read, "{raw}");
        }
    }

    #[test]
    fn a_guid_is_told_by_its_shape() {
        assert!(is_guid("\"80010119-6d7f-0000-0305-5E0000000256\""));
        for raw in ["\"80010119-6d7f-0000-0305-5e000000025\"", "\"g0010119-6d7f-0000-0305-5e0000000256\"", "5", "null"]
        {
            assert!(!is_guid(raw), "{raw}");
        }
    }

    #[test]
    fn percent_is_rounded_and_held_between_0_and_100() {
        assert_eq!((percent("0.541", 100.0), percent("\"72.5\"", 1.0)), (Some(54), Some(73)));
        assert_eq!((percent("1.7", 100.0), percent("-3", 1.0), percent("{}", 1.0)), (Some(100), Some(0), None));
        assert!(exceeds_percent("1.7", 100.0) && !exceeds_percent("1.0", 100.0));
    }
}
