//! The clouds of Azure: where tokens come from and how addresses end.
//!
//! Source of the names: <https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure> and
//! <https://learn.microsoft.com/azure/china/resources-developer-guide>. A host name that ends differently is refused where
//! a token of ours would go to it; that is in [`super::address`].

use super::problem::quoted;
use std::fmt;

/// One of Azure's separate clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cloud {
    /// The cloud that almost everybody uses.
    Public,
    /// Azure Government of the United States.
    Government,
    /// Azure in China, operated by 21Vianet.
    China,
}

impl Cloud {
    /// Every cloud.
    pub const ALL: [Self; 3] = [Self::Public, Self::Government, Self::China];

    /// The word in `AZURE_CLOUD`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Government => "government",
            Self::China => "china",
        }
    }

    /// The audience of tokens for the Logs Ingestion API, without `/.default`.
    #[must_use]
    pub const fn monitor_audience(self) -> &'static str {
        match self {
            Self::Public => "https://monitor.azure.com",
            Self::Government => "https://monitor.azure.us",
            Self::China => "https://monitor.azure.cn",
        }
    }

    /// The authority that issues tokens to applications.
    #[must_use]
    pub const fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com",
            Self::Government => "https://login.microsoftonline.us",
            Self::China => "https://login.chinacloudapi.cn",
        }
    }

    /// What follows `<account>.` in the host name of a blob service.
    #[must_use]
    pub const fn blob_suffix(self) -> &'static str {
        match self {
            Self::Public => "blob.core.windows.net",
            Self::Government => "blob.core.usgovcloudapi.net",
            Self::China => "blob.core.chinacloudapi.cn",
        }
    }

    /// What follows `<vault>.` in the host name of a key vault.
    #[must_use]
    pub const fn vault_suffix(self) -> &'static str {
        match self {
            Self::Public => "vault.azure.net",
            Self::Government => "vault.usgovcloudapi.net",
            Self::China => "vault.azure.cn",
        }
    }

    /// The audience of tokens for Key Vault, without `/.default`.
    #[must_use]
    pub const fn vault_audience(self) -> &'static str {
        match self {
            Self::Public => "https://vault.azure.net",
            Self::Government => "https://vault.usgovcloudapi.net",
            Self::China => "https://vault.azure.cn",
        }
    }

    /// How the host name of a logs ingestion address ends, over the public network and over a private link.
    pub(super) const fn ingestion_suffixes(self) -> [&'static str; 2] {
        match self {
            Self::Public => ["ingest.monitor.azure.com", "privatelink.monitor.azure.com"],
            Self::Government => ["ingest.monitor.azure.us", "privatelink.monitor.azure.us"],
            Self::China => ["ingest.monitor.azure.cn", "privatelink.monitor.azure.cn"],
        }
    }

    /// Reads `AZURE_CLOUD`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|cloud| cloud.name() == text)
            .ok_or_else(|| format!("is {}, which is none of public, government, china", quoted(text)))
    }
}

impl fmt::Display for Cloud {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cloud_is_found_by_its_own_name() {
        for cloud in Cloud::ALL {
            assert_eq!(Cloud::parse(cloud.name()), Ok(cloud));
        }
        assert!(Cloud::parse("Public").is_err());
    }

    #[test]
    fn no_address_of_one_cloud_serves_another() {
        let of =
            |c: Cloud| [c.monitor_audience(), c.authority(), c.blob_suffix(), c.vault_suffix(), c.vault_audience()];
        for (a, b) in [(0, 1), (0, 2), (1, 2)] {
            for (one, other) in of(Cloud::ALL[a]).iter().zip(of(Cloud::ALL[b])) {
                assert_ne!(*one, other);
            }
        }
    }
}
