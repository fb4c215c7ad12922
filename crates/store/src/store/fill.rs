//! The one who fills an object.

use std::sync::Arc;

use bytes::Bytes;

use super::Inner;
use crate::fill::FillFault;
use crate::memory::{Filled, Filling};
use crate::meta::Meta;
use crate::version::FillId;

/// Fills an object. Dropped before [`Fill::finish`], it has failed: every
/// reader gets an error, and what was there before is there still.
pub struct Fill<M: Meta> {
    filling: Filling<M>,
    store: Arc<Inner<M>>,
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
    pub(super) fn new(filling: Filling<M>, store: Arc<Inner<M>>) -> Self {
        Self { filling, store }
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
    /// if there is one. Never waits for a disk.
    pub fn finish(self, meta: Option<M>) -> Result<Stored, FillFault> {
        let Self { filling, store } = self;
        let (length, is_kept) = match filling.finish(meta)? {
            Filled::Kept(object, ticket) => {
                store.keep(&object, ticket);
                (object.parts.len(), true)
            }
            Filled::Unkept(object, ticket) => (object.parts.len(), store.keep(&object, ticket)),
            Filled::Outdated(length) | Filled::Passed(length) => (length, false),
        };
        Ok(Stored { length, is_kept })
    }

    pub fn id(&self) -> FillId {
        self.filling.running().about.fill
    }
}
