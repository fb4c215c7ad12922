//! What is no longer to be served: a purge is a moment, and hits what was
//! created before it.
//!
//! Nothing is searched when something is purged; each object is judged when
//! it is found. What is created is stamped by [`Purges::begin`] when its fill
//! begins, so that a fill that was under way is hit as well.

mod table;
mod log;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, RwLock};

use crate::clock::Moment;
use crate::labels::Labels;
use log::{Log, Read};
use table::{Mark, Record, Table};

/// What a purge hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'t> {
    All,
    /// All objects of this subject: the variants and slices of a resource.
    Subject(&'t [u8]),
    /// All objects whose subject begins so; `example.com/` is a host.
    Prefix(&'t [u8]),
    /// All objects that have this tag, by its number.
    Tag(u64),
}

/// What a purge does to what it hits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// It is gone.
    Hard,
    /// It is stale: to be validated, and there if the server is not.
    Soft,
}

/// What has become of an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Kept,
    /// Stale since then.
    Soft(Moment),
    Gone,
}

/// A purge that is not written down, or written ones that cannot be read.
///
/// The purge holds in this process all the same.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}")]
pub struct PurgeFault {
    path: PathBuf,
    source: std::io::Error,
}

/// All purges that may still hit something.
pub(crate) struct Purges {
    // Invariant: after each purge that was stamped, not before any fill that was.
    latest: AtomicU64,
    // One higher with each change of the table; zero while nothing was purged.
    generation: AtomicU64,
    table: RwLock<Table>,
    // When it was looked last for what others have purged.
    looked: AtomicU64,
    // What is read of the files; not held while a disk writes.
    tails: Mutex<Vec<Log>>,
    // Held during a purge, so that purges come one after the other.
    logs: Mutex<Vec<Log>>,
}

/// What the purges are like now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PurgeFigures {
    pub marks: usize,
    /// Different lengths of prefixes: the steps that a judgement takes.
    pub lengths: usize,
    /// How often purges were widened because there were too many.
    pub widened: u64,
}

impl Purges {
    /// Purges that last as long as the process; at most `most` are told apart.
    pub(crate) fn in_memory(most: usize) -> Self {
        Self {
            latest: AtomicU64::new(0),
            generation: AtomicU64::new(0),
            table: RwLock::new(Table::new(most)),
            looked: AtomicU64::new(u64::MAX),
            tails: Mutex::new(Vec::new()),
            logs: Mutex::new(Vec::new()),
        }
    }

    /// Purges that are kept in files, one beside each disk, and shared with
    /// whoever has opened them too.
    ///
    /// A record that cannot be read may have been any purge: all that was
    /// created until `now` is gone then.
    pub(crate) fn open(paths: &[PathBuf], most: usize, now: Moment) -> Result<Self, PurgeFault> {
        let purges = Self::in_memory(most);
        for logs in [&purges.tails, &purges.logs] {
            let mut logs = logs.lock();
            for path in paths {
                logs.push(Log::open(path).map_err(|source| PurgeFault::at(path, source))?);
            }
        }
        purges.refresh(now)?;
        Ok(purges)
    }

