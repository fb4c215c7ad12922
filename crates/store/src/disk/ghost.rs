//! Which keys were dropped lately without having been used: when one comes back it was dropped
//! too early, and goes where it stays longer.

use std::sync::atomic::{AtomicU32, Ordering};

/// What one key is expected to take on the disk, to know how many to remember.
const TYPICAL: u64 = 16 * 1024;
const FEWEST: u64 = 4096;
const MOST: u64 = 4 * 1024 * 1024;

/// Fingerprints in a table without chains: a new one takes the place of whatever was there, so
/// that one stays for about as many drops as there are places. Four bytes a key.
pub(crate) struct Ghost {
    places: Box<[AtomicU32]>,
}

impl Ghost {
    pub(crate) fn of_capacity(capacity: u64) -> Self {
        let places = (capacity / TYPICAL).clamp(FEWEST, MOST).next_power_of_two();
        Self { places: (0..places).map(|_| AtomicU32::new(0)).collect() }
    }

    pub(crate) fn remember(&self, tag: u64) {
        if let Some(place) = self.place(tag) {
            place.store(fingerprint(tag), Ordering::Relaxed);
        }
    }

    /// Whether the key is remembered; it is not from now on.
    pub(crate) fn recall(&self, tag: u64) -> bool {
        self.place(tag).is_some_and(|place| {
            let print = fingerprint(tag);
            place.compare_exchange(print, 0, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        })
    }

    fn place(&self, tag: u64) -> Option<&AtomicU32> {
        // The number of places is a power of two.
        self.places.get(tag as usize & (self.places.len() - 1))
    }
}

/// Never zero, which is a free place.
fn fingerprint(tag: u64) -> u32 {
    (tag >> 32) as u32 | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_key_is_recalled_once() {
        let ghost = Ghost::of_capacity(0);
        let tag = 0x0123_4567_89ab_cdef;
        assert!(!ghost.recall(tag));
        ghost.remember(tag);
        assert!(!ghost.recall(tag ^ 1 << 40));
        assert!(ghost.recall(tag));
        assert!(!ghost.recall(tag));
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(Ghost::of_capacity(u64::MAX).places.len() as u64, MOST);
        assert_eq!(Ghost::of_capacity(1).places.len() as u64, FEWEST);
    }
}
