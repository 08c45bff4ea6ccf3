//! A simulated Logs Ingestion endpoint: takes batches of rows for the streams of one data collection rule.
//!
//! It checks what the real service checks, and also what the real service passes over in silence: a body that is no array
//! gets 204 there and is dropped, a column that does not exist is dropped. Here the first is refused and both are written
//! down as violations. It does not know what a row means.
//!
//! Status codes and texts follow the service's documentation and the issues of its clients:
//! <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>. Rows against columns are in
//! `schema`, the checks of a post in `post`; millions of rows are not kept but counted, in [`Tally`]. The
//! journal of posts is in `visit`.

mod post;
mod schema;
mod tally;
mod visit;

pub use schema::{ColumnType, Columns, SchemaError, Violation, columns_of};
pub use tally::{Counted, Tally};
pub use visit::SeenPost;

use super::faults::FaultQueue;
use super::server::{Running, Stop, Switch};
use super::{RetryAfter, calendar, locked};
use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use post::{Answer, Post, Taken};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use visit::Visit;

/// The data collection rule that the endpoint serves.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Its immutable id.
    pub dcr: String,
    /// What tokens must be for, e.g. `https://monitor.azure.com`.
    pub audience: String,
    /// Its streams by name, e.g. `Custom-darktrace_model_alerts_CL`; see [`columns_of`].
    pub streams: BTreeMap<String, Columns>,
}

/// Things that go wrong once: queued with [`Ingestion::fail_next`], each met by one post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Status 429, with or without a hint.
    Throttle(Option<RetryAfter>),
    /// Any status, without the error body of the service.
    Status(u16),
    /// Status 401: the token is not accepted.
    Unauthorized,
    /// Status 403: the role on the rule is missing.
    Forbidden,
    /// Status 404: the rule is not known.
    NotFound,
    /// Status 413, however small the body is.
    TooLarge,
    /// The connection closes before the rows are taken.
    ResetBefore,
    /// The rows are taken, and then the connection closes: the client cannot know.
    ResetAfter,
    /// The answer takes this many milliseconds longer.
    LatencyMs(u64),
}

/// How the endpoint behaves until told otherwise. The default behaves well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Modes {
    /// How long each answer takes, in milliseconds.
    pub latency_ms: u64,
    /// A batch whose text contains this is refused with 400 `InvalidPayload`, and will be for ever.
    pub reject_rows_containing: Option<String>,
    /// The limit of a body, as sent and inflated, in bytes: 1 MiB.
    pub limit_bytes: usize,
    /// Once this many rows were taken, further posts get no answer until this is changed: the moment to kill the client.
    pub pause_after_rows: Option<u64>,
}

impl Default for Modes {
    fn default() -> Self {
        Self { latency_ms: 0, reject_rows_containing: None, limit_bytes: 1_048_576, pause_after_rows: None }
    }
}

