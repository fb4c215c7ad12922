//! Every distinct byte string of a transaction, kept once, and what transformations make of it.

use std::borrow::Cow;
use std::hash::BuildHasher;
use std::ops::Range;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::operator::ByteSet;
use crate::rules::{Block, Chain, Gate, SEAM, Step};
use crate::transaction::edits::edits;
use crate::transform::Transformation;

/// A byte string of a transaction; equal strings have equal ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ValueId(u32);

impl ValueId {
    /// The empty string, which every transaction has.
    pub(crate) const EMPTY: Self = Self(0);
    /// `0`, which every transaction has too.
    pub(crate) const ZERO: Self = Self(1);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Bytes of a value that the gate takes as long for as a few expressions.
const LONG: usize = 1 << 10;

/// Bytes of a value that is not worth being copied behind others.
const LARGE: usize = 32 << 10;

/// Bytes of a value that is looked for at the end of others.
const LONG_END: usize = 256;

/// Transformations behind each other in which the gate is asked of the value that they began with.
const SOURCES: usize = 4;

/// Not transformed yet.
const UNKNOWN: u32 = u32::MAX;

#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    texts: Texts,
    by_bytes: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The bytes that each has.
    present: Vec<ByteSet>,
    /// For each a value that has the same letters in another case, itself if none is known.
    twins: Vec<u32>,
    /// For each one that a transformation made it of first, itself if none did.
    sources: Vec<u32>,
    /// A row for each value, with a place for what each transformation makes of it.
    transformed: Vec<u32>,
    transformations: usize,
    /// A row for each value, with the operators that it may match.
    candidates: Vec<Block>,
    is_gated: Vec<bool>,
    /// The longest one that the gate was asked about, if any.
    longest: u32,
}

/// The bytes of all values.
#[derive(Debug, Clone, Default)]
struct Texts {
    /// Of those that are small, behind each other.
    bytes: Vec<u8>,
    large: Vec<Vec<u8>>,
    spans: Vec<Span>,
    /// Bytes of all.
    size: usize,
}

#[derive(Debug, Clone, Copy)]
enum Span {
    Small(usize, usize),
    /// Its place among the large ones.
    Large(usize),
}

impl Values {
    /// Begins anew, for a rule set with so many transformations, in the space that it has.
    pub(crate) fn begin(&mut self, transformations: usize) {
        self.texts.clear();
        self.by_bytes.clear();
        self.present.clear();
        self.twins.clear();
        self.sources.clear();
        self.transformed.clear();
        self.transformations = transformations;
        self.candidates.clear();
        self.is_gated.clear();
        self.longest = ValueId::EMPTY.0;
        let (empty, zero) = (self.intern(b""), self.intern(b"0"));
        debug_assert_eq!((empty, zero), (ValueId::EMPTY, ValueId::ZERO));
    }

    /// Forgets all values, and the space of those that few transactions have.
    pub(crate) fn forget_large(&mut self) {
        self.texts.clear();
    }

    /// Bytes that it holds.
    pub(crate) fn space(&self) -> usize {
        self.texts.space()
            + self.transformed.capacity() * size_of::<u32>()
            + self.candidates.capacity() * size_of::<Block>()
            + self.present.capacity() * size_of::<ByteSet>()
    }

    /// The id of a byte string, which is kept if it is new.
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> ValueId {
        self.keep(Cow::Borrowed(bytes))
    }

    /// The same of bytes that need not be copied if they are owned.
    pub(crate) fn keep(&mut self, bytes: Cow<'_, [u8]>) -> ValueId {
        let hash = self.hasher.hash_one(&*bytes);
        let found = self.by_bytes.find(hash, |id| *self.texts.of(*id) == *bytes).copied();
        if let Some(id) = found {
            return ValueId(id);
        }
        self.present.push(ByteSet::in_text(&bytes));
        let id = self.texts.push(bytes);
        self.twins.push(id);
        self.sources.push(id);
        let Self { by_bytes, hasher, texts, .. } = self;
        by_bytes.insert_unique(hash, id, |id| hasher.hash_one(texts.of(*id)));
        ValueId(id)
    }

    pub(crate) fn bytes(&self, id: ValueId) -> &[u8] {
        self.texts.of(id.0)
    }

