//! Whom the program believes on TLS: a private authority, pins, and nobody else; and which way its requests take.
//!
//! The simulated appliance is served over TLS with certificates that are made here. The host name is `localhost`.

use crate::appliance::CONFIGURATION;
use crate::world::{Run, World, listener};
use axum::serve::Listener;
use darktrace_sentinel::sim::appliance::AlertSpec;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData,
};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use sha2::{Digest, Sha256};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

/// A certificate and its key.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    CertificateParams::new(names).unwrap()
}

pub(crate) fn authority() -> Authority {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, "A private authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of `authority`.
pub(crate) fn issued(authority: &Authority, params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { certificate: params.signed_by(&key, authority).unwrap().der().clone(), key }
}

/// What `openssl req -x509` makes: its own authority, without any name of a host.
pub(crate) fn openssl_like() -> Identity {
    let mut params = params(&[]);
    params.distinguished_name.push(DnType::CommonName, "darktrace");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    self_signed(&params)
}

pub(crate) fn self_signed(params: &CertificateParams) -> Identity {
    let key = KeyPair::generate().unwrap();
    Identity { certificate: params.self_signed(&key).unwrap().der().clone(), key }
}

pub(crate) fn expired(mut params: CertificateParams) -> CertificateParams {
    params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    params
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Identity {
    pub(crate) fn pin(&self) -> String {
        sha256(&self.certificate)
    }

    fn key_pin(&self) -> String {
        sha256(&self.key.subject_public_key_info())
    }
}

/// The appliance on a TLS socket.
struct Secured {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener for Secured {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let Ok((stream, address)) = self.tcp.accept().await else { continue };
            // A client that does not believe the certificate breaks off here.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

/// Shows one certificate, whether or not the key belongs to it.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }
}

const BOTH: [&SupportedProtocolVersion; 2] = [&version::TLS12, &version::TLS13];

fn acceptor(
    certificate: &CertificateDer<'static>,
    key: &KeyPair,
    versions: &[&'static SupportedProtocolVersion],
) -> TlsAcceptor {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let shown = CertifiedKey::new(vec![certificate.clone()], ring::sign::any_supported_type(&key).unwrap());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(shown))));
    TlsAcceptor::from(Arc::new(config))
}

impl World {
    /// A world whose appliance is behind TLS and has one alert.
    pub(crate) async fn secured(identity: &Identity) -> Self {
        Self::behind(acceptor(&identity.certificate, &identity.key, &BOTH)).await
    }

    async fn behind(tls: TlsAcceptor) -> Self {
        let mut world = Self::new().await;
        world.appliance.issue_alert(AlertSpec::default());
        world.serve_behind(tls).await;
        world
    }

    /// The same appliance at another port, with this certificate.
    pub(crate) async fn renew(&mut self, identity: &Identity) {
        self.serve_behind(acceptor(&identity.certificate, &identity.key, &BOTH)).await;
    }

    async fn serve_behind(&mut self, tls: TlsAcceptor) {
        let tcp = listener().await;
        self.set("DARKTRACE_HOST", &format!("https://localhost:{}", tcp.local_addr().unwrap().port()));
        let router = self.appliance.router();
        tokio::spawn(async move { axum::serve(Secured { tcp, tls }, router).await });
    }

    /// One poll that believes the appliance.
    async fn believes(&self) {
        let run = self.poll_well().await;
        self.check_exactly_once();
        self.check_discretion(&[&run]);
    }

    /// One poll that does not, for a reason that an operator reads at once, and sends it nothing.
    async fn does_not_believe(&self, parts: &[&str]) -> Run {
        let run = self.poll().await;
        assert_eq!(run.code, Some(1), "{}", run.text());
        let line = run.line_with("ERROR darktrace default model-alerts: ");
        for part in ["instance default"].iter().chain(parts) {
            assert!(line.contains(part), "{part:?} is not in {line}");
        }
        let health = self.health();
        let health = &health["model-alerts"];
        assert_eq!((&health["Status"], &health["Retries"]), (&CONFIGURATION.into(), &0.into()));
        assert_eq!(self.appliance.seen(), []);
        run
    }
}

const UNTRUSTED: &str = "its certificate is not trusted";

#[tokio::test]
async fn a_private_authority_is_believed_as_text_on_one_line() {
    let authority = authority();
    let mut world = World::secured(&issued(&authority, &params(&["localhost"]))).await;
    world.set("DARKTRACE_CA_PEM", &authority.pem().trim_end().replace('\n', "\\n"));
    assert!(!world.environment()["DARKTRACE_CA_PEM"].contains('\n'));
    world.believes().await;
}

#[tokio::test]
async fn a_private_authority_is_believed_as_a_file() {
    let authority = authority();
    let mut world = World::secured(&issued(&authority, &params(&["localhost"]))).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    world.set("DARKTRACE_CA_PEM", &file.path().to_string_lossy());
    world.believes().await;
}

#[tokio::test]
async fn a_file_that_is_not_there_is_named() {
    let mut world = World::new().await;
    world.set("DARKTRACE_CA_PEM", "/nowhere/ca.pem");
    let run = world.poll().await;
    assert_eq!(run.code, Some(78), "{}", run.text());
    assert!(run.line_with("/nowhere/ca.pem").contains("DARKTRACE_CA_PEM"));
}

#[tokio::test]
async fn an_unknown_authority_is_refused_with_the_fingerprint_and_what_to_set() {
    let identity = issued(&authority(), &params(&["localhost"]));
    let world = World::secured(&identity).await;
    let parts = [UNTRUSTED, &identity.pin(), "set DARKTRACE_PIN_SHA256 to that value", "or DARKTRACE_CA_PEM"];
    world.does_not_believe(&parts).await;
}

#[tokio::test]
async fn another_authority_than_the_given_one_is_refused() {
    let identity = issued(&authority(), &params(&["localhost"]));
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_CA_PEM", &authority().pem());
    world.does_not_believe(&[UNTRUSTED, &identity.pin()]).await;
}

#[tokio::test]
async fn a_certificate_of_the_authority_for_another_name_is_refused() {
    let authority = authority();
    let mut world = World::secured(&issued(&authority, &params(&["darktrace.example"]))).await;
    world.set("DARKTRACE_CA_PEM", &authority.pem());
    world.does_not_believe(&[UNTRUSTED, "localhost"]).await;
}

#[tokio::test]
async fn an_expired_certificate_of_the_authority_is_refused() {
    let authority = authority();
    let mut world = World::secured(&issued(&authority, &expired(params(&["localhost"])))).await;
    world.set("DARKTRACE_CA_PEM", &authority.pem());
    world.does_not_believe(&[UNTRUSTED, "expired"]).await;
}

#[tokio::test]
async fn a_pin_of_the_certificate_accepts_what_openssl_makes() {
    let identity = openssl_like();
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_PIN_SHA256", &identity.pin());
    world.believes().await;
}

#[tokio::test]
async fn a_pin_of_the_key_accepts_what_openssl_makes() {
    let identity = openssl_like();
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_PIN_SHA256", &identity.key_pin());
    world.believes().await;
}

#[tokio::test]
async fn a_pin_accepts_a_certificate_for_another_name() {
    let identity = self_signed(&params(&["darktrace.internal"]));
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_PIN_SHA256", &identity.pin());
    world.believes().await;
}

#[tokio::test]
async fn a_pin_accepts_an_expired_certificate() {
    let identity = self_signed(&expired(params(&["localhost"])));
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_PIN_SHA256", &identity.key_pin());
    world.believes().await;
}

#[tokio::test]
async fn the_next_certificate_may_be_pinned_beside_the_present_one() {
    let (present, next) = (openssl_like(), openssl_like());
    for identity in [&present, &next] {
        let mut world = World::secured(identity).await;
        world.set("DARKTRACE_PIN_SHA256", &format!("{},{}", present.pin(), next.pin()));
        world.believes().await;
    }
}

#[tokio::test]
async fn a_certificate_that_was_renewed_is_refused_with_its_new_fingerprint() {
    let (pinned, renewed) = (openssl_like(), openssl_like());
    let mut world = World::secured(&renewed).await;
    world.set("DARKTRACE_PIN_SHA256", &pinned.pin());
    world.does_not_believe(&[UNTRUSTED, "it matches none of the pins", &renewed.pin()]).await;
}

#[tokio::test]
async fn with_pins_an_authority_does_not_count() {
    let authority = authority();
    let identity = issued(&authority, &params(&["localhost"]));
    let mut world = World::secured(&identity).await;
    world.set("DARKTRACE_CA_PEM", &authority.pem());
    world.set("DARKTRACE_PIN_SHA256", &openssl_like().pin());
    world.does_not_believe(&[UNTRUSTED, "it matches none of the pins", &identity.pin()]).await;
}

#[tokio::test]
async fn whoever_shows_the_pinned_certificate_without_its_key_is_refused() {
    let identity = openssl_like();
    for version in BOTH {
        let other_key = KeyPair::generate().unwrap();
        let mut world = World::behind(acceptor(&identity.certificate, &other_key, &[version])).await;
        world.set("DARKTRACE_PIN_SHA256", &identity.pin());
        let run = world.does_not_believe(&["does not hold the key of the certificate that it shows"]).await;
        assert!(!run.text().contains("DARKTRACE_PIN_SHA256"), "no pin mends that\n{}", run.text());
    }
}

/// Serves `router` over TLS as `name`, and returns a client for which `name` is there.
pub(crate) fn serve_as(name: &str, tcp: TcpListener, router: axum::Router) -> reqwest::Client {
    let authority = authority();
    let identity = issued(&authority, &params(&[name]));
    let tls = acceptor(&identity.certificate, &identity.key, &BOTH);
    let address = tcp.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(Secured { tcp, tls }, router).await });
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&BOTH)
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    reqwest::Client::builder().no_proxy().resolve(name, address).tls_backend_preconfigured(config).build().unwrap()
}

