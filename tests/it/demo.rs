//! The demo as somebody meets it who has just cloned the repository: the built program with nothing in its environment.

use crate::queries::run;
use crate::rows::samples;
use crate::world::PROGRAM;
use darktrace_sentinel::source::{Layout, Source};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const ALERTS: &str = "darktrace_model_alerts_CL";
const ACTIONS: &str = "DarktraceResponseActions_CL";
const HEALTH: &str = "DarktraceConnectorHealth_CL";

/// A line that does not come within this time does not come.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn command(arguments: &[&str]) -> Command {
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

/// The numbers in the account's line that begins with `name`.
fn numbers(text: &str, name: &str) -> Vec<usize> {
    let account = text.split("The account").nth(1).unwrap_or_else(|| panic!("no account in\n{text}"));
    let line = account.lines().find_map(|line| line.trim_start().strip_prefix(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{account}"));
    line.split_whitespace().map_while(|word| word.parse().ok()).collect()
}

/// What is issued, stored, lost and stored twice, by the account's line of `name`.
fn account(text: &str, name: &str) -> [usize; 4] {
    numbers(text, name)[..4].try_into().unwrap()
}

fn rows(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The files that the demo prints, by table.
fn tables(text: &str) -> BTreeMap<String, PathBuf> {
    let paths = text.lines().filter_map(|line| line.split_whitespace().last()).filter(|word| word.ends_with(".ndjson"));
    paths.map(PathBuf::from).map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path)).collect()
}

/// What the story tells and leaves behind.
struct Story {
    text: String,
    success: bool,
    rows: BTreeMap<String, Vec<Value>>,
    /// What is in the directory in which it worked.
    left: Vec<OsString>,
}

static STORY: LazyLock<Story> = LazyLock::new(|| Story::shared(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("story")));

impl Story {
    /// The story takes seconds, so that the tests of one run share one, also those that are a process each.
    fn shared(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let lock = std::fs::File::create(folder.join("lock")).unwrap();
        lock.lock().unwrap();
        let (told, run) = (folder.join("told"), this_run());
        let of_this_run = || std::fs::read_to_string(&told).ok().filter(|told| told.starts_with(&run));
        let told = of_this_run().unwrap_or_else(|| {
            let text = Self::tell(&folder.join("temporary"), &run);
            std::fs::write(&told, &text).unwrap();
            text
        });
        let tables = tables(&told);
        let rows_in = tables.values().next().unwrap_or_else(|| panic!("no rows in\n{told}")).parent().unwrap();
        let left = std::fs::read_dir(rows_in.parent().unwrap()).unwrap();
        Self {
            success: told.starts_with(&format!("{run} exit status: 0\n")),
            rows: tables.iter().map(|(table, path)| (table.clone(), rows(path))).collect(),
            left: left.map(|entry| entry.unwrap().file_name()).collect(),
            text: told,
        }
    }

    /// Runs the demo with nothing in its environment but a place for temporary files.
    fn tell(temporary: &Path, run: &str) -> String {
        drop(std::fs::remove_dir_all(temporary));
        std::fs::create_dir(temporary).unwrap();
        let mut command = std::process::Command::new(PROGRAM);
        let output = command.arg("demo").env_clear().env("TMPDIR", temporary).output().unwrap();
        let [out, err] = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
        format!("{run} {}\n{out}\n{err}", output.status)
    }
}

/// Names the run of the tests: nextest says it to all of its processes, `cargo test` is one process.
#[expect(clippy::disallowed_methods, reason = "how nextest tells the processes of one run of each other")]
fn this_run() -> String {
    std::env::var("NEXTEST_RUN_ID").unwrap_or_else(|_| std::process::id().to_string())
}

impl Story {
    /// The rows of one of Darktrace's products in the table of alerts.
    fn of(&self, product: &str) -> Vec<&Value> {
        self.rows[ALERTS].iter().filter(|row| row["dtProduct_s"] == product).collect()
    }

    /// On a machine so slow that two seconds were not enough to save the position, the kill may cost repeats.
    fn repeated(&self) -> usize {
        if self.text.contains("+ by the kill") { numbers(&self.text, "+ by the kill")[0] } else { 0 }
    }
}

#[test]
fn the_story_needs_nothing_and_loses_nothing() {
    let Story { text, rows, left, success } = &*STORY;
    assert!(success, "{text}");
    let [issued, stored, lost, duplicates] = account(text, "all");
    assert_eq!((lost, duplicates, stored), (0, 0, issued + STORY.repeated()));
    assert_eq!((numbers(text, "schema misfits")[0], numbers(text, "polls")[0]), (0, 17));
    assert!(!text.contains(" were due"), "each poll stores what is due: {text}");
    let before_the_kill: usize =
        text.split_once("The poll had stored ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!((1..1_500).contains(&before_the_kill), "the kill came amid the posts");
    let tables: Vec<_> = rows.iter().map(|(table, rows)| (table.as_str(), rows.len())).collect();
    let actions = account(text, "response")[1];
    // The health rows are of each source and of each poll that was not killed.
    assert_eq!(tables, [(HEALTH, 5 * 16), (ACTIONS, actions), (ALERTS, stored - actions)]);
    assert_eq!(*left, ["rows"], "the checkpoint is gone");
}

#[test]
fn each_source_has_its_line_with_as_many_rows_stored_as_issued() {
    let lines = Source::ALL.map(|source| account(&STORY.text, source.name()));
    for ([issued, stored, lost, duplicates], source) in lines.into_iter().zip(Source::ALL) {
        assert!(issued > 0, "{source}");
        let repeated = if source.table(Layout::Legacy) == ALERTS { STORY.repeated() } else { 0 };
        assert!((issued..=issued + repeated).contains(&stored), "{source}: {issued} issued, {stored} stored");
        assert_eq!((lost, duplicates), (0, 0), "{source}");
    }
    let sum = |of: usize| lines.iter().map(|line| line[of]).sum::<usize>();
    assert_eq!([sum(0), sum(1)], account(&STORY.text, "all")[..2]);
    // What happened to single records: an event grew, a probe went and came back, an e-mail was released, and an action of
    // yesterday expired while another one was extended and cleared.
    assert_eq!((lines[1][0], lines[3][0], lines[4][0]), (4 + 1, 4 + 1, 2 + 3));
}

#[test]
fn an_action_has_a_row_for_each_of_its_states_with_who_made_it_and_why() {
    let mut states: BTreeMap<&str, Vec<[&Value; 3]>> = BTreeMap::new();
    for row in &STORY.rows[ACTIONS] {
        let state = ["state", "changedBy", "reason"].map(|column| &row[column]);
        states.entry(row["EventId"].as_str().unwrap()).or_default().push(state);
    }
    let states: Vec<_> = states.into_values().map(|states| json!(states)).collect();
    let of_yesterday = json!([["created", null, null], ["expired", null, null]]);
    let of_today = json!([
        ["created", "m.ortega", "Looks infected"],
        ["extended", "m.ortega", "Owner is away"],
        ["cleared", "m.ortega", "False alarm"],
    ]);
    assert_eq!(states, [of_yesterday, of_today]);
}

fn column<'a>(rows: &'a [Value], name: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[name].as_str().unwrap_or_default()).collect()
}

