//! Parts of a sequence, and the texts that a part may be.

use regex_syntax::hir::{Hir, HirKind, Look};

use crate::operator::byte_set::ByteSet;

/// One part of a sequence.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) hir: Hir,
    pub(crate) is_repeated: bool,
}

impl Item {
    pub(crate) fn new(hir: Hir) -> Self {
        Self { hir, is_repeated: false }
    }
}

/// The bytes that it may be, if it is one byte.
pub(crate) fn set_of(hir: &Hir) -> Option<ByteSet> {
    match hir.kind() {
        HirKind::Class(class) => ByteSet::of_class(class),
        HirKind::Literal(literal) => match *literal.0 {
            [byte] => Some(ByteSet::of(&[byte])),
            _ => None,
        },
        _ => None,
    }
}

/// The sets of a text, byte for byte.
pub(crate) fn sets_of(hir: &Hir) -> Option<Vec<ByteSet>> {
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
