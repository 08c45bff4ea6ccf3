//! The parts of a check, put together from the settings as those of a poll are, with clients of its own: what an earlier
//! poll remembers must not hide what is so now.

use super::AssembleError;
use super::parts::{self, say, trust};
use crate::check::{self, Azure, Finding, Master, Token};
use crate::darktrace::Client;
use crate::http::{self, Clock};
use crate::identity::for_storage;
use crate::ingestion::Endpoint;
use crate::settings::{Instance, PrivateToken, Problems, Settings, Storage};
use crate::vault::VaultSecret;
use futures_util::future::join_all;
use std::sync::Arc;

/// Checks everything, or of the masters only the one of that name. Every problem is a finding, wrong settings included.
pub async fn check(settings: &Result<Settings, Problems>, only: Option<&str>) -> Vec<Finding> {
    let mut findings = check::settings(settings);
    let Ok(settings) = settings else { return findings };
    let chosen = || settings.instances.iter().filter(|instance| only.is_none_or(|only| only == instance.name));
    let masters = join_all(chosen().map(|instance| of_master(settings, instance)));
    let (masters, azure) = tokio::join!(masters, of_azure(settings, chosen()));
    let (wrong, rest): (Vec<_>, Vec<_>) =
        masters.into_iter().flatten().chain(azure).partition(|finding| finding.subject == check::SETTINGS);
    if !wrong.is_empty() {
        // What could not be put together is a matter of the settings after all.
        findings.clear();
    }
    findings.extend(wrong);
    findings.extend(rest);
    findings
}

async fn of_master(settings: &Settings, instance: &Instance) -> Vec<Finding> {
    if !instance.enabled {
        return vec![check::paused(&instance.name)];
    }
    match master(settings, instance, http::system_clock) {
        Ok(master) => master.check().await,
        Err(error) => vec![check::unusable(&format!("certificates of {}", instance.name), &error.to_string())],
    }
}

async fn of_azure<'a>(settings: &Settings, instances: impl Iterator<Item = &'a Instance>) -> Vec<Finding> {
    let sources = instances.filter(|instance| instance.enabled).flat_map(|instance| &instance.sources);
    let tables = sources.map(|source| source.table(settings.layout)).collect();
    match azure(settings, tables, http::system_clock) {
        Ok(azure) => azure.check().await,
        Err(error) => vec![check::unusable("certificates of this system", &error.to_string())],
    }
}

fn master(settings: &Settings, instance: &Instance, clock: Clock) -> Result<Master, AssembleError> {
    let (http, presented) = http::witnessed_client(&trust(instance)?).map_err(say)?;
    let token = match &instance.private_token {
        PrivateToken::Value(token) => Token::Given(token.clone()),
        PrivateToken::Uri(uri) => {
            let azure = http::azure_client().map_err(say)?;
            let tokens = parts::tokens(settings, &settings.credential, &azure, clock)?.asking_once();
            let secret = VaultSecret::new(uri.clone(), azure, clock);
            Token::Vault { secret, tokens: Arc::new(tokens), audience: settings.cloud.vault_audience() }
        }
    };
    Ok(Master {
        instance: instance.name.clone(),
        address: instance.base_url.clone(),
        client: Client::new(&instance.name, &instance.base_url, instance.public_token.clone(), http, clock),
        presented,
        token,
        sources: instance.sources.clone(),
        clock,
    })
}

fn azure(settings: &Settings, tables: Vec<&'static str>, clock: Clock) -> Result<Azure, AssembleError> {
    let (http, ingestion) = (http::azure_client().map_err(say)?, &settings.ingestion);
    let identity = parts::identity_http(settings, &http)?;
    let storage_tokens = match &settings.storage {
        Storage::Account { client_id, .. } => {
            let chosen = for_storage(&settings.credential, client_id.as_deref());
            Some(parts::tokens(settings, &chosen, &http, clock)?.asking_once())
        }
        _ => None,
    };
    Ok(Azure {
        credential: settings.credential.to_string(),
        tokens: parts::tokens(settings, &settings.credential, &http, clock)?.asking_once(),
        audience: settings.cloud.monitor_audience(),
        storage_tokens,
        endpoint: Endpoint::new(&ingestion.endpoint, &ingestion.dcr_immutable_id, http.clone(), clock),
        address: ingestion.endpoint.clone(),
        rule: ingestion.dcr_immutable_id.clone(),
        tables,
        store: parts::store(settings, &http, &identity)
            .map_err(|error| check::unusable("checkpoint storage", &error.to_string())),
        place: place(&settings.storage),
    })
}

fn place(storage: &Storage) -> String {
    match storage {
        Storage::Directory(path) => path.display().to_string(),
        Storage::ConnectionString { container, .. } => format!("the container {container} of the connection string"),
        Storage::Account { blob_service, container, .. } => format!("{blob_service}{container}"),
    }
}
