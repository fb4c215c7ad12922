//! Lets whoever waits for an offer give it up.

use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Breaks an [`offer`](super::offer) off, from another thread.
#[derive(Debug, Default)]
pub struct Breaker(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    is_broken: bool,
    stream: Option<UnixStream>,
}

impl Breaker {
    /// Ends the offer soon, with an error at both ends. One that is made with
    /// this breaker later ends at once.
    pub fn break_off(&self) {
        let mut state = self.state();
        state.is_broken = true;
        if let Some(stream) = state.stream.take() {
            // Whoever reads or writes there wakes up; a stream that has ended needs no end.
            drop(stream.shutdown(Shutdown::Both));
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state().is_broken
    }

    /// Takes charge of the stream that the offer is made on.
    pub(super) fn watch(&self, stream: &UnixStream) -> std::io::Result<()> {
        let mut state = self.state();
        if state.is_broken {
            return stream.shutdown(Shutdown::Both);
        }
        state.stream = Some(stream.try_clone()?);
        Ok(())
    }

    /// Lets the stream go, so that it closes with the offer.
    pub(super) fn release(&self) {
        self.state().stream = None;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
