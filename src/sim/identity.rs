//! A simulated identity endpoint of App Service, with a key vault beside it.
//!
//! `GET /msi/token` answers as the endpoint does that App Service names in `IDENTITY_ENDPOINT`
//! (<https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference>); `GET /secrets/...`
//! answers as Key Vault does. It does not know what the tokens are for; [`super::ingestion`] checks them.

use super::faults::FaultQueue;
use super::server::{Running, Stop, Switch};
use super::token::{self, Refusal};
use super::{calendar, locked, query};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// What tokens for Key Vault carry.
const VAULT: &str = "https://vault.azure.net";
/// Managed identities give tokens for a day.
const DAY_S: i64 = 86_400;

static SERIAL: AtomicU64 = AtomicU64::new(1);

/// A token as the endpoint issues them, for a test with a fixed one. It expires `ttl_s` seconds from now.
#[must_use]
pub fn issue(audience: &str, ttl_s: i64) -> String {
    let now_s = calendar::now_ms() / 1000;
    token::issue(audience, (now_s, now_s + ttl_s), SERIAL.fetch_add(1, Ordering::Relaxed))
}

/// Things that go wrong once: queued with [`Identity::fail_next`], each met by one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// This status, with a short JSON error. 400 is what an unknown identity gets.
    Status(u16),
    /// No answer until the simulator stops.
    Hang,
    /// A token that lives for this many seconds; below zero it has expired already.
    TtlSeconds(i64),
}

/// A request as the endpoint saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SeenTokenRequest {
    /// `/msi/token` or `/secrets/...`
    pub path: String,
    /// What the token is to be for.
    pub resource: Option<String>,
    /// Which user-assigned identity was asked for.
    pub client_id: Option<String>,
    /// The status answered; 0 while there is none.
    pub status: u16,
    /// When it came, in epoch milliseconds.
    pub received_at_ms: i64,
}

/// A handle to a running endpoint; it runs until the last handle is dropped.
///
/// ```
/// # use darktrace_sentinel::sim::identity::Identity;
/// # async fn f() -> std::io::Result<()> {
/// let identity = Identity::start(tokio::net::TcpListener::bind("127.0.0.1:0").await?, "header secret");
/// identity.set_secret("darktrace-token", "s3cret");
/// // For the child process: IDENTITY_ENDPOINT and IDENTITY_HEADER.
/// let _environment = [identity.token_url(), "header secret".to_owned()];
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Identity {
    shared: Arc<Shared>,
    running: Arc<Running>,
}

#[derive(Debug)]
struct Shared {
    header: String,
    stop: Stop,
    ttl_s: Mutex<i64>,
    faults: Mutex<FaultQueue<Fault>>,
    /// Each value that a secret ever had; the last one is current.
    secrets: Mutex<BTreeMap<String, Vec<String>>>,
    seen: Mutex<Vec<SeenTokenRequest>>,
}

impl Identity {
    /// Serves on `listener`; `header` is what `X-IDENTITY-HEADER` must say. Must be called within a Tokio runtime.
    #[must_use]
    pub fn start(listener: TcpListener, header: &str) -> Self {
        let (switch, stop) = Switch::new();
        let shared = Arc::new(Shared {
            header: header.to_owned(),
            stop,
            ttl_s: Mutex::new(DAY_S),
            faults: Mutex::default(),
            secrets: Mutex::default(),
            seen: Mutex::default(),
        });
        let running = Arc::new(Running::start(listener, router(&shared), switch));
        Self { shared, running }
    }

    /// `http://127.0.0.1:port`, which is also the address of the key vault.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.running.base_url()
    }

    /// The value for `IDENTITY_ENDPOINT`.
    #[must_use]
    pub fn token_url(&self) -> String {
        format!("{}/msi/token", self.base_url())
    }

    /// The same endpoint as a router, for a test that serves it over TLS itself.
    pub fn router(&self) -> Router {
        router(&self.shared)
    }

    /// Stops accepting; returns when the port is closed.
    pub async fn shutdown(&self) {
        self.running.shutdown().await;
    }

    /// How long tokens live from now on, in seconds. A day at first.
    pub fn set_ttl_seconds(&self, ttl_s: i64) {
        *locked(&self.shared.ttl_s) = ttl_s;
    }

    /// Gives a secret of the key vault a new version; its versions are called `v1`, `v2` and so on.
    pub fn set_secret(&self, name: &str, value: &str) {
        locked(&self.shared.secrets).entry(name.to_owned()).or_default().push(value.to_owned());
    }

    /// Lets the next `times` requests meet `fault`, after those queued before.
    pub fn fail_next(&self, fault: Fault, times: usize) {
        self.fail_next_on("", fault, times);
    }

    /// As [`Self::fail_next`], for requests whose path begins with `prefix`.
    pub fn fail_next_on(&self, prefix: &str, fault: Fault, times: usize) {
        locked(&self.shared.faults).push(prefix, fault, times);
    }

    /// Forgets the faults that have not been met yet.
    pub fn clear_faults(&self) {
        locked(&self.shared.faults).clear();
    }

    /// Every request so far, in order of arrival.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenTokenRequest> {
        locked(&self.shared.seen).clone()
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new().fallback(serve).with_state(Arc::clone(shared))
}

