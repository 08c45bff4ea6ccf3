//! One post: read from the wire, checked as the service checks it, and answered.

use super::schema::Violation;
use super::{Fault, Modes, Rules};
use crate::sim::token::{self, Refusal as TokenRefusal};
use crate::sim::{body, query};
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use flate2::read::GzDecoder;
use serde_json::{Value, json};
use std::io::Read;

const API_VERSION: &str = "2023-01-01";
/// More than this is not read: far above every limit that is tested, so sizes can still be told exactly.
const MOST_BYTES: usize = 256 << 20;

/// A post as it came.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) stream: String,
    pub(super) wire: Bytes,
    parts: Parts,
    dcr: String,
    /// Nothing when the gzip was broken.
    raw: Option<Bytes>,
    /// Nothing when it was not JSON.
    json: Option<Value>,
}

/// A body whose rows were taken, kept as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    wire: Bytes,
    is_gzip: bool,
}

/// Why a post is refused.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    /// What a test must notice although the real service would not have said it.
    pub(super) violation: Option<Violation>,
}

/// The end of a post.
#[derive(Debug)]
pub(super) enum Answer {
    /// 204
    Accepted,
    /// An error in the form of the service.
    Refused(Refusal),
    /// 429
    Throttled(Option<String>),
    /// A status and nothing else.
    Bare(u16),
    /// The connection closes.
    Closed,
}

impl Post {
    /// Reads the whole body. Nothing comes back when the client breaks off.
    pub(super) async fn read(parts: Parts, body: Body) -> Option<Self> {
        let wire = axum::body::to_bytes(body, MOST_BYTES).await.ok()?;
        let raw = if is_gzip(&parts.headers) { inflated(&wire) } else { Some(wire.clone()) };
        let json = raw.as_deref().and_then(|raw| serde_json::from_slice(raw).ok());
        let (dcr, stream) = names(parts.uri.path());
        Some(Self { stream: stream.to_owned(), dcr: dcr.to_owned(), wire, parts, raw, json })
    }

    /// How many rows the body holds.
    pub(super) fn count(&self) -> usize {
        self.json.as_ref().and_then(Value::as_array).map_or(0, Vec::len)
    }

    pub(super) fn raw_bytes(&self) -> usize {
        self.raw.as_ref().map_or(0, Bytes::len)
    }

    pub(super) fn into_taken(self) -> Taken {
        Taken { is_gzip: is_gzip(&self.parts.headers), wire: self.wire }
    }

    /// The rows, when everything about the post is right.
    pub(super) fn check(&mut self, rules: &Rules, modes: &Modes, now_ms: i64) -> Result<Vec<Value>, Refusal> {
        self.check_sender(rules, now_ms)?;
        self.check_address(rules)?;
        self.check_form(modes.limit_bytes)?;
        let raw = self.raw.as_deref().ok_or_else(|| payload("The gzip stream is broken.", None))?;
        if raw.is_empty() {
            return Err(refusal(500, "", String::new()));
        }
        let poison = modes.reject_rows_containing.as_deref().filter(|poison| !poison.is_empty());
        if poison.is_some_and(|poison| contains(raw, poison.as_bytes())) {
            return Err(payload("A record of the payload cannot be processed.", None));
        }
        self.rows()
    }

    fn check_sender(&self, rules: &Rules, now_ms: i64) -> Result<(), Refusal> {
        let refused = |message: &str| refusal(401, "InvalidToken", message.to_owned());
        match token::check(text(&self.parts.headers, "authorization"), &rules.audience, now_ms / 1000) {
            Ok(()) => Ok(()),
            Err(TokenRefusal::Absent) => Err(refused("The request has no bearer token.")),
            Err(TokenRefusal::Foreign) => Err(refused("The token is not valid.")),
            Err(TokenRefusal::Audience) => Err(refused("The audience of the token is not this service.")),
            Err(TokenRefusal::Expired) => Err(refused("The token has expired.")),
        }
    }

    fn check_address(&self, rules: &Rules) -> Result<(), Refusal> {
        if self.parts.method != Method::POST || self.dcr != rules.dcr {
            return Err(not_found(&self.dcr));
        }
        if !rules.streams.contains_key(&self.stream) {
            let message = format!("The stream {} was not found in the data collection rule.", self.stream);
            return Err(refusal(400, "InvalidStream", message));
        }
        let query = query::pairs(self.parts.uri.query().unwrap_or_default());
        if query::value(&query, "api-version") != Some(API_VERSION) {
            return Err(refusal(400, "InvalidApiVersion", format!("The api-version must be {API_VERSION}.")));
        }
        Ok(())
    }

    fn check_form(&self, limit: usize) -> Result<(), Refusal> {
        let headers = &self.parts.headers;
        if !text(headers, "content-type").is_some_and(|value| value.starts_with("application/json")) {
            return Err(refusal(415, "UnsupportedMediaType", "The content type must be application/json.".to_owned()));
        }
        if !matches!(text(headers, "content-encoding"), None | Some("gzip" | "identity")) {
            return Err(refusal(415, "UnsupportedMediaType", "The content encoding is not supported.".to_owned()));
        }
        // The documented limit holds for the body as sent and for what it inflates to.
        let largest = self.wire.len().max(self.raw_bytes());
        if largest > limit { Err(too_large(limit, largest)) } else { Ok(()) }
    }

