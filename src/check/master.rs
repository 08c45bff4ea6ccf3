//! One master, touched: its name, a connection, the certificate, a signed question for each path that is needed.
//!
//! What the answers mean is in `findings`; this file only asks, and stops asking where an answer says that every other one
//! would be the same.

mod findings;

use super::Finding;
use super::creation;
use crate::check::certificate::Certificate;
use crate::darktrace::{Answer, Client, Fault, Kind, Presence, Question, feed, probe};
use crate::http::{self, Attempts, Clock, Deadline, Presented, SharedBudget};
use crate::identity::Tokens;
use crate::records::Splitter;
use crate::retry;
use crate::secret::Secret;
use crate::source::Source;
use crate::vault::VaultSecret;
use findings::{Asked, Need, Seen};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use url::Url;

/// All that is asked of one master takes no longer than this: a call by HTTP is given up after 230 s
/// (<https://learn.microsoft.com/azure/azure-functions/functions-scale#timeout>).
const PATIENCE: Duration = Duration::from_secs(90);
/// A state without children has a few kB, and the alerts of ten minutes hardly more; this much of either is read.
const LARGEST: usize = 4 << 20;

/// One master, with clients that were made for this check.
#[derive(Debug)]
pub struct Master {
    /// Its name in the settings.
    pub instance: String,
    /// Scheme, host and port.
    pub address: Url,
    /// Asks over the HTTP client that `presented` watches.
    pub client: Client,
    /// The certificates that the master showed.
    pub presented: Presented,
    /// Where the private token comes from.
    pub token: Token,
    /// What is polled.
    pub sources: Vec<Source>,
    /// Our clock.
    pub clock: Clock,
}

/// Where a private token comes from.
#[derive(Debug)]
pub enum Token {
    /// From a setting.
    Given(Secret),
    /// From Key Vault.
    Vault {
        /// The secret.
        secret: VaultSecret,
        /// Tokens for the vault.
        tokens: Arc<Tokens>,
        /// What they are for.
        audience: &'static str,
    },
}

impl Token {
    async fn read(&self) -> Result<Secret, (String, String)> {
        let Self::Vault { secret, tokens, audience } = self else {
            let Self::Given(token) = self else { return Err(Default::default()) };
            return Ok(token.clone());
        };
        let token = tokens
            .get(audience)
            .await
            .map_err(|error| (format!("no token for the vault ({})", error.reason()), error.hint().to_owned()))?;
        secret.get(&token).await.map_err(|error| (error.reason, error.hint.to_owned()))
    }
}

impl Master {
    /// Everything about this master, in the order in which one would mend it.
    pub async fn check(&self) -> Vec<Finding> {
        let addresses = http::resolve(&self.address).await;
        let connected = match &addresses {
            Ok(addresses) => Some(http::connect(addresses).await),
            Err(_) => None,
        };
        let mut seen = Seen::new(&self.instance, &self.address, addresses, connected);
        let token = self.token.read().await;
        if let Token::Vault { .. } = self.token {
            seen.private_token = Some(token.as_ref().map(drop).map_err(Clone::clone));
        }
        let Ok(token) = token else {
            self.greet(&mut seen).await;
            return seen.findings();
        };
        let mut errand = Errand::new(self, &token);
        let status = errand.status().await;
        if status.as_ref().err().is_none_or(|fault| !findings::is_about_all(fault)) {
            seen.asked = errand.permissions().await;
        }
        seen.status = Some(status);
        seen.chain = self.chain();
        seen.now = (self.clock)();
        (seen.skew_ms, seen.date_format) = (self.client.skew_ms(), self.client.date_format());
        let mut findings = seen.findings();
        if seen.is_accepted() {
            findings.extend(creation::check(self, &token).await);
        }
        findings
    }

    /// Without a private token nothing is asked, and yet the master shows its certificate and its clock.
    async fn greet(&self, seen: &mut Seen<'_>) {
        if self.address.scheme() == "https"
            && seen.is_connected()
            && let Err(fault @ Fault::Untrusted(_)) = self.client.greet().await
        {
            seen.status = Some(Err(fault));
        }
        (seen.chain, seen.now, seen.skew_ms) = (self.chain(), (self.clock)(), self.client.skew_ms());
    }

    fn chain(&self) -> Vec<Certificate> {
        self.presented.chain().iter().map(|der| Certificate::read(der)).collect()
    }
}

