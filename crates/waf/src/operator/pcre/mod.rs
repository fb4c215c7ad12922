//! Regular expressions as ModSecurity 2 reads them: PCRE over bytes, `.` takes a line feed, `$` is
//! the very end. They become a tree that is matched in linear time; where that cannot be, a second
//! one is to be tried wherever the first matches. What PCRE and its releases read in different
//! ways is refused with a reason.

mod escape;
mod brackets;
mod group;
mod sequence;
mod marks;
mod behind;
mod settle;

use regex_syntax::hir::{Capture, Hir, Look, Repetition};

use crate::operator::byte_set::ByteSet;
use crate::operator::pcre::brackets::Folds;
use crate::operator::pcre::escape::{Escape, Within, refuse};
use crate::operator::pcre::group::{Flags, Frame, Kind};
use crate::operator::pcre::sequence::Item;

pub(crate) use crate::operator::pcre::marks::Mark;

/// Groups which open in each other; what walks the tree may recurse so deep.
const DEPTH: usize = 200;
/// The highest group that has a name: `TX:9`.
pub(crate) const GROUPS: u32 = 9;
/// The group that is what matched, if not all of it is.
pub(crate) const WHOLE: u32 = GROUPS + 1;
const REPEATS: u32 = 65_535;
const NOTHING: &str = "a quantifier follows nothing that can be repeated";

/// Why an expression is refused, and the byte where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) at: usize,
    pub(crate) why: &'static str,
}

/// An expression that was read.
#[derive(Debug)]
pub(crate) struct Parsed {
    /// It has no marks.
    pub(crate) hir: Hir,
    /// With marks. It is what was written, and `hir` matches wherever it does, and elsewhere.
    pub(crate) marked: Option<Hir>,
    /// The group that is what matched, if it took part: what was looked at is left out.
    pub(crate) whole: Option<u32>,
}

pub(crate) fn parse(pattern: &[u8]) -> Result<Parsed, Refusal> {
    let (hir, whole) = read(pattern)?;
    if !marks::are_in(&hir) {
        return Ok(Parsed { hir, marked: None, whole });
    }
    let settled = settle::settle(&hir);
    let hir = marks::without(&settled);
    let marked = Some(settled).filter(marks::are_in);
    Ok(Parsed { hir, marked, whole })
}

/// The tree as it is written, with all its marks.
fn read(pattern: &[u8]) -> Result<(Hir, Option<u32>), Refusal> {
    let top = Frame::new(Kind::Top, Flags::DEFAULT, 0);
    let mut parser = Parser {
        pattern,
        at: 0,
        flags: Flags::DEFAULT,
        groups: 0,
        closed: [const { None }; GROUPS as usize],
        whole: None,
        frames: Vec::new(),
        top,
    };
    while parser.at < pattern.len() {
        parser.step()?;
    }
    parser.finish()
}

struct Parser<'a> {
    pattern: &'a [u8],
    at: usize,
    flags: Flags,
    groups: u32,
    /// What stands in the groups that are closed.
    closed: [Option<Hir>; GROUPS as usize],
    whole: Option<u32>,
    /// The groups around the innermost one.
    frames: Vec<Frame>,
    top: Frame,
}

