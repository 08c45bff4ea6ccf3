//! The request targets: path and query as they are signed and sent.
//!
//! An appliance ignores parameters that it does not know, without a word, so that a misspelt one gives wrong data in place
//! of an error. They are spelt once, here, in the order of the alphabet; the values need no escaping, which settles the
//! question of whether the signature is over the escaped or the plain text.

use crate::checkpoint::Basis;
use crate::instant::Instant;
use crate::source::Source;

/// The target that asks for what `source` has between `from` and `to`, both included.
///
/// Acknowledged alerts are asked for, because an analyst may be quicker than the poll; pinned events are not, because they
/// would come back with every answer whatever their age.
#[must_use]
pub fn window(source: Source, basis: Basis, from: Instant, to: Instant) -> String {
    let path = source.path();
    let (from, to) = (from.0, to.0);
    match source {
        Source::ModelAlerts => {
            let creation = if basis == Basis::Activity { "" } else { "creationtime=true&" };
            format!(
                "{path}?{creation}deviceattop=true&endtime={to}&expandenums=true&historicmodelonly=true\
                 &includeacknowledged=true&includebreachurl=true&includesuppressed=false&starttime={from}"
            )
        }
        Source::AiAnalyst => format!(
            "{path}?endtime={to}&includeacknowledged=true&includeallpinned=false&includeincidenteventurl=true\
             &locale=en_GB&starttime={from}"
        ),
    }
}

/// The target that asks for a list of the model alerts whose activity began between `from` and `to`, with no more of each
/// than tells it from the others. An appliance that does not know `responsedata` answers with whole records.
#[must_use]
pub fn listing(from: Instant, to: Instant) -> String {
    let (path, from, to) = (Source::ModelAlerts.path(), from.0, to.0);
    format!(
        "{path}?deviceattop=true&endtime={to}&historicmodelonly=true&includeacknowledged=true&includesuppressed=false\
         &responsedata=creationTime,pbid,time&starttime={from}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const FROM: Instant = Instant(1_767_222_000_000);
    const TO: Instant = Instant(1_767_225_600_000);

    #[test]
    fn targets_are_spelt_as_the_api_guide_spells_them() {
        assert_eq!(
            window(Source::ModelAlerts, Basis::Creation, FROM, TO),
            "/modelbreaches?creationtime=true&deviceattop=true&endtime=1767225600000&expandenums=true\
             &historicmodelonly=true&includeacknowledged=true&includebreachurl=true&includesuppressed=false\
             &starttime=1767222000000"
        );
        assert_eq!(
            window(Source::AiAnalyst, Basis::Unknown, FROM, TO),
            "/aianalyst/incidentevents?endtime=1767225600000&includeacknowledged=true&includeallpinned=false\
             &includeincidenteventurl=true&locale=en_GB&starttime=1767222000000"
        );
    }

    #[test]
    fn an_appliance_that_ignores_creation_time_is_not_asked_for_it() {
        assert!(!window(Source::ModelAlerts, Basis::Activity, FROM, TO).contains("creationtime"));
        assert!(window(Source::ModelAlerts, Basis::Unknown, FROM, TO).contains("creationtime=true"));
    }

    #[test]
    fn parameters_stand_in_alphabetical_order_and_need_no_escape() {
        for source in Source::ALL {
            let target = window(source, Basis::Creation, FROM, TO);
            let (_, query) = target.split_once('?').unwrap();
            assert!(query.split('&').is_sorted());
            assert!(query.bytes().all(|b| b.is_ascii_alphanumeric() || b"=&_.-".contains(&b)));
        }
    }

    /// A comma is one of the characters that a query may hold as it is (RFC 3986 §3.4), so it is signed as it is sent.
    #[test]
    fn a_listing_asks_for_what_identifies_an_alert() {
        let target = listing(FROM, TO);
        assert!(target.contains("&responsedata=creationTime,pbid,time&"));
        assert!(target.split_once('?').unwrap().1.split('&').is_sorted());
    }
}
