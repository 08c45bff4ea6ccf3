//! The checkpoint of a run: found, kept true, written back.
//!
//! Only this writes a checkpoint, and only what was acknowledged goes into it. Commits go out one at a time, each covering
//! every acknowledgement so far, with the ETag of the version they replace. A conflict is met by merging: both versions
//! are true, so their union is.

mod beginning;
mod names;
mod standing;

pub(super) use beginning::Beginning;
use names::Mark;
pub(super) use names::Names;
pub(super) use standing::{Standing, glance};

use super::crash;
use super::stop::Stop;
use crate::batch::Proof;
use crate::checkpoint::{Basis, Checkpoint, Header, Position, Unreadable};
use crate::http::Clock;
use crate::instant::Instant;
use crate::key::Key;
use crate::report::{FailureClass, Phase};
use crate::store::{Etag, Expect, Store, StoreError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;

/// A commit is due when rows of so many bytes were acknowledged since the last one,
const DUE_BYTES: u64 = 8_000_000;
/// or when the first of them waits so long.
const DUE_TIME: Duration = Duration::from_secs(2);
/// A run that begins so long after the last write proves that it can write before it posts anything.
const STALE: Duration = Duration::from_secs(15 * 60);
/// Two writers that meet this often are one too many. A run that ends writes up to three times in quick succession, which
/// the other one must be able to bear.
const MOST_MERGES: u32 = 6;

/// The checkpoint and its place.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) checkpoint: Checkpoint,
    /// What an operator should know about how the checkpoint was found.
    pub(super) warnings: Vec<String>,
    /// Commits that were merged into another writer's.
    pub(super) conflicts: u64,
    keeping: Keeping,
    store: Store,
    names: Names,
    clock: Clock,
    /// Names this ledger in what it writes, to tell its own write from another's.
    writer: String,
    etag: Option<Etag>,
    written_at: Instant,
    backup_due: bool,
    unwritten: Unwritten,
    /// What the last commit said besides keys.
    committed: Option<Said>,
    /// Acknowledged rows whose predecessors are not all acknowledged: first sequence to the one behind the last.
    ahead: BTreeMap<u64, u64>,
}

/// Where a checkpoint is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Keeping {
    Stored,
    InMemory,
}

type Said = (Position, Basis, bool, Option<Instant>, usize, u64);

/// What was acknowledged since the last commit.
#[derive(Clone, Copy, Debug, Default)]
struct Unwritten {
    bytes: u64,
    since: Option<tokio::time::Instant>,
}

/// What live polling says of itself to a backfill beside it: its checkpoint and the earliest time that it ever read.
///
/// # Errors
/// When there was a checkpoint and it is missing or cannot be read: nothing is known then of what was delivered.
pub(super) async fn peek(
    store: &Store,
    names: &Names,
    now: Instant,
    lookback: Duration,
) -> Result<Option<(Checkpoint, Instant)>, Stop> {
    let mark = store.read(&names.mark()).await?.map(|stored| Mark::read(&stored.bytes));
    let Some(stored) = store.read(&names.state()).await? else {
        return if mark.is_none() { Ok(None) } else { Err(unclear("the checkpoint of live polling is missing")) };
    };
    let (checkpoint, _) = Checkpoint::parse(&stored.bytes, now).map_err(|error| unclear(&error.to_string()))?;
    let floor = checkpoint.position.floor;
    let begin = mark.and_then(|mark| mark.from.or(mark.since.map(|since| since - lookback))).unwrap_or(floor);
    Ok(Some((checkpoint, begin.min(floor))))
}

/// The hour of a time, counted from the epoch: there is a backup for each.
const fn hour(at: Instant) -> i64 {
    at.0.div_euclid(3_600_000)
}

fn unclear(why: &str) -> Stop {
    let message = format!("{why}, so it is not known what was delivered; poll once, which mends it, and try again");
    Stop::failed(FailureClass::Configuration, Phase::Checkpoint, message)
}

impl Ledger {
    /// A checkpoint that begins here and is never written, for a run that only counts.
    pub(super) fn in_memory(store: Store, names: Names, clock: Clock, begin: Beginning) -> Self {
        Self {
            checkpoint: begin.first(),
            warnings: Vec::new(),
            conflicts: 0,
            keeping: Keeping::InMemory,
            store,
            names,
            clock,
            writer: uuid::Uuid::new_v4().to_string(),
            etag: None,
            written_at: Instant(0),
            backup_due: true,
            unwritten: Unwritten::default(),
            committed: None,
            ahead: BTreeMap::new(),
        }
    }

