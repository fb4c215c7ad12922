//! Literals of SQL: strings and numbers as servers write them.

use memchr::{memchr, memmem};

use super::lexer::is_blank;
use super::token::{Kind, Token};

/// A place in a value.
#[derive(Clone, Copy)]
pub(super) struct Scan<'a> {
    pub(super) input: &'a [u8],
    pub(super) at: usize,
}

/// A token, and where it ends.
pub(super) struct Found {
    pub(super) token: Token,
    pub(super) end: usize,
}

impl Scan<'_> {
    pub(super) fn single(self, kind: Kind) -> Found {
        self.until(kind, self.at + 1)
    }

    /// All from here to `end`.
    pub(super) fn until(self, kind: Kind, end: usize) -> Found {
        let end = end.min(self.input.len());
        Found { token: Token::new(kind, self.input.get(self.at..end).unwrap_or_default()), end }
    }

    /// A string whose text begins at `start`, up to its quote; without one, all that follows.
    pub(super) fn quoted(self, start: usize, quote: u8) -> Found {
        let text = self.input.get(start..).unwrap_or_default();
        let mut next = 0;
        while let Some(found) = text.get(next..).and_then(|rest| memchr(quote, rest)) {
            let end = next + found;
            if is_escaped(text.get(..end).unwrap_or_default()) {
                next = end + 1;
            } else if text.get(end + 1) == Some(&quote) {
                next = end + 2;
            } else {
                return string(
                    text.get(..end).unwrap_or_default(),
                    [quote, quote],
                    start + end + 1,
                );
            }
        }
        string(text, [quote, 0], self.input.len())
    }

    /// The same, up to a row of bytes; `mark` stands for the quotes.
    fn enclosed(self, start: usize, end: &[u8], mark: u8) -> Found {
        let text = self.input.get(start..).unwrap_or_default();
        match memmem::find(text, end) {
            Some(found) => {
                let part = text.get(..found).unwrap_or_default();
                string(part, [mark, mark], start + found + end.len())
            }
            None => string(text, [mark, 0], self.input.len()),
        }
    }

    fn byte(self, offset: usize) -> Option<u8> {
        self.input.get(self.at + offset).copied()
    }

    /// `e'...'`, and `n'...'`.
    pub(super) fn escaped(self) -> Option<Found> {
        self.byte(2)?;
        (self.byte(1) == Some(b'\'')).then(|| self.quoted(self.at + 2, b'\''))
    }

    /// `u&'...'`.
    pub(super) fn unicode(self) -> Option<Found> {
        if (self.byte(1), self.byte(2)) != (Some(b'&'), Some(b'\'')) {
            return None;
        }
        let mut found = self.quoted(self.at + 3, b'\'');
        found.token.open = b'u';
        if found.token.close != 0 {
            found.token.close = b'u';
        }
        Some(found)
    }

    /// Oracle's `q'(...)'`, `offset` bytes from here.
    pub(super) fn oracle(self, offset: usize) -> Option<Found> {
        if !matches!(self.byte(offset)?, b'q' | b'Q') || self.byte(offset + 1) != Some(b'\'') {
            return None;
        }
        let close = match self.byte(offset + 2)? {
            b'(' => b')',
            b'[' => b']',
            b'{' => b'}',
            b'<' => b'>',
            other @ 33..=127 => other,
            _ => return None,
        };
        Some(self.enclosed(self.at + offset + 3, &[close, b'\''], b'q'))
    }

    /// `b'01'` and `x'0f'`.
    pub(super) fn digits(self, is_digit: impl Fn(&u8) -> bool) -> Option<Found> {
        if self.byte(1) != Some(b'\'') {
            return None;
        }
        let start = self.at + 2;
        let rest = self.input.get(start..)?;
        let length = rest.iter().position(|byte| !is_digit(byte))?;
        (rest.get(length) == Some(&b'\'')).then(|| self.until(Kind::Number, start + length + 1))
    }

    /// PostgreSQL's `$$...$$` and `$tag$...$tag$`, and `$1,000.00`; None if it is a word.
    pub(super) fn money(self) -> Option<Found> {
        let rest = self.input.get(self.at + 1..).unwrap_or_default();
        let count = |is: fn(&u8) -> bool| rest.iter().take_while(|byte| is(byte)).count();
        match count(|byte| matches!(byte, b'0'..=b'9' | b'.' | b',')) {
            0 => {}
            1 if rest.first() == Some(&b'.') => return None,
            length => return Some(self.until(Kind::Number, self.at + 1 + length)),
        }
        let letters = count(u8::is_ascii_alphabetic);
        let tag = self.input.get(self.at..self.at + letters + 2).unwrap_or_default();
        Some(match tag {
            [.., b'$'] => self.enclosed(self.at + tag.len(), tag, b'$'),
            _ => self.single(Kind::Bareword),
        })
    }

    pub(super) fn number(self) -> Found {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let count =
            |from: usize, is: fn(&u8) -> bool| rest.iter().skip(from).take_while(|b| is(b)).count();
        let based = match rest {
            [b'0', b'x' | b'X', ..] => Some(count(2, u8::is_ascii_hexdigit)),
            [b'0', b'b' | b'B', ..] => Some(count(2, |byte| matches!(byte, b'0' | b'1'))),
            _ => None,
        };
        if let Some(digits) = based {
            let kind = if digits == 0 { Kind::Bareword } else { Kind::Number };
            return self.until(kind, self.at + 2 + digits);
        }
        let mut length = count(0, u8::is_ascii_digit);
        if rest.get(length) == Some(&b'.') {
            length += 1;
            length += count(length, u8::is_ascii_digit);
            if length == 1 {
                return self.single(Kind::Dot);
            }
        }
        let mut kind = Kind::Number;
        if matches!(rest.get(length), Some(b'e' | b'E')) {
            length += 1;
            length += usize::from(matches!(rest.get(length), Some(b'+' | b'-')));
            let digits = count(length, u8::is_ascii_digit);
            length += digits;
            if digits == 0 {
                kind = Kind::Bareword;
            }
        }
        // Oracle's suffixes, also with UNION right behind them.
        let is_suffixed = match rest.get(length..).unwrap_or_default() {
            [b'd' | b'D' | b'f' | b'F'] => true,
            [b'd' | b'D' | b'f' | b'F', after, ..] => {
                is_blank(*after) || matches!(after, b';' | b'u' | b'U')
            }
            _ => false,
        };
        self.until(kind, self.at + length + usize::from(is_suffixed))
    }
}

fn string(text: &[u8], [open, close]: [u8; 2], end: usize) -> Found {
    let mut token = Token::new(Kind::String, text);
    (token.open, token.close) = (open, close);
    Found { token, end }
}

/// Whether a backslash takes what follows `text` for part of it.
fn is_escaped(text: &[u8]) -> bool {
    let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
    !backslashes.is_multiple_of(2)
}
