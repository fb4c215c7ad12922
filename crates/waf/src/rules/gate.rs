//! Which operators a value may match at all, found in one pass over it.
//!
//! Most expressions need one of some literals. All literals of all rules, phrases among them, are
//! looked for at once: what is not found need not be judged. It never says no to what matches.

use crate::operator::{ByteSet, Needs};
use crate::rules::finder::Finder;

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
    literals: Finder,
    /// For each literal the operators that are content with it.
    content: Vec<Box<[Gated]>>,
    /// For each byte a row with the operators that are content with it.
    of_byte: Vec<Block>,
    /// The bytes whose rows are not empty.
    telling: ByteSet,
    /// The operators that literals tell of; bytes tell of the others.
    by_literals: Vec<Block>,
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

    pub(crate) fn build(self) -> Gate {
        let mut literals: Vec<_> = self.literals.into_iter().collect();
        literals.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (literals, content): (Vec<_>, Vec<Box<[Gated]>>) =
            literals.into_iter().map(|(text, of)| (text, of.into_boxed_slice())).unzip();
        let literals = Finder::new(literals.iter().map(Vec::as_slice));
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
        let mut by_literals = vec![[0; 8]; blocks];
        for gated in content.iter().flatten() {
            insert(&mut by_literals, *gated);
        }
        Gate { literals, content, of_byte, telling, by_literals, blocks }
    }
}

impl Gate {
    /// How many blocks a row of candidates has.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Adds the operators that a value which has the bytes `present` may match for one of them.
    pub(crate) fn of_bytes(&self, present: ByteSet, candidates: &mut [Block]) {
        for byte in present.and(self.telling).iter() {
            let start = usize::from(byte) * self.blocks;
            let row = self.of_byte.get(start..start + self.blocks).unwrap_or_default();
            add_all(candidates, row);
        }
    }

    /// Adds those that literals tell of and a value with the same letters in another case has.
    pub(crate) fn of_twin(&self, twin: &[Block], candidates: &mut [Block]) {
        for ((all, twin), mask) in candidates.iter_mut().zip(twin).zip(&self.by_literals) {
            for ((all, twin), mask) in all.iter_mut().zip(twin).zip(mask) {
                *all |= twin & mask;
            }
        }
    }

    /// Adds those that `value` may match for one of its literals.
    pub(crate) fn of_literals(&self, value: &[u8], mut candidates: &mut [Block]) {
        let content = |number: u32| match self.content.get(number as usize) {
            Some(content) => &**content,
            None => &[],
        };
        self.literals.find(
            value,
            &mut candidates,
            |candidates, number| content(number).iter().all(|one| contains(candidates, *one)),
            |candidates, number| content(number).iter().for_each(|one| insert(candidates, *one)),
        );
    }
}

pub(crate) fn add_all(sum: &mut [Block], row: &[Block]) {
    for (sum, block) in sum.iter_mut().zip(row) {
        for (all, word) in sum.iter_mut().zip(block) {
            *all |= word;
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
