//! The request signature against figures that were computed elsewhere: with Python's `hmac`, and by a public client of the
//! API for its own tests. `data/signature-vectors.json` says which is which.

use darktrace_sentinel::darktrace::signature::{DateFormat, sign};
use darktrace_sentinel::instant::Instant;
use serde_json::Value;

/// 2026-01-01T00:00:00Z, the date of our own vectors.
const NEW_YEAR: Instant = Instant(1_767_225_600_000);

fn figures() -> Value {
    serde_json::from_str(include_str!("../data/signature-vectors.json")).unwrap()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name} in {value}"))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value[name].as_array().filter(|list| !list.is_empty()).unwrap_or_else(|| panic!("no {name} in {value}"))
}

/// Signs every target of our vectors with the date as `format` writes it.
fn check(format: DateFormat, name: &str) {
    let figures = figures();
    let date = format.write(NEW_YEAR);
    assert_eq!(date, text(&figures, name));
    for vector in list(&figures, "vectors") {
        let signature =
            sign(text(&figures, "privateToken"), text(&figures, "publicToken"), text(vector, "target"), &date);
        assert_eq!(signature, text(vector, name), "{vector}");
    }
}

#[test]
fn every_target_is_signed_with_the_compact_date() {
    check(DateFormat::Compact, "compact");
}

#[test]
fn every_target_is_signed_with_the_spaced_date() {
    check(DateFormat::Spaced, "spaced");
}

#[test]
fn the_signature_is_over_the_very_bytes_plain_or_escaped() {
    let figures = figures();
    let of = |name: &str| {
        let named = list(&figures, "vectors").iter().find(|vector| vector["name"] == name);
        text(named.unwrap_or_else(|| panic!("no vector {name}")), "compact")
    };
    // One query in three forms: plain, with %20, and with +.
    assert_ne!(of("V4 plain"), of("V4 escaped"));
    assert_ne!(of("V4 escaped"), of("V4 form"));
}

#[test]
fn a_public_client_comes_to_the_same_signatures() {
    let figures = figures();
    let sdk = &figures["sdk"];
    for answer in list(sdk, "answers") {
        let (target, date) = (text(answer, "target"), text(answer, "date"));
        let signature = sign(text(sdk, "privateToken"), text(sdk, "publicToken"), target, date);
        assert_eq!(signature, text(answer, "signature"), "{answer}");
    }
}
