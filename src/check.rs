//! The preflight: touches each remote once and harmlessly, and says what works, what does not and what to do next.
//!
//! It is for the operator for whom it does not work, so that findings come in the order in which one would mend them: the
//! way to a master, its certificate, the clocks, the signature, the permissions; then the identity, the rule with each of
//! its streams, the storage. It uses the clients of a poll, so that what passes here passes there, and it changes nothing
//! but a document of its own below `check/`, which it removes.
//!
//! What follows from an answer is decided in `master/findings.rs` and `azure/findings.rs`, without waiting for anything; the
//! asking is in the files above them. Settings are read and clients are built in `app`; what is printed is `cli`'s.

mod azure;
mod certificate;
mod creation;
mod master;

pub use azure::Azure;
pub use master::{Master, Token};

use crate::settings::{Problems, Settings};
use serde::Serialize;
use std::net::SocketAddr;

/// The subject of findings about settings. Where one of them failed, nothing else can be checked.
pub const SETTINGS: &str = "settings";

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The instance, `azure` or `settings`.
    pub subject: String,
    /// What was looked at.
    pub checked: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, without anything secret.
    pub seen: String,
    /// What to do next, where there is something to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How a thing is that was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it has to be.
    Pass,
    /// It works, and yet somebody should look at it.
    Warn,
    /// A poll will fail, or will lack something that was asked for.
    Fail,
    /// It could not be looked at, or there was no need.
    Skipped,
}

impl Verdict {
    /// The word in a line of text.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
            Self::Skipped => "-",
        }
    }
}

impl Finding {
    fn of(verdict: Verdict, subject: &str, checked: impl Into<String>, seen: impl Into<String>) -> Self {
        Self { subject: subject.to_owned(), checked: checked.into(), verdict, seen: seen.into(), next: None }
    }

    fn pass(subject: &str, checked: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::of(Verdict::Pass, subject, checked, seen)
    }

    fn skipped(subject: &str, checked: impl Into<String>, why: impl Into<String>) -> Self {
        Self::of(Verdict::Skipped, subject, checked, why)
    }

    fn warn(subject: &str, checked: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::of(Verdict::Warn, subject, checked, seen)
    }

    fn fail(subject: &str, checked: impl Into<String>, seen: impl Into<String>) -> Self {
        Self::of(Verdict::Fail, subject, checked, seen)
    }

    fn next(self, step: impl Into<String>) -> Self {
        Self { next: Some(step.into()), ..self }
    }

    /// Whether something has to be mended.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.verdict == Verdict::Fail
    }
}

/// The settings as findings: one that says what was set, or one for each problem.
#[must_use]
pub fn settings(settings: &Result<Settings, Problems>) -> Vec<Finding> {
    match settings {
        Ok(settings) => {
            let enabled = settings.instances.iter().filter(|instance| instance.enabled).count();
            let (all, layout) = (settings.instances.len(), settings.layout.name());
            vec![Finding::pass(
                SETTINGS,
                "every setting",
                format!("complete, with {enabled} of {all} instances enabled and the layout {layout}"),
            )]
        }
        Err(problems) => {
            let each = problems.iter().map(|problem| {
                let (seen, next) = problem.what.split_once(": ").unwrap_or((&problem.what, ""));
                let example = format!("example: {}", problem.example);
                let next = if next.is_empty() { example } else { format!("{next} ({example})") };
                Finding::fail(SETTINGS, &*problem.name, seen).next(next)
            });
            let rest = Finding::skipped(SETTINGS, "everything else", "is checked once the settings are right");
            each.chain([rest]).collect()
        }
    }
}

/// A part that could not be put together from the settings, such as a file of certificates that cannot be read.
#[must_use]
pub fn unusable(checked: &str, reason: &str) -> Finding {
    let (seen, next) = apart(reason);
    Finding::fail(SETTINGS, checked, seen).next(next.unwrap_or("correct this setting"))
}

/// An instance that is paused.
#[must_use]
pub fn paused(instance: &str) -> Finding {
    Finding::skipped(instance, "the master", "switched off by DARKTRACE_ENABLED, so nothing of it is polled or checked")
}

/// An error in two parts: what happened, and what to do next. Errors of the wires end in the next step.
fn apart(error: &str) -> (&str, Option<&str>) {
    error.split_once("; ").map_or((error, None), |(seen, next)| (seen, Some(next)))
}

/// A host with its addresses. One that is an address already has no other.
fn named(host: &str, found: &[SocketAddr]) -> String {
    let found: Vec<_> = found.iter().map(|address| address.ip().to_string()).collect();
    let found = found.join(", ");
    if host.trim_matches(['[', ']']) == found { format!("{host} is an address") } else { format!("{host} is {found}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_of_the_settings_is_a_finding_with_a_step() {
        let read = Settings::read(&|name| {
            (name == "DARKTRACE_PRIVATE_TOKEN").then(|| "@Microsoft.KeyVault(SecretUri=https://v/secrets/s)".to_owned())
        });
        let findings = settings(&read);
        let failed: Vec<_> = findings.iter().filter(|finding| finding.failed()).collect();
        assert_eq!(failed.len(), read.unwrap_err().iter().count());
        assert!(failed.iter().all(|finding| finding.next.is_some()));
        let reference = failed.iter().find(|finding| finding.checked == "DARKTRACE_PRIVATE_TOKEN").unwrap();
        assert!(reference.seen.contains("could not resolve it"), "{reference:?}");
        assert!(reference.next.as_ref().unwrap().contains("Key Vault Secrets User"), "{reference:?}");
        assert_eq!(findings.last().map(|finding| finding.verdict), Some(Verdict::Skipped));
    }

    #[test]
    fn an_error_comes_apart_where_its_next_step_begins() {
        assert_eq!(
            apart("no answer came (refused); check the host"),
            ("no answer came (refused)", Some("check the host"))
        );
        assert_eq!(apart("odd"), ("odd", None));
    }
}
