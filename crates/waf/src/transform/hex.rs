//! Digits of base 16: of whole values, and of the literals of SQL.

use std::borrow::Cow;

use super::rewrite::{rewrite, settle};

const DIGITS: [u8; 16] = *b"0123456789abcdef";

/// Two digits a byte. Like ModSecurity it drops an odd last digit, and reads bytes that are
/// no digits by the same sum.
pub(super) fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    let pairs = value.chunks_exact(2);
    let bytes = pairs.map(|pair| pair.iter().fold(0, |sum, &byte| shift_in(sum, byte)));
    settle(value, bytes.collect())
}

/// Two lower-case digits for each byte.
pub(super) fn encode(value: &[u8]) -> Cow<'_, [u8]> {
    settle(value, value.iter().flat_map(|&byte| digits(byte)).collect())
}

/// Decodes literals, `0x414243`, with at least two digits; an odd last digit is kept.
///
/// Like ModSecurity it leaves the byte behind a literal unread. Unlike it, it ends at no NUL:
/// there that is where a C string ends, here it would hide what follows.
pub(super) fn decode_sql(value: &[u8]) -> Cow<'_, [u8]> {
    let first = value.windows(2).position(|pair| matches!(pair, [b'0', b'x' | b'X']));
    rewrite(value, first, |mut rest, out| {
        while let [first, tail @ ..] = rest {
            let literal = strip_literal_mark(rest).filter(|digits| strip_byte(digits).is_some());
            let Some(mut after) = literal else {
                out.push(*first);
                rest = tail;
                continue;
            };
            while let Some((byte, next)) = strip_byte(after) {
                out.push(byte);
                after = next;
            }
            let (unread, next) = after.split_at(after.len().min(1));
            out.extend_from_slice(unread);
            rest = next;
        }
    })
}

/// A literal begins with `0x`.
pub(super) fn is_trigger(byte: u8) -> bool {
    matches!(byte, b'x' | b'X')
}

/// The byte of two digits, if both are.
pub(super) fn pair(high: u8, low: u8) -> Option<u8> {
    let sum = char::from(high).to_digit(16)? * 16 + char::from(low).to_digit(16)?;
    u8::try_from(sum).ok()
}

pub(super) fn digits(byte: u8) -> [u8; 2] {
    [byte / 16, byte % 16].map(|digit| DIGITS[usize::from(digit)])
}

fn strip_literal_mark(text: &[u8]) -> Option<&[u8]> {
    let [b'0', b'x' | b'X', digits @ ..] = text else { return None };
    Some(digits)
}

fn strip_byte(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = text else { return None };
    Some((pair(*high, *low)?, rest))
}

/// Letters count from `A`, whatever letter it is; all else counts from `0`.
fn shift_in(sum: u8, byte: u8) -> u8 {
    let digit = match byte {
        b'A'.. => (byte & 0xdf).wrapping_sub(b'A').wrapping_add(10),
        _ => byte.wrapping_sub(b'0'),
    };
    sum.wrapping_mul(16).wrapping_add(digit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn decodes_two_digits_a_byte() {
        check(decode, b"4a4B", b"JK");
        check(decode, b"4a4", b"J");
        check(decode, b"", b"");
    }

    #[test]
    fn encodes_in_lower_case() {
        check(encode, b"J\xff\x00", b"4aff00");
        check(encode, b"", b"");
    }

    #[test]
    fn decodes_literals_of_sql() {
        check(decode_sql, b"0x414243", b"ABC");
        check(decode_sql, b"select 0X41,0x424", b"select A,B4");
        check(decode_sql, b"0x00ab", b"\x00\xab");
        check(decode_sql, b"0x410x42", b"A0x42");
    }

    #[test]
    fn leaves_what_is_no_literal() {
        for value in ["", "0", "0x", "0x4", "0xg1", "00x", "a0b1x"] {
            check(decode_sql, value.as_bytes(), value.as_bytes());
        }
    }
}
