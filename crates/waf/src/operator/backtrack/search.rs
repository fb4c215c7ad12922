//! One attempt to match a value.

use std::ops::Range;

use regex_syntax::hir::Look;

use crate::operator::backtrack::program::{Apart, Program, Step};
use crate::operator::pcre::WHOLE;

/// Steps that a value may take whatever its length, and for each of its bytes.
const STEPS: usize = 4_096;
const STEPS_PER_BYTE: usize = 128;
/// Choices and values of groups that are kept to go back to.
const KEPT: usize = 1 << 21;
/// Bits for what was tried already: steps with a choice, times bytes.
const TRIED: usize = 1 << 26;
/// Places where no match starts before it is asked where one may. It is asked half as often each
/// time, since each time it may look at all of the value.
const PATIENCE: usize = 16;
/// TX:0 to TX:9, and the group that is what matched.
const GROUPS: usize = WHOLE as usize + 1;

/// What stands in each group that took part.
pub(crate) type Groups = [Option<Range<usize>>; GROUPS];

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// None: it does not match, or the steps did not suffice.
    pub(crate) found: Option<Groups>,
    pub(crate) steps: usize,
    pub(crate) is_undecided: bool,
}

/// The first match that starts at `start` or later, in at most as many steps as are left of what
/// the value may take when `spent` were taken before. `next` says from where on one may start.
pub(crate) fn search(
    program: &Program,
    value: &[u8],
    start: usize,
    spent: usize,
    mut next: impl FnMut(usize) -> Option<usize>,
) -> Attempt {
    let none = Attempt { found: None, steps: 0, is_undecided: false };
    let Some(start) = next(start) else { return none };
    let length = value.len().saturating_sub(start);
    let most = value.len().saturating_mul(STEPS_PER_BYTE).saturating_add(STEPS);
    let tried = program.choices.saturating_mul(length + 1);
    // Places are kept in four bytes.
    if tried > TRIED || u32::try_from(value.len()).is_err() {
        return Attempt { is_undecided: true, ..none };
    }
    let budget = most.saturating_sub(spent);
    let mut search = Search {
        program,
        value,
        start,
        open: [NOWHERE; GROUPS],
        groups: [(NOWHERE, NOWHERE); GROUPS],
        rounds: vec![NOWHERE; program.rounds],
        kept: Vec::new(),
        tried: vec![0; tried / 64 + 1],
        left: budget,
    };
    let found = search.from(start, next);
    let steps = budget - search.left;
    let is_undecided = found.is_err();
    let found = found.ok().filter(|is_found| *is_found).map(|_| search.groups.map(range));
    Attempt { found, steps, is_undecided }
}

fn range((start, end): (u32, u32)) -> Option<Range<usize>> {
    (start != NOWHERE && end != NOWHERE).then_some(start as usize..end as usize)
}

/// A place in a value.
fn place(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(NOWHERE)
}

const NOWHERE: u32 = u32::MAX;

/// Steps or space do not suffice.
#[derive(Debug)]
struct Exhausted;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Outer,
    /// In a part that is matched for itself. What was tried there may have matched, and been of
    /// no use to what follows.
    Apart,
}

/// To be gone back to.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Way { step: u32, at: u32 },
    Open { group: u32, at: u32 },
    Group { group: u32, start: u32, end: u32 },
    Round { round: u32, at: u32 },
}

struct Search<'a> {
    program: &'a Program,
    value: &'a [u8],
    start: usize,
    /// Where groups that are not yet closed were opened.
    open: [u32; GROUPS],
    groups: [(u32, u32); GROUPS],
    rounds: Vec<u32>,
    kept: Vec<Kept>,
    tried: Vec<u64>,
    left: usize,
}

