//! The documents of what was put aside: which there are, and one of them as it is.

use super::OperateError;
use crate::cycle::dead_letter::{Kept, PLACE};
use crate::instant::Instant;
use crate::source::Source;
use crate::store::Store;
use bytes::Bytes;

/// One record that was put aside, without its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// The name of its document.
    pub name: String,
    /// The instance that it came from.
    pub instance: String,
    /// The source, unless this version knows none of that name.
    pub source: Option<Source>,
    /// The event time, or that of the run.
    pub event_time: Option<Instant>,
    /// When it was put aside.
    pub first_seen: Option<Instant>,
    /// Why it was.
    pub reason: String,
}

/// What was put aside, in the order of names: by instance, source and day of the event.
///
/// # Errors
/// [`OperateError::Store`].
pub async fn dead_letters(store: &Store) -> Result<Vec<Letter>, OperateError> {
    let mut letters = Vec::new();
    for name in store.list(PLACE).await? {
        // One that somebody removes meanwhile is none any more.
        if let Some(stored) = store.read(&name).await? {
            letters.push(letter(name, &stored.bytes));
        }
    }
    Ok(letters)
}

/// The document of that name, content and all; `None` when there is none. No other document is given out.
///
/// # Errors
/// [`OperateError::Store`].
pub async fn dead_letter(store: &Store, name: &str) -> Result<Option<Bytes>, OperateError> {
    if !name.starts_with(PLACE) {
        return Ok(None);
    }
    Ok(store.read(name).await?.map(|stored| stored.bytes))
}

/// The instance and the source that the document of this name is of.
pub(super) fn belongs_to(name: &str) -> (String, Option<Source>) {
    let mut parts = name.strip_prefix(PLACE).unwrap_or(name).split('/');
    (parts.next().unwrap_or_default().to_owned(), parts.next().and_then(Source::named))
}

fn letter(name: String, document: &[u8]) -> Letter {
    let (instance, source) = belongs_to(&name);
    let kept = Kept::read(document);
    let time = |text: Option<&str>| text.and_then(Instant::from_iso);
    Letter {
        event_time: time(kept.as_ref().map(|kept| kept.event_time.as_str())),
        first_seen: time(kept.as_ref().map(|kept| kept.first_seen.as_str())),
        reason: kept.map_or_else(|| "the document cannot be read".to_owned(), |kept| kept.reason),
        instance,
        source,
        name,
    }
}
