//! The system calls on one file of a segment. Short reads and writes are continued here, and
//! here alone tests make a device fail.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, OwnedFd};

use bytes::Bytes;
use rustix::fs::{Advice, FallocateFlags, FlockOperation};
use rustix::io::{Errno, ReadWriteFlags};

use super::fault::Device;

/// Buffers of one call; the kernel takes 1024.
const VECTORS: usize = 512;
/// What a copy holds in memory.
const PIECE: usize = 128 * 1024;
/// What the kernel copies in one call, which a signal does not end.
const COPIED: usize = 8 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct File {
    fd: OwnedFd,
    device: Device,
}

/// How far a read came that must not wait.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Prompt {
    Whole,
    /// So many bytes are there; the rest has to be waited for.
    Part(usize),
    /// The file system or the kernel cannot say.
    Unknown,
}

impl File {
    pub(crate) fn new(fd: OwnedFd, device: Device) -> Self {
        Self { fd, device }
    }

    pub(crate) fn size(&self) -> Result<u64, Errno> {
        Ok(u64::try_from(rustix::fs::fstat(&self.fd)?.st_size).unwrap_or(0))
    }

    pub(crate) fn inode(&self) -> Result<u64, Errno> {
        Ok(rustix::fs::fstat(&self.fd)?.st_ino)
    }

