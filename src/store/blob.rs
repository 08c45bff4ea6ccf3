//! A container of Azure Blob Storage as a store.
//!
//! It turns the service's answers into what a caller can do about them ([`Fault`]) and creates the container when a write
//! does not find it. It does not know where its access came from ([`super::access`]) or what is stored. Statuses and codes
//! are those of <https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>.

use super::shared_key::SharedKeyPolicy;
use super::{BlobAccess, Cause, Etag, Expect, Lease, Renewal, StoreError, Stored};
use azure_core::error::ErrorKind;
use azure_core::http::policies::Policy;
use azure_core::http::{ClientOptions, ExponentialRetryOptions, RetryOptions, StatusCode, Transport};
use azure_core::time::Duration as Span;
use azure_storage_blob::models::{
    BlobClientAcquireLeaseOptions, BlobClientDownloadOptions, BlobClientUploadOptions, StorageErrorCode,
};
use azure_storage_blob::{BlobClient, BlobContainerClient, BlobServiceClient, BlobServiceClientOptions};
use bytes::Bytes;
use std::error::Error;
use std::fmt;
use std::iter::successors;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// An operation with all its attempts ends after this time, because the service may ask for any pause between two. It is
/// shorter than a lease lasts, so that a renewal which hangs is known to have failed before the lease is over.
const OPERATION: Duration = Duration::from_secs(15);

/// Every object goes in one request, whatever its size: then it is written whole or not at all, and two writers at a time
/// cannot discard each other's parts. Azure takes 5000 MiB in one.
const WHOLE: usize = 5000 << 20;

#[derive(Clone)]
pub(super) struct Container {
    client: Arc<BlobContainerClient>,
    /// What an operator does when access is refused; it depends on how we ask for it.
    denied_hint: &'static str,
}

impl Container {
    pub(super) fn new(access: BlobAccess, name: &str, http: reqwest::Client) -> Result<Self, StoreError> {
        let url = access.service_url()?;
        let (credential, policy, denied_hint) = match access {
            BlobAccess::Identity { credential, .. } => (Some(credential), None, IDENTITY_HINT),
            BlobAccess::SharedKey { account, key, .. } => {
                let policy: Arc<dyn Policy> = Arc::new(SharedKeyPolicy { account, key });
                (None, Some(policy), KEY_HINT)
            }
        };
        let options = BlobServiceClientOptions { client_options: pipeline(http, policy), ..Default::default() };
        let service = BlobServiceClient::new(url, credential, Some(options)).map_err(|error| {
            let problem = "the address of the blob service does not suit an identity".to_owned();
            StoreError::Misconfigured { problem, hint: ADDRESS_HINT, cause: Some(error.into()) }
        })?;
        Ok(Self { client: Arc::new(service.blob_container_client(name)), denied_hint })
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let blob = self.client.blob_client(name);
        let options = BlobClientDownloadOptions {
            partition_size: NonZero::new(WHOLE),
            parallel: NonZero::new(1),
            ..Default::default()
        };
        let answer = limited(async {
            let answer = blob.download(Some(options)).await?;
            let etag = answer.properties.etag;
            Ok((answer.body.collect().await?, etag))
        });
        match answer.await {
            Ok((bytes, etag)) => Ok(Some(Stored { bytes, etag: etag_of(etag)? })),
            Err(fault) if fault.is_missing() => Ok(None),
            Err(fault) => Err(self.meaning("read", name, fault)),
        }
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes, expect: &Expect) -> Result<Etag, StoreError> {
        let mut written = self.put(name, bytes.clone(), expect).await;
        if written.as_ref().is_err_and(Fault::is_without_container) {
            self.create().await?;
            written = self.put(name, bytes, expect).await;
        }
        match written {
            Ok(etag) => etag_of(etag),
            Err(fault) if fault.is_missing() && matches!(expect, Expect::Match(_)) => {
                Err(StoreError::Conflict { name: name.to_owned() })
            }
            Err(fault) => Err(self.meaning("write", name, fault)),
        }
    }

