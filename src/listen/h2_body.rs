//! The body of a request on an h2 stream.

use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderName, header};
use pingora::protocols::http::body_buffer::FixedBuffer;
use pingora::{Error, ErrorType, Result};
use tokio::time::timeout;

use super::chunks;

/// What of a body is kept, so that it can be sent to a second server; pingora
/// keeps as much of one over h1.
const KEPT: usize = 64 * 1024;

/// The error of a body that contradicts its Content-Length.
pub(crate) const BODY_LENGTH: &str = "InvalidBodyLength";
/// The error of trailers that say where a message ends, or whom it is for.
pub(crate) const TRAILERS: &str = "ForbiddenTrailers";

/// Waits for the end of a body that was announced to be empty: a server takes
/// the head alone for the whole request. False if something came, or nothing
/// within `patience`.
pub(super) async fn is_as_announced(
    headers: &HeaderMap,
    frames: &mut RecvStream,
    patience: Duration,
) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    if frames.is_end_stream() || length.is_none_or(|length| length.as_bytes() != b"0") {
        return true;
    }
    let end = async {
        while let Some(piece) = frames.data().await {
            if !piece?.is_empty() {
                return Ok(false);
            }
        }
        let trailers = frames.trailers().await?;
        Ok::<_, h2::Error>(trailers.is_none_or(|trailers| !trailers.keys().any(is_forbidden)))
    };
    matches!(timeout(patience, end).await, Ok(Ok(true)))
}

/// Reads a body, and gives the client its window back as it does.
pub(super) struct H2Body {
    frames: RecvStream,
    // What the client says that comes, before it ends the stream.
    announced: Option<usize>,
    read: usize,
    kept: Option<FixedBuffer>,
}

impl H2Body {
    pub(super) fn new(frames: RecvStream, headers: &HeaderMap) -> Self {
        let length = headers.get(header::CONTENT_LENGTH);
        let announced = length.and_then(|length| length.to_str().ok()?.parse().ok());
        H2Body { frames, announced, read: 0, kept: None }
    }

    /// The next piece, which is never empty; none at the end.
    ///
    /// Fails where the client resets the stream, or where h2 does, because it
    /// holds other bytes than Content-Length says (RFC 9113 §8.1.1), and for
    /// trailers that no client may send.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        let Some(piece) = self.piece().await? else {
            return Ok(None);
        };
        // A server takes the last byte announced for the end; it gets it once
        // the stream has ended well.
        if self.announced == Some(self.read) && self.piece().await?.is_some() {
            let what = "a body that goes on";
            return Err(Error::explain(ErrorType::Custom(BODY_LENGTH), what).into_down());
        }
        Ok(Some(piece))
    }

    async fn piece(&mut self) -> Result<Option<Bytes>> {
        while let Some(piece) = self.frames.data().await {
            let piece = piece.map_err(broken)?;
            // The last frame alone may come empty: it ends the body, no more.
            if piece.is_empty() {
                continue;
            }
            self.read += piece.len();
            if let Some(kept) = &mut self.kept {
                kept.write_to_buffer(&piece);
            }
            // A stream that was reset takes no window; the next read says so.
            self.frames.flow_control().release_capacity(piece.len()).ok();
            return Ok(Some(piece));
        }
        // Pingora has no place for trailers, yet the stream ends after them.
        match self.frames.trailers().await.map_err(broken)? {
            Some(trailers) if trailers.keys().any(is_forbidden) => {
                let what = "trailers that frame or route";
                Err(Error::explain(ErrorType::Custom(TRAILERS), what).into_down())
            }
            _ => Ok(None),
        }
    }

    /// Reads the rest and drops it.
    pub(super) async fn drain(&mut self) -> Result<()> {
        if self.is_done() {
            return Ok(());
        }
        while self.next().await?.is_some() {}
        Ok(())
    }

    /// From here on, keeps what is read for another server.
    pub(super) fn keep(&mut self) {
        self.kept.get_or_insert_with(|| FixedBuffer::new(KEPT));
    }

    /// Everything read so far; none if it is too much, or nothing at all.
    pub(super) fn kept(&self) -> Option<Bytes> {
        self.kept.as_ref().filter(|kept| !kept.is_truncated())?.get_buffer()
    }

    /// Whether more was read than is kept.
    pub(super) fn is_lost(&self) -> bool {
        self.kept.as_ref().is_some_and(FixedBuffer::is_truncated)
    }

    /// Whether there is no body.
    pub(super) fn is_empty(&self) -> bool {
        self.read == 0 && (self.announced == Some(0) || self.frames.is_end_stream())
    }

    /// Whether nothing is left to read.
    pub(super) fn is_done(&self) -> bool {
        self.is_empty() || self.frames.is_end_stream()
    }

    /// Bytes read so far.
    pub(super) fn read(&self) -> usize {
        self.read
    }
}

fn is_forbidden(name: &HeaderName) -> bool {
    chunks::is_forbidden(name.as_str().as_bytes())
}

fn broken(error: h2::Error) -> Box<Error> {
    // Of a body, h2 by itself refuses nothing but a length that is not kept.
    let is_wrong_length =
        error.is_reset() && error.is_library() && error.reason() == Some(Reason::PROTOCOL_ERROR);
    let kind = match is_wrong_length {
        true => ErrorType::Custom(BODY_LENGTH),
        false => ErrorType::ReadError,
    };
    Error::because(kind, "reading the request body", error).into_down()
}
