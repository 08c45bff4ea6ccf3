//! A year through the program, killed and resumed ten times on the way: nothing lost, nothing twice, memory flat.
//!
//! The simulators hold a year by its rule: of an alert the appliance knows how its number becomes a record, of a row the
//! endpoint keeps number and key, after its check. So the small year of every day and the large one by hand are one test.

use super::{DAY, Ends};
use crate::checkpoints::state_of_backfill;
use crate::world::{ALERTS, World, now_ms};
use darktrace_sentinel::sim::ingestion::{Counted, Modes, Tally};
use darktrace_sentinel::source::Source;
use std::time::Duration;
use tokio::process::Child;
use tokio::time::Instant;

const SOURCE: [&str; 2] = ["--source", "model-alerts"];
const KILLS: u64 = 10;
/// What may be accepted and not committed: a commit is due at 8 MB, one batch may go over that, and one be under way
/// beside it.
const UNCOMMITTED: usize = 10_000_000;
/// A commit waits no longer than two seconds for more rows; this is more.
const COMMITTED: Duration = Duration::from_millis(2500);

/// Nothing takes so long on a machine that has other things to do, too.
const STANDSTILL: Duration = Duration::from_secs(120);

/// The moment of a kill.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// While a post gets no answer, and everything before it is committed.
    Held,
    /// So long after enough rows were taken, whatever is under way then.
    After(Duration),
}

/// From the start of a process to its end.
#[derive(Debug)]
struct Segment {
    /// How it ended; the last one came to its own end.
    moment: Option<Moment>,
    /// Rows that were taken meanwhile.
    rows: u64,
    /// Those of them that had come before.
    repeats: u64,
    /// So many rows may come again in the next one.
    may_repeat: u64,
    took: Duration,
    peak_kib: u64,
    checkpoint_bytes: usize,
}

struct Year {
    world: World,
    ends: Ends,
    events: u64,
    seed: u64,
    segments: Vec<Segment>,
}

impl Year {
    async fn of(events: u64) -> Self {
        let world = World::new().await;
        let now = now_ms();
        let ends = (now - 367 * DAY, now - 2 * DAY);
        let numbers = world.appliance.issue_many(usize::try_from(events).unwrap(), ends.0, ends.1);
        world.ingestion.tally(ALERTS, Tally::new("EventId", "EventKey", numbers));
        Self { world, ends, events, seed: 20_260_101, segments: Vec::new() }
    }

    /// Half of the kills come while a post is held, the others up to `latest` after the rows of their segment.
    async fn pass(&mut self, latest: Duration) {
        for kill in 0..KILLS {
            let moment = if kill % 2 == 0 { Moment::Held } else { Moment::After(self.dice(latest)) };
            self.segment(Some(moment)).await;
        }
        self.segment(None).await;
    }

    async fn segment(&mut self, moment: Option<Moment>) {
        let (before, began) = (self.counted(), Instant::now());
        let (taken, posts) = (self.world.ingestion.taken_rows(), self.world.ingestion.posts().len());
        let goal = taken + self.events / (KILLS + 2);
        let pause_after_rows = matches!(moment, Some(Moment::Held)).then_some(goal);
        self.world.ingestion.set_modes(Modes { pause_after_rows, ..Modes::default() });
        let mut child = self.world.start_backfill(self.ends, &SOURCE);
        let (peak_kib, checkpoint_bytes) = match moment {
            None => self.ends_well(child).await,
            Some(moment) => {
                let grown = self.grows_until(goal, &mut child).await;
                match moment {
                    Moment::Held => self.is_held_and_committed().await,
                    Moment::After(delay) => tokio::time::sleep(delay).await,
                }
                self.kill(child, grown).await
            }
        };
        let after = self.counted();
        let segment = Segment {
            moment,
            rows: after.distinct + after.repeats - before.distinct - before.repeats,
            repeats: after.repeats - before.repeats,
            may_repeat: if matches!(moment, Some(Moment::After(_))) { self.uncommitted(posts) } else { 0 },
            took: began.elapsed(),
            peak_kib,
            checkpoint_bytes,
        };
        segment.print();
        self.segments.push(segment);
    }

    fn counted(&self) -> Counted {
        self.world.ingestion.tallied(ALERTS, Tally::counted).unwrap()
    }

    /// The most memory so far in KiB, and the bytes of the checkpoint.
    async fn look(&self, child: &Child) -> (u64, usize) {
        let checkpoint = self.world.document(&state_of_backfill(Source::ModelAlerts)).await;
        (peak_kib(child), checkpoint.map_or(0, |bytes| bytes.len()))
    }

