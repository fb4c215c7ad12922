//! Requests whose bodies arrive, as long as that is to be expected: those that
//! take longer are forgotten, lest slow clients hold all places.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

/// A body that takes longer, up to twice that, occupies nobody but its client.
const PERIOD: Duration = Duration::from_secs(1);

/// Times are since any one moment.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    period: AtomicU64,
    // Of this period and of the one before; those of even periods come first.
    counts: [AtomicUsize; 2],
}

impl Uploads {
    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    /// Counts one more that begins `at`; how many there were.
    pub(super) fn begin(&self, at: Duration) -> usize {
        self.forget(at);
        let before = self.count();
        self.of(period(at)).fetch_add(1, Relaxed);
        before
    }

    /// Counts one less, that began `at`, if it is not forgotten.
    pub(super) fn end(&self, at: Duration) {
        let period = period(at);
        if self.period.load(Relaxed).saturating_sub(period) < 2 {
            // It may be forgotten at this very moment: then one of another
            // period is missed, until that is over.
            let less = |count: usize| count.checked_sub(1);
            self.of(period).fetch_update(Relaxed, Relaxed, less).ok();
        }
    }

    /// Forgets who began long before `at`.
    pub(super) fn forget(&self, at: Duration) {
        let now = period(at);
        let before = self.period.fetch_max(now, Relaxed);
        if before < now {
            self.of(now).store(0, Relaxed);
            if now - before > 1 {
                self.of(now + 1).store(0, Relaxed);
            }
        }
    }

    fn of(&self, period: u64) -> &AtomicUsize {
        let [even, odd] = &self.counts;
        if period.is_multiple_of(2) { even } else { odd }
    }
}

fn period(at: Duration) -> u64 {
    at.as_secs() / PERIOD.as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_too_long_is_forgotten() {
        let uploads = Uploads::default();
        let at = Duration::from_millis;
        assert_eq!(uploads.begin(at(900)), 0);
        assert_eq!(uploads.begin(at(1100)), 1);
        assert_eq!(uploads.begin(at(1200)), 2);
        uploads.end(at(1100));
        assert_eq!(uploads.count(), 2);
        uploads.forget(at(2000));
        assert_eq!(uploads.count(), 1, "the first one is forgotten");
        // Its end comes late, and takes nothing from the others.
        uploads.end(at(900));
        assert_eq!(uploads.begin(at(2100)), 1);
        uploads.forget(at(9000));
        assert_eq!(uploads.count(), 0);
        uploads.begin(at(9900));
        uploads.forget(at(10_100));
        uploads.end(at(9900));
        assert_eq!(uploads.count(), 0, "one of the period before");
    }
}
