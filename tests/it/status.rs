//! What there is to look at: `DarktraceStatus` through the host and by a browser on this machine, and what runs leave
//! behind for it. How it looks in a browser is in `browser`.

use crate::host::Host;
use crate::host::process::Level;
use crate::host::verdict::Verdict;
use crate::host::wire::{Answer, Call};
use crate::journeys::created;
use crate::serve::{printed, tick};
use crate::world::{MINUTE, World, now_ms};
use darktrace_sentinel::cycle::keep_history;
use darktrace_sentinel::handler::{CHECK, FUNCTION, STATUS};
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::report::Report;
use darktrace_sentinel::sim::appliance::Fault;
use darktrace_sentinel::sim::ingestion::Modes;
use darktrace_sentinel::source::Source;
use darktrace_sentinel::status::{History, MOST_RUNS};
use serde_json::{Value, json};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

/// What the client gets.
struct Shown {
    status: u64,
    content_type: String,
    body: String,
}

impl Shown {
    fn json(&self) -> Value {
        assert_eq!(self.content_type, "application/json", "{}", self.body);
        serde_json::from_str(&self.body).unwrap()
    }

    fn page(&self) -> &str {
        assert_eq!(self.content_type, "text/html; charset=utf-8");
        &self.body
    }
}

/// Asks through the host, with what the client would like and a query.
async fn ask(host: &Host, accept: &str, query: &Value) -> Shown {
    let request = json!({ "Url": "https://app.example/api/DarktraceStatus", "Method": "GET", "Query": query,
        "Headers": { "Accept": [accept], "Host": ["app.example"] }, "Params": {}, "Identities": [] });
    let call = Call::new(STATUS, &json!({ "Data": { "req": request }, "Metadata": {} }).to_string());
    let verdict = host.wire.invoke(&call).await;
    let Verdict::Succeeded { outputs, .. } = verdict else { panic!("{verdict:?}\n{:#?}", host.lines()) };
    let res = &outputs["res"];
    Shown {
        status: res["statusCode"].as_u64().unwrap(),
        content_type: res["headers"]["content-type"].as_str().unwrap().to_owned(),
        body: res["body"].as_str().unwrap().to_owned(),
    }
}

async fn told(host: &Host) -> Value {
    ask(host, "*/*", &json!({})).await.json()
}

/// The source of that place in the first instance.
fn of(told: &Value, place: usize) -> &Value {
    &told["instances"][0]["sources"][place]
}

fn counts<const N: usize>(value: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| value[name].as_u64().unwrap_or(0))
}

#[tokio::test]
async fn what_runs_did_is_told_to_a_program_and_shown_to_a_browser() {
    let world = World::on_azurite().await;
    for n in 0..3 {
        world.appliance.issue_alert(created(now_ms() - MINUTE - n));
    }
    let host = world.app().start().await;
    assert_eq!(of(&told(&host).await, 0)["state"], "waiting");
    for _ in 0..2 {
        host.wire.invoke(&tick()).await;
    }
    let told = told(&host).await;
    assert_eq!((&told["verdict"], &told["layout"]), (&json!("ok"), &json!("legacy")));
    let alerts = of(&told, 0);
    assert_eq!((&alerts["source"], &alerts["state"]), (&json!("model-alerts"), &json!("ok")));
    assert_eq!(counts(&alerts["lastDay"], ["runs", "failed", "sent", "alreadyDelivered"]), [2, 0, 3, 3]);
    assert_eq!(counts(&alerts["runs"][1], ["fetched", "new", "sent"]), [3, 3, 3], "the first run is the last one told");
    assert_eq!(counts(&alerts["runs"][0], ["fetched", "new", "sent", "alreadyDelivered"]), [3, 0, 0, 3]);
    let position = world.checkpoint(Source::ModelAlerts).await.position;
    assert_eq!(alerts["position"]["watermark"], position.watermark.rfc3339());
    assert_eq!(alerts["position"]["swept"], position.swept.rfc3339());
    assert_eq!(of(&told, 1)["source"], "ai-analyst");
    let shown = ask(&host, BROWSER, &json!({})).await;
    assert_eq!(shown.status, 200);
    assert!(shown.page().contains("All 2 sources are well") && shown.page().contains("<svg"), "{}", shown.body);
    assert!(shown.page().contains(&position.watermark.naive()));
    assert!(ask(&host, BROWSER, &json!({ "format": "json" })).await.json().is_object());
}

