//! The endpoint over a real socket.

use super::*;
use crate::sim::identity;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use std::io::Write;

const AUDIENCE: &str = "https://monitor.azure.com";
const PATH: &str = "/dataCollectionRules/dcr-1/streams/Custom-T?api-version=2023-01-01";

async fn endpoint() -> Ingestion {
    let columns = columns_of(r#"{"columns":[{"name":"n","type":"int"},{"name":"s","type":"string"}]}"#).unwrap();
    let streams = [("Custom-T".to_owned(), columns)].into();
    let rules = Rules { dcr: "dcr-1".into(), audience: AUDIENCE.into(), streams };
    Ingestion::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), rules)
}

fn posting(ingestion: &Ingestion, path: &str, token: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    client
        .post(format!("{}{path}", ingestion.base_url()))
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(body)
}

fn post(ingestion: &Ingestion, body: impl Into<reqwest::Body>) -> RequestBuilder {
    posting(ingestion, PATH, &identity::issue(AUDIENCE, 60), body)
}

/// Status and code of the answer.
async fn outcome(request: RequestBuilder) -> (u16, String) {
    let response = request.send().await.unwrap();
    let code = response.headers().get("x-ms-error-code").map(|code| code.to_str().unwrap().to_owned());
    (response.status().as_u16(), code.unwrap_or_default())
}

