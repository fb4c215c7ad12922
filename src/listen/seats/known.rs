//! The client networks that were served lately, as far as they are remembered.

use std::collections::HashSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::networks::ClientKey;

/// Clients of one generation; two of them are remembered, some 32,000 clients
/// in less than a megabyte.
const MOST: usize = 16 * 1024;
/// How long a generation lasts at most.
const LATELY: Duration = Duration::from_secs(30 * 60);

/// Remembers who was served; the oldest half is forgotten at a time.
#[derive(Debug)]
pub(super) struct Known {
    young: HashSet<ClientKey>,
    old: HashSet<ClientKey>,
    began: Instant,
}

impl Known {
    pub(super) fn new() -> Self {
        Known { young: HashSet::new(), old: HashSet::new(), began: Instant::now() }
    }

    /// `client` was served.
    pub(super) fn note(&mut self, client: ClientKey) {
        self.age();
        if self.young.len() >= MOST && !self.young.contains(&client) {
            self.forget();
        }
        self.young.insert(client);
    }

    /// Whether `client` was served lately.
    pub(super) fn has(&mut self, client: ClientKey) -> bool {
        self.age();
        self.young.contains(&client) || self.old.contains(&client)
    }

    fn age(&mut self) {
        // At most twice: what is older than that leaves nothing.
        for _ in 0..2 {
            if self.began.elapsed() >= LATELY {
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        self.old = std::mem::take(&mut self.young);
        let now = Instant::now();
        self.began = if now - self.began < 2 * LATELY { now } else { now - LATELY };
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::advance;

    use super::*;

    fn client(nth: usize) -> ClientKey {
        ClientKey::V4(Ipv4Addr::from_bits(u32::try_from(nth).unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn those_served_lately_are_known() {
        let mut known = Known::new();
        known.note(client(1));
        assert!(known.has(client(1)) && !known.has(client(2)));
        advance(LATELY).await;
        assert!(known.has(client(1)), "of the generation before");
        advance(LATELY).await;
        assert!(!known.has(client(1)));
        known.note(client(1));
        advance(5 * LATELY).await;
        assert!(!known.has(client(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_not_all_remembered() {
        let mut known = Known::new();
        for nth in 0..10 * MOST {
            known.note(client(nth));
        }
        assert!(known.young.len() + known.old.len() <= 2 * MOST);
        assert!(known.has(client(10 * MOST - 1)) && !known.has(client(0)));
    }
}
