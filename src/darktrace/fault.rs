//! What an appliance's answer means when it is not the alerts: status, content type and the kind of JSON decide.
//!
//! An appliance reports a bad signature with 400, a revoked token or an unknown path with a redirect to its login page,
//! and anything in between (a proxy, a load balancer) may answer in its place with a page of its own. None of these may
//! ever be taken for "no alerts".

use super::feed::Presence;
use crate::http::Repeat;
use crate::records::SplitError;
use crate::report::FailureClass;
use std::time::Duration;

/// The two offsets of clocks at which an operator is told: a request is refused at 30 minutes.
const NOTABLE_SKEW: Duration = Duration::from_secs(60);

/// A question that the appliance did not answer with alerts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} of instance {instance}: {fault}{}", self.remedy())]
pub struct AskError {
    /// The instance that was asked.
    pub instance: String,
    /// The path that was asked for.
    pub path: &'static str,
    /// The permissions that the token needs for it.
    pub permission: &'static str,
    /// What happened.
    pub fault: Fault,
}

impl AskError {
    fn remedy(&self) -> String {
        match self.fault {
            Fault::Forbidden => format!("; give it {} under Permissions Admin", self.permission),
            _ => String::new(),
        }
    }
}

/// What happened, and what to do next.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// No connection, or one that broke before the answer began.
    #[error("no answer came ({0}); check that DARKTRACE_HOST is right and that the function app reaches it")]
    Unreachable(String),
    /// The certificate was refused.
    #[error("{0}")]
    Untrusted(String),
    /// The answer did not begin in time.
    #[error("no answer came within {} seconds; the appliance is busy or a firewall drops the connection", .0.as_secs())]
    TimedOut(Duration),
    /// The signature was refused in both date formats.
    #[error("the signature was refused; check DARKTRACE_PUBLIC_TOKEN and DARKTRACE_PRIVATE_TOKEN, that they belong to this master, and that no proxy changes the path or the query{}", skew(.skew_ms))]
    Signature {
        /// The appliance's clock minus ours.
        skew_ms: Option<i64>,
    },
    /// The date was refused in both formats.
    #[error("the date of the request was refused; the clocks may differ by 30 minutes at most{}", skew(.skew_ms))]
    Date {
        /// The appliance's clock minus ours.
        skew_ms: Option<i64>,
    },
    /// 302 to `/login`.
    #[error(
        "the token was not accepted, or this version has no such path (redirect to /login); check that the token pair still \
         exists on this master, or where its other sources work, take this one out of DARKTRACE_SOURCES"
    )]
    LoginRedirect,
    /// 302 to `/403`, or 403.
    #[error("the token lacks the permission for this path")]
    Forbidden,
    /// Another redirect. Following it would send the request to somebody else.
    #[error("the answer was a redirect, which is never followed; DARKTRACE_HOST has to be the master itself")]
    Redirect,
    /// The login page, with 200.
    #[error(
        "a login page came in place of data; the token headers did not reach the master, so look for a proxy in between"
    )]
    LoginPage,
    /// A page that is not the appliance's.
    #[error("a web page came with status {0} in place of data; a proxy or load balancer answers in the master's place")]
    WebPage(u16),
    /// 200 with another object than what was asked for, usually `{"response":"ERROR"}`, or with a text that is no JSON.
    #[error("an error message came in place of data; look at the master's own log")]
    ErrorObject,
    /// 400 for a parameter.
    #[error("a parameter of the request was refused; this version of the appliance may be too old")]
    Parameter,
    /// 404.
    #[error("this version or licence has no such path; remove the source from DARKTRACE_SOURCES")]
    NotFound,
    /// 429.
    #[error("the appliance asks for fewer requests (429); the next run tries again")]
    Throttled(Option<Duration>),
    /// 408 and 5xx: overload, upgrade, failover.
    #[error(
        "the appliance, or a proxy in front of it, answered {status}; it is overloaded, restarting or being upgraded, and \
         the next run tries again"
    )]
    Server {
        /// The status.
        status: u16,
        /// Its `Retry-After`.
        hint: Option<Duration>,
    },
    /// Any other status.
    #[error("the answer has the unexpected status {0}; check that DARKTRACE_HOST is the master itself")]
    Status(u16),
    /// The body is not what it claims to be: broken off, of another length, damaged gzip.
    #[error("the answer broke off or is damaged ({0}); look for a proxy or firewall that cuts connections")]
    Torn(String),
    /// The body came too slowly or not at all.
    #[error("the answer stalled; the appliance or the network is too slow, and the next run asks for a smaller window")]
    Stalled,
    /// Too many bytes, decompressed.
    #[error("the answer is larger than {0} bytes; ask Darktrace support why so much has the same time")]
    TooLarge(u64),
    /// One record of too many bytes, so that there is no way around it.
    #[error(
        "a single record of the answer is larger than {0} bytes and cannot be read; ask Darktrace support about it"
    )]
    RecordTooLarge(u64),
    /// The same page of the answer comes over and over.
    #[error(
        "the same page of the answer comes over and over, and what is behind it cannot be read; ask Darktrace support how \
         this version counts pages"
    )]
    SamePage,
    /// The body is empty where at least `[]` must be.
    #[error("the answer was empty, which is not the same as no alerts; look for a proxy, or at the master's own log")]
    Empty,
    /// The address that was sent is not the one that was signed.
    #[error("the address of the request cannot be written as it was signed; check DARKTRACE_HOST")]
    Address,
}

