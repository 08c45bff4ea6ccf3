//! Rows against golden files, the schemas of the tables, public samples and generated nonsense.

use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::key::Key;
use darktrace_sentinel::report::{Counts, Failure, FailureClass, Outcome, Pause, Phase, Report, Work};
use darktrace_sentinel::row::{Context, Identity, IngestKind, Record, Score, Subnets, shrink, write_health_row};
use darktrace_sentinel::source::{Changes, Layout, Source};
use proptest::prelude::*;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

/// What the appliance of the golden files tells of its subnets.
static SUBNETS: LazyLock<Subnets> = LazyLock::new(|| {
    let subnets = json!([
        {"sid": 25, "label": "Head office", "network": "192.0.2.0/24", "latitude": 52.52, "longitude": 13.405},
        {"sid": 26, "network": "198.51.100.0/24", "latitude": 0.0, "longitude": 0.0},
    ]);
    Subnets::parse(&subnets.to_string()).expect("a list of subnets")
});

const POSTED_AT: Instant = Instant(1_767_225_900_000);

fn context(layout: Layout) -> Context<'static> {
    Context {
        layout,
        instance: "hq",
        base_url: "https://dt.example.com",
        subnets: &SUBNETS,
        kind: IngestKind::Live,
        posted_at: POSTED_AT,
    }
}

/// The longest text of a column, and the longest `AdditionalFields`.
const LONGEST_TEXT: usize = 60_000;
const LONGEST_ADDITIONAL: usize = 32 * 1024;

fn map(source: Source, layout: Layout, raw: &str) -> (String, u32) {
    let record = Record::parse(source, raw).expect("a JSON object is a record");
    let id = record.id();
    let identity = Identity {
        key: Key(std::array::from_fn(|at| u8::try_from(at).unwrap())),
        event_id: id.as_deref().unwrap_or("no-id"),
        revision: Key([0xab; 16]),
        new_event: true,
    };
    let mut out = Vec::new();
    let cuts = record.write_row(&context(layout), &identity, &mut out);
    out.extend_from_slice(b",\"IngestSeq\":7,\"BatchId\":\"5f0c1f7e-0d5b-4c58-9a54-3f1c3b6f0a11\"}");
    (String::from_utf8(out).expect("a row is UTF-8"), cuts)
}

fn row(source: Source, layout: Layout, raw: &str) -> Value {
    serde_json::from_str(&map(source, layout, raw).0).expect("a row is JSON")
}

/// The layouts that differ for a source. One whose table is the same in both has its rows under the newer layout's name.
fn layouts(source: Source) -> Vec<Layout> {
    let same = source.table(Layout::Legacy) == source.table(Layout::ActiveAi);
    Layout::ALL.into_iter().filter(|layout| !same || *layout == Layout::ActiveAi).collect()
}

/// The records `<name>.input.json` of a source.
fn inputs(source: Source) -> Vec<PathBuf> {
    let folder = root().join("tests/data").join(source.name());
    let mut inputs: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.retain(|path| path.to_str().unwrap().ends_with(".input.json"));
    inputs.sort();
    inputs
}

/// A record and its row in `<name>.<layout>.row.json`.
fn check(source: Source, layout: Layout, input: &Path) {
    let golden = input.to_str().unwrap().replace(".input.json", &format!(".{}.row.json", layout.name()));
    let text = std::fs::read_to_string(&golden).unwrap_or_else(|error| panic!("{golden}: {error}"));
    let mut expected: Value = serde_json::from_str(&text).unwrap();
    expected["ConnectorVersion"] = json!(env!("CARGO_PKG_VERSION"));
    let mapped = row(source, layout, std::fs::read_to_string(input).unwrap().trim());
    Schema::read(source.table(layout)).check(&mapped);
    compare(&mapped, &expected, Path::new(&golden));
}

