//! The files of one disk: which generation is current, the segments by name, who may evict.
//!
//! ```text
//! FORMAT                  what the generation was written by
//! LOCK                    locked by the one process that evicts
//! GUESTS                  locked by each of the others, so that it knows of them at once
//! seg/<aa>/<name>         segments, see `name.rs`
//! hot.lst                 what was in memory, see `hot.rs`
//! old-<store>/            a generation that cannot be read, until it is removed
//! ```
//! Everything is reached from descriptors of folders: a process whose generation was put aside
//! keeps to it, and fails when it is gone, but never writes into another.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::fault::{Device, OpenFault};
use super::file::File;
use super::format::Format;
use super::name::{Name, State};

const SEGMENTS: &str = "seg";
const OLD: &str = "old-";
const GUESTS: &str = "GUESTS";
/// A format is shorter.
const LONGEST_FORMAT: usize = 1024;
/// What a device is proven by.
const PROBE: usize = 4096;

#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    root: OwnedFd,
    segments: OwnedFd,
    device: Device,
}

/// While it lives no other process evicts from the directory.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Locked; closing it gives up the lock.
    _lock: OwnedFd,
}

/// While it lives the process that evicts knows that it is not alone.
#[derive(Debug)]
pub(crate) struct Guest {
    /// Locked, as others may have it too; closing it gives up the lock.
    _lock: OwnedFd,
}

impl Directory {
    /// Opens what is there; starts a new generation if it was written by another format.
    pub(crate) fn open(
        path: &Path,
        slice: u32,
        device: Device,
    ) -> Result<(Self, Format), OpenFault> {
        std::fs::create_dir_all(path).map_err(|error| OpenFault::Io {
            what: "making the directory",
            errno: Errno::from_io_error(&error).unwrap_or(Errno::IO),
        })?;
        let root = folder(rustix::fs::CWD, path).map_err(OpenFault::io("opening the directory"))?;
        let format = current(&root, slice).map_err(OpenFault::io("reading FORMAT"))?;
        made(rustix::fs::mkdirat(&root, SEGMENTS, Mode::RWXU))
            .map_err(OpenFault::io("making seg"))?;
        let segments = folder(&root, SEGMENTS).map_err(OpenFault::io("opening seg"))?;
        Ok((Self { path: path.to_owned(), root, segments, device }, format))
    }

    /// An error if the path leads elsewhere by now, or nowhere: as to the empty folder where the
    /// disk was mounted.
    pub(crate) fn is_in_place(&self) -> Result<(), Errno> {
        let (there, ours) = (rustix::fs::stat(&self.path)?, rustix::fs::fstat(&self.root)?);
        let same = (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino);
        if same { Ok(()) } else { Err(Errno::NODEV) }
    }

    /// All segments, in no order.
    pub(crate) fn list(&self) -> Result<Vec<(Name, State)>, Errno> {
        let mut found = Vec::new();
        for aa in names(&self.segments, FileType::Directory)? {
            let files = match folder(&self.segments, aa.as_str()) {
                Ok(fd) => names(&fd, FileType::RegularFile)?,
                // Somebody put a file there, or took the folder away.
                Err(Errno::NOTDIR | Errno::NOENT | Errno::LOOP) => continue,
                Err(errno) => return Err(errno),
            };
            let named = files.iter().filter_map(|file| Name::parse(file));
            found.extend(named.filter(|(name, _)| name.folder() == aa));
        }
        Ok(found)
    }

    /// A new file in state `New`, locked.
    pub(crate) fn create(&self, name: &Name) -> Result<File, Errno> {
        made(rustix::fs::mkdirat(&self.segments, name.folder(), Mode::RWXU))?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        let fd = rustix::fs::openat(&self.segments, name.path(State::New), flags, mode)?;
        let file = File::new(fd, self.device.clone());
        if file.lock()? { Ok(file) } else { Err(Errno::AGAIN) }
    }

