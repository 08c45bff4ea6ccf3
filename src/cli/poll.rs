//! `poll`: one cycle now, told as a table.

use super::{Environment, FAILED, print, settings, with_settings, wrong};
use crate::report::Report;
use std::fmt::Write as _;
use std::process::ExitCode;

pub(super) fn run(environment: Environment) -> ExitCode {
    match settings(environment) {
        Ok(settings) => with_settings(&settings, async |app| finish(&app.poll().await)),
        Err(problems) => wrong(&problems),
    }
}

fn finish(reports: &[Report]) -> ExitCode {
    print(&table(reports));
    if reports.iter().any(Report::failed) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS }
}

/// The counts that say whether anything is wrong, a line for each source.
pub(super) fn table(reports: &[Report]) -> String {
    let mut text = format!(
        "\n{:<14} {:<13} {:<13} {:>8} {:>7} {:>8} {:>7} {:>8} {:>6} {:>8}\n",
        "instance", "source", "status", "fetched", "new", "changed", "sent", "known", "dead", "lag"
    );
    for report in reports {
        let c = &report.counts;
        let lag = report.lag.map_or_else(|| "-".to_owned(), |lag| format!("{} s", lag.as_secs()));
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            text,
            "{:<14} {:<13} {:<13} {:>8} {:>7} {:>8} {:>7} {:>8} {:>6} {:>8}",
            report.instance,
            report.source.name(),
            report.status(),
            c.fetched,
            c.new,
            c.changed,
            c.sent,
            c.already_delivered,
            c.dead_lettered,
            lag
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::Instant;
    use crate::source::Source;

    #[test]
    fn each_source_is_a_line_under_its_heading() {
        let report = Report::begin("default", Source::ModelAlerts, "run", Instant(0));
        let table = table(&[report.clone(), report]);
        let lines: Vec<_> = table.trim().lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[1].starts_with("default        model-alerts  Success"));
        assert!(lines.iter().all(|line| line.chars().count() == lines[0].chars().count()), "columns stand in line");
    }
}