/// Compares column by column, so that a failure names the column.
fn compare(mapped: &Value, expected: &Value, path: &Path) {
    let (mapped, expected) = (mapped.as_object().unwrap(), expected.as_object().unwrap());
    for (name, value) in expected {
        assert_eq!(mapped.get(name), Some(value), "{name} in {}", path.display());
    }
    let extra: Vec<_> = mapped.keys().filter(|name| !expected.contains_key(*name)).collect();
    assert!(extra.is_empty(), "unexpected {extra:?} in {}", path.display());
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The columns of a table with their types. What holds for all tables is in `tables.rs`.
struct Schema {
    types: BTreeMap<String, String>,
    /// Those that polling never fills.
    never: BTreeSet<String>,
}

impl Schema {
    fn read(table: &str) -> Self {
        let path = root().join(format!("infra/tables/{table}.json"));
        let file: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        assert_eq!(file["name"], table);
        let columns = file["columns"].as_array().unwrap();
        let text = |column: &Value, field: &str| column[field].as_str().unwrap().to_owned();
        let types = columns.iter().map(|column| (text(column, "name"), text(column, "type"))).collect();
        let never =
            columns.iter().filter(|column| column["pull"].as_str().is_some_and(|pull| pull.starts_with("Never")));
        let never = never.map(|column| text(column, "name")).collect();
        Self { types, never }
    }

    /// Asserts that the table has every column of the row and that every value has its column's type.
    fn check(&self, row: &Value) {
        for (name, value) in row.as_object().expect("a row is an object") {
            let kind = self.types.get(name).unwrap_or_else(|| panic!("no column {name}"));
            assert!(fits(kind, value), "{name} is {kind}, not {value}");
        }
        assert!(row["TimeGenerated"].is_string());
        assert!(row["AdditionalFields"].is_null() || row["AdditionalFields"].to_string().len() <= LONGEST_ADDITIONAL);
    }
}

fn fits(kind: &str, value: &Value) -> bool {
    match kind {
        "string" => value.as_str().is_some_and(|text| text.len() <= LONGEST_TEXT),
        "guid" => value.as_str().is_some_and(|text| text.len() == 36),
        "datetime" => value.as_str().is_some_and(|text| text.ends_with('Z') && Instant::from_iso(text).is_some()),
        "real" => value.is_number(),
        "int" | "long" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        // Lists such as deviceCredentials and objects such as AdditionalFields alike; a text or a number would be a mistake.
        "dynamic" => (value.is_object() || value.is_array()) && value.to_string().len() <= LONGEST_TEXT,
        other => panic!("{other} is no type of a column"),
    }
}

#[test]
fn records_become_the_rows_of_the_golden_files_in_every_layout() {
    for source in Source::ALL {
        let inputs = inputs(source);
        assert!(inputs.len() >= 15, "{source} has {} records", inputs.len());
        for layout in layouts(source) {
            inputs.iter().for_each(|input| check(source, layout, input));
        }
    }
}

#[test]
fn every_column_that_polling_can_fill_is_filled_by_some_golden_row() {
    let mut filled: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for source in Source::ALL {
        for layout in layouts(source) {
            let columns = filled.entry(source.table(layout)).or_default();
            inputs(source).iter().for_each(|input| columns.extend(golden_columns(input, layout)));
        }
    }
    for (table, filled) in filled {
        let Schema { types, never } = Schema::read(table);
        // Records that are long enough to be cut are made in the tests and not kept in files.
        let declared: BTreeSet<String> = types.into_keys().filter(|column| column != "Truncated").collect();
        let expected: BTreeSet<String> = declared.difference(&never).cloned().collect();
        let empty: Vec<_> = expected.difference(&filled).collect();
        let wrongly: Vec<_> = filled.difference(&expected).filter(|column| *column != "Truncated").collect();
        assert!(
            empty.is_empty() && wrongly.is_empty(),
            "{table}: nothing fills {empty:?}, something fills {wrongly:?}"
        );
        assert!(never.is_subset(&declared), "{table}: a column that waits is not declared");
    }
}

/// The columns that have a value in the golden row of a record.
fn golden_columns(input: &Path, layout: Layout) -> Vec<String> {
    let golden = input.to_str().unwrap().replace(".input.json", &format!(".{}.row.json", layout.name()));
    let row: Value = serde_json::from_str(&std::fs::read_to_string(golden).unwrap()).unwrap();
    let columns = row.as_object().unwrap().iter().filter(|(_, value)| !value.is_null());
    columns.map(|(name, _)| name.clone()).collect()
}

fn health_row(report: &Report) -> Value {
    let mut out = Vec::new();
    write_health_row(report, POSTED_AT, &mut out);
    let row = serde_json::from_slice(&out).expect("a health row is JSON");
    Schema::read("DarktraceConnectorHealth_CL").check(&row);
    row
}

#[test]
fn a_failed_run_tells_what_to_do_in_its_health_row() {
    let mut report = Report::begin("hq", Source::AiAnalyst, "run-1", Instant(1_767_225_600_000));
    report.finished = report.started + Duration::from_secs(2);
    report.outcome = Outcome::Failed(Failure {
        class: FailureClass::Configuration,
        phase: Phase::Post,
        status: Some(403),
        message: "the role is missing: \"assign\" it".to_owned(),
    });
    report.counts = Counts { fetched: 3, new: 2, already_delivered: 1, unsent: 2, ..Counts::default() };
    report.watermark = Some(report.started);
    report.lag = Some(Duration::from_secs(41));
    report.clock_skew_ms = Some(-1500);
    report.warnings = vec!["the clock is 1.5 s late".to_owned(), "a \"quoted\" one".to_owned()];
    let row = health_row(&report);
    let expected = json!({
        "TimeGenerated": "2026-01-01T00:05:00.000Z", "RunId": "run-1", "Instance": "hq", "Source": "ai-analyst",
        "Work": "Poll", "StartTime": "2026-01-01T00:00:00.000Z", "EndTime": "2026-01-01T00:00:02.000Z", "Status": "ConfigError",
        "FailureClass": "Configuration", "FailurePhase": "Post", "HttpStatus": 403,
        "Message": "the role is missing: \"assign\" it", "Fetched": 3, "OutsideWindow": 0, "AlreadyDelivered": 1,
        "Filtered": 0, "New": 2, "Changed": 0, "Sent": 0, "DeadLettered": 0, "Unsent": 2, "ValuesCut": 0,
        "Batches": 0, "Bytes": 0, "BytesSent": 0, "Requests": 0, "Retries": 0, "Throttled": 0, "Conflicts": 0,
        "Watermark": "2026-01-01T00:00:00.000Z", "LagSeconds": 41, "ClockSkewMs": -1500, "CatchingUp": false,
        "Warnings": ["the clock is 1.5 s late", "a \"quoted\" one"], "ConnectorVersion": env!("CARGO_PKG_VERSION"),
    });
    assert_eq!(row, expected);
}

#[test]
fn every_other_outcome_has_a_health_row_too() {
    let mut report = Report::begin("hq", Source::ModelAlerts, "run-2", Instant(1_767_225_600_000));
    assert_eq!(health_row(&report)["Status"], "Success");
    assert_eq!(health_row(&report)["Warnings"], json!([]));
    report.work = Work::Backfill;
    assert_eq!(health_row(&report)["Work"], "Backfill");
    report.outcome = Outcome::Skipped;
    assert_eq!(health_row(&report)["Status"], "Skipped");
    report.watermark_before = Some(report.started);
    for (pause, word) in [(Pause::Deadline, "Deadline"), (Pause::Drain, "Drain"), (Pause::Conflict, "Conflict")] {
        report.outcome = Outcome::Partial(pause);
        assert_eq!(health_row(&report)["StoppedBy"], word);
    }
}

/// Where public sample records may lie, beside the repository.
pub(crate) fn samples() -> Option<PathBuf> {
    let beside = root().join("../shared/samples");
    let named = std::env::vars_os().find(|(name, _)| name == "SHARED_SAMPLES").map(|(_, path)| PathBuf::from(path));
    named.into_iter().chain([beside]).find(|path| path.is_dir())
}

#[test]
fn every_public_sample_record_maps_and_fits() {
    let Some(samples) = samples() else {
        println!("the public samples are not there: this test did not run");
        return;
    };
    let mut mapped = BTreeMap::new();
    for (source, file) in [
        (Source::ModelAlerts, "sekoia-automation-library/model_breach/response_1_breach.json"),
        (Source::ModelAlerts, "demisto-content/model_breach/two_breaches_newest_first_2020_CUT.json"),
        (Source::ModelAlerts, "rapid7-insightconnect/model_breach/pull_alerts_single_object.json"),
        (Source::AiAnalyst, "sekoia-automation-library/ai_analyst/response_16_events.json"),
        (Source::AiAnalyst, "demisto-content/ai_analyst/incident_fetch_old_details_schema.json"),
        (Source::Email, "demisto-content/email/emails_search_response.json"),
        (Source::Email, "demisto-content/email/get_email_with_summary.json"),
    ] {
        let text = std::fs::read_to_string(samples.join(file)).unwrap();
        let parsed: Value = serde_json::from_str(&text).unwrap();
        for record in parsed.as_array().unwrap_or(&vec![parsed.clone()]) {
            for shape in shapes(record) {
                for layout in Layout::ALL {
                    let row = row(source, layout, &shape.to_string());
                    Schema::read(source.table(layout)).check(&row);
                    if layout == Layout::Legacy {
                        check_essentials(source, &shape, &row);
                    }
                }
            }
            *mapped.entry(source).or_insert(0) += 1;
        }
    }
    assert_eq!(mapped, BTreeMap::from([(Source::ModelAlerts, 4), (Source::AiAnalyst, 17), (Source::Email, 3)]));
}

/// The record as it is, and with the model as `historicmodelonly=true` gives it.
fn shapes(record: &Value) -> Vec<Value> {
    let mut flat = record.clone();
    match record["model"]["then"].clone() {
        Value::Null => vec![flat],
        then => {
            flat["model"] = then;
            vec![record.clone(), flat]
        }
    }
}

fn check_essentials(source: Source, record: &Value, row: &Value) {
    assert!(row.get("Truncated").is_none());
    match source {
        Source::ModelAlerts => {
            let model = if record["model"]["then"].is_object() { &record["model"]["then"] } else { &record["model"] };
            assert_eq!(row["modelName_s"], model["name"]);
            assert_eq!(row["threatID_d"], record["pbid"]);
            assert_eq!(row["breachUrl_s"], format!("https://dt.example.com/#modelbreach/{}", record["pbid"]));
            assert!(row["breachTime_s"].is_string() && row["score_d"].is_number() || record["score"].is_null());
            let text = row["triggeredComponents_s"].as_str().unwrap();
            let components: Value = serde_json::from_str(text).expect("the text is JSON");
            let given = record["triggeredComponents"].as_array().unwrap();
            assert_eq!(components.as_array().unwrap().len(), given.len());
        }
        Source::AiAnalyst => {
            assert_eq!(row["externalId_g"], record["id"]);
            assert_eq!(row["title_s"], record["title"]);
            assert!(row["startTime_s"].is_string() && row["endTime_s"].is_string() && row["EventTime"].is_string());
            assert_eq!(row["AdditionalFields"]["details"], record["details"]);
        }
        Source::Email => {
            assert_eq!((&row["uuid_s"], &row["timestamp_t"]), (&record["uuid"], &record["dtime"]));
            assert_eq!(row["recipients_s"], json!([record["rcpts"][0]["rcpt_to"]]).to_string());
            assert_eq!((&row["actions_s"], &row["anomaly_score_d"]), (&"[\"hold\"]".into(), &record["model_score"]));
            assert_eq!(row["AdditionalFields"]["rcpts"], record["rcpts"]);
        }
        other => panic!("no public sample is a record of {other}"),
    }
}

#[test]
fn a_record_of_a_megabyte_fits_its_columns_and_says_that_it_was_cut() {
    let long = "word ".repeat(60_000);
    let filter = json!({"filterType": "URI", "comparatorType": "display", "trigger": {"value": "/".repeat(1_000)}});
    let component = json!({"time": 1, "triggeredFilters": [filter]});
    let record = json!({
        "pbid": 1, "model": {"description": long}, "notes": long, "device": {"hostname": long, "os": "x"},
        "triggeredComponents": vec![component; 500],
    });
    let (text, cuts) = map(Source::ModelAlerts, Layout::Legacy, &record.to_string());
    let row: Value = serde_json::from_str(&text).unwrap();
    Schema::read("darktrace_model_alerts_CL").check(&row);
    assert_eq!(row["Truncated"], true);
    // The description, the host name twice, the components and the notes.
    assert_eq!(cuts, 5);
    let components: Vec<Value> = serde_json::from_str(row["triggeredComponents_s"].as_str().unwrap()).unwrap();
    let omitted = components.last().unwrap()["omitted"].as_u64().unwrap();
    assert_eq!(components.len() as u64 - 1 + omitted, 500);
    assert_eq!(row["AdditionalFields"], json!({"device": {"os": "x"}, "_omitted": ["notes"]}));
    let shrunk = shrink(text.as_bytes(), 20_000).expect("there is enough to cut");
    assert!(shrunk.len() <= 20_000);
    let shrunk: Value = serde_json::from_slice(&shrunk).unwrap();
    Schema::read("darktrace_model_alerts_CL").check(&shrunk);
    for column in ["EventKey", "EventId", "breachUrl_s", "TimeGenerated", "IngestSeq"] {
        assert_eq!(shrunk[column], row[column]);
    }
}

#[test]
fn an_email_to_a_thousand_people_fits_and_says_what_it_left_out() {
    let recipient = |n: usize| {
        json!({"rcpt_to": format!("user.{n:04}@works.example"), "rcpt_status": "held", "tags": ["Spam", format!("Tag {n}")],
            "rcpt_actions_taken": ["Hold message"]})
    };
    let recipients: Vec<Value> = (0..1000).map(recipient).collect();
    let record = json!({"uuid": "4D0E6F30.1", "header_subject": "All hands", "n_links": 2, "rcpts": recipients});
    for layout in Layout::ALL {
        let (text, cuts) = map(Source::Email, layout, &record.to_string());
        let row: Value = serde_json::from_str(&text).unwrap();
        Schema::read(Source::Email.table(layout)).check(&row);
        assert_eq!(row["AdditionalFields"], json!({"n_links": 2, "_omitted": ["rcpts"]}));
        assert_eq!(row["Truncated"], true);
        let list = |legacy: &str, activeai: &str| match layout {
            Layout::Legacy => serde_json::from_str(row[legacy].as_str().unwrap()).unwrap(),
            Layout::ActiveAi => row[activeai].clone(),
        };
        assert_eq!(list("recipients_s", "recipients").as_array().unwrap().len(), 1000);
        assert_eq!(list("tags_s", "tags").as_array().unwrap().len(), 1001);
        assert_eq!(list("actions_s", "actions"), json!(["hold"]));
        assert_eq!(cuts, if layout == Layout::Legacy { 1 } else { 2 });
        if layout == Layout::ActiveAi {
            let each = row["recipientActions"].as_array().unwrap();
            assert_eq!(each.last().unwrap()["omitted"], 1001 - each.len());
        }
    }
}

const FIELDS: [&str; 86] = [
    "pbid",
    "time",
    "creationTime",
    "score",
    "percentscore",
    "breachUrl",
    "model",
    "then",
    "now",
    "name",
    "pid",
    "uuid",
    "description",
    "category",
    "priority",
    "compliance",
    "tags",
    "mitre",
    "tactics",
    "techniques",
    "actions",
    "antigena",
    "triggeredComponents",
    "triggeredFilters",
    "filterType",
    "arguments",
    "comparatorType",
    "trigger",
    "value",
    "metric",
    "label",
    "ip",
    "port",
    "device",
    "did",
    "sid",
    "hostname",
    "macaddress",
    "typelabel",
    "mitreTechniques",
    "technique",
    "techniqueID",
    "id",
    "createdAt",
    "title",
    "summary",
    "aiaScore",
    "groupScore",
    "currentGroup",
    "groupPreviousGroups",
    "groupingIds",
    "groupByActivity",
    "periods",
    "start",
    "end",
    "breachDevices",
    "identifier",
    "relatedBreaches",
    "incidentEventUrl",
    "dtime",
    "dtime_unix",
    "model_score",
    "header_from_email",
    "header_subject",
    "rcpts",
    "rcpt_to",
    "rcpt_status",
    "rcpt_actions_taken",
    "action_status",
    "commentCount",
    "acknowledged",
    "username",
    "mitreTactics",
    "devicelabel",
    "typename",
    "credentials",
    "mac",
    "subnet",
    "activityId",
    "groupCategory",
    "pinned",
    "attackPhases",
    "techniqueId",
    "size",
    "firstSeen",
    "\u{fffd}own \"key\"",
];

/// JSON text of any type, with escapes that a library would not write.
fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|flag| flag.to_string()),
        any::<i64>().prop_map(|number| number.to_string()),
        (1_600_000_000_000..1_800_000_000_000_i64).prop_map(|number| number.to_string()),
        any::<f64>().prop_filter("JSON has no other", |n| n.is_finite()).prop_map(|n| json!(n).to_string()),
        Just("\"203.0.113.7/32\"".to_owned()),
        Just("\"Destination IP\"".to_owned()),
        Just("25".to_owned()),
        Just("\"T1078.004\"".to_owned()),
        Just("\"AP: C2 Comms\"".to_owned()),
        Just("\"SaaS::Zoom: rex@example.org\"".to_owned()),
        Just("\"0b6c4a1e-52d7-4c39-8f10-7a9e2d3c4b5f\"".to_owned()),
        Just("\"\\ud83d\\ude00 \\ud83d \\\\ud83d \\u0000 \\\\n\"".to_owned()),
        any::<String>().prop_map(|text| json!(text).to_string()),
        (0..3_usize, "[a\"é\\\\\u{0}😀. ]{1,8}").prop_map(|(n, text)| json!(text.repeat(n * 9_000)).to_string()),
    ];
    leaf.prop_recursive(5, 40, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(|items| format!("[{}]", items.join(" ,\n"))),
            any_object(inner),
        ]
    })
}

