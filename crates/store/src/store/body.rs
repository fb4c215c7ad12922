//! What a look-up gives: metadata and a body, wherever it is read from.

use std::sync::Arc;

use bytes::Bytes;

use crate::clock::Moment;
use crate::disk::Record;
use crate::fill::{Broken, Reader, check_range};
use crate::memory::{Object, Running};
use crate::purge::Verdict;
use crate::version::{FillId, Version};

/// So much is read from a disk at once.
const STEP_BYTES: u64 = 256 << 10;

/// An object that was found.
pub struct Found<M> {
    pub meta: Arc<M>,
    /// What brought, or brings, its body.
    pub fill: FillId,
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
    Disk,
}

/// A body that is read, from a position to another or to its end.
pub struct Body(Source);

enum Source {
    Memory(Reader),
    Disk { record: Box<Record>, position: u64, end: u64 },
}

impl<M> Found<M> {
    pub(super) fn whole(object: &Object<M>, verdict: Verdict) -> Self {
        Self {
            meta: object.about.meta.clone(),
            fill: object.about.fill,
            created: object.about.created,
            stale_since: stale_since(verdict),
            tier: Tier::Memory,
            body: Body::memory(Reader::whole(object.parts.clone())),
        }
    }

    pub(super) fn running(running: &Running<M>, reader: Reader, verdict: Verdict) -> Self {
        Self {
            meta: running.about.meta.clone(),
            fill: running.about.fill,
            created: running.about.created,
            stale_since: stale_since(verdict),
            tier: Tier::Running,
            body: Body::memory(reader),
        }
    }

    pub(super) fn on_disk(meta: Arc<M>, version: Version, verdict: Verdict, body: Body) -> Self {
        let Version { fill, created } = version;
        Self { meta, fill, created, stale_since: stale_since(verdict), tier: Tier::Disk, body }
    }

    /// For who finds it valid.
    pub fn version(&self) -> Version {
        Version { fill: self.fill, created: self.created }
    }
}

impl Body {
    pub(super) fn memory(reader: Reader) -> Self {
        Self(Source::Memory(reader))
    }

    pub(super) fn disk(record: Record) -> Self {
        let end = record.body_len();
        Self(Source::Disk { record: Box::new(record), position: 0, end })
    }

    /// The next bytes, as they lie together; None at the end. May be dropped
    /// while it waits.
    ///
    /// The end of a body that is on its way shows only when it is complete; one
    /// that breaks off is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Broken> {
        match &mut self.0 {
            Source::Memory(reader) => reader.next().await,
            Source::Disk { position, end, .. } if position == end => Ok(None),
            Source::Disk { record, position, end } => {
                let until = (*position + STEP_BYTES).min(*end);
                let read = record.read_intact(*position..until).await;
                // The disk has counted why.
                let read = read.ok().filter(|bytes| !bytes.is_empty()).ok_or(Broken::Unreadable)?;
                *position += read.len() as u64;
                Ok(Some(read))
            }
        }
    }

    /// Reads from `start` on, and to before `end` if there is one; forwards and
    /// backwards, and ahead of a fill that has not come so far.
    pub fn seek(&mut self, start: u64, end: Option<u64>) -> Result<(), Broken> {
        match &mut self.0 {
            Source::Memory(reader) => reader.seek(start, end),
            Source::Disk { record, position, end: until } => {
                let length = record.body_len();
                check_range(start, end, Some(length))?;
                (*position, *until) = (start, end.unwrap_or(length));
                Ok(())
            }
        }
    }

    /// Where the next byte is. After [`Broken::Unreadable`] that is how far the body was good: the
    /// object is found no more, and its rest may be fetched from here on.
    pub fn position(&self) -> u64 {
        match &self.0 {
            Source::Memory(reader) => reader.position(),
            Source::Disk { position, .. } => *position,
        }
    }

    /// How long the body is, if that is known.
    pub fn length(&self) -> Option<u64> {
        match &self.0 {
            Source::Memory(reader) => reader.length(),
            Source::Disk { record, .. } => Some(record.body_len()),
        }
    }
}

fn stale_since(verdict: Verdict) -> Option<Moment> {
    match verdict {
        Verdict::Soft(since) => Some(since),
        Verdict::Kept | Verdict::Gone => None,
    }
}
