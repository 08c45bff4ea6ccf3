//! A call by HTTP: the host's envelope of the client's request, and the answer that goes back to the client.
//!
//! The host posts to the function's name whatever the client sent where, and puts the client's request into the envelope
//! under the name of the binding (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>). The answer
//! goes to an output binding called `res`. Who may call is checked by the host: `authLevel` in `function.json`.
//!
//! Without the host, on a workstation, a browser may ask for what is only to be looked at. It gets the answer as it is.

use super::invocation::Refusal;
use axum::http::header::{ACCEPT, HOST};
use axum::http::{HeaderMap, Uri};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client asked for. What is not in the envelope, or is of another type, counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpCall {
    /// `GET`, `POST` and so on; empty when the envelope does not tell.
    pub method: String,
    /// The parameters of the query. Of repeated ones the host makes one text.
    pub query: BTreeMap<String, String>,
    /// The body as text; empty when there was none.
    pub body: String,
    /// The media types that the client would like, as its `Accept` header has them.
    pub accept: String,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The media type of the body.
    pub content_type: &'static str,
    /// The body as text.
    pub body: String,
}

/// A function that is called by HTTP, and by whom.
#[derive(Clone)]
pub struct HttpRoute {
    /// The name of the function: its folder beside `host.json`.
    pub name: &'static str,
    /// What it does.
    pub function: HttpFunction,
    /// Who may call it.
    pub callers: Callers,
}

/// Who may call a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Callers {
    /// The Functions host alone, which has checked the caller's key.
    Host,
    /// A browser on this machine as well, for what is only to be looked at.
    HostAndBrowser,
}

/// What a function does.
pub type HttpFunction = Arc<dyn Fn(HttpCall) -> BoxFuture<'static, HttpAnswer> + Send + Sync>;

impl HttpCall {
    pub(super) fn read(body: &[u8]) -> Result<Self, Refusal> {
        let envelope: Value = serde_json::from_slice(body).map_err(Refusal::NotJson)?;
        if !envelope.is_object() {
            return Err(Refusal::NotAnObject);
        }
        // The function has one binding that brings data, whichever name `function.json` gives it.
        let data = envelope.get("Data").and_then(Value::as_object);
        let request = data.and_then(|data| data.values().find(|value| value.is_object()));
        let text = |name: &str| request.and_then(|request| request.get(name)?.as_str()).unwrap_or_default().to_owned();
        let query = request.and_then(|request| request.get("Query")?.as_object()).into_iter().flatten();
        let query = query.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        let accept = request.and_then(accepted).unwrap_or_default();
        Ok(Self { method: text("Method"), query: query.collect(), body: text("Body"), accept })
    }

    /// What a browser on this machine asks for; `None` when it is led here by a name that is not this machine's, as a page
    /// from elsewhere may have it done (DNS rebinding).
    pub(super) fn direct(uri: &Uri, headers: &HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let host = text(HOST);
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let query = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
        let is_here = name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost");
        is_here.then(|| Self {
            method: "GET".to_owned(),
            query: query.into_owned().collect(),
            body: String::new(),
            accept: text(ACCEPT).to_owned(),
        })
    }

    /// Whether a person looks at the answer: a browser names HTML, programs do not. `format` in the query decides first.
    #[must_use]
    pub fn wants_page(&self) -> bool {
        match self.query.get("format").map(String::as_str) {
            Some("html") => true,
            Some(_) => false,
            None => self.accept.contains("text/html"),
        }
    }
}

/// The host has a list of texts for each header, under a name in whatever case.
fn accepted(request: &Value) -> Option<String> {
    let headers = request.get("Headers")?.as_object()?;
    let (_, values) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("accept"))?;
    let values: Vec<_> = values.as_array()?.iter().filter_map(Value::as_str).collect();
    Some(values.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_of_the_client_is_in_the_envelope() {
        let envelope = concat!(
            r#"{"Data":{"req":{"Url":"http://localhost:7071/api/run?x=1","Method":"POST","Query":{"x":"1","y":2},"#,
            r#""Headers":{"Accept":["*/*"]},"Params":{},"Identities":[],"Body":"{\"a\":1}"}},"Metadata":{"x":"\"1\""}}"#
        );
        let call = HttpCall::read(envelope.as_bytes()).unwrap();
        let query = BTreeMap::from([("x".to_owned(), "1".to_owned())]);
        assert_eq!(
            call,
            HttpCall { method: "POST".to_owned(), query, body: r#"{"a":1}"#.to_owned(), accept: "*/*".to_owned() }
        );
    }

    #[test]
    fn a_browser_gets_a_page_and_a_program_does_not_unless_the_query_says_otherwise() {
        let chromium = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8";
        for (accept, format, page) in [
            (chromium, None, true),
            ("*/*", None, false),
            ("", None, false),
            (chromium, Some("json"), false),
            ("*/*", Some("html"), true),
        ] {
            let query = format.map(|format: &str| ("format".to_owned(), format.to_owned())).into_iter().collect();
            let call = HttpCall { query, accept: accept.to_owned(), ..HttpCall::default() };
            assert_eq!(call.wants_page(), page, "{accept} {format:?}");
        }
    }

    #[test]
    fn a_page_from_elsewhere_cannot_look_through_a_name_of_its_own() {
        let direct = |host: &str| {
            let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
            HttpCall::direct(&"/DarktraceStatus?instance=h%20q".parse().unwrap(), &headers)
        };
        for host in ["127.0.0.1:7072", "localhost:7072", "LOCALHOST:7072", "127.0.0.1"] {
            assert_eq!(direct(host).unwrap().query["instance"], "h q", "{host}");
        }
        for host in ["rebound.example:7072", "127.0.0.1.example", "", "10.0.0.1:7072"] {
            assert_eq!(direct(host), None, "{host}");
        }
    }

    #[test]
    fn an_envelope_that_lacks_everything_is_a_call_without_anything() {
        for envelope in
            ["{}", r#"{"Data":null}"#, r#"{"Data":{"req":{}}}"#, r#"{"Data":{"req":{"Query":[],"Body":7}}}"#]
        {
            assert_eq!(HttpCall::read(envelope.as_bytes()).unwrap(), HttpCall::default(), "{envelope}");
        }
        assert!(HttpCall::read(b"[]").is_err() && HttpCall::read(b"").is_err());
    }
}
