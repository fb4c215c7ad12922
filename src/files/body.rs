//! A body read from a file in pieces, of exactly the length promised.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;

use crate::ranges::{Part, Span};

/// The most that is held of a file at a time.
const PIECE: u64 = 64 * 1024;

/// The body of an answer from a file.
#[derive(Debug)]
pub(crate) struct Body {
    file: Option<Arc<File>>,
    // Invariant: bounded by the number of spans that a Range may have.
    parts: VecDeque<Part>,
}

impl Body {
    pub(super) fn empty() -> Self {
        Body { file: None, parts: VecDeque::new() }
    }

    pub(super) fn new(file: File, parts: impl IntoIterator<Item = Part>) -> Self {
        Body { file: Some(Arc::new(file)), parts: parts.into_iter().collect() }
    }

    /// The next piece, at most 64 KiB; `None` at the end.
    ///
    /// Fails where the file has become shorter than it was: the caller must then
    /// break the connection, for the rest of the length promised cannot follow.
    /// Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let span = match self.parts.pop_front() {
            None => return Ok(None),
            Some(Part::Text(text)) => return Ok(Some(text)),
            Some(Part::Span(span)) => span,
        };
        let piece = Span { first: span.first, length: span.length.min(PIECE) };
        self.parts.push_front(Part::Span(span));
        let bytes = self.read(piece).await?;
        match span.length - piece.length {
            0 => drop(self.parts.pop_front()),
            length => {
                let rest = Span { first: span.first + piece.length, length };
                self.parts[0] = Part::Span(rest);
            }
        }
        Ok(Some(bytes))
    }

    /// How many bytes are still to come.
    pub(crate) fn length(&self) -> u64 {
        self.parts.iter().map(Part::length).sum()
    }

    async fn read(&self, piece: Span) -> io::Result<Bytes> {
        let Some(file) = self.file.clone() else {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        };
        let read = move || {
            let mut bytes = vec![0; usize::try_from(piece.length).map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, piece.first)?;
            Ok(Bytes::from(bytes))
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}
