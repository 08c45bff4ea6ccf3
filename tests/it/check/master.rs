//! Everything that the simulated appliance can do wrong, and sockets that are none, each with the finding, the step, the
//! exit code, and nothing else that is blamed.

use crate::tls::openssl_like;
use crate::world::{MINUTE, World, listener};
use darktrace_sentinel::sim::RetryAfter;
use darktrace_sentinel::sim::appliance::{AlertSpec, EmailPrefix, Fault, Framing, Modes, WindowLimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const ALERTS: &str = "permission of model-alerts";
/// More often than a check asks.
const ALWAYS: usize = 100;

/// A world with one alert among those that a check reads.
async fn world() -> World {
    let world = World::new().await;
    world.issue_witness();
    world
}

#[tokio::test]
async fn whatever_comes_in_the_masters_place_is_the_only_failure() {
    for (fault, checked, seen, next) in [
        (Fault::LoginPage, "answer", "a login page came in place of data", "look for a proxy in between"),
        (Fault::RedirectToLogin, "signature", "the token was not accepted", "check that the token pair still exists"),
        (Fault::SignatureError, "signature", "the signature was refused", "check DARKTRACE_PUBLIC_TOKEN"),
        (Fault::DateError, "signature", "the date of the request was refused", "30 minutes at most"),
        (Fault::ErrorEnvelope, "answer", "an error message came in place of data", "the master's own log"),
        (Fault::ProxyHtml(200), "answer", "a web page came with status 200", "answers in the master's place"),
        (Fault::ProxyHtml(403), "answer", "a web page came with status 403", "answers in the master's place"),
        (Fault::ProxyHtml(404), "answer", "a web page came with status 404", "answers in the master's place"),
        (Fault::ProxyHtml(502), "answer", "answered 502", "run the check again in a few minutes"),
        (Fault::Status(301, None), "answer", "a redirect, which is never followed", "has to be the master itself"),
        (Fault::Status(400, None), "answer", "every request is refused (400)", "check that DARKTRACE_HOST"),
        (Fault::Status(401, None), "signature", "the signature was refused", "check DARKTRACE_PUBLIC_TOKEN"),
        (Fault::Status(404, None), "answer", "nothing is known of any path", "check that DARKTRACE_HOST"),
        (Fault::Status(418, None), "answer", "the unexpected status 418", "check that DARKTRACE_HOST"),
        (Fault::Status(429, Some(RetryAfter::Seconds(60))), "answer", "asks for fewer requests", "in a few minutes"),
        (Fault::Status(503, None), "answer", "answered 503", "run the check again in a few minutes"),
        (Fault::Reset, "answer", "no answer came", "check that DARKTRACE_HOST is right"),
        (Fault::Empty, "answer", "the answer was empty", "look for a proxy"),
        (Fault::NotJson, "answer", "an error message came in place of data", "the master's own log"),
    ] {
        let world = world().await;
        world.appliance.fail_next(fault.clone(), ALWAYS);
        let read = world.check().await;
        read.fails_only(&[checked], 1);
        read.says("fail", checked, seen, next);
        read.says("skipped", "permissions", "as long as the signature is not accepted", "");
        read.says("pass", "connection", "", "");
        let (_, _, step) = read.finding(checked);
        assert!(!step.contains("next run"), "a check has no next run: {fault:?} {step}");
        if checked == "answer" {
            read.says("skipped", "signature", "no answer of the master came", "");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_403_on_every_path_is_a_token_without_any_permission() {
    let world = world().await;
    world.appliance.fail_next(Fault::RedirectTo403, ALWAYS);
    let read = world.check().await;
    read.fails_only(&[ALERTS, "permission of ai-analyst"], 1);
    read.says("pass", "signature", "accepted", "");
    read.says("fail", ALERTS, "the token may not read /modelbreaches", "under Permissions Admin");
}

#[tokio::test]
async fn an_answer_that_is_cut_or_strange_on_one_path_is_a_matter_of_that_path() {
    for (fault, seen, next) in [
        (Fault::TornBody, "broke off or is damaged", "proxy or firewall that cuts connections"),
        (Fault::UnfinishedArray, "broke off or is damaged", "proxy or firewall that cuts connections"),
        (Fault::WrongLength, "broke off or is damaged", "proxy or firewall that cuts connections"),
        (Fault::Empty, "the answer was empty", "look for a proxy"),
        (Fault::NotJson, "an error message came", "the master's own log"),
        (Fault::ErrorEnvelope, "an error message came", "the master's own log"),
        (Fault::Status(500, None), "answered 500", "run the check again"),
        (Fault::Status(429, None), "asks for fewer requests", "who else asks this master"),
        (Fault::LoginPage, "a login page", "look for a proxy"),
        (Fault::RedirectToLogin, "the token was not accepted, or this version has no such path", "the token pair"),
        (Fault::Reset, "no answer came", "check that DARKTRACE_HOST is right"),
        (Fault::RedirectTo403, "the token may not read /modelbreaches", "under Permissions Admin"),
    ] {
        let world = world().await;
        world.appliance.fail_next_on("/modelbreaches", fault.clone(), 1);
        let read = world.check().await;
        read.fails_only(&[ALERTS], 1);
        read.says("fail", ALERTS, seen, next);
        read.says("pass", "signature", "accepted", "");
        read.says("pass", "permission of ai-analyst", "answers", "");
    }
}

/// What a poll copes with without a word is no finding.
#[tokio::test]
async fn what_a_poll_copes_with_is_not_blamed() {
    for fault in [Fault::GzipBomb(64), Fault::OversizeRecord(8 << 20), Fault::SlowBody { bytes: 100_000, every_ms: 1 }]
    {
        let world = world().await;
        world.appliance.fail_next_on("/modelbreaches", fault, 1);
        world.check().await.fails_only(&[], 0);
    }
    for modes in [
        Modes { gzip: true, ..Modes::default() },
        Modes { newest_first: true, ..Modes::default() },
        Modes { framing: Framing::ContentLength, ..Modes::default() },
        Modes { ignores_responsedata: true, ..Modes::default() },
        Modes { page_delay_ms: 200, ..Modes::default() },
    ] {
        let world = world().await;
        world.appliance.set_modes(modes.clone());
        let read = world.check().await;
        read.fails_only(&[], 0);
        assert!(read.findings.iter().all(|finding| finding["verdict"] != "warn"), "{modes:?}");
    }
}

/// These take as long as a poll would wait, so that they stand beside one another.
#[tokio::test]
async fn an_answer_that_stalls_is_given_up_and_told() {
    let stalled = async |fault| {
        let world = world().await;
        world.appliance.fail_next_on("/modelbreaches", fault, 1);
        let read = world.check().await;
        read.fails_only(&[ALERTS], 1);
        read.says("fail", ALERTS, "the answer stalled", "the firewalls in between");
    };
    let late = async {
        let world = world().await;
        world.appliance.set_modes(Modes { page_delay_ms: 120_000, ..Modes::default() });
        let read = world.check().await;
        read.fails_only(&["answer"], 1);
        read.says("fail", "answer", "no answer came within 30 seconds", "the firewalls in between");
    };
    tokio::join!(stalled(Fault::Stall), stalled(Fault::SlowBody { bytes: 5, every_ms: 300 }), late);
}

#[tokio::test]
async fn a_status_that_cannot_be_had_is_a_warning_where_nobody_polls_it() {
    let world = world().await;
    world.appliance.fail_next_on("/status", Fault::Status(500, None), 1);
    let read = world.check().await;
    read.fails_only(&[], 0);
    read.says(
        "warn",
        "version",
        "/status: the appliance, or a proxy in front of it, answered 500",
        "run the check again",
    );
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "system-status");
    world.appliance.fail_next_on("/status", Fault::Status(500, None), 1);
    world.check().await.fails_only(&["permission of system-status for /status"], 1);
}

#[tokio::test]
async fn windows_that_are_too_wide_for_a_master_leave_its_kind_unknown() {
    for (limit, seen) in
        [(WindowLimit::Status500(3_600_000), "answered 500"), (WindowLimit::Torn(3_600_000), "broke off or is damaged")]
    {
        let world = world().await;
        for _ in 0..50 {
            world.appliance.issue_alert(AlertSpec::default());
        }
        world.appliance.set_modes(Modes { widest_window: Some(limit), ..Modes::default() });
        let read = world.check().await;
        read.fails_only(&[], 0);
        let (verdict, told, _) = read.finding("creationtime");
        assert!(verdict != "fail" && (verdict == "pass" || told.contains(seen)), "{verdict} {told}");
    }
}

#[tokio::test]
async fn e_mail_is_found_below_either_of_its_prefixes() {
    for (prefix, path) in [
        (EmailPrefix::Ep, "/agemail/api/ep/api/v1.0/emails/search answers"),
        (EmailPrefix::Plain, "/agemail/api/v1.0/emails/search answers"),
    ] {
        let mut world = World::new().await;
        world.set("DARKTRACE_SOURCES", "email");
        world.appliance.set_modes(Modes { email_prefix: prefix, ..Modes::default() });
        let read = world.check().await;
        read.fails_only(&[], 0);
        read.says("pass", "permission of email", path, "");
        assert_eq!(read.finding_or_none("creationtime"), None, "no source asks by it");
    }
}

#[tokio::test]
async fn an_e_mail_page_that_is_cut_is_a_matter_of_e_mail() {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "model-alerts,email");
    world.appliance.fail_next_on("/agemail", Fault::UnfinishedArray, 1);
    let read = world.check().await;
    read.fails_only(&["permission of email"], 1);
    read.says("fail", "permission of email", "broke off or is damaged", "proxy or firewall");
}

#[tokio::test]
async fn a_clock_on_the_other_side_is_told_too() {
    let world = world().await;
    world.appliance.set_modes(Modes { skew_ms: 40 * MINUTE, ..Modes::default() });
    let read = world.check().await;
    read.fails_only(&["clocks"], 1);
    read.says("fail", "clocks", " min ", "set the clock that is wrong by NTP");
    read.says("pass", "signature", "accepted", "");
}

#[tokio::test]
async fn a_port_without_tls_is_one_failure_and_no_matter_of_tokens() {
    let mut world = World::new().await;
    let plain = world.environment()["DARKTRACE_HOST"].replace("http:", "https:");
    world.set("DARKTRACE_HOST", &plain);
    let read = world.check().await;
    read.fails_only(&["TLS"], 1);
    read.says("fail", "TLS", "no certificate was shown", "the port in DARKTRACE_HOST is the one of HTTPS");
    read.says("skipped", "signature", "no connection came about", "");
}

/// A server that takes connections, reads what comes, and says the same to everybody.
async fn server(says: &'static [u8]) -> String {
    let listener = listener().await;
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                drop(stream.read(&mut buffer).await);
                drop(stream.write_all(says).await);
            });
        }
    });
    address.to_string()
}