/// A handle to a running endpoint; it runs until the last handle is dropped.
///
/// ```
/// # use darktrace_sentinel::sim::ingestion::{Ingestion, Rules, columns_of};
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let columns = columns_of(r#"{"name":"T_CL","columns":[{"name":"score","type":"int"}]}"#)?;
/// let rules = Rules {
///     dcr: "dcr-1".into(),
///     audience: "https://monitor.azure.com".into(),
///     streams: [("Custom-T_CL".into(), columns)].into(),
/// };
/// let ingestion = Ingestion::start(tokio::net::TcpListener::bind("127.0.0.1:0").await?, rules);
/// // ... post to ingestion.base_url() with a token of `sim::identity::issue` ...
/// assert!(ingestion.violations().is_empty() && ingestion.rows("Custom-T_CL").is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Ingestion {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

#[derive(Debug)]
struct Shared {
    rules: Rules,
    stop: Stop,
    modes: watch::Sender<Modes>,
    faults: Mutex<FaultQueue<Fault>>,
    store: Mutex<Store>,
}

#[derive(Debug, Default)]
struct Store {
    posts: Vec<SeenPost>,
    /// Accepted bodies as they were sent: the rows of a large test stay small.
    bodies: BTreeMap<String, Vec<Taken>>,
    /// The streams whose rows are counted and not kept.
    tallies: BTreeMap<String, Tally>,
    taken_rows: u64,
    violations: BTreeSet<Violation>,
    in_flight: usize,
    max_in_flight: usize,
}

impl Ingestion {
    /// Serves on `listener`. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(listener: TcpListener, rules: Rules) -> Self {
        let (switch, stop) = Switch::new();
        let shared = Arc::new(Shared {
            rules,
            stop,
            modes: watch::Sender::new(Modes::default()),
            faults: Mutex::default(),
            store: Mutex::default(),
        });
        let running = Arc::new(Running::start(listener, router(&shared), switch));
        Self { shared, running }
    }

    /// `http://127.0.0.1:port`
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.running.base_url()
    }

    /// The same endpoint as a router, for a test that serves it over TLS itself.
    pub fn router(&self) -> Router {
        router(&self.shared)
    }

    /// Stops accepting; returns when the port is closed.
    pub async fn shutdown(&self) {
        self.running.shutdown().await;
    }

    /// How the endpoint behaves at present.
    #[must_use]
    pub fn modes(&self) -> Modes {
        self.shared.modes.borrow().clone()
    }

    /// Changes the behaviour from the next post on, and lets held posts go where the new one does not hold them.
    pub fn set_modes(&self, modes: Modes) {
        self.shared.modes.send_replace(modes);
    }

    /// Lets the next `times` posts meet `fault`, after those queued before.
    pub fn fail_next(&self, fault: Fault, times: usize) {
        self.fail_next_on("", fault, times);
    }

    /// As [`Self::fail_next`], for posts to streams whose name begins with `stream`.
    pub fn fail_next_on(&self, stream: &str, fault: Fault, times: usize) {
        locked(&self.shared.faults).push(stream, fault, times);
    }

    /// Forgets the faults that have not been met yet.
    pub fn clear_faults(&self) {
        locked(&self.shared.faults).clear();
    }

    /// The rows that a stream took, in the order in which they were taken.
    #[must_use]
    pub fn rows(&self, stream: &str) -> Vec<Value> {
        let bodies = locked(&self.shared.store).bodies.get(stream).cloned().unwrap_or_default();
        bodies.iter().flat_map(Taken::rows).collect()
    }

    /// From now on the rows of this stream are checked and counted as before, and only what `tally` needs is kept of them.
    pub fn tally(&self, stream: &str, tally: Tally) {
        locked(&self.shared.store).tallies.insert(stream.to_owned(), tally);
    }

    /// What `look` sees in the tally of this stream, if it has one.
    pub fn tallied<T>(&self, stream: &str, look: impl FnOnce(&Tally) -> T) -> Option<T> {
        locked(&self.shared.store).tallies.get(stream).map(look)
    }

    /// How many rows all streams took together.
    #[must_use]
    pub fn taken_rows(&self) -> u64 {
        locked(&self.shared.store).taken_rows
    }

    /// Every post so far, in order of arrival.
    #[must_use]
    pub fn posts(&self) -> Vec<SeenPost> {
        locked(&self.shared.store).posts.clone()
    }

    /// What the real service would have dropped or cut without a word, each kind of misfit once. A test of good behaviour
    /// ends with `assert_eq!(ingestion.violations(), [])`.
    #[must_use]
    pub fn violations(&self) -> Vec<Violation> {
        locked(&self.shared.store).violations.iter().cloned().collect()
    }

    /// The post that came last.
    #[must_use]
    pub fn last_post(&self) -> Option<SeenPost> {
        locked(&self.shared.store).posts.last().cloned()
    }

    /// Posts that are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        locked(&self.shared.store).in_flight
    }

    /// The most posts that were ever under way at the same time.
    #[must_use]
    pub fn max_in_flight(&self) -> usize {
        locked(&self.shared.store).max_in_flight
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(Arc::clone(shared))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let now_ms = calendar::now_ms();
    let (parts, body) = request.into_parts();
    let stream = post::stream_of(parts.uri.path()).to_owned();
    // From here to the end of the answer, or until the client goes away, the post is in flight.
    let visit = Visit::begin(&shared, &stream, &parts.headers, now_ms);
    let Some(post) = Post::read(parts, body).await else { return Answer::Closed.into_response() };
    visit.note(|seen| {
        (seen.wire_bytes, seen.raw_bytes, seen.rows) = (post.wire.len(), post.raw_bytes(), post.count());
    });
    shared.hold().await;
    let latency_ms = shared.modes.borrow().latency_ms;
    tokio::time::sleep(Duration::from_millis(latency_ms)).await;
    let fault = locked(&shared.faults).take(&stream);
    if let Some(Fault::LatencyMs(more)) = fault {
        tokio::time::sleep(Duration::from_millis(more)).await;
    }
    let answer = post::instead(fault.as_ref(), &shared.rules, &post);
    let answer = answer.unwrap_or_else(|| take(&shared, &visit, post, fault == Some(Fault::ResetAfter)));
    visit.note(|seen| seen.status = answer.status());
    answer.into_response()
}

/// Checks a post and takes its rows.
fn take(shared: &Shared, visit: &Visit, mut post: Post, closes: bool) -> Answer {
    let modes = shared.modes.borrow().clone();
    let checked = post.check(&shared.rules, &modes, calendar::now_ms());
    let rows = match checked {
        Ok(rows) => rows,
        Err(refusal) => {
            let mut store = locked(&shared.store);
            store.violations.extend(refusal.violation.clone());
            return Answer::Refused(refusal);
        }
    };
    let columns = &shared.rules.streams[&post.stream];
    let violations = schema::violations(&post.stream, columns, &rows);
    visit.note(|seen| seen.was_taken = true);
    let mut store = locked(&shared.store);
    store.violations.extend(violations);
    store.taken_rows += rows.len() as u64;
    match store.tallies.get_mut(&post.stream) {
        Some(tally) => rows.iter().for_each(|row| tally.take(row)),
        None => store.bodies.entry(post.stream.clone()).or_default().push(post.into_taken()),
    }
    if closes { Answer::Closed } else { Answer::Accepted }
}

impl Shared {
    /// Waits while [`Modes::pause_after_rows`] says so.
    async fn hold(&self) {
        let mut modes = self.modes.subscribe();
        let free = modes.wait_for(|modes| {
            let taken = locked(&self.store).taken_rows;
            modes.pause_after_rows.is_none_or(|limit| taken < limit)
        });
        tokio::select! {
            _ = free => {}
            () = self.stop.clone().wait() => {}
        }
    }
}

#[cfg(test)]
mod tests;
