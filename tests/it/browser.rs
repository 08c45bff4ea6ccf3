//! The status page in a real browser: Chromium, driven by `tests/browser/look.js`, which says what there was to see.
//!
//! `UPDATE_DOCS=1` makes the pictures of the README again.

use crate::demo::{command, interrupt, read_until};
use crate::journeys::created;
use crate::serve::tick;
use crate::world::{HOUR, MINUTE, PRIVATE_TOKEN, World, now_ms};
use darktrace_sentinel::handler::STATUS;
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::report::{Failure, FailureClass, Outcome, Phase, Report};
use darktrace_sentinel::sim::appliance::Fault;
use darktrace_sentinel::source::Source;
use darktrace_sentinel::status::History;
use darktrace_sentinel::store::Expect;
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const DAY: i64 = 24 * HOUR;
/// What a view has to have whatever it shows.
const VIEWS: [&str; 3] = ["light", "dark", "phone"];

/// Looks at a page in light, in dark and on a phone. Panics when a browser would complain or a person could not read it.
async fn look(url: &str, pictures: &[PathBuf]) -> [Value; 3] {
    let browser = Command::new(format!("{ROOT}/tests/browser/install")).output().await.unwrap();
    let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(browser.status.success(), "{}", told(&browser.stderr));
    let mut looking = Command::new("node");
    looking.arg(format!("{ROOT}/tests/browser/look.js")).arg(told(&browser.stdout).trim()).arg(url).args(pictures);
    let output = looking.output().await.unwrap();
    assert!(output.status.success(), "{}", told(&output.stderr));
    let looks: [Value; 3] = serde_json::from_slice(&output.stdout).unwrap();
    for (look, view) in looks.iter().zip(VIEWS) {
        assert_eq!(look["view"], view);
        assert_eq!(look["requests"], serde_json::json!([url]), "{view}: nothing comes from elsewhere");
        assert_eq!(look["errors"], serde_json::json!([]), "{view}");
        assert_eq!(look["scripts"], 0, "{view}");
        assert_eq!(look["pale"], serde_json::json!([]), "{view}: texts without enough contrast");
        assert_eq!(look["isTooWide"], false, "{view}: it scrolls to the side");
    }
    assert_ne!(looks[0]["ground"], looks[1]["ground"], "dark is another page to the eye");
    looks
}

fn source<'a>(look: &'a Value, name: &str) -> &'a Value {
    let sources = look["sources"].as_array().unwrap();
    sources.iter().find(|source| source["source"] == name).unwrap_or_else(|| panic!("no {name} in {look:#}"))
}

#[tokio::test]
async fn the_page_of_the_demo_shows_every_source_of_the_running_function_app() {
    let mut child = command(&["--serve"]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = read_until(&mut lines, "http://").await.pop().unwrap().trim().to_owned();
    read_until(&mut lines, "stored ").await;
    // The rows are there before the run has ended.
    let looks = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            let looks = look(&url, &[]).await;
            if looks[0]["verdict"] == "All 5 sources are well" {
                return looks;
            }
        }
    });
    let looks = looks.await.expect("the first poll of the demo ends well");
    for look in &looks {
        assert_eq!((&look["status"], &look["title"]), (&200.into(), &"ok - darktrace-sentinel".into()));
        assert_eq!(look["instances"], serde_json::json!(["default"]));
        assert_eq!(look["sources"].as_array().unwrap().len(), Source::ALL.len());
        let alerts = source(look, "model-alerts");
        assert_eq!(alerts["state"], "ok");
        let stored: u64 = alerts["facts"]["events stored in 24 h"].as_str().unwrap().parse().unwrap();
        assert!(stored >= 20, "{alerts:#}");
        assert!(!alerts["runs"].as_array().unwrap().is_empty(), "{alerts:#}");
        assert_eq!((&alerts["drawn"]["events"], &alerts["drawn"]["lag"]), (&true.into(), &true.into()));
    }
    assert_eq!(interrupt(&mut child).await, Some(0));
}