/// A proxy that joins every `CONNECT` to `target` and writes down what it was asked for.
async fn proxy(target: SocketAddr) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = listener().await;
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(join(stream, target, Arc::clone(&log)));
        }
    });
    (address, asked)
}

impl World {
    /// A world whose appliance has a name that only a proxy knows, and what the proxy was asked for.
    pub(crate) async fn behind_a_proxy() -> (Self, Arc<Mutex<Vec<String>>>) {
        let identity = self_signed(&params(&["darktrace.invalid"]));
        let mut world = Self::secured(&identity).await;
        let port = world.environment()["DARKTRACE_HOST"].rsplit(':').next().unwrap().parse().unwrap();
        let (address, asked) = proxy(SocketAddr::from(([127, 0, 0, 1], port))).await;
        for (name, value) in [
            ("DARKTRACE_HOST", "https://darktrace.invalid"),
            ("DARKTRACE_PIN_SHA256", &identity.pin()),
            ("HTTPS_PROXY", &address),
            ("NO_PROXY", "127.0.0.1"),
        ] {
            world.set(name, value);
        }
        (world, asked)
    }
}

async fn join(stream: TcpStream, target: SocketAddr, asked: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line).await?;
    asked.lock().unwrap().push(line.trim_end().to_owned());
    if !line.starts_with("CONNECT ") {
        return stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n").await;
    }
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    let mut onward = TcpStream::connect(target).await?;
    tokio::io::copy_bidirectional(&mut stream, &mut onward).await?;
    Ok(())
}

