//! Recorded records in place of invented ones: found below a directory, moved to the present, polled once.

use super::account::{Polls, count};
use super::place::short;
use super::recorded::{Found, Kind, Recorded, find};
use super::redate::{MILLISECONDS, moved};
use super::world::{Expected, World};
use super::{DemoError, Verdict, rows, say, while_doing};
use crate::sim::appliance::{AlertSpec, EventSpec, Period};
use serde_json::Value;
use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
/// The newest record of each file becomes so old.
const AGE_OF_NEWEST: i64 = 2 * MINUTE;
/// The longest look-back of a first run, less an hour for the poll itself.
const LONGEST: i64 = 365 * 24 * HOUR - HOUR;
const SHORTEST_HOURS: i64 = 24;

const GREETING: &str = "darktrace-sentinel demo --replay\n\n\
    A simulated Darktrace master serves the recorded alerts and events, moved to the present; see `demo --help` for what\n\
    is changed. The poll is this program in a process of its own.\n";

pub(super) async fn perform(recorded: &Path, rows_to: Option<&Path>) -> Result<Verdict, DemoError> {
    let files = files(recorded)?;
    let world = World::start(rows_to).await?;
    say(GREETING);
    let mut replay = Replay { world: &world, now: world.appliance.now_ms(), oldest: i64::MAX, seen: HashSet::new() };
    for file in &files {
        replay.take_file(recorded, file)?;
    }
    if replay.seen.is_empty() {
        return Err(DemoError::NothingRecorded(recorded.to_owned()));
    }
    let look_back = ("INITIAL_LOOKBACK", format!("{}h", replay.look_back_hours()));
    let polled = world.poll(&[look_back]).await?;
    say(format_args!("\nOne poll ({} stored)", count(world.stored(), "row")));
    polled.tell();
    polled.must(Expected::Success)?;
    rows::conclude(&world, Polls { well: 1, ..Polls::default() })
}

/// Every `*.json` file below `root`, in the order of the alphabet. Links to directories are not followed.
fn files(root: &Path) -> Result<Vec<PathBuf>, DemoError> {
    let cannot = |path: &Path| while_doing(format!("{} cannot be read", path.display()));
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).map_err(cannot(&folder))? {
            let entry = entry.map_err(cannot(&folder))?;
            let (path, kind) = (entry.path(), entry.file_type().map_err(cannot(&folder))?);
            if kind.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

struct Replay<'a> {
    world: &'a World,
    now: i64,
    /// The earliest time of anything that the master has.
    oldest: i64,
    /// What the master has: a second record of the same identity could not be told from the first.
    seen: HashSet<(Kind, String)>,
}

impl Replay<'_> {
    fn take_file(&mut self, root: &Path, file: &Path) -> Result<(), DemoError> {
        let bytes = fs::read(file).map_err(while_doing(format!("{} cannot be read", file.display())))?;
        let mut found = String::from_utf8(bytes).map_or_else(|_| not_text(), |text| find(&text));
        let newest = found.records.iter().filter_map(|record| times(record).max()).max();
        let offset = newest.map_or(0, |newest| self.now - AGE_OF_NEWEST - newest);
        let (mut alerts, mut events) = (0, 0);
        for record in found.records {
            match self.issue(&record, offset) {
                Ok(()) if record.kind == Kind::Alert => alerts += 1,
                Ok(()) => events += 1,
                Err(reason) => found.left_out.push(reason),
            }
        }
        let name = file.strip_prefix(root).map_or_else(|_| short(file), |name| name.display().to_string());
        say(format_args!("  {name}: {}", told(alerts, events, &found.left_out)));
        Ok(())
    }

    fn issue(&mut self, record: &Recorded, offset: i64) -> Result<(), String> {
        let Some(oldest) = times(record).min().map(|time| time + offset) else {
            return Err("it has no time in epoch milliseconds".to_owned());
        };
        if oldest < self.now - LONGEST {
            return Err("it is more than a year older than the newest record of its file".to_owned());
        }
        if !self.seen.insert((record.kind, record.id.clone())) {
            return Err("a record with the same id was read before".to_owned());
        }
        self.oldest = self.oldest.min(oldest);
        match record.kind {
            Kind::Alert => drop(self.world.appliance.issue_alert(alert(record, offset))),
            Kind::Event => drop(self.world.appliance.issue_event(event(record, offset))),
        }
        Ok(())
    }

    /// Far enough for the oldest record, in whole hours.
    fn look_back_hours(&self) -> i64 {
        ((self.now - self.oldest) / HOUR + 1).max(SHORTEST_HOURS)
    }
}

fn not_text() -> Found {
    Found { left_out: vec!["it is not UTF-8 text".to_owned()], ..Found::default() }
}

fn alert(record: &Recorded, offset: i64) -> AlertSpec {
    AlertSpec {
        time_ms: time(&record.body["time"]).map(|time| time + offset),
        creation_ms: time(&record.body["creationTime"]).map(|time| time + offset),
        score: record.body["score"].as_f64(),
        pbid: record.body["pbid"].as_i64(),
        raw: Some(moved(&record.text, offset)),
        ..AlertSpec::default()
    }
}

fn event(record: &Recorded, offset: i64) -> EventSpec {
    let periods = periods(&record.body).map(|(start, end)| Period { start_ms: start + offset, end_ms: end + offset });
    EventSpec {
        uuid: Some(record.id.clone()),
        created_ms: time(&record.body["createdAt"]).map(|time| time + offset),
        periods: periods.collect(),
        score: record.body["aiaScore"].as_f64(),
        raw: Some(moved(&record.text, offset)),
        ..EventSpec::default()
    }
}

/// The times by which windows select a record.
fn times(record: &Recorded) -> impl Iterator<Item = i64> {
    let single = ["time", "creationTime", "createdAt"].into_iter().filter_map(|name| time(&record.body[name]));
    let ends = periods(&record.body).filter(|_| record.kind == Kind::Event).map(|(_, end)| end);
    single.chain(ends)
}

fn periods(body: &Value) -> impl Iterator<Item = (i64, i64)> {
    let periods = body["periods"].as_array().into_iter().flatten();
    periods.filter_map(|period| Some((time(&period["start"])?, time(&period["end"])?)))
}

/// Only what `redate` would move.
fn time(value: &Value) -> Option<i64> {
    value.as_i64().filter(|time| MILLISECONDS.contains(time))
}

/// `2 model alerts, 1 AI Analyst event; left out: ...`
fn told(alerts: usize, events: usize, left_out: &[String]) -> String {
    let mut parts = Vec::new();
    if alerts > 0 {
        parts.push(count(alerts, "model alert"));
    }
    if events > 0 {
        parts.push(count(events, "AI Analyst event"));
    }
    let served = parts.join(", ");
    let mut reasons: Vec<(&String, usize)> = Vec::new();
    for reason in left_out {
        match reasons.iter_mut().find(|(known, _)| *known == reason) {
            Some((_, times)) => *times += 1,
            None => reasons.push((reason, 1)),
        }
    }
    let tell = |(reason, times): &(&String, usize)| {
        if *times == 1 { (*reason).clone() } else { format!("{reason} ({times} times)") }
    };
    let reasons = reasons.iter().map(tell).collect::<Vec<_>>().join("; ");
    match (served.is_empty(), reasons.is_empty()) {
        (_, true) => served,
        (true, false) => format!("left out, because {reasons}"),
        (false, false) => format!("{served}; left out: {reasons}"),
    }
}
