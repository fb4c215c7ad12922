//! Values that are made to break transformations: random ones, and long ones.

use std::borrow::Cow;

use super::{NAMES, Transformation, UnicodeMap};

const VALUES: usize = 2_000;

const MAX_PIECES: u64 = 24;

/// What some transformation reads as more than a plain byte.
pub(super) const PIECES: [&[u8]; 56] = [
    b"%",
    b"%4",
    b"%41",
    b"%u",
    b"%u00",
    b"%uff1c",
    b"+",
    b"&",
    b"&#",
    b"&#x",
    b"&#x3c",
    b"&lt",
    b";",
    b"&#99999999999999999999",
    b"\\",
    b"\\u",
    b"\\uff1c",
    b"\\x4",
    b"\\x41",
    b"\\777",
    b"\\0",
    b"\\10ff1c",
    b"\n",
    b" ",
    b"\t",
    b"\xa0",
    b"/",
    b"//",
    b"/*",
    b"*/",
    b"<!--",
    b"-->",
    b"--",
    b"#",
    b".",
    b"..",
    b"../",
    b"/.",
    b"0x",
    b"0x41",
    b"4",
    b"a",
    b"Z",
    b"\0",
    b"\xc3",
    b"\xa9",
    b"\xe2\x82",
    b"\xac",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\xf7\xbf\xbf\xbf",
    b"\xff",
    b"=",
    b"QUJD",
    b"\"",
    b"'^,",
];

/// A generator that starts the same each time (Marsaglia's xorshift).
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn pick(&mut self) -> &'static [u8] {
        let at = self.roll(PIECES.len() as u64);
        PIECES[usize::try_from(at).expect("it is below the number of pieces")]
    }

    fn value(&mut self) -> Vec<u8> {
        let mut value = Vec::new();
        for _ in 0..self.roll(MAX_PIECES) {
            value.extend_from_slice(self.pick());
        }
        if !value.is_empty() && self.roll(2) == 0 {
            let at = self.roll(value.len() as u64);
            let at = usize::try_from(at).expect("it is below the length");
            value[at] = self.roll(256).to_le_bytes()[0];
            value.truncate(value.len() - at / 2);
        }
        value
    }
}

fn all() -> impl Iterator<Item = Transformation> {
    let without_map = Transformation::UrlDecodeUni(UnicodeMap::Unset);
    NAMES.into_iter().filter_map(|(_, transformation)| transformation).chain([without_map])
}

#[track_caller]
fn check(transformation: Transformation, value: &[u8]) {
    let found = transformation.apply(value);
    let shown = || format!("{transformation:?} of {}", value.escape_ascii());
    assert!(found.len() <= (value.len() * 4).max(20), "{} is long", shown());
    let is_borrowed = matches!(found, Cow::Borrowed(_));
    assert_eq!(is_borrowed, *found == *value, "{} is borrowed", shown());
    let may_change = transformation
        .triggers()
        .is_none_or(|is_trigger| value.iter().any(|byte| is_trigger(*byte)));
    assert!(is_borrowed || may_change, "{} has a trigger", shown());
}

#[test]
fn random_values_stay_within_bounds() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    for _ in 0..VALUES {
        let value = dice.value();
        for transformation in all() {
            check(transformation, &value);
        }
    }
}

#[test]
fn every_byte_and_pair_of_bytes_stays_within_bounds() {
    for first in 0..=255 {
        for transformation in all() {
            check(transformation, &[first]);
            for second in [0, b'%', b'\\', b'/', b'.', b'x', b'-', b' ', 0x80, 0xff] {
                check(transformation, &[first, second]);
                check(transformation, &[second, first]);
            }
        }
    }
}

/// Were one of them not linear, this would be felt.
#[test]
fn long_values_take_no_longer_than_they_are() {
    for piece in PIECES {
        let value = piece.repeat(10_000);
        for transformation in all() {
            check(transformation, &value);
        }
    }
}
