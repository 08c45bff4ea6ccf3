//! Asking one Darktrace master: signing, sending, and telling alerts from everything else that may come back.
//!
//! Each attempt is a new request with a new signature, from one reading of the clock. Redirects are never followed. What
//! an answer means is in `darktrace/fault.rs`, how its body is read in `darktrace/answer.rs`, how a source is asked in
//! `darktrace/feed.rs` and the file of that source. This module does not know which windows to ask for ([`crate::window`]) or what becomes of the records ([`crate::cycle`]).

mod ai_analyst;
mod answer;
mod email;
mod fault;
mod feed;
mod model_alert;
pub mod probe;
mod response;
pub mod signature;
mod subnets;
mod system_status;

pub use answer::{Answer, LARGEST};
pub use fault::{AskError, Fault};
pub use feed::{Feed, Glance, Kind, Outlook, Presence, Question, Selects, Snapshot, Trial, Window, feed};

use crate::http::{self, Attempts, Clock, FIRST_BYTE, Pace};
use crate::instant::Instant;
use crate::secret::Secret;
use fault::Refusal;
use reqwest::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, LOCATION};
use signature::DateFormat;
use std::sync::{Mutex, PoisonError};
use url::Url;

/// A difference of clocks below this is noise: the header counts whole seconds.
const NOISE: i64 = 2_000;
/// A difference that can be why a date was refused.
const NOTABLE: i64 = 60_000;
/// An error's body is looked at this far.
const EXCERPT: usize = 4 << 10;

/// One master and its public token.
#[derive(Debug)]
pub struct Client {
    instance: String,
    base: String,
    public_token: Secret,
    http: reqwest::Client,
    clock: Clock,
    learnt: Mutex<Learnt>,
    known: subnets::Known,
    pace: Option<Pace>,
}

/// What earlier answers told.
#[derive(Clone, Copy, Debug, Default)]
struct Learnt {
    format: DateFormat,
    /// An answer has come to a date in this format.
    format_is_known: bool,
    skew_ms: Option<i64>,
}

impl Client {
    /// A client for the master at `base`, which has no path. `http` must not follow redirects.
    #[must_use]
    pub fn new(instance: &str, base: &Url, public_token: Secret, http: reqwest::Client, clock: Clock) -> Self {
        let base = base.as_str().trim_end_matches('/').to_owned();
        let (learnt, known) = (Mutex::default(), subnets::Known::default());
        Self { instance: instance.to_owned(), base, public_token, http, clock, learnt, known, pace: None }
    }

    /// The same client with a pause between its requests, repeats included.
    #[must_use]
    pub fn paced(self, pace: Pace) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// A client of the same master with a pause between its requests. This one is not slowed by it. What was learnt of the
    /// master so far goes along, and the connections are shared.
    #[must_use]
    pub fn beside(&self, pace: Pace) -> Self {
        Self {
            instance: self.instance.clone(),
            base: self.base.clone(),
            public_token: self.public_token.clone(),
            http: self.http.clone(),
            clock: self.clock,
            learnt: Mutex::new(self.learnt()),
            known: subnets::Known::default(),
            pace: Some(pace),
        }
    }

