//! What went wrong on the way to a blob, and who can do something about it.
//!
//! It reads statuses and the service's codes
//! (<https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes>) and knows nothing of what was being
//! done; [`super::blob`] adds that.

use super::Cause;
use azure_core::error::ErrorKind;
use azure_core::http::StatusCode;
use azure_storage_blob::models::StorageErrorCode;
use std::error::Error;
use std::iter::successors;
use std::time::Duration;
use tokio::time::timeout;

/// An operation with all its attempts ends after this time, because the service may ask for any pause between two. It is
/// shorter than a lease lasts, so that a renewal which hangs is known to have failed before the lease is over.
const OPERATION: Duration = Duration::from_secs(15);

/// The operation, ended after [`OPERATION`].
pub(super) async fn limited<T>(operation: impl Future<Output = azure_core::Result<T>>) -> Result<T, Fault> {
    match timeout(OPERATION, operation).await {
        Ok(result) => result.map_err(Fault::Azure),
        Err(_) => Err(Fault::Deadline),
    }
}

/// Why an operation did not succeed, as the wire tells it.
#[derive(Debug)]
pub(super) enum Fault {
    Azure(azure_core::Error),
    Deadline,
}

/// Who can do something about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
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

    pub(super) fn class(&self) -> Class {
        match self.status() {
            Some((status, code)) => class_of(status, code),
            None if self.is_refused_token() => Class::Denied,
            None => Class::Unavailable,
        }
    }

    pub(super) fn is_conflict(&self) -> bool {
        self.class() == Class::Conflict
    }

    pub(super) fn is_without_container(&self) -> bool {
        self.has(StorageErrorCode::ContainerNotFound)
    }

    pub(super) fn is_missing(&self) -> bool {
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

    pub(super) fn answer(&self) -> String {
        match self.status() {
            Some((status, "")) => format!(": it answered {}", u16::from(status)),
            Some((status, code)) => format!(": it answered {} {code}", u16::from(status)),
            None if matches!(self, Self::Deadline) => format!(" within {} s", OPERATION.as_secs()),
            None => String::new(),
        }
    }

    /// An answer is told by [`Self::answer`]; its body would repeat what was signed.
    pub(super) fn into_cause(self) -> Option<Cause> {
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
/// first. Some 409s are not that: objects that are about to go or to come, and what a lifecycle or immutability
/// rule of the account has put out of reach.
fn class_of(status: StatusCode, code: &str) -> Class {
    match (u16::from(status), code) {
        (409, "ContainerBeingDeleted" | "AccountBeingCreated" | "OperationTimedOut") => Class::Unavailable,
        (409, "BlobArchived" | "BlobBeingRehydrated" | "BlobImmutableDueToPolicy") => Class::Misconfigured,
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
            (409, "BlobArchived", Class::Misconfigured),
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

    #[test]
    fn an_operation_that_takes_too_long_is_left_to_the_next_run() {
        assert_eq!(Fault::Deadline.class(), Class::Unavailable);
        assert_eq!(Fault::Deadline.answer(), " within 15 s");
    }
}
