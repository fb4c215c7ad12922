//! Bracket expressions, `[^a-z[:digit:]\s]`, as PCRE reads them: no nesting, no set operators.

use crate::operator::byte_set::ByteSet;
use crate::operator::pcre::Refusal;
use crate::operator::pcre::escape::{self, Escape, Within, refuse};

/// Reads what follows the `[` before `start`; also says where the expression ends.
pub(crate) fn read(
    pattern: &[u8],
    start: usize,
    folds: Folds,
) -> Result<(ByteSet, usize), Refusal> {
    let negated = pattern.get(start) == Some(&b'^');
    let first = start + usize::from(negated);
    let mut brackets = Brackets { pattern, at: first, folds, set: ByteSet::EMPTY, low: None };
    loop {
        match pattern.get(brackets.at) {
            None => return Err(refuse(start, "a bracket is not closed: write \\[ for one")),
            Some(b']') if brackets.at > first => break,
            Some(_) => brackets.member()?,
        }
    }
    brackets.flush();
    let set = if negated { brackets.set.not() } else { brackets.set };
    Ok((set, brackets.at + 1))
}

/// Whether both cases of a letter are meant by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Folds {
    Yes,
    No,
}

struct Brackets<'a> {
    pattern: &'a [u8],
    at: usize,
    folds: Folds,
    set: ByteSet,
    /// The byte before, which may start a range.
    low: Option<u8>,
}

impl Brackets<'_> {
    fn member(&mut self) -> Result<(), Refusal> {
        let rest = self.pattern.get(self.at..).unwrap_or_default();
        match rest {
            [b'[', b':' | b'.' | b'=', ..] => {
                if let Some((set, length)) = self.named(rest)? {
                    self.add(set);
                    self.at += length;
                    return Ok(());
                }
                self.byte(b'[', 1);
            }
            [b'\\', b'Q', text @ ..] => {
                let (length, whole) = escape::quoted(text);
                for byte in text.get(..length).unwrap_or_default() {
                    self.byte(*byte, 1);
                }
                self.at += 2 + whole - length;
            }
            [b'-', after @ ..] if self.low.is_some() && after.first() != Some(&b']') => {
                self.range(after)?;
            }
            [b'\\', after @ ..] => {
                let (escape, length) = self.escape(after, self.at)?;
                match escape {
                    Escape::Byte(byte) => self.byte(byte, 1 + length),
                    Escape::Set(set) => {
                        self.add(set);
                        self.at += 1 + length;
                    }
                    Escape::Look(_) | Escape::Back(_) | Escape::Quote | Escape::Nothing => {
                        self.at += 1 + length;
                    }
                }
            }
            [byte, ..] => self.byte(*byte, 1),
            [] => {}
        }
        Ok(())
    }

    /// Behind the hyphen of `a-z`; before a set it is a hyphen and nothing else.
    fn range(&mut self, after: &[u8]) -> Result<(), Refusal> {
        let (high, length) = match after {
            [b'[', b':', ..] if self.named(after)?.is_some() => (None, 0),
            [b'\\', b'Q' | b'E', ..] => {
                return Err(refuse(self.at, "a range ends in \\Q or \\E: write it without"));
            }
            [b'\\', rest @ ..] => match self.escape(rest, self.at + 1)? {
                (Escape::Byte(byte), length) => (Some(byte), length + 1),
                _ => (None, 0),
            },
            [byte, ..] => (Some(*byte), 1),
            [] => (None, 0),
        };
        let (Some(low), Some(high)) = (self.low, high) else {
            self.byte(b'-', 1);
            return Ok(());
        };
        if low > high {
            return Err(refuse(self.at, "the ends of a range are in the wrong order"));
        }
        self.low = None;
        self.set = self.set.or(self.folded(ByteSet::range(low..=high)));
        self.at += 1 + length;
        Ok(())
    }

    fn escape(&self, after: &[u8], at: usize) -> Result<(Escape, usize), Refusal> {
        escape::read(after, Within::Brackets, 0).map_err(|why| refuse(at, why))
    }

    fn byte(&mut self, byte: u8, length: usize) {
        self.flush();
        self.low = Some(byte);
        self.at += length;
    }

    fn add(&mut self, set: ByteSet) {
        self.flush();
        self.set = self.set.or(set);
    }

    fn flush(&mut self) {
        if let Some(byte) = self.low.take() {
            self.set = self.set.or(self.folded(ByteSet::of(&[byte])));
        }
    }

    fn folded(&self, set: ByteSet) -> ByteSet {
        match self.folds {
            Folds::Yes => set.fold(),
            Folds::No => set,
        }
    }

    /// `[:alpha:]` or `[:^alpha:]`; None if it does not end so, and is text.
    fn named(&self, rest: &[u8]) -> Result<Option<(ByteSet, usize)>, Refusal> {
        let (Some(mark), Some(inside)) = (rest.get(1), rest.get(2..)) else { return Ok(None) };
        let end = inside.windows(2).position(|pair| pair == [*mark, b']']);
        let Some(name) = end.and_then(|end| inside.get(..end)) else { return Ok(None) };
        let plain = name.strip_prefix(b"^").unwrap_or(name);
        if !plain.iter().all(u8::is_ascii_alphabetic) || plain.is_empty() {
            return Ok(None);
        }
        let set = match mark {
            b':' => class(plain, self.folds),
            _ => None,
        };
        let set = set.ok_or_else(|| {
            refuse(
                self.at,
                "there is no such class: write one like [:alpha:], or \\[ for a bracket",
            )
        })?;
        let set = if plain.len() < name.len() { set.not() } else { set };
        Ok(Some((set, name.len() + 4)))
    }
}

/// POSIX classes in the C locale.
fn class(name: &[u8], folds: Folds) -> Option<ByteSet> {
    let graph = ByteSet::range(b'!'..=b'~');
    Some(match name {
        b"lower" | b"upper" if folds == Folds::Yes => escape::alpha(),
        b"lower" => ByteSet::range(b'a'..=b'z'),
        b"upper" => ByteSet::range(b'A'..=b'Z'),
        b"alpha" => escape::alpha(),
        b"digit" => escape::DIGIT,
        b"alnum" => escape::alpha().or(escape::DIGIT),
        b"word" => escape::word(),
        b"blank" => escape::BLANK,
        b"space" => escape::SPACE,
        b"ascii" => ByteSet::range(0..=127),
        b"cntrl" => ByteSet::range(0..=31).with(127),
        b"graph" => graph,
        b"print" => graph.with(b' '),
        b"punct" => graph.and(escape::alpha().or(escape::DIGIT).not()),
        b"xdigit" => escape::DIGIT.or(ByteSet::range(b'a'..=b'f').fold()),
        _ => return None,
    })
}
