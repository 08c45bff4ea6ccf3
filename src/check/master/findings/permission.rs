//! What the answers to the questions of a source mean: given, refused, or not there at all.

use super::{Asked, Need, Seen};
use crate::check::Finding;
use crate::darktrace::{Fault, Presence};

impl Seen<'_> {
    pub(super) fn permission(&self, asked: &Asked) -> Finding {
        let checked = format!("permission of {}", asked.purpose);
        match asked.answers.iter().find(|(_, answer)| answer.is_ok()) {
            Some((path, _)) => Finding::pass(self.instance, checked, format!("{path} answers")),
            None => asked.need.weighed(self.not_given(asked, &checked)),
        }
    }

    fn not_given(&self, asked: &Asked, checked: &str) -> Finding {
        let paths: Vec<&str> = asked.answers.iter().map(|(path, _)| *path).collect();
        let (paths, of, permission) = (paths.join(" and "), &asked.purpose, asked.permission);
        let is_optional = asked.presence == Presence::Optional;
        let or_remove = if is_optional && asked.need == Need::Source {
            format!(", or take {of} out of DARKTRACE_SOURCES if this master has no licence for it")
        } else {
            String::new()
        };
        let faults = || asked.answers.iter().filter_map(|(_, answer)| answer.as_ref().err());
        if faults().any(|fault| *fault == Fault::Forbidden) {
            return Finding::fail(self.instance, checked, format!("the token may not read {paths}"))
                .next(format!("give it {permission} under Permissions Admin{or_remove}"));
        }
        match faults().next_back() {
            Some(fault) if is_optional && fault.means_absence(asked.presence) => {
                let seen = format!("this master has no {paths}; its version or licence lacks it");
                Finding::fail(self.instance, checked, seen).next(format!("update the master{or_remove}"))
            }
            Some(fault) => self.broken(checked, fault),
            None => Finding::skipped(self.instance, checked, "it was not asked for"),
        }
    }
}

impl Need {
    /// What only makes rows poorer is no failure.
    fn weighed(self, finding: Finding) -> Finding {
        match self {
            Self::Source => finding,
            Self::Places if finding.failed() => {
                let seen = format!("{}; rows will lack the place of a device's subnet", finding.seen);
                Finding { verdict: crate::check::Verdict::Warn, seen, ..finding }
            }
            Self::Places => finding,
        }
    }
}
