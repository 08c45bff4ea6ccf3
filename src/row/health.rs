//! The row of `DarktraceConnectorHealth_CL`: what one run did, from its report.

use super::columns::Row;
use super::json::quote;
use crate::instant::Instant;
use crate::report::{Outcome, Pause, Report};
use crate::source::Layout;

/// Appends the report as one complete JSON object. `posted_at` becomes `TimeGenerated`.
pub fn write_health_row(report: &Report, posted_at: Instant, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"TimeGenerated\":");
    quote(&posted_at.rfc3339(), out);
    let mut row = Row { out, layout: Layout::Legacy, cuts: 0 };
    row.text("RunId", &report.run_id);
    row.text("Instance", &report.instance);
    row.text("Source", report.source.name());
    row.text("Work", report.work.name());
    row.text("StartTime", &report.started.rfc3339());
    row.text("EndTime", &report.finished.rfc3339());
    row.text("Status", report.status());
    write_outcome(&report.outcome, &mut row);
    if let Some(told) = report.by_hand() {
        row.text("Message", &told);
    }
    write_counts(report, &mut row);
    write_position(report, &mut row);
    row.text("ConnectorVersion", env!("CARGO_PKG_VERSION"));
    out.push(b'}');
}

fn write_outcome(outcome: &Outcome, row: &mut Row<'_>) {
    match outcome {
        Outcome::Complete | Outcome::Skipped | Outcome::Paused(_) | Outcome::Moved => {}
        Outcome::Partial(pause) => _ = row.text("StoppedBy", stopped_by(*pause)),
        Outcome::Unavailable(failure) | Outcome::Failed(failure) => {
            row.text("FailureClass", failure.class.name());
            row.text("FailurePhase", failure.phase.name());
            if let Some(status) = failure.status {
                integer("HttpStatus", status.into(), row);
            }
            row.text("Message", &failure.message);
        }
    }
}

const fn stopped_by(pause: Pause) -> &'static str {
    match pause {
        Pause::Deadline => "Deadline",
        Pause::Drain => "Drain",
        Pause::Conflict => "Conflict",
    }
}

fn write_counts(report: &Report, row: &mut Row<'_>) {
    let c = &report.counts;
    for (name, count) in [
        ("Fetched", c.fetched),
        ("OutsideWindow", c.outside_window),
        ("AlreadyDelivered", c.already_delivered),
        ("Filtered", c.filtered),
        ("New", c.new),
        ("Changed", c.changed),
        ("Sent", c.sent),
        ("DeadLettered", c.dead_lettered),
        ("Unsent", c.unsent),
        ("ValuesCut", c.truncated),
        ("Batches", c.batches),
        ("Bytes", c.bytes),
        ("BytesSent", c.bytes_sent),
        ("Requests", c.requests),
        ("Retries", c.retries),
        ("Throttled", c.throttled),
        ("Conflicts", c.conflicts),
    ] {
        integer(name, i64::try_from(count).unwrap_or(i64::MAX), row);
    }
}

fn write_position(report: &Report, row: &mut Row<'_>) {
    for (name, at) in [("WatermarkBefore", report.watermark_before), ("Watermark", report.watermark)] {
        if let Some(at) = at {
            row.text(name, &at.rfc3339());
        }
    }
    if let Some(lag) = report.lag {
        integer("LagSeconds", i64::try_from(lag.as_secs()).unwrap_or(i64::MAX), row);
    }
    if let Some(skew) = report.clock_skew_ms {
        integer("ClockSkewMs", skew, row);
    }
    row.flag("CatchingUp", report.catching_up);
    row.name("Warnings");
    for (at, warning) in report.warnings.iter().enumerate() {
        row.out.push(if at == 0 { b'[' } else { b',' });
        quote(warning, row.out);
    }
    row.out.extend_from_slice(if report.warnings.is_empty() { b"[]" } else { b"]" });
}

fn integer(name: &str, number: i64, row: &mut Row<'_>) {
    row.name(name);
    row.out.extend_from_slice(number.to_string().as_bytes());
}