    /// How many bytes all values have together.
    pub(crate) fn size(&self) -> usize {
        self.texts.size
    }

    /// What a chain of transformations makes of a value.
    pub(crate) fn transform(&mut self, id: ValueId, chain: &Chain) -> ValueId {
        match chain.may_change(self.present(id)) {
            true => chain.steps.iter().fold(id, |value, step| self.step(value, step)),
            false => id,
        }
    }

    /// What one transformation makes of a value.
    pub(crate) fn step(&mut self, id: ValueId, step: &Step) -> ValueId {
        if !step.may_change(self.present(id)) {
            return id;
        }
        let place = id.index() * self.transformations + step.number;
        match self.transformed.get(place) {
            Some(&known) if known != UNKNOWN => return ValueId(known),
            Some(_) => {}
            None => self.transformed.resize((id.index() + 1) * self.transformations, UNKNOWN),
        }
        let result = match step.transformation.apply(self.bytes(id)) {
            Cow::Borrowed(_) => id,
            Cow::Owned(changed) => self.keep(Cow::Owned(changed)),
        };
        if let Some(known) = self.transformed.get_mut(place) {
            *known = result.0;
        }
        if let Some(source) = self.sources.get_mut(result.index())
            && *source == result.0
            && id.0 < result.0
        {
            *source = id.0;
        }
        if let Some(other) = self.other_case(id, step)
            && let Some(twin) = self.twins.get_mut(result.index())
        {
            *twin = other;
        }
        result
    }

    /// A value that has the letters of what a step makes of this one, in another case.
    fn other_case(&self, id: ValueId, step: &Step) -> Option<u32> {
        if step.transformation == Transformation::Lowercase {
            return Some(id.0);
        }
        let twin = ValueId(*self.twins.get(id.index())?);
        if twin == id || !step.transformation.is_blind_to_letters() {
            return None;
        }
        let place = twin.index() * self.transformations + step.number;
        self.transformed.get(place).copied().filter(|known| *known != UNKNOWN)
    }

    /// Whether the gate takes as long for it as a few expressions.
    pub(crate) fn is_long(&self, id: ValueId) -> bool {
        self.texts.of(id.0).len() >= LONG
    }

    /// Whether the gate was asked which operators it may match.
    pub(crate) fn is_gated(&self, id: ValueId) -> bool {
        self.is_gated.get(id.index()) == Some(&true)
    }

    /// The operators that a value may match.
    pub(crate) fn candidates(&mut self, id: ValueId, gate: &Gate) -> &[Block] {
        let (blocks, index) = (gate.blocks(), id.index());
        if self.is_gated.len() <= index {
            let count = self.texts.spans.len();
            self.is_gated.resize(count, false);
            self.candidates.resize(count * blocks, [0; 8]);
        }
        let row = index * blocks..(index + 1) * blocks;
        if self.is_gated.get(index) == Some(&false) {
            self.judge(index, row.start, gate);
        }
        self.candidates.get(row).unwrap_or_default()
    }

    fn judge(&mut self, index: usize, row: usize, gate: &Gate) {
        let (known, rest) = self.known_part(index);
        let edited = if known.is_none() { self.edited(index) } else { None };
        let known = known.or_else(|| Some(edited.as_ref()?.0));
        let text = self.texts.of(index as u32);
        if let Some(known) = known {
            let start = known * gate.blocks();
            self.candidates.copy_within(start..start + gate.blocks(), row);
        }
        let candidates = self.candidates.get_mut(row..row + gate.blocks()).unwrap_or_default();
        gate.keep_literals(candidates);
        gate.of_bytes(self.present.get(index).copied().unwrap_or_default(), candidates);
        match edited {
            None => gate.of_literals(text.get(..rest).unwrap_or(text), candidates),
            Some((_, places)) => places.into_iter().for_each(|place| {
                gate.of_literals(text.get(place).unwrap_or(text), candidates);
            }),
        }
        gate.of_length(text.len(), candidates);
        if let Some(is_gated) = self.is_gated.get_mut(index) {
            *is_gated = true;
        }
        // Not by one that it is the end of.
        let longest = self.texts.of(self.longest).len();
        if text.len() > longest + longest / 4 {
            self.longest = index as u32;
        }
    }

