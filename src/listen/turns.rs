//! In which order handshakes are worked on.
//!
//! A handshake costs a worker as much as a dozen requests, and a stranger a few
//! bytes. So those of strangers are worked on one by one, and between two of them
//! all that is ready goes first: requests, and handshakes of clients that were
//! served lately, which wait for nobody.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::yield_now;

/// Strangers that may wait for a worker; more would wait for a second and longer.
const MOST_WAITING: usize = 1000;

/// The turns of one worker.
#[derive(Debug)]
pub(super) struct Turns {
    one: Semaphore,
    waiting: AtomicUsize,
}

/// Too many wait already.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many handshakes")]
pub(super) struct Crowded;

impl Turns {
    pub(super) fn new() -> Self {
        Turns { one: Semaphore::new(1), waiting: AtomicUsize::new(0) }
    }

    /// The turn of a stranger, which ends when it is dropped.
    pub(super) async fn of_stranger(&self) -> Result<SemaphorePermit<'_>, Crowded> {
        let waits = Waits::among(&self.waiting);
        if waits.before >= MOST_WAITING {
            return Err(Crowded);
        }
        // It is never closed.
        let turn = self.one.acquire().await.map_err(|_| Crowded)?;
        yield_now().await;
        Ok(turn)
    }
}

/// One that waits; who is gone does not.
struct Waits<'a> {
    waiting: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waits<'a> {
    fn among(waiting: &'a AtomicUsize) -> Self {
        Waits { waiting, before: waiting.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures::future::{join_all, select};
    use futures::{FutureExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn between_two_strangers_goes_what_is_ready() {
        let turns = Turns::new();
        let done = RefCell::new(Vec::new());
        let strangers = (0..3).map(async |_| {
            let _turn = turns.of_stranger().await.unwrap();
            done.borrow_mut().push("stranger");
        });
        let others = async {
            for _ in 0..3 {
                done.borrow_mut().push("other");
                yield_now().await;
            }
        };
        // Strangers are polled first, and yet do not go first.
        let strangers: Vec<_> = strangers.map(Box::pin).collect();
        let all = join_all(strangers.into_iter().map(|it| it.boxed_local()));
        select(std::pin::pin!(all), std::pin::pin!(others.then(|()| std::future::pending::<()>())))
            .await;
        assert_eq!(done.borrow()[..3], ["other", "stranger", "other"]);
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let turns = Turns::new();
        let mut waiting: Vec<_> =
            (0..MOST_WAITING).map(|_| Box::pin(turns.of_stranger())).collect();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        assert_eq!(turns.of_stranger().await.unwrap_err(), Crowded);
        waiting.pop();
        let mut again = Box::pin(turns.of_stranger());
        assert!(poll!(&mut again).is_pending(), "there is room again");
        drop(waiting);
        assert!(again.await.is_ok());
    }
}
