//! Opens files so that nothing outside the folder can be reached.
//!
//! The kernel resolves names beneath the folder (openat2, RESOLVE_BENEATH), so
//! no check can be overtaken by a rename. Where openat2 is missing, the links
//! of a name are resolved first and the result is walked without following any.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use super::Missing;

/// Names in motion make the kernel ask for another try; it seldom takes two.
const TRIES: usize = 8;

/// For files: never wait (a FIFO would), never become the terminal of one.
const READ: OFlags =
    OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);
const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// A folder, open for the length of one look-up.
///
/// It is opened for each, so that a folder replaced by a rename (the usual way
/// to publish a site) counts at once.
pub(super) struct Root<'a> {
    path: &'a Path,
    folder: OwnedFd,
}

/// What stands at a name.
pub(super) enum Found {
    File(Opened),
    Folder,
}

/// A regular file and what was true of it when it was opened.
#[derive(Debug)]
pub(super) struct Opened {
    pub file: File,
    pub length: u64,
    pub modified: SystemTime,
}

impl<'a> Root<'a> {
    pub(super) fn open(path: &'a Path) -> io::Result<Self> {
        let folder = openat(CWD, path, FOLDER, Mode::empty())?;
        Ok(Root { path, folder })
    }

    /// Opens what stands at a relative name without dot segments.
    pub(super) fn find(&self, name: &Path) -> Result<Found, Missing> {
        let name = if name.as_os_str().is_empty() { Path::new(".") } else { name };
        let opened = match self.open_beneath(name) {
            // Old kernels, and sandboxes that know only old system calls.
            Err(Errno::NOSYS | Errno::PERM) => self.open_walking(name),
            opened => opened,
        };
        let file = File::from(opened.map_err(missing)?);
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Ok(Found::Folder);
        }
        // Devices and FIFOs have no end; sockets do not even open.
        if !metadata.is_file() {
            return Err(Missing::Forbidden);
        }
        let modified = metadata.modified()?;
        Ok(Found::File(Opened { file, length: metadata.len(), modified }))
    }

    fn open_beneath(&self, name: &Path) -> Result<OwnedFd, Errno> {
        let rules = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 1..TRIES {
            match openat2(&self.folder, name, READ, Mode::empty(), rules) {
                Err(Errno::AGAIN) => {}
                opened => return opened,
            }
        }
        openat2(&self.folder, name, READ, Mode::empty(), rules)
    }

    /// The same without openat2.
    ///
    /// A link that appears between the two steps makes the walk fail.
    fn open_walking(&self, name: &Path) -> Result<OwnedFd, Errno> {
        let inside = self.resolve(name)?;
        let mut folder = openat(&self.folder, ".", FOLDER, Mode::empty())?;
        let (Some(parent), Some(last)) = (inside.parent(), inside.file_name()) else {
            return openat(&folder, ".", READ, Mode::empty());
        };
        for segment in parent {
            folder = openat(&folder, segment, FOLDER | OFlags::NOFOLLOW, Mode::empty())?;
        }
        openat(&folder, last, READ | OFlags::NOFOLLOW, Mode::empty())
    }

    /// The name with its links resolved, if it still is in the folder.
    fn resolve(&self, name: &Path) -> Result<PathBuf, Errno> {
        let errno = |error: io::Error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
        let root = fs::canonicalize(self.path).map_err(errno)?;
        let target = fs::canonicalize(root.join(name)).map_err(errno)?;
        target.strip_prefix(&root).map(Path::to_owned).map_err(|_| Errno::XDEV)
    }
}

/// Whose fault it is that a name did not open.
fn missing(error: Errno) -> Missing {
    match error {
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG => Missing::NotFound,
        // XDEV: a link leads out; NXIO: a socket, or a device without driver.
        Errno::ACCESS | Errno::PERM | Errno::XDEV | Errno::LOOP | Errno::NXIO => Missing::Forbidden,
        other => Missing::Unreadable(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    use rustix::fs::{FileType, mknodat};

    use super::*;

    /// A folder `root` beside a secret, with links in and out of it.
    fn folder() -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a folder");
        let root = home.path().join("root");
        fs::create_dir_all(root.join("inner")).expect("folders");
        fs::write(home.path().join("secret"), "secret").expect("a file");
        fs::write(root.join("inner/page"), "page").expect("a file");
        symlink("inner/page", root.join("link")).expect("a link");
        symlink("inner", root.join("folder-link")).expect("a link");
        symlink("../secret", root.join("out")).expect("a link");
        symlink("..", root.join("up")).expect("a link");
        symlink("/etc", root.join("etc")).expect("a link");
        symlink("loop", root.join("loop")).expect("a link");
        home
    }

    fn text(opened: Result<OwnedFd, Errno>) -> Result<String, Errno> {
        let mut text = String::new();
        File::from(opened?).read_to_string(&mut text).map_err(|_| Errno::ISDIR)?;
        Ok(text)
    }

    #[test]
    fn both_ways_of_opening_agree() {
        let home = folder();
        let path = home.path().join("root");
        let root = Root::open(&path).expect("a folder");
        let table = [
            ("inner/page", Ok("page")),
            ("link", Ok("page")),
            ("folder-link/page", Ok("page")),
            ("inner", Err(Errno::ISDIR)),
            (".", Err(Errno::ISDIR)),
            ("out", Err(Errno::XDEV)),
            ("up/secret", Err(Errno::XDEV)),
            ("etc/passwd", Err(Errno::XDEV)),
            ("loop", Err(Errno::LOOP)),
            ("none", Err(Errno::NOENT)),
            ("link/none", Err(Errno::NOTDIR)),
        ];
        for (name, expected) in table {
            let expected = expected.map(str::to_owned);
            assert_eq!(text(root.open_beneath(Path::new(name))), expected, "{name}");
            assert_eq!(text(root.open_walking(Path::new(name))), expected, "{name}, walking");
        }
    }

    #[test]
    fn only_regular_files_are_served() {
        let home = folder();
        let path = home.path().join("root");
        let root = Root::open(&path).expect("a folder");
        mknodat(CWD, path.join("fifo"), FileType::Fifo, Mode::RUSR, 0).expect("a fifo");
        let _socket = UnixListener::bind(path.join("socket")).expect("a socket");
        for name in ["fifo", "socket"] {
            let found = root.find(Path::new(name));
            assert!(matches!(found, Err(Missing::Forbidden)), "{name}");
        }
    }

    #[test]
    fn a_replaced_root_counts_at_once() {
        let home = folder();
        let current = home.path().join("current");
        symlink("root", &current).expect("a link");
        assert!(Root::open(&current).and_then(|r| Ok(r.open_beneath(Path::new("link"))?)).is_ok());
        fs::remove_file(&current).expect("removed");
        symlink("root/inner", &current).expect("a link");
        assert!(Root::open(&current).and_then(|r| Ok(r.open_beneath(Path::new("page"))?)).is_ok());
    }
}
