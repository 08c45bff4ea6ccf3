//! What goes over the wire: the proper answer, a refusal, or whatever a fault makes of it.

use super::array::ArrayText;
use super::faults::Fault;
use super::modes::{Framing, Modes, WindowLimit};
use super::selection::{self, BadInput, Parameters, Selection};
use super::signature::{self, Credentials, Refusal};
use super::{Shared, Visit};
use crate::sim::body::{self, Chunks};
use crate::sim::{calendar, locked};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use serde_json::json;

const LOGIN_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Log In | Darktrace</title></head>\
                          <body><form action=\"/login\"><input name=\"username\"></form></body></html>\n";

/// An answer before it is sent.
pub(super) struct Answer {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    body: Chunks,
    /// The connection closes before anything is sent.
    is_reset: bool,
}

impl Answer {
    fn new(status: u16, content_type: &str, text: impl Into<Bytes>) -> Self {
        let text = text.into();
        let length = text.len().to_string();
        let headers = vec![(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_LENGTH, length)];
        Self { status, headers, body: body::of(std::iter::once(text)), is_reset: false }
    }

    fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json; charset=utf-8", value.to_string())
    }

    fn streamed(body: Chunks) -> Self {
        let headers = vec![(header::CONTENT_TYPE, "application/json; charset=utf-8".to_owned())];
        Self { status: 200, headers, body, is_reset: false }
    }

    fn redirect(to: &str) -> Self {
        Self::new(302, "text/plain; charset=utf-8", format!("Found. Redirecting to {to}")).with(header::LOCATION, to)
    }

    fn reset() -> Self {
        Self { status: 200, headers: Vec::new(), body: body::closed(), is_reset: true }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The status for the journal.
    pub(super) const fn status_seen(&self) -> u16 {
        if self.is_reset { 0 } else { self.status }
    }

    /// Ready to be sent; `visit` ends with the body.
    pub(super) fn into_response(self, visit: Visit) -> Response {
        let mut response = Response::new(Body::from_stream(body::holding(self.body, visit)));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// The answer to a visit that meets `fault`.
pub(super) async fn answer(shared: &Shared, visit: &Visit, modes: &Modes, fault: Option<&Fault>) -> Answer {
    if let Some(answer) = fault.and_then(|fault| instead(fault, shared, visit)) {
        return answer;
    }
    if let Some(refusal) = refused(shared, visit, modes) {
        return refusal;
    }
    match route(visit) {
        Route::Status => status(shared.now_ms()),
        Route::Nowhere => Answer::redirect("/login"),
        route => match select(shared, visit, modes, route) {
            Ok(Selected::One(text)) => Answer::new(200, "application/json; charset=utf-8", text),
            Ok(Selected::Array(selection)) => array(shared, visit, modes, selection, fault).await,
            Ok(Selected::Nothing) => Answer::json(404, &json!({"error": "404 Not Found"})),
            Err(BadInput) => Answer::json(400, &json!({"error": "", "response": "INPUT ERROR"})),
        },
    }
}

/// Faults that need no proper answer.
fn instead(fault: &Fault, shared: &Shared, visit: &Visit) -> Option<Answer> {
    const JSON: &str = "application/json; charset=utf-8";
    Some(match fault {
        Fault::LoginPage => Answer::new(200, "text/html; charset=utf-8", LOGIN_PAGE),
        Fault::RedirectToLogin => Answer::redirect("/login"),
        Fault::RedirectTo403 => Answer::redirect("/403"),
        Fault::SignatureError => api_error(&visit.path, "API SIGNATURE ERROR"),
        Fault::DateError => api_error(&visit.path, "API DATE ERROR"),
        Fault::ErrorEnvelope => Answer::json(200, &json!({"response": "ERROR"})),
        Fault::ProxyHtml(status) => {
            let page =
                format!("<html><head><title>{status}</title></head><body>The gateway says {status}</body></html>");
            Answer::new(*status, "text/html", page)
        }
        Fault::Status(status, retry_after) => {
            let answer = Answer::json(*status, &json!({"error": format!("{status} by order of the test")}));
            retry_after.iter().fold(answer, |answer, after| answer.with(header::RETRY_AFTER, after.header()))
        }
        Fault::Stall => Answer::streamed(body::stalled(shared.stop.clone())),
        Fault::Reset => Answer::reset(),
        Fault::GzipBomb(mebibytes) => Answer::streamed(bomb(*mebibytes)).with(header::CONTENT_ENCODING, "gzip"),
        Fault::Empty => Answer::new(200, JSON, ""),
        Fault::NotJson => Answer::new(200, JSON, "Service is starting, one moment"),
        Fault::TornBody
        | Fault::UnfinishedArray
        | Fault::WrongLength
        | Fault::SlowBody { .. }
        | Fault::OversizeRecord(_) => return None,
    })
}

fn refused(shared: &Shared, visit: &Visit, modes: &Modes) -> Option<Answer> {
    let sent = Credentials {
        token: visit.header("dtapi-token"),
        date: visit.header("dtapi-date"),
        signature: visit.header("dtapi-signature"),
    };
    match signature::check(sent, &visit.target, &shared.tokens, modes.accepts_only, shared.now_ms()) {
        Err(Refusal::NotSigned) => Some(Answer::redirect("/login")),
        Err(Refusal::Signature) => Some(api_error(&visit.path, "API SIGNATURE ERROR")),
        Err(Refusal::Date) => Some(api_error(&visit.path, "API DATE ERROR")),
        Ok(()) => {
            let forbidden = modes.forbidden.iter().any(|prefix| visit.path.starts_with(prefix));
            forbidden.then(|| Answer::redirect("/403"))
        }
    }
}

/// The key of these errors is the first element of the path.
fn api_error(path: &str, what: &str) -> Answer {
    Answer::json(400, &json!({path.split('/').nth(1).unwrap_or_default(): what}))
}

#[derive(Clone, Copy, Debug)]
enum Route {
    Alerts(Option<i64>),
    Events,
    Status,
    Nowhere,
}

fn route(visit: &Visit) -> Route {
    match visit.path.as_str() {
        // Everything that is simulated only reads.
        _ if visit.method != Method::GET => Route::Nowhere,
        "/modelbreaches" => Route::Alerts(None),
        "/aianalyst/incidentevents" => Route::Events,
        "/status" => Route::Status,
        path => {
            let pbid = path.strip_prefix("/modelbreaches/").and_then(|pbid| pbid.parse().ok());
            pbid.map_or(Route::Nowhere, |pbid| Route::Alerts(Some(pbid)))
        }
    }
}

fn status(now_ms: i64) -> Answer {
    Answer::json(
        200,
        &json!({"version": "7.1.0 (simulated)", "time": calendar::spaced(now_ms), "hostname": "simulator"}),
    )
}

enum Selected {
    Array(Selection),
    One(String),
    Nothing,
}

fn select(shared: &Shared, visit: &Visit, modes: &Modes, route: Route) -> Result<Selected, BadInput> {
    let now_ms = shared.now_ms();
    let mut query = visit.query.clone();
    if let Route::Alerts(Some(pbid)) = route {
        query.push(("pbid".to_owned(), pbid.to_string()));
    }
    let ask = Parameters(&query);
    let memory = locked(&shared.memory);
    let (selection, single) = match route {
        Route::Events => (selection::events(&memory, ask, modes, now_ms)?, false),
        _ => (selection::alerts(&memory, ask, modes, now_ms)?, ask.number::<i64>("pbid")?.is_some()),
    };
    drop(memory);
    visit.count_records(selection.len());
    Ok(match (single, selection.len()) {
        (false, _) => Selected::Array(selection),
        // A single alert comes as an object. What a real appliance says to an unknown number is not known.
        (true, 0) => Selected::Nothing,
        (true, n) => Selected::One(selection.text(n - 1)),
    })
}

/// What happens to the bytes of a proper answer.
#[derive(Clone, Copy, Debug, Default)]
struct Damage {
    /// The text stops in the middle.
    half: bool,
    /// The connection closes at the end of the bytes.
    cut: bool,
    /// The announced length is too large.
    overstated: bool,
    /// Bytes, and the pause before each piece of so many.
    slow: Option<(usize, u64)>,
}

impl Damage {
    fn of(fault: Option<&Fault>) -> Self {
        let none = Self::default();
        match fault {
            Some(Fault::TornBody) => Self { half: true, cut: true, ..none },
            Some(Fault::UnfinishedArray) => Self { half: true, ..none },
            Some(Fault::WrongLength) => Self { cut: true, overstated: true, ..none },
            Some(Fault::SlowBody { bytes, every_ms }) => Self { slow: Some((*bytes, *every_ms)), ..none },
            _ => none,
        }
    }
}

async fn array(shared: &Shared, visit: &Visit, modes: &Modes, selection: Selection, fault: Option<&Fault>) -> Answer {
    let ask = Parameters(&visit.query);
    let width = match ask.window() {
        Ok((Some(start), Some(end))) => end.saturating_sub(start),
        _ => i64::MAX,
    };
    let mut damage = Damage::of(fault);
    match modes.widest_window {
        Some(WindowLimit::Status500(limit)) if width > limit => {
            return Answer::json(500, &json!({"error": "500 Internal Server Error"}));
        }
        Some(WindowLimit::Torn(limit)) if width > limit => damage = Damage::of(Some(&Fault::TornBody)),
        _ => {}
    }
    let first = filler(fault, ask, shared.now_ms());
    framed(visit, modes, ArrayText::new(selection, first, damage.half), damage).await
}

async fn framed(visit: &Visit, modes: &Modes, text: ArrayText, damage: Damage) -> Answer {
    let accepted = visit.header("accept-encoding").is_some_and(|value| value.contains("gzip"));
    let zipped = modes.gzip && accepted;
    let announced = modes.framing == Framing::ContentLength || damage.overstated;
    let mut body = body::of(text.clone());
    let mut length = None;
    if zipped {
        body = body::gzip(body);
    }
    if zipped && announced {
        // The length of compressed text is known only when it is there; it is small.
        let bytes = body::collected(body).await.unwrap_or_default();
        length = Some(bytes.len());
        body = body::of(std::iter::once(bytes));
    } else if announced {
        length = Some(text.bytes());
    }
    if let Some((bytes, every_ms)) = damage.slow {
        body = body::slow(body, bytes, every_ms);
    }
    if damage.cut {
        // Half a text with its own length would be whole for HTTP, so the length is overstated then, too.
        length = length.map(|length| length + 100);
        body = body::then_cut(body);
    }
    let mut answer = Answer::streamed(body);
    if let Some(length) = length {
        answer = answer.with(header::CONTENT_LENGTH, length.to_string());
    }
    if zipped { answer.with(header::CONTENT_ENCODING, "gzip") } else { answer }
}

fn filler(fault: Option<&Fault>, ask: Parameters<'_>, now_ms: i64) -> Option<String> {
    let Some(Fault::OversizeRecord(bytes)) = fault else { return None };
    let at = ask.window().ok().and_then(|(start, _)| start).unwrap_or(now_ms);
    let model = json!({"name": "Compromise::Endless", "description": "x".repeat(*bytes)});
    let record = json!({"pbid": 1, "time": at, "creationTime": at, "score": 0.5, "model": model,
        "id": "00000000-0000-4000-8000-000000000001", "createdAt": at, "periods": []});
    Some(record.to_string())
}

fn bomb(mebibytes: usize) -> Chunks {
    let blanks = Bytes::from(vec![b' '; 1 << 20]);
    let open = std::iter::once(Bytes::from_static(b"["));
    body::gzip(body::of(open.chain(std::iter::repeat_n(blanks, mebibytes)).chain([Bytes::from_static(b"]")])))
}
