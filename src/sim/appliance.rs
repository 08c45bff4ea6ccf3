//! A simulated Darktrace appliance: signature check, `/modelbreaches`, `/aianalyst/incidentevents` and `/status`.
//!
//! It answers as the public integrations say that appliances do, including the odd parts: errors come as status 400 or as
//! a redirect, a parameter it does not know is ignored, acknowledged alerts are hidden, pinned events always come along.
//! Where nobody public knows what a real one does, the choice is written beside the code. It does not know who asks.
//!
//! Records are in [`records`], what a query selects in `selection`, what goes over the wire in `answer`, misbehaviour in
//! [`faults`] and [`modes`].

pub mod faults;
pub mod modes;
pub mod records;

mod answer;
mod array;
mod memory;
mod selection;
mod signature;

pub use faults::Fault;
pub use modes::{DateFormat, Framing, Modes, WindowLimit};
pub use records::{AlertSpec, EventSpec, Growth, Issued, IssuedAlert, IssuedEvent, Period, Subject};

use super::faults::FaultQueue;
use super::server::{Running, Stop, Switch};
use super::{calendar, locked, query};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use memory::Memory;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;

/// The pair of tokens that the appliance accepts.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Sent with each request.
    pub public: String,
    /// The key of the signature.
    pub private: String,
}

/// A request as the appliance saw it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SeenRequest {
    /// The path, e.g. `/modelbreaches`.
    pub path: String,
    /// The decoded query, in the order in which it was sent.
    pub query: Vec<(String, String)>,
    /// Names of parameters that this path does not have; a real appliance ignores them without a word.
    pub unknown_parameters: Vec<String>,
    /// The form of the `DTAPI-Date` header; none when it was absent or unreadable.
    pub date_format: Option<DateFormat>,
    /// The status answered; 0 while there is none, and for a connection that was closed instead.
    pub status: u16,
    /// How many records were selected for the answer.
    pub records: usize,
    /// The `User-Agent` header.
    pub user_agent: Option<String>,
    /// The `Accept-Encoding` header.
    pub accept_encoding: Option<String>,
    /// When it came, by the appliance's clock, in epoch milliseconds.
    pub received_at_ms: i64,
}

impl SeenRequest {
    /// The value of a query parameter.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&str> {
        query::value(&self.query, name)
    }
}

/// A handle to a running appliance; it runs until the last handle is dropped.
///
/// ```
/// # use darktrace_sentinel::sim::appliance::{AlertSpec, Appliance, Tokens};
/// # async fn f() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let appliance = Appliance::start(listener, Tokens { public: "p".into(), private: "k".into() });
/// let pbid = appliance.issue_alert(AlertSpec { model: Some("Compromise::Test".into()), ..AlertSpec::default() });
/// assert_eq!(appliance.issued().alerts[0].pbid, pbid);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Appliance {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

#[derive(Debug)]
struct Shared {
    tokens: Tokens,
    stop: Stop,
    modes: Mutex<Modes>,
    faults: Mutex<FaultQueue<Fault>>,
    memory: Mutex<Memory>,
    journal: Mutex<Journal>,
}

#[derive(Debug, Default)]
struct Journal {
    seen: Vec<SeenRequest>,
    /// Per path: answers under way, and the most there ever were.
    in_flight: BTreeMap<String, (usize, usize)>,
}

