//! Escapes behind a backslash: of JavaScript, of C and of CSS.

use std::borrow::Cow;

use super::best_fit::narrow;
use super::hex;
use super::rewrite::{self, Decoded, find_byte, rewrite};

const MAX_CSS_DIGITS: usize = 6;

/// Decodes `\uHHHH` and `\xHH`, up to `\377`, `\n` and the like; else drops the backslash.
///
/// Of `\uHHHH` the low byte is taken, of a full-width one the ASCII that it shows. A backslash
/// at the end is kept.
pub(super) fn decode_js(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite::decode(value, find_backslash, |text| {
        let text = text.strip_prefix(b"\\")?;
        js_unicode(text)
            .or_else(|| js_hex(text))
            .or_else(|| octal(text, js_octal_length(text)))
            .or_else(|| letter(text))
    })
}

/// Decodes `\xHH` and `\XHH`, up to `\777`, `\n` and the like; else drops the backslash.
///
/// Of an octal number the low byte is taken. A backslash at the end is kept.
pub(super) fn decode_c(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite::decode(value, find_backslash, |text| {
        let text = text.strip_prefix(b"\\")?;
        c_hex(text).or_else(|| octal(text, octal_length(text))).or_else(|| letter(text))
    })
}

/// Decodes one to six digits of base 16, with a white space behind; else drops the backslash.
///
/// The low byte is taken, of a full-width code the ASCII that it shows. An escaped line feed
/// and a backslash at the end are dropped.
pub(super) fn decode_css(value: &[u8]) -> Cow<'_, [u8]> {
    rewrite(value, find_backslash(value), |mut rest, out| {
        while let Some((plain, text)) = split_at_backslash(rest) {
            out.extend_from_slice(plain);
            let is_digit = |byte: &&u8| byte.is_ascii_hexdigit();
            let length = text.iter().take(MAX_CSS_DIGITS).take_while(is_digit).count();
            let (digits, after) = text.split_at(length);
            rest = match (digits, after) {
                ([], []) => after,
                ([], [b'\n', after @ ..]) => after,
                ([], [byte, after @ ..]) => {
                    out.push(*byte);
                    after
                }
                (digits, after) => {
                    out.push(css_byte(digits));
                    skip_space(after)
                }
            };
        }
        out.extend_from_slice(rest);
    })
}

pub(super) fn is_backslash(byte: u8) -> bool {
    byte == b'\\'
}

fn find_backslash(text: &[u8]) -> Option<usize> {
    find_byte(text, b'\\')
}

fn js_unicode(text: &[u8]) -> Decoded<'_> {
    let [b'u', a, b, c, d, rest @ ..] = text else { return None };
    let code = u16::from_be_bytes([hex::pair(*a, *b)?, hex::pair(*c, *d)?]);
    Some((narrow(code), rest))
}

fn js_hex(text: &[u8]) -> Decoded<'_> {
    let [b'x', high, low, rest @ ..] = text else { return None };
    Some((hex::pair(*high, *low)?, rest))
}

fn c_hex(text: &[u8]) -> Decoded<'_> {
    let [b'x' | b'X', high, low, rest @ ..] = text else { return None };
    Some((hex::pair(*high, *low)?, rest))
}

/// Three digits only where they make one byte.
fn js_octal_length(text: &[u8]) -> usize {
    match (octal_length(text), text) {
        (3, [b'4'..=b'7', ..]) => 2,
        (length, _) => length,
    }
}

fn octal_length(text: &[u8]) -> usize {
    text.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count()
}

fn octal(text: &[u8], length: usize) -> Decoded<'_> {
    let (digits, rest) = text.split_at_checked(length).filter(|_| length > 0)?;
    let push = |sum: u8, digit: &u8| (sum << 3) | (digit - b'0');
    Some((digits.iter().fold(0, push), rest))
}

fn letter(text: &[u8]) -> Decoded<'_> {
    let (&letter, rest) = text.split_first()?;
    let byte = match letter {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        _ => letter,
    };
    Some((byte, rest))
}

/// What stands before the next backslash, and what behind it.
fn split_at_backslash(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (plain, from) = text.split_at(find_backslash(text)?);
    Some((plain, from.strip_prefix(b"\\")?))
}

fn css_byte(digits: &[u8]) -> u8 {
    let values = digits.iter().filter_map(|&digit| char::from(digit).to_digit(16));
    let code = values.fold(0, |sum: u32, digit| (sum << 4) | digit);
    let [low, ..] = code.to_le_bytes();
    u16::try_from(code).map_or(low, narrow)
}

fn skip_space(text: &[u8]) -> &[u8] {
    match text {
        [b'\t'..=b'\r' | b' ', rest @ ..] => rest,
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transform::rewrite::check;

    #[test]
    fn decodes_escapes_of_javascript() {
        check(decode_js, br"\u0041\uFF1c\u2019\x42\103\n\/", b"A<\x19BC\n/");
        check(decode_js, br"\377\400\8", b"\xff\x200\x38");
        check(decode_js, br"\u004\x4\X41", b"u004x4X41");
    }

    #[test]
    fn decodes_escapes_of_c() {
        check(decode_c, br"\x41\X42\103\a\'\?", b"ABC\x07'?");
        check(decode_c, br"\777\400\8\u0041", b"\xff\x008u0041");
    }

    #[test]
    fn decodes_escapes_of_css() {
        check(decode_css, br"\41\000042 C\000043  D\g", b"ABCC Dg");
        check(decode_css, b"a\\\nb\\", b"ab");
        check(decode_css, br"\ff1c\00ff1c\10ff1c", b"<<\x1c");
        check(decode_css, b"\\1\xa0", b"\x01\xa0");
    }

    #[test]
    fn keeps_a_last_backslash_that_is_not_of_css() {
        check(decode_js, b"a\\", b"a\\");
        check(decode_c, b"a\\", b"a\\");
    }

    #[test]
    fn leaves_what_has_no_escape() {
        for decode in [decode_js, decode_c, decode_css] {
            check(decode, b"", b"");
            check(decode, b"u0041 %41", b"u0041 %41");
        }
    }
}
