//! An application with a secret. The authority of each cloud is fixed, so its name is resolved to a stand-in here; a child
//! process could not be told that.

use crate::tls::serve_as;
use crate::world::listener;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use darktrace_sentinel::http::system_clock;
use darktrace_sentinel::identity::Tokens;
use darktrace_sentinel::secret::Secret;
use darktrace_sentinel::settings::{Cloud, Credential};
use std::sync::{Arc, Mutex};

const SECRET: &str = "application-c4n4ry";

type Seen = Arc<Mutex<Vec<(String, String, String)>>>;

/// A client for which the authority of `cloud` answers with this status and body; host, path and body of each request are
/// written down.
async fn authority(cloud: Cloud, seen: &Seen, status: u16, body: &'static str) -> reqwest::Client {
    let answer = move |State(seen): State<Seen>, uri: Uri, headers: HeaderMap, request: String| async move {
        let host = headers["host"].to_str().unwrap().to_owned();
        seen.lock().unwrap().push((host, uri.path().to_owned(), request));
        (StatusCode::from_u16(status).unwrap(), [("content-type", "application/json")], body)
    };
    let router = Router::new().fallback(answer).with_state(Arc::clone(seen));
    serve_as(host(cloud), listener().await, router)
}

fn host(cloud: Cloud) -> &'static str {
    cloud.authority().trim_start_matches("https://")
}

fn tokens(cloud: Cloud, http: reqwest::Client) -> Tokens {
    let credential = Credential::ClientSecret {
        tenant: "contoso.example".to_owned(),
        client: "an-application".to_owned(),
        secret: Secret::new(SECRET),
    };
    Tokens::new(credential, cloud, http, system_clock)
}

#[tokio::test]
async fn an_application_asks_the_authority_of_its_cloud_for_its_audience() {
    for cloud in Cloud::ALL {
        let seen = Seen::default();
        let answer = r#"{"token_type":"Bearer","expires_in":3599,"access_token":"t0ken"}"#;
        let http = authority(cloud, &seen, 200, answer).await;
        let token = tokens(cloud, http).get(cloud.monitor_audience()).await.unwrap();
        assert_eq!(token.expose(), "t0ken");
        let seen = seen.lock().unwrap();
        let (asked, path, body) = &seen[0];
        assert_eq!((asked.as_str(), path.as_str()), (host(cloud), "/contoso.example/oauth2/v2.0/token"));
        let audience = cloud.monitor_audience().trim_start_matches("https://");
        for part in
            ["client_id=an-application", "client_credentials", &format!("scope=https%3A%2F%2F{audience}%2F.default")]
        {
            assert!(body.contains(part), "{part} is not in {body}");
        }
    }
}

#[tokio::test]
async fn a_refused_secret_is_told_with_what_to_check_and_never_shown() {
    let seen = Seen::default();
    let refusal = r#"{"error":"invalid_client","error_description":"AADSTS7000222: the secret has expired","error_codes":[7000222]}"#;
    let http = authority(Cloud::Public, &seen, 401, refusal).await;
    let error = tokens(Cloud::Public, http).get("https://monitor.azure.com").await.unwrap_err();
    let text = format!("{error} {error:?}");
    for part in ["https://monitor.azure.com", "AADSTS7000222", "AZURE_CLIENT_SECRET has not expired"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains(SECRET) && !text.contains('\n'), "{text}");
}
