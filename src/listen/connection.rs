//! What is known of a connection, and of the exchange running on it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use http::StatusCode;
use pingora::http::ResponseHeader;
use pingora::protocols::Digest;
use pingora::protocols::raw_connect::ProxyDigest;
use tokio::time::{Duration, Instant};

use super::Door;
use super::body_end::{BodyEnd, KeptEnd};
use super::head::HeadFault;
use super::leaving::Leaving;
use super::listener::Listener;
use super::seats::Seat;
use super::tls;
use crate::units;

/// Why a cut exchange ended, as its record says.
pub(super) const CUT: &str = "cut at the end of the process";

/// The status that stands for a head which is withheld: an interim one, so that
/// pingora begins no body with it.
pub(crate) const STAND_IN: StatusCode = StatusCode::PROCESSING;

/// How a client is connected, as far as what is told of it depends on that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Channel {
    Plain,
    Tls,
}

/// A client connection, from its accept to its end.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) listener: Arc<Listener>,
    /// Who connected; with a PROXY header from a trusted proxy, whom it names.
    pub(crate) peer: SocketAddr,
    pub(crate) tls: Option<tls::Facts>,
    // Kept until nothing of the connection is left, its descriptor included.
    seat: Seat,
}

impl Connection {
    pub(super) fn new(
        listener: Arc<Listener>,
        peer: SocketAddr,
        tls: Option<tls::Facts>,
        seat: Seat,
    ) -> Arc<Self> {
        Arc::new(Connection { listener, peer, tls, seat })
    }

    pub(super) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// How many h2 streams may be reset in a minute; of those whom a proxy
    /// brings, each may reset some, and none must end the connection of all.
    pub(super) fn resets_per_minute(&self) -> u32 {
        match self.seat.is_of_one_client() {
            true => self.listener.h2.resets_per_minute,
            false => u32::MAX,
        }
    }

    pub(crate) fn channel(&self) -> Channel {
        if self.tls.is_some() { Channel::Tls } else { Channel::Plain }
    }

    /// Whether a request for `host` may come over this connection; any may
    /// come without TLS.
    ///
    /// `host` is in lower case, without port and trailing dot.
    pub(crate) fn check_host(&self, host: &str) -> Result<(), tls::WrongHost> {
        match (&self.listener.tls, &self.tls) {
            (Some(tls), Some(facts)) => tls.check_host(facts, host),
            _ => Ok(()),
        }
    }
}

/// One request and its answer, as far as the connection is concerned.
///
/// The hooks reach it through pingora's session; it lets them set a deadline
/// for silence and an end to everything, and tells the connection whether they recorded the request.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) connection: Arc<Connection>,
    began: Instant,
    head: Result<(), HeadFault>,
    // Nanoseconds; 0 is none. Becomes `silence` once something is awaited.
    patience: AtomicU64,
    // Nanoseconds after `began`; 0 is no deadline.
    silence: AtomicU64,
    // The same for the whole exchange.
    end: AtomicU64,
    expired: AtomicBool,
    over: AtomicBool,
    recorded: AtomicBool,
    head_is_all: AtomicBool,
    malformed: AtomicBool,
    open_ended: AtomicBool,
    last: AtomicBool,
    watched: AtomicBool,
    withholds: AtomicBool,
    cut: AtomicBool,
    /// How what is written leaves.
    pub(crate) leaving: Leaving,
    body_end: BodyEnd,
}

impl Exchange {
    /// An exchange whose head is within its bounds, or answered by the door.
    pub(super) fn new(connection: Arc<Connection>, began: Instant) -> Arc<Self> {
        Exchange::of_head(connection, began, Ok(()))
    }

    /// An exchange whose head may be beyond its bounds, for the hooks to refuse.
    pub(super) fn of_head(
        connection: Arc<Connection>,
        began: Instant,
        head: Result<(), HeadFault>,
    ) -> Arc<Self> {
        Arc::new(Exchange {
            connection,
            began,
            head,
            patience: AtomicU64::new(0),
            silence: AtomicU64::new(0),
            end: AtomicU64::new(0),
            expired: AtomicBool::new(false),
            over: AtomicBool::new(false),
            recorded: AtomicBool::new(false),
            head_is_all: AtomicBool::new(false),
            malformed: AtomicBool::new(false),
            open_ended: AtomicBool::new(false),
            last: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            withholds: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            leaving: Leaving::default(),
            body_end: BodyEnd::default(),
        })
    }

    /// Another exchange of the same connection, for what is asked beside it. Nobody
    /// looks at its deadlines: no client is waited for.
    pub(crate) fn beside(&self) -> Arc<Self> {
        Exchange::new(self.connection.clone(), Instant::now())
    }

