//! The preflight as an operator sees it: for everything that the simulators can break, the finding, its next step and the
//! exit code; and that it leaves nothing behind.

mod azure;
mod instances;
mod master;

use crate::azurite;
use crate::host::verdict::Verdict;
use crate::host::wire::{BODY_MODES, Call};
use crate::tls::openssl_like;
use crate::world::{ALERTS, HEALTH, MINUTE, PRIVATE_TOKEN, PUBLIC_TOKEN, Run, World, listener, now_ms};
use darktrace_sentinel::handler::CHECK;
use darktrace_sentinel::sim::appliance::{AlertSpec, DateFormat, Modes};
use darktrace_sentinel::sim::{identity, ingestion};
use serde_json::Value;

/// What one check said.
struct Checked {
    run: Run,
    findings: Vec<Value>,
}

impl World {
    async fn run_check(&self, arguments: &[&str]) -> Run {
        let arguments = [&["check"], arguments].concat();
        Run::of(self.command(&arguments).output().await.unwrap())
    }

    async fn check(&self) -> Checked {
        Checked::of(self.run_check(&["--json"]).await)
    }

    /// One alert whose two times differ.
    fn issue_witness(&self) {
        let (creation_ms, time_ms) = (Some(now_ms() - MINUTE), Some(now_ms() - 2 * MINUTE));
        self.appliance.issue_alert(AlertSpec { creation_ms, time_ms, ..AlertSpec::default() });
    }
}

impl Checked {
    fn of(run: Run) -> Self {
        let findings = serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}\n{}", run.text()));
        Self { run, findings }
    }

    /// The only finding of that name, as verdict, what was seen and the next step.
    fn finding(&self, checked: &str) -> (&str, &str, &str) {
        let found: Vec<_> = self.findings.iter().filter(|finding| finding["checked"] == checked).collect();
        assert_eq!(found.len(), 1, "{checked}\n{}", self.run.text());
        let text = |name: &str| found[0][name].as_str().unwrap_or_default();
        (text("verdict"), text("seen"), text("next"))
    }

    fn finding_or_none(&self, checked: &str) -> Option<&Value> {
        self.findings.iter().find(|finding| finding["checked"] == checked)
    }

    #[track_caller]
    fn comes_before(&self, first: &str, second: &str) {
        let at = |checked| self.findings.iter().position(|finding| finding["checked"] == checked).unwrap();
        assert!(at(first) < at(second), "{}", self.run.text());
    }

    #[track_caller]
    fn says(&self, verdict: &str, checked: &str, seen: &str, next: &str) {
        let found = self.finding(checked);
        assert!(found.0 == verdict && found.1.contains(seen) && found.2.contains(next), "{checked} is {found:?}");
    }

    /// That nothing but this failed, and the exit code for it.
    #[track_caller]
    fn fails_only(&self, expected: &[&str], code: i32) {
        let failed = self.findings.iter().filter(|finding| finding["verdict"] == "fail");
        let failed: Vec<_> = failed.map(|finding| finding["checked"].as_str().unwrap()).collect();
        assert_eq!((failed, self.run.code), (expected.to_vec(), Some(code)), "{}", self.run.text());
        let mute = self.findings.iter().find(|finding| {
            ["fail", "warn"].contains(&finding["verdict"].as_str().unwrap()) && !finding["next"].is_string()
        });
        assert_eq!(mute, None, "every failure and every warning has a next step");
    }
}

