//! What a value must have to match: cheap to look for in many values at once.

use regex_syntax::hir::Hir;

use crate::operator::byte_set::ByteSet;
use crate::operator::literals;

/// What any matching value has. Each part holds by itself; a negated operator turns none around.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needs {
    /// Lowercased (ASCII), it has at least one of these in it, each of two bytes or more.
    pub(crate) literals: Option<Vec<Vec<u8>>>,
    /// It has at least one of these bytes.
    pub(crate) bytes: Option<[u64; 4]>,
    /// It has at least one byte of each of these.
    pub(crate) each: Vec<ByteSet>,
    /// It is at least as long.
    pub(crate) min_len: usize,
}

impl Needs {
    /// Any value may match.
    pub(crate) fn nothing() -> Self {
        Self::default()
    }

    pub(crate) fn of_pattern(hir: &Hir) -> Self {
        let each = literals::required_bytes(hir);
        Self {
            literals: literals::required(hir),
            bytes: each.first().copied().map(ByteSet::words),
            each,
            min_len: hir.properties().minimum_len().unwrap_or(0),
        }
    }

    /// The value has one of `texts` in it, in any case of letters.
    pub(crate) fn one_of<'a>(texts: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut literals: Vec<Vec<u8>> = texts.map(<[u8]>::to_ascii_lowercase).collect();
        literals.sort();
        literals.dedup();
        let mut firsts = literals.iter().map(|text| text.first().copied());
        let first = firsts.try_fold(ByteSet::EMPTY, |set, byte| Some(set.with(byte?)));
        let min_len = literals.iter().map(Vec::len).min().unwrap_or(0);
        Self {
            literals: (min_len >= 2).then_some(literals),
            bytes: first.map(|set| set.fold().words()),
            each: Vec::new(),
            min_len,
        }
    }

    pub(crate) fn byte_of(set: ByteSet) -> Self {
        Self { bytes: Some(set.words()), min_len: 1, ..Self::default() }
    }

    /// Whether `value` has all of it: what a gate must let through. O(literals · value).
    pub(crate) fn are_met(&self, value: &[u8]) -> bool {
        let lower = value.to_ascii_lowercase();
        let has = |literal: &Vec<u8>| memchr::memmem::find(&lower, literal).is_some();
        value.len() >= self.min_len
            && self.bytes.is_none_or(|words| ByteSet::from_words(words).any(value))
            && self.each.iter().all(|set| set.any(value))
            && self.literals.as_ref().is_none_or(|literals| literals.iter().any(has))
    }
}
