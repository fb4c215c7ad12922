//! How what is written to a client leaves.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;
use tokio::time::Instant;

use super::throttle::{Throttle, Turn};

/// What the hooks ask of the writes of one exchange.
#[derive(Debug, Default)]
pub(crate) struct Leaving {
    gathers: AtomicBool,
    at_once: AtomicBool,
    ahead: AtomicBool,
    // Whether there is a throttle; and a head, which it is not for.
    is_throttled: AtomicBool,
    head_is_due: AtomicBool,
    throttle: Mutex<Option<Throttle>>,
    date: Mutex<Option<HeaderValue>>,
}

impl Leaving {
    /// As long as this is kept, what is written over h1 only waits to be sent, and
    /// no write waits for the client.
    pub(crate) fn gather(&self) -> Gather<'_> {
        self.gathers.store(true, Ordering::Release);
        Gather(self)
    }

    pub(super) fn is_gathering(&self) -> bool {
        self.gathers.load(Ordering::Acquire)
    }

    /// Has what is written over h1 leave as it is written, for nobody says when
    /// that is enough.
    pub(crate) fn send_at_once(&self) {
        self.at_once.store(true, Ordering::Release);
    }

    pub(super) fn sends_at_once(&self) -> bool {
        self.at_once.load(Ordering::Acquire)
    }

    /// Lets the server's answer run ahead of a client that takes nothing: it is
    /// kept elsewhere, within bounds.
    pub(crate) fn run_ahead(&self) {
        self.ahead.store(true, Ordering::Release);
    }

    pub(super) fn runs_ahead(&self) -> bool {
        self.ahead.load(Ordering::Acquire)
    }

    /// Has the body behind the head that is written next leave at this pace: so many
    /// bytes at once, and so many a second of what follows.
    pub(crate) fn throttle(&self, burst: u64, rate: u64) {
        *self.throttle.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(Throttle::new(burst, rate));
        self.head_is_due.store(true, Ordering::Release);
        self.is_throttled.store(true, Ordering::Release);
    }

    /// Whether a head is what is written next.
    pub(super) fn take_head(&self) -> bool {
        self.is_throttled.load(Ordering::Acquire) && self.head_is_due.swap(false, Ordering::AcqRel)
    }

    /// How much of a body may be written, or when.
    pub(super) fn turn(&self) -> Turn {
        if !self.is_throttled.load(Ordering::Acquire) {
            return Turn::FREE;
        }
        let throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        throttle.as_ref().map_or(Turn::FREE, |throttle| throttle.turn(Instant::now()))
    }

    /// So much of a body was written.
    pub(super) fn sent(&self, bytes: usize) {
        if !self.is_throttled.load(Ordering::Acquire) {
            return;
        }
        let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(throttle) = throttle.as_mut() {
            throttle.sent(bytes, Instant::now());
        }
    }

    /// Has the head that is written next keep its Date: pingora writes over it,
    /// and from that of the server others tell how old an answer is.
    pub(crate) fn keep_date(&self, date: HeaderValue) {
        *self.date.lock().unwrap_or_else(PoisonError::into_inner) = Some(date);
    }

    pub(super) fn take_date(&self) -> Option<HeaderValue> {
        self.date.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// That what is written only waits, until this is dropped.
#[must_use]
pub(crate) struct Gather<'a>(&'a Leaving);

impl Drop for Gather<'_> {
    fn drop(&mut self) {
        self.0.gathers.store(false, Ordering::Release);
    }
}