#[tokio::test]
async fn everything_right_is_exit_0_and_leaves_nothing_behind() {
    let world = World::on_azurite().await;
    world.issue_witness();
    let checked = world.check().await;
    checked.fails_only(&[], 0);
    assert!(checked.findings.iter().all(|finding| finding["verdict"] != "warn"), "{}", checked.run.text());
    for (name, seen) in [
        ("every setting", "1 of 1 instances enabled"),
        ("name resolution", "127.0.0.1"),
        ("connection", "takes TCP connections"),
        ("clocks", "the appliance has 20"),
        ("signature", "accepted, dated in the form 20260101T000000"),
        ("version", "7.1.0 (simulated)"),
        ("permission of model-alerts", "/modelbreaches answers"),
        ("permission of ai-analyst", "/aianalyst/incidentevents answers"),
        ("permission of subnets", "/subnets answers"),
        ("creationtime", "honoured"),
        (
            "token for the rule",
            "system-assigned managed identity: client id 5e1f0000-0000-4000-8000-00000000c11e, object id",
        ),
        ("data collection endpoint", "and answers"),
        ("stream Custom-darktrace_model_alerts_CL", "took an empty array"),
        ("stream Custom-DarktraceConnectorHealth_CL", "took an empty array"),
        ("checkpoint storage", "created, replaced at its version alone, leased and removed"),
    ] {
        checked.says("pass", name, seen, "");
    }
    checked.says("skipped", "TLS", "plain http", "");
    assert_eq!((world.ingestion.taken_rows(), world.ingestion.violations()), (0, Vec::new()));
    assert_eq!(azurite::names(world.container(), "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_check_is_a_line_for_each_finding_and_shows_no_secret() {
    let mut world = World::new().await;
    world.appliance.set_modes(Modes { forbidden: vec!["/agemail".to_owned()], ..Modes::default() });
    world.set("DARKTRACE_SOURCES", "model-alerts,email");
    let run = world.run_check(&[]).await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    let line = run.line_with("permission of email");
    assert!(line.starts_with("FAIL default   permission of email: the token may not read /agemail"), "{line}");
    assert!(line.contains(" -> give it \"Email Logs\" under Permissions Admin"), "{line}");
    assert!(run.line_with("signature").starts_with("ok   default   signature: accepted"));
    assert!(run.line_with(" failed, ").contains(" ok, 0 to look at, 1 failed, "), "{}", run.text());
    assert!(!run.text().contains('\x1b'), "a pipe gets no colours");
    for secret in [PUBLIC_TOKEN, PRIVATE_TOKEN, "eyJ", "header-c4n4ry"] {
        assert!(!run.text().contains(secret), "{}", run.text());
    }
    assert_eq!(run.stderr, "");
}

#[tokio::test]
async fn wrong_settings_are_told_all_at_once_with_exit_78_and_nobody_is_asked() {
    let mut world = World::new().await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)");
    world.set("DCR_IMMUTABLE_ID", "dcr-by-name");
    let checked = world.check().await;
    checked.fails_only(&["DARKTRACE_PRIVATE_TOKEN", "DCR_IMMUTABLE_ID"], 78);
    checked.says("fail", "DARKTRACE_PRIVATE_TOKEN", "still holds its Key Vault reference", "Key Vault Secrets User");
    checked.says("skipped", "everything else", "once the settings are right", "");
    assert!(world.appliance.seen().is_empty() && world.ingestion.posts().is_empty());
}

#[tokio::test]
async fn a_file_of_certificates_that_is_not_there_is_a_wrong_setting() {
    let mut world = World::new().await;
    world.set("DARKTRACE_CA_PEM", "/nowhere/ca.pem");
    let checked = world.check().await;
    checked.fails_only(&["certificates of default"], 78);
    checked.says("fail", "certificates of default", "/nowhere/ca.pem of DARKTRACE_CA_PEM", "");
    assert_eq!(checked.finding_or_none("every setting"), None, "they are not complete after all");
    assert_eq!(checked.findings[0]["checked"], "certificates of default", "a setting comes first");
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_told_before_all_else() {
    let mut world = World::new().await;
    world.set("DARKTRACE_HOST", "https://darktrace.invalid");
    world.set("DATA_COLLECTION_ENDPOINT", "https://nobody-a1b2.invalid-1.ingest.monitor.azure.com");
    let checked = world.check().await;
    checked.fails_only(&["name resolution", "data collection endpoint"], 1);
    checked.says("fail", "name resolution", "darktrace.invalid is not found", "check DARKTRACE_HOST");
    for name in ["connection", "TLS", "clocks", "signature", "version", "permissions"] {
        assert_eq!(checked.finding(name).0, "skipped", "{name}");
    }
    checked.says("fail", "data collection endpoint", "is not found", "check DATA_COLLECTION_ENDPOINT");
    assert_eq!(checked.finding("stream Custom-darktrace_model_alerts_CL").0, "skipped");
}

#[tokio::test]
async fn a_port_that_nobody_listens_on_is_no_matter_of_tokens() {
    let world = World::new().await;
    world.appliance.shutdown().await;
    let checked = world.check().await;
    checked.fails_only(&["connection"], 1);
    checked.says("fail", "connection", "refused", "the port in DARKTRACE_HOST");
    assert_eq!(checked.finding("signature").0, "skipped");
}

#[tokio::test]
async fn an_untrusted_certificate_comes_with_the_pin_that_would_accept_it() {
    let identity = openssl_like();
    let mut world = World::secured(&identity).await;
    let checked = world.check().await;
    checked.fails_only(&["TLS"], 1);
    checked.says("fail", "TLS", "its certificate is not trusted", "set DARKTRACE_PIN_SHA256=");
    checked.says("fail", "TLS", "CN=darktrace, issued by itself, valid until", "DARKTRACE_CA_PEM");
    checked.says("fail", "TLS", &format!("SHA-256 {}", identity.pin()), "");
    assert_eq!(world.appliance.seen(), []);
    assert_eq!(checked.finding("signature").0, "skipped");
    // What it says to set is what helps.
    let next = checked.finding("TLS").2;
    let pin = next.split("DARKTRACE_PIN_SHA256=").nth(1).unwrap().split(' ').next().unwrap();
    world.set("DARKTRACE_PIN_SHA256", pin);
    let pinned = world.check().await;
    pinned.fails_only(&[], 0);
    pinned.says("pass", "TLS", "trusted: CN=darktrace", "");
}

#[tokio::test]
async fn a_wrong_pin_is_told_with_the_right_one() {
    let mut world = World::secured(&openssl_like()).await;
    world.set("DARKTRACE_PIN_SHA256", &openssl_like().pin());
    let checked = world.check().await;
    checked.fails_only(&["TLS"], 1);
    checked.says("fail", "TLS", "it matches none of the pins", "set DARKTRACE_PIN_SHA256=");
}

#[tokio::test]
async fn a_wrong_token_is_a_matter_of_the_signature_alone() {
    let mut world = World::new().await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "another");
    let checked = world.check().await;
    checked.fails_only(&["signature"], 1);
    checked.says("fail", "signature", "the signature was refused", "DARKTRACE_PRIVATE_TOKEN");
    checked.says("pass", "clocks", "", "");
    checked.says("skipped", "permissions", "", "");
}

#[tokio::test]
async fn a_clock_that_is_off_by_forty_minutes_is_told_with_both_clocks() {
    for (skew_ms, verdict, seen) in
        [(-40 * MINUTE, "fail", "40 min 0 s apart"), (2 * MINUTE, "warn", "2 min 0 s apart")]
    {
        let world = World::new().await;
        world.appliance.set_modes(Modes { skew_ms, ..Modes::default() });
        let checked = world.check().await;
        let (found, told, next) = checked.finding("clocks");
        assert!(found == verdict && next.contains("NTP"), "{found} {told} {next}");
        // A second may pass between the two.
        assert!(told.contains(seen) || told.contains("39 min 59 s") || told.contains("1 min 59 s"), "{told}");
        checked.says("pass", "signature", "accepted", "");
        checked.fails_only(if verdict == "fail" { &["clocks"] } else { &[] }, i32::from(verdict == "fail"));
    }
}

#[tokio::test]
async fn the_form_of_the_date_that_the_appliance_takes_is_told() {
    let world = World::new().await;
    world.appliance.set_modes(Modes { accepts_only: Some(DateFormat::Spaced), ..Modes::default() });
    world.check().await.says("pass", "signature", "dated in the form 2026-01-01 00:00:00", "");
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named_with_its_source() {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "model-alerts,ai-analyst,system-status,email,response");
    let forbidden = ["/aianalyst", "/status", "/agemail", "/antigena"].map(str::to_owned).to_vec();
    world.appliance.set_modes(Modes { forbidden, ..Modes::default() });
    let checked = world.check().await;
    for (name, path, permission) in [
        ("permission of ai-analyst", "/aianalyst/incidentevents", "\"Unrestricted Devices\""),
        ("permission of email", "/agemail/api/ep/api/v1.0/emails/search and /agemail/api/v1.0", "\"Email Logs\""),
        ("permission of response", "/antigena", "take response out of DARKTRACE_SOURCES"),
    ] {
        checked.says("fail", name, &format!("the token may not read {path}"), permission);
    }
    checked.says("pass", "permission of system-status", "", "");
    checked.says("fail", "permission of system-status for /status", "may not read /status", "\"Status\"");
    checked.says("pass", "signature", "accepted", "");
    checked.says("pass", "permission of model-alerts", "", "");
    checked.says("skipped", "version", "lacks \"Status\"", "");
    assert_eq!(checked.run.code, Some(1));
}

#[tokio::test]
async fn what_only_makes_rows_poorer_is_a_warning() {
    let world = World::new().await;
    let forbidden = ["/subnets", "/status"].map(str::to_owned).to_vec();
    world.appliance.set_modes(Modes { forbidden, ..Modes::default() });
    let checked = world.check().await;
    checked.fails_only(&[], 0);
    checked.says("warn", "permission of subnets", "lack the place of a device's subnet", "Permissions Admin");
}

#[tokio::test]
async fn a_source_that_the_master_does_not_have_is_told_from_a_permission() {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "model-alerts,response");
    world.appliance.set_modes(Modes { absent: vec!["/antigena".to_owned()], ..Modes::default() });
    let checked = world.check().await;
    checked.fails_only(&["permission of response"], 1);
    checked.says(
        "fail",
        "permission of response",
        "this master has no /antigena",
        "take response out of DARKTRACE_SOURCES",
    );
}

