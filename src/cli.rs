//! The command line: arguments and settings to a command, its outcome to an exit code.
//!
//! One file per command. What those share that an operator works with by hand is in `cli/selection.rs`. Nothing here reads
//! the environment: `main` hands it in as a function.

mod backfill;
mod check;
mod dead_letters;
#[cfg(feature = "demo")]
mod demo;
mod pause;
mod poll;
mod selection;
mod send_test;
mod serve;
mod watermark;

use crate::app::App;
use crate::settings::{HANDLER_PORT, Problems, Settings};
use clap::{Parser, Subcommand};
use selection::Selection;
use std::io::Write as _;
use std::process::ExitCode;
use tokio::sync::watch;

/// The usage was wrong, as the shell's convention has it.
const USAGE: u8 = 64;
/// A setting is missing or wrong.
const CONFIGURATION: u8 = 78;
/// Something failed.
const FAILED: u8 = 1;

/// The environment as a function.
pub type Environment = fn(&str) -> Option<String>;

/// Polls Darktrace and posts what is new to Microsoft Sentinel.
#[derive(Debug, Parser)]
#[command(version, about, long_about = LONG_ABOUT, after_help = AFTER_HELP)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

const LONG_ABOUT: &str = "Polls Darktrace and posts what is new to Microsoft Sentinel.\n\n\
    In Azure the Functions host starts it as a custom handler and a timer asks it to poll. On a workstation `poll` does \
    the same once. Settings are environment variables, as docs/settings.md lists them; all problems are told at once.";

const AFTER_HELP: &str = "Without a command it serves when FUNCTIONS_CUSTOMHANDLER_PORT is set, as the Functions host sets it.\n\n\
    Examples:\n  \
    CHECKPOINT_DIR=./state darktrace-sentinel poll     one poll of the masters in the environment\n  \
    darktrace-sentinel check                           what works, what does not, and what to do next\n  \
    CHECKPOINT_DIR=./state darktrace-sentinel backfill --from 2026-01-01 --to 2026-02-01\n  \
    darktrace-sentinel demo                            the whole story against simulators, without any cloud\n  \
    func start                                         the function app on this machine\n\n\
    By hand, with the settings of the function app and access to its storage:\n  \
    darktrace-sentinel dead-letters replay --since 2h  post again what was put aside in the last two hours\n  \
    darktrace-sentinel watermark set-back --instance default --source model-alerts --to 3d\n  \
    darktrace-sentinel pause --instance hq             let one master stand still, and resume it later\n  \
    darktrace-sentinel send-test                       see whether rows arrive in the tables\n  \
    darktrace-sentinel backfill --from 2026-01-01 --to 2026-02-01 --hand-over\n\n\
    Exit codes: 0 all was done, 1 something failed, 64 a wrong argument, 78 a wrong setting. docs/operations.md explains \
    each command, docs/troubleshooting.md each failure.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the Functions host on 127.0.0.1 at FUNCTIONS_CUSTOMHANDLER_PORT.
    ///
    /// It answers for DarktracePoll, DarktraceCheck and DarktraceStatus. A browser on this machine may look at
    /// <http://127.0.0.1:PORT/DarktraceStatus>.
    Serve,
    /// Poll every enabled instance once, and print what happened.
    ///
    /// The position is kept where the settings say. With CHECKPOINT_DIR that is a directory of its own: a function app
    /// stores the same rows again. A backfill that was handed over to the function app is left to it. The exit code is 0
    /// when nothing failed, 1 when something did, 78 when a setting is wrong.
    Poll,
    /// List, show or replay the records that could not be stored.
    #[command(subcommand)]
    DeadLetters(dead_letters::Action),
    /// Show how far reading has come, or move it.
    #[command(subcommand)]
    Watermark(watermark::Action),
    /// Let sources stand still from their next run on; they keep their place.
    Pause(Selection),
    /// Let paused sources go on from where they stand.
    Resume(Selection),
    /// Post one marked test row for each enabled source, without asking a master.
    SendTest(Selection),
    /// Say what of Darktrace and Azure works, what does not, and what to do next.
    #[command(long_about = check::LONG_ABOUT)]
    Check(check::Options),
    /// Store a range of the past, beside live polling and without storing anything twice.
    #[command(long_about = backfill::LONG_ABOUT)]
    Backfill(backfill::Options),
    /// Show the whole product against simulators on this machine, without a cloud or any setting.
    #[cfg(feature = "demo")]
    #[command(long_about = demo::LONG_ABOUT)]
    Demo(demo::Options),
}

