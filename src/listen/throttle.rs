//! How fast an answer is sent: so much of it at once, and the rest at a rate.
//!
//! Who is waited for is ours alone, so nothing of such a wait is held against the client.

use std::time::Duration;

use tokio::time::Instant;

/// How many pieces a second what comes after the burst leaves in: often enough that a player does
/// not notice, and that a client which left is not waited for long.
const PIECES: u32 = 8;
/// How much of being late is made up for: timers ring late, and servers pause.
const LATE: Duration = Duration::from_secs(1).checked_div(PIECES).expect("not by 0");

/// What one answer may have sent.
#[derive(Debug)]
pub(super) struct Throttle {
    // What is left of what may be sent at once.
    burst: u64,
    // Bytes a second. Invariant: more than none.
    rate: u64,
    // When what was sent beyond the burst is paid for.
    free_at: Option<Instant>,
}

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// So many bytes may be sent now. Invariant: some.
    Now(usize),
    /// None before that.
    At(Instant),
}

impl Turn {
    /// Whatever there is may be sent.
    pub(super) const FREE: Turn = Turn::Now(usize::MAX);
}

impl Throttle {
    pub(super) fn new(burst: u64, rate: u64) -> Self {
        Throttle { burst, rate: rate.max(1), free_at: None }
    }

    pub(super) fn turn(&self, now: Instant) -> Turn {
        if self.burst > 0 {
            return Turn::Now(usize::try_from(self.burst).unwrap_or(usize::MAX));
        }
        match self.free_at {
            Some(at) if at > now => Turn::At(at),
            _ => {
                let piece = (self.rate / u64::from(PIECES)).max(1);
                Turn::Now(usize::try_from(piece).unwrap_or(usize::MAX))
            }
        }
    }

    /// So many bytes were sent, of what the turn was for.
    pub(super) fn sent(&mut self, bytes: usize, now: Instant) {
        let bytes = bytes as u64;
        let beyond = bytes.saturating_sub(self.burst);
        self.burst = self.burst.saturating_sub(bytes);
        if beyond > 0 {
            let late = now.checked_sub(LATE).unwrap_or(now);
            let from = self.free_at.map_or(now, |at| at.max(late));
            self.free_at =
                Some(from + Duration::from_secs(1).mul_f64(beyond as f64 / self.rate as f64));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Sends as much as may be until all is sent; how long that takes, and how much is sent at once.
    fn send(mut throttle: Throttle, mut left: usize) -> (Duration, usize) {
        let began = Instant::now();
        let (mut now, mut at_once) = (began, 0);
        while left > 0 {
            match throttle.turn(now) {
                Turn::Now(most) => {
                    let piece = most.min(left);
                    throttle.sent(piece, now);
                    left -= piece;
                    at_once += if now == began { piece } else { 0 };
                }
                Turn::At(at) => {
                    assert!(at > now, "it moves on");
                    now = at;
                }
            }
        }
        (now - began, at_once)
    }

    #[track_caller]
    fn check(burst: u64, rate: u64, bytes: usize, millis: u128, at_once: usize) {
        let (took, first) = send(Throttle::new(burst, rate), bytes);
        assert_eq!((took.as_millis(), first), (millis, at_once), "{burst} {rate} {bytes}");
    }

    #[test]
    fn the_burst_leaves_at_once_and_the_rest_at_the_rate() {
        check(1000, 80, 1000, 0, 1000);
        // The first piece beyond it waits for nothing, and the last is waited for by nobody.
        check(1000, 80, 1800, 9_875, 1010);
        check(0, 80, 800, 9_875, 10);
        check(0, 1, 10, 9_000, 1);
        check(5, 1, 10, 4_000, 6);
        check(0, 1 << 40, 1 << 20, 0, 1 << 20);
    }

    #[test]
    fn what_is_late_is_made_up_for_and_pauses_are_not() {
        let mut throttle = Throttle::new(0, 800);
        let now = Instant::now();
        throttle.sent(100, now);
        assert_eq!(throttle.turn(now), Turn::At(now + LATE));
        // A timer that rings late.
        let late = now + LATE + Duration::from_millis(25);
        throttle.sent(100, late);
        assert_eq!(throttle.turn(late), Turn::At(now + 2 * LATE));
        // A server that paused for a minute.
        let paused = now + 60 * SECOND;
        throttle.sent(100, paused);
        assert_eq!(throttle.turn(paused), Turn::Now(100));
        throttle.sent(100, paused);
        assert_eq!(throttle.turn(paused), Turn::At(paused + LATE));
    }

    #[test]
    fn what_is_taken_in_parts_counts_as_it_is_taken() {
        let mut throttle = Throttle::new(10, 80);
        let now = Instant::now();
        throttle.sent(4, now);
        assert_eq!(throttle.turn(now), Turn::Now(6));
        throttle.sent(14, now);
        assert_eq!(throttle.turn(now), Turn::At(now + SECOND / 10));
    }
}