#[tokio::test]
async fn a_master_that_sends_everything_to_its_login_page_does_not_know_the_token() {
    let world = World::new().await;
    world.appliance.set_modes(Modes { absent: vec!["/".to_owned()], ..Modes::default() });
    let checked = world.check().await;
    checked.says("fail", "signature", "the token was not accepted", "check that the token pair still exists");
    assert_eq!(checked.run.code, Some(1));
}

#[tokio::test]
async fn an_old_appliance_is_a_warning_and_one_without_a_telling_alert_is_unknown() {
    let world = World::new().await;
    world.appliance.set_modes(Modes { ignores_creationtime: true, ..Modes::default() });
    world.check().await.says("skipped", "creationtime", "unknown", "");
    world.issue_witness();
    let checked = world.check().await;
    checked.says("warn", "creationtime", "ignored by this version", "");
    checked.fails_only(&[], 0);
}

#[tokio::test]
async fn a_rule_that_does_not_exist_is_told_from_one_without_the_stream() {
    let mut world = World::new().await;
    world.set("DCR_IMMUTABLE_ID", "dcr-ffffffffffffffffffffffffffffffff");
    let checked = world.check().await;
    checked.fails_only(&["data collection rule"], 1);
    checked.says("fail", "data collection rule", "no rule dcr-ffff", "check DCR_IMMUTABLE_ID");
    checked.says("pass", "data collection endpoint", "and answers", "");
    checked.says("skipped", "streams of the rule", "as long as the rule takes nothing", "");
    let world = World::without_stream(HEALTH).await;
    let checked = world.check().await;
    let stream = "stream Custom-DarktraceConnectorHealth_CL";
    checked.fails_only(&[stream], 1);
    checked.says("fail", stream, "declares no such stream", "add the stream Custom-DarktraceConnectorHealth_CL");
}

