//! What a stream takes: its columns, their types, and what is wrong with a row.
//!
//! The real service says nothing about a row that does not fit: it drops the value, or the row, and answers 204. Here each
//! misfit is written down, so that a test can insist that there is none. Types and limits:
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview> and
//! <https://learn.microsoft.com/azure/azure-monitor/fundamentals/service-limits>.

use crate::sim::calendar;
use serde_json::Value;
use std::collections::BTreeMap;
use std::{error, fmt};

/// A longer value is cut without a word, in bytes of UTF-8.
const FIELD_LIMIT: usize = 64 * 1024;

/// The columns of a stream.
pub type Columns = BTreeMap<String, ColumnType>;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text of at most 64 KiB.
    String,
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    /// Any number.
    Real,
    /// `true` or `false`.
    Boolean,
    /// RFC 3339 in UTC.
    DateTime,
    /// Any JSON of at most 64 KiB.
    Dynamic,
    /// Hexadecimal digits in groups of 8, 4, 4, 4 and 12.
    Guid,
}

/// Something in an accepted row that the real service would have dropped or cut.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Violation {
    /// The stream that was posted to.
    pub stream: String,
    /// The column; empty when it is about the whole body or row.
    pub column: String,
    /// What does not fit.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}: {}", self.stream, self.column, self.what)
    }
}

/// A table schema that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError(String);

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the table schema cannot be used: {}", self.0)
    }
}

impl error::Error for SchemaError {}

/// The columns in a table schema of the form `{"name":"X_CL","columns":[{"name":"A","type":"string",...}]}`.
///
/// # Errors
/// When it is not of that form, names a type that does not exist, or names a column twice.
pub fn columns_of(schema_json: &str) -> Result<Columns, SchemaError> {
    let schema: Value = serde_json::from_str(schema_json).map_err(|e| SchemaError(e.to_string()))?;
    let listed = schema["columns"].as_array().ok_or_else(|| SchemaError("there is no list of columns".to_owned()))?;
    let mut columns = Columns::new();
    for column in listed {
        let (Some(name), Some(kind)) = (column["name"].as_str(), column["type"].as_str()) else {
            return Err(SchemaError(format!("a column has no name or no type: {column}")));
        };
        let kind = ColumnType::named(kind).ok_or_else(|| SchemaError(format!("{name} has the unknown type {kind}")))?;
        if columns.insert(name.to_owned(), kind).is_some() {
            return Err(SchemaError(format!("{name} is there twice")));
        }
    }
    Ok(columns)
}

impl ColumnType {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "string" => Self::String,
            "int" => Self::Int,
            "long" => Self::Long,
            "real" => Self::Real,
            "boolean" | "bool" => Self::Boolean,
            "datetime" => Self::DateTime,
            "dynamic" => Self::Dynamic,
            "guid" => Self::Guid,
            _ => return None,
        })
    }

    /// What is wrong with `value` in such a column. Null is the absent value of every type.
    fn complaint(self, value: &Value) -> Option<String> {
        let fits = match self {
            _ if value.is_null() => true,
            Self::String => return text_complaint(value),
            Self::Dynamic => return dynamic_complaint(value),
            Self::Int => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
            Self::Long => value.as_i64().is_some(),
            Self::Real => value.is_number(),
            Self::Boolean => value.is_boolean(),
            Self::DateTime => value.as_str().is_some_and(calendar::is_rfc3339_utc),
            Self::Guid => value.as_str().is_some_and(is_guid),
        };
        (!fits).then(|| format!("not a {self:?} but {}", kind_of(value)))
    }
}

/// Everything that is wrong with the rows, each kind of misfit once.
pub(super) fn violations(stream: &str, columns: &Columns, rows: &[Value]) -> Vec<Violation> {
    let mut found = Vec::new();
    for row in rows.iter().filter_map(Value::as_object) {
        for (column, value) in row {
            let complaint = match columns.get(column) {
                None => Some("no such column in the stream".to_owned()),
                Some(kind) => kind.complaint(value),
            };
            found.extend(complaint.map(|what| Violation { stream: stream.to_owned(), column: column.clone(), what }));
        }
    }
    found.sort();
    found.dedup();
    found
}

