//! The custom-handler protocol over real sockets, seen by a stand-in of the Functions host.

use crate::host::Host;
use crate::host::verdict::Verdict;
use crate::host::wire::{BODY_MODES, BodyMode, Call, Wire};
use darktrace_sentinel::handler::{
    self, CHECK, Callers, FUNCTION, Functions, HttpAnswer, HttpCall, HttpFunction, HttpRoute, Invocation, Poll, STATUS,
    Summary,
};
use darktrace_sentinel::instant::Instant;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);
const SKIPPED: &str = "skipped, because the poll of an earlier invocation is still running";

/// A handler in this process.
struct Server {
    wire: Wire,
    stop: oneshot::Sender<()>,
    served: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn of(functions: impl Into<Functions>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Host::at(listener.local_addr().unwrap().port());
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(handler::serve(listener, functions.into(), async {
            let _ = stopped.await;
        }));
        Self { wire, stop, served }
    }
}

fn polling<F: Future<Output = Summary> + Send + 'static>(
    poll: impl Fn(Invocation) -> F + Send + Sync + 'static,
) -> Poll {
    Arc::new(move |invocation| Box::pin(poll(invocation)))
}

fn summary(line: &str) -> Summary {
    Summary { failed: false, lines: vec![line.to_owned()] }
}

fn succeeded(line: &str) -> Verdict {
    Verdict::Succeeded { logs: vec![line.to_owned()], outputs: serde_json::Map::new() }
}

fn tick() -> Call {
    Call::new(FUNCTION, r#"{"Data":{"timer":{"Schedule":{"AdjustForDST":true}}},"Metadata":{}}"#)
}

/// A poll that waits to be let go, and the numbers of those that began and ended.
#[derive(Clone, Default)]
struct Slow {
    began: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
    go: Arc<Gate>,
}

struct Gate {
    begin: Semaphore,
    end: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        Self { begin: Semaphore::new(0), end: Semaphore::new(0) }
    }
}

impl Slow {
    fn poll(&self) -> Poll {
        let slow = self.clone();
        polling(move |_| slow.clone().run())
    }

    async fn run(self) -> Summary {
        self.began.fetch_add(1, Ordering::SeqCst);
        self.go.begin.add_permits(1);
        self.go.end.acquire().await.unwrap().forget();
        self.ended.fetch_add(1, Ordering::SeqCst);
        summary("done")
    }

    /// Waits until one more poll runs.
    async fn running(&self) {
        timeout(PATIENCE, self.go.begin.acquire()).await.expect("a poll begins").unwrap().forget();
    }

    /// Lets one poll go to its end.
    fn finish(&self) {
        self.go.end.add_permits(1);
    }

