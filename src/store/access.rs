//! How a storage account is reached: by identity, or by the account key in a connection string.
//!
//! The forms of a connection string are those of
//! <https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string>. No error repeats a part of one,
//! because any part may be the key. What is done with the access is in [`super::blob`].

use super::{AccountKey, StoreError};
use azure_core::credentials::TokenCredential;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use url::{Host, Url};

/// The address of a storage account's blob service, and what opens it.
#[derive(Clone)]
pub enum BlobAccess {
    /// Microsoft Entra identity, over `https` only.
    Identity {
        /// For example `https://account.blob.core.windows.net`.
        service_url: Url,
        /// Gives tokens for the storage scope.
        credential: Arc<dyn TokenCredential>,
    },
    /// The account key, for local work and the emulator.
    SharedKey {
        /// For example `http://127.0.0.1:10000/devstoreaccount1`.
        service_url: Url,
        /// The account's name, which is signed with every request.
        account: String,
        /// The account's key.
        key: AccountKey,
    },
}

/// The emulator's account is the same everywhere, and so is its key
/// (<https://learn.microsoft.com/azure/storage/common/storage-use-azurite#well-known-storage-account-and-key>).
const EMULATOR_ACCOUNT: &str = "devstoreaccount1";
const EMULATOR_KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";
const EMULATOR_PORT: u16 = 10000;

const FORM: &str = "give UseDevelopmentStorage=true, or AccountName, AccountKey and EndpointSuffix or BlobEndpoint";

impl BlobAccess {
    /// Reads `UseDevelopmentStorage=true`, with `DevelopmentStorageProxyUri` if there is one, or `AccountName` and
    /// `AccountKey` with `BlobEndpoint`, or with `EndpointSuffix` and `DefaultEndpointsProtocol`.
    ///
    /// # Errors
    /// [`StoreError::Misconfigured`], which names the part that is missing or wrong and never its value.
    pub fn from_connection_string(text: &str) -> Result<Self, StoreError> {
        let parts = Parts::read(text)?;
        if parts.get("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return parts.emulator();
        }
        if parts.get("SharedAccessSignature").is_some() {
            return Err(wrong("carries a shared access signature, which is not supported"));
        }
        let account = parts.require("AccountName")?;
        let key = AccountKey::from_base64(parts.require("AccountKey")?)?;
        Ok(Self::SharedKey { service_url: parts.service_url(account)?, account: account.to_owned(), key })
    }

    /// The checked address, without a trailing slash.
    pub(super) fn service_url(&self) -> Result<Url, StoreError> {
        let (Self::Identity { service_url, .. } | Self::SharedKey { service_url, .. }) = self;
        let mut url = service_url.clone();
        if !(url.scheme() == "https" || url.scheme() == "http" && is_loopback(&url)) {
            return Err(bad_address("must be https; plain http is for loopback addresses only"));
        }
        if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
            return Err(bad_address("must not carry a query, a fragment or credentials"));
        }
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty();
        }
        Ok(url)
    }
}

impl fmt::Debug for BlobAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity { .. } => f.write_str("BlobAccess::Identity(..)"),
            Self::SharedKey { .. } => f.write_str("BlobAccess::SharedKey(..)"),
        }
    }
}

/// The parts of a connection string, by lower-case name.
struct Parts<'a>(BTreeMap<String, &'a str>);

impl<'a> Parts<'a> {
    /// Values are split off at the first `=`, because keys end in some.
    fn read(text: &'a str) -> Result<Self, StoreError> {
        let mut parts = BTreeMap::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').ok_or_else(|| wrong("has a part without `=`"))?;
            if parts.insert(name.trim().to_ascii_lowercase(), value.trim()).is_some() {
                return Err(wrong("gives one part twice"));
            }
        }
        Ok(Self(parts))
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.get(&name.to_ascii_lowercase()).copied().filter(|value| !value.is_empty())
    }

    fn require(&self, name: &str) -> Result<&'a str, StoreError> {
        self.get(name).ok_or_else(|| wrong(&format!("lacks {name}")))
    }

    fn url(name: &str, value: &str) -> Result<Url, StoreError> {
        Url::parse(value)
            .ok()
            .filter(|url| !url.cannot_be_a_base())
            .ok_or_else(|| wrong(&format!("has a {name} that is no URL")))
    }

    fn service_url(&self, account: &str) -> Result<Url, StoreError> {
        if let Some(endpoint) = self.get("BlobEndpoint") {
            return Self::url("BlobEndpoint", endpoint);
        }
        if !account.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            return Err(wrong("has an AccountName with more than lower-case letters and digits"));
        }
        let protocol = self.get("DefaultEndpointsProtocol").unwrap_or("https");
        let suffix = self.get("EndpointSuffix").unwrap_or("core.windows.net");
        Self::url("EndpointSuffix", &format!("{protocol}://{account}.blob.{suffix}"))
    }

    /// A proxy's port is used when it names one; the emulator's own otherwise.
    fn emulator(&self) -> Result<BlobAccess, StoreError> {
        let proxy = self.get("DevelopmentStorageProxyUri").unwrap_or("http://127.0.0.1");
        let mut service_url = Self::url("DevelopmentStorageProxyUri", proxy)?;
        if service_url.port().is_none() {
            // It cannot fail for a URL that has a host, and `Self::url` let no other through.
            let _ = service_url.set_port(Some(EMULATOR_PORT));
        }
        service_url.set_path(EMULATOR_ACCOUNT);
        let key = AccountKey::from_base64(EMULATOR_KEY)?;
        Ok(BlobAccess::SharedKey { service_url, account: EMULATOR_ACCOUNT.to_owned(), key })
    }
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

