//! The servers of a pool at one moment, and which of them may answer.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

use tokio::time::Instant;

use super::config::{Balance, Config, WhenNoneHealthy};
use super::outlier::Ejector;
use super::server::{Server, ServerId};
use super::sticky::Stickiness;
use super::{Ask, NoServer};

/// The most servers of a pool; further addresses of its names are left out.
pub(super) const MAX_SERVERS: usize = 1024;
/// Weights are counted in hundredths: a tenth of weight 1 must be a number too.
const WEIGHT_UNIT: f64 = 100.0;

/// What a pool does, fixed for its life.
#[derive(Debug)]
pub(super) struct Rules {
    pub balance: Balance,
    pub sticky: Option<Stickiness>,
    pub has_checks: bool,
    pub outlier: Option<Ejector>,
    pub slow_start: Duration,
    pub max_per_server: Option<usize>,
    pub when_none_healthy: WhenNoneHealthy,
}

impl Rules {
    pub(super) fn new(config: &Config) -> Self {
        Rules {
            balance: config.balance.clone(),
            sticky: config.sticky.as_ref().map(Stickiness::new),
            has_checks: config.health.is_some(),
            outlier: config.outlier.as_ref().map(Ejector::new),
            slow_start: config.slow_start.0,
            max_per_server: (config.max_per_server > 0).then_some(config.max_per_server),
            when_none_healthy: config.when_none_healthy,
        }
    }
}

/// A server and its part in the pool.
#[derive(Debug)]
pub(super) struct Member {
    pub server: Arc<Server>,
    pub weight: u16,
    pub is_backup: bool,
    /// How due it is in a round robin.
    pub turn: AtomicI64,
}

/// The servers of a pool until a name leads elsewhere.
#[derive(Debug)]
pub(super) struct Members {
    pub rules: Arc<Rules>,
    // Invariant: at most MAX_SERVERS, each id once.
    pub list: Vec<Member>,
}

impl Members {
    /// Whether checks and answers speak for the server.
    pub(super) fn is_up(&self, server: &Server, now: Instant) -> bool {
        let is_healthy = !self.rules.has_checks || server.verdict.is_healthy();
        let is_ejected = self.rules.outlier.is_some() && server.is_ejected(server.age_ms(now));
        is_healthy && !is_ejected
    }

    /// Where the server is that a cookie named, if it may answer this request.
    pub(super) fn find(&self, id: ServerId, ask: &Ask<'_>, now: Instant) -> Option<usize> {
        let at = self.list.iter().position(|member| member.server.id() == id)?;
        let is_up = self.is_up(&self.list.get(at)?.server, now);
        (is_up && !ask.tried.contains(&id)).then_some(at)
    }

    /// Whether there is one that is none of `tried`, up and not busy.
    pub(super) fn has_other(&self, tried: &[ServerId], now: Instant) -> bool {
        self.list.iter().any(|Member { server, .. }| {
            !tried.contains(&server.id()) && self.is_up(server, now) && !self.is_busy(server)
        })
    }

    /// The best servers to choose from; never an empty set.
    ///
    /// A server not tried before comes before any that was, then a primary
    /// before a backup. Busy servers are left out.
    pub(super) fn candidates(
        &self,
        ask: &Ask<'_>,
        now: Instant,
    ) -> Result<Candidates<'_>, NoServer> {
        let up = self.best(ask, now, |server| self.is_up(server, now));
        match (up, self.rules.when_none_healthy) {
            (Err(NoServer::NoneHealthy), WhenNoneHealthy::TryAll) => self.best(ask, now, |_| true),
            (Err(NoServer::NoneHealthy), WhenNoneHealthy::Refuse) => {
                self.best(ask, now, |server| self.is_last_resort(server))
            }
            (up, _) => up,
        }
    }

    /// Whether the server is better than none: its answers got it ejected, yet
    /// it passes its checks.
    pub(super) fn is_last_resort(&self, server: &Server) -> bool {
        self.rules.has_checks && server.verdict.is_healthy()
    }

    fn is_busy(&self, server: &Server) -> bool {
        self.rules.max_per_server.is_some_and(|most| server.in_flight() >= most)
    }

    fn best(
        &self,
        ask: &Ask<'_>,
        now: Instant,
        is_up: impl Fn(&Server) -> bool,
    ) -> Result<Candidates<'_>, NoServer> {
        let mut best = Set::default();
        let mut best_rank = (true, true);
        let mut none = NoServer::NoneHealthy;
        for (at, member) in self.list.iter().enumerate() {
            if !is_up(&member.server) {
                continue;
            }
            if self.is_busy(&member.server) {
                none = NoServer::AllBusy;
                continue;
            }
            let rank = (ask.tried.contains(&member.server.id()), member.is_backup);
            if rank < best_rank {
                best = Set::default();
                best_rank = rank;
            }
            if rank == best_rank {
                best.insert(at);
            }
        }
        if best.is_empty() {
            return Err(none);
        }
        Ok(Candidates { list: &self.list, set: best, now, slow_start: self.rules.slow_start })
    }
}

/// The servers that one choice is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidates<'a> {
    list: &'a [Member],
    // Invariant: never empty.
    set: Set,
    now: Instant,
    slow_start: Duration,
}

impl<'a> Candidates<'a> {
    /// The candidates with their places in the pool.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &'a Member)> {
        let list = self.list;
        self.set.iter().filter_map(move |at| Some((at, list.get(at)?)))
    }

    pub(super) fn get(&self, at: usize) -> Option<&'a Member> {
        self.list.get(at)
    }

    pub(super) fn len(&self) -> usize {
        self.set.len()
    }

    /// The same without the one at `at`, unless none would be left.
    pub(super) fn without(mut self, at: usize) -> Option<Self> {
        self.set.remove(at);
        (!self.set.is_empty()).then_some(self)
    }

    /// What a member weighs now, at least 1.
    pub(super) fn weight(&self, member: &Member) -> u64 {
        let share = member.server.share_of_weight(self.age_ms(member), self.slow_start);
        (f64::from(member.weight) * WEIGHT_UNIT * share) as u64
    }

    pub(super) fn age_ms(&self, member: &Member) -> u64 {
        member.server.age_ms(self.now)
    }
}

/// Places in the list of a pool, on the stack: a choice allocates nothing.
#[derive(Debug, Clone, Copy, Default)]
struct Set([u64; MAX_SERVERS / 64]);

impl Set {
    fn insert(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(word) = self.0.get_mut(at / 64) {
            *word &= !(1 << (at % 64));
        }
    }

    fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn iter(self) -> impl Iterator<Item = usize> {
        self.0.into_iter().enumerate().flat_map(|(index, mut word)| {
            std::iter::from_fn(move || {
                let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
                word &= word - 1;
                Some(index * 64 + bit)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_keeps_places_in_order() {
        let mut set = Set::default();
        for at in [1023, 0, 64, 63, 5] {
            set.insert(at);
        }
        set.remove(5);
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 1023]);
        assert_eq!(set.len(), 4);
        assert!(!set.is_empty());
        assert!(Set::default().is_empty());
    }
}
