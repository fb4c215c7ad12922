//! Where the costly part of a stranger's handshake is done.
//!
//! A handshake costs as much as a dozen requests, and a stranger a few bytes. So
//! those of strangers are worked on one after the other, by a thread beside each
//! worker that gives way to all workers: what is served goes first, and so do
//! handshakes of clients that were served lately, which the worker does itself.

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

/// Strangers that may wait; more would wait for a second and longer.
const MOST_WAITING: usize = 1000;
/// By how much the thread is nicer than its worker: it gets about a tenth of
/// what that gets while both want a processor, so strangers still come in.
const NICER: i32 = 10;
/// The most that there is (setpriority(2)).
const NICEST: i32 = 19;

type Work = Box<dyn FnOnce() + Send>;

/// The way to the thread beside a worker.
#[derive(Debug)]
pub(super) struct Lane {
    queue: mpsc::Sender<Work>,
}

/// What that thread runs; it ends with its lane.
#[derive(Debug)]
pub(super) struct Driver {
    queue: mpsc::Receiver<Work>,
}

/// Too many wait already.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many handshakes")]
pub(super) struct Crowded;

impl Lane {
    pub(super) fn new() -> (Lane, Driver) {
        let (queue, works) = mpsc::channel(MOST_WAITING);
        (Lane { queue }, Driver { queue: works })
    }

    /// What `work` gives, once its turn has come; it is not done for who has left
    /// by then.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Crowded> {
        let (tell, told) = oneshot::channel();
        let work = move || {
            if !tell.is_closed() {
                // Who leaves meanwhile needs no answer.
                drop(tell.send(work()));
            }
        };
        self.queue.try_send(Box::new(work)).map_err(|_| Crowded)?;
        // It is dropped unanswered only if the thread is gone.
        told.await.map_err(|_| Crowded)
    }
}

impl Driver {
    /// Does what comes, until the lane is gone; timers are those of `worker`.
    pub(super) fn drive(mut self, worker: &Handle) {
        give_way();
        let _timers = worker.enter();
        while let Some(work) = self.queue.blocking_recv() {
            work();
        }
    }
}

/// Lets all other threads go first.
fn give_way() {
    let nicer = |now: i32| rustix::process::setpriority_process(None, (now + NICER).min(NICEST));
    if let Err(error) = rustix::process::getpriority_process(None).and_then(nicer) {
        ::log::warn!("handshakes of strangers do not give way to requests: {error}");
    }
}

#[cfg(test)]
mod tests {

    use futures::poll;
    use rustix::process::getpriority_process;
    use tokio::task::{JoinHandle, spawn_blocking};

    use super::*;

    fn drive(driver: Driver) -> JoinHandle<()> {
        let worker = Handle::current();
        spawn_blocking(move || driver.drive(&worker))
    }

    #[tokio::test]
    async fn its_thread_gives_way() {
        let (lane, driver) = Lane::new();
        let driven = drive(driver);
        let of_lane = lane.run(|| getpriority_process(None)).await.unwrap().unwrap();
        let ours = getpriority_process(None).unwrap();
        assert_eq!(of_lane, (ours + NICER).min(NICEST));
        drop(lane);
        assert!(driven.await.is_ok(), "it ends with its lane");
    }

    #[tokio::test]
    async fn nothing_is_done_for_who_has_left() {
        let (lane, driver) = Lane::new();
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut waiting: Vec<_> = (0..3)
            .map(|number| {
                let tell = tell.clone();
                Box::pin(lane.run(move || tell.send(number).unwrap()))
            })
            .collect();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        drop(waiting.remove(1));
        let driven = drive(driver);
        for wait in waiting {
            wait.await.unwrap();
        }
        drop((lane, tell));
        driven.await.unwrap();
        let mut done = Vec::new();
        while let Some(number) = told.recv().await {
            done.push(number);
        }
        assert_eq!(done, [0, 2]);
    }

    #[tokio::test]
    async fn so_many_wait_and_no_more() {
        let (lane, driver) = Lane::new();
        let mut waiting: Vec<_> = (0..MOST_WAITING).map(|_| Box::pin(lane.run(|| ()))).collect();
        for wait in &mut waiting {
            assert!(poll!(wait).is_pending());
        }
        assert_eq!(lane.run(|| ()).await, Err(Crowded));
        drop(driver);
        assert_eq!(waiting.remove(0).await, Err(Crowded), "there is nobody to do it");
    }
}