#[tokio::test]
async fn what_fails_is_seen_at_once_with_what_to_do() {
    let world = World::on_azurite().await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    world.appliance.fail_next(Fault::RedirectToLogin, 4);
    host.wire.invoke(&tick()).await;
    world.run_well(&["pause", "--source", "ai-analyst"]).await;
    for look in look(&format!("http://127.0.0.1:{}/{STATUS}", host.wire.port()), &[]).await {
        assert_eq!(look["verdict"], "1 of 2 sources failing");
        let alerts = source(&look, "model-alerts");
        assert_eq!((&alerts["state"], &alerts["drawn"]["broke"]), (&"failing".into(), &true.into()));
        assert!(alerts["advice"][0].as_str().unwrap().contains("token"), "{alerts:#}");
        let newest = &alerts["runs"][0];
        assert_eq!(newest[1], "ConfigError", "{alerts:#}");
        assert_eq!(alerts["runs"][1][0], alerts["advice"][0], "the reason stands below its run");
        assert_eq!(source(&look, "ai-analyst")["state"], "paused");
        assert!(!look.to_string().contains(PRIVATE_TOKEN));
    }
}

/// A day of two masters, of which one did not answer for an hour.
fn a_day(world: &World) -> Vec<(&'static str, History)> {
    let now = now_ms();
    let sources = [Source::ModelAlerts, Source::AiAnalyst];
    let each = |instance: &'static str, busy: u64| {
        let mut history = History::default();
        for tick in 1..288_i64 {
            let at = Instant(now - DAY + tick * 5 * MINUTE);
            for source in sources {
                history.note(&run(instance, source, at, tick, busy));
            }
        }
        (instance, history)
    };
    assert!(world.environment().contains_key("DARKTRACE_INSTANCES"));
    vec![each("hq", 9), each("plant", 2)]
}

/// One invented run: more by day than by night, and an outage of the plant.
fn run(instance: &str, source: Source, at: Instant, tick: i64, busy: u64) -> Report {
    let mut report = Report::begin(instance, source, "run", at);
    report.finished = at + Duration::from_millis(900);
    let since = tick - 150;
    let is_out = instance == "plant" && (0..12).contains(&since);
    if is_out {
        let message = "no answer came (connect: timed out); see that the master is up and can be reached".to_owned();
        let class = FailureClass::Transient;
        report.outcome = Outcome::Failed(Failure { class, phase: Phase::Fetch, status: None, message });
        report.lag = Some(Duration::from_secs(300 * (since as u64 + 1)));
        return report;
    }
    let by_day = [1, 1, 1, 2, 4, 7, 8, 6, 7, 8, 6, 3][((at.0 / HOUR / 2) % 12) as usize];
    let share = if source == Source::ModelAlerts { 1 } else { 6 };
    let sent = by_day * busy * (3 + tick.unsigned_abs() * 7919 % 5) / 5 / share;
    let counts = &mut report.counts;
    (counts.fetched, counts.new, counts.sent, counts.already_delivered) = (sent * 4, sent, sent, sent * 3);
    report.lag = Some(Duration::from_secs(4 + tick.unsigned_abs() * 7919 % 13));
    report
}

#[tokio::test]
async fn a_day_of_several_masters_is_one_page_that_the_readme_shows() {
    let (world, plant) = World::with_two_masters().await;
    for n in 0..7 {
        world.appliance.issue_alert(created(now_ms() - MINUTE - n));
        plant.issue_alert(created(now_ms() - MINUTE - n));
    }
    let store = world.store();
    for (instance, history) in a_day(&world) {
        let name = format!("history/{instance}.json");
        store.write(&name, history.print().into(), Expect::Absent).await.unwrap();
    }
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    let pictures = ["light", "dark"].map(|view| PathBuf::from(format!("{ROOT}/docs/status-{view}.png")));
    let wanted = std::env::var_os("UPDATE_DOCS").is_some();
    let url = format!("http://127.0.0.1:{}/{STATUS}", host.wire.port());
    for look in look(&url, if wanted { &pictures } else { &[] }).await {
        assert_eq!(look["verdict"], "All 4 sources are well");
        let pills = "model-alerts ok ai-analyst ok";
        assert_eq!(look["overview"], serde_json::json!([format!("hq {pills}"), format!("plant {pills}")]));
        let sources = look["sources"].as_array().unwrap();
        let runs = sources[2]["facts"]["runs, failed"].as_str().unwrap();
        // Where ten minutes begin decides whether the first run of the day is still in it.
        assert!(["287, 12", "288, 12"].contains(&runs), "{look:#}");
        assert!(sources[2]["chart"].as_str().unwrap().contains("12 failed runs"), "{look:#}");
        assert!(sources.iter().all(|source| source["runs"].as_array().unwrap().len() == 12), "{look:#}");
    }
    for picture in pictures {
        assert!(picture.exists(), "{} is missing; UPDATE_DOCS=1 makes it", picture.display());
    }
}
