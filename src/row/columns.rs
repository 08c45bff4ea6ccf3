//! Writes the columns of one row, straight into the batch's bytes.
//!
//! Every column type has one method here, which decides whether a value fits. A value that does not fit is answered with
//! `false`, and the source's module keeps it in `AdditionalFields`. Which columns exist is in `infra/tables`.

use super::value;
use super::walk::{Walk, special};
use super::{Context, Identity};
use crate::instant::Instant;

/// The longest text in a column, in bytes. Azure cuts a field at 64 KB without saying so
/// (<https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits#logs-ingestion-api>); this is below it
/// under either meaning of KB, and we say so.
pub(super) const LONGEST: usize = 60_000;

/// Ends a text that was cut.
pub(super) const CUT: &str = "…[cut]";

/// Room for the item that tells how many items of a list were left out.
const LAST_ITEM: usize = 40;

/// Integers up to here are exact in a `real` column.
const EXACT_DIGITS: usize = 15;

/// A number that is written longer than this is written again in the shortest form.
const LONGEST_NUMBER: usize = 32;

/// One row while it is written.
pub(super) struct Row<'o> {
    pub(super) out: &'o mut Vec<u8>,
    /// How many values were cut so far.
    pub(super) cuts: u32,
}

impl<'o> Row<'o> {
    /// Begins the row with the columns that every row has.
    pub(super) fn begin(
        product: &str,
        event_time: Option<Instant>,
        context: &Context<'_>,
        identity: &Identity<'_>,
        out: &'o mut Vec<u8>,
    ) -> Self {
        out.extend_from_slice(b"{\"TimeGenerated\":");
        let mut row = Self { out, cuts: 0 };
        quote_plain(&context.posted_at.rfc3339(), row.out);
        row.plain("dtProduct_s", product);
        row.hexadecimal("EventKey", &identity.key.0);
        row.text("EventId", identity.event_id);
        row.hexadecimal("RevisionHash", &identity.revision.0[..8]);
        if let Some(at) = event_time {
            row.plain("EventTime", &at.rfc3339());
        }
        row.plain("IngestKind", context.kind.as_str());
        row.text("Instance", context.instance);
        row.plain("ConnectorVersion", env!("CARGO_PKG_VERSION"));
        row
    }

    /// Says that values were cut, if any were, and how many. The object is left open.
    pub(super) fn end(mut self) -> u32 {
        if self.cuts > 0 {
            self.flag("Truncated", true);
        }
        self.cuts
    }

    /// A `string` column from JSON text. A number, an array or an object is stored as its JSON text.
    pub(super) fn string(&mut self, name: &str, raw: Option<&str>) {
        let Some(raw) = raw else { return };
        if value::quoted(raw).is_none() {
            self.text(name, &value::mended(raw));
        } else if raw.len() <= LONGEST {
            // No escape is shorter than what it stands for, so the text is not longer than its token.
            self.name(name);
            self.out.extend_from_slice(value::mended(raw).as_bytes());
        } else {
            self.text(name, &value::text(raw));
        }
    }

