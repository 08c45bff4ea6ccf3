//! What must never be read: tokens anywhere, and what an alert says in any log.

use super::{ALERTS_PATH, ALWAYS, Canned, created, settled, tick};
use crate::world::{MINUTE, PRIVATE_TOKEN, PUBLIC_TOKEN, Run, World, now_ms};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use darktrace_sentinel::sim::appliance::{AlertSpec, EventSpec, Fault};
use darktrace_sentinel::sim::identity::issue;
use darktrace_sentinel::sim::ingestion;
use std::path::Path;

/// The most that anybody can ask the log for.
const EVERYTHING: &str = "trace,azure_core=trace,azure_identity=trace,azure_storage=trace,typespec_client_core=trace,\
                          hyper=trace,reqwest=trace,rustls=trace";
const CANARY: &str = "c4n4ry-host-31f7";

impl World {
    /// Checks that no secret is in what these runs printed, in any row, or in any file of the checkpoint directory.
    pub(crate) fn check_discretion(&self, runs: &[&Run]) {
        let printed: String = runs.iter().map(|run| run.text()).collect();
        let rows = self.rows().into_iter().chain(self.health().into_values()).map(|row| row.to_string());
        let all: Vec<String> = rows.chain(self.files_below("")).chain([printed.clone()]).collect();
        for secret in self.secrets() {
            assert!(!all.iter().any(|text| text.contains(&secret)), "{secret} was written down");
        }
        let signature = printed.split(|c: char| !c.is_ascii_hexdigit()).find(|word| word.len() == 40);
        assert_eq!(signature, None, "a signature was printed");
    }

    /// Every secret of this world in the forms in which it could be written down.
    fn secrets(&self) -> Vec<String> {
        let header = &self.environment()["IDENTITY_HEADER"];
        let mut forms = Vec::new();
        for secret in [PUBLIC_TOKEN, PRIVATE_TOKEN, header] {
            let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
            // Without the last characters, which depend on what follows.
            let base64 = [STANDARD_NO_PAD.encode(secret), URL_SAFE_NO_PAD.encode(secret)];
            forms.extend(base64.map(|text| text[..text.len() - 2].to_owned()));
            forms.extend([secret.to_owned(), hex.to_uppercase(), hex]);
        }
        // All bearer tokens of the simulated endpoint begin with the same header.
        let token = issue("any", 60);
        forms.push(token.split('.').next().unwrap().to_owned());
        forms
    }

    /// The contents of all files below a part of the checkpoint directory.
    pub(crate) fn files_below(&self, part: &str) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.checkpoints().join(part), &mut files);
        files
    }
}

fn collect(path: &Path, files: &mut Vec<String>) {
    for entry in std::fs::read_dir(path).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned());
        }
    }
}

#[tokio::test]
async fn no_secret_is_written_down_at_the_most_talkative_log_level() {
    let mut world = World::new().await;
    world.set("RUST_LOG", EVERYTHING);
    world.appliance.issue_alert(AlertSpec::default());
    let good = world.poll_well().await;
    world.appliance.fail_next_on(ALERTS_PATH, Fault::SignatureError, ALWAYS);
    let failed = world.poll().await;
    assert!(good.stdout.contains("TRACE") || good.stdout.contains("DEBUG"), "the log is talkative\n{}", good.text());
    world.check_discretion(&[&good, &failed]);
}

#[tokio::test]
async fn no_secret_that_a_server_sends_back_is_written_down() {
    // An appliance or a proxy that quotes the request in its error.
    for status in [200, 400, 401, 403, 418, 500] {
        let body = format!(r#"{{"error":"no such token {PUBLIC_TOKEN} {PRIVATE_TOKEN}"}}"#);
        let canned = Canned::new(status, &[("content-type", "application/json")], body).await;
        let mut world = World::new().await;
        world.set("RUST_LOG", "debug");
        world.set("DARKTRACE_HOST", &canned.base_url);
        let run = world.poll().await;
        assert_eq!(run.code, Some(1), "{status}");
        world.check_discretion(&[&run]);
    }
}

/// A world whose alerts all bear the canary.
async fn telling() -> World {
    let mut world = settled().await;
    world.set("RUST_LOG", EVERYTHING);
    tell(&world);
    world
}

fn tell(world: &World) {
    let spec = AlertSpec {
        model: Some(format!("Compromise::{CANARY}")),
        message: Some(format!("seen on {CANARY}")),
        ..created(now_ms() - MINUTE)
    };
    world.appliance.issue_alert(spec);
    world.appliance.issue_event(EventSpec { title: Some(format!("About {CANARY}")), ..EventSpec::default() });
}

fn check_silent(run: &Run) {
    assert!(!run.text().contains(CANARY), "{}", run.text());
}

#[tokio::test]
async fn what_an_alert_says_is_in_its_row_and_in_no_log() {
    let world = telling().await;
    check_silent(&world.poll_well().await);
    let rows = world.rows().iter().filter(|row| row.to_string().contains(CANARY)).count();
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn what_an_alert_says_is_in_no_log_of_a_broken_answer() {
    for fault in [Fault::TornBody, Fault::WrongLength] {
        let world = telling().await;
        world.appliance.fail_next(fault, ALWAYS);
        let run = world.poll().await;
        assert_eq!(run.code, Some(1));
        check_silent(&run);
    }
}

#[tokio::test]
async fn what_a_poison_record_says_is_in_its_dead_letter_alone() {
    let world = telling().await;
    for raw in [
        format!(r#"{{"pbid":1,"device":{{"hostname":"{CANARY}"}},"time":NaN}}"#),
        format!(r#""{CANARY}""#),
        format!(r#"{{"{CANARY}":"#) + r#"{"a":1}x}"#,
        format!(r#"{{"pbid":"{CANARY}","time":"{CANARY}","creationTime":["{CANARY}"],"model":"{CANARY}"}}"#),
    ] {
        world.appliance.issue_alert(AlertSpec { raw: Some(raw), ..created(now_ms() - MINUTE) });
    }
    check_silent(&world.poll_well().await);
    assert_eq!(world.files_below("deadletter").iter().filter(|letter| letter.contains(CANARY)).count(), 3);
}

#[tokio::test]
async fn what_an_alert_says_is_in_no_log_when_azure_refuses_it() {
    let world = telling().await;
    let reject_rows_containing = Some(CANARY.to_owned());
    world.ingestion.set_modes(ingestion::Modes { reject_rows_containing, ..ingestion::Modes::default() });
    check_silent(&world.poll().await);
    world.ingestion.set_modes(ingestion::Modes::default());
    tell(&world);
    world.ingestion.fail_next(ingestion::Fault::Forbidden, ALWAYS);
    let run = world.poll().await;
    assert_eq!(run.code, Some(1));
    check_silent(&run);
}

#[tokio::test]
async fn what_an_alert_says_is_not_in_the_answer_to_the_host() {
    let world = telling().await;
    let host = world.serve().await;
    let answer = host.wire.post(&tick()).await;
    assert_eq!(answer.status, 200);
    assert!(!String::from_utf8_lossy(&answer.body).contains(CANARY));
    assert!(!host.lines().iter().any(|line| line.text.contains(CANARY)));
}
