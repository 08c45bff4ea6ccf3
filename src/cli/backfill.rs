//! `backfill`: a range of the past, with its progress on the screen.

mod order;
mod shown;

use super::serve::{PATIENCE, signal};
use super::{CONFIGURATION, Environment, FAILED, USAGE, poll, runtime, settings, with_app, with_settings, wrong};
use crate::app::{App, Choice};
use crate::backfill::{Order, Overlap};
use crate::cycle::{Manner, Progress, Start};
use crate::instant::Instant;
use crate::report::{Outcome, Report};
use crate::settings::Settings;
use crate::source::Source;
use shown::Shown;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::process::ExitCode;
use tokio::sync::watch;

pub(super) const LONG_ABOUT: &str = "Store a range of the past, beside live polling and without storing anything twice.\n\n\
    It reads the range oldest first, through the same cycle as a poll and with the same settings, and posts rows whose \
    IngestKind is `backfill`. Its lease and checkpoint lie below backfill/ beside those of live polling, in AzureWebJobsStorage or \
    CHECKPOINT_DIR as for a poll. The range has to end before live polling began, or is refused with the latest end that \
    it may have.\n\n\
    After an interruption of any kind the same command goes on where it stopped. Exit code 0: the range is complete. 1: \
    something failed, and its line says what to do. 130 or 143: a signal ended it, after what was under way was \
    committed.\n\n\
    With --hand-over nothing is read here: the function app works on the range beside live polling, as far as it comes \
    with each tick, and --withdraw takes that back.";

#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// The begin of the range: 2026-01-01 or 2026-01-01T08:00:00Z, in UTC unless it says otherwise.
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present = "withdraw")]
    from: Option<Instant>,
    /// The end of the range, which is not part of it.
    #[arg(long, value_name = "TIME", value_parser = time, required_unless_present = "withdraw")]
    to: Option<Instant>,
    /// Only this instance [default: all that are enabled].
    #[arg(long, value_name = "NAME")]
    instance: Option<String>,
    /// Only this source [default: all that are polled].
    #[arg(long, value_name = "NAME", value_parser = source)]
    source: Option<Source>,
    /// Allow the range to overlap what live polling delivers; what that still knows is set aside.
    #[arg(long)]
    force: bool,
    /// Give up an unfinished range, or store one again that was stored. To go on after that, leave it away.
    #[arg(long)]
    restart: bool,
    /// Count what would be stored, in the column `new`. Posts nothing and keeps no checkpoint.
    #[arg(long)]
    dry_run: bool,
    /// Requests to a master in a minute, at most and evenly spread.
    #[arg(long, value_name = "N", default_value = "30")]
    requests_per_minute: NonZeroU32,
    /// Leave the range to the function app, which works on it after live polling with each tick until it is complete.
    #[arg(long, conflicts_with_all = ["restart", "dry_run"])]
    hand_over: bool,
    /// Take back what was handed over. What is stored stays, and the same order goes on from there.
    #[arg(long, conflicts_with_all = ["from", "to", "instance", "source", "force", "restart", "dry_run", "hand_over", "requests_per_minute"])]
    withdraw: bool,
}

/// The range that was asked for.
#[derive(Clone, Copy, Debug)]
struct Range {
    from: Instant,
    to: Instant,
    force: bool,
}

impl Range {
    /// As it is read where nothing else is said.
    const fn order(&self) -> Order {
        Order {
            from: self.from,
            until: self.to,
            overlap: if self.force { Overlap::SetAside } else { Overlap::Refused },
            start: Start::Resume,
            manner: Manner::Posted,
        }
    }
}

impl Options {
    fn range(&self) -> Option<Range> {
        let (from, to) = self.from.zip(self.to)?;
        Some(Range { from, to, force: self.force })
    }

    const fn order(&self, range: &Range) -> Order {
        Order {
            start: if self.restart { Start::Restart } else { Start::Resume },
            manner: if self.dry_run { Manner::Counted } else { Manner::Posted },
            ..range.order()
        }
    }

    fn choice(&self) -> Choice {
        Choice { instance: self.instance.clone(), source: self.source }
    }
}

