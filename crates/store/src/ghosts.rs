//! Names of what left a cache early, for a while: one that comes back is kept for longer.

use std::collections::VecDeque;

use hashbrown::HashMap;

/// Fingerprints of what left the small queue unused, oldest first.
pub(crate) struct Ghosts {
    order: VecDeque<Ghost>,
    // The turn tells a ghost that came back and left again from its older self.
    turns: HashMap<u64, u32>,
    turn: u32,
    weight: u64,
    most_weight: u64,
}

struct Ghost {
    fingerprint: u64,
    turn: u32,
    weight: u32,
}

impl Ghosts {
    pub(crate) fn new(most_weight: u64) -> Self {
        Self { order: VecDeque::new(), turns: HashMap::new(), turn: 0, weight: 0, most_weight }
    }

    /// Remembers one, and forgets the oldest beyond `most` of them or as many
    /// bytes as the cache has.
    pub(crate) fn add(&mut self, fingerprint: u64, weight: u64, most: usize) {
        self.turn = self.turn.wrapping_add(1);
        let weight = u32::try_from(weight).unwrap_or(u32::MAX);
        self.turns.insert(fingerprint, self.turn);
        self.order.push_back(Ghost { fingerprint, turn: self.turn, weight });
        self.weight += u64::from(weight);
        while self.order.len() > most || self.weight > self.most_weight {
            let Some(oldest) = self.order.pop_front() else { return };
            self.weight -= u64::from(oldest.weight);
            if self.turns.get(&oldest.fingerprint) == Some(&oldest.turn) {
                self.turns.remove(&oldest.fingerprint);
            }
        }
    }

    /// Whether it is remembered; it is not from now on.
    pub(crate) fn take(&mut self, fingerprint: u64) -> bool {
        self.turns.remove(&fingerprint).is_some()
    }

    pub(crate) fn count(&self) -> usize {
        self.turns.len()
    }
}