    /// The exchange behind a session's digest; every session of ours has one.
    pub(crate) fn of(digest: Option<&Digest>) -> Option<&Arc<Exchange>> {
        let proxy = digest?.proxy_digest.as_ref()?;
        proxy.user_data.as_ref()?.downcast_ref()
    }

    /// When its first byte arrived.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// Whether the head is within the bounds of its listener.
    pub(crate) fn check_head(&self) -> Result<(), HeadFault> {
        self.head
    }

    /// Ends the exchange unless it moves on within `silence`, which begins when
    /// something is awaited next: not before a client has taken what there is.
    pub(crate) fn expect_within(&self, silence: Duration) {
        self.silence.store(0, Ordering::Release);
        self.patience.store(nanos(silence), Ordering::Release);
    }

    /// Takes the deadline for silence back.
    pub(crate) fn no_deadline(&self) {
        self.patience.store(0, Ordering::Release);
        self.silence.store(0, Ordering::Release);
    }

    /// Ends the exchange `total` after its first byte, however much it moves.
    pub(crate) fn end_after(&self, total: Duration) {
        self.end.store(nanos(total), Ordering::Release);
    }

    /// Takes the end back: what is left may take as long as it moves.
    pub(crate) fn no_end(&self) {
        self.end.store(0, Ordering::Release);
    }

    /// How long until the end; nothing where there is none.
    pub(crate) fn left(&self) -> Option<Duration> {
        let end = self.after_began(&self.end)?;
        Some(end.saturating_duration_since(Instant::now()))
    }

    /// Whether the exchange has come to its end, even if that was taken back since.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire) || self.left().is_some_and(|left| left.is_zero())
    }

    /// Whether a deadline or the end has passed; the answer is given once.
    pub(crate) fn take_expired(&self) -> bool {
        self.expired.swap(false, Ordering::AcqRel)
    }

    /// Says that the one access record of this request is written.
    pub(crate) fn set_recorded(&self) {
        self.recorded.store(true, Ordering::Release);
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.recorded.load(Ordering::Acquire)
    }

    /// Says that the head to be written next is the whole answer; pingora's
    /// session does not pass that on.
    pub(crate) fn set_head_is_all(&self) {
        self.head_is_all.store(true, Ordering::Release);
    }

    pub(super) fn head_is_all(&self) -> bool {
        self.head_is_all.load(Ordering::Acquire)
    }

    /// Says that the request was refused for its head; a connection on which
    /// many are is not kept.
    pub(crate) fn set_malformed(&self) {
        self.malformed.store(true, Ordering::Release);
    }

    pub(super) fn is_malformed(&self) -> bool {
        self.malformed.load(Ordering::Acquire)
    }

    /// Says that the client got what it asked for: it is one to keep a seat for.
    pub(crate) fn set_served(&self) {
        self.connection.seat.note_served();
    }

    /// Says that what is sent either way comes when there is something to say,
    /// so that no rate is asked of the client.
    pub(crate) fn set_open_ended(&self) {
        self.open_ended.store(true, Ordering::Release);
    }

    pub(super) fn is_open_ended(&self) -> bool {
        self.open_ended.load(Ordering::Acquire)
    }

    /// Says that the connection ends with it. Pingora passes that on over h1,
    /// where it is its session that keeps connections.
    pub(crate) fn set_last(&self) {
        self.last.store(true, Ordering::Release);
    }

    pub(super) fn is_last(&self) -> bool {
        self.last.load(Ordering::Acquire)
    }

    /// As long as this is kept, whoever reads from the client over h1 is told of
    /// nothing but its leaving: what it sends of its request stays where it is.
    pub(crate) fn watch(&self) -> Watch<'_> {
        self.watched.store(true, Ordering::Release);
        Watch(self)
    }

    pub(super) fn is_watched(&self) -> bool {
        self.watched.load(Ordering::Acquire)
    }

    /// Says that pingora is given [`STAND_IN`] for a head that the client is not
    /// to see yet. Over h2 it is not written; over h1 pingora has a switch for that.
    pub(crate) fn withhold_head(&self) {
        self.withholds.store(true, Ordering::Release);
    }

    pub(super) fn withholds_head(&self) -> bool {
        self.withholds.load(Ordering::Acquire)
    }

    /// As long as this is kept, whoever reads the body gets all of it but the end.
    /// Over h1 the rest is told beside the reads; over h2 the end is told once more.
    pub(crate) fn keep_end(&self) -> KeptEnd<'_> {
        self.body_end.keep()
    }

    pub(super) fn body_end(&self) -> &BodyEnd {
        &self.body_end
    }

    /// Lets every read and write of the exchange fail from now on; it must be
    /// polled to notice.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Release);
    }

    pub(super) fn is_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// The deadline for silence or the end, whichever comes first; whoever asks
    /// is about to wait.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let patience = self.patience.load(Ordering::Acquire);
        if patience != 0 {
            self.patience.store(0, Ordering::Release);
            let at = self.began.elapsed() + Duration::from_nanos(patience);
            self.silence.store(nanos(at), Ordering::Release);
        }
        let both = [self.after_began(&self.silence), self.after_began(&self.end)];
        both.into_iter().flatten().min()
    }

    /// Marks the exchange expired if its deadline is not after `now`.
    ///
    /// Nothing expires a second time: whoever is told has an answer to give.
    pub(super) fn expire(&self, now: Instant) -> bool {
        let passed = self.deadline().is_some_and(|deadline| deadline <= now);
        if passed {
            if self.after_began(&self.end).is_some_and(|end| end <= now) {
                self.over.store(true, Ordering::Release);
                self.no_end();
            }
            self.no_deadline();
            self.expired.store(true, Ordering::Release);
        }
        passed
    }

    fn after_began(&self, nanos: &AtomicU64) -> Option<Instant> {
        match nanos.load(Ordering::Acquire) {
            0 => None,
            nanos => Some(self.began + Duration::from_nanos(nanos)),
        }
    }

    /// Wraps the exchange into the one digest that carries a value of ours to
    /// the hooks, on h1 and h2 alike; pingora itself does not look into it.
    pub(super) fn digest(self: &Arc<Self>) -> Arc<ProxyDigest> {
        let unused = ResponseHeader::build_no_case(200, Some(0))
            .expect("a bare status line is a valid header");
        Arc::new(ProxyDigest::new(Box::new(unused), Some(Box::new(self.clone()))))
    }
}