    fn counts(&self) -> (usize, usize) {
        (self.began.load(Ordering::SeqCst), self.ended.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn the_probe_is_answered_at_once_even_while_a_poll_runs() {
    let slow = Slow::default();
    let server = Server::of(slow.poll()).await;
    assert!(server.wire.probe().await);
    let wire = Arc::new(server.wire);
    let run = tokio::spawn({
        let wire = Arc::clone(&wire);
        async move { wire.invoke(&tick()).await }
    });
    slow.running().await;
    let answer = wire.request("GET", "/").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.object()["ready"], true);
    slow.finish();
    assert_eq!(run.await.unwrap(), succeeded("done"));
}

/// A function that is called by HTTP and answers with the method and the body of the call.
fn echoing() -> HttpRoute {
    let function: HttpFunction = Arc::new(|call: HttpCall| {
        Box::pin(async move {
            assert_ne!(call.body, "panic", "as the call orders");
            HttpAnswer { status: 202, content_type: "text/plain", body: format!("{} {}", call.method, call.body) }
        })
    });
    HttpRoute { name: "Echo", function, callers: Callers::Host }
}

fn http_call(function: &str, body: &str) -> Call {
    let request = json!({ "Url": "https://app.example/api/Echo", "Method": "GET", "Query": {}, "Body": body });
    Call::new(function, &json!({ "Data": { "req": request }, "Metadata": {} }).to_string())
}

#[tokio::test]
async fn a_call_by_http_is_answered_through_the_output_binding_even_while_a_poll_runs() {
    let slow = Slow::default();
    let server = Server::of(Functions { poll: slow.poll(), http: vec![echoing()] }).await;
    let wire = Arc::new(server.wire);
    let run = tokio::spawn({
        let wire = Arc::clone(&wire);
        async move { wire.invoke(&tick()).await }
    });
    slow.running().await;
    for mode in BODY_MODES {
        let verdict = wire.invoke(&http_call("Echo", "hello").mode(mode)).await;
        let Verdict::Succeeded { outputs, logs } = verdict else { panic!("{verdict:?}") };
        let res = &outputs["res"];
        assert_eq!((&res["statusCode"], &res["body"]), (&json!(202), &json!("GET hello")));
        assert_eq!(res["headers"]["content-type"], "text/plain");
        assert_eq!(res["headers"]["cache-control"], "no-store", "it is of this moment");
        assert_eq!((outputs.len(), logs.len()), (1, 0));
    }
    assert_eq!(wire.post(&http_call("Other", "hello")).await.status, 404);
    slow.finish();
    assert_eq!(run.await.unwrap(), succeeded("done"));
}

#[tokio::test]
async fn a_panic_or_nonsense_in_a_call_by_http_fails_that_call_alone() {
    let poll = polling(|_| async { summary("done") });
    let server = Server::of(Functions { poll, http: vec![echoing()] }).await;
    let answer = server.wire.post(&http_call("Echo", "panic")).await;
    assert_eq!(answer.status, 500);
    assert!(answer.object()["error"].as_str().unwrap().contains("panic at"));
    assert_eq!(server.wire.post(&Call::new("Echo", "hunter2")).await.status, 400);
    assert!(matches!(server.wire.invoke(&http_call("Echo", "")).await, Verdict::Succeeded { .. }));
    assert_eq!(server.wire.invoke(&tick()).await, succeeded("done"));
}

#[tokio::test]
async fn a_poll_that_succeeds_is_green_and_its_lines_are_the_logs() {
    let server = Server::of(polling(|_| async { summary("darktrace default model-alerts: fetched 12") })).await;
    for mode in BODY_MODES {
        let answer = server.wire.post(&tick().mode(mode)).await;
        let logs = ["darktrace default model-alerts: fetched 12"];
        assert_eq!(answer.object(), json!({ "Outputs": {}, "Logs": logs, "ReturnValue": null }));
        assert_eq!(Verdict::of(&answer), succeeded(logs[0]));
    }
}

/// Payloads as the host writes them, and what the log line says of them.
fn payloads() -> Vec<(String, Invocation)> {
    let ten = Instant::from_iso("2026-11-21T10:00:00Z");
    let five_past = Instant::from_iso("2026-11-21T10:05:00Z");
    let sys = r#""Metadata":{"sys":{"MethodName":"DarktracePoll","UtcNow":"2026-11-21T10:05:00.114529Z","RandGuid":"5882deb6-0d0f-4f3a-9c30-0c3f6a1f0a11"}}"#;
    let timer = |status: &str, past_due: bool| {
        format!(
            r#"{{"Data":{{"timer":{{"Schedule":{{"AdjustForDST":true}},"ScheduleStatus":{status},"IsPastDue":{past_due}}}}},{sys}}}"#
        )
    };
    let status = |last: &str, next: &str| format!(r#"{{"Last":"{last}","Next":"{next}","LastUpdated":"{last}"}}"#);
    let seen = |past_due, scheduled, last| Invocation { id: None, past_due, scheduled, last };
    let next = "2026-11-21T10:05:00+00:00";
    vec![
        (timer(&status("2026-11-21T10:00:00+00:00", next), false), seen(false, five_past, ten)),
        (timer(&status("2026-11-21T10:00:00.0004999+00:00", next), false), seen(false, five_past, ten)),
        (timer(&status("2026-11-21T12:00:00+02:00", "2026-11-21T12:05:00+02:00"), false), seen(false, five_past, ten)),
        (timer(&status("0001-01-01T00:00:00+00:00", next), false), seen(false, five_past, None)),
        (timer(&status("0001-01-01T00:00:00", next), false), seen(false, five_past, None)),
        (timer(&status("2026-11-14T10:00:00+00:00", "2026-11-21T10:00:00+00:00"), true), {
            seen(true, ten, Instant::from_iso("2026-11-14T10:00:00Z"))
        }),
        (timer("null", false), seen(false, None, None)),
        (r#"{"Data":{"timer":{"IsPastDue":false}},"Metadata":{}}"#.to_owned(), seen(false, None, None)),
        (r#"{"Data":{"myTimer":{"IsPastDue":true,"New":{"a":[1]}}},"Extra":1}"#.to_owned(), seen(true, None, None)),
        (
            r#"{"Data":{"timer":"null"},"Metadata":{"RetryContext":{"RetryCount":0}}}"#.to_owned(),
            seen(false, None, None),
        ),
        ("{}".to_owned(), seen(false, None, None)),
    ]
}

#[tokio::test]
async fn every_form_of_a_timers_envelope_starts_a_poll() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&seen);
    let server = Server::of(polling(move |invocation| {
        keep.lock().unwrap().push(invocation);
        async { summary("done") }
    }))
    .await;
    for (payload, expected) in payloads() {
        for mode in BODY_MODES {
            for call in [Call::new(FUNCTION, &payload), Call::new(FUNCTION, &payload).traced()] {
                assert_eq!(server.wire.invoke(&call.clone().mode(mode)).await, succeeded("done"), "{payload}");
                let seen = seen.lock().unwrap().pop();
                assert_eq!(seen, Some(Invocation { id: Some(call.id), ..expected.clone() }), "{mode:?} {payload}");
            }
        }
    }
}

#[tokio::test]
async fn a_body_that_is_no_envelope_is_refused_and_starts_nothing() {
    let server = Server::of(polling(|_| async { panic!("nothing to poll for") })).await;
    for payload in ["", "null", "[]", "1", "\"text\"", "{", "{}{}", "\u{1}", &"[".repeat(1000)] {
        for mode in BODY_MODES {
            let answer = server.wire.post(&Call::new(FUNCTION, payload).mode(mode)).await;
            assert_eq!(answer.status, 400, "{mode:?} {payload}");
            assert!(answer.object()["error"].as_str().unwrap().starts_with("the body is "), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_body_over_one_megabyte_is_refused_and_one_of_that_size_is_not() {
    let server = Server::of(polling(|_| async { summary("done") })).await;
    for mode in BODY_MODES {
        let of_size = |bytes: usize| Call::new(FUNCTION, &format!("{{}}{}", " ".repeat(bytes - 2))).mode(mode);
        assert_eq!(server.wire.invoke(&of_size(1_000_000)).await, succeeded("done"), "{mode:?}");
        for bytes in [1_000_001, 8_000_000] {
            let answer = server.wire.post(&of_size(bytes)).await;
            assert_eq!(answer.status, 400, "{mode:?} {bytes}");
            assert!(answer.object()["error"].as_str().unwrap().contains("1000000 bytes"), "{answer:?}");
        }
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_is_refused_with_an_object() {
    let server = Server::of(polling(|_| async { panic!("nothing to poll for") })).await;
    let whole = String::from_utf8(tick().bytes(1)).unwrap();
    let (head, _) = whole.split_once("\r\n\r\n").unwrap();
    let answer = server.wire.exchange(format!("{head}\r\n\r\nno chunk size\r\n{{}}").as_bytes()).await;
    assert_eq!(answer.status, 400);
    assert!(answer.object()["error"].is_string());
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_with_an_object() {
    let server = Server::of(polling(|_| async { panic!("nothing to poll for") })).await;
    for (method, path, status) in [
        ("GET", "/DarktracePoll", 405),
        ("PUT", "/DarktracePoll", 405),
        ("POST", "/", 405),
        ("GET", "/favicon.ico", 404),
        ("POST", "/darktracepoll", 404),
        ("POST", "/DarktracePoll/", 404),
        ("POST", "/api/DarktracePoll", 404),
        ("OPTIONS", "/%00%0a", 404),
    ] {
        let answer = server.wire.request(method, path).await;
        assert_eq!(answer.status, status, "{method} {path}");
        assert!(answer.object()["error"].is_string());
    }
    assert_eq!(server.wire.request("GET", "/DarktracePoll").await.header("allow"), Some("POST"));
}

#[tokio::test]
async fn head_is_answered_like_get_without_the_body() {
    let server = Server::of(polling(|_| async { summary("done") })).await;
    let (get, head) = (server.wire.request("GET", "/").await, server.wire.request("HEAD", "/").await);
    assert_eq!((head.status, head.header("content-type")), (200, Some("application/json")));
    assert_eq!(head.header("content-length"), get.header("content-length"));
    assert_eq!(head.body, b"");
    let poll = server.wire.request("HEAD", "/DarktracePoll").await;
    assert_eq!((poll.status, poll.header("content-type")), (405, Some("application/json")));
}

#[tokio::test]
async fn connections_are_kept_and_used_again() {
    let server = Server::of(polling(|_| async { summary("done") })).await;
    for round in 0..20 {
        server.wire.request("GET", "/").await;
        assert_eq!(server.wire.invoke(&tick().mode(BODY_MODES[round % 2])).await, succeeded("done"));
        assert_eq!(server.wire.request("GET", "/missing").await.status, 404);
    }
    assert_eq!(server.wire.opened(), 1);
}

#[tokio::test]
async fn a_poll_that_fails_turns_the_invocation_red() {
    let failing = || async { Summary { failed: true, lines: vec!["hq email: the role is missing".to_owned()] } };
    let server = Server::of(polling(move |_| failing())).await;
    assert!(matches!(server.wire.invoke(&tick()).await, Verdict::Failed { .. }));
    let answer = server.wire.post(&tick()).await;
    assert_eq!(answer.status, 500);
    assert_eq!(answer.object()["lines"], json!(["hq email: the role is missing"]));
    assert!(answer.object()["error"].is_string());
}

#[tokio::test]
async fn a_panic_turns_the_invocation_red_and_the_next_one_runs() {
    async fn run(turn: usize) -> Summary {
        tokio::task::yield_now().await;
        assert_ne!(turn, 1, "the token is hunter2");
        summary("done")
    }
    let turns = AtomicUsize::new(0);
    let server = Server::of(polling(move |_| {
        let turn = turns.fetch_add(1, Ordering::SeqCst);
        assert_ne!(turn, 0, "the token is hunter2");
        run(turn)
    }))
    .await;
    for _ in 0..2 {
        let answer = server.wire.post(&tick()).await;
        assert_eq!(answer.status, 500);
        assert!(answer.object()["error"].as_str().unwrap().contains("panic at"));
        assert!(!String::from_utf8_lossy(&answer.body).contains("hunter2"));
    }
    assert_eq!(server.wire.invoke(&tick()).await, succeeded("done"));
}

/// A hundred at a time, ten in a row each: more connections at once than the backlog of a listener would be put off by the
/// kernel for seconds, which is no claim about the handler.
#[tokio::test]
async fn a_thousand_invocations_during_a_run_start_no_other() {
    let slow = Slow::default();
    let server = Server::of(slow.poll()).await;
    let wire = Arc::new(server.wire);
    let mut callers = JoinSet::new();
    for _ in 0..101 {
        callers.spawn(ten_posts(Arc::clone(&wire)));
    }
    for _ in 0..100 {
        let answers = timeout(PATIENCE, callers.join_next()).await.expect("all but one are answered").unwrap().unwrap();
        assert_eq!(answers, vec![succeeded(SKIPPED); 10]);
    }
    slow.finish();
    assert_eq!(callers.join_next().await.unwrap().unwrap(), [succeeded("done")]);
    assert_eq!(slow.counts(), (1, 1));
}

/// The answers to ten invocations in a row, or to the only one that was let in.
async fn ten_posts(wire: Arc<Wire>) -> Vec<Verdict> {
    let mut answers = Vec::new();
    while answers.len() < 10 {
        let answer = wire.invoke(&tick()).await;
        if answer == succeeded("done") {
            return vec![answer];
        }
        answers.push(answer);
    }
    answers
}

#[tokio::test]
async fn the_next_invocation_after_an_answer_is_never_too_early() {
    let server = Server::of(polling(|_| async { summary("done") })).await;
    for _ in 0..500 {
        assert_eq!(server.wire.invoke(&tick()).await, succeeded("done"));
    }
}

#[tokio::test]
async fn a_run_goes_on_when_the_host_drops_the_connection() {
    let slow = Slow::default();
    let server = Server::of(slow.poll()).await;
    let mut connection = server.wire.connect().await.unwrap();
    connection.send(&tick().bytes(1)).await.unwrap();
    slow.running().await;
    drop(connection);
    assert_eq!(server.wire.invoke(&tick()).await, succeeded(SKIPPED));
    slow.finish();
    // The run has nobody to answer to, so its end shows in the next invocation that is let in.
    slow.finish();
    let next = async { while server.wire.invoke(&tick()).await == succeeded(SKIPPED) {} };
    timeout(PATIENCE, next).await.expect("the gate opens again");
    assert_eq!(slow.counts(), (2, 2));
}

#[tokio::test]
async fn stopping_waits_for_the_run_in_progress_and_its_answer() {
    let slow = Slow::default();
    let Server { wire, stop, mut served } = Server::of(slow.poll()).await;
    // Idle connections do not hold it up, whether they were used or not.
    wire.request("GET", "/").await;
    let _unused = wire.connect().await.unwrap();
    let call = tokio::spawn(async move { wire.invoke(&tick()).await });
    slow.running().await;
    stop.send(()).unwrap();
    assert!(timeout(Duration::from_millis(100), &mut served).await.is_err(), "it did not wait for the run");
    slow.finish();
    assert_eq!(call.await.unwrap(), succeeded("done"));
    timeout(PATIENCE, served).await.expect("serve returns").unwrap().unwrap();
    assert_eq!(slow.counts(), (1, 1));
}

#[tokio::test]
async fn stopping_waits_for_a_run_that_nobody_listens_to() {
    let slow = Slow::default();
    let Server { wire, stop, mut served } = Server::of(slow.poll()).await;
    let mut connection = wire.connect().await.unwrap();
    connection.send(&tick().mode(BodyMode::Sized).bytes(1)).await.unwrap();
    slow.running().await;
    drop(connection);
    stop.send(()).unwrap();
    assert!(timeout(Duration::from_millis(100), &mut served).await.is_err(), "it did not wait for the run");
    slow.finish();
    timeout(PATIENCE, served).await.expect("serve returns").unwrap().unwrap();
    assert_eq!(slow.counts(), (1, 1));
}

fn json_file(path: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The folder's name is the path that the host posts to. The trigger keeps its status in storage (`useMonitor`), so that a
/// tick missed while the host was away is made up for once; it does not fire at each start of a listener (`runOnStartup`),
/// which is often on a plan that scales to zero; and there is no retry policy, because the next tick is the retry.
#[test]
fn the_function_folder_is_the_route_and_holds_one_plain_timer() {
    let function = json_file(&format!("{FUNCTION}/function.json"));
    let timer = json!({
        "type": "timerTrigger", "direction": "in", "name": "timer", "schedule": "%POLL_SCHEDULE%",
        "runOnStartup": false, "useMonitor": true,
    });
    assert_eq!(function, json!({ "bindings": [timer] }));
}

/// The host asks whoever calls for the key of the function, and takes the answer from the binding that the handler names.
#[test]
fn the_folders_of_what_is_called_by_http_ask_for_a_key_and_answer_through_res() {
    for (name, method) in [(CHECK, "post"), (STATUS, "get")] {
        let request = json!({
            "type": "httpTrigger", "direction": "in", "name": "req", "authLevel": "function", "methods": [method],
        });
        let answer = json!({ "type": "http", "direction": "out", "name": "res" });
        assert_eq!(json_file(&format!("{name}/function.json")), json!({ "bindings": [request, answer] }));
    }
}

/// `arguments` names the command rather than leaving it to be guessed from a variable: `host.json` then says what runs, and
/// the binary without arguments can print its help. With `useStdErrorStreamForErrorsOnly` a line on stderr is a Warning when
/// it contains "warn" and an Error otherwise, which is how `log` writes them.
#[test]
fn host_json_starts_our_command_and_reads_its_levels() {
    let handler = &json_file("host.json")["customHandler"];
    let description = json!({
        "defaultExecutablePath": env!("CARGO_PKG_NAME"), "arguments": ["serve"], "useStdErrorStreamForErrorsOnly": true,
    });
    assert_eq!(*handler, json!({ "description": description, "enableForwardingHttpRequest": false }));
}

/// Ten minutes, which is also the most that the Consumption plan allows. An extension bundle would be a download at each
/// cold start, and a timer needs none.
#[test]
fn host_json_gives_a_run_ten_minutes_and_loads_nothing() {
    let host = json_file("host.json");
    let [hours, minutes, seconds]: [u64; 3] = {
        let text = host["functionTimeout"].as_str().unwrap();
        text.split(':').map(|part| part.parse().unwrap()).collect::<Vec<_>>().try_into().unwrap()
    };
    assert_eq!(Duration::from_secs(hours * 3600 + minutes * 60 + seconds), Duration::from_secs(600));
    assert_eq!(host["version"], "2.0");
    assert_eq!(host.get("extensionBundle"), None);
}

/// The reasons of a failed run stand in the traces alone, since the host drops the body of a failed invocation, so traces
/// must not be sampled away. They are a handful of lines per run. Dependencies and the like may be sampled.
#[test]
fn no_trace_request_or_exception_is_sampled_away() {
    let logging = &json_file("host.json")["logging"];
    assert_eq!(logging["logLevel"]["Host.Function.Console"], "Information");
    let sampling = &logging["applicationInsights"]["samplingSettings"];
    assert_eq!(*sampling, json!({ "isEnabled": true, "excludedTypes": "Request;Exception;Trace" }));
}
