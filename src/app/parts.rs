//! The parts of an app, each made of the settings: the only place that knows which setting is for which part.

use super::AssembleError;
use crate::cycle::{Compliance, Destination, Filter, IN_FLIGHT};
use crate::darktrace::Client;
use crate::http::{self, Clock, Trust};
use crate::identity::{Tokens, storage_credential};
use crate::ingestion::Endpoint;
use crate::settings::{CaPem, Credential, Instance, Settings, Storage};
use crate::store::{BlobAccess, Store};
use crate::window::Reach;
use tokio::sync::Semaphore;

/// The endpoint of a managed identity is on this machine; every other issuer of tokens is reached as Azure is.
pub(super) fn identity_http(settings: &Settings, azure: &reqwest::Client) -> Result<reqwest::Client, AssembleError> {
    match settings.credential {
        Credential::ManagedIdentity { .. } => http::identity_client().map_err(say),
        _ => Ok(azure.clone()),
    }
}

pub(super) fn tokens(
    settings: &Settings,
    credential: &Credential,
    azure: &reqwest::Client,
    clock: Clock,
) -> Result<Tokens, AssembleError> {
    Ok(Tokens::new(credential.clone(), settings.cloud, identity_http(settings, azure)?, clock))
}

pub(super) fn store(
    settings: &Settings,
    azure: &reqwest::Client,
    identity: &reqwest::Client,
) -> Result<Store, AssembleError> {
    match &settings.storage {
        Storage::Directory(path) => Ok(Store::directory(path.clone())),
        Storage::ConnectionString { text, container } => {
            let access = BlobAccess::from_connection_string(text.expose()).map_err(say)?;
            Store::blob(access, container, azure.clone()).map_err(say)
        }
        Storage::Account { blob_service, client_id, container } => {
            let credential = storage_credential(&settings.credential, client_id.as_deref(), settings.cloud, identity);
            let credential = credential.map_err(say)?;
            let access = BlobAccess::Identity { service_url: blob_service.clone(), credential };
            Store::blob(access, container, azure.clone()).map_err(say)
        }
    }
}

pub(super) fn destination(
    settings: &Settings,
    azure: &reqwest::Client,
    identity: &reqwest::Client,
    clock: Clock,
) -> Destination {
    let ingestion = &settings.ingestion;
    Destination {
        endpoint: Endpoint::new(&ingestion.endpoint, &ingestion.dcr_immutable_id, azure.clone(), clock),
        tokens: Tokens::new(settings.credential.clone(), settings.cloud, identity.clone(), clock),
        audience: settings.cloud.monitor_audience(),
        permits: Semaphore::new(IN_FLIGHT),
    }
}

pub(super) fn client(instance: &Instance, clock: Clock) -> Result<Client, AssembleError> {
    let http = http::appliance_client(&trust(instance)?).map_err(say)?;
    Ok(Client::new(&instance.name, &instance.base_url, instance.public_token.clone(), http, clock))
}

/// Whom the client of this instance believes. A file of certificates is read here.
pub(super) fn trust(instance: &Instance) -> Result<Trust, AssembleError> {
    let authorities = match &instance.ca {
        None => None,
        Some(CaPem::Text(text)) => Some(text.clone()),
        Some(CaPem::File(path)) => Some(std::fs::read_to_string(path).map_err(|error| {
            AssembleError(format!("the file {} of DARKTRACE_CA_PEM cannot be read: {error}", path.display()))
        })?),
    };
    Ok(Trust { authorities, pins: instance.pins.clone() })
}

pub(super) fn filter(instance: &Instance) -> Filter {
    Filter {
        min_score: instance.min_score,
        ai_min_score: instance.ai_min_score,
        email_min_score: instance.email_min_score,
        models_exclude: instance.models_exclude.clone(),
        categories: instance.categories.clone(),
        compliance: if instance.compliance { Compliance::Wanted } else { Compliance::LeftOut },
    }
}

pub(super) const fn reach(settings: &Settings, instance: &Instance) -> Reach {
    Reach {
        initial: settings.initial_lookback,
        fast: settings.fast_lookback,
        deep: settings.deep_sweep,
        changes: instance.changes,
    }
}

pub(super) fn say(error: impl std::error::Error) -> AssembleError {
    AssembleError(http::chain(&error))
}
