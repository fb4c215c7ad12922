//! The Unix socket at which the two processes meet: private to their user.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::HandoverError;
use super::wire::Deadline;

/// Pause between two looks for a new process that has not bound yet.
const RETRY_PAUSE: Duration = Duration::from_millis(20);

/// Binds the socket in a directory that only we can enter; the error is a text.
pub(super) fn bind(path: &Path) -> Result<UnixListener, String> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    keep_private(directory)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path).map_err(|error| error.to_string())?;
    // Nobody could enter the directory in between.
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(|error| error.to_string())?;
    listener.set_nonblocking(true).map_err(|error| error.to_string())?;
    Ok(listener)
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
) -> Result<UnixStream, HandoverError> {
    let patience = deadline.within(patience);
    loop {
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

fn keep_private(directory: &Path) -> Result<(), String> {
    let text = |error: io::Error| format!("its directory: {error}");
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(text)?;
    let found = fs::metadata(directory).map_err(text)?;
    let (mode, owner) = (found.mode() & 0o777, found.uid());
    let ours = rustix::process::geteuid().as_raw();
    if mode & 0o077 != 0 || owner != ours {
        return Err(format!(
            "its directory must be private (mode 0700, owned by user {ours}), \
             but has mode {mode:04o} and is owned by user {owner}"
        ));
    }
    Ok(())
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
