//! A directory as a store, for a workstation's runs, the demo and benchmarks.
//!
//! It keeps the same promises as the blob container ([`super::blob`]): an object is replaced whole or not at all, a write
//! is compared with what is there while no other process writes, and a lease excludes everybody else. Locks are the
//! operating system's, so that they die with their process. One thing a directory cannot do: hold `a` and `a/b` at once.

use super::{Cause, Etag, Expect, Renewal, StoreError, Stored};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// Encoded names never begin with a dot, so these two are no object's.
const LOCK: &str = ".lock";
const NEW: &str = ".new";

#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) const fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) async fn read(&self, name: &str) -> Result<Option<Stored>, StoreError> {
        let path = self.path(name);
        blocking("read", path.clone(), move || read(&path)).await
    }

    pub(super) async fn write(&self, name: &str, bytes: Bytes, expect: Expect) -> Result<Etag, StoreError> {
        let (root, path) = (self.root.clone(), self.path(name));
        let written = blocking("write", path.clone(), move || write(&root, &path, &bytes, &expect)).await?;
        written.ok_or_else(|| StoreError::Conflict { name: name.to_owned() })
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        // Whole segments of the prefix are directories; nothing beside them needs a look.
        let (within, _) = prefix.rsplit_once('/').unwrap_or_default();
        let (start, prefix) =
            (if within.is_empty() { self.root.clone() } else { self.path(within) }, prefix.to_owned());
        let within = if within.is_empty() { String::new() } else { format!("{within}/") };
        blocking("list", start.clone(), move || {
            let mut names = Vec::new();
            list(&start, &within, &mut names)?;
            names.retain(|name| name.starts_with(&prefix));
            Ok(names)
        })
        .await
    }

    pub(super) async fn delete(&self, name: &str) -> Result<bool, StoreError> {
        let (root, path) = (self.root.clone(), self.path(name));
        blocking("delete", path.clone(), move || delete(&root, &path)).await
    }

    pub(super) async fn lease(&self, name: &str) -> Result<Option<FileLease>, StoreError> {
        let path = self.path(name);
        blocking("lease", path.clone(), move || lease(path)).await
    }

    fn path(&self, name: &str) -> PathBuf {
        name.split('/').map(encode).fold(self.root.clone(), |path, segment| path.join(segment))
    }
}

/// A locked file. Whoever holds it is written into it, so that a file put in its place is told from it.
#[derive(Debug)]
pub(super) struct FileLease {
    file: File,
    path: PathBuf,
    holder: String,
}

impl FileLease {
    pub(super) async fn renew(&self) -> Result<Renewal, StoreError> {
        let (path, holder) = (self.path.clone(), self.holder.clone());
        blocking("renew the lease on", path.clone(), move || {
            let found = absent_as_none(fs::read(&path))?;
            Ok(if found.is_some_and(|found| found == holder.as_bytes()) { Renewal::Held } else { Renewal::Lost })
        })
        .await
    }

    pub(super) async fn release(self) -> Result<(), StoreError> {
        blocking("release the lease on", self.path, move || self.file.unlock()).await
    }
}

async fn blocking<T: Send + 'static>(
    doing: &'static str,
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| meaning(doing, &path, error)),
        Err(panicked) => Err(StoreError::Unavailable { what: what(doing, &path), cause: Some(panicked.into()) }),
    }
}

fn read(path: &Path) -> io::Result<Option<Stored>> {
    let bytes = absent_as_none(fs::read(path))?;
    Ok(bytes.map(|bytes| Stored { etag: etag(&bytes), bytes: bytes.into() }))
}

/// [`None`] when the expectation does not hold. The lock covers comparison and replacement; it is held until the file that
/// bears it is closed. Nobody else writes the new file meanwhile, and one that a dead process left is overwritten.
fn write(root: &Path, path: &Path, bytes: &[u8], expect: &Expect) -> io::Result<Option<Etag>> {
    fs::create_dir_all(root)?;
    let lock = open(&root.join(LOCK))?;
    lock.lock()?;
    let holds = match (expect, read(path)?) {
        (Expect::Anything, _) | (Expect::Absent, None) => true,
        (Expect::Match(etag), Some(stored)) => *etag == stored.etag,
        (Expect::Absent, Some(_)) | (Expect::Match(_), None) => false,
    };
    if !holds {
        return Ok(None);
    }
    replace(root, path, bytes)?;
    Ok(Some(etag(bytes)))
}

/// The content reaches the disk before the name does, and the name before we say so.
fn replace(root: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = root.join(NEW);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    create_parents(path)?;
    fs::rename(&new, path)?;
    path.ancestors().skip(1).take_while(|ancestor| ancestor.starts_with(root)).try_for_each(sync)
}

/// The names of the files below a directory whose own name is `within`, which ends in a slash unless it is the root.
fn list(directory: &Path, within: &str, names: &mut Vec<String>) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Some(segment) = entry.file_name().to_str().and_then(decode) else { continue };
        let name = format!("{within}{segment}");
        if entry.file_type()?.is_dir() {
            list(&entry.path(), &format!("{name}/"), names)?;
        } else {
            names.push(name);
        }
    }
    Ok(())
}

