//! What the commands for operators share: which sources are meant, and how a time is written.

use super::{FAILED, USAGE};
use crate::app::App;
use crate::cycle::Job;
use crate::cycle::operate::OperateError;
use crate::http::system_clock;
use crate::instant::Instant;
use crate::settings::duration;
use crate::source::Source;
use std::process::ExitCode;

/// Which sources are meant; all that are enabled without a word about it.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Selection {
    /// Only this instance, by its name in the settings [default: all that are enabled].
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// Only this source, such as model-alerts [default: all that are polled].
    #[arg(long, value_name = "NAME", value_parser = source)]
    pub(super) source: Option<Source>,
}

impl Selection {
    /// Whether this source of this instance is meant.
    pub(super) fn means(&self, instance: &str, source: Option<Source>) -> bool {
        self.instance.as_deref().is_none_or(|wanted| wanted == instance)
            && self.source.is_none_or(|wanted| source == Some(wanted))
    }

    /// The jobs that are meant. None is a mistake of whoever asked, who is told what there is.
    pub(super) fn jobs<'a>(&self, app: &'a App) -> Result<Vec<&'a Job>, ExitCode> {
        let jobs: Vec<_> = app.jobs().filter(|job| self.means(&job.instance, Some(job.source))).collect();
        if jobs.is_empty() {
            let there: Vec<_> = app.jobs().map(|job| format!("{} {}", job.instance, job.source)).collect();
            tracing::error!("no enabled source fits --instance and --source; there are: {}", there.join(", "));
            return Err(ExitCode::from(USAGE));
        }
        Ok(jobs)
    }
}

pub(super) fn source(text: &str) -> Result<Source, String> {
    let names = || Source::ALL.map(Source::name).join(", ");
    Source::named(text).ok_or_else(|| format!("there is no such source; there are {}", names()))
}

/// `2026-01-02T03:04:05Z`, or a span before now such as `2h` or `3d`.
pub(super) fn moment(text: &str) -> Result<Instant, String> {
    moment_at(text, system_clock())
}

fn moment_at(text: &str, now: Instant) -> Result<Instant, String> {
    let span = || duration(text).ok().map(|span| now - span);
    let wrong =
        || "is neither a time such as 2026-01-02T03:04:05Z nor a span before now such as 90m, 2h or 3d".to_owned();
    Instant::from_iso(text).or_else(span).ok_or_else(wrong)
}

/// Tells why something was not done, causes and all.
pub(super) fn failed(error: &OperateError) -> ExitCode {
    tracing::error!("{}", error.told());
    ExitCode::from(FAILED)
}

/// Text of a document on one line, for a terminal or another program.
pub(super) fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_moment_or_a_span_before_now() {
        let now = Instant(1_767_225_600_000);
        for (text, at) in [
            ("2026-01-01T00:00:00Z", now),
            ("2026-01-01T02:00:00+02:00", now),
            ("2h", Instant(now.0 - 7_200_000)),
            ("3d", Instant(now.0 - 3 * 86_400_000)),
        ] {
            assert_eq!(moment_at(text, now), Ok(at), "{text}");
        }
        for text in ["", "yesterday", "2026-01-01", "2 h", "-2h", "h"] {
            assert!(moment_at(text, now).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_named_is_meant_as_a_whole() {
        let [first, second, ..] = Source::ALL;
        assert!(Selection::default().means("hq", None));
        let selection = Selection { instance: Some("hq".to_owned()), source: Some(first) };
        assert!(selection.means("hq", Some(first)));
        assert!(
            !selection.means("hq", Some(second))
                && !selection.means("lab", Some(first))
                && !selection.means("hq", None)
        );
    }
}