    /// Learns what others have purged since; how many records were new.
    ///
    /// Reads files, and writes anew those that are damaged.
    pub(crate) fn refresh(&self, now: Moment) -> Result<usize, PurgeFault> {
        let mut found = 0;
        let mut first_fault = None;
        let mut spoilt = Vec::new();
        for (place, log) in self.tails.lock().iter_mut().enumerate() {
            match self.read(log, now) {
                Ok(new) => found += new,
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
            if log.take_spoilt() {
                spoilt.push(place);
            }
        }
        for place in spoilt {
            // Written without what cannot be read, or each start would purge all.
            if let Some(Err(fault)) = self.logs.lock().get_mut(place).map(|log| self.compact(log)) {
                first_fault = first_fault.or(Some(fault));
            }
        }
        first_fault.map_or(Ok(found), Err)
    }

    /// The same for who looks for an object at that moment, if there is anything new: a system
    /// call for each file, once a millisecond.
    pub(crate) fn catch_up(&self, now: Moment) {
        if self.looked.load(Ordering::Relaxed) == now.millis() {
            return;
        }
        for log in self.tails.lock().iter_mut().filter(|log| log.has_news()) {
            // What is wrong with it the next refresh tells.
            self.read(log, now).ok();
        }
        // Not before: others look at what there is meanwhile.
        self.looked.store(now.millis(), Ordering::Relaxed);
    }

    /// The moment at which an object counts as created whose fill begins now.
    pub(crate) fn begin(&self, now: Moment) -> Moment {
        let latest = self.latest.fetch_max(now.millis(), Ordering::AcqRel);
        Moment::from_millis(latest.max(now.millis()))
    }

    /// Makes sure that the next purge hits what was created at that moment,
    /// even if the clock has been set back since.
    pub(crate) fn observe(&self, created: Moment) {
        self.latest.fetch_max(created.millis(), Ordering::AcqRel);
    }

    /// Purges at once, whatever the number of objects.
    ///
    /// It holds in this process when this returns. With files it writes 64
    /// bytes a target and waits for the disk; an error says that the purge may
    /// be forgotten by the next process.
    pub(crate) fn purge(
        &self,
        targets: &[Target<'_>],
        manner: Manner,
        now: Moment,
    ) -> Result<Moment, PurgeFault> {
        let mut logs = self.logs.lock();
        let at = self.stamp(now);
        let records: Vec<_> =
            targets.iter().map(|&target| Record { mark: Mark::of(target), manner, at }).collect();
        self.apply(&records);
        let mut first_fault = None;
        for log in logs.iter_mut() {
            if let Err(fault) = self.write(log, &records) {
                first_fault = first_fault.or(Some(fault));
            }
        }
        first_fault.map_or(Ok(at), Err)
    }

    /// Forgets purges that are older than every object.
    pub(crate) fn forget_before(&self, oldest: Moment) {
        self.table.write().forget_before(oldest);
    }

    /// What purges say of an object: one atomic load if there are none, else as
    /// many steps as it has tags and prefixes have different lengths.
    pub(crate) fn judge(&self, labels: &Labels, created: Moment) -> Verdict {
        if self.generation() == 0 {
            return Verdict::Kept;
        }
        self.table.read().judge(labels, created)
    }

    /// Changes with each purge; zero while nothing was purged. What was kept
    /// is kept for as long as this is what it was before the judgement.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    pub(crate) fn figures(&self) -> PurgeFigures {
        let table = self.table.read();
        PurgeFigures { marks: table.len(), lengths: table.lengths(), widened: table.widened() }
    }

    /// A moment that is not before any fill that has begun; those to come are
    /// after it.
    fn stamp(&self, now: Moment) -> Moment {
        let next = |latest: u64| Some(latest.max(now.millis()).saturating_add(1));
        let latest = self.latest.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        let latest = latest.unwrap_or_else(|latest| latest);
        Moment::from_millis(latest.max(now.millis()))
    }

    fn apply(&self, records: &[Record]) {
        let mut table = self.table.write();
        let mut is_news = false;
        for record in records {
            self.latest.fetch_max(record.at.millis().saturating_add(1), Ordering::AcqRel);
            is_news |= table.add(*record);
        }
        if is_news {
            // Before the lock is released: who sees the table sees the generation.
            self.generation.fetch_add(1, Ordering::AcqRel);
        }
    }

    fn write(&self, log: &mut Log, records: &[Record]) -> Result<(), PurgeFault> {
        log.append(records).map_err(|source| PurgeFault::at(log.path(), source))?;
        if log.is_worth_compacting(self.table.read().len()) {
            self.compact(log)?;
        }
        Ok(())
    }

    fn read(&self, log: &mut Log, now: Moment) -> Result<usize, PurgeFault> {
        let at_path = |log: &Log, source| PurgeFault::at(log.path(), source);
        let Read { records, unreadable } = log.read().map_err(|source| at_path(log, source))?;
        self.apply(&records);
        if unreadable {
            let all = Record { mark: Mark::All, manner: Manner::Hard, at: self.stamp(now) };
            self.apply(&[all]);
        }
        Ok(records.len())
    }

    fn compact(&self, log: &mut Log) -> Result<(), PurgeFault> {
        let done = log.compact(|learnt| {
            self.apply(learnt);
            self.table.read().records()
        });
        done.map_err(|source| PurgeFault::at(log.path(), source))
    }
}

impl PurgeFault {
    fn at(path: &std::path::Path, source: std::io::Error) -> Self {
        Self { path: path.to_owned(), source }
    }
}

impl std::fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Subject(subject) => write!(f, "{}", subject.escape_ascii()),
            Self::Prefix(prefix) => write!(f, "{}*", prefix.escape_ascii()),
            Self::Tag(tag) => write!(f, "tag {tag:016x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::from_millis(millis)
    }

