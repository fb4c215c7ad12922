//! An allowance by the minute.

use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);

/// As many as come in a minute may come at once, and no more in the long run.
#[derive(Debug)]
pub(super) struct Bucket {
    per_minute: f64,
    // Invariant: at most `per_minute`.
    left: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(per_minute: u32, now: Instant) -> Self {
        Bucket { per_minute: per_minute.into(), left: per_minute.into(), at: now }
    }

    /// Gives some back, as far as they fit.
    pub(super) fn give(&mut self, count: u32) {
        self.left = (self.left + f64::from(count)).min(self.per_minute);
    }

    /// Takes so many, or all that are left; whether there were so many.
    pub(super) fn take(&mut self, count: u32, now: Instant) -> bool {
        let minutes = now.saturating_duration_since(self.at).div_duration_f64(MINUTE);
        self.at = now;
        self.left = (self.left + minutes * self.per_minute).min(self.per_minute);
        let are_there = self.left >= f64::from(count);
        self.left = (self.left - f64::from(count)).max(0.0);
        are_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minutes_worth_may_come_at_once_and_comes_back_in_a_minute() {
        let began = Instant::now();
        let mut bucket = Bucket::new(200, began);
        assert!(bucket.take(150, began) && bucket.take(50, began));
        assert!(!bucket.take(1, began));
        let half = began + MINUTE / 2;
        assert!(bucket.take(100, half) && !bucket.take(1, half));
        let much_later = began + 10 * MINUTE;
        assert!(!bucket.take(201, much_later), "none is saved up");
        assert!(!bucket.take(1, much_later), "and nothing is left of what was");
        bucket.give(7);
        assert!(bucket.take(7, much_later) && !bucket.take(1, much_later));
        bucket.give(300);
        assert!(bucket.take(200, much_later) && !bucket.take(1, much_later));
    }
}
