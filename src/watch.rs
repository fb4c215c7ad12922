//! Files of operators: read within a bound, and again when they change.
//!
//! [`Watch`] notices it without reading; [`Watched`] is one file with what was
//! read of it. When to look is for `control`, which asks by [`Refresh`].

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::{ArcSwap, Guard};
use rustix::fs::{Mode, OFlags};

/// A file that was written to so recently may be half of what it will be.
const SETTLED: Duration = Duration::from_secs(1);

/// Reads a file; the errors say what is wrong with it, its name included.
pub(crate) type Reader<T> = fn(&Path) -> Result<T, Vec<String>>;

/// What was read of a file, as operators are told of it.
pub(crate) trait Holdings: Send + Sync {
    /// How much it is: `3 networks`.
    fn told(&self) -> String;

    /// Whether it is nothing at all.
    fn is_empty(&self) -> bool;
}

/// A file, and what was read of it when it was good last.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    path: PathBuf,
    read: Reader<T>,
    current: ArcSwap<T>,
    watch: Mutex<Watch>,
}

impl<T> Watched<T> {
    pub(crate) fn open(path: &Path, read: Reader<T>) -> Result<Self, Vec<String>> {
        // Looked at before it is read, so that no change in between is missed.
        let watch = Mutex::new(Watch::new([&path.to_owned()]));
        let current = ArcSwap::from_pointee(read(path)?);
        Ok(Watched { path: path.to_owned(), read, current, watch })
    }

    /// One that no file ever changes.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn fixed(holds: T) -> Self {
        Watched {
            path: PathBuf::new(),
            read: |_| Err(Vec::new()),
            watch: Mutex::new(Watch::new(&[])),
            current: ArcSwap::from_pointee(holds),
        }
    }

    /// What the file said when it was good last.
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
    }
}

/// Every file of one kind that a site names; each is read once.
#[derive(Debug)]
pub(crate) struct WatchedFiles<T> {
    by_path: HashMap<PathBuf, Result<Arc<Watched<T>>, Vec<String>>>,
}

impl<T: Holdings + 'static> WatchedFiles<T> {
    /// Opens them; a bad one is told to whoever asks for it.
    pub(crate) fn open<'a>(paths: impl Iterator<Item = &'a Path>, read: Reader<T>) -> Self {
        let mut by_path = HashMap::new();
        for path in paths {
            if !by_path.contains_key(path) {
                by_path.insert(path.to_owned(), Watched::open(path, read).map(Arc::new));
            }
        }
        WatchedFiles { by_path }
    }

    /// The good ones, to be read again when they change.
    pub(crate) fn files(&self) -> impl Iterator<Item = Arc<dyn Refresh>> {
        let opened = self.by_path.values().flatten().cloned();
        opened.map(|file| -> Arc<dyn Refresh> { file })
    }

    pub(crate) fn find(&self, path: &Path) -> Result<Arc<Watched<T>>, Vec<String>> {
        let unopened = || Err(vec![format!("{} was not opened", path.display())]);
        self.by_path.get(path).cloned().unwrap_or_else(unopened)
    }
}

/// What can be looked at now and then, to be read again where it changed.
pub(crate) trait Refresh: Send + Sync {
    /// Reads the file again if it changed; blocks. None if there is nothing to say.
    fn refresh(&self) -> Option<Refreshed>;
}

/// What became of a file that changed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refreshed {
    /// It was read, and is in use from now on: its name, and what it holds.
    Replaced(String),
    /// The same, and it holds nothing.
    Emptied(String),
    /// It is not good, and the reasons are new; what was in use stays.
    Kept(Vec<String>),
}

impl<T: Holdings> Refresh for Watched<T> {
    fn refresh(&self) -> Option<Refreshed> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if watch.is_being_written(SystemTime::now()) || !watch.is_due() {
            return None;
        }
        let read = (self.read)(&self.path);
        if watch.has_changed() {
            // Half of it may be of before, and half of after.
            return None;
        }
        match read {
            Ok(read) => {
                watch.succeeded();
                let said = format!("{} ({})", self.path.display(), read.told());
                let is_empty = read.is_empty();
                self.current.store(Arc::new(read));
                Some(if is_empty { Refreshed::Emptied(said) } else { Refreshed::Replaced(said) })
            }
            Err(reasons) => {
                let new = watch.failed(reasons);
                (!new.is_empty()).then_some(Refreshed::Kept(new))
            }
        }
    }
}

