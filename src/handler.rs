//! The custom-handler protocol: what the Functions host asks over loopback HTTP, and what it has to be told.
//!
//! The host probes `GET /` until anything answers, then posts an envelope to `/DarktracePoll` at every tick of the timer
//! (<https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>). What the host makes of an answer
//! decides the rest of this module:
//!
//! * An empty body or `null` leaves the invocation hanging until the function times out and the process is killed, and
//!   another content type fails it without a reason. So each reply is a JSON object, whatever went wrong. Only a request
//!   that is not HTTP at all never reaches this module; hyper refuses it with a bare 400.
//! * Any status but 2xx fails the invocation and drops the body, so a failed poll has to be logged by the poll itself.
//! * The host kills without a signal, so nothing here is worth saving, and it may drop its connection, which must not end a
//!   run: a run is a task of its own.
//!
//! The host never overlaps a timer with itself, but a run started by hand, or by anybody else on this machine, may. There
//! is no secret in the protocol, so the worst that a caller can do is to start a poll that was not due. A page in a browser
//! on this machine is no caller at all: whatever it posts names its origin, which no host does.
//!
//! This module does not know what a poll does, which settings there are or who bound the socket (`app` and `cli` do).
//! `invocation` reads the envelope of a timer, `call` that of a call by HTTP, `gate` holds runs apart, `reply` has the answers.

mod call;
mod gate;
mod invocation;
mod reply;

pub use call::{Callers, HttpAnswer, HttpCall, HttpFunction, HttpRoute};
pub use invocation::Invocation;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::ORIGIN;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use gate::{Gate, Run};
use invocation::Refusal;
use reply::Reply;
use std::future::Future;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

/// The name of the function: its folder beside `host.json`, and the path that the host posts to, in this very case.
pub const FUNCTION: &str = "DarktracePoll";

/// The name of the function that says what works and what does not.
pub const CHECK: &str = "DarktraceCheck";

/// The name of the function that shows how it goes.
pub const STATUS: &str = "DarktraceStatus";

/// Bytes of an invocation's body; a timer's envelope has about 400.
const BODY_LIMIT: usize = 1_000_000;

/// What one poll has to say to the host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Something failed, and the invocation shall be red.
    pub failed: bool,
    /// What happened, a line each. The poll has logged them itself; here they become the `Logs` that the host ties to the
    /// invocation, as long as it did not fail.
    pub lines: Vec<String>,
}

/// One poll, as a function of the invocation that asked for it.
pub type Poll = Arc<dyn Fn(Invocation) -> BoxFuture<'static, Summary> + Send + Sync>;

/// What this process does for the host.
#[derive(Clone)]
pub struct Functions {
    /// What the timer starts.
    pub poll: Poll,
    /// What is called by HTTP.
    pub http: Vec<HttpRoute>,
}

impl From<Poll> for Functions {
    fn from(poll: Poll) -> Self {
        Self { poll, http: Vec::new() }
    }
}

/// Answers the Functions host on `listener` until `stop` resolves and the run in progress has ended and been answered.
///
/// A caller that cannot wait that long drops the future. The socket is the caller's, who binds it to loopback and after
/// its own start-up work: as soon as it is bound the host takes the process for ready.
///
/// # Errors
/// None of those that axum has today; accepting is repeated when it fails.
pub async fn serve(
    listener: TcpListener,
    functions: impl Into<Functions>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let Functions { poll, http } = functions.into();
    let gate = Gate::new(poll);
    axum::serve(listener, router(gate.clone(), http)).with_graceful_shutdown(stop).await?;
    gate.idle().await;
    Ok(())
}

fn router(gate: Gate, http: Vec<HttpRoute>) -> Router {
    let timer = Router::new().route("/", get(ready)).route(&format!("/{FUNCTION}"), post(invoke));
    let add = |router: Router<Gate>, HttpRoute { name, function, callers }: HttpRoute| {
        // The host posts whatever method and route the caller used; those are in the envelope.
        let posted = Arc::clone(&function);
        let route = post(move |request| call(name, posted, request));
        let route = match callers {
            Callers::Host => route,
            Callers::HostAndBrowser => route.get(move |request| look(name, function, request)),
        };
        router.route(&format!("/{name}"), route)
    };
    http.into_iter().fold(timer, add).fallback(unknown_path).method_not_allowed_fallback(wrong_method).with_state(gate)
}