    /// Finds the checkpoint, or begins one. What is damaged is kept aside and replaced by the newest backup.
    pub(super) async fn open(store: Store, names: Names, clock: Clock, begin: Beginning) -> Result<Self, Stop> {
        let mut ledger = Self { keeping: Keeping::Stored, ..Self::in_memory(store, names, clock, begin) };
        match ledger.store.read(&ledger.names.state()).await? {
            Some(stored) => {
                ledger.etag = Some(stored.etag.clone());
                ledger.adopt(&stored.bytes, begin).await?;
            }
            None if ledger.was_marked().await? => ledger.restore(begin, "the checkpoint is missing").await?,
            None => {}
        }
        crash::point("checkpoint read");
        if (ledger.clock)().since(ledger.written_at) >= STALE {
            ledger.commit().await?;
        }
        if ledger.backup_due {
            ledger.mark().await?;
        }
        Ok(ledger)
    }

    async fn adopt(&mut self, bytes: &[u8], begin: Beginning) -> Result<(), Stop> {
        let now = (self.clock)();
        match Checkpoint::parse(bytes, now.max(begin.now())) {
            Ok((checkpoint, header)) => {
                self.checkpoint = checkpoint;
                self.written_at = header.written_at;
                self.backup_due = hour(header.written_at) != hour(now);
                Ok(())
            }
            Err(newer @ Unreadable::Newer { .. }) => {
                let message = format!("{newer}; deploy the version that wrote it, or a later one");
                Err(Stop::failed(FailureClass::Configuration, Phase::Checkpoint, message))
            }
            Err(unreadable) => {
                let aside = self.names.damaged(now);
                crash::point("before the damaged copy");
                self.store.write(&aside, Bytes::copy_from_slice(bytes), Expect::Anything).await?;
                crash::point("after the damaged copy");
                self.restore(begin, &format!("{unreadable} (kept as {aside})")).await
            }
        }
    }

    /// The newest of the hourly backups that can be read. An older true checkpoint is still true.
    async fn restore(&mut self, begin: Beginning, why: &str) -> Result<(), Stop> {
        let mut newest: Option<(Header, Checkpoint)> = None;
        for hour in 0..24 {
            let Some(stored) = self.store.read(&self.names.backup(hour)).await? else { continue };
            let Ok((checkpoint, header)) = Checkpoint::parse(&stored.bytes, (self.clock)().max(begin.now())) else {
                continue;
            };
            if newest.as_ref().is_none_or(|(kept, _)| kept.written_at < header.written_at) {
                newest = Some((header, checkpoint));
            }
        }
        let what = match newest {
            Some((header, checkpoint)) => {
                self.checkpoint = checkpoint;
                format!("reading goes on from the backup of {}; rows since then may be stored twice", header.written_at)
            }
            None => {
                let (checkpoint, what) = begin.lost();
                self.checkpoint = checkpoint;
                format!("there is no backup, so {what}")
            }
        };
        self.warnings.push(format!("{why}; {what}"));
        Ok(())
    }

    async fn was_marked(&self) -> Result<bool, StoreError> {
        Ok(self.store.read(&self.names.mark()).await?.is_some())
    }

