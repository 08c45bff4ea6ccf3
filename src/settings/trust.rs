//! What an instance trusts beyond the public authorities: a private authority and pinned certificates.
//!
//! There is no setting that accepts any certificate. The texts are only recognised here; the files are read, and the
//! certificates used, by the HTTP client of the appliance.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::path::PathBuf;

/// The certificates of a private authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaPem {
    /// One or more certificates in PEM form.
    Text(String),
    /// The file that holds them.
    File(PathBuf),
}

/// PEM text, or a path. App settings are one line, so a literal `\n` in the text stands for a line break.
pub(super) fn ca_pem(text: &str) -> Result<CaPem, String> {
    if text.contains("PRIVATE KEY-----") {
        return Err("holds a private key; only certificates belong there".to_owned());
    }
    if !text.contains("-----BEGIN") {
        return Ok(CaPem::File(PathBuf::from(text)));
    }
    if !text.contains("-----BEGIN CERTIFICATE-----") || !text.contains("-----END CERTIFICATE-----") {
        return Err("begins like PEM text but holds no whole certificate".to_owned());
    }
    Ok(CaPem::Text(text.replace("\\r", "").replace("\\n", "\n")))
}

/// SHA-256 pins, separated by commas or blanks: 64 hexadecimal digits with or without colons, as `openssl x509
/// -fingerprint -sha256` prints them, or base64; either may follow `sha256/`.
pub(super) fn pins(text: &str) -> Result<Vec<[u8; 32]>, String> {
    let words = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let pins = words.enumerate().map(|(at, word)| {
        pin(word).ok_or_else(|| {
            format!("has as number {} a pin that is neither 64 hexadecimal digits nor base64 of 32 bytes", at + 1)
        })
    });
    pins.collect()
}

fn pin(word: &str) -> Option<[u8; 32]> {
    let word = word.strip_prefix("sha256/").unwrap_or(word);
    from_hex(&word.replace(':', "")).or_else(|| STANDARD.decode(word).ok()?.try_into().ok())
}

fn from_hex(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF";
    const BASE64: &str = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8=";

    #[test]
    fn a_pin_is_hexadecimal_or_base64_with_or_without_its_prefix() {
        let colons: Vec<&str> = (0..32).map(|at| &HEX[2 * at..2 * at + 2]).collect();
        let expected = pins(HEX).unwrap();
        assert_eq!(expected[0][..3], [0x00, 0x11, 0x22]);
        for text in [BASE64, &colons.join(":"), &format!("sha256/{BASE64}"), &format!("sha256/{HEX}")] {
            assert_eq!(pins(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn several_pins_are_separated_by_commas_or_blanks() {
        assert_eq!(pins(&format!("{HEX},{BASE64}, {HEX}\n{HEX}")).map(|pins| pins.len()), Ok(4));
    }

    #[test]
    fn a_pin_of_another_length_is_refused_by_its_place() {
        for wrong in ["00", "zz", &HEX[2..], &BASE64[4..], "sha1/abc", "é"] {
            assert!(pins(&format!("{HEX} {wrong}")).unwrap_err().contains("number 2"), "{wrong}");
        }
    }

    #[test]
    fn pem_text_on_one_line_gets_its_line_breaks_back() {
        let text = r"-----BEGIN CERTIFICATE-----\r\nAAAA\n-----END CERTIFICATE-----\n";
        let expected = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert_eq!(ca_pem(text), Ok(CaPem::Text(expected.to_owned())));
        assert_eq!(ca_pem(expected), Ok(CaPem::Text(expected.to_owned())));
    }

    #[test]
    fn what_is_not_pem_is_a_path() {
        assert_eq!(ca_pem("/etc/ca.pem"), Ok(CaPem::File(PathBuf::from("/etc/ca.pem"))));
    }

    #[test]
    fn a_private_key_or_half_a_certificate_is_refused() {
        for text in [
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN RSA PRIVATE KEY-----\n",
            "-----BEGIN CERTIFICATE-----\nAAAA",
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
        ] {
            assert!(ca_pem(text).is_err(), "{text}");
        }
    }
}
