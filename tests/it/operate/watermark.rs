//! The watermark: shown, set back without storing anything twice, moved forward only with a row that says so.

use super::{PLACES, Place};
use crate::checkpoints::state;
use crate::journeys::created;
use crate::world::{HEALTH, HOUR, MINUTE, Run, World, now_ms};
use darktrace_sentinel::checkpoint::Checkpoint;
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::sim::ingestion::Fault;
use darktrace_sentinel::source::Source;

const SOURCE: Source = Source::ModelAlerts;

impl World {
    async fn move_to(&self, to: Instant, more: &[&str]) -> Run {
        let to = to.rfc3339();
        let arguments = ["watermark", "set-back", "--instance", "default", "--source", "model-alerts", "--to", &to];
        self.run(&[&arguments[..], more].concat()).await
    }

    fn issue_at(&self, minutes_ago: &[i64]) {
        for minutes in minutes_ago {
            self.appliance.issue_alert(created(now_ms() - minutes * MINUTE));
        }
    }
}

#[tokio::test]
async fn what_stands_in_the_checkpoint_is_shown() {
    let mut world = World::of_alerts_in(Place::Directory).await;
    world.set("DARKTRACE_SOURCES", "model-alerts,ai-analyst");
    let empty = world.run_well(&["watermark", "show"]).await;
    assert!(empty.line_with("default        model-alerts").contains(" - "), "{}", empty.text());
    world.issue_at(&[5, 6, 7]);
    world.poll_well().await;
    let checkpoint = world.checkpoint(SOURCE).await;
    let shown = world.run_well(&["watermark", "show", "--source", "model-alerts"]).await;
    let line = shown.line_with("default        model-alerts");
    let position = checkpoint.position;
    for part in [position.watermark.rfc3339(), position.floor.rfc3339(), position.swept.rfc3339(), format!("{:>7}", 3)]
    {
        assert!(line.contains(&part), "{part} in {line}");
    }
    assert!(!shown.stdout.contains("ai-analyst"));
}

#[tokio::test]
async fn a_watermark_that_is_set_back_is_read_from_again_and_nothing_is_stored_twice() {
    for place in PLACES {
        let world = World::of_alerts_in(place).await;
        world.issue_at(&[2, 200, 400, 600, 1_000]);
        world.poll_well().await;
        let old = world.document(&state(SOURCE)).await.unwrap();
        let to = Instant(now_ms() - 10 * HOUR);

        let asked = world.move_to(to, &[]).await;
        assert_eq!(asked.code, Some(64), "without a terminal it takes a word: {}", asked.text());
        assert_eq!(world.document(&state(SOURCE)).await.unwrap(), old);

        let moved = world.move_to(to, &["--yes"]).await;
        assert_eq!(moved.code, Some(0), "{}", moved.text());
        assert!(moved.stdout.contains("is not stored a second time"), "{}", moved.text());
        let position = world.checkpoint(SOURCE).await.position;
        assert_eq!((position.watermark, position.swept, position.sweep), (to, to, None));
        let (kept, _) = Checkpoint::parse(&old, Instant(now_ms())).unwrap();
        assert_eq!(position.floor, kept.position.floor, "it lies further back and stays");
        let backups = world.store().list("moved/").await.unwrap();
        assert_eq!(backups.len(), 1);
        assert!(moved.stdout.contains(&backups[0]));
        assert_eq!(world.document(&backups[0]).await.unwrap(), old, "as it was, byte for byte");

        let asked = world.appliance.seen().len();
        world.poll_well().await;
        let earliest =
            crate::journeys::fetches(&world.appliance.seen()[asked..]).into_iter().map(|(from, _)| from).min().unwrap();
        assert!(earliest <= to.0, "it was read again from {to}");
        assert_eq!(world.rows().len(), 5);
        world.check_exactly_once();
        world.check_books_without_faults();
    }
}

#[tokio::test]
async fn beyond_the_kept_keys_rows_are_stored_again_as_was_said_before() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.issue_at(&[2, 30, 300]);
    world.poll_well().await;
    let horizon = Instant(now_ms() - HOUR);
    world.edit(SOURCE, |checkpoint, _| assert!(!checkpoint.prune(horizon, horizon))).await;
    let moved = world.move_to(Instant(now_ms() - 6 * HOUR), &["--yes"]).await;
    assert!(moved.stdout.contains(&format!("is known from {horizon} on")), "{}", moved.text());
    assert!(moved.stdout.contains("is stored a second time, under the same EventKey"), "{}", moved.text());
    world.poll_well().await;
    assert_eq!(world.rows().len(), 4);
    assert_eq!(world.check_nothing_lost(), 1, "only the one whose key is no longer kept, under that key");
}