impl Parser<'_> {
    fn step(&mut self) -> Result<(), Refusal> {
        let rest = self.pattern.get(self.at..).unwrap_or_default();
        let Some((&first, after)) = rest.split_first() else { return Ok(()) };
        match first {
            b'\\' => return self.escape(after),
            b'(' => return self.open(after),
            b')' => return self.close(),
            b'[' => {
                let folds = if self.flags.fold { Folds::Yes } else { Folds::No };
                let (set, end) = brackets::read(self.pattern, self.at + 1, folds)?;
                self.push(Hir::class(set.class()), end - self.at);
            }
            b'|' => {
                self.top.branch();
                self.at += 1;
            }
            b'.' => {
                let set = if self.flags.dot_all { ByteSet::ALL } else { ByteSet::of(b"\n").not() };
                self.push(Hir::class(set.class()), 1);
            }
            b'^' => self.push_look(if self.flags.lines { Look::StartLF } else { Look::Start }),
            b'$' => self.push_look(if self.flags.lines { Look::EndLF } else { Look::End }),
            b'*' => return self.repeat(Counted { min: 0, max: None, length: 1 }),
            b'+' => return self.repeat(Counted { min: 1, max: None, length: 1 }),
            b'?' => return self.repeat(Counted { min: 0, max: Some(1), length: 1 }),
            b'{' => match repeats(after) {
                Some(counted) => return self.repeat(counted),
                None => self.literal(b'{', 1),
            },
            b' ' | b'\t'..=b'\r' if self.flags.extended => self.at += 1,
            b'#' if self.flags.extended => {
                let end = after.iter().position(|byte| *byte == b'\n');
                self.at += 1 + end.map_or(after.len(), |end| end + 1);
            }
            _ => self.literal(first, 1),
        }
        Ok(())
    }

    fn escape(&mut self, after: &[u8]) -> Result<(), Refusal> {
        let read = escape::read(after, Within::Text, self.groups);
        let (escape, length) = read.map_err(|why| refuse(self.at, why))?;
        let length = 1 + length;
        match escape {
            Escape::Byte(byte) => self.literal(byte, length),
            Escape::Set(set) => self.push(Hir::class(set.class()), length),
            Escape::Look(look) => {
                self.push_look(look);
                self.at += length - 1;
            }
            Escape::Back(group) => {
                let in_any_case = self.flags.fold;
                let closed = self.closed.get(group.saturating_sub(1) as usize);
                let texts = match closed {
                    Some(Some(held)) => marks::texts_of(held, in_any_case),
                    _ => marks::any(),
                };
                self.push(Mark::Same { group, in_any_case }.on(texts), length);
            }
            Escape::Nothing => self.at += length,
            Escape::Quote => {
                let text = after.get(1..).unwrap_or_default();
                let (quoted, whole) = escape::quoted(text);
                for byte in text.get(..quoted).unwrap_or_default() {
                    self.literal(*byte, 1);
                }
                self.at += 2 + whole - quoted;
            }
        }
        Ok(())
    }

    fn literal(&mut self, byte: u8, length: usize) {
        let hir = if self.flags.fold && byte.is_ascii_alphabetic() {
            Hir::class(ByteSet::of(&[byte]).fold().class())
        } else {
            Hir::literal([byte])
        };
        self.push(hir, length);
    }

    fn push(&mut self, hir: Hir, length: usize) {
        self.top.items.push(Item::new(hir));
        self.at += length;
    }

    fn push_look(&mut self, look: Look) {
        self.push(Hir::look(look), 1);
    }

    fn repeat(&mut self, counted: Counted) -> Result<(), Refusal> {
        let Counted { min, max, length } = counted;
        let next = self.pattern.get(self.at + length).copied();
        let (lazy, possessive) = (next == Some(b'?'), next == Some(b'+'));
        let Some(mut item) = self.top.items.pop() else { return Err(refuse(self.at, NOTHING)) };
        if item.is_repeated {
            return Err(refuse(self.at, "a quantifier follows a quantifier: write (?:a+){2}"));
        }
        if max.unwrap_or(min).max(min) > REPEATS || max.is_some_and(|max| max < min) {
            return Err(refuse(self.at, "the numbers of a quantifier are wrong"));
        }
        let greedy = possessive || lazy == self.flags.ungreedy;
        item.hir = Hir::repetition(Repetition { min, max, greedy, sub: Box::new(item.hir) });
        if possessive {
            item.hir = Mark::Atomic.on(item.hir);
        }
        item.is_repeated = true;
        self.top.items.push(item);
        self.at += length + usize::from(lazy || possessive);
        Ok(())
    }

    fn open(&mut self, after: &[u8]) -> Result<(), Refusal> {
        let opened = group::open(after).map_err(|why| refuse(self.at, why))?;
        let (start, outer) = (self.at, self.flags);
        self.at += 1 + opened.length;
        let kind = match opened.kind {
            group::Opening::Comment => return Ok(()),
            group::Opening::Flags(change) => {
                self.flags = self.flags.changed(change);
                return match self.pattern.get(self.at) {
                    Some(b'*' | b'+' | b'?' | b'{') => Err(refuse(self.at, NOTHING)),
                    _ => Ok(()),
                };
            }
            group::Opening::Plain(change) => {
                self.flags = self.flags.changed(change);
                Kind::Plain
            }
            group::Opening::Capture => {
                self.groups += 1;
                Kind::Capture(self.groups)
            }
            group::Opening::Atomic => Kind::Atomic,
            group::Opening::Ahead(looks) => Kind::Ahead(looks),
            group::Opening::NotBehind => Kind::NotBehind,
        };
        if self.frames.len() >= DEPTH {
            return Err(refuse(start, "groups are nested too deep"));
        }
        let inner = Frame::new(kind, outer, start);
        self.frames.push(std::mem::replace(&mut self.top, inner));
        Ok(())
    }

    fn close(&mut self) -> Result<(), Refusal> {
        let Some(outer) = self.frames.pop() else {
            return Err(refuse(self.at, "a parenthesis is closed that was not opened"));
        };
        let inner = std::mem::replace(&mut self.top, outer);
        self.at += 1;
        self.flags = inner.outer;
        let (start, kind) = (inner.start, inner.kind);
        let hir = inner.finish();
        let hir = match kind {
            Kind::Capture(index) if index <= GROUPS => {
                if let Some(closed) = self.closed.get_mut(index.saturating_sub(1) as usize) {
                    *closed = Some(hir.clone());
                }
                Hir::capture(Capture { index, name: None, sub: Box::new(hir) })
            }
            Kind::Top | Kind::Plain | Kind::Capture(_) => hir,
            Kind::Atomic => Mark::Atomic.on(hir),
            Kind::Ahead(looks) => {
                self.look_ahead(looks, hir);
                return Ok(());
            }
            Kind::NotBehind => return self.look_behind(&hir, start),
        };
        self.top.items.push(Item::new(hir));
        Ok(())
    }

    /// A look-ahead at the very end is the same as what it looks for, left out of what matched.
    fn look_ahead(&mut self, looks: group::Looks, hir: Hir) {
        let is_last = self.at == self.pattern.len() && self.frames.is_empty();
        let is_alone = is_last && !self.top.has_branches() && self.whole.is_none();
        let (mark, seen) = match looks {
            group::Looks::For => (Mark::Ahead, Some(hir.clone())),
            group::Looks::Against => (Mark::NotAhead, sequence::anything_but(&hir)),
        };
        match seen.filter(|_| is_alone) {
            Some(seen) => self.top.ahead = Some(seen),
            None => self.top.items.push(Item::new(mark.on(hir))),
        }
    }

    /// A negative look-behind that starts a branch is the same as anything else before it, left
    /// out of what matched. Of several matches it may find another than PCRE.
    fn look_behind(&mut self, hir: &Hir, at: usize) -> Result<(), Refusal> {
        const START: &str = "a look-behind is supported once, at the very start of a branch";
        if !self.frames.is_empty() || !self.top.items.is_empty() || self.whole.is_some() {
            return Err(refuse(at, START));
        }
        let before = behind::anything_but(hir);
        let before = before
            .ok_or_else(|| refuse(at, "a negative look-behind is supported for few texts alone"))?;
        self.whole = Some(WHOLE);
        self.top.before = Some((before, WHOLE));
        Ok(())
    }

    fn finish(self) -> Result<(Hir, Option<u32>), Refusal> {
        if !self.frames.is_empty() {
            return Err(refuse(self.top.start, "a parenthesis is not closed: write \\( for one"));
        }
        let ahead = self.top.ahead.clone();
        let hir = self.top.finish();
        let Some(ahead) = ahead else { return Ok((hir, self.whole)) };
        let hir = Hir::capture(Capture { index: WHOLE, name: None, sub: Box::new(hir) });
        Ok((Hir::concat(vec![hir, ahead]), Some(WHOLE)))
    }
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    min: u32,
    max: Option<u32>,
    length: usize,
}

/// `{2}`, `{2,}` or `{2,3}`; any other brace is text.
fn repeats(after: &[u8]) -> Option<Counted> {
    let end = after.iter().take(16).position(|byte| *byte == b'}')?;
    let inside = std::str::from_utf8(after.get(..end)?).ok()?;
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse().ok()).flatten()
    };
    let (min, max) = match inside.split_once(',') {
        None => (number(inside)?, Some(number(inside)?)),
        Some((min, "")) => (number(min)?, None),
        Some((min, max)) => (number(min)?, Some(number(max)?)),
    };
    Some(Counted { min, max, length: end + 2 })
}

#[cfg(test)]
mod tests;
