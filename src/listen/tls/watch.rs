//! Notices that files are to be read again, without reading them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A few files, and how they looked last.
#[derive(Debug)]
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
    /// Why they could not be used when they were last read; empty if they could.
    reasons: Vec<String>,
}

impl Watch {
    pub(super) fn new<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let paths: Vec<PathBuf> = paths.into_iter().cloned().collect();
        let seen = stamps(&paths);
        Watch { paths, seen, reasons: Vec::new() }
    }

    /// Whether to read the files: one looks different from the last time, or
    /// they could not be used then. What kept them from it need not show in how
    /// they look: a process without descriptors, a disk with an error.
    ///
    /// Follows symbolic links: one that points elsewhere is a change.
    pub(super) fn is_due(&mut self) -> bool {
        let now = stamps(&self.paths);
        let has_changed = now != self.seen;
        self.seen = now;
        has_changed || !self.reasons.is_empty()
    }

    /// Says that the files are in use.
    pub(super) fn succeeded(&mut self) {
        self.reasons.clear();
    }

    /// Says why the files cannot be used; which of the reasons are new.
    pub(super) fn failed(&mut self, reasons: Vec<String>) -> Vec<String> {
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
