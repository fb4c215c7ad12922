//! Base64, as far as it goes or past all that is not of its alphabet.

use std::borrow::Cow;

use super::rewrite::settle;

const ALPHABET: [u8; 64] = *b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

const PADDING: u8 = b'=';

/// Decodes up to the first byte that is not of the alphabet; bits short of a byte are dropped.
///
/// So does ModSecurity 2. Version 3 gives nothing for a value with such a byte.
pub(super) fn decode(value: &[u8]) -> Cow<'_, [u8]> {
    settle(value, join(value.iter().map_while(|&byte| sextet(byte))))
}

/// Decodes past bytes that are not of the alphabet, also `-` and `_`.
///
/// Like ModSecurity it gives nothing for padding behind the first digit of four.
pub(super) fn decode_forgiving(value: &[u8]) -> Cow<'_, [u8]> {
    if has_stray_padding(value) {
        return settle(value, Vec::new());
    }
    settle(value, join(value.iter().filter_map(|&byte| sextet(byte))))
}

/// Encodes with padding and without line breaks (RFC 4648 §4).
pub(super) fn encode(value: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(value.len().div_ceil(3) * 4);
    for group in value.chunks(3) {
        let byte = |at: usize| group.get(at).copied().unwrap_or_default();
        let bits = u32::from_be_bytes([0, byte(0), byte(1), byte(2)]);
        let digits = [bits >> 18, bits >> 12, bits >> 6, bits].map(digit);
        out.extend_from_slice(digits.split_at(group.len() + 1).0);
        out.extend(std::iter::repeat_n(PADDING, 3 - group.len()));
    }
    settle(value, out)
}

fn digit(bits: u32) -> u8 {
    let [low, ..] = bits.to_le_bytes();
    ALPHABET[usize::from(low & 0x3f)]
}

fn sextet(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

fn join(sextets: impl Iterator<Item = u8>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut held = 0;
    for (at, sextet) in sextets.enumerate() {
        match at % 4 {
            0 => {}
            1 => out.push((held << 2) | (sextet >> 4)),
            2 => out.push((held << 4) | (sextet >> 2)),
            _ => out.push((held << 6) | sextet),
        }
        held = sextet;
    }
    out
}

fn has_stray_padding(value: &[u8]) -> bool {
    let mut digits = 0_usize;
    let mut bytes = value.iter().peekable();
    while let Some(&byte) = bytes.next() {
        digits += usize::from(sextet(byte).is_some());
        let is_last_padding = byte == PADDING && bytes.peek() != Some(&&PADDING);
        if is_last_padding && digits % 4 == 1 {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn decodes_up_to_a_strange_byte() {
        for (value, decoded) in [
            ("PFRFU1Q+", "<TEST>"),
            ("PA==", "<"),
            ("PA", "<"),
            ("PHNjcmlwd", "<scrip"),
            ("PFR FU1Q+", "<T"),
            ("PFRFU1Q-", "<TEST"),
            ("P.HNj", ""),
            ("", ""),
        ] {
            check(decode, value.as_bytes(), decoded.as_bytes());
        }
    }

    #[test]
    fn decodes_past_strange_bytes() {
        for (value, decoded) in [
            ("P.FR\nF U1Q+", "<TEST>"),
            ("PFR=F", "<TE"),
            ("P=", ""),
            ("PFRFP=", ""),
            ("P==FRF", ""),
            ("PFR-F_", "<TE"),
            ("", ""),
        ] {
            check(decode_forgiving, value.as_bytes(), decoded.as_bytes());
        }
    }

    #[test]
    fn encodes_with_padding() {
        for (value, encoded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v")] {
            check(encode, value.as_bytes(), encoded.as_bytes());
        }
        check(encode, b"\xfb\xff\xfe\x00", b"+//+AA==");
    }
}
