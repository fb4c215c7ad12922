//! A moment that the caller read from its clock; the policy has none.

use std::time::Duration;

/// Milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(u64);

impl Moment {
    pub(crate) const fn from_millis(millis: u64) -> Self {
        Moment(millis)
    }

    pub(crate) const fn millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` until then; zero if `earlier` is later.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment that much later; the last there is, at most.
    pub(crate) fn after(self, span: Duration) -> Moment {
        Moment(self.0.saturating_add(millis(span)))
    }

    /// The moment that much earlier; 1970, at least.
    pub(crate) fn before(self, span: Duration) -> Moment {
        Moment(self.0.saturating_sub(millis(span)))
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_neither_overflow_nor_go_below_zero() {
        let (early, late) = (Moment::from_millis(5), Moment::from_millis(u64::MAX));
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(late.since(early), Duration::from_millis(u64::MAX - 5));
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(early.before(Duration::MAX).millis(), 0);
        assert_eq!(early.after(Duration::from_millis(2)).millis(), 7);
    }
}
