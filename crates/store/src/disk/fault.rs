//! What a disk does when something is wrong, and the device that tests can make fail.

use std::os::fd::OwnedFd;

use rustix::io::Errno;

/// Why a record could not be read. All are a miss to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DiskFault {
    /// The bytes are not those that were written; the record is dropped.
    #[error("the record is damaged")]
    Damaged,
    /// More reads wait than may wait.
    #[error("too many reads wait for the disk")]
    Busy,
    /// The disk failed, and is not used for a while.
    #[error("the disk is out")]
    Out,
    #[error("the disk answered: {0}")]
    Io(Errno),
}

/// Why a directory could not be opened as a disk.
#[derive(Debug, thiserror::Error)]
pub enum OpenFault {
    #[error("{what}: {errno}")]
    Io { what: &'static str, errno: Errno },
    #[error("a capacity of {0} bytes is too small: it takes eight segments of 64 KiB")]
    Small(u64),
}

/// Why a list of what was in memory could not be written or read. The next start is colder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HotFault {
    #[error("hot.lst: {0}")]
    Io(Errno),
    #[error("hot.lst is damaged or of another store")]
    Malformed,
    /// The disk is closed, or has more to do than may wait.
    #[error("hot.lst is not written: the disk is busy")]
    Busy,
}

impl OpenFault {
    pub(crate) fn io(what: &'static str) -> impl FnOnce(Errno) -> Self {
        move |errno| Self::Io { what, errno }
    }
}

/// What an error says about the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// No room for now: on the device, by a quota, or within the capacity.
    Full,
    /// The device or the directory is broken or gone.
    Out,
}

impl From<Errno> for Trouble {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::NOSPC | Errno::DQUOT | Errno::FBIG => Self::Full,
            // The process has no room, which says nothing against the disk.
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::INTR => Self::Full,
            _ => Self::Out,
        }
    }
}

/// The device below a directory. In tests it fails when told to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Device {
    #[cfg(test)]
    broken: std::sync::Arc<Broken>,
}

#[cfg(test)]
type Meanwhile = Box<dyn FnOnce() + Send>;

/// What is wrong with a device, in tests.
#[cfg(test)]
#[derive(Default)]
pub(crate) struct Broken {
    pub(crate) reads: std::sync::atomic::AtomicI32,
    /// So many reads succeed before that.
    pub(crate) patience: std::sync::atomic::AtomicU32,
    pub(crate) writes: std::sync::atomic::AtomicI32,
    /// Nothing is ever in memory already.
    pub(crate) slow: std::sync::atomic::AtomicBool,
    /// Happens while the next record is written, or copied.
    pub(crate) in_a_record: parking_lot::Mutex<Option<Meanwhile>>,
    pub(crate) in_a_copy: parking_lot::Mutex<Option<Meanwhile>>,
    /// Files that cannot be read, by their inodes.
    pub(crate) files: parking_lot::Mutex<Vec<u64>>,
}

#[cfg(not(test))]
impl Device {
    pub(crate) fn reading(&self, _: &OwnedFd) -> Result<(), Errno> {
        Ok(())
    }

    pub(crate) fn writing(&self) -> Result<(), Errno> {
        Ok(())
    }

    pub(crate) fn writes_record(&self) {}

    pub(crate) fn copies(&self) {}

    pub(crate) fn slow(&self) -> bool {
        false
    }
}

#[cfg(test)]
impl Device {
    pub(crate) fn break_reads(&self, errno: Errno) {
        self.broken.reads.store(errno.raw_os_error(), std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn break_reads_after(&self, reads: u32, errno: Errno) {
        self.broken.patience.store(reads, std::sync::atomic::Ordering::Relaxed);
        self.break_reads(errno);
    }

    pub(crate) fn break_writes(&self, errno: Errno) {
        self.broken.writes.store(errno.raw_os_error(), std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.broken.files.lock().clear();
        self.broken.patience.store(0, std::sync::atomic::Ordering::Relaxed);
        self.broken.reads.store(0, std::sync::atomic::Ordering::Relaxed);
        self.broken.writes.store(0, std::sync::atomic::Ordering::Relaxed);
    }

    /// Is done once, while the next record is written.
    pub(crate) fn in_a_record(&self, meanwhile: impl FnOnce() + Send + 'static) {
        *self.broken.in_a_record.lock() = Some(Box::new(meanwhile));
    }

    /// Is done once, while the next record is copied.
    pub(crate) fn in_a_copy(&self, meanwhile: impl FnOnce() + Send + 'static) {
        *self.broken.in_a_copy.lock() = Some(Box::new(meanwhile));
    }

    pub(crate) fn writes_record(&self) {
        let meanwhile = self.broken.in_a_record.lock().take();
        meanwhile.into_iter().for_each(|meanwhile| meanwhile());
    }

    pub(crate) fn copies(&self) {
        let meanwhile = self.broken.in_a_copy.lock().take();
        meanwhile.into_iter().for_each(|meanwhile| meanwhile());
    }

    pub(crate) fn slow_down(&self) {
        self.broken.slow.store(true, std::sync::atomic::Ordering::Relaxed);
    }

    pub(crate) fn break_file(&self, path: &std::path::Path) {
        self.broken.files.lock().push(rustix::fs::stat(path).unwrap().st_ino);
    }

    pub(crate) fn reading(&self, fd: &OwnedFd) -> Result<(), Errno> {
        if self.broken.files.lock().contains(&rustix::fs::fstat(fd)?.st_ino) {
            return Err(Errno::IO);
        }
        let order = std::sync::atomic::Ordering::Relaxed;
        let left = self.broken.patience.fetch_update(order, order, |left| left.checked_sub(1));
        if left.is_ok() { Ok(()) } else { fails(&self.broken.reads) }
    }

    pub(crate) fn writing(&self) -> Result<(), Errno> {
        fails(&self.broken.writes)
    }

    pub(crate) fn slow(&self) -> bool {
        self.broken.slow.load(std::sync::atomic::Ordering::Relaxed)
    }
}

#[cfg(test)]
impl std::fmt::Debug for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broken").field("reads", &self.reads).field("writes", &self.writes).finish()
    }
}

#[cfg(test)]
fn fails(errno: &std::sync::atomic::AtomicI32) -> Result<(), Errno> {
    match errno.load(std::sync::atomic::Ordering::Relaxed) {
        0 => Ok(()),
        raw => Err(Errno::from_raw_os_error(raw)),
    }
}