    /// A lease needs a blob to be on, so an empty one is written first where there is none.
    pub(super) async fn lease(&self, name: &str) -> Result<Option<BlobLease>, StoreError> {
        let mut taken = self.acquire(name).await;
        if taken.as_ref().is_err_and(Fault::is_missing) {
            match self.write(name, Bytes::new(), &Expect::Absent).await {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
            taken = self.acquire(name).await;
        }
        match taken {
            Ok(lease) => Ok(Some(lease)),
            Err(fault) if fault.is_conflict() => Ok(None),
            Err(fault) => Err(self.meaning("lease", name, fault)),
        }
    }

    async fn put(&self, name: &str, bytes: Bytes, expect: &Expect) -> Result<Option<HttpEtag>, Fault> {
        let blob = self.client.blob_client(name);
        let options = BlobClientUploadOptions { partition_size: NonZero::new(WHOLE as u64), ..Default::default() };
        let options = match expect {
            Expect::Absent => options.if_not_exists(),
            Expect::Match(etag) => {
                BlobClientUploadOptions { if_match: Some(format!("\"{}\"", etag.0).into()), ..options }
            }
            Expect::Anything => options,
        };
        limited(async { Ok(blob.upload(bytes.into(), Some(options)).await?.etag) }).await
    }

    /// We name the lease ourselves: an attempt whose answer was lost and that is sent again then finds its own lease, not
    /// somebody else's.
    async fn acquire(&self, name: &str) -> Result<BlobLease, Fault> {
        let blob = self.client.blob_client(name);
        let id = Uuid::new_v4().to_string();
        let options = BlobClientAcquireLeaseOptions { proposed_lease_id: Some(id.clone()), ..Default::default() };
        limited(async { blob.acquire_lease(Lease::LASTS.as_secs() as i32, Some(options)).await.map(drop) }).await?;
        Ok(BlobLease { container: self.clone(), blob, name: name.to_owned(), id })
    }

    /// 409 means that it is there already, or is being deleted; the write that follows tells.
    async fn create(&self) -> Result<(), StoreError> {
        match limited(async { self.client.create(None).await.map(drop) }).await {
            Err(fault) if fault.is_conflict() => Ok(()),
            created => created.map_err(|fault| self.meaning("create", "the container", fault)),
        }
    }

    fn meaning(&self, doing: &str, name: &str, fault: Fault) -> StoreError {
        let what = format!("{doing} {name} in {}{}", self.client.url(), fault.answer());
        match fault.class() {
            Class::Conflict => StoreError::Conflict { name: name.to_owned() },
            Class::Unavailable => StoreError::Unavailable { what, cause: fault.into_cause() },
            Class::Denied => StoreError::Denied { what, hint: self.denied_hint, cause: fault.into_cause() },
            Class::Misconfigured => {
                let problem = format!("storage finds fault with the request to {what}");
                StoreError::Misconfigured { problem, hint: ADDRESS_HINT, cause: fault.into_cause() }
            }
        }
    }
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Container({})", self.client.url())
    }
}

pub(super) struct BlobLease {
    container: Container,
    blob: BlobClient,
    name: String,
    id: String,
}

impl BlobLease {
    pub(super) async fn renew(&self) -> Result<Renewal, StoreError> {
        match limited(async { self.blob.renew_lease(self.id.clone(), None).await.map(drop) }).await {
            Ok(()) => Ok(Renewal::Held),
            Err(fault) if fault.is_conflict() || fault.is_missing() => Ok(Renewal::Lost),
            Err(fault) => Err(self.container.meaning("renew the lease on", &self.name, fault)),
        }
    }

    pub(super) async fn release(self) -> Result<(), StoreError> {
        match limited(async { self.blob.release_lease(self.id.clone(), None).await.map(drop) }).await {
            Err(fault) if fault.is_conflict() || fault.is_missing() => Ok(()),
            released => released.map_err(|fault| self.container.meaning("release the lease on", &self.name, fault)),
        }
    }
}

impl fmt::Debug for BlobLease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlobLease({} in {:?})", self.name, self.container)
    }
}

const IDENTITY_HINT: &str = "give the identity the role Storage Blob Data Contributor on the container or the storage \
     account (a new assignment can take minutes to work), and let the account's firewall accept the function";
const KEY_HINT: &str = "check that the account name and the key of the connection string belong together, that the account \
     allows shared keys and that this machine's clock is right, or use an identity with the role Storage Blob Data \
     Contributor";
const ADDRESS_HINT: &str = "check the address of the storage account and the name of the container (3 to 63 lower-case \
     letters, digits and hyphens); start an Azurite that is older than the client with --skipApiVersionCheck";

type HttpEtag = azure_core::http::Etag;

/// Five attempts, 0.2 to 3 seconds apart, none begun later than ten seconds after the first.
fn pipeline(http: reqwest::Client, policy: Option<Arc<dyn Policy>>) -> ClientOptions {
    ClientOptions {
        transport: Some(Transport::new(Arc::new(http))),
        per_try_policies: policy.into_iter().collect(),
        retry: RetryOptions::exponential(ExponentialRetryOptions {
            // The SDK doubles it before the first pause.
            initial_delay: Span::milliseconds(100),
            max_delay: Span::seconds(3),
            max_retries: 4,
            max_total_elapsed: Span::seconds(10),
        }),
        ..Default::default()
    }
}

async fn limited<T>(operation: impl Future<Output = azure_core::Result<T>>) -> Result<T, Fault> {
    match timeout(OPERATION, operation).await {
        Ok(result) => result.map_err(Fault::Azure),
        Err(_) => Err(Fault::Deadline),
    }
}