impl Appliance {
    /// Serves on `listener`. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(listener: TcpListener, tokens: Tokens) -> Self {
        let (switch, stop) = Switch::new();
        let shared = Arc::new(Shared {
            tokens,
            stop,
            modes: Mutex::default(),
            faults: Mutex::default(),
            memory: Mutex::default(),
            journal: Mutex::default(),
        });
        let running = Arc::new(Running::start(listener, router(&shared), switch));
        Self { shared, running }
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.running.base_url()
    }

    /// The same appliance as a router, for a test that serves it over TLS itself.
    pub fn router(&self) -> Router {
        router(&self.shared)
    }

    /// Stops accepting; returns when the port is closed.
    pub async fn shutdown(&self) {
        self.running.shutdown().await;
    }

    /// Now, by the appliance's clock.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.shared.now_ms()
    }

    /// How the appliance behaves at present.
    #[must_use]
    pub fn modes(&self) -> Modes {
        locked(&self.shared.modes).clone()
    }

    /// Changes the behaviour from the next request on.
    pub fn set_modes(&self, modes: Modes) {
        *locked(&self.shared.modes) = modes;
    }

    /// Lets the next `times` requests meet `fault`, after those queued before.
    pub fn fail_next(&self, fault: Fault, times: usize) {
        self.fail_next_on("", fault, times);
    }

    /// As [`Self::fail_next`], for requests whose path begins with `prefix`.
    pub fn fail_next_on(&self, prefix: &str, fault: Fault, times: usize) {
        locked(&self.shared.faults).push(prefix, fault, times);
    }

    /// Forgets the faults that have not been met yet.
    pub fn clear_faults(&self) {
        locked(&self.shared.faults).clear();
    }

    /// Creates an alert and returns its `pbid`.
    pub fn issue_alert(&self, spec: AlertSpec) -> i64 {
        let now = self.now_ms();
        locked(&self.shared.memory).issue_alert(spec, now)
    }

    /// Creates `n` alerts with the same `time` and `creationTime`, and returns their `pbid`s.
    pub fn issue_burst(&self, n: usize, at_ms: i64) -> Vec<i64> {
        let spec = AlertSpec { time_ms: Some(at_ms), creation_ms: Some(at_ms), ..AlertSpec::default() };
        (0..n).map(|_| self.issue_alert(spec.clone())).collect()
    }

    /// Creates `n` alerts quickly, with `creationTime` spread evenly from `from_ms` to `to_ms` (excluded), and returns their
    /// `pbid`s. They tell fewer different stories than [`Self::issue_alert`], so that 100,000 of them take little memory.
    pub fn issue_many(&self, n: usize, from_ms: i64, to_ms: i64) -> RangeInclusive<i64> {
        locked(&self.shared.memory).issue_many(n, from_ms, to_ms)
    }

    /// Creates an incident event and returns its identifier.
    pub fn issue_event(&self, spec: EventSpec) -> String {
        let now = self.now_ms();
        locked(&self.shared.memory).issue_event(spec, now)
    }

    /// Changes an event, as a real one changes while AI Analyst finds out more. Returns the number of revisions so far, or
    /// nothing when there is no such event.
    pub fn grow_event(&self, uuid: &str, growth: Growth) -> Option<usize> {
        locked(&self.shared.memory).grow_event(uuid, growth)
    }

    /// Acknowledges an alert, as an analyst does; returns whether it exists.
    pub fn acknowledge_alert(&self, pbid: i64) -> bool {
        locked(&self.shared.memory).acknowledge_alert(pbid)
    }

    /// Everything created so far, visible or not.
    #[must_use]
    pub fn issued(&self) -> Issued {
        locked(&self.shared.memory).issued()
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenRequest> {
        locked(&self.shared.journal).seen.clone()
    }

    /// The most answers on `path` that were ever under way at the same time.
    #[must_use]
    pub fn max_in_flight(&self, path: &str) -> usize {
        locked(&self.shared.journal).in_flight.get(path).map_or(0, |(_, most)| *most)
    }
}

impl Shared {
    fn now_ms(&self) -> i64 {
        calendar::now_ms() + locked(&self.modes).skew_ms
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(Arc::clone(shared))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let visit = Visit::begin(&shared, &request);
    let modes = locked(&shared.modes).clone();
    if modes.page_delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(modes.page_delay_ms)).await;
    }
    let fault = locked(&shared.faults).take(&visit.path);
    let answer = answer::answer(&shared, &visit, &modes, fault.as_ref()).await;
    visit.end(answer)
}

/// One request on its way through. While it lives, it counts as in flight.
#[derive(Debug)]
struct Visit {
    shared: Arc<Shared>,
    number: usize,
    method: Method,
    path: String,
    /// Path and query exactly as sent: what the signature is over.
    target: String,
    query: Vec<(String, String)>,
    headers: HeaderMap,
}

impl Visit {
    fn begin(shared: &Arc<Shared>, request: &Request) -> Self {
        let uri = request.uri();
        let headers = request.headers().clone();
        let query = query::pairs(uri.query().unwrap_or_default());
        let path = uri.path().to_owned();
        let seen = SeenRequest {
            unknown_parameters: selection::unknown_parameters(&path, &query),
            date_format: text(&headers, "dtapi-date").and_then(DateFormat::of),
            user_agent: text(&headers, "user-agent").map(str::to_owned),
            accept_encoding: text(&headers, "accept-encoding").map(str::to_owned),
            received_at_ms: shared.now_ms(),
            path: path.clone(),
            query: query.clone(),
            ..SeenRequest::default()
        };
        let number = locked(&shared.journal).arrived(seen);
        let target = uri.path_and_query().map_or_else(|| path.clone(), |target| target.as_str().to_owned());
        Self { shared: Arc::clone(shared), number, method: request.method().clone(), path, target, query, headers }
    }

    fn header(&self, name: &str) -> Option<&str> {
        text(&self.headers, name)
    }

    fn count_records(&self, records: usize) {
        locked(&self.shared.journal).seen[self.number].records = records;
    }

    /// Notes the status and sends the answer off; the visit ends with the last byte of the body.
    fn end(self, answer: answer::Answer) -> Response {
        locked(&self.shared.journal).seen[self.number].status = answer.status_seen();
        let date = calendar::http_date(self.shared.now_ms());
        let mut response = answer.into_response(self);
        if let Ok(date) = HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
        response
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some((now, _)) = locked(&self.shared.journal).in_flight.get_mut(&self.path) {
            *now -= 1;
        }
    }
}

impl Journal {
    fn arrived(&mut self, seen: SeenRequest) -> usize {
        let (now, most) = self.in_flight.entry(seen.path.clone()).or_default();
        *now += 1;
        *most = (*most).max(*now);
        self.seen.push(seen);
        self.seen.len() - 1
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests;
