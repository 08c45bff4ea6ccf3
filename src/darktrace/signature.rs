//! The appliance's request signature: HMAC-SHA1 over what goes on the wire.
//!
//! `signature = hex(HMAC-SHA1(private token, target \n public token \n date))`, where the target is the path with its
//! query exactly as sent, and the date is byte for byte the `DTAPI-Date` header (Darktrace Threat Visualizer API guide,
//! "Authentication"). The date is an argument: one reading of the clock serves the header and the signature.

use crate::instant::Instant;
use crate::key::Key;
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// The two date formats that the API guide documents. Some appliances accept only one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DateFormat {
    /// `20260101T000000`
    #[default]
    Compact,
    /// `2026-01-01 00:00:00`
    Spaced,
}

impl DateFormat {
    /// The date header of this moment.
    #[must_use]
    pub fn write(self, at: Instant) -> String {
        match self {
            Self::Compact => at.compact(),
            Self::Spaced => at.naive(),
        }
    }

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Compact => Self::Spaced,
            Self::Spaced => Self::Compact,
        }
    }
}

/// The `DTAPI-Signature` of a request.
#[must_use]
pub fn sign(private_token: &str, public_token: &str, target: &str, date: &str) -> String {
    // HMAC takes a key of any length, so this cannot fail.
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(private_token.as_bytes()) else { return String::new() };
    for part in [target, "\n", public_token, "\n", date] {
        mac.update(part.as_bytes());
    }
    Key::hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 2202, test case 2, with its message split at the separators.
    #[test]
    fn the_message_is_three_parts_joined_by_line_feeds() {
        let mut mac = Hmac::<Sha1>::new_from_slice(b"key").unwrap();
        mac.update(b"/status\npublic\n20260101T000000");
        assert_eq!(sign("key", "public", "/status", "20260101T000000"), Key::hex(&mac.finalize().into_bytes()));
    }

    #[test]
    fn each_format_writes_its_own_form() {
        let at = Instant(1_767_225_600_000);
        assert_eq!(DateFormat::Compact.write(at), "20260101T000000");
        assert_eq!(DateFormat::Compact.other().write(at), "2026-01-01 00:00:00");
    }
}
