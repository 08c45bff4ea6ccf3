//! Cases of answers that are too large, torn, refused, or no alerts at all; and of what is signed and who is believed.

use crate::appliance::{ALERTS_PATH, ALWAYS, CONFIGURATION, TRANSIENT, created, fails, passes, settled, tick};
use crate::host::verdict::Verdict;
use crate::tls::openssl_like;
use crate::world::{HOUR, MINUTE, PRIVATE_TOKEN, PUBLIC_TOKEN, World, listener, now_ms};
use axum::extract::Request;
use axum::middleware::map_request;
use darktrace_sentinel::checkpoint::Basis;
use darktrace_sentinel::darktrace::{Client, Question, Window, feed};
use darktrace_sentinel::http::{Attempts, Deadline, SharedBudget, Trust, appliance_client, system_clock};
use darktrace_sentinel::instant::Instant;
use darktrace_sentinel::retry;
use darktrace_sentinel::secret::Secret;
use darktrace_sentinel::sim::appliance::{AlertSpec, DateFormat, EventSpec, Fault, Modes, WindowLimit};
use darktrace_sentinel::source::{Changes, Source};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use url::Url;

/// A world of model alerts alone, forty of them in the last hour, whose wider windows than this are torn.
async fn torn_beyond(limit: i64) -> World {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "model-alerts");
    world.set("INITIAL_LOOKBACK", "1h");
    world.appliance.issue_many(40, now_ms() - HOUR + MINUTE, now_ms());
    world.appliance.set_modes(Modes { widest_window: Some(WindowLimit::Torn(limit)), ..Modes::default() });
    world
}

#[tokio::test]
async fn case_12_a_window_that_is_too_large_is_halved_down_to_minutes_and_grows_again() {
    let world = torn_beyond(5 * MINUTE).await;
    let mut failed = 0;
    while world.poll().await.code != Some(0) {
        failed += 1;
        assert!(failed < 4, "the windows do not come through");
    }
    world.check_exactly_once();
    let narrow = world.checkpoint(Source::ModelAlerts).await.position.width;
    assert!(narrow <= Duration::from_secs(5 * 60), "{narrow:?}");
    world.appliance.set_modes(Modes::default());
    for _ in 0..2 {
        world.poll_well().await;
    }
    let wide = world.checkpoint(Source::ModelAlerts).await.position.width;
    assert!(wide > narrow * 2, "{narrow:?} became {wide:?}");
    world.check_exactly_once();
    world.check_books();
}

#[tokio::test]
async fn case_12_a_window_that_never_comes_through_is_an_error_and_not_left_out() {
    let world = torn_beyond(0).await;
    for _ in 0..2 {
        let run = world.poll().await;
        assert_eq!(run.code, Some(1), "{}", run.text());
        assert!(run.line_with("ERROR darktrace default model-alerts: ").contains("the answer broke off"));
        let health = world.health_of(Source::ModelAlerts);
        assert_eq!(health["Watermark"], health["WatermarkBefore"], "{health}");
    }
    world.appliance.set_modes(Modes::default());
    world.poll_well().await;
    world.check_exactly_once();
}

#[tokio::test]
async fn case_13_a_list_that_is_cut_off_with_status_200_fails_and_is_read_again() {
    let parts = ["the answer broke off or is damaged", "look for a proxy or firewall that cuts connections"];
    fails(Fault::UnfinishedArray, TRANSIENT, &parts).await;
}

