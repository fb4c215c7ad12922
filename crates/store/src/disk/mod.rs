//! Segments on a disk: append-only files, which several processes can share, and which a crash
//! at any moment leaves readable. A disk that is full or fails costs misses, never an error.
//!
//! Each disk hashes keys by the seed of its own directory. Everything that waits for a device
//! does so on threads of the disk: one that writes, a few that read.

mod fault;
mod record;
mod footer;
mod file;
mod format;
mod name;
mod directory;
mod segment;
mod scan;
mod table;
mod index;
mod holdings;
mod ghost;
mod jobs;
mod pool;
mod figures;
mod outage;
mod platter;
mod read;
mod hot;
mod tend;
mod evict;
mod rewrite;
mod tombs;
mod writer;
#[doc(hidden)]
pub mod fuzz;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::Builder;

use tokio::sync::oneshot;

use crate::clock::Moment;
use crate::key::Key;
use crate::labels::Labels;
use crate::version::Version;

pub use fault::{DiskFault, HotFault, OpenFault};
pub use figures::{Figures, Health};
pub use jobs::{Entry, Skipped};
pub use platter::Options;
pub use read::{Found, Record};

pub(crate) use hot::MOST as MOST_HOT;
pub(crate) use jobs::{Hot, Warm};

#[cfg(test)]
pub(crate) use fault::Device;

use directory::Directory;
#[cfg(not(test))]
use fault::Device;
use jobs::Job;
use platter::Platter;
use record::UNIT;
use tend::Watch;
use writer::Writer;

/// A directory of objects. Dropped, it ends its threads; [`Disk::close`] waits for them.
pub struct Disk {
    platter: Arc<Platter>,
    /// The list of what was in memory has been read.
    is_warmed: AtomicBool,
    /// Answered when the writer has ended.
    ended: Option<oneshot::Receiver<()>>,
}

impl Disk {
    /// Opens a directory with all that is in it, made if need be. Reads every footer before it
    /// returns: seconds for tens of millions of objects. Other processes may have it open too.
    /// Takes one descriptor for each segment, and as many threads as [`Options`] says and one.
    pub fn open(path: &Path, options: Options, now: Moment) -> Result<Self, OpenFault> {
        Self::open_on(path, options, now, Device::default())
    }

    pub(crate) fn open_on(
        path: &Path,
        options: Options,
        now: Moment,
        device: Device,
    ) -> Result<Self, OpenFault> {
        options.segment_size()?;
        let readers = options.readers.max(1);
        let (directory, format) = Directory::open(path, options.slice, device)?;
        let guest = directory.guest().map_err(OpenFault::io("locking GUESTS"))?;
        let platter = Arc::new(Platter::new(options, directory, format, now)?);
        let watch = Watch::recover(&platter).map_err(OpenFault::io("reading the segments"))?;
        let writer = Writer::new(platter.clone(), watch, guest);
        let (end, ended) = oneshot::channel();
        start("store-write", move || {
            writer.run();
            // Nobody waits for it if the disk was dropped.
            end.send(()).ok();
        })?;
        let disk = Self { platter, is_warmed: AtomicBool::new(false), ended: Some(ended) };
        for _ in 0..readers {
            let platter = disk.platter.clone();
            start("store-read", move || platter.pool.work())?;
        }
        Ok(disk)
    }

    /// Seals what is being written and gives up all locks. What waits is written first.
    pub async fn close(mut self) {
        self.platter.jobs.close();
        if let Some(ended) = self.ended.take() {
            // An error is a writer that has ended too.
            ended.await.ok();
        }
    }

    /// Says what time it is. A disk that failed is tried again when its time has come: who asks it
    /// for something says so first.
    pub fn notice(&self, now: Moment) {
        let Platter { counters, outage, jobs, .. } = &*self.platter;
        self.platter.note(now);
        if counters.health() == Health::Out && outage.is_due(now) && jobs.offer(Job::Retry).is_err()
        {
            outage.go_on(now);
        }
    }

