//! The one who fills an object.

use bytes::Bytes;

use crate::fill::FillFault;
use crate::memory::{Filled, Filling};
use crate::meta::Meta;

/// Fills an object. Dropped before [`Fill::finish`], it has failed: every
/// reader gets an error, and what was there before is there still.
pub struct Fill<M: Meta> {
    filling: Filling<M>,
}

/// What has become of a body that came to its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stored {
    /// Of the body.
    pub length: u64,
    /// False if it was too long, purged meanwhile or is not the newest.
    pub is_kept: bool,
}

impl<M: Meta> Fill<M> {
    pub(super) fn new(filling: Filling<M>) -> Self {
        Self { filling }
    }

    /// Adds bytes, and never waits. If there is no room the body goes by: it is
    /// not kept, and who reads it too slowly gets an error.
    pub fn push(&mut self, bytes: Bytes) -> Result<(), FillFault> {
        self.filling.push(bytes)
    }

    /// Waits until no reader loses anything if `next` more bytes come. For a
    /// writer for whom none of its readers waits.
    pub async fn ready(&self, next: u64) -> Result<(), FillFault> {
        self.filling.ready(next).await
    }

    /// Says that this was all of it; with `meta` instead of what it began with,
    /// if there is one.
    pub fn finish(self, meta: Option<M>) -> Result<Stored, FillFault> {
        Ok(match self.filling.finish(meta)? {
            Filled::Kept(object) => Stored { length: object.parts.len(), is_kept: true },
            Filled::Unkept(object) => Stored { length: object.parts.len(), is_kept: false },
            Filled::Outdated(length) | Filled::Passed(length) => Stored { length, is_kept: false },
        })
    }

    /// Tells fills of one key apart.
    pub fn tag(&self) -> u64 {
        self.filling.running().tag
    }
}
