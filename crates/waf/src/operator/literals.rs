//! Text and bytes without which an expression cannot match, from its tree.

use regex_syntax::hir::{Class, Hir, HirKind, Repetition};

use crate::operator::byte_set::ByteSet;

/// Texts that stand for each other; one more, and the set is given up.
const TEXTS: usize = 4_096;
/// Texts that a sequence of small sets is multiplied out to.
const PRODUCT: usize = 128;
/// Texts of one set of bytes.
const CLASS: usize = 12;
/// Sets of bytes that are kept.
const SETS: usize = 6;
/// Nearly all values have a byte of a larger set.
const COMMON: u32 = 128;
/// Bytes of one text; what is longer is cut.
const LENGTH: usize = 24;

/// Texts one of which a matching value has, once both are lowercased (ASCII).
pub(crate) fn required(hir: &Hir) -> Option<Vec<Vec<u8>>> {
    let texts = walk(hir).best()?;
    (texts.shortest() >= 2).then_some(texts.0)
}

/// Sets of bytes, of each of which a matching value has one; the rarest first.
pub(crate) fn required_bytes(hir: &Hir) -> Vec<ByteSet> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Vec::new(),
        HirKind::Literal(literal) => {
            rarest(literal.0.iter().map(|byte| ByteSet::of(&[*byte])).collect())
        }
        HirKind::Class(class) => rarest(ByteSet::of_class(class).into_iter().collect()),
        HirKind::Repetition(Repetition { min: 0, .. }) => Vec::new(),
        HirKind::Repetition(repetition) => required_bytes(&repetition.sub),
        HirKind::Capture(capture) => required_bytes(&capture.sub),
        HirKind::Concat(subs) => rarest(subs.iter().flat_map(required_bytes).collect()),
        HirKind::Alternation(subs) => {
            let either = |all: Vec<ByteSet>, sub: Vec<ByteSet>| {
                all.into_iter().zip(sub).map(|(all, sub)| all.or(sub)).collect()
            };
            rarest(subs.iter().map(required_bytes).reduce(either).unwrap_or_default())
        }
    }
}

/// Some of the sets, those that values seldom have a byte of.
fn rarest(mut sets: Vec<ByteSet>) -> Vec<ByteSet> {
    sets.sort_by_key(|set| (frequency(*set), set.words()));
    sets.dedup();
    sets.retain(|set| set.len() <= COMMON);
    sets.truncate(SETS);
    sets
}

/// How often values have a byte of a set, roughly: letters and digits more often than the rest.
fn frequency(set: ByteSet) -> u32 {
    const OFTEN: ByteSet = ByteSet::of(b"etaoinsrhldcumfpgwyb0123456789 =/.-&");
    let some = ByteSet::range(b'!'..=b'~').fold();
    set.and(OFTEN).len() * 20 + set.and(some).len() * 4 + set.len()
}

/// Texts, lowercased, sorted, each once.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Texts(Vec<Vec<u8>>);

impl Texts {
    fn new(mut texts: Vec<Vec<u8>>) -> Self {
        texts.sort();
        texts.dedup();
        Self(texts)
    }

    fn one(text: &[u8]) -> Self {
        Self(vec![text.to_ascii_lowercase()])
    }

    fn shortest(&self) -> usize {
        self.0.iter().map(Vec::len).min().unwrap_or(0)
    }

    /// Longer is better, up to where it hardly ever stands by chance; then fewer.
    fn worth(&self) -> (usize, usize) {
        (self.shortest().min(4), TEXTS.saturating_sub(self.0.len()))
    }

    fn followed_by(&self, next: &Self) -> Option<Self> {
        let longest = |texts: &Self| texts.0.iter().map(Vec::len).max().unwrap_or(0);
        if self.0.len().saturating_mul(next.0.len()) > PRODUCT
            || longest(self) + longest(next) > LENGTH
        {
            return None;
        }
        let pairs = self.0.iter().flat_map(|first| {
            next.0.iter().map(move |second| [first.as_slice(), second.as_slice()].concat())
        });
        Some(Self::new(pairs.collect()))
    }

    fn and_also(self, other: Self) -> Option<Self> {
        let texts = Self::new([self.0, other.0].concat());
        (texts.0.len() <= TEXTS).then_some(texts)
    }
}

/// What is known of a part of an expression.
#[derive(Debug, Clone, Default)]
struct Known {
    /// It matches these texts and nothing else, lowercased.
    exact: Option<Texts>,
    /// What it matches has one of these in it.
    inside: Option<Texts>,
}

