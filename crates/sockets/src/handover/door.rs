//! The Unix socket at which the two processes meet: private to their user.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, Mode, OFlags, chownat, fstat, open};
use rustix::io::Errno;
use rustix::process::{Uid, geteuid};
use socket2::{Domain, SockAddr, Socket, Type};

use super::HandoverError;
use super::breaker::Breaker;
use super::wire::Deadline;

/// Pause between two looks for a new process that has not bound yet.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Binds the socket in a directory that only its owner can enter, and gives it
/// to the owner; the error is a text.
pub(super) fn bind(path: &Path) -> Result<UnixListener, String> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let owner = keep_private(directory)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
    if owner == geteuid() {
        // Nobody could enter the directory in between.
        let private = Permissions::from_mode(0o600);
        fs::set_permissions(path, private).map_err(|error| error.to_string())?;
    } else {
        give_away(path, owner)?;
    }
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(listener)
}

/// Gives the socket that root has bound to the owner of its directory, who
/// could have put another file in its place since: only a socket of ours that
/// has no other name is given, and by its descriptor.
fn give_away(path: &Path, owner: Uid) -> Result<(), String> {
    let text = |error: Errno| error.to_string();
    let socket = open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let socket = socket.map_err(text)?;
    let found = fstat(&socket).map_err(text)?;
    let is_socket = rustix::fs::FileType::from_raw_mode(found.st_mode).is_socket();
    if !is_socket || found.st_uid != geteuid().as_raw() || found.st_nlink != 1 {
        return Err("was replaced by another file".to_owned());
    }
    chownat(&socket, "", Some(owner), None, AtFlags::EMPTY_PATH).map_err(text)
}

/// Waits for the next connection.
pub(super) fn next_connection(
    listener: &UnixListener,
    deadline: Deadline,
) -> Result<UnixStream, HandoverError> {
    loop {
        let wait = deadline.left()?.try_into().expect("a time-out fits a timespec");
        let mut fds = [PollFd::from_borrowed_fd(listener.as_fd(), PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(HandoverError::Io(error.into())),
        }
        match listener.accept() {
            Ok((stream, _)) => return Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Connects to the new process, waiting `patience` for it to bind.
pub(super) fn connect(
    path: &Path,
    deadline: Deadline,
    patience: Duration,
    breaker: &Breaker,
) -> Result<UnixStream, HandoverError> {
    let patience = deadline.within(patience);
    loop {
        if breaker.is_broken() {
            return Err(HandoverError::BrokenOff);
        }
        let error = match try_connect(path, deadline.left()?) {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {}
            io::ErrorKind::WouldBlock => return Err(HandoverError::TimedOut),
            _ => {
                let what = error.to_string();
                return Err(HandoverError::Socket { path: path.to_owned(), what });
            }
        }
        if patience.left().is_err() {
            return Err(HandoverError::NobodyWaits(path.to_owned()));
        }
        pause();
    }
}

fn try_connect(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Connecting blocks while the backlog is full; the write time-out bounds it.
    socket.set_write_timeout(Some(timeout))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(UnixStream::from(OwnedFd::from(socket)))
}

#[expect(clippy::disallowed_methods, reason = "a hand-over runs on a thread that may block")]
fn pause() {
    std::thread::sleep(RETRY_PAUSE);
}

/// Makes the directory, or checks it; its owner.
fn keep_private(directory: &Path) -> Result<Uid, String> {
    let text = |error: io::Error| format!("its directory: {error}");
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(text)?;
    let found = fs::metadata(directory).map_err(text)?;
    let (mode, owner, ours) = (found.mode() & 0o777, Uid::from_raw(found.uid()), geteuid());
    // Root may use what is private to the user that the process before became.
    if mode & 0o077 != 0 || owner != ours && !ours.is_root() {
        return Err(format!(
            "its directory must be private (mode 0700, owned by user {}), \
             but has mode {mode:04o} and is owned by user {}",
            ours.as_raw(),
            owner.as_raw()
        ));
    }
    Ok(owner)
}

fn remove_stale(path: &Path) -> Result<(), String> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.to_string()),
    };
    if !found.file_type().is_socket() {
        return Err("is in the way and is no socket".to_owned());
    }
    if UnixStream::connect(path).is_ok() {
        return Err("another new process is waiting there already".to_owned());
    }
    fs::remove_file(path).map_err(|error| error.to_string())
}