#[tokio::test]
async fn a_failure_is_shown_with_what_to_do_and_the_last_success_stays() {
    let world = World::on_azurite().await;
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    let good = of(&told(&host).await, 0)["lastSuccess"].clone();
    world.appliance.fail_next(Fault::RedirectToLogin, 4);
    assert!(matches!(host.wire.invoke(&tick()).await, Verdict::Failed { .. }));
    let told = told(&host).await;
    let alerts = of(&told, 0);
    assert_eq!((&told["verdict"], &alerts["state"]), (&json!("failing"), &json!("failing")));
    assert_eq!(alerts["lastSuccess"], good);
    let advice = alerts["advice"].as_str().unwrap();
    let line = printed(&host, Level::Error).into_iter().find(|line| line.contains("model-alerts")).unwrap();
    assert!(!advice.is_empty() && line.ends_with(advice), "the page says what the log says: {advice:?} {line:?}");
    assert_eq!(counts(&alerts["lastDay"], ["runs", "failed"]), [2, 1]);
    let shown = ask(&host, BROWSER, &json!({})).await;
    assert!(shown.page().contains("sources failing") && shown.page().contains("class=\"broke\""), "{}", shown.body);
}

#[tokio::test]
async fn dead_letters_and_a_pause_are_shown_where_they_belong() {
    let world = World::on_azurite().await;
    let message = Some("poison-4f1c".to_owned());
    world
        .appliance
        .issue_alert(darktrace_sentinel::sim::appliance::AlertSpec { message, ..created(now_ms() - MINUTE) });
    let reject_rows_containing = Some("poison-4f1c".to_owned());
    world.ingestion.set_modes(Modes { reject_rows_containing, ..Modes::default() });
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    world.run_well(&["pause", "--source", "ai-analyst"]).await;
    let store = world.store();
    let letter = store.list("deadletter/").await.unwrap().remove(0);
    let elsewhere = letter.replace("/default/", "/gone/");
    let bytes = store.read(&letter).await.unwrap().unwrap().bytes;
    store.write(&elsewhere, bytes, darktrace_sentinel::store::Expect::Absent).await.unwrap();
    let told = told(&host).await;
    assert_eq!((&told["verdict"], &told["otherDeadLetters"]), (&json!("attention"), &json!(1)));
    assert_eq!((&of(&told, 0)["deadLetters"], &of(&told, 1)["deadLetters"]), (&json!(1), &json!(0)));
    assert_eq!(of(&told, 1)["state"], "paused");
    assert!(of(&told, 1)["advice"].as_str().unwrap().contains("resume"));
    let shown = ask(&host, BROWSER, &json!({})).await;
    assert!(shown.page().contains("1 dead letter waits") && !shown.page().contains("poison"), "{}", shown.body);
}

#[tokio::test]
async fn a_browser_on_this_machine_may_look_without_a_host_and_a_page_from_elsewhere_may_not() {
    let world = World::new().await;
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    let get = |name: &str, accept: &str| {
        format!("GET /{STATUS} HTTP/1.1\r\nHost: {name}:{}\r\nAccept: {accept}\r\n\r\n", host.wire.port())
    };
    let looked = async |name: &str, accept: &str| -> Answer { host.wire.exchange(get(name, accept).as_bytes()).await };
    let page = looked("localhost", BROWSER).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("script"), "{policy}");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!((page.header("cache-control"), page.header("referrer-policy")), (Some("no-store"), Some("no-referrer")));
    assert_eq!(looked("127.0.0.1", "*/*").await.object()["verdict"], "ok");
    let rebound = looked("rebound.example", BROWSER).await;
    assert_eq!(rebound.status, 403);
    assert!(!String::from_utf8_lossy(&rebound.body).contains("model-alerts"));
    assert_eq!(host.wire.request("GET", "/DarktraceCheck").await.status, 405, "a check is more than a look");
}

