//! How many requests are under way, by client and by route.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Locks, so that workers seldom wait for each other.
const SHARDS: usize = 64;

type Shard = HashMap<u64, u32, BuildHasherDefault<AsItIs>>;

/// The requests under way; each is counted as often as it is bounded.
#[derive(Debug)]
pub(crate) struct Counts {
    hasher: RandomState,
    // Invariant: no entry is 0, so there are no more than requests under way.
    shards: Box<[Mutex<Shard>]>,
}

impl Default for Counts {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Counts { hasher: RandomState::new(), shards }
    }
}

impl Counts {
    /// Counts one more under `key`, unless there are as many as may be.
    pub(super) fn take(self: &Arc<Self>, key: impl Hash, most: u32) -> Option<Held> {
        let key = self.hasher.hash_one(key);
        let mut shard = self.shard(key);
        let count = shard.entry(key).or_insert(0);
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Held { counts: self.clone(), key })
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let at = (key >> 32) as usize % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// That one request is counted, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    counts: Arc<Counts>,
    key: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shard = self.counts.shard(self.key);
        if let Entry::Occupied(mut count) = shard.entry(self.key) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What is hashed is a hash already, by a key that nobody knows.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write(&mut self, bytes: &[u8]) {
        // Keys are no bytes; if they were, all would be found, in one place.
        self.0 = bytes.len() as u64;
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_under_way_as_may_be() {
        let counts = Arc::new(Counts::default());
        let first = counts.take("a", 2).expect("the first");
        let _second = counts.take("a", 2).expect("the second");
        assert!(counts.take("a", 2).is_none());
        assert!(counts.take("b", 2).is_some(), "another key");
        drop(first);
        assert!(counts.take("a", 2).is_some());
    }

    #[test]
    fn nothing_is_left_of_those_that_ended() {
        let counts = Arc::new(Counts::default());
        drop((0..100).filter_map(|n| counts.take(n, 1)).collect::<Vec<_>>());
        assert!((0..SHARDS).all(|at| counts.shard((at as u64) << 32).is_empty()));
    }
}
