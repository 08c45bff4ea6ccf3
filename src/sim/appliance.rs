//! A simulated Darktrace appliance: signature check, `/modelbreaches`, `/aianalyst/incidentevents`, `/status`, `/antigena`,
//! `/subnets`, `/mbcomments` and the search of Darktrace / EMAIL.
//!
//! It answers as the public integrations say that appliances do, including the odd parts: errors come as status 400 or as
//! a redirect, a parameter it does not know is ignored, acknowledged alerts are hidden, pinned events always come along.
//! Where nobody public knows what a real one does, the choice is written beside the code. It does not know who asks.
//!
//! Records are in [`records`] and `alerts`, what a query selects in `selection`, which path leads where in `route`, what
//! goes over the wire in `answer`, misbehaviour in [`faults`] and [`modes`]. [`antigena`], [`comments`], [`email`],
//! [`status`] and `subnets` have a file each, with all that belongs to them.

pub mod antigena;
pub mod comments;
pub mod email;
pub mod faults;
pub mod modes;
pub mod records;
pub mod status;

mod alerts;
mod answer;
mod array;
mod memory;
mod parameters;
mod route;
mod selection;
mod signature;
mod subnets;
mod visit;

pub use antigena::{ActionChange, ActionSpec, IssuedAction, Trigger};
pub use email::{EmailChange, EmailSpec, IssuedEmail};
pub use faults::Fault;
pub use modes::{DateFormat, EmailPrefix, Framing, Modes, WindowLimit};
pub use records::{AlertSpec, Category, EventSpec, Growth, Issued, IssuedAlert, IssuedEvent, Period, Subject};
pub use status::{LastSeen, ProbeSpec, StatusSpec, SubnetSpec};
pub use visit::SeenRequest;

use super::faults::FaultQueue;
use super::server::{Running, Stop, Switch};
use super::{calendar, locked};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use memory::Memory;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use visit::{Journal, Visit};

/// The pair of tokens that the appliance accepts.
#[derive(Clone, Debug)]
pub struct Tokens {
    /// Sent with each request.
    pub public: String,
    /// The key of the signature.
    pub private: String,
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
    /// `pbid`s. They tell fewer different stories than [`Self::issue_alert`], and take no memory until a query finds them: a
    /// year of a thousand an hour is as cheap as an hour.
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
        locked(&self.shared.memory).acknowledge_alert(pbid, true)
    }

    /// Takes the acknowledgement back; returns whether the alert exists.
    pub fn unacknowledge_alert(&self, pbid: i64) -> bool {
        locked(&self.shared.memory).acknowledge_alert(pbid, false)
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
    let (mut visit, body) = Visit::begin(&shared, request);
    visit.read(body).await;
    let modes = locked(&shared.modes).clone();
    if modes.page_delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(modes.page_delay_ms)).await;
    }
    let fault = locked(&shared.faults).take(&visit.path);
    let answer = route::answer(&shared, &visit, &modes, fault.as_ref()).await;
    visit.end(answer)
}

#[cfg(test)]
mod tests;
