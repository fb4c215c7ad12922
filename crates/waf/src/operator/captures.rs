//! What a match writes to TX:0 to TX:9.

use std::ops::Range;

/// TX:0 to TX:9.
pub(crate) const SLOTS: usize = 10;

/// The most that libinjection's fingerprints have.
const FINGERPRINT: usize = 8;

/// What a match leaves in TX:0 to TX:9.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Captures {
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Nothing,
    Whole(Range<usize>),
    Groups { ranges: [Range<usize>; SLOTS], count: usize },
    Fingerprint { bytes: [u8; FINGERPRINT], length: usize },
}

impl Captures {
    /// A match that leaves TX as it is.
    pub(crate) fn nothing() -> Self {
        Self { kind: Kind::Nothing }
    }

    /// A match that is TX:0, and leaves the others as they are.
    pub(crate) fn whole(range: Range<usize>) -> Self {
        Self { kind: Kind::Whole(range) }
    }

    /// Groups of an expression; those beyond TX:9 are left out. One that took no part is empty.
    pub(crate) fn groups(groups: impl IntoIterator<Item = Range<usize>>) -> Self {
        let mut ranges = [const { 0..0 }; SLOTS];
        let mut count = 0;
        for (slot, range) in ranges.iter_mut().zip(groups) {
            *slot = range;
            count += 1;
        }
        Self { kind: Kind::Groups { ranges, count } }
    }

    /// TX:0 becomes text that does not stand in the value, up to its first NUL.
    pub(crate) fn fingerprint(text: &[u8]) -> Self {
        let mut bytes = [0; FINGERPRINT];
        let mut length = 0;
        for (slot, byte) in bytes.iter_mut().zip(text.iter().take_while(|byte| **byte != 0)) {
            *slot = *byte;
            length += 1;
        }
        Self { kind: Kind::Fingerprint { bytes, length } }
    }

    /// What TX:`index` becomes, from the value that matched; None: see `clears`.
    pub(crate) fn get<'a>(&'a self, index: usize, value: &'a [u8]) -> Option<&'a [u8]> {
        match &self.kind {
            Kind::Nothing => None,
            Kind::Whole(range) => (index == 0).then(|| value.get(range.clone())).flatten(),
            Kind::Groups { ranges, count } => {
                let range = ranges.get(..*count)?.get(index)?;
                value.get(range.clone())
            }
            Kind::Fingerprint { bytes, length } => {
                (index == 0).then(|| bytes.get(..*length)).flatten()
            }
        }
    }

    /// Where in the value what matched begins; 0 where nothing tells.
    pub(crate) fn start(&self) -> usize {
        match &self.kind {
            Kind::Nothing | Kind::Fingerprint { .. } => 0,
            Kind::Whole(range) => range.start,
            Kind::Groups { ranges, .. } => ranges.first().map_or(0, |range| range.start),
        }
    }

    /// Whether those of TX:0 to TX:9 that `get` has nothing for are deleted, not kept.
    pub(crate) fn clears(&self) -> bool {
        matches!(self.kind, Kind::Groups { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(captures: &Captures, value: &[u8], expected: &[&[u8]]) {
        let found: Vec<&[u8]> = (0..20).map_while(|index| captures.get(index, value)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn slots_are_filled_from_zero() {
        check(&Captures::nothing(), b"abc", &[]);
        check(&Captures::whole(1..2), b"abc", &[b"b"]);
        check(&Captures::groups([0..3, 0..0, 2..3]), b"abc", &[b"abc", b"", b"c"]);
        check(&Captures::fingerprint(b"s&1"), b"", &[b"s&1"]);
        check(&Captures::fingerprint(b"s&1\0\0"), b"", &[b"s&1"]);
        check(&Captures::fingerprint(b"123456789"), b"", &[b"12345678"]);
    }

    #[test]
    fn no_more_than_ten_groups_are_kept() {
        let groups = std::iter::repeat_n(0..1, 12);
        check(&Captures::groups(groups), b"a", &[b"a".as_slice(); SLOTS]);
    }
}