/// The readiness probe, and later the host's health checks. It says nothing of a run, so it answers during one.
async fn ready() -> Reply {
    Reply::ready()
}

async fn invoke(State(gate): State<Gate>, request: Request) -> Reply {
    if is_from_a_page(&request) {
        return Reply::not_a_page();
    }
    let invocation = match accept(request).await {
        Ok(invocation) => invocation,
        Err(refusal) => return refuse(&refusal),
    };
    tracing::debug!("accepted {invocation}");
    match gate.run(invocation).await {
        Run::Finished(summary) if summary.failed => Reply::failed(&summary.lines),
        Run::Finished(summary) => Reply::success(&summary.lines),
        Run::Busy => {
            Reply::success(&["skipped, because the poll of an earlier invocation is still running".to_owned()])
        }
        Run::Broken => Reply::broken(),
    }
}

/// A call by HTTP. It is no poll: it waits for none, and a poll does not wait for it.
async fn call(name: &'static str, function: HttpFunction, request: Request) -> Reply {
    if is_from_a_page(&request) {
        return Reply::not_a_page();
    }
    let (_, body) = request.into_parts();
    let call = match read(body).await.and_then(|body| HttpCall::read(&body)) {
        Ok(call) => call,
        Err(refusal) => return refuse(&refusal),
    };
    tracing::debug!("{name} is called by {}", call.method);
    // A task of its own, so that a panic ends the call and not the connection.
    match tokio::spawn(function(call)).await {
        Ok(answer) => Reply::answer(&answer),
        Err(_) => Reply::broken_call(),
    }
}

/// Browsers name the origin of the page in whatever it posts (<https://fetch.spec.whatwg.org/#origin-header>), also when
/// the page is led here by a name of its own.
fn is_from_a_page(request: &Request) -> bool {
    request.headers().contains_key(ORIGIN)
}

/// A call by a browser, without a host between.
async fn look(name: &'static str, function: HttpFunction, request: Request) -> Response {
    let Some(call) = HttpCall::direct(request.uri(), request.headers()) else {
        return Reply::not_this_machine().into_response();
    };
    tracing::debug!("{name} is looked at");
    match tokio::spawn(function(call)).await {
        Ok(answer) => Reply::direct(answer),
        Err(_) => Reply::broken_call().into_response(),
    }
}

/// The host drops the body of a 400, so the log line is the only place that has the reason.
fn refuse(refusal: &Refusal) -> Reply {
    tracing::warn!("refused an invocation: {}", refusal.reason());
    let reply = Reply::bad_request(&refusal.reason());
    match refusal {
        Refusal::Unreadable { .. } => reply.closing(),
        Refusal::NotJson(_) | Refusal::NotAnObject => reply,
    }
}

async fn accept(request: Request) -> Result<Invocation, Refusal> {
    let (head, body) = request.into_parts();
    let body = read(body).await?;
    Invocation::read(&head.headers, &body)
}

/// Chunked in Azure, with a length under Core Tools; neither is asked for.
async fn read(body: Body) -> Result<axum::body::Bytes, Refusal> {
    to_bytes(body, BODY_LIMIT).await.map_err(|_| Refusal::Unreadable { limit: BODY_LIMIT })
}

// Neither of these is logged above DEBUG. The status says it all, and a stranger on this machine could fill the log.

async fn unknown_path(request: Request) -> Reply {
    tracing::debug!("no function at {} {}", request.method(), request.uri().path());
    Reply::not_found()
}

async fn wrong_method(request: Request) -> Reply {
    tracing::debug!("wrong method at {} {}", request.method(), request.uri().path());
    Reply::wrong_method()
}