    /// Waits until so many rows were taken. Returns the largest of each look.
    async fn grows_until(&self, rows: u64, child: &mut Child) -> (u64, usize) {
        let mut largest = (0, 0);
        let mut moved = (0, Instant::now());
        while self.world.ingestion.taken_rows() < rows {
            assert_eq!(child.try_wait().unwrap(), None, "it goes on until it is killed");
            let taken = self.world.ingestion.taken_rows();
            if taken > moved.0 {
                moved = (taken, Instant::now());
            }
            assert!(moved.1.elapsed() < STANDSTILL, "it stands still at {taken} rows");
            let looked = self.look(child).await;
            largest = (largest.0.max(looked.0), largest.1.max(looked.1));
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        largest
    }

    async fn is_held_and_committed(&self) {
        let is_held = || self.world.ingestion.last_post().is_some_and(|post| !post.was_taken && post.rows > 0);
        let taken = Instant::now();
        while !is_held() {
            assert!(taken.elapsed() < STANDSTILL, "a post follows");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let held = Instant::now();
        while held.elapsed() < COMMITTED {
            let (checkpoint, _) = self.world.backfill_checkpoint(Source::ModelAlerts).await.unwrap();
            // Where numbers repeat after a kill the two differ for ever, and only the time tells.
            if checkpoint.next_sequence == self.counted().distinct + 1 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    async fn kill(&self, mut child: Child, grown: (u64, usize)) -> (u64, usize) {
        let looked = self.look(&child).await;
        child.kill().await.unwrap();
        let ended = tokio::time::timeout(Duration::from_secs(10), async {
            while self.world.ingestion.in_flight() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        ended.await.expect("what a dead client sent is let go");
        let (checkpoint, _) = self.world.backfill_checkpoint(Source::ModelAlerts).await.unwrap();
        assert!(checkpoint.position.sweep.is_some_and(|sweep| sweep.next > checkpoint.position.floor), "it came on");
        (grown.0.max(looked.0), grown.1.max(looked.1))
    }

    async fn ends_well(&self, mut child: Child) -> (u64, usize) {
        let mut peak = 0;
        while child.try_wait().unwrap().is_none() {
            peak = peak.max(peak_kib(&child));
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
        assert!(child.wait().await.unwrap().success());
        (peak, self.world.backfill_checkpoint(Source::ModelAlerts).await.unwrap().1)
    }

    /// Rows of the last posts since number `first` that may have been accepted and not committed.
    fn uncommitted(&self, first: usize) -> u64 {
        let posts = self.world.ingestion.posts();
        let (mut bytes, mut rows) = (0, 0);
        for post in posts[first..].iter().rev().filter(|post| post.was_taken && post.stream == ALERTS) {
            bytes += post.raw_bytes;
            if bytes > UNCOMMITTED {
                break;
            }
            rows += post.rows as u64;
        }
        rows
    }

    /// A moment up to `latest`, by SplitMix64.
    fn dice(&mut self, latest: Duration) -> Duration {
        self.seed = self.seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.seed ^ (self.seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Duration::from_millis((mixed ^ (mixed >> 31)) % u64::try_from(latest.as_millis()).unwrap())
    }

    /// Everything came, and what came again had been under way when the program was killed.
    async fn check(&self) {
        let repeats = self.segments.iter().map(|segment| segment.repeats).sum();
        let counted = Counted { distinct: self.events, repeats, ..Counted::default() };
        assert_eq!(self.counted(), counted, "nothing is lost, and what is repeated has its key");
        assert_eq!(self.world.ingestion.tallied(ALERTS, Tally::shared_keys), Some(0));
        assert_eq!(self.world.ingestion.violations(), [], "rows fit the table");
        let size = self.segments.last().unwrap().checkpoint_bytes;
        assert!(size < 2_000, "in the end only the border is kept: {size} bytes");
        assert_eq!(self.segments[0].repeats, 0);
        for pair in self.segments.windows(2) {
            assert!(pair[1].repeats <= pair[0].may_repeat, "{pair:?}");
        }
        let (asked, posted) =
            (self.world.appliance.max_in_flight("/modelbreaches"), self.world.ingestion.max_in_flight());
        assert!(asked == 1 && posted <= 2, "{asked} questions and {posted} posts at once");
        self.world.backfill_well(self.ends, &SOURCE).await;
        assert_eq!(self.counted(), counted, "a range that is complete is not read again");
    }

    fn largest_checkpoint(&self) -> usize {
        self.segments.iter().map(|segment| segment.checkpoint_bytes).max().unwrap()
    }
}

/// The most memory that a child has had so far; 0 when it has just ended.
fn peak_kib(child: &Child) -> u64 {
    let status = child.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
    let peak = status.as_deref().and_then(|status| status.lines().find_map(|line| line.strip_prefix("VmHWM:")));
    peak.and_then(|peak| peak.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

impl Segment {
    #[expect(clippy::print_stdout, reason = "whoever runs it by hand wants to see the figures")]
    #[expect(clippy::cast_precision_loss, reason = "a figure for the eye")]
    fn print(&self) {
        let Self { moment, rows, repeats, may_repeat, took, peak_kib, checkpoint_bytes } = self;
        let pace = *rows as f64 / took.as_secs_f64();
        println!(
            "{moment:?}: {rows} rows in {took:.1?}, {pace:.0}/s, {repeats} of them again; peak {peak_kib} KiB, checkpoint \
             {checkpoint_bytes} bytes; {may_repeat} may come again"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_year_that_is_killed_ten_times_loses_nothing_and_repeats_only_what_was_under_way() {
    let mut year = Year::of(12_000).await;
    year.pass(Duration::from_millis(200)).await;
    year.check().await;
    assert!(year.segments.iter().all(|segment| segment.peak_kib < 64 << 10), "{:?}", year.segments);
    assert!(year.largest_checkpoint() < 100_000, "{} bytes on the way", year.largest_checkpoint());
}

/// By hand, in a release build: `cargo test --release --all-features --test it a_year_of -- --ignored --nocapture`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes, and a build that is optimized"]
async fn a_year_of_a_thousand_events_an_hour_takes_no_more_memory_at_its_end_than_at_its_begin() {
    let began = Instant::now();
    let mut year = Year::of(365 * 24 * 1000).await;
    year.pass(Duration::from_millis(1500)).await;
    let took = began.elapsed();
    println!("{:?} after {took:?}, checkpoint of at most {} bytes", year.counted(), year.largest_checkpoint());
    year.check().await;
    let (first, last) = (year.segments[0].peak_kib, year.segments.last().unwrap().peak_kib);
    assert!(last <= first * 5 / 4, "{first} KiB at first and {last} KiB in the end");
    assert!(year.largest_checkpoint() < 500_000);
}
