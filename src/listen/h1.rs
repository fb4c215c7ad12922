//! Serves HTTP/1 on a connection, one request after the other.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use pingora::protocols::http::ServerSession;
use tokio::time::{Instant, Sleep};

use super::connection::{Connection, Exchange, Unrecorded};
use super::head::{self, HeadFault, RawHead};
use super::io::{EdgeIo, LINGER};
use super::pace::Paced;
use super::shutdown::{Notice, Shutdown};
use super::{App, Door, Event, Refused};

/// How long an idle connection stays open once the process is to end: a
/// client that is about to send finds it open, and is told to close.
const LAST_CHANCE: Duration = Duration::from_millis(500);

/// Where requests of a connection go.
pub(super) struct Inward<'a, D, A> {
    pub(super) connection: &'a Arc<Connection>,
    pub(super) door: &'a Arc<D>,
    pub(super) app: &'a Arc<A>,
    pub(super) shutdown: &'a Shutdown,
}

impl<D: Door, A: App> Inward<'_, D, A> {
    /// Serves requests until one side closes; returns when the connection ended.
    /// The first byte of the first one came at `began`, if it has come.
    pub(super) async fn serve(&self, mut io: Box<EdgeIo>, mut began: Option<Instant>) {
        let listener = &self.connection.listener;
        let limit = listener.limits.requests_per_connection;
        let mut patience = Patience::new(self.shutdown, listener.timeouts.idle.0);
        for served in 1..=limit {
            let Some(first) = next_request(&mut io, &mut patience).await else {
                return;
            };
            let seat = self.connection.seat();
            if served == 1 {
                self.door.count(listener, Event::SpeaksH1);
            } else if !seat.ask() {
                return;
            }
            let began = began.take().unwrap_or_else(Instant::now);
            let read = head::read(&mut io, first, began, listener).await;
            // Until a stranger's first head is there, it has asked for nothing.
            if served == 1 && !seat.ask() {
                return;
            }
            let outcome = match read {
                Ok(head) => self.admit(head, &mut io),
                Err(broken) => {
                    let exchange = Exchange::new(self.connection.clone(), broken.began);
                    Err(self.door.answer(&exchange, broken.fault, &broken.so_far))
                }
            };
            let request = match outcome {
                Ok(request) => request,
                Err(refused) => return Box::pin(refuse(&mut io, refused)).await,
            };
            let after = limit - served;
            match self.exchange(io, request, after, &mut patience.notice).await {
                Some(reused) => io = reused,
                None => return,
            }
            seat.rest();
        }
    }

    fn admit(&self, mut head: RawHead, io: &mut EdgeIo) -> Result<Request, Refused> {
        let exchange = Exchange::new(self.connection.clone(), head.began);
        let (raw, _) = head.bytes.split_at(head.end);
        // With TLS, a client that negotiates no protocol speaks this one.
        if !self.connection.listener.speaks_h1 {
            return Err(self.door.answer(&exchange, HeadFault::Unspoken, raw));
        }
        let framing = self.door.judge(&exchange, raw)?;
        if io.begin_request(&mut head.bytes, head.end, framing).is_err() {
            let (raw, _) = head.bytes.split_at(head.end);
            return Err(self.door.answer(&exchange, HeadFault::Chunks, raw));
        }
        Ok(Request { bytes: head.bytes, exchange })
    }

    /// Runs one exchange, `after` which come so many more at most; the
    /// connection comes back if it may be used again.
    async fn exchange(
        &self,
        mut io: Box<EdgeIo>,
        request: Request,
        after: u32,
        notice: &mut Notice,
    ) -> Option<Box<EdgeIo>> {
        let Request { bytes, exchange } = request;
        io.carry(&exchange);
        let pace = io.pace().clone();
        let mut session = ServerSession::new_http1(io);
        session.set_pipelined_prefix(bytes);
        if after == 0 {
            session.set_keepalive_reuses_remaining(Some(0));
        }
        let _guard = Unrecorded::new(&**self.door, &exchange);
        let answered = pin!(self.app.process_new_http(session, self.shutdown.watch()));
        let answered = Paced::new(answered, pace, exchange.clone());
        let reused = notice.bound_exchange(answered, || exchange.cut()).await;
        let (stream, _) = reused?.consume();
        stream.into_any().downcast().ok()
    }
}

/// How long a connection is waited for between requests; made once for all of
/// them, as a timer that only moves on costs next to nothing.
pub(super) struct Patience {
    notice: Notice,
    idle: Duration,
    timer: Pin<Box<Sleep>>,
}

impl Patience {
    pub(super) fn new(shutdown: &Shutdown, idle: Duration) -> Self {
        Patience { notice: shutdown.notice(), idle, timer: Box::pin(tokio::time::sleep(idle)) }
    }

    /// Returns when an idle connection is to end.
    async fn ends(&mut self) {
        self.timer.as_mut().reset(Instant::now() + self.idle);
        tokio::select! {
            () = self.notice.closing.reached() => {}
            () = self.timer.as_mut() => return,
        }
        tokio::time::sleep(LAST_CHANCE).await;
    }
}

/// The first bytes of the next request; none when there will not be one.
pub(super) async fn next_request(io: &mut EdgeIo, patience: &mut Patience) -> Option<BytesMut> {
    io.rest();
    tokio::select! {
        biased;
        first = head::first_bytes(io) => first.ok().filter(|bytes| !bytes.is_empty()),
        () = patience.ends() => None,
    }
}

/// A request that may be shown to pingora.
struct Request {
    // Its head, and what of its body came with it.
    bytes: BytesMut,
    exchange: Arc<Exchange>,
}

async fn refuse(io: &mut EdgeIo, Refused(answer): Refused) {
    let deadline = Instant::now() + LINGER;
    match tokio::time::timeout_at(deadline, io.answer_and_close(&answer)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => ::log::debug!("a refusal did not arrive: {error}"),
        Err(_) => ::log::debug!("a refusal was not read within {LINGER:?}"),
    }
}
