//! Strings, numbers and words, and the white space between them.

use std::borrow::Cow;

use super::JsonError;
use crate::body::urlencoded::digit;

pub(super) struct Text<'a> {
    bytes: &'a [u8],
    /// Invariant: at most the number of bytes.
    at: usize,
}

impl<'a> Text<'a> {
    /// Begins at `at`, which is at most the number of bytes.
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The next byte that is not white space; it is the next to be read.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let rest = &self.bytes[self.at..];
        let space = rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r'));
        self.at += space.unwrap_or(rest.len());
        self.bytes.get(self.at).copied()
    }

    /// Goes over the byte that was peeked.
    pub(super) fn skip(&mut self) {
        self.at = (self.at + 1).min(self.bytes.len());
    }

    pub(super) fn expect(&mut self, wanted: u8) -> Result<(), JsonError> {
        match self.peek() {
            Some(byte) if byte == wanted => {
                self.skip();
                Ok(())
            }
            Some(_) => Err(JsonError::Unexpected(self.at)),
            None => Err(JsonError::Cut),
        }
    }

    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// A string, at its first quote; borrowed when it has no escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, [u8]>, JsonError> {
        let start = self.at + 1;
        let mut decoded = Vec::new();
        // What stands before `done` is in `decoded`.
        let (mut at, mut done) = (start, start);
        loop {
            let rest = self.bytes.get(at..).ok_or(JsonError::Cut)?;
            let special = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..=0x1f));
            at += special.ok_or(JsonError::Cut)?;
            match self.bytes[at] {
                b'"' => break,
                b'\\' => {
                    decoded.extend_from_slice(&self.bytes[done..at]);
                    at += unescape(&self.bytes[at..], &mut decoded, at)?;
                    done = at;
                }
                _ => return Err(JsonError::Control(at)),
            }
        }
        self.at = at + 1;
        // Escapes are ASCII, so what is written is UTF-8 if the string is.
        if std::str::from_utf8(&self.bytes[start..at]).is_err() {
            return Err(JsonError::Utf8(start));
        }
        if done == start {
            return Ok(Cow::Borrowed(&self.bytes[start..at]));
        }
        decoded.extend_from_slice(&self.bytes[done..at]);
        Ok(Cow::Owned(decoded))
    }

    /// What there is of a string without an end, at its first quote.
    pub(super) fn begun_string(&self) -> Vec<u8> {
        let mut decoded = Vec::new();
        let mut rest = self.bytes.get(self.at + 1..).unwrap_or_default();
        while let Some(at) = memchr::memchr(b'\\', rest) {
            let (plain, escape) = rest.split_at(at);
            decoded.extend_from_slice(plain);
            let Ok(length) = unescape(escape, &mut decoded, at) else { return decoded };
            rest = escape.get(length..).unwrap_or_default();
        }
        decoded.extend_from_slice(rest);
        decoded
    }

    /// A number as written, a word, or nothing for `null`.
    pub(super) fn plain(&mut self) -> Result<&'a [u8], JsonError> {
        let rest = &self.bytes[self.at..];
        for (word, value) in [(&b"true"[..], &b"true"[..]), (b"false", b"false"), (b"null", b"")] {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
            if word.starts_with(rest) {
                return Err(JsonError::Cut);
            }
        }
        let length = number(rest).map_err(|at| match rest.get(at) {
            Some(_) => JsonError::Unexpected(self.at + at),
            None => JsonError::Cut,
        })?;
        self.at += length;
        Ok(&rest[..length])
    }
}

/// How long the number at the start of `text` is, or where it is none.
fn number(text: &[u8]) -> Result<usize, usize> {
    let at = usize::from(text.starts_with(b"-"));
    let mut at = match text.get(at) {
        Some(b'0') => at + 1,
        _ => digits(text, at)?,
    };
    if text.get(at) == Some(&b'.') {
        at = digits(text, at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let signed = matches!(text.get(at + 1), Some(b'+' | b'-'));
        at = digits(text, at + 1 + usize::from(signed))?;
    }
    Ok(at)
}

/// Where the digits at `at` end; there must be one.
fn digits(text: &[u8], at: usize) -> Result<usize, usize> {
    let count = text[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 { Err(at) } else { Ok(at + count) }
}

/// Decodes the escape at the start of `text`, which stands at `at`, and tells its length.
fn unescape(text: &[u8], decoded: &mut Vec<u8>, at: usize) -> Result<usize, JsonError> {
    let byte = match text.get(1).ok_or(JsonError::Cut)? {
        byte @ (b'"' | b'\\' | b'/') => *byte,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'u' => {
            let digits = text.get(2..).unwrap_or_default();
            let is_cut = digits.len() < 4 && digits.iter().all(u8::is_ascii_hexdigit);
            let fault = if is_cut { JsonError::Cut } else { JsonError::Escape(at) };
            let code = unit(text).ok_or(fault)?;
            let low = text.get(6..).and_then(unit).filter(|low| matches!(low, 0xdc00..=0xdfff));
            let (code, length) = match (code, low) {
                (0xd800..=0xdbff, Some(low)) => {
                    (0x1_0000 + ((u32::from(code) - 0xd800) << 10) + u32::from(low) - 0xdc00, 12)
                }
                _ => (u32::from(code), 6),
            };
            encode(code, decoded);
            return Ok(length);
        }
        _ => return Err(JsonError::Escape(at)),
    };
    decoded.push(byte);
    Ok(2)
}

/// The code of a `\uXXXX` at the start of `text`.
fn unit(text: &[u8]) -> Option<u16> {
    let [b'\\', b'u', digits @ ..] = text else { return None };
    let digits = digits.get(..4)?;
    digits.iter().try_fold(0, |code, byte| Some(code << 4 | u16::from(digit(*byte)?)))
}

fn encode(code: u32, decoded: &mut Vec<u8>) {
    if let Some(character) = char::from_u32(code) {
        decoded.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        return;
    }
    // A lone surrogate: as UTF-8 would have it, so that rules can see that it is not valid.
    let [_, _, high, low] = code.to_be_bytes();
    decoded.push(0xe0 | high >> 4);
    decoded.push(0x80 | (high & 0xf) << 2 | low >> 6);
    decoded.push(0x80 | low & 0x3f);
}
