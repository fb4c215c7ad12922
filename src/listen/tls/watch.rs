//! Notices that files have changed, without reading them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A few files, and how they looked last.
#[derive(Debug)]
pub(super) struct Watch {
    paths: Vec<PathBuf>,
    seen: Vec<Option<Stamp>>,
}

impl Watch {
    pub(super) fn new<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let paths: Vec<PathBuf> = paths.into_iter().cloned().collect();
        let seen = stamps(&paths);
        Watch { paths, seen }
    }

    /// Whether a file looks different from the last time.
    ///
    /// Follows symbolic links: one that points elsewhere is a change.
    pub(super) fn has_changed(&mut self) -> bool {
        let now = stamps(&self.paths);
        let has_changed = now != self.seen;
        self.seen = now;
        has_changed
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