    /// A `string` or `datetime` column from a text of ours.
    pub(super) fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        if text.len() <= LONGEST {
            quote(text, self.out);
        } else {
            self.cuts += 1;
            let text = &format!("{}{CUT}", &text[..text.floor_char_boundary(LONGEST - CUT.len())]);
            quote(text, self.out);
        }
    }

    /// A `string` or `datetime` column from a short text that needs no escapes.
    pub(super) fn plain(&mut self, name: &str, text: &str) {
        self.name(name);
        quote_plain(text, self.out);
    }

    /// A `real` column from a number or a string that holds one. `false` when the column does not hold it exactly.
    pub(super) fn real(&mut self, name: &str, raw: Option<&str>) -> bool {
        let Some(raw) = raw else { return true };
        if raw.len() <= EXACT_DIGITS && raw.bytes().all(|byte| byte.is_ascii_digit()) {
            self.name(name);
            self.out.extend_from_slice(raw.as_bytes());
            return true;
        }
        let Some(number) = value::number(raw) else { return false };
        let digits = value::quoted(raw).unwrap_or(raw);
        self.name(name);
        if digits.len() == raw.len() && raw.len() <= LONGEST_NUMBER {
            self.out.extend_from_slice(raw.as_bytes());
        } else if number.fract() == 0.0 && digits.len() <= EXACT_DIGITS {
            self.out.extend_from_slice(format!("{number:.0}").as_bytes());
        } else {
            self.out.extend_from_slice(format!("{number:?}").as_bytes());
        }
        digits.len() <= EXACT_DIGITS || !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    }

    /// A `real` column from a small number of ours.
    pub(super) fn small(&mut self, name: &str, number: Option<u8>) {
        let Some(number) = number else { return };
        self.name(name);
        let digits = [number / 100, number / 10 % 10, number % 10].map(|digit| b'0' + digit);
        let leading = digits[..2].iter().take_while(|digit| **digit == b'0').count();
        self.out.extend_from_slice(&digits[leading..]);
    }

    /// A `boolean` column. `false` when the value is something else.
    pub(super) fn boolean(&mut self, name: &str, raw: Option<&str>) -> bool {
        let Some(raw) = raw else { return true };
        let Some(flag) = value::boolean(raw) else { return false };
        self.flag(name, flag);
        true
    }

    /// A `boolean` column that we decide.
    pub(super) fn flag(&mut self, name: &str, flag: bool) {
        self.name(name);
        self.out.extend_from_slice(if flag { b"true" } else { b"false" });
    }

    /// A column that holds nothing but an IP address. `false` when the value is something else.
    pub(super) fn address(&mut self, name: &str, raw: Option<&str>) -> bool {
        let Some(raw) = raw else { return true };
        let Some(address) = value::address(raw) else { return false };
        self.plain(name, address);
        true
    }

    /// A `string` column whose text is a JSON array.
    pub(super) fn list(&mut self, name: &str) -> List<'_> {
        self.name(name);
        self.out.extend_from_slice(b"\"[");
        let start = self.out.len();
        List { out: self.out, cuts: &mut self.cuts, start, omitted: 0 }
    }

    /// Writes `,"name":`; the value comes next.
    pub(super) fn name(&mut self, name: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn hexadecimal(&mut self, name: &str, bytes: &[u8]) {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        self.name(name);
        self.out.push(b'"');
        for byte in bytes {
            self.out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        self.out.push(b'"');
    }
}

/// A JSON array inside a string column. Items that no longer fit are left out from the end, and a last item
/// `{"omitted":n}` says so, so that the text stays valid JSON.
pub(super) struct List<'r> {
    out: &'r mut Vec<u8>,
    cuts: &'r mut u32,
    start: usize,
    omitted: u32,
}

impl List<'_> {
    /// Adds the item that `write` writes, escaped for a string (see [`embed`]); nothing when it writes nothing.
    pub(super) fn item(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let before = self.out.len();
        self.comma();
        let item = self.out.len();
        write(self.out);
        if self.out.len() == item {
            self.out.truncate(before);
        } else if self.omitted > 0 || self.out.len() - self.start > LONGEST - LAST_ITEM {
            self.out.truncate(before);
            self.omitted += 1;
        }
    }

    pub(super) fn close(mut self) {
        if self.omitted > 0 {
            *self.cuts += 1;
            self.comma();
            self.out.extend_from_slice(format!("{{\\\"omitted\\\":{}}}", self.omitted).as_bytes());
        }
        self.out.extend_from_slice(b"]\"");
    }

    fn comma(&mut self) {
        if self.out.len() > self.start {
            self.out.push(b',');
        }
    }
}

fn quote_plain(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// A string column with the JSON text of an array, without its empty texts.
pub(super) fn write_texts(name: &str, raw: Option<&str>, row: &mut Row<'_>) {
    let Some(mut walk) = raw.and_then(Walk::array) else { return row.string(name, raw) };
    let mut list = row.list(name);
    while let Some(item) = walk.item() {
        list.item(|out| value::present(item).into_iter().for_each(|item| embed(item, out)));
    }
    list.close();
}

/// A JSON string of `text`.
pub(super) fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    escape(text, out);
    out.push(b'"');
}

/// JSON text as part of a string's content.
pub(super) fn embed(raw: &str, out: &mut Vec<u8>) {
    match value::quoted(raw) {
        Some(inner) if special(inner.as_bytes(), 0) == inner.len() => {
            out.extend_from_slice(b"\\\"");
            out.extend_from_slice(inner.as_bytes());
            out.extend_from_slice(b"\\\"");
        }
        _ => escape(&value::mended(raw), out),
    }
}

/// A JSON object inside a string: its own quotes are written escaped.
pub(super) struct Embedded<'o> {
    out: &'o mut Vec<u8>,
    empty: bool,
}

impl<'o> Embedded<'o> {
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, empty: true }
    }

    /// Writes a field, unless it is absent.
    pub(super) fn field(&mut self, name: &[u8], raw: Option<&str>) {
        if let Some(raw) = raw {
            embed(raw, self.name(name));
        }
    }

    /// Writes the name; the value comes next.
    pub(super) fn name(&mut self, name: &[u8]) -> &mut Vec<u8> {
        if !std::mem::take(&mut self.empty) {
            self.out.push(b',');
        }
        self.out.extend_from_slice(b"\\\"");
        self.out.extend_from_slice(name);
        self.out.extend_from_slice(b"\\\":");
        self.out
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}

