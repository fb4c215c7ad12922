//! How many connections there may be, in all and from one client network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::networks::ClientKey;

/// The caps on connections.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) connections: usize,
    pub(crate) per_client: usize,
}

/// The least time between two lines of the log about the same cap.
const QUIET: Duration = Duration::from_secs(60);

/// Who connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    /// One client.
    Client,
    /// A trusted proxy, which brings many.
    Proxy,
}

/// Which cap is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// That of all connections.
    All,
    /// That of one client's.
    Client,
}

/// The seats of all listeners; every open connection holds one.
#[derive(Debug)]
pub(crate) struct Seats {
    bounds: Bounds,
    taken: AtomicUsize,
    // Invariant: no entry is 0, so there are at most `taken` entries.
    per_client: Mutex<HashMap<ClientKey, usize>>,
    empty: Notify,
    said: [Mutex<Said>; 2],
}

impl Seats {
    pub(crate) fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Seats {
            bounds,
            taken: AtomicUsize::new(0),
            per_client: Mutex::new(HashMap::new()),
            empty: Notify::new(),
            said: Default::default(),
        })
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Returns once no connection is open.
    pub(crate) async fn all_free(&self) {
        loop {
            let mut emptied = std::pin::pin!(self.empty.notified());
            emptied.as_mut().enable();
            if self.taken() == 0 {
                return;
            }
            emptied.await;
        }
    }

    /// A seat for a connection from `peer`, unless a cap is reached.
    ///
    /// A proxy counts in all, but not per client.
    pub(super) fn take(self: &Arc<Self>, peer: IpAddr, who: Who) -> Result<Seat, Full> {
        let client = (who == Who::Client).then(|| ClientKey::from(peer));
        if self.taken.fetch_add(1, Ordering::AcqRel) >= self.bounds.connections {
            self.leave();
            return Err(Full::All);
        }
        if let Some(client) = client
            && !self.take_for(client)
        {
            self.leave();
            return Err(Full::Client);
        }
        Ok(Seat { seats: self.clone(), client })
    }

    /// Says in the log that `peer` found no seat, or only counts it: an attack
    /// is no reason to fill a disk.
    pub(super) fn complain(&self, full: Full, peer: IpAddr) {
        let mut said = self.said[full as usize].lock().unwrap_or_else(PoisonError::into_inner);
        let Some(refused) = said.refuse(Instant::now()) else {
            return;
        };
        match full {
            Full::All => ::log::warn!(
                "{refused} connections refused: as many as server.connections ({}) are open",
                self.bounds.connections
            ),
            Full::Client => ::log::warn!(
                "{refused} connections refused, the last of {peer}: its network has as many \
                 open as server.connections_per_client ({})",
                self.bounds.per_client
            ),
        }
    }

    fn take_for(&self, client: ClientKey) -> bool {
        let mut per_client = self.per_client.lock().unwrap_or_else(PoisonError::into_inner);
        let count = per_client.entry(client).or_insert(0);
        if *count >= self.bounds.per_client {
            return false;
        }
        *count += 1;
        true
    }

    fn leave(&self) {
        if self.taken.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.empty.notify_waiters();
        }
    }
}

/// What has been said of one cap.
#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    unsaid: u64,
}

impl Said {
    /// How many were refused since it was last said, if it is time to say so.
    fn refuse(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.last.is_some_and(|last| now.saturating_duration_since(last) < QUIET) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

/// The right of one connection to be open.
#[derive(Debug)]
pub(super) struct Seat {
    seats: Arc<Seats>,
    client: Option<ClientKey>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(client) = self.client {
            let mut per_client =
                self.seats.per_client.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(count) = per_client.get_mut(&client) {
                *count -= 1;
                if *count == 0 {
                    per_client.remove(&client);
                }
            }
        }
        self.seats.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seats(connections: usize, per_client: usize) -> Arc<Seats> {
        Seats::new(Bounds { connections, per_client })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn refuses_over_the_cap_of_all() {
        let seats = seats(2, 9);
        let first = seats.take(ip("192.0.2.1"), Who::Client);
        let _second = seats.take(ip("192.0.2.2"), Who::Client).expect("a seat");
        assert_eq!(seats.take(ip("192.0.2.3"), Who::Client).unwrap_err(), Full::All);
        drop(first);
        assert!(seats.take(ip("192.0.2.3"), Who::Client).is_ok());
    }

    #[test]
    fn refuses_over_the_cap_of_one_client_but_not_of_others() {
        let seats = seats(9, 1);
        let _held = seats.take(ip("2001:db8::1"), Who::Client).expect("a seat");
        let same = seats.take(ip("2001:db8::ffff"), Who::Client);
        assert_eq!(same.unwrap_err(), Full::Client, "the same /64");
        assert!(seats.take(ip("2001:db8:0:1::1"), Who::Client).is_ok(), "another /64");
        assert_eq!(seats.taken(), 1);
    }

    #[test]
    fn trusted_proxies_are_exempt_per_client() {
        let seats = seats(9, 1);
        let held: Vec<_> = (0..3).map(|_| seats.take(ip("10.0.0.1"), Who::Proxy)).collect();
        assert!(held.iter().all(Result::is_ok));
    }

    #[test]
    fn forgets_clients_that_left() {
        let seats = seats(9, 1);
        drop(seats.take(ip("192.0.2.1"), Who::Client));
        assert!(seats.per_client.lock().expect("no panic").is_empty());
        assert_eq!(seats.taken(), 0);
    }

    #[test]
    fn refusals_are_said_once_a_while_and_counted() {
        let (mut said, began) = (Said::default(), Instant::now());
        for (after, expected) in
            [(0, Some(1)), (1, None), (59, None), (60, Some(3)), (61, None), (500, Some(2))]
        {
            let now = began + Duration::from_secs(after);
            assert_eq!(said.refuse(now), expected, "{after} s");
        }
    }
}
