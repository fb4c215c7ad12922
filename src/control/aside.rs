//! Work that takes its time, once at a time: a disk may be slow, or hang, and
//! all else of the control plane goes on.

use std::future::Future;

use tokio::task::{JoinError, JoinSet};

/// The last piece of one kind of work.
#[derive(Debug, Default)]
pub(super) struct Aside {
    // Invariant: one at most.
    under_way: JoinSet<()>,
}

impl Aside {
    /// Begins `work`, which blocks, unless the last piece is still under way; says
    /// if that broke.
    pub(super) fn begin(&mut self, work: impl FnOnce() + Send + 'static) {
        if self.is_free() {
            self.under_way.spawn_blocking(work);
        }
    }

    /// As [`Self::begin`], for what waits and does not block.
    pub(super) fn begin_waiting(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        if self.is_free() {
            self.under_way.spawn(work);
        }
    }

    fn is_free(&mut self) -> bool {
        if let Some(error) = self.broken() {
            ::log::error!("work beside requests broke off, and is begun again: {error}");
        }
        self.under_way.is_empty()
    }

    /// Forgets the last piece if it has ended; why, if it did not get to its end.
    fn broken(&mut self) -> Option<JoinError> {
        self.under_way.try_join_next()?.err()
    }

    /// Waits for the last piece.
    #[cfg(test)]
    pub(super) async fn done(&mut self) {
        if let Some(work) = self.under_way.join_next().await {
            work.expect("it does not panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_that_broke_is_known_and_begun_again() {
        let mut aside = Aside::default();
        aside.begin(|| panic!("on purpose"));
        let error = loop {
            tokio::task::yield_now().await;
            if let Some(error) = aside.broken() {
                break error;
            }
        };
        assert!(error.is_panic() && aside.broken().is_none());
        aside.begin(|| {});
        aside.done().await;
    }

    #[tokio::test]
    async fn nobody_waits_for_work_and_it_does_not_pile_up() {
        let mut aside = Aside::default();
        let begun = Arc::new(AtomicU32::new(0));
        for (tries, expected) in [(3, 1), (1, 2)] {
            let (go_on, wait) = mpsc::channel::<()>();
            let mut wait = Some(wait);
            for _ in 0..tries {
                let (begun, wait) = (begun.clone(), wait.take());
                aside.begin(move || {
                    begun.fetch_add(1, Ordering::Relaxed);
                    // Until the sender is gone.
                    if let Some(wait) = wait {
                        wait.recv().ok();
                    }
                });
            }
            drop(go_on);
            aside.done().await;
            assert_eq!(begun.load(Ordering::Relaxed), expected);
        }
    }
}