#[tokio::test]
async fn case_14_a_login_in_place_of_alerts_is_red_and_mends_itself_without_a_restart() {
    let mut world = World::new().await;
    world.set("AzureFunctionsJobHost__functionTimeout", "00:01:00");
    world.appliance.issue_alert(AlertSpec::default());
    let host = world.serve().await;
    assert!(matches!(host.wire.invoke(&tick()).await, Verdict::Succeeded { .. }));
    for (fault, says) in [
        (Fault::LoginPage, "a login page came in place of data"),
        (Fault::RedirectToLogin, "check that the token pair still exists on this master"),
    ] {
        let watermark = world.state("model-alerts")["watermark"].clone();
        world.appliance.issue_alert(AlertSpec::default());
        world.appliance.fail_next_on(ALERTS_PATH, fault, ALWAYS);
        for _ in 0..2 {
            let before = world.alert_requests();
            assert!(matches!(host.wire.invoke(&tick()).await, Verdict::Failed { .. }));
            assert_eq!(world.alert_requests() - before, 1, "asking again would not help");
        }
        assert!(host.line_with(says).await.text.contains("model-alerts"));
        assert_eq!(world.state("model-alerts")["watermark"], watermark, "the watermark stays");
        assert_eq!(world.health()["model-alerts"]["Status"], CONFIGURATION);
        world.appliance.clear_faults();
        assert!(matches!(host.wire.invoke(&tick()).await, Verdict::Succeeded { .. }));
        world.check_exactly_once();
    }
}

#[tokio::test]
async fn case_15_a_source_without_permission_is_reported_once_and_the_others_go_on() {
    let world = World::new().await;
    world.forbid(&["/aianalyst"]);
    let pbid = world.appliance.issue_alert(Default::default());
    let run = world.poll_well().await;
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.text());
    let line = run.line_with("WARN darktrace default ai-analyst: ");
    for part in
        [", unavailable: /aianalyst/incidentevents of instance default: ", "\"Visualizer\"", "Permissions Admin"]
    {
        assert!(line.contains(part), "{line}");
    }
    let health = &world.health()["ai-analyst"];
    assert_eq!((&health["Status"], &health["HttpStatus"]), (&"Unavailable".into(), &403.into()));
    assert!(health["Message"].as_str().unwrap().contains("permission"));
    assert_eq!(world.rows()[0]["EventId"], pbid.to_string());
}

/// A clock on which a second passes between any two looks.
fn hasty_clock() -> Instant {
    static LOOKS: AtomicI64 = AtomicI64::new(0);
    Instant(system_clock().0 + 1_000 * LOOKS.fetch_add(1, Ordering::SeqCst))
}

#[tokio::test]
async fn case_16_the_date_that_is_signed_is_the_date_that_is_sent() {
    let world = World::new().await;
    // The pin keeps it from looking for the system's roots, which plain http does not need.
    let http = appliance_client(&Trust { authorities: None, pins: vec![[0; 32]] }).unwrap();
    let url = Url::parse(world.appliance.base_url()).unwrap();
    let client = Client::new("default", &url, Secret::new(PUBLIC_TOKEN), http, hasty_clock);
    for _ in 0..10 {
        let attempts =
            Attempts::new(retry::APPLIANCE, Deadline::after(Duration::from_secs(30)), &SharedBudget::default());
        let target = format!("{ALERTS_PATH}?endtime={}&starttime={}", now_ms(), now_ms() - MINUTE);
        let question = Question { path: ALERTS_PATH, permission: "", target, body: None };
        client.ask(&question, &Secret::new(PRIVATE_TOKEN), attempts).await.unwrap();
    }
    let statuses: Vec<u16> = world.appliance.seen().iter().map(|request| request.status).collect();
    assert_eq!(statuses, [200; 10]);
}

#[tokio::test]
async fn case_16_a_signature_that_is_refused_once_is_made_anew_once() {
    let mut world = passes(Fault::SignatureError).await;
    let seen = world.appliance.seen();
    let mut last = seen.iter().rev().filter(|request| request.path == ALERTS_PATH);
    let (second, first) = (last.next().unwrap(), last.next().unwrap());
    assert_eq!((first.status, first.date_format), (400, Some(DateFormat::Compact)));
    assert_eq!((second.status, second.date_format), (200, Some(DateFormat::Spaced)), "each form has its own signature");
    // Beside another source, whose form may be known by then, that form would be tried once more.
    world.set("DARKTRACE_SOURCES", Source::ModelAlerts.name());
    world.appliance.fail_next_on(ALERTS_PATH, Fault::SignatureError, ALWAYS);
    let before = world.alert_requests();
    world.fails_now(CONFIGURATION, &["the signature was refused"]).await;
    assert_eq!(world.alert_requests() - before, 2, "and then it is told");
}

