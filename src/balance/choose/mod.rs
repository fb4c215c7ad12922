//! Which of the servers that may answer does.

mod consistent_hash;
mod random;
mod round_robin;
mod two_choices;

use super::Ask;
use super::config::Balance;
use super::members::Candidates;

/// The place of the chosen server in its pool.
pub(super) fn choose(balance: &Balance, ask: &Ask<'_>, candidates: &Candidates<'_>) -> usize {
    match balance {
        Balance::RoundRobin => round_robin::choose(candidates),
        Balance::Random => random::choose(candidates),
        Balance::LeastRequests => two_choices::least_requests(candidates),
        Balance::PeakEwma => two_choices::peak_ewma(candidates),
        Balance::ConsistentHash(key) => consistent_hash::choose(key, ask, candidates),
    }
}
