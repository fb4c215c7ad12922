//! What matching needs to write into: kept by whoever matches, one for each thread, and bounded.

use std::sync::Arc;

use crate::operator::automaton::{States, Trials};
use crate::operator::pattern::Pattern;

/// Bytes that all caches of one thread may hold, as far as they are counted, which is two thirds;
/// beyond, they are dropped and grow anew. Under CRS 4.28 ordinary requests need 2 MiB, and all of
/// its tests, which are attacks of every kind, some 25: those take a fifth longer so than with 32.
const BYTES: usize = 5 << 20;
/// Bytes of values between two looks at how large a cache is. It grows by about one state a byte.
const UNMEASURED: usize = 1_024;

/// Scratch space of the patterns that were matched with it; of any rule set, at any time.
#[derive(Default)]
pub(crate) struct Cache {
    entries: Vec<Option<Entry>>,
    bytes: usize,
    trials: Trials,
    effort: Effort,
}

/// What was tried out for one value: where no automaton matches, see `backtrack`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Effort {
    /// Each is about as much work as a byte that an automaton looks at.
    pub(crate) steps: usize,
    /// Whether the value matches remains open: it took more steps than it may.
    pub(crate) is_undecided: bool,
}

struct Entry {
    /// Whose it is: another rule set's pattern may have the same number.
    pattern: Arc<Pattern>,
    states: States,
    bytes: usize,
    unmeasured: usize,
    /// Since there was last no room.
    is_used: bool,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Calls `search`, which looks through `length` bytes, with the space of `pattern`.
    pub(crate) fn with<T>(
        &mut self,
        pattern: &Arc<Pattern>,
        length: usize,
        search: impl FnOnce(&mut States, &mut Trials) -> T,
    ) -> T {
        let number = pattern.number();
        let known = self.entries.get(number).and_then(Option::as_ref);
        if !known.is_some_and(|entry| Arc::ptr_eq(&entry.pattern, pattern)) {
            self.insert(number, pattern);
        }
        let Some(Some(entry)) = self.entries.get_mut(number) else {
            return search(&mut pattern.automaton().states(), &mut self.trials);
        };
        let found = search(&mut entry.states, &mut self.trials);
        entry.is_used = true;
        entry.unmeasured = entry.unmeasured.saturating_add(length);
        if entry.unmeasured >= UNMEASURED {
            entry.unmeasured = 0;
            let bytes = entry.states.bytes();
            self.bytes = (self.bytes - entry.bytes).saturating_add(bytes);
            entry.bytes = bytes;
            if self.bytes > BYTES {
                self.make_room();
            }
        }
        found
    }

    /// The effort since it was last forgotten.
    pub(crate) fn effort(&self) -> Effort {
        self.effort
    }

    pub(crate) fn forget_effort(&mut self) -> Effort {
        std::mem::take(&mut self.effort)
    }

    pub(crate) fn took(&mut self, steps: usize, is_undecided: bool) {
        self.effort.steps = self.effort.steps.saturating_add(steps);
        self.effort.is_undecided |= is_undecided;
    }

