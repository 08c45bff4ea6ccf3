//! What the host makes of an answer: `DefaultHttpWorkerService.ProcessInvocationRequest` and the deserialiser under it.

use super::wire::Answer;
use serde_json::{Map, Value};

/// The host's opinion.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Verdict {
    /// The invocation is green.
    Succeeded {
        /// Written at Information, tied to the invocation.
        logs: Vec<String>,
        /// Handed to the output bindings.
        outputs: Map<String, Value>,
    },
    /// The invocation is red. The host has dropped the body.
    Failed {
        /// What the failure says in Application Insights.
        reason: String,
    },
    /// The invocation never ends: the function times out and the process is killed.
    Hangs,
}

impl Verdict {
    /// Judges an answer to an invocation.
    pub(crate) fn of(answer: &Answer) -> Self {
        if !(200..300).contains(&answer.status) {
            // A redirect would be followed with GET, which no handler of ours may rely on.
            return failed(&format!("Response status code does not indicate success: {}", answer.status));
        }
        let body = answer.body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(&answer.body);
        if body.is_empty() {
            return Self::Hangs;
        }
        if !has_json_type(answer) {
            return failed("Invalid HttpResponseMessage: content type");
        }
        match serde_json::from_slice(body) {
            Ok(Value::Null) => Self::Hangs,
            Ok(Value::Object(result)) => of_result(&result),
            Ok(_) => failed("Invalid HttpResponseMessage: not an object"),
            Err(error) => failed(&format!("Invalid HttpResponseMessage: {error}")),
        }
    }
}

fn failed(reason: &str) -> Verdict {
    Verdict::Failed { reason: reason.to_owned() }
}

fn has_json_type(answer: &Answer) -> bool {
    let media_type = answer.header("content-type").and_then(|value| value.split(';').next()).unwrap_or_default().trim();
    ["application/json", "text/json"].iter().any(|known| media_type.eq_ignore_ascii_case(known))
}

fn of_result(result: &Map<String, Value>) -> Verdict {
    let outputs = match member(result, "Outputs") {
        Value::Null => Map::new(),
        Value::Object(outputs) => outputs.clone(),
        _ => return failed("Invalid HttpResponseMessage: Outputs is not an object"),
    };
    let logs = match member(result, "Logs") {
        Value::Null => Some(Vec::new()),
        Value::Array(lines) => lines.iter().map(text).collect(),
        _ => None,
    };
    let Some(logs) = logs else { return failed("Invalid HttpResponseMessage: Logs is not a list of texts") };
    Verdict::Succeeded { logs, outputs }
}

/// Names ignore case.
fn member<'a>(result: &'a Map<String, Value>, name: &str) -> &'a Value {
    result.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or(&Value::Null, |(_, value)| value)
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Null => Some(String::new()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(_) | Value::Object(_) => None,
    }
}

mod tests {
    use super::*;

    fn answer(status: u16, content_type: Option<&str>, body: &str) -> Answer {
        let headers = content_type.map(|value| ("Content-Type".to_owned(), value.to_owned())).into_iter().collect();
        Answer { status, headers, body: body.as_bytes().to_vec() }
    }

    fn of_json(body: &str) -> Verdict {
        Verdict::of(&answer(200, Some("application/json"), body))
    }

    #[test]
    fn an_object_of_any_case_succeeds() {
        let expected = Verdict::Succeeded { logs: vec!["a".into(), "1".into(), "true".into()], outputs: Map::new() };
        for body in [
            r#"{"Outputs":{},"Logs":["a",1,true],"ReturnValue":null}"#,
            r#"{"logs":["a",1,true],"more":1}"#,
            "\u{feff}{\"outputs\":null,\"LOGS\":[\"a\",1,true]}",
        ] {
            assert_eq!(of_json(body), expected, "{body}");
        }
        assert_eq!(of_json("{}"), Verdict::Succeeded { logs: vec![], outputs: Map::new() });
        let text_json = answer(201, Some("Text/JSON; charset=utf-8"), "{}");
        assert_eq!(Verdict::of(&text_json), Verdict::Succeeded { logs: vec![], outputs: Map::new() });
    }

    #[test]
    fn an_empty_or_null_success_hangs() {
        assert_eq!(of_json(""), Verdict::Hangs);
        assert_eq!(of_json("null"), Verdict::Hangs);
        assert_eq!(Verdict::of(&answer(200, Some("text/plain"), "")), Verdict::Hangs);
        assert_eq!(Verdict::of(&answer(204, None, "")), Verdict::Hangs);
    }

    #[test]
    fn everything_else_fails() {
        for body in ["{", "[]", "\"text\"", r#"{"Outputs":[]}"#, r#"{"Logs":"a"}"#, r#"{"Logs":[{}]}"#] {
            assert!(matches!(of_json(body), Verdict::Failed { .. }), "{body}");
        }
        for (status, content_type) in [
            (200, None),
            (200, Some("text/plain")),
            (200, Some("application/problem+json")),
            (500, Some("application/json")),
            (302, Some("application/json")),
        ] {
            let verdict = Verdict::of(&answer(status, content_type, "{}"));
            assert!(matches!(verdict, Verdict::Failed { .. }), "{status} {content_type:?}");
        }
    }
}
