//! The highest bit of each byte, as a check of the seven below or without use.

use std::borrow::Cow;

use super::rewrite::map;

const HIGHEST: u8 = 0x80;

/// Sets the highest bit of a byte with an odd number of bits, and clears it of the others.
///
/// Like ModSecurity it counts the highest bit too.
pub(super) fn even(value: &[u8]) -> Cow<'_, [u8]> {
    map(value, |byte| if is_odd(byte) { byte | HIGHEST } else { byte & !HIGHEST })
}

/// Sets the highest bit of a byte with an even number of bits, and clears it of the others.
///
/// Like ModSecurity it counts the highest bit too.
pub(super) fn odd(value: &[u8]) -> Cow<'_, [u8]> {
    map(value, |byte| if is_odd(byte) { byte & !HIGHEST } else { byte | HIGHEST })
}

/// Clears the highest bit.
pub(super) fn zero(value: &[u8]) -> Cow<'_, [u8]> {
    map(value, |byte| byte & !HIGHEST)
}

fn is_odd(byte: u8) -> bool {
    byte.count_ones() % 2 == 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn the_highest_bit_is_set_by_the_others() {
        check(even, b"a\x00c", b"\xe1\x00c");
        check(odd, b"a\x00c", b"a\x80\xe3");
        check(zero, b"a\xe3\x80", b"ac\x00");
    }

    #[test]
    fn leaves_bytes_that_are_right() {
        check(even, b"c\x00", b"c\x00");
        check(odd, b"ab", b"ab");
        check(zero, b"abc", b"abc");
    }
}
