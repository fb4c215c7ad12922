//! Divides a value into tokens of SQL, as libinjection does. Each byte is looked at a few times.

use libinjectionrs::sqli::sqli_data::{CharType, get_char_type};
use memchr::{memchr, memmem};

use super::text::{Found, Scan};
use super::token::{KEPT, Kind, Token};
use super::words::meaning;
use crate::operator::byte_set::ByteSet;

/// What a value is taken to stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Quote {
    None,
    Single,
    Double,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    Ansi,
    MySql,
}

pub(super) struct Lexer<'a> {
    input: &'a [u8],
    at: usize,
    quote: Quote,
    dialect: Dialect,
    is_other_in_mysql: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(input: &'a [u8], quote: Quote, dialect: Dialect) -> Self {
        Self { input, at: 0, quote, dialect, is_other_in_mysql: false }
    }

    /// Whether MySQL reads what was read so far in another way.
    pub(super) fn is_other_in_mysql(&self) -> bool {
        self.is_other_in_mysql
    }

    pub(super) fn next(&mut self) -> Option<Token> {
        let first = match self.quote {
            _ if self.at > 0 || self.input.is_empty() => None,
            Quote::None => None,
            Quote::Single => Some(b'\''),
            Quote::Double => Some(b'"'),
        };
        if let Some(quote) = first {
            let mut found = self.scan().quoted(0, quote);
            found.token.open = 0;
            return Some(self.take(found));
        }
        loop {
            let found = self.token(*self.input.get(self.at)?);
            let token = self.take(found);
            if token.kind != Kind::None {
                return Some(token);
            }
        }
    }

    fn take(&mut self, found: Found) -> Token {
        self.at = found.end;
        found.token
    }

    fn scan(&self) -> Scan<'a> {
        Scan { input: self.input, at: self.at }
    }

    fn token(&mut self, byte: u8) -> Found {
        let scan = self.scan();
        match get_char_type(byte) {
            CharType::White => scan.single(Kind::None),
            CharType::Op1 | CharType::Unary => scan.single(Kind::Operator),
            CharType::Bang | CharType::Op2 => self.operator(byte),
            CharType::LeftParens => scan.single(Kind::LeftParenthesis),
            CharType::RightParens => scan.single(Kind::RightParenthesis),
            CharType::Comma => scan.single(Kind::Comma),
            CharType::Semicolon => scan.single(Kind::Semicolon),
            CharType::LeftBrace => scan.single(Kind::LeftBrace),
            CharType::RightBrace => scan.single(Kind::RightBrace),
            CharType::Other => scan.single(Kind::Unknown),
            CharType::Hash => self.hash(),
            CharType::Dash => self.dash(),
            CharType::Slash => self.slash(),
            CharType::Backslash => match self.after(1) {
                // MySQL's NULL.
                Some(b'N') => scan.until(Kind::Number, self.at + 2),
                _ => scan.single(Kind::Backslash),
            },
            CharType::String => scan.quoted(self.at + 1, byte),
            CharType::Number => scan.number(),
            CharType::Money => scan.money().unwrap_or_else(|| self.word()),
            CharType::Variable => self.variable(),
            CharType::Tick => self.tick(self.at),
            CharType::BWord => {
                let rest = self.input.get(self.at..).unwrap_or_default();
                let end = memchr(b']', rest).map_or(self.input.len(), |end| self.at + end + 1);
                scan.until(Kind::Bareword, end)
            }
            CharType::Word => self.word(),
            CharType::BString => scan.digits(|byte| matches!(byte, b'0' | b'1')).or_word(self),
            CharType::XString => scan.digits(u8::is_ascii_hexdigit).or_word(self),
            CharType::EString => scan.escaped().or_word(self),
            CharType::UString => scan.unicode().or_word(self),
            CharType::QString => scan.oracle(0).or_word(self),
            CharType::NQString => {
                let is_national = self.after(1) == Some(b'\'') && self.after(2).is_some();
                if is_national { scan.escaped() } else { scan.oracle(1) }.or_word(self)
            }
        }
    }

    fn after(&self, offset: usize) -> Option<u8> {
        self.input.get(self.at + offset).copied()
    }

    fn operator(&self, byte: u8) -> Found {
        let scan = self.scan();
        let rest = self.input.get(self.at..).unwrap_or_default();
        if rest.starts_with(b"<=>") {
            return scan.until(Kind::Operator, self.at + 3);
        }
        if let Some(two) = rest.get(..2) {
            match meaning(two) {
                Kind::Bareword => {}
                Kind::Logic => return scan.until(Kind::Logic, self.at + 2),
                _ => return scan.until(Kind::Operator, self.at + 2),
            }
            if byte == b':' {
                return scan.single(Kind::Colon);
            }
        }
        scan.single(Kind::Operator)
    }

    fn hash(&mut self) -> Found {
        self.is_other_in_mysql = true;
        match self.dialect {
            Dialect::MySql => self.line_comment(),
            Dialect::Ansi => self.scan().single(Kind::Operator),
        }
    }

    fn dash(&mut self) -> Found {
        if self.after(1) != Some(b'-') {
            return self.scan().single(Kind::Operator);
        }
        if self.after(2).is_none_or(is_blank) {
            return self.line_comment();
        }
        self.is_other_in_mysql = true;
        match self.dialect {
            Dialect::Ansi => self.line_comment(),
            Dialect::MySql => self.scan().single(Kind::Operator),
        }
    }

    fn line_comment(&self) -> Found {
        let rest = self.input.get(self.at..).unwrap_or_default();
        let end = memchr(b'\n', rest);
        let length = end.unwrap_or(rest.len());
        let token = Token::new(Kind::Comment, rest.get(..length).unwrap_or_default());
        Found { token, end: self.at + length + usize::from(end.is_some()) }
    }

    fn slash(&self) -> Found {
        if self.after(1) != Some(b'*') {
            return self.scan().single(Kind::Operator);
        }
        let inside = self.input.get(self.at + 2..).unwrap_or_default();
        let close = memmem::find(inside, b"*/");
        // One byte too far, as libinjection looks: `/*/*/` has a comment in it.
        let looked_at = close.map_or(0, |close| close + 1);
        let is_nested = memmem::find(inside.get(..looked_at).unwrap_or(inside), b"/*").is_some();
        // MySQL executes what is in `/*! */`.
        let is_evil = is_nested || inside.first() == Some(&b'!');
        let kind = if is_evil { Kind::Evil } else { Kind::Comment };
        self.scan().until(kind, close.map_or(self.input.len(), |close| self.at + close + 4))
    }

    /// Up to what cannot be in a word, or a part in front of a dot that means something.
    fn word(&self) -> Found {
        const ENDS: ByteSet = ByteSet::of(b" []{}<>:\\?=@!#~+-*/&|^%(),';\t\n\x0b\x0c\r\"\xa0\x00");
        let rest = self.input.get(self.at..).unwrap_or_default();
        let mut length = 0;
        for byte in rest.iter().copied() {
            if ENDS.contains(byte) {
                break;
            }
            if matches!(byte, b'.' | b'`') && length <= KEPT {
                let part = rest.get(..length).unwrap_or_default();
                let kind = meaning(part);
                if kind != Kind::Bareword {
                    return Found { token: Token::new(kind, part), end: self.at + length };
                }
            }
            length += 1;
        }
        let word = rest.get(..length).unwrap_or_default();
        Found { token: Token::new(meaning(word), word), end: self.at + length }
    }

    /// MySQL's names in backquotes.
    fn tick(&self, start: usize) -> Found {
        let mut found = self.scan().quoted(start + 1, b'`');
        found.token.kind = match meaning(found.token.text()) {
            Kind::Function => Kind::Function,
            _ => Kind::Bareword,
        };
        found
    }

    fn variable(&self) -> Found {
        const ENDS: ByteSet = ByteSet::of(b" <>:\\?=@!#~+-*/&|^%(),;'\t\n\x0b\x0c\r`\"");
        let start = self.at + if self.after(1) == Some(b'@') { 2 } else { 1 };
        let rest = self.input.get(start..).unwrap_or_default();
        let mut found = match rest.first() {
            Some(b'`') => self.tick(start),
            Some(quote @ (b'\'' | b'"')) => self.scan().quoted(start + 1, *quote),
            _ => {
                let length = rest.iter().position(|byte| ENDS.contains(*byte));
                self.scan().until(Kind::Variable, start + length.unwrap_or(rest.len()))
            }
        };
        found.token.kind = Kind::Variable;
        found
    }
}

trait OrWord {
    /// What begins like a literal and is none is a word.
    fn or_word(self, lexer: &Lexer<'_>) -> Found;
}

impl OrWord for Option<Found> {
    fn or_word(self, lexer: &Lexer<'_>) -> Found {
        self.unwrap_or_else(|| lexer.word())
    }
}

/// Blanks of some server.
pub(super) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r' | 0xa0 | 0)
}
