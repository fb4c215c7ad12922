//! How long a server takes to answer: an average that peaks at once and sinks slowly.
//!
//! A slower answer replaces the average, quicker ones pull it down over some
//! seconds, and silence lets it sink, so that a slow server is tried again
//! (the peak EWMA of Finagle).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// After this many milliseconds a third of the old figure is left.
const DECAY_MS: f32 = 10_000.0;
/// No figure is smaller, so that zero bits can mean "never measured".
const LEAST_MS: f32 = 0.001;
/// No figure is larger: the way back from any figure ends.
const MOST_MS: f32 = 60_000.0;

/// The average of one server; times are milliseconds of the server's age.
// Upper half: the figure in milliseconds, an f32. Lower half: when it was true,
// wrapping after 49 days. Together they change as one, without a lock.
#[derive(Debug, Default)]
pub(super) struct Latency(AtomicU64);

impl Latency {
    pub(super) fn observe(&self, age_ms: u64, took: Duration) {
        let took = took.as_secs_f32() * 1000.0;
        self.update(age_ms, |figure, kept| match figure {
            Some(figure) if took < figure => figure * kept + took * (1.0 - kept),
            _ => took,
        });
    }

    /// Counts a failure as twice the figure: failing fast must not look fast.
    pub(super) fn fail(&self, age_ms: u64) {
        self.update(age_ms, |figure, _| figure.unwrap_or(1.0).max(1.0) * 2.0);
    }

    /// The average in milliseconds, or `None` before the first answer.
    pub(super) fn at(&self, age_ms: u64) -> Option<f32> {
        let (figure, since) = unpack(self.0.load(Ordering::Relaxed))?;
        Some((figure * kept(since, age_ms)).max(LEAST_MS))
    }

    /// `change` gets the figure and the share of it that the time since left.
    fn update(&self, age_ms: u64, change: impl Fn(Option<f32>, f32) -> f32) {
        let updated = |bits| {
            let (figure, kept, now) = match unpack(bits) {
                Some((figure, since)) => (Some(figure), kept(since, age_ms), latest(since, age_ms)),
                None => (None, 1.0, age_ms as u32),
            };
            let figure = change(figure, kept).clamp(LEAST_MS, MOST_MS);
            Some(u64::from(figure.to_bits()) << 32 | u64::from(now))
        };
        // Cannot fail: `updated` always has a value.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, updated).ok();
    }
}

fn unpack(bits: u64) -> Option<(f32, u32)> {
    (bits != 0).then(|| (f32::from_bits((bits >> 32) as u32), bits as u32))
}

/// The share of a figure that is left at `age_ms`.
fn kept(since: u32, age_ms: u64) -> f32 {
    let passed = latest(since, age_ms).wrapping_sub(since);
    (-(passed as f32) / DECAY_MS).exp()
}

/// The later of both times: another thread's clock reading may be a little ahead.
fn latest(since: u32, age_ms: u64) -> u32 {
    let now = age_ms as u32;
    if now.wrapping_sub(since) > u32::MAX / 2 { since } else { now }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(figure: Option<f32>, expected: f32) {
        let figure = figure.expect("measured");
        assert!((figure - expected).abs() < expected * 0.01, "{figure} is not {expected}");
    }

    #[test]
    fn peaks_at_once_and_sinks_slowly() {
        let latency = Latency::default();
        assert_eq!(latency.at(0), None);
        latency.observe(0, Duration::from_millis(2));
        latency.observe(0, Duration::from_millis(100));
        near(latency.at(0), 100.0);
        latency.observe(1_000, Duration::from_millis(10));
        near(latency.at(1_000), 100.0 * 0.9048 + 10.0 * 0.0952);
        near(latency.at(11_000), (100.0 * 0.9048 + 10.0 * 0.0952) / std::f32::consts::E);
    }

    #[test]
    fn failing_fast_is_not_fast() {
        let latency = Latency::default();
        latency.fail(0);
        latency.fail(0);
        near(latency.at(0), 4.0);
        for _ in 0..100 {
            latency.fail(0);
        }
        near(latency.at(0), 60_000.0);
    }

    #[test]
    fn an_older_clock_reading_changes_nothing_back() {
        let latency = Latency::default();
        latency.observe(500, Duration::from_millis(10));
        latency.observe(400, Duration::from_millis(5));
        near(latency.at(400), 10.0);
        near(latency.at(500), 10.0);
    }

    #[test]
    fn survives_49_days() {
        let latency = Latency::default();
        let before = u64::from(u32::MAX) - 500;
        latency.observe(before, Duration::from_millis(10));
        near(latency.at(before + 1_000), 10.0 * 0.9048);
    }
}
