//! Which operators a value may match at all, found in one pass over it.
//!
//! Most expressions need one of some literals. All literals of all rules, phrases among them, are
//! one automaton: what it does not find need not be judged. It never says no to what matches.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use crate::operator::{ByteSet, Needs};

/// An operator in the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gated(u32);

/// What every operator in it needs.
#[derive(Debug)]
pub(crate) struct Gate {
    literals: Option<AhoCorasick>,
    /// For each literal the operators that are content with it.
    content: Vec<Box<[Gated]>>,
    /// For each byte a row with the operators that are content with it.
    of_byte: Vec<u64>,
    /// The bytes whose rows are not empty.
    telling: ByteSet,
    words: usize,
}

/// The needs of a rule set's operators, gathered.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    literals: hashbrown::HashMap<Vec<u8>, Vec<Gated>>,
    by_byte: Vec<(Gated, ByteSet)>,
    count: u32,
}

impl Needed {
    /// Adds an operator; None if any value may match it.
    pub(crate) fn add(&mut self, needs: Needs) -> Option<Gated> {
        let gated = Gated(self.count);
        match (needs.literals, needs.bytes) {
            (Some(literals), _) => {
                for literal in literals {
                    self.literals.entry(literal).or_default().push(gated);
                }
            }
            (None, Some(bytes)) => self.by_byte.push((gated, ByteSet::from_words(bytes))),
            (None, None) => return None,
        }
        self.count += 1;
        Some(gated)
    }

    pub(crate) fn build(self) -> Result<Gate, BuildError> {
        let mut literals: Vec<_> = self.literals.into_iter().collect();
        literals.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (patterns, content): (Vec<_>, Vec<_>) =
            literals.into_iter().map(|(text, of)| (text, of.into_boxed_slice())).unzip();
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns)?;
        let literals = (!content.is_empty()).then_some(automaton);
        let words = (self.count as usize).div_ceil(64);
        let mut of_byte = vec![0; 256 * words];
        let mut telling = ByteSet::EMPTY;
        for (gated, bytes) in &self.by_byte {
            telling = telling.or(*bytes);
            for byte in bytes.iter() {
                let start = usize::from(byte) * words;
                insert(of_byte.get_mut(start..start + words).unwrap_or_default(), *gated);
            }
        }
        Ok(Gate { literals, content, of_byte, telling, words })
    }
}

impl Gate {
    /// How many words a set of candidates has.
    pub(crate) fn words(&self) -> usize {
        self.words
    }

    /// Adds the operators that `value`, which has the bytes `present`, may match to `candidates`.
    pub(crate) fn candidates(&self, value: &[u8], present: ByteSet, candidates: &mut [u64]) {
        for byte in present.and(self.telling).iter() {
            let start = usize::from(byte) * self.words;
            let row = self.of_byte.get(start..start + self.words).unwrap_or_default();
            for (all, word) in candidates.iter_mut().zip(row) {
                *all |= word;
            }
        }
        let Some(literals) = &self.literals else { return };
        for found in literals.find_overlapping_iter(value) {
            let content = self.content.get(found.pattern().as_usize());
            for gated in content.map_or(&[][..], |all| all) {
                insert(candidates, *gated);
            }
        }
    }
}

fn insert(candidates: &mut [u64], gated: Gated) {
    if let Some(word) = candidates.get_mut(gated.0 as usize / 64) {
        *word |= 1 << (gated.0 % 64);
    }
}

pub(crate) fn contains(candidates: &[u64], gated: Gated) -> bool {
    let word = candidates.get(gated.0 as usize / 64);
    word.is_some_and(|word| word & 1 << (gated.0 % 64) != 0)
}
