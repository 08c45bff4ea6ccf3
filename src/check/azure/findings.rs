//! What the answers of Azure mean for whoever has to mend it.

use crate::check::{Finding, apart, named};
use crate::http;
use crate::identity::{Principal, TokenError};
use crate::ingestion::{Culprit, Rejection};
use crate::store::StoreError;
use std::net::SocketAddr;
use url::Url;

const SUBJECT: &str = "azure";
const ROLE: &str = "Monitoring Metrics Publisher";

/// What a poll does with the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Create,
    /// Only the version that was read.
    Replace,
    Lease,
    Delete,
}

impl Step {
    const fn told(self) -> &'static str {
        match self {
            Self::Create => "a document could not be created",
            Self::Replace => "a document could not be replaced at its version alone",
            Self::Lease => "a lease could not be taken",
            Self::Delete => "the document of this check could not be removed",
        }
    }
}

/// Who the program is for one service.
pub(super) fn identity(service: &str, credential: &str, principal: &Result<Principal, TokenError>) -> Finding {
    let checked = format!("token for {service}");
    match principal {
        Ok(principal) => Finding::pass(SUBJECT, checked, format!("given to {credential}: {principal}")),
        Err(error) => Finding::fail(SUBJECT, checked, format!("not given to {credential} ({})", error.reason()))
            .next(error.hint()),
    }
}

