//! How far a backfill has come: a bar on a terminal, a line every ten seconds elsewhere.

use crate::cycle::Progress;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// How often a bar moves.
const BAR: Duration = Duration::from_millis(250);
/// How often a line is written.
const LINE: Duration = Duration::from_secs(10);
const WIDTH: u64 = 24;

/// What follows the progress.
pub(super) struct Shown {
    seen: watch::Receiver<Progress>,
    /// The source that is shown, and since when.
    of: String,
    since: Instant,
    on: On,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Terminal,
    Log,
}

impl Shown {
    /// On the terminal that standard error is, or in the log.
    pub(super) fn on_stderr(seen: watch::Receiver<Progress>) -> Self {
        let on = if std::io::stderr().is_terminal() { On::Terminal } else { On::Log };
        Self { seen, of: String::new(), since: Instant::now(), on }
    }

    /// Shows the progress for as long as it is waited for.
    pub(super) async fn follow(&mut self) {
        let mut turn = tokio::time::interval(if self.on == On::Terminal { BAR } else { LINE });
        turn.tick().await;
        loop {
            turn.tick().await;
            let progress = self.seen.borrow().clone();
            if progress.of != self.of {
                (self.of, self.since) = (progress.of.clone(), Instant::now());
            }
            if progress.of.is_empty() {
                continue;
            }
            let line = line(&progress, self.since.elapsed());
            match self.on {
                On::Terminal => draw(&format!("\r{} {line}\x1b[K", bar(&progress))),
                On::Log => tracing::info!("backfill {line}"),
            }
        }
    }

    /// Clears the bar, so that what follows stands alone.
    pub(super) fn end(&self) {
        if self.on == On::Terminal {
            draw("\r\x1b[K");
        }
    }
}

/// A closed terminal is no reason to fail.
fn draw(text: &str) {
    let mut stderr = std::io::stderr().lock();
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

fn bar(progress: &Progress) -> String {
    let full = usize::try_from(WIDTH * percent(progress) / 100).unwrap_or_default();
    format!("[{:<width$}]", "#".repeat(full), width = usize::try_from(WIDTH).unwrap_or_default())
}

/// Where it is, at which rate, and about how long it still takes.
fn line(progress: &Progress, elapsed: Duration) -> String {
    let Progress { of, next, counts, .. } = progress;
    let rate = counts.sent as f64 / elapsed.as_secs_f64().max(0.001);
    let left = left(progress, elapsed).map_or_else(String::new, |left| format!(", about {} left", spoken(left)));
    format!("{of}: at {next}, {} %, {} rows, {rate:.0} rows/s{left}", percent(progress), counts.sent)
}

fn percent(progress: &Progress) -> u64 {
    let whole = progress.to.since(progress.from).as_millis().max(1);
    let done = progress.next.since(progress.from).as_millis().min(whole);
    u64::try_from(done * 100 / whole).unwrap_or(100)
}

/// What was read in less time tells nothing of the rate: the first requests need not wait for one another.
const SETTLED: Duration = Duration::from_secs(5);

/// By what this process has read so far; nothing before that can be told.
fn left(progress: &Progress, elapsed: Duration) -> Option<Duration> {
    let done = progress.next.since(progress.begun).as_secs_f64();
    let rest = progress.to.since(progress.next).as_secs_f64();
    (done > 0.0 && elapsed >= SETTLED).then(|| elapsed.mul_f64(rest / done))
}

fn spoken(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instant::Instant as Moment;
    use crate::report::Counts;

    const DAY: Duration = Duration::from_secs(86_400);
    const BEGIN: Moment = Moment(1_767_225_600_000);

    fn progress(begun: u32, next: u32) -> Progress {
        let counts = Counts { sent: 1_200, ..Counts::default() };
        let of = "hq alerts".to_owned();
        Progress {
            of,
            from: BEGIN,
            to: BEGIN + DAY * 100,
            begun: BEGIN + DAY * begun,
            next: BEGIN + DAY * next,
            counts,
        }
    }

    #[test]
    fn a_line_tells_where_it_is_how_fast_and_how_long_it_takes() {
        assert_eq!(
            line(&progress(0, 25), Duration::from_secs(60)),
            "hq alerts: at 2026-01-26T00:00:00.000Z, 25 %, 1200 rows, 20 rows/s, about 3 min left"
        );
        assert_eq!(bar(&progress(0, 25)), "[######                  ]");
    }

    #[test]
    fn what_an_earlier_process_did_does_not_count_for_the_rest() {
        assert_eq!(left(&progress(20, 60), Duration::from_secs(40)), Some(Duration::from_secs(40)));
        assert_eq!(left(&progress(20, 20), Duration::from_secs(40)), None);
        assert_eq!(left(&progress(0, 25), Duration::from_millis(50)), None, "too early to tell");
    }
}
