//! The objects in memory, complete or on their way: bounded in bytes, all
//! that belongs to an object counted.
//!
//! A hit takes a shared lock on one of many shards and writes nothing shared
//! but a count that is soon full. What is still read when it goes is no
//! longer counted.

mod object;
mod shard;
mod publish;
mod filling;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::clock::Moment;
use crate::fill::{Allowance, Limits, Parts, Reader, Writer};
use crate::key::Key;
use crate::meta::Meta;
use crate::purge::{Purges, Verdict};
use crate::queue::{Queue, Queued, Ranked};
use crate::tune::Tuner;
use crate::version::{FillId, Version};
pub(crate) use filling::{Filled, Filling};
pub(crate) use object::{About, Object, Running};
use publish::Origin;
pub(crate) use publish::Ticket;
use shard::Shard;

const SHARDS: usize = 64;

/// Names that share a count of changes.
const TICKETS: usize = 4096;

/// Places of the queue that are listed under one lock.
pub(crate) const LISTED: usize = 4096;

/// The objects in memory.
pub(crate) struct Memory<M> {
    shards: Box<[RwLock<Shard<M>>]>,
    /// Never locked by who then locks a shard.
    queue: Mutex<Queue<Arc<Object<M>>>>,
    tuner: Mutex<Tuner>,
    sample: u64,
    purges: Arc<Purges>,
    /// How often what is known of some names has changed.
    changes: Box<[AtomicU32]>,
    capacity: u64,
    // Invariant: what is queued and what fills have taken; at most `capacity`.
    used: AtomicU64,
    limits: Limits,
    evicted: AtomicU64,
    passed: AtomicU64,
}

/// How memory is to be used.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) capacity: u64,
    /// Percent for what is new.
    pub(crate) small: u8,
    pub(crate) limits: Limits,
}

/// What was found in memory.
pub(crate) enum Hit<M> {
    Whole(Arc<Object<M>>, Verdict),
    Running(Arc<Running<M>>, Reader, Verdict),
}

/// What memory holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MemoryFigures {
    pub objects: usize,
    /// All that is counted, running fills included.
    pub bytes: u64,
    pub capacity: u64,
    pub running: usize,
    /// Percent that is for what is new.
    pub small: u8,
    /// Names remembered of what was thrown out early.
    pub ghosts: usize,
    pub evicted: u64,
    /// Bodies for which there was no room.
    pub passed: u64,
}

impl<M: Meta> Memory<M> {
    pub(crate) fn new(size: Size, purges: Arc<Purges>) -> Arc<Self> {
        let tuner = Tuner::new(size.capacity, size.small);
        Arc::new(Self {
            shards: (0..SHARDS).map(|_| RwLock::new(Shard::new())).collect(),
            queue: Mutex::new(Queue::new(size.capacity, size.small)),
            sample: tuner.sample(),
            tuner: Mutex::new(tuner),
            purges,
            changes: (0..TICKETS).map(|_| AtomicU32::new(0)).collect(),
            capacity: size.capacity,
            used: AtomicU64::new(0),
            limits: size.limits,
            evicted: AtomicU64::new(0),
            passed: AtomicU64::new(0),
        })
    }

    /// The newest object of that name that was not purged; one on its way too.
    pub(crate) fn find(&self, key: &Key, now: Moment) -> Option<Hit<M>> {
        let shard = self.shard(key).read();
        let object = shard.object(key).cloned();
        let since = object.as_ref().map(|object| object.about.created);
        let running = shard.newest(key, since).cloned();
        drop(shard);
        if let Some(hit) = running.and_then(|running| self.join(running)) {
            return Some(hit);
        }
        let object = object?;
        match self.judge(&object) {
            _ if object.about.keep_until < now => self.forget(&object),
            Verdict::Gone => self.forget(&object),
            verdict => {
                object.use_once();
                self.tune(&object);
                return Some(Hit::Whole(object, verdict));
            }
        }
        None
    }

