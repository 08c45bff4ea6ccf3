//! Where the checkpoint is kept: a directory, a connection string, or an account that the identity may use.
//!
//! The names of the last two are the Functions host's own, so that one set of settings serves both
//! (<https://learn.microsoft.com/azure/azure-functions/functions-identity-based-connections-tutorial>). How a checkpoint
//! is read and written is not known here.

use super::address::{blob_service, blob_service_of};
use super::cloud::Cloud;
use super::credential::client_id;
use super::definition::{
    CHECKPOINT_CONTAINER, CHECKPOINT_DIR, STORAGE, STORAGE_ACCOUNT, STORAGE_BLOB_URI, STORAGE_CLIENT_ID,
};
use super::problem::quoted;
use super::reader::Reader;
use crate::secret::Secret;
use std::path::PathBuf;
use url::Url;

/// Where the checkpoint is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Storage {
    /// A directory of this machine.
    Directory(PathBuf),
    /// An account by its key, or the emulator. For local work.
    ConnectionString {
        /// `UseDevelopmentStorage=true`, or a text with at least `AccountName` and `AccountKey`.
        text: Secret,
        /// The blob container.
        container: String,
    },
    /// An account by the function's identity.
    Account {
        /// The address of the blob service.
        blob_service: Url,
        /// The client id of a user-assigned identity; without it the system-assigned one.
        client_id: Option<String>,
        /// The blob container.
        container: String,
    },
}

/// A directory wins over a connection string, a connection string over an account.
pub(super) fn storage(reader: &mut Reader<'_>, cloud: Option<Cloud>) -> Option<Storage> {
    let container = reader.value(&CHECKPOINT_CONTAINER, container);
    if let Some(directory) = reader.value(&CHECKPOINT_DIR, |text| Ok(PathBuf::from(text))) {
        return Some(Storage::Directory(directory));
    }
    if reader.has(&STORAGE) {
        let text = reader.value(&STORAGE, connection_string);
        return Some(Storage::ConnectionString { text: text?, container: container? });
    }
    let blob_service = account(reader, cloud);
    let client_id = reader.value(&STORAGE_CLIENT_ID, client_id);
    Some(Storage::Account { blob_service: blob_service?, client_id, container: container? })
}

fn account(reader: &mut Reader<'_>, cloud: Option<Cloud>) -> Option<Url> {
    if reader.has(&STORAGE_BLOB_URI) {
        let clouds = cloud.map_or(Cloud::ALL.to_vec(), |cloud| vec![cloud]);
        return reader.value(&STORAGE_BLOB_URI, |text| blob_service(text, &clouds));
    }
    if reader.has(&STORAGE_ACCOUNT) {
        return reader.value(&STORAGE_ACCOUNT, |text| blob_service_of(text, cloud.unwrap_or(Cloud::Public)));
    }
    let what = format!(
        "is missing, and so are {}, {} and {}: one of them says where the checkpoint is kept",
        STORAGE_ACCOUNT.name, STORAGE.name, CHECKPOINT_DIR.name
    );
    // Under the name that is right in Azure; the example of the connection string would lead there to the emulator.
    reader.refuse(&STORAGE_BLOB_URI, what);
    None
}

/// Recognises the two forms that are honoured; the keys of a connection string are not case-sensitive.
fn connection_string(text: &str) -> Result<Secret, String> {
    let part = |key: &str| {
        let mut pairs = text.split(';').filter_map(|pair| pair.split_once('='));
        pairs.find(|(name, _)| name.trim().eq_ignore_ascii_case(key)).map(|(_, value)| value.trim())
    };
    let given = |key: &str| part(key).is_some_and(|value| !value.is_empty());
    let emulator = part("UseDevelopmentStorage").is_some_and(|value| value.eq_ignore_ascii_case("true"));
    if emulator || given("AccountName") && given("AccountKey") {
        return Ok(Secret::new(text));
    }
    Err(format!(
        "is neither UseDevelopmentStorage=true nor a connection string with AccountName and AccountKey; \
         in Azure, set {} instead and let the identity in",
        STORAGE_BLOB_URI.name
    ))
}

/// The rule of blob containers: 3 to 63 lower-case letters, digits and single hyphens, a letter or digit at both ends
/// (<https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata>).
fn container(text: &str) -> Result<String, String> {
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    if (3..=63).contains(&text.len()) && text.split('-').all(is_word) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "is not 3 to 63 lower-case letters, digits and single hyphens with a letter or digit at both ends: {}",
        quoted(text)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{only_problem, read_with};
    use super::*;

    #[test]
    fn a_container_has_the_name_of_a_blob_container() {
        for name in ["abc", "darktrace-checkpoints", "1-2-3", &"a".repeat(63)] {
            assert_eq!(container(name).as_deref(), Ok(name));
        }
        for name in ["ab", "-abc", "abc-", "a--b", "Abc", "a_b", "$root", &"a".repeat(64)] {
            assert!(container(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_connection_string_is_the_emulators_or_holds_an_account_key() {
        for text in ["UseDevelopmentStorage=true", "usedevelopmentstorage=True;", "AccountKey=a==;AccountName=b"] {
            assert_eq!(connection_string(text).unwrap().expose(), text);
        }
        for text in ["canary", "UseDevelopmentStorage=false", "AccountName=b;AccountKey=", "AccountName=canary"] {
            assert!(!connection_string(text).unwrap_err().contains("canary"), "{text}");
        }
    }

    const NO_STRING: (&str, &str) = ("AzureWebJobsStorage", "");
    const URI: (&str, &str) = ("AzureWebJobsStorage__blobServiceUri", "https://mystorage.blob.core.windows.net");

    fn storage_with(changes: &[(&str, &str)]) -> Storage {
        read_with(changes).unwrap().storage
    }

    #[test]
    fn a_directory_wins_over_every_account() {
        let storage = storage_with(&[("CHECKPOINT_DIR", "./here"), URI]);
        assert_eq!(storage, Storage::Directory(PathBuf::from("./here")));
        assert!(read_with(&[("CHECKPOINT_DIR", "./here"), NO_STRING]).is_ok());
    }

    #[test]
    fn a_connection_string_wins_over_an_address() {
        let container = "darktrace-checkpoints".to_owned();
        let text = Secret::new("UseDevelopmentStorage=true");
        assert_eq!(storage_with(&[URI]), Storage::ConnectionString { text, container });
    }

    #[test]
    fn an_account_is_given_by_address_or_by_name() {
        let name = ("AzureWebJobsStorage__accountName", "mystorage");
        let id = ("AzureWebJobsStorage__clientId", "some-id");
        let (by_address, by_name) = (storage_with(&[NO_STRING, URI, id]), storage_with(&[NO_STRING, name, id]));
        assert_eq!(by_address, by_name);
        assert_eq!(
            by_address,
            Storage::Account {
                blob_service: Url::parse("https://mystorage.blob.core.windows.net").unwrap(),
                client_id: Some("some-id".to_owned()),
                container: "darktrace-checkpoints".to_owned(),
            }
        );
    }

    #[test]
    fn without_any_storage_the_problem_names_every_way_to_give_one() {
        let (name, what) = only_problem(&[NO_STRING]);
        assert_eq!(name, "AzureWebJobsStorage__blobServiceUri");
        assert!(
            ["__accountName", " AzureWebJobsStorage ", "CHECKPOINT_DIR"].iter().all(|way| what.contains(way)),
            "{what}"
        );
    }
}
