//! The saved document of one instance and source: what has been delivered, as statements that stay true.
//!
//! A checkpoint claims only what an answer proved and what Azure accepted. Two true checkpoints merge into a true one, so
//! a lost lease, a second instance, a crash or a restored backup can repeat rows but never lose one. Where the document
//! lies is [`crate::store`]'s business; which slices follow from it is [`crate::window`]'s.

mod document;
mod moved;

pub use document::{EARLIEST, Glance, Header, SCHEMA, Unreadable};

use crate::instant::Instant;
use crate::key::Key;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

/// More keys than this are not kept: about 4 MiB of document. See [`Checkpoint::prune`].
pub const MOST_KEYS: usize = 150_000;

/// The state of one instance and source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// How far reading has come.
    pub position: Position,
    /// Which of an alert's times the appliance's window means.
    pub basis: Basis,
    /// When the basis was last found out; the epoch when it never was.
    pub basis_checked: Instant,
    /// Whether the appliance has ever answered the question for a window. One that never did may lack a permission or a
    /// licence.
    pub answered: bool,
    /// What the last look at the state of the appliance left to be remembered.
    pub memory: Option<Memory>,
    /// What was delivered or dead-lettered since the floor.
    pub delivered: Delivered,
    /// The `IngestSeq` of the next row.
    pub next_sequence: u64,
    /// Counts commits. A merge goes on from the larger one.
    pub generation: u64,
}

/// How far reading has come, in the appliance's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Nothing before it is asked for: the begin of the first run's look-back, later the oldest kept key.
    pub floor: Instant,
    /// Every record up to here that was visible when its window was read has been delivered.
    pub watermark: Instant,
    /// The begin of the last sweep that came to its end.
    pub swept: Instant,
    /// The sweep in progress.
    pub sweep: Option<Sweep>,
    /// How wide the next windows are; it shrinks where an answer did not fit into a run.
    pub width: Duration,
}

/// What a look at the state of the appliance left for the next one. Its text is the business of whoever looked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    /// When that was: of two memories the later one counts.
    pub at: Instant,
    /// What is to be remembered.
    pub text: String,
    /// Whether the appliance has ever answered such a look. That it could not be reached is remembered as well.
    pub answered: bool,
}

impl Memory {
    /// The later of two.
    fn merge(self, other: Self) -> Self {
        let answered = self.answered || other.answered;
        Self { answered, ..self.max(other) }
    }
}

/// A sweep in progress: it reads up to its own begin, because what became visible before that is what it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sweep {
    /// When it began.
    pub start: Instant,
    /// What it asks for next. Saved, so that a sweep that is killed at every tick still comes to its end.
    pub next: Instant,
}

/// The time that `starttime` and `endtime` of `/modelbreaches` are compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// Not found out yet: read as if the appliance ignored `creationtime`, with the long look-back.
    #[default]
    Unknown,
    /// When the record was created: `creationtime=true` is honoured.
    Creation,
    /// When the activity began: an older appliance that ignores the parameter.
    Activity,
}

impl Checkpoint {
    /// The checkpoint of a first run that begins at `from`; `now` is the appliance's time, `deep` how far back a sweep reads.
    #[must_use]
    pub fn first(from: Instant, now: Instant, deep: Duration, width: Duration) -> Self {
        let swept = (from + deep).min(now);
        Self {
            position: Position { floor: from, watermark: from, swept, sweep: None, width },
            basis: Basis::Unknown,
            basis_checked: Instant(0),
            answered: false,
            memory: None,
            delivered: Delivered::default(),
            next_sequence: 1,
            generation: 0,
        }
    }

    /// The union of what two checkpoints of the same instance and source claim: commutative, associative, idempotent.
    #[must_use]
    pub fn merge(self, other: &Self) -> Self {
        let (a, b) = (self.position, other.position);
        let (swept, sweep) = (a.swept, a.sweep).max((b.swept, b.sweep));
        let (basis_checked, basis) = (self.basis_checked, self.basis).max((other.basis_checked, other.basis));
        let position = Position {
            floor: a.floor.max(b.floor),
            watermark: a.watermark.max(b.watermark),
            swept,
            sweep,
            width: a.width.min(b.width),
        };
        let mut delivered = self.delivered;
        delivered.extend(&other.delivered);
        delivered.forget_before(position.floor);
        Self {
            position,
            basis,
            basis_checked,
            answered: self.answered || other.answered,
            memory: match (self.memory, other.memory.clone()) {
                (Some(one), Some(other)) => Some(one.merge(other)),
                (one, other) => one.or(other),
            },
            delivered,
            next_sequence: self.next_sequence.max(other.next_sequence),
            generation: self.generation.max(other.generation),
        }
    }