    pub(crate) fn open_segment(&self, name: &Name, state: State) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::openat(&self.segments, name.path(state), flags, Mode::empty())?;
        Ok(File::new(fd, self.device.clone()))
    }

    pub(crate) fn rename(&self, name: &Name, from: State, to: State) -> Result<(), Errno> {
        rustix::fs::renameat(&self.segments, name.path(from), &self.segments, name.path(to))
    }

    /// The bytes stay for those who have the file open.
    pub(crate) fn remove(&self, name: &Name, state: State) -> Result<(), Errno> {
        match rustix::fs::unlinkat(&self.segments, name.path(state), AtFlags::empty()) {
            Err(Errno::NOENT) => Ok(()),
            other => other,
        }
    }

    /// Whether the name still leads to this file.
    pub(crate) fn leads_to(&self, name: &Name, state: State, file: &File) -> Result<bool, Errno> {
        match rustix::fs::statat(&self.segments, name.path(state), AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(stat.st_ino == file.inode()?),
            Err(Errno::NOENT) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Whether the device takes and gives bytes.
    pub(crate) fn prove(&self, writer: u64) -> Result<(), Errno> {
        let name = half("probe", writer);
        let bytes = [0x5a; PROBE];
        let proven = self.make(&name, &bytes).and_then(|file| {
            file.forget();
            let mut read = [0; PROBE];
            file.read_at(&mut read, 0)?;
            if read == bytes { Ok(()) } else { Err(Errno::IO) }
        });
        self.unmake(&name);
        proven
    }

    /// Puts a file in the place of another at once. Only the owner of the process may read it.
    pub(crate) fn replace(&self, name: &str, bytes: &[u8], writer: u64) -> Result<(), Errno> {
        let new = half(name, writer);
        let replaced = self
            .make(&new, bytes)
            .and_then(|_| rustix::fs::renameat(&self.root, &new, &self.root, name))
            .and_then(|()| rustix::fs::fsync(&self.root));
        if replaced.is_err() {
            self.unmake(&new);
        }
        replaced
    }

    /// What a file has, if there is one; at most so many bytes.
    pub(crate) fn read(&self, name: &str, most: usize) -> Result<Option<Vec<u8>>, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = match rustix::fs::openat(&self.root, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let file = File::new(fd, self.device.clone());
        let size = usize::try_from(file.size()?).unwrap_or(usize::MAX);
        let mut bytes = vec![0; size.min(most)];
        let len = file.read_at(&mut bytes, 0)?;
        bytes.truncate(len);
        Ok(Some(bytes))
    }

    /// Removes what a process left that ended while it wrote. One that still writes says that it
    /// failed.
    pub(crate) fn remove_halves(&self) -> Result<(), Errno> {
        for name in names(&self.root, FileType::RegularFile)?.iter().filter(|name| is_half(name)) {
            rustix::fs::unlinkat(&self.root, name.as_str(), AtFlags::empty())?;
        }
        Ok(())
    }

    /// `None` while another process holds it.
    pub(crate) fn lease(&self) -> Result<Option<Lease>, Errno> {
        Ok(lock_alone(self.lock_file("LOCK")?)?.map(|lock| Lease { _lock: lock }))
    }

    /// For who has no lease, and who is about to give it up.
    pub(crate) fn guest(&self) -> Result<Guest, Errno> {
        let lock = self.lock_file(GUESTS)?;
        // Who looks for guests has it for two system calls.
        rustix::io::retry_on_intr(|| rustix::fs::flock(&lock, FlockOperation::LockShared))?;
        Ok(Guest { _lock: lock })
    }

    pub(crate) fn has_guests(&self) -> Result<bool, Errno> {
        Ok(lock_alone(self.lock_file(GUESTS)?)?.is_none())
    }

    /// Removes up to `limit` files of older generations; false when none is left.
    pub(crate) fn remove_old(&self, limit: usize) -> Result<bool, Errno> {
        let mut left = limit;
        for old in names(&self.root, FileType::Directory)? {
            if !old.starts_with(OLD) {
                continue;
            }
            let generation = folder(&self.root, old.as_str())?;
            for aa in names(&generation, FileType::Directory)? {
                let files = folder(&generation, aa.as_str())?;
                for file in names(&files, FileType::RegularFile)? {
                    if left == 0 {
                        return Ok(true);
                    }
                    left -= 1;
                    rustix::fs::unlinkat(&files, file, AtFlags::empty())?;
                }
                rustix::fs::unlinkat(&generation, aa, AtFlags::REMOVEDIR)?;
            }
            rustix::fs::unlinkat(&self.root, old, AtFlags::REMOVEDIR)?;
        }
        Ok(false)
    }

    fn lock_file(&self, name: &str) -> Result<OwnedFd, Errno> {
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
        rustix::fs::openat(&self.root, name, flags, Mode::RUSR | Mode::WUSR)
    }

    fn make(&self, name: &str, bytes: &[u8]) -> Result<File, Errno> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.root, name, flags, Mode::RUSR | Mode::WUSR)?;
        let file = File::new(fd, self.device.clone());
        file.write_at(bytes, 0)?;
        file.sync()?;
        Ok(file)
    }

    /// What is left over goes at the next start.
    fn unmake(&self, name: &str) {
        rustix::fs::unlinkat(&self.root, name, AtFlags::empty()).ok();
    }
}