/// Reads a whole regular file of at most `most` bytes; the error does not name it.
///
/// Whoever reads waits for nobody: what is at the end of a pipe or a socket may
/// never come.
pub(crate) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    // To open a FIFO without the flag is to wait for its writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let mut bytes = Vec::new();
    let read = rustix::fs::open(path, flags, Mode::empty()).map_err(io::Error::from);
    let read = read.map(File::from).and_then(|file| {
        if !file.metadata()?.is_file() {
            return Err(io::Error::other("is no regular file"));
        }
        file.take(most + 1).read_to_end(&mut bytes)
    });
    read.map_err(|error| error.to_string())?;
    if bytes.len() as u64 > most {
        let (size, unit) = if most < 1 << 20 { (most >> 10, "KiB") } else { (most >> 20, "MiB") };
        return Err(format!("is larger than {size} {unit}"));
    }
    Ok(bytes)
}

/// The same, of a text.
pub(crate) fn read_text(path: &Path, most: u64) -> Result<String, String> {
    String::from_utf8(read_file(path, most)?).map_err(|_| "is no text in UTF-8".to_owned())
}

/// A few files, and how they looked last.
#[derive(Debug)]
pub(crate) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
    /// Why they could not be used when they were last read; empty if they could.
    reasons: Vec<String>,
}

impl Watch {
    pub(crate) fn new<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let paths: Vec<PathBuf> = paths.into_iter().cloned().collect();
        let seen = stamps(&paths);
        Watch { paths, seen, reasons: Vec::new() }
    }

    /// Whether to read the files: one looks different from the last time, or
    /// they could not be used then. What kept them from it need not show in how
    /// they look: a process without descriptors, a disk with an error.
    ///
    /// Follows symbolic links: one that points elsewhere is a change.
    pub(crate) fn is_due(&mut self) -> bool {
        let now = stamps(&self.paths);
        let has_changed = now != self.seen;
        self.seen = now;
        has_changed || !self.reasons.is_empty()
    }

    /// Whether the files look different from the last time.
    fn has_changed(&self) -> bool {
        stamps(&self.paths) != self.seen
    }

    /// Whether one changed a moment ago, so that there may be more to come.
    ///
    /// What was put in its place as a whole may wait for the next look, too.
    fn is_being_written(&self, now: SystemTime) -> bool {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let is_fresh = |stamp: &Stamp| {
            let (seconds, nanos) = stamp.modified;
            let modified = Duration::new(seconds.try_into().ok()?, nanos.try_into().ok()?);
            // Of a clock ahead of ours, too.
            Some(now.abs_diff(modified) < SETTLED)
        };
        let found = stamps(&self.paths);
        found != self.seen && found.iter().flatten().any(|stamp| is_fresh(stamp) == Some(true))
    }

    /// Says that the files are in use.
    pub(crate) fn succeeded(&mut self) {
        self.reasons.clear();
    }

    /// Says why the files cannot be used; which of the reasons are new.
    pub(crate) fn failed(&mut self, reasons: Vec<String>) -> Vec<String> {
        let is_new = |reason: &&String| !self.reasons.contains(reason);
        let new = reasons.iter().filter(is_new).cloned().collect();
        self.reasons = reasons;
        new
    }
}

/// What tells two versions of a file apart: whether it was replaced, written
/// to, or made readable (ctime). Only two writes within one tick of the file
/// system's clock that leave the same size look alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| stamp(path)).collect()
}

