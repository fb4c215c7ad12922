//! What is remembered of client networks for a while, as far as there is room.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::networks::ClientKey;

/// Remembers something of clients, each from one generation to the end of the
/// next; where there are too many, a generation ends early.
#[derive(Debug)]
pub(super) struct Recent<T> {
    // Clients of one generation; two of them are remembered.
    most: usize,
    lasts: Duration,
    young: HashMap<ClientKey, T>,
    old: HashMap<ClientKey, T>,
    began: Instant,
}

impl<T> Recent<T> {
    pub(super) fn new(most: usize, lasts: Duration) -> Self {
        let (young, old) = Default::default();
        Recent { most, lasts, young, old, began: Instant::now() }
    }

    /// What is remembered of `client`, or else what there is to remember now.
    pub(super) fn renew(&mut self, client: ClientKey, or: impl FnOnce() -> T) -> &mut T {
        self.age();
        if self.young.len() >= self.most && !self.young.contains_key(&client) {
            self.forget();
        }
        let old = &mut self.old;
        self.young.entry(client).or_insert_with(|| old.remove(&client).unwrap_or_else(or))
    }

    /// Whether anything is remembered of `client`.
    pub(super) fn has(&mut self, client: ClientKey) -> bool {
        self.age();
        self.young.contains_key(&client) || self.old.contains_key(&client)
    }

    fn age(&mut self) {
        // At most twice: what is older than that leaves nothing.
        for _ in 0..2 {
            if self.began.elapsed() >= self.lasts {
                self.forget();
            }
        }
    }

    fn forget(&mut self) {
        self.old = std::mem::take(&mut self.young);
        let now = Instant::now();
        self.began = if now - self.began < 2 * self.lasts { now } else { now - self.lasts };
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::time::advance;

    use super::*;

    const MOST: usize = 1000;
    const LASTS: Duration = Duration::from_secs(60);

    fn client(nth: usize) -> ClientKey {
        ClientKey::V4(Ipv4Addr::from_bits(u32::try_from(nth).unwrap()))
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_recent_is_remembered() {
        let mut recent = Recent::new(MOST, LASTS);
        *recent.renew(client(1), || 1) += 1;
        assert!(recent.has(client(1)) && !recent.has(client(2)));
        advance(LASTS).await;
        assert!(recent.has(client(1)), "of the generation before");
        assert_eq!(*recent.renew(client(1), || 1), 2, "and of this one from now on");
        advance(LASTS).await;
        assert!(recent.has(client(1)));
        advance(LASTS).await;
        assert!(!recent.has(client(1)));
        assert_eq!(*recent.renew(client(1), || 1), 1);
        advance(5 * LASTS).await;
        assert!(!recent.has(client(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn many_are_not_all_remembered() {
        let mut recent = Recent::new(MOST, LASTS);
        for nth in 0..10 * MOST {
            recent.renew(client(nth), || ());
        }
        assert!(recent.young.len() + recent.old.len() <= 2 * MOST);
        assert!(recent.has(client(10 * MOST - 1)) && !recent.has(client(0)));
    }
}