    fn page(subject: &[u8]) -> Labels {
        Labels { subject: subject.into(), tags: [7].into() }
    }

    #[test]
    fn a_fill_that_began_before_a_purge_is_hit_in_the_same_millisecond() {
        let purges = Purges::in_memory(100);
        let before = purges.begin(at(1000));
        let purged = purges.purge(&[Target::All], Manner::Hard, at(1000)).unwrap();
        let after = purges.begin(at(1000));
        assert!(before <= purged && purged < after);
        assert_eq!(purges.judge(&page(b"a/"), before), Verdict::Gone);
        assert_eq!(purges.judge(&page(b"a/"), after), Verdict::Kept);
    }

    #[test]
    fn a_clock_that_is_set_back_saves_nothing_from_a_purge() {
        let purges = Purges::in_memory(100);
        let before = purges.begin(at(1000));
        purges.observe(at(2000));
        purges.purge(&[Target::Tag(7)], Manner::Hard, at(500)).unwrap();
        assert_eq!(purges.judge(&page(b"a/"), before), Verdict::Gone);
        assert_eq!(purges.judge(&page(b"a/"), at(2000)), Verdict::Gone);
        let after = purges.begin(at(501));
        assert_eq!(purges.judge(&page(b"a/"), after), Verdict::Kept);
    }

    #[test]
    fn its_generation_changes_with_each_purge_and_is_zero_before() {
        let purges = Purges::in_memory(100);
        assert_eq!(purges.generation(), 0);
        purges.purge(&[], Manner::Hard, at(1)).unwrap();
        assert_eq!(purges.generation(), 0);
        purges.purge(&[Target::Tag(7), Target::Tag(8)], Manner::Hard, at(1)).unwrap();
        assert_eq!(purges.generation(), 1);
        assert_eq!(purges.figures().marks, 2);
    }

