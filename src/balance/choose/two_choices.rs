//! The better of two drawn by chance: nearly as good as the best of all, and a
//! server that just became the best is not stormed (Mitzenmacher).

use super::random;
use crate::balance::members::{Candidates, Member};

/// Up to this many are all compared: two of so few would often miss the best.
const COMPARE_ALL: usize = 4;

/// Prefers the server with fewer requests under way for its weight.
pub(super) fn least_requests(candidates: &Candidates<'_>) -> usize {
    cheapest(candidates, |member| {
        member.server.in_flight() as f64 / candidates.weight(member) as f64
    })
}

/// Prefers the server expected to be done sooner with one request more.
pub(super) fn peak_ewma(candidates: &Candidates<'_>) -> usize {
    cheapest(candidates, |member| {
        let in_flight = member.server.in_flight();
        let latency = match member.server.latency.at(candidates.age_ms(member)) {
            Some(latency) => f64::from(latency),
            // Nothing is known of it: try it, but not again before it answered.
            None if in_flight == 0 => 0.0,
            None => f64::from(u32::MAX),
        };
        latency * (in_flight + 1) as f64 / candidates.weight(member) as f64
    })
}

fn cheapest(candidates: &Candidates<'_>, cost: impl Fn(&Member) -> f64) -> usize {
    if candidates.len() <= COMPARE_ALL {
        return cheapest_of_all(candidates, cost);
    }
    let first = random::choose(candidates);
    let Some(second) = candidates.without(first).as_ref().map(random::choose) else { return first };
    let cost_at = |at| candidates.get(at).map_or(f64::INFINITY, &cost);
    if cost_at(second) < cost_at(first) { second } else { first }
}

/// The cheapest; of several, one by chance and weight.
fn cheapest_of_all(candidates: &Candidates<'_>, cost: impl Fn(&Member) -> f64) -> usize {
    let mut best = None;
    let mut best_weight = 0;
    for (at, member) in candidates.iter() {
        let cost = cost(member);
        let weight = candidates.weight(member);
        match best {
            Some((_, least)) if cost > least => continue,
            Some((_, least)) if cost == least => {
                best_weight += weight;
                if fastrand::u64(..best_weight) >= weight {
                    continue;
                }
            }
            _ => best_weight = weight,
        }
        best = Some((at, cost));
    }
    best.expect("there is a candidate").0
}
