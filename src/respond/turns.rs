//! How many bodies may be compressed at the same time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An encoder holds 3 to 11 MiB for as long as its client takes to read, so
/// clients that read slowly could fill the memory; beyond these, bodies go as
/// they are.
const MOST: usize = 256;

/// Counts the encoders of a process.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    taken: AtomicUsize,
}

/// The right to one encoder, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn(Arc<Turns>);

impl Turns {
    /// `None` while all are taken.
    pub(super) fn take(self: &Arc<Self>) -> Option<Turn> {
        let one_more = |taken| (taken < MOST).then_some(taken + 1);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok()?;
        Some(Turn(self.clone()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_end_and_come_back() {
        let turns = Arc::new(Turns::default());
        let mut taken: Vec<_> = (0..MOST).map_while(|_| turns.take()).collect();
        assert_eq!(taken.len(), MOST);
        assert!(turns.take().is_none());
        taken.pop();
        assert!(turns.take().is_some());
    }
}
