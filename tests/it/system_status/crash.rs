//! The program killed at every step of a run that looks at the status, and what the next run makes of it.

use super::keys;
use crate::world::World;
use darktrace_sentinel::sim::appliance::Fault;
use std::collections::{BTreeMap, BTreeSet};

const AT: &str = "DARKTRACE_SENTINEL_CRASH_AT";

/// A world in which a probe went down and the master raised an alert since the last poll.
async fn with_news() -> World {
    let world = World::of_system_status().await;
    world.poll_well().await;
    world.lose_a_probe();
    world.issue_system_alert();
    world
}

/// Each passing of a point in an undisturbed run, in the form that arms it.
async fn passings() -> Vec<String> {
    let mut world = with_news().await;
    world.set("RUST_LOG", "trace");
    let text = world.poll_well().await.text();
    let mut passed: BTreeMap<&str, usize> = BTreeMap::new();
    for name in text.lines().filter_map(|line| line.strip_prefix("TRACE crash point: ")) {
        *passed.entry(name).or_default() += 1;
    }
    passed.iter().flat_map(|(name, times)| (1..=*times).map(move |n| format!("{name}:{n}"))).collect()
}

/// Kills a run at that point; the lease that it held ends. Returns whether the run came there.
async fn kill(world: &mut World, point: &str) -> bool {
    world.set(AT, point);
    let run = world.poll().await;
    let is_killed = run.code.is_none() && run.text().contains("ERROR crash point: ");
    assert!(is_killed || run.code == Some(0), "{point}: {}", run.text());
    world.set(AT, "0");
    let lock = world.directory().unwrap().join("lock/default/system-status");
    drop(std::fs::remove_file(lock));
    is_killed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_look_at_the_status_loses_nothing_wherever_it_is_killed() {
    let passings = passings().await;
    let between = |passing: &&String| passing.starts_with("after the commit") || passing.starts_with("before a post");
    assert!(passings.iter().filter(between).count() >= 4, "{passings:?}");
    let mut kills = 0;
    for point in &passings {
        let mut world = with_news().await;
        kills += usize::from(kill(&mut world, point).await);
        world.poll_well().await;
        let rows = world.rows();
        let told: BTreeSet<&str> = rows.iter().map(|row| row["name_s"].as_str().unwrap()).collect();
        assert_eq!(told, BTreeSet::from(["System::System", "probe_down-1"]), "{point}");
        assert_eq!(keys(&rows).len(), 2, "{point}: a repeat has the key of the first row");
        assert!(rows.len() <= 3, "{point}: {} rows", rows.len());
        world.poll_well().await;
        assert_eq!(world.rows().len(), rows.len(), "{point}: a third run stored something");
        assert_eq!(world.ingestion.violations(), [], "{point}");
    }
    // On a machine that is very busy, one run may commit once more than another, because two seconds have passed.
    assert!(kills + 2 >= passings.len(), "{kills} of {}", passings.len());
}

/// The memory is committed before the row is posted, so that what is known of the failed polls outlives the process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_master_is_told_once_although_the_run_that_found_out_is_killed() {
    for point in ["after the commit:1", "after a post:1"] {
        let mut world = World::of_system_status().await;
        world.poll_in_vain().await;
        world.appliance.fail_next(Fault::Status(503, None), 100);
        assert!(kill(&mut world, point).await, "{point}");
        world.poll_in_vain().await;
        let rows = world.rows();
        assert!(rows.iter().all(|row| row["name_s"] == "master_unreachable" && row["status_s"] == "active"), "{point}");
        assert_eq!(keys(&rows).len(), 1, "{point}");
    }
}
