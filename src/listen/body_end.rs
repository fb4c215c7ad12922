//! The end of a request body, kept back from who reads it.
//!
//! Pingora asks for the next piece of a body only until it has seen the end. Who
//! reads all of a body before there is a server keeps that end for later, so
//! that there is one more piece to send what was read with.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::task::Poll;

/// What has come of an end; greater values are its byte and [`DATA`].
const NOTHING: u16 = 0;
const FRAMING: u16 = 1;
const DATA: u16 = 2;

/// Whether the end of one body is kept, and whether it is there.
#[derive(Debug, Default)]
pub(super) struct BodyEnd {
    is_kept: AtomicBool,
    came: AtomicU16,
}

/// The last byte of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LastByte {
    /// It is part of what the client says.
    Data(u8),
    /// It only says that there is no more.
    Framing,
}

impl BodyEnd {
    pub(super) fn is_kept(&self) -> bool {
        self.is_kept.load(Ordering::Acquire)
    }

    /// All of the body is there but for this, which is kept.
    pub(super) fn tell(&self, last: LastByte) {
        let told = match last {
            LastByte::Framing => FRAMING,
            LastByte::Data(byte) => DATA + u16::from(byte),
        };
        self.came.store(told, Ordering::Release);
    }

    pub(super) fn keep(&self) -> KeptEnd<'_> {
        self.is_kept.store(true, Ordering::Release);
        KeptEnd(self)
    }

    fn last(&self) -> Option<LastByte> {
        match self.came.load(Ordering::Acquire) {
            NOTHING => None,
            FRAMING => Some(LastByte::Framing),
            // At most a byte more.
            data => Some(LastByte::Data((data - DATA) as u8)),
        }
    }
}

/// That the end of a body is kept, until this is dropped.
#[must_use]
pub(crate) struct KeptEnd<'a>(&'a BodyEnd);

impl KeptEnd<'_> {
    /// The last byte once it is there; who reads the body beside this finds it.
    pub(crate) async fn came(&self) -> LastByte {
        poll_fn(|_| self.0.last().map_or(Poll::Pending, Poll::Ready)).await
    }
}

impl Drop for KeptEnd<'_> {
    fn drop(&mut self) {
        self.0.is_kept.store(false, Ordering::Release);
    }
}
