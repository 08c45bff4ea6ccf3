//! Every setting there is: its name, its default and its meaning. The only place where setting names exist.
//!
//! `docs/settings.md` and `local.settings.json.example` are tested against [`ALL`]. How a text becomes a value is not known
//! here; that is in the neighbours of this file.

use std::fmt;

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The name of the app setting, case-sensitive. For a setting of one instance, the name without the instance.
    pub name: &'static str,
    /// What holds when the setting is absent or empty.
    pub default: Preset,
    /// A right value, or a description of one where only the operator can know it.
    pub example: &'static str,
    /// What it is for, in one or two sentences.
    pub meaning: &'static str,
    /// Whether an instance of `DARKTRACE_INSTANCES` can have its own.
    pub per_instance: bool,
    /// Whether its value must never be shown.
    pub secret: bool,
}

/// What holds when a setting is absent or empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// It is a problem.
    Required,
    /// It is a problem unless an alternative of this setting is given.
    OneRequired,
    /// This value.
    Value(&'static str),
    /// Nothing.
    Empty,
    /// The hosting platform or the developer's shell sets it; an operator leaves it alone.
    Platform,
}

impl fmt::Display for Preset {
    /// The words of the column `default` in `docs/settings.md`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Required => f.write_str("required"),
            Self::OneRequired => f.write_str("one required"),
            Self::Value(value) => write!(f, "`{value}`"),
            Self::Empty => f.write_str("empty"),
            Self::Platform => f.write_str("set by the platform"),
        }
    }
}

const PREFIX: &str = "DARKTRACE_";

impl Definition {
    const fn new(name: &'static str, default: Preset, example: &'static str, meaning: &'static str) -> Self {
        Self { name, default, example, meaning, per_instance: false, secret: false }
    }

    const fn with_default(name: &'static str, value: &'static str, meaning: &'static str) -> Self {
        Self::new(name, Preset::Value(value), value, meaning)
    }

    const fn per_instance(self) -> Self {
        Self { per_instance: true, ..self }
    }

    const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// The name of this setting for one instance: `DARKTRACE_HOST` is `DARKTRACE_SITE_B_HOST` for `site-b`.
    #[must_use]
    pub fn name_for(&self, instance: &str) -> String {
        let instance = instance.to_ascii_uppercase().replace('-', "_");
        format!("{PREFIX}{instance}_{}", self.name.strip_prefix(PREFIX).unwrap_or(self.name))
    }
}

pub(super) const INSTANCES: Definition = Definition::new(
    "DARKTRACE_INSTANCES",
    Preset::Empty,
    "hq,plant",
    "Names of several masters, separated by commas. Without it the plain names describe one instance called `default`.",
);
pub(super) const HOST: Definition = Definition::new(
    "DARKTRACE_HOST",
    Preset::Required,
    "https://darktrace.example.com",
    "The address of the master. A bare host name gets `https://`.",
)
.per_instance();
pub(super) const PUBLIC_TOKEN: Definition = Definition::new(
    "DARKTRACE_PUBLIC_TOKEN",
    Preset::Required,
    "the public token from System Config > Settings > API Token",
    "The public token of the API token pair.",
)
.per_instance()
.secret();
pub(super) const PRIVATE_TOKEN: Definition = Definition::new(
    "DARKTRACE_PRIVATE_TOKEN",
    Preset::OneRequired,
    "the private token that was shown with the public one",
    "The private token, as a value or as a Key Vault reference that the platform resolves.",
)
.per_instance()
.secret();
pub(super) const PRIVATE_TOKEN_URI: Definition = Definition::new(
    "DARKTRACE_PRIVATE_TOKEN_URI",
    Preset::OneRequired,
    "https://my-vault.vault.azure.net/secrets/darktrace-private-token",
    "Instead of the private token: the Key Vault secret that holds it. The function reads it with its own identity.",
)
.per_instance();
pub(super) const SOURCES: Definition = Definition::with_default(
    "DARKTRACE_SOURCES",
    "model-alerts,ai-analyst",
    "The kinds of alerts to poll, separated by commas.",
)
.per_instance();
pub(super) const MIN_SCORE: Definition =
    Definition::with_default("DARKTRACE_MIN_SCORE", "0", "Model alerts below this score, 0 to 100, are left out.")
        .per_instance();