fn skew(ms: &Option<i64>) -> String {
    match ms {
        Some(ms) if Duration::from_millis(ms.unsigned_abs()) >= NOTABLE_SKEW => {
            let (minutes, seconds) = (ms.unsigned_abs() / 60_000, ms.unsigned_abs() / 1000 % 60);
            let side = if *ms > 0 { "ahead of" } else { "behind" };
            format!("; the appliance's clock is {minutes} min {seconds} s {side} ours, so correct the clocks")
        }
        _ => String::new(),
    }
}

impl Fault {
    /// Whether the same question may be answered later.
    #[must_use]
    pub const fn repeat(&self) -> Repeat {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) => Repeat::Later(None),
            Self::Throttled(hint) | Self::Server { hint, .. } => Repeat::Later(*hint),
            _ => Repeat::Never,
        }
    }

    /// Whether it says that the token may not, or the master cannot, give what a feed of this presence asks for.
    #[must_use]
    pub const fn means_absence(&self, presence: Presence) -> bool {
        match self {
            Self::Forbidden => true,
            Self::NotFound | Self::LoginRedirect => matches!(presence, Presence::Optional),
            _ => false,
        }
    }

    /// Whether the master said nothing, as far as can be told: nobody was reached, or only somebody in front of it.
    #[must_use]
    pub const fn is_silence(&self) -> bool {
        matches!(self, Self::Unreachable(_) | Self::TimedOut(_) | Self::Stalled | Self::Server { .. })
    }

    /// Whether half of the window may be answered.
    #[must_use]
    pub const fn narrows(&self) -> bool {
        matches!(self, Self::Torn(_) | Self::Stalled | Self::TooLarge(_) | Self::RecordTooLarge(_))
    }

    /// Whether it counts against the number of damaged answers that a run puts up with. A large answer does not: halving
    /// it is the ordinary way to read it.
    #[must_use]
    pub const fn damaged(&self) -> bool {
        matches!(self, Self::Torn(_) | Self::Stalled)
    }

    /// Who has to act.
    #[must_use]
    pub const fn class(&self) -> FailureClass {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Throttled(_) | Self::Server { .. } => {
                FailureClass::Transient
            }
            Self::Torn(_) | Self::Stalled | Self::Empty => FailureClass::Transient,
            Self::Address => FailureClass::Internal,
            _ => FailureClass::Configuration,
        }
    }

    /// The HTTP status behind it.
    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Signature { .. } | Self::Date { .. } | Self::Parameter => Some(400),
            Self::LoginRedirect | Self::Redirect => Some(302),
            Self::Forbidden => Some(403),
            Self::NotFound => Some(404),
            Self::Throttled(_) => Some(429),
            Self::Server { status, .. } | Self::Status(status) | Self::WebPage(status) => Some(*status),
            _ => None,
        }
    }
}

impl From<SplitError> for Fault {
    fn from(error: SplitError) -> Self {
        match error {
            SplitError::RecordTooLarge(most) => Self::RecordTooLarge(most as u64),
            SplitError::NotAnArray => Self::ErrorObject,
            SplitError::Malformed | SplitError::Torn => Self::Torn(error.to_string()),
        }
    }
}

/// An answer that is not a stream of records, as far as it is needed to say what it means.
#[derive(Clone, Copy, Debug)]
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    pub(super) location: &'a str,
    pub(super) content_type: &'a str,
    pub(super) hint: Option<Duration>,
    pub(super) skew_ms: Option<i64>,
    /// The first bytes of the body.
    pub(super) body: &'a [u8],
}

