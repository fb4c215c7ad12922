//! What stands behind each other, and when `a++` is the same as `a+`.

use regex_syntax::hir::{Hir, HirKind, Look, Repetition};

use crate::operator::byte_set::ByteSet;
use crate::operator::pcre::Refusal;
use crate::operator::pcre::escape::refuse;

/// One part of a sequence.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) hir: Hir,
    pub(crate) at: usize,
    pub(crate) is_repeated: bool,
    /// It never gives back what it took.
    pub(crate) is_possessive: bool,
}

impl Item {
    pub(crate) fn new(hir: Hir, at: usize) -> Self {
        Self { hir, at, is_repeated: false, is_possessive: false }
    }
}

/// What follows a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ends {
    /// Nothing: the expression ends.
    All,
    /// The end of a group, and anything after it.
    Group,
}

/// The sequence, or where something in it gives back nothing though that would change matches.
pub(crate) fn join(mut items: Vec<Item>, ends: Ends) -> Result<Hir, usize> {
    for index in 0..items.len() {
        let (before, follows) = items.split_at_mut(index + 1);
        let Some(item) = before.last().filter(|item| item.is_possessive) else { continue };
        if keeps(&item.hir, follows, ends) {
            continue;
        }
        let next = follows.first_mut().ok_or(item.at)?;
        next.hir = behind_all_of(&item.hir, &next.hir).ok_or(item.at)?;
    }
    Ok(Hir::concat(items.into_iter().map(|item| item.hir).collect()))
}

/// What `next` matches behind as many of the repeated set as there are: `a++.` is `a+[^a]`.
fn behind_all_of(repeated: &Hir, next: &Hir) -> Option<Hir> {
    let HirKind::Repetition(repeated) = repeated.kind() else { return None };
    let set = set_of(&repeated.sub).filter(|_| repeated.max.is_none())?;
    let first = |of: ByteSet| Hir::class(of.and(set.not()).class());
    if let Some(of) = set_of(next) {
        return Some(first(of));
    }
    let HirKind::Repetition(next) = next.kind() else { return None };
    let of = set_of(&next.sub).filter(|_| next.min > 0)?;
    let rest = Repetition {
        min: next.min - 1,
        max: next.max.map(|max| max.saturating_sub(1)),
        greedy: next.greedy,
        sub: next.sub.clone(),
    };
    Some(Hir::concat(vec![first(of), Hir::repetition(rest)]))
}

/// Whether a repeated set matches the same if it may give back.
///
/// What it gives back would have to be taken by what follows. Repeated sets which follow at once,
/// and may be empty, could take it; but then they could also start behind it. If the next thing
/// needs a byte that is not in the set, or is the end, nothing else can.
fn keeps(hir: &Hir, follows: &[Item], ends: Ends) -> bool {
    let HirKind::Repetition(repetition) = hir.kind() else { return false };
    let Some(set) = set_of(&repetition.sub) else { return false };
    for item in follows {
        if let HirKind::Repetition(next) = item.hir.kind()
            && next.min == 0
            && next.max.is_none()
            && set_of(&next.sub).is_some()
        {
            continue;
        }
        match starts(&item.hir) {
            Some(start) if start.first.and(set).is_empty() && start.may_be_empty => {}
            start => return start.is_some_and(|start| start.first.and(set).is_empty()),
        }
    }
    ends == Ends::All
}

fn set_of(hir: &Hir) -> Option<ByteSet> {
    match hir.kind() {
        HirKind::Class(class) => ByteSet::of_class(class),
        HirKind::Literal(literal) => match *literal.0 {
            [byte] => Some(ByteSet::of(&[byte])),
            _ => None,
        },
        _ => None,
    }
}

/// How a part of an expression starts.
#[derive(Debug, Clone, Copy)]
struct Start {
    first: ByteSet,
    may_be_empty: bool,
}

/// None if it stands on what is before or behind it.
fn starts(hir: &Hir) -> Option<Start> {
    let with = |first, may_be_empty| Some(Start { first, may_be_empty });
    match hir.kind() {
        HirKind::Empty => with(ByteSet::EMPTY, true),
        HirKind::Literal(literal) => with(ByteSet::of(literal.0.get(..1)?), false),
        HirKind::Class(class) => with(ByteSet::of_class(class)?, false),
        HirKind::Look(Look::End) => with(ByteSet::EMPTY, false),
        HirKind::Look(_) => None,
        HirKind::Repetition(repetition) => {
            let start = starts(&repetition.sub)?;
            with(start.first, start.may_be_empty || repetition.min == 0)
        }
        HirKind::Capture(capture) => starts(&capture.sub),
        HirKind::Concat(subs) => {
            let mut first = ByteSet::EMPTY;
            for sub in subs {
                let start = starts(sub)?;
                first = first.or(start.first);
                if !start.may_be_empty {
                    return with(first, false);
                }
            }
            with(first, true)
        }
        HirKind::Alternation(subs) => {
            let nothing = Start { first: ByteSet::EMPTY, may_be_empty: false };
            subs.iter().try_fold(nothing, |all, sub| {
                let start = starts(sub)?;
                with(all.first.or(start.first), all.may_be_empty || start.may_be_empty)
            })
        }
    }
}

/// `(?>…)`: of one text it changes nothing, of one repeated set it is a possessive quantifier.
pub(crate) fn atomic(hir: Hir, at: usize) -> Result<Item, Refusal> {
    if sets_of(&hir).is_some() {
        return Ok(Item::new(hir, at));
    }
    if let HirKind::Repetition(repetition) = hir.kind()
        && repetition.greedy
        && set_of(&repetition.sub).is_some()
    {
        return Ok(Item { hir, at, is_repeated: true, is_possessive: true });
    }
    Err(refuse(at, "a group that never gives back what it took is not supported: write (?:"))
}

/// The sets of a text, byte for byte.
fn sets_of(hir: &Hir) -> Option<Vec<ByteSet>> {
    match hir.kind() {
        HirKind::Empty => Some(Vec::new()),
        HirKind::Literal(literal) => {
            Some(literal.0.iter().map(|byte| ByteSet::of(&[*byte])).collect())
        }
        HirKind::Class(class) => ByteSet::of_class(class).map(|set| vec![set]),
        HirKind::Concat(subs) => {
            let all = subs.iter().map(sets_of).collect::<Option<Vec<_>>>()?;
            Some(all.concat())
        }
        _ => None,
    }
}

/// What follows where `hir`, a text, does not.
pub(crate) fn anything_but(hir: &Hir) -> Option<Hir> {
    let mut rest = None;
    for set in sets_of(hir)?.into_iter().rev() {
        let mut branches = vec![Hir::look(Look::End), Hir::class(set.not().class())];
        if let Some(rest) = rest.take() {
            branches.push(Hir::concat(vec![Hir::class(set.class()), rest]));
        }
        rest = Some(Hir::alternation(branches));
    }
    Some(rest.unwrap_or_else(Hir::fail))
}