    /// Where an object is, by the index alone; counts as a use of it.
    pub fn find(&self, key: &Key) -> Option<Found> {
        if self.platter.counters.health() == Health::Out {
            return None;
        }
        let (segment, spot) = self.platter.holdings.find(self.tag(key))?;
        Some(Found { segment, spot })
    }

    /// Reads the head of an object. `None` if it is another key's after all.
    pub async fn load(&self, found: &Found, key: &Key) -> Result<Option<Record>, DiskFault> {
        self.platter.load(found, key).await
    }

    /// Has an object written soon; never waits. It is found when it is written. If it is skipped
    /// what the disk had under the key goes as well: it would be older.
    pub fn write(&self, entry: Entry) -> Result<(), Skipped> {
        let hash = self.platter.hash(entry.key.bytes());
        let tag = hash as u64;
        let offered = self.offer(entry, |entry| Job::Write { tag, hash, entry });
        if offered.is_err() {
            self.platter.supersede(tag);
        }
        offered
    }

    /// Gives an object that was found valid new metadata and labels. It counts as created when
    /// the validation began, `created`. Nothing happens unless it is `of` that is on the disk when
    /// it is written.
    pub fn rewrite_meta(
        &self,
        key: &Key,
        of: Version,
        created: Moment,
        keep_until: Moment,
        meta: Vec<u8>,
        labels: Labels,
    ) -> Result<(), Skipped> {
        let tag = self.tag(key);
        if self.platter.holdings.index.peek(tag).is_none_or(|spot| spot.tomb) {
            return Ok(());
        }
        let body = Vec::new();
        let (key, fill) = (key.clone(), of.fill);
        let entry = Entry { key, fill, created, keep_until, meta, labels, body };
        self.offer(entry, |entry| Job::Rewrite { tag, of, entry })
    }

    /// The object is gone at once, also where another process has moved it, and for other
    /// processes when they look through the directory. After a crash it may be back if that was
    /// not written yet. False if no other process has the directory open.
    pub fn remove(&self, key: &Key) -> bool {
        self.platter.remove(self.tag(key))
    }

    /// What is known of a key, or waits to be written, is of no use any more.
    pub(crate) fn supersede(&self, key: &Key) {
        self.platter.supersede(self.tag(key));
    }

    /// The same for who writes what takes its place next.
    pub(crate) fn give_way(&self, key: &Key) {
        self.platter.give_way(self.tag(key));
    }

    /// Waits until all that was asked before is done, and the directory looked through. It is
    /// then safe from a crash of the process, though not from one of the machine. An error says
    /// why removals are not written, which a crash would undo.
    pub async fn flush(&self) -> Result<(), Skipped> {
        let (reply, answer) = oneshot::channel();
        self.platter.jobs.offer(Job::Flush(reply))?;
        answer.await.unwrap_or(Err(Skipped::Out))
    }

    /// Lists what is in memory for the next start, in a private file that takes the place of the
    /// one before. What is not on this disk by then is left out.
    pub(crate) async fn save_hot(&self, hot: Vec<Hot>) -> Result<(), HotFault> {
        let (reply, answer) = oneshot::channel();
        self.platter.jobs.offer(Job::SaveHot(hot, reply)).map_err(|_| HotFault::Busy)?;
        answer.await.unwrap_or(Err(HotFault::Busy))
    }

    /// What was in memory when the last list was written; once, since the next one is of this
    /// process.
    pub(crate) async fn take_warm(&self) -> Result<Vec<Warm>, HotFault> {
        if self.is_warmed.swap(true, Ordering::Relaxed) {
            return Ok(Vec::new());
        }
        let (reply, answer) = oneshot::channel();
        self.platter.jobs.offer(Job::ReadHot(reply)).map_err(|_| HotFault::Busy)?;
        answer.await.unwrap_or(Err(HotFault::Busy))
    }

    /// Where what was in memory is, and that it is read soon.
    pub(crate) fn expect(&self, warm: &Warm) -> Option<Found> {
        let (segment, spot) = self.platter.holdings.locate(warm.tag)?;
        let found = (!spot.tomb).then_some(Found { segment, spot })?;
        found.segment.file.expect(u64::from(found.spot.at) * UNIT, found.record_len());
        Some(found)
    }

