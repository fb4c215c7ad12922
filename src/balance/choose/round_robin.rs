//! In turn by weight, spread evenly: of 5, 1 and 1 never five in a row (as nginx does).

use std::sync::atomic::Ordering;

use crate::balance::members::Candidates;

/// Every candidate becomes more due by its weight; the most due one is chosen
/// and pays for all. O(n).
///
/// Choices at the same time may see the same turn and choose the same server;
/// what they add and take stays exact, so the shares do too.
pub(super) fn choose(candidates: &Candidates<'_>) -> usize {
    let mut total = 0;
    let mut most_due = None;
    for (at, member) in candidates.iter() {
        let weight = candidates.weight(member) as i64;
        let turn = member.turn.fetch_add(weight, Ordering::Relaxed) + weight;
        total += weight;
        if most_due.is_none_or(|(_, _, most)| turn > most) {
            most_due = Some((at, member, turn));
        }
    }
    let (at, member, _) = most_due.expect("there is a candidate");
    member.turn.fetch_sub(total, Ordering::Relaxed);
    at
}
