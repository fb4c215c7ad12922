//! Sets of bytes.

use std::ops::RangeInclusive;

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct ByteSet([u64; 4]);

impl ByteSet {
    pub(crate) const EMPTY: Self = Self([0; 4]);
    pub(crate) const ALL: Self = Self([u64::MAX; 4]);

    pub(crate) const fn of(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        let mut rest = bytes;
        while let [first, after @ ..] = rest {
            set = set.with(*first);
            rest = after;
        }
        set
    }

    pub(crate) fn range(range: RangeInclusive<u8>) -> Self {
        let (first, last) = range.into_inner();
        Self::below(u32::from(last) + 1).and(Self::below(u32::from(first)).not())
    }

    fn below(bound: u32) -> Self {
        Self([0, 64, 128, 192].map(|start| {
            let bits = bound.saturating_sub(start);
            1_u64.checked_shl(bits).map_or(u64::MAX, |bit| bit - 1)
        }))
    }

    /// None if the class has characters of several bytes.
    pub(crate) fn of_class(class: &Class) -> Option<Self> {
        // Single ASCII characters that stand for each other become a class of characters.
        let class = match class {
            Class::Bytes(class) => class.clone(),
            Class::Unicode(class) => class.to_byte_class()?,
        };
        let ranges = class.ranges().iter().map(|range| Self::range(range.start()..=range.end()));
        Some(ranges.fold(Self::EMPTY, Self::or))
    }

    pub(crate) fn class(self) -> Class {
        let mut ranges: Vec<ClassBytesRange> = Vec::new();
        for byte in self.iter() {
            match ranges.last_mut() {
                Some(last) if u16::from(last.end()) + 1 == u16::from(byte) => {
                    *last = ClassBytesRange::new(last.start(), byte);
                }
                _ => ranges.push(ClassBytesRange::new(byte, byte)),
            }
        }
        Class::Bytes(ClassBytes::new(ranges))
    }

    pub(crate) const fn with(mut self, byte: u8) -> Self {
        self.0[(byte >> 6) as usize] |= 1 << (byte & 63);
        self
    }

    pub(crate) const fn contains(self, byte: u8) -> bool {
        self.0[(byte >> 6) as usize] >> (byte & 63) & 1 == 1
    }

    pub(crate) fn or(self, other: Self) -> Self {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Self([a | e, b | f, c | g, d | h])
    }

    pub(crate) fn and(self, other: Self) -> Self {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        Self([a & e, b & f, c & g, d & h])
    }

    pub(crate) fn not(self) -> Self {
        let [a, b, c, d] = self.0;
        Self([!a, !b, !c, !d])
    }

    /// With both cases of each letter it has.
    pub(crate) fn fold(self) -> Self {
        // In the second word, `A` to `Z` are the bits 1 to 26, and `a` to `z` stand 32 higher.
        const UPPER: u64 = ((1 << 26) - 1) << 1;
        let [a, b, c, d] = self.0;
        Self([a, b | (b & UPPER) << 32 | b >> 32 & UPPER, c, d])
    }

    pub(crate) fn len(self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(crate) fn is_empty(self) -> bool {
        self == Self::EMPTY
    }

    /// Its bytes, in order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0_u8..4).zip(self.0).flat_map(|(number, mut word)| {
            std::iter::from_fn(move || {
                // Below 64, and None once the word is 0.
                let bit = word.trailing_zeros() as u8;
                let more = word != 0;
                word &= word.wrapping_sub(1);
                more.then_some(number * 64 + bit % 64)
            })
        })
    }

    /// Whether one of `bytes` is in it.
    pub(crate) fn any(self, bytes: &[u8]) -> bool {
        bytes.iter().any(|byte| self.contains(*byte))
    }

    /// The bytes of a text.
    pub(crate) fn in_text(text: &[u8]) -> Self {
        if text.len() >= 512 {
            return Self::in_long_text(text);
        }
        // Four, so that no byte waits for the one before it.
        let mut sets = [[0; 4]; 4];
        let add = |set: &mut [u64; 4], byte: u8| set[usize::from(byte >> 6)] |= 1 << (byte & 63);
        let (whole, rest) = text.as_chunks::<4>();
        for bytes in whole {
            for (set, byte) in sets.iter_mut().zip(bytes) {
                add(set, *byte);
            }
        }
        for (set, byte) in sets.iter_mut().zip(rest) {
            add(set, *byte);
        }
        sets.into_iter().map(Self).fold(Self::EMPTY, Self::or)
    }

    /// The same with a place for each byte, which takes a moment to read.
    fn in_long_text(text: &[u8]) -> Self {
        let mut seen = [false; 256];
        for byte in text {
            seen[usize::from(*byte)] = true;
        }
        let mut set = Self::EMPTY;
        for (word, seen) in set.0.iter_mut().zip(seen.chunks_exact(64)) {
            *word = seen.iter().rev().fold(0, |word, seen| word << 1 | u64::from(*seen));
        }
        set
    }

    /// Whether both have a byte.
    pub(crate) fn meets(self, other: Self) -> bool {
        let [a, b, c, d] = self.0;
        let [e, f, g, h] = other.0;
        (a & e) | (b & f) | (c & g) | (d & h) != 0
    }

    pub(crate) const fn from_words(words: [u64; 4]) -> Self {
        Self(words)
    }

    pub(crate) fn words(self) -> [u64; 4] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_and_sets_are_the_same() {
        for set in
            [ByteSet::EMPTY, ByteSet::ALL, ByteSet::of(b"ab\x00\xffz-"), ByteSet::range(60..=70)]
        {
            assert_eq!(ByteSet::of_class(&set.class()), Some(set));
            assert_eq!(set.not().not(), set);
            assert!(set.and(set.not()).is_empty());
            assert_eq!(set.or(set.not()), ByteSet::ALL);
            assert_eq!(set.len() + set.not().len(), 256);
        }
    }

    #[test]
    fn ranges_have_their_ends() {
        for (first, last) in [(0, 255), (0, 0), (255, 255), (63, 64), (60, 200), (128, 191)] {
            let set = ByteSet::range(first..=last);
            assert!(set.iter().eq(first..=last));
            assert_eq!((first..=last).fold(ByteSet::EMPTY, ByteSet::with), set);
        }
    }

    #[test]
    fn texts_of_any_length_have_their_bytes() {
        for length in [0, 1, 255, 511, 512, 513, 5_000] {
            let text: Vec<u8> = (0..length).map(|at| (at * 7 % 251) as u8).collect();
            let expected = text.iter().copied().fold(ByteSet::EMPTY, ByteSet::with);
            assert_eq!(ByteSet::in_text(&text), expected, "{length}");
        }
    }

    #[test]
    fn only_ascii_letters_fold() {
        assert_eq!(ByteSet::of(b"aZ1\xe4[").fold(), ByteSet::of(b"aAzZ1\xe4["));
    }
}
