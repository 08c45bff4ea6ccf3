//! Ways to a master that lead nowhere, or to somebody who is not believed.

use super::said;
use crate::host::process::free_port;
use crate::tls::{authority, expired, issued, openssl_like, params, self_signed};
use crate::world::World;
use azure_core::time::{Duration, OffsetDateTime};
use darktrace_sentinel::darktrace::{AskError, Fault};
use darktrace_sentinel::http::FIRST_BYTE;
use darktrace_sentinel::sim::appliance;
use rcgen::{CertificateParams, DnType};

/// A world whose master is said to be there.
async fn at(host: &str) -> World {
    let mut world = World::of_model_alerts().await;
    world.set("DARKTRACE_HOST", host);
    world
}

#[tokio::test]
async fn a_name_that_nobody_knows() {
    let world = at("https://darktrace.invalid").await;
    said("name", &[world.finding("name resolution").await]);
}

#[tokio::test]
async fn a_port_that_nobody_listens_on() {
    let world = at(&format!("https://127.0.0.1:{}", free_port())).await;
    let [line, row] = world.polled().await;
    said("refused", &[line, row, world.finding("connection").await]);
}

/// A request that is not answered is waited for half a minute, four times in a run: the sentence alone is taken.
#[test]
fn an_answer_that_does_not_come() {
    let line = |fault| {
        let (instance, path, permission) = ("default".to_owned(), "/modelbreaches", "");
        AskError { instance, path, permission, fault }.to_string()
    };
    said("silent", &[line(Fault::TimedOut(FIRST_BYTE)), line(Fault::Stalled)]);
}

#[tokio::test]
async fn an_answer_that_breaks_off() {
    let world = World::of_model_alerts().await;
    world.appliance.fail_next(appliance::Fault::WrongLength, 100);
    let [line, row] = world.polled().await;
    said("torn", &[line, row]);
}

/// A certificate that is made out to the master.
fn named() -> CertificateParams {
    let mut params = params(&["localhost"]);
    params.distinguished_name.push(DnType::CommonName, "darktrace");
    params
}

#[tokio::test]
async fn a_certificate_of_its_own() {
    let mut world = World::secured(&openssl_like()).await;
    world.set("DARKTRACE_SOURCES", "model-alerts");
    let [line, row] = world.polled().await;
    said("certificate", &[line, row, world.finding("TLS").await]);
}

#[tokio::test]
async fn a_certificate_of_another_name_or_an_authority_that_nobody_here_knows() {
    for (names, pem) in [(["darktrace.example"], true), (["localhost"], false)] {
        let authority = authority();
        let mut world = World::secured(&issued(&authority, &params(&names))).await;
        world.set("DARKTRACE_SOURCES", "model-alerts");
        world.set("DARKTRACE_CA_PEM", &if pem { authority.pem() } else { String::new() });
        let [line, _] = world.polled().await;
        match pem {
            true => said("certificate-name", &[line.replace("localhost", "<address>")]),
            false => said("certificate-authority", &[line]),
        }
    }
}

#[tokio::test]
async fn a_certificate_that_was_changed() {
    let first = openssl_like();
    let mut world = World::secured(&first).await;
    world.set("DARKTRACE_SOURCES", "model-alerts");
    world.set("DARKTRACE_PIN_SHA256", &first.pin());
    world.renew(&openssl_like()).await;
    let [line, row] = world.polled().await;
    said("certificate-changed", &[line, row]);
}

#[tokio::test]
async fn a_certificate_that_has_expired() {
    let mut world = World::secured(&self_signed(&expired(named()))).await;
    world.set("DARKTRACE_SOURCES", "model-alerts");
    said("certificate-expired", &[world.finding("TLS").await]);
}

#[tokio::test]
async fn a_certificate_that_ends_soon() {
    let mut params = named();
    params.not_after = OffsetDateTime::now_utc() + Duration::days(20);
    let identity = self_signed(&params);
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_PIN_SHA256", &identity.pin());
    said("certificate-soon", &[world.finding("TLS").await]);
}

#[tokio::test]
async fn a_proxy_in_between() {
    let (world, _) = World::behind_a_proxy().await;
    said("proxy", &[world.finding("name resolution").await]);
}
