//! What the threads and the readers of one disk share, and what an operator sets about it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustix::io::Errno;

use crate::clock::Moment;

use super::directory::Directory;
use super::fault::{DiskFault, OpenFault, Trouble};
use super::figures::{Counters, Health};
use super::format::Format;
use super::ghost::Ghost;
use super::holdings::Holdings;
use super::jobs::{Bounds, Job, Jobs};
use super::outage::Outage;
use super::pool::Pool;
use super::segment::Segment;
use super::table::Spot;

const MIB: u64 = 1024 * 1024;
const SMALLEST_SEGMENT: u64 = 64 * 1024;
/// A disk has at least so many segments: two being written, one spare for what is carried over.
const FEWEST_SEGMENTS: u64 = 8;

/// What an operator sets about a disk.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes that segments may take in the directory.
    pub capacity: u64,
    /// Bytes of a segment; otherwise a 4096th of the capacity, within 64 MiB and 1 GiB. Never
    /// more than an eighth of the capacity.
    pub segment: Option<u64>,
    /// How much of the capacity new objects have before they must have been used, in percent.
    pub small_percent: u8,
    /// Bytes of a slice. Another value starts empty: old slices would never be found.
    pub slice: u32,
    /// What may wait to be written.
    pub queue_jobs: usize,
    pub queue_bytes: usize,
    /// Threads that wait for the disk, and reads that may wait for them.
    pub readers: usize,
    pub reads_waiting: usize,
    /// How often the directory is looked through for what other processes did.
    pub tend: Duration,
}

impl Options {
    pub fn of_capacity(capacity: u64) -> Self {
        Self {
            capacity,
            segment: None,
            small_percent: 25,
            slice: MIB as u32,
            queue_jobs: 4096,
            queue_bytes: 64 * MIB as usize,
            readers: 4,
            reads_waiting: 256,
            tend: Duration::from_secs(5),
        }
    }

    pub(crate) fn segment_size(&self) -> Result<u64, OpenFault> {
        let usual = (self.capacity / 4096).clamp(64 * MIB, 1024 * MIB);
        let wished = self.segment.unwrap_or(usual).min(1024 * MIB);
        let size = wished.min(self.capacity / FEWEST_SEGMENTS) / 4096 * 4096;
        if size < SMALLEST_SEGMENT { Err(OpenFault::Small(self.capacity)) } else { Ok(size) }
    }
}

pub(crate) struct Platter {
    pub(crate) options: Options,
    /// Bytes of a segment.
    pub(crate) segment: u64,
    pub(crate) directory: Directory,
    pub(crate) format: Format,
    pub(crate) holdings: Holdings,
    pub(crate) ghost: Ghost,
    pub(crate) jobs: Jobs,
    pub(crate) pool: Pool,
    pub(crate) counters: Counters,
    pub(crate) outage: Outage,
    /// The file system cannot say what is in memory.
    blind: AtomicBool,
    /// The latest moment that anybody told.
    now: AtomicU64,
}

impl Platter {
    pub(crate) fn new(
        options: Options,
        directory: Directory,
        format: Format,
        now: Moment,
    ) -> Result<Self, OpenFault> {
        let segment = options.segment_size()?;
        let bounds = Bounds { jobs: options.queue_jobs, bytes: options.queue_bytes };
        Ok(Self {
            segment,
            directory,
            format,
            holdings: Holdings::new(),
            ghost: Ghost::of_capacity(options.capacity),
            jobs: Jobs::new(bounds),
            pool: Pool::new(options.reads_waiting),
            counters: Counters::default(),
            outage: Outage::default(),
            blind: AtomicBool::new(false),
            now: AtomicU64::new(now.millis()),
            options,
        })
    }

    pub(crate) fn hash(&self, key: &[u8]) -> u128 {
        self.format.seed.hash(key)
    }

    pub(crate) fn note(&self, now: Moment) {
        // Most of the time somebody has said so already, and nothing is written.
        if self.now.load(Ordering::Relaxed) < now.millis() {
            self.now.fetch_max(now.millis(), Ordering::Relaxed);
        }
    }

    pub(crate) fn now(&self) -> Moment {
        Moment::from_millis(self.now.load(Ordering::Relaxed))
    }

