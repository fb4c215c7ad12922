//! Threads that wait for the disk, so that nobody else does: a fixed number for each disk, and a
//! bounded number of reads before them.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};
use rustix::io::Errno;
use tokio::sync::oneshot;

use super::segment::Segment;

/// One read; what the file did not have is cut from the buffer.
pub(crate) struct Ask {
    pub(crate) segment: Arc<Segment>,
    pub(crate) at: u64,
    pub(crate) buffer: Vec<u8>,
    /// So much of the buffer is filled already.
    pub(crate) filled: usize,
    pub(crate) reply: oneshot::Sender<Result<Vec<u8>, Errno>>,
}

pub(crate) struct Pool {
    most: usize,
    state: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    asks: VecDeque<Ask>,
    closed: bool,
}

impl Pool {
    /// At most so many reads wait.
    pub(crate) fn new(most: usize) -> Self {
        Self { most, state: Mutex::default(), wake: Condvar::new() }
    }

    /// False if too many wait already.
    pub(crate) fn offer(&self, ask: Ask) -> bool {
        let mut state = self.state.lock();
        if state.closed || state.asks.len() >= self.most {
            return false;
        }
        state.asks.push_back(ask);
        self.wake.notify_one();
        true
    }

    /// What each thread does, until the pool is closed.
    pub(crate) fn work(&self) {
        while let Some(ask) = self.next() {
            let Ask { segment, at, mut buffer, filled, reply } = ask;
            if reply.is_closed() {
                continue;
            }
            let rest = buffer.get_mut(filled..).unwrap_or_default();
            let read = segment.file.read_at(rest, at + filled as u64);
            let answer = read.map(|len| {
                buffer.truncate(filled + len);
                buffer
            });
            // Who asked may be gone.
            reply.send(answer).ok();
        }
    }

    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        state.asks.clear();
        self.wake.notify_all();
    }

    fn next(&self) -> Option<Ask> {
        let mut state = self.state.lock();
        while state.asks.is_empty() && !state.closed {
            self.wake.wait(&mut state);
        }
        state.asks.pop_front()
    }
}
