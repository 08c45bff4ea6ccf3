//! Addresses: which URL may be asked, and whom a token of ours may go to.
//!
//! Every address is `https`. Plain `http` is for loopback hosts, so that simulators and a developer's tools need no
//! certificates. Nothing of a refused address is repeated in a problem, because a password may be part of it. What the
//! host names resolve to is not known here.

use super::cloud::Cloud;
use url::{Host, Url};

/// The master's address: scheme, host and port. A bare host name gets `https://`; a trailing slash and the `/#…` that a
/// browser shows in its address bar are dropped. A path is refused, because the signature covers the path.
pub(super) fn master(text: &str) -> Result<Url, String> {
    let url = checked(text)?;
    if path(&url).is_empty() { Ok(url) } else { Err("has a path, but is only the scheme and the host".to_owned()) }
}

/// The logs ingestion address, in one of these clouds or on a loopback host.
pub(super) fn ingestion(text: &str, clouds: &[Cloud]) -> Result<Url, String> {
    let url = checked(text)?;
    if !path(&url).is_empty() {
        return Err("has a path, but is only the address up to the host name".to_owned());
    }
    belongs(&url, clouds, &|cloud| cloud.ingestion_suffixes().to_vec())?;
    Ok(url)
}

/// The blob service of a storage account, in one of these clouds or on a loopback host. The emulator's address has the
/// account's name as its path.
pub(super) fn blob_service(text: &str, clouds: &[Cloud]) -> Result<Url, String> {
    let url = checked(text)?;
    if !path(&url).is_empty() && !is_loopback(&url) {
        return Err("has a path, but is the address of the account's blob service".to_owned());
    }
    // Accounts with a DNS zone of their own have the second ending:
    // https://learn.microsoft.com/azure/storage/common/storage-account-overview#azure-dns-zone-endpoints
    belongs(&url, clouds, &|cloud| vec![cloud.blob_suffix(), "blob.storage.azure.net"])?;
    Ok(url)
}

/// The blob service of the account of that name (3 to 24 lower-case letters and digits,
/// <https://learn.microsoft.com/azure/storage/common/storage-account-overview#storage-account-name>).
pub(super) fn blob_service_of(account: &str, cloud: Cloud) -> Result<Url, String> {
    let name_is_right =
        (3..=24).contains(&account.len()) && account.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let url = name_is_right.then(|| Url::parse(&format!("https://{account}.{}/", cloud.blob_suffix())).ok());
    url.flatten().ok_or_else(|| "is not 3 to 24 lower-case letters and digits".to_owned())
}

/// The address of a Key Vault secret, `https://<vault>.<suffix>/secrets/<name>[/<version>]`
/// (<https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#object-identifiers>).
pub(super) fn vault_secret(text: &str, clouds: &[Cloud]) -> Result<Url, String> {
    let url = checked(text)?;
    belongs(&url, clouds, &|cloud| vec![cloud.vault_suffix()])?;
    let parts: Vec<&str> = url.path().split('/').skip(1).collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match parts.as_slice() {
        ["secrets", rest @ ..] if matches!(rest.len(), 1 | 2) && rest.iter().all(is_word) => Ok(url),
        _ => Err("does not end in /secrets/<name> or /secrets/<name>/<version>".to_owned()),
    }
}

/// Whether the address leads to this machine.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// An address with a host, without user, query, fragment and trailing slashes, and with a scheme that fits its host.
fn checked(text: &str) -> Result<Url, String> {
    let mut url = with_scheme(text).ok_or("is not an address")?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or a password, which do not belong there".to_owned());
    }
    if url.query().is_some() {
        return Err("has a query behind a question mark, which does not belong there".to_owned());
    }
    url.set_fragment(None);
    let path = path(&url).to_owned();
    url.set_path(&path);
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback(&url) => Ok(url),
        "http" => Err("is plain http, which is for loopback hosts only; use https".to_owned()),
        _ => Err("has a scheme other than https".to_owned()),
    }
}

/// `host:443` is an address without a scheme although it parses as one with the scheme `host`.
fn with_scheme(text: &str) -> Option<Url> {
    let url = match (text.parse::<std::net::Ipv6Addr>(), text.contains("://")) {
        (Ok(address), _) => Url::parse(&format!("https://[{address}]")),
        (Err(_), true) => Url::parse(text),
        (Err(_), false) => Url::parse(&format!("https://{text}")),
    };
    url.ok().filter(Url::has_host)
}

fn path(url: &Url) -> &str {
    url.path().trim_end_matches('/')
}

