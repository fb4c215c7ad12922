//! Divides a value into pieces of HTML, as lenient as the browsers that libinjection knows.

use std::ops::Range;

use memchr::{memchr, memmem};

use crate::operator::byte_set::ByteSet;

const BLANKS: ByteSet = ByteSet::of(b" \t\n\x0b\x0c\r");

/// What a cursor may stand before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    BeforeName,
    AfterName,
    BeforeValue,
    AfterValue,
    /// A value whose first quote is not in the input.
    Value(u8),
    /// After a slash in a tag.
    Slash,
    /// At the end of a tag.
    TagEnd,
    End,
}

/// A piece, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text and ends of tags.
    Other,
    Doctype,
    TagName(Range<usize>),
    Name(Range<usize>),
    Value(Range<usize>),
    Comment(Range<usize>),
}

/// What a value may stand in.
pub(super) const CONTEXTS: [Cursor; 5] = [
    Cursor::new(State::Data),
    Cursor::new(State::BeforeName),
    Cursor::new(State::Value(b'\'')),
    Cursor::new(State::Value(b'"')),
    Cursor::new(State::Value(b'`')),
];

/// A place in a value, read in one way. Two that are equal read the rest alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    at: usize,
    state: State,
    /// In a closing tag.
    is_closing: bool,
}

impl Cursor {
    const fn new(state: State) -> Self {
        Self { at: 0, state, is_closing: false }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The next piece of `input`.
    pub(super) fn next(&mut self, input: &[u8]) -> Option<Piece> {
        let mut reader = Reader { input, cursor: self };
        match reader.cursor.state {
            State::Data => reader.data(),
            State::BeforeName => reader.before_name(),
            State::AfterName => reader.after_name(),
            State::BeforeValue => reader.before_value(),
            State::AfterValue => reader.after_value(),
            State::Value(quote) => Some(reader.quoted(0, quote)),
            State::Slash => reader.slash(),
            State::TagEnd => Some(reader.tag_end()),
            State::End => None,
        }
    }
}

struct Reader<'a> {
    input: &'a [u8],
    cursor: &'a mut Cursor,
}

