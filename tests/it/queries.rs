//! The queries of `sentinel/queries` return what they are for: checked by Microsoft's parser of KQL, and run by an engine
//! over rows. `CONTRIBUTING.md` says how both are installed; without them these tests fail.
//!
//! The first five answer the questions of the connector page that Darktrace published for its earlier connector, from the
//! same columns and with the same result:
//! <https://learn.microsoft.com/azure/sentinel/data-connectors/darktrace-connector-for-microsoft-sentinel-rest-api>.

use serde_json::{Value, json};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ALERTS: &str = "darktrace_model_alerts_CL";

/// What a query of `sentinel/queries` returns over the `<Table>.ndjson` files of a directory.
pub(crate) fn run(query: &str, rows: &Path) -> Vec<Value> {
    run_text(&fs::read_to_string(shipped(query)).unwrap(), rows)
}

/// What the text of a query returns over them.
pub(crate) fn run_text(query: &str, rows: &Path) -> Vec<Value> {
    result(&engine(query, rows))
}

fn result(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = std::str::from_utf8(&output.stdout).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Runs the engine with a query as its standard input.
fn engine(query: &str, rows: &Path) -> Output {
    let mut command = Command::new(root().join("tests/kql/run"));
    command.args(["--now", "2026-01-02T00:00:00Z", "--rows"]).arg(rows).arg("-");
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().expect("tests/kql/run starts");
    // An engine that ends at once does not read; what it says of that is the answer.
    drop(child.stdin.take().unwrap().write_all(query.as_bytes()));
    child.wait_with_output().unwrap()
}

fn shipped(query: &str) -> PathBuf {
    root().join(format!("sentinel/queries/{query}.kql"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory with these rows in the table of alerts.
fn table(rows: &[Value]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(folder.path().join(format!("{ALERTS}.ndjson")), lines).unwrap();
    folder
}

/// A row with what all rows have.
fn row(product: &str, seconds: u32, columns: &Value) -> Value {
    let mut row = json!({"TimeGenerated": format!("2026-01-01T00:00:{seconds:02}.000Z"), "dtProduct_s": product});
    row.as_object_mut().unwrap().extend(columns.as_object().unwrap().clone());
    row
}

/// Some rows of each kind, every kind with its neighbours' columns where they have the same.
fn every_kind() -> tempfile::TempDir {
    let alert = |seconds, name: &str, score: u32| {
        let host = format!("host-{seconds}.example.com");
        let columns = json!({
            "modelName_s": name, "score_d": score, "hostname_s": host, "SourceIP": "192.0.2.7",
            "breachUrl_s": "https://dt.example.com/#modelbreach/1", "AdditionalFields": {"device": {"did": seconds}},
        });
        row("Policy Breach", seconds, &columns)
    };
    let mut rows: Vec<_> = (0..11).map(|n| alert(n, "Compromise::Beaconing", 30 + n)).collect();
    rows.push(alert(11, "Unrestricted Test Model", 100));
    rows.push(alert(12, "unrestricted test model", 5));
    rows.push(event("0b6c4a1e-52d7-4c39-8f10-7a9e2d3c4b5f", 99));
    rows.push(row(
        "System Alert",
        14,
        &json!({"friendlyName_s": "Probe Down", "status_s": "active", "priority_code_d": 71}),
    ));
    rows.push(row("Antigena Email", 15, &json!({"from_s": "example@test.com", "subject_s": "wanted"})));
    rows.push(row("Antigena Email", 16, &json!({"from_s": "example@test.com.invalid", "subject_s": "unwanted"})));
    rows.push(row(
        "Policy Breach",
        17,
        &json!({"from_s": "example@test.com", "modelName_s": "SaaS::Mail", "score_d": 1}),
    ));
    table(&rows)
}

fn event(id: &str, score: u32) -> Value {
    let columns = json!({
        "title_s": "Unusual Uploads", "summary_s": "It uploaded.\n\nMuch.", "score_d": score, "externalId_g": id,
        "startTime_s": "Dec 30th 2025 23:00:00 UTC", "endTime_s": "Dec 31st 2025 23:00:00 UTC", "newEvent_b": true,
        "groupScore_d": 61, "groupCategory_s": "critical", "bestDeviceName_s": "Reception", "AttackTactics": ["Exfiltration"],
        "hostname_s": "host-13.example.com", "url_s": "https://dt.example.com/#aiaincidentevent/1",
    });
    row("AI Analyst", 13, &columns)
}

fn column<'a>(rows: &'a [Value], name: &str) -> Vec<&'a Value> {
    rows.iter().map(|row| &row[name]).collect()
}

#[test]
fn test_alerts_are_those_of_the_test_model() {
    let rows = run("test-alerts", every_kind().path());
    assert_eq!(column(&rows, "modelName_s"), ["Unrestricted Test Model"]);
    assert_eq!(rows[0]["TimeGenerated"], "2026-01-01T00:00:11.000Z");
    assert_eq!(rows[0]["AdditionalFields"], json!({"device": {"did": 11}}));
    // Kusto knows no text that is null, and a number that is.
    assert_eq!((&rows[0]["title_s"], &rows[0]["groupScore_d"]), (&json!(""), &Value::Null));
}

#[test]
fn top_model_alerts_are_ten_and_the_highest_score_comes_first() {
    let rows = run("top-model-alerts", every_kind().path());
    let scores = [100.0, 40.0, 39.0, 38.0, 37.0, 36.0, 35.0, 34.0, 33.0, 32.0];
    assert_eq!(column(&rows, "ThreatRiskLevel"), scores.map(|score| json!(score)).iter().collect::<Vec<_>>());
    let first = json!({
        "TimeGenerated": "2026-01-01T00:00:11.000Z", "NetworkRuleName": "Unrestricted Test Model",
        "SrcHostname": "host-11.example.com", "SrcIpAddr": "192.0.2.7", "ThreatRiskLevel": 100.0,
    });
    assert_eq!(rows[0], first);
}

#[test]
fn ai_analyst_events_come_with_both_scores_and_under_the_names_that_rules_use() {
    let rows = run("ai-analyst-events", every_kind().path());
    assert_eq!(rows.len(), 1);
    for (name, value) in [
        ("EventStartTime", json!("Dec 30th 2025 23:00:00 UTC")),
        ("EventEndTime", json!("Dec 31st 2025 23:00:00 UTC")),
        ("NetworkRuleName", json!("Unusual Uploads")),
        ("CurrentGroup", json!("0b6c4a1e-52d7-4c39-8f10-7a9e2d3c4b5f")),
        ("ThreatCategory", json!("AI Analyst")),
        ("ThreatRiskLevel", json!(99.0)),
        ("score_d", json!(99.0)),
        ("SrcHostname", json!("host-13.example.com")),
        ("DarktraceLink", json!("https://dt.example.com/#aiaincidentevent/1")),
        ("Summary", json!("It uploaded.\n\nMuch.")),
        ("GroupScore", json!(61.0)),
        ("GroupCategory", json!("critical")),
        ("SrcDeviceName", json!("Reception")),
        ("newEvent_b", json!(true)),
        ("AttackTactics", json!(["Exfiltration"])),
    ] {
        assert_eq!(rows[0][name], value, "{name}");
    }
    assert!(rows[0].get("title_s").is_none() && rows[0].get("externalId_g").is_none(), "renamed, not copied");
}

#[test]
fn system_alerts_are_those_of_the_appliances_health() {
    let rows = run("system-alerts", every_kind().path());
    assert_eq!(column(&rows, "friendlyName_s"), ["Probe Down"]);
    assert_eq!(rows[0]["priority_code_d"], 71.0);
}

#[test]
fn e_mails_of_a_sender_are_of_exactly_that_sender() {
    let rows = run("email-of-a-sender", every_kind().path());
    assert_eq!(column(&rows, "subject_s"), ["wanted"]);
}

#[test]
fn another_value_in_the_rows_is_another_result() {
    let (least, id) = (run("ai-analyst-events", table(&[event("a", 12)]).path()), "CurrentGroup");
    assert_eq!((&least[0]["ThreatRiskLevel"], &least[0][id]), (&json!(12.0), &json!("a")));
    let elsewhere = row("Policy breach", 1, &json!({"modelName_s": "x", "score_d": 99}));
    assert!(run("top-model-alerts", table(&[elsewhere]).path()).is_empty(), "the product is compared with its case");
}

#[test]
fn a_query_that_fails_is_no_empty_result() {
    let empty = tempfile::tempdir().unwrap();
    for query in ["NoTable_CL", "darktrace_model_alerts_CL | where nope == 1", "darktrace_model_alerts_CL | sideways"] {
        assert_eq!(engine(query, empty.path()).status.code(), Some(1), "{query}");
    }
    assert!(result(&engine(ALERTS, empty.path())).is_empty());
    assert_eq!(
        result(&engine("print Now = now(), Ago = ago(1d)", empty.path())),
        [json!({"Now": "2026-01-02T00:00:00.000Z", "Ago": "2026-01-01T00:00:00.000Z"})]
    );
}

#[test]
fn rows_that_do_not_fit_their_table_are_refused() {
    for wrong in [
        json!({"nope": 1}),
        json!({"score_d": "5"}),
        json!({"hostname_s": 5}),
        json!({"TimeGenerated": "yesterday"}),
        json!({"CommentCount": 5_000_000_000_u64}),
        json!({"AttackTactics": "Exfiltration"}),
    ] {
        assert_eq!(engine("print 1", table(std::slice::from_ref(&wrong)).path()).status.code(), Some(2), "{wrong}");
    }
    let folder = table(&[]);
    fs::write(folder.path().join("Other_CL.ndjson"), "").unwrap();
    assert_eq!(engine("print 1", folder.path()).status.code(), Some(2), "a table that is not defined");
    assert_eq!(engine("print 1", &folder.path().join("nowhere")).status.code(), Some(2));
}

/// What the checker says, and whether it found nothing.
fn checked(files: &[PathBuf]) -> (bool, String) {
    let mut command = Command::new("node");
    let output = command.arg(root().join("tests/kql/check.js")).args(files).output().expect("node starts");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let code = output.status.code();
    assert!(matches!(code, Some(0 | 1)) && said.contains(" findings"), "is it installed? {said}");
    (code == Some(0), said)
}

#[test]
fn the_service_takes_every_query_that_is_shipped() {
    let files: Vec<_> =
        fs::read_dir(root().join("sentinel/queries")).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 5);
    let (fine, said) = checked(&files);
    assert!(fine, "{said}");
}

#[test]
fn a_query_with_a_column_that_is_not_there_is_refused_before_it_is_shipped() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("query.kql");
    let query = fs::read_to_string(shipped("top-model-alerts")).unwrap();
    fs::write(&file, query.replace("SourceIP", "SourceIp")).unwrap();
    let (fine, said) = checked(&[file]);
    assert!(!fine && said.contains("'SourceIp' does not refer to any known column"), "{said}");
}
