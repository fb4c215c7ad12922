//! Whether a client moves as many bytes as its listener asks, while it is the
//! one that is waited for.
//!
//! Time in which nobody waits for the client counts for nothing: a server that
//! thinks, or an answer that has not come yet. What a client owes is how long
//! it was waited for beyond what its bytes would take at the least rate. It may
//! owe as long as it may be silent, so that a phone in a tunnel is not cut.

use std::time::Duration;

use tokio::time::Instant;

use super::listener::Listener;

/// What a client may owe at least, however short its other time-outs are.
const GRACE: Duration = Duration::from_secs(10);

/// The client moves fewer bytes than it has to.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the client is slower than limits.min_rate")]
pub(crate) struct TooSlow;

/// The least rate, and how much time a client may owe.
#[derive(Debug, Clone, Copy)]
pub(super) struct Least {
    // What one byte pays for.
    per_byte: Duration,
    grace: Duration,
}

impl Least {
    /// What is asked of who sends a body.
    pub(super) fn of_bodies(listener: &Listener) -> Option<Least> {
        Least::new(listener, listener.timeouts.body.0)
    }

    /// What is asked of who reads an answer.
    pub(super) fn of_answers(listener: &Listener) -> Option<Least> {
        Least::new(listener, listener.timeouts.write.0)
    }

    /// What is asked of each of `count` that share a connection.
    pub(super) fn among(self, count: usize) -> Least {
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        Least { per_byte: self.per_byte.saturating_mul(count), ..self }
    }

    fn new(listener: &Listener, silence: Duration) -> Option<Least> {
        let rate = listener.limits.min_rate.set()?;
        let per_byte = Duration::from_secs(1).div_f64(rate.0.max(1) as f64);
        Some(Least { per_byte, grace: silence.max(GRACE) })
    }

    fn time_for(&self, bytes: usize) -> Duration {
        self.per_byte.saturating_mul(u32::try_from(bytes).unwrap_or(u32::MAX))
    }
}

/// What one client owes in one direction.
#[derive(Debug, Default)]
pub(super) struct Speed {
    owed: Duration,
    // When the current wait began.
    since: Option<Instant>,
}

impl Speed {
    /// The client is waited for; when that will have been too long.
    pub(super) fn wait(&mut self, least: Least) -> Instant {
        let since = *self.since.get_or_insert_with(Instant::now);
        since + least.grace.saturating_sub(self.owed)
    }

    /// The client moved this much, and is no longer waited for.
    pub(super) fn moved(&mut self, bytes: usize, least: Least) {
        self.stop();
        if !self.owed.is_zero() {
            self.owed = self.owed.saturating_sub(least.time_for(bytes));
        }
    }

    /// When the current wait will have been too long.
    pub(super) fn late_at(&self, least: Least) -> Option<Instant> {
        Some(self.since? + least.grace.saturating_sub(self.owed))
    }

    /// Begins a wait that ends with what is returned.
    pub(super) fn begin(&mut self, least: Option<Least>) -> Wait<'_> {
        self.since = least.map(|_| Instant::now());
        Wait { speed: self, least }
    }

    /// The client is no longer waited for.
    pub(super) fn stop(&mut self) {
        if let Some(since) = self.since.take() {
            self.owed += since.elapsed();
        }
    }
}

/// One wait for a client; dropped, it was in vain.
pub(super) struct Wait<'a> {
    speed: &'a mut Speed,
    // None where nothing is asked of the client.
    least: Option<Least>,
}

impl Wait<'_> {
    /// How long it may take.
    pub(super) fn left(&self) -> Option<Duration> {
        self.least.map(|least| least.grace.saturating_sub(self.speed.owed))
    }

    /// The client moved this much.
    pub(super) fn moved(self, bytes: usize) {
        if let Some(least) = self.least {
            self.speed.moved(bytes, least);
        }
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.speed.stop();
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::super::listener::Config;
    use super::*;
    use crate::units::Period;

    const SECOND: Duration = Duration::from_secs(1);
    /// 200 B/s, and 30 s of grace.
    const LEAST: Least =
        Least { per_byte: Duration::from_millis(5), grace: Duration::from_secs(30) };

    /// Waits this long for each of these many bytes; how many waits there were
    /// until it was too late.
    async fn waits(least: Least, each: Duration, bytes: usize) -> Option<u32> {
        let mut speed = Speed::default();
        for wait in 1..=1000 {
            let late_at = speed.wait(least);
            assert_eq!(speed.late_at(least), Some(late_at));
            advance(each).await;
            if Instant::now() >= late_at {
                return Some(wait);
            }
            speed.moved(bytes, least);
            assert_eq!(speed.late_at(least), None, "nobody waits");
        }
        None
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_as_fast_as_asked_is_never_late() {
        assert_eq!(waits(LEAST, SECOND, 200).await, None);
        assert_eq!(
            waits(LEAST, 29 * SECOND, 29 * 200).await,
            None,
            "in pieces, and silent between"
        );
        assert_eq!(waits(LEAST, SECOND, 100_000).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slower_has_its_grace_and_no_more() {
        assert_eq!(waits(LEAST, SECOND, 1).await, Some(31));
        assert_eq!(waits(LEAST, SECOND, 100).await, Some(59), "half as fast, twice as long");
        assert_eq!(waits(LEAST, 30 * SECOND, 1_000_000).await, Some(1), "silence");
        assert_eq!(waits(LEAST.among(2), SECOND, 100).await, None, "two share what is asked");
    }

    #[test]
    fn a_client_may_owe_as_long_as_it_may_be_silent_there() {
        for (body, write, expected) in [(40, 20, (40, 20)), (1, 2, (10, 10))] {
            let mut config = Config::<()> { address: "127.0.0.1:1".into(), ..Config::default() };
            config.timeouts.body = Period::from_secs(body);
            config.timeouts.write = Period::from_secs(write);
            let listener = Listener::new(&config).unwrap();
            let grace = |least: Option<Least>| least.expect("a rate").grace.as_secs();
            let found = (Least::of_bodies(&listener), Least::of_answers(&listener));
            assert_eq!((grace(found.0), grace(found.1)), expected);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_saved_up() {
        let mut speed = Speed::default();
        speed.wait(LEAST);
        advance(SECOND).await;
        speed.moved(10_000_000, LEAST);
        let late_at = speed.wait(LEAST);
        assert_eq!(late_at, Instant::now() + LEAST.grace);
    }

    #[tokio::test(start_paused = true)]
    async fn only_waits_count() {
        let mut speed = Speed::default();
        for _ in 0..100 {
            let wait = speed.begin(Some(LEAST));
            assert!(wait.left() > Some(Duration::ZERO));
            wait.moved(1);
            // The server's turn.
            advance(60 * SECOND).await;
        }
        assert!(speed.owed.is_zero());
        // A wait that was given up counts as far as it came.
        let wait = speed.begin(Some(LEAST));
        advance(SECOND).await;
        drop(wait);
        advance(SECOND).await;
        assert_eq!(speed.begin(Some(LEAST)).left(), Some(LEAST.grace - SECOND));
        assert_eq!(speed.begin(None).left(), None);
    }
}