    #[test]
    fn purges_outlive_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("purge.log")];
        let first = Purges::open(&paths, 100, at(10)).unwrap();
        let created = first.begin(at(10));
        first.purge(&[Target::Prefix(b"a/")], Manner::Hard, at(10)).unwrap();
        first.purge(&[Target::Subject(b"b/")], Manner::Soft, at(20)).unwrap();
        drop(first);
        let next = Purges::open(&paths, 100, at(5)).unwrap();
        assert_eq!(next.judge(&page(b"a/x"), created), Verdict::Gone);
        assert_eq!(next.judge(&page(b"b/"), created), Verdict::Soft(at(20)));
        assert_eq!(next.judge(&page(b"c/"), created), Verdict::Kept);
        let fresh = next.begin(at(5));
        assert_eq!(next.judge(&page(b"b/"), fresh), Verdict::Kept, "the clock went back");
    }

    #[test]
    fn a_second_process_learns_of_purges() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("purge.log")];
        let one = Purges::open(&paths, 100, at(1)).unwrap();
        let other = Purges::open(&paths, 100, at(1)).unwrap();
        one.purge(&[Target::Tag(7)], Manner::Hard, at(10)).unwrap();
        assert_eq!(other.judge(&page(b"a/"), at(9)), Verdict::Kept);
        assert_eq!(other.refresh(at(11)).unwrap(), 1);
        assert_eq!(other.judge(&page(b"a/"), at(9)), Verdict::Gone);
        assert_eq!(other.refresh(at(12)).unwrap(), 0);
    }

    #[test]
    fn who_looks_for_an_object_learns_of_purges_that_are_new() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("purge.log")];
        let one = Purges::open(&paths, 100, at(1)).unwrap();
        let other = Purges::open(&paths, 100, at(1)).unwrap();
        let purged = |now: u64| other.judge(&page(b"a/"), at(now)) == Verdict::Gone;
        other.catch_up(at(9));
        assert!(!purged(9));
        one.purge(&[Target::Tag(7)], Manner::Hard, at(10)).unwrap();
        other.catch_up(at(9));
        assert!(!purged(9), "it has looked in that millisecond");
        other.catch_up(at(10));
        assert!(purged(9));
        // So many that the file is written anew.
        let targets: Vec<_> = (0..50).map(Target::Tag).collect();
        for now in 20..100 {
            one.purge(&targets, Manner::Hard, at(now)).unwrap();
            other.catch_up(at(now));
            assert!(purged(now), "{now}");
        }
        // What cannot be read may be any purge; it is cut out when there is time.
        std::fs::write(&paths[0], [1; 100 * 64]).unwrap();
        assert!(!purged(200));
        other.catch_up(at(200));
        assert!(purged(200));
        one.catch_up(at(200));
        assert_eq!(other.refresh(at(201)).unwrap(), 0);
        // It has another file by now, and nothing more comes to the old one.
        other.purge(&[Target::Subject(b"b/")], Manner::Hard, at(210)).unwrap();
        one.catch_up(at(210));
        assert_eq!(one.judge(&page(b"b/"), at(205)), Verdict::Gone);
        let next = Purges::open(&paths, 100, at(300)).unwrap();
        assert_eq!(next.judge(&page(b"c/"), at(250)), Verdict::Kept);
    }

    #[test]
    fn an_unreadable_record_purges_all_once() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("purge.log")];
        let first = Purges::open(&paths, 100, at(10)).unwrap();
        first.purge(&[Target::Tag(1)], Manner::Hard, at(10)).unwrap();
        first.purge(&[Target::Tag(2)], Manner::Hard, at(11)).unwrap();
        let mut bytes = std::fs::read(&paths[0]).unwrap();
        bytes[70] ^= 1;
        std::fs::write(&paths[0], bytes).unwrap();
        let next = Purges::open(&paths, 100, at(50)).unwrap();
        assert_eq!(next.judge(&page(b"a/"), at(50)), Verdict::Gone);
        assert_eq!(next.judge(&page(b"a/"), next.begin(at(50))), Verdict::Kept);
        let later = Purges::open(&paths, 100, at(90)).unwrap();
        assert_eq!(later.judge(&page(b"a/"), at(80)), Verdict::Kept);
        assert_eq!(later.judge(&page(b"a/"), at(50)), Verdict::Gone);
    }

    #[test]
    fn no_damage_of_a_file_brings_back_what_was_purged() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("purge.log")];
        let first = Purges::open(&paths, 100, at(10)).unwrap();
        for n in 0..20 {
            let subject = format!("{n}/");
            first.purge(&[Target::Subject(subject.as_bytes())], Manner::Hard, at(10)).unwrap();
        }
        let good = std::fs::read(&paths[0]).unwrap();
        let mut random = fastrand::Rng::with_seed(8);
        for round in 0..400 {
            let mut bytes = good.clone();
            let place = random.usize(..bytes.len());
            match random.u8(..3) {
                0 => bytes[place] ^= 1 << random.u8(..8),
                1 => bytes[place..].fill(0),
                // Somebody died while writing.
                _ => bytes.extend_from_slice(&good[..random.usize(..64)]),
            }
            std::fs::write(&paths[0], bytes).unwrap();
            let next = Purges::open(&paths, 100, at(50)).unwrap();
            for n in 0..20 {
                let page = page(format!("{n}/").as_bytes());
                assert_eq!(next.judge(&page, at(10)), Verdict::Gone, "round {round} {n}");
            }
            assert_eq!(next.judge(&page(b"0/"), next.begin(at(60))), Verdict::Kept);
        }
    }

    #[test]
    fn its_file_does_not_grow_without_bound() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("purge.log")];
        let purges = Purges::open(&paths, 100, at(1)).unwrap();
        let targets: Vec<_> = (0..50).map(Target::Tag).collect();
        for millis in 1..100 {
            purges.purge(&targets, Manner::Hard, at(millis)).unwrap();
            let length = std::fs::metadata(&paths[0]).unwrap().len();
            assert!(length <= 64 * (1024 + 50), "{length}");
        }
        let next = Purges::open(&paths, 100, at(100)).unwrap();
        assert_eq!(next.figures(), purges.figures());
    }

    #[test]
    fn a_purge_that_cannot_be_written_holds_and_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let paths = [directory.path().join("gone").join("purge.log")];
        std::fs::create_dir(directory.path().join("gone")).unwrap();
        let purges = Purges::open(&paths, 100, at(1)).unwrap();
        std::fs::remove_dir_all(directory.path().join("gone")).unwrap();
        let fault = purges.purge(&[Target::All], Manner::Hard, at(5)).unwrap_err();
        assert!(fault.to_string().contains("purge.log: "), "{fault}");
        assert_eq!(purges.judge(&page(b"a/"), at(5)), Verdict::Gone);
    }
}
