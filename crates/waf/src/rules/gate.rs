//! Which operators a value may match at all, found in one pass over it.
//!
//! Most expressions need one of some literals. All literals of all rules, phrases among them, are
//! looked for at once: what is not found need not be judged. It never says no to what matches.

use crate::operator::{ByteSet, Needs};
use crate::rules::finder::{Finder, LENGTH};

/// Operators, a bit each; a row of them is as many blocks as the rule set needs.
pub(crate) type Block = [u64; 8];

/// Bytes behind the end of a piece of a value in which a literal may go on that begins in it.
pub(crate) const SEAM: usize = LENGTH - 1;
/// Operators of one block.
const OPERATORS: usize = 512;
/// Lengths of values that are told apart; what needs more bytes is let through.
const LENGTHS: usize = 24;

/// An operator in the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gated(u32);

/// What every operator in it needs.
#[derive(Debug)]
pub(crate) struct Gate {
    literals: Finder,
    /// The operators that are content with a literal, one literal's behind another's.
    content: Vec<Gated>,
    /// Where those of each begin.
    starts: Vec<u32>,
    /// For each byte a row with the operators that are content with it.
    of_byte: Vec<Block>,
    /// The bytes whose rows are not empty.
    telling: ByteSet,
    /// The operators that literals tell of; bytes tell of the others.
    by_literals: Vec<Block>,
    /// Those that need nothing but a length.
    always: Vec<Block>,
    /// For each length a row with the operators that need no more bytes.
    of_length: Vec<Block>,
    blocks: usize,
}

/// The needs of a rule set's operators, gathered.
#[derive(Debug, Default)]
pub(crate) struct Needed {
    literals: hashbrown::HashMap<Vec<u8>, Vec<Gated>>,
    by_byte: Vec<(Gated, ByteSet)>,
    always: Vec<Gated>,
    /// Of each operator the fewest bytes of a value that matches.
    lengths: Vec<usize>,
}

impl Needed {
    /// Adds an operator; None if any value may match it.
    pub(crate) fn add(&mut self, needs: Needs) -> Option<Gated> {
        // The parser bounds rules, so that their number fits by far.
        let gated = Gated(self.lengths.len() as u32);
        match (needs.literals, needs.bytes) {
            (Some(literals), _) => {
                for literal in literals {
                    self.literals.entry(literal).or_default().push(gated);
                }
            }
            (None, Some(bytes)) => self.by_byte.push((gated, ByteSet::from_words(bytes))),
            (None, None) if needs.min_len > 0 => self.always.push(gated),
            (None, None) => return None,
        }
        self.lengths.push(needs.min_len);
        Some(gated)
    }

    pub(crate) fn build(self) -> Gate {
        let mut literals: Vec<_> = self.literals.into_iter().collect();
        literals.sort_by(|(a, _), (b, _)| a.cmp(b));
        let (mut content, mut starts) = (Vec::new(), vec![0]);
        for (_, of) in &literals {
            content.extend_from_slice(of);
            // As many as rules have literals, which the parser bounds.
            starts.push(content.len() as u32);
        }
        let literals = Finder::new(literals.iter().map(|(text, _)| text.as_slice()));
        let blocks = self.lengths.len().div_ceil(OPERATORS).max(1);
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
        for gated in &content {
            insert(&mut by_literals, *gated);
        }
        let mut always = vec![[0; 8]; blocks];
        self.always.iter().for_each(|gated| insert(&mut always, *gated));
        let mut of_length = vec![[0; 8]; LENGTHS * blocks];
        for (length, row) in of_length.chunks_exact_mut(blocks).enumerate() {
            for (number, _) in (0..).zip(&self.lengths).filter(|(_, needed)| **needed <= length) {
                insert(row, Gated(number));
            }
        }
        Gate { literals, content, starts, of_byte, telling, by_literals, always, of_length, blocks }
    }
}

impl Gate {
    /// How many blocks a row of candidates has.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Adds the operators that a value which has the bytes `present` may match for one of them,
    /// and those that do not need any.
    pub(crate) fn of_bytes(&self, present: ByteSet, candidates: &mut [Block]) {
        add_all(candidates, &self.always);
        for byte in present.and(self.telling).iter() {
            let start = usize::from(byte) * self.blocks;
            let row = self.of_byte.get(start..start + self.blocks).unwrap_or_default();
            add_all(candidates, row);
        }
    }

    /// Keeps those that literals tell of, for a value that has the literals of the one whose
    /// candidates they are. That one is as long, or too long for [`Gate::of_length`].
    pub(crate) fn keep_literals(&self, candidates: &mut [Block]) {
        for (all, mask) in candidates.iter_mut().zip(&self.by_literals) {
            for (all, mask) in all.iter_mut().zip(mask) {
                *all &= mask;
            }
        }
    }

    /// Takes out those that need a longer value.
    pub(crate) fn of_length(&self, length: usize, candidates: &mut [Block]) {
        let start = length.saturating_mul(self.blocks);
        let row = self.of_length.get(start..start.saturating_add(self.blocks));
        for (all, row) in candidates.iter_mut().zip(row.unwrap_or_default()) {
            for (all, word) in all.iter_mut().zip(row) {
                *all &= word;
            }
        }
    }

    /// Adds those that `value` may match for one of its literals.
    pub(crate) fn of_literals(&self, value: &[u8], mut candidates: &mut [Block]) {
        let content = |number: u32| match self.starts.get(number as usize..number as usize + 2) {
            Some([start, end]) => {
                self.content.get(*start as usize..*end as usize).unwrap_or_default()
            }
            _ => &[],
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

pub(crate) fn insert(candidates: &mut [Block], gated: Gated) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_all_that_is_needed_is_a_candidate() {
        let needs = |literals: &[&str], bytes: &[u8], min_len| Needs {
            literals: (!literals.is_empty())
                .then(|| literals.iter().map(|text| text.as_bytes().to_vec()).collect()),
            bytes: (!bytes.is_empty()).then(|| ByteSet::of(bytes).words()),
            each: Vec::new(),
            min_len,
        };
        let mut needed = Needed::default();
        assert_eq!(needed.add(needs(&[], b"", 0)), None);
        let all = [
            needs(&["ab", "select"], b"", 4),
            needs(&[], b"x", 1),
            needs(&[], b"", 3),
            needs(&["cd"], b"", 2 * LENGTHS),
        ];
        let gated: Vec<Gated> = all.into_iter().filter_map(|one| needed.add(one)).collect();
        let gate = needed.build();
        for (value, expected) in [
            (&b""[..], [false; 4]),
            (b"ab", [false; 4]),
            (b"1abx", [true, true, true, false]),
            (b"x", [false, true, false, false]),
            (b"SELECT", [true, false, true, false]),
            // So long a need is not looked at.
            (b"0123456789012345678901234cd", [false, false, true, true]),
        ] {
            let mut row = vec![[0; 8]; gate.blocks()];
            gate.of_bytes(ByteSet::in_text(value), &mut row);
            gate.of_literals(value, &mut row);
            gate.of_length(value.len(), &mut row);
            let found = gated.iter().map(|one| contains(&row, *one)).collect::<Vec<_>>();
            assert_eq!(found, expected, "{}", value.escape_ascii());
        }
    }
}