    /// Drops the keys that no window can bring back: those before `horizon`, and the oldest ones beyond [`MOST_KEYS`], but
    /// none after `recent`. The floor rises with them, so that a dropped key is never needed again. Returns whether keys
    /// had to go early, which shortens the reach of the sweep.
    pub fn prune(&mut self, horizon: Instant, recent: Instant) -> bool {
        let crowded = self.delivered.oldest_beyond(MOST_KEYS).map(|at| at.min(recent));
        let early = crowded.is_some_and(|at| at > horizon);
        let floor = horizon.max(crowded.unwrap_or(horizon)).max(self.position.floor);
        self.position.floor = floor;
        self.delivered.forget_before(floor);
        early
    }
}

impl Checkpoint {
    /// Drops the keys before `horizon` and leaves the floor where it is: for a pass that never looks back beyond it.
    pub fn forget_before(&mut self, horizon: Instant) {
        self.delivered.forget_before(horizon);
    }
}

/// The keys of what was delivered, each with the latest minute at which its record can still be returned by a window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Minutes since the epoch fit into 32 bits for four thousand years, and there are many of them.
    keys: HashMap<Key, i32, BuildHasherDefault<KeyHasher>>,
}

impl Delivered {
    /// Whether the record of this key was delivered.
    #[must_use]
    pub fn contains(&self, key: Key) -> bool {
        self.keys.contains_key(&key)
    }

    /// Remembers a key until windows have passed `latest`, the latest of its record's times.
    pub fn insert(&mut self, key: Key, latest: Instant) {
        self.insert_minute(key, minute_of(latest));
    }

    /// Whether a key is kept, but not until `latest`.
    #[must_use]
    pub fn ends_before(&self, key: Key, latest: Instant) -> bool {
        self.keys.get(&key).is_some_and(|kept| *kept < minute_of(latest))
    }

    /// How many keys there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    fn insert_minute(&mut self, key: Key, minute: i32) {
        let kept = self.keys.entry(key).or_insert(minute);
        *kept = minute.max(*kept);
    }

    fn extend(&mut self, other: &Self) {
        for (&key, &minute) in &other.keys {
            self.insert_minute(key, minute);
        }
    }

    fn forget_before(&mut self, horizon: Instant) {
        let minute = minute_of(horizon);
        self.keys.retain(|_, kept| *kept >= minute);
        if self.keys.len() < self.keys.capacity() / 4 {
            self.keys.shrink_to_fit();
        }
    }

    /// The minute from which on only `most` keys are left, when there are more than that.
    fn oldest_beyond(&self, most: usize) -> Option<Instant> {
        let surplus = self.keys.len().checked_sub(most).filter(|n| *n > 0)?;
        let mut minutes: Vec<i32> = self.keys.values().copied().collect();
        let (_, last_to_go, _) = minutes.select_nth_unstable(surplus - 1);
        Some(Instant((i64::from(*last_to_go) + 1) * 60_000))
    }

    /// Minute by minute, ascending.
    fn by_minute(&self) -> Vec<(i32, Key)> {
        let mut all: Vec<(i32, Key)> = self.keys.iter().map(|(key, minute)| (*minute, *key)).collect();
        all.sort_unstable();
        all
    }
}

fn minute_of(at: Instant) -> i32 {
    i32::try_from(at.minute()).unwrap_or(if at.0 < 0 { i32::MIN } else { i32::MAX })
}

