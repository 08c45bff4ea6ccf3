//! Several masters, one of them by name, both forms of the output, and the function.

use super::{CALL, Checked};
use crate::host::verdict::Verdict;
use crate::host::wire::Call;
use crate::world::{PRIVATE_TOKEN, PUBLIC_TOKEN, Run, World};
use darktrace_sentinel::handler::{CHECK, FUNCTION};
use serde_json::{Value, json};

#[tokio::test]
async fn one_instance_is_checked_when_it_is_named() {
    let mut world = World::new().await;
    let host = world.environment()["DARKTRACE_HOST"].clone();
    for (name, value) in [
        ("DARKTRACE_HOST", ""),
        ("DARKTRACE_INSTANCES", "hq,plant"),
        ("DARKTRACE_HQ_HOST", &*host),
        ("DARKTRACE_HQ_PUBLIC_TOKEN", PUBLIC_TOKEN),
        ("DARKTRACE_HQ_PRIVATE_TOKEN", PRIVATE_TOKEN),
        ("DARKTRACE_PLANT_HOST", &*host),
        ("DARKTRACE_PLANT_PUBLIC_TOKEN", PUBLIC_TOKEN),
        ("DARKTRACE_PLANT_PRIVATE_TOKEN", "wrong"),
    ] {
        world.set(name, value);
    }
    let of = |run: &Run, instance: &str| run.stdout.contains(&format!("\"subject\": \"{instance}\""));
    let hq = world.run_check(&["--json", "--instance", "hq"]).await;
    assert_eq!(
        (hq.code, of(&hq, "hq"), of(&hq, "plant"), of(&hq, "azure")),
        (Some(0), true, false, true),
        "{}",
        hq.text()
    );
    let both = world.run_check(&["--json"]).await;
    assert_eq!((both.code, of(&both, "hq"), of(&both, "plant")), (Some(1), true, true), "{}", both.text());
    let other = world.run_check(&["--instance", "branch"]).await;
    assert_eq!(other.code, Some(64));
    assert!(other.stderr.contains("the settings name hq, plant"), "{}", other.text());
    world.set("DARKTRACE_PLANT_ENABLED", "false");
    let paused = Checked::of(world.run_check(&["--json"]).await);
    paused.fails_only(&[], 0);
    paused.says("skipped", "the master", "switched off by DARKTRACE_ENABLED", "");
}

#[tokio::test]
async fn a_master_that_is_not_named_is_not_asked_and_two_that_fail_are_told_apart() {
    let (mut world, other) = (World::new().await, World::new().await);
    for (name, value) in [
        ("DARKTRACE_HOST", ""),
        ("DARKTRACE_INSTANCES", "hq,plant"),
        ("DARKTRACE_HQ_HOST", &*world.environment()["DARKTRACE_HOST"].clone()),
        ("DARKTRACE_HQ_PUBLIC_TOKEN", PUBLIC_TOKEN),
        ("DARKTRACE_HQ_PRIVATE_TOKEN", "wrong"),
        ("DARKTRACE_HQ_SOURCES", "model-alerts"),
        ("DARKTRACE_PLANT_HOST", other.appliance.base_url()),
        ("DARKTRACE_PLANT_PUBLIC_TOKEN", PUBLIC_TOKEN),
        ("DARKTRACE_PLANT_PRIVATE_TOKEN", PRIVATE_TOKEN),
        ("DARKTRACE_PLANT_SOURCES", "response"),
    ] {
        world.set(name, value);
    }
    let plant = Checked::of(world.run_check(&["--json", "--instance", "plant"]).await);
    plant.fails_only(&[], 0);
    assert!(world.appliance.seen().is_empty(), "the other master is left alone");
    assert!(plant.finding_or_none("stream Custom-DarktraceResponseActions_CL").is_some());
    assert!(plant.finding_or_none("stream Custom-darktrace_model_alerts_CL").is_none(), "only its own tables");
    other.appliance.shutdown().await;
    let both = world.check().await;
    both.fails_only(&["signature", "connection"], 1);
    let subjects: Vec<_> = both.findings.iter().filter(|finding| finding["verdict"] == "fail").collect();
    assert_eq!((&subjects[0]["subject"], &subjects[1]["subject"]), (&json!("hq"), &json!("plant")));
    for form in [&["--instance", "no-such"][..], &["--json", "--instance", "no-such"]] {
        let none = world.run_check(form).await;
        assert_eq!((none.code, none.stdout.as_str()), (Some(64), ""), "{}", none.text());
        assert!(none.stderr.contains("the settings name hq, plant"), "{}", none.text());
    }
}

/// What a program reads: the names of the members, and the exit code of the other form.
#[tokio::test]
async fn both_forms_of_the_output_say_the_same() {
    let mut world = World::new().await;
    let mut codes = Vec::new();
    for (name, value) in
        [("DARKTRACE_PRIVATE_TOKEN", PRIVATE_TOKEN), ("DARKTRACE_PRIVATE_TOKEN", "wrong"), ("TABLE_LAYOUT", "x")]
    {
        world.set(name, value);
        let (lines, read) = (world.run_check(&[]).await, world.check().await);
        assert_eq!((lines.code, lines.stderr.as_str(), read.run.stderr.as_str()), (read.run.code, "", ""));
        codes.push(lines.code.unwrap());
        for finding in &read.findings {
            let members: Vec<_> = finding.as_object().unwrap().keys().map(String::as_str).collect();
            assert!(
                [&["checked", "seen", "subject", "verdict"][..], &["checked", "next", "seen", "subject", "verdict"]]
                    .contains(
                        &&*members
                            .iter()
                            .copied()
                            .collect::<std::collections::BTreeSet<_>>()
                            .into_iter()
                            .collect::<Vec<_>>()
                    ),
                "{finding}"
            );
            assert!(["pass", "warn", "fail", "skipped"].contains(&finding["verdict"].as_str().unwrap()), "{finding}");
            assert!(lines.stdout.contains(&format!("  {}: ", finding["checked"].as_str().unwrap())), "{finding}");
        }
        let told = lines.stdout.lines().take_while(|line| !line.is_empty()).count();
        assert_eq!(told, read.findings.len(), "one line a finding");
    }
    assert_eq!(codes, [0, 1, 78]);
}

#[tokio::test]
async fn the_function_answers_while_a_poll_is_under_way() {
    let mut world = World::new().await;
    world.set("DARKTRACE_SOURCES", "model-alerts");
    world.issue_witness();
    let host = world.app().start().await;
    world.appliance.set_modes(darktrace_sentinel::sim::appliance::Modes { page_delay_ms: 700, ..Default::default() });
    let wire = host.wire.clone();
    let poll = tokio::spawn(async move { wire.invoke(&Call::new(FUNCTION, "{}")).await });
    while world.appliance.seen().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let Verdict::Succeeded { outputs, .. } = host.wire.invoke(&Call::new(CHECK, CALL)).await else {
        panic!("{:#?}", host.lines())
    };
    let findings: Vec<Value> = serde_json::from_str(outputs["res"]["body"].as_str().unwrap()).unwrap();
    assert!(findings.len() > 8 && findings.iter().all(|finding| finding["verdict"] != "fail"), "{findings:#?}");
    assert!(matches!(poll.await.unwrap(), Verdict::Succeeded { .. }));
    world.check_exactly_once();
}
