//! Where lines end up: a file that can be rotated, or a standard stream.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, Uid, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::To;
use crate::fault::Faults;

/// What a pipe takes in one piece even if others write to it (POSIX: at least 512; Linux: 4096).
const PIPE_BUF: usize = 4096;

/// Who may read a log: its owner. Addresses and URLs are personal data.
const MODE: u32 = 0o600;

/// An open destination of lines.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    /// `None` for a stream, which cannot be opened again.
    path: Option<PathBuf>,
    /// Who writes to it once the process serves.
    owner: Uid,
    /// Whether lines must be handed over a few at a time, each piece whole.
    shared: bool,
}

/// Says why there can be no file at `path`, and makes none.
pub(crate) fn check_place(path: &Path) -> Result<(), String> {
    if path.as_os_str().is_empty() {
        return Err("is empty; write the path of a file".to_owned());
    }
    if path.is_dir() {
        return Err(format!("`{}` is a directory", path.display()));
    }
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !parent.is_dir() {
        return Err(format!("`{}` has no directory; make `{}`", path.display(), parent.display()));
    }
    Ok(())
}

/// Says why lines could not go to `to`, and makes nothing.
pub(super) fn check(to: &To) -> Result<(), Faults> {
    let To::Path(path) = to else { return Ok(()) };
    check_place(path).map_err(Faults::one)
}

/// What opening a path again has led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reopened {
    SameFile,
    OtherFile,
}

impl Sink {
    /// The place that is meant, if there is one; a file is for `owner`.
    pub(super) fn open(to: &To, owner: Uid) -> Result<Option<Self>, Faults> {
        let sink = match to {
            To::Off => return Ok(None),
            To::Stdout => Sink::stdout(),
            To::Stderr => Sink::stderr(),
            To::Path(path) => Sink::path(path, owner),
        };
        sink.map(Some).map_err(|error| Faults::one(format!("cannot open `{to}`: {error}")))
    }

    pub(super) fn stdout() -> io::Result<Self> {
        Sink::stream(io::stdout())
    }

    pub(super) fn stderr() -> io::Result<Self> {
        Sink::stream(io::stderr())
    }

    /// A file that `owner` is to write to, which root may be about to become.
    pub(super) fn path(path: &Path, owner: Uid) -> io::Result<Self> {
        let file = append_to(path, owner)?;
        let shared = !file.metadata()?.is_file();
        Ok(Sink { file, path: Some(path.to_owned()), owner, shared })
    }

    /// The file alone.
    pub(super) fn file(&self) -> io::Result<File> {
        self.file.try_clone()
    }

    /// What is opened again after a rotation.
    pub(super) fn place(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The same place once more.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        let (file, path) = (self.file.try_clone()?, self.path.clone());
        Ok(Sink { file, path, ..*self })
    }

    /// Opens the path again, as after a rotation; the old file stays if that fails.
    pub(super) fn reopen(&mut self) -> io::Result<Reopened> {
        let Some(path) = &self.path else { return Ok(Reopened::SameFile) };
        let old = self.file.metadata()?;
        let file = append_to(path, self.owner)?;
        let new = file.metadata()?;
        self.file = file;
        self.shared = !new.is_file();
        if (old.dev(), old.ino()) == (new.dev(), new.ino()) {
            Ok(Reopened::SameFile)
        } else {
            Ok(Reopened::OtherFile)
        }
    }

    /// Takes some of `lines`, at least one byte; says how many.
    ///
    /// A pipe or a terminal that others write to gets whole lines only, so
    /// that theirs do not land inside ours.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        let piece = if self.shared { few_lines(lines) } else { lines };
        match self.file.write(piece) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            other => other,
        }
    }

    /// Takes all of `lines`, and waits for that.
    pub(super) fn write_all(&mut self, mut lines: &[u8]) -> io::Result<()> {
        while !lines.is_empty() {
            match self.write(lines) {
                Ok(count) => lines = lines.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// A copy of the stream without the standard library's own buffer and lock.
    fn stream(stream: impl AsFd) -> io::Result<Self> {
        let file = File::from(stream.as_fd().try_clone_to_owned()?);
        let shared = !file.metadata()?.is_file();
        Ok(Sink { file, path: None, owner: geteuid(), shared })
    }
}

/// A file that is only ever added to, made if there is none.
fn append_to(path: &Path, owner: Uid) -> io::Result<File> {
    if owner == geteuid() {
        return OpenOptions::new().append(true).create(true).mode(MODE).open(path);
    }
    append_for(path, owner)
}

/// The same by root, on behalf of the user that it becomes: in a folder of
/// theirs, a link could stand for any file of the machine.
fn append_for(path: &Path, owner: Uid) -> io::Result<File> {
    let (file, is_made) = match open_without_links(path, OFlags::CREATE | OFlags::EXCL) {
        Err(Errno::EXIST) => (open_without_links(path, OFlags::empty()), false),
        made => (made, true),
    };
    let file = file.map_err(|error| match error {
        Errno::LOOP => refused("a link is on the way; write the path without links"),
        Errno::NXIO => refused("it is no regular file"),
        other => other.into(),
    })?;
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(refused("it is no regular file"));
    }
    if found.nlink() > 1 {
        return Err(refused("it has more than one name (hard links)"));
    }
    if is_made {
        fchown(&file, Some(owner.as_raw()), None)?;
    }
    Ok(file)
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("root opens no such file for server.user: {why}"))
}

