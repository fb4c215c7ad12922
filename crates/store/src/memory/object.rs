//! A complete object in memory, and one that is on its way.

use std::mem::size_of;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use crate::clock::Moment;
use crate::fill::{Flow, Parts};
use crate::key::Key;
use crate::labels::Labels;
use crate::meta::Meta;
use crate::queue::{MOST_USES, Place, Queued};
use crate::version::{FillId, Version};

/// What an object costs in the table, the queue, the copies that tune it, and
/// the names remembered after it has gone.
const INDEX_BYTES: u64 = 104;

/// What allocations cost that a weight does not see: the counts of an `Arc`,
/// and what an allocator rounds up.
const HEAP_BYTES: u64 = 64;

/// What is known of an object besides its body.
#[derive(Debug)]
pub(crate) struct About<M> {
    pub(crate) key: Key,
    /// What brought, or brings, the body.
    pub(crate) fill: FillId,
    /// When its fill or its last validation began.
    pub(crate) created: Moment,
    /// Until then it may be of use.
    pub(crate) keep_until: Moment,
    pub(crate) meta: Arc<M>,
    pub(crate) labels: Labels,
}

/// An object in memory.
#[derive(Debug)]
pub(crate) struct Object<M> {
    pub(crate) about: About<M>,
    pub(crate) parts: Parts,
    weight: u64,
    /// The generation of the purges that kept it last.
    kept_at: AtomicU64,
    place: AtomicU32,
    uses: AtomicU8,
    /// A disk is to be given it when it is used again.
    deferred: AtomicBool,
}

/// An object on its way.
pub(crate) struct Running<M> {
    pub(crate) about: About<M>,
    pub(crate) flow: Arc<Flow>,
    doomed: AtomicBool,
    joined: AtomicU8,
}

impl<M: Meta> About<M> {
    pub(crate) fn version(&self) -> Version {
        Version { fill: self.fill, created: self.created }
    }

    /// Bytes of memory, its own size included.
    pub(crate) fn weight(&self) -> u64 {
        let heap = self.key.bytes().len() + self.meta.weight() + self.labels.weight();
        (size_of::<Object<M>>() + heap) as u64 + INDEX_BYTES + HEAP_BYTES
    }
}

impl<M: Meta> Object<M> {
    pub(crate) fn new(about: About<M>, parts: Parts, uses: u8) -> Self {
        let weight = about.weight() + parts.weight();
        Self {
            about,
            parts,
            weight,
            kept_at: AtomicU64::new(0),
            place: AtomicU32::new(u32::MAX),
            uses: AtomicU8::new(uses.min(MOST_USES)),
            deferred: AtomicBool::new(false),
        }
    }
}

impl<M> Object<M> {
    pub(crate) fn weight(&self) -> u64 {
        self.weight
    }

    pub(crate) fn use_once(&self) {
        let uses = self.uses.load(Ordering::Relaxed);
        // Most hits of what is hot write nothing. One that is lost is no loss.
        if uses < MOST_USES {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
    }

    pub(crate) fn uses(&self) -> u8 {
        self.uses.load(Ordering::Relaxed)
    }

    /// No disk was given it: that is done when it is used again.
    pub(crate) fn defer(&self) {
        self.deferred.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_deferred(&self) -> bool {
        self.deferred.load(Ordering::Relaxed)
    }

    /// True once after it was deferred.
    pub(crate) fn take_deferred(&self) -> bool {
        self.deferred.swap(false, Ordering::Relaxed)
    }

    pub(crate) fn kept_at(&self) -> u64 {
        self.kept_at.load(Ordering::Relaxed)
    }

    pub(crate) fn keep_at(&self, generation: u64) {
        self.kept_at.store(generation, Ordering::Relaxed);
    }

    pub(crate) fn place(&self) -> Place {
        Place(self.place.load(Ordering::Relaxed))
    }

    /// Under the lock of the queue, as all that asks for the place.
    pub(crate) fn put_at(&self, place: Place) {
        self.place.store(place.0, Ordering::Relaxed);
    }
}

impl<M> Running<M> {
    pub(crate) fn new(about: About<M>, flow: Arc<Flow>) -> Self {
        let (doomed, joined) = (AtomicBool::new(false), AtomicU8::new(0));
        Self { about, flow, doomed, joined }
    }

    /// Nothing of it is to be kept or shared.
    pub(crate) fn doom(&self) {
        self.doomed.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_doomed(&self) -> bool {
        self.doomed.load(Ordering::Relaxed)
    }

    pub(crate) fn join(&self) {
        let joined = self.joined.load(Ordering::Relaxed);
        self.joined.store(joined.saturating_add(1), Ordering::Relaxed);
    }

    /// Who joined it has used it.
    pub(crate) fn uses(&self) -> u8 {
        self.joined.load(Ordering::Relaxed).min(MOST_USES)
    }
}

impl<M> Queued for Arc<Object<M>> {
    fn weight(&self) -> u64 {
        self.weight
    }

    fn fingerprint(&self) -> u64 {
        // The table uses the other half.
        (self.about.key.hash() >> 64) as u64
    }

    fn uses(&self) -> u8 {
        self.as_ref().uses()
    }

    fn set_uses(&self, uses: u8) {
        self.uses.store(uses, Ordering::Relaxed);
    }

    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(self, other)
    }
}
