//! Percent-encoding, in both directions, and the `%uXXXX` of IIS.

use std::borrow::Cow;

use memchr::memchr2;

use super::best_fit::UnicodeMap;
use super::hex;
use super::rewrite::{self, Decoded, find, rewrite};

/// Decodes `%xx`, and `+` to a space; an invalid escape is kept.
pub(super) fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite::decode(value, find_lead, |text| plus(text).or_else(|| percent(text)))
}

/// Decodes also `%uXXXX`, to the one byte that `map` has for it.
pub(super) fn decode_uni(value: &[u8], map: UnicodeMap) -> Cow<'_, [u8]> {
    rewrite::decode(value, find_lead, |text| {
        plus(text).or_else(|| percent(text)).or_else(|| unicode(text, map))
    })
}

/// Encodes all but letters, digits and `*`, in lower case; a space becomes `+`.
pub(super) fn encode(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite(value, find(value, |byte| !is_plain(byte)), |rest, out| {
        for &byte in rest {
            match byte {
                b' ' => out.push(b'+'),
                _ if is_plain(byte) => out.push(byte),
                _ => {
                    out.push(b'%');
                    out.extend(hex::digits(byte));
                }
            }
        }
    })
}

pub(super) fn is_lead(byte: u8) -> bool {
    matches!(byte, b'%' | b'+')
}

fn find_lead(text: &[u8]) -> Option<usize> {
    if text.first().is_some_and(|byte| is_lead(*byte)) {
        Some(0)
    } else {
        memchr2(b'%', b'+', text)
    }
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'*'
}

fn plus(text: &[u8]) -> Decoded<'_> {
    text.strip_prefix(b"+").map(|rest| (b' ', rest))
}

fn percent(text: &[u8]) -> Decoded<'_> {
    let [b'%', high, low, rest @ ..] = text else { return None };
    Some((hex::pair(*high, *low)?, rest))
}

fn unicode(text: &[u8], map: UnicodeMap) -> Decoded<'_> {
    let [b'%', b'u' | b'U', a, b, c, d, rest @ ..] = text else { return None };
    let code = u16::from_be_bytes([hex::pair(*a, *b)?, hex::pair(*c, *d)?]);
    Some((map.fit(code), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    fn decode_fitted(value: &[u8]) -> Cow<'_, [u8]> {
        decode_uni(value, UnicodeMap::UsAscii)
    }

    #[test]
    fn decodes_once() {
        check(decode, b"a+b%2525%00%fF", b"a b%25\x00\xff");
        check(decode, b"%u0041", b"%u0041");
    }

    #[test]
    fn keeps_an_invalid_escape() {
        for value in ["", "plain", "%", "%4", "%g0", "%0g", "%u", "%%", "%u123", "%u12g4"] {
            check(decode, value.as_bytes(), value.as_bytes());
            check(decode_fitted, value.as_bytes(), value.as_bytes());
        }
        check(decode_fitted, b"%u12%41", b"%u12A");
    }

    #[test]
    fn decodes_codes_of_16_bits_to_one_byte() {
        check(decode_fitted, b"%u0041%U2019%uff1cx%41+", b"A'<xA ");
    }

    #[test]
    fn encodes_all_but_letters_and_digits() {
        check(encode, b"aZ9*", b"aZ9*");
        check(encode, b"a b-c~\xff", b"a+b%2dc%7e%ff");
    }
}
