//! Whether it is the master that answers, and whether it accepts the signature.

use super::Seen;
use crate::check::{Finding, apart};
use crate::darktrace::Fault;
use crate::darktrace::signature::DateFormat;

impl Seen<'_> {
    /// Whether any answer shows that the signature was looked at and found right. A 400 or 404 may come from anybody.
    pub(in crate::check::master) fn is_accepted(&self) -> bool {
        let shows = |fault: &Fault| {
            matches!(
                fault,
                Fault::Forbidden
                    | Fault::Torn(_)
                    | Fault::Stalled
                    | Fault::TooLarge(_)
                    | Fault::RecordTooLarge(_)
                    | Fault::SamePage
            )
        };
        self.faults().any(|fault| fault.is_none_or(shows))
    }

    /// Whether an answer came, be it through a proxy.
    pub(super) fn is_reached(&self) -> bool {
        let silent = |fault: &Fault| matches!(fault, Fault::Unreachable(_) | Fault::TimedOut(_) | Fault::Address);
        self.faults().any(|fault| fault.is_none_or(|fault| !silent(fault)))
    }

    fn faults(&self) -> impl Iterator<Item = Option<&Fault>> {
        let status = self.status.iter().map(|answer| answer.as_ref().err());
        status.chain(self.asked.iter().flat_map(|asked| &asked.answers).map(|(_, answer)| answer.as_ref().err()))
    }

    /// What came in place of an answer of the master, if that is what came.
    pub(super) fn answer(&self) -> Option<Finding> {
        let fault = self.status.as_ref()?.as_ref().err()?;
        let checked = "answer";
        let about_the_signature =
            matches!(fault, Fault::Untrusted(_) | Fault::Signature { .. } | Fault::Date { .. } | Fault::LoginRedirect);
        if self.is_accepted() || about_the_signature || self.has_no_way() {
            return None;
        }
        Some(match fault {
            Fault::NotFound => Finding::fail(self.instance, checked, "nothing is known of any path of a master (404)")
                .next("check that DARKTRACE_HOST is the master itself"),
            Fault::Parameter => Finding::fail(self.instance, checked, "every request is refused (400)")
                .next("check that DARKTRACE_HOST is the master itself; one of a very old version refuses parameters"),
            _ => self.broken(checked, fault),
        })
    }

    /// Whether no connection came about, which name, connection or TLS tell already.
    fn has_no_way(&self) -> bool {
        let is_silent = matches!(self.status, Some(Err(Fault::Unreachable(_) | Fault::TimedOut(_))));
        let is_bare = self.address.scheme() == "https" && self.chain.is_empty();
        is_silent && (is_bare || !self.is_connected())
    }

    pub(super) fn signature(&self) -> Finding {
        let checked = "signature";
        if self.is_accepted() {
            let form = self.date_format.map(|format| match format {
                DateFormat::Compact => ", dated in the form 20260101T000000",
                DateFormat::Spaced => ", dated in the form 2026-01-01 00:00:00",
            });
            return Finding::pass(self.instance, checked, format!("accepted{}", form.unwrap_or_default()));
        }
        let why = match self.status.as_ref().map(|answer| answer.as_ref().err()) {
            Some(Some(Fault::Untrusted(_))) => "nothing is sent to whom is not trusted",
            _ if self.has_no_way() => "no connection came about",
            Some(Some(fault @ (Fault::Signature { .. } | Fault::Date { .. } | Fault::LoginRedirect))) => {
                return self.broken(checked, fault);
            }
            Some(Some(_)) => "not known, because no answer of the master came",
            _ => "nothing was asked without the private token",
        };
        Finding::skipped(self.instance, checked, why)
    }

    /// A fault with a step that an operator can take now. The words of some speak of the next run, and a check has none.
    pub(super) fn broken(&self, checked: &str, fault: &Fault) -> Finding {
        let text = fault.to_string();
        let (seen, next) = apart(&text);
        Finding::fail(self.instance, checked, seen).next(match fault {
            Fault::Throttled(_) => "run the check again in a few minutes; if that stays, find out who else asks this master so often",
            Fault::Server { .. } => {
                "it is overloaded, restarting or being upgraded: run the check again in a few minutes; if that stays, look at \
                 the master's own status, or at the proxy in front of it"
            }
            Fault::TimedOut(_) | Fault::Stalled => {
                "run the check again; if that stays, look at the load of the master and at the firewalls in between"
            }
            _ => next.unwrap_or("look at the master's own log"),
        })
    }
}