pub(super) const AI_MIN_SCORE: Definition = Definition::with_default(
    "DARKTRACE_AI_MIN_SCORE",
    "0",
    "AI Analyst events below this score, 0 to 100, are left out.",
)
.per_instance();
pub(super) const EMAIL_MIN_SCORE: Definition = Definition::with_default(
    "DARKTRACE_EMAIL_MIN_SCORE",
    "0",
    "E-mails below this anomaly score, 0 to 100, are left out.",
)
.per_instance();
pub(super) const MODELS_EXCLUDE: Definition = Definition::new(
    "DARKTRACE_MODELS_EXCLUDE",
    Preset::Empty,
    "Compliance::,Device::New Device",
    "Prefixes of model names, separated by commas. Alerts of these models are left out.",
)
.per_instance();
pub(super) const CATEGORIES: Definition = Definition::new(
    "DARKTRACE_CATEGORIES",
    Preset::Value("all"),
    "Critical,Suspicious",
    "The categories of model alerts and AI Analyst events that are kept, separated by commas.",
)
.per_instance();
pub(super) const COMPLIANCE: Definition = Definition::with_default(
    "DARKTRACE_COMPLIANCE",
    "true",
    "`false` leaves out alerts and events about compliance, whatever their category.",
)
.per_instance();
pub(super) const FOLLOW_CHANGES: Definition = Definition::with_default(
    "DARKTRACE_FOLLOW_CHANGES",
    "false",
    "`true` stores an alert again when it is acknowledged or commented on.",
)
.per_instance();
pub(super) const CA_PEM: Definition = Definition::new(
    "DARKTRACE_CA_PEM",
    Preset::Empty,
    "/home/site/wwwroot/ca.pem",
    "Certificates of a private authority, trusted for the master only: PEM text, with `\\n` for the line breaks, or a path.",
)
.per_instance();
pub(super) const PIN_SHA256: Definition = Definition::new(
    "DARKTRACE_PIN_SHA256",
    Preset::Empty,
    "64 hexadecimal digits, or sha256/ and 44 characters of base64",
    "SHA-256 pins of the master's certificate, separated by commas or blanks.",
)
.per_instance();
pub(super) const ENABLED: Definition = Definition::with_default(
    "DARKTRACE_ENABLED",
    "true",
    "`false` leaves an instance out of polling; it goes on later where it stopped.",
)
.per_instance();
pub(super) const DATA_COLLECTION_ENDPOINT: Definition = Definition::new(
    "DATA_COLLECTION_ENDPOINT",
    Preset::Required,
    "https://my-dce-a1b2.westeurope-1.ingest.monitor.azure.com",
    "The logs ingestion address of the data collection endpoint, or of the rule itself when it has one.",
);
pub(super) const DCR_IMMUTABLE_ID: Definition = Definition::new(
    "DCR_IMMUTABLE_ID",
    Preset::Required,
    "dcr-0123456789abcdef0123456789abcdef",
    "The immutable id of the data collection rule: `dcr-` and 32 hexadecimal digits.",
);
pub(super) const TABLE_LAYOUT: Definition =
    Definition::with_default("TABLE_LAYOUT", "legacy", "The tables and columns to write: `legacy` or `activeai`.");
pub(super) const STORAGE: Definition = Definition::new(
    "AzureWebJobsStorage",
    Preset::OneRequired,
    "UseDevelopmentStorage=true",
    "The storage account of the host as a connection string. For local work only.",
)
.secret();
pub(super) const STORAGE_BLOB_URI: Definition = Definition::new(
    "AzureWebJobsStorage__blobServiceUri",
    Preset::OneRequired,
    "https://mystorage.blob.core.windows.net",
    "The blob service of the host's storage account, which keeps the checkpoint. The identity of the function is used.",
);
pub(super) const STORAGE_ACCOUNT: Definition = Definition::new(
    "AzureWebJobsStorage__accountName",
    Preset::OneRequired,
    "mystorage",
    "The same by name; the rest of the address follows from `AZURE_CLOUD`.",
);
pub(super) const STORAGE_CLIENT_ID: Definition = Definition::new(
    "AzureWebJobsStorage__clientId",
    Preset::Empty,
    "00000000-0000-0000-0000-000000000000",
    "The client id of the user-assigned identity for the storage account; the system-assigned one without it.",
);
pub(super) const CHECKPOINT_CONTAINER: Definition = Definition::with_default(
    "CHECKPOINT_CONTAINER",
    "darktrace-checkpoints",
    "The blob container that keeps the checkpoint.",
);
pub(super) const CHECKPOINT_DIR: Definition = Definition::new(
    "CHECKPOINT_DIR",
    Preset::Empty,
    "./checkpoints",
    "A directory instead of the blob container, for a workstation. It wins over every storage account.",
);
pub(super) const AZURE_CLOUD: Definition = Definition::with_default(
    "AZURE_CLOUD",
    "public",
    "`public`, `government` or `china`: the token audiences and the endings of addresses.",
);
pub(super) const INITIAL_LOOKBACK: Definition = Definition::with_default(
    "INITIAL_LOOKBACK",
    "24h",
    "How far back the very first run of a source reads, `1m` to `365d`.",
);
pub(super) const FAST_LOOKBACK: Definition = Definition::with_default(
    "FAST_LOOKBACK",
    "15m",
    "How far behind its position every run reads again, `1m` to `24h`.",
);
pub(super) const DEEP_SWEEP: Definition = Definition::with_default(
    "DEEP_SWEEP",
    "24h",
    "How far behind its position it reads again every hour, `1h` to `168h` and not less than `FAST_LOOKBACK`.",
);
pub(super) const POLL_SCHEDULE: Definition = Definition::with_default(
    "POLL_SCHEDULE",
    "0 */5 * * * *",
    "The schedule of the timer, read by the host: an NCRONTAB expression of 5 or 6 fields, or `hh:mm:ss`.",
);
pub(super) const FUNCTION_TIMEOUT: Definition = Definition::new(
    "AzureFunctionsJobHost__functionTimeout",
    Preset::Empty,
    "00:10:00",
    "Overrides `functionTimeout` of `host.json`, for the host and for this program: `hh:mm:ss`, `d.hh:mm:ss` or `-1`.",
);
pub(super) const RUST_LOG: Definition =
    Definition::with_default("RUST_LOG", "info", "The log filter of the `tracing` crate.");
