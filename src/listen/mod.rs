//! Where connections enter: from the socket to a request that pingora may see.
//!
//! This room accepts connections within their caps, ends TLS, reads whole
//! request heads within their deadline and bounds, and only then hands them to
//! pingora. What a head means, and what the answers say, it asks its [`Door`].

mod accept;
#[cfg(any(test, fuzzing))]
mod any_bytes;
mod body_end;
mod bucket;
mod chunks;
mod complaint;
mod connection;
mod h1;
mod h2;
mod h2_answer;
mod h2_body;
mod h2_flood;
mod h2_frames;
mod h2_stream;
mod h2_wait;
mod head;
mod hpack;
mod idle;
mod io;
mod lane;
mod leaving;
mod listener;
mod pace;
mod proxy_protocol;
mod seats;
mod shutdown;
mod speed;
mod throttle;
mod tls;
mod transport;
mod welcome;
mod worker;

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use pingora::apps::HttpServerApp;

pub(crate) use accept::{Edge, Opened, Serving};
#[cfg(any(test, fuzzing))]
pub(crate) use any_bytes::{follow_answer, follow_chunks, follow_frames};
pub(crate) use body_end::{KeptEnd, LastByte};
pub(crate) use chunks::BadChunks;
pub(crate) use connection::{Channel, Exchange, STAND_IN};
pub(crate) use h2_body::{BODY_LENGTH, TRAILERS};
pub(crate) use head::HeadFault;
pub(crate) use io::LINGER;
pub(crate) use listener::{Config, HttpsRedirect, Listener};
#[cfg(any(test, fuzzing))]
pub(crate) use proxy_protocol::{Parsed, Source, parse as parse_proxy_header};
pub(crate) use seats::{Bounds, Seats};
pub(crate) use shutdown::Shutdown;
pub(crate) use speed::TooSlow;
pub(crate) use tls::WrongHost;
#[cfg(test)]
pub(crate) use worker::serve_here;

/// What `listen` asks of the rooms further in; the conductor answers.
///
/// `listen` is the first room, so it knows neither what a sound head is nor
/// how a refusal looks. Every answer given here has been recorded.
pub(crate) trait Door: Send + Sync + 'static {
    /// Judges the raw head of an h1 request before pingora parses it.
    fn judge(&self, exchange: &Exchange, head: &[u8]) -> Result<Framing, Refused>;

    /// Answers a head that could not be read; `so_far` is what arrived.
    fn answer(&self, exchange: &Exchange, fault: HeadFault, so_far: &[u8]) -> Refused;

    /// Records a request that pingora ended before any hook saw it.
    fn lost(&self, exchange: &Exchange);

    /// Whether `peer` may say whom it speaks for.
    fn trusts(&self, peer: IpAddr) -> bool;

    /// Whether `peer` may connect at all.
    fn admits(&self, peer: IpAddr) -> bool;

    /// Hears that `peer` sent so much that is no request that it was cut off.
    fn flooded(&self, peer: IpAddr);

    /// Counts an event in the life of connections.
    fn count(&self, listener: &Listener, event: Event);

    /// How often each worker is to say how it does; never if none.
    fn pulse(&self) -> Option<Duration> {
        None
    }

    /// Hears how a worker does.
    fn beat(&self, _worker: usize, _beat: &Beat) {}
}

/// What a worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beat {
    /// How late it came to what it was to do at once.
    pub(crate) late: Duration,
    /// How long it had nothing to do since the beat before.
    pub(crate) idle: Duration,
}

/// The bytes of an answer after which the connection ends.
pub(crate) struct Refused(pub(crate) Bytes);

/// Where an h1 request ends (RFC 9112 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// After this many bytes of body.
    Length(u64),
    /// After its last chunk.
    Chunked,
    /// Where its tunnel ends.
    Open,
}

/// What happens to connections, besides requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    Accepted,
    Closed,
    /// Refused because all connections, or those of its network, are taken.
    Full,
    /// Refused because its client is banned.
    Banned,
    /// The first request came, in HTTP/1 or in HTTP/2.
    SpeaksH1,
    SpeaksH2,
    /// The PROXY header was wrong or missing.
    ProxyHeader,
    /// The TLS handshake failed, for a reason out of a closed set.
    Handshake(&'static str),
    /// A connection was cut off, for a reason out of a closed set.
    Cut(&'static str),
}

/// A pingora application and the door to the rooms behind it.
pub(crate) trait App: HttpServerApp + Send + Sync + 'static {}

impl<T: HttpServerApp + Send + Sync + 'static> App for T {}
