//! What a look-up gives: metadata and a body, wherever it is read from.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Moment;
use crate::fill::{Broken, Reader};
use crate::memory::{Object, Running};
use crate::purge::Verdict;

/// An object that was found.
pub struct Found<M> {
    pub meta: Arc<M>,
    /// When its fill or its last validation began.
    pub created: Moment,
    /// Since when a purge has it be stale.
    pub stale_since: Option<Moment>,
    pub tier: Tier,
    pub body: Body,
}

/// Where an object was found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Tier {
    Memory,
    /// In memory, and still on its way.
    Running,
}

/// A body that is read, from a position to another or to its end.
pub struct Body {
    reader: Reader,
}

impl<M> Found<M> {
    pub(super) fn whole(object: &Object<M>, verdict: Verdict) -> Self {
        Self {
            meta: object.about.meta.clone(),
            created: object.about.created,
            stale_since: stale_since(verdict),
            tier: Tier::Memory,
            body: Body::memory(Reader::whole(object.parts.clone())),
        }
    }

    pub(super) fn running(running: &Running<M>, reader: Reader, verdict: Verdict) -> Self {
        Self {
            meta: running.about.meta.clone(),
            created: running.about.created,
            stale_since: stale_since(verdict),
            tier: Tier::Running,
            body: Body::memory(reader),
        }
    }
}

impl Body {
    pub(super) fn memory(reader: Reader) -> Self {
        Self { reader }
    }

    /// The next bytes, as they lie together; None at the end. May be dropped
    /// while it waits.
    ///
    /// The end of a body that is on its way shows only when it is complete; one
    /// that breaks off is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        self.reader.next().await
    }

    /// Reads from `start` on, and to before `end` if there is one; forwards and
    /// backwards, and ahead of a fill that has not come so far.
    pub fn seek(&mut self, start: u64, end: Option<u64>) -> Result<(), Broken> {
        self.reader.seek(start, end)
    }

    /// How long the body is, if that is known.
    pub fn length(&self) -> Option<u64> {
        self.reader.length()
    }
}

fn stale_since(verdict: Verdict) -> Option<Moment> {
    match verdict {
        Verdict::Soft(since) => Some(since),
        Verdict::Kept | Verdict::Gone => None,
    }
}
