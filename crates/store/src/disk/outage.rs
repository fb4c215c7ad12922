//! When a disk is given up for a while, and when it is tried again. A sector that cannot be read
//! is no reason, many within a short time are, and so is a write that fails. Time is what the
//! caller says.

use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::Moment;

/// So many reads that fail within a while are the disk's fault.
pub(crate) const MOST_ERRORS: u32 = 8;
pub(crate) const WHILE: Duration = Duration::from_secs(60);
/// It is tried after this for the first time. Each time in vain doubles it.
pub(crate) const SHORTEST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(320);

#[derive(Debug, Default)]
pub(crate) struct Outage(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Reads that failed since `first`.
    errors: u32,
    first: Moment,
    /// Since when it is out, or was tried in vain.
    out: Option<Moment>,
    /// Between that and the next trial.
    pause: Duration,
    /// It is being tried.
    trying: bool,
    /// When it was used again last.
    back: Moment,
}

impl Outage {
    /// A read failed. Whether that was one too many.
    pub(crate) fn strike(&self, now: Moment) -> bool {
        let mut state = self.0.lock();
        if now.since(state.first) > WHILE {
            (state.first, state.errors) = (now, 0);
        }
        state.errors += 1;
        state.errors >= MOST_ERRORS
    }

    /// It is out from now on. False if it was already.
    pub(crate) fn begin(&self, now: Moment) -> bool {
        let mut state = self.0.lock();
        if state.out.is_some() {
            return false;
        }
        // What fails again soon after it was back is tried as if it had failed then.
        let again = now.since(state.back) <= LONGEST;
        state.pause = if again { longer(state.pause) } else { SHORTEST };
        state.out = Some(now);
        true
    }

    /// Whether it is time to try it. Who hears so tries, and says how it went.
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        let mut state = self.0.lock();
        let Some(since) = state.out else { return false };
        if now < since {
            // The clock was set back.
            state.out = Some(now);
        }
        let due = !state.trying && now.since(since) >= state.pause;
        state.trying |= due;
        due
    }

    /// It was tried in vain.
    pub(crate) fn go_on(&self, now: Moment) {
        let mut state = self.0.lock();
        state.pause = longer(state.pause);
        (state.out, state.trying) = (Some(now), false);
    }

    /// It works again.
    pub(crate) fn end(&self, now: Moment) {
        let mut state = self.0.lock();
        let pause = state.pause;
        *state = State { pause, back: now, ..State::default() };
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_millis(1_700_000_000_000).after(Duration::from_secs(seconds))
    }

    #[test]
    fn only_many_errors_within_a_while_are_too_many() {
        let outage = Outage::default();
        for n in 0..50 {
            assert!(!outage.strike(at(n * 10)), "one each ten seconds");
        }
        let strikes = (0..MOST_ERRORS).map(|n| outage.strike(at(1000 + u64::from(n))));
        let expected = (1..=MOST_ERRORS).map(|n| n == MOST_ERRORS);
        assert!(strikes.eq(expected));
    }

    #[test]
    fn pauses_grow_to_a_bound_and_one_trial_is_made_at_a_time() {
        let outage = Outage::default();
        assert!(!outage.is_due(at(0)), "it is not out");
        assert!(outage.begin(at(0)));
        assert!(!outage.begin(at(1)), "it is out already");
        let mut now = 0;
        for pause in [5, 10, 20, 40, 80, 160, 320, 320, 320] {
            assert!(!outage.is_due(at(now + pause - 1)));
            now += pause;
            assert!(outage.is_due(at(now)));
            assert!(!outage.is_due(at(now)), "somebody tries");
            outage.go_on(at(now));
        }
    }

    #[test]
    fn what_fails_again_soon_waits_longer_and_later_it_is_as_new() {
        let outage = Outage::default();
        for (begins, pause) in [(0, 5), (100, 10), (200, 20), (1000, 5)] {
            outage.begin(at(begins));
            assert!(!outage.is_due(at(begins + pause - 1)));
            assert!(outage.is_due(at(begins + pause)));
            outage.end(at(begins + pause));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_costs_one_pause() {
        let outage = Outage::default();
        outage.begin(at(10_000));
        assert!(!outage.is_due(at(10)));
        assert!(outage.is_due(at(15)));
    }
}
