//! The demo as somebody meets it who has just cloned the repository: the built program with nothing in its environment.

use crate::world::PROGRAM;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

/// A line that does not come within this time does not come.
const PATIENCE: Duration = Duration::from_secs(60);

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.arg("demo").args(arguments).env_clear().kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn demo(arguments: &[&str]) -> (Output, String) {
    let output = command(arguments).output().await.unwrap();
    let text = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

/// The number in the account's line that begins with `name`.
fn account(text: &str, name: &str) -> u64 {
    let account = text.split("The account").nth(1).unwrap_or_else(|| panic!("no account in\n{text}"));
    let line = account.lines().find_map(|line| line.trim_start().strip_prefix(name));
    let number = line.and_then(|rest| rest.split_whitespace().next());
    number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("no {name} in\n{account}"))
}

/// The file of a table, as the demo prints it.
fn printed_path(text: &str, table: &str) -> PathBuf {
    let end = format!("{table}.ndjson");
    let line = text.lines().find(|line| line.ends_with(&end)).unwrap_or_else(|| panic!("no {end} in\n{text}"));
    PathBuf::from(line.split_whitespace().last().unwrap())
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_story_needs_nothing_and_loses_nothing() {
    let (output, text) = demo(&[]).await;
    assert!(output.status.success(), "{text}");
    assert_eq!((account(&text, "lost"), account(&text, "duplicates")), (0, 0));
    assert_eq!((account(&text, "schema misfits"), account(&text, "polls")), (0, 11));
    let before_the_kill: u64 =
        text.split_once("The poll had stored ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!((1..1_500).contains(&before_the_kill), "the kill came amid the posts");
    // On a machine so slow that two seconds were not enough to save the position, the kill may cost repeats.
    let again = if text.contains("+ by the kill") { account(&text, "+ by the kill") } else { 0 };
    let stored = account(&text, "stored");
    assert_eq!(stored, account(&text, "issued") + again);
    let alerts = printed_path(&text, "darktrace_model_alerts_CL");
    assert_eq!(rows(&alerts).len() as u64, stored);
    let health = rows(&printed_path(&text, "DarktraceConnectorHealth_CL"));
    assert_eq!(health.len(), 20, "two sources of each poll that was not killed");
    let folder = alerts.parent().unwrap().parent().unwrap();
    let left: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["rows"], "the checkpoint is gone");
    std::fs::remove_dir_all(folder).unwrap();
}

/// A recorded alert of 2020 in the shape of old appliances, with a number that a parser would print otherwise.
const RECORDED_ALERT: &str = r#"[ {"pbid":159, "creationTime": 1598937620000, "time":1598937619000, "score":0.60,
    "model":{"then":{"name":"Testing::Recorded","pid":7}}, "device":{"did":3,"hostname":"recorded.example"},
    "triggeredComponents":[{"time":1598937618000,"triggeredFilters":[]}] } ]"#;

#[tokio::test]
async fn recorded_alerts_and_events_are_replayed_and_the_rest_is_named() {
    let (recorded, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let write = |name: &str, text: &str| std::fs::write(recorded.path().join(name), text).unwrap();
    write("alert.json", RECORDED_ALERT);
    let event = |n: u32, created: i64| {
        json!({"id": format!("event-{n}"), "createdAt": created, "title": "Recorded",
        "aiaScore": 50.5, "periods": [{"start": created - 60_000, "end": created - 30_000}]})
    };
    let day = 86_400_000;
    let answer = json!({"total": 2, "events": [event(1, 1_694_169_156_370), event(2, 1_694_169_156_370 - 40 * day)]});
    write("events.json", &answer.to_string());
    write("mail.json", r#"[{"uuid":"1","rcpts":[]}]"#);
    write("torn.json", "[{");
    write("timeless.json", r#"{"pbid":1,"model":{}}"#);
    write("notes.txt", "not looked at");

    let (recorded, kept) = (recorded.path().to_str().unwrap(), kept.path());
    let (output, text) = demo(&["--replay", recorded, "--rows", kept.to_str().unwrap()]).await;
    assert!(output.status.success(), "{text}");
    for line in [
        "alert.json: 1 model alert",
        "events.json: 2 AI Analyst events",
        "mail.json: left out, because it is an e-mail",
        "torn.json: left out, because it is not JSON",
        "timeless.json: left out, because it has no time",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("notes.txt"));
    assert_eq!((account(&text, "issued"), account(&text, "stored"), account(&text, "lost")), (3, 3, 0));
    let rows = rows(&kept.join("darktrace_model_alerts_CL.ndjson"));
    let alert = rows.iter().find(|row| row["EventId"] == "159").unwrap();
    assert_eq!((&alert["modelName_s"], &alert["score_d"]), (&json!("Testing::Recorded"), &json!(60)));
    let old = darktrace_sentinel::http::system_clock() - Duration::from_secs(3600);
    assert!(alert["EventTime"].as_str().unwrap() > old.rfc3339().as_str(), "moved to the present: {alert}");
}

#[tokio::test]
async fn a_directory_without_records_fails_and_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let (output, text) = demo(&["--replay", empty.path().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("there is no model alert and no AI Analyst event"), "{text}");
}

/// Reads up to the line that begins with `begin`, that line included.
async fn read_until(lines: &mut Lines<BufReader<ChildStdout>>, begin: &str) -> Vec<String> {
    let mut read = Vec::new();
    let all = async {
        while let Some(line) = lines.next_line().await.unwrap() {
            read.push(line);
            if read.last().unwrap().trim_start().starts_with(begin) {
                return true;
            }
        }
        false
    };
    let found = tokio::time::timeout(PATIENCE, all).await.unwrap_or_default();
    assert!(found, "no line begins with {begin:?} in {read:#?}");
    read
}

async fn interrupt(child: &mut Child) -> Option<i32> {
    let id = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    tokio::time::timeout(PATIENCE, child.wait()).await.unwrap().unwrap().code()
}

#[tokio::test]
async fn the_settings_that_serve_prints_are_enough_for_a_poll_until_ctrl_c() {
    let kept = tempfile::tempdir().unwrap();
    let mut child = command(&["--serve", "--rows", kept.path().to_str().unwrap()]).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let printed = read_until(&mut lines, "curl ").await;
    let exports = printed.iter().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let poll = Command::new(PROGRAM).arg("poll").env_clear().envs(exports).output().await.unwrap();
    assert!(poll.status.success(), "{}", String::from_utf8_lossy(&poll.stderr));
    let told = read_until(&mut lines, "stored ").await;
    assert!(told.last().unwrap().ends_with("are stored"), "{told:?}");
    assert_eq!(interrupt(&mut child).await, Some(0));
    assert!(rows(&kept.path().join("darktrace_model_alerts_CL.ndjson")).len() > 20);
}
