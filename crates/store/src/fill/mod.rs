//! A body on its way in, which any number of readers follow while it comes.
//!
//! Readers get bytes as soon as they are there. They see the end only if the
//! writer said that it is one: what is broken off is an error to all of them.
//! A fill for which there is no room goes by: it holds what its readers lag
//! behind, up to the bytes that it has got; nobody can join it then, and
//! nothing of it is kept.

mod parts;
mod flow;
mod reader;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

pub use flow::Broken;
pub(crate) use flow::{Flow, check_range};
pub(crate) use parts::{PART_BYTES, Parts};
pub(crate) use reader::Reader;

/// Where the bytes of fills are accounted for.
pub(crate) trait Allowance: Send + Sync {
    /// False if there is no room for so many.
    fn take(&self, bytes: u64) -> bool;
    fn give(&self, bytes: u64);
}

/// What is wrong with a body that is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum FillFault {
    #[error("{got} bytes of {expected} came")]
    Short { got: u64, expected: u64 },
    #[error("more came than the {expected} bytes that were announced")]
    Excess { expected: u64 },
    #[error("it is not kept and nobody reads it")]
    Unread,
}

/// How much of a fill is held.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// A longer body is not kept.
    pub(crate) longest: u64,
    /// Bytes by which readers may lag behind a body that is not kept; if there
    /// is room for them.
    pub(crate) window: u64,
}

/// The end of a body.
#[derive(Debug)]
pub(crate) enum Finished {
    /// All of it.
    Whole(Parts),
    /// So many bytes went by.
    Passed(u64),
}

/// The one who fills. Dropped before [`Writer::finish`], it has failed.
pub(crate) struct Writer {
    flow: Arc<Flow>,
    allowance: Arc<dyn Allowance>,
    /// What the allowance is to get back.
    taken: u64,
    limits: Limits,
}

impl Writer {
    /// Fills a body of `length` bytes, if that is known.
    pub(crate) fn new(allowance: Arc<dyn Allowance>, limits: Limits, length: Option<u64>) -> Self {
        let mut writer = Self { flow: Flow::new(length), allowance, taken: 0, limits };
        if length.is_some_and(|length| length > limits.longest) {
            writer.pass();
        }
        writer
    }

    /// Adds bytes. Never waits: readers that lag too far behind a fill that
    /// goes by have lost it; see [`Writer::ready`].
    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<(), FillFault> {
        if bytes.is_empty() {
            return Ok(());
        }
        if !self.flow.is_passing() {
            let weight = bytes.len() as u64 + PART_BYTES;
            let too_long = self.flow.received() + bytes.len() as u64 > self.limits.longest;
            if !too_long && self.allowance.take(weight) {
                self.taken += weight;
            } else {
                self.pass();
            }
        }
        let bytes = if self.flow.is_passing() { bytes } else { parts::exact(bytes) };
        let room = self.flow.add(bytes, self.limits.window)?;
        if let Some(room) = room.filter(|room| *room < self.taken) {
            self.allowance.give(self.taken - room);
            self.taken = room;
        }
        Ok(())
    }

    /// Waits until no reader loses anything if `next` more bytes come. For a
    /// writer that none of its readers waits for.
    pub(crate) async fn ready(&self, next: u64) -> Result<(), FillFault> {
        self.flow.ready(next).await
    }

    /// Says that this was all of it. The bytes that were taken for a whole body
    /// stay taken: who has its parts gives them back.
    pub(crate) fn finish(mut self) -> Result<(Finished, u64), FillFault> {
        match self.flow.finish()? {
            whole @ Finished::Whole(_) => Ok((whole, std::mem::take(&mut self.taken))),
            passed @ Finished::Passed(_) => Ok((passed, 0)),
        }
    }

    pub(crate) fn flow(&self) -> &Arc<Flow> {
        &self.flow
    }

    fn pass(&mut self) {
        let lacking = self.limits.window.saturating_sub(self.taken);
        if lacking > 0 && self.allowance.take(lacking) {
            self.taken += lacking;
        }
        self.flow.pass(self.taken);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.flow.end();
        self.allowance.give(self.taken);
    }
}
