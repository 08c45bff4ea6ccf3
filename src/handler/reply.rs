//! The answers, each a JSON object with the content type that the host insists on.
//!
//! The envelope of a success is the host's (`Outputs`, `Logs`, `ReturnValue`). The body of any other answer is for a human
//! with curl, because the host does not read it.

use super::HttpAnswer;
use axum::http::HeaderValue;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// What every answer to a client says besides its body. It is of this moment, it is what it says it is, its address may
/// have a key in it that goes to no other site, and a page may do nothing but be looked at.
const HEADERS: [(&str, &str); 4] = [
    ("cache-control", "no-store"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    (
        "content-security-policy",
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
    ),
];

/// A status and a JSON object.
pub(super) struct Reply {
    status: StatusCode,
    body: Value,
    connection: Connection,
}

/// What becomes of the connection.
#[derive(Clone, Copy)]
enum Connection {
    Kept,
    /// Part of the request is unread, so nothing else can follow it.
    Closed,
}

impl Reply {
    pub(super) fn ready() -> Self {
        Self::new(StatusCode::OK, json!({ "ready": true, "version": env!("CARGO_PKG_VERSION") }))
    }

    pub(super) fn success(lines: &[String]) -> Self {
        Self::new(StatusCode::OK, json!({ "Outputs": {}, "Logs": lines, "ReturnValue": null }))
    }

    pub(super) fn failed(lines: &[String]) -> Self {
        let error = "the poll failed; the lines say why, and the log of the process has them too";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, json!({ "error": error, "lines": lines }))
    }

    pub(super) fn broken() -> Self {
        let error = "the poll panicked; the log has a line that begins with `panic at` and says where";
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, error)
    }

    /// The answer of a function that is called by HTTP, for the output binding `res`. The body is a text: the host would
    /// read an object through and write its dates anew.
    pub(super) fn answer(answer: &HttpAnswer) -> Self {
        let HttpAnswer { status, content_type, body } = answer;
        let mut headers: serde_json::Map<_, _> =
            HEADERS.map(|(name, value)| (name.to_owned(), Value::from(value))).into_iter().collect();
        headers.insert("content-type".to_owned(), Value::from(*content_type));
        let res = json!({ "statusCode": status, "headers": headers, "body": body });
        Self::new(StatusCode::OK, json!({ "Outputs": { "res": res }, "Logs": [], "ReturnValue": null }))
    }

    /// The same for a browser that asks without a host.
    pub(super) fn direct(answer: HttpAnswer) -> Response {
        let HttpAnswer { status, content_type, body } = answer;
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(CONTENT_TYPE, content_type)], HEADERS, body).into_response()
    }

    pub(super) fn not_this_machine() -> Self {
        let error = "this is answered to a browser on this machine alone, under 127.0.0.1 or localhost";
        Self::error(StatusCode::FORBIDDEN, error)
    }

    pub(super) fn not_a_page() -> Self {
        Self::error(StatusCode::FORBIDDEN, "this is answered to the Functions host, and to no page in a browser")
            .closing()
    }

    pub(super) fn broken_call() -> Self {
        let error = "the function panicked; the log has a line that begins with `panic at` and says where";
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, error)
    }

    pub(super) fn bad_request(reason: &str) -> Self {
        Self::error(StatusCode::BAD_REQUEST, reason)
    }

    pub(super) fn not_found() -> Self {
        Self::error(StatusCode::NOT_FOUND, "there is no function of this name; names are case-sensitive")
    }

    pub(super) fn wrong_method() -> Self {
        Self::error(StatusCode::METHOD_NOT_ALLOWED, "this path takes another method, see the `allow` header")
    }

    /// The last answer on its connection. A client that was not told would send its next request into a closed socket.
    pub(super) fn closing(self) -> Self {
        Self { connection: Connection::Closed, ..self }
    }

    fn error(status: StatusCode, error: &str) -> Self {
        Self::new(status, json!({ "error": error }))
    }

    fn new(status: StatusCode, body: Value) -> Self {
        Self { status, body, connection: Connection::Kept }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, [(CONTENT_TYPE, "application/json")], self.body.to_string()).into_response();
        if let Connection::Closed = self.connection {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}
