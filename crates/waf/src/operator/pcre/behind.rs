//! What may stand before a place that `(?<!…)` guards.

use regex_syntax::hir::{Hir, HirKind, Look};

use crate::operator::byte_set::ByteSet;
use crate::operator::pcre::marks::Mark;

/// Texts that are looked for behind a place, and bytes of each.
const TEXTS: usize = 64;
const LENGTH: usize = 16;
/// Places in texts that start alike; sets that overlap would make many.
const NODES: usize = 1_024;

/// A text, each byte one of a set.
type Sets = Vec<ByteSet>;

/// What ends at a place unless one of the texts of `hir` does.
pub(crate) fn anything_but(hir: &Hir) -> Option<Hir> {
    let mut texts = texts_of(hir)?;
    // Backwards, since they all end at one place.
    texts.iter_mut().for_each(|text| text.reverse());
    let mut budget = NODES;
    before(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>(), &mut budget)
}

/// What ends where none of the texts, each read backwards, ends.
fn before(texts: &[&[ByteSet]], budget: &mut usize) -> Option<Hir> {
    *budget = budget.checked_sub(1)?;
    if texts.iter().any(|text| text.is_empty()) {
        return Some(Hir::fail());
    }
    let mut branches = vec![Hir::look(Look::Start)];
    let mut rest = ByteSet::ALL;
    while let Some(byte) = rest.iter().next() {
        // All bytes that go on with the same texts go together.
        let goes_on = |byte: u8| texts.iter().map(move |text| has_first(text, byte));
        let alike = rest.iter().filter(|other| goes_on(*other).eq(goes_on(byte)));
        let alike = alike.fold(ByteSet::EMPTY, ByteSet::with);
        rest = rest.and(alike.not());
        let longer: Vec<&[ByteSet]> = texts
            .iter()
            .filter(|text| has_first(text, byte))
            .filter_map(|text| text.get(1..))
            .collect();
        let class = Hir::class(alike.class());
        branches.push(match longer.as_slice() {
            [] => class,
            _ => Hir::concat(vec![before(&longer, budget)?, class]),
        });
    }
    Some(Hir::alternation(branches))
}

fn has_first(text: &[ByteSet], byte: u8) -> bool {
    text.first().is_some_and(|set| set.contains(byte))
}

fn texts_of(hir: &Hir) -> Option<Vec<Sets>> {
    let texts = match hir.kind() {
        HirKind::Empty => vec![Vec::new()],
        HirKind::Literal(literal) => {
            vec![literal.0.iter().map(|byte| ByteSet::of(&[*byte])).collect()]
        }
        HirKind::Class(class) => vec![vec![ByteSet::of_class(class)?]],
        HirKind::Capture(capture) if Mark::of(capture).is_none() => texts_of(&capture.sub)?,
        HirKind::Alternation(subs) => {
            subs.iter().map(texts_of).collect::<Option<Vec<_>>>()?.concat()
        }
        HirKind::Concat(subs) => {
            let mut all: Vec<Sets> = vec![Vec::new()];
            for sub in subs {
                let next = texts_of(sub)?;
                let pairs = all
                    .iter()
                    .flat_map(|text| next.iter().map(move |next| [text.as_slice(), next].concat()));
                all = pairs.take(TEXTS + 1).collect();
            }
            all
        }
        HirKind::Look(_) | HirKind::Repetition(_) | HirKind::Capture(_) => return None,
    };
    let few = texts.len() <= TEXTS && texts.iter().all(|text| text.len() <= LENGTH);
    few.then_some(texts)
}