    /// Bytes in use, as far as they were measured.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.trials.bytes()
    }

    fn insert(&mut self, number: usize, pattern: &Arc<Pattern>) {
        let states = pattern.automaton().states();
        let bytes = states.bytes();
        if self.bytes.saturating_add(bytes) > BYTES {
            self.make_room();
        }
        if self.entries.len() <= number {
            self.entries.resize_with(number + 1, || None);
        }
        if let Some(slot) = self.entries.get_mut(number) {
            let before = slot.as_ref().map_or(0, |entry| entry.bytes);
            self.bytes = self.bytes - before + bytes;
            let pattern = Arc::clone(pattern);
            *slot = Some(Entry { pattern, states, bytes, unmeasured: 0, is_used: true });
        }
    }

    /// Drops what was not used since the last time; or everything, if that is too little.
    fn make_room(&mut self) {
        for slot in &mut self.entries {
            if let Some(entry) = slot.take_if(|entry| !entry.is_used) {
                self.bytes -= entry.bytes;
            }
            if let Some(entry) = slot {
                entry.is_used = false;
            }
        }
        if self.bytes > BYTES / 2 {
            self.entries.clear();
            self.bytes = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::fixture::Dice;
    use crate::operator::pattern::Groups;

    #[test]
    fn caches_are_bounded() {
        let mut dice = Dice::new(1);
        let mut cache = Cache::new();
        for number in 0..40 {
            // Each byte of random text makes a state of hundreds of positions.
            let pattern = format!(r"[^a]*a[^b]{{{}}}b[^c]{{100}}c", 300 + number);
            let pattern = Pattern::compile(pattern.as_bytes(), Groups::Whole, number).unwrap();
            let value: Vec<u8> = (0..4_000).map(|_| b'a' + dice.byte() % 4).collect();
            Arc::new(pattern).is_match(&value, &mut cache);
            assert!(cache.bytes() <= BYTES + (1 << 20), "{}", cache.bytes());
        }
        assert!(cache.entries.iter().flatten().count() > 0);
    }

    #[test]
    fn caches_that_grow_while_they_are_used_are_bounded() {
        let pattern = |number| {
            let text = format!(r"[^a]*a[^b]{{{}}}b[^c]{{100}}c", 300 + number);
            Arc::new(Pattern::compile(text.as_bytes(), Groups::Whole, number).unwrap())
        };
        let patterns: Vec<_> = (0..20).map(pattern).collect();
        let mut cache = Cache::new();
        let mut dice = Dice::new(1);
        for length in [1, 8_000] {
            for pattern in &patterns {
                let value: Vec<u8> = (0..length).map(|_| b'a' + dice.byte() % 4).collect();
                pattern.is_match(&value, &mut cache);
                assert!(cache.bytes <= BYTES, "{}", cache.bytes);
                let counted: usize = cache.entries.iter().flatten().map(|entry| entry.bytes).sum();
                assert_eq!(cache.bytes, counted);
            }
        }
    }

    #[test]
    fn what_is_in_use_is_kept_when_room_is_made() {
        let pattern = |number| {
            let pattern = Pattern::compile(b"a+b", Groups::Whole, number).unwrap();
            Arc::new(pattern)
        };
        let patterns: Vec<_> = (0..3).map(pattern).collect();
        let mut cache = Cache::new();
        let kept = |cache: &Cache| cache.entries.iter().map(Option::is_some).collect::<Vec<_>>();
        for pattern in &patterns {
            pattern.is_match(b"ab", &mut cache);
        }
        cache.make_room();
        assert_eq!(kept(&cache), [true; 3]);
        patterns[1].is_match(b"ab", &mut cache);
        cache.make_room();
        assert_eq!(kept(&cache), [false, true, false]);
        cache.make_room();
        assert_eq!((kept(&cache), cache.bytes), (vec![false; 3], 0));
        // As if all were large: where it is too little, what is in use goes as well.
        patterns[0].is_match(b"ab", &mut cache);
        cache.bytes += BYTES;
        cache.make_room();
        assert_eq!((kept(&cache), cache.bytes), (Vec::new(), 0));
    }

    #[test]
    fn what_another_takes_the_place_of_is_not_counted() {
        let mut cache = Cache::new();
        for text in ["b+c?d", "a+c?d", "(a|c)+d"] {
            let pattern = Arc::new(Pattern::compile(text.as_bytes(), Groups::Whole, 3).unwrap());
            pattern.is_match(b"acd", &mut cache);
            let counted: usize = cache.entries.iter().flatten().map(|entry| entry.bytes).sum();
            assert_eq!(cache.bytes, counted, "{text}");
        }
    }

    #[test]
    fn patterns_of_one_number_do_not_share_a_cache() {
        let pattern =
            |text: &str| Arc::new(Pattern::compile(text.as_bytes(), Groups::All, 3).unwrap());
        let told = |pattern: &Arc<Pattern>, cache: &mut Cache| {
            [&b"acd"[..], b"bcd", b"aad", b"ccd", b"cxd", b"d"].map(|value| {
                let found = pattern.find(value, 0, cache).map(|found| found.whole());
                (pattern.is_match(value, cache), found)
            })
        };
        let patterns = ["b+c?d", "a+c?d", "(a|c)+d", "c.d", "[^a]+d", "a*d$"].map(pattern);
        for first in &patterns {
            for second in &patterns {
                let mut cache = Cache::new();
                told(first, &mut cache);
                assert_eq!(told(second, &mut cache), told(second, &mut Cache::new()));
            }
        }
    }
}