async fn serve(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let path = request.uri().path().to_owned();
    let query = query::pairs(request.uri().query().unwrap_or_default());
    let number = shared.arrived(&path, &query);
    let fault = locked(&shared.faults).take(&path);
    if fault == Some(Fault::Hang) {
        shared.stop.clone().wait().await;
    }
    let (status, body) = match fault {
        Some(Fault::Status(status)) => (status, error("Simulated", "the test ordered this status")),
        Some(Fault::TtlSeconds(ttl_s)) => shared.answer(&path, &query, request.headers(), ttl_s),
        Some(Fault::Hang) | None => {
            let ttl_s = *locked(&shared.ttl_s);
            shared.answer(&path, &query, request.headers(), ttl_s)
        }
    };
    locked(&shared.seen)[number].status = status;
    json_response(status, &body)
}

impl Shared {
    fn arrived(&self, path: &str, query: &[(String, String)]) -> usize {
        let mut seen = locked(&self.seen);
        seen.push(SeenTokenRequest {
            path: path.to_owned(),
            resource: query::value(query, "resource").map(str::to_owned),
            client_id: query::value(query, "client_id").map(str::to_owned),
            status: 0,
            received_at_ms: calendar::now_ms(),
        });
        seen.len() - 1
    }

    fn answer(&self, path: &str, query: &[(String, String)], headers: &HeaderMap, ttl_s: i64) -> (u16, Value) {
        match path.strip_prefix("/secrets/") {
            Some(secret) => self.secret(secret, query, headers),
            None if path == "/msi/token" => self.token(query, headers, ttl_s),
            None => (404, error("NotFound", "there is nothing at this path")),
        }
    }

    fn token(&self, query: &[(String, String)], headers: &HeaderMap, ttl_s: i64) -> (u16, Value) {
        if text(headers, "x-identity-header") != Some(self.header.as_str()) {
            return (401, json!({"statusCode": 401, "message": "The identity header is missing or wrong."}));
        }
        if query::value(query, "api-version") != Some("2019-08-01") {
            return (400, json!({"statusCode": 400, "message": "The api-version is not supported."}));
        }
        let Some(resource) = query::value(query, "resource").filter(|resource| !resource.is_empty()) else {
            return (400, json!({"statusCode": 400, "message": "A resource is required."}));
        };
        let answer = json!({
            "access_token": issue(resource, ttl_s),
            // The real endpoint sends a string, and its clients refuse a number.
            "expires_on": (calendar::now_ms() / 1000 + ttl_s).to_string(),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": query::value(query, "client_id").unwrap_or(token::CLIENT),
        });
        (200, answer)
    }

    fn secret(&self, secret: &str, query: &[(String, String)], headers: &HeaderMap) -> (u16, Value) {
        match token::check(text(headers, "authorization"), VAULT, calendar::now_ms() / 1000) {
            Ok(()) => {}
            Err(Refusal::Audience) => return (401, error("Unauthorized", "AKV10022: the audience is not the vault")),
            Err(_) => return (401, error("Unauthorized", "AKV10000: a valid bearer token is missing")),
        }
        if query::value(query, "api-version") != Some("7.4") {
            return (400, error("BadParameter", "the api-version is not supported"));
        }
        let (name, version) = secret.split_once('/').unwrap_or((secret, ""));
        let secrets = locked(&self.secrets);
        let versions = secrets.get(name).map(Vec::as_slice).unwrap_or_default();
        let number = match version.trim_end_matches('/') {
            "" => versions.len(),
            version => version.strip_prefix('v').and_then(|number| number.parse().ok()).unwrap_or(0),
        };
        match number.checked_sub(1).and_then(|at| versions.get(at)) {
            Some(value) => {
                (200, json!({"value": value, "id": format!("https://vault.example/secrets/{name}/v{number}")}))
            }
            None => (404, error("SecretNotFound", &format!("A secret with (name/id) {secret} was not found."))),
        }
    }
}

