//! Moves the times of a recorded record, and nothing else of its text.
//!
//! The text is not parsed and printed again, because that would change what it is interesting for: the order of members,
//! the notation of numbers, members that are there twice.

use std::ops::RangeInclusive;

/// The members whose epoch milliseconds are moved.
const MOVED: [&str; 6] = ["time", "creationTime", "createdAt", "timestamp", "start", "end"];
/// What counts as milliseconds since the epoch, the years 2001 to 2286: numbers of as many digits as today has.
pub(super) const MILLISECONDS: RangeInclusive<i64> = 1_000_000_000_000..=9_999_999_999_999;
const DIGITS: usize = 13;

/// `text` with the epoch milliseconds of the members above moved by `offset_ms`.
pub(super) fn moved(text: &str, offset_ms: i64) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, number, after)) = next(rest) {
        out.push_str(before);
        out.push_str(&(number + offset_ms).to_string());
        rest = after;
    }
    out + rest
}

/// The first time in `text`: what is before it, the time, and what is behind it.
fn next(text: &str) -> Option<(&str, i64, &str)> {
    let mut from = 0;
    loop {
        // The quote that ends a member's name; inside of a string it would be escaped, and the name no name of ours.
        let quote = from + text.get(from..)?.find('"')?;
        from = quote + 1;
        if !MOVED.iter().any(|name| names(&text[..quote], name)) {
            continue;
        }
        let value = text[from..].trim_start().strip_prefix(':').map(str::trim_start);
        if let Some((number, after)) = value.and_then(milliseconds) {
            let before = text.len() - after.len() - DIGITS;
            return Some((&text[..before], number, after));
        }
    }
}

fn names(before_quote: &str, name: &str) -> bool {
    before_quote.strip_suffix(name).is_some_and(|rest| rest.ends_with('"'))
}

/// A whole number of milliseconds and what is behind it.
fn milliseconds(text: &str) -> Option<(i64, &str)> {
    let length = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, after) = text.split_at(length);
    let number = digits.parse().ok().filter(|number| MILLISECONDS.contains(number))?;
    (length == DIGITS && !after.starts_with(['.', 'e', 'E'])).then_some((number, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_move_and_every_other_byte_stays() {
        let text = r#"{ "time" : 1687774142000,"x":1687774142000, "start":1687774142001 ,"n":1.50,"n":2}"#;
        let later = r#"{ "time" : 1687774143000,"x":1687774142000, "start":1687774143001 ,"n":1.50,"n":2}"#;
        assert_eq!(moved(text, 1000), later);
        assert_eq!(moved(text, 0), text);
    }

    #[test]
    fn what_only_looks_like_a_time_stays() {
        for text in [
            r#"{"time":"1687774142000"}"#,
            r#"{"time":1687774142}"#,
            r#"{"time":16877741420001}"#,
            r#"{"time":1687774142000.5}"#,
            r#"{"timems":1687774142000}"#,
            r#"{"uptime":1687774142000}"#,
            r#"{"message":"\"time\":1687774142000"}"#,
            r#"{"a":"time"}"#,
            r#"{"a":["end"#,
        ] {
            assert_eq!(moved(text, 1000), text);
        }
    }

    #[test]
    fn times_move_at_every_depth() {
        let text = r#"[{"a":{"end":1687774142000}},{"timestamp":1687774142000}]"#;
        assert_eq!(moved(text, -142_000), r#"[{"a":{"end":1687774000000}},{"timestamp":1687774000000}]"#);
    }
}