fn zipped(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn rows_are_kept_in_order_plain_or_zipped() {
    let ingestion = endpoint().await;
    assert_eq!(outcome(post(&ingestion, r#"[{"n":1},{"n":2}]"#)).await.0, 204);
    let body = zipped(r#"[{"n":3}]"#);
    let wire_bytes = body.len();
    let request = post(&ingestion, body).header("content-encoding", "gzip").header("x-ms-client-request-id", "id-2");
    assert_eq!(outcome(request).await.0, 204);
    assert_eq!(ingestion.rows("Custom-T"), [json!({"n": 1}), json!({"n": 2}), json!({"n": 3})]);
    let seen = &ingestion.posts()[1];
    assert_eq!((seen.rows, seen.raw_bytes, seen.wire_bytes, seen.status), (1, 9, wire_bytes, 204));
    assert_eq!(seen.client_request_id.as_deref(), Some("id-2"));
    assert_eq!(ingestion.taken_rows(), 3);
    assert_eq!(ingestion.violations(), []);
}

#[tokio::test]
async fn only_a_valid_token_for_this_service_is_taken() {
    let ingestion = endpoint().await;
    for token in ["x", &identity::issue("https://vault.azure.net", 60), &identity::issue(AUDIENCE, -1)] {
        let refused = outcome(posting(&ingestion, PATH, token, "[]")).await;
        assert_eq!(refused, (401, "InvalidToken".into()), "{token}");
    }
    assert!(ingestion.posts().iter().all(|post| post.status == 401 && !post.was_taken));
}

#[tokio::test]
async fn the_address_must_name_the_rule_the_stream_and_the_version() {
    let ingestion = endpoint().await;
    let token = identity::issue(AUDIENCE, 60);
    for (from, to, expected) in [
        ("dcr-1", "dcr-2", (404, "NotFound")),
        ("Custom-T", "Custom-U", (400, "InvalidStream")),
        ("2023-01-01", "2021-11-01", (400, "InvalidApiVersion")),
    ] {
        let (status, code) = outcome(posting(&ingestion, &PATH.replace(from, to), &token, "[]")).await;
        assert_eq!((status, code.as_str()), expected);
    }
}

#[tokio::test]
async fn a_body_over_one_mebibyte_is_refused_zipped_or_not() {
    let ingestion = endpoint().await;
    let fits = format!("[{}]", " ".repeat(1_048_574));
    let too_long = format!("[{}]", " ".repeat(1_048_575));
    assert_eq!(outcome(post(&ingestion, fits)).await.0, 204);
    let expected = (413, "ContentLengthLimitExceeded".to_owned());
    let zip = post(&ingestion, zipped(&too_long)).header("content-encoding", "gzip");
    assert_eq!(outcome(zip).await, expected);
    let response = post(&ingestion, too_long).send().await.unwrap();
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let text = "Maximum allowed content length: 1048576 bytes (1 MB). Provided content length: 1048577 bytes.";
    assert_eq!(body["error"]["message"], text);
}

#[tokio::test]
async fn an_object_is_refused_and_noted_because_the_real_service_would_lose_it() {
    let ingestion = endpoint().await;
    assert_eq!(outcome(post(&ingestion, r#"{"n":1}"#)).await, (400, "InvalidPayload".into()));
    assert_eq!(outcome(post(&ingestion, "[1]")).await, (400, "InvalidPayload".into()));
    assert_eq!(ingestion.violations().len(), 2);
    assert_eq!(outcome(post(&ingestion, "")).await, (500, String::new()));
}

#[tokio::test]
async fn a_row_that_does_not_fit_is_taken_and_noted() {
    let ingestion = endpoint().await;
    assert_eq!(outcome(post(&ingestion, r#"[{"n":"1","x":2}]"#)).await.0, 204);
    let noted: Vec<String> = ingestion.violations().iter().map(ToString::to_string).collect();
    assert_eq!(noted, ["Custom-T.n: not a Int but another text", "Custom-T.x: no such column in the stream"]);
    assert_eq!(ingestion.rows("Custom-T").len(), 1);
}

#[tokio::test]
async fn rows_that_are_counted_are_checked_and_not_kept() {
    let ingestion = endpoint().await;
    ingestion.tally("Custom-T", Tally::new("n", "s", 7..=9));
    let row = |n: u8| json!({"n": n, "s": format!("{:032x}", n)});
    assert_eq!(outcome(post(&ingestion, json!([row(7), row(9)]).to_string())).await.0, 204);
    assert_eq!(outcome(post(&ingestion, json!([row(9), {"n": "x"}]).to_string())).await.0, 204);
    let counted = Counted { distinct: 2, missing: 1, repeats: 1, changed: 0, strange: 1 };
    assert_eq!(ingestion.tallied("Custom-T", Tally::counted), Some(counted));
    assert_eq!((ingestion.rows("Custom-T").len(), ingestion.taken_rows()), (0, 4));
    assert_eq!(ingestion.violations().len(), 1, "the text that is no number");
}

#[tokio::test]
async fn each_fault_is_met_once() {
    let ingestion = endpoint().await;
    for (fault, status, code) in [
        (Fault::Throttle(None), 429, "TooManyRequests"),
        (Fault::Status(503), 503, ""),
        (Fault::Unauthorized, 401, "InvalidToken"),
        (Fault::Forbidden, 403, "OperationFailed"),
        (Fault::NotFound, 404, "NotFound"),
        (Fault::TooLarge, 413, "ContentLengthLimitExceeded"),
        (Fault::LatencyMs(5), 204, ""),
    ] {
        ingestion.fail_next_on("Custom-T", fault.clone(), 1);
        assert_eq!(outcome(post(&ingestion, "[]")).await, (status, code.to_owned()), "{fault:?}");
    }
    ingestion.fail_next_on("Custom-Other", Fault::NotFound, 1);
    ingestion.fail_next(Fault::Throttle(Some(RetryAfter::Seconds(3))), 1);
    assert_eq!(post(&ingestion, "[]").send().await.unwrap().headers()["retry-after"], "3");
    assert_eq!(outcome(post(&ingestion, "[]")).await.0, 204);
}

#[tokio::test]
async fn a_closed_connection_leaves_the_client_in_doubt() {
    let ingestion = endpoint().await;
    ingestion.fail_next(Fault::ResetBefore, 1);
    ingestion.fail_next(Fault::ResetAfter, 1);
    for taken in [0, 1] {
        assert!(post(&ingestion, r#"[{"n":1}]"#).send().await.is_err());
        assert_eq!(ingestion.taken_rows(), taken);
    }
    assert_eq!(ingestion.posts()[1].status, 0);
    assert!(ingestion.posts()[1].was_taken);
}

#[tokio::test]
async fn poison_is_refused_each_time() {
    let ingestion = endpoint().await;
    ingestion.set_modes(Modes { reject_rows_containing: Some("poison".into()), ..Modes::default() });
    for _ in 0..2 {
        assert_eq!(outcome(post(&ingestion, r#"[{"s":"poison"}]"#)).await, (400, "InvalidPayload".into()));
    }
    assert_eq!(outcome(post(&ingestion, r#"[{"s":"food"}]"#)).await.0, 204);
    assert_eq!(ingestion.violations(), []);
}

#[tokio::test]
async fn a_pause_holds_posts_until_it_is_over() {
    let ingestion = endpoint().await;
    ingestion.set_modes(Modes { pause_after_rows: Some(2), ..Modes::default() });
    assert_eq!(outcome(post(&ingestion, r#"[{"n":1},{"n":2}]"#)).await.0, 204);
    let held = tokio::spawn(outcome(post(&ingestion, r#"[{"n":3}]"#)));
    while ingestion.posts().len() < 2 {
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!((ingestion.taken_rows(), held.is_finished()), (2, false));
    ingestion.set_modes(Modes::default());
    assert_eq!(held.await.unwrap().0, 204);
    assert_eq!(ingestion.taken_rows(), 3);
}

#[tokio::test]
async fn posts_in_flight_are_counted() {
    let ingestion = endpoint().await;
    ingestion.set_modes(Modes { latency_ms: 60, ..Modes::default() });
    let both = futures_util::future::join(outcome(post(&ingestion, "[]")), outcome(post(&ingestion, "[]"))).await;
    assert_eq!((both.0.0, both.1.0), (204, 204));
    assert_eq!(outcome(post(&ingestion, "[]")).await.0, 204);
    assert_eq!(ingestion.max_in_flight(), 2);
    assert_eq!(ingestion.posts()[2].in_flight, 1);
}