pub(super) fn wrong(what: &str) -> StoreError {
    StoreError::Misconfigured { problem: format!("the storage connection string {what}"), hint: FORM, cause: None }
}

fn bad_address(what: &str) -> StoreError {
    StoreError::Misconfigured {
        problem: format!("the address of the blob service {what}"),
        hint: "give it as https://<account>.blob.core.windows.net",
        cause: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> (String, String) {
        let access = BlobAccess::from_connection_string(text).unwrap();
        let url = access.service_url().unwrap().to_string();
        let BlobAccess::SharedKey { account, .. } = access else { panic!("{text} gave {access:?}") };
        (url, account)
    }

    fn problem(text: &str) -> String {
        BlobAccess::from_connection_string(text).and_then(|access| access.service_url()).unwrap_err().to_string()
    }

    #[test]
    fn a_connection_string_leads_to_an_account() {
        for (text, url, account) in [
            ("UseDevelopmentStorage=true", "http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
            ("usedevelopmentstorage=True;", "http://127.0.0.1:10000/devstoreaccount1", "devstoreaccount1"),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://localhost",
                "http://localhost:10000/devstoreaccount1",
                "devstoreaccount1",
            ),
            (
                "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://127.0.0.1:4567/",
                "http://127.0.0.1:4567/devstoreaccount1",
                "devstoreaccount1",
            ),
            ("AccountName=hq1;AccountKey=a2V5MQ==", "https://hq1.blob.core.windows.net/", "hq1"),
            (
                "DefaultEndpointsProtocol=https; AccountName=hq1; AccountKey=a2V5; EndpointSuffix=core.usgovcloudapi.net",
                "https://hq1.blob.core.usgovcloudapi.net/",
                "hq1",
            ),
            (
                "AccountName=hq1;AccountKey=a2V5MQ==;BlobEndpoint=http://127.0.0.1:999/hq1/",
                "http://127.0.0.1:999/hq1",
                "hq1",
            ),
        ] {
            assert_eq!(address(text), (url.to_owned(), account.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_wrong_connection_string_is_refused_by_the_name_of_the_part() {
        for (text, part) in [
            ("", "lacks AccountName"),
            ("AccountKey=a2V5", "lacks AccountName"),
            ("AccountName=hq1", "lacks AccountKey"),
            ("AccountName=;AccountKey=a2V5", "lacks AccountName"),
            ("AccountName=hq1;AccountKey=a2V5;AccountKey=a2V6", "twice"),
            ("AccountName=hq1;AccountKey=a2V5;BlobEndpoint=nowhere", "BlobEndpoint"),
            ("AccountName=hq1/x;AccountKey=a2V5", "AccountName"),
            ("AccountName=hq1;SharedAccessSignature=sv=2025&sig=a", "shared access signature"),
            ("DefaultEndpointsProtocol=http;AccountName=hq1;AccountKey=a2V5", "must be https"),
            ("UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite", "must be https"),
            ("AccountName=hq1;AccountKey=a2V5;BlobEndpoint=https://h/?sig=x", "query"),
        ] {
            assert!(problem(text).contains(part), "{text} gave: {}", problem(text));
        }
    }

    #[test]
    fn no_error_repeats_a_key() {
        for text in ["AccountName=hq1;AccountKey=c2VjcmV0!", "AccountName=hq1;c2VjcmV0!", "c2VjcmV0!"] {
            let error = BlobAccess::from_connection_string(text).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("c2VjcmV0"), "{error:?}");
        }
    }

    #[test]
    fn an_access_is_printed_without_its_key() {
        let access = BlobAccess::from_connection_string("AccountName=hq1;AccountKey=c2VjcmV0").unwrap();
        assert_eq!(format!("{access:?}"), "BlobAccess::SharedKey(..)");
    }
}