impl Known {
    fn exactly(texts: Texts) -> Self {
        Self { exact: Some(texts), inside: None }
    }

    fn best(self) -> Option<Texts> {
        let all = [self.exact, self.inside];
        let useful = all.into_iter().flatten().filter(|texts| texts.shortest() > 0);
        useful.max_by_key(Texts::worth)
    }
}

fn walk(hir: &Hir) -> Known {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Known::exactly(Texts::one(b"")),
        HirKind::Literal(literal) if literal.0.len() <= LENGTH => {
            Known::exactly(Texts::one(&literal.0))
        }
        HirKind::Literal(literal) => {
            let cut = literal.0.get(..LENGTH).unwrap_or_default();
            Known { exact: None, inside: Some(Texts::one(cut)) }
        }
        HirKind::Class(class) => of_class(class),
        HirKind::Capture(capture) => walk(&capture.sub),
        HirKind::Repetition(repetition) => of_repetition(repetition),
        HirKind::Concat(subs) => of_concat(subs),
        HirKind::Alternation(subs) => of_alternation(subs),
    }
}

fn of_class(class: &Class) -> Known {
    let Some(set) = ByteSet::of_class(class) else { return Known::default() };
    if set.len() as usize > 2 * CLASS {
        return Known::default();
    }
    let texts = Texts::new(set.iter().map(|byte| vec![byte.to_ascii_lowercase()]).collect());
    if texts.0.len() > CLASS { Known::default() } else { Known::exactly(texts) }
}

fn of_repetition(repetition: &Repetition) -> Known {
    let sub = walk(&repetition.sub);
    match (repetition.min, repetition.max) {
        (0, Some(1)) => {
            let exact = sub.exact.and_then(|texts| texts.and_also(Texts::one(b"")));
            Known { exact: exact.filter(|texts| texts.0.len() <= PRODUCT), inside: None }
        }
        (0, _) => Known::default(),
        (min, max) => {
            // The text before further repetitions is known; the whole is not.
            let few = sub.exact.as_ref().is_some_and(|texts| texts.0.len() <= PRODUCT);
            let times = if few { (min as usize).min(LENGTH) } else { 1 };
            let known = concat(std::iter::repeat_n(sub, times));
            if max == Some(min) && min as usize == times {
                return known;
            }
            Known { exact: None, inside: known.best() }
        }
    }
}

fn of_concat(subs: &[Hir]) -> Known {
    concat(subs.iter().map(walk))
}

fn concat(subs: impl Iterator<Item = Known>) -> Known {
    let mut run = Texts::one(b"");
    let mut is_exact = true;
    let mut best: Option<Texts> = None;
    let better = |best: &mut Option<Texts>, texts: Option<Texts>| {
        let texts = texts.filter(|texts| texts.shortest() > 0);
        if let Some(texts) = texts
            && best.as_ref().is_none_or(|best| texts.worth() > best.worth())
        {
            *best = Some(texts);
        }
    };
    for sub in subs {
        let longer = sub.exact.as_ref().and_then(|exact| run.followed_by(exact));
        if let Some(longer) = longer {
            run = longer;
            continue;
        }
        is_exact = false;
        better(&mut best, Some(std::mem::replace(&mut run, Texts::one(b""))));
        if let Some(exact) = sub.exact.clone().filter(|exact| exact.0.len() <= PRODUCT) {
            run = exact;
        }
        better(&mut best, sub.best());
    }
    if is_exact {
        return Known { exact: Some(run), inside: best };
    }
    better(&mut best, Some(run));
    Known { exact: None, inside: best }
}

fn of_alternation(subs: &[Hir]) -> Known {
    let known: Vec<Known> = subs.iter().map(walk).collect();
    let exact = known.iter().map(|known| known.exact.as_ref().map(|texts| texts.0.len()));
    // More than that is not multiplied out, so that it need not be exact.
    if exact.sum::<Option<usize>>().is_some_and(|count| count <= PRODUCT) {
        let exact = union(known.into_iter().map(|known| known.exact));
        return Known { exact, inside: None };
    }
    Known { exact: None, inside: union(known.into_iter().map(Known::best)) }
}

/// All texts of all; None if one has none, or there are too many.
fn union(all: impl Iterator<Item = Option<Texts>>) -> Option<Texts> {
    let mut union = Vec::new();
    for texts in all {
        union.extend(texts?.0);
        // Some may be the same; far beyond the limit, too few are.
        if union.len() > 4 * TEXTS {
            return None;
        }
    }
    let union = Texts::new(union);
    (union.0.len() <= TEXTS).then_some(union)
}
