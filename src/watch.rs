//! Files that are read again when they change.
//!
//! [`Watch`] notices it without reading; [`Watched`] is one file with what was
//! read of it. When to look is for `control`, which asks by [`Refresh`].

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::{ArcSwap, Guard};

/// Reads a file; the error says what is wrong with it, its name included.
type Reader<T> = fn(&Path) -> Result<T, String>;

/// A file, and what was read of it when it was good last.
#[derive(Debug)]
pub(crate) struct Watched<T> {
    path: PathBuf,
    read: Reader<T>,
    current: ArcSwap<T>,
    watch: Mutex<Watch>,
}

impl<T> Watched<T> {
    pub(crate) fn open(path: &Path, read: Reader<T>) -> Result<Self, String> {
        // Looked at before it is read, so that no change in between is missed.
        let watch = Mutex::new(Watch::new([&path.to_owned()]));
        let current = ArcSwap::from_pointee(read(path)?);
        Ok(Watched { path: path.to_owned(), read, current, watch })
    }

    /// What the file said when it was good last.
    pub(crate) fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
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
    /// It was read, and is in use from now on.
    Replaced(String),
    /// It is not good, and the reasons are new; what was in use stays.
    Kept(Vec<String>),
}

impl<T: Send + Sync> Refresh for Watched<T> {
    fn refresh(&self) -> Option<Refreshed> {
        let mut watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        if !watch.is_due() {
            return None;
        }
        match (self.read)(&self.path) {
            Ok(read) => {
                watch.succeeded();
                self.current.store(Arc::new(read));
                Some(Refreshed::Replaced(self.path.display().to_string()))
            }
            Err(reason) => {
                let new = watch.failed(vec![reason]);
                (!new.is_empty()).then_some(Refreshed::Kept(new))
            }
        }
    }
}

/// Reads a whole file of at most `most` bytes; the error names it.
pub(crate) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let named = |what: &dyn std::fmt::Display| format!("{}: {what}", path.display());
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
        .map_err(|error| named(&error))?;
    if bytes.len() as u64 > most {
        return Err(named(&format_args!("is larger than {} MiB", most >> 20)));
    }
    Ok(bytes)
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

    #[test]
    fn what_was_good_stays_until_the_file_is_good_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("number");
        let read = |path: &Path| {
            let bytes = read_file(path, 1 << 20)?;
            let text = String::from_utf8(bytes).map_err(|error| error.to_string())?;
            text.parse::<u32>().map_err(|error| error.to_string())
        };
        assert!(Watched::open(&path, read).is_err());
        fs::write(&path, "1").expect("writable");
        let watched = Watched::open(&path, read).expect("a number");
        assert_eq!((watched.refresh(), **watched.load()), (None, 1));
        fs::write(&path, "two").expect("writable");
        let kept = Refreshed::Kept(vec!["invalid digit found in string".to_owned()]);
        assert_eq!(watched.refresh(), Some(kept));
        assert_eq!((watched.refresh(), **watched.load()), (None, 1), "said once");
        fs::write(&path, "22").expect("writable");
        let replaced = Refreshed::Replaced(path.display().to_string());
        assert_eq!((watched.refresh(), **watched.load()), (Some(replaced), 22));
    }

    #[test]
    fn a_file_is_read_within_a_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("list");
        fs::write(&path, vec![b'x'; 1 << 20]).expect("writable");
        assert_eq!(read_file(&path, 1 << 20).map(|read| read.len()), Ok(1 << 20));
        fs::write(&path, vec![b'x'; (1 << 20) + 1]).expect("writable");
        let said = read_file(&path, 1 << 20).expect_err("too large");
        assert_eq!(said, format!("{}: is larger than 1 MiB", path.display()));
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
