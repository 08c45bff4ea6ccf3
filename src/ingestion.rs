//! Posting to the Logs Ingestion API: one request, and what its answer means.
//!
//! The meaning of each status is the whole of this module; whether a batch is sent again, split or put aside is decided
//! by whoever holds it ([`crate::cycle`]). A 204 says that the service accepted the rows, not that a table holds them
//! (<https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>).

use crate::http::{self, Clock, FIRST_BYTE, Repeat};
use crate::secret::Secret;
use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE};
use serde::Deserialize;
use std::time::Duration;
use url::Url;

const API_VERSION: &str = "2023-01-01";
/// The role that lets an identity post to a data collection rule.
const ROLE: &str = "Monitoring Metrics Publisher";
/// From the begin of the upload to the status.
const TOTAL: Duration = Duration::from_secs(60);
const EXCERPT: usize = 4 << 10;

/// The data collection rule that rows are posted to.
#[derive(Clone, Debug)]
pub struct Endpoint {
    base: String,
    rule: String,
    http: reqwest::Client,
    clock: Clock,
}

/// A batch that was not accepted, by what can be done about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It may be accepted later: no connection, throttling, a fault of the service. Whether the rows were taken is unknown
    /// when the connection broke.
    #[error("the data collection endpoint did not take the rows ({reason}); {}", patience(*.status))]
    Later {
        /// What happened.
        reason: String,
        /// The status, where there was one.
        status: Option<u16>,
        /// Its `Retry-After`.
        hint: Option<Duration>,
    },
    /// The token was refused.
    #[error(
        "the data collection endpoint refused the token (401){0}; check AZURE_CLOUD and the identity of the function app"
    )]
    Unauthorized(String),
    /// The identity may not post to this rule.
    #[error(
        "the identity lacks the role {ROLE} on the data collection rule {rule} (403){detail}; assign it on that rule, and \
         wait up to 30 minutes after a new assignment"
    )]
    Forbidden {
        /// The rule's immutable id.
        rule: String,
        /// What the service said.
        detail: String,
    },
    /// The endpoint, the rule or the stream does not exist.
    #[error(
        "the data collection rule {rule} or its stream {stream} is not known at this endpoint ({status}){detail}; check \
         DATA_COLLECTION_ENDPOINT and DCR_IMMUTABLE_ID, and that the rule declares the stream"
    )]
    NotFound {
        /// The rule's immutable id.
        rule: String,
        /// The stream.
        stream: String,
        /// 404, 400 for a stream, or what somebody answers who is no such endpoint.
        status: u16,
        /// What the service said.
        detail: String,
    },
    /// The body is too large.
    #[error("the batch is too large for the service (413)")]
    TooLarge,
    /// The content was refused.
    #[error("the service refused the content of the batch ({status}){detail}")]
    Invalid {
        /// The status.
        status: u16,
        /// What the service said.
        detail: String,
    },
}

impl Rejection {
    /// Whether the same bytes may be accepted later.
    #[must_use]
    pub const fn repeat(&self) -> Repeat {
        match self {
            Self::Later { hint, .. } => Repeat::Later(*hint),
            _ => Repeat::Never,
        }
    }

    /// The HTTP status behind it.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Later { status, .. } => *status,
            Self::Unauthorized(_) => Some(401),
            Self::Forbidden { .. } => Some(403),
            Self::TooLarge => Some(413),
            Self::NotFound { status, .. } | Self::Invalid { status, .. } => Some(*status),
        }
    }
}

/// What an operator has to look at, when the service refuses whatever is posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Culprit {
    /// Whoever answers does not speak as the service does.
    Endpoint,
    /// The rule is not known at this endpoint.
    Rule,
    /// The rule exists, but not for this endpoint.
    Binding,
    /// The rule does not declare the stream.
    Stream,
    /// The role is not assigned.
    Role,
    /// The role is assigned and does not count yet.
    RoleNotYet,
}

