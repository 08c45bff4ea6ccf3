//! `serve`: bound first, then everything that takes time.

use super::check::json;
use super::{CONFIGURATION, Environment, FAILED, USAGE, runtime, settings};
use crate::app::{self, App, Tick};
use crate::handler::{self, CHECK, Functions, HttpAnswer, HttpFunction, Poll, Summary};
use crate::report::Report;
use crate::settings::{HANDLER_PORT, Problems, Settings};
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
    let settings = Arc::new(settings);
    let functions =
        Functions { poll: poll(Arc::clone(&settings), drained.clone()), http: vec![(CHECK, check(settings))] };
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

/// What an invocation does. The app is put together when it is first needed; with settings that are wrong the process
/// stays up and every invocation says so, because one that ends over and over is given up by the host.
fn poll(settings: Arc<Result<Settings, Problems>>, drain: watch::Receiver<bool>) -> Poll {
    let app = Arc::new(OnceCell::new());
    Arc::new(move |invocation| {
        let (settings, app, drain) = (Arc::clone(&settings), Arc::clone(&app), drain.clone());
        Box::pin(async move {
            tracing::debug!("polling for {invocation}");
            match assembled(&settings, &app, drain).await {
                Ok(app) => summary(&app.tick(invocation.interval()).await),
                Err(problem) => {
                    tracing::error!("{problem}");
                    Summary { failed: true, lines: vec![problem] }
                }
            }
        })
    })
}

async fn assembled<'a>(
    settings: &Result<Settings, Problems>,
    app: &'a OnceCell<App>,
    drain: watch::Receiver<bool>,
) -> Result<&'a App, String> {
    let settings = settings.as_ref().map_err(ToString::to_string)?;
    app.get_or_try_init(|| async { App::assemble(settings, drain).map_err(|error| error.to_string()) }).await
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
