//! The story: what happens on a master in a day and in a bad hour, and what each poll makes of it.

use super::account::{Polls, count};
use super::world::{ALERTS, Expected, Polled, World, stream};
use super::{DemoError, Verdict, rows, say, while_doing};
use crate::sim::RetryAfter;
use crate::sim::appliance::{AlertSpec, EventSpec, Fault, Growth, Period};
use crate::sim::ingestion;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
/// Alerts and events of the day before the first poll.
const HISTORY: (i64, i64) = (300, 4);
const BURST: usize = 420;
/// Enough for several batches of the largest size.
const FLOOD: usize = 1_500;
/// The ingestion endpoint falls silent when it has taken so many rows of the flood.
const TAKEN_BEFORE_KILL: u64 = 600;
/// Longer than a run lets an acknowledgement wait for its commit.
const SAVED: Duration = Duration::from_millis(2_500);
/// How often it is looked whether the moment has come to kill.
const GLANCE: Duration = Duration::from_millis(10);

const GREETING: &str = "darktrace-sentinel demo\n\n\
    A simulated Darktrace master, Azure ingestion endpoint and identity endpoint run on this machine. Each poll below is\n\
    this program in a process of its own, with nothing in its environment but the settings that name them. The lines that\n\
    begin with INFO or ERROR are the poll's own.";

const NEXT: &str = "\nNext: `demo --serve` keeps the simulators up to be polled by hand, `demo --replay DIR` polls recorded alerts, and\n\
    docs/settings.md tells what a real master and a real workspace need.";

pub(super) async fn perform(rows_to: Option<&Path>) -> Result<Verdict, DemoError> {
    let world = World::start(rows_to).await?;
    say(GREETING);
    let mut story = Story { world: &world, chapter: 0, polls: Polls::default() };
    story.history().await?;
    story.live().await?;
    story.late_alert().await?;
    story.burst().await?;
    story.growth().await?;
    story.throttled().await?;
    story.killed().await?;
    story.outage().await?;
    story.recovery().await?;
    story.quiet().await?;
    let verdict = rows::conclude(&world, story.polls)?;
    say(NEXT);
    Ok(verdict)
}

struct Story<'a> {
    world: &'a World,
    chapter: u32,
    polls: Polls,
}

