//! Tokens for Azure: which credential is used, and how long a token is kept.
//!
//! The credential is chosen by the settings and never falls back to another one at run time. `azure_identity` keeps
//! tokens too, but it gives an error in the last five minutes of a token that still works when the endpoint fails, and it
//! hands out a refused token again; both are mended here. It does not know what a token is for.

mod principal;

pub use principal::Principal;

use crate::http::{self, Clock};
use crate::instant::Instant;
use crate::secret::Secret;
use crate::settings::{Cloud, Credential};
use azure_core::cloud::CloudConfiguration;
use azure_core::credentials::{AccessToken, Secret as SdkSecret, TokenCredential, TokenRequestOptions};
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, Transport};
use azure_core::time::Duration as SdkDuration;
use azure_identity::{
    ClientSecretCredential, ClientSecretCredentialOptions, DeveloperToolsCredential, ManagedIdentityCredential,
    ManagedIdentityCredentialOptions, UserAssignedId, WorkloadIdentityCredential, WorkloadIdentityCredentialOptions,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// No answer of an identity endpoint is waited for any longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// A request for a token that fails is repeated so often, as far as there is time.
const REPEATS: u32 = 4;
/// A token is renewed when it has less than this left.
const RENEW: Duration = Duration::from_secs(600);
/// A token is still used when its renewal fails, down to this.
const USABLE: Duration = Duration::from_secs(60);

/// A failure is the answer to everybody who asks so soon after it: sources that wait side by side do not wait in a row.
const PAUSE: Duration = Duration::from_secs(10);

/// No token could be had.
#[derive(Clone, Debug, thiserror::Error)]
#[error("no token for {audience} from {credential}: {reason}; {hint}")]
pub struct TokenError {
    audience: String,
    credential: String,
    reason: String,
    hint: &'static str,
}

impl TokenError {
    /// What happened, without what to do about it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// What an operator does next.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        self.hint
    }
}

/// Tokens of one credential, for any audience.
#[derive(Debug)]
pub struct Tokens {
    credential: Credential,
    cloud: Cloud,
    http: reqwest::Client,
    clock: Clock,
    repeats: u32,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    source: Option<Arc<dyn TokenCredential>>,
    tokens: HashMap<String, Token>,
    failures: HashMap<String, Failed>,
}

#[derive(Clone, Debug)]
struct Token {
    text: Secret,
    expires: Instant,
}

#[derive(Clone, Debug)]
struct Failed {
    error: TokenError,
    at: tokio::time::Instant,
}

impl Tokens {
    /// Tokens of `credential`. `http` must not go through a proxy when the credential is a managed identity.
    #[must_use]
    pub fn new(credential: Credential, cloud: Cloud, http: reqwest::Client, clock: Clock) -> Self {
        Self { credential, cloud, http, clock, repeats: REPEATS, kept: Mutex::default() }
    }

    /// The same tokens, and each is asked for once: whoever only looks is told what happened, not that it took too long.
    #[must_use]
    pub fn asking_once(self) -> Self {
        Self { repeats: 0, ..self }
    }

    /// A token for `audience`, such as `https://monitor.azure.com`.
    ///
    /// # Errors
    /// When the credential gives none and no earlier token is left.
    pub async fn get(&self, audience: &str) -> Result<Secret, TokenError> {
        let mut kept = self.kept.lock().await;
        let now = (self.clock)();
        let earlier = kept.tokens.get(audience).cloned();
        let left = earlier.as_ref().map_or(Duration::ZERO, |token| token.expires.since(now));
        if let Some(token) = earlier.as_ref().filter(|_| left > RENEW) {
            return Ok(token.text.clone());
        }
        match self.renew(&mut kept, audience).await {
            Ok(text) => Ok(text),
            Err(error) => earlier.filter(|_| left > USABLE).map(|token| token.text).ok_or(error),
        }
    }

    /// Whom a token for `audience` speaks for.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn principal(&self, audience: &str) -> Result<Principal, TokenError> {
        self.get(audience).await.map(|token| Principal::of(&token))
    }

    async fn renew(&self, kept: &mut Kept, audience: &str) -> Result<Secret, TokenError> {
        if let Some(failed) = kept.failures.get(audience).filter(|failed| failed.at.elapsed() < PAUSE) {
            return Err(failed.error.clone());
        }
        match self.request(kept, audience).await {
            Ok(token) => {
                let text = token.text.clone();
                kept.tokens.insert(audience.to_owned(), token);
                Ok(text)
            }
            Err(error) => {
                let failed = Failed { error: error.clone(), at: tokio::time::Instant::now() };
                kept.failures.insert(audience.to_owned(), failed);
                Err(error)
            }
        }
    }

    /// Forgets every token, and every failure: a token was refused. The next one is asked for anew.
    pub async fn forget(&self) {
        *self.kept.lock().await = Kept::default();
    }

    async fn request(&self, kept: &mut Kept, audience: &str) -> Result<Token, TokenError> {
        let source = match &kept.source {
            Some(source) => Arc::clone(source),
            None => {
                let options = options(self.cloud, &self.http, self.repeats);
                let source = source(&self.credential, options).map_err(|error| self.error(audience, &error))?;
                Arc::clone(kept.source.insert(source))
            }
        };
        let scope = format!("{audience}/.default");
        let token = tokio::time::timeout(PATIENCE, source.get_token(&[&scope], None)).await;
        let token = token
            .map_err(|_| self.failure(audience, format!("no answer within {} s", PATIENCE.as_secs())))?
            .map_err(|error| self.error(audience, &error))?;
        let expires = Instant(token.expires_on.unix_timestamp().saturating_mul(1000));
        Ok(Token { text: Secret::new(token.token.secret()), expires })
    }

    fn error(&self, audience: &str, error: &azure_core::Error) -> TokenError {
        self.failure(audience, http::chain(error).lines().collect::<Vec<_>>().join(" "))
    }

    fn failure(&self, audience: &str, reason: String) -> TokenError {
        let credential = self.credential.to_string();
        TokenError { audience: audience.to_owned(), credential, reason, hint: hint(&self.credential) }
    }
}

