//! What is to be tried in which order, from the tree of an expression.

use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use crate::operator::byte_set::ByteSet;
use crate::operator::pcre::Mark;

/// Steps of one program.
pub(crate) const STEPS: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Program {
    pub(super) steps: Vec<Step>,
    /// How many steps have a choice.
    pub(super) choices: usize,
    /// Places that are kept to know whether a round took anything.
    pub(super) rounds: usize,
    /// Groups to which something refers.
    pub(super) referred: Vec<usize>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Byte(ByteSet),
    Look(Look),
    /// Where to go on, and where if that leads nowhere; choices are numbered.
    Choice {
        number: usize,
        first: usize,
        second: usize,
    },
    Go(usize),
    Open(usize),
    Close(usize),
    Same {
        group: usize,
        in_any_case: bool,
    },
    /// From the next step to its `Done` is matched for itself; then it goes on at `end`.
    Apart {
        kind: Apart,
        end: usize,
    },
    /// A round of a repetition begins.
    Enter(usize),
    /// One ends: what took nothing is not repeated.
    Leave {
        round: usize,
        out: usize,
    },
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Apart {
    Atomic,
    Ahead,
    NotAhead,
}

impl Program {
    /// None if it would have more than `STEPS`.
    pub(crate) fn compile(marked: &Hir) -> Option<Self> {
        let program = Self { steps: Vec::new(), choices: 0, rounds: 0, referred: Vec::new() };
        let mut writer = Writer { program };
        writer.part(marked)?;
        writer.write(Step::Done)?;
        Some(writer.program)
    }
}

struct Writer {
    program: Program,
}

impl Writer {
    /// Where the next step will be.
    fn here(&self) -> usize {
        self.program.steps.len()
    }

    fn write(&mut self, step: Step) -> Option<usize> {
        let at = self.here();
        self.program.steps.push(step);
        (at < STEPS).then_some(at)
    }

    /// A choice whose second way is still to be said, or its first if it is lazy.
    fn choice(&mut self) -> Option<usize> {
        let number = self.program.choices;
        self.program.choices += 1;
        self.write(Step::Choice { number, first: 0, second: 0 })
    }

    fn part(&mut self, hir: &Hir) -> Option<()> {
        match hir.kind() {
            HirKind::Empty => {}
            HirKind::Literal(literal) => {
                for byte in &literal.0 {
                    self.write(Step::Byte(ByteSet::of(&[*byte])))?;
                }
            }
            HirKind::Class(class) => {
                self.write(Step::Byte(ByteSet::of_class(class)?))?;
            }
            HirKind::Look(look) => {
                self.write(Step::Look(*look))?;
            }
            HirKind::Repetition(repetition) => self.repetition(repetition)?,
            HirKind::Capture(capture) => match Mark::of(capture) {
                Some(Mark::Same { group, in_any_case }) => {
                    let group = group as usize;
                    self.program.referred.push(group);
                    self.write(Step::Same { group, in_any_case })?;
                }
                Some(Mark::Atomic) => self.apart(Apart::Atomic, &capture.sub)?,
                Some(Mark::Ahead) => self.apart(Apart::Ahead, &capture.sub)?,
                Some(Mark::NotAhead) => self.apart(Apart::NotAhead, &capture.sub)?,
                None => {
                    self.write(Step::Open(capture.index as usize))?;
                    self.part(&capture.sub)?;
                    self.write(Step::Close(capture.index as usize))?;
                }
            },
            HirKind::Concat(subs) => {
                for sub in subs {
                    self.part(sub)?;
                }
            }
            HirKind::Alternation(subs) => self.alternation(subs)?,
        }
        Some(())
    }

    fn apart(&mut self, kind: Apart, sub: &Hir) -> Option<()> {
        let at = self.write(Step::Apart { kind, end: 0 })?;
        self.part(sub)?;
        self.write(Step::Done)?;
        let end = self.here();
        self.put(at, Step::Apart { kind, end });
        Some(())
    }

    fn alternation(&mut self, subs: &[Hir]) -> Option<()> {
        let Some((last, others)) = subs.split_last() else { return Some(()) };
        let mut ends = Vec::new();
        for sub in others {
            let at = self.choice()?;
            self.part(sub)?;
            ends.push(self.write(Step::Go(0))?);
            self.lead(at, (at + 1, self.here()));
        }
        self.part(last)?;
        for end in ends {
            self.put(end, Step::Go(self.here()));
        }
        Some(())
    }

    fn repetition(&mut self, repetition: &Repetition) -> Option<()> {
        for _ in 0..repetition.min {
            self.part(&repetition.sub)?;
        }
        let ways = |inside, outside| match repetition.greedy {
            true => (inside, outside),
            false => (outside, inside),
        };
        let Some(max) = repetition.max else {
            let at = self.choice()?;
            self.round(&repetition.sub, at)?;
            self.lead(at, ways(at + 1, self.here()));
            return Some(());
        };
        let mut choices = Vec::new();
        for _ in repetition.min..max {
            choices.push(self.choice()?);
            self.part(&repetition.sub)?;
        }
        for at in choices {
            self.lead(at, ways(at + 1, self.here()));
        }
        Some(())
    }

    /// One round of what is repeated without end, and back to the choice at `again`.
    fn round(&mut self, sub: &Hir, again: usize) -> Option<()> {
        // A mark may take nothing, whatever stands in it.
        if set_like(sub) {
            self.part(sub)?;
            self.write(Step::Go(again))?;
            return Some(());
        }
        let round = self.program.rounds;
        self.program.rounds += 1;
        self.write(Step::Enter(round))?;
        self.part(sub)?;
        let at = self.write(Step::Leave { round, out: 0 })?;
        self.write(Step::Go(again))?;
        self.put(at, Step::Leave { round, out: self.here() });
        Some(())
    }

    fn put(&mut self, at: usize, step: Step) {
        if let Some(slot) = self.program.steps.get_mut(at) {
            *slot = step;
        }
    }

    fn lead(&mut self, at: usize, (to, otherwise): (usize, usize)) {
        if let Some(Step::Choice { first, second, .. }) = self.program.steps.get_mut(at) {
            (*first, *second) = (to, otherwise);
        }
    }
}

/// Whether it always takes a byte.
fn set_like(hir: &Hir) -> bool {
    matches!(hir.kind(), HirKind::Class(_) | HirKind::Literal(_))
}
