//! Time as the store sees it: a number that the caller passes in.

use std::time::Duration;

/// A point in time: milliseconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Moment(u64);

impl Moment {
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn millis(self) -> u64 {
        self.0
    }

    /// This moment and a while; stays at the end of time.
    pub fn after(self, while_: Duration) -> Self {
        let millis = u64::try_from(while_.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// A while before this moment; 1970 at least.
    pub fn before(self, while_: Duration) -> Self {
        let millis = u64::try_from(while_.as_millis()).unwrap_or(u64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// How long ago `earlier` was; nothing if it is still to come.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_neither_overflows_nor_runs_backwards() {
        let late = Moment::from_millis(u64::MAX - 1);
        assert_eq!(late.after(Duration::from_secs(9)), Moment::from_millis(u64::MAX));
        assert_eq!(late.after(Duration::MAX), Moment::from_millis(u64::MAX));
        assert_eq!(Moment::from_millis(5).since(Moment::from_millis(7)), Duration::ZERO);
        assert_eq!(Moment::from_millis(7).since(Moment::from_millis(5)), Duration::from_millis(2));
        assert_eq!(Moment::from_millis(7).before(Duration::from_millis(2)).millis(), 5);
        assert_eq!(Moment::from_millis(7).before(Duration::MAX).millis(), 0);
    }
}