/// The name of a file that a process has not finished.
fn half(name: &str, writer: u64) -> String {
    format!("{name}.{writer:016x}")
}

fn is_half(name: &str) -> bool {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| ending.len() == 16 && ending.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// What FORMAT says, or what it says from now on.
fn current(root: &OwnedFd, slice: u32) -> Result<Format, Errno> {
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(root, "FORMAT", flags, Mode::RUSR | Mode::WUSR)?;
    // Two processes that start at once agree on one. Each holds it for a few system calls.
    rustix::fs::flock(&fd, FlockOperation::LockExclusive)?;
    let file = File::new(fd, Device::default());
    let mut text = vec![0; LONGEST_FORMAT];
    let len = file.read_at(&mut text, 0)?;
    text.truncate(len);
    let known = std::str::from_utf8(&text).ok().and_then(Format::decode);
    if let Some(format) = known.filter(|format| format.slice == slice) {
        return Ok(format);
    }
    let format = Format::new(slice);
    let aside = format!("{OLD}{:032x}", format.store);
    match rustix::fs::renameat(root, SEGMENTS, root, aside) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(errno) => return Err(errno),
    }
    let text = format.encode();
    file.write_at(text.as_bytes(), 0)?;
    file.truncate(text.len() as u64)?;
    file.sync()?;
    Ok(format)
}

fn folder<P: rustix::path::Arg>(at: impl AsFd, path: P) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

/// `None` if somebody else has it.
fn lock_alone(file: OwnedFd) -> Result<Option<OwnedFd>, Errno> {
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(errno),
    }
}