/// Whether there was a file. Its directory stays: somebody may be about to put the next one into it.
fn delete(root: &Path, path: &Path) -> io::Result<bool> {
    let lock = match open(&root.join(LOCK)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        lock => lock?,
    };
    lock.lock()?;
    match fs::remove_file(path) {
        Err(error) if [ErrorKind::NotFound, ErrorKind::NotADirectory].contains(&error.kind()) => Ok(false),
        removed => removed.and_then(|()| path.parent().map_or(Ok(()), sync)).map(|()| true),
    }
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn lease(path: PathBuf) -> io::Result<Option<FileLease>> {
    create_parents(&path)?;
    let mut file = open(&path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let holder = format!("process {} {}\n", std::process::id(), Uuid::new_v4());
    file.set_len(0)?;
    file.write_all(holder.as_bytes())?;
    Ok(Some(FileLease { file, path, holder }))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).open(path)
}

fn create_parents(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs::create_dir_all)
}

fn absent_as_none(read: io::Result<Vec<u8>>) -> io::Result<Option<Vec<u8>>> {
    match read {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        read => read.map(Some),
    }
}

fn etag(bytes: &[u8]) -> Etag {
    Etag(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// One segment of a name as one segment of a path: no separator, no `..`, nothing hidden, no two alike. What is not a
/// letter, a digit, `-`, `_` or `.` becomes `%XX`, and so does a dot in front; an empty segment is a lone `%`.
fn encode(segment: &str) -> String {
    if segment.is_empty() {
        return "%".to_owned();
    }
    let plain = |at: usize, byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte) || byte == b'.' && at > 0;
    segment
        .bytes()
        .enumerate()
        .map(|(at, byte)| if plain(at, byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

/// What [`encode`] made the segment of; [`None`] when it is no file of a store.
fn decode(segment: &str) -> Option<String> {
    if segment == "%" {
        return Some(String::new());
    }
    let (mut bytes, mut rest) = (Vec::with_capacity(segment.len()), segment);
    while let Some((plain, escaped)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let (digits, after) = escaped.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    bytes.extend_from_slice(rest.as_bytes());
    let decoded = String::from_utf8(bytes).ok()?;
    (encode(&decoded) == segment).then_some(decoded)
}

fn what(doing: &str, path: &Path) -> String {
    format!("{doing} {}", path.display())
}

fn meaning(doing: &str, path: &Path, error: io::Error) -> StoreError {
    let what = what(doing, path);
    let kind = error.kind();
    let cause: Option<Cause> = Some(error.into());
    match kind {
        ErrorKind::PermissionDenied => {
            let hint = "let the user that the process runs as read and write the directory";
            StoreError::Denied { what, hint, cause }
        }
        // What is merely not there yet was dealt with: here it is a place in which nothing can be made.
        ErrorKind::NotFound
        | ErrorKind::NotADirectory
        | ErrorKind::IsADirectory
        | ErrorKind::InvalidFilename
        | ErrorKind::ReadOnlyFilesystem => {
            let hint = "choose a directory that can be written to and holds nothing else";
            StoreError::Misconfigured { problem: format!("the directory does not let us {what}"), hint, cause }
        }
        _ => StoreError::Unavailable { what, cause },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> String {
        Directory::new(PathBuf::from("/root")).path(name).display().to_string()
    }

    #[test]
    fn no_name_leads_out_of_the_directory_or_to_a_file_of_ours() {
        for (name, expected) in [
            ("state/hq/model-alerts.json", "/root/state/hq/model-alerts.json"),
            ("../secret", "/root/%2E./secret"),
            ("a/../../b", "/root/a/%2E./%2E./b"),
            ("/etc/passwd", "/root/%/etc/passwd"),
            ("a//b/", "/root/a/%/b/%"),
            (".lock", "/root/%2Elock"),
            ("C:\\x", "/root/C%3A%5Cx"),
            ("ü %", "/root/%C3%BC%20%25"),
        ] {
            assert_eq!(path(name), expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_file_of_a_store_has_no_name() {
        for name in ["a", "", ".lock", "C:\\x", "ü %", "..", "a%20b"] {
            assert_eq!(decode(&encode(name)).as_deref(), Some(name));
        }
        for segment in [LOCK, NEW, "a b", "%2", "%zz", "%41", "a%", "%FF", "%2e"] {
            assert_eq!(decode(segment), None, "{segment}");
        }
    }

    #[test]
    fn two_contents_have_two_etags_and_one_content_has_one() {
        assert_eq!(etag(b"a"), etag(b"a"));
        assert_ne!(etag(b"a"), etag(b"b"));
    }

    #[test]
    fn a_file_that_a_dead_process_left_half_written_is_not_in_the_way() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(NEW), vec![b'x'; 100]).unwrap();
        let path = root.path().join("a");
        write(root.path(), &path, b"whole", &Expect::Absent).unwrap().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(!root.path().join(NEW).exists());
    }

    #[test]
    fn a_directory_that_is_a_file_needs_an_operator() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().join("a");
        let error = meaning("read", &path, read(&path).unwrap_err());
        assert!(matches!(error, StoreError::Misconfigured { .. }), "{error:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_place_in_which_no_directory_can_be_made_needs_an_operator() {
        let path = Path::new("/proc/nothing/a");
        let error = meaning("write", path, create_parents(path).unwrap_err());
        assert!(matches!(error, StoreError::Misconfigured { .. }), "{error:?}");
    }
}
