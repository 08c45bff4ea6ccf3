//! `serve`: bound first, then everything that takes time.

use super::check::json;
use super::{CONFIGURATION, Environment, FAILED, USAGE, runtime, settings};
use crate::app::{self, App, Tick};
use crate::handler::{self, CHECK, Callers, Functions, HttpAnswer, HttpFunction, HttpRoute, Poll, STATUS, Summary};
use crate::report::Report;
use crate::settings::{HANDLER_PORT, Problems, Settings};
use crate::status::{self, Status};
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OnceCell, watch};

/// After a signal the run in progress has this long: 5 s for the posts under way, then its commit and its answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(9);
/// What a process that was ended by a signal exits with: 128 and the signal's number. Never 0, which the Functions host
/// takes for a worker that need not be started again.
const SIGINT: u8 = 130;
const SIGTERM: u8 = 143;
/// The server ended by itself, which it never should.
const SOFTWARE: u8 = 70;

pub(super) fn run(port: Option<&str>, environment: Environment) -> ExitCode {
    let listener = match bind(port) {
        Ok(listener) => listener,
        Err((code, reason)) => {
            crate::log::init("");
            tracing::error!("{reason}");
            return ExitCode::from(code);
        }
    };
    let settings = settings(environment);
    crate::log::install_panic_hook();
    let Some(runtime) = runtime() else { return ExitCode::from(FAILED) };
    let code = runtime.block_on(serve(listener, settings));
    runtime.shutdown_background();
    ExitCode::from(code)
}

fn bind(port: Option<&str>) -> Result<TcpListener, (u8, String)> {
    let name = HANDLER_PORT.name;
    let Some(port) = port else {
        return Err((
            USAGE,
            format!("{name} is not set; the Functions host sets it, and by hand any free port will do"),
        ));
    };
    let port: u16 = port.trim().parse().map_err(|_| (CONFIGURATION, format!("{name} is not a port number")))?;
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.map_err(|error| (FAILED, format!("127.0.0.1:{port} cannot be listened on: {error}")))
}

async fn serve(listener: TcpListener, settings: Result<Settings, Problems>) -> u8 {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!("the listener cannot be used: {error}");
            return FAILED;
        }
    };
    let (drain, drained) = watch::channel(false);
    let functions = functions(Arc::new(settings), drained.clone());
    let stop = wait_for(drained);
    let mut server = tokio::spawn(handler::serve(listener, functions, stop));
    let code = tokio::select! {
        code = signal() => code,
        _ = &mut server => {
            tracing::error!("the server ended by itself");
            return SOFTWARE;
        }
    };
    tracing::info!("asked to end: no new work is begun, what is under way is finished and committed");
    // Nobody listens any more only when the server is gone already.
    let _ = drain.send(true);
    let _ = tokio::time::timeout(PATIENCE, server).await;
    code
}

/// Everything that the handler answers to. The app is put together when it is first needed; with settings that are wrong
/// the process stays up and every invocation says so, because one that ends over and over is given up by the host.
pub(super) fn functions(settings: Arc<Result<Settings, Problems>>, drain: watch::Receiver<bool>) -> Functions {
    let app = Lazy { settings, app: Arc::new(OnceCell::new()), drain };
    let check = HttpRoute { name: CHECK, function: check(Arc::clone(&app.settings)), callers: Callers::Host };
    let status = HttpRoute { name: STATUS, function: status(app.clone()), callers: Callers::HostAndBrowser };
    Functions { poll: poll(app), http: vec![check, status] }
}

/// The app of this process, as soon as somebody needs it.
#[derive(Clone)]
struct Lazy {
    settings: Arc<Result<Settings, Problems>>,
    app: Arc<OnceCell<App>>,
    drain: watch::Receiver<bool>,
}

impl Lazy {
    /// The app, or what is wrong with the settings.
    async fn get(&self) -> Result<&App, String> {
        let settings = Result::as_ref(&self.settings).map_err(ToString::to_string)?;
        let assemble = || async { App::assemble(settings, self.drain.clone()).map_err(|error| error.to_string()) };
        self.app.get_or_try_init(assemble).await
    }
}

async fn wait_for(mut drained: watch::Receiver<bool>) {
    let _ = drained.wait_for(|drained| *drained).await;
}

pub(super) async fn signal() -> u8 {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        // Without handlers the signals end the process, as they do any other.
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => SIGTERM,
        _ = int.recv() => SIGINT,
    }
}

/// What an invocation does.
fn poll(app: Lazy) -> Poll {
    Arc::new(move |invocation| {
        let app = app.clone();
        Box::pin(async move {
            tracing::debug!("polling for {invocation}");
            match app.get().await {
                Ok(app) => summary(&app.tick(invocation.interval()).await),
                Err(problem) => {
                    tracing::error!("{problem}");
                    Summary { failed: true, lines: vec![problem] }
                }
            }
        })
    })
}

/// What a call of the status is answered with: JSON, or a page for whoever looks with a browser. `instance` in the query
/// chooses one.
fn status(app: Lazy) -> HttpFunction {
    Arc::new(move |call| {
        let app = app.clone();
        Box::pin(
            async move { shown(look(&app, call.query.get("instance").map(String::as_str)).await, call.wants_page()) },
        )
    })
}

/// The status, or the HTTP status and the reason why there is none.
async fn look(app: &Lazy, only: Option<&str>) -> Result<Status, (u16, String)> {
    let app = app.get().await.map_err(|problem| (500, problem))?;
    if only.is_some_and(|only| app.jobs().all(|job| job.instance != only)) {
        return Err((404, "no instance of this name is enabled".to_owned()));
    }
    app.status(only).await.map_err(|error| {
        let next = "look again in a minute, and if that lasts, at what DarktraceCheck says of the checkpoint storage";
        (503, format!("{}; {next}", error.told()))
    })
}

fn shown(found: Result<Status, (u16, String)>, page: bool) -> HttpAnswer {
    const HTML: &str = "text/html; charset=utf-8";
    const JSON: &str = "application/json";
    match (found, page) {
        (Ok(status), true) => HttpAnswer { status: 200, content_type: HTML, body: status::page(&status) },
        (Ok(status), false) => HttpAnswer { status: 200, content_type: JSON, body: status.json() },
        (Err((status, reason)), true) => HttpAnswer { status, content_type: HTML, body: status::trouble(&reason) },
        (Err((status, reason)), false) => {
            HttpAnswer { status, content_type: JSON, body: serde_json::json!({ "error": reason }).to_string() }
        }
    }
}

/// What a call of the check is answered with. That something failed is what it was asked for, so the status is 200.
fn check(settings: Arc<Result<Settings, Problems>>) -> HttpFunction {
    Arc::new(move |_call| {
        let settings = Arc::clone(&settings);
        Box::pin(async move {
            let findings = app::check(&settings, None).await;
            HttpAnswer { status: 200, content_type: "application/json", body: json(&findings) }
        })
    })
}

fn summary(tick: &Tick) -> Summary {
    let lines = |report: &Report| report.warnings.iter().cloned().chain([report.line()]).collect::<Vec<_>>();
    Summary {
        failed: tick.problem.is_some() || tick.reports.iter().any(Report::failed),
        lines: tick.reports.iter().flat_map(lines).chain(tick.problem.clone()).collect(),
    }
}
