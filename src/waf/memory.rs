//! How much of bodies is kept in memory until it is judged.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::Blocked;
use crate::networks::ClientKey;

/// Of all clients together.
const MOST: usize = 256 << 20;
/// Of one client, which is 128 bodies of the usual size.
const MOST_OF_CLIENT: usize = 16 << 20;

/// What is kept in the process.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    all: AtomicUsize,
    // Invariant: no entry is 0.
    by_client: Mutex<HashMap<ClientKey, usize>>,
}

/// One body's part of it, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: Arc<Memory>,
    // None for clients that cannot be told apart.
    client: Option<ClientKey>,
    bytes: usize,
}

impl Memory {
    pub(super) fn share(self: &Arc<Self>, client: Option<ClientKey>) -> Share {
        Share { memory: self.clone(), client, bytes: 0 }
    }

    /// How many bytes are kept.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.all.load(Ordering::Relaxed)
    }

    fn count(&self, change: impl FnOnce(&mut HashMap<ClientKey, usize>)) {
        change(&mut self.by_client.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Share {
    /// Keeps so many bytes more, if there is room for them.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Blocked> {
        let more = |used: usize| used.checked_add(bytes).filter(|used| *used <= MOST);
        if self.memory.all.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_err() {
            return Err(Blocked::Full);
        }
        self.bytes += bytes;
        let Some(client) = self.client else {
            return Ok(());
        };
        let mut of_client = 0;
        self.memory.count(|clients| {
            let used = clients.entry(client).or_default();
            *used += bytes;
            of_client = *used;
        });
        if of_client > MOST_OF_CLIENT { Err(Blocked::ClientFull) } else { Ok(()) }
    }

    /// Nothing of it is kept any more.
    pub(super) fn clear(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes == 0 {
            return;
        }
        self.memory.all.fetch_sub(bytes, Ordering::Relaxed);
        let Some(client) = self.client else { return };
        self.memory.count(|clients| {
            if let Some(used) = clients.get_mut(&client) {
                *used = used.saturating_sub(bytes);
                if *used == 0 {
                    clients.remove(&client);
                }
            }
        });
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn client(last: u8) -> Option<ClientKey> {
        Some(ClientKey::from(IpAddr::from([192, 0, 2, last])))
    }

    #[test]
    fn one_client_does_not_fill_the_memory_of_all() {
        let memory = Arc::new(Memory::default());
        let mut first = memory.share(client(1));
        first.grow(MOST_OF_CLIENT).expect("room");
        let mut second = memory.share(client(1));
        assert!(matches!(second.grow(1), Err(Blocked::ClientFull)));
        memory.share(client(2)).grow(1).expect("another client");
        first.clear();
        second.grow(1).expect("room again");
        drop((first, second));
        assert_eq!(memory.used(), 0);
        memory.count(|clients| assert!(clients.is_empty()));
    }

    #[test]
    fn all_clients_share_what_there_is() {
        let memory = Arc::new(Memory::default());
        let mut shares: Vec<Share> = (1..=16).map(|last| memory.share(client(last))).collect();
        for share in &mut shares {
            share.grow(MOST_OF_CLIENT).expect("room");
        }
        for next in [client(17), None] {
            assert!(matches!(memory.share(next).grow(1), Err(Blocked::Full)));
        }
        shares.pop();
        memory.share(None).grow(MOST_OF_CLIENT).expect("room again");
    }
}