impl Refusal<'_> {
    pub(super) fn fault(&self) -> Fault {
        match self.status {
            200 => self.page_or_object(),
            300..=399 => self.redirect(),
            400 | 401 => self.bad_request(),
            403 if self.is_page() => Fault::WebPage(403),
            403 => Fault::Forbidden,
            404 if self.is_page() => Fault::WebPage(404),
            404 => Fault::NotFound,
            429 => Fault::Throttled(self.hint),
            408 | 500..=599 => Fault::Server { status: self.status, hint: self.hint },
            _ if self.is_page() => Fault::WebPage(self.status),
            _ => Fault::Status(self.status),
        }
    }

    fn redirect(&self) -> Fault {
        let path = self.location.split(['?', '#']).next().unwrap_or_default();
        if path == "/403" || path.ends_with("/403") {
            Fault::Forbidden
        } else if path == "/login" || path.ends_with("/login") {
            Fault::LoginRedirect
        } else {
            Fault::Redirect
        }
    }

    /// The text of the error is a value of any key: the key is the first element of the path.
    fn bad_request(&self) -> Fault {
        let text = String::from_utf8_lossy(self.body);
        if text.contains("API DATE ERROR") {
            Fault::Date { skew_ms: self.skew_ms }
        } else if text.contains("API SIGNATURE ERROR") || self.status == 401 {
            Fault::Signature { skew_ms: self.skew_ms }
        } else if self.is_page() {
            Fault::WebPage(self.status)
        } else {
            Fault::Parameter
        }
    }

    fn page_or_object(&self) -> Fault {
        if self.body.trim_ascii().is_empty() {
            Fault::Empty
        } else if !self.is_page() {
            Fault::ErrorObject
        } else if self.body.windows(6).any(|window| window.eq_ignore_ascii_case(b"log in")) {
            Fault::LoginPage
        } else {
            Fault::WebPage(200)
        }
    }

    fn is_page(&self) -> bool {
        self.content_type.contains("html") || self.body.trim_ascii_start().starts_with(b"<")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(status: u16, location: &str, content_type: &str, body: &str) -> Fault {
        Refusal { status, location, content_type, hint: None, skew_ms: Some(-2_400_000), body: body.as_bytes() }.fault()
    }

    #[test]
    fn every_refusal_that_was_seen_in_the_field_has_its_meaning() {
        let json = "application/json";
        let signature = Fault::Signature { skew_ms: Some(-2_400_000) };
        assert_eq!(fault(400, "", json, r#"{"modelbreaches":"API SIGNATURE ERROR"}"#), signature);
        assert_eq!(fault(401, "", json, "{}"), signature);
        assert_eq!(fault(400, "", json, r#"{"status": "API DATE ERROR"}"#), Fault::Date { skew_ms: Some(-2_400_000) });
        assert_eq!(fault(400, "", json, r#"{"error":"","response":"INPUT ERROR"}"#), Fault::Parameter);
        assert_eq!(fault(302, "/login", "text/plain", "Found. Redirecting to /login"), Fault::LoginRedirect);
        assert_eq!(fault(302, "https://dt.example/403?x=1", "", ""), Fault::Forbidden);
        assert_eq!(fault(301, "https://elsewhere.example/", "", ""), Fault::Redirect);
        assert_eq!(fault(403, "", json, r#"{"error":"403 Forbidden"}"#), Fault::Forbidden);
        assert_eq!(fault(403, "", "text/html", "<html>blocked"), Fault::WebPage(403));
        assert_eq!(fault(200, "", "text/html", "<html><title>Log In | Darktrace</title>"), Fault::LoginPage);
        assert_eq!(fault(200, "", "text/plain", " <!doctype html><title>Proxy"), Fault::WebPage(200));
        assert_eq!(fault(200, "", json, r#"{"response":"ERROR"}"#), Fault::ErrorObject);
        assert_eq!(fault(200, "", json, " "), Fault::Empty);
        assert_eq!(fault(404, "", json, "{}"), Fault::NotFound);
        assert_eq!(fault(503, "", "text/html", "<html>"), Fault::Server { status: 503, hint: None });
        assert_eq!(fault(418, "", json, "{}"), Fault::Status(418));
    }

    #[test]
    fn a_wrong_clock_is_named_with_its_error() {
        let text = fault(400, "", "", r#"{"status":"API DATE ERROR"}"#).to_string();
        assert!(text.contains("40 min 0 s behind ours"), "{text}");
        assert!(!Fault::Date { skew_ms: Some(900) }.to_string().contains("clock is"));
    }

    #[test]
    fn nothing_that_an_operator_must_mend_is_repeated() {
        for fault in [Fault::LoginRedirect, Fault::Forbidden, Fault::LoginPage, Fault::ErrorObject, Fault::Parameter] {
            assert_eq!((fault.repeat(), fault.class()), (Repeat::Never, FailureClass::Configuration), "{fault}");
        }
    }
}
