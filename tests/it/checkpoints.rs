//! What becomes of a position that is damaged, missing, too new, contested or cannot be written.

use crate::azurite;
use crate::journeys::{count, created, line_of};
use crate::world::{ALERTS, HOUR, MINUTE, Run, World, now_ms};
use bytes::Bytes;
use darktrace_sentinel::checkpoint::{Checkpoint, Header};
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::sim::ingestion::{Fault, Modes};
use darktrace_sentinel::source::Source;
use darktrace_sentinel::store::{BlobAccess, Expect, Store};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

const DAY: i64 = 24 * HOUR;

/// A record that was put aside.
pub(crate) struct Letter {
    pub(crate) instance: String,
    pub(crate) source: String,
    pub(crate) document: Value,
}

impl World {
    /// The directory of the checkpoint; nothing when it is in a container.
    pub(crate) fn directory(&self) -> Option<PathBuf> {
        self.environment().get("CHECKPOINT_DIR").filter(|path| !path.is_empty()).map(PathBuf::from)
    }

    pub(crate) fn store(&self) -> Store {
        match self.directory() {
            Some(path) => Store::directory(path),
            None => {
                let access = BlobAccess::from_connection_string(&azurite::connection_string()).unwrap();
                Store::blob(access, &self.environment()["CHECKPOINT_CONTAINER"], azurite::http()).unwrap()
            }
        }
    }

    pub(crate) async fn document(&self, name: &str) -> Option<Bytes> {
        self.store().read(name).await.unwrap().map(|stored| stored.bytes)
    }

    pub(crate) async fn put(&self, name: &str, bytes: impl Into<Bytes>) {
        self.store().write(name, bytes.into(), Expect::Anything).await.unwrap();
    }

    /// The stored checkpoint of a source.
    pub(crate) async fn checkpoint(&self, source: Source) -> Checkpoint {
        let bytes = self.document(&state(source)).await.unwrap();
        Checkpoint::parse(&bytes, Instant(now_ms())).unwrap().0
    }

    /// Changes the stored checkpoint of a source, with a right checksum.
    pub(crate) async fn edit(&self, source: Source, change: impl FnOnce(&mut Checkpoint, &mut Header)) {
        let bytes = self.document(&state(source)).await.unwrap();
        let (mut checkpoint, mut header) = Checkpoint::parse(&bytes, Instant(now_ms())).unwrap();
        change(&mut checkpoint, &mut header);
        self.put(&state(source), checkpoint.print(&header)).await;
    }

    /// Loses a document. No run deletes one, so this is done from outside.
    pub(crate) fn lose(&self, name: &str) {
        std::fs::remove_file(self.directory().unwrap().join(name)).unwrap();
    }

    /// Takes the lease of the model alerts away from its holder.
    pub(crate) async fn break_lease(&self) {
        let name = "lock/default/model-alerts";
        match self.directory() {
            Some(path) => std::fs::remove_file(path.join(name)).unwrap(),
            None => azurite::break_lease(&self.environment()["CHECKPOINT_CONTAINER"], name).await,
        }
    }

    /// Everything that was put aside.
    pub(crate) fn letters(&self) -> Vec<Letter> {
        let Some(root) = self.directory() else { return Vec::new() };
        let letters = root.join("deadletter/v1");
        files_below(&letters).iter().map(|path| letter(&letters, path)).collect()
    }