/// Whether the host is below a suffix of one of these clouds, or a loopback host.
fn belongs(url: &Url, clouds: &[Cloud], suffixes: &dyn Fn(Cloud) -> Vec<&'static str>) -> Result<(), String> {
    let host = url.host_str().unwrap_or_default();
    let below = |suffix: &str| host.strip_suffix(suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'));
    let is_of = |cloud: Cloud| suffixes(cloud).into_iter().any(below);
    if is_loopback(url) || clouds.iter().any(|cloud| is_of(*cloud)) {
        return Ok(());
    }
    if let Some(other) = Cloud::ALL.into_iter().find(|cloud| is_of(*cloud)) {
        return Err(format!("belongs to the {other} cloud; set AZURE_CLOUD to `{other}` if that is meant"));
    }
    let endings: Vec<_> = clouds.iter().flat_map(|cloud| suffixes(*cloud)).map(|s| format!(".{s}")).collect();
    Err(format!("has a host name that does not end in {}", endings.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PUBLIC: [Cloud; 1] = [Cloud::Public];

    fn master_is(text: &str, expected: &str) {
        assert_eq!(master(text).map(String::from).as_deref(), Ok(expected), "{text}");
    }

    #[test]
    fn a_master_is_reduced_to_scheme_and_host() {
        master_is("darktrace.example.com", "https://darktrace.example.com/");
        master_is("https://darktrace.example.com/", "https://darktrace.example.com/");
        master_is("https://Darktrace.example.com//", "https://darktrace.example.com/");
        master_is("https://darktrace.example.com/#modelbreach/12", "https://darktrace.example.com/");
        master_is("darktrace.example.com#x", "https://darktrace.example.com/");
        master_is("darktrace:8443", "https://darktrace:8443/");
        master_is("10.1.2.3", "https://10.1.2.3/");
    }

    #[test]
    fn a_master_may_be_an_ipv6_address() {
        master_is("[2001:db8::1]:8443", "https://[2001:db8::1]:8443/");
        master_is("2001:db8::1", "https://[2001:db8::1]/");
    }

    #[test]
    fn a_master_with_more_than_scheme_and_host_is_refused() {
        for (text, why) in [
            ("https://darktrace.example.com/modelbreaches", "path"),
            ("https://user:word@darktrace.example.com", "password"),
            ("https://user@darktrace.example.com", "user name"),
            ("https://darktrace.example.com/?a=b", "query"),
            ("ftp://darktrace.example.com", "scheme"),
            ("https://", "not an address"),
            ("https://<master>", "not an address"),
            ("two words", "not an address"),
        ] {
            let what = master(text).unwrap_err();
            assert!(what.contains(why), "{text}: {what}");
            assert!(!what.contains("word@") && !what.contains("a=b"), "{what}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_hosts_only() {
        for text in ["http://127.0.0.1:8080", "http://localhost:1", "http://[::1]:8080", "http://127.9.9.9"] {
            assert!(master(text).is_ok(), "{text}");
        }
        for text in ["http://darktrace.example.com", "http://10.0.0.1", "http://localhost.example.com", "http://[::]"] {
            assert!(master(text).unwrap_err().contains("plain http"), "{text}");
        }
    }

    #[test]
    fn rows_go_to_azure_monitor_or_to_this_machine() {
        for text in [
            "https://my-dce-a1b2.westeurope-1.ingest.monitor.azure.com/",
            "https://my-dcr-a1b2-weu.logs.z1.ingest.monitor.azure.com",
            "https://my-dce-a1b2.westeurope-1.privatelink.monitor.azure.com",
            "https://127.0.0.1:8443",
            "http://localhost:8080",
        ] {
            assert!(ingestion(text, &PUBLIC).is_ok(), "{text}");
        }
        for text in [
            "https://example.com",
            "https://ingest.monitor.azure.com",
            "https://my-ingest.monitor.azure.com.example.com",
            "https://evilingest.monitor.azure.com",
            "http://my-dce-a1b2.westeurope-1.ingest.monitor.azure.com",
            "https://my-dce-a1b2.westeurope-1.ingest.monitor.azure.com/dataCollectionRules",
        ] {
            assert!(ingestion(text, &PUBLIC).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_of_another_cloud_names_that_cloud() {
        let text = "https://my-dce.usgovvirginia-1.ingest.monitor.azure.us";
        assert!(ingestion(text, &[Cloud::Government]).is_ok());
        assert!(ingestion(text, &PUBLIC).unwrap_err().contains("AZURE_CLOUD to `government`"));
        assert!(ingestion("https://my-dce.chinaeast2-1.ingest.monitor.azure.cn", &[Cloud::China]).is_ok());
    }

    #[test]
    fn a_blob_service_is_of_azure_storage_or_the_emulator() {
        for text in [
            "https://mystorage.blob.core.windows.net/",
            "https://mystorage.z12.blob.storage.azure.net",
            "http://127.0.0.1:10000/devstoreaccount1",
        ] {
            assert!(blob_service(text, &PUBLIC).is_ok(), "{text}");
        }
        for text in [
            "https://mystorage.queue.core.windows.net",
            "https://mystorage.blob.core.windows.net/container",
            "https://mystorage.blob.core.windows.net/?sig=canary",
            "http://mystorage.blob.core.windows.net",
        ] {
            assert!(blob_service(text, &PUBLIC).is_err(), "{text}");
        }
    }

    #[test]
    fn an_account_name_becomes_the_address_in_its_cloud() {
        let url = blob_service_of("mystorage", Cloud::China).unwrap();
        assert_eq!(url.as_str(), "https://mystorage.blob.core.chinacloudapi.cn/");
        for name in ["ab", "My", "a.b", "abcdefghijklmnopqrstuvwxy"] {
            assert!(blob_service_of(name, Cloud::Public).is_err(), "{name}");
        }
    }

    #[test]
    fn a_vault_secret_has_a_name_and_perhaps_a_version() {
        for (text, path) in [
            ("https://v.vault.azure.net/secrets/token", "/secrets/token"),
            ("https://v.vault.azure.net/secrets/token/", "/secrets/token"),
            ("https://v.vault.azure.net:443/secrets/token/0123456789abcdef", "/secrets/token/0123456789abcdef"),
            ("http://127.0.0.1:9000/secrets/token", "/secrets/token"),
        ] {
            assert_eq!(vault_secret(text, &PUBLIC).unwrap().path(), path);
        }
        for text in [
            "https://v.vault.azure.net",
            "https://v.vault.azure.net/keys/token",
            "https://v.vault.azure.net/secrets",
            "https://v.vault.azure.net/secrets/a/b/c",
            "https://v.vault.azure.net/secrets/a b",
            "https://vault.azure.net/secrets/token",
            "https://example.com/secrets/token",
        ] {
            assert!(vault_secret(text, &PUBLIC).is_err(), "{text}");
        }
        assert!(vault_secret("https://v.vault.usgovcloudapi.net/secrets/t", &[Cloud::Government]).is_ok());
    }
}