impl Reader<'_> {
    fn byte(&self) -> Option<u8> {
        self.input.get(self.cursor.at).copied()
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.cursor.at..).unwrap_or_default()
    }

    fn go(&mut self, at: usize, state: State) {
        self.cursor.at = at.min(self.input.len());
        self.cursor.state = state;
    }

    /// What stands from here to the first byte that `ends`.
    fn run(&self, from: usize, ends: ByteSet) -> (Range<usize>, Option<u8>) {
        let rest = self.input.get(from..).unwrap_or_default();
        let length = rest.iter().position(|byte| ends.contains(*byte)).unwrap_or(rest.len());
        (self.cursor.at..from + length, rest.get(length).copied())
    }

    /// Up to `close`, or all that is left; then text again.
    fn closed_by(&mut self, close: Option<usize>, length: usize) -> Range<usize> {
        let start = self.cursor.at;
        match close {
            Some(found) => {
                self.go(start + found + length, State::Data);
                start..start + found
            }
            None => {
                self.go(self.input.len(), State::End);
                start..self.input.len()
            }
        }
    }

    fn data(&mut self) -> Option<Piece> {
        match memchr(b'<', self.rest()) {
            Some(0) => {
                self.cursor.at += 1;
                self.tag_open()
            }
            Some(text) => {
                self.go(self.cursor.at + text, State::Data);
                Some(Piece::Other)
            }
            None => {
                let is_text = !self.rest().is_empty();
                self.go(self.input.len(), State::End);
                is_text.then_some(Piece::Other)
            }
        }
    }

    fn tag_open(&mut self) -> Option<Piece> {
        let byte = self.byte()?;
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | 0 => return Some(self.tag_name()),
            b'!' | b'/' | b'?' | b'%' => self.cursor.at += 1,
            _ => {
                self.cursor.state = State::Data;
                return Some(Piece::Other);
            }
        }
        match byte {
            b'!' => Some(self.declaration()),
            b'/' => self.tag_close(),
            // Comments of Internet Explorer, until version 9.
            b'%' => {
                let close = memmem::find(self.rest(), b"%>");
                Some(Piece::Comment(self.closed_by(close, 2)))
            }
            _ => Some(self.bogus_comment()),
        }
    }

    fn tag_close(&mut self) -> Option<Piece> {
        self.cursor.is_closing = true;
        match self.byte()? {
            b'>' => {
                self.cursor.state = State::Data;
                self.data()
            }
            b'a'..=b'z' | b'A'..=b'Z' => Some(self.tag_name()),
            _ => {
                self.cursor.is_closing = false;
                Some(self.bogus_comment())
            }
        }
    }

    fn tag_name(&mut self) -> Piece {
        const ENDS: ByteSet = BLANKS.with(b'/').with(b'>');
        let (name, end) = self.run(self.cursor.at, ENDS);
        let after = name.end + 1;
        match end {
            None => self.go(name.end, State::End),
            Some(b'/') => self.go(after, State::Slash),
            Some(b'>') if self.cursor.is_closing => {
                self.cursor.is_closing = false;
                self.go(after, State::Data);
                return Piece::Other;
            }
            Some(b'>') => self.go(name.end, State::TagEnd),
            Some(_) => self.go(after, State::BeforeName),
        }
        Piece::TagName(name)
    }

    fn tag_end(&mut self) -> Piece {
        self.cursor.is_closing = false;
        let after = self.cursor.at + 1;
        let state = if after < self.input.len() { State::Data } else { State::End };
        self.go(after, state);
        Piece::Other
    }

    fn slash(&mut self) -> Option<Piece> {
        if self.byte()? != b'>' {
            return self.before_name();
        }
        self.go(self.cursor.at + 1, State::Data);
        Some(Piece::Other)
    }

    /// Skips blanks, and zeros, which Internet Explorer ignores; None at the end.
    fn skip_blanks(&mut self) -> Option<u8> {
        const SKIPPED: ByteSet = BLANKS.with(0);
        let length = self.rest().iter().position(|byte| !SKIPPED.contains(*byte));
        self.cursor.at = length.map_or(self.input.len(), |length| self.cursor.at + length);
        // As a signed byte, 255 is the end for libinjection.
        self.byte().filter(|byte| *byte != 0xff)
    }

    fn before_name(&mut self) -> Option<Piece> {
        loop {
            match self.skip_blanks()? {
                b'/' => {
                    self.cursor.at += 1;
                    match self.byte()? {
                        b'>' => return self.slash(),
                        _ => continue,
                    }
                }
                b'>' => {
                    self.go(self.cursor.at + 1, State::Data);
                    return Some(Piece::Other);
                }
                _ => return Some(self.name()),
            }
        }
    }

    fn name(&mut self) -> Piece {
        const ENDS: ByteSet = BLANKS.with(b'/').with(b'=').with(b'>');
        let (name, end) = self.run(self.cursor.at + 1, ENDS);
        match end {
            None => self.go(name.end, State::End),
            Some(b'/') => self.go(name.end + 1, State::Slash),
            Some(b'=') => self.go(name.end + 1, State::BeforeValue),
            Some(b'>') => self.go(name.end, State::TagEnd),
            Some(_) => self.go(name.end + 1, State::AfterName),
        }
        Piece::Name(name)
    }

    fn after_name(&mut self) -> Option<Piece> {
        match self.skip_blanks()? {
            b'/' => {
                self.cursor.at += 1;
                self.slash()
            }
            b'=' => {
                self.cursor.at += 1;
                self.before_value()
            }
            b'>' => Some(self.tag_end()),
            _ => Some(self.name()),
        }
    }

    fn before_value(&mut self) -> Option<Piece> {
        match self.skip_blanks()? {
            quote @ (b'"' | b'\'' | b'`') => Some(self.quoted(1, quote)),
            _ => Some(self.unquoted()),
        }
    }

    fn quoted(&mut self, skipped: usize, quote: u8) -> Piece {
        let start = self.cursor.at + skipped;
        match memchr(quote, self.input.get(start..).unwrap_or_default()) {
            Some(length) => {
                self.go(start + length + 1, State::AfterValue);
                Piece::Value(start..start + length)
            }
            None => {
                self.go(self.input.len(), State::End);
                Piece::Value(start..self.input.len())
            }
        }
    }

    fn unquoted(&mut self) -> Piece {
        let (value, end) = self.run(self.cursor.at, BLANKS.with(b'>'));
        match end {
            None => self.go(value.end, State::End),
            Some(b'>') => self.go(value.end, State::TagEnd),
            Some(_) => self.go(value.end + 1, State::BeforeName),
        }
        Piece::Value(value)
    }

    fn after_value(&mut self) -> Option<Piece> {
        match self.byte()? {
            b'/' => {
                self.cursor.at += 1;
                self.slash()
            }
            b'>' => {
                self.go(self.cursor.at + 1, State::Data);
                Some(Piece::Other)
            }
            _ => self.before_name(),
        }
    }

    fn declaration(&mut self) -> Piece {
        let rest = self.rest();
        if rest.starts_with(b"--") {
            self.cursor.at += 2;
            let (close, length) = match comment_end(self.rest()) {
                Some((close, length)) => (Some(close), length),
                None => (None, 0),
            };
            return Piece::Comment(self.closed_by(close, length));
        }
        if rest.get(..7).is_some_and(|word| word.eq_ignore_ascii_case(b"doctype")) {
            return Piece::Doctype;
        }
        if rest.starts_with(b"[CDATA[") {
            self.cursor.at += 7;
            let close = memmem::find(self.rest(), b"]]>");
            self.closed_by(close, 3);
            return Piece::Other;
        }
        self.bogus_comment()
    }

    fn bogus_comment(&mut self) -> Piece {
        let close = memchr(b'>', self.rest());
        Piece::Comment(self.closed_by(close, 1))
    }
}

/// Where a comment ends and how long its end is: `-->` or `-!>`, with zeros after the first dash.
fn comment_end(text: &[u8]) -> Option<(usize, usize)> {
    let mut next = 0;
    while let Some(found) = text.get(next..).and_then(|rest| memchr(b'-', rest)) {
        let dash = next + found;
        let after = text.get(dash + 1..).unwrap_or_default();
        let zeros = after.iter().take_while(|byte| **byte == 0).count();
        if let Some([b'-' | b'!', b'>', ..]) = after.get(zeros..) {
            return Some((dash, zeros + 3));
        }
        next = dash + 1;
    }
    None
}