pub(super) fn run(options: &Options, environment: Environment) -> ExitCode {
    // Without both ends only this is left.
    let Some(range) = options.range() else { return with_app(environment, async |app| order::withdraw(app).await) };
    let settings = match settings(environment) {
        Ok(settings) => settings,
        Err(problems) => return wrong(&problems),
    };
    if let Err(problem) = is_there(options, &settings) {
        tracing::error!("{problem}");
        return ExitCode::from(USAGE);
    }
    if options.hand_over {
        let (choice, pace) = (options.choice(), options.requests_per_minute);
        return with_settings(&settings, async |app| order::hand_over(app, range, choice, pace).await);
    }
    crate::log::install_panic_hook();
    let Some(runtime) = runtime() else { return ExitCode::from(FAILED) };
    let ended = runtime.block_on(backfill(options, &range, &settings));
    runtime.shutdown_background();
    match ended {
        Ok((reports, signal)) => finish(options, &reports, signal),
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(CONFIGURATION)
        }
    }
}

/// Whether anything is chosen. A name that is misspelt must not look like a range without alerts.
fn is_there(options: &Options, settings: &Settings) -> Result<(), String> {
    let enabled: Vec<_> = settings.instances.iter().filter(|instance| instance.enabled).collect();
    let chosen: Vec<_> =
        enabled.iter().filter(|instance| options.instance.as_ref().is_none_or(|name| *name == instance.name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = enabled.iter().map(|instance| instance.name.as_str()).collect();
        return Err(format!("no such instance is enabled; there are: {}", names.join(", ")));
    }
    match options.source.filter(|source| !chosen.iter().any(|instance| instance.sources.contains(source))) {
        Some(source) => Err(format!("{source} is not polled; name it in DARKTRACE_SOURCES first")),
        None => Ok(()),
    }
}

/// The reports, with the code of the signal that ended the work.
async fn backfill(
    options: &Options,
    range: &Range,
    settings: &Settings,
) -> Result<(Vec<Report>, Option<u8>), crate::app::AssembleError> {
    let (drain, drained) = watch::channel(false);
    let app = App::assemble_paced(settings, drained, options.requests_per_minute)?;
    let (progress, seen) = watch::channel(Progress::default());
    let (order, choice) = (options.order(range), options.choice());
    let work = app.backfill(&order, &choice, &progress);
    let mut shown = Shown::on_stderr(seen);
    tokio::pin!(work);
    let code = tokio::select! {
        reports = &mut work => {
            shown.end();
            return Ok((reports, None));
        }
        code = signal() => code,
        () = shown.follow() => return Ok((Vec::new(), None)),
    };
    shown.end();
    tracing::info!("asked to end: what is under way is finished and committed");
    // The app holds the other end.
    let _ = drain.send(true);
    Ok((tokio::time::timeout(PATIENCE, work).await.unwrap_or_default(), Some(code)))
}

fn finish(options: &Options, reports: &[Report], signal: Option<u8>) -> ExitCode {
    // A closed pipe is no reason to fail.
    let _ = std::io::stdout().lock().write_all(poll::table(reports).as_bytes());
    if let Some(code) = signal {
        tracing::info!("{}", again(options));
        return ExitCode::from(code);
    }
    // What a master does not give cannot be read; whoever asked for that alone has to know.
    let only_one = options.source.is_some();
    let is_done = |report: &Report| match report.outcome {
        Outcome::Complete => true,
        Outcome::Unavailable(_) => !only_one,
        Outcome::Partial(_) | Outcome::Skipped | Outcome::Paused(_) | Outcome::Moved | Outcome::Failed(_) => false,
    };
    if reports.iter().all(is_done) {
        return ExitCode::SUCCESS;
    }
    tracing::error!("the range is not complete; do what the lines above say. {}", again(options));
    ExitCode::from(FAILED)
}

const fn again(options: &Options) -> &'static str {
    match (options.dry_run, options.restart) {
        (true, _) => "A dry run begins anew.",
        (false, true) => "The same command without --restart goes on where it stopped",
        (false, false) => "The same command goes on where it stopped",
    }
}

fn time(text: &str) -> Result<Instant, String> {
    Instant::from_iso_or_day(text)
        .ok_or_else(|| "give a day or a time, such as 2026-01-01 or 2026-01-01T08:00:00Z".to_owned())
}

fn source(name: &str) -> Result<Source, String> {
    Source::named(name).ok_or_else(|| format!("there are: {}", Source::ALL.map(Source::name).join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_its_midnight_in_utc() {
        assert_eq!(time("2026-01-01"), Ok(Instant(1_767_225_600_000)));
        assert_eq!(time("2026-01-01T01:00:00+01:00"), time("2026-01-01"));
        assert!(time("yesterday").is_err() && time("2026-13-01").is_err());
    }

    #[test]
    fn a_source_that_is_misspelt_is_told_what_there_is() {
        assert!(source("alerts").unwrap_err().contains(Source::ALL[0].name()));
        assert_eq!(source(Source::ALL[1].name()), Ok(Source::ALL[1]));
    }
}