    /// Fills the buffer or says how much of it the file had.
    pub(crate) fn read_at(&self, buffer: &mut [u8], at: u64) -> Result<usize, Errno> {
        self.device.reading(&self.fd)?;
        let mut filled = 0;
        while filled < buffer.len() {
            let Some(rest) = buffer.get_mut(filled..) else { break };
            match rustix::io::pread(&self.fd, rest, at + filled as u64) {
                Ok(0) => break,
                Ok(len) => filled += len,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(filled)
    }

    /// Reads what is in memory already, without waiting for the device.
    pub(crate) fn read_prompt(&self, buffer: &mut [u8], at: u64) -> Result<Prompt, Errno> {
        self.device.reading(&self.fd)?;
        if self.device.slow() {
            return Ok(Prompt::Part(0));
        }
        let whole = buffer.len();
        let mut vectors = [IoSliceMut::new(buffer)];
        match rustix::io::preadv2(&self.fd, &mut vectors, at, ReadWriteFlags::NOWAIT) {
            Ok(len) if len == whole => Ok(Prompt::Whole),
            Ok(len) => Ok(Prompt::Part(len)),
            Err(Errno::AGAIN | Errno::INTR) => Ok(Prompt::Part(0)),
            Err(Errno::OPNOTSUPP | Errno::INVAL | Errno::NOSYS) => Ok(Prompt::Unknown),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn write_at(&self, bytes: &[u8], at: u64) -> Result<(), Errno> {
        self.device.writing()?;
        let mut rest = bytes;
        let mut at = at;
        while !rest.is_empty() {
            match rustix::io::pwrite(&self.fd, rest, at) {
                Ok(0) => return Err(Errno::IO),
                Ok(len) => {
                    rest = rest.get(len..).unwrap_or_default();
                    at += len as u64;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Writes a head and the body after it.
    pub(crate) fn write_record(&self, head: &[u8], body: &[Bytes], at: u64) -> Result<(), Errno> {
        self.device.writing()?;
        self.device.writes_record();
        let mut at = at;
        let parts = std::iter::once(head).chain(body.iter().map(AsRef::as_ref));
        let parts: Vec<&[u8]> = parts.filter(|part| !part.is_empty()).collect();
        for group in parts.chunks(VECTORS) {
            let mut vectors: Vec<_> = group.iter().map(|part| IoSlice::new(part)).collect();
            let mut rest = vectors.as_mut_slice();
            while !rest.is_empty() {
                match rustix::io::pwritev(&self.fd, rest, at) {
                    Ok(0) => return Err(Errno::IO),
                    Ok(len) => {
                        at += len as u64;
                        IoSlice::advance_slices(&mut rest, len);
                    }
                    Err(Errno::INTR) => {}
                    Err(errno) => return Err(errno),
                }
            }
        }
        Ok(())
    }

    /// Copies bytes of another file, without moving them where the file system can do that.
    pub(crate) fn copy_from(
        &self,
        source: &Self,
        from: u64,
        to: u64,
        len: u64,
    ) -> Result<(), Errno> {
        source.device.reading(&source.fd)?;
        self.device.writing()?;
        self.device.copies();
        let (mut from, mut to, end) = (from, to, from + len);
        while from < end {
            let left = usize::try_from(end - from).unwrap_or(usize::MAX).min(COPIED);
            let (mut source_at, mut target_at) = (from, to);
            let copied = rustix::fs::copy_file_range(
                &source.fd,
                Some(&mut source_at),
                &self.fd,
                Some(&mut target_at),
                left,
            );
            match copied {
                Ok(0) => return Err(Errno::IO),
                Ok(len) => {
                    from += len as u64;
                    to += len as u64;
                }
                Err(Errno::INTR) => {}
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {
                    return self.carry_from(source, from, to, end - from);
                }
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }

    /// Takes the room before it is needed, so that a full disk is found out here.
    pub(crate) fn allocate(&self, size: u64) -> Result<(), Errno> {
        self.device.writing()?;
        match rustix::fs::fallocate(&self.fd, FallocateFlags::empty(), 0, size) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(()),
            other => other,
        }
    }

    pub(crate) fn truncate(&self, size: u64) -> Result<(), Errno> {
        rustix::fs::ftruncate(&self.fd, size)
    }

    pub(crate) fn sync(&self) -> Result<(), Errno> {
        self.device.writing()?;
        rustix::fs::fdatasync(&self.fd)
    }

    /// Tells the kernel what is read next.
    pub(crate) fn expect(&self, at: u64, len: u64) {
        // A hint: without it the read is slower.
        let len = std::num::NonZeroU64::new(len);
        rustix::fs::fadvise(&self.fd, at, len, Advice::WillNeed).ok();
    }

    /// Drops what the kernel keeps of the file, so that the next read asks the device.
    pub(crate) fn forget(&self) {
        // A hint: without it the read says less.
        rustix::fs::fadvise(&self.fd, 0, None, Advice::DontNeed).ok();
    }

    /// Whether these bytes can be read.
    pub(crate) fn gives(&self, at: u64, len: u64) -> Result<(), Errno> {
        let mut buffer = vec![0; PIECE];
        let mut done = 0;
        while done < len {
            let now = usize::try_from(len - done).unwrap_or(usize::MAX).min(PIECE);
            let Some(part) = buffer.get_mut(..now) else { break };
            if self.read_at(part, at + done)? != now {
                break;
            }
            done += now as u64;
        }
        Ok(())
    }

    /// Whether the file is now ours: nobody who lives holds it. It stays until [`File::unlock`]
    /// or the end of the process.
    pub(crate) fn lock(&self) -> Result<bool, Errno> {
        match rustix::fs::flock(&self.fd, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    pub(crate) fn unlock(&self) -> Result<(), Errno> {
        rustix::fs::flock(self.fd.as_fd(), FlockOperation::Unlock)
    }

    fn carry_from(&self, source: &Self, from: u64, to: u64, len: u64) -> Result<(), Errno> {
        let mut buffer = vec![0; PIECE];
        let mut done = 0;
        while done < len {
            let now = usize::try_from(len - done).unwrap_or(usize::MAX).min(buffer.len());
            let Some(part) = buffer.get_mut(..now) else { break };
            if source.read_at(part, from + done)? != now {
                return Err(Errno::IO);
            }
            self.write_at(part, to + done)?;
            done += now as u64;
        }
        Ok(())
    }
}