impl Search<'_> {
    fn from(
        &mut self,
        start: usize,
        mut next: impl FnMut(usize) -> Option<usize>,
    ) -> Result<bool, Exhausted> {
        let (mut at, mut tries, mut patience) = (start, 0, PATIENCE);
        while at <= self.value.len() {
            if let Some(end) = self.run(0, at, Level::Outer)? {
                if let Some(whole) = self.groups.first_mut() {
                    *whole = (place(at), place(end));
                }
                return Ok(true);
            }
            at += 1;
            tries += 1;
            if tries == patience {
                (tries, patience) = (0, patience.saturating_mul(2));
                let Some(later) = next(at) else { break };
                at = later;
            }
        }
        Ok(false)
    }

    /// From a step to its `Done`, or back to where it began: where the match ends.
    fn run(&mut self, step: usize, at: usize, level: Level) -> Result<Option<usize>, Exhausted> {
        let base = self.kept.len();
        let (mut step, mut at) = (step, at);
        loop {
            self.left = self.left.checked_sub(1).ok_or(Exhausted)?;
            let next = match self.program.steps.get(step).copied().unwrap_or(Step::Done) {
                Step::Done => {
                    self.commit(base);
                    return Ok(Some(at));
                }
                Step::Byte(set) => {
                    let byte = self.value.get(at).filter(|byte| set.contains(**byte));
                    byte.map(|_| (step + 1, at + 1))
                }
                Step::Look(look) => self.holds(look, at).then_some((step + 1, at)),
                Step::Go(to) => Some((to, at)),
                Step::Choice { number, first, second } => {
                    if level == Level::Outer && self.was_tried(number, at) {
                        None
                    } else {
                        self.keep(Kept::Way { step: place(second), at: place(at) })?;
                        Some((first, at))
                    }
                }
                Step::Same { group, in_any_case } => {
                    self.same(group, in_any_case, at)?.map(|end| (step + 1, end))
                }
                Step::Apart { kind, end } => {
                    self.apart(kind, step + 1, at)?.map(|after| (end, after))
                }
                Step::Open(_) | Step::Close(_) | Step::Enter(_) => {
                    self.note(self.program.steps.get(step).copied(), at)?;
                    Some((step + 1, at))
                }
                Step::Leave { round, out } => {
                    let is_empty = self.rounds.get(round) == Some(&place(at));
                    Some((if is_empty { out } else { step + 1 }, at))
                }
            };
            match next.or_else(|| self.back(base)) {
                Some(next) => (step, at) = next,
                None => return Ok(None),
            }
        }
    }

    /// Sets where a group or a round begins or ends; what it was is kept.
    fn note(&mut self, step: Option<Step>, at: usize) -> Result<(), Exhausted> {
        let at = place(at);
        match step {
            Some(Step::Open(group)) => {
                let Some(slot) = self.open.get_mut(group) else { return Ok(()) };
                let before = std::mem::replace(slot, at);
                self.keep(Kept::Open { group: place(group), at: before })
            }
            Some(Step::Close(group)) => {
                let Some(slot) = self.open.get_mut(group) else { return Ok(()) };
                let opened = std::mem::replace(slot, NOWHERE);
                self.keep(Kept::Open { group: place(group), at: opened })?;
                let Some(slot) = self.groups.get_mut(group) else { return Ok(()) };
                let (start, end) = std::mem::replace(slot, (opened, at));
                self.keep(Kept::Group { group: place(group), start, end })
            }
            Some(Step::Enter(round)) => {
                let Some(slot) = self.rounds.get_mut(round) else { return Ok(()) };
                let before = std::mem::replace(slot, at);
                self.keep(Kept::Round { round: place(round), at: before })
            }
            _ => Ok(()),
        }
    }

    fn keep(&mut self, kept: Kept) -> Result<(), Exhausted> {
        if self.kept.len() >= KEPT {
            return Err(Exhausted);
        }
        self.kept.push(kept);
        Ok(())
    }

    /// Back to the last choice above `base`.
    fn back(&mut self, base: usize) -> Option<(usize, usize)> {
        while self.kept.len() > base {
            match self.kept.pop()? {
                Kept::Way { step, at } => return Some((step as usize, at as usize)),
                kept => self.restore(kept),
            }
        }
        None
    }

    fn restore(&mut self, kept: Kept) {
        match kept {
            Kept::Way { .. } => {}
            Kept::Open { group, at } => {
                if let Some(slot) = self.open.get_mut(group as usize) {
                    *slot = at;
                }
            }
            Kept::Group { group, start, end } => {
                if let Some(slot) = self.groups.get_mut(group as usize) {
                    *slot = (start, end);
                }
            }
            Kept::Round { round, at } => {
                if let Some(slot) = self.rounds.get_mut(round as usize) {
                    *slot = at;
                }
            }
        }
    }

    /// Forgets the choices above `base`; what groups were is still kept.
    fn commit(&mut self, base: usize) {
        let mut left = base;
        for index in base..self.kept.len() {
            if let Some(kept) = self.kept.get(index).copied()
                && !matches!(kept, Kept::Way { .. })
            {
                self.kept.swap(left, index);
                left += 1;
            }
        }
        self.kept.truncate(left);
    }

    /// Where it goes on behind a part that is matched for itself.
    fn apart(&mut self, kind: Apart, step: usize, at: usize) -> Result<Option<usize>, Exhausted> {
        let base = self.kept.len();
        let end = self.run(step, at, Level::Apart)?;
        Ok(match kind {
            Apart::Atomic => end,
            Apart::Ahead => end.map(|_| at),
            Apart::NotAhead => {
                let _ = self.back(base);
                end.is_none().then_some(at)
            }
        })
    }

    /// The end of the text that a group has, if it stands here once more.
    fn same(
        &mut self,
        group: usize,
        in_any_case: bool,
        at: usize,
    ) -> Result<Option<usize>, Exhausted> {
        let text = self.groups.get(group).copied().and_then(range);
        let Some(text) = text.and_then(|range| self.value.get(range)) else { return Ok(None) };
        self.left = self.left.checked_sub(text.len()).ok_or(Exhausted)?;
        let here = self.value.get(at..at + text.len());
        let is_same = here.is_some_and(|here| match in_any_case {
            true => here.eq_ignore_ascii_case(text),
            false => here == text,
        });
        Ok(is_same.then_some(at + text.len()))
    }

    /// Whether this choice led nowhere from this place; from now on it did. What a group
    /// to which something refers has, or where it was opened, may change that.
    fn was_tried(&mut self, number: usize, at: usize) -> bool {
        let is_begun = |group: &usize| {
            self.open.get(*group).is_some_and(|at| *at != NOWHERE)
                || self.groups.get(*group).is_some_and(|one| range(*one).is_some())
        };
        if self.program.referred.iter().any(is_begun) {
            return false;
        }
        let bit = number * (self.value.len() - self.start + 1) + (at - self.start);
        let Some(word) = self.tried.get_mut(bit / 64) else { return false };
        let was = *word >> (bit % 64) & 1 == 1;
        *word |= 1 << (bit % 64);
        was
    }

    fn holds(&self, look: Look, at: usize) -> bool {
        let before = at.checked_sub(1).and_then(|at| self.value.get(at)).copied();
        let after = self.value.get(at).copied();
        let is_word = |byte: Option<u8>| {
            byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        match look {
            Look::Start => before.is_none(),
            Look::End => after.is_none(),
            Look::StartLF => before.is_none_or(|byte| byte == b'\n'),
            Look::EndLF => after.is_none_or(|byte| byte == b'\n'),
            Look::WordAscii => is_word(before) != is_word(after),
            Look::WordAsciiNegate => is_word(before) == is_word(after),
            // The parser makes no others.
            _ => false,
        }
    }
}