impl Story<'_> {
    async fn history(&mut self) -> Result<(), DemoError> {
        let (alerts, events) = HISTORY;
        let now = self.world.appliance.now_ms();
        let all = usize::try_from(alerts + events).unwrap_or(0);
        for n in 0..alerts {
            self.create(now - MINUTE - n * 23 * HOUR / alerts);
        }
        for n in 1..=events {
            self.world
                .appliance
                .issue_event(EventSpec { created_ms: Some(now - n * 5 * HOUR), ..EventSpec::default() });
        }
        self.begin(
            "History",
            &format!("The master has {alerts} model alerts and {events} AI Analyst events of the last 24 hours."),
        );
        self.poll_well("The first poll reads the newest hour first, then the 23 before it", all..=all).await
    }

    async fn live(&mut self) -> Result<(), DemoError> {
        let now = self.world.appliance.now_ms();
        (1..=3).for_each(|n| self.create(now - n * SECOND));
        self.begin("Live", "Three alerts in the last seconds.");
        self.poll_well("The poll reads the last 15 minutes again and knows what it has delivered", 3..=3).await
    }

    async fn late_alert(&mut self) -> Result<(), DemoError> {
        self.create(self.world.appliance.now_ms() - 8 * MINUTE);
        self.begin(
            "Late",
            "An alert that was created 8 minutes ago becomes visible only now, behind the last poll's position.",
        );
        self.poll_well("The poll finds it, because it looks back", 1..=1).await
    }

    async fn burst(&mut self) -> Result<(), DemoError> {
        self.world.appliance.issue_burst(BURST, self.world.appliance.now_ms());
        self.begin(
            "Burst",
            &format!("{BURST} alerts in the same millisecond, so that no position in time tells them apart."),
        );
        self.poll_well("The poll tells them apart by their identity", BURST..=BURST).await
    }

    async fn growth(&mut self) -> Result<(), DemoError> {
        let appliance = &self.world.appliance;
        let now = appliance.now_ms();
        let period = Some(Period { start_ms: now - 5 * MINUTE, end_ms: now - MINUTE });
        if let Some(event) = appliance.issued().events.first() {
            appliance.grow_event(&event.uuid, Growth { score: Some(97.0), period, ..Growth::default() });
        }
        self.begin(
            "Growth",
            "AI Analyst finds out more about an event of five hours ago: a higher score, more activity.",
        );
        self.poll_well("The poll stores the new form as a further row of the same event", 1..=1).await
    }

    async fn throttled(&mut self) -> Result<(), DemoError> {
        let now = self.world.appliance.now_ms();
        (1..=5).for_each(|n| self.create(now - n * SECOND));
        let fault = ingestion::Fault::Throttle(Some(RetryAfter::Seconds(1)));
        self.world.ingestion.fail_next_on(&stream(ALERTS), fault, 1);
        self.begin("Throttled", "Five alerts, and Azure answers the post with 429 and `Retry-After: 1`.");
        self.poll_well("The poll waits that second and posts again", 5..=5).await
    }

    async fn killed(&mut self) -> Result<(), DemoError> {
        let now = self.world.appliance.now_ms();
        self.world.appliance.issue_many(FLOOD, now - 4 * MINUTE, now - SECOND);
        self.begin(
            "Killed",
            &format!("{FLOOD} alerts; Azure falls silent amid their posts, and the poll is killed with SIGKILL."),
        );
        let before = self.world.stored();
        self.kill_half_way().await?;
        let after = self.world.stored();
        self.polls.killed += 1;
        self.polls.interrupted = before..after;
        self.tell(&format!("The poll had stored {} of them when it was killed", after - before));
        self.poll_well(
            "The next poll begins at the last position that was saved, and misses none",
            FLOOD.saturating_sub(after - before)..=FLOOD,
        )
        .await?;
        let again = (self.world.stored() - before).saturating_sub(FLOOD);
        if again > 0 {
            self.tell(&format!("{} stored a second time, with the EventKey of the first", count(again, "row")));
        }
        Ok(())
    }

    /// Starts a poll, lets the ingestion endpoint fall silent amid its posts, and kills it.
    async fn kill_half_way(&self) -> Result<(), DemoError> {
        let ingestion = &self.world.ingestion;
        let usual = ingestion.modes();
        let silent_after = ingestion.taken_rows() + TAKEN_BEFORE_KILL;
        ingestion.set_modes(ingestion::Modes { pause_after_rows: Some(silent_after), ..usual.clone() });
        let mut child = self.world.start_poll(&[])?;
        while ingestion.taken_rows() < silent_after {
            tokio::time::sleep(GLANCE).await;
            if child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return Polled::of(child).await?.must(Expected::Kill);
            }
        }
        // What was accepted is saved with the position after two seconds at the latest, also while other posts hang.
        tokio::time::sleep(SAVED).await;
        child.kill().await.map_err(while_doing("the poll could not be killed"))?;
        // Lets the endpoint notice that the connections are gone, so that it takes nothing more from them.
        tokio::time::sleep(GLANCE * 10).await;
        ingestion.set_modes(usual);
        Ok(())
    }

    async fn outage(&mut self) -> Result<(), DemoError> {
        (1..=2).for_each(|n| self.create(self.world.appliance.now_ms() - n * SECOND));
        self.world.appliance.fail_next(Fault::LoginPage, 100);
        self.begin("Outage", "Two alerts, but the master answers every request with its login page and status 200.");
        let stored = self.world.stored();
        let polled = self.world.poll(&[]).await?;
        self.polls.failed += 1;
        self.tell(&format!("The poll fails and says why ({} stored)", count(self.world.stored() - stored, "row")));
        polled.tell();
        self.world.appliance.clear_faults();
        polled.must(Expected::Failure)
    }

    async fn recovery(&mut self) -> Result<(), DemoError> {
        self.create(self.world.appliance.now_ms());
        self.begin("Recovery", "The master answers again, with one more alert.");
        self.poll_well("The poll stores what the failed one could not read, too", 3..=3).await
    }

    async fn quiet(&mut self) -> Result<(), DemoError> {
        self.begin("Quiet", "Nothing happens.");
        self.poll_well("The poll reads what the last one read, and stores nothing again", 0..=0).await
    }

    fn create(&self, created_ms: i64) {
        self.world.appliance.issue_alert(AlertSpec { creation_ms: Some(created_ms), ..AlertSpec::default() });
    }

    fn begin(&mut self, title: &str, what: &str) {
        self.chapter += 1;
        say(format_args!("\n{:>2}  {title}: {what}", self.chapter));
    }

    /// One poll that has to succeed and to store as many rows as are due, told as `what` it does and what came of it.
    async fn poll_well(&mut self, what: &str, due: RangeInclusive<usize>) -> Result<(), DemoError> {
        let stored = self.world.stored();
        let polled = self.world.poll(&[]).await?;
        self.polls.well += 1;
        let stored = self.world.stored() - stored;
        let short = if due.contains(&stored) { String::new() } else { format!(", but {} were due", due.start()) };
        self.tell(&format!("{what} ({} stored{short})", count(stored, "row")));
        polled.tell();
        polled.must(Expected::Success)
    }

    fn tell(&self, what: &str) {
        say(format_args!("    {what}."));
    }
}