impl Rejection {
    /// What has to be looked at. The words are those of the service's refusals, as its clients have published them
    /// (<https://github.com/Azure/azure-sdk-for-net/blob/main/sdk/monitor/Azure.Monitor.Ingestion/TROUBLESHOOTING.md>).
    #[must_use]
    pub fn culprit(&self) -> Option<Culprit> {
        match self {
            // The service explains itself; a proxy, a firewall or another server does not, not in these words.
            Self::Forbidden { detail, .. } | Self::NotFound { detail, .. } | Self::Invalid { detail, .. }
                if detail.is_empty() =>
            {
                Some(Culprit::Endpoint)
            }
            Self::Forbidden { detail, .. } if detail.contains("IsDcrDceBindingValid: False") => Some(Culprit::Binding),
            Self::Forbidden { detail, .. } if detail.contains("IsRbacPresent: True") => Some(Culprit::RoleNotYet),
            Self::Forbidden { .. } => Some(Culprit::Role),
            Self::NotFound { detail, .. } if detail.contains("InvalidStream") => Some(Culprit::Stream),
            Self::NotFound { detail, .. } if detail.contains("InvalidDcrImmutableId") => Some(Culprit::Binding),
            Self::NotFound { .. } => Some(Culprit::Rule),
            _ => None,
        }
    }
}

/// What an operator does about an answer after which a repeat may succeed.
const fn patience(status: Option<u16>) -> &'static str {
    match status {
        None => {
            "the next run tries again; if that lasts, check DATA_COLLECTION_ENDPOINT and that the function app reaches it"
        }
        Some(429) => "it limits what one rule takes in a minute, and the next run tries again",
        Some(_) => "the service is at fault, and the next run tries again",
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorDetail,
}

#[derive(Default, Deserialize)]
struct ErrorDetail {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Endpoint {
    /// The rule with this immutable id behind the endpoint at `base`, which has no path.
    #[must_use]
    pub fn new(base: &Url, rule: &str, http: reqwest::Client, clock: Clock) -> Self {
        Self { base: base.as_str().trim_end_matches('/').to_owned(), rule: rule.to_owned(), http, clock }
    }

    /// Posts one JSON array, compressed with gzip, to the stream of `table`. `id` names the batch: the service repeats it
    /// in its error log as `ClientRequestId`.
    ///
    /// # Errors
    /// See [`Rejection`].
    pub async fn post(&self, table: &str, id: &str, body: Bytes, token: &Secret) -> Result<(), Rejection> {
        let stream = format!("Custom-{table}");
        let url = format!("{}/dataCollectionRules/{}/streams/{stream}?api-version={API_VERSION}", self.base, self.rule);
        let request = self
            .http
            .post(url)
            .bearer_auth(token.expose())
            .header(CONTENT_TYPE, "application/json")
            .header(CONTENT_ENCODING, "gzip")
            .header("x-ms-client-request-id", id)
            .body(body);
        let total = TOTAL.max(FIRST_BYTE);
        let response = match tokio::time::timeout(total, request.send()).await {
            Err(_) => return Err(later(format!("no answer within {} s", total.as_secs()))),
            Ok(Err(error)) => return Err(later(http::explain(error))),
            Ok(Ok(response)) => response,
        };
        // The service says 204 and nothing else, and its own clients take nothing else for acceptance. Another 2xx comes from
        // somebody who keeps no rows, such as a proxy or a portal. Should it ever be the service after all, then the rows
        // come again with every run, under the EventKey that they had and with a failure that says so: that is seen and can
        // be mended, and rows that were taken for stored would be lost without a word.
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(());
        }
        Err(self.rejection(stream, response).await)
    }

    async fn rejection(&self, stream: String, response: reqwest::Response) -> Rejection {
        let status = response.status().as_u16();
        let hint = http::retry_after(response.headers(), (self.clock)());
        let body = http::excerpt(response, EXCERPT).await;
        let detail =
            serde_json::from_slice(&body).map_or_else(|_| ErrorDetail::default(), |body: ErrorBody| body.error);
        meaning(status, hint, &detail, (&self.rule, stream))
    }
}

fn later(reason: String) -> Rejection {
    Rejection::Later { reason, status: None, hint: None }
}