    /// Reads the head of an object, whatever its key is.
    pub(crate) async fn load_any(&self, found: &Found) -> Result<Option<Record>, DiskFault> {
        self.platter.load_any(found).await
    }

    /// Leaves eviction to the process that comes after this one.
    pub fn retire(&self) -> Result<(), Skipped> {
        self.platter.jobs.offer(Job::Retire)
    }

    /// Of several disks the one with the highest rank has the object, whatever their order.
    pub fn rank(&self, key: &Key) -> u64 {
        (self.platter.hash(key.bytes()) >> 64) as u64
    }

    /// No object on the disk was created before this.
    pub fn oldest(&self) -> Option<Moment> {
        let segments = self.platter.holdings.segments();
        segments.iter().filter_map(|segment| segment.span()).map(|span| span.start).min()
    }

    /// No object on the disk was created after this.
    pub fn newest(&self) -> Option<Moment> {
        let segments = self.platter.holdings.segments();
        segments.iter().filter_map(|segment| segment.span()).map(|span| span.end).max()
    }

    /// O(segments): for a look now and then.
    pub fn figures(&self) -> Figures {
        let Platter { holdings, jobs, counters, .. } = &*self.platter;
        let segments = holdings.segments();
        let (queued, queued_bytes) = jobs.waiting();
        Figures {
            health: counters.health(),
            objects: holdings.index.len() as u64,
            index_bytes: holdings.index.bytes() as u64,
            segments: segments.len() as u64,
            size_bytes: segments.iter().map(|segment| segment.size()).sum(),
            live_bytes: segments.iter().map(|segment| segment.live()).sum(),
            queued: queued as u64,
            queued_bytes: queued_bytes as u64,
            written: counters.written.now(),
            written_bytes: counters.written_bytes.now(),
            rewritten: counters.rewritten.now(),
            rewritten_bytes: counters.rewritten_bytes.now(),
            carried: counters.carried.now(),
            carried_bytes: counters.carried_bytes.now(),
            evicted_segments: counters.evicted_segments.now(),
            evicted_objects: counters.evicted_objects.now(),
            ghost_hits: counters.ghost_hits.now(),
            skipped: counters.skipped.now(),
            reads_prompt: counters.reads_prompt.now(),
            reads_waited: counters.reads_waited.now(),
            reads_refused: counters.reads_refused.now(),
            damaged: counters.damaged.now(),
            owed: holdings.index.owed() as u64,
            full: counters.full.now(),
            errors: counters.errors.now(),
            outages: counters.outages.now(),
            evicts: counters.evicts.now() == 1,
        }
    }

    fn offer(&self, entry: Entry, job: impl FnOnce(Entry) -> Job) -> Result<(), Skipped> {
        let offered = match self.platter.counters.health() {
            Health::Out => Err(Skipped::Out),
            Health::Full => Err(Skipped::Full),
            Health::Working if !entry.fits(self.platter.segment / 2) => Err(Skipped::Large),
            Health::Working => self.platter.jobs.offer(job(entry)),
        };
        if offered.is_err() {
            self.platter.counters.skipped.one();
        }
        offered
    }

    fn tag(&self, key: &Key) -> u64 {
        self.platter.hash(key.bytes()) as u64
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.platter.jobs.close();
        self.platter.pool.close();
    }
}

impl std::fmt::Debug for Disk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disk").field("figures", &self.figures()).finish()
    }
}

impl Found {
    /// Bytes of the record, head and body.
    pub fn record_len(&self) -> u64 {
        u64::from(self.spot.len) * UNIT
    }
}

#[expect(clippy::disallowed_methods, reason = "a disk has its own threads, which end with it")]
fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), OpenFault> {
    let started = Builder::new().name(name.to_owned()).spawn(work);
    started.map(|_| ()).map_err(|error| OpenFault::Io {
        what: "starting a thread",
        errno: rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::AGAIN),
    })
}
