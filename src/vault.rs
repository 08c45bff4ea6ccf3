//! The private token from a Key Vault secret, read at run time.
//!
//! A Key Vault reference in an app setting is resolved once and renewed within a day, and ends up as plain text in the
//! environment. Read by its address, a rotated token is found within a quarter of an hour, or at once when the appliance
//! refused the old one (<https://learn.microsoft.com/rest/api/keyvault/secrets/get-secret/get-secret>).

use crate::http::{self, Clock, FIRST_BYTE};
use crate::instant::Instant;
use crate::secret::Secret;
use serde::Deserialize;
use std::time::Duration;
use tokio::sync::Mutex;
use url::Url;

const API_VERSION: &str = "7.4";
/// A value is used this long before it is read again.
const FRESH: Duration = Duration::from_secs(15 * 60);
/// A secret's answer is small.
const MOST: usize = 64 << 10;

/// The secret could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the private token could not be read from Key Vault: {reason}; {hint}")]
pub struct VaultError {
    /// What happened.
    pub reason: String,
    /// What to do next.
    pub hint: &'static str,
}

/// One secret of a vault.
#[derive(Debug)]
pub struct VaultSecret {
    address: Url,
    http: reqwest::Client,
    clock: Clock,
    kept: Mutex<Option<(Secret, Instant)>>,
}

#[derive(Deserialize)]
struct Answer {
    value: String,
}

impl VaultSecret {
    /// The secret at `address`.
    #[must_use]
    pub fn new(mut address: Url, http: reqwest::Client, clock: Clock) -> Self {
        address.set_query(Some(&format!("api-version={API_VERSION}")));
        Self { address, http, clock, kept: Mutex::default() }
    }

    /// The value, not older than a quarter of an hour, if no read fails. `token` is for the vault's audience.
    ///
    /// # Errors
    /// When it cannot be read and no earlier value is there.
    pub async fn get(&self, token: &Secret) -> Result<Secret, VaultError> {
        let mut kept = self.kept.lock().await;
        let now = (self.clock)();
        if let Some((value, read)) = kept.as_ref()
            && now.since(*read) < FRESH
        {
            return Ok(value.clone());
        }
        match (self.read(token).await, kept.as_ref()) {
            (Ok(value), _) => {
                *kept = Some((value.clone(), now));
                Ok(value)
            }
            (Err(_), Some((earlier, _))) => Ok(earlier.clone()),
            (Err(error), None) => Err(error),
        }
    }

    /// Forgets the value: the appliance refused it.
    pub async fn forget(&self) {
        *self.kept.lock().await = None;
    }

    async fn read(&self, token: &Secret) -> Result<Secret, VaultError> {
        let request = self.http.get(self.address.clone()).bearer_auth(token.expose());
        let response = match tokio::time::timeout(FIRST_BYTE, request.send()).await {
            Err(_) => return Err(failed("no answer came in time".to_owned())),
            Ok(Err(error)) => return Err(failed(http::explain(error))),
            Ok(Ok(response)) => response,
        };
        match response.status().as_u16() {
            200 => {}
            401 | 403 => return Err(denied(response.status().as_u16())),
            404 => return Err(missing()),
            status => return Err(failed(format!("it answered {status}"))),
        }
        let body = http::excerpt(response, MOST).await;
        // The parser's error would quote the body, which is the secret.
        let answer: Answer =
            serde_json::from_slice(&body).map_err(|_| failed("its answer is not a secret".to_owned()))?;
        Ok(Secret::new(answer.value.trim()))
    }
}

const fn failed(reason: String) -> VaultError {
    VaultError { reason, hint: "check DARKTRACE_PRIVATE_TOKEN_URI and that the function app reaches the vault" }
}

fn denied(status: u16) -> VaultError {
    VaultError {
        reason: format!("it answered {status}"),
        hint: "give the identity the role Key Vault Secrets User on that secret",
    }
}

fn missing() -> VaultError {
    VaultError {
        reason: "there is no such secret".to_owned(),
        hint: "check the name in DARKTRACE_PRIVATE_TOKEN_URI and that the secret is enabled",
    }
}