#[tokio::test]
async fn a_server_that_is_no_master_is_told_as_such() {
    for (says, checked, seen, next) in [
        (&b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"[..],
            "answer", "nothing is known of any path of a master (404)", "check that DARKTRACE_HOST is the master itself"),
        (b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 8\r\nConnection: close\r\n\r\n<h1>Hi!\n",
            "answer", "a web page came with status 200", "a proxy or load balancer"),
        (b"HTTP/1.1 302 Found\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            "answer", "a redirect", "DARKTRACE_HOST has to be the master itself"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
            "answer",
            "an error message came in place of data",
            "look at the master's own log",
        ),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "answer", "no answer came", "check that DARKTRACE_HOST is right"),
        (b"", "answer", "no answer came", "check that DARKTRACE_HOST is right"),
    ] {
        let mut world = World::new().await;
        world.set("DARKTRACE_HOST", &format!("http://{}", server(says).await));
        let read = world.check().await;
        read.fails_only(&[checked], 1);
        read.says("fail", checked, seen, next);
        read.says("skipped", "version", "", "");
    }
}

#[tokio::test]
async fn the_certificate_is_shown_although_the_private_token_cannot_be_read() {
    let identity = openssl_like();
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "");
    world.set("DARKTRACE_PRIVATE_TOKEN_URI", &format!("{}/secrets/missing", world.identity.base_url()));
    let read = world.check().await;
    read.fails_only(&["TLS", "private token"], 1);
    read.says("fail", "TLS", &format!("SHA-256 {}", identity.pin()), "set DARKTRACE_PIN_SHA256=");
    read.comes_before("TLS", "private token");
    world.set("DARKTRACE_PIN_SHA256", &identity.pin());
    let read = world.check().await;
    read.fails_only(&["private token"], 1);
    read.says("pass", "TLS", "trusted: CN=darktrace", "");
    read.says("pass", "clocks", "the appliance has 20", "");
    read.says("skipped", "signature", "without the private token", "");
    assert!(world.appliance.seen().iter().all(|request| request.path == "/"), "nothing is signed without a token");
}

#[tokio::test]
async fn findings_come_in_the_order_in_which_one_would_mend_them() {
    let mut world = world().await;
    world.appliance.set_modes(Modes { forbidden: vec!["/subnets".to_owned()], ..Modes::default() });
    world.set("DARKTRACE_SOURCES", "model-alerts");
    let read = world.check().await;
    let order: Vec<_> = read.findings.iter().map(|finding| finding["checked"].as_str().unwrap()).collect();
    assert_eq!(
        order,
        [
            "every setting",
            "name resolution",
            "connection",
            "TLS",
            "clocks",
            "signature",
            "version",
            "permission of model-alerts",
            "permission of subnets",
            "creationtime",
            "token for the rule",
            "data collection endpoint",
            "stream Custom-DarktraceConnectorHealth_CL",
            "stream Custom-darktrace_model_alerts_CL",
            "checkpoint storage",
        ]
    );
}
