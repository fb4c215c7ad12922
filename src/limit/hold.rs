//! How long refusals are held back.
//!
//! A refusal costs a worker a good part of what an answer does, and who is
//! refused may ask again at once. So a worker that has no time to spare tells
//! refusals later, and no more of them at a time than it can afford. That slows
//! those down who wait for an answer before they ask again.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use crate::units::nanos;

/// How long a worker holds refusals back while it has no time to spare. The time
/// halves with each one of these that it has some.
const PAUSE: Duration = Duration::from_millis(500);
const HALVES: Duration = Duration::from_secs(3);
/// No shorter pause is worth a timer.
const SHORTEST: Duration = Duration::from_millis(10);
/// The least between refusals that are told, as long as none is held for that
/// alone longer than this. Some hundredths of a worker's time go into them.
const BETWEEN: Duration = Duration::from_millis(2);
const LONGEST: Duration = Duration::from_millis(1500);
/// How long it is remembered how much time there was to spare.
const MEMORY: Duration = Duration::from_millis(100);
/// The part of its time that a worker has to spare at least, in millionths.
const SPARE: u64 = 100_000;
const ALL: u64 = 1_000_000;

/// The refusals of one worker.
#[derive(Debug)]
pub(super) struct Hold {
    began: Instant,
    // All in nanoseconds after `began`: the last beat, when there was no time to
    // spare last, and when one more refusal may be told.
    beat_at: AtomicU64,
    full_at: AtomicU64,
    tell_at: AtomicU64,
    // The part of its time that the worker had nothing to do, in millionths.
    idle: AtomicU64,
}

impl Hold {
    pub(super) fn new(now: Instant) -> Hold {
        Hold {
            began: now,
            beat_at: AtomicU64::new(0),
            full_at: AtomicU64::new(0),
            tell_at: AtomicU64::new(0),
            idle: AtomicU64::new(ALL),
        }
    }

    /// Hears how long the worker had nothing to do since it was heard last. It
    /// alone calls this.
    pub(super) fn beat(&self, idle: Duration, now: Instant) {
        let now = self.nanos(now);
        let since = now.saturating_sub(self.beat_at.swap(now, Relaxed)).max(1);
        let weight = since.min(nanos(MEMORY));
        let part = (nanos(idle).min(since)).saturating_mul(ALL) / since;
        let before = self.idle.load(Relaxed);
        let idle = (before * (nanos(MEMORY) - weight) + part * weight) / nanos(MEMORY);
        self.idle.store(idle, Relaxed);
        if idle < SPARE {
            self.full_at.store(now, Relaxed);
        }
    }

    /// How long a refusal is to be held back.
    pub(super) fn pause(&self, now: Instant) -> Option<Duration> {
        let (now, full_at) = (self.nanos(now), self.full_at.load(Relaxed));
        let halvings = now.saturating_sub(full_at) as f64 / nanos(HALVES) as f64;
        let pause = PAUSE.mul_f64((-halvings).exp2());
        if full_at == 0 || pause < SHORTEST {
            return None;
        }
        let next = |at: u64| Some((at.max(now) + nanos(BETWEEN)).min(now + nanos(LONGEST)));
        let turn = self.tell_at.fetch_update(Relaxed, Relaxed, next).unwrap_or(now);
        Some(pause + Duration::from_nanos(turn.saturating_sub(now)))
    }

    fn nanos(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Beats for a second from `from` on, between which a worker is idle so long.
    fn beat(hold: &Hold, from: Instant, idle: Duration) -> Instant {
        (1..=100).for_each(|at| hold.beat(idle, from + at * 10 * MS));
        from + 1000 * MS
    }

    #[test]
    fn who_has_time_to_spare_tells_refusals_at_once() {
        let start = Instant::now();
        let hold = Hold::new(start);
        assert_eq!(hold.pause(start), None);
        let now = beat(&hold, start, 2 * MS);
        assert_eq!(hold.pause(now), None);
        let now = beat(&hold, now, MS / 2);
        assert_eq!(hold.pause(now), Some(PAUSE));
    }

    #[test]
    fn a_pause_fades_when_there_is_time_again() {
        let start = Instant::now();
        let hold = Hold::new(start);
        let now = beat(&hold, start, Duration::ZERO);
        let mut before = hold.pause(now).expect("a pause");
        for second in 1..30 {
            hold.beat(900 * MS, now + second * 1000 * MS);
            let pause = hold.pause(now + second * 1000 * MS).unwrap_or_default();
            assert!(pause < before || pause.is_zero(), "{pause:?} after {before:?}");
            before = pause;
        }
        assert!(before.is_zero());
    }

    #[test]
    fn refusals_are_told_one_after_the_other() {
        let start = Instant::now();
        let hold = Hold::new(start);
        let now = beat(&hold, start, Duration::ZERO);
        for turn in 0..3000 {
            let pause = hold.pause(now).expect("a pause");
            assert_eq!(pause, PAUSE + (turn * BETWEEN).min(LONGEST));
        }
        let later = now + LONGEST;
        hold.beat(Duration::ZERO, later);
        assert_eq!(hold.pause(later), Some(PAUSE), "all have been told");
    }
}
