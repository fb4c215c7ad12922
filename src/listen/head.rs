//! Reads the head of an h1 request, whole, within its deadline and bounds.
//!
//! Pingora would parse what has arrived so far, repair some of it, and wait
//! without end; here nothing is parsed until the head is complete.

use std::io;

use bytes::BytesMut;
use http::header;
use http::request::Parts;
use tokio::time::{Instant, timeout_at};

use super::io::EdgeIo;
use super::listener::{Limits, Listener};

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
    /// Its body, which has begun to come, is chunked in no way that has one reading.
    Chunks,
    /// It is of HTTP/1, which the listener does not speak.
    Unspoken,
}

/// What came instead of a head, and what had arrived of it.
pub(super) struct Broken {
    pub(super) fault: HeadFault,
    pub(super) so_far: BytesMut,
    pub(super) began: Instant,
}

/// Completes the head that begins with `bytes`, the first of which came at
/// `began`.
pub(super) async fn read(
    io: &mut EdgeIo,
    mut bytes: BytesMut,
    began: Instant,
    listener: &Listener,
) -> Result<RawHead, Broken> {
    let deadline = began + listener.timeouts.header.0;
    let mut scan = Scan::default();
    loop {
        match scan.look(&bytes, &listener.limits) {
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

/// Holds a head of HTTP/2 to the bounds of one of HTTP/1.
pub(super) fn check(head: &Parts, limits: &Limits) -> Result<(), HeadFault> {
    let target = head.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target as u64 > limits.uri.0 {
        return Err(HeadFault::UriTooLong);
    }
    // A client may split its cookies (RFC 9113 §8.2.3), and is not held to it.
    let cookies = head.headers.get_all(header::COOKIE).iter().count();
    let count = head.headers.len() - cookies.saturating_sub(1);
    if count > limits.header_count || size(head) > limits.headers.0 {
        return Err(HeadFault::TooLarge);
    }
    Ok(())
}

/// The size of a head of HTTP/2 as its clients count it (RFC 9113 §6.5.2).
fn size(head: &Parts) -> u64 {
    const EACH: usize = 32;
    let uri = &head.uri;
    let first = [
        Some((":method", head.method.as_str())),
        uri.scheme_str().map(|scheme| (":scheme", scheme)),
        uri.authority().map(|authority| (":authority", authority.as_str())),
        uri.path_and_query().map(|path| (":path", path.as_str())),
    ];
    let first = first.into_iter().flatten().map(|(name, value)| (name, value.as_bytes()));
    let fields = head.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    first.chain(fields).map(|(name, value)| (name.len() + value.len() + EACH) as u64).sum()
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

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;
    use crate::units::ByteSize;

    fn check_h2(target: &str, names: &[&str], expected: Result<(), HeadFault>) {
        let limits = Limits { uri: ByteSize(8), header_count: 3, ..Limits::default() };
        let mut request = Request::get(format!("http://a.example{target}"));
        for name in names {
            request = request.header(*name, "v");
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(check(&head, &limits), expected, "{target} {names:?}");
    }

    #[test]
    fn heads_of_h2_are_held_to_the_bounds_of_h1() {
        check_h2("/2345678", &["a", "b", "c"], Ok(()));
        check_h2("/23456789", &[], Err(HeadFault::UriTooLong));
        check_h2("/?345678", &[], Ok(()));
        check_h2("/?3456789", &[], Err(HeadFault::UriTooLong));
        check_h2("/", &["a", "b", "c", "d"], Err(HeadFault::TooLarge));
        check_h2("/", &["a", "b", "b", "b"], Err(HeadFault::TooLarge));
        check_h2("/", &["a", "b", "cookie", "cookie", "cookie"], Ok(()));
        check_h2("/", &["a", "b", "c", "cookie", "cookie"], Err(HeadFault::TooLarge));
    }

    #[test]
    fn the_size_of_a_head_of_h2_is_that_of_its_fields() {
        let request = Request::get("https://a.example/?b").header("x-y", "z").body(()).unwrap();
        let (head, ()) = request.into_parts();
        let expected = [":method", "GET", ":scheme", "https", ":authority", "a.example", ":path"];
        let expected = expected.concat().len() + "/?b".len() + "x-yz".len() + 5 * 32;
        assert_eq!(size(&head), expected as u64);
        let limits =
            |headers: usize| Limits { headers: ByteSize(headers as u64), ..Limits::default() };
        assert_eq!(check(&head, &limits(expected)), Ok(()));
        assert_eq!(check(&head, &limits(expected - 1)), Err(HeadFault::TooLarge));
    }
}
