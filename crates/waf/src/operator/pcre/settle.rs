//! Where what never gives back what it took is the same as what may: an automaton matches that.
//!
//! What a repeated set would give back, something behind it had to take. `a++b` is `a+b`, since
//! nothing behind can. Where something can, it may be told not to start so: behind as many of a
//! set as there are, `.` is any byte that is not of it, and `a++.` is `a+[^a]`.

use regex_syntax::hir::{Capture, Hir, HirKind, Look, Repetition};

use crate::operator::byte_set::ByteSet;
use crate::operator::pcre::marks::Mark;
use crate::operator::pcre::sequence::{set_of, sets_of};

/// Parts of the tree that are looked at for one repeated set.
const LOOKS: usize = 4_096;

/// What may follow a part of the tree.
#[derive(Clone, Copy)]
enum Next<'a> {
    /// Nothing more: it matches.
    End,
    /// These, then what follows them.
    Then(&'a [Hir], &'a Self),
    /// Another round of this one, or what follows all rounds.
    Round(&'a Hir, &'a Self),
    /// What follows all rounds; another round is looked at elsewhere.
    After(&'a Self),
    /// It cannot be known, or cannot be reached without taking a byte.
    Unknown,
}

/// The same tree with as few marks as possible.
pub(crate) fn settle(hir: &Hir) -> Hir {
    settle_before(hir, &Next::End)
}

fn settle_before(hir: &Hir, next: &Next<'_>) -> Hir {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
        HirKind::Repetition(repetition) => {
            let sub = settle_before(&repetition.sub, &Next::Round(&repetition.sub, next));
            Hir::repetition(Repetition { sub: Box::new(sub), ..repetition.clone() })
        }
        HirKind::Alternation(subs) => {
            Hir::alternation(subs.iter().map(|sub| settle_before(sub, next)).collect())
        }
        HirKind::Capture(capture) => match Mark::of(capture) {
            Some(Mark::Same { .. }) => hir.clone(),
            // Whatever follows, what they hold is matched as if it were all.
            Some(Mark::Ahead | Mark::NotAhead) => {
                of_capture(capture, settle_before(&capture.sub, &Next::End))
            }
            Some(Mark::Atomic) => settle_sequence(std::slice::from_ref(hir), next),
            None => of_capture(capture, settle_before(&capture.sub, next)),
        },
        HirKind::Concat(subs) => settle_sequence(subs, next),
    }
}

/// From its end to its start, so that what is settled is followed by what is.
fn settle_sequence(subs: &[Hir], next: &Next<'_>) -> Hir {
    let mut settled = subs.to_vec();
    for index in (0..settled.len()).rev() {
        let (before, follows) = settled.split_at_mut(index + 1);
        let Some(item) = before.last_mut() else { continue };
        let Some(held) = atomic(item) else {
            *item = settle_before(item, &Next::Then(follows, next));
            continue;
        };
        let held = settle_before(held, &Next::End);
        let Some(first) = free(&held, follows, next) else {
            *item = Mark::Atomic.on(held);
            continue;
        };
        if let Some((slot, first)) = follows.first_mut().zip(first) {
            *slot = first;
        }
        *item = held;
    }
    Hir::concat(settled)
}

/// Whether what is held matches the same if it gives back; and what has to follow then in place of
/// the first of `follows`, if that has to change.
fn free(held: &Hir, follows: &[Hir], next: &Next<'_>) -> Option<Option<Hir>> {
    if sets_of(held).is_some() {
        return Some(None);
    }
    let HirKind::Repetition(repetition) = held.kind() else { return None };
    let set = set_of(&repetition.sub).filter(|_| repetition.greedy)?;
    let mut taker = Taker { set, looks: LOOKS };
    if taker.none_in(&Next::Then(follows, next)) {
        return Some(None);
    }
    // As many as there are is all of them only where none are left for want of number.
    let (first, rest) = follows.split_first().filter(|_| repetition.max.is_none())?;
    taker.kept_out(first, &Next::Then(rest, next)).map(Some)
}

/// Looks for what could take a byte of a set that was given back.
struct Taker {
    set: ByteSet,
    /// Parts of the tree that it may still look at.
    looks: usize,
}

