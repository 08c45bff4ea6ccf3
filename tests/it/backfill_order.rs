//! A range of the past that is handed over to the function app: worked off with its ticks, beside live polling, once.
//!
//! The timer of these tests fires as often as the share of a tick is smallest, ten seconds, and the master is asked so
//! seldom that a range takes several of them. What is asserted does not depend on how quick this machine is.

use crate::azurite;
use crate::host::Host;
use crate::host::process::{Exit, Level, Signal};
use crate::host::verdict::Verdict;
use crate::host::wire::Call;
use crate::journeys::{created, fetches};
use crate::serve::printed;
use crate::world::{HEALTH, HOUR, MINUTE, World, now_ms};
use darktrace_sentinel::app::App;
use darktrace_sentinel::cycle::operate::{self, BackfillProgress, End, StandingOrder};
use darktrace_sentinel::handler::{FUNCTION, STATUS};
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::settings::Settings;
use darktrace_sentinel::sim::appliance::{Fault, SeenRequest};
use darktrace_sentinel::sim::ingestion::Modes;
use darktrace_sentinel::source::Source;
use darktrace_sentinel::store::Expect;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

const DAY: i64 = 24 * HOUR;
const NAME: &str = "control/backfill.json";
const LIVE: &str = "darktrace default model-alerts: ";
const PAST: &str = "darktrace default model-alerts backfill: ";
/// Fast enough for a test, and still a pause.
const QUICK: &str = "60000";

/// A timer that fires every ten seconds, so that the past gets its least share.
fn tick() -> Call {
    let status = r#"{"Last":"2026-11-21T10:00:00+00:00","Next":"2026-11-21T10:00:10+00:00"}"#;
    Call::new(FUNCTION, &format!(r#"{{"Data":{{"timer":{{"ScheduleStatus":{status}}}}},"Metadata":{{}}}}"#))
}

async fn green(host: &Host) -> Vec<String> {
    match host.wire.invoke(&tick()).await {
        Verdict::Succeeded { logs, .. } => logs,
        other => panic!("not green: {other:?}\n{:#?}", host.lines()),
    }
}

/// Returns what was logged at ERROR.
async fn red(host: &Host) -> String {
    let before = printed(host, Level::Error).len();
    let verdict = host.wire.invoke(&tick()).await;
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}\n{:#?}", host.lines());
    error_after(host, before).await
}

/// What was printed at ERROR behind so many lines. It comes another way than the answer, and maybe later.
async fn error_after(host: &Host, lines: usize) -> String {
    let printed = async {
        while printed(host, Level::Error).len() <= lines {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), printed).await.expect("an ERROR line");
    self::printed(host, Level::Error).split_off(lines).join("\n")
}

/// The status, as a program on this machine gets it.
async fn looked(host: &Host) -> Value {
    let port = host.wire.port();
    host.wire.exchange(format!("GET /{STATUS} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n").as_bytes()).await.object()
}

fn line<'a>(lines: &'a [String], begin: &str) -> Option<&'a str> {
    lines.iter().map(String::as_str).find(|line| line.starts_with(begin))
}

impl World {
    /// A function app that has polled model alerts once, so that it is known where live polling begins.
    async fn after_a_poll() -> (Self, Host, i64) {
        let mut world = Self::on_azurite().await;
        world.set("DARKTRACE_SOURCES", Source::ModelAlerts.name());
        world.appliance.issue_alert(created(now_ms() - MINUTE));
        let host = world.app().start().await;
        green(&host).await;
        let begin = world.checkpoint(Source::ModelAlerts).await.position.floor.0;
        (world, host, begin)
    }

    fn issue_past(&self, from: i64, to: i64) {
        self.appliance.issue_many(60, from, to);
    }

    async fn hand_over(&self, from: i64, to: i64, pace: &str) -> crate::world::Run {
        let [from, to] = [from, to].map(|at| Instant(at).rfc3339());
        self.run(&["backfill", "--hand-over", "--from", &from, "--to", &to, "--requests-per-minute", pace]).await
    }

    async fn handed_over(&self, from: i64, to: i64, pace: &str) {
        let run = self.hand_over(from, to, pace).await;
        assert_eq!(run.code, Some(0), "{}", run.text());
        run.line_with("is handed over. The function app works on it with each tick");
    }

    async fn write_order(&self, document: &str) {
        self.store().write(NAME, document.to_owned().into(), Expect::Anything).await.unwrap();
    }

    async fn order(&self) -> Option<StandingOrder> {
        operate::standing_order(&self.store()).await.unwrap()
    }