    /// Waits until so many posts of alerts have arrived.
    pub(crate) async fn wait_for_posts(&self, posts: usize) {
        let arrived = || self.ingestion.posts().iter().filter(|post| post.stream == ALERTS).count();
        for _ in 0..500 {
            if arrived() >= posts {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} posts arrived in ten seconds, and not {posts}", arrived());
    }
}

fn letter(root: &std::path::Path, path: &std::path::Path) -> Letter {
    let relative = path.strip_prefix(root).unwrap();
    let mut parts = relative.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
    let document = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    Letter { instance: parts.next().unwrap(), source: parts.next().unwrap(), document }
}

fn files_below(directory: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

pub(crate) fn state(source: Source) -> String {
    format!("state/default/{source}.json")
}

pub(crate) fn state_of_backfill(source: Source) -> String {
    format!("backfill/default/{source}/state.json")
}

fn backup(at: i64) -> String {
    format!("backup/default/model-alerts/{:02}.json", at.div_euclid(HOUR).rem_euclid(24))
}

/// Waits until the hour has some seconds left, so that a test's backups fall into one hour.
async fn within_one_hour() {
    let left = HOUR - now_ms().rem_euclid(HOUR);
    if left < 20_000 {
        tokio::time::sleep(Duration::from_millis(u64::try_from(left).unwrap() + 100)).await;
    }
}

/// A state that is newer than its backup by one alert, and damaged by `damage`. What the run after it says.
async fn damaged(world: &World, damage: fn(Vec<u8>) -> Vec<u8>) -> (Vec<u8>, Run) {
    within_one_hour().await;
    world.appliance.issue_alert(created(now_ms() - 3 * MINUTE));
    world.poll_well().await;
    world.appliance.issue_alert(created(now_ms() - 2 * MINUTE));
    world.poll_well().await;
    let bytes = damage(world.document(&state(Source::ModelAlerts)).await.unwrap().to_vec());
    world.put(&state(Source::ModelAlerts), bytes.clone()).await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    let run = world.poll_well().await;
    (bytes, run)
}

async fn damage_is_kept_aside_and_the_backup_takes_its_place(world: World, damage: fn(Vec<u8>) -> Vec<u8>) {
    let (bytes, run) = damaged(&world, damage).await;
    let warning = run.line_with("the checkpoint is damaged");
    assert!(warning.starts_with("WARN") && warning.contains("reading goes on from the backup"), "{warning}");
    let (_, rest) = warning.split_once("kept as ").unwrap();
    let (aside, _) = rest.split_once(')').unwrap();
    assert_eq!(world.document(aside).await.unwrap(), bytes, "the damaged document is kept as it was");
    assert_eq!(world.check_nothing_lost(), 1, "what came after the backup is repeated, under its own key");
    world.poll_well().await;
    assert_eq!(world.check_nothing_lost(), 1, "and not for ever");
    world.check_books();
}

fn zeroed(bytes: Vec<u8>) -> Vec<u8> {
    vec![0; bytes.len()]
}

fn cut(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len() / 2);
    bytes
}

fn flipped(mut bytes: Vec<u8>) -> Vec<u8> {
    let at = bytes.windows(12).position(|part| part == b"\"watermark\":").unwrap() + 15;
    bytes[at] ^= 1;
    bytes
}

#[tokio::test]
async fn a_checkpoint_of_zeros_is_replaced_by_its_backup() {
    damage_is_kept_aside_and_the_backup_takes_its_place(World::new().await, zeroed).await;
}

#[tokio::test]
async fn a_checkpoint_that_was_cut_is_replaced_by_its_backup() {
    damage_is_kept_aside_and_the_backup_takes_its_place(World::new().await, cut).await;
}

#[tokio::test]
async fn a_checkpoint_with_one_wrong_bit_is_replaced_by_its_backup() {
    damage_is_kept_aside_and_the_backup_takes_its_place(World::new().await, flipped).await;
}

#[tokio::test]
async fn a_checkpoint_of_zeros_in_a_container_is_replaced_by_its_backup() {
    damage_is_kept_aside_and_the_backup_takes_its_place(World::on_azurite().await, zeroed).await;
}

#[tokio::test]
async fn the_newest_of_several_backups_is_restored() {
    let world = World::new().await;
    world.appliance.issue_alert(created(now_ms() - 3 * MINUTE));
    world.poll_well().await;
    // The backup of the run, and an empty one that claims to be an hour older.
    let (checkpoint, mut header) = {
        let bytes = world.document(&state(Source::ModelAlerts)).await.unwrap();
        Checkpoint::parse(&bytes, Instant(now_ms())).unwrap()
    };
    let mut older = checkpoint;
    older.delivered = Default::default();
    header.written_at = Instant(now_ms() - HOUR);
    world.put(&backup(now_ms() - 2 * HOUR), older.print(&header)).await;
    world.put(&backup(now_ms() - 3 * HOUR), vec![0; 9]).await;
    world.lose(&state(Source::ModelAlerts));
    let run = world.poll_well().await;
    run.line_with("the checkpoint is missing; reading goes on from the backup");
    world.check_exactly_once();
    world.check_books();
}

#[tokio::test]
async fn without_checkpoint_and_backup_the_last_seven_days_are_read_again() {
    let world = World::new().await;
    world.poll_well().await;
    for file in files_below(&world.directory().unwrap().join("backup")) {
        std::fs::remove_file(file).unwrap();
    }
    world.lose(&state(Source::ModelAlerts));
    for ago in [6 * DAY, 2 * DAY, MINUTE] {
        world.appliance.issue_alert(created(now_ms() - ago));
    }
    let run = world.poll_well().await;
    let warning = run.line_with("the checkpoint is missing");
    assert!(warning.starts_with("WARN") && warning.contains("the last 7 days are read again"), "{warning}");
    world.check_exactly_once();
    assert_eq!(world.health_of(Source::ModelAlerts)["Warnings"].as_array().unwrap().len(), 1);
    world.check_books();
}

#[tokio::test]
async fn a_checkpoint_of_a_later_version_is_left_alone_and_said_so() {
    let world = World::new().await;
    world.poll_well().await;
    let later = Bytes::from_static(br#"{"schema":9,"minReader":9,"all":"new","sum":"x"}"#);
    world.put(&state(Source::ModelAlerts), later.clone()).await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    assert!(line_of(&run, Source::ModelAlerts).contains("deploy the version that wrote it, or a later one"));
    assert_eq!(world.document(&state(Source::ModelAlerts)).await.unwrap(), later, "it is not written to");
    let health = world.health_of(Source::ModelAlerts);
    assert_eq!((&health["Status"], &health["FailurePhase"]), (&"ConfigError".into(), &"Checkpoint".into()));
    assert!(world.rows().is_empty(), "nothing is posted that could not be remembered");
    assert_eq!(world.health_of(Source::AiAnalyst)["Status"], "Success", "the other source goes on");
}

impl World {
    /// Two polls that post at the same time, because the first one lost its lease.
    pub(crate) async fn two_polls_that_post_at_once(&self) -> [Run; 2] {
        let taken = self.ingestion.taken_rows();
        self.ingestion.set_modes(Modes { pause_after_rows: Some(taken), ..Modes::default() });
        let first = self.start_poll();
        self.wait_for_posts(1).await;
        self.break_lease().await;
        let second = self.start_poll();
        self.wait_for_posts(2).await;
        self.ingestion.set_modes(Modes::default());
        [Run::of_child(first).await, Run::of_child(second).await]
    }
}

/// Two runs post the same alerts at the same time.
async fn two_runs_at_the_same_time_are_merged(world: World) {
    world.poll_well().await;
    let alerts = 30;
    for _ in 0..alerts {
        world.appliance.issue_alert(created(now_ms() - MINUTE));
    }
    for run in world.two_polls_that_post_at_once().await {
        assert_eq!(run.code, Some(0), "{}", run.text());
    }
    let repeats = world.check_nothing_lost();
    assert_eq!(repeats, alerts, "both had posted the one batch");
    assert_eq!(world.checkpoint(Source::ModelAlerts).await.delivered.len(), alerts);
    let rows = world.ingestion.rows(crate::world::HEALTH);
    let conflicts: u64 = rows.iter().map(|row| count(row, "Conflicts")).sum();
    assert!(conflicts >= 1, "one of the two met the other's checkpoint");
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    world.poll_well().await;
    assert_eq!(world.check_nothing_lost(), repeats, "the merged checkpoint knows what both delivered");
    world.check_books();
}

#[tokio::test]
async fn two_runs_at_the_same_time_on_a_directory_are_merged() {
    two_runs_at_the_same_time_are_merged(World::new().await).await;
}

#[tokio::test]
async fn two_runs_at_the_same_time_on_a_container_are_merged() {
    two_runs_at_the_same_time_are_merged(World::on_azurite().await).await;
}

/// A run while another one holds the lease does nothing, and that is no failure.
async fn a_run_is_skipped_while_another_holds_the_lease(world: World) {
    world.poll_well().await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    world.ingestion.fail_next_on(ALERTS, Fault::LatencyMs(2_500), 1);
    let first = world.start_poll();
    world.wait_for_posts(1).await;
    let second = world.poll_well().await;
    assert!(line_of(&second, Source::ModelAlerts).contains("skipped because another run holds the lease"));
    assert_eq!(world.health_of(Source::ModelAlerts)["Status"], "Skipped");
    assert_eq!(Run::of_child(first).await.code, Some(0));
    world.check_exactly_once();
    world.check_books_without_faults();
}

#[tokio::test]
async fn a_run_is_skipped_while_another_holds_the_lease_on_a_file() {
    a_run_is_skipped_while_another_holds_the_lease(World::new().await).await;
}

#[tokio::test]
async fn a_run_is_skipped_while_another_holds_the_lease_on_a_blob() {
    a_run_is_skipped_while_another_holds_the_lease(World::on_azurite().await).await;
}

#[tokio::test]
async fn a_backup_is_written_in_every_hour() {
    within_one_hour().await;
    let world = World::new().await;
    world.poll_well().await;
    let first = world.document(&backup(now_ms())).await.unwrap();
    assert!(Checkpoint::parse(&first, Instant(now_ms())).is_ok());
    world.poll_well().await;
    assert_eq!(world.document(&backup(now_ms())).await.unwrap(), first, "one in an hour is enough");
    world.edit(Source::ModelAlerts, |_, header| header.written_at = Instant(now_ms() - HOUR)).await;
    world.poll_well().await;
    assert_ne!(world.document(&backup(now_ms())).await.unwrap(), first);
}

#[tokio::test]
async fn a_checkpoint_does_not_grow_with_the_history() {
    let mut world = World::new().await;
    world.set("INITIAL_LOOKBACK", "30d");
    world.set("DARKTRACE_SOURCES", "model-alerts");
    world.appliance.issue_many(300, now_ms() - 29 * DAY, now_ms());
    world.poll_well().await;
    world.poll_well().await;
    world.check_exactly_once();
    // One alert in 139 minutes, and a reach of 24 hours: 10 or 11 of them.
    let kept = world.checkpoint(Source::ModelAlerts).await.delivered.len();
    assert!((10..=12).contains(&kept), "{kept} keys");
    let bytes = world.document(&state(Source::ModelAlerts)).await.unwrap().len();
    assert!(bytes < 1_200, "{bytes} bytes");
    world.check_books_without_faults();
}

/// A place in which everything can be read and nothing replaced, whoever runs the test.
pub(crate) fn spoil_writes(world: &World) {
    std::fs::create_dir_all(world.directory().unwrap().join(".new")).unwrap();
}

#[tokio::test]
async fn nothing_is_posted_when_a_first_run_cannot_write_its_checkpoint() {
    let world = World::new().await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    spoil_writes(&world);
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    let line = line_of(&run, Source::ModelAlerts);
    assert!(line.contains("does not let us write") && line.contains("choose a directory"), "{line}");
    assert!(world.rows().is_empty());
    assert!(world.appliance.seen().is_empty(), "not even asked");
    assert_eq!(world.health_of(Source::ModelAlerts)["FailurePhase"], "Checkpoint");
}

#[tokio::test]
async fn nothing_is_posted_when_a_checkpoint_that_rested_cannot_be_written() {
    let world = World::new().await;
    world.poll_well().await;
    world.edit(Source::ModelAlerts, |_, header| header.written_at = Instant(now_ms() - 20 * MINUTE)).await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    spoil_writes(&world);
    assert_eq!(world.poll().await.code, Some(1));
    assert!(world.rows().is_empty());
    std::fs::remove_dir(world.directory().unwrap().join(".new")).unwrap();
    world.poll_well().await;
    world.check_exactly_once();
    world.check_books();
}

#[tokio::test]
async fn rows_whose_checkpoint_could_not_be_written_are_repeated_under_their_keys() {
    let world = World::new().await;
    world.poll_well().await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    spoil_writes(&world);
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "what was posted but not written down is no success: {}", run.text());
    std::fs::remove_dir(world.directory().unwrap().join(".new")).unwrap();
    world.poll_well().await;
    assert_eq!(world.check_nothing_lost(), 1);
    world.check_books();
}
