//! How many requests wait for their turn, in all and of one client.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::Ledger;
use super::allowance::{Ask, Who};
use super::counts::Held;

/// Requests that may wait for their turn at the same time, of all routes.
pub(super) const MOST_WAITING: usize = 10_000;
/// The same of one client: half of what `server.requests_per_client` lets it have
/// under way if nothing else is written. A page with hundreds of pictures waits
/// for them, and it takes forty such clients until nobody else may wait.
pub(super) const MOST_OF_CLIENT: u32 = 256;

/// One of those who wait.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    all: &'a AtomicUsize,
    // None of a proxy that brings many clients.
    _of_client: Option<Held>,
}

impl<'a> Waiting<'a> {
    pub(super) fn begin(ledger: &'a Ledger, ask: &Ask<'_>) -> Option<Self> {
        let of_client = match ask.who {
            Who::Client => Some(ledger.counts.take(("waiting", ask.client), MOST_OF_CLIENT)?),
            Who::Proxy => None,
        };
        let all = &ledger.waiting;
        if all.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            all.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Waiting { all, _of_client: of_client })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}
