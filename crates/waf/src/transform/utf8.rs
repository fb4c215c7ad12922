//! UTF-8 spelt out in ASCII, for rules that then decode it to one byte a character.

use std::borrow::Cow;

use super::hex;
use super::rewrite::{find, rewrite};

/// Puts `%uXXXX`, with more digits if need be, for each sequence of two to four bytes.
///
/// Like ModSecurity it drops NULs and the first byte of a sequence that is not whole; writes
/// the first byte behind the code of a surrogate and of a sequence longer than it must be, and
/// before that of a sequence that begins with 0xf5 to 0xf7; and keeps all other bytes.
pub(super) fn to_unicode(value: &[u8]) -> Cow<'_, [u8]> {
    let first = find(value, is_trigger);
    rewrite(value, first, |mut rest, out| {
        while let [lead, after @ ..] = rest {
            rest = after;
            let shape = match lead {
                0 => continue,
                0xc0..=0xdf => Shape { tail: 1, lead_bits: 0x1f, least: 0x80 },
                0xe0..=0xef => Shape { tail: 2, lead_bits: 0x0f, least: 0x800 },
                0xf0..=0xf7 => Shape { tail: 3, lead_bits: 0x07, least: 0x1_0000 },
                _ => {
                    out.push(*lead);
                    continue;
                }
            };
            if *lead >= 0xf5 {
                out.push(*lead);
            }
            if let Some((code, behind)) = shape.read(*lead, after) {
                write_code(code, out);
                if code < shape.least || (0xd800..=0xdfff).contains(&code) {
                    out.push(*lead);
                }
                rest = behind;
            }
        }
    })
}

pub(super) fn is_trigger(byte: u8) -> bool {
    byte == 0 || !byte.is_ascii()
}

/// What the first byte of a sequence says about it.
struct Shape {
    tail: usize,
    lead_bits: u8,
    /// The least code that needs a sequence of this length.
    least: u32,
}

impl Shape {
    fn read<'a>(&self, lead: u8, after: &'a [u8]) -> Option<(u32, &'a [u8])> {
        let (tail, behind) = after.split_at_checked(self.tail)?;
        let lead = u32::from(lead & self.lead_bits);
        let code = tail.iter().try_fold(lead, |code, byte| {
            (byte & 0xc0 == 0x80).then(|| (code << 6) | u32::from(byte & 0x3f))
        })?;
        Some((code, behind))
    }
}

fn write_code(code: u32, out: &mut Vec<u8>) {
    let digits = code.to_be_bytes().map(hex::digits);
    let digits = digits.as_flattened();
    let last_four = digits.len() - 4;
    let start = find(digits, |digit| digit != b'0').unwrap_or(last_four).min(last_four);
    out.extend_from_slice(b"%u");
    out.extend_from_slice(digits.split_at(start).1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn spells_out_what_is_not_ascii() {
        let value = "a\u{80}\u{e9}\u{20ac}\u{1f600}\u{10ffff}";
        check(to_unicode, value.as_bytes(), b"a%u0080%u00e9%u20ac%u1f600%u10ffff");
        check(to_unicode, b"plain %41 ~\x7f", b"plain %41 ~\x7f");
        check(to_unicode, b"", b"");
    }

    #[test]
    fn shows_the_first_byte_of_a_sequence_that_must_not_be() {
        check(to_unicode, b"\xc0\xaf", b"%u002f\xc0");
        check(to_unicode, b"\xe0\x80\xaf", b"%u002f\xe0");
        check(to_unicode, b"\xf0\x80\x80\xaf", b"%u002f\xf0");
        check(to_unicode, b"\xed\xa0\x80", b"%ud800\xed");
        check(to_unicode, b"\xf5\x80\x80\x80", b"\xf5%u140000");
        check(to_unicode, b"\xf5a", b"\xf5a");
    }

    #[test]
    fn drops_nuls_and_first_bytes_alone() {
        check(to_unicode, b"a\0b\0", b"ab");
        check(to_unicode, b"caf\xe9 \xc3", b"caf ");
        check(to_unicode, b"\xe2\x82a", b"\x82a");
    }

    #[test]
    fn keeps_other_bytes() {
        check(to_unicode, b"\x80\xbf\xf8\xff", b"\x80\xbf\xf8\xff");
    }
}