pub(super) const AZURE_CLIENT_ID: Definition = Definition::new(
    "AZURE_CLIENT_ID",
    Preset::Empty,
    "00000000-0000-0000-0000-000000000000",
    "The client id of the user-assigned identity, or of the application when a secret or a token file is used.",
);
pub(super) const AZURE_TENANT_ID: Definition = Definition::new(
    "AZURE_TENANT_ID",
    Preset::Empty,
    "00000000-0000-0000-0000-000000000000",
    "The tenant of the application, when a secret or a token file is used.",
);
pub(super) const AZURE_CLIENT_SECRET: Definition = Definition::new(
    "AZURE_CLIENT_SECRET",
    Preset::Empty,
    "the secret's value, not its id",
    "The secret of an application. With tenant and client id it is used instead of a managed identity.",
)
.secret();
pub(super) const AZURE_FEDERATED_TOKEN_FILE: Definition = Definition::new(
    "AZURE_FEDERATED_TOKEN_FILE",
    Preset::Platform,
    "/var/run/secrets/azure/tokens/azure-identity-token",
    "The token file of workload identity on Kubernetes.",
);
pub(super) const IDENTITY_ENDPOINT: Definition = Definition::new(
    "IDENTITY_ENDPOINT",
    Preset::Platform,
    "set by the platform when the identity is on",
    "Where the function app's managed identity gets its tokens. It is there when an identity is turned on.",
);
pub(super) const IDENTITY_HEADER: Definition = Definition::new(
    "IDENTITY_HEADER",
    Preset::Platform,
    "set by the platform",
    "The header that the managed identity endpoint asks for.",
)
.secret();
pub(super) const WEBSITE_INSTANCE_ID: Definition = Definition::new(
    "WEBSITE_INSTANCE_ID",
    Preset::Platform,
    "set by the platform",
    "Tells that the program runs in Azure, where a managed identity is expected.",
);
pub(super) const WEBSITE_SITE_NAME: Definition = Definition::new(
    "WEBSITE_SITE_NAME",
    Preset::Platform,
    "set by the platform",
    "The name of the function app; tells the same.",
);
/// The port to serve.
pub const HANDLER_PORT: Definition = Definition::new(
    "FUNCTIONS_CUSTOMHANDLER_PORT",
    Preset::Platform,
    "set by the Functions host",
    "The port on which `serve` answers the Functions host.",
);

/// Every setting, in the order of `docs/settings.md`.
pub const ALL: &[Definition] = &[
    INSTANCES,
    HOST,
    PUBLIC_TOKEN,
    PRIVATE_TOKEN,
    PRIVATE_TOKEN_URI,
    SOURCES,
    MIN_SCORE,
    AI_MIN_SCORE,
    EMAIL_MIN_SCORE,
    MODELS_EXCLUDE,
    CATEGORIES,
    COMPLIANCE,
    FOLLOW_CHANGES,
    CA_PEM,
    PIN_SHA256,
    ENABLED,
    DATA_COLLECTION_ENDPOINT,
    DCR_IMMUTABLE_ID,
    TABLE_LAYOUT,
    STORAGE,
    STORAGE_BLOB_URI,
    STORAGE_ACCOUNT,
    STORAGE_CLIENT_ID,
    CHECKPOINT_CONTAINER,
    CHECKPOINT_DIR,
    AZURE_CLOUD,
    INITIAL_LOOKBACK,
    FAST_LOOKBACK,
    DEEP_SWEEP,
    POLL_SCHEDULE,
    FUNCTION_TIMEOUT,
    RUST_LOG,
    AZURE_CLIENT_ID,
    AZURE_TENANT_ID,
    AZURE_CLIENT_SECRET,
    AZURE_FEDERATED_TOKEN_FILE,
    IDENTITY_ENDPOINT,
    IDENTITY_HEADER,
    WEBSITE_INSTANCE_ID,
    WEBSITE_SITE_NAME,
    HANDLER_PORT,
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_defined_once() {
        let names: HashSet<_> = ALL.iter().map(|definition| definition.name).collect();
        assert_eq!(names.len(), ALL.len());
    }

    #[test]
    fn an_instance_name_goes_behind_the_prefix_in_capitals() {
        assert_eq!(PRIVATE_TOKEN_URI.name_for("site-b"), "DARKTRACE_SITE_B_PRIVATE_TOKEN_URI");
    }
}