fn any_object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec((prop::sample::select(&FIELDS[..]), value), 0..12).prop_map(|fields| {
        let fields: Vec<String> = fields.iter().map(|(key, raw)| format!("{} :{raw}", json!(key))).collect();
        format!("{{{}}}", fields.join(", "))
    })
}

/// A change of a condition of the master, whose fields hold anything.
fn any_change() -> impl Strategy<Value = String> {
    const FIELDS: [&str; 13] = [
        "uuid",
        "name",
        "alert_name",
        "message",
        "priority",
        "priority_level",
        "status",
        "hostname",
        "ip_address",
        "child_id",
        "last_updated",
        "last_updated_status",
        "url",
    ];
    prop::collection::vec((prop::sample::select(&FIELDS[..]), any_json()), 0..12).prop_map(|fields| {
        let fields: String = fields.iter().map(|(key, raw)| format!("{} :{raw},", json!(key))).collect();
        format!("{{{fields}\"derivedFrom\":\"GET /status\"}}")
    })
}

/// A name that stands twice among the columns or in `AdditionalFields`. Readers would take one of the two values and lose
/// the other. What is copied from the record may repeat names further inside.
fn repeated_name(object: &str) -> Option<String> {
    let Pairs(pairs) = serde_json::from_str(object).ok()?;
    let mut names = BTreeSet::new();
    pairs.into_iter().find_map(|(name, value)| {
        let inside = (name == "AdditionalFields").then(|| repeated_name(value.get()));
        inside.flatten().or_else(|| (!names.insert(name.clone())).then_some(name))
    })
}

