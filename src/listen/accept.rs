//! Accepts connections and spreads them over the workers.
//!
//! One socket per address, accepted from by one task, which gives each
//! connection to the worker with the fewest.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::server::{ListenFds, ShutdownWatch};
use pingora::services::Service;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::complaint::Complaint;
use super::lane::Lane;
use super::listener::Listener;
use super::seats::{Seat, Seats, Who};
use super::shutdown::Shutdown;
use super::worker::{Inner, Worker};
use super::{App, Door, Event};

/// How long accepting rests when the process has run out of descriptors.
const OUT_OF_DESCRIPTORS: Duration = Duration::from_millis(100);

/// No more than a backlog holds: who comes after may be a successor's to accept.
const MOST_WAITING: usize = u16::MAX as usize;

/// A listener and its socket.
#[derive(Debug, Clone)]
pub(crate) struct Opened {
    pub(crate) listener: Arc<Listener>,
    pub(crate) socket: Arc<TcpListener>,
}

/// All listeners, as a pingora service.
pub(crate) struct Edge<D, A> {
    opened: Vec<Opened>,
    seats: Arc<Seats>,
    door: Arc<D>,
    // One for each worker; emptied when the service starts.
    apps: Vec<Arc<A>>,
    shutdown: Shutdown,
    serving: Option<watch::Sender<Serving>>,
}

/// Whether listeners accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Serving {
    NotYet,
    /// Every one does.
    Now,
    /// None does any more.
    Over,
    /// None ever will: there is nobody to serve what they would accept.
    Never,
}

impl<D: Door, A: App> Edge<D, A> {
    /// `apps` holds one application a worker.
    pub(crate) fn new(
        opened: Vec<Opened>,
        seats: Arc<Seats>,
        door: Arc<D>,
        apps: Vec<Arc<A>>,
        shutdown: Shutdown,
    ) -> Self {
        Edge { opened, seats, door, apps, shutdown, serving: None }
    }

    /// Says on `serving` whether listeners accept.
    pub(crate) fn announce(mut self, serving: watch::Sender<Serving>) -> Self {
        self.serving = Some(serving);
        self
    }

    /// Says it, unless it is known that nobody will ever be served.
    fn say(&self, what: Serving) {
        if let Some(serving) = &self.serving {
            serving.send_if_modified(|said| {
                let may_change = *said != Serving::Never;
                if may_change {
                    *said = what;
                }
                may_change
            });
        }
    }

    /// Starts every worker, or fails: fewer than were asked for would bear a
    /// load that nobody planned.
    async fn start_workers(&mut self) -> io::Result<Vec<Worker>> {
        let mut workers = Vec::with_capacity(self.apps.len());
        for (index, app) in std::mem::take(&mut self.apps).into_iter().enumerate() {
            let (door, shutdown) = (self.door.clone(), self.shutdown.clone());
            let (lane, driver) = Lane::new();
            let inner = Inner { door, app, shutdown, seats: self.seats.clone(), lane };
            workers.push(Worker::start(index, inner, driver).await?);
        }
        Ok(workers)
    }
}

#[async_trait]
impl<D: Door, A: App> Service for Edge<D, A> {
    async fn start_service(&mut self, _: Option<ListenFds>, _: ShutdownWatch, _: usize) {
        let workers: Arc<[Worker]> = match self.start_workers().await {
            Ok(workers) => workers.into(),
            Err(error) => {
                ::log::error!("nothing is served, a worker cannot start: {error}");
                self.opened.clear();
                return self.say(Serving::Never);
            }
        };
        let mut accepting = JoinSet::new();
        for opened in self.opened.drain(..) {
            let acceptor = Acceptor {
                opened,
                seats: self.seats.clone(),
                door: self.door.clone(),
                workers: workers.clone(),
                shutdown: self.shutdown.clone(),
            };
            accepting.spawn(acceptor.run());
        }
        self.say(Serving::Now);
        while accepting.join_next().await.is_some() {}
        self.say(Serving::Over);
    }

    fn name(&self) -> &str {
        "edge"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    // Our sockets are handed over by `control`, not by pingora.
    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}

/// Accepts from one socket.
struct Acceptor<D> {
    opened: Opened,
    seats: Arc<Seats>,
    door: Arc<D>,
    workers: Arc<[Worker]>,
    shutdown: Shutdown,
}

impl<D: Door> Acceptor<D> {
    async fn run(self) {
        let name = self.opened.listener.name.clone();
        let socket = self.opened.socket.try_clone().and_then(tokio::net::TcpListener::from_std);
        let socket = match socket {
            Ok(socket) => socket,
            Err(error) => return ::log::error!("cannot accept on {name}: {error}"),
        };
        let complaint = Complaint::default();
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.closing() => return self.accept_waiting(),
                accepted = socket.accept() => accepted,
            };
            let welcomed = accepted.and_then(|(stream, peer)| match self.seat(peer) {
                // The worker's runtime is another one: the stream moves there bare.
                Some(seat) => {
                    self.hand_over(stream.into_std()?, peer, seat);
                    Ok(())
                }
                // Nothing of it is left then, not even in the kernel.
                None => stream.set_zero_linger(),
            });
            match welcomed {
                Ok(()) => {}
                Err(error) if is_of_one_connection(&error) => {
                    ::log::debug!("a connection to {name} ended before it began: {error}");
                }
                Err(error) => {
                    if let Some(times) = complaint.say() {
                        ::log::error!("cannot accept on {name} ({times} times): {error}");
                    }
                    tokio::time::sleep(OUT_OF_DESCRIPTORS).await;
                }
            }
        }
    }

    /// Takes who waits already: closing the socket would reset them.
    fn accept_waiting(&self) {
        for _ in 0..MOST_WAITING {
            match self.opened.socket.accept() {
                Ok((stream, peer)) => {
                    if let Some(seat) = self.seat(peer) {
                        self.hand_over(stream, peer, seat);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    let name = &self.opened.listener.name;
                    return ::log::error!("who still waits for {name} is lost: {error}");
                }
            }
        }
    }

    /// A seat for who comes, if there is one.
    fn seat(&self, peer: SocketAddr) -> Option<Seat> {
        let listener = &self.opened.listener;
        let who = if self.door.trusts(peer.ip()) { Who::Proxy } else { Who::Client };
        if !self.door.admits(peer.ip()) {
            self.door.count(listener, Event::Banned);
            return None;
        }
        match self.seats.take(peer.ip(), who) {
            Ok(seat) => {
                if seat.made_room() {
                    self.door.count(listener, Event::Cut("made_room"));
                }
                self.door.count(listener, Event::Accepted);
                Some(seat)
            }
            Err(full) => {
                self.seats.complain(full, peer.ip());
                self.door.count(listener, Event::Full);
                None
            }
        }
    }

    /// Gives a connection to a worker.
    fn hand_over(&self, stream: TcpStream, peer: SocketAddr, seat: Seat) {
        let listener = &self.opened.listener;
        // One whose thread is gone has no load, and must not look idle for it.
        let alive = self.workers.iter().filter(|worker| !worker.is_gone());
        let Some(worker) = alive.min_by_key(|worker| worker.load()) else {
            self.door.count(listener, Event::Closed);
            return ::log::error!("no worker is left; a connection to {} is lost", listener.name);
        };
        if worker.give(stream, peer, listener, seat).is_err() {
            ::log::error!("a worker is gone; a connection to {} is lost", listener.name);
        }
    }
}

/// Errors of `accept` that concern the connection, not the socket (accept(2)).
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock)
}
