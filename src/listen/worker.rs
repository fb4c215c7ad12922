//! What serves connections.
//!
//! A worker is a thread with a runtime, a pingora proxy and a pool of upstream
//! connections of its own: nothing on the path of a request crosses threads.
//! The thread beside it does what must not keep requests waiting.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::idle::Idle;
use super::lane::{Driver, Lane};
use super::listener::Listener;
use super::seats::{Seat, Seats};
use super::shutdown::Shutdown;
use super::welcome::welcome;
use super::{App, Beat, Door, Event};

/// A worker as seen from outside.
pub(super) struct Worker {
    // Bounded by the seats: who arrives has taken one.
    queue: mpsc::UnboundedSender<Arrived>,
    load: Arc<AtomicUsize>,
}

/// A connection on its way to a worker.
struct Arrived {
    stream: TcpStream,
    peer: SocketAddr,
    listener: Arc<Listener>,
    seat: Seat,
    load: Load,
}

/// One connection's part of its worker's load.
struct Load(Arc<AtomicUsize>);

impl Load {
    fn on(worker: &Worker) -> Self {
        worker.load.fetch_add(1, Ordering::Relaxed);
        Load(worker.load.clone())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The thread of the worker is gone.
#[derive(Debug)]
pub(super) struct Gone;

impl Worker {
    /// Returns once it waits for connections; `driver` is that of its lane.
    #[expect(clippy::disallowed_methods, reason = "connections are what this room starts")]
    pub(super) async fn start<D: Door, A: App>(
        index: usize,
        inner: Inner<D, A>,
        driver: Driver,
    ) -> io::Result<Worker> {
        let (queue, arrivals) = mpsc::unbounded_channel();
        let (tell, told) = oneshot::channel::<io::Result<Handle>>();
        // The runtime is made where it may be dropped again.
        let run = move || match runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => match tell.send(Ok(runtime.handle().clone())) {
                Ok(()) => runtime.block_on(inner.serve(index, arrivals)),
                Err(_) => ::log::debug!("worker {index} is not needed any more"),
            },
            Err(error) => drop(tell.send(Err(error))),
        };
        std::thread::Builder::new().name(format!("worker-{index}")).spawn(run)?;
        let handle = told.await.map_err(io::Error::other)??;
        let drive = move || driver.drive(&handle);
        std::thread::Builder::new().name(format!("lane-{index}")).spawn(drive)?;
        Ok(Worker { queue, load: Arc::default() })
    }

    pub(super) fn is_gone(&self) -> bool {
        self.queue.is_closed()
    }

    /// The connections that it serves.
    pub(super) fn load(&self) -> usize {
        self.load.load(Ordering::Relaxed)
    }

    pub(super) fn give(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        listener: &Arc<Listener>,
        seat: Seat,
    ) -> Result<(), Gone> {
        let arrived =
            Arrived { stream, peer, listener: listener.clone(), seat, load: Load::on(self) };
        self.queue.send(arrived).map_err(|_| Gone)
    }
}

/// What runs on a worker's thread.
pub(super) struct Inner<D, A> {
    pub(super) door: Arc<D>,
    pub(super) app: Arc<A>,
    pub(super) shutdown: Shutdown,
    pub(super) seats: Arc<Seats>,
    pub(super) lane: Lane,
}

impl<D: Door, A: App> Inner<D, A> {
    #[expect(clippy::disallowed_methods, reason = "connections are what this room starts")]
    async fn serve(self, index: usize, mut arrivals: mpsc::UnboundedReceiver<Arrived>) {
        let inner = Arc::new(self);
        if let Some(pulse) = inner.door.pulse() {
            tokio::spawn(beat(inner.door.clone(), index, pulse));
        }
        while let Some(arrived) = arrivals.recv().await {
            let Arrived { stream, peer, listener, seat, load } = arrived;
            let inner = inner.clone();
            tokio::spawn(async move {
                let lost = seat.lost();
                // Moved, it would be kept twice for as long as it lasts.
                let connection = pin!(welcome(stream, peer, &listener, seat, &*inner));
                inner.shutdown.bound(connection, lost).await;
                inner.door.count(&listener, Event::Closed);
                drop(load);
            });
        }
        // Nobody arrives any more; who is here is served to the end.
        inner.seats.all_free().await;
    }
}

/// Says again and again how late the worker is: how long a task that is ready
/// has waited for its turn, and so what has arrived, to be read. And how long it
/// had nothing to do. For as long as the runtime is there.
async fn beat<D: Door>(door: Arc<D>, worker: usize, pulse: Duration) {
    let mut idle = Idle::of_this_thread();
    loop {
        let due = Instant::now() + pulse;
        tokio::time::sleep_until(due).await;
        door.beat(worker, &Beat { late: due.elapsed(), idle: idle.since() });
    }
}

/// Serves one connection on the runtime of the caller, whose clock may stand
/// still; workers have runtimes of their own.
#[cfg(test)]
pub(crate) async fn serve_here<D: Door, A: App>(
    stream: TcpStream,
    peer: SocketAddr,
    listener: Arc<Listener>,
    door: Arc<D>,
    app: Arc<A>,
    shutdown: Shutdown,
) {
    let seats = Seats::new(super::Bounds { connections: 1, per_client: 1 });
    let seat = seats.take(peer.ip(), super::seats::Who::Client).expect("the first one");
    // Without its thread: no clock stands still there. So there is no TLS.
    let (lane, _) = Lane::new();
    let inner = Inner { door, app, shutdown, seats, lane };
    welcome(stream, peer, &listener, seat, &inner).await;
}

/// Starts serving one h2 stream on the current worker.
#[expect(clippy::disallowed_methods, reason = "streams are what this room starts")]
pub(super) fn spawn_stream(stream: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(stream);
}

/// Starts waiting for a client to receive the end of its connection; its time
/// is bounded, and it needs a runtime, which every connection runs on.
#[expect(clippy::disallowed_methods, reason = "it outlives the connection, which this room starts")]
pub(super) fn spawn_linger(linger: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        runtime.spawn(linger);
    }
}