    /// Begins a fill, to which readers of its key come from now on.
    pub(crate) fn begin(
        self: &Arc<Self>,
        about: About<M>,
        length: Option<u64>,
    ) -> (Filling<M>, Reader) {
        let weight = about.weight();
        // Without room for its name there is none for its body either.
        let is_held = self.take(weight);
        let limits = match is_held {
            true => self.limits,
            false => Limits { longest: 0, ..self.limits },
        };
        let writer = Writer::new(self.clone(), limits, length);
        let reader = Reader::follow(writer.flow()).expect("it has just begun");
        let running = Arc::new(Running::new(about, writer.flow().clone()));
        self.shard(&running.about.key).write().add_running(running.clone());
        let taken = if is_held { weight } else { 0 };
        (Filling::new(self.clone(), running, writer, taken), reader)
    }

    /// That fill of the key while it is under way, purged or not.
    pub(crate) fn follow(&self, key: &Key, fill: FillId) -> Option<(Arc<Running<M>>, Reader)> {
        let shard = self.shard(key).read();
        let running = shard.running_of(key).find(|running| running.about.fill == fill)?.clone();
        drop(shard);
        let reader = Reader::follow(&running.flow)?;
        Some((running, reader))
    }

    /// What is known of a name now: for who brings something of it from elsewhere.
    pub(crate) fn ticket(&self, key: &Key) -> Ticket {
        Ticket(self.changes_of(key).load(Ordering::Acquire))
    }

    /// Keeps an object that comes from elsewhere, as if it had been used so often.
    /// False if it was purged, there is no room, or its name has changed since the
    /// ticket was taken.
    pub(crate) fn insert(&self, about: About<M>, parts: Parts, uses: u8, ticket: Ticket) -> bool {
        let object = Arc::new(Object::new(about, parts, uses));
        self.take(object.weight()) && self.publish(object, Origin::Elsewhere(ticket)).is_some()
    }

    /// Gives an object other metadata, its body as it is; `of` and no other. None
    /// if that has gone or was purged.
    pub(crate) fn replace_meta(
        &self,
        of: Version,
        about: About<M>,
    ) -> Option<(Arc<Object<M>>, Ticket)> {
        let held = self.shard(&about.key).read().object(&about.key).cloned();
        let old = held.filter(|old| old.about.version() == of)?;
        if self.judge(&old) == Verdict::Gone {
            return None;
        }
        let new = Arc::new(Object::new(about, old.parts.clone(), old.uses()));
        let more = new.weight().saturating_sub(old.weight());
        if !self.take(more) {
            self.forget(&old);
            return None;
        }
        let ticket = self.exchange(&old, new.clone());
        let less = old.weight().saturating_sub(new.weight());
        self.give(if ticket.is_some() { less } else { more });
        ticket.map(|ticket| (new, ticket))
    }

    /// What is in some places of the queue from this one on, in no order, and how
    /// late it goes; None when there are no more places.
    pub(crate) fn ranked(&self, from: usize) -> Option<Vec<Ranked<Arc<Object<M>>>>> {
        self.queue.lock().ranked(from, LISTED)
    }

    /// Whether there is an object of that name; not a use of it.
    pub(crate) fn holds(&self, key: &Key) -> bool {
        self.shard(key).read().object(key).is_some()
    }

    /// Whether this very object is what its name has.
    pub(crate) fn has(&self, object: &Arc<Object<M>>) -> bool {
        let shard = self.shard(&object.about.key).read();
        shard.object(&object.about.key).is_some_and(|held| Arc::ptr_eq(held, object))
    }

    /// Whether so many bytes fit without anything going for them.
    pub(crate) fn has_room(&self, bytes: u64) -> bool {
        self.used.load(Ordering::Relaxed).saturating_add(bytes) <= self.capacity
    }

    /// Forgets an object, and keeps nothing of fills of it that are under way.
    pub(crate) fn remove(&self, key: &Key) -> bool {
        let mut shard = self.shard(key).write();
        self.change(key);
        shard.running_of(key).for_each(|running| running.doom());
        let Some(object) = shard.take(key) else { return false };
        let left = self.leave(&object);
        drop(shard);
        left
    }

