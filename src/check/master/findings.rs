//! What the answers of a master mean for whoever has to mend it.

mod answer;
mod permission;
mod tls;

use crate::check::certificate::Certificate;
use crate::check::{Finding, named};
use crate::darktrace::signature::DateFormat;
use crate::darktrace::{Fault, Presence};
use crate::instant::Instant;
use std::net::SocketAddr;
use url::Url;

/// A difference of clocks that is worth a warning, in milliseconds.
const NOTABLE_SKEW: u64 = 30_000;
/// A difference at which something is broken: a request is refused at 30 minutes, unless it is dated by the other clock.
const WRONG_SKEW: u64 = 15 * 60_000;

/// Everything that one master answered.
pub(super) struct Seen<'a> {
    instance: &'a str,
    address: &'a Url,
    addresses: Result<Vec<SocketAddr>, String>,
    connected: Option<Result<SocketAddr, String>>,
    /// Reading it from Key Vault: what went wrong, and what to do. Absent when a setting holds the token.
    pub(super) private_token: Option<Result<(), (String, String)>>,
    pub(super) chain: Vec<Certificate>,
    pub(super) status: Option<Result<String, Fault>>,
    pub(super) asked: Vec<Asked>,
    pub(super) now: Instant,
    pub(super) skew_ms: Option<i64>,
    pub(super) date_format: Option<DateFormat>,
}

/// What was asked for one purpose.
pub(super) struct Asked {
    purpose: String,
    permission: &'static str,
    presence: Presence,
    need: Need,
    /// Path by path, up to the one that was answered.
    pub(super) answers: Vec<(&'static str, Result<(), Fault>)>,
}

/// What becomes of it when it is not given.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// A source is not polled, or not all of it.
    Source,
    /// Rows lack where a device's subnet is.
    Places,
}

impl Asked {
    pub(super) const fn of(purpose: String, permission: &'static str, presence: Presence, need: Need) -> Self {
        Self { purpose, permission, presence, need, answers: Vec::new() }
    }
}

/// Whether every other question would be answered alike, so that there is no use in asking it.
pub(super) const fn is_about_all(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Unreachable(_)
            | Fault::Untrusted(_)
            | Fault::TimedOut(_)
            | Fault::Signature { .. }
            | Fault::Date { .. }
            | Fault::Redirect
            | Fault::LoginPage
            | Fault::WebPage(_)
            | Fault::Address
    )
}

impl<'a> Seen<'a> {
    pub(super) const fn new(
        instance: &'a str,
        address: &'a Url,
        addresses: Result<Vec<SocketAddr>, String>,
        connected: Option<Result<SocketAddr, String>>,
    ) -> Self {
        Self {
            instance,
            address,
            addresses,
            connected,
            private_token: None,
            chain: Vec::new(),
            status: None,
            asked: Vec::new(),
            now: Instant(0),
            skew_ms: None,
            date_format: None,
        }
    }

    pub(super) fn findings(&self) -> Vec<Finding> {
        let mut all = vec![self.name(), self.connection(), self.tls(), self.clock()];
        all.extend(self.token());
        all.extend(self.answer());
        all.extend([self.signature(), self.version()]);
        // Where the signature itself was not accepted, a refusal of a path says nothing about its permission.
        if self.asked.is_empty() || !self.is_accepted() {
            let why = "not known as long as the signature is not accepted";
            all.push(Finding::skipped(self.instance, "permissions", why));
        } else {
            all.extend(self.asked.iter().map(|asked| self.permission(asked)));
        }
        all
    }

    pub(super) const fn is_connected(&self) -> bool {
        matches!(self.connected, Some(Ok(_)))
    }

    fn host(&self) -> &str {
        self.address.host_str().unwrap_or_default()
    }

    fn name(&self) -> Finding {
        let (checked, host) = ("name resolution", self.host());
        match &self.addresses {
            Ok(found) => Finding::pass(self.instance, checked, named(host, found)),
            Err(reason) if self.is_reached() => self.only_through_a_proxy(checked, reason),
            Err(reason) => Finding::fail(self.instance, checked, format!("{host} is not found ({reason})")).next(
                "check DARKTRACE_HOST; for a private name, that the function app is joined to the virtual network whose \
                 DNS knows it",
            ),
        }
    }