#[tokio::test]
async fn a_page_from_elsewhere_can_neither_read_an_answer_that_is_posted_for_nor_start_a_poll() {
    let world = World::new().await;
    let host = world.app().start().await;
    for name in [FUNCTION, CHECK, STATUS] {
        let (body, port) = (r#"{"Data":{},"Metadata":{}}"#, host.wire.port());
        let length = body.len();
        for from in ["rebound.example", "127.0.0.1"] {
            let head =
                format!("POST /{name} HTTP/1.1\r\nHost: {from}:{port}\r\nOrigin: http://rebound.example:{port}\r\n");
            let request = format!("{head}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}");
            let answer = host.wire.exchange(request.as_bytes()).await;
            assert_eq!(answer.status, 403, "{name}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("model-alerts"));
        }
    }
    assert_eq!(world.appliance.seen().len(), 0, "no master was asked");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_does_not_answer_holds_no_poll_up() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let text = format!("AccountName=hq;AccountKey=a2V5;BlobEndpoint=http://{address}/hq");
    let access = darktrace_sentinel::store::BlobAccess::from_connection_string(&text).unwrap();
    let store = darktrace_sentinel::store::Store::blob(access, "c", crate::azurite::http()).unwrap();
    let reports: Vec<_> =
        (0..50).map(|n| Report::begin(&format!("m{n}"), Source::ModelAlerts, "run", Instant(now_ms()))).collect();
    let begin = tokio::time::Instant::now();
    let told = darktrace_sentinel::http::chain(&keep_history(&store, &reports).await.unwrap_err());
    let waited = begin.elapsed().as_secs();
    assert!(waited <= 10, "{waited} s, {told}");
}

#[tokio::test]
async fn settings_that_are_wrong_are_told_where_one_looks() {
    let mut world = World::new().await;
    world.set("DARKTRACE_HOST", "");
    let host = world.app().start().await;
    let shown = ask(&host, BROWSER, &json!({})).await;
    assert_eq!(shown.status, 500);
    assert!(shown.page().contains("DARKTRACE_HOST"), "{}", shown.body);
    let told = ask(&host, "*/*", &json!({})).await;
    assert!(told.json()["error"].as_str().unwrap().contains("DARKTRACE_HOST"));
}

#[tokio::test]
async fn a_store_that_cannot_be_read_is_said_and_one_checkpoint_that_cannot_is_its_sources_alone() {
    let mut world = World::on_azurite().await;
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    let store = world.store();
    let name = format!("state/default/{}.json", Source::AiAnalyst);
    store.write(&name, "damaged".into(), darktrace_sentinel::store::Expect::Anything).await.unwrap();
    let found = told(&host).await;
    assert_eq!((&of(&found, 0)["state"], &of(&found, 1)["state"]), (&json!("ok"), &json!("failing")));
    assert!(of(&found, 1)["advice"].as_str().unwrap().contains("a run has to mend it"), "{found}");
    world.set("AzureWebJobsStorage", "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://127.0.0.1:9");
    let refused = world.app().start().await;
    let shown = ask(&refused, "*/*", &json!({})).await;
    assert_eq!(shown.status, 503);
    assert!(shown.json()["error"].as_str().unwrap().contains("storage"), "{}", shown.body);
}

#[tokio::test]
async fn a_look_waits_for_no_run_asks_no_master_and_writes_nothing() {
    let world = World::on_azurite().await;
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    let seen = || (world.appliance.seen().len(), world.ingestion.posts().len(), world.identity.seen().len());
    let before = (seen(), world.everything().await);
    assert_eq!(of(&told(&host).await, 0)["state"], "ok");
    assert!(before == (seen(), world.everything().await), "nothing was asked and nothing written");
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    world.ingestion.set_modes(Modes { pause_after_rows: Some(0), ..Modes::default() });
    let wire = std::sync::Arc::clone(&host.wire);
    let run = tokio::spawn(async move { wire.invoke(&tick()).await });
    while !world.ingestion.posts().iter().any(|post| post.rows > 0 && post.status == 0) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(of(&told(&host).await, 0)["state"], "ok");
    world.ingestion.set_modes(Modes::default());
    assert!(matches!(run.await.unwrap(), Verdict::Succeeded { .. }));
}

#[tokio::test]
async fn one_master_can_be_chosen_and_one_that_is_not_there_is_not_well() {
    let (world, _plant) = World::with_two_masters().await;
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    let names = |told: &Value| -> Vec<String> {
        told["instances"].as_array().unwrap().iter().map(|one| one["instance"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&told(&host).await), ["hq", "plant"]);
    assert_eq!(names(&ask(&host, "*/*", &json!({ "instance": "plant" })).await.json()), ["plant"]);
    assert!(ask(&host, BROWSER, &json!({})).await.page().contains("href=\"#plant\""));
    assert_eq!(ask(&host, "*/*", &json!({ "instance": "lab" })).await.status, 404);
}

#[tokio::test]
async fn polls_that_end_at_the_same_moment_are_both_kept() {
    for world in [World::new().await, World::on_azurite().await] {
        let store = world.store();
        let reports = [1, 2].map(|n| Report::begin("hq", Source::ModelAlerts, &format!("run {n}"), Instant(now_ms())));
        let (one, other) = tokio::join!(keep_history(&store, &reports[..1]), keep_history(&store, &reports[1..]));
        one.and(other).unwrap();
        let kept = store.read("history/hq.json").await.unwrap().unwrap();
        assert_eq!(History::parse(&kept.bytes).of("model-alerts").runs.len(), 2);
    }
}

#[tokio::test]
async fn the_history_stays_small_and_fails_no_poll() {
    let world = World::new().await;
    for _ in 0..=MOST_RUNS {
        world.poll_well().await;
    }
    let bytes = world.document("history/default.json").await.unwrap();
    let past = History::parse(&bytes).of("model-alerts");
    assert_eq!(past.runs.len(), MOST_RUNS);
    assert!(past.spans.len() <= 2 && past.day(Instant(now_ms())).runs == MOST_RUNS as u64 + 1, "{:?}", past.spans);
    let file = world.directory().unwrap().join("history/default.json");
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir_all(file.join("in-the-way")).unwrap();
    let run = world.poll_well().await;
    assert!(run.line_with("DarktraceStatus will not show this run").starts_with("WARN"), "{}", run.text());
}

#[tokio::test]
async fn a_range_of_the_past_is_shown_with_how_far_it_has_come() {
    let world = World::on_azurite().await;
    let host = world.app().start().await;
    host.wire.invoke(&tick()).await;
    let [from, to] = [5, 2].map(|days| Instant(now_ms() - days * 24 * 60 * MINUTE).rfc3339());
    let order = ["backfill", "--from", &from, "--to", &to, "--source", "model-alerts", "--hand-over"];
    world.run_well(&[&order[..], &["--requests-per-minute", "60000"]].concat()).await;
    let standing = told(&host).await;
    assert_eq!((&standing["order"]["from"], &standing["order"]["completedAt"]), (&json!(from), &Value::Null));
    assert_eq!(of(&standing, 0)["backfill"], Value::Null);
    host.wire.invoke(&tick()).await;
    let done = told(&host).await;
    assert!(done["order"]["completedAt"].is_string(), "{done}");
    assert_eq!((&of(&done, 0)["backfill"]["done"], &of(&done, 0)["backfill"]["first"]), (&json!(true), &json!(from)));
    assert_eq!(of(&done, 1)["backfill"], Value::Null, "it was not ordered");
    let shown = ask(&host, BROWSER, &json!({})).await;
    assert!(shown.page().contains("has stored the past from"), "{}", shown.body);
    let name = "control/backfill.json";
    world.store().write(name, "{\"from\":7}".into(), darktrace_sentinel::store::Expect::Anything).await.unwrap();
    let wrong = told(&host).await;
    assert_eq!((&wrong["verdict"], &wrong["order"]), (&json!("failing"), &Value::Null));
    assert!(wrong["orderProblem"].as_str().unwrap().contains("from"), "{wrong}");
}
