//! What the writer and the readers of one body share.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::parts::{self, Parts};
use super::{FillFault, Finished};

/// A body as far as it has come.
pub(crate) struct Flow {
    state: Mutex<State>,
    /// There are more bytes, or an end.
    grown: Notify,
    /// A reader has moved on.
    consumed: Notify,
}

struct State {
    // Invariant: they lie together and end at `received`; none is empty.
    chunks: VecDeque<Chunk>,
    /// Bytes of the chunks.
    held: u64,
    received: u64,
    length: Option<u64>,
    stage: Stage,
    /// Where each reader is; None if it wants no more.
    seats: Vec<Option<u64>>,
    free: Vec<usize>,
}

struct Chunk {
    end: u64,
    bytes: Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Running,
    /// Not kept: so many bytes are held for readers, and at least one chunk.
    Passing {
        room: u64,
    },
    Complete,
    Failed,
}

/// What a reader finds.
enum Step {
    Bytes(Bytes),
    End,
    Wait,
    Broken(Broken),
}

/// Why a reader does not get what it wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Broken {
    /// The body was never finished.
    #[error("the body broke off")]
    Aborted,
    /// It was not kept, and the reader was too slow.
    #[error("the body went by faster than it was read")]
    Outrun,
    /// It has no such bytes.
    #[error("the body has no such bytes")]
    OutOfRange,
    /// It was on a disk, which does not give it; the next look-up misses it.
    #[error("the disk does not give the body")]
    Unreadable,
}

impl Flow {
    pub(super) fn new(length: Option<u64>) -> Arc<Self> {
        let state = State {
            chunks: VecDeque::new(),
            held: 0,
            received: 0,
            length,
            stage: Stage::Running,
            seats: Vec::new(),
            free: Vec::new(),
        };
        let flow = Self { state: Mutex::new(state), grown: Notify::new(), consumed: Notify::new() };
        Arc::new(flow)
    }

    /// From now on only `room` bytes are held.
    pub(super) fn pass(&self, room: u64) {
        self.state.lock().stage = Stage::Passing { room };
    }

    /// Adds bytes. If the fill goes by: how much room it still needs.
    pub(super) fn add(&self, bytes: Bytes, window: u64) -> Result<Option<u64>, FillFault> {
        let added = self.state.lock().add(bytes, window);
        self.grown.notify_waiters();
        added
    }

    pub(super) async fn ready(&self, next: u64) -> Result<(), FillFault> {
        loop {
            let consumed = self.consumed.notified();
            if self.state.lock().is_ready(next)? {
                return Ok(());
            }
            consumed.await;
        }
    }

    pub(super) fn finish(&self) -> Result<Finished, FillFault> {
        self.pack();
        let finished = self.state.lock().finish();
        self.grown.notify_waiters();
        finished
    }

    /// Without a finish before, it has failed.
    pub(super) fn end(&self) {
        let mut state = self.state.lock();
        if state.stage != Stage::Complete {
            state.stage = Stage::Failed;
        }
        drop(state);
        self.grown.notify_waiters();
    }

    pub(super) fn is_passing(&self) -> bool {
        matches!(self.state.lock().stage, Stage::Passing { .. })
    }

    pub(super) fn received(&self) -> u64 {
        self.state.lock().received
    }

    /// How long the body is, if that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.state.lock().length
    }

    /// A seat at the beginning; None if that is gone or the fill has failed.
    pub(super) fn join(&self) -> Option<usize> {
        self.state.lock().join()
    }

    pub(super) fn leave(&self, seat: usize) {
        let mut state = self.state.lock();
        state.seats[seat] = None;
        state.free.push(seat);
        drop(state);
        self.consumed.notify_waiters();
    }

    pub(super) fn seek(&self, seat: usize, start: u64, end: Option<u64>) -> Result<(), Broken> {
        self.state.lock().seek(seat, start, end)?;
        self.consumed.notify_waiters();
        Ok(())
    }

    /// What a reader that is at `position` gets next; None at the end.
    pub(super) async fn next(
        &self,
        seat: usize,
        position: u64,
        end: Option<u64>,
    ) -> Result<Option<Bytes>, Broken> {
        loop {
            let grown = self.grown.notified();
            match self.step(seat, position, end) {
                Step::Bytes(bytes) => return Ok(Some(bytes)),
                Step::End => return Ok(None),
                Step::Broken(broken) => return Err(broken),
                Step::Wait => grown.await,
            }
        }
    }

    fn step(&self, seat: usize, position: u64, end: Option<u64>) -> Step {
        let mut state = self.state.lock();
        let step = state.step(position, end);
        state.seats[seat] = match &step {
            Step::Bytes(bytes) => Some(position + bytes.len() as u64),
            Step::Wait => Some(position),
            Step::End | Step::Broken(_) => None,
        };
        let passing = matches!(state.stage, Stage::Passing { .. });
        drop(state);
        if passing {
            self.consumed.notify_waiters();
        }
        step
    }

    /// Only the writer adds, so nothing comes between.
    fn pack(&self) {
        let state = self.state.lock();
        let passing = matches!(state.stage, Stage::Passing { .. });
        if passing || !parts::is_scattered(state.chunks.len(), state.held) {
            return;
        }
        let scattered: Vec<_> = state.chunks.iter().map(|chunk| chunk.bytes.clone()).collect();
        drop(state);
        let packed = parts::pack(&scattered);
        let mut end = 0;
        let chunks = packed.into_iter().map(|bytes| {
            end += bytes.len() as u64;
            Chunk { end, bytes }
        });
        self.state.lock().chunks = chunks.collect();
    }
}

