//! Objects by name, found wherever they are: the only door of this crate.

mod body;
mod fill;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Moment;
use crate::fill::Limits;
use crate::key::{Key, Seed};
use crate::labels::Labels;
use crate::memory::{About, Hit, Memory, MemoryFigures, Size};
use crate::meta::Meta;
use crate::purge::{Manner, PurgeFault, PurgeFigures, Purges, Target, Verdict};
pub use body::{Body, Found, Tier};
pub use fill::{Fill, Stored};

/// Purges younger than this are never forgotten: a fill may have been stamped
/// and not be listed yet.
const GRACE: Duration = Duration::from_secs(60);

/// How large a store is, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// All that memory holds: bodies, metadata, names, running fills.
    pub memory: u64,
    /// A longer body is not kept.
    pub longest: u64,
    /// By how much readers may lag behind a body that is not kept.
    pub window: u64,
    /// Percent of memory for what is new, to begin with: what suits is found
    /// from what is asked for. Much suits popularity that drifts, little suits
    /// many names that are asked for once.
    pub small: u8,
    /// Purges that are told apart; beyond, they hit more than they were to.
    pub purges: usize,
}

/// What is known when a fill begins.
#[derive(Debug)]
pub struct Start<M> {
    pub key: Key,
    /// Until then the object may be of use, fresh or stale.
    pub keep_until: Moment,
    pub meta: M,
    pub labels: Labels,
    /// Of the body, if it was announced.
    pub length: Option<u64>,
}

/// An object that was validated.
#[derive(Debug)]
pub struct Validated<M> {
    pub key: Key,
    /// [`Found::created`] of what was validated.
    pub of: Moment,
    /// What [`Store::stamp`] said when its validation began.
    pub began: Moment,
    pub keep_until: Moment,
    pub meta: M,
    pub labels: Labels,
}

/// Keeps objects.
pub struct Store<M> {
    seed: Seed,
    memory: Arc<Memory<M>>,
    purges: Arc<Purges>,
    found: AtomicU64,
    followed: AtomicU64,
    missed: AtomicU64,
}

/// What a store is like, and what it has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub memory: MemoryFigures,
    pub purges: PurgeFigures,
    /// Look-ups that found a whole object in memory.
    pub found: u64,
    /// Look-ups that were led to a running fill.
    pub followed: u64,
    pub missed: u64,
}

impl Options {
    /// What suits a memory of so many bytes.
    pub fn of_memory(bytes: u64) -> Self {
        Self { memory: bytes, longest: bytes / 8, window: 256 << 10, small: 25, purges: 1 << 16 }
    }
}

impl<M: Meta> Store<M> {
    /// A store that lasts as long as the process.
    pub fn in_memory(options: Options) -> Self {
        Self::of(options, Purges::in_memory(options.purges))
    }

    /// A store whose purges are kept in these files, and shared with whoever
    /// has opened them too.
    pub fn open(options: Options, logs: &[PathBuf], now: Moment) -> Result<Self, PurgeFault> {
        Ok(Self::of(options, Purges::open(logs, options.purges, now)?))
    }

    /// The key of that name. The caller frames the parts of a name, so that no
    /// two objects share it.
    pub fn key(&self, name: &[u8]) -> Key {
        self.seed.key(name)
    }

    /// The newest object of that name that was not purged; also one that is on
    /// its way.
    pub fn find(&self, key: &Key, now: Moment) -> Option<Found<M>> {
        let (count, found) = match self.memory.find(key, now) {
            Some(Hit::Whole(object, verdict)) => {
                (&self.found, Some(Found::whole(&object, verdict)))
            }
            Some(Hit::Running(running, reader, verdict)) => {
                (&self.followed, Some(Found::running(&running, reader, verdict)))
            }
            None => (&self.missed, None),
        };
        count.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// The moment at which a fill or a validation begins: to be asked before the
    /// server is.
    pub fn stamp(&self, now: Moment) -> Moment {
        self.purges.begin(now)
    }

    /// Begins to fill an object; with what its first reader reads.
    ///
    /// `began` is what [`Store::stamp`] said before the server was asked: a
    /// purge since then hits it.
    pub fn begin(&self, start: Start<M>, began: Moment) -> (Fill<M>, Body) {
        let Start { key, keep_until, meta, labels, length } = start;
        let meta = Arc::new(meta);
        let about = About { key, created: began, keep_until, meta, labels };
        let (filling, reader) = self.memory.begin(about, length);
        (Fill::new(filling), Body::memory(reader))
    }

    /// The fill of that key with that [`Fill::tag`], while it is under way and
    /// has its beginning.
    pub fn follow(&self, key: &Key, tag: u64) -> Option<Found<M>> {
        let (running, reader) = self.memory.follow(key, tag)?;
        Some(Found::running(&running, reader, Verdict::Kept))
    }

    /// Gives an object the metadata that its validation brought. False if it
    /// has gone, is another by now, or was purged for good.
    pub fn replace_meta(&self, validated: Validated<M>) -> bool {
        let Validated { key, of, began, keep_until, meta, labels } = validated;
        let meta = Arc::new(meta);
        self.memory.replace_meta(of, About { key, created: began, keep_until, meta, labels })
    }

    /// Forgets an object, and what fills of it that are under way bring; their
    /// readers read on.
    pub fn remove(&self, key: &Key) -> bool {
        self.memory.remove(key)
    }

    /// Purges, at once whatever the number of objects; also what is on its
    /// way. An error says that the next process may not know of it.
    ///
    /// With files it writes 64 bytes a target and waits for the disk.
    pub fn purge(
        &self,
        targets: &[Target<'_>],
        manner: Manner,
        now: Moment,
    ) -> Result<Moment, PurgeFault> {
        self.purges.purge(targets, manner, now)
    }

    /// Learns what other processes have purged since; how many records were
    /// new. A system call for each file if there is nothing new.
    pub fn refresh(&self, now: Moment) -> Result<usize, PurgeFault> {
        self.purges.refresh(now)
    }

    /// Gives back what purged objects hold, and forgets purges that can hit
    /// nothing any more. Takes as long as there are objects: every few minutes.
    pub fn tidy(&self, now: Moment) {
        let recent = Moment::from_millis(now.millis().saturating_sub(GRACE.as_millis() as u64));
        let oldest = self.memory.sweep(now);
        self.purges.forget_before(oldest.map_or(recent, |oldest| oldest.min(recent)));
    }

    pub fn figures(&self) -> Figures {
        Figures {
            memory: self.memory.figures(),
            purges: self.purges.figures(),
            found: self.found.load(Ordering::Relaxed),
            followed: self.followed.load(Ordering::Relaxed),
            missed: self.missed.load(Ordering::Relaxed),
        }
    }

    fn of(options: Options, purges: Purges) -> Self {
        let purges = Arc::new(purges);
        let limits = Limits { longest: options.longest, window: options.window };
        let size = Size { capacity: options.memory, small: options.small, limits };
        Self {
            seed: Seed::random(),
            memory: Memory::new(size, purges.clone()),
            purges,
            found: AtomicU64::new(0),
            followed: AtomicU64::new(0),
            missed: AtomicU64::new(0),
        }
    }
}
