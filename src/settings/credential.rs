//! Which credential the program shows to Azure.
//!
//! The choice is made from what is there, and never falls from one credential to the next at run time: an app that was
//! meant to use its managed identity must not go on as somebody else. How tokens are got is not known here.

use super::definition::{
    AZURE_CLIENT_ID, AZURE_CLIENT_SECRET, AZURE_FEDERATED_TOKEN_FILE, AZURE_TENANT_ID, Definition, IDENTITY_ENDPOINT,
    IDENTITY_HEADER, WEBSITE_INSTANCE_ID, WEBSITE_SITE_NAME,
};
use super::reader::Reader;
use crate::secret::Secret;
use std::fmt;

/// The credential towards Azure. Prints as the words of the start-up line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Credential {
    /// The managed identity of the function app.
    ManagedIdentity {
        /// The client id of a user-assigned identity; without it the system-assigned one.
        client_id: Option<String>,
    },
    /// A federated token in a file that the platform renews, on Kubernetes.
    WorkloadIdentity,
    /// An application with a secret.
    ClientSecret {
        /// The directory (tenant) of the application, an id or a domain name.
        tenant: String,
        /// The client id of the application.
        client: String,
        /// The secret itself.
        secret: Secret,
    },
    /// Whoever signed in with a developer's tool.
    DeveloperTools,
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ManagedIdentity { client_id: None } => {
                f.write_str("the function app's system-assigned managed identity")
            }
            Self::ManagedIdentity { client_id: Some(id) } => {
                write!(f, "the function app's user-assigned managed identity with client id {id}")
            }
            Self::WorkloadIdentity => f.write_str("the workload identity of this pod"),
            Self::ClientSecret { client, .. } => write!(f, "the application with client id {client} and its secret"),
            Self::DeveloperTools => f.write_str("the developer who is signed in with az or azd"),
        }
    }
}

/// A complete application wins, then a federated token, then the managed identity.
pub(super) fn credential(reader: &mut Reader<'_>) -> Option<Credential> {
    if reader.has(&AZURE_CLIENT_SECRET) {
        return application(reader);
    }
    if reader.has(&AZURE_FEDERATED_TOKEN_FILE) {
        return workload_identity(reader);
    }
    if reader.has(&IDENTITY_ENDPOINT) && reader.has(&IDENTITY_HEADER) {
        return Some(Credential::ManagedIdentity { client_id: reader.value(&AZURE_CLIENT_ID, client_id) });
    }
    if reader.has(&WEBSITE_INSTANCE_ID) || reader.has(&WEBSITE_SITE_NAME) {
        reader.refuse(
            &IDENTITY_ENDPOINT,
            "is not there: turn on the managed identity of the function app, and restart it",
        );
        return None;
    }
    Some(Credential::DeveloperTools)
}

fn application(reader: &mut Reader<'_>) -> Option<Credential> {
    let secret = reader.value(&AZURE_CLIENT_SECRET, |text| Ok(Secret::new(text)));
    let tenant = needed(reader, &AZURE_TENANT_ID, &AZURE_CLIENT_SECRET, |text| Ok(text.to_owned()));
    let client = needed(reader, &AZURE_CLIENT_ID, &AZURE_CLIENT_SECRET, client_id);
    Some(Credential::ClientSecret { tenant: tenant?, client: client?, secret: secret? })
}

fn workload_identity(reader: &mut Reader<'_>) -> Option<Credential> {
    needed(reader, &AZURE_TENANT_ID, &AZURE_FEDERATED_TOKEN_FILE, |text| Ok(text.to_owned()))?;
    needed(reader, &AZURE_CLIENT_ID, &AZURE_FEDERATED_TOKEN_FILE, client_id)?;
    Some(Credential::WorkloadIdentity)
}

/// A setting that is optional alone but not beside `because_of`.
fn needed(
    reader: &mut Reader<'_>,
    of: &Definition,
    because_of: &Definition,
    parse: fn(&str) -> Result<String, String>,
) -> Option<String> {
    if !reader.has(of) {
        reader.refuse(of, format!("is missing although {} is set", because_of.name));
    }
    reader.value(of, parse)
}

/// A client id. The resource id of an identity is the usual mistake, and App Service does not take it.
pub(super) fn client_id(text: &str) -> Result<String, String> {
    if text.contains('/') {
        return Err("is a resource id, but has to be the client id of the identity".to_owned());
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tests::{only_problem, read_with};

    const ENDPOINT: (&str, &str) = ("IDENTITY_ENDPOINT", "http://127.0.0.1:1/msi/token");
    const HEADER: (&str, &str) = ("IDENTITY_HEADER", "header-canary");
    const CLIENT: (&str, &str) = ("AZURE_CLIENT_ID", "some-id");
    const TENANT: (&str, &str) = ("AZURE_TENANT_ID", "example.com");
    const SECRET: (&str, &str) = ("AZURE_CLIENT_SECRET", "secret-canary");
    const TOKEN_FILE: (&str, &str) = ("AZURE_FEDERATED_TOKEN_FILE", "/var/token");

    fn is(changes: &[(&str, &str)], expected: &str) {
        assert_eq!(read_with(changes).unwrap().credential.to_string(), expected);
    }

    #[test]
    fn a_function_app_is_its_managed_identity() {
        is(&[ENDPOINT, HEADER], "the function app's system-assigned managed identity");
        is(&[ENDPOINT, HEADER, CLIENT], "the function app's user-assigned managed identity with client id some-id");
    }

    #[test]
    fn a_complete_application_wins_over_everything() {
        is(
            &[ENDPOINT, HEADER, CLIENT, TENANT, SECRET, TOKEN_FILE],
            "the application with client id some-id and its secret",
        );
    }

    #[test]
    fn half_an_application_is_refused_and_not_replaced_by_another_credential() {
        let (name, what) = only_problem(&[ENDPOINT, HEADER, CLIENT, SECRET]);
        assert_eq!(
            (name.as_str(), what.as_str()),
            ("AZURE_TENANT_ID", "is missing although AZURE_CLIENT_SECRET is set")
        );
    }

    #[test]
    fn a_token_file_is_a_workload_identity() {
        is(&[ENDPOINT, HEADER, CLIENT, TENANT, TOKEN_FILE], "the workload identity of this pod");
        assert_eq!(only_problem(&[TENANT, TOKEN_FILE]).0, "AZURE_CLIENT_ID");
    }

    #[test]
    fn a_function_app_without_an_identity_is_told_to_turn_it_on() {
        for site in ["WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME"] {
            let (name, what) = only_problem(&[(site, "x"), CLIENT]);
            assert_eq!(name, "IDENTITY_ENDPOINT");
            assert!(what.contains("turn on the managed identity of the function app"), "{what}");
        }
    }

    #[test]
    fn a_workstation_is_whoever_signed_in() {
        is(&[CLIENT, TENANT], "the developer who is signed in with az or azd");
        is(&[ENDPOINT], "the developer who is signed in with az or azd");
    }

    #[test]
    fn a_resource_id_in_place_of_a_client_id_is_refused() {
        let id = "/subscriptions/x/providers/Microsoft.ManagedIdentity/userAssignedIdentities/y";
        assert!(only_problem(&[ENDPOINT, HEADER, ("AZURE_CLIENT_ID", id)]).1.contains("resource id"));
    }
}