    /// Another value whose literals this one has too, and how many bytes at its start have all that
    /// it has beside them.
    fn known_part(&self, index: usize) -> (Option<usize>, usize) {
        let is_gated = |other: &usize| self.is_gated.get(*other) == Some(&true);
        let twin = self.twins.get(index).map(|twin| *twin as usize);
        if let Some(twin) = twin.filter(|twin| *twin != index).filter(is_gated) {
            return (Some(twin), 0);
        }
        let (text, end) = (self.texts.of(index as u32), self.texts.of(self.longest));
        // A body often is a name and the value that was judged before it.
        let rest = text.len().saturating_sub(end.len()) + SEAM;
        if end.len() >= LONG_END && rest <= text.len() / 2 && text.ends_with(end) {
            return (Some(self.longest as usize), rest);
        }
        (None, text.len())
    }

    /// A value that a long one was made of by a few edits, and the places of those. What it has
    /// more is no harm: the gate says no to less.
    fn edited(&self, index: usize) -> Option<(usize, Vec<Range<usize>>)> {
        let text = self.texts.of(index as u32);
        let source_of = |one: &u32| self.sources.get(*one as usize).copied().filter(|it| it != one);
        let sources = std::iter::successors(source_of(&(index as u32)), source_of);
        let is_gated = |one: &u32| self.is_gated.get(*one as usize) == Some(&true);
        let source = sources.take(SOURCES).find(is_gated).filter(|_| text.len() >= LONG)?;
        Some((source as usize, edits(self.texts.of(source), text, SEAM)?))
    }

    /// The bytes that a value has.
    pub(crate) fn present(&self, id: ValueId) -> ByteSet {
        self.present.get(id.index()).copied().unwrap_or_default()
    }
}

impl Texts {
    fn clear(&mut self) {
        self.bytes.clear();
        self.large.clear();
        self.spans.clear();
        self.size = 0;
    }

    /// The id of a text that is put behind all others.
    fn push(&mut self, text: Cow<'_, [u8]>) -> u32 {
        // Far below u32::MAX: every value has at least a byte of a bounded body, head or rule.
        let id = self.spans.len() as u32;
        self.size += text.len();
        let span = if text.len() < LARGE {
            let start = self.bytes.len();
            self.bytes.extend_from_slice(&text);
            Span::Small(start, self.bytes.len())
        } else {
            self.large.push(text.into_owned());
            Span::Large(self.large.len() - 1)
        };
        self.spans.push(span);
        id
    }

    fn of(&self, id: u32) -> &[u8] {
        match self.spans.get(id as usize) {
            Some(Span::Small(start, end)) => self.bytes.get(*start..*end).unwrap_or_default(),
            Some(Span::Large(index)) => self.large.get(*index).map_or(&[][..], Vec::as_slice),
            None => &[],
        }
    }

    /// Bytes that it holds.
    fn space(&self) -> usize {
        let large: usize = self.large.iter().map(Vec::capacity).sum();
        self.bytes.capacity() + large + self.spans.capacity() * size_of::<Span>()
    }
}

#[cfg(test)]
mod tests {
    use memchr::memmem;

    use super::*;
    use crate::operator::{Dice, Needs};
    use crate::rules::{Gated, Needed, is_candidate};

    #[test]
    fn equal_bytes_are_one_value() {
        let mut values = Values::default();
        values.begin(2);
        let a = values.intern(b"a");
        let again = values.intern(b"a");
        let b = values.intern(b"b");
        assert_eq!(a, again);
        assert_ne!(a, b);
        assert_eq!(values.bytes(b), b"b");
        assert_eq!(values.intern(b""), ValueId::EMPTY);
        let (large, size) = (vec![b'a'; LARGE], values.size());
        let id = values.intern(&large);
        assert_eq!((values.intern(&large), values.bytes(id)), (id, large.as_slice()));
        assert_eq!(values.size(), size + LARGE);
        for number in 0..5000 {
            values.intern(format!("value {number}").as_bytes());
        }
        assert_eq!(values.intern(b"a"), a);
    }

    #[test]
    fn what_changes_nothing_is_the_same_value() {
        let mut values = Values::default();
        values.begin(2);
        let (plain, upper) = (values.intern(b"plain"), values.intern(b"Plain"));
        let steps = [Transformation::UrlDecode, Transformation::Lowercase];
        let chain = Chain::new(&steps, &mut Vec::new());
        assert_eq!(values.transform(plain, &chain), plain);
        assert_eq!(values.transform(upper, &chain), plain);
        assert_eq!(values.transform(upper, &chain), plain);
    }