/// Runs the command of `arguments`, the program's name first.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = std::ffi::OsString>, environment: Environment) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            // A closed pipe is no reason to fail.
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    let port = environment(HANDLER_PORT.name);
    match arguments.command {
        Some(Command::Serve) => serve::run(port.as_deref(), environment),
        None if port.is_some() => serve::run(port.as_deref(), environment),
        Some(Command::Poll) => poll::run(environment),
        Some(Command::DeadLetters(action)) => dead_letters::run(&action, environment),
        Some(Command::Watermark(action)) => watermark::run(&action, environment),
        Some(Command::Pause(selection)) => pause::run(&selection, environment),
        Some(Command::Resume(selection)) => pause::resume(&selection, environment),
        Some(Command::SendTest(selection)) => send_test::run(&selection, environment),
        Some(Command::Check(options)) => check::run(&options, environment),
        Some(Command::Backfill(options)) => backfill::run(&options, environment),
        #[cfg(feature = "demo")]
        Some(Command::Demo(options)) => demo::run(&options),
        None => {
            use clap::CommandFactory as _;
            let _ = Arguments::command().print_help();
            ExitCode::from(USAGE)
        }
    }
}

/// The settings, with the log set up to tell of them. What was chosen is said in one line.
fn settings(environment: Environment) -> Result<Settings, Problems> {
    quiet_settings(environment).inspect(announce)
}

/// The same without that line, for commands whose output is read by other programs too.
fn quiet_settings(environment: Environment) -> Result<Settings, Problems> {
    let settings = Settings::read(&environment);
    crate::log::init(settings.as_ref().map_or("", |settings| &settings.log_filter));
    settings
}

fn announce(settings: &Settings) {
    let instances = settings.instances.iter().filter(|instance| instance.enabled).count();
    tracing::info!(
        "darktrace-sentinel {}: {instances} of {} instances enabled, soft deadline {} s, Azure as {}",
        env!("CARGO_PKG_VERSION"),
        settings.instances.len(),
        settings.soft_deadline().as_secs(),
        settings.credential
    );
}

/// Has `work` done with the app that the settings make. Ctrl-C ends it as a signal ends a run in Azure: what is under way is
/// finished and committed.
fn with_app(environment: Environment, work: impl AsyncFnOnce(&App) -> ExitCode) -> ExitCode {
    match quiet_settings(environment) {
        Ok(settings) => with_settings(&settings, work),
        Err(problems) => wrong(&problems),
    }
}

/// How a command ends whose settings are wrong.
fn wrong(problems: &Problems) -> ExitCode {
    tracing::error!("{problems}");
    ExitCode::from(CONFIGURATION)
}

/// The same where the settings are there already.
fn with_settings(settings: &Settings, work: impl AsyncFnOnce(&App) -> ExitCode) -> ExitCode {
    crate::log::install_panic_hook();
    let Some(runtime) = runtime() else { return ExitCode::from(FAILED) };
    let (drain, drained) = watch::channel(false);
    let code = runtime.block_on(async {
        tokio::spawn(async move {
            if tokio::signal::ctrl_c().await.is_ok() {
                let _ = drain.send(true);
            }
        });
        let app = App::assemble(settings, drained)?;
        Ok::<_, crate::app::AssembleError>(work(&app).await)
    });
    runtime.shutdown_background();
    code.unwrap_or_else(|error| {
        tracing::error!("{error}");
        ExitCode::from(CONFIGURATION)
    })
}

/// Prints to the standard output. A closed pipe is no reason to fail.
fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// One thread. A function app has one core as a rule, on which more of them only cost memory; and one core maps and
/// compresses several times what a data collection rule takes in.
fn runtime() -> Option<tokio::runtime::Runtime> {
    let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
    built.inspect_err(|error| tracing::error!("the runtime cannot be started: {error}")).ok()
}
