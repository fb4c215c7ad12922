//! What a disk counts.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// What the disk can do right now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    Working,
    /// It has no room, and is only read until it has.
    Full,
    /// It failed, and is not used until it is tried again.
    Out,
}

/// A look at a disk. Counts are since it was opened; bytes are bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figures {
    pub health: Health,
    /// Keys in the index, those removed lately included.
    pub objects: u64,
    pub index_bytes: u64,
    pub segments: u64,
    /// What segments take, and how much of it objects.
    pub size_bytes: u64,
    pub live_bytes: u64,
    /// Waiting to be written.
    pub queued: u64,
    pub queued_bytes: u64,
    pub written: u64,
    pub written_bytes: u64,
    /// Written again with other metadata, since they were found valid.
    pub rewritten: u64,
    pub rewritten_bytes: u64,
    /// Carried over by eviction because they were used.
    pub carried: u64,
    pub carried_bytes: u64,
    pub evicted_segments: u64,
    pub evicted_objects: u64,
    /// Written again soon after they were evicted unused.
    pub ghost_hits: u64,
    /// Not written because too much waited, or the disk was full.
    pub skipped: u64,
    /// Read without waiting, and by the threads that wait.
    pub reads_prompt: u64,
    pub reads_waited: u64,
    /// Reads refused since too many waited.
    pub reads_refused: u64,
    /// Records dropped because a checksum did not fit.
    pub damaged: u64,
    /// Removals that are still to be written: a crash would undo them.
    pub owed: u64,
    /// Times that the device had no room.
    pub full: u64,
    /// Errors of the device or its file system.
    pub errors: u64,
    /// Times that it was given up for a while.
    pub outages: u64,
    /// Whether this process is the one that evicts.
    pub evicts: bool,
}

/// The counters behind it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    health: AtomicU8,
    pub(crate) written: Count,
    pub(crate) written_bytes: Count,
    pub(crate) rewritten: Count,
    pub(crate) rewritten_bytes: Count,
    pub(crate) carried: Count,
    pub(crate) carried_bytes: Count,
    pub(crate) evicted_segments: Count,
    pub(crate) evicted_objects: Count,
    pub(crate) ghost_hits: Count,
    pub(crate) skipped: Count,
    pub(crate) reads_prompt: Count,
    pub(crate) reads_waited: Count,
    pub(crate) reads_refused: Count,
    pub(crate) damaged: Count,
    pub(crate) full: Count,
    pub(crate) errors: Count,
    pub(crate) outages: Count,
    /// 1 while this process evicts.
    pub(crate) evicts: Count,
}

#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Counters {
    pub(crate) fn health(&self) -> Health {
        match self.health.load(Ordering::Relaxed) {
            0 => Health::Working,
            1 => Health::Full,
            _ => Health::Out,
        }
    }

    /// A disk that is out stays out until it is [`Counters::back`].
    pub(crate) fn turn(&self, health: Health) {
        let keep = |old| (old != number(Health::Out)).then_some(number(health));
        // Nothing is turned where it is out.
        self.health.fetch_update(Ordering::Relaxed, Ordering::Relaxed, keep).ok();
    }

    /// It was out, and is like this from now on.
    pub(crate) fn back(&self, health: Health) {
        self.health.store(number(health), Ordering::Relaxed);
    }
}

fn number(health: Health) -> u8 {
    match health {
        Health::Working => 0,
        Health::Full => 1,
        Health::Out => 2,
    }
}