    /// The master's address, without a trailing slash.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base
    }

    /// The appliance's clock minus ours in milliseconds, once an answer told it.
    #[must_use]
    pub fn skew_ms(&self) -> Option<i64> {
        self.learnt().skew_ms
    }

    /// The form of the date that the appliance has accepted, once it has answered.
    #[must_use]
    pub fn date_format(&self) -> Option<DateFormat> {
        let learnt = self.learnt();
        learnt.format_is_known.then_some(learnt.format)
    }

    /// The appliance's time as far as it is known: our clock, corrected by what the last answer said.
    #[must_use]
    pub fn now(&self) -> Instant {
        Instant((self.clock)().0 + self.skew_ms().unwrap_or_default())
    }

    /// Puts `question` and returns the answer as soon as its head is there.
    ///
    /// # Errors
    /// When no attempt was answered with 200. Faults of the body come from [`Answer::next`].
    pub async fn ask(
        &self,
        question: &Question,
        private_token: &Secret,
        mut attempts: Attempts,
    ) -> Result<Answer, AskError> {
        let mut correction = Correction::new(self.learnt());
        loop {
            let fault = match self.attempt(question, private_token, correction.format).await {
                Ok(answer) => {
                    self.learn(|learnt| (learnt.format, learnt.format_is_known) = (correction.format, true));
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            if correction.helps(&fault, self.skew_ms()) || attempts.again(fault.repeat()).await {
                continue;
            }
            return Err(self.error(question, fault));
        }
    }

    /// Connects without asking anything or showing any token, for whoever wants to see the certificate and the clock.
    ///
    /// # Errors
    /// When no answer came, whatever it would have been.
    pub async fn greet(&self) -> Result<(), Fault> {
        let response = sent(self.http.head(self.address("/")?)).await?;
        self.read_clock(response.headers());
        Ok(())
    }

    /// Names the instance and the path in a fault.
    #[must_use]
    pub fn error(&self, question: &Question, fault: Fault) -> AskError {
        let Question { path, permission, .. } = *question;
        AskError { instance: self.instance.clone(), path, permission, fault }
    }

    async fn attempt(&self, question: &Question, private_token: &Secret, format: DateFormat) -> Result<Answer, Fault> {
        let url = self.address(&question.target)?;
        if let Some(pace) = &self.pace {
            pace.turn().await;
        }
        let date = format.write(self.now());
        let public_token = self.public_token.expose();
        let signature = signature::sign(private_token.expose(), public_token, &question.signed(), &date);
        let request = match &question.body {
            None => self.http.get(url),
            Some(body) => self.http.post(url).header(CONTENT_TYPE, "application/json").body(body.clone()),
        };
        let request = request
            .header("DTAPI-Token", public_token)
            .header("DTAPI-Date", date)
            .header("DTAPI-Signature", signature)
            .header(ACCEPT, "application/json")
            .header(ACCEPT_ENCODING, "gzip");
        let response = sent(request).await?;
        let date = self.read_clock(response.headers());
        if response.status() == reqwest::StatusCode::OK {
            return Ok(Answer::new(response, date.unwrap_or_else(|| self.now())));
        }
        Err(self.refusal(response).await)
    }

    /// The address of `target`, which on the wire must be what is signed.
    fn address(&self, target: &str) -> Result<Url, Fault> {
        let url = Url::parse(&format!("{}{target}", self.base)).map_err(|_| Fault::Address)?;
        let sent = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        (sent == target).then_some(url).ok_or(Fault::Address)
    }

    /// Compares the `Date` of an answer with our clock.
    fn read_clock(&self, headers: &HeaderMap) -> Option<Instant> {
        let date = Instant::from_http_date(headers.get(DATE)?.to_str().ok()?)?;
        let skew = date.0 - (self.clock)().0;
        // The header is cut to whole seconds and aged by the way here, so that a second behind means nothing.
        let skew = if skew.abs() < NOISE { 0 } else { skew };
        self.learn(|learnt| learnt.skew_ms = Some(skew));
        Some(date)
    }

    async fn refusal(&self, response: reqwest::Response) -> Fault {
        let text = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_ascii_lowercase()
        };
        let status = response.status().as_u16();
        let (location, content_type) = (text(response.headers(), LOCATION), text(response.headers(), CONTENT_TYPE));
        // A date in `Retry-After` is by the clock of whoever wrote it.
        let hint = http::retry_after(response.headers(), self.now());
        let body = http::excerpt(response, EXCERPT).await;
        let skew_ms = self.skew_ms();
        Refusal { status, location: &location, content_type: &content_type, hint, skew_ms, body: &body }.fault()
    }

    fn learnt(&self) -> Learnt {
        *self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, change: impl FnOnce(&mut Learnt)) {
        change(&mut self.learnt.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

async fn sent(request: reqwest::RequestBuilder) -> Result<reqwest::Response, Fault> {
    match tokio::time::timeout(FIRST_BYTE, request.send()).await {
        Err(_) => Err(Fault::TimedOut(FIRST_BYTE)),
        Ok(Err(error)) if http::is_untrusted(&error) => Err(Fault::Untrusted(http::explain(error))),
        Ok(Err(error)) => Err(Fault::Unreachable(http::explain(error))),
        Ok(Ok(response)) => Ok(response),
    }
}

/// What can be put right about a refused signature: our clock, a chance, the format of the date. Each is tried once.
#[derive(Debug)]
struct Correction {
    format: DateFormat,
    skew_ms: i64,
    once_more: bool,
    other_format: bool,
}

impl Correction {
    fn new(learnt: Learnt) -> Self {
        Self {
            format: learnt.format,
            skew_ms: learnt.skew_ms.unwrap_or_default(),
            // A format that was accepted before is not refused for itself.
            once_more: learnt.format_is_known,
            other_format: true,
        }
    }

    /// Whether another attempt may be accepted after `fault`, now that the clocks are known to differ by `skew_ms`.
    fn helps(&mut self, fault: &Fault, skew_ms: Option<i64>) -> bool {
        if !matches!(fault, Fault::Signature { .. } | Fault::Date { .. }) {
            return false;
        }
        let skew_ms = skew_ms.unwrap_or_default();
        if (skew_ms - self.skew_ms).abs() > NOTABLE {
            self.skew_ms = skew_ms;
            return true;
        }
        if std::mem::take(&mut self.once_more) {
            return true;
        }
        if std::mem::take(&mut self.other_format) {
            self.format = self.format.other();
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        let url = Url::parse(base).unwrap();
        let http = http::appliance_client(&http::Trust { authorities: None, pins: vec![[0; 32]] }).unwrap();
        Client::new("hq", &url, Secret::new("public"), http, || Instant(0))
    }

    #[test]
    fn what_is_signed_is_what_is_sent() {
        let client = client("https://dt.example");
        let target = "/modelbreaches?endtime=2&starttime=1";
        assert_eq!(client.address(target).map(|url| url.to_string()), Ok(format!("https://dt.example{target}")));
        assert_eq!(client.address("/a b"), Err(Fault::Address), "a blank would be escaped on the wire");
    }

    #[test]
    fn an_address_may_be_an_ipv6_literal_with_a_slash_behind_it() {
        let client = client("https://[2001:db8::1]:8443/");
        assert_eq!(client.address("/status").unwrap().as_str(), "https://[2001:db8::1]:8443/status");
    }

    #[test]
    fn a_refused_date_is_tried_with_the_corrected_clock_and_then_in_the_other_format() {
        let mut correction = Correction::new(Learnt::default());
        let fault = Fault::Date { skew_ms: None };
        assert!(correction.helps(&fault, Some(2_400_000)));
        assert_eq!(correction.format, DateFormat::Compact);
        assert!(correction.helps(&fault, Some(2_400_000)));
        assert_eq!(correction.format, DateFormat::Spaced);
        assert!(!correction.helps(&fault, Some(2_400_000)));
    }

    #[test]
    fn a_format_that_was_accepted_before_gets_another_chance_before_the_other_one() {
        let mut correction = Correction::new(Learnt { format_is_known: true, ..Learnt::default() });
        let fault = Fault::Signature { skew_ms: None };
        assert!(correction.helps(&fault, None));
        assert_eq!(correction.format, DateFormat::Compact);
        assert!(correction.helps(&fault, None));
        assert_eq!(correction.format, DateFormat::Spaced);
        assert!(!correction.helps(&fault, None));
    }

    #[test]
    fn other_faults_are_not_mended_by_another_date() {
        assert!(!Correction::new(Learnt::default()).helps(&Fault::LoginRedirect, None));
    }
}
