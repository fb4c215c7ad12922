//! What waits for the thread that writes: bounded in bytes and in number, and nothing that was
//! removed meanwhile is written or shown.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use crate::clock::Moment;
use crate::key::Key;
use crate::labels::Labels;
use crate::queue::Rank;
use crate::version::{FillId, Version};

use super::fault::HotFault;
use super::record::{Content, Draft, Kind};

/// Jobs that carry no bytes may wait beyond the bound, up to so many times it.
const LIGHT: usize = 8;

/// An object that is to be kept on a disk.
#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Key,
    /// What brought the body.
    pub fill: FillId,
    /// When its fill, or its last validation, began.
    pub created: Moment,
    /// After it the object is not even good for validation.
    pub keep_until: Moment,
    /// At most 1 MiB.
    pub meta: Vec<u8>,
    pub labels: Labels,
    /// At most 512 MiB, and half a segment.
    pub body: Vec<Bytes>,
}

/// Why an object is not kept on the disk. It costs nothing but a fetch later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Skipped {
    #[error("more waits to be written than may wait")]
    Busy,
    #[error("the object is larger than half a segment, or its metadata than 1 MiB")]
    Large,
    #[error("the disk is full")]
    Full,
    #[error("the disk is out")]
    Out,
}

/// A key that is in memory.
#[derive(Debug, Clone)]
pub(crate) struct Hot {
    pub(crate) key: Key,
    /// The higher, the later it would have gone.
    pub(crate) rank: Rank,
    pub(crate) uses: u8,
}

/// A key that was in memory, as a list has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Warm {
    pub(crate) tag: u64,
    pub(crate) rank: Rank,
    pub(crate) uses: u8,
}

/// What the writer is asked to do.
pub(crate) enum Job {
    Write {
        tag: u64,
        hash: u128,
        entry: Entry,
    },
    /// The object found valid: new metadata before the same body.
    Rewrite {
        tag: u64,
        of: Version,
        entry: Entry,
    },
    /// Writes the record of a tomb that the index has already; else that is owed.
    Bury {
        tag: u64,
    },
    /// Tends, and answers when all that was asked before is done, or why removals are not.
    Flush(oneshot::Sender<Result<(), Skipped>>),
    /// Lists what is in memory for the next start.
    SaveHot(Vec<Hot>, oneshot::Sender<Result<(), HotFault>>),
    /// Reads what was listed so.
    ReadHot(oneshot::Sender<Result<Vec<Warm>, HotFault>>),
    /// Leaves eviction to the next process.
    Retire,
    /// Tries whether a disk that is out works again.
    Retry,
}

pub(crate) enum Next {
    Job(Job),
    /// Nothing came for so long.
    Idle,
    Closed,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) jobs: usize,
    pub(crate) bytes: usize,
}

pub(crate) struct Jobs {
    bounds: Bounds,
    state: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    /// In their order, each under a number.
    queue: BTreeMap<u64, Job>,
    /// Keys of those that write, and their numbers: a removal does not look at all that waits.
    writes: BTreeSet<(u64, u64)>,
    /// The number of the next.
    next: u64,
    bytes: usize,
    /// What is being written, and whether it was removed since.
    current: Option<(u64, bool)>,
    closed: bool,
}

impl Jobs {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, state: Mutex::default(), wake: Condvar::new() }
    }

    pub(crate) fn offer(&self, job: Job) -> Result<(), Skipped> {
        let mut state = self.state.lock();
        let weight = job.weight();
        let most = if weight == 0 { self.bounds.jobs * LIGHT } else { self.bounds.jobs };
        if state.closed {
            return Err(Skipped::Out);
        }
        // One that alone is heavier than the bound may wait alone.
        let heavy = state.bytes > 0 && state.bytes + weight > self.bounds.bytes;
        if state.queue.len() >= most || heavy && weight > 0 {
            return Err(Skipped::Busy);
        }
        state.push(job);
        self.wake.notify_one();
        Ok(())
    }

    /// Nothing of the key that was offered before is written or shown any more. `entomb` makes
    /// the tomb in the index, and says whether it is to get a record soon, which is owed if too
    /// much waits.
    pub(crate) fn withdraw(&self, tag: u64, entomb: impl FnOnce() -> bool) {
        let mut state = self.state.lock();
        state.withdraw(tag);
        if let Some((current, removed)) = &mut state.current
            && *current == tag
        {
            *removed = true;
        }
        let light = state.queue.len() < self.bounds.jobs * LIGHT;
        if entomb() && light && !state.closed {
            state.push(Job::Bury { tag });
            self.wake.notify_one();
        }
    }

    /// The next job, waiting for it at most so long. When closed, those that wait come first.
    pub(crate) fn next(&self, patience: Duration) -> Next {
        let mut state = self.state.lock();
        if state.queue.is_empty() && !state.closed {
            self.wake.wait_for(&mut state, patience);
        }
        match state.pop() {
            Some(job) => {
                state.current = job.writes().map(|tag| (tag, false));
                Next::Job(job)
            }
            None if state.closed => Next::Closed,
            None => Next::Idle,
        }
    }

    /// Shows what was written; `show` is told whether it was removed while it was written.
    pub(crate) fn settle<R>(&self, show: impl FnOnce(bool) -> R) -> R {
        let mut state = self.state.lock();
        let removed = state.current.take().is_some_and(|(_, removed)| removed);
        show(removed)
    }

    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.wake.notify_all();
    }

    pub(crate) fn waiting(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.queue.len(), state.bytes)
    }
}

