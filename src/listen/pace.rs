//! How far a server's answer may run ahead of a client that takes nothing.
//!
//! Pingora reads the server and writes to the client side by side in one task,
//! and has room for some 640 KiB between them; a client may have hundreds of
//! answers sent and read none of them. So from the moment that a write
//! waits for the client, the exchange is polled for the client's sake alone.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use tokio::task::coop;

use super::connection::Exchange;

/// More than a task may do between two turns (tokio's budget is 128).
const BUDGET: usize = 256;

/// Whether a client takes what it is sent, of one stream or connection.
#[derive(Debug, Default)]
pub(super) struct Pace {
    // A write waits for the client.
    stands: AtomicBool,
    // What the write waits for has happened.
    moved: AtomicBool,
    task: AtomicWaker,
}

/// Called for what a write waits for: room, or its deadline.
impl Wake for Pace {
    fn wake(self: Arc<Self>) {
        self.moved.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Pace {
    /// The outcome of `write`, during which nothing else of its exchange runs.
    pub(super) async fn keep<T>(self: &Arc<Self>, write: impl Future<Output = T>) -> T {
        let mut write = pin!(write);
        let _ends = Ends(self);
        std::future::poll_fn(|cx| self.poll(cx, |cx| write.as_mut().poll(cx))).await
    }

    /// Polls a write, beside which nothing else of its exchange runs while it waits.
    ///
    /// A write that is given up is forgotten when the exchange is polled again;
    /// whoever gives one up and then waits for other things calls [`Pace::forget`].
    pub(super) fn poll<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        write: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.task.register(cx.waker());
        let waker = Waker::from(self.clone());
        // It is never out of turns: those that are spent are the others'.
        let write = pin!(coop::unconstrained(std::future::poll_fn(write)));
        let written = write.poll(&mut Context::from_waker(&waker));
        self.stands.store(written.is_pending(), Ordering::Release);
        if written.is_pending() {
            spend_turns(cx);
        }
        written
    }

    /// No write waits any more.
    pub(super) fn forget(&self) {
        self.stands.store(false, Ordering::Release);
    }

    pub(super) fn stands(&self) -> bool {
        self.stands.load(Ordering::Acquire)
    }

    fn take_moved(&self) -> bool {
        self.moved.swap(false, Ordering::AcqRel)
    }
}

/// Nothing waits any more once a write has ended, or was given up.
struct Ends<'a>(&'a Pace);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.forget();
    }
}

/// Runs an exchange at the pace of its client.
pub(super) struct Paced<F> {
    answered: F,
    pace: Arc<Pace>,
    exchange: Arc<Exchange>,
}

impl<F: Future + Unpin> Paced<F> {
    /// `answered` serves `exchange` and keeps `pace`.
    pub(super) fn new(answered: F, pace: Arc<Pace>, exchange: Arc<Exchange>) -> Self {
        Paced { answered, pace, exchange }
    }

    /// Whether something else than the server's side has happened.
    fn is_due(&self) -> bool {
        self.pace.take_moved() || self.exchange.is_cut() || self.exchange.is_over()
    }
}

impl<F: Future + Unpin> Future for Paced<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        if self.pace.stands() {
            // Whatever else may have happened is still there afterwards.
            if !self.is_due() {
                return Poll::Pending;
            }
            // The write says so again if it still waits.
            self.pace.forget();
            // The server's side may come before the write.
            spend_turns(cx);
        }
        Pin::new(&mut self.answered).poll(cx)
    }
}

/// Lets every read of a server wait for the next turn of this task.
fn spend_turns(cx: &mut Context<'_>) {
    for _ in 0..BUDGET {
        if !coop::has_budget_remaining() {
            return;
        }
        match coop::poll_proceed(cx) {
            Poll::Ready(turn) => turn.made_progress(),
            Poll::Pending => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use futures::future::join;
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::super::connection::Connection;
    use super::super::listener::{Config, Listener};
    use super::super::seats::{Bounds, Seats, Who};
    use super::*;

    fn exchange() -> Arc<Exchange> {
        let config = Config::<()> { address: "127.0.0.1:1".into(), ..Config::default() };
        let listener = Arc::new(Listener::new(&config).unwrap());
        let peer = listener.address;
        let seats = Seats::new(Bounds { connections: 1, per_client: 1 });
        let seat = seats.take(peer.ip(), Who::Client).unwrap();
        Exchange::new(Connection::new(listener, peer, None, seat), Instant::now())
    }

    #[test]
    fn who_waits_for_a_client_runs_for_nothing_else() {
        let (exchange, pace) = (exchange(), Arc::<Pace>::default());
        let (room, write) = oneshot::channel::<()>();
        let turns = AtomicUsize::new(0);
        let others = std::future::poll_fn(|_| {
            turns.fetch_add(1, Ordering::Relaxed);
            Poll::<()>::Pending
        });
        let answered = pin!(join(pace.keep(write), others));
        let mut paced = Paced::new(answered, pace.clone(), exchange);
        let mut poll_twice = || {
            let mut cx = Context::from_waker(Waker::noop());
            for _ in 0..2 {
                assert!(Pin::new(&mut paced).poll(&mut cx).is_pending());
            }
            turns.load(Ordering::Relaxed)
        };
        assert_eq!(poll_twice(), 1, "the write stands");
        room.send(()).unwrap();
        assert_eq!(poll_twice(), 3, "and no longer does");
    }

    #[test]
    fn a_write_that_is_given_up_stands_no_more() {
        let (exchange, pace) = (exchange(), Arc::<Pace>::default());
        let mut write = Some(Box::pin(pace.keep(std::future::pending::<()>())));
        let answered = std::future::poll_fn(|cx| match write.take() {
            Some(mut write) => {
                assert!(write.as_mut().poll(cx).is_pending());
                assert!(pace.stands());
                Poll::Pending
            }
            None => Poll::Ready(()),
        });
        let mut paced = Paced::new(answered, pace.clone(), exchange);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut paced).poll(&mut cx).is_pending());
        assert!(Pin::new(&mut paced).poll(&mut cx).is_ready(), "nothing would wake it");
    }

    #[tokio::test]
    async fn a_server_is_not_read_beside_a_write_that_waits() {
        let (exchange, pace) = (exchange(), Arc::<Pace>::default());
        let (server, mut sent) = tokio::sync::mpsc::unbounded_channel();
        (0..100).for_each(|piece| server.send(piece).unwrap());
        let mut read = 0;
        let reads = async {
            while sent.recv().await.is_some() {
                read += 1;
            }
        };
        let writes = pace.keep(std::future::pending::<()>());
        let mut paced = Paced::new(Box::pin(join(writes, reads)), pace.clone(), exchange);
        std::future::poll_fn(|cx| {
            assert!(Pin::new(&mut paced).poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(paced);
        assert_eq!(read, 0);
    }

    #[test]
    fn an_exchange_that_is_cut_hears_of_it() {
        let (exchange, pace) = (exchange(), Arc::<Pace>::default());
        let write = std::future::poll_fn(|_| match exchange.is_cut() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        let mut paced = Paced::new(Box::pin(pace.keep(write)), pace.clone(), exchange.clone());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut paced).poll(&mut cx).is_pending());
        exchange.cut();
        assert!(Pin::new(&mut paced).poll(&mut cx).is_ready());
    }
}