fn distinct<'a>(rows: impl IntoIterator<Item = &'a Value>, name: &str) -> BTreeSet<&'a str> {
    rows.into_iter().map(|row| row[name].as_str().unwrap_or_default()).collect()
}

#[test]
fn the_published_queries_return_what_they_should_over_the_rows_of_the_demo() {
    let folder = tempfile::tempdir().unwrap();
    for (table, rows) in &STORY.rows {
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        std::fs::write(folder.path().join(format!("{table}.ndjson")), text).unwrap();
    }
    check_test_alerts(&run("test-alerts", folder.path()));
    check_top_model_alerts(&run("top-model-alerts", folder.path()));
    check_events(&run("ai-analyst-events", folder.path()));
    check_system_alerts(&run("system-alerts", folder.path()));
    check_emails(&run("email-of-a-sender", folder.path()));
}

fn check_test_alerts(rows: &[Value]) {
    assert_eq!(column(rows, "modelName_s"), ["Unrestricted Test Model"]);
    assert_eq!(column(rows, "dtProduct_s"), ["Policy Breach"]);
}

fn check_top_model_alerts(rows: &[Value]) {
    let score = |row: &Value, column: &str| row[column].as_f64().unwrap();
    let alerts = STORY.of("Policy Breach");
    let mut highest: Vec<f64> = alerts.iter().map(|row| score(row, "score_d")).collect();
    highest.sort_by(|a, b| b.total_cmp(a));
    let scores: Vec<f64> = rows.iter().map(|row| score(row, "ThreatRiskLevel")).collect();
    assert_eq!(scores, highest[..10]);
    let names = distinct(alerts, "modelName_s");
    assert!(rows.iter().all(|row| names.contains(row["NetworkRuleName"].as_str().unwrap())), "{rows:?}");
}

