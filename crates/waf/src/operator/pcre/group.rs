//! What follows an opening parenthesis, and the groups that are open.

use regex_syntax::hir::{Capture, Hir};

use crate::operator::pcre::sequence::Item;

/// What flags of an expression say where it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flags {
    /// `i`
    pub(crate) fold: bool,
    /// `m`: `^` and `$` stand at line feeds, too.
    pub(crate) lines: bool,
    /// `s`
    pub(crate) dot_all: bool,
    /// `x`
    pub(crate) extended: bool,
    /// `U`
    pub(crate) ungreedy: bool,
}

impl Flags {
    pub(crate) const DEFAULT: Self =
        Self { fold: false, lines: false, dot_all: true, extended: false, ungreedy: false };

    pub(crate) fn changed(self, change: Change) -> Self {
        let is = |letter: u8, before: bool| match change.of(letter) {
            Some(value) => value,
            None => before,
        };
        Self {
            fold: is(b'i', self.fold),
            lines: is(b'm', self.lines),
            dot_all: is(b's', self.dot_all),
            extended: is(b'x', self.extended),
            ungreedy: is(b'U', self.ungreedy),
        }
    }
}

/// `i-m`: letters that are set, and that are cleared.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Change {
    set: [bool; LETTERS.len()],
    cleared: [bool; LETTERS.len()],
}

const LETTERS: [u8; 5] = *b"imsxU";

impl Change {
    fn of(self, letter: u8) -> Option<bool> {
        let at = LETTERS.iter().position(|known| *known == letter)?;
        if self.cleared.get(at) == Some(&true) {
            return Some(false);
        }
        (self.set.get(at) == Some(&true)).then_some(true)
    }

    fn read(letters: &[u8]) -> Result<Self, &'static str> {
        const UNKNOWN: &str = "an option has an unknown letter: i, m, s, x and U are supported";
        let mut change = Self::default();
        let mut list = &mut change.set;
        for letter in letters {
            if *letter == b'-' {
                list = &mut change.cleared;
                continue;
            }
            let at = LETTERS.iter().position(|known| known == letter).ok_or(UNKNOWN)?;
            if let Some(flag) = list.get_mut(at) {
                *flag = true;
            }
        }
        Ok(change)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Looks {
    For,
    Against,
}

pub(crate) struct Opened {
    pub(crate) kind: Opening,
    /// Bytes behind the parenthesis.
    pub(crate) length: usize,
}

pub(crate) enum Opening {
    Comment,
    /// `(?i)`
    Flags(Change),
    /// `(?:` or `(?i:`
    Plain(Change),
    Capture,
    Atomic,
    Ahead(Looks),
    /// `(?<!`
    NotBehind,
}

/// Reads what follows a parenthesis.
pub(crate) fn open(after: &[u8]) -> Result<Opened, &'static str> {
    let of = |kind, length| Ok(Opened { kind, length });
    match after {
        [b'*', ..] => Err("verbs like (*SKIP) are not supported: write \\* for a star"),
        [b'?', b':', ..] => of(Opening::Plain(Change::default()), 2),
        [b'?', b'=', ..] => of(Opening::Ahead(Looks::For), 2),
        [b'?', b'!', ..] => of(Opening::Ahead(Looks::Against), 2),
        [b'?', b'>', ..] => of(Opening::Atomic, 2),
        [b'?', b'<', b'!', ..] => of(Opening::NotBehind, 3),
        [b'?', b'<', b'=', ..] => Err("a look-behind is not supported: write it as text"),
        [b'?', b'#', text @ ..] => {
            let end = text.iter().position(|byte| *byte == b')');
            end.map_or(Err("a comment is not closed"), |end| of(Opening::Comment, end + 3))
        }
        [b'?', b'P', b'<', name @ ..] => named(name, b'>', 3),
        [b'?', b'<', name @ ..] => named(name, b'>', 2),
        [b'?', b'\'', name @ ..] => named(name, b'\'', 2),
        [b'?', b'|', ..] => Err("groups of one number are not supported: write (?:"),
        [b'?', b'(', ..] => Err("conditions cannot be matched in linear time"),
        [b'?', b'R' | b'&' | b'0'..=b'9' | b'+' | b'P', ..] => {
            Err("groups within groups of the same number are not supported")
        }
        [b'?', options @ ..] => flags(options),
        _ => of(Opening::Capture, 0),
    }
}

fn named(name: &[u8], close: u8, before: usize) -> Result<Opened, &'static str> {
    const WRONG: &str =
        "the name of a group is not closed, or has other characters than a-z, 0-9, _";
    let end = name.iter().position(|byte| *byte == close).ok_or(WRONG)?;
    let plain = name.iter().take(end).all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    if end == 0 || !plain {
        return Err(WRONG);
    }
    Ok(Opened { kind: Opening::Capture, length: before + end + 1 })
}

fn flags(options: &[u8]) -> Result<Opened, &'static str> {
    const UNCLOSED: &str = "an option is not closed: write (?i) or (?i:";
    let end = options.iter().position(|byte| matches!(byte, b')' | b':')).ok_or(UNCLOSED)?;
    let change = Change::read(options.get(..end).unwrap_or_default())?;
    let kind = match options.get(end) {
        Some(b':') => Opening::Plain(change),
        _ => Opening::Flags(change),
    };
    Ok(Opened { kind, length: end + 2 })
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    Top,
    Plain,
    Capture(u32),
    Atomic,
    Ahead(Looks),
    NotBehind,
}

/// A group that is open.
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    /// The flags around it.
    pub(crate) outer: Flags,
    pub(crate) start: usize,
    pub(crate) items: Vec<Item>,
    pub(crate) ahead: Option<Hir>,
    /// What stands before this branch, and the group that is the rest of it.
    pub(crate) before: Option<(Hir, u32)>,
    branches: Vec<Hir>,
}

impl Frame {
    pub(crate) fn new(kind: Kind, outer: Flags, start: usize) -> Self {
        Self {
            kind,
            outer,
            start,
            items: Vec::new(),
            ahead: None,
            before: None,
            branches: Vec::new(),
        }
    }

    pub(crate) fn has_branches(&self) -> bool {
        !self.branches.is_empty()
    }

    pub(crate) fn branch(&mut self) {
        let items = std::mem::take(&mut self.items);
        let hir = Hir::concat(items.into_iter().map(|item| item.hir).collect());
        let hir = match self.before.take() {
            None => hir,
            Some((before, index)) => {
                let capture = Capture { index, name: None, sub: Box::new(hir) };
                Hir::concat(vec![before, Hir::capture(capture)])
            }
        };
        self.branches.push(hir);
    }

    pub(crate) fn finish(mut self) -> Hir {
        self.branch();
        Hir::alternation(self.branches)
    }
}
