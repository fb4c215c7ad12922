//! The words of a hand-over on a Unix stream.
//!
//! First a greeting: `tidegate handover 1\n`. Then frames: a kind (one byte), a
//! length (four, big-endian), a payload. The old process sends sockets in
//! batches, a snapshot if it has one, and the end; the new one `ready` or
//! `failed`. The descriptors of a batch travel beside its first byte.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::{HandoverError, Snapshot};

/// Sockets in one message; the kernel takes at most 253.
pub(super) const BATCH: usize = 64;
pub(super) const MAX_SNAPSHOT: usize = 64 << 20;
pub(super) const OTHER_VERSION: &str = "it speaks another version of the hand-over";

// The length of a greeting never changes, so that any version can read any other's.
const GREETING: &[u8; 20] = b"tidegate handover 1\n";
const GREETING_PREFIX: &[u8] = b"tidegate handover ";
const HEADER: usize = 5;
const MAX_REASON: usize = 1024;
/// Read at once, so that memory follows what arrives, not what was announced.
const CHUNK: usize = 256 << 10;
const ANCILLARY: usize = rustix::cmsg_space!(ScmRights(BATCH));

const SOCKETS: u8 = b'S';
const SNAPSHOT: u8 = b'B';
const END: u8 = b'E';
const READY: u8 = b'R';
const FAILED: u8 = b'F';

#[derive(Debug)]
pub(super) enum Frame {
    Sockets(Vec<(String, OwnedFd)>),
    Snapshot(Snapshot),
    End,
    Ready,
    Failed(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeting {
    Ours,
    OtherVersion,
}

/// The moment after which nobody waits any longer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn after(timeout: Duration) -> Self {
        Deadline(Instant::now() + timeout)
    }

    /// This deadline, or `patience` from now if that is earlier.
    pub(super) fn within(self, patience: Duration) -> Self {
        Deadline(self.0.min(Instant::now() + patience))
    }

    /// The time left: never zero, which sockets take for "no limit".
    pub(super) fn left(self) -> Result<Duration, HandoverError> {
        let left = self.0.saturating_duration_since(Instant::now());
        // Sockets count in microseconds; less would round down to none.
        if left.as_micros() == 0 { Err(HandoverError::TimedOut) } else { Ok(left) }
    }
}

/// One end of the stream, with a deadline for everything on it.
#[derive(Debug)]
pub(super) struct Wire {
    stream: UnixStream,
    deadline: Deadline,
    // Received, and not yet claimed by a frame. Invariant: at most one batch between reads.
    fds: VecDeque<OwnedFd>,
}

impl Wire {
    pub(super) fn new(stream: UnixStream, deadline: Deadline) -> Self {
        Wire { stream, deadline, fds: VecDeque::new() }
    }

    pub(super) fn set_deadline(&mut self, deadline: Deadline) {
        self.deadline = deadline;
    }

    pub(super) fn send_greeting(&self) -> Result<(), HandoverError> {
        self.write(GREETING, &[])
    }

    pub(super) fn read_greeting(&mut self) -> Result<Greeting, HandoverError> {
        let mut found = [0; GREETING.len()];
        self.read(&mut found)?;
        if &found == GREETING {
            Ok(Greeting::Ours)
        } else if found.starts_with(GREETING_PREFIX) {
            Ok(Greeting::OtherVersion)
        } else {
            Err(HandoverError::Malformed("the greeting is not ours"))
        }
    }