fn check_events(rows: &[Value]) {
    assert_eq!(rows.len(), 5, "a row for each revision");
    assert!(rows.iter().all(|row| row["ThreatCategory"] == "AI Analyst"));
    assert!(column(rows, "NetworkRuleName").iter().all(|title| !title.is_empty()), "{rows:?}");
    let mut scores: BTreeMap<&str, BTreeSet<i64>> = BTreeMap::new();
    for row in rows {
        let scores = scores.entry(row["CurrentGroup"].as_str().unwrap()).or_default();
        scores.insert(row["ThreatRiskLevel"].as_f64().unwrap() as i64);
    }
    assert_eq!(scores.len(), 4);
    let grown: Vec<_> = scores.values().filter(|scores| scores.len() == 2).collect();
    assert!(grown.len() == 1 && grown[0].contains(&97), "{scores:?}");
}

fn check_system_alerts(rows: &[Value]) {
    let (of_status, of_models): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["DerivedFrom"] == "GET /status");
    let told: Vec<_> = of_status.iter().map(|row| json!([row["friendlyName_s"], row["status_s"]])).collect();
    assert_eq!(json!(told), json!([["Probe Down", "active"], ["Probe Down", "resolved"]]));
    let uuids = distinct(of_status, "uuid_g");
    assert!(uuids.len() == 1 && !uuids.contains(""), "{uuids:?}");
    assert_eq!(distinct(of_models.iter().copied(), "DerivedFrom"), ["System model alert"].into());
    let alerts = STORY.of("Policy Breach").into_iter();
    let of_system = alerts.filter(|row| row["modelName_s"].as_str().is_some_and(|name| name.starts_with("System::")));
    assert_eq!(distinct(of_models, "EventId"), distinct(of_system, "EventId"), "each is a model alert, too");
}

fn check_emails(rows: &[Value]) {
    assert_eq!(column(rows, "from_s"), ["example@test.com"; 2]);
    assert_eq!(column(rows, "actions_s"), [r#"["hold"]"#, r#"["hold","release_message"]"#]);
    assert_eq!(distinct(rows, "uuid_s").len(), 1);
    let recipients: Vec<String> = serde_json::from_str(rows[0]["recipients_s"].as_str().unwrap()).unwrap();
    assert_eq!(recipients.len(), 2);
    assert!(distinct(STORY.of("Antigena Email"), "from_s").len() > 1, "there are other senders");
}

/// A recorded alert of 2020 in the shape of old appliances, with a number that a parser would print otherwise.
const RECORDED_ALERT: &str = r#"[ {"pbid":159, "creationTime": 1598937620000, "time":1598937619000, "score":0.60,
    "model":{"then":{"name":"Testing::Recorded","pid":7}}, "device":{"did":3,"hostname":"recorded.example"},
    "triggeredComponents":[{"time":1598937618000,"triggeredFilters":[]}] } ]"#;