impl Waiting {
    fn push(&mut self, job: Job) {
        self.bytes += job.weight();
        self.writes.extend(job.writes().map(|tag| (tag, self.next)));
        self.queue.insert(self.next, job);
        self.next += 1;
    }

    fn pop(&mut self) -> Option<Job> {
        let (number, job) = self.queue.pop_first()?;
        self.forget(number, &job);
        Some(job)
    }

    /// Drops all that writes the key.
    fn withdraw(&mut self, tag: u64) {
        while let Some((_, number)) = self.writes.range((tag, 0)..=(tag, u64::MAX)).next().copied()
            && let Some(job) = self.queue.remove(&number)
        {
            self.forget(number, &job);
        }
    }

    /// Counts one no more that is off the queue.
    fn forget(&mut self, number: u64, job: &Job) {
        self.bytes -= job.weight();
        if let Some(tag) = job.writes() {
            self.writes.remove(&(tag, number));
        }
    }
}

impl Entry {
    /// The record of the entry, before it is known what it hides.
    pub(crate) fn draft(&self, hash: u128, stamp: u64) -> Draft<'_> {
        Draft {
            kind: Kind::Object,
            hash,
            stamp,
            fill: self.fill,
            created: self.created,
            keep_until: self.keep_until,
            key: self.key.bytes(),
            meta: &self.meta,
            labels: &self.labels,
            body: Content::Bytes(&self.body),
        }
    }

    /// Whether it can be a record of at most so many bytes.
    pub(crate) fn fits(&self, most: u64) -> bool {
        let draft = self.draft(0, 0);
        draft.bounded() && draft.record_len() <= most
    }

    fn weight(&self) -> usize {
        let body: usize = self.body.iter().map(Bytes::len).sum();
        // What the entry itself takes counts too, or empty ones would be free.
        body + self.meta.len() + self.labels.weight() + self.key.bytes().len() + size_of::<Self>()
    }
}

impl Job {
    fn writes(&self) -> Option<u64> {
        match self {
            Self::Write { tag, .. } | Self::Rewrite { tag, .. } => Some(*tag),
            _ => None,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Write { entry, .. } | Self::Rewrite { entry, .. } => entry.weight(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Seed;

    const NOW: Duration = Duration::ZERO;

    fn write(tag: u64, len: usize) -> Job {
        let entry = Entry {
            key: Seed::from_bytes([0; 16]).key(b"k"),
            fill: FillId::from_bits(0),
            created: Moment::default(),
            keep_until: Moment::default(),
            meta: Vec::new(),
            labels: Labels::default(),
            body: vec![Bytes::from(vec![0; len])],
        };
        Job::Write { tag, hash: u128::from(tag), entry }
    }

    fn jobs(jobs: usize, bytes: usize) -> Jobs {
        Jobs::new(Bounds { jobs, bytes })
    }

    #[test]
    fn what_waits_is_bounded_in_number_and_bytes() {
        let few = jobs(2, usize::MAX / 2);
        few.offer(write(1, 1)).unwrap();
        few.offer(write(2, 1)).unwrap();
        assert_eq!(few.offer(write(3, 1)), Err(Skipped::Busy));
        few.offer(Job::Retire).unwrap();
        for _ in 0..2 * LIGHT - 3 {
            few.offer(Job::Retire).unwrap();
        }
        assert_eq!(few.offer(Job::Retire), Err(Skipped::Busy));

        let light = jobs(100, 2000);
        light.offer(write(1, 1000)).unwrap();
        assert_eq!(light.offer(write(2, 1000)), Err(Skipped::Busy));
        assert!(matches!(light.next(NOW), Next::Job(Job::Write { tag: 1, .. })));
        light.offer(write(3, 100_000)).unwrap();
        assert_eq!(light.offer(write(4, 1)), Err(Skipped::Busy));
    }

    #[test]
    fn a_removed_key_is_neither_written_nor_shown() {
        let jobs = jobs(9, 9999);
        jobs.offer(write(1, 1)).unwrap();
        jobs.offer(write(2, 1)).unwrap();
        jobs.offer(write(1, 1)).unwrap();
        assert!(matches!(jobs.next(NOW), Next::Job(Job::Write { tag: 1, .. })));
        jobs.withdraw(1, || true);
        assert!(jobs.settle(|removed| removed), "the one being written");
        assert!(matches!(jobs.next(NOW), Next::Job(Job::Write { tag: 2, .. })));
        assert!(!jobs.settle(|removed| removed));
        assert!(matches!(jobs.next(NOW), Next::Job(Job::Bury { tag: 1 })));
        assert!(matches!(jobs.next(NOW), Next::Idle));
        assert_eq!(jobs.waiting(), (0, 0));
    }

    #[test]
    fn tombs_wait_beyond_the_bound_of_writes_and_within_one_of_their_own() {
        let jobs = jobs(2, 9999);
        for tag in 0..100 {
            jobs.withdraw(tag, || true);
        }
        assert_eq!(jobs.waiting(), (2 * LIGHT, 0));
    }

    #[test]
    fn what_waits_when_it_closes_is_still_done() {
        let jobs = jobs(9, 9999);
        jobs.offer(write(1, 1)).unwrap();
        jobs.close();
        assert_eq!(jobs.offer(write(2, 1)), Err(Skipped::Out));
        assert!(matches!(jobs.next(NOW), Next::Job(_)));
        assert!(matches!(jobs.next(NOW), Next::Closed));
    }
}
