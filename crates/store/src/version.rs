//! What tells one object of a name from another. The moment does not: a server can be asked for
//! the same twice within a millisecond, by two processes too.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Moment;
use crate::key::Seed;

/// Names a fill, and the body that it brought.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FillId(u64);

/// What was seen of an object: which body, and which of the heads that it has had.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Version {
    pub fill: FillId,
    /// When that fill began, or the last validation.
    pub created: Moment,
}

/// Names the fills of a process.
#[derive(Debug)]
pub(crate) struct FillIds(AtomicU64);

impl FillId {
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub const fn bits(self) -> u64 {
        self.0
    }
}

impl FillIds {
    /// They count from a number on that nobody can guess: two processes do not meet.
    pub(crate) fn new() -> Self {
        Self(AtomicU64::new(u128::from_le_bytes(*Seed::random().bytes()) as u64))
    }

    pub(crate) fn next(&self) -> FillId {
        FillId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_a_process_nor_another_one_draws_a_name_twice() {
        let (one, other) = (FillIds::new(), FillIds::new());
        let drawn = |ids: &FillIds| (0..1000).map(|_| ids.next()).collect::<Vec<_>>();
        let mut all = [drawn(&one), drawn(&other)].concat();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 2000);
    }
}