fn error(code: &str, message: &str) -> Value {
    json!({"error": {"code": code, "message": message}})
}

fn json_response(status: u16, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    if status == 401 {
        let challenge =
            "Bearer authorization=\"https://login.example/simulated\", resource=\"https://vault.azure.net\"";
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::{Client, RequestBuilder};

    const TOKEN: &str = "/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fmonitor.azure.com";

    async fn identity() -> Identity {
        // Each test may be a process of its own, and building any client needs a provider.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Identity::start(TcpListener::bind("127.0.0.1:0").await.unwrap(), "header secret")
    }

    fn asking(identity: &Identity, target: &str) -> RequestBuilder {
        let client = Client::builder().no_proxy().build().unwrap();
        client.get(format!("{}{target}", identity.base_url())).header("x-identity-header", "header secret")
    }

    async fn answer(request: RequestBuilder) -> (u16, Value) {
        let response = request.send().await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
    }

    fn accepted(token: &Value, audience: &str) -> Result<(), Refusal> {
        let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
        token::check(Some(&bearer), audience, calendar::now_ms() / 1000)
    }

    #[tokio::test]
    async fn a_token_comes_in_the_form_that_the_sdk_insists_on() {
        let identity = identity().await;
        let (status, token) = answer(asking(&identity, &format!("{TOKEN}&client_id=abc"))).await;
        assert_eq!(status, 200);
        assert!(token["expires_on"].as_str().unwrap().parse::<i64>().unwrap() > calendar::now_ms() / 1000 + 80_000);
        assert_eq!(token["resource"], "https://monitor.azure.com");
        assert_eq!((token["token_type"].as_str(), token["client_id"].as_str()), (Some("Bearer"), Some("abc")));
        assert_eq!(accepted(&token, "https://monitor.azure.com"), Ok(()));
        let seen = &identity.seen()[0];
        assert_eq!((seen.client_id.as_deref(), seen.status), (Some("abc"), 200));
    }

    #[tokio::test]
    async fn a_wrong_header_gets_no_token() {
        let identity = identity().await;
        let request = Client::builder().no_proxy().build().unwrap().get(format!("{}{TOKEN}", identity.base_url()));
        assert_eq!(answer(request.header("x-identity-header", "guess")).await.0, 401);
        assert_eq!(answer(asking(&identity, "/msi/token?api-version=2017-09-01&resource=a")).await.0, 400);
        assert_eq!(answer(asking(&identity, "/msi/token?api-version=2019-08-01")).await.0, 400);
    }

    #[tokio::test]
    async fn faults_are_statuses_short_lives_and_silence() {
        let identity = identity().await;
        identity.fail_next(Fault::Status(500), 1);
        identity.fail_next(Fault::TtlSeconds(-1), 1);
        identity.fail_next(Fault::Hang, 1);
        assert_eq!(answer(asking(&identity, TOKEN)).await.0, 500);
        let (_, token) = answer(asking(&identity, TOKEN)).await;
        assert_eq!(accepted(&token, "https://monitor.azure.com"), Err(Refusal::Expired));
        let hanging = tokio::time::timeout(std::time::Duration::from_millis(50), asking(&identity, TOKEN).send());
        assert!(hanging.await.is_err());
        identity.set_ttl_seconds(60);
        let (_, token) = answer(asking(&identity, TOKEN)).await;
        let left = token["expires_on"].as_str().unwrap().parse::<i64>().unwrap() - calendar::now_ms() / 1000;
        assert!((58..=60).contains(&left), "{left} s");
    }

    #[tokio::test]
    async fn a_secret_is_given_to_a_token_for_the_vault_only() {
        let identity = identity().await;
        identity.set_secret("token", "old");
        identity.set_secret("token", "new");
        let asked = async |path: &str, audience: &str| {
            let target = format!("/secrets/{path}?api-version=7.4");
            answer(asking(&identity, &target).bearer_auth(issue(audience, 60))).await
        };
        assert_eq!(asked("token", VAULT).await.1["value"], "new");
        assert_eq!(asked("token/v1", VAULT).await.1["value"], "old");
        assert_eq!(asked("token/v3", VAULT).await.0, 404);
        let (status, body) = asked("other", VAULT).await;
        assert_eq!((status, body["error"]["code"].as_str()), (404, Some("SecretNotFound")));
        assert_eq!(asked("token", "https://monitor.azure.com").await.0, 401);
        let anonymous = asking(&identity, "/secrets/token?api-version=7.4").send().await.unwrap();
        assert_eq!(anonymous.status(), 401);
        assert!(anonymous.headers()["www-authenticate"].to_str().unwrap().contains(VAULT));
    }
}
