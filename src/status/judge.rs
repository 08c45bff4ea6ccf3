//! What a source is in, judged by what was found of it.

use super::{Found, Past, Paused};
use crate::instant::Instant;
use serde::Serialize;
use std::time::Duration;

/// A watermark that lies further back is worth a look.
pub(super) const LATE: Duration = Duration::from_secs(15 * 60);
/// Runs that do not come for so long are missing, unless the schedule has longer pauses.
const SILENCE: Duration = Duration::from_secs(15 * 60);
/// So many pauses without a run are no accident.
const MISSED: u32 = 3;
/// So many pauses between runs, of which the longest counts, tell how often runs come.
const PAUSES: usize = 3;

/// What a source is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum State {
    /// Its last run did what it should.
    Ok,
    /// An operator paused it.
    Paused,
    /// No run of it has ended yet, or none since it was resumed.
    Waiting,
    /// Its watermark lags.
    Late,
    /// The master does not give it.
    Unavailable,
    /// Runs no longer come.
    Silent,
    /// Its last run failed.
    Failing,
}

/// What a source is in, and what an operator should know of it.
pub(super) fn judge(found: &Found, now: Instant) -> (State, String) {
    if let Some(problem) = &found.problem {
        return (State::Failing, problem.clone());
    }
    if let Some(Paused { since }) = found.paused {
        let since = since.map(|since| format!(" since {}", since.rfc3339())).unwrap_or_default();
        return (State::Paused, format!("an operator paused it{since}; resume lets it go on from where it stands"));
    }
    let Some(last) = found.past.last() else {
        return (State::Waiting, "no run of it has ended yet; the timer of DarktracePoll starts one".to_owned());
    };
    if now.since(last.finished) > patience(&found.past) {
        let told = "has the function app stopped, or is the timer of DarktracePoll disabled?";
        return (State::Silent, format!("no run has ended since {}; {told}", last.finished.rfc3339()));
    }
    if last.failed {
        return (State::Failing, last.message.clone());
    }
    if last.status == PAUSED {
        return (State::Waiting, "it was resumed and goes on with the next run".to_owned());
    }
    if last.status == UNAVAILABLE {
        return (State::Unavailable, last.message.clone());
    }
    if last.lag_seconds.is_some_and(|lag| lag > LATE.as_secs()) {
        let told = "it works off a backlog; every run goes on, and the newest hour comes first";
        return (State::Late, if last.message.is_empty() { told.to_owned() } else { last.message.clone() });
    }
    (State::Ok, last.message.clone())
}

// The words of the health row.
const PAUSED: &str = "Paused";
const UNAVAILABLE: &str = "Unavailable";

/// How long no run may end before runs are missing: what the distance of the last runs allows, whatever the schedule is.
/// Two of them may be of one tick, where two function apps poll, and one may be by hand.
fn patience(past: &Past) -> Duration {
    let pauses = past.runs.windows(2).take(PAUSES).map(|two| two[0].started.since(two[1].started));
    (pauses.max().unwrap_or_default() * MISSED).max(SILENCE)
}