fn text_complaint(value: &Value) -> Option<String> {
    let Some(text) = value.as_str() else { return Some(format!("not a String but {}", kind_of(value))) };
    (text.len() > FIELD_LIMIT).then(|| format!("{} bytes of text are too long", text.len()))
}

fn dynamic_complaint(value: &Value) -> Option<String> {
    let is_hollow = match value {
        Value::Array(items) => !items.is_empty() && items.iter().all(Value::is_null),
        Value::Object(fields) => !fields.is_empty() && fields.values().all(Value::is_null),
        _ => false,
    };
    if is_hollow {
        return Some("holds nothing but nulls".to_owned());
    }
    let bytes = value.to_string().len();
    (bytes > FIELD_LIMIT).then(|| format!("{bytes} bytes of JSON are too long"))
}

fn is_guid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The kind of a value, never the value: violations end up in the output of tests and of the demo.
const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "another number",
        Value::String(_) => "another text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SCHEMA: &str = r#"{"name":"T_CL","columns":[
        {"name":"s","type":"string","description":"d","origin":"o"},{"name":"i","type":"int"},{"name":"l","type":"long"},
        {"name":"r","type":"real"},{"name":"b","type":"boolean"},{"name":"t","type":"datetime"},
        {"name":"d","type":"dynamic"},{"name":"g","type":"guid"}]}"#;

    fn wrong(row: Value) -> Vec<String> {
        let columns = columns_of(SCHEMA).unwrap();
        violations("S", &columns, &[row.clone(), row]).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_row_that_fits_has_no_violation() {
        let guid = "8abcdef0-1234-1234-1234-5ABABABABABA";
        let row = json!({"s": "x", "i": -1, "l": 5_000_000_000_i64, "r": 1, "b": true, "t": "2026-01-01T00:00:00Z",
            "d": [1, null], "g": guid});
        assert_eq!(wrong(row), Vec::<String>::new());
        assert_eq!(wrong(json!({"s": null, "t": null, "d": null})), Vec::<String>::new());
        assert_eq!(wrong(json!({"s": "x".repeat(65_536), "d": [], "r": 0.5})), Vec::<String>::new());
    }

    #[test]
    fn each_misfit_is_named_once() {
        for (row, complaint) in [
            (json!({"z": 1}), "S.z: no such column in the stream"),
            (json!({"s": 1}), "S.s: not a String but another number"),
            (json!({"s": "x".repeat(65_537)}), "S.s: 65537 bytes of text are too long"),
            (json!({"i": 5_000_000_000_i64}), "S.i: not a Int but another number"),
            (json!({"l": 1.5}), "S.l: not a Long but another number"),
            (json!({"r": "1"}), "S.r: not a Real but another text"),
            (json!({"b": "true"}), "S.b: not a Boolean but another text"),
            (json!({"t": "2026-01-01 00:00:00"}), "S.t: not a DateTime but another text"),
            (json!({"d": [null, null]}), "S.d: holds nothing but nulls"),
            (json!({"d": {"a": null}}), "S.d: holds nothing but nulls"),
            (json!({"g": "g1"}), "S.g: not a Guid but another text"),
        ] {
            assert_eq!(wrong(row), [complaint]);
        }
    }

    #[test]
    fn a_schema_that_cannot_be_meant_is_refused() {
        for schema in [
            "",
            "{}",
            r#"{"columns":[{"name":"a"}]}"#,
            r#"{"columns":[{"name":"a","type":"text"}]}"#,
            r#"{"columns":[{"name":"a","type":"int"},{"name":"a","type":"int"}]}"#,
        ] {
            assert!(columns_of(schema).is_err(), "{schema}");
        }
    }
}
