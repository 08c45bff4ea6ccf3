//! Walks JSON text that is known to be valid, without building a tree.
//!
//! `serde_json` checks a record once, in [`super::Record::parse`]; below that, nested parts are walked by this cursor,
//! which hands out slices of the text. It checks nothing again: on text that is not JSON it ends early, but it neither
//! panics nor loops. What the slices mean is in [`super::value`].

use super::value;
use memchr::memchr2;
use std::borrow::Cow;

/// A place in JSON text.
pub(super) struct Walk<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Walk<'a> {
    /// The inside of an object; `None` when `text` is something else.
    pub(super) fn object(text: &'a str) -> Option<Self> {
        text.starts_with('{').then_some(Self { text, at: 1 })
    }

    /// The inside of an array; `None` when `text` is something else.
    pub(super) fn array(text: &'a str) -> Option<Self> {
        text.starts_with('[').then_some(Self { text, at: 1 })
    }

    /// The next key of the object that the cursor is in. Its value has to be taken before the next call.
    pub(super) fn key(&mut self) -> Option<Cow<'a, str>> {
        self.separator();
        if self.peek() != Some(b'"') {
            self.at += 1;
            return None;
        }
        let from = self.at;
        let end = special(self.text.as_bytes(), from + 1);
        if self.text.as_bytes().get(end) == Some(&b'"') {
            self.at = end + 1;
            self.colon();
            return self.text.get(from + 1..end).map(Cow::Borrowed);
        }
        self.at = self.after_string(from);
        let key = self.text.get(from..self.at)?;
        self.colon();
        Some(value::text(key))
    }

    /// The next item of the array that the cursor is in.
    pub(super) fn item(&mut self) -> Option<&'a str> {
        self.next()
    }

    /// Goes into the next item of an array when it is an object, and returns `false` when it is anything else. The keys
    /// of the item are then taken from this same cursor until there are none left.
    pub(super) fn enter_item(&mut self) -> bool {
        self.separator();
        self.enter(b'{')
    }

    /// Goes into the value that stands here when it begins with `bracket`, as [`Self::enter_item`] does.
    pub(super) fn enter(&mut self, bracket: u8) -> bool {
        let inside = self.peek() == Some(bracket);
        self.at += usize::from(inside);
        inside
    }

    /// The value that stands here.
    pub(super) fn value(&mut self) -> &'a str {
        let from = self.at;
        self.at = match self.peek() {
            Some(b'"') => self.after_string(from),
            Some(b'{' | b'[') => self.after_nested(from),
            _ => self.after_scalar(from),
        };
        self.text.get(from..self.at).unwrap_or_default()
    }

    /// The next value after a comma, or `None` behind the closing bracket.
    fn next(&mut self) -> Option<&'a str> {
        self.separator();
        if let None | Some(b'}' | b']') = self.peek() {
            self.at += 1;
            return None;
        }
        Some(self.value()).filter(|value| !value.is_empty())
    }

    fn colon(&mut self) {
        self.blank();
        self.at += 1;
        self.blank();
    }

    fn separator(&mut self) {
        self.blank();
        if self.peek() == Some(b',') {
            self.at += 1;
            self.blank();
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn blank(&mut self) {
        if self.peek().is_some_and(|byte| byte > b' ') {
            return;
        }
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn after_string(&self, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let mut at = special(bytes, from + 1);
        while bytes.get(at) == Some(&b'\\') {
            at = special(bytes, at + 2);
        }
        bytes.len().min(at + 1)
    }

    fn after_nested(&self, from: usize) -> usize {
        let bytes = self.text.as_bytes();
        let (mut at, mut depth) = (from, 0);
        while let Some(byte) = bytes.get(at) {
            if *byte == b'"' {
                at = self.after_string(at);
                continue;
            }
            at += 1;
            depth += nesting(*byte);
            if depth == 0 {
                break;
            }
        }
        at
    }

    fn after_scalar(&self, from: usize) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        let ends = |byte: &u8| *byte <= b' ' || matches!(byte, b',' | b']' | b'}');
        from + rest.iter().position(ends).unwrap_or(rest.len())
    }
}

/// Where the first quote or backslash stands from `at` on; the end of `bytes` when there is none.
///
/// Most strings of a record are shorter than the set-up of a vector search costs, so the first bytes are looked at eight
/// at a time (<https://graphics.stanford.edu/~seander/bithacks.html#ZeroInWord>).
#[inline]
pub(super) fn special(bytes: &[u8], at: usize) -> usize {
    let mut rest = bytes.get(at..).unwrap_or_default();
    for _ in 0..NEAR {
        let Some((word, behind)) = rest.split_first_chunk() else {
            let found = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'));
            return bytes.len() - rest.len() + found.unwrap_or(rest.len());
        };
        let word = u64::from_le_bytes(*word);
        let found = zero_bytes(word ^ (LOW * b'"' as u64)) | zero_bytes(word ^ (LOW * b'\\' as u64));
        if found != 0 {
            return bytes.len() - rest.len() + (found.trailing_zeros() / 8) as usize;
        }
        rest = behind;
    }
    bytes.len() - rest.len() + memchr2(b'"', b'\\', rest).unwrap_or(rest.len())
}

/// So many times eight bytes are looked at before the vector search is asked.
const NEAR: usize = 8;

const LOW: u64 = 0x0101_0101_0101_0101;

/// The high bit of each byte that is zero; only the lowest one found is meant to be used.
const fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(LOW) & !word & (LOW << 7)
}