/// `None` while there is no such file.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        device: found.dev(),
        inode: found.ino(),
        size: found.size(),
        modified: (found.mtime(), found.mtime_nsec()),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Ships(u32);

    impl std::ops::Deref for Ships {
        type Target = u32;

        fn deref(&self) -> &u32 {
            &self.0
        }
    }

    impl Holdings for Ships {
        fn told(&self) -> String {
            format!("{} ships", self.0)
        }

        fn is_empty(&self) -> bool {
            self.0 == 0
        }
    }

    fn read_number(path: &Path) -> Result<Ships, Vec<String>> {
        let text = read_text(path, 1 << 20).map_err(|what| vec![what])?;
        text.parse().map(Ships).map_err(|error: std::num::ParseIntError| vec![error.to_string()])
    }

    /// Writes a file some time ago.
    fn write(path: &Path, text: &str) {
        fs::write(path, text).expect("writable");
        let then = SystemTime::now() - 2 * SETTLED;
        let file = File::options().write(true).open(path);
        file.and_then(|file| file.set_modified(then)).expect("ours");
    }

    #[test]
    fn what_was_good_stays_until_the_file_is_good_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("number");
        assert!(Watched::open(&path, read_number).is_err());
        write(&path, "1");
        let watched = Watched::open(&path, read_number).expect("a number");
        assert_eq!((watched.refresh(), ***watched.load()), (None, 1));
        write(&path, "two");
        let kept = Refreshed::Kept(vec!["invalid digit found in string".to_owned()]);
        assert_eq!(watched.refresh(), Some(kept));
        assert_eq!((watched.refresh(), ***watched.load()), (None, 1), "said once");
        write(&path, "22");
        let replaced = Refreshed::Replaced(format!("{} (22 ships)", path.display()));
        assert_eq!((watched.refresh(), ***watched.load()), (Some(replaced), 22));
        write(&path, "0");
        let emptied = Refreshed::Emptied(format!("{} (0 ships)", path.display()));
        assert_eq!((watched.refresh(), ***watched.load()), (Some(emptied), 0));
    }

    #[test]
    fn a_file_is_not_taken_while_it_is_written() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("number");
        write(&path, "1");
        let watched = Watched::open(&path, read_number).expect("a number");
        fs::write(&path, "2").expect("writable");
        for clock in [0, 60] {
            // As of now, and by a clock that is ahead of ours for a moment.
            let now = SystemTime::now() + Duration::from_millis(clock);
            File::options()
                .write(true)
                .open(&path)
                .and_then(|f| f.set_modified(now))
                .expect("ours");
            assert_eq!((watched.refresh(), ***watched.load()), (None, 1), "there may be more");
        }
        write(&path, "23");
        assert!(watched.refresh().is_some());
        assert_eq!(***watched.load(), 23);
        // By a clock that is far ahead.
        fs::write(&path, "4").expect("writable");
        let ahead = SystemTime::now() + Duration::from_secs(3600);
        File::options().write(true).open(&path).and_then(|f| f.set_modified(ahead)).expect("ours");
        assert!(watched.refresh().is_some());
    }

    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("number");
        write(&path, "1");
        // Its writer goes on once half of it is read.
        let read: Reader<Ships> = |path| {
            let read = read_number(path)?;
            if *read == 2 {
                write(path, "23");
            }
            Ok(read)
        };
        let watched = Watched::open(&path, read).expect("a number");
        write(&path, "2");
        assert_eq!((watched.refresh(), ***watched.load()), (None, 1));
        assert!(watched.refresh().is_some());
        assert_eq!(***watched.load(), 23);
    }

    #[test]
    fn a_file_is_read_within_a_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("list");
        fs::write(&path, vec![b'x'; 1 << 20]).expect("writable");
        assert_eq!(read_file(&path, 1 << 20).map(|read| read.len()), Ok(1 << 20));
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).expect("writable");
        let said = read_file(&path, 1 << 20).expect_err("too large");
        assert_eq!(said, "is larger than 1 MiB");
        let said = read_file(&path, 2048).expect_err("too large");
        assert_eq!(said, "is larger than 2 KiB");
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let pipe = dir.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RWXU).expect("made");
        let socket = dir.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        for path in [&pipe, dir.path(), Path::new("/dev/zero")] {
            let said = read_file(path, 1 << 20).expect_err("no file");
            assert_eq!(said, "is no regular file", "{}", path.display());
        }
        assert!(read_file(&socket, 1 << 20).is_err());
    }

    #[test]
    fn files_that_could_not_be_used_are_tried_again_and_told_once() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a.pem");
        fs::write(&path, "one").expect("writable");
        let mut watch = Watch::new([&path]);
        assert!(!watch.is_due());
        fs::write(&path, "another").expect("writable");
        assert!(watch.is_due());
        let no_descriptors = || vec!["too many open files".to_owned()];
        assert_eq!(watch.failed(no_descriptors()), no_descriptors());
        assert!(watch.is_due(), "it looks as it did, and is not in use");
        assert_eq!(watch.failed(no_descriptors()), [""; 0], "told already");
        assert!(watch.is_due());
        assert_eq!(watch.failed(vec!["no key".to_owned()]), ["no key"]);
        watch.succeeded();
        assert!(!watch.is_due());
    }
}
