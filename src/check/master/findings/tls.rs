//! What the certificates that were shown mean.

use super::Seen;
use crate::check::{Finding, apart};
use crate::darktrace::Fault;
use std::time::Duration;

/// A certificate that ends sooner is worth a warning.
const SOON: Duration = Duration::from_secs(30 * 86_400);

impl Seen<'_> {
    pub(super) fn tls(&self) -> Finding {
        let checked = "TLS";
        if self.address.scheme() == "http" {
            return Finding::skipped(self.instance, checked, "plain http to this machine");
        }
        if let Some(Err(Fault::Untrusted(refusal))) = &self.status {
            return self.untrusted(refusal);
        }
        let Some(first) = self.chain.first() else {
            return match &self.status {
                Some(Err(fault)) if self.is_connected() => Finding::fail(
                    self.instance,
                    checked,
                    format!("no certificate was shown: {}", apart(&fault.to_string()).0),
                )
                .next("check that the port in DARKTRACE_HOST is the one of HTTPS"),
                None if self.is_connected() => {
                    Finding::skipped(self.instance, checked, "nothing was asked without the private token")
                }
                _ => Finding::skipped(self.instance, checked, "no connection came about"),
            };
        };
        let seen = format!("trusted: {}", self.presented());
        match first.left(self.now) {
            Some(left) if left < SOON => Finding::warn(self.instance, checked, seen)
                .next("have the certificate renewed; where it is pinned, add the pin of the next one beside this one"),
            _ => Finding::pass(self.instance, checked, seen),
        }
    }

    fn untrusted(&self, refusal: &str) -> Finding {
        let (seen, next) = apart(refusal);
        let finding = Finding::fail(self.instance, "TLS", format!("{seen}: {}", self.presented()));
        // Only where a pin would mend it, the refusal says so.
        let key = self.chain.first().and_then(|first| first.fields.as_ref()).map(|fields| &fields.key);
        match (next, key) {
            (Some(next), Some(key)) if next.contains("set DARKTRACE_PIN_SHA256") => finding.next(format!(
                "if this is the appliance's own certificate, set DARKTRACE_PIN_SHA256={key} (its key, which a renewal may \
                 keep), or DARKTRACE_CA_PEM to the certificate of the authority that issued it"
            )),
            (next, _) => finding.next(next.unwrap_or("find out who answers at DARKTRACE_HOST")),
        }
    }

    /// The certificates that were shown, the first one with its hashes.
    fn presented(&self) -> String {
        let mut all = self.chain.iter().map(|certificate| certificate.told(self.now));
        let mut text = all.next().unwrap_or_default();
        if let Some(first) = self.chain.first() {
            text.push_str(&format!(", SHA-256 {}", first.fingerprint));
            let key = first.fields.as_ref().map(|fields| format!(", SHA-256 of its key {}", fields.key));
            text.push_str(&key.unwrap_or_default());
        }
        all.for_each(|other| text.push_str(&format!("; behind it {other}")));
        text
    }
}
