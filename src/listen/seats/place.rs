//! What a connection does with its seat, and whether it may be asked to leave.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::networks::ClientKey;

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Doing {
    /// It has not asked for anything yet.
    Beginning,
    /// It was served, and may ask again.
    Resting,
    /// A request is under way.
    Asking,
    /// It has been asked to leave.
    Leaving,
}

#[expect(clippy::disallowed_types, reason = "it is of one connection, and no global")]
type Whose = std::sync::OnceLock<ClientKey>;

/// One seat, as seen by who looks for another.
#[derive(Debug)]
pub(super) struct Place {
    // None for a trusted proxy, until it has said for whom alone it connects.
    client: Whose,
    began: Instant,
    // Milliseconds after `began`, and in the lowest two bits what it is doing since.
    state: AtomicU64,
    // Among all places; changed only where they are locked.
    at: AtomicUsize,
    left: Notify,
    takes_leave: AtomicBool,
}

impl Place {
    pub(super) fn new(client: Option<ClientKey>) -> Self {
        Place {
            client: client.map_or_else(Whose::new, Whose::from),
            began: Instant::now(),
            state: AtomicU64::new(Doing::Beginning as u64),
            at: AtomicUsize::new(0),
            left: Notify::new(),
            takes_leave: AtomicBool::new(false),
        }
    }

    /// Whose connection it is; nobody's, if many share it.
    pub(super) fn client(&self) -> Option<ClientKey> {
        self.client.get().copied()
    }

    /// It is this client's alone; false if it was one's before.
    pub(super) fn belongs_to(&self, client: ClientKey) -> bool {
        self.client.set(client).is_ok()
    }

    /// Its index among all places.
    pub(super) fn at(&self) -> usize {
        self.at.load(Ordering::Relaxed)
    }

    pub(super) fn sits_at(&self, at: usize) {
        self.at.store(at, Ordering::Relaxed);
    }

    /// What it is doing, and since when.
    pub(super) fn doing(&self) -> (Doing, Instant) {
        let state = self.state.load(Ordering::Acquire);
        let since = self.began + Duration::from_millis(state >> 2);
        (Doing::of(state), since)
    }

    /// A request is under way; false if it came too late.
    pub(super) fn ask(&self) -> bool {
        self.change(Doing::Asking, |from| from != Doing::Leaving)
    }

    /// No request is under way any more.
    pub(super) fn rest(&self) {
        self.change(Doing::Resting, |from| from != Doing::Leaving);
    }

    /// Asks it to leave, unless it does something else than `idle` by now.
    pub(super) fn leave(&self, idle: Doing) -> bool {
        let leaves = self.change(Doing::Leaving, |from| from == idle);
        if leaves {
            self.left.notify_waiters();
        }
        leaves
    }

    /// Returns once it has been asked to leave.
    pub(super) async fn left(&self) {
        let mut left = std::pin::pin!(self.left.notified());
        left.as_mut().enable();
        if self.doing().0 != Doing::Leaving {
            left.await;
        }
    }

    /// It says so to its client when it has to leave, which takes a while.
    pub(super) fn takes_leave(&self) {
        self.takes_leave.store(true, Ordering::Release);
    }

    /// Returns once it has had to leave, and has had `goodbye` for saying so.
    pub(super) async fn gone(&self, goodbye: Duration) {
        self.left().await;
        if self.takes_leave.load(Ordering::Acquire) {
            tokio::time::sleep(goodbye).await;
        }
    }

    fn change(&self, to: Doing, may: impl Fn(Doing) -> bool) -> bool {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(0);
        let changed = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            may(Doing::of(state)).then_some(millis << 2 | to as u64)
        });
        changed.is_ok()
    }
}

impl Doing {
    fn of(state: u64) -> Doing {
        match state & 3 {
            0 => Doing::Beginning,
            1 => Doing::Resting,
            2 => Doing::Asking,
            _ => Doing::Leaving,
        }
    }
}