fn etag_of(etag: Option<HttpEtag>) -> Result<Etag, StoreError> {
    let what = "name the version of what it answered with".to_owned();
    etag.map(|etag| Etag::new(etag.as_ref())).ok_or(StoreError::Unavailable { what, cause: None })
}

/// Why an operation did not succeed, as the wire tells it.
#[derive(Debug)]
enum Fault {
    Azure(azure_core::Error),
    Deadline,
}

/// Who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Conflict,
    Unavailable,
    Denied,
    Misconfigured,
}

impl Fault {
    /// The status and the service's code, where there was an answer.
    fn status(&self) -> Option<(StatusCode, &str)> {
        let Self::Azure(error) = self else { return None };
        match error.kind() {
            ErrorKind::HttpResponse { status, error_code, .. } => {
                Some((*status, error_code.as_deref().unwrap_or_default()))
            }
            _ => None,
        }
    }

    fn class(&self) -> Class {
        match self.status() {
            Some((status, code)) => class_of(status, code),
            None if self.is_refused_token() => Class::Denied,
            None => Class::Unavailable,
        }
    }

    fn is_conflict(&self) -> bool {
        self.class() == Class::Conflict
    }

    fn is_without_container(&self) -> bool {
        self.has(StorageErrorCode::ContainerNotFound)
    }

    fn is_missing(&self) -> bool {
        self.is_without_container() || self.has(StorageErrorCode::BlobNotFound)
    }

    fn has(&self, code: StorageErrorCode) -> bool {
        self.status().is_some_and(|(_, found)| found == code.as_ref())
    }

    /// The identity endpoint says no itself, for example because no identity is assigned. Its status is somewhere below,
    /// because the pipeline wraps what its steps return.
    fn is_refused_token(&self) -> bool {
        let Self::Azure(error) = self else { return false };
        let first: &(dyn Error + 'static) = error;
        let status = successors(Some(first), |error: &&(dyn Error + 'static)| (*error).source())
            .filter_map(|error| error.downcast_ref::<azure_core::Error>())
            .find_map(azure_core::Error::http_status);
        matches!(error.kind(), ErrorKind::Credential) && matches!(status.map(u16::from), Some(400 | 401 | 403))
    }

    fn answer(&self) -> String {
        match self.status() {
            Some((status, "")) => format!(": it answered {}", u16::from(status)),
            Some((status, code)) => format!(": it answered {} {code}", u16::from(status)),
            None if matches!(self, Self::Deadline) => format!(" within {} s", OPERATION.as_secs()),
            None => String::new(),
        }
    }

    /// An answer is told by [`Self::answer`]; its body would repeat what was signed.
    fn into_cause(self) -> Option<Cause> {
        if self.status().is_some() {
            return None;
        }
        match self {
            Self::Azure(error) => Some(error.into()),
            Self::Deadline => None,
        }
    }
}

/// A failed condition is 412, on some paths 409 (a name that exists, a lease of another); both mean that somebody was
/// first. Objects that are about to go or to come answer 409 too, but for a while only.
fn class_of(status: StatusCode, code: &str) -> Class {
    match (u16::from(status), code) {
        (409, "ContainerBeingDeleted" | "AccountBeingCreated" | "OperationTimedOut") => Class::Unavailable,
        (409 | 412, _) => Class::Conflict,
        (401 | 403, _) => Class::Denied,
        (408 | 429 | 500.., _) => Class::Unavailable,
        _ => Class::Misconfigured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_means_what_a_caller_can_do_about_it() {
        for (status, code, class) in [
            (409, "BlobAlreadyExists", Class::Conflict),
            (412, "ConditionNotMet", Class::Conflict),
            (412, "LeaseIdMissing", Class::Conflict),
            (409, "ContainerBeingDeleted", Class::Unavailable),
            (429, "", Class::Unavailable),
            (503, "ServerBusy", Class::Unavailable),
            (401, "InvalidAuthenticationInfo", Class::Denied),
            (403, "AuthorizationPermissionMismatch", Class::Denied),
            (400, "InvalidResourceName", Class::Misconfigured),
            (404, "ResourceNotFound", Class::Misconfigured),
        ] {
            assert_eq!(class_of(status.into(), code), class, "{status} {code}");
        }
    }

    fn token_fault(status: u16) -> Fault {
        let kind = ErrorKind::HttpResponse { status: status.into(), error_code: None, raw_response: None };
        let answer = azure_core::Error::with_message(kind, "the identity endpoint answered");
        let refused = azure_core::Error::new(ErrorKind::Credential, answer);
        Fault::Azure(refused.with_context("not tried again"))
    }

    #[test]
    fn a_refused_token_needs_an_operator_and_a_missing_one_the_next_run() {
        assert_eq!(token_fault(400).class(), Class::Denied);
        assert_eq!(token_fault(500).class(), Class::Unavailable);
    }
}