    fn connection(&self) -> Finding {
        let checked = "connection";
        match &self.connected {
            None => Finding::skipped(self.instance, checked, "there is no address to connect to"),
            Some(Ok(address)) => Finding::pass(self.instance, checked, format!("{address} takes TCP connections")),
            Some(Err(reason)) if self.is_reached() => self.only_through_a_proxy(checked, reason),
            Some(Err(reason)) => Finding::fail(self.instance, checked, format!("no TCP connection ({reason})")).next(
                "check the port in DARKTRACE_HOST, that the master is up, and that the function app's network and the \
                 firewalls in between let it through",
            ),
        }
    }

    fn only_through_a_proxy(&self, checked: &str, reason: &str) -> Finding {
        Finding::warn(self.instance, checked, format!("not directly ({reason}), and yet the master answers"))
            .next("nothing, if a proxy is meant to be between; HTTPS_PROXY decides")
    }

    fn token(&self) -> Option<Finding> {
        let checked = "private token";
        Some(match self.private_token.as_ref()? {
            Ok(()) => Finding::pass(self.instance, checked, "read from Key Vault"),
            Err((seen, next)) => {
                Finding::fail(self.instance, checked, format!("not read from Key Vault: {seen}")).next(next)
            }
        })
    }

    fn clock(&self) -> Finding {
        let checked = "clocks";
        let Some(skew) = self.skew_ms else {
            return Finding::skipped(self.instance, checked, "no answer told the appliance's time");
        };
        let theirs = Instant(self.now.0 + skew);
        let seconds = skew.unsigned_abs() / 1000;
        let seen = format!("the appliance has {theirs}, this machine {}", self.now);
        let apart = format!("{seen}: {} min {} s apart", seconds / 60, seconds % 60);
        if skew.unsigned_abs() <= NOTABLE_SKEW {
            Finding::pass(self.instance, checked, seen)
        } else if skew.unsigned_abs() < WRONG_SKEW {
            Finding::warn(self.instance, checked, apart).next("set the appliance's clock by NTP")
        } else {
            Finding::fail(self.instance, checked, apart).next(
                "set the clock that is wrong by NTP, as a rule the appliance's; until then requests are dated by its clock",
            )
        }
    }

    fn version(&self) -> Finding {
        let checked = "version";
        match &self.status {
            Some(Ok(document)) => match version(document) {
                Some(version) => Finding::pass(self.instance, checked, version),
                None => Finding::warn(self.instance, checked, "the status of the master has one that is none")
                    .next("find out who answers at DARKTRACE_HOST"),
            },
            Some(Err(Fault::Forbidden)) => {
                Finding::skipped(self.instance, checked, "not shown, because the token lacks \"Status\"")
                    .next("nothing, unless you want to see it here; \"Status\" is given under Permissions Admin")
            }
            Some(Err(fault)) if self.is_accepted() => {
                let Finding { seen, next, .. } = self.broken(checked, fault);
                Finding { next, ..Finding::warn(self.instance, checked, format!("/status: {seen}")) }
            }
            _ => Finding::skipped(self.instance, checked, "the master did not tell its status"),
        }
    }
}

/// Whether a document is the state of a master: whatever else one has, it names its version.
pub(super) fn is_status(document: &str) -> bool {
    serde_json::from_str(document).is_ok_and(|status: serde_json::Value| status.get("version").is_some())
}

/// The version in a status, if it is as short and plain as versions are.
fn version(document: &str) -> Option<String> {
    let status: serde_json::Value = serde_json::from_str(document).ok()?;
    let version = status.get("version")?.as_str()?;
    let plain = version.len() <= 60 && !version.chars().any(char::is_control);
    plain.then(|| version.to_owned())
}

#[cfg(test)]
mod tests;
