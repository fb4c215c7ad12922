//! Which names were asked for lately: of the many of the web that are asked for once, the others
//! are told apart in little memory.

/// Names of one filter; then the next one begins.
const NAMES: usize = 1 << 20;
/// Bits for each name, and how many of them it sets: one new name in 200 is taken for known.
const BITS: usize = 16;
const SET: u32 = 4;

/// Names seen lately: two Bloom filters, of which the older is forgotten when the newer is full.
/// It takes 4 MiB.
pub(crate) struct Lately {
    newer: Filter,
    older: Filter,
    names: usize,
}

struct Filter {
    // Invariant: a power of two of them.
    words: Box<[u64]>,
    names: usize,
}

impl Lately {
    pub(crate) fn new() -> Self {
        Self::of(NAMES)
    }

    /// Filters for so many names each.
    fn of(names: usize) -> Self {
        Self { newer: Filter::of(names), older: Filter::of(names), names }
    }

    /// Sees a name by a hash that nobody outside can choose. Whether it was seen before.
    pub(crate) fn see(&mut self, hash: u64) -> bool {
        let seen = self.newer.has(hash);
        if !seen {
            if self.newer.names >= self.names {
                std::mem::swap(&mut self.newer, &mut self.older);
                self.newer.empty();
            }
            self.newer.add(hash);
        }
        seen || self.older.has(hash)
    }
}

impl Filter {
    fn of(names: usize) -> Self {
        let words = (names * BITS / 64).next_power_of_two();
        Self { words: vec![0; words].into(), names: 0 }
    }

    fn has(&self, hash: u64) -> bool {
        self.places(hash).all(|(word, bit)| self.words[word] & bit != 0)
    }

    fn add(&mut self, hash: u64) {
        for (word, bit) in self.places(hash) {
            self.words[word] |= bit;
        }
        self.names += 1;
    }

    fn empty(&mut self) {
        self.words.fill(0);
        self.names = 0;
    }

    /// Where the bits of a name are, each from both halves of its hash.
    fn places(&self, hash: u64) -> impl Iterator<Item = (usize, u64)> + use<> {
        let words = self.words.len();
        (0..SET).map(move |turn| {
            let place = (hash as u32).wrapping_add(turn.wrapping_mul((hash >> 32) as u32 | 1));
            (place as usize / 64 % words, 1 << (place % 64))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of the names had been seen.
    fn seen(lately: &mut Lately, names: &[u64]) -> usize {
        names.iter().filter(|name| lately.see(**name)).count()
    }

    #[test]
    fn a_name_is_known_the_second_time_and_few_are_at_first() {
        let mut random = fastrand::Rng::with_seed(4);
        let mut lately = Lately::of(1 << 14);
        let names: Vec<u64> = (0..1 << 15).map(|_| random.u64(..)).collect();
        let early = seen(&mut lately, &names);
        assert!(early < names.len() / 200, "{early}");
        let last = &names[1 << 14..];
        assert_eq!(seen(&mut lately, last), last.len());
    }

    #[test]
    fn a_name_is_forgotten_after_as_many_others_as_two_filters_hold() {
        let mut random = fastrand::Rng::with_seed(5);
        for others in [1 << 9, 1 << 10, 3 << 10, 1 << 12] {
            let mut lately = Lately::of(1 << 10);
            let first = random.u64(..);
            lately.see(first);
            for _ in 0..others {
                lately.see(random.u64(..));
            }
            assert_eq!(lately.see(first), others <= 1 << 10, "{others}");
        }
    }

    #[test]
    fn a_filter_takes_two_mib() {
        assert_eq!(Lately::new().older.words.len() * 8, 2 << 20);
    }
}
