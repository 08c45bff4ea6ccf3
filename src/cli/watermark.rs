//! `watermark`: how far reading has come, and moving it.

use super::selection::{failed, moment};
use super::{Environment, FAILED, Selection, USAGE, print, with_app};
use crate::app::App;
use crate::cycle::Job;
use crate::cycle::operate::{Loss, OperateError, Place, Standstill, move_watermark, paused, place};
use crate::instant::Instant;
use crate::source::Source;
use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Print for each source its watermark, the floor, the last sweep, how far it lags, and how many keys are kept.
    Show(Selection),
    /// Let reading begin again at an earlier time.
    SetBack(SetBack),
}

#[derive(Debug, clap::Args)]
pub(super) struct SetBack {
    /// The instance, by its name in the settings.
    #[arg(long, value_name = "NAME")]
    instance: String,
    /// The source, such as model-alerts.
    #[arg(long, value_name = "NAME", value_parser = super::selection::source)]
    source: Source,
    /// Where to: 2026-01-02T03:04:05Z, or a span before now such as 2h or 3d.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Instant,
    /// Let the watermark move forward too. What lies between is never read, and a health row tells so.
    #[arg(long)]
    accept_loss: bool,
    /// Do not ask back.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(action: &Action, environment: Environment) -> ExitCode {
    with_app(environment, async |app| {
        let done = match action {
            Action::Show(selection) => show(selection, app).await,
            Action::SetBack(options) => set_back(options, app).await,
        };
        done.unwrap_or_else(|error| failed(&error))
    })
}

async fn show(selection: &Selection, app: &App) -> Result<ExitCode, OperateError> {
    let jobs = match selection.jobs(app) {
        Ok(jobs) => jobs,
        Err(code) => return Ok(code),
    };
    let mut text = heading();
    for job in jobs {
        text.push_str(&line(job, place(job).await?, paused(job).await?));
    }
    print(&text);
    Ok(ExitCode::SUCCESS)
}

fn heading() -> String {
    columns(["instance", "source", "watermark", "floor", "swept", "lag", "keys", "paused"].map(str::to_owned))
}

fn line(job: &Job, place: Option<Place>, paused: Option<Standstill>) -> String {
    let [watermark, floor, swept, lag, keys] = place.map_or_else(|| [(); 5].map(|()| "-".to_owned()), told);
    let paused = if paused.is_some() { "yes" } else { "no" }.to_owned();
    columns([job.instance.clone(), job.source.name().to_owned(), watermark, floor, swept, lag, keys, paused])
}

fn told(place: Place) -> [String; 5] {
    let Place { watermark, floor, swept, lag, keys } = place;
    let [watermark, floor, swept] = [watermark, floor, swept].map(Instant::rfc3339);
    [watermark, floor, swept, format!("{} s", lag.as_secs()), keys.to_string()]
}

fn columns([instance, source, watermark, floor, swept, lag, keys, paused]: [String; 8]) -> String {
    let mut text = String::new();
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        text,
        "{instance:<14} {source:<13} {watermark:<24} {floor:<24} {swept:<24} {lag:>10} {keys:>7} {paused:>6}"
    );
    text
}

async fn set_back(options: &SetBack, app: &App) -> Result<ExitCode, OperateError> {
    let selection = Selection { instance: Some(options.instance.clone()), source: Some(options.source) };
    let job = match selection.jobs(app) {
        Ok(jobs) => jobs[0],
        Err(code) => return Ok(code),
    };
    let loss = if options.accept_loss { Loss::Accepted } else { Loss::Refused };
    let now = place(job).await?;
    if let Some(place) = now.filter(|place| options.to <= place.watermark || loss == Loss::Accepted) {
        print(&format!("{} {}: {}\n", job.instance, job.source, forecast(&place, options.to)));
        if let Some(code) = unconfirmed(options) {
            return Ok(code);
        }
    }
    let moved = move_watermark(job, options.to, loss, &app.limits()).await?;
    print(&format!("moved; the checkpoint from before is kept as {}\n", moved.kept));
    Ok(ExitCode::SUCCESS)
}

/// What moving the watermark will do.
fn forecast(place: &Place, to: Instant) -> String {
    let Place { watermark, floor, .. } = place;
    if to > *watermark {
        return format!("the watermark moves forward from {watermark} to {to}; what lies between is never read");
    }
    let known = if to < *floor {
        format!(
            "what was delivered is known from {floor} on; what is older and was stored before is stored a second time, under \
             the same EventKey"
        )
    } else {
        "what was delivered since then is known and is not stored a second time".to_owned()
    };
    format!("the watermark moves back from {watermark} to {to}, and reading begins there again; {known}")
}

/// How to end, unless the operator wants it.
fn unconfirmed(options: &SetBack) -> Option<ExitCode> {
    if options.yes {
        return None;
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        tracing::error!("nothing was changed: there is no terminal to ask back at, so say --yes");
        return Some(ExitCode::from(USAGE));
    }
    print("Go on? Type yes: ");
    let mut answer = String::new();
    // No answer is no yes.
    let _ = input.lock().read_line(&mut answer);
    (answer.trim() != "yes").then(|| {
        tracing::error!("nothing was changed");
        ExitCode::from(FAILED)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn place_at(watermark: i64, floor: i64) -> Place {
        let at = |minute: i64| Instant(1_767_225_600_000 + minute * 60_000);
        let lag = Duration::from_secs(90);
        Place { watermark: at(watermark), floor: at(floor), swept: at(watermark), lag, keys: 3 }
    }

    #[test]
    fn it_is_told_beforehand_what_is_stored_twice_and_what_is_lost() {
        let place = place_at(60, 0);
        let at = |minute: i64| Instant(1_767_225_600_000 + minute * 60_000);
        assert!(forecast(&place, at(30)).ends_with("is not stored a second time"));
        let further = forecast(&place, at(-30));
        assert!(further.contains("known from 2026-01-01T00:00:00.000Z on") && further.contains("stored a second time"));
        assert!(forecast(&place, at(90)).ends_with("is never read"));
    }

    #[test]
    fn columns_stand_in_line() {
        let [watermark, floor, swept, lag, keys] = told(place_at(60, 0));
        let paused = "no".to_owned();
        let line = columns(["hq".to_owned(), "s".to_owned(), watermark, floor, swept, lag, keys, paused]);
        assert_eq!(line.len(), heading().len());
        assert!(line.ends_with("      90 s       3     no\n"), "{line}");
    }
}
