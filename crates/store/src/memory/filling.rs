//! A fill that memory knows of: who asks for its key is led to it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;

use super::object::{About, Object, Running};
use super::{Memory, Origin, Ticket};
use crate::fill::{Allowance, FillFault, Finished, Parts, Writer};
use crate::meta::Meta;

/// The one who fills an object. Dropped before [`Filling::finish`], it has
/// failed, and what was there before is there still.
pub(crate) struct Filling<M: Meta> {
    writer: Writer,
    listed: Listed<M>,
}

/// What has become of a fill that came to its end.
pub(crate) enum Filled<M> {
    Kept(Arc<Object<M>>, Ticket),
    /// Whole, but memory had no room left.
    Unkept(Arc<Object<M>>, Ticket),
    /// It was purged meanwhile, or there is a newer one. So long it was.
    Outdated(u64),
    /// Too long: so many bytes went by.
    Passed(u64),
}

/// A fill in the table, until this is dropped.
struct Listed<M: Meta> {
    memory: Arc<Memory<M>>,
    running: Arc<Running<M>>,
    /// For what is known of the object; the writer has its own.
    taken: u64,
}

impl<M: Meta> Filling<M> {
    pub(super) fn new(
        memory: Arc<Memory<M>>,
        running: Arc<Running<M>>,
        writer: Writer,
        taken: u64,
    ) -> Self {
        Self { writer, listed: Listed { memory, running, taken } }
    }

    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<(), FillFault> {
        self.writer.push(bytes)
    }

    pub(crate) async fn ready(&self, next: u64) -> Result<(), FillFault> {
        self.writer.ready(next).await
    }

    pub(crate) fn running(&self) -> &Running<M> {
        &self.listed.running
    }

    /// Ends the fill; with `meta` instead of what it began with, if there is
    /// one.
    pub(crate) fn finish(self, meta: Option<M>) -> Result<Filled<M>, FillFault> {
        let Self { writer, listed } = self;
        let (finished, taken) = writer.finish()?;
        match finished {
            Finished::Whole(parts) => Ok(listed.keep(meta, parts, taken)),
            Finished::Passed(length) => {
                listed.memory.passed.fetch_add(1, Ordering::Relaxed);
                Ok(Filled::Passed(length))
            }
        }
    }
}

impl<M: Meta> Listed<M> {
    /// Hands the parts, for which bytes were taken, to the table.
    fn keep(mut self, meta: Option<M>, parts: Parts, taken: u64) -> Filled<M> {
        let begun = &self.running.about;
        let about = About {
            key: begun.key.clone(),
            fill: begun.fill,
            created: begun.created,
            keep_until: begun.keep_until,
            meta: meta.map_or_else(|| begun.meta.clone(), Arc::new),
            labels: begun.labels.clone(),
        };
        let length = parts.len();
        let object = Arc::new(Object::new(about, parts, self.running.uses()));
        let taken = taken + std::mem::take(&mut self.taken);
        let memory = &self.memory;
        if object.weight() < taken {
            memory.give(taken - object.weight());
        } else if !memory.take(object.weight() - taken) {
            memory.give(taken);
            let ticket = memory.supersede(&object, &self.running);
            return ticket.map_or(Filled::Outdated(length), |new| Filled::Unkept(object, new));
        }
        let ticket = memory.publish(object.clone(), Origin::Fill(&self.running));
        ticket.map_or(Filled::Outdated(length), |new| Filled::Kept(object, new))
    }
}

impl<M: Meta> Drop for Listed<M> {
    fn drop(&mut self) {
        let mut shard = self.memory.shard(&self.running.about.key).write();
        shard.take_running(&self.running);
        drop(shard);
        self.memory.give(self.taken);
    }
}