fn escape(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    if special(bytes, 0) == bytes.len() && bytes.iter().all(|byte| *byte >= 0x20) {
        return out.extend_from_slice(bytes);
    }
    let mut copied = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if !matches!(byte, b'"' | b'\\' | ..0x20) {
            continue;
        }
        out.extend_from_slice(&bytes[copied..at]);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        copied = at + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn row(write: impl FnOnce(&mut Row<'_>)) -> (Value, u32) {
        let mut out = b"{\"first\":1".to_vec();
        let mut row = Row { out: &mut out, cuts: 0 };
        write(&mut row);
        let cuts = row.end();
        out.push(b'}');
        (serde_json::from_slice(&out).expect("a row is JSON"), cuts)
    }

    fn column(write: impl FnOnce(&mut Row<'_>)) -> Value {
        row(write).0["c"].take()
    }

    #[test]
    fn a_string_column_takes_every_type_as_text() {
        for (raw, text) in [
            ("\"a\\\"\\u0000\\/\"", "a\"\0/"),
            ("\"\\ud800x\"", "\u{fffd}x"),
            ("5e0", "5e0"),
            ("false", "false"),
            ("[\"a\\ud800\"]", "[\"a\\ufffd\"]"),
        ] {
            assert_eq!(column(|row| row.string("c", Some(raw))), text, "{raw}");
        }
        assert!(column(|row| row.string("c", None)).is_null());
    }

    #[test]
    fn a_text_of_the_limit_is_kept_and_one_byte_more_is_cut_between_characters() {
        let fits = "x".repeat(LONGEST);
        assert_eq!(row(|row| row.text("c", &fits)), (json!({"first": 1, "c": fits}), 0));
        let raw = format!("\"{}\"", "é".repeat(LONGEST / 2 + 1));
        let (mut cut, cuts) = row(|row| row.string("c", Some(&raw)));
        let text = cut["c"].take();
        assert!(text.as_str().is_some_and(|text| text.len() <= LONGEST && text.ends_with("é…[cut]")));
        assert_eq!((cut["Truncated"].take(), cuts), (json!(true), 1));
    }

    #[test]
    fn a_token_that_is_long_only_by_its_escapes_is_kept() {
        let raw = format!("\"{}\"", "\\u0041".repeat(LONGEST));
        let (kept, cuts) = row(|row| row.string("c", Some(&raw)));
        assert_eq!((kept["c"].as_str().map(str::len), cuts), (Some(LONGEST), 0));
    }

    #[test]
    fn a_real_column_says_what_it_does_not_hold_exactly() {
        for (raw, exact, held) in [
            ("665", true, json!(665)),
            ("\"72.5\"", true, json!(72.5)),
            ("\"665\"", true, json!(665)),
            ("\"12345678901234567\"", false, json!(12_345_678_901_234_568.0)),
            ("-9", true, json!(-9)),
            ("9007199254740993", false, json!(9_007_199_254_740_993_u64)),
            ("1e400", false, Value::Null),
            ("[1]", false, Value::Null),
        ] {
            let mut answer = None;
            assert_eq!(column(|row| answer = Some(row.real("c", Some(raw)))), held, "{raw}");
            assert_eq!(answer, Some(exact), "{raw}");
        }
    }

    #[test]
    fn small_numbers_have_no_leading_zeros() {
        for number in [0, 7, 54, 100, 255] {
            assert_eq!(column(|row| row.small("c", Some(number))), json!(number));
        }
    }

    #[test]
    fn a_list_that_overflows_leaves_out_its_last_items_and_stays_json() {
        let item = format!("\"{}\"", "\\\"".repeat(10_000));
        let (mut overflowed, cuts) = row(|row| {
            let mut list = row.list("c");
            list.item(|_| {});
            (0..4).for_each(|_| list.item(|out| embed(&item, out)));
            list.item(|out| embed("1", out));
            list.close();
        });
        let text = overflowed["c"].take();
        let items: Vec<Value> = serde_json::from_str(text.as_str().unwrap()).expect("the text is JSON");
        assert_eq!((items.len(), items.last().unwrap()), (2, &json!({"omitted": 4})));
        assert_eq!((cuts, overflowed["Truncated"].take()), (1, json!(true)));
    }

    #[test]
    fn embedded_json_is_read_back_as_it_was() {
        for raw in ["\"a\"", "\"a\\n\\\"\\\\\"", "{\n\t\"a\": [1]}", "null"] {
            let text = column(|row| {
                let mut list = row.list("c");
                list.item(|out| embed(raw, out));
                list.close();
            });
            assert_eq!(text, format!("[{raw}]"));
        }
    }
}