fn meaning(status: u16, hint: Option<Duration>, detail: &ErrorDetail, (rule, stream): (&str, String)) -> Rejection {
    let rule = rule.to_owned();
    // The message of a refused content may quote it; its code says enough.
    let code = if detail.code.is_empty() { String::new() } else { format!(": {}", short(&detail.code)) };
    let said = if detail.message.is_empty() { code.clone() } else { format!("{code}, {}", short(&detail.message)) };
    match status {
        401 => Rejection::Unauthorized(said),
        403 => Rejection::Forbidden { rule, detail: said },
        404 => Rejection::NotFound { rule, stream, status, detail: said },
        400 if is_about_the_rule(&detail.code) => Rejection::NotFound { rule, stream, status, detail: said },
        413 => Rejection::TooLarge,
        408 | 429 | 500..=599 => Rejection::Later { reason: format!("{status}{code}"), status: Some(status), hint },
        200..=399 => Rejection::NotFound { rule, stream, status, detail: String::new() },
        _ => Rejection::Invalid { status, detail: code },
    }
}

/// Codes of the service that speak of the rule or its stream, where a 400 would otherwise speak of the rows.
fn is_about_the_rule(code: &str) -> bool {
    ["InvalidStream", "InvalidDcrImmutableId", "NotFound"].contains(&code)
}

fn short(text: &str) -> String {
    const MOST: usize = 300;
    // A sentence of ours goes on behind it.
    text.trim_end_matches('.').chars().take(MOST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejection(status: u16, code: &str) -> Rejection {
        let detail = ErrorDetail { code: code.to_owned(), message: "in words".to_owned() };
        meaning(status, None, &detail, ("dcr-1", "Custom-T".to_owned()))
    }

    #[test]
    fn a_missing_role_is_told_with_its_name_and_the_rule() {
        let text = rejection(403, "OperationFailed").to_string();
        for part in ["Monitoring Metrics Publisher", "dcr-1", "30 minutes", "OperationFailed"] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn each_refusal_of_an_address_or_a_role_has_its_culprit() {
        let refused = |status, code: &str, message: &str| {
            let detail = ErrorDetail { code: code.to_owned(), message: message.to_owned() };
            meaning(status, None, &detail, ("dcr-1", "Custom-T".to_owned())).culprit()
        };
        let access = |rbac, binding| {
            let message = format!("AccessGranted: False, IsRbacPresent: {rbac}, IsDcrDceBindingValid: {binding}");
            refused(403, "OperationFailed", &message)
        };
        assert_eq!(access("False", "True"), Some(Culprit::Role));
        assert_eq!(access("True", "True"), Some(Culprit::RoleNotYet));
        assert_eq!(access("True", "False"), Some(Culprit::Binding));
        assert_eq!(refused(404, "NotFound", ""), Some(Culprit::Rule));
        assert_eq!(refused(404, "InvalidDcrImmutableId", ""), Some(Culprit::Binding));
        assert_eq!(refused(400, "InvalidStream", ""), Some(Culprit::Stream));
        for status in [200, 302, 400, 403, 404, 415] {
            assert_eq!(refused(status, "", ""), Some(Culprit::Endpoint), "{status}");
        }
        assert_eq!(refused(503, "", ""), None);
    }

    #[test]
    fn only_what_may_pass_later_is_repeated() {
        for status in [408, 429, 500, 502, 503] {
            assert_eq!(rejection(status, "").repeat(), Repeat::Later(None), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 413, 415] {
            assert_eq!(rejection(status, "").repeat(), Repeat::Never, "{status}");
        }
    }

    #[test]
    fn a_400_about_the_stream_is_no_fault_of_the_rows() {
        assert!(matches!(rejection(400, "InvalidStream"), Rejection::NotFound { .. }));
        assert!(matches!(rejection(400, "InvalidPayload"), Rejection::Invalid { .. }));
    }

    #[test]
    fn what_the_service_says_of_refused_content_is_not_repeated() {
        assert!(!rejection(400, "InvalidPayload").to_string().contains("in words"));
    }

    #[test]
    fn a_long_answer_is_cut() {
        let detail = ErrorDetail { code: String::new(), message: "x\n".repeat(1_000) };
        let text = meaning(403, None, &detail, ("dcr-1", String::new())).to_string();
        assert!(text.len() < 600 && !text.contains('\n'));
    }
}