/// The figures of queries with blanks, stars, plus signs and umlauts are those of the test `signature`. Ours have none of
/// these: plain or escaped, they are the same bytes, and so is what is signed.
#[test]
fn case_18_no_question_holds_a_character_that_could_be_written_in_two_ways() {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/?&=,".contains(&byte);
    let (from, to) = (Instant(now_ms() - HOUR), Instant(now_ms()));
    for source in Source::ALL {
        let feed = feed(source);
        let mut targets: Vec<String> = feed.snapshot.iter().map(|snapshot| snapshot.target.to_owned()).collect();
        for path in feed.paths {
            for basis in [Basis::Unknown, Basis::Activity, Basis::Creation] {
                for changes in [Changes::Ignored, Changes::Followed] {
                    let window = Window { path, basis, changes, from, to, page: 1 };
                    let listing = feed.listing.map(|listing| listing(&window).target);
                    targets.extend([(feed.question)(&window).target].into_iter().chain(listing));
                }
            }
        }
        for target in targets {
            assert!(target.bytes().all(is_plain), "{source}: {target}");
            let url = Url::parse(&format!("https://dt.example{target}")).unwrap();
            assert_eq!(url.as_str(), format!("https://dt.example{target}"), "sent as it is signed");
        }
    }
}

/// The same appliance behind something that changes the target of each request.
async fn rewritten(world: &mut World, change: fn(&str) -> String) {
    let rewrite = move |mut request: Request| {
        let target = change(request.uri().path_and_query().unwrap().as_str());
        *request.uri_mut() = target.parse().unwrap();
        std::future::ready(request)
    };
    let (listener, router) = (listener().await, world.appliance.router().layer(map_request(rewrite)));
    world.set("DARKTRACE_HOST", &format!("http://{}", listener.local_addr().unwrap()));
    tokio::spawn(async move { axum::serve(listener, router).await });
}

#[tokio::test]
async fn case_19_a_proxy_that_changes_the_path_or_the_query_is_named_as_what_to_look_for() {
    let changes: [fn(&str) -> String; 2] =
        [|target| format!("/darktrace{target}"), |target| target.replacen("starttime", "%73tarttime", 1)];
    for change in changes {
        let mut world = settled().await;
        let direct = world.appliance.base_url().to_owned();
        rewritten(&mut world, change).await;
        world.fails_now(CONFIGURATION, &["the signature was refused", "that no proxy changes the path"]).await;
        world.set("DARKTRACE_HOST", &direct);
        world.recovers().await;
    }
}

#[tokio::test]
async fn case_19_an_address_with_a_path_is_refused_before_anything_is_asked() {
    let mut world = World::new().await;
    let address = format!("{}/darktrace", world.appliance.base_url());
    world.set("DARKTRACE_HOST", &address);
    let run = world.poll().await;
    assert_eq!(run.code, Some(78), "{}", run.text());
    assert!(run.line_with("DARKTRACE_HOST").contains("has a path"));
    assert_eq!(world.appliance.seen(), []);
}

#[tokio::test]
async fn case_20_a_certificate_that_was_renewed_overnight_is_refused_until_it_is_pinned() {
    let (pinned, renewed) = (openssl_like(), openssl_like());
    let mut world = World::secured(&pinned).await;
    world.set("DARKTRACE_PIN_SHA256", &pinned.pin());
    world.poll_well().await;
    let (asked, watermark) = (world.appliance.seen().len(), world.state("model-alerts")["watermark"].clone());
    world.renew(&renewed).await;
    world.appliance.issue_alert(created(now_ms() - MINUTE));
    world.appliance.issue_event(EventSpec::default());
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    let line = run.line_with("ERROR darktrace default model-alerts: ");
    for part in ["its certificate is not trusted", "it matches none of the pins", &renewed.pin()] {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    assert_eq!(world.health()["model-alerts"]["Status"], CONFIGURATION);
    assert_eq!(world.appliance.seen().len(), asked, "it is asked nothing");
    assert_eq!(world.state("model-alerts")["watermark"], watermark, "what is new waits");
    world.set("DARKTRACE_PIN_SHA256", &renewed.pin());
    world.poll_well().await;
    world.check_exactly_once();
}
