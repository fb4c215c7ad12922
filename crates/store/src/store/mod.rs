//! Objects by name, found wherever they are: the only door of this crate.

mod disks;
mod body;
mod inner;
mod hot;
mod fill;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::disk::{self, Disk, HotFault};
use crate::key::Key;
use crate::labels::Labels;
use crate::memory::{About, MemoryFigures};
use crate::meta::Meta;
use crate::purge::{Manner, PurgeFault, PurgeFigures, Purges, Target, Verdict};
use crate::version::{FillId, Version};
pub use body::{Body, Found, Tier};
pub use fill::{Fill, Stored};
pub use hot::Warmed;
use inner::Inner;

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
    /// An object on a disk that is no longer than this moves into memory when
    /// it is asked for; the kernel's cache has the others.
    pub promoted: u64,
    /// What the disks are given.
    pub admit: Admit,
    /// Percent of memory for what is new, to begin with: what suits is found
    /// from what is asked for. Much suits popularity that drifts, little suits
    /// many names that are asked for once.
    pub small: u8,
    /// Purges that are told apart; beyond, they hit more than they were to.
    pub purges: usize,
}

/// What a disk is given of what is fetched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Admit {
    #[default]
    Always,
    /// What is asked for again, while memory has it or within a million or two of other names.
    SecondHit,
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
    /// [`Found::version`] of what was validated.
    pub of: Version,
    /// What [`Store::stamp`] said when its validation began.
    pub began: Moment,
    pub keep_until: Moment,
    pub meta: M,
    pub labels: Labels,
}

/// Keeps objects.
pub struct Store<M: Meta>(Arc<Inner<M>>);

/// What a store is like, and what it has done so far.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    pub memory: MemoryFigures,
    pub purges: PurgeFigures,
    pub disks: Vec<disk::Figures>,
    /// Look-ups that found a whole object in memory.
    pub found: u64,
    /// Look-ups that were led to a running fill.
    pub followed: u64,
    /// Look-ups that found an object on a disk.
    pub loaded: u64,
    /// Objects that moved from a disk into memory.
    pub promoted: u64,
    /// Objects that no disk was given when they were fetched ([`Admit::SecondHit`]).
    pub deferred: u64,
    pub missed: u64,
}

impl Options {
    /// What suits a memory of so many bytes.
    pub fn of_memory(bytes: u64) -> Self {
        Self {
            memory: bytes,
            longest: bytes / 8,
            window: 256 << 10,
            promoted: 128 << 10,
            admit: Admit::Always,
            small: 25,
            purges: 1 << 16,
        }
    }
}

impl<M: Meta> Store<M> {
    /// A store that lasts as long as the process.
    pub fn in_memory(options: Options) -> Self {
        let purges = Purges::in_memory(options.purges);
        Self(Inner::new(options, purges, Vec::new()))
    }

    /// A store in front of disks, whose purges are kept in these files, and
    /// shared with whoever has opened them too: one beside each disk.
    pub fn open(
        options: Options,
        disks: Vec<Disk>,
        logs: &[PathBuf],
        now: Moment,
    ) -> Result<Self, PurgeFault> {
        let purges = Purges::open(logs, options.purges, now)?;
        Ok(Self(Inner::new(options, purges, disks)))
    }

    /// The key of that name. The caller frames the parts of a name, so that no
    /// two objects share it.
    pub fn key(&self, name: &[u8]) -> Key {
        self.0.seed.key(name)
    }

    /// The newest object of that name that was not purged, wherever it is; also
    /// one that is on its way. Waits for disks alone.
    pub async fn find(&self, key: &Key, now: Moment) -> Option<Found<M>> {
        self.0.find(key, now).await
    }

    /// The moment at which a fill or a validation begins: to be asked before the
    /// server is.
    pub fn stamp(&self, now: Moment) -> Moment {
        self.0.purges.begin(now)
    }

    /// Begins to fill an object; with what its first reader reads.
    ///
    /// `began` is what [`Store::stamp`] said before the server was asked: a
    /// purge since then hits it.
    pub fn begin(&self, start: Start<M>, began: Moment) -> (Fill<M>, Body) {
        let Start { key, keep_until, meta, labels, length } = start;
        let meta = Arc::new(meta);
        let fill = self.0.fills.next();
        let about = About { key, fill, created: began, keep_until, meta, labels };
        let (filling, reader) = self.0.memory.begin(about, length);
        (Fill::new(filling, self.0.clone()), Body::memory(reader))
    }

    /// That fill of the key ([`Fill::id`]), while it is under way and has its
    /// beginning.
    pub fn follow(&self, key: &Key, fill: FillId) -> Option<Found<M>> {
        let (running, reader) = self.0.memory.follow(key, fill)?;
        Some(Found::running(&running, reader, Verdict::Kept))
    }

    /// Gives an object the metadata that its validation brought, wherever it
    /// is. False if it has gone, is another by now, or was purged for good.
    pub async fn replace_meta(&self, validated: Validated<M>) -> bool {
        self.0.replace_meta(validated).await
    }

    /// Forgets an object, and what fills of it that are under way bring; their
    /// readers read on. Other processes forget what they have of it on the disk
    /// that was created before, within seconds; a purge makes that at once, and
    /// hits their memory too. False if there was none, and there are no others.
    pub fn remove(&self, key: &Key, now: Moment) -> bool {
        self.0.remove(key, now)
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
        self.0.purges.purge(targets, manner, now)
    }

    /// Learns what other processes have purged since; how many records were
    /// new. A system call for each file if there is nothing new.
    pub fn refresh(&self, now: Moment) -> Result<usize, PurgeFault> {
        self.0.purges.refresh(now)
    }

    /// Gives back what purged objects hold, and forgets purges that can hit
    /// nothing any more. Takes as long as there are objects: every few minutes.
    pub fn tidy(&self, now: Moment) {
        self.0.disks.iter().for_each(|disk| disk.notice(now));
        let recent = Moment::from_millis(now.millis().saturating_sub(GRACE.as_millis() as u64));
        let oldest = self.0.memory.sweep(now).into_iter().chain(self.0.disks.oldest());
        self.0.purges.forget_before(oldest.chain([recent]).min().unwrap_or(recent));
    }

    /// Lists what is in memory beside the disks, for the next start: every few
    /// minutes, and before [`Store::close`].
    pub async fn save_hot(&self, now: Moment) -> Result<(), HotFault> {
        self.0.save_hot(now).await
    }

    /// Moves back into memory what was there when the last list was written, and
    /// is on the disks still: at most so many bytes,
    /// and as many as memory has room for. A list that is damaged or of another
    /// store is passed over. Once; for who can wait, beside requests.
    pub async fn warm(&self, budget: u64, now: Moment) -> Warmed {
        self.0.warm(budget, now).await
    }

    /// Waits until the disks have what they were given before; what a disk
    /// skipped it does not have.
    pub async fn flush(&self) {
        for disk in self.0.disks.iter() {
            // A disk that is out has nothing to wait for.
            disk.flush().await.ok();
        }
    }

    /// Waits until the disks have all they were given, and leaves them; with a
    /// fill that is still under way it leaves them when that ends.
    pub async fn close(self) {
        let Some(inner) = Arc::into_inner(self.0) else { return };
        for disk in inner.disks.into_all() {
            disk.close().await;
        }
    }

    /// Leaves eviction to the process that comes after this one.
    pub fn retire(&self) {
        for disk in self.0.disks.iter() {
            disk.retire().ok();
        }
    }

    pub fn figures(&self) -> Figures {
        self.0.figures()
    }
}