    /// Forgets what was purged or is of no use any more; when the oldest object
    /// was created that is left. Takes as long as there are objects.
    pub(crate) fn sweep(&self, now: Moment) -> Option<Moment> {
        let mut oldest: Option<Moment> = None;
        for shard in &self.shards {
            let shard = shard.read();
            let objects: Vec<_> = shard.objects.iter().cloned().collect();
            let running = shard.running.iter().map(|running| running.about.created).min();
            drop(shard);
            let mut kept = running;
            for object in objects {
                if object.about.keep_until < now || self.judge(&object) == Verdict::Gone {
                    self.forget(&object);
                } else {
                    kept = kept.into_iter().chain([object.about.created]).min();
                }
            }
            oldest = oldest.into_iter().chain(kept).min();
        }
        oldest
    }

    pub(crate) fn figures(&self) -> MemoryFigures {
        let running = self.shards.iter().map(|shard| shard.read().running.len()).sum();
        let queue = self.queue.lock();
        MemoryFigures {
            objects: queue.count(),
            bytes: self.used.load(Ordering::Relaxed),
            capacity: self.capacity,
            running,
            small: queue.small(),
            ghosts: queue.ghosts(),
            evicted: self.evicted.load(Ordering::Relaxed),
            passed: self.passed.load(Ordering::Relaxed),
        }
    }

    fn join(&self, running: Arc<Running<M>>) -> Option<Hit<M>> {
        let verdict = self.purges.judge(&running.about.labels, running.about.created);
        if verdict == Verdict::Gone {
            return None;
        }
        let reader = Reader::follow(&running.flow)?;
        running.join();
        Some(Hit::Running(running, reader, verdict))
    }

    /// What purges say of it; asked again only when there are others.
    fn judge(&self, object: &Object<M>) -> Verdict {
        let generation = self.purges.generation();
        if object.kept_at() == generation {
            return Verdict::Kept;
        }
        let verdict = self.purges.judge(&object.about.labels, object.about.created);
        if verdict == Verdict::Kept {
            object.keep_at(generation);
        }
        verdict
    }

    /// Lets a use count for what is kept. Of those that come at the same time
    /// one is enough.
    fn tune(&self, object: &Arc<Object<M>>) {
        let fingerprint = object.fingerprint();
        if !Tuner::is_sampled(self.sample, fingerprint) {
            return;
        }
        let Some(mut tuner) = self.tuner.try_lock() else { return };
        if let Some(small) = tuner.see(fingerprint, object.weight()) {
            drop(tuner);
            self.queue.lock().set_small(small);
        }
    }

    /// Takes this very object out of the table and the queue.
    fn forget(&self, object: &Arc<Object<M>>) {
        let mut shard = self.shard(&object.about.key).write();
        let held = shard.take_if(object);
        if held.is_some() {
            self.leave(object);
        }
        drop(shard);
    }

    /// Takes an object out of the queue; false if it was thrown out already.
    fn leave(&self, object: &Arc<Object<M>>) -> bool {
        let removed = self.queue.lock().remove(object.place(), object);
        if removed.is_some() {
            self.give(object.weight());
        }
        removed.is_some()
    }

    /// Throws out one object; false if there is none.
    fn evict(&self) -> bool {
        let evicted = self.queue.lock().evict();
        let Some(object) = evicted else { return false };
        let mut shard = self.shard(&object.about.key).write();
        let held = shard.take_if(&object);
        drop(shard);
        drop(held);
        self.evicted.fetch_add(1, Ordering::Relaxed);
        self.give(object.weight());
        true
    }

    fn changes_of(&self, key: &Key) -> &AtomicU32 {
        &self.changes[(key.hash() >> 64) as usize % TICKETS]
    }

    fn shard(&self, key: &Key) -> &RwLock<Shard<M>> {
        // The table uses the low bits of this half, and its highest seven.
        &self.shards[(key.hash() >> 32) as usize % SHARDS]
    }
}

impl<M: Meta> Allowance for Memory<M> {
    /// Makes room for bytes, and takes them.
    fn take(&self, bytes: u64) -> bool {
        if bytes > self.capacity {
            return false;
        }
        loop {
            let fits = |used: u64| used.checked_add(bytes).filter(|sum| *sum <= self.capacity);
            if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok() {
                return true;
            }
            // Ends: each round throws one out, and others add only what fits.
            if !self.evict() {
                return false;
            }
        }
    }

    fn give(&self, bytes: u64) {
        self.used.fetch_sub(bytes, Ordering::Relaxed);
    }
}
