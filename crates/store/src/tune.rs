//! How much of memory is for what is new: what would have been best lately.
//!
//! No share of the small queue suits all: many names that are asked for once
//! want a small one, popularity that drifts a large one. So a sample of the
//! names is also led through a small copy of the cache for each share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use hashbrown::HashMap;

use crate::queue::{MOST_USES, Place, Queue, Queued};

/// Percent for what is new, of which one is chosen.
const SHARES: [u8; 5] = [5, 10, 25, 50, 75];

/// One of so many names is looked at.
const SAMPLE: u64 = 64;
/// Of a cache smaller than this every eighth: it has few names.
const SMALL_CACHE: u64 = 1 << 30;
const LARGE_SAMPLE: u64 = 8;

/// Uses of sampled names between two choices.
const WINDOW: u32 = 8192;
/// By how much another share must be better: a 128th.
const BETTER_SHIFT: u32 = 7;

/// Finds the share that suits what is asked for.
pub(crate) struct Tuner {
    copies: [Copy; SHARES.len()],
    chosen: usize,
    seen: u32,
    sample: u64,
}

/// What a cache with another share would hold of the sample.
struct Copy {
    queue: Queue<Arc<Shadow>>,
    shadows: HashMap<u64, (Place, Arc<Shadow>)>,
    capacity: u64,
    /// Bytes that it had when they were asked for.
    had: u64,
}

struct Shadow {
    fingerprint: u64,
    weight: u64,
    uses: AtomicU8,
}

impl Tuner {
    /// For a cache of that capacity, which has `small` percent for now.
    pub(crate) fn new(capacity: u64, small: u8) -> Self {
        let sample = if capacity < SMALL_CACHE { LARGE_SAMPLE } else { SAMPLE };
        let nearest = |index: &usize| SHARES[*index].abs_diff(small);
        Self {
            copies: SHARES.map(|share| Copy::new(capacity / sample, share)),
            chosen: (0..SHARES.len()).min_by_key(nearest).unwrap_or_default(),
            seen: 0,
            sample,
        }
    }

    /// Whether uses of that name are wanted.
    pub(crate) fn is_sampled(sample: u64, fingerprint: u64) -> bool {
        fingerprint.is_multiple_of(sample)
    }

    pub(crate) fn sample(&self) -> u64 {
        self.sample
    }

    /// Sees a use of a sampled name. The percent for what is new, if another
    /// would have been better.
    pub(crate) fn see(&mut self, fingerprint: u64, weight: u64) -> Option<u8> {
        for copy in &mut self.copies {
            copy.see(fingerprint, weight);
        }
        self.seen += 1;
        if self.seen < WINDOW {
            return None;
        }
        self.seen = 0;
        self.choose()
    }

    fn choose(&mut self) -> Option<u8> {
        let before = self.chosen;
        let had = |index: &usize| self.copies[*index].had;
        let best = (0..SHARES.len()).max_by_key(had).unwrap_or(before);
        let now = self.copies[before].had;
        if self.copies[best].had > now + (now >> BETTER_SHIFT) {
            self.chosen = best;
        }
        for copy in &mut self.copies {
            // What was long ago counts less and less.
            copy.had /= 2;
        }
        (self.chosen != before).then_some(SHARES[self.chosen])
    }
}

impl Copy {
    fn new(capacity: u64, share: u8) -> Self {
        let queue = Queue::new(capacity, share);
        Self { queue, shadows: HashMap::new(), capacity, had: 0 }
    }

    fn see(&mut self, fingerprint: u64, weight: u64) {
        if let Some((place, shadow)) = self.shadows.get(&fingerprint) {
            if shadow.weight == weight {
                self.had += weight;
                shadow.set_uses((shadow.uses() + 1).min(MOST_USES));
                return;
            }
            self.queue.remove(*place, shadow);
            self.shadows.remove(&fingerprint);
        }
        if weight > self.capacity {
            return;
        }
        let shadow = Arc::new(Shadow { fingerprint, weight, uses: AtomicU8::new(0) });
        while self.queue.weight() + weight > self.capacity {
            let Some(gone) = self.queue.evict() else { break };
            self.shadows.remove(&gone.fingerprint);
        }
        let place = self.queue.insert(shadow.clone());
        self.shadows.insert(fingerprint, (place, shadow));
    }
}

impl Queued for Arc<Shadow> {
    fn weight(&self) -> u64 {
        self.weight
    }

    fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    fn uses(&self) -> u8 {
        self.uses.load(Ordering::Relaxed)
    }

    fn set_uses(&self, uses: u8) {
        self.uses.store(uses, Ordering::Relaxed);
    }

    fn is(&self, other: &Self) -> bool {
        Self::ptr_eq(self, other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAPACITY: u64 = 10_000 * LARGE_SAMPLE;

    /// The share after many uses of names of which each weighs 10.
    fn chosen(small: u8, mut name: impl FnMut(u64, &mut fastrand::Rng) -> u64) -> u8 {
        let mut random = fastrand::Rng::with_seed(1);
        let mut tuner = Tuner::new(CAPACITY, small);
        for turn in 0..u64::from(WINDOW) * 8 {
            tuner.see(name(turn, &mut random) * tuner.sample(), 10);
        }
        SHARES[tuner.chosen]
    }

    #[test]
    fn names_that_come_twice_within_a_while_want_a_large_share() {
        // The second time is too late for a small queue of a quarter, and each
        // name is forgotten after that.
        let twice = |turn: u64, _: &mut fastrand::Rng| {
            if turn.is_multiple_of(2) { turn } else { turn.saturating_sub(1201) }
        };
        assert!(chosen(25, twice) >= 75);
    }

    #[test]
    fn many_names_that_never_come_again_want_a_small_share() {
        let scan = |turn: u64, random: &mut fastrand::Rng| match turn % 2 {
            0 => 10_000 + turn,
            _ => random.u64(0..1100),
        };
        assert!(chosen(75, scan) <= 25);
    }

    #[test]
    fn it_changes_nothing_for_little() {
        let all = |_: u64, random: &mut fastrand::Rng| random.u64(0..100);
        for share in SHARES {
            assert_eq!(chosen(share, all), share);
        }
    }

    #[test]
    fn what_it_holds_is_bounded() {
        let mut tuner = Tuner::new(CAPACITY, 10);
        for name in 0..100_000 {
            tuner.see(name, 1 + name % 100);
            tuner.see(name, CAPACITY);
        }
        for copy in &tuner.copies {
            assert!(copy.queue.weight() <= copy.capacity);
            assert_eq!(copy.queue.count(), copy.shadows.len());
        }
    }
}