/// The questions of one check. No path is asked twice, and none after the time is up.
struct Errand<'a> {
    master: &'a Master,
    token: &'a Secret,
    deadline: Deadline,
    answers: BTreeMap<&'static str, Result<String, Fault>>,
}

impl<'a> Errand<'a> {
    fn new(master: &'a Master, token: &'a Secret) -> Self {
        Self { master, token, deadline: Deadline::after(PATIENCE), answers: BTreeMap::new() }
    }

    /// What each source needs, and what its rows are better for.
    async fn permissions(&mut self) -> Vec<Asked> {
        let mut all = Vec::new();
        for &source in &self.master.sources {
            all.push(self.source(source).await);
            if let Some(snapshot) = feed(source).snapshot {
                let purpose = format!("{source} for {}", snapshot.path);
                let asked = Asked::of(purpose, snapshot.permission, Presence::Always, Need::Source);
                all.push(self.one(asked, &probe::status(), Extent::Whole).await);
            }
        }
        if self.master.sources.iter().any(|&source| feed(source).tells_places) {
            let question = probe::places();
            let asked = Asked::of("subnets".to_owned(), question.permission, Presence::Optional, Need::Places);
            all.push(self.one(asked, &question, Extent::Records).await);
        }
        all
    }

    /// The paths of a source until one of them is there.
    async fn source(&mut self, source: Source) -> Asked {
        let feed = feed(source);
        let extent = if let Kind::Document(_) = feed.answer { Extent::Whole } else { Extent::Records };
        let mut asked = Asked::of(source.name().to_owned(), feed.permission, feed.presence, Need::Source);
        for path in feed.paths {
            let question = probe::newest(source, path, self.master.client.now());
            asked = self.one(asked, &question, extent).await;
            let absent = |(_, answer): &(_, Result<(), Fault>)| {
                answer.as_ref().is_err_and(|fault| fault.means_absence(feed.presence))
            };
            if !asked.answers.last().is_some_and(absent) {
                break;
            }
        }
        asked
    }

    async fn one(&mut self, mut asked: Asked, question: &Question, extent: Extent) -> Asked {
        let answer = self.ask(question, extent).await.map(drop);
        asked.answers.push((question.path, answer));
        asked
    }

    /// The state of the master. An object without a version is an error message, or somebody else's.
    async fn status(&mut self) -> Result<String, Fault> {
        let question = probe::status();
        let answer = self.ask(&question, Extent::Whole).await;
        let answer =
            answer.and_then(|text| if findings::is_status(&text) { Ok(text) } else { Err(Fault::ErrorObject) });
        self.answers.insert(question.path, answer.clone());
        answer
    }

    async fn ask(&mut self, question: &Question, extent: Extent) -> Result<String, Fault> {
        if let Some(answer) = self.answers.get(question.path) {
            return answer.clone();
        }
        let asked = timeout(self.deadline.remaining(), self.read(question, extent)).await;
        let answer = asked.unwrap_or(Err(Fault::TimedOut(PATIENCE)));
        self.answers.insert(question.path, answer.clone());
        answer
    }

    async fn read(&self, question: &Question, extent: Extent) -> Result<String, Fault> {
        let asked = self.master.client.ask(question, self.token, attempts()).await;
        let mut answer = asked.map_err(|error| error.fault)?;
        match extent {
            Extent::Whole => answer.document(LARGEST).await,
            Extent::Records => records(&mut answer).await.map(|()| String::new()),
        }
    }
}

/// How much of an answer is read.
#[derive(Clone, Copy)]
enum Extent {
    /// A list that comes to its end, or to more than a check reads: what cuts answers shows itself here.
    Records,
    /// One document.
    Whole,
}

async fn records(answer: &mut Answer) -> Result<(), Fault> {
    let (mut splitter, mut bytes) = (Splitter::new(LARGEST), 0);
    while let Some(piece) = answer.next().await? {
        bytes += piece.len();
        if bytes > LARGEST {
            return Ok(());
        }
        splitter.feed(&piece, |_| ())?;
    }
    Ok(splitter.finish()?)
}

/// A check tells what it met, so that nothing is tried twice.
pub(super) fn attempts() -> Attempts {
    Attempts::new(retry::APPLIANCE.probe(), Deadline::after(PATIENCE), &SharedBudget::default())
}