fn open_without_links(path: &Path, how: OFlags) -> Result<File, Errno> {
    // Nor does a pipe that nobody reads stop the start.
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::NOCTTY;
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | how;
    let is_made = how.contains(OFlags::CREATE);
    let mode = if is_made { Mode::from_raw_mode(MODE) } else { Mode::empty() };
    match openat2(CWD, path, flags, mode, ResolveFlags::NO_SYMLINKS) {
        // Before Linux 5.6, and in some containers, only the last name can be guarded.
        Err(Errno::NOSYS) => rustix::fs::open(path, flags, mode).map(File::from),
        opened => opened.map(File::from),
    }
}

/// As many lines as a pipe takes in one piece; the first one, if that is longer.
fn few_lines(lines: &[u8]) -> &[u8] {
    let Some((start, _)) = lines.split_at_checked(PIPE_BUF) else { return lines };
    let end = memchr::memrchr(b'\n', start).or_else(|| memchr::memchr(b'\n', lines));
    end.and_then(|at| lines.get(..=at)).unwrap_or(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], expected: &[&str]) {
        let lines = lines.concat();
        let few = few_lines(lines.as_bytes());
        assert_eq!(few.escape_ascii().to_string(), expected.concat().escape_default().to_string());
    }

    #[test]
    fn pipes_get_whole_lines() {
        let (short, long) = ("short\n", format!("{}\n", "a".repeat(PIPE_BUF)));
        let half = format!("{}\n", "b".repeat(PIPE_BUF / 2 - 1));
        check(&[short, short], &[short, short]);
        check(&[short, &long, short], &[short]);
        check(&[&long, short], &[&long]);
        check(&[&half, &half], &[&half, &half]);
        check(&[&half, &half, short], &[&half, &half]);
        check(&[short, &half, &half], &[short, &half]);
    }

    /// What root, or whoever else runs this, opens for another user.
    fn for_another(path: &Path) -> Result<File, String> {
        let another = Uid::from_raw(geteuid().as_raw() + 1);
        append_for(path, another).map_err(|error| error.to_string())
    }

    #[test]
    fn what_could_be_any_file_is_not_opened_for_another_user() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("it is there");
        let at = |name: &str| root.join(name);
        std::fs::create_dir(at("real")).expect("a folder");
        std::fs::write(at("kept"), "kept").expect("a file");
        std::fs::hard_link(at("kept"), at("hard")).expect("a link");
        for (to, name) in [("kept", "soft"), ("nowhere", "dangling"), ("real", "folder")] {
            std::os::unix::fs::symlink(at(to), at(name)).expect("a link");
        }
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(CWD, at("pipe"), fifo, Mode::RWXU, 0).expect("a pipe");
        for (name, why) in [
            ("hard", "more than one name"),
            ("soft", "a link is on the way"),
            ("dangling", "a link is on the way"),
            ("folder/error.log", "a link is on the way"),
            ("pipe", "no regular file"),
        ] {
            let refused = for_another(&at(name)).expect_err(name);
            assert!(refused.contains(why), "{name}: {refused}");
        }
        let refused = for_another(Path::new("/dev/null")).expect_err("a device");
        assert!(refused.contains("no regular file"), "{refused}");
        assert!(!at("nowhere").exists() && !at("real/error.log").exists());
        std::fs::remove_file(at("hard")).expect("it is there");
        write!(for_another(&at("kept")).expect("a file"), " on").expect("room");
        assert_eq!(std::fs::read_to_string(at("kept")).expect("a file"), "kept on");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_an_error() {
        let (reader, writer) = io::pipe().expect("a pipe");
        let mut sink = Sink::stream(writer).expect("a stream");
        assert_eq!(sink.write(b"one\n").expect("room"), 4);
        assert_eq!(sink.reopen().expect("nothing to open"), Reopened::SameFile);
        drop(reader);
        let error = sink.write(b"two\n").expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
