//! Serves HTTP/2 on a connection: many requests at the same time.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pingora::protocols::http::ServerSession;
use pingora::protocols::http::v2::server::{self, H2Accept, HttpSession};
use pingora::protocols::{Digest, Stream};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::accept::spawn_stream;
use super::connection::{Exchange, Unrecorded};
use super::h1::Inward;
use super::h2_stream::H2Stream;
use super::io::EdgeIo;
use super::{App, Door, Event};

/// Malformed requests until a connection is given up.
const MALFORMED: usize = 32;
/// What a stream may send ahead of its reader; the protocol's 64 KiB would
/// make uploads over long distances slow.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together; it bounds the memory
/// that a client can make us hold.
const CONNECTION_WINDOW: u32 = 1024 * 1024;

/// How long a client may take to close after it was told to go away.
const GOODBYE: Duration = Duration::from_secs(5);

type H2Connection = h2::server::Connection<Stream, bytes::Bytes>;

/// Serves streams until the connection ends or has been idle too long.
pub(super) async fn serve<D: Door, A: App>(inward: &Inward<'_, D, A>, io: Box<EdgeIo>) {
    let listener = &inward.connection.listener;
    let mut options = server::H2Options::new();
    options
        .max_concurrent_streams(listener.h2.streams)
        .max_header_list_size(u32::try_from(listener.limits.headers.0).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let handshake = server::handshake(io, Some(options));
    let mut h2 = match timeout(listener.timeouts.header.0, handshake).await {
        Ok(Ok(h2)) => h2,
        Ok(Err(error)) => return ::log::debug!("h2 with {}: {error}", inward.connection.peer),
        Err(_) => return ::log::debug!("h2 with {}: no preface", inward.connection.peer),
    };
    accept_streams(inward, &mut h2).await;
}

async fn accept_streams<D: Door, A: App>(inward: &Inward<'_, D, A>, h2: &mut H2Connection) {
    let idle = inward.connection.listener.timeouts.idle.0;
    let limit = inward.connection.listener.limits.requests_per_connection;
    let active = Arc::new(Active::default());
    let mut is_closing = false;
    let mut malformed = 0;
    let mut served = 0;
    loop {
        let exchange = Exchange::new(inward.connection.clone(), Instant::now());
        let digest =
            Arc::new(Digest { proxy_digest: Some(exchange.digest()), ..Digest::default() });
        let accepted = tokio::select! {
            biased;
            () = inward.shutdown.closing(), if !is_closing => None,
            accepted = HttpSession::from_h2_conn(h2, digest) => Some(accepted),
            () = active.idle_for(if is_closing { GOODBYE } else { idle }) => {
                if is_closing {
                    return;
                }
                None
            }
        };
        match accepted {
            None => {
                h2.graceful_shutdown();
                is_closing = true;
            }
            Some(Ok(Some(H2Accept::Session(session)))) => {
                served += 1;
                if served == 1 {
                    inward.door.count(&inward.connection.listener, Event::SpeaksH2);
                }
                if served >= limit && !is_closing {
                    h2.graceful_shutdown();
                    is_closing = true;
                }
                serve_stream(inward, session, exchange, Stay::new(&active));
            }
            Some(Ok(Some(H2Accept::Rejected))) => {
                inward.door.lost(&exchange);
                malformed += 1;
                if malformed >= MALFORMED {
                    h2.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
                    is_closing = true;
                }
            }
            Some(Ok(None)) => return,
            Some(Err(error)) => {
                return ::log::debug!("h2 with {}: {error}", inward.connection.peer);
            }
        }
    }
}

fn serve_stream<D: Door, A: App>(
    inward: &Inward<'_, D, A>,
    session: HttpSession,
    exchange: Arc<Exchange>,
    stay: Stay,
) {
    let (app, door, shutdown) = (inward.app.clone(), inward.door.clone(), inward.shutdown.clone());
    spawn_stream(async move {
        let stream = H2Stream::new(session, exchange.clone());
        let session = ServerSession::new_custom(Box::new(stream));
        let guard = Unrecorded::new(&*door, &exchange);
        let answered = app.process_new_http(session, shutdown.watch());
        shutdown.notice().bound_exchange(answered, || exchange.cut()).await;
        drop((guard, stay));
    });
}

/// The streams of a connection that are being served.
#[derive(Default)]
struct Active {
    count: AtomicUsize,
    emptied: Notify,
}

impl Active {
    /// Returns once no stream has been served for `idle`.
    async fn idle_for(&self, idle: Duration) {
        loop {
            let mut emptied = pin!(self.emptied.notified());
            emptied.as_mut().enable();
            if self.count.load(Ordering::Acquire) == 0 {
                break;
            }
            emptied.await;
        }
        tokio::time::sleep(idle).await;
    }
}

/// The stay of one stream among the active ones.
struct Stay(Arc<Active>);

impl Stay {
    fn new(active: &Arc<Active>) -> Self {
        active.count.fetch_add(1, Ordering::AcqRel);
        Stay(active.clone())
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}