    /// Ticks until the order is complete; returns how often.
    async fn ticks_until_complete(&self, host: &Host) -> usize {
        for ticks in 1..=30 {
            green(host).await;
            if self.order().await.is_some_and(|order| order.completed_at.is_some()) {
                return ticks;
            }
        }
        panic!("the order does not come to its end\n{:#?}", host.lines());
    }

    /// The questions for model alerts before this time.
    fn questions_before(&self, at: i64) -> Vec<SeenRequest> {
        let seen = self.appliance.seen();
        seen.into_iter()
            .filter(|request| fetches(std::slice::from_ref(request)).iter().any(|(_, to)| *to < at))
            .collect()
    }

    fn health_of_work(&self, work: &str) -> Vec<Value> {
        self.ingestion.rows(HEALTH).into_iter().filter(|row| row["Work"] == work).collect()
    }

    async fn progress(&self) -> Option<BackfillProgress> {
        let environment = self.environment().clone();
        let settings =
            Settings::read(&|name: &str| environment.get(name).filter(|value| !value.is_empty()).cloned()).unwrap();
        let (_drain, drained) = watch::channel(false);
        let app = App::assemble(&settings, drained).unwrap();
        let job = app.jobs().next().unwrap();
        operate::backfill_progress(job).await.unwrap()
    }
}

