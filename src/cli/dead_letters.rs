//! `dead-letters`: what could not be stored, told without its content, shown on purpose, or posted again.

use super::selection::{failed, moment, one_line};
use super::{Environment, FAILED, Selection, print, with_app};
use crate::app::App;
use crate::cycle::operate::{Ending, Letter, OperateError, Replayed, dead_letter, dead_letters, replay};
use crate::instant::Instant;
use std::fmt::Write as _;
use std::process::ExitCode;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Action {
    /// Print a line for each: name, instance, source, event time, when it was put aside, and why. Never its content.
    List(Selection),
    /// Print one document with its content, which is an alert: mind who reads along.
    Show {
        /// The name that `list` prints.
        name: String,
    },
    /// Map and post them again, with `IngestKind` `replay`, and remove what Azure accepts. Exits with 0 only if that was all.
    Replay {
        #[command(flatten)]
        selection: Selection,
        /// Only what was put aside since then: 2026-01-02T03:04:05Z, or a span before now such as 2h or 3d.
        #[arg(long, value_name = "TIME", value_parser = moment)]
        since: Option<Instant>,
    },
}

pub(super) fn run(action: &Action, environment: Environment) -> ExitCode {
    with_app(environment, async |app| {
        let done = match action {
            Action::List(selection) => list(selection, app).await,
            Action::Show { name } => show(name, app).await,
            Action::Replay { selection, since } => replay_all(selection, *since, app).await,
        };
        done.unwrap_or_else(|error| failed(&error))
    })
}

async fn list(selection: &Selection, app: &App) -> Result<ExitCode, OperateError> {
    let letters = chosen(selection, None, app).await?;
    print(&letters.iter().map(line).collect::<String>());
    Ok(ExitCode::SUCCESS)
}

fn line(letter: &Letter) -> String {
    let time = |at: Option<Instant>| at.map_or_else(|| "-".to_owned(), Instant::rfc3339);
    let Letter { name, instance, source, event_time, first_seen, reason } = letter;
    let (name, instance, reason) = (one_line(name), one_line(instance), one_line(reason));
    let source = source.map_or("-", |source| source.name());
    format!("{name}\t{instance}\t{source}\t{}\t{}\t{reason}\n", time(*event_time), time(*first_seen))
}

async fn show(name: &str, app: &App) -> Result<ExitCode, OperateError> {
    let Some(document) = dead_letter(app.store(), name).await? else {
        tracing::error!("there is no dead letter of that name; dead-letters list has the names");
        return Ok(ExitCode::from(FAILED));
    };
    print(&format!("{}\n", String::from_utf8_lossy(&document)));
    Ok(ExitCode::SUCCESS)
}

async fn replay_all(selection: &Selection, since: Option<Instant>, app: &App) -> Result<ExitCode, OperateError> {
    let mut letters = chosen(selection, since, app).await?;
    let (all, limits, mut ended) = (letters.len(), app.limits(), Vec::new());
    for job in app.jobs() {
        let is_own = |letter: &mut Letter| letter.instance == job.instance && letter.source == Some(job.source);
        let own: Vec<Letter> = letters.extract_if(.., is_own).collect();
        if !own.is_empty() {
            match replay(job, &own, &limits).await {
                Ok(replayed) => ended.extend(replayed),
                Err(error) => {
                    failed(&error);
                    ended.extend(own.into_iter().map(|letter| not_sent(letter, "its source could not be replayed")));
                }
            }
        }
    }
    ended.extend(
        letters
            .into_iter()
            .map(|letter| not_sent(letter, "its source is not enabled in the settings; enable it for the replay")),
    );
    let stored = ended.iter().filter(|one| one.ending == Ending::Stored).count();
    print(&told(&ended, stored));
    Ok(if stored == all { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

async fn chosen(selection: &Selection, since: Option<Instant>, app: &App) -> Result<Vec<Letter>, OperateError> {
    let mut letters = dead_letters(app.store()).await?;
    letters.retain(|letter| selection.means(&letter.instance, letter.source));
    // One that does not tell when it was put aside is not left out.
    letters.retain(|letter| since.zip(letter.first_seen).is_none_or(|(since, seen)| seen >= since));
    Ok(letters)
}

fn not_sent(letter: Letter, why: &str) -> Replayed {
    Replayed { name: letter.name, ending: Ending::NotSent(why.to_owned()) }
}

fn told(ended: &[Replayed], stored: usize) -> String {
    let mut text = String::new();
    for Replayed { name, ending } in ended {
        let name = one_line(name);
        // Writing to a `String` cannot fail.
        let _ = match ending {
            Ending::Stored => writeln!(text, "replayed\t{name}"),
            Ending::NotRemoved(why) => writeln!(text, "replayed, but not removed\t{name}\t{}", one_line(why)),
            Ending::Refused(why) => writeln!(text, "refused\t{name}\t{}", one_line(why)),
            Ending::NotSent(why) => writeln!(text, "not sent\t{name}\t{}", one_line(why)),
        };
    }
    let _ = writeln!(text, "{stored} of {} replayed", ended.len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_is_one_line_whatever_its_document_says() {
        let letter = Letter {
            name: "deadletter/v1/hq/x/1.json".to_owned(),
            instance: "hq".to_owned(),
            source: None,
            event_time: Some(Instant(1_767_225_600_000)),
            first_seen: None,
            reason: "one\ntwo\u{1b}[2J".to_owned(),
        };
        assert_eq!(line(&letter), "deadletter/v1/hq/x/1.json\thq\t-\t2026-01-01T00:00:00.000Z\t-\tone two [2J\n");
    }

    #[test]
    fn every_ending_is_told_and_only_what_is_stored_counts() {
        let endings = [
            Ending::Stored,
            Ending::NotRemoved("a".to_owned()),
            Ending::Refused("b".to_owned()),
            Ending::NotSent("c".to_owned()),
        ];
        let ended = endings.map(|ending| Replayed { name: "n".to_owned(), ending });
        assert_eq!(
            told(&ended, 1),
            "replayed\tn\nreplayed, but not removed\tn\ta\nrefused\tn\tb\nnot sent\tn\tc\n1 of 4 replayed\n"
        );
    }
}
