//! By chance, by weight. O(n).

use crate::balance::members::Candidates;

pub(super) fn choose(candidates: &Candidates<'_>) -> usize {
    let mut total = 0;
    let mut chosen = None;
    // One pass: each candidate replaces the chosen one with its share of all so far.
    for (at, member) in candidates.iter() {
        let weight = candidates.weight(member);
        total += weight;
        if chosen.is_none() || fastrand::u64(..total) < weight {
            chosen = Some(at);
        }
    }
    chosen.expect("there is a candidate")
}