const fn hint(credential: &Credential) -> &'static str {
    match credential {
        Credential::ManagedIdentity { client_id: None } => {
            "check that the system-assigned identity of the function app is turned on"
        }
        Credential::ManagedIdentity { client_id: Some(_) } => {
            "check that the identity of AZURE_CLIENT_ID is assigned to the function app"
        }
        Credential::WorkloadIdentity => "check the federated credential of the service account",
        Credential::ClientSecret { .. } => {
            "check AZURE_TENANT_ID, AZURE_CLIENT_ID and that AZURE_CLIENT_SECRET has not expired"
        }
        Credential::DeveloperTools => "sign in with `az login` or `azd auth login`",
    }
}

/// What tokens for a storage account are for, in every cloud
/// (<https://learn.microsoft.com/azure/storage/blobs/authorize-access-azure-active-directory#microsoft-authentication-library-msal>).
#[must_use]
pub const fn storage_audience() -> &'static str {
    "https://storage.azure.com"
}

/// The credential that opens the storage account: another managed identity, where one is named for it.
#[must_use]
pub fn for_storage(credential: &Credential, client_id: Option<&str>) -> Credential {
    match (credential, client_id) {
        (Credential::ManagedIdentity { .. }, Some(id)) => {
            Credential::ManagedIdentity { client_id: Some(id.to_owned()) }
        }
        _ => credential.clone(),
    }
}

/// The credential for the storage client, which asks for its tokens itself.
///
/// # Errors
/// When the platform does not offer the credential.
pub fn storage_credential(
    credential: &Credential,
    client_id: Option<&str>,
    cloud: Cloud,
    http: &reqwest::Client,
) -> Result<Arc<dyn TokenCredential>, TokenError> {
    let chosen = for_storage(credential, client_id);
    let source = source(&chosen, options(cloud, http, REPEATS)).map_err(|error| TokenError {
        audience: "storage".to_owned(),
        credential: chosen.to_string(),
        reason: http::chain(&error),
        hint: hint(&chosen),
    })?;
    Ok(Arc::new(Patient(source)))
}

/// A credential whose answers are waited for no longer than [`PATIENCE`].
#[derive(Debug)]
struct Patient(Arc<dyn TokenCredential>);

#[async_trait::async_trait]
impl TokenCredential for Patient {
    async fn get_token(
        &self,
        scopes: &[&str],
        options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        tokio::time::timeout(PATIENCE, self.0.get_token(scopes, options)).await.unwrap_or_else(|_| {
            let text = format!("the identity endpoint gave no answer within {} s", PATIENCE.as_secs());
            Err(azure_core::Error::with_message(azure_core::error::ErrorKind::Credential, text))
        })
    }
}

fn source(credential: &Credential, client_options: ClientOptions) -> azure_core::Result<Arc<dyn TokenCredential>> {
    Ok(match credential {
        Credential::ManagedIdentity { client_id } => {
            let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
            let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
            ManagedIdentityCredential::new(Some(options))?
        }
        Credential::WorkloadIdentity => {
            let mut options = WorkloadIdentityCredentialOptions::default();
            options.credential_options.client_options = client_options;
            WorkloadIdentityCredential::new(Some(options))?
        }
        Credential::ClientSecret { tenant, client, secret } => {
            let options = ClientSecretCredentialOptions { client_options };
            let secret = SdkSecret::new(secret.expose().to_owned());
            ClientSecretCredential::new(tenant, client.clone(), secret, Some(options))?
        }
        Credential::DeveloperTools => DeveloperToolsCredential::new(None)?,
    })
}

fn options(cloud: Cloud, http: &reqwest::Client, max_retries: u32) -> ClientOptions {
    let retry = ExponentialRetryOptions {
        initial_delay: SdkDuration::milliseconds(500),
        max_retries,
        max_total_elapsed: SdkDuration::seconds(9),
        ..ExponentialRetryOptions::default()
    };
    ClientOptions {
        transport: Some(Transport::new(Arc::new(http.clone()))),
        retry: RetryOptions::exponential(retry),
        cloud: Some(Arc::new(match cloud {
            Cloud::Public => CloudConfiguration::AzurePublic,
            Cloud::Government => CloudConfiguration::AzureGovernment,
            Cloud::China => CloudConfiguration::AzureChina,
        })),
        ..ClientOptions::default()
    }
}