    fn rows(&mut self) -> Result<Vec<Value>, Refusal> {
        match self.json.take() {
            Some(Value::Array(rows)) if rows.iter().all(Value::is_object) => Ok(rows),
            Some(Value::Array(_)) => Err(self.misfit("an array of other things than objects")),
            Some(_) => Err(self.misfit("no array; the real service answers 204 and drops it")),
            None => Err(self.misfit("not JSON")),
        }
    }

    fn misfit(&self, what: &str) -> Refusal {
        let what = format!("the body is {what}");
        let violation = Violation { stream: self.stream.clone(), column: String::new(), what };
        payload("The payload is not an array of objects.", Some(violation))
    }
}

impl Taken {
    /// The rows, read once more.
    pub(super) fn rows(&self) -> Vec<Value> {
        let raw = if self.is_gzip { inflated(&self.wire) } else { Some(self.wire.clone()) };
        raw.and_then(|raw| serde_json::from_slice(&raw).ok()).unwrap_or_default()
    }
}

/// The answer that a fault gives in place of any check, if it gives one.
pub(super) fn instead(fault: Option<&Fault>, rules: &Rules, post: &Post) -> Option<Answer> {
    Some(match fault? {
        Fault::Throttle(retry_after) => Answer::Throttled(retry_after.map(super::RetryAfter::header)),
        Fault::Status(status) => Answer::Bare(*status),
        Fault::Unauthorized => Answer::Refused(refusal(401, "InvalidToken", "The token has expired.".to_owned())),
        Fault::Forbidden => Answer::Refused(forbidden(&rules.dcr)),
        Fault::NotFound => Answer::Refused(not_found(&rules.dcr)),
        Fault::TooLarge => Answer::Refused(too_large(1_048_576, post.wire.len().max(1_048_577))),
        Fault::ResetBefore => Answer::Closed,
        Fault::ResetAfter | Fault::LatencyMs(_) => return None,
    })
}

impl Answer {
    /// The status for the journal.
    pub(super) const fn status(&self) -> u16 {
        match self {
            Self::Accepted => 204,
            Self::Refused(refusal) => refusal.status,
            Self::Throttled(_) => 429,
            Self::Bare(status) => *status,
            Self::Closed => 0,
        }
    }

    pub(super) fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self {
            Self::Accepted | Self::Bare(_) => Response::new(Body::empty()),
            Self::Refused(refusal) if refusal.code.is_empty() => Response::new(Body::empty()),
            Self::Refused(refusal) => error(refusal.code, &refusal.message),
            Self::Throttled(retry_after) => {
                let mut response = error("TooManyRequests", "The rate limit of the data collection rule is reached.");
                insert(&mut response, header::RETRY_AFTER, retry_after.as_deref());
                response
            }
            Self::Closed => Response::new(Body::from_stream(body::closed())),
        };
        *response.status_mut() = status;
        response
    }
}

fn error(code: &str, message: &str) -> Response {
    let body = json!({"error": {"code": code, "message": message}});
    let mut response = Response::new(Body::from(body.to_string()));
    insert(&mut response, header::CONTENT_TYPE, Some("application/json; charset=utf-8"));
    insert(&mut response, HeaderName::from_static("x-ms-error-code"), Some(code));
    response
}

fn insert(response: &mut Response, name: HeaderName, value: Option<&str>) {
    if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
        response.headers_mut().insert(name, value);
    }
}

const fn refusal(status: u16, code: &'static str, message: String) -> Refusal {
    Refusal { status, code, message, violation: None }
}

fn payload(message: &str, violation: Option<Violation>) -> Refusal {
    Refusal { violation, ..refusal(400, "InvalidPayload", message.to_owned()) }
}

fn not_found(dcr: &str) -> Refusal {
    refusal(404, "NotFound", format!("Data collection rule with immutable Id '{dcr}' not found."))
}

fn forbidden(dcr: &str) -> Refusal {
    let message = format!(
        "The authentication token provided does not have access to ingest data for the data collection rule with immutable \
         Id '{dcr}' PipelineAccessResult: AccessGranted: False, IsRbacPresent: False, IsDcrDceBindingValid: True"
    );
    refusal(403, "OperationFailed", message)
}

fn too_large(limit: usize, bytes: usize) -> Refusal {
    let message = format!(
        "Maximum allowed content length: {limit} bytes ({} MB). Provided content length: {bytes} bytes.",
        limit >> 20
    );
    refusal(413, "ContentLengthLimitExceeded", message)
}

/// The stream in a path; empty when the path has none.
pub(super) fn stream_of(path: &str) -> &str {
    names(path).1
}

/// `/dataCollectionRules/{dcr}/streams/{stream}`
fn names(path: &str) -> (&str, &str) {
    let rest = path.strip_prefix("/dataCollectionRules/").unwrap_or_default();
    rest.split_once("/streams/").unwrap_or_default()
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn is_gzip(headers: &HeaderMap) -> bool {
    text(headers, "content-encoding") == Some("gzip")
}

fn inflated(wire: &[u8]) -> Option<Bytes> {
    let mut raw = Vec::new();
    GzDecoder::new(wire).take(MOST_BYTES as u64).read_to_end(&mut raw).ok()?;
    Some(raw.into())
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