#[tokio::test]
async fn a_missing_role_is_told_with_the_principal_that_needs_it() {
    let world = World::new().await;
    world.ingestion.fail_next_on(ALERTS, ingestion::Fault::Forbidden, 1);
    let checked = world.check().await;
    checked.fails_only(&["stream Custom-darktrace_model_alerts_CL"], 1);
    let stream = "stream Custom-darktrace_model_alerts_CL";
    checked.says("fail", stream, "lacks the role Monitoring Metrics Publisher", "less than 30 minutes ago");
    checked.says("pass", "token for the rule", "object id 5e1f0000-0000-4000-8000-000000000b1d", "");
}

#[tokio::test]
async fn an_endpoint_that_is_down_or_throttles_is_told() {
    let world = World::new().await;
    world.ingestion.fail_next_on(ALERTS, ingestion::Fault::Throttle(None), 1);
    let checked = world.check().await;
    checked.fails_only(&["stream Custom-darktrace_model_alerts_CL"], 1);
    checked.says("fail", "stream Custom-darktrace_model_alerts_CL", "429", "in a few minutes");
    world.ingestion.shutdown().await;
    let checked = world.check().await;
    checked.fails_only(&["data collection endpoint"], 1);
    checked.says("fail", "data collection endpoint", "does not answer", "check DATA_COLLECTION_ENDPOINT");
}

#[tokio::test]
async fn an_identity_endpoint_that_gives_no_token_stops_the_rule_and_not_the_master() {
    let world = World::new().await;
    world.identity.fail_next(identity::Fault::Status(400), 100);
    let checked = world.check().await;
    checked.fails_only(&["token for the rule"], 1);
    checked.says(
        "fail",
        "token for the rule",
        "not given to",
        "system-assigned identity of the function app is turned on",
    );
    checked.says("skipped", "streams of the rule", "without a token", "");
    checked.says("pass", "signature", "", "");
    assert_eq!(world.ingestion.posts(), []);
}

#[tokio::test]
async fn a_storage_account_that_refuses_the_key_is_told() {
    let mut world = World::on_azurite().await;
    let address = world.environment()["AzureWebJobsStorage"].rsplit('=').next().unwrap().to_owned();
    let wrong = format!("AccountName=devstoreaccount1;AccountKey=d3Jvbmc=;BlobEndpoint={address}/devstoreaccount1");
    world.set("AzureWebJobsStorage", &wrong);
    let checked = world.check().await;
    checked.fails_only(&["checkpoint storage"], 1);
    checked.says(
        "fail",
        "checkpoint storage",
        "could not be created: storage refused to write",
        "the key of the connection string",
    );
}

