//! Serves HTTP/2 on a connection: many requests at the same time.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;
use http::header::CONTENT_LENGTH;
use http::request::Parts;
use pingora::protocols::http::ServerSession;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Exchange, Unrecorded};
use super::h1::Inward;
use super::h2_body;
use super::h2_flood::{Flood, Flooded};
use super::h2_stream::{H2Stream, Shared};
use super::head;
use super::io::EdgeIo;
use super::pace::{Pace, Paced};
use super::seats::GOODBYE;
use super::worker::spawn_stream;
use super::{App, Door, Event};

/// Requests refused for their head until a connection is told to end; after
/// as many again it is cut off. What h2 itself refuses, it counts by itself.
const MALFORMED: usize = 32;
/// What a stream may send ahead of its reader; the protocol's 64 KiB would
/// make uploads over long distances slow.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same for all streams of a connection together; it bounds the memory
/// that a client can make us hold.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// What a stream may have written that the client's socket has not taken yet:
/// one read of a server. The library's 400 KiB are held by every stream of a
/// client that opens its windows and reads nothing.
const SEND_BUFFER: usize = 64 * 1024;

/// The library answers a head of this many times `limits.headers` by itself,
/// and nobody sees it; what is smaller, yet too large, has a record.
pub(super) const UNSEEN: u64 = 2;

type H2Connection = h2::server::Connection<Box<EdgeIo>, Bytes>;
/// A stream, or why there are no more.
type Opened = Result<(Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

/// Serves streams until the connection ends or has been idle too long.
pub(super) async fn serve<D: Door, A: App>(inward: &Inward<'_, D, A>, mut io: Box<EdgeIo>) {
    let listener = &inward.connection.listener;
    let flooded = io.follow_frames();
    let unseen = listener.limits.headers.0.saturating_mul(UNSEEN);
    let mut options = Builder::new();
    options
        .max_concurrent_streams(listener.h2.streams)
        .max_send_buffer_size(SEND_BUFFER)
        // We count them ourselves, those that nobody has looked at yet included.
        .max_pending_accept_reset_streams(inward.connection.resets_per_minute() as usize)
        .max_header_list_size(u32::try_from(unseen).unwrap_or(u32::MAX))
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW);
    let handshake = timeout(listener.timeouts.header.0, options.handshake(io));
    let peer = inward.connection.peer;
    let h2 = async {
        match handshake.await {
            Ok(Ok(h2)) => return Some(h2),
            Ok(Err(error)) => ::log::debug!("h2 with {peer}: {error}"),
            Err(_) => ::log::debug!("h2 with {peer}: no preface"),
        }
        None
    };
    let Some(mut h2) = inward.shutdown.bound_beginning(h2).await else { return };
    inward.connection.seat().takes_leave();
    if let Some(flood) = accept_streams(inward, &mut h2, &flooded).await {
        ::log::debug!("h2 with {peer}: cut off, for {}", flood.as_str());
        inward.door.count(listener, Event::Cut(flood.as_str()));
        // Heads that were refused have been told already.
        if flood != Flood::Malformed {
            inward.door.flooded(peer.ip());
        }
    }
}

/// Serves streams to the end of the connection; what it was cut off for.
async fn accept_streams<D: Door, A: App>(
    inward: &Inward<'_, D, A>,
    h2: &mut H2Connection,
    flooded: &Flooded,
) -> Option<Flood> {
    let listener = &inward.connection.listener;
    let seat = inward.connection.seat();
    let streams = Arc::new(Streams::of(inward.connection.clone()));
    // What it shares, no client may end for the others.
    let most = if seat.is_of_one_client() { MALFORMED } else { usize::MAX / 2 };
    let mut is_closing = false;
    let (mut served, mut late) = (0, 0);
    loop {
        let (patience, bound) = match is_closing {
            false => (listener.timeouts.idle.0, most),
            true => (GOODBYE, 2 * most),
        };
        let accepted = tokio::select! {
            biased;
            () = inward.shutdown.closing(), if !is_closing => None,
            () = seat.left(), if !is_closing => None,
            () = streams.parting(), if !is_closing => None,
            () = streams.malformed(bound) => {
                if is_closing {
                    return Some(cut_off(h2, Flood::Malformed).await);
                }
                None
            }
            accepted = next_stream(h2, flooded) => match accepted {
                Ok(Some(accepted)) => Some(accepted),
                Ok(None) => return None,
                Err(flood) => return Some(cut_off(h2, flood).await),
            },
            () = streams.idle_for(patience) => {
                if is_closing {
                    return None;
                }
                None
            }
        };
        match accepted {
            None => {
                h2.graceful_shutdown();
                is_closing = true;
            }
            // It comes too late, and may safely be asked again elsewhere.
            Some(Ok((_, mut answer))) if streams.active() == 0 && !seat.ask() => {
                answer.send_reset(Reason::REFUSED_STREAM);
            }
            Some(Ok((request, answer))) => {
                served += 1;
                late += u32::from(is_closing);
                // More than could be on their way when it was told.
                if late > listener.h2.streams {
                    return Some(cut_off(h2, Flood::Overstaying).await);
                }
                if served == 1 {
                    inward.door.count(listener, Event::SpeaksH2);
                }
                if served >= listener.limits.requests_per_connection && !is_closing {
                    h2.graceful_shutdown();
                    is_closing = true;
                }
                serve_stream(inward, request, answer, Stay::new(&streams));
            }
            Some(Err(error)) => {
                ::log::debug!("h2 with {}: {error}", inward.connection.peer);
                let is_flood = error.reason() == Some(Reason::ENHANCE_YOUR_CALM);
                return (is_flood && error.is_library()).then_some(Flood::Library);
            }
        }
    }
}

