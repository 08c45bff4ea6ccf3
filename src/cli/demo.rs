//! `demo`: the real program against simulated remotes, without a cloud, certificates or anything in the environment.
//!
//! The three simulators listen on free loopback ports. Each poll is this executable once more, as a child process with a
//! cleared environment and the settings it needs, so that nothing is shown that exists only in the demo. In the end the
//! simulators are asked what they gave and what they got, and that is counted: [`account`] decides the exit code, from what
//! [`due`] says of the one and [`stored`] of the other.
//!
//! `story` is what happens without options, `replay` takes recorded JSON in place of invented records, `serve` keeps the
//! simulators up with the function app beside them. This is the one place outside of the tests that may know the simulators; they and the program share
//! nothing but the sockets between them and the table schemas.

mod account;
mod due;
mod function_app;
mod place;
mod polled;
mod recorded;
mod redate;
mod replay;
mod rows;
mod serve;
mod stored;
mod story;
mod words;
mod world;

use super::{FAILED, runtime};
use crate::source::Layout;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use std::fmt::Display;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What `demo --help` says first.
pub(super) const LONG_ABOUT: &str = "Shows the whole product against simulators on this machine: no cloud, no certificates, no settings.\n\n\
    A simulated Darktrace master, Logs Ingestion endpoint and identity endpoint listen on free ports of 127.0.0.1. Every poll\n\
    is this program in a process of its own with a cleared environment, as `darktrace-sentinel poll` runs elsewhere. All\n\
    sources are polled.\n\n\
    Without an option it tells a story: history, news, a late alert, a burst, an event that grows, an e-mail that is held and\n\
    released, a response action that is extended and cleared, a probe that falls silent and comes back, a throttled post, a\n\
    run that is killed half-way, an outage of the master, and recovery. Left out is what would take too long: the hourly\n\
    sweep, the look every quarter of an hour for what was done with older e-mails, and an action that expires while it is\n\
    watched. In the end stands an account of what the master had and what was stored, for each source. The exit code is 0\n\
    only if nothing was lost, nothing was stored twice without a fault, and every row fits its table.";

/// The options of `demo`.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// Where the rows are written, as NDJSON, a file for each table that has some; files of the same names are replaced
    ///
    /// Without it they go into a fresh directory for temporary files, which is printed in the end.
    #[arg(long, value_name = "DIR")]
    rows: Option<PathBuf>,
    /// Which generation of Darktrace's tables is filled; see docs/tables.md
    #[arg(long, value_name = "LAYOUT", default_value = "legacy", value_parser = layouts())]
    layout: Layout,
    /// Let the simulated master have the recorded records below DIR, and poll once
    ///
    /// Every *.json file below DIR is read: an array of records, a single record, or an answer object whose members hold
    /// arrays of records. Model alerts (`pbid`), AI Analyst events (`id` with `createdAt` or `aiaScore`), e-mails (`uuid`
    /// with `rcpts` and `dtime` or `dtime_unix`) and response actions (`codeid`) are served; anything else is named and left
    /// out. A device that was recorded beside an action is not served with it.
    ///
    /// One thing is changed, because no look-back reaches further than 365 days: the epoch milliseconds under `time`,
    /// `creationTime`, `createdAt`, `timestamp`, `start`, `end`, `expires` and `dtime_unix`, in the text under `updated`,
    /// and the text under `dtime` where it looks like 2025-04-10T15:55:27.341Z, are moved by one offset per file, so that
    /// the newest record of the file is three minutes old. Every other byte of a record is served as it was recorded.
    #[arg(long, value_name = "DIR", verbatim_doc_comment)]
    replay: Option<PathBuf>,
    /// Keep the simulators up until Ctrl-C, with the function app and its status page
    ///
    /// Prints the address of the page, and the settings with which `func start`, `serve` and `poll` find the simulators.
    #[arg(long, conflicts_with = "replay")]
    serve: bool,
}

/// How the rows of a demo come out.
#[derive(Clone, Copy, Debug)]
struct Shape<'a> {
    /// The directory for the rows.
    rows: Option<&'a Path>,
    layout: Layout,
}

fn layouts() -> impl TypedValueParser<Value = Layout> {
    let names = PossibleValuesParser::new(Layout::ALL.map(Layout::name));
    names.try_map(|name| Layout::named(&name).ok_or("there is no such layout"))
}

/// Why a demo did not come to its account.
#[derive(Debug, thiserror::Error)]
enum DemoError {
    /// A file, a directory, a port or the child process.
    #[error("{what}")]
    System {
        /// What was being done.
        what: String,
        #[source]
        source: io::Error,
    },
    /// A poll ended otherwise than the story has it.
    #[error("the poll ended with {status} where {expected} was expected; it said:\n{said}")]
    Poll { status: String, expected: &'static str, said: String },
    /// There is nothing below the directory that can be replayed.
    #[error("there is nothing in the *.json files below {0} that a master could be polled for")]
    NothingRecorded(PathBuf),
    /// A schema that is part of this program cannot be read.
    #[error("the program was built with a broken table schema")]
    Schema(#[from] crate::sim::ingestion::SchemaError),
}

/// Turns an I/O error into one that says what was being done.
fn while_doing(what: impl Into<String>) -> impl FnOnce(io::Error) -> DemoError {
    let what = what.into();
    move |source| DemoError::System { what, source }
}

pub(super) fn run(options: &Options) -> ExitCode {
    let Some(runtime) = runtime() else { return ExitCode::from(FAILED) };
    let outcome = runtime.block_on(perform(options));
    runtime.shutdown_background();
    match outcome {
        Ok(Verdict::Sound) => ExitCode::SUCCESS,
        Ok(Verdict::Unsound) => ExitCode::from(FAILED),
        Err(error) => fail(&error),
    }
}

async fn perform(options: &Options) -> Result<Verdict, DemoError> {
    let shape = Shape { rows: options.rows.as_deref(), layout: options.layout };
    match &options.replay {
        Some(recorded) => replay::perform(recorded, shape).await,
        None if options.serve => serve::perform(shape).await,
        None => story::perform(shape).await,
    }
}

/// What the account came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Sound,
    Unsound,
}

/// One line for the reader. A closed pipe is no reason to fail.
fn say(line: impl Display) {
    let _ = writeln!(io::stdout().lock(), "{line}");
}

fn fail(error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("darktrace-sentinel demo: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    let _ = writeln!(io::stderr().lock(), "{text}");
    ExitCode::from(FAILED)
}
