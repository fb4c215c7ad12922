//! The entities of HTML.

use std::borrow::Cow;

use super::rewrite::{self, Decoded, find_byte};

const NAMES: [(&[u8], u8); 5] =
    [(b"amp", b'&'), (b"gt", b'>'), (b"lt", b'<'), (b"nbsp", 0xa0), (b"quot", b'"')];

/// Decodes `&#xHH`, `&#DD` and the five names that ModSecurity knows, each to one byte.
///
/// A semicolon may be missing. Of a larger number the low byte is taken. What is no such
/// entity is kept.
pub(super) fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite::decode(value, |text| find_byte(text, b'&'), entity)
}

pub(super) fn is_trigger(byte: u8) -> bool {
    byte == b'&'
}

fn entity(text: &[u8]) -> Decoded<'_> {
    let (byte, rest) = match text.strip_prefix(b"&")? {
        [b'#', b'x' | b'X', digits @ ..] => number(digits, 16)?,
        [b'#', digits @ ..] => number(digits, 10)?,
        name => named(name)?,
    };
    Some((byte, rest.strip_prefix(b";").unwrap_or(rest)))
}

/// The low byte of a number that stays at its bound, as that of C's `strtol` does.
fn number(text: &[u8], radix: u32) -> Decoded<'_> {
    let is_digit = |byte: &u8| char::from(*byte).is_digit(radix);
    let (digits, rest) = split_while(text, is_digit)?;
    let values = digits.iter().filter_map(|&digit| char::from(digit).to_digit(radix));
    let sum = values.fold(0_i64, |sum, digit| {
        sum.saturating_mul(i64::from(radix)).saturating_add(i64::from(digit))
    });
    let [low, ..] = sum.to_le_bytes();
    Some((low, rest))
}

fn named(text: &[u8]) -> Decoded<'_> {
    let (name, rest) = split_while(text, u8::is_ascii_alphanumeric)?;
    let (_, byte) = NAMES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known))?;
    Some((*byte, rest))
}

/// The bytes at the start that are `wanted`, at least one, and the rest.
fn split_while(text: &[u8], wanted: impl Fn(&u8) -> bool) -> Option<(&[u8], &[u8])> {
    let length = text.iter().take_while(|byte| wanted(byte)).count();
    (length > 0).then(|| text.split_at(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn decodes_numbers_and_names() {
        check(decode, b"&lt;&#x3C;&#60&GT&Nbsp;&amp;lt;&quot;", b"<<<>\xa0&lt;\"");
    }

    #[test]
    fn a_large_number_gives_its_low_byte() {
        check(decode, b"&#x13c;&#00000000000000000000000000060;", b"<<");
        check(decode, b"&#99999999999999999999;&#xffffffffffffffff3c;", b"\xff\xff");
    }

    #[test]
    fn keeps_what_is_no_entity() {
        for value in ["", "a & b", "&", "&&", "&#", "&#x", "&#xg;", "&#a;", "&foo;", "&ltx;"] {
            check(decode, value.as_bytes(), value.as_bytes());
        }
        check(decode, b"&#&lt;&x&lt;", b"&#<&x<");
    }
}