/// The next stream, if there is one, unless the client floods us.
async fn next_stream(h2: &mut H2Connection, flooded: &Flooded) -> Result<Option<Opened>, Flood> {
    poll_fn(|cx| match (h2.poll_accept(cx), flooded.get()) {
        (_, Some(flood)) => Poll::Ready(Err(*flood)),
        (opened, None) => opened.map(Ok),
    })
    .await
}

/// Ends a connection whatever is under way on it.
async fn cut_off(h2: &mut H2Connection, flood: Flood) -> Flood {
    h2.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
    if timeout(GOODBYE, poll_fn(|cx| h2.poll_closed(cx))).await.is_err() {
        ::log::debug!("a client that is cut off does not take a word");
    }
    flood
}

fn serve_stream<D: Door, A: App>(
    inward: &Inward<'_, D, A>,
    request: Request<RecvStream>,
    mut answer: SendResponse<Bytes>,
    stay: Stay,
) {
    let (head, mut body) = request.into_parts();
    let bounds = head::check(&head, &inward.connection.listener.limits);
    let exchange = Exchange::of_head(inward.connection.clone(), Instant::now(), bounds);
    let (app, door, shutdown) = (inward.app.clone(), inward.door.clone(), inward.shutdown.clone());
    let patience = inward.connection.listener.timeouts.body.0;
    if is_given_up(&head, &mut answer) {
        drop(Unrecorded::new(&*door, &exchange));
        return;
    }
    spawn_stream(async move {
        let guard = Unrecorded::new(&*door, &exchange);
        if !h2_body::is_as_announced(&head.headers, &mut body, patience).await {
            return;
        }
        let pace = Arc::<Pace>::default();
        let shared = Shared { pace: pace.clone(), streams: stay.0.clone() };
        let stream = H2Stream::new(head, body, answer, exchange.clone(), shared);
        let session = ServerSession::new_custom(Box::new(stream));
        let answered = Box::pin(app.process_new_http(session, shutdown.watch()));
        let answered = Paced::new(answered, pace, exchange.clone());
        shutdown.notice().bound_exchange(answered, || exchange.cut()).await;
        if exchange.is_malformed() {
            stay.note_malformed();
        }
        if exchange.is_last() {
            stay.0.part();
        }
        drop((guard, stay));
    });
}

/// Whether nobody waits for the answer any more: a client may send the reset
/// right behind the head, and is to cost no server anything.
///
/// The library resets, too, where a body is not as long as it was announced,
/// which has a record of its own.
fn is_given_up(head: &Parts, answer: &mut SendResponse<Bytes>) -> bool {
    let mut cx = Context::from_waker(Waker::noop());
    match answer.poll_reset(&mut cx) {
        Poll::Ready(Ok(Reason::PROTOCOL_ERROR)) => !head.headers.contains_key(CONTENT_LENGTH),
        reset => reset.is_ready(),
    }
}

/// The streams of a connection that are being served, and how those ended
/// that are over.
pub(super) struct Streams {
    connection: Arc<Connection>,
    active: AtomicUsize,
    malformed: AtomicUsize,
    is_parting: AtomicBool,
    // Of every change that somebody waits for.
    changed: Notify,
}

impl Streams {
    fn of(connection: Arc<Connection>) -> Self {
        let (active, malformed, is_parting) = Default::default();
        Streams { connection, active, malformed, is_parting, changed: Notify::new() }
    }

    /// How many are being served.
    pub(super) fn active(&self) -> usize {
        self.active.load(Ordering::Acquire)
    }

    /// Returns once no stream has been served for `idle`.
    async fn idle_for(&self, idle: Duration) {
        self.until(|| self.active() == 0).await;
        tokio::time::sleep(idle).await;
    }

    /// Returns once this many were malformed.
    async fn malformed(&self, bound: usize) {
        self.until(|| self.malformed.load(Ordering::Acquire) >= bound).await;
    }

    /// The connection is to end with what is under way.
    fn part(&self) {
        self.is_parting.store(true, Ordering::Release);
        self.changed.notify_waiters();
    }

    /// Returns once it is.
    async fn parting(&self) {
        self.until(|| self.is_parting.load(Ordering::Acquire)).await;
    }

    async fn until(&self, is_so: impl Fn() -> bool) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if is_so() {
                return;
            }
            changed.await;
        }
    }
}

/// The stay of one stream among the active ones.
struct Stay(Arc<Streams>);

impl Stay {
    fn new(streams: &Arc<Streams>) -> Self {
        streams.active.fetch_add(1, Ordering::AcqRel);
        Stay(streams.clone())
    }

    fn note_malformed(&self) {
        self.0.malformed.fetch_add(1, Ordering::AcqRel);
        self.0.changed.notify_waiters();
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.0.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.connection.seat().rest();
            self.0.changed.notify_waiters();
        }
    }
}
