//! Every distinct byte string of a transaction, kept once, and what transformations make of it.

use std::borrow::Cow;
use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::operator::ByteSet;
use crate::rules::{Block, Chain, Gate, Step};
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

/// Not transformed yet.
const UNKNOWN: u32 = u32::MAX;

#[derive(Debug, Clone, Default)]
pub(crate) struct Values {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    by_bytes: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The bytes that each has.
    present: Vec<ByteSet>,
    /// For each a value that has the same letters in another case, itself if none is known.
    twins: Vec<u32>,
    /// A row for each value, with a place for what each transformation makes of it.
    transformed: Vec<u32>,
    transformations: usize,
    /// A row for each value, with the operators that it may match.
    candidates: Vec<Block>,
    is_gated: Vec<bool>,
}

#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
}

impl Values {
    /// Begins anew, for a rule set with so many transformations, in the space that it has.
    pub(crate) fn begin(&mut self, transformations: usize) {
        self.bytes.clear();
        self.spans.clear();
        self.by_bytes.clear();
        self.present.clear();
        self.twins.clear();
        self.transformed.clear();
        self.transformations = transformations;
        self.candidates.clear();
        self.is_gated.clear();
        let (empty, zero) = (self.intern(b""), self.intern(b"0"));
        debug_assert_eq!((empty, zero), (ValueId::EMPTY, ValueId::ZERO));
    }

    /// Bytes that it holds.
    pub(crate) fn space(&self) -> usize {
        self.bytes.capacity()
            + self.transformed.capacity() * size_of::<u32>()
            + self.candidates.capacity() * size_of::<Block>()
            + self.spans.capacity() * (size_of::<Span>() + size_of::<ByteSet>())
    }

    /// The id of a byte string, which is kept if it is new.
    pub(crate) fn intern(&mut self, bytes: &[u8]) -> ValueId {
        let hash = self.hasher.hash_one(bytes);
        let found = self.by_bytes.find(hash, |id| self.of(*id) == bytes).copied();
        if let Some(id) = found {
            return ValueId(id);
        }
        // Far below u32::MAX: every value has at least a byte of a bounded body, head or rule.
        let id = self.spans.len() as u32;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        self.spans.push(Span { start, end: self.bytes.len() });
        self.present.push(ByteSet::in_text(bytes));
        self.twins.push(id);
        let Self { by_bytes, hasher, bytes, spans, .. } = self;
        by_bytes.insert_unique(hash, id, |id| hasher.hash_one(slice(bytes, spans, *id)));
        ValueId(id)
    }

    pub(crate) fn bytes(&self, id: ValueId) -> &[u8] {
        self.of(id.0)
    }

    /// How many bytes all values have together.
    pub(crate) fn size(&self) -> usize {
        self.bytes.len()
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
            Cow::Owned(changed) => self.intern(&changed),
        };
        if let Some(known) = self.transformed.get_mut(place) {
            *known = result.0;
        }
        if step.transformation == Transformation::Lowercase
            && let Some(twin) = self.twins.get_mut(result.index())
        {
            *twin = id.0;
        }
        result
    }

    /// The operators that a value may match.
    pub(crate) fn candidates(&mut self, id: ValueId, gate: &Gate) -> &[Block] {
        let (blocks, index) = (gate.blocks(), id.index());
        if self.is_gated.len() <= index {
            self.is_gated.resize(self.spans.len(), false);
            self.candidates.resize(self.spans.len() * blocks, [0; 8]);
        }
        let row = index * blocks..(index + 1) * blocks;
        if self.is_gated.get(index) == Some(&false) {
            self.judge(index, row.start, gate);
        }
        self.candidates.get(row).unwrap_or_default()
    }

    fn judge(&mut self, index: usize, row: usize, gate: &Gate) {
        let twin = self.twins.get(index).map_or(index, |twin| *twin as usize);
        let is_known = twin < index && self.is_gated.get(twin) == Some(&true);
        // What a transformation made mostly stands behind what it was made of.
        let Some((before, rows)) = self.candidates.split_at_mut_checked(row) else { return };
        let candidates = rows.get_mut(..gate.blocks()).unwrap_or_default();
        let present = self.present.get(index).copied().unwrap_or_default();
        gate.of_bytes(present, candidates);
        if is_known {
            let start = twin * gate.blocks();
            let twin = before.get(start..start + gate.blocks()).unwrap_or_default();
            gate.of_twin(twin, candidates);
        } else {
            gate.of_literals(slice(&self.bytes, &self.spans, index as u32), candidates);
        }
        gate.of_length(slice(&self.bytes, &self.spans, index as u32).len(), candidates);
        if let Some(is_gated) = self.is_gated.get_mut(index) {
            *is_gated = true;
        }
    }

    /// The bytes that a value has.
    pub(crate) fn present(&self, id: ValueId) -> ByteSet {
        self.present.get(id.index()).copied().unwrap_or_default()
    }

    fn of(&self, id: u32) -> &[u8] {
        slice(&self.bytes, &self.spans, id)
    }
}

fn slice<'a>(bytes: &'a [u8], spans: &[Span], id: u32) -> &'a [u8] {
    let span = spans.get(id as usize);
    span.and_then(|span| bytes.get(span.start..span.end)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