#[tokio::test]
async fn forward_is_refused_unless_the_loss_is_accepted_and_then_a_row_says_so() {
    for place in PLACES {
        let world = World::of_alerts_in(place).await;
        world.issue_at(&[2]);
        world.poll_well().await;
        let from = Instant(now_ms() - 5 * HOUR);
        assert_eq!(world.move_to(from, &["--yes"]).await.code, Some(0));
        let (old, to) = (world.document(&state(SOURCE)).await.unwrap(), Instant(now_ms() - HOUR));
        world.issue_at(&[120, 30]);

        let refused = world.move_to(to, &["--yes"]).await;
        assert_eq!(refused.code, Some(1), "{}", refused.text());
        assert!(refused.stderr.contains("--accept-loss"), "{}", refused.text());
        assert_eq!(world.document(&state(SOURCE)).await.unwrap(), old);
        let rows = world.ingestion.rows(HEALTH).len();

        let moved = world.move_to(to, &["--yes", "--accept-loss"]).await;
        assert_eq!(moved.code, Some(0), "{}", moved.text());
        assert!(moved.line_with("what lies between is not read").starts_with("WARN"), "{}", moved.text());
        assert_eq!(world.ingestion.rows(HEALTH).len(), rows + 1);
        let health = world.health_of(SOURCE);
        assert_eq!(health["Status"], "WatermarkMoved");
        assert_eq!(health["WatermarkBefore"].as_str(), Some(&*from.rfc3339()));
        assert_eq!(health["Watermark"].as_str(), Some(&*to.rfc3339()));
        assert!(health["Message"].as_str().unwrap().contains("an operator moved the watermark"));
        assert_eq!(world.ingestion.violations(), []);

        world.poll_well().await;
        assert_eq!(world.rows().len(), 2, "what lies between is left out, what came after is not");
        world.check_books();
    }
}

#[tokio::test]
async fn of_two_moves_in_quick_succession_both_checkpoints_are_kept() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.poll_well().await;
    let mut old = Vec::new();
    for hours in [2, 4, 6] {
        old.push(world.document(&state(SOURCE)).await.unwrap());
        assert_eq!(world.move_to(Instant(now_ms() - hours * HOUR), &["--yes"]).await.code, Some(0));
    }
    let mut kept = Vec::new();
    for name in world.store().list("moved/default/model-alerts/").await.unwrap() {
        kept.push(world.document(&name).await.unwrap());
    }
    assert!(kept.len() == 3 && old.iter().all(|document| kept.contains(document)));
}

#[tokio::test]
async fn nothing_is_left_out_when_the_row_that_says_so_cannot_be_stored() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.issue_at(&[2]);
    world.poll_well().await;
    assert_eq!(world.move_to(Instant(now_ms() - 5 * HOUR), &["--yes"]).await.code, Some(0));
    let old = world.document(&state(SOURCE)).await.unwrap();
    world.ingestion.fail_next_on(HEALTH, Fault::Forbidden, 1);
    let refused = world.move_to(Instant(now_ms() - HOUR), &["--yes", "--accept-loss"]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    assert!(refused.stderr.contains("nothing was changed"), "{}", refused.text());
    assert_eq!(world.document(&state(SOURCE)).await.unwrap(), old);
}

#[tokio::test]
async fn a_watermark_is_not_moved_under_a_run_nor_to_where_no_run_could_go_on() {
    let world = World::of_alerts_in(Place::Directory).await;
    let never = world.move_to(Instant(now_ms() - HOUR), &["--yes"]).await;
    assert_eq!(never.code, Some(1));
    assert!(never.stderr.contains("no run of it has ended yet"), "{}", never.text());
    world.poll_well().await;
    let old = world.document(&state(SOURCE)).await.unwrap();
    let held = world.store().lease("lock/default/model-alerts").await.unwrap().unwrap();
    let busy = world.move_to(Instant(now_ms() - HOUR), &["--yes"]).await;
    assert!(busy.code == Some(1) && busy.stderr.contains("lock/default/model-alerts"), "{}", busy.text());
    held.release().await.unwrap();
    for (to, words) in [(Instant(now_ms() + HOUR), "ahead of our clock"), (Instant(0), "no run could go on")] {
        let refused = world.move_to(to, &["--yes", "--accept-loss"]).await;
        assert!(refused.code == Some(1) && refused.stderr.contains(words), "{}", refused.text());
    }
    assert_eq!(world.document(&state(SOURCE)).await.unwrap(), old);
}

#[tokio::test]
async fn forward_takes_a_word_of_its_own_even_when_the_loss_is_accepted() {
    let world = World::of_alerts_in(Place::Directory).await;
    world.poll_well().await;
    assert_eq!(world.move_to(Instant(now_ms() - 5 * HOUR), &["--yes"]).await.code, Some(0));
    let (old, rows) = (world.document(&state(SOURCE)).await.unwrap(), world.ingestion.rows(HEALTH).len());
    let asked = world.move_to(Instant(now_ms() - HOUR), &["--accept-loss"]).await;
    assert_eq!(asked.code, Some(64), "{}", asked.text());
    assert!(asked.stdout.contains("what lies between is never read") && asked.stderr.contains("say --yes"));
    assert_eq!((world.document(&state(SOURCE)).await.unwrap(), world.ingestion.rows(HEALTH).len()), (old, rows));
    let to = ["watermark", "set-back", "--source", "model-alerts", "--to", "1h", "--yes", "--instance"];
    let nobody = world.run(&[&to[..], &["branch"]].concat()).await;
    assert!(nobody.code == Some(64) && nobody.stderr.contains("default model-alerts"), "{}", nobody.text());
}
