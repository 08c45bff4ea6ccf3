//! The story: what happens on a master in a day and in a bad hour, and what each poll makes of it.
//!
//! Each chapter says what happens, lets it happen, and polls. `usual` has what goes well, `sources` what the sources
//! beside alerts and events have of their own, `faults` what goes wrong.

mod faults;
mod sources;
mod usual;

use super::account::{Course, count};
use super::due::Due;
use super::polled::Expected;
use super::world::World;
use super::{DemoError, Shape, Verdict, rows, say};
use crate::sim::appliance::AlertSpec;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;

const GREETING: &str = "darktrace-sentinel demo\n\n\
    A simulated Darktrace master, Azure ingestion endpoint and identity endpoint run on this machine. Each poll below is\n\
    this program in a process of its own, with nothing in its environment but the settings that name them. The lines that\n\
    begin with INFO or ERROR are the poll's own; a source that had nothing to do is left out.";

const NEXT: &str = "\nNext: `demo --layout activeai` fills the newer tables, `demo --serve` keeps everything up with its status page,\n\
    `demo --replay DIR` polls recorded alerts, and docs/settings.md tells what a real master and a real workspace need.";

pub(super) async fn perform(shape: Shape<'_>) -> Result<Verdict, DemoError> {
    let world = World::start(shape).await?;
    say(GREETING);
    let mut story = Story { world: &world, chapter: 0, course: Course::default(), settled: 0, uncertain: 0 };
    story.history().await?;
    story.live().await?;
    story.late_alert().await?;
    story.burst().await?;
    story.growth().await?;
    story.mail().await?;
    story.response().await?;
    story.master().await?;
    story.throttled().await?;
    story.killed().await?;
    story.outage().await?;
    story.recovery().await?;
    story.quiet().await?;
    let verdict = rows::conclude(&world, story.course)?;
    say(NEXT);
    Ok(verdict)
}

struct Story<'a> {
    world: &'a World,
    chapter: u32,
    course: Course,
    /// How many rows were due at the last poll that succeeded.
    settled: usize,
    /// How many of those that are due now a killed poll has stored, some of which may come again.
    uncertain: usize,
}

impl Story<'_> {
    fn begin(&mut self, title: &str, what: &str) {
        self.chapter += 1;
        say(format_args!("\n{:>2}  {title}: {what}", self.chapter));
    }

    /// What happens next in the same chapter, or what came of a poll.
    fn tell(&self, what: &str) {
        say(format_args!("    {what}."));
    }

    /// How many rows are due since the last poll that succeeded.
    fn due(&self) -> usize {
        let appliance = &self.world.appliance;
        let due = Due::of(&appliance.issued(), &self.course.conditions, appliance.now_ms()).total();
        due.saturating_sub(self.settled)
    }

    /// One poll that has to succeed and to store the rows that are due, told as `what` it does and what came of it.
    async fn poll_well(&mut self, what: &str) -> Result<(), DemoError> {
        let (stored, due) = (self.world.stored(), self.due());
        let polled = self.world.poll(&[]).await?;
        self.course.well += 1;
        let stored = self.world.stored() - stored;
        let least = due.saturating_sub(self.uncertain);
        let short = if (least..=due).contains(&stored) { String::new() } else { format!(", but {least} were due") };
        self.tell(&format!("{what} ({} stored{short})", count(stored, "row")));
        polled.tell();
        (self.settled, self.uncertain) = (self.settled + due, 0);
        polled.must(Expected::Success)
    }

    fn create(&self, created_ms: i64) {
        self.world.appliance.issue_alert(AlertSpec { creation_ms: Some(created_ms), ..AlertSpec::default() });
    }
}