    /// Sends one batch, at most [`BATCH`] sockets.
    pub(super) fn send_sockets(
        &self,
        batch: &[(&str, BorrowedFd<'_>)],
    ) -> Result<(), HandoverError> {
        let mut names = Vec::new();
        for (name, _) in batch {
            let length = u8::try_from(name.len());
            names.push(length.map_err(|_| HandoverError::Name((*name).to_owned()))?);
            names.extend(name.as_bytes());
        }
        let fds: Vec<BorrowedFd<'_>> = batch.iter().map(|(_, fd)| *fd).collect();
        self.write_frame(SOCKETS, &names, &fds)
    }

    pub(super) fn send_snapshot(&self, snapshot: &Snapshot) -> Result<(), HandoverError> {
        let version = snapshot.version.to_be_bytes();
        let length = version.len() + snapshot.bytes.len();
        self.write_header(SNAPSHOT, length, &version, &[])?;
        self.write(&snapshot.bytes, &[])
    }

    pub(super) fn send_end(&self) -> Result<(), HandoverError> {
        self.write_frame(END, &[], &[])
    }

    pub(super) fn send_ready(&self) -> Result<(), HandoverError> {
        self.write_frame(READY, &[], &[])
    }

    pub(super) fn send_failed(&self, reason: &str) -> Result<(), HandoverError> {
        let reason = reason.as_bytes();
        self.write_frame(FAILED, reason.get(..MAX_REASON).unwrap_or(reason), &[])
    }

    pub(super) fn read_frame(&mut self) -> Result<Frame, HandoverError> {
        let mut header = [0; HEADER];
        self.read(&mut header)?;
        let [kind, length @ ..] = header;
        let length = u32::from_be_bytes(length) as usize;
        let longest = match kind {
            SOCKETS => BATCH * 256,
            SNAPSHOT => MAX_SNAPSHOT + 4,
            FAILED => MAX_REASON,
            END | READY => 0,
            _ => return Err(HandoverError::Malformed("a frame of unknown kind")),
        };
        if length > longest {
            return Err(HandoverError::Malformed("a frame that is too long"));
        }
        let frame = match kind {
            SOCKETS => {
                let names = self.read_payload(length)?;
                Frame::Sockets(self.claim(&names)?)
            }
            SNAPSHOT => Frame::Snapshot(self.read_snapshot(length)?),
            FAILED => {
                let reason = self.read_payload(length)?;
                Frame::Failed(String::from_utf8_lossy(&reason).into_owned())
            }
            END => Frame::End,
            _ => Frame::Ready,
        };
        if self.fds.is_empty() {
            Ok(frame)
        } else {
            Err(HandoverError::Malformed("descriptors without a name"))
        }
    }

    /// Gives each name of a batch its descriptor.
    fn claim(&mut self, names: &[u8]) -> Result<Vec<(String, OwnedFd)>, HandoverError> {
        const CUT: HandoverError = HandoverError::Malformed("a batch of sockets that is cut short");
        let mut batch = Vec::new();
        let mut rest = names;
        while let Some((length, after)) = rest.split_first() {
            let (name, after) = after.split_at_checked(usize::from(*length)).ok_or(CUT)?;
            let name = std::str::from_utf8(name)
                .map_err(|_| HandoverError::Malformed("a name that is not UTF-8"))?;
            batch.push((name.to_owned(), self.fds.pop_front().ok_or(CUT)?));
            rest = after;
        }
        if batch.is_empty() { Err(CUT) } else { Ok(batch) }
    }

    fn write_frame(
        &self,
        kind: u8,
        payload: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverError> {
        self.write_header(kind, payload.len(), payload, fds)
    }

    /// Writes the header of a payload of `length` bytes, and how it starts.
    fn write_header(
        &self,
        kind: u8,
        length: usize,
        start: &[u8],
        fds: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverError> {
        let length = u32::try_from(length).map_err(|_| HandoverError::SnapshotTooLarge)?;
        let mut bytes = Vec::with_capacity(HEADER + start.len());
        bytes.push(kind);
        bytes.extend(length.to_be_bytes());
        bytes.extend(start);
        self.write(&bytes, fds)
    }

    pub(super) fn write(
        &self,
        mut bytes: &[u8],
        mut fds: &[BorrowedFd<'_>],
    ) -> Result<(), HandoverError> {
        while !bytes.is_empty() {
            self.stream.set_write_timeout(Some(self.deadline.left()?))?;
            let mut space = [MaybeUninit::uninit(); ANCILLARY];
            let mut control = SendAncillaryBuffer::new(&mut space);
            if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
                return Err(HandoverError::TooMany);
            }
            let slices = [IoSlice::new(bytes)];
            match sendmsg(&self.stream, &slices, &mut control, SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    bytes = bytes.get(sent..).unwrap_or_default();
                    // They left with the first byte.
                    fds = &[];
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(lost(error)),
            }
        }
        Ok(())
    }

    fn read_snapshot(&mut self, length: usize) -> Result<Snapshot, HandoverError> {
        let mut version = [0; 4];
        let length = length
            .checked_sub(version.len())
            .ok_or(HandoverError::Malformed("a snapshot without a version"))?;
        self.read(&mut version)?;
        let bytes = self.read_payload(length)?;
        Ok(Snapshot { version: u32::from_be_bytes(version), bytes })
    }

    fn read_payload(&mut self, length: usize) -> Result<Vec<u8>, HandoverError> {
        let mut payload = Vec::new();
        while payload.len() < length {
            let start = payload.len();
            payload.resize(length.min(start + CHUNK), 0);
            self.read(payload.get_mut(start..).unwrap_or_default())?;
        }
        Ok(payload)
    }

    /// Fills `bytes`; keeps the descriptors that arrive beside them.
    fn read(&mut self, mut bytes: &mut [u8]) -> Result<(), HandoverError> {
        while !bytes.is_empty() {
            self.stream.set_read_timeout(Some(self.deadline.left()?))?;
            let mut space = [MaybeUninit::uninit(); ANCILLARY];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut slices = [IoSliceMut::new(bytes)];
            let received =
                recvmsg(&self.stream, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC);
            let received = match received {
                Ok(received) => received,
                Err(Errno::INTR | Errno::AGAIN) => continue,
                Err(error) => return Err(lost(error)),
            };
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(fds) = message {
                    self.fds.extend(fds);
                }
            }
            if received.flags.contains(ReturnFlags::CTRUNC) {
                return Err(HandoverError::Malformed(
                    "descriptors were lost on the way; is the limit of open files too low?",
                ));
            }
            if self.fds.len() > BATCH {
                return Err(HandoverError::Malformed("more descriptors than a batch has"));
            }
            if received.bytes == 0 {
                return Err(HandoverError::CutOff);
            }
            bytes = bytes.get_mut(received.bytes..).unwrap_or_default();
        }
        Ok(())
    }
}

/// What a failed call says about the other process.
fn lost(error: Errno) -> HandoverError {
    match error {
        Errno::PIPE | Errno::CONNRESET => HandoverError::CutOff,
        error => HandoverError::Io(io::Error::from(error)),
    }
}
