//! A checkpoint that an operator looks at, and may replace by hand: read without a run, written under its lease.

use super::Names;
use crate::checkpoint::{Checkpoint, Glance, Header, Position, Unreadable};
use crate::cycle::operate::OperateError;
use crate::instant::Instant;
use crate::store::{Expect, Store, Stored};
use bytes::Bytes;
use tokio::sync::Mutex;

/// The place that the checkpoint of `names` says, by our clock `now`; `None` when there is none. All that look at once share
/// `turn`, and runs are let in between two of them: a large document takes its time, and there is one thread.
pub(in crate::cycle) async fn glance(
    store: &Store,
    names: &Names,
    now: Instant,
    turn: &Mutex<()>,
) -> Result<Option<Glance>, OperateError> {
    let Some(stored) = store.read(&names.state()).await? else { return Ok(None) };
    let _turn = turn.lock().await;
    tokio::task::yield_now().await;
    Ok(Some(Checkpoint::glance(&stored.bytes, now)?))
}

/// A checkpoint as it is stored.
#[derive(Debug)]
pub(in crate::cycle) struct Standing {
    pub(in crate::cycle) checkpoint: Checkpoint,
    stored: Stored,
}

impl Standing {
    /// The checkpoint of `names`, by our clock `now`; `None` when there is none. Nothing is repaired: that is what runs do.
    pub(in crate::cycle) async fn read(
        store: &Store,
        names: &Names,
        now: Instant,
    ) -> Result<Option<Self>, OperateError> {
        let Some(stored) = store.read(&names.state()).await? else { return Ok(None) };
        let (checkpoint, _) = Checkpoint::parse(&stored.bytes, now)?;
        Ok(Some(Self { checkpoint, stored }))
    }

    /// Writes the checkpoint with another position in place of exactly the version that was read, which is kept beside it
    /// first. Returns where. A position that no run could use is refused.
    pub(in crate::cycle) async fn replace(
        mut self,
        position: Position,
        store: &Store,
        names: &Names,
        now: Instant,
    ) -> Result<String, OperateError> {
        let kept = names.before_move(now, self.checkpoint.generation);
        self.checkpoint.position = position;
        self.checkpoint.generation += 1;
        let header = Header { writer: uuid::Uuid::new_v4().to_string(), written_at: now };
        let document = self.checkpoint.print(&header);
        if let Err(Unreadable::Corrupt(why)) = Checkpoint::parse(&document, now) {
            return Err(OperateError::Refused(format!("no run could go on from that position: {why}")));
        }
        store.write(&kept, self.stored.bytes, Expect::Anything).await?;
        store.write(&names.state(), Bytes::from(document), Expect::Match(self.stored.etag)).await?;
        Ok(kept)
    }
}