impl Taker {
    /// Whether what matches behind some of the set also matches behind all of it: then it need
    /// not be given any. True of what takes no byte of the set first, and of what takes some but
    /// none of which it needs.
    fn none(&mut self, hir: &Hir, next: &Next<'_>) -> bool {
        let Some(left) = self.looks.checked_sub(1) else { return false };
        self.looks = left;
        match hir.kind() {
            HirKind::Empty => self.none_in(next),
            HirKind::Literal(literal) => {
                literal.0.first().is_some_and(|byte| !self.set.contains(*byte))
            }
            HirKind::Class(class) => {
                ByteSet::of_class(class).is_some_and(|class| class.and(self.set).is_empty())
            }
            HirKind::Look(look) => *look == Look::End,
            HirKind::Repetition(Repetition { min, sub, .. }) => {
                let needs_none = *min == 0 && set_of(sub).is_some();
                (needs_none || self.none(sub, &Next::After(next)))
                    && (*min > 0 || self.none_in(next))
            }
            HirKind::Capture(capture) => match Mark::of(capture) {
                None => self.none(&capture.sub, next),
                Some(Mark::Atomic) => {
                    self.is_taken_by(&capture.sub) || self.none(&capture.sub, &Next::Unknown)
                }
                Some(Mark::Same { .. } | Mark::Ahead | Mark::NotAhead) => false,
            },
            HirKind::Concat(subs) => self.none_in(&Next::Then(subs, next)),
            HirKind::Alternation(subs) => subs.iter().all(|sub| self.none(sub, next)),
        }
    }

    fn none_in(&mut self, next: &Next<'_>) -> bool {
        match next {
            Next::End => true,
            Next::Then([], next) | Next::After(next) => self.none_in(next),
            Next::Then([first, rest @ ..], next) => self.none(first, &Next::Then(rest, next)),
            Next::Round(sub, next) => self.none(sub, &Next::After(next)) && self.none_in(next),
            Next::Unknown => false,
        }
    }

    /// Whether it takes all of the set that there is, and needs none: so it ends at one place.
    fn is_taken_by(&self, held: &Hir) -> bool {
        let HirKind::Repetition(repetition) = held.kind() else { return false };
        let takes_all = repetition.min == 0 && repetition.max.is_none() && repetition.greedy;
        let taken = set_of(&repetition.sub).filter(|_| takes_all);
        taken.is_some_and(|taken| self.set.and(taken.not()).is_empty())
    }

    /// What matches the same behind all of the set, and nothing behind less of it.
    fn kept_out(&mut self, hir: &Hir, next: &Next<'_>) -> Option<Hir> {
        if self.none(hir, next) {
            return Some(hir.clone());
        }
        let takes_some = |hir: &Hir| hir.properties().minimum_len().is_some_and(|len| len > 0);
        Some(match hir.kind() {
            HirKind::Literal(_) => Hir::fail(),
            HirKind::Class(class) => {
                Hir::class(ByteSet::of_class(class)?.and(self.set.not()).class())
            }
            HirKind::Repetition(repetition) if repetition.min > 0 && takes_some(hir) => {
                let first = self.kept_out(&repetition.sub, &Next::Unknown)?;
                let rest = Repetition {
                    min: repetition.min - 1,
                    max: repetition.max.map(|max| max.saturating_sub(1)),
                    ..repetition.clone()
                };
                Hir::concat(vec![first, Hir::repetition(rest)])
            }
            HirKind::Capture(capture) if Mark::of(capture).is_none() => {
                of_capture(capture, self.kept_out(&capture.sub, next)?)
            }
            HirKind::Concat(subs) => {
                let (first, rest) = subs.split_first().filter(|(first, _)| takes_some(first))?;
                let first = self.kept_out(first, &Next::Then(rest, next))?;
                Hir::concat([std::slice::from_ref(&first), rest].concat())
            }
            HirKind::Alternation(subs) => {
                let subs = subs.iter().map(|sub| self.kept_out(sub, next));
                Hir::alternation(subs.collect::<Option<_>>()?)
            }
            HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Capture(_) => {
                return None;
            }
        })
    }
}

/// What never gives back.
fn atomic(hir: &Hir) -> Option<&Hir> {
    let HirKind::Capture(capture) = hir.kind() else { return None };
    (Mark::of(capture) == Some(Mark::Atomic)).then_some(&*capture.sub)
}

fn of_capture(capture: &Capture, sub: Hir) -> Hir {
    Hir::capture(Capture { index: capture.index, name: None, sub: Box::new(sub) })
}