/// That a client is only watched, until this is dropped.
#[must_use]
pub(crate) struct Watch<'a>(&'a Exchange);

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.0.watched.store(false, Ordering::Release);
    }
}

/// A time as it is kept, where 0 is none.
fn nanos(time: Duration) -> u64 {
    units::nanos(time).max(1)
}

/// Sees to the one record of an exchange that ends before any hook wrote it.
pub(super) struct Unrecorded<'a, D: Door> {
    door: &'a D,
    exchange: &'a Exchange,
}

impl<'a, D: Door> Unrecorded<'a, D> {
    pub(super) fn new(door: &'a D, exchange: &'a Exchange) -> Self {
        Unrecorded { door, exchange }
    }
}

impl<D: Door> Drop for Unrecorded<'_, D> {
    fn drop(&mut self) {
        if !self.exchange.is_recorded() {
            self.door.lost(self.exchange);
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::super::listener::Config;
    use super::super::seats::{Bounds, Seats, Who};
    use super::*;

    fn exchange() -> Arc<Exchange> {
        let config = Config::<()> { address: "127.0.0.1:1".into(), ..Config::default() };
        let listener = Arc::new(Listener::new(&config).expect("good"));
        let seats = Seats::new(Bounds { connections: 1, per_client: 1 });
        let peer: SocketAddr = "192.0.2.1:1".parse().expect("an address");
        let seat = seats.take(peer.ip(), Who::Client).expect("a seat");
        Exchange::new(Connection::new(listener, peer, None, seat), Instant::now())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn silence_begins_when_something_is_awaited() {
        let exchange = exchange();
        exchange.expect_within(SECOND);
        // A write, say, that took this long.
        advance(3 * SECOND).await;
        assert_eq!(exchange.deadline(), Some(Instant::now() + SECOND));
        let deadline = Instant::now() + SECOND;
        advance(SECOND / 2).await;
        assert_eq!(exchange.deadline(), Some(deadline), "waiting on moves nothing");
        assert!(!exchange.expire(Instant::now()) && !exchange.take_expired());
        advance(SECOND).await;
        assert!(exchange.expire(Instant::now()) && exchange.take_expired());
        assert!(!exchange.is_over());
        assert_eq!((exchange.deadline(), exchange.take_expired()), (None, false));
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_comes_however_much_moves() {
        let exchange = exchange();
        exchange.end_after(3 * SECOND);
        for left in [3, 2, 1] {
            assert_eq!(exchange.left(), Some(left * SECOND));
            exchange.expect_within(2 * SECOND);
            assert!(exchange.deadline().is_some() && !exchange.expire(Instant::now()));
            advance(SECOND).await;
        }
        assert!(exchange.is_over() && exchange.expire(Instant::now()));
        // It is told once, and remembered.
        assert_eq!((exchange.deadline(), exchange.left()), (None, None));
        assert!(exchange.is_over());
        let lifted = self::exchange();
        lifted.end_after(SECOND);
        lifted.no_end();
        advance(2 * SECOND).await;
        assert!(lifted.deadline().is_none() && !lifted.is_over());
    }
}