impl State {
    fn add(&mut self, bytes: Bytes, window: u64) -> Result<Option<u64>, FillFault> {
        let end = self.received + bytes.len() as u64;
        if let Some(expected) = self.length.filter(|length| end > *length) {
            self.stage = Stage::Failed;
            return Err(FillFault::Excess { expected });
        }
        self.received = end;
        self.held += bytes.len() as u64;
        self.chunks.push_back(Chunk { end, bytes });
        let Stage::Passing { room } = self.stage else { return Ok(None) };
        self.trim(room);
        let room = room.min(self.held.max(window));
        self.stage = Stage::Passing { room };
        Ok(Some(room))
    }

    /// Drops what all readers have read, and what is too much.
    fn trim(&mut self, room: u64) {
        let slowest = self.slowest();
        while let Some(front) = self.chunks.front().filter(|_| self.chunks.len() > 1) {
            let length = front.bytes.len() as u64;
            let is_read = slowest.is_none_or(|slowest| front.end <= slowest);
            if !is_read && self.held - length < room {
                return;
            }
            self.held -= length;
            self.chunks.pop_front();
        }
    }

    fn slowest(&self) -> Option<u64> {
        self.seats.iter().flatten().min().copied()
    }

    fn is_ready(&self, next: u64) -> Result<bool, FillFault> {
        let Stage::Passing { room } = self.stage else { return Ok(true) };
        let slowest = self.slowest().ok_or(FillFault::Unread)?;
        let needed = (self.received + next).saturating_sub(room).min(self.received);
        Ok(slowest >= needed)
    }

    fn finish(&mut self) -> Result<Finished, FillFault> {
        let stage = self.stage;
        self.stage = Stage::Failed;
        match self.length {
            Some(expected) if stage == Stage::Failed => {
                return Err(FillFault::Excess { expected });
            }
            Some(expected) if self.received < expected => {
                return Err(FillFault::Short { got: self.received, expected });
            }
            _ => (),
        }
        self.stage = Stage::Complete;
        self.length = Some(self.received);
        if matches!(stage, Stage::Passing { .. }) {
            return Ok(Finished::Passed(self.received));
        }
        let parts = self.chunks.iter().map(|chunk| chunk.bytes.clone()).collect();
        Ok(Finished::Whole(Parts::of(parts)))
    }

    fn join(&mut self) -> Option<usize> {
        let joinable = match self.stage {
            Stage::Running => true,
            // Whoever began it reads it before the first byte goes by.
            Stage::Passing { .. } => self.received == 0,
            Stage::Complete => self.held == self.received,
            Stage::Failed => false,
        };
        if !joinable {
            return None;
        }
        let seat = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        self.seats[seat] = Some(0);
        Some(seat)
    }

    fn seek(&mut self, seat: usize, start: u64, end: Option<u64>) -> Result<(), Broken> {
        check_range(start, end, self.length)?;
        if start < self.received - self.held {
            return Err(Broken::Outrun);
        }
        self.seats[seat] = Some(start);
        Ok(())
    }

    fn step(&self, position: u64, end: Option<u64>) -> Step {
        if end == Some(position) {
            return Step::End;
        }
        if position < self.received - self.held {
            return Step::Broken(Broken::Outrun);
        }
        if position < self.received {
            let index = self.chunks.partition_point(|chunk| chunk.end <= position);
            let chunk = &self.chunks[index];
            let start = chunk.end - chunk.bytes.len() as u64;
            let end = end.unwrap_or(self.received);
            return Step::Bytes(parts::cut(&chunk.bytes, start, position, end));
        }
        match self.stage {
            Stage::Running | Stage::Passing { .. } => Step::Wait,
            Stage::Failed => Step::Broken(Broken::Aborted),
            Stage::Complete if position == self.received && end.is_none() => Step::End,
            Stage::Complete => Step::Broken(Broken::OutOfRange),
        }
    }
}

/// Whether a body of that length may have such bytes.
pub(crate) fn check_range(start: u64, end: Option<u64>, length: Option<u64>) -> Result<(), Broken> {
    let is_backwards = end.is_some_and(|end| end < start);
    let is_beyond = length.is_some_and(|length| start.max(end.unwrap_or(start)) > length);
    if is_backwards || is_beyond { Err(Broken::OutOfRange) } else { Ok(()) }
}
