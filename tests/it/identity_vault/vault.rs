//! The private token in a key vault.

use super::tokens::asked;
use crate::appliance::{ALWAYS, tick};
use crate::host::verdict::Verdict;
use crate::world::{PRIVATE_TOKEN, PUBLIC_TOKEN, World, tokens};
use darktrace_sentinel::sim::appliance::{AlertSpec, Appliance, Tokens};
use darktrace_sentinel::sim::identity::Fault;
use tokio::net::TcpListener;

const NAME: &str = "darktrace-token";
const NEXT_TOKEN: &str = "private-c4n4ry-next";

/// A world whose private token is in the vault alone.
async fn world() -> World {
    let mut world = World::new().await;
    world.identity.set_secret(NAME, PRIVATE_TOKEN);
    let address = format!("{}/secrets/{NAME}", world.identity.base_url());
    world.set("DARKTRACE_PRIVATE_TOKEN", "");
    world.set("DARKTRACE_PRIVATE_TOKEN_URI", &address);
    world.set("RUST_LOG", "debug");
    world.appliance.issue_alert(AlertSpec::default());
    world
}

/// How often the secret was read.
fn reads(world: &World) -> usize {
    world.identity.seen().iter().filter(|request| request.path == format!("/secrets/{NAME}")).count()
}

#[tokio::test]
async fn the_private_token_is_read_once_with_a_token_for_the_vault() {
    let world = world().await;
    let run = world.poll_well().await;
    world.check_exactly_once();
    world.check_discretion(&[&run]);
    assert_eq!(reads(&world), 1, "both sources share it");
    let resources: Vec<_> = asked(&world).into_iter().filter_map(|request| request.resource).collect();
    assert_eq!(resources, ["https://vault.azure.net", "https://monitor.azure.com"]);
}

#[tokio::test]
async fn a_kept_value_is_not_read_again_by_the_next_poll() {
    let world = world().await;
    let host = world.serve().await;
    for _ in 0..2 {
        let verdict = host.wire.invoke(&tick()).await;
        assert!(matches!(verdict, Verdict::Succeeded { .. }), "{verdict:?}");
    }
    assert_eq!(reads(&world), 1);
}

#[tokio::test]
async fn a_line_break_behind_the_value_does_not_count() {
    let world = world().await;
    world.identity.set_secret(NAME, &format!("{PRIVATE_TOKEN}\n"));
    world.poll_well().await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_rotated_token_is_found_once_the_appliance_refused_the_old_one() {
    let mut world = world().await;
    let host = world.serve().await;
    let green = host.wire.invoke(&tick()).await;
    assert!(matches!(green, Verdict::Succeeded { .. }), "{green:?}");

    rotate(&mut world).await;
    world.identity.set_secret(NAME, NEXT_TOKEN);
    let red = host.wire.invoke(&tick()).await;
    assert!(matches!(red, Verdict::Failed { .. }), "the old value is a quarter of an hour young: {red:?}");
    let green = host.wire.invoke(&tick()).await;
    assert!(matches!(green, Verdict::Succeeded { .. }), "{green:?}");
    let printed: Vec<_> = host.lines().into_iter().map(|line| line.text).collect();
    for secret in [PRIVATE_TOKEN, NEXT_TOKEN] {
        assert!(!printed.iter().any(|line| line.contains(secret)), "{secret} was printed");
    }
}

/// The appliance comes back at the same address with another private token.
async fn rotate(world: &mut World) {
    let address = world.appliance.base_url().trim_start_matches("http://").to_owned();
    world.appliance.shutdown().await;
    let listener = TcpListener::bind(address).await.unwrap();
    world.appliance = Appliance::start(listener, Tokens { private: NEXT_TOKEN.to_owned(), ..tokens() });
}

/// A poll that cannot read the secret asks the appliance nothing, and says why; the next one that can does all.
async fn fails(world: &World, parts: &[&str]) {
    let run = world.poll().await;
    assert_eq!(run.code, Some(1), "{}", run.text());
    let line = run.line_with("ERROR darktrace default model-alerts: ");
    for part in ["the private token could not be read from Key Vault"].iter().chain(parts) {
        assert!(line.contains(part), "{part:?} is not in {line}");
    }
    assert_eq!(world.health()["model-alerts"]["Status"], "ConfigError");
    assert_eq!(world.appliance.seen(), []);
    world.check_discretion(&[&run]);
    world.identity.clear_faults();
    world.poll_well().await;
    world.check_exactly_once();
}

#[tokio::test]
async fn a_vault_that_forbids_it_names_the_role() {
    let world = world().await;
    world.identity.fail_next_on("/secrets/", Fault::Status(403), ALWAYS);
    fails(&world, &["it answered 403", "the role Key Vault Secrets User"]).await;
}

#[tokio::test]
async fn a_secret_that_is_not_there_names_the_setting() {
    let world = world().await;
    world.identity.fail_next_on("/secrets/", Fault::Status(404), ALWAYS);
    fails(&world, &["there is no such secret", "DARKTRACE_PRIVATE_TOKEN_URI"]).await;
}

#[tokio::test]
async fn a_vault_in_trouble_names_the_setting() {
    let world = world().await;
    world.identity.fail_next_on("/secrets/", Fault::Status(500), ALWAYS);
    fails(&world, &["it answered 500", "DARKTRACE_PRIVATE_TOKEN_URI"]).await;
}

#[tokio::test]
async fn a_vault_in_trouble_does_not_end_the_use_of_a_value_that_was_read() {
    let world = world().await;
    let host = world.serve().await;
    host.wire.invoke(&tick()).await;
    world.identity.fail_next_on("/secrets/", Fault::Status(500), ALWAYS);
    let verdict = host.wire.invoke(&tick()).await;
    assert!(matches!(verdict, Verdict::Succeeded { .. }), "{verdict:?}");
}

#[tokio::test]
async fn a_value_that_is_not_the_token_is_never_printed() {
    let world = world().await;
    world.identity.set_secret(NAME, NEXT_TOKEN);
    let run = world.poll().await;
    assert_eq!(run.code, Some(1));
    assert!(run.line_with("ERROR darktrace default model-alerts: ").contains("DARKTRACE_PUBLIC_TOKEN"));
    for secret in [NEXT_TOKEN, PUBLIC_TOKEN] {
        assert!(!run.text().contains(secret), "{}", run.text());
    }
}
