//! Reads the head of an h1 request, whole, within its deadline and bounds.
//!
//! Pingora would parse what has arrived so far, repair some of it, and wait
//! without end; here nothing is parsed until the head is complete.

use std::io;

use bytes::BytesMut;
use tokio::time::{Instant, timeout_at};

use super::io::EdgeIo;
use super::listener::{Limits, Timeouts};

/// The most empty lines before a request line (RFC 9112 §2.2 asks for one).
const EMPTY_LINES: usize = 4;

/// A head, read to its end.
pub(super) struct RawHead {
    /// The head and whatever followed it in the same reads.
    pub(super) bytes: BytesMut,
    /// Where the head ends and what followed it begins.
    pub(super) end: usize,
    /// When its first byte arrived.
    pub(super) began: Instant,
}

/// Why a head could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeadFault {
    /// It was not complete within `timeouts.header`.
    TooSlow,
    /// The request target is longer than `limits.uri`.
    UriTooLong,
    /// It is larger than `limits.headers`, or has more than `limits.header_count` fields.
    TooLarge,
    /// The connection ended in the middle of it.
    CutOff,
    /// It is of HTTP/1, which the listener does not speak.
    Unspoken,
}

/// What came instead of a head, and what had arrived of it.
pub(super) struct Broken {
    pub(super) fault: HeadFault,
    pub(super) so_far: BytesMut,
    pub(super) began: Instant,
}

/// Completes the head that begins with `bytes`; at least one byte is there.
pub(super) async fn read(
    io: &mut EdgeIo,
    mut bytes: BytesMut,
    limits: &Limits,
    timeouts: &Timeouts,
) -> Result<RawHead, Broken> {
    let began = Instant::now();
    let deadline = began + timeouts.header.0;
    let mut scan = Scan::default();
    loop {
        match scan.look(&bytes, limits) {
            Ok(Some(end)) => return Ok(RawHead { bytes, end, began }),
            Ok(None) => {}
            Err(fault) => return Err(Broken { fault, so_far: bytes, began }),
        }
        let fault = match timeout_at(deadline, io.read_more(&mut bytes)).await {
            Ok(Ok(n)) if n > 0 => continue,
            Ok(Ok(_) | Err(_)) => HeadFault::CutOff,
            Err(_) => HeadFault::TooSlow,
        };
        return Err(Broken { fault, so_far: bytes, began });
    }
}

/// Waits for the first byte of the next head; empty at the end of the stream.
///
/// Empty lines before it are skipped (RFC 9112 §2.2), but not without end.
pub(super) async fn first_bytes(io: &mut EdgeIo) -> io::Result<BytesMut> {
    let mut bytes = io.take_ahead();
    let mut skipped = 0;
    loop {
        while skipped < EMPTY_LINES && bytes.starts_with(b"\r\n") {
            drop(bytes.split_to(2));
            skipped += 1;
        }
        let is_half_line = skipped < EMPTY_LINES && bytes.as_ref() == b"\r";
        if !bytes.is_empty() && !is_half_line {
            return Ok(bytes);
        }
        if io.read_more(&mut bytes).await? == 0 {
            return Ok(BytesMut::new());
        }
    }
}

/// Where in the head the search for its end stands.
#[derive(Default)]
struct Scan {
    // Everything before this has been looked at.
    seen: usize,
    lines: usize,
    line_start: usize,
}

impl Scan {
    /// The end of the head, once it is there; each byte is looked at once.
    fn look(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, HeadFault> {
        let max_head = usize::try_from(limits.headers.0).unwrap_or(usize::MAX);
        let max_uri = usize::try_from(limits.uri.0).unwrap_or(usize::MAX);
        let (_, unseen) = bytes.split_at(self.seen);
        for at in memchr::memchr_iter(b'\n', unseen) {
            let line_end = self.seen + at;
            let line = bytes.get(self.line_start..line_end).unwrap_or_default();
            if self.lines == 0 && target_len(line) > max_uri {
                return Err(HeadFault::UriTooLong);
            }
            if line_end >= max_head {
                return Err(HeadFault::TooLarge);
            }
            // A bare LF ends a line here too, lest a head that later rooms
            // refuse for it is waited for until the deadline.
            if self.lines > 0 && matches!(line, b"" | b"\r") {
                return Ok(Some(line_end + 1));
            }
            self.lines += 1;
            self.line_start = line_end + 1;
            if self.lines > limits.header_count + 1 {
                return Err(HeadFault::TooLarge);
            }
        }
        self.seen = bytes.len();
        if self.lines == 0 && target_len(bytes) > max_uri {
            return Err(HeadFault::UriTooLong);
        }
        if bytes.len() >= max_head {
            return Err(HeadFault::TooLarge);
        }
        Ok(None)
    }
}

/// The length of the request target as far as the line goes.
fn target_len(line: &[u8]) -> usize {
    let Some(start) = memchr::memchr(b' ', line) else {
        return 0;
    };
    let target = line.get(start + 1..).unwrap_or_default();
    memchr::memchr(b' ', target).unwrap_or(target.len())
}