    /// Whether no other process has the directory open at this moment.
    pub(crate) fn is_alone(&self) -> bool {
        self.counters.evicts.now() == 1 && !self.directory.has_guests().unwrap_or(true)
    }

    pub(crate) fn blind(&self) -> bool {
        self.blind.load(Ordering::Relaxed)
    }

    pub(crate) fn go_blind(&self) {
        self.blind.store(true, Ordering::Relaxed);
    }

    /// A read failed. One is a matter of what was read; many are one of the disk.
    pub(crate) fn read_failed(&self, errno: Errno) -> DiskFault {
        self.counters.errors.one();
        if Trouble::from(errno) == Trouble::Out && self.outage.strike(self.now()) {
            self.give_up();
        }
        DiskFault::Io(errno)
    }

    /// A write failed, after what can be done about it was done.
    pub(crate) fn write_failed(&self, trouble: Trouble) {
        match trouble {
            Trouble::Full => self.counters.turn(Health::Full),
            Trouble::Out => {
                self.counters.errors.one();
                self.give_up();
            }
        }
    }

    /// What is known of the key is gone, and nothing of it that waits is written any more.
    pub(crate) fn supersede(&self, tag: u64) {
        self.jobs.withdraw(tag, || {
            self.holdings.entomb(tag, |_| true);
            self.holdings.owes(tag)
        });
    }

    /// The same, but what takes its place is offered next, and hides it on the disk as well: until
    /// that is written a process that ends leaves the old one there, and not nothing.
    pub(crate) fn give_way(&self, tag: u64) {
        self.jobs.withdraw(tag, || {
            self.holdings.entomb(tag, |_| true);
            false
        });
    }

    /// The same, and other processes lose what they have as well, though it was not seen here.
    /// False if there are none.
    pub(crate) fn remove(&self, tag: u64) -> bool {
        let is_alone = self.is_alone();
        self.jobs.withdraw(tag, || {
            self.holdings.entomb(tag, |_| true);
            if !is_alone {
                // Nothing was created after now.
                self.holdings.hide(tag, self.now().millis() << 16 | 0xffff);
            }
            self.holdings.owes(tag)
        });
        !is_alone
    }

    /// The record there is not what was written: it is never offered again.
    pub(crate) fn damaged(&self, spot: &Spot) -> DiskFault {
        if self.drop_object(spot) {
            self.counters.damaged.one();
        }
        DiskFault::Damaged
    }

    /// What was read of a record, which is dropped if the device does not give it.
    pub(crate) fn given<T>(&self, spot: &Spot, read: Result<T, DiskFault>) -> Result<T, DiskFault> {
        if let Err(DiskFault::Io(errno)) = &read
            && Trouble::from(*errno) == Trouble::Out
        {
            self.drop_object(spot);
        }
        read
    }

    /// False if it is gone, or there is a newer one.
    pub(crate) fn drop_object(&self, spot: &Spot) -> bool {
        // Eviction may have copied it meanwhile: with all that is wrong with it.
        let dropped = self.holdings.entomb(spot.tag, |known| known.stamp == spot.stamp);
        if dropped {
            // What is not offered is owed, until the directory is looked through.
            self.jobs.offer(Job::Bury { tag: spot.tag }).ok();
        }
        dropped
    }

    fn give_up(&self) {
        self.counters.turn(Health::Out);
        if self.outage.begin(self.now()) {
            self.counters.outages.one();
        }
    }

    /// Whether a record of a key that is in `segment` may have an older one elsewhere.
    pub(crate) fn older_than(&self, segment: &Arc<Segment>) -> bool {
        let until = segment.until();
        let mut others = self.holdings.segments().into_iter();
        others.any(|other| other.id != segment.id && other.name.seq <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_a_part_of_the_capacity() {
        let size = |capacity, segment| {
            let options = Options { segment, ..Options::of_capacity(capacity) };
            options.segment_size().ok()
        };
        assert_eq!(size(1 << 40, None), Some(256 * MIB));
        assert_eq!(size(1 << 50, None), Some(1024 * MIB));
        assert_eq!(size(1 << 30, None), Some(64 * MIB));
        assert_eq!(size(64 * MIB, None), Some(8 * MIB));
        assert_eq!(size(64 * MIB, Some(MIB)), Some(MIB));
        assert_eq!(size(100_000, None), None);
    }
}