    /// Marks that there is a position, and from when on. Where a loss made reading begin earlier, the mark follows.
    async fn mark(&self) -> Result<(), StoreError> {
        let (from, stored) = (self.checkpoint.position.floor, self.store.read(&self.names.mark()).await?);
        let expect = match stored {
            Some(stored) if Mark::read(&stored.bytes).from.is_none_or(|marked| marked <= from) => return Ok(()),
            Some(stored) => Expect::Match(stored.etag),
            None => Expect::Absent,
        };
        let text = Mark::text((self.clock)(), from);
        crash::point("before the mark");
        match self.store.write(&self.names.mark(), Bytes::from(text), expect).await {
            Ok(_) | Err(StoreError::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
        crash::point("after the mark");
        Ok(())
    }

    /// Takes note that the row of `proof` was accepted, or that its record was put aside for good.
    pub(super) fn delivered(&mut self, proof: &Proof) {
        self.checkpoint.delivered.insert(proof.key, proof.latest);
        if let Some(event) = proof.event {
            self.checkpoint.delivered.insert(event, proof.latest);
        }
    }

    /// Takes note that what was delivered can still be met until `latest`, so that its key is kept as long.
    pub(super) fn met_again(&mut self, key: Key, latest: Instant) {
        self.checkpoint.delivered.insert(key, latest);
        self.unwritten.since.get_or_insert_with(tokio::time::Instant::now);
    }

    /// Takes note that the rows `first..end` were accepted, as `bytes` of body. `IngestSeq` goes on behind the last row
    /// before which no other is missing, so that it may repeat after a fault but never skips.
    pub(super) fn acknowledged(&mut self, first: u64, end: u64, bytes: u64) {
        self.ahead.insert(first, end);
        while let Some(end) = self.ahead.remove(&self.checkpoint.next_sequence) {
            self.checkpoint.next_sequence = end;
        }
        self.unwritten.bytes += bytes;
        self.unwritten.since.get_or_insert_with(tokio::time::Instant::now);
    }

    /// How long what was acknowledged may still wait for its commit; `None` when there is nothing to commit.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let since = self.unwritten.since?;
        let left = DUE_TIME.saturating_sub(since.elapsed());
        Some(if self.unwritten.bytes >= DUE_BYTES { Duration::ZERO } else { left })
    }

    /// Whether it has waited long enough.
    pub(super) fn is_due(&self) -> bool {
        self.due_in().is_some_and(|left| left.is_zero())
    }

    /// Writes the checkpoint, unless it would say what it says already. When another run wrote in the meantime, writes the
    /// union of both and says so as a pause.
    pub(super) async fn commit(&mut self) -> Result<(), Stop> {
        if self.unwritten.since.is_none() && self.committed.as_ref() == Some(&self.said()) {
            return Ok(());
        }
        if self.keeping == Keeping::InMemory {
            self.unwritten = Unwritten::default();
            return Ok(());
        }
        let mut merged = false;
        for _ in 0..MOST_MERGES {
            match self.write().await {
                Ok(()) if merged => return Err(Stop::Pause(crate::report::Pause::Conflict)),
                Ok(()) => return Ok(()),
                Err(StoreError::Conflict { .. }) => {
                    if self.meet_the_other().await? {
                        return Ok(());
                    }
                    merged = true;
                }
                Err(error) => return Err(error.into()),
            }
        }
        let message = format!(
            "the checkpoint was changed by another run {MOST_MERGES} times in a row; is the app deployed twice with one storage account?"
        );
        Err(Stop::failed(FailureClass::Transient, Phase::Checkpoint, message))
    }

    async fn write(&mut self) -> Result<(), StoreError> {
        self.checkpoint.generation += 1;
        let header = Header { writer: self.writer.clone(), written_at: (self.clock)() };
        let bytes = Bytes::from(self.checkpoint.print(&header));
        let expect = self.etag.clone().map_or(Expect::Absent, Expect::Match);
        crash::point("before the commit");
        let etag = self.store.write(&self.names.state(), bytes, expect).await?;
        crash::point("after the commit");
        self.etag = Some(etag);
        self.backup_due |= hour(self.written_at) != hour(header.written_at);
        self.written_at = header.written_at;
        self.unwritten = Unwritten::default();
        self.committed = Some(self.said());
        Ok(())
    }

    fn said(&self) -> Said {
        let checkpoint = &self.checkpoint;
        let remembered = checkpoint.memory.as_ref().map(|memory| memory.at);
        (
            checkpoint.position,
            checkpoint.basis,
            checkpoint.answered,
            remembered,
            checkpoint.delivered.len(),
            checkpoint.next_sequence,
        )
    }

    /// Reads what stands in the way. True when it is this ledger's own write, whose answer was lost; else it is merged.
    async fn meet_the_other(&mut self) -> Result<bool, Stop> {
        let Some(stored) = self.store.read(&self.names.state()).await? else {
            self.etag = None;
            return Ok(false);
        };
        let now = (self.clock)().max(self.checkpoint.position.watermark);
        let (other, header) = match Checkpoint::parse(&stored.bytes, now) {
            Ok(read) => read,
            Err(error) => return Err(Stop::failed(FailureClass::Transient, Phase::Checkpoint, error.to_string())),
        };
        self.etag = Some(stored.etag);
        if header.writer == self.writer && other.generation == self.checkpoint.generation {
            self.unwritten = Unwritten::default();
            return Ok(true);
        }
        self.conflicts += 1;
        self.checkpoint = self.checkpoint.clone().merge(&other);
        Ok(false)
    }

    /// Keeps a copy of the committed checkpoint once an hour, a day of them.
    pub(super) async fn back_up(&mut self) -> Result<(), Stop> {
        if !self.backup_due || self.keeping == Keeping::InMemory {
            return Ok(());
        }
        let now = (self.clock)();
        let header = Header { writer: self.writer.clone(), written_at: now };
        let name = self.names.backup(hour(now).rem_euclid(24));
        crash::point("before the backup");
        self.store.write(&name, Bytes::from(self.checkpoint.print(&header)), Expect::Anything).await?;
        crash::point("after the backup");
        self.backup_due = false;
        Ok(())
    }
}