#[tokio::test]
async fn an_identity_without_a_token_for_storage_is_told_and_the_account_left_alone() {
    let mut world = World::new().await;
    let nobody = listener().await;
    let address = format!("https://{}/account", nobody.local_addr().unwrap());
    for (name, value) in [("CHECKPOINT_DIR", ""), ("AzureWebJobsStorage__blobServiceUri", &address)] {
        world.set(name, value);
    }
    world.identity.fail_next(identity::Fault::Status(400), 100);
    let checked = world.check().await;
    checked.fails_only(&["token for the rule", "token for storage"], 1);
    checked.says("skipped", "checkpoint storage", "not touched without a token", "");
}

#[tokio::test]
async fn a_storage_that_cannot_be_is_a_wrong_setting_and_the_rule_is_checked_all_the_same() {
    let mut world = World::new().await;
    world.set("CHECKPOINT_DIR", "");
    world.set("AzureWebJobsStorage__blobServiceUri", "http://127.0.0.1:1/account");
    let checked = world.check().await;
    checked.fails_only(&["checkpoint storage"], 78);
    checked.says("fail", "checkpoint storage", "does not suit an identity", "");
    checked.says("pass", "stream Custom-darktrace_model_alerts_CL", "", "");
}

#[tokio::test]
async fn a_secret_that_the_vault_does_not_have_is_told() {
    let mut world = World::new().await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "");
    world.set("DARKTRACE_PRIVATE_TOKEN_URI", &format!("{}/secrets/missing", world.identity.base_url()));
    let checked = world.check().await;
    checked.fails_only(&["private token"], 1);
    checked.says("fail", "private token", "there is no such secret", "DARKTRACE_PRIVATE_TOKEN_URI");
    assert_eq!(world.appliance.seen(), []);
    world.identity.set_secret("missing", PRIVATE_TOKEN);
    let checked = world.check().await;
    checked.fails_only(&[], 0);
    checked.says("pass", "private token", "read from Key Vault", "");
}

#[tokio::test]
async fn a_master_that_only_a_proxy_reaches_is_a_warning() {
    let (world, asked) = World::behind_a_proxy().await;
    let checked = world.check().await;
    checked.fails_only(&[], 0);
    checked.says("warn", "name resolution", "not directly", "a proxy");
    checked.says("pass", "TLS", "trusted: ", "");
    assert!(asked.lock().unwrap().iter().all(|line| line.starts_with("CONNECT darktrace.invalid:443 ")));
}

/// The host's envelope of a call by HTTP.
const CALL: &str = concat!(
    r#"{"Data":{"req":{"Url":"https://app.example/api/DarktraceCheck","Method":"POST","Query":{},"Headers":{"#,
    r#""Host":["app.example"]},"Params":{},"Identities":[]}},"Metadata":{"Query":{},"Headers":{"Host":"app.example"},"#,
    r#""sys":{"MethodName":"DarktraceCheck","UtcNow":"2026-11-21T10:00:00.1Z","RandGuid":"x"}}}"#
);

#[tokio::test]
async fn the_function_answers_with_the_findings() {
    let mut world = World::on_azurite().await;
    world.set("DARKTRACE_PRIVATE_TOKEN", "another");
    let host = world.app().start().await;
    for mode in BODY_MODES {
        let verdict = host.wire.invoke(&Call::new(CHECK, CALL).mode(mode)).await;
        let Verdict::Succeeded { outputs, .. } = verdict else { panic!("{verdict:?}\n{:#?}", host.lines()) };
        assert_eq!(outputs["res"]["statusCode"], 200);
        assert_eq!(outputs["res"]["headers"]["content-type"], "application/json");
        let findings: Vec<Value> = serde_json::from_str(outputs["res"]["body"].as_str().unwrap()).unwrap();
        let failed: Vec<_> = findings.iter().filter(|finding| finding["verdict"] == "fail").collect();
        assert!(failed.len() == 1 && failed[0]["checked"] == "signature", "{findings:?}");
    }
    assert_eq!(world.ingestion.taken_rows(), 0);
}

#[tokio::test]
async fn the_function_tells_wrong_settings_too() {
    let mut world = World::new().await;
    world.set("DARKTRACE_HOST", "");
    let host = world.app().start().await;
    let verdict = host.wire.invoke(&Call::new(CHECK, CALL)).await;
    let Verdict::Succeeded { outputs, .. } = verdict else { panic!("{verdict:?}") };
    assert!(outputs["res"]["body"].as_str().unwrap().contains("DARKTRACE_HOST"), "{outputs:?}");
}
