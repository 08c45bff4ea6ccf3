//! The lines of `check` that the page about operations shows.

use super::{PAGES, finding_in, has_in_order, read, said};
use crate::tls::openssl_like;
use crate::world::{PRIVATE_TOKEN, World};
use darktrace_sentinel::sim::appliance::Modes;

#[tokio::test]
async fn a_check_that_finds_something() {
    let mut world = World::of_model_alerts().await;
    world.set("DARKTRACE_SOURCES", "model-alerts,email");
    world.appliance.set_modes(Modes { forbidden: vec!["/agemail".to_owned()], ..Modes::default() });
    let run = world.run(&["check"]).await;
    said("check", &[finding_in(&run, "connection"), finding_in(&run, "permission of email")]);
}

/// What the page tells an operator to wait for, such as `ok … clocks`, is what is said when all is well.
#[tokio::test]
async fn a_check_that_finds_nothing() {
    let identity = openssl_like();
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_PIN_SHA256", &identity.pin());
    world.set("DARKTRACE_PRIVATE_TOKEN", "");
    world.set("DARKTRACE_PRIVATE_TOKEN_URI", &format!("{}/secrets/darktrace", world.identity.base_url()));
    world.identity.set_secret("darktrace", PRIVATE_TOKEN);
    let run = world.run_well(&["check"]).await;
    let (pages, mut waited) = (PAGES.map(read), 0);
    for phrase in pages.iter().flat_map(|page| page.split('`')).filter(|phrase| phrase.starts_with("ok … ")) {
        assert!(run.stdout.lines().any(|line| has_in_order(line, phrase)), "{phrase:?} in {}", run.text());
        waited += 1;
    }
    assert!(waited >= 10, "the pages were not understood: {waited}");
    assert!(run.stdout.contains("took an empty array"));
}