pub(super) type Post = (&'static str, Result<(), Rejection>);

const ENDPOINT: &str = "check DATA_COLLECTION_ENDPOINT against the logs ingestion address of the endpoint or the rule; with a private \
                        link, that the function app is joined to the network and its DNS zone";

/// The address of the data collection endpoint: its name, and whether it answers as one.
pub(super) fn endpoint(address: &Url, found: &Result<Vec<SocketAddr>, String>, posts: &[Post]) -> Finding {
    let (checked, host) = ("data collection endpoint", address.host_str().unwrap_or_default());
    let silent = |post: &Post| matches!(post.1, Err(Rejection::Later { status: None, .. }));
    let reached = posts.iter().any(|post| !silent(post));
    let named = match found {
        Err(reason) if reached => {
            return Finding::warn(SUBJECT, checked, format!("{host} is not found here ({reason}), and yet it answers"))
                .next("nothing, if a proxy is meant to be between");
        }
        Err(reason) => {
            return Finding::fail(SUBJECT, checked, format!("{host} is not found ({reason})")).next(ENDPOINT);
        }
        Ok(found) => named(host, found),
    };
    match (posts.iter().find(|post| silent(post)), common(posts)) {
        (Some((_, Err(Rejection::Later { reason, .. }))), _) if !reached => {
            Finding::fail(SUBJECT, checked, format!("{named}, and does not answer ({reason})")).next(ENDPOINT)
        }
        (_, Some(Rejection::Later { reason, .. })) => {
            Finding::fail(SUBJECT, checked, format!("{named}, and takes nothing at present ({reason})")).next(LATER)
        }
        (_, Some(rejection)) if rejection.culprit() == Some(Culprit::Endpoint) => {
            Finding::fail(SUBJECT, checked, format!("{named}, and answers as nobody of Azure Monitor{}", of(rejection)))
                .next(ENDPOINT)
        }
        _ if posts.is_empty() => Finding::pass(SUBJECT, checked, named),
        _ => Finding::pass(SUBJECT, checked, format!("{named}, and answers")),
    }
}

const LATER: &str = "run the check again in a few minutes; polls wait and try again by themselves";

/// What every post met, where that is no matter of one stream.
fn common(posts: &[Post]) -> Option<&Rejection> {
    let kind = |rejection: &Rejection| (rejection.culprit(), rejection.status());
    let first = posts.first()?.1.as_ref().err()?;
    let is_general = match first {
        Rejection::Later { status: None, .. } => false,
        Rejection::Invalid { .. } => first.culprit().is_some(),
        _ => first.culprit() != Some(Culprit::Stream),
    };
    let same = |post: &Post| post.1.as_ref().is_err_and(|other| kind(other) == kind(first));
    (is_general && posts.iter().all(same)).then_some(first)
}

/// One finding for each stream, or one for the rule where all of them met the same.
pub(super) fn streams(rule: &str, posts: &[Post]) -> Vec<Finding> {
    const ALL: &str = "streams of the rule";
    if posts.is_empty() {
        return vec![Finding::skipped(SUBJECT, ALL, "not posted to without a token")];
    }
    let Some(rejection) = common(posts) else {
        return posts.iter().map(|(table, answer)| stream(rule, table, answer)).collect();
    };
    let about_the_endpoint =
        rejection.culprit() == Some(Culprit::Endpoint) || matches!(rejection, Rejection::Later { .. });
    let skipped = |what: &str| Finding::skipped(SUBJECT, ALL, format!("not known as long as {what}"));
    if about_the_endpoint {
        vec![skipped("the endpoint takes nothing")]
    } else {
        vec![refused(rule, "data collection rule", "", rejection), skipped("the rule takes nothing")]
    }
}

fn stream(rule: &str, table: &str, answer: &Result<(), Rejection>) -> Finding {
    let checked = format!("stream Custom-{table}");
    match answer {
        Ok(()) => Finding::pass(SUBJECT, checked, format!("{rule} took an empty array")),
        Err(rejection) => refused(rule, &checked, table, rejection),
    }
}

/// The status of a refusal, in brackets.
fn of(rejection: &Rejection) -> String {
    rejection.status().map(|status| format!(" ({status})")).unwrap_or_default()
}

fn refused(rule: &str, checked: &str, table: &str, rejection: &Rejection) -> Finding {
    let fail = |seen: String| Finding::fail(SUBJECT, checked, seen);
    let status = of(rejection);
    match (rejection.culprit(), rejection) {
        (Some(Culprit::Endpoint), _) => fail(format!("somebody answers who is not Azure Monitor{status}")).next(ENDPOINT),
        (Some(Culprit::Rule), _) => fail(format!("no rule {rule} is known at this endpoint{status}"))
            .next("check DCR_IMMUTABLE_ID, and that DATA_COLLECTION_ENDPOINT is of the rule's own region"),
        (Some(Culprit::Binding), _) => fail(format!("the rule {rule} does not belong to this endpoint{status}"))
            .next("set DATA_COLLECTION_ENDPOINT to the endpoint that is named in the rule, or to the rule's own"),
        (Some(Culprit::Stream), _) => fail(format!("the rule {rule} declares no such stream{status}")).next(format!(
            "add the stream Custom-{table} and its table to the rule, or change TABLE_LAYOUT or DARKTRACE_SOURCES"
        )),
        (Some(Culprit::Role), _) => fail(format!("the identity lacks the role {ROLE} on the rule {rule}{status}")).next(
            "assign it on that rule to the object id above; if that was done less than 30 minutes ago, wait, and run the \
             check again",
        ),
        (Some(Culprit::RoleNotYet), _) => {
            fail(format!("the role on the rule {rule} is assigned and does not count yet{status}"))
                .next("wait up to 30 minutes, then restart the function app so that it gets a new token")
        }
        (None, Rejection::Invalid { .. }) => Finding::warn(
            SUBJECT,
            checked,
            format!("the service looked at the rule and refused the empty array{status}, so sender and rule are right"),
        )
        .next("poll once, and look into the table DCRLogErrors"),
        (None, Rejection::Later { status: None, .. }) => {
            Finding::skipped(SUBJECT, checked, "the endpoint did not answer")
        }
        (None, Rejection::Later { reason, .. }) => fail(format!("takes nothing at present ({reason})")).next(LATER),
        (None, Rejection::TooLarge) => fail(format!("an array without rows is refused as too large{status}"))
            .next("look for a proxy in between that limits what is sent"),
        (None, rejection) => {
            let text = rejection.to_string();
            let (seen, next) = apart(&text);
            fail(seen.to_owned()).next(next.unwrap_or("run the check again in a few minutes"))
        }
    }
}

const STORAGE: &str = "checkpoint storage";

pub(super) fn storage_without_token(place: &str) -> Finding {
    Finding::skipped(SUBJECT, STORAGE, format!("{place} is not touched without a token"))
}

/// What came of the document in `place`.
pub(super) fn storage(place: &str, done: Result<(), (Step, StoreError)>) -> Finding {
    let (step, error) = match done {
        Ok(()) => {
            let seen = format!("a document was created, replaced at its version alone, leased and removed in {place}");
            return Finding::pass(SUBJECT, STORAGE, seen);
        }
        Err(failed) => failed,
    };
    let seen = format!("{}: {}", step.told(), http::chain(&error));
    let next = error.hint().unwrap_or("check that this place exists and can be reached, then run the check again");
    match step {
        // Polls remove nothing.
        Step::Delete => Finding::warn(SUBJECT, STORAGE, seen).next(next),
        _ => Finding::fail(SUBJECT, STORAGE, seen).next(next),
    }
}

#[cfg(test)]
mod tests;