/// The fields of a JSON object, also those of equal names.
struct Pairs(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(PairsVisitor)
    }
}

struct PairsVisitor;

impl<'de> Visitor<'de> for PairsVisitor {
    type Value = Pairs;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
        std::iter::from_fn(|| map.next_entry().transpose()).collect::<Result<_, _>>().map(Pairs)
    }
}

#[test]
fn a_repeated_name_is_seen_where_it_would_lose_a_value() {
    for (row, name) in [
        (r#"{"a":1,"b":2}"#, None),
        (r#"{"a":1,"a":1}"#, Some("a")),
        (r#"{"AdditionalFields":{"model":5,"model":{}}}"#, Some("model")),
        (r#"{"AdditionalFields":{"odd":{"os":1,"os":2}}}"#, None),
    ] {
        assert_eq!(repeated_name(row).as_deref(), name, "{row}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_object_at_all_becomes_a_row_that_fits_the_table(raw in any_object(any_json())) {
        for source in Source::ALL {
            let record = Record::parse(source, &raw).unwrap();
            let again = Record::parse(source, &raw).unwrap();
            prop_assert_eq!(record.revision(Changes::Followed), again.revision(Changes::Followed));
            prop_assert_eq!(record.times(), again.times());
            let facets = record.facets();
            if let Some(Score::Model(score) | Score::AiAnalyst(score) | Score::Email(score)) = facets.score {
                prop_assert!(score <= 100);
            }
            for layout in Layout::ALL {
                let schema = Schema::read(source.table(layout));
                let (text, cuts) = map(source, layout, &raw);
                let row: Value = serde_json::from_str(&text).unwrap();
                schema.check(&row);
                prop_assert_eq!(repeated_name(&text), None);
                prop_assert_eq!(row.get("Truncated").is_some(), cuts > 0);
                if let (Source::ModelAlerts, Layout::Legacy, Some(id)) = (source, layout, record.id()) {
                    let link = row["breachUrl_s"].as_str().unwrap();
                    let end = format!("#modelbreach/{id}");
                    prop_assert!(link.ends_with(&end) || cuts > 0);
                }
                if let Some(shrunk) = shrink(text.as_bytes(), 5_000) {
                    prop_assert!(shrunk.len() <= 5_000);
                    schema.check(&serde_json::from_slice(&shrunk).unwrap());
                }
            }
        }
    }

    #[test]
    fn any_change_of_a_condition_becomes_a_row_that_fits_the_table(raw in any_change()) {
        for layout in Layout::ALL {
            let row = row(Source::SystemStatus, layout, &raw);
            Schema::read(Source::SystemStatus.table(layout)).check(&row);
            prop_assert_eq!(&row["DerivedFrom"], "GET /status");
        }
        let again = Record::parse(Source::SystemStatus, &raw).unwrap();
        prop_assert_eq!(again.revision(Changes::Ignored), again.revision(Changes::Followed));
    }

    #[test]
    fn no_text_at_all_panics(raw in ".{0,40}", object in any_object(any_json()), cut in 0..200_usize) {
        for source in Source::ALL {
            drop(Record::parse(source, &raw));
            let torn = &object[..object.floor_char_boundary(cut)];
            prop_assert_eq!(Record::parse(source, torn).is_ok(), torn == object);
        }
    }
}