/// Takes the hash that a [`Key`] is.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, value: u64) {
        self.0 ^= value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DEEP: Duration = Duration::from_secs(24 * 3600);

    fn key(n: u64) -> Key {
        Key::of(&[&n.to_le_bytes()])
    }

    fn at(minute: i64) -> Instant {
        Instant(1_767_225_600_000 + minute * 60_000)
    }

    #[test]
    fn a_first_run_has_nothing_to_sweep() {
        let first = Checkpoint::first(at(0), at(60), DEEP, DEEP);
        assert_eq!(first.position.swept, at(60));
        assert_eq!(first.position.watermark, first.position.floor);
    }

    #[test]
    fn pruned_keys_raise_the_floor() {
        let mut checkpoint = Checkpoint::first(at(0), at(60), DEEP, DEEP);
        checkpoint.delivered.insert(key(1), at(5));
        checkpoint.delivered.insert(key(2), at(10));
        assert!(!checkpoint.prune(at(10), at(60)));
        assert_eq!(checkpoint.position.floor, at(10));
        assert!(!checkpoint.delivered.contains(key(1)));
        assert!(checkpoint.delivered.contains(key(2)));
    }

    #[test]
    fn too_many_keys_shorten_the_reach_but_never_the_recent_past() {
        let mut checkpoint = Checkpoint::first(at(0), at(60), DEEP, DEEP);
        for n in 0..MOST_KEYS as u64 + 10 {
            checkpoint.delivered.insert(key(n), at(if n < 20 { 1 } else { 50 }));
        }
        assert!(checkpoint.prune(at(0), at(45)));
        assert_eq!(checkpoint.delivered.len(), MOST_KEYS - 10);
        assert_eq!(checkpoint.position.floor, at(2));
    }

    #[test]
    fn a_key_that_grows_is_kept_for_its_latest_minute() {
        let mut delivered = Delivered::default();
        delivered.insert(key(1), at(5));
        delivered.insert(key(1), at(50));
        delivered.insert(key(1), at(7));
        delivered.forget_before(at(50));
        assert!(delivered.contains(key(1)));
    }

    #[test]
    fn a_key_that_ends_too_soon_is_told_from_one_that_lasts_and_one_that_is_not_there() {
        let mut delivered = Delivered::default();
        delivered.insert(key(1), at(5));
        assert!(delivered.ends_before(key(1), at(50)) && !delivered.ends_before(key(2), at(50)));
        delivered.insert(key(1), at(50));
        assert!(!delivered.ends_before(key(1), at(50)));
    }

    prop_compose! {
        fn any_checkpoint()(
            floor in 0_i64..50, ahead in 0_i64..500, swept in 0_i64..500, open in proptest::option::of((0_i64..500, 0_i64..500)),
            basis in 0_u8..3, checked in 0_i64..5, keys in proptest::collection::vec((0_u64..40, 0_i64..100), 0..30),
            next_sequence in 0_u64..100, generation in 0_u64..100, width in 1_u64..100, answered: bool,
            memory in proptest::option::of((0_i64..5, "[ab]{0,2}", proptest::bool::ANY)),
        ) -> Checkpoint {
            let mut delivered = Delivered::default();
            for (n, minute) in keys {
                delivered.insert(key(n), at(minute));
            }
            delivered.forget_before(at(floor));
            Checkpoint {
                position: Position {
                    floor: at(floor),
                    watermark: at(floor + ahead),
                    swept: at(swept),
                    sweep: open.map(|(start, next)| Sweep { start: at(start), next: at(next) }),
                    width: Duration::from_secs(width),
                },
                basis: [Basis::Unknown, Basis::Creation, Basis::Activity][basis as usize],
                basis_checked: at(checked),
                answered,
                memory: memory.map(|(minute, text, answered)| Memory { at: at(minute), text, answered }),
                delivered,
                next_sequence,
                generation,
            }
        }
    }

    proptest! {
        #[test]
        fn merging_does_not_depend_on_the_order(a in any_checkpoint(), b in any_checkpoint(), c in any_checkpoint()) {
            prop_assert_eq!(a.clone().merge(&b), b.clone().merge(&a));
            prop_assert_eq!(a.clone().merge(&b).merge(&c), a.merge(&b.merge(&c)));
        }

        #[test]
        fn merging_with_itself_changes_nothing(a in any_checkpoint()) {
            prop_assert_eq!(a.clone().merge(&a), a);
        }

        #[test]
        fn a_merge_keeps_every_key_above_its_floor(a in any_checkpoint(), b in any_checkpoint()) {
            let merged = a.clone().merge(&b);
            for (key, minute) in a.delivered.keys.iter().chain(&b.delivered.keys) {
                prop_assert!(*minute < minute_of(merged.position.floor) || merged.delivered.contains(*key));
            }
        }
    }
}