fn kinds(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["IngestKind"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_order_is_worked_off_over_several_ticks_and_new_alerts_come_first_in_each() {
    let (world, host, begin) = World::after_a_poll().await;
    let from = begin - 3 * DAY;
    world.issue_past(from, begin);
    assert_eq!(world.progress().await, None);
    world.handed_over(from, begin, "12").await;
    let mut ticks = 0;
    while world.order().await.unwrap().completed_at.is_none() {
        ticks += 1;
        assert!(ticks < 20, "{:#?}", host.lines());
        let before = world.rows().len();
        world.appliance.issue_alert(created(now_ms() - MINUTE / 2));
        let logs = green(&host).await;
        assert!(line(&logs, LIVE).unwrap().contains("new 1"), "{logs:?}");
        let arrived = world.rows().split_off(before);
        assert_ne!(kinds(&arrived)[0], "backfill");
        assert!(kinds(&arrived)[1..].iter().all(|kind| *kind == "backfill"), "{:?}", kinds(&arrived));
        if world.order().await.unwrap().completed_at.is_none() {
            let past = line(&logs, PAST).unwrap();
            assert!(past.contains(", at 20") && past.ends_with(", the next tick goes on"), "{past}");
            assert!(world.progress().await.is_some_and(|progress| !progress.done));
        }
    }
    assert!(ticks > 1, "five seconds between requests do not fit into one tick");
    world.check_exactly_once();
    let (first, last) = (Instant(from), Instant(begin - 1));
    assert_eq!(world.progress().await, Some(BackfillProgress { first, last, next: Instant(begin), done: true }));
    let order = world.order().await.unwrap();
    assert_eq!(order.ended.iter().map(|ended| ended.end).collect::<Vec<_>>(), [End::Complete]);
    let health = world.health_of_work("Backfill");
    assert_eq!(health.len(), ticks);
    assert!(health[..ticks - 1].iter().all(|row| row["Status"] == "Partial" && row["StoppedBy"] == "Deadline"));
    assert_eq!(health[ticks - 1]["Status"], "Success");
    assert_eq!(world.health_of_work("Poll").len(), ticks + 1);

    // What is done costs nothing any more, and the pace was that of the past alone.
    let asked = world.questions_before(begin).len();
    let logs = green(&host).await;
    assert_eq!((line(&logs, PAST), world.questions_before(begin).len()), (None, asked));
    assert_eq!(world.health_of_work("Backfill").len(), ticks);
    assert_eq!(printed(&host, Level::Error), Vec::<String>::new());
}

#[tokio::test]
async fn the_pace_holds_from_tick_to_tick() {
    let (world, host, begin) = World::after_a_poll().await;
    // Nothing lies there, so that nothing but windows is asked for.
    world.handed_over(begin - 3 * DAY, begin, "4").await;
    for _ in 0..2 {
        green(&host).await;
    }
    let at: Vec<i64> = world.questions_before(begin).iter().map(|request| request.received_at_ms).collect();
    assert!(at.len() >= 2, "{at:?}");
    // A tick ends after ten seconds, so that a pace of each tick by itself would ask again then.
    assert!(at.windows(2).all(|pair| pair[1] - pair[0] > 12_500), "{at:?}");
}

#[tokio::test]
async fn a_master_whose_past_takes_all_of_a_tick_does_not_keep_the_others_from_theirs() {
    let (mut world, plant) = World::with_two_masters().await;
    world.set("DARKTRACE_SOURCES", Source::ModelAlerts.name());
    let host = world.app().start().await;
    green(&host).await;
    let begin = now_ms() - 5 * DAY;
    world.handed_over(begin - 90 * DAY, begin, "12").await;
    for _ in 0..2 {
        green(&host).await;
    }
    let of_plant = fetches(&plant.seen()).iter().filter(|(_, to)| *to < begin).count();
    assert!(!world.questions_before(begin).is_empty() && of_plant > 0, "hq asked, plant {of_plant} times");
}

#[tokio::test]
async fn a_source_that_live_polling_has_trouble_with_gets_no_turn() {
    let (world, host, begin) = World::after_a_poll().await;
    world.issue_past(begin - 2 * DAY, begin);
    world.handed_over(begin - 2 * DAY, begin, QUICK).await;
    world.appliance.fail_next(Fault::LoginPage, 1);
    red(&host).await;
    assert_eq!((world.questions_before(begin).len(), world.health_of_work("Backfill").len()), (0, 0));
    world.run_well(&["pause"]).await;
    assert_eq!(line(&green(&host).await, PAST), None, "what stands still does so as a whole");
    world.run_well(&["resume"]).await;
    world.ticks_until_complete(&host).await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_failure_of_the_past_turns_the_tick_red_and_the_next_one_goes_on() {
    let (world, host, begin) = World::after_a_poll().await;
    world.issue_past(begin - 3 * HOUR, begin);
    world.handed_over(begin - 2 * DAY, begin, "20").await;
    let wire = Arc::clone(&host.wire);
    let run = tokio::spawn(async move { wire.invoke(&tick()).await });
    world.wait_for_questions(begin, 1).await;
    // Live polling has ended, and the past asks again in three seconds.
    world.appliance.fail_next_on("/modelbreaches", Fault::LoginPage, 1);
    let verdict = run.await.unwrap();
    assert!(matches!(verdict, Verdict::Failed { .. }), "{verdict:?}");
    let told = error_after(&host, 0).await;
    assert!(told.contains(PAST) && told.contains("backfill --withdraw takes it back"), "{told}");
    world.ticks_until_complete(&host).await;
    world.check_exactly_once();
}

impl World {
    /// Waits until the past was asked for so often.
    async fn wait_for_questions(&self, begin: i64, count: usize) {
        let asked = async {
            while self.questions_before(begin).len() < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), asked).await.expect("the past is asked for");
    }
}

#[tokio::test]
async fn a_process_that_is_killed_in_the_middle_is_followed_by_one_that_loses_nothing() {
    let (world, mut host, begin) = World::after_a_poll().await;
    world.issue_past(begin - 4 * DAY, begin);
    world.handed_over(begin - 4 * DAY, begin, QUICK).await;
    // The health row of live polling and the first slice are taken, and the second slice is held.
    let taken = world.ingestion.taken_rows();
    world.ingestion.set_modes(Modes { pause_after_rows: Some(taken + 2), ..Modes::default() });
    let wire = Arc::clone(&host.wire);
    let run = tokio::spawn(async move { wire.post(&tick()).await });
    let last_is_held = || world.ingestion.posts().last().is_some_and(|post| !post.was_taken && post.rows > 0);
    let held = async {
        while world.ingestion.taken_rows() < taken + 2 || !last_is_held() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), held).await.expect("a post is held");
    host.signal(Signal::Kill);
    assert_eq!(host.exit().await, Exit::Counted(137));
    run.abort();
    assert!(kinds(&world.rows()).contains(&"backfill"), "something came before the kill");
    world.ingestion.set_modes(Modes::default());
    for lock in ["lock/default/model-alerts", "backfill/default/model-alerts/lock"] {
        azurite::break_lease_if_held(world.container(), lock).await;
    }
    let next = world.app().start().await;
    world.ticks_until_complete(&next).await;
    // What was held was never taken.
    world.check_exactly_once();
}

#[tokio::test]
async fn a_signal_ends_the_past_as_it_ends_a_poll() {
    let (world, mut host, begin) = World::after_a_poll().await;
    world.handed_over(begin - 30 * DAY, begin, "4").await;
    let wire = Arc::clone(&host.wire);
    let run = tokio::spawn(async move { wire.invoke(&tick()).await });
    world.wait_for_questions(begin, 1).await;
    host.signal(Signal::Term);
    let Verdict::Succeeded { logs, .. } = run.await.unwrap() else { panic!("{:#?}", host.lines()) };
    assert!(line(&logs, PAST).unwrap().ends_with("stopped by a signal, the next run goes on"), "{logs:?}");
    assert_eq!(host.exit().await, Exit::Counted(143));
}

#[tokio::test]
async fn an_order_by_hand_that_is_wrong_is_told_and_mended_while_live_polling_goes_on() {
    let (world, host, begin) = World::after_a_poll().await;
    world.issue_past(begin - 2 * DAY, begin);
    let from = Instant(begin - 2 * DAY);
    for (document, told) in [
        (
            format!(r#"{{"from": "{from}"}}"#),
            "the field to is missing or wrong; expected is a day or a time in UTC such as",
        ),
        (
            format!(r#"{{"from": "{from}", "to": "{}", "instance": "hk"}}"#, Instant(begin)),
            "there are: default model-alerts",
        ),
        (format!(r#"{{"from": "{from}", "to": "{}"}}"#, Instant(begin + HOUR)), "the range may go up to --to"),
    ] {
        world.write_order(&document).await;
        world.appliance.issue_alert(created(now_ms() - MINUTE));
        let rows = world.rows().len();
        let error = red(&host).await;
        assert!(error.contains(told) && error.contains("--withdraw"), "{error}");
        assert_eq!(world.rows().len(), rows + 1, "live polling goes on");
        let status = looked(&host).await;
        assert_eq!(status["verdict"], "failing", "who looks sees what is red");
        assert!(status["orderProblem"].as_str().is_some_and(|problem| problem.contains(told)), "{status}");
    }
    world
        .write_order(&format!(r#"{{"from": "{from}", "to": "{}", "requestsPerMinute": {QUICK}}}"#, Instant(begin)))
        .await;
    world.ticks_until_complete(&host).await;
    assert_eq!(looked(&host).await["orderProblem"], Value::Null);
    world.check_exactly_once();
}

#[tokio::test]
async fn an_order_that_is_taken_back_goes_on_where_it_was_when_it_is_given_again() {
    let (world, host, begin) = World::after_a_poll().await;
    let from = begin - 3 * DAY;
    world.issue_past(from, begin);
    world.handed_over(from, begin, "12").await;
    while world.progress().await.is_none_or(|progress| progress.next == progress.first) {
        green(&host).await;
    }
    let withdrawn = world.run_well(&["backfill", "--withdraw"]).await;
    withdrawn.line_with("The order is taken back");
    assert_eq!((world.order().await, line(&green(&host).await, PAST)), (None, None));
    world.handed_over(from, begin, QUICK).await;
    let told = world.health_of_work("Backfill").len();
    world.ticks_until_complete(&host).await;
    let row = &world.health_of_work("Backfill")[told];
    assert_ne!(row["WatermarkBefore"], Instant(from).rfc3339(), "not from its begin");
    world.check_exactly_once();
    world.run_well(&["backfill", "--withdraw"]).await.line_with("the last order was complete at 20");
    assert!(world.order().await.is_some(), "the record stays");
}

#[tokio::test]
async fn an_order_is_given_once_and_only_where_it_may_be_followed() {
    let world = World::new().await;
    let now = now_ms();
    let refused = world.hand_over(now - 3 * DAY, now - HOUR, "30").await;
    assert_eq!(refused.code, Some(1), "{}", refused.text());
    refused.line_with("its first run reads from about");
    assert_eq!(world.order().await, None);
    world.handed_over(now - 3 * DAY, now - 2 * DAY, "30").await;
    let second = world.hand_over(now - 9 * DAY, now - 8 * DAY, "30").await;
    assert_eq!(second.code, Some(1), "{}", second.text());
    second.line_with(
        "stands and is unfinished; let the function app finish it, or take it back with backfill --withdraw",
    );
    assert!(
        world.order().await.is_some_and(|order| order.from == Instant(now - 3 * DAY) && order.ordered_at.is_some())
    );
    world.poll_well().await;
    assert_eq!(world.health_of_work("Backfill").len(), 0, "a poll by hand leaves it to the function app");
    world.run_well(&["backfill", "--withdraw"]).await;
    world.run_well(&["backfill", "--withdraw"]).await.line_with("no order stands");
}

#[tokio::test]
async fn of_two_orders_at_one_moment_one_stands_and_what_ended_of_another_is_not_put_into_it() {
    let world = World::new().await;
    let (store, now) = (world.store(), now_ms());
    let order = |days: i64| {
        let from = Instant(now - days * DAY);
        let pace = std::num::NonZeroU32::new(30).unwrap();
        let (ended, to) = (Vec::new(), Instant(now - 2 * DAY));
        let (instance, source, ordered_at, completed_at) = (None, None, Some(from), None);
        StandingOrder {
            from,
            to,
            instance,
            source,
            force: false,
            requests_per_minute: pace,
            ordered_at,
            ended,
            completed_at,
        }
    };
    let (one, other) = (order(9), order(5));
    let (first, second) = tokio::join!(operate::hand_over(&store, &one), operate::hand_over(&store, &other));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let (standing, gone) = if first.is_ok() { (one, other) } else { (other, one) };
    let (instance, source, end, at) = ("default".to_owned(), Source::ModelAlerts, End::Complete, Instant(now));
    let ended = |order: &StandingOrder| {
        let ended = vec![operate::Ended { instance: instance.clone(), source, end, at }];
        StandingOrder { ended, completed_at: Some(at), ..order.clone() }
    };
    assert!(!operate::note_ends(&store, &ended(&gone)).await.unwrap());
    assert_eq!(world.order().await, Some(standing.clone()));
    assert!(operate::note_ends(&store, &ended(&standing)).await.unwrap());
    assert_eq!(world.order().await, Some(ended(&standing)));
}

#[tokio::test]
async fn the_past_has_no_time_that_the_invocation_does_not_have() {
    let mut world = World::new().await;
    world.set("AzureFunctionsJobHost__functionTimeout", "00:00:05");
    let host = world.app().start().await;
    green(&host).await;
    world.handed_over(now_ms() - 90 * DAY, now_ms() - 9 * DAY, "4").await;
    let begin = tokio::time::Instant::now();
    green(&host).await;
    // Its share would be ten seconds, and the soft deadline is three and a half.
    assert!(begin.elapsed() < Duration::from_secs(9), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn arguments_that_do_not_go_together_are_refused() {
    let world = World::new().await;
    let range = ["--from", "2026-01-01", "--to", "2026-01-02"];
    for (arguments, part) in [
        (vec!["--from", "2026-01-01"], "--to"),
        (vec!["--hand-over"], "--from"),
        ([&range[..], &["--hand-over", "--restart"]].concat(), "--restart"),
        ([&range[..], &["--hand-over", "--dry-run"]].concat(), "--dry-run"),
        ([&range[..], &["--withdraw"]].concat(), "--withdraw"),
        (vec!["--withdraw", "--hand-over"], "--hand-over"),
    ] {
        let run = world.run(&[&["backfill"], &arguments[..]].concat()).await;
        assert!(run.code == Some(64) && run.stderr.contains(part), "{arguments:?}: {}", run.text());
    }
}

#[tokio::test]
async fn a_backfill_by_hand_has_its_health_rows_too() {
    let world = World::new().await;
    let now = now_ms();
    let [from, to] = [now - 3 * DAY, now - 2 * DAY].map(|at| Instant(at).rfc3339());
    let run = world.run_well(&["backfill", "--from", &from, "--to", &to, "--requests-per-minute", QUICK]).await;
    run.line_with(PAST);
    let rows = world.health_of_work("Backfill");
    let sources: Vec<_> =
        rows.iter().map(|row| (row["Source"].as_str().unwrap(), row["Status"].as_str().unwrap())).collect();
    assert_eq!(sources, [("model-alerts", "Success"), ("ai-analyst", "Success")]);
    let world = World::new().await;
    world.run_well(&["backfill", "--from", &from, "--to", &to, "--requests-per-minute", QUICK, "--dry-run"]).await;
    assert_eq!(world.ingestion.rows(HEALTH).len(), 0);
}

#[tokio::test]
async fn two_function_apps_with_one_order_store_nothing_twice() {
    let (world, one, begin) = World::after_a_poll().await;
    let other = world.app().start().await;
    world.issue_past(begin - 30 * DAY, begin);
    world.handed_over(begin - 30 * DAY, begin, QUICK).await;
    world.ingestion.set_modes(Modes { latency_ms: 50, ..Modes::default() });
    for _ in 0..30 {
        world.appliance.issue_alert(created(now_ms() - MINUTE / 2));
        tokio::join!(green(&one), green(&other));
        if world.order().await.unwrap().completed_at.is_some() {
            break;
        }
    }
    assert!(world.order().await.unwrap().completed_at.is_some(), "{:#?}", one.lines());
    // Whoever met the other's lease left the last alert to the next tick.
    green(&one).await;
    world.check_exactly_once();
}
