//! A piece of SQL, as libinjection divides it.

/// Bytes of its text that a token keeps.
pub(super) const KEPT: usize = 31;

/// What a token is; its letter in a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    None = 0,
    Keyword = b'k',
    Union = b'U',
    Group = b'B',
    Expression = b'E',
    Type = b't',
    Function = b'f',
    Bareword = b'n',
    Number = b'1',
    Variable = b'v',
    String = b's',
    Operator = b'o',
    Logic = b'&',
    Comment = b'c',
    Collate = b'A',
    LeftParenthesis = b'(',
    RightParenthesis = b')',
    LeftBrace = b'{',
    RightBrace = b'}',
    Dot = b'.',
    Comma = b',',
    Colon = b':',
    Semicolon = b';',
    TransactSql = b'T',
    Unknown = b'?',
    Evil = b'X',
    Backslash = b'\\',
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// The quotes around a string, 0 where there is none.
    pub(super) open: u8,
    pub(super) close: u8,
    // Invariant: at most KEPT.
    length: u8,
    text: [u8; KEPT + 1],
}

impl Token {
    pub(super) const NONE: Self =
        Self { kind: Kind::None, open: 0, close: 0, length: 0, text: [0; KEPT + 1] };

    pub(super) fn new(kind: Kind, text: &[u8]) -> Self {
        let mut token = Self { kind, ..Self::NONE };
        token.set_text(text);
        token
    }

    /// What is longer than a token keeps is cut.
    pub(super) fn set_text(&mut self, text: &[u8]) {
        let kept = text.get(..KEPT).unwrap_or(text);
        // Mostly a byte or two, for which nothing is called.
        for (place, byte) in self.text.iter_mut().zip(kept) {
            *place = *byte;
        }
        // KEPT is far below 256.
        self.length = kept.len() as u8;
    }

    pub(super) fn text(&self) -> &[u8] {
        self.text.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(super) fn first(&self) -> u8 {
        self.text().first().copied().unwrap_or(0)
    }

    /// Whether it is this word, in any case of letters.
    pub(super) fn is_word(&self, word: &str) -> bool {
        self.text().eq_ignore_ascii_case(word.as_bytes())
    }

    /// Whether it may stand before an operand.
    pub(super) fn is_unary(&self) -> bool {
        self.kind == Kind::Operator
            && match self.text() {
                [b'+' | b'-' | b'!' | b'~'] | b"!!" => true,
                _ => self.is_word("NOT"),
            }
    }

    pub(super) fn is_arithmetic(&self) -> bool {
        self.kind == Kind::Operator && matches!(self.text(), [b'*' | b'/' | b'-' | b'+' | b'%'])
    }
}
