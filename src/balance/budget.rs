//! How many retries an upstream may get: a share of its first attempts.
//!
//! Without it, retries multiply the load on servers that already fail.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::units::Share;

/// Attempts are remembered this many seconds.
const WINDOW_SECS: usize = 10;
/// Retries that are free in each window: a share of next to nothing is nothing.
const FREE: u64 = 10;

/// The retries and first attempts of the last ten seconds.
#[derive(Debug)]
pub(crate) struct Budget {
    share: Share,
    started: Instant,
    requests: Window,
    retries: Window,
}

impl Budget {
    /// A share of 0% allows no retry at all.
    pub(crate) fn new(share: Share) -> Self {
        Budget {
            share,
            started: Instant::now(),
            requests: Window::default(),
            retries: Window::default(),
        }
    }

    /// Counts a first attempt.
    pub(crate) fn request(&self) {
        self.requests.add(self.second());
    }

    /// Whether one more retry may be made; if so, counts it.
    ///
    /// Threads that ask at the same moment may each get the last one.
    pub(crate) fn retry(&self) -> bool {
        let second = self.second();
        let share = self.share.fraction();
        let most = FREE + (self.requests.sum(second) as f64 * share) as u64;
        let is_allowed = share > 0.0 && self.retries.sum(second) < most;
        if is_allowed {
            self.retries.add(second);
        }
        is_allowed
    }

    /// The present second; starts late enough that an unused slot is in no window.
    fn second(&self) -> u32 {
        self.started.elapsed().as_secs().saturating_add(WINDOW_SECS as u64) as u32
    }
}

/// Counts of the last seconds, a slot for each.
// Upper half of a slot: its second; lower half: the count.
#[derive(Debug, Default)]
struct Window([AtomicU64; WINDOW_SECS]);

impl Window {
    fn add(&self, second: u32) {
        let one_more = |slot| {
            let count = if second_of(slot) == second { count_of(slot) } else { 0 };
            Some(u64::from(second) << 32 | u64::from(count.saturating_add(1)))
        };
        if let Some(slot) = self.0.get(second as usize % WINDOW_SECS) {
            // Cannot fail: `one_more` always has a value.
            slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok();
        }
    }

    fn sum(&self, second: u32) -> u64 {
        let is_recent = |slot: &u64| second.wrapping_sub(second_of(*slot)) < WINDOW_SECS as u32;
        let slots = self.0.iter().map(|slot| slot.load(Ordering::Relaxed));
        slots.filter(is_recent).map(|slot| u64::from(count_of(slot))).sum()
    }
}

fn second_of(slot: u64) -> u32 {
    (slot >> 32) as u32
}

fn count_of(slot: u64) -> u32 {
    slot as u32
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    fn retries(budget: &Budget) -> usize {
        (0..1000).take_while(|_| budget.retry()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_first_attempts_and_some_free() {
        let budget = Budget::new(Share::percent(20));
        assert_eq!(retries(&budget), 10);
        for _ in 0..100 {
            budget.request();
        }
        assert_eq!(retries(&budget), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten() {
        let budget = Budget::new(Share::percent(50));
        for _ in 0..100 {
            budget.request();
        }
        advance(Duration::from_secs(9)).await;
        assert_eq!(retries(&budget), 60);
        advance(Duration::from_secs(1)).await;
        // The first attempts are gone, the retries are not.
        assert_eq!(retries(&budget), 0);
        advance(Duration::from_secs(9)).await;
        assert_eq!(retries(&budget), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_budget_of_nothing_allows_nothing() {
        let budget = Budget::new(Share::percent(0));
        budget.request();
        assert_eq!(retries(&budget), 0);
    }
}
