//! Whom a token speaks for, from its claims. The token itself is for the service and is neither kept nor shown.
//!
//! The names of the claims are those of <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>.
//! Nothing is decided by them here, so the signature is not checked.

use crate::instant::Instant;
use crate::secret::Secret;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::fmt;

/// What a token says of its subject, as far as it is an identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// The application or managed identity, by its client id.
    pub client_id: Option<String>,
    /// The service principal or user, by its object id: what roles are assigned to.
    pub object_id: Option<String>,
    /// The directory.
    pub tenant: Option<String>,
    /// When the token was issued. The platform keeps those of managed identities for about a day
    /// (<https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/managed-identity-best-practice-recommendations>).
    pub issued: Option<Instant>,
}

/// `appid` in tokens of version 1, `azp` in those of version 2.
#[derive(Default, Deserialize)]
struct Claims {
    appid: Option<String>,
    azp: Option<String>,
    oid: Option<String>,
    tid: Option<String>,
    #[serde(default)]
    iat: serde_json::Value,
}

impl Principal {
    pub(super) fn of(token: &Secret) -> Self {
        let payload = token.expose().split('.').nth(1).and_then(|part| URL_SAFE_NO_PAD.decode(part).ok());
        let claims = payload.and_then(|payload| serde_json::from_slice(&payload).ok());
        let Claims { appid, azp, oid, tid, iat } = claims.unwrap_or_default();
        let issued = iat.as_i64().and_then(|seconds| seconds.checked_mul(1000)).map(Instant);
        Self { client_id: plain(appid.or(azp)), object_id: plain(oid), tenant: plain(tid), issued }
    }
}

/// Identifiers are 36 characters of hexadecimal digits and hyphens; nothing longer or stranger is shown.
fn plain(text: Option<String>) -> Option<String> {
    text.filter(|text| text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_unknown = |id: &Option<String>| id.clone().unwrap_or_else(|| "unknown".to_owned());
        write!(f, "client id {}, object id {}", or_unknown(&self.client_id), or_unknown(&self.object_id))?;
        self.tenant.as_ref().map_or(Ok(()), |tenant| write!(f, ", tenant {tenant}"))?;
        self.issued.map_or(Ok(()), |issued| write!(f, ", token issued {}", issued.rfc3339()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(claims: &str) -> String {
        let token = format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims));
        Principal::of(&Secret::new(token)).to_string()
    }

    #[test]
    fn both_versions_of_tokens_tell_whose_they_are() {
        let told = of(r#"{"appid":"app-1","oid":"obj-1","tid":"t-1","iat":1767268800}"#);
        assert_eq!(told, "client id app-1, object id obj-1, tenant t-1, token issued 2026-01-01T12:00:00.000Z");
        assert_eq!(of(r#"{"azp":"app-2","oid":"obj-2"}"#), "client id app-2, object id obj-2");
    }

    #[test]
    fn what_is_no_identifier_is_not_shown() {
        for claims in [r#"{"appid":"hunter two","oid":"a/b","iat":"now"}"#, "[]", "not json", ""] {
            assert_eq!(of(claims), "client id unknown, object id unknown", "{claims}");
        }
        assert_eq!(Principal::of(&Secret::new("opaque")), Principal::default());
    }
}
