//! Bearer tokens as the simulated identity endpoint issues them and the simulated services check them.
//!
//! They look like a JSON web token: header, payload and signature in base64url. The key is public, because the tokens are
//! worth nothing outside of the simulators; the signature only shows that a token was passed on unchanged.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

const KEY: &[u8] = b"simulated tenant";
/// The client id that the system-assigned identity reports.
pub(super) const CLIENT: &str = "5e1f0000-0000-4000-8000-00000000c11e";
const OBJECT: &str = "5e1f0000-0000-4000-8000-000000000b1d";
const TENANT: &str = "5e1f0000-0000-4000-8000-00000000011d";

/// Why a service does not take a bearer token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// No `Authorization: Bearer ...` at all.
    Absent,
    /// Not a token of the simulated identity endpoint.
    Foreign,
    /// A token for another service.
    Audience,
    /// Not valid any more.
    Expired,
}

/// A token for `audience` that is issued and expires at these epoch seconds. `serial` makes tokens distinct.
pub(super) fn issue(audience: &str, (issued_s, expires_s): (i64, i64), serial: u64) -> String {
    let header = json!({"typ": "JWT", "alg": "HS256"});
    let payload = json!({"aud": audience, "iat": issued_s, "exp": expires_s, "iss": "https://sts.windows.net/simulated/", "jti": serial,
            "appid": CLIENT, "oid": OBJECT, "tid": TENANT});
    let signed = format!("{}.{}", encoded(&header), encoded(&payload));
    let signature = mac(&signed).map(|mac| mac.finalize().into_bytes().to_vec()).unwrap_or_default();
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// Checks the value of an `Authorization` header.
pub(super) fn check(authorization: Option<&str>, audience: &str, now_s: i64) -> Result<(), Refusal> {
    let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).ok_or(Refusal::Absent)?;
    let payload = payload(token).ok_or(Refusal::Foreign)?;
    // A trailing slash of the resource comes back in the audience; the services do not mind it.
    if payload["aud"].as_str().map(|aud| aud.trim_end_matches('/')) != Some(audience.trim_end_matches('/')) {
        return Err(Refusal::Audience);
    }
    if payload["exp"].as_i64().is_some_and(|expires| expires > now_s) { Ok(()) } else { Err(Refusal::Expired) }
}

fn payload(token: &str) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    mac(signed)?.verify_slice(&URL_SAFE_NO_PAD.decode(signature).ok()?).ok()?;
    let (_, payload) = signed.split_once('.')?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

fn encoded(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn mac(text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY).ok()?;
    mac.update(text.as_bytes());
    Some(mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_audience_until_it_expires() {
        let bearer = format!("Bearer {}", issue("https://monitor.azure.com", (0, 1000), 1));
        let check = |audience, now| check(Some(&bearer), audience, now);
        assert_eq!(check("https://monitor.azure.com", 999), Ok(()));
        assert_eq!(check("https://monitor.azure.com", 1000), Err(Refusal::Expired));
        assert_eq!(check("https://vault.azure.net", 999), Err(Refusal::Audience));
    }

    #[test]
    fn a_token_from_elsewhere_is_refused() {
        let mine = issue("a", (0, 1000), 1);
        let (rest, _) = mine.rsplit_once('.').unwrap();
        assert_eq!(check(Some(&format!("Bearer {rest}.AAAA")), "a", 0), Err(Refusal::Foreign));
        assert_eq!(check(Some("Bearer abc"), "a", 0), Err(Refusal::Foreign));
        assert_eq!(check(Some(&mine), "a", 0), Err(Refusal::Absent));
        assert_eq!(check(None, "a", 0), Err(Refusal::Absent));
    }
}