/// An e-mail of a search and an action that was cleared, without its history.
const RECORDED_EMAIL: &str = r#"{"uuid":"A1.1","dtime":"2025-04-10T15:55:27.341Z","dtime_unix":1744300527341,
    "header_from_email":"desk@parcels.example","model_score":88,"rcpts":[{"rcpt_to":"ada@works.example"}]}"#;
const RECORDED_ACTION: &str = r#"{"actions":[{"codeid":5,"did":3,"pbid":159,"model":"A::B","action":"pol","label":"Recorded",
    "start":1767222000000,"expires":1767229200000,"updated":"1767222060000","active":false,"cleared":true}],"devices":[]}"#;

/// A directory with something recorded of every kind, and with other things.
fn recorded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("alert.json", RECORDED_ALERT);
    let event = |n: u32, created: i64| {
        json!({"id": format!("event-{n}"), "createdAt": created, "title": "Recorded",
        "aiaScore": 50.5, "periods": [{"start": created - 60_000, "end": created - 30_000}]})
    };
    let day = 86_400_000;
    let answer = json!({"total": 2, "events": [event(1, 1_694_169_156_370), event(2, 1_694_169_156_370 - 40 * day)]});
    write("events.json", &answer.to_string());
    write("mail.json", RECORDED_EMAIL);
    write("action.json", RECORDED_ACTION);
    write("harmless.json", &RECORDED_EMAIL.replace("88", "0"));
    write("pushed.json", r#"{"dtProduct":"Antigena Email","uuid":"1","recipients":[]}"#);
    write("torn.json", "[{");
    write("timeless.json", r#"{"pbid":1,"model":{}}"#);
    write("notes.txt", "not looked at");
    folder
}

/// Replays what is recorded; returns what was told, and the rows by table.
async fn replay(recorded: &Path, layout: Layout) -> (String, BTreeMap<String, Vec<Value>>) {
    let kept = tempfile::tempdir().unwrap();
    let (recorded, kept) = (recorded.to_str().unwrap(), kept.path().to_str().unwrap());
    let (output, text) = demo(&["--replay", recorded, "--rows", kept, "--layout", layout.name()]).await;
    assert!(output.status.success(), "{text}");
    let rows = tables(&text).into_iter().map(|(table, path)| (table, rows(&path))).collect();
    (text, rows)
}

#[tokio::test]
async fn recorded_records_of_every_kind_are_replayed_and_the_rest_is_named() {
    let (text, rows) = replay(recorded().path(), Layout::Legacy).await;
    for line in [
        "alert.json: 1 model alert",
        "events.json: 2 AI Analyst events",
        "mail.json: 1 e-mail",
        "action.json: 1 response action",
        "harmless.json: left out, because its score is 0",
        "pushed.json: left out, because it is a form that a master pushed",
        "torn.json: left out, because it is not JSON",
        "timeless.json: left out, because it has no time",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(!text.contains("notes.txt"));
    assert_eq!(account(&text, "all"), [6, 6, 0, 0]);
    let alert = rows[ALERTS].iter().find(|row| row["EventId"] == "159").unwrap();
    assert_eq!((&alert["modelName_s"], &alert["score_d"]), (&json!("Testing::Recorded"), &json!(60)));
    let email = rows[ALERTS].iter().find(|row| row["EventId"] == "A1.1").unwrap();
    assert!(email["AdditionalFields"]["dtime"].is_null(), "both times of an e-mail are moved alike: {email}");
    let states: Vec<_> = rows[ACTIONS].iter().map(|row| (&row["state"], &row["deviceName"])).collect();
    assert_eq!(states, [(&json!("created"), &Value::Null), (&json!("cleared"), &Value::Null)]);
    let old = darktrace_sentinel::http::system_clock() - Duration::from_secs(3600);
    for row in [alert, email].into_iter().chain(&rows[ACTIONS]) {
        assert!(row["EventTime"].as_str().unwrap() > old.rfc3339().as_str(), "moved to the present: {row}");
    }
}

#[tokio::test]
async fn the_newer_layout_has_a_table_for_every_kind() {
    let (text, rows) = replay(recorded().path(), Layout::ActiveAi).await;
    assert_eq!(account(&text, "all"), [6, 6, 0, 0]);
    let counts: BTreeMap<&str, usize> = rows.iter().map(|(table, rows)| (table.as_str(), rows.len())).collect();
    let table = |source: Source| source.table(Layout::ActiveAi);
    let expected = [
        (table(Source::ModelAlerts), 1),
        (table(Source::AiAnalyst), 2),
        (table(Source::Email), 1),
        (table(Source::Response), 2),
        (HEALTH, 5),
    ];
    assert_eq!(counts, expected.into(), "and none for a kind without rows");
    for told in ["Testing::Recorded", "from desk@parcels.example to ada@works.example", "Recorded cleared"] {
        assert!(text.contains(told), "{told} is missing in\n{text}");
    }
}

#[tokio::test]
async fn the_public_samples_are_replayed_without_loss() {
    let Some(samples) = samples() else {
        println!("the public samples are not there: this test did not run");
        return;
    };
    let (text, _) = replay(&samples, Layout::Legacy).await;
    let issued = Source::ALL.map(|source| account(&text, source.name()));
    assert!(issued.iter().all(|[issued, stored, lost, _]| issued > &0 && issued == stored && lost == &0), "{text}");
}

#[tokio::test]
async fn a_directory_without_records_fails_and_says_so() {
    let empty = tempfile::tempdir().unwrap();
    let (output, text) = demo(&["--replay", empty.path().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("there is nothing in the *.json files below"), "{text}");
}

#[tokio::test]
async fn a_layout_that_does_not_exist_is_wrong_usage() {
    let (output, text) = demo(&["--layout", "newest"]).await;
    assert_eq!(output.status.code(), Some(64), "{text}");
    assert!(text.contains("legacy, activeai"), "{text}");
}

/// Reads up to the line that begins with `begin`, that line included.
pub(crate) async fn read_until(lines: &mut Lines<BufReader<ChildStdout>>, begin: &str) -> Vec<String> {
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

pub(crate) async fn interrupt(child: &mut Child) -> Option<i32> {
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
    let sources = format!("export DARKTRACE_SOURCES={}", Source::ALL.map(Source::name).join(","));
    assert!(printed.iter().any(|line| line.trim_matches('\'').replace('\'', "") == sources), "{printed:#?}");
    let exports = printed.iter().filter_map(|line| line.strip_prefix("export ")?.split_once('='));
    let exports = exports.map(|(name, value)| (name, value.trim_matches('\'')));
    let poll = Command::new(PROGRAM).arg("poll").env_clear().envs(exports).output().await.unwrap();
    assert!(poll.status.success(), "{}", String::from_utf8_lossy(&poll.stderr));
    let told = read_until(&mut lines, "stored ").await;
    assert!(told.last().unwrap().ends_with("are stored"), "{told:?}");
    assert_eq!(interrupt(&mut child).await, Some(0));
    let alerts = rows(&kept.path().join(format!("{ALERTS}.ndjson")));
    let kinds = distinct(&alerts, "dtProduct_s");
    assert!(alerts.len() > 20 && kinds.len() == 4, "{kinds:?}");
    assert_eq!(rows(&kept.path().join(format!("{ACTIONS}.ndjson"))).len(), 1);
}