    /// What an operator needs, and whether a value has it, as it is told in words.
    struct Need {
        gated: Gated,
        literals: Vec<&'static [u8]>,
        bytes: ByteSet,
        min_len: usize,
    }

    impl Need {
        fn is_met(&self, value: &[u8]) -> bool {
            let lower = value.to_ascii_lowercase();
            let is_there = match (self.literals.as_slice(), self.bytes.is_empty()) {
                ([], true) => true,
                ([], false) => self.bytes.any(value),
                (literals, _) => literals.iter().any(|text| memmem::find(&lower, text).is_some()),
            };
            // Longer ones are not told apart.
            is_there && (value.len() >= 24 || value.len() >= self.min_len)
        }
    }

    const TEXTS: [&[u8]; 10] = [
        b"ab",
        b"abc",
        b"\xff\0",
        b"select",
        b"union",
        b"0x",
        b"on",
        b"\xe9\x80a",
        b"bcab",
        b"lect",
    ];

    fn needs(dice: &mut Dice, needed: &mut Needed) -> Need {
        let (mut literals, mut bytes) = (Vec::new(), ByteSet::EMPTY);
        match dice.roll(5) {
            0..=2 => {
                literals.extend((0..=dice.roll(3)).map(|_| TEXTS[dice.roll(TEXTS.len())]));
                literals.sort();
                literals.dedup();
            }
            3 => bytes = ByteSet::EMPTY.with(dice.byte()).with(b"aB'\xff"[dice.roll(4)]),
            _ => {}
        }
        let min_len = [1, 1 + dice.roll(30)][dice.roll(2)];
        let gated = needed.add(Needs {
            literals: (!literals.is_empty())
                .then(|| literals.iter().map(|text| text.to_vec()).collect()),
            bytes: (!bytes.is_empty()).then(|| bytes.words()),
            each: Vec::new(),
            min_len,
        });
        Need { gated: gated.expect("it needs a byte"), literals, bytes, min_len }
    }

    #[test]
    fn a_value_may_match_whatever_needs_no_more_than_it_has() {
        let mut dice = Dice::new(4);
        let mut values = Values::default();
        for (count, large) in [(3, 0), (500, 0), (513, 40_000), (1_300, 40_000)] {
            let mut needed = Needed::default();
            let all: Vec<Need> = (0..count).map(|_| needs(&mut dice, &mut needed)).collect();
            let gate = needed.build();
            let steps = [
                Transformation::Lowercase,
                Transformation::Uppercase,
                Transformation::RemoveNulls,
                Transformation::Lowercase,
                Transformation::UrlDecode,
            ];
            let chain = Chain::new(&steps, &mut Vec::new());
            values.begin(steps.len());
            let mut made = Vec::new();
            for round in 0..60 {
                let length = dice.roll([3, 24, 40, 90, large.max(1)][round % 5]);
                let mut bytes = Vec::new();
                while bytes.len() < length {
                    match dice.roll(3) {
                        0 => bytes.push(dice.byte()),
                        1 => bytes.extend(TEXTS[dice.roll(TEXTS.len())].to_ascii_uppercase()),
                        _ => bytes.extend_from_slice(TEXTS[dice.roll(TEXTS.len())]),
                    }
                }
                bytes.truncate(length);
                let mut id = values.intern(&bytes);
                made.push(id);
                for step in &chain.steps {
                    // What it was made of may be judged before it, after it, or not at all.
                    if dice.roll(2) == 0 {
                        values.candidates(id, &gate);
                    }
                    id = values.step(id, step);
                    made.push(id);
                }
            }
            while !made.is_empty() {
                let id = made.swap_remove(dice.roll(made.len()));
                let row = values.candidates(id, &gate).to_vec();
                let value = values.bytes(id);
                for need in &all {
                    let is_there = is_candidate(&row, need.gated);
                    let about = (need.literals.as_slice(), need.bytes, need.min_len);
                    assert_eq!(is_there, need.is_met(value), "{about:?} {}", value.escape_ascii());
                }
            }
        }
    }
}
