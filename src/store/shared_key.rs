//! Signs blob requests with the account key, which the Azure SDK for Rust leaves to its users.
//!
//! The rules are those of <https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key>. It runs once
//! per attempt, so that a retry carries a fresh date. It knows nothing of connection strings; those are in
//! [`super::access`].

use super::StoreError;
use super::access::wrong;
use async_trait::async_trait;
use azure_core::http::headers::Headers;
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request};
use azure_core::time::{OffsetDateTime, to_rfc7231};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// The key of a storage account, ready to sign and never printed.
#[derive(Clone)]
pub struct AccountKey(Hmac<Sha256>);

impl AccountKey {
    /// The key as the portal shows it.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`] when it is not base64; the text is not repeated.
    pub fn from_base64(text: &str) -> Result<Self, StoreError> {
        let bytes = STANDARD.decode(text).map_err(|_| wrong("has an AccountKey that is not base64"))?;
        Hmac::new_from_slice(&bytes).map(Self).map_err(|_| wrong("has an AccountKey of a wrong length"))
    }

    fn sign(&self, text: &str) -> String {
        STANDARD.encode(self.0.clone().chain_update(text).finalize().into_bytes())
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccountKey(..)")
    }
}

/// The pipeline step that dates and signs each attempt.
#[derive(Debug)]
pub(super) struct SharedKeyPolicy {
    pub(super) account: String,
    pub(super) key: AccountKey,
}

#[async_trait]
impl Policy for SharedKeyPolicy {
    async fn send(&self, context: &Context, request: &mut Request, next: &[Arc<dyn Policy>]) -> PolicyResult {
        request.insert_header("x-ms-date", to_rfc7231(&OffsetDateTime::now_utc()));
        let length = request.body().len().unwrap_or(0);
        let text = string_to_sign(request.method().as_ref(), request.url(), request.headers(), length, &self.account);
        request.insert_header("authorization", format!("SharedKey {}:{}", self.account, self.key.sign(&text)));
        next[0].send(context, request, &next[1..]).await
    }
}

/// The request as the service rebuilds it to check the signature. The `Date` line is empty because `x-ms-date` is sent,
/// and a length of zero is written as nothing.
fn string_to_sign(method: &str, url: &Url, headers: &Headers, length: u64, account: &str) -> String {
    let header = |name: &'static str| headers.get_optional_str(&name.into()).unwrap_or_default();
    let length = if length == 0 { String::new() } else { length.to_string() };
    let lines = [
        method,
        header("content-encoding"),
        header("content-language"),
        &length,
        header("content-md5"),
        header("content-type"),
        "",
        header("if-modified-since"),
        header("if-match"),
        header("if-none-match"),
        header("if-unmodified-since"),
        header("range"),
        "",
    ];
    format!("{}{}{}", lines.join("\n"), service_headers(headers), resource(url, account))
}

/// All `x-ms-` headers in the order of their names, a line each.
fn service_headers(headers: &Headers) -> String {
    let sorted: BTreeMap<_, _> = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_ascii_lowercase(), value.as_str().trim()))
        .filter(|(name, _)| name.starts_with("x-ms-"))
        .collect();
    sorted.iter().map(|(name, value)| format!("{name}:{value}\n")).collect()
}

/// The account, the path as it is sent, and the decoded query in the order of its names. The emulator's path begins with
/// the account, so that it is there twice.
fn resource(url: &Url, account: &str) -> String {
    let mut query: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        query.entry(name.to_ascii_lowercase()).or_default().push(value.into_owned());
    }
    let mut text = format!("/{account}{}", url.path());
    for (name, values) in &mut query {
        values.sort_unstable();
        text.push_str(&format!("\n{name}:{}", values.join(",")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.insert(*name, *value);
        }
        headers
    }

    fn to_sign(method: &str, url: &str, pairs: &[(&'static str, &'static str)], length: u64) -> String {
        string_to_sign(method, &Url::parse(url).unwrap(), &headers(pairs), length, "myaccount")
    }

    /// The example of the vendor's page.
    #[test]
    fn a_request_for_metadata_is_signed_as_the_vendor_shows_it() {
        let text = to_sign(
            "GET",
            "https://myaccount.blob.core.windows.net/mycontainer?restype=container&comp=metadata&timeout=20",
            &[("x-ms-version", "2015-02-21"), ("x-ms-date", "Fri, 26 Jun 2015 23:39:12 GMT")],
            0,
        );
        assert_eq!(
            text,
            "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n\
             /myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
        );
    }

    #[test]
    fn a_conditional_write_signs_its_length_type_and_condition() {
        let text = to_sign(
            "PUT",
            "http://127.0.0.1:10000/myaccount/c/a%20b%2Fc.json",
            &[("content-type", "application/octet-stream"), ("if-match", "\"0x8D\""), ("x-ms-blob-type", "BlockBlob")],
            7,
        );
        assert_eq!(
            text,
            "PUT\n\n\n7\n\napplication/octet-stream\n\n\n\"0x8D\"\n\n\n\nx-ms-blob-type:BlockBlob\n\
             /myaccount/myaccount/c/a%20b%2Fc.json"
        );
    }

    #[test]
    fn repeated_and_encoded_query_values_are_decoded_sorted_and_joined() {
        let text = to_sign("GET", "https://myaccount.blob.core.windows.net/c?include=x&Include=a%20b", &[], 0);
        assert!(text.ends_with("/myaccount/c\ninclude:a b,x"), "{text}");
    }

    /// From `printf 'GET\n\n/a' | openssl dgst -sha256 -hmac key -binary | base64`.
    #[test]
    fn the_signature_is_hmac_sha256_in_base64() {
        let key = AccountKey::from_base64("a2V5").unwrap();
        assert_eq!(key.sign("GET\n\n/a"), "9yAe3m6YMWIWlZA2AWNFQxUaHb1XY4SUUI1w1h1VyQU=");
    }
}
