//! Which operators a value may match at all, found in one pass over it.
//!
//! Most expressions need one of some literals. All literals of all rules, phrases among them, are
//! one automaton: what it does not find need not be judged. It never says no to what matches.

use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError};

use crate::operator::{ByteSet, Needs};

/// Operators, a bit each; a row of them is as many blocks as the rule set needs.
pub(crate) type Block = [u64; 8];

/// Operators of one block.
const OPERATORS: usize = 512;

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
    of_byte: Vec<Block>,
    /// The bytes whose rows are not empty.
    telling: ByteSet,
    blocks: usize,
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
        let blocks = (self.count as usize).div_ceil(OPERATORS).max(1);
        let mut of_byte = vec![[0; 8]; 256 * blocks];
        let mut telling = ByteSet::EMPTY;
        for (gated, bytes) in &self.by_byte {
            telling = telling.or(*bytes);
            for byte in bytes.iter() {
                let start = usize::from(byte) * blocks;
                insert(of_byte.get_mut(start..start + blocks).unwrap_or_default(), *gated);
            }
        }
        Ok(Gate { literals, content, of_byte, telling, blocks })
    }
}

impl Gate {
    /// How many blocks a row of candidates has.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Adds the operators that `value`, which has the bytes `present`, may match to `candidates`.
    pub(crate) fn candidates(&self, value: &[u8], present: ByteSet, candidates: &mut [Block]) {
        for byte in present.and(self.telling).iter() {
            let start = usize::from(byte) * self.blocks;
            let row = self.of_byte.get(start..start + self.blocks).unwrap_or_default();
            for (all, block) in candidates.iter_mut().zip(row) {
                for (all, word) in all.iter_mut().zip(block) {
                    *all |= word;
                }
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

fn insert(candidates: &mut [Block], gated: Gated) {
    let at = gated.0 as usize;
    if let Some(block) = candidates.get_mut(at / OPERATORS) {
        block[at % OPERATORS / 64] |= 1 << (at % 64);
    }
}

pub(crate) fn contains(candidates: &[Block], gated: Gated) -> bool {
    let at = gated.0 as usize;
    let block = candidates.get(at / OPERATORS);
    block.is_some_and(|block| block[at % OPERATORS / 64] & 1 << (at % 64) != 0)
}