/// Whether brackets are nested deeper than `limit` anywhere in `text`.
pub(super) fn is_deeper_than(limit: usize, text: &str) -> bool {
    // Most values have fewer opening brackets than that in all, and counting bytes is far cheaper than walking.
    let opening = text.bytes().filter(|byte| byte | 0x20 == b'{').count();
    opening > limit && depth(text) > limit
}

/// How a byte outside of strings changes the depth. Computed without a branch, because brackets come at no rhythm that a
/// processor could foresee: `[` and `{` differ by one bit, and so do `]` and `}`.
const fn nesting(byte: u8) -> i32 {
    (byte | 0x20 == b'{') as i32 - (byte | 0x20 == b'}') as i32
}

fn depth(text: &str) -> usize {
    let walk = Walk { text, at: 0 };
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut deepest) = (0, 0, 0);
    while let Some(byte) = bytes.get(at) {
        if *byte == b'"' {
            at = walk.after_string(at);
            continue;
        }
        at += 1;
        depth += nesting(*byte);
        deepest = deepest.max(depth);
    }
    usize::try_from(deepest).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Vec<(String, String)> {
        let mut walk = Walk::object(text).expect("an object");
        let mut found = Vec::new();
        while let Some(key) = walk.key() {
            found.push((key.into_owned(), walk.value().to_owned()));
        }
        found
    }

    #[test]
    fn keys_and_values_are_handed_out_as_they_stand() {
        let text = " {\"a\" : [1, {\"b\":\"]}\"}] ,\n\"c\\u0064\":\"x\\\"y\",\"n\":-1.5e3}";
        let pairs = [("a", "[1, {\"b\":\"]}\"}]"), ("cd", "\"x\\\"y\""), ("n", "-1.5e3")];
        assert_eq!(fields(text.trim()), pairs.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert!(fields("{ }").is_empty());
    }

    #[test]
    fn items_can_be_taken_whole_or_entered() {
        let mut walk = Walk::array("[1,{\"a\":2},\"x\",[]]").unwrap();
        assert!(!walk.enter_item());
        assert_eq!(walk.item(), Some("1"));
        assert!(walk.enter_item());
        assert_eq!(walk.key().as_deref(), Some("a"));
        assert_eq!(walk.value(), "2");
        assert_eq!(walk.key(), None);
        assert_eq!((walk.item(), walk.item(), walk.item()), (Some("\"x\""), Some("[]"), None));
    }

    #[test]
    fn other_values_are_neither_object_nor_array() {
        for text in ["null", "\"{\"", "1", "true"] {
            assert!(Walk::object(text).is_none() && Walk::array(text).is_none());
        }
    }

    #[test]
    fn torn_text_ends_the_walk() {
        for text in ["{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":[", "{\"a\":\"\\", "{,,", "{]"] {
            let mut walk = Walk::object(text).unwrap();
            let mut rounds = 0;
            while walk.key().is_some() {
                walk.value();
                rounds += 1;
                assert!(rounds < 9, "{text}");
            }
        }
    }

    #[test]
    fn depth_counts_nesting_and_not_brackets() {
        let wide = format!("[{}[]]", "[],".repeat(100));
        let deep = format!("{}{}", "[".repeat(65), "]".repeat(65));
        assert!(!is_deeper_than(64, &wide));
        assert!(is_deeper_than(64, &deep));
        assert!(!is_deeper_than(64, &format!("[\"{}\"]", "[".repeat(100))));
    }
}