fn made(result: Result<(), Errno>) -> Result<(), Errno> {
    match result {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// What a folder has of one kind. File systems that do not tell the kind get the benefit.
fn names(folder: &OwnedFd, kind: FileType) -> Result<Vec<String>, Errno> {
    let mut found = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let fits = entry.file_type() == kind || entry.file_type() == FileType::Unknown;
        match entry.file_name().to_str() {
            Ok(name) if fits && name != "." && name != ".." => found.push(name.to_owned()),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::name::Queue;
    use super::*;

    fn open(path: &Path, slice: u32) -> (Directory, Format) {
        Directory::open(path, slice, Device::default()).unwrap()
    }

    fn name(seq: u64) -> Name {
        Name { seq, writer: 5, queue: Queue::Small }
    }

    #[test]
    fn a_directory_that_is_opened_again_is_of_the_same_generation() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        let (directory, first) = open(&path, 7);
        directory.create(&name(300)).unwrap();
        directory.rename(&name(300), State::New, State::Open).unwrap();
        let (again, second) = open(&path, 7);
        assert!(first == second);
        assert_eq!(again.list().unwrap(), [(name(300), State::Open)]);
    }

    #[test]
    fn another_format_starts_a_new_generation_and_removes_the_old_one() {
        let home = tempfile::tempdir().unwrap();
        let changes: [&dyn Fn(&Path); 3] =
            [&|_| {}, &|path| std::fs::write(path, "tidegate store 0\n").unwrap(), &|path| {
                std::fs::write(path, "").unwrap()
            }];
        for (n, change) in changes.iter().enumerate() {
            let (directory, first) = open(home.path(), n as u32);
            for seq in 0..5 {
                directory.create(&name(seq)).unwrap();
            }
            change(&home.path().join("FORMAT"));
            let (again, second) = open(home.path(), n as u32 + 1);
            assert!(first != second);
            assert_eq!(again.list().unwrap(), []);
            assert_eq!(directory.list().unwrap().len(), 5, "its own process still sees it");
            assert!(again.remove_old(3).unwrap(), "more is left");
            assert!(!again.remove_old(3).unwrap());
            let left = std::fs::read_dir(home.path()).unwrap();
            let mut left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
            left.sort();
            assert_eq!(left, ["FORMAT", "seg"]);
            directory.create(&name(9)).unwrap_err();
        }
    }

    #[test]
    fn one_process_at_a_time_has_the_lease() {
        let home = tempfile::tempdir().unwrap();
        let (one, _) = open(home.path(), 1);
        let (two, _) = open(home.path(), 1);
        let lease = one.lease().unwrap().unwrap();
        assert!(two.lease().unwrap().is_none());
        drop(lease);
        assert!(two.lease().unwrap().is_some());
    }

    #[test]
    fn guests_are_known_while_they_are_there() {
        let home = tempfile::tempdir().unwrap();
        let (one, _) = open(home.path(), 1);
        let (two, _) = open(home.path(), 1);
        assert!(!one.has_guests().unwrap());
        let guests = [two.guest().unwrap(), two.guest().unwrap()];
        for guest in guests {
            assert!(one.has_guests().unwrap());
            drop(guest);
        }
        assert!(!one.has_guests().unwrap());
    }

    #[test]
    fn a_device_that_takes_and_gives_bytes_is_proven() {
        let home = tempfile::tempdir().unwrap();
        let device = Device::default();
        let (directory, _) = Directory::open(home.path(), 1, device.clone()).unwrap();
        assert_eq!(directory.prove(7), Ok(()));
        for break_it in [Device::break_reads, Device::break_writes] {
            break_it(&device, Errno::IO);
            assert_eq!(directory.prove(7), Err(Errno::IO));
            device.mend();
        }
        assert_eq!(directory.prove(7), Ok(()));
        assert_eq!(names(&directory.root, FileType::RegularFile).unwrap(), ["FORMAT"]);
    }

    #[test]
    fn what_a_process_left_half_written_goes_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        let (directory, _) = open(home.path(), 1);
        for name in ["hot.lst.00000000000000ff", "probe.0123456789abcdef", "purge.log", "a.b"] {
            std::fs::write(home.path().join(name), "x").unwrap();
        }
        directory.remove_halves().unwrap();
        let mut left = names(&directory.root, FileType::RegularFile).unwrap();
        left.sort();
        assert_eq!(left, ["FORMAT", "a.b", "purge.log"]);
    }

    #[test]
    fn a_segment_is_locked_by_who_makes_it() {
        let home = tempfile::tempdir().unwrap();
        let (directory, _) = open(home.path(), 1);
        let file = directory.create(&name(1)).unwrap();
        let other = directory.open_segment(&name(1), State::New).unwrap();
        assert!(!other.lock().unwrap());
        drop(file);
        assert!(other.lock().unwrap());
        assert!(directory.leads_to(&name(1), State::New, &other).unwrap());
        directory.remove(&name(1), State::New).unwrap();
        assert!(!directory.leads_to(&name(1), State::New, &other).unwrap());
    }

    #[test]
    fn what_is_no_segment_is_left_alone() {
        let home = tempfile::tempdir().unwrap();
        let (directory, _) = open(home.path(), 1);
        std::fs::write(home.path().join("seg/stray"), "x").unwrap();
        std::fs::create_dir(home.path().join("seg/zz")).unwrap();
        std::fs::write(home.path().join("seg/zz/stray"), "x").unwrap();
        // One that lies where it would not be looked for.
        let elsewhere = name(3).path(State::Sealed).replace("03/", "zz/");
        std::fs::write(home.path().join("seg").join(elsewhere), "x").unwrap();
        assert_eq!(directory.list().unwrap(), []);
    }
}
