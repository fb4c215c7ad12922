//! What an expression may hold that no automaton matches, marked in its tree.
//!
//! A mark is a capture whose number no group has: the tree has no other place for one. Only what
//! backtracks sees marks; automata get the tree without them, which matches wherever it does.

use regex_syntax::hir::{Capture, Hir, HirKind, Repetition};

use crate::operator::byte_set::ByteSet;

/// No group has this number, or a higher one.
const FIRST: u32 = 1 << 16;
const SAME: u32 = FIRST;
const SAME_IN_ANY_CASE: u32 = FIRST << 1;
const ATOMIC: u32 = FIRST << 2;
const AHEAD: u32 = FIRST << 3;
const NOT_AHEAD: u32 = FIRST << 4;

/// Parts of a group for which what refers to it stands; one of more stands for any text.
const PARTS: usize = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// What a group matched: `\1`
    Same { group: u32, in_any_case: bool },
    /// It never gives back what it took: `(?>…)`, `a++`
    Atomic,
    /// `(?=…)`
    Ahead,
    /// `(?!…)`
    NotAhead,
}

impl Mark {
    /// `sub` is what it holds, or for `Same` any text that it may stand for.
    pub(crate) fn on(self, sub: Hir) -> Hir {
        let index = match self {
            Self::Same { group, in_any_case: false } => SAME | group,
            Self::Same { group, in_any_case: true } => SAME_IN_ANY_CASE | group,
            Self::Atomic => ATOMIC,
            Self::Ahead => AHEAD,
            Self::NotAhead => NOT_AHEAD,
        };
        Hir::capture(Capture { index, name: None, sub: Box::new(sub) })
    }

    pub(crate) fn of(capture: &Capture) -> Option<Self> {
        let group = capture.index & (FIRST - 1);
        match capture.index - group {
            SAME => Some(Self::Same { group, in_any_case: false }),
            SAME_IN_ANY_CASE => Some(Self::Same { group, in_any_case: true }),
            ATOMIC => Some(Self::Atomic),
            AHEAD => Some(Self::Ahead),
            NOT_AHEAD => Some(Self::NotAhead),
            _ => None,
        }
    }
}

pub(crate) fn are_in(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => are_in(&repetition.sub),
        HirKind::Capture(capture) => Mark::of(capture).is_some() || are_in(&capture.sub),
        HirKind::Concat(subs) | HirKind::Alternation(subs) => subs.iter().any(are_in),
    }
}

/// The tree without its marks: it matches wherever one that obeys them does, and elsewhere.
pub(crate) fn without(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(without(&repetition.sub)),
            ..repetition.clone()
        }),
        HirKind::Capture(capture) => match Mark::of(capture) {
            Some(Mark::Same { .. } | Mark::Atomic) => without(&capture.sub),
            Some(Mark::Ahead | Mark::NotAhead) => Hir::empty(),
            None => {
                let sub = Box::new(without(&capture.sub));
                Hir::capture(Capture { index: capture.index, name: None, sub })
            }
        },
        HirKind::Concat(subs) => Hir::concat(subs.iter().map(without).collect()),
        HirKind::Alternation(subs) => Hir::alternation(subs.iter().map(without).collect()),
    }
}

/// Any text that what refers to a group may stand for.
pub(crate) fn texts_of(group: &Hir, in_any_case: bool) -> Hir {
    let mut parts = PARTS;
    texts(group, in_any_case, &mut parts).unwrap_or_else(any)
}

pub(crate) fn any() -> Hir {
    let sub = Box::new(Hir::class(ByteSet::ALL.class()));
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub })
}

fn texts(hir: &Hir, in_any_case: bool, parts: &mut usize) -> Option<Hir> {
    *parts = parts.checked_sub(1)?;
    let mut all = |subs: &[Hir]| -> Option<Vec<Hir>> {
        subs.iter().map(|sub| texts(sub, in_any_case, parts)).collect()
    };
    Some(match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(literal) if in_any_case => {
            let sets = literal.0.iter().map(|byte| ByteSet::of(&[*byte]).fold());
            Hir::concat(sets.map(|set| Hir::class(set.class())).collect())
        }
        HirKind::Class(class) if in_any_case => {
            Hir::class(ByteSet::of_class(class)?.fold().class())
        }
        HirKind::Literal(_) | HirKind::Class(_) => hir.clone(),
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(texts(&repetition.sub, in_any_case, parts)?),
            ..repetition.clone()
        }),
        HirKind::Capture(capture) => match Mark::of(capture) {
            Some(Mark::Ahead | Mark::NotAhead) => Hir::empty(),
            Some(Mark::Same { .. }) => return None,
            Some(Mark::Atomic) | None => texts(&capture.sub, in_any_case, parts)?,
        },
        HirKind::Concat(subs) => Hir::concat(all(subs)?),
        HirKind::Alternation(subs) => Hir::alternation(all(subs)?),
    })
}