#[tokio::test]
async fn a_proxy_is_used_for_the_appliance_and_never_for_the_identity_endpoint() {
    let authority = authority();
    let mut world = World::secured(&issued(&authority, &params(&["darktrace.example"]))).await;
    world.set("DARKTRACE_CA_PEM", &authority.pem());
    let port = world.environment()["DARKTRACE_HOST"].rsplit(':').next().unwrap().parse().unwrap();
    let (address, asked) = proxy(SocketAddr::from(([127, 0, 0, 1], port))).await;
    world.set("DARKTRACE_HOST", "https://darktrace.example");
    // The rows go to `localhost`, which is exempt; the identity endpoint at 127.0.0.1 is not.
    let rows = world.ingestion.base_url().replace("127.0.0.1", "localhost");
    world.set("DATA_COLLECTION_ENDPOINT", &rows);
    for (name, value) in [("HTTPS_PROXY", &*address), ("HTTP_PROXY", &*address), ("NO_PROXY", "localhost")] {
        world.set(name, value);
    }
    world.believes().await;
    assert!(world.identity.seen().iter().any(|request| request.status == 200));
    let asked = asked.lock().unwrap();
    assert!(
        !asked.is_empty() && asked.iter().all(|line| line == "CONNECT darktrace.example:443 HTTP/1.1"),
        "{asked:?}"
    );
}
