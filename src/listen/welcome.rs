//! From an accepted connection to the protocol spoken on it.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, timeout, timeout_at};

use super::connection::Connection;
use super::h1::{Inward, Patience, next_request};
use super::io::EdgeIo;
use super::lane::Lane;
use super::listener::Listener;
use super::proxy_protocol::{self, Mode, Parsed, Source};
use super::seats::Seat;
use super::speed::Least;
use super::tls::{self, Tls};
use super::transport::{Tcp, Transport};
use super::worker::Inner;
use super::{App, Door, Event, h2};

/// What an HTTP/2 client sends first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What the kernel may hold for a client and not have sent yet. Else it is up to
/// 4 MiB, of which a client has to take a third until it is told that it takes
/// anything at all: one that is slow for once would seem to stand still.
const UNSENT: u32 = 128 * 1024;

/// Serves one connection to its end.
///
/// What is not for every connection is boxed: a task is as large as its largest
/// part, and idle connections are many.
pub(super) async fn welcome<D: Door, A: App>(
    stream: TcpStream,
    peer: SocketAddr,
    listener: &Arc<Listener>,
    seat: Seat,
    inner: &Inner<D, A>,
) {
    let Inner { door, app, shutdown, lane, .. } = inner;
    let tcp = match prepare(stream) {
        Ok(tcp) => tcp,
        Err(error) => return ::log::debug!("the connection of {peer}: {error}"),
    };
    let beginning = Box::pin(begin(tcp, peer, listener, &seat, door, lane));
    let Some(begun) = shutdown.bound_beginning(beginning).await else { return };
    let Begun { transport, peer, tls } = begun;
    let connection = Connection::new(listener.clone(), peer, tls, seat);
    let io = Box::new(EdgeIo::new(transport, connection.clone()));
    let inward = Inward { connection: &connection, door, app, shutdown };
    match &connection.tls {
        Some(facts) if facts.is_h2 => Box::pin(h2::serve(&inward, io)).await,
        Some(_) => inward.serve(io, None).await,
        None => serve_plain(&inward, io).await,
    }
}

/// A connection on which requests may follow.
struct Begun {
    transport: Transport,
    peer: SocketAddr,
    tls: Option<tls::Facts>,
}

/// Reads what comes before requests: a PROXY header, the handshake of TLS.
async fn begin<D: Door>(
    tcp: tokio::net::TcpStream,
    peer: SocketAddr,
    listener: &Arc<Listener>,
    seat: &Seat,
    door: &Arc<D>,
    lane: &Lane,
) -> Option<Begun> {
    let Some(Announced { tcp, peer, is_for }) = announced(tcp, peer, listener, door).await else {
        door.count(listener, Event::ProxyHeader);
        return None;
    };
    if let Some(client) = is_for
        && let Err(event) = admit(client, seat, door)
    {
        door.count(listener, event);
        return None;
    }
    let Some(tls) = &listener.tls else {
        return Some(Begun { transport: Transport::Plain(tcp), peer, tls: None });
    };
    let lane = if seat.is_known() { None } else { Some(lane) };
    match handshake(tls, tcp, listener, lane).await {
        Ok((stream, facts)) => {
            let transport = Transport::Tls(Box::new(stream));
            Some(Begun { transport, peer, tls: Some(facts) })
        }
        Err(reason) => {
            ::log::debug!("no TLS with {peer}: {reason}");
            door.count(listener, Event::Handshake(reason));
            None
        }
    }
}

/// Whether a client may connect that a proxy announces, as if it came itself.
fn admit<D: Door>(client: IpAddr, seat: &Seat, door: &Arc<D>) -> Result<(), Event> {
    if !door.admits(client) {
        return Err(Event::Banned);
    }
    if door.trusts(client) {
        return Ok(());
    }
    seat.announce(client).map_err(|full| {
        seat.complain(full, client);
        Event::Full
    })
}

fn prepare(stream: TcpStream) -> io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT)?;
    tokio::net::TcpStream::from_std(stream)
}

/// Without TLS, the first bytes tell h2 (prior knowledge) from h1.
async fn serve_plain<D: Door, A: App>(inward: &Inward<'_, D, A>, mut io: Box<EdgeIo>) {
    let listener = &inward.connection.listener;
    if !listener.speaks_h2 {
        return inward.serve(io, None).await;
    }
    let mut patience = Patience::new(inward.shutdown, listener.timeouts.idle.0);
    let Some(mut first) = next_request(&mut io, &mut patience).await else {
        return;
    };
    let began = Instant::now();
    let deadline = began + listener.timeouts.header.0;
    let told = async {
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            match timeout_at(deadline, io.read_more(&mut first)).await {
                Ok(Ok(n)) if n > 0 => {}
                _ => break,
            }
        }
        Some(())
    };
    if inward.shutdown.bound_beginning(told).await.is_none() {
        return;
    }
    let is_h2 = first.starts_with(PREFACE);
    io.unread(first.freeze());
    match is_h2 {
        true => Box::pin(h2::serve(inward, io)).await,
        // It answers as well where h1 is not spoken.
        false => inward.serve(io, Some(began)).await,
    }
}

async fn handshake(
    tls: &Tls,
    tcp: Tcp,
    listener: &Listener,
    lane: Option<&Lane>,
) -> Result<(tokio_rustls::server::TlsStream<Tcp>, tls::Facts), &'static str> {
    match timeout(listener.timeouts.header.0, tls.accept(tcp, lane)).await {
        Ok(Ok(accepted)) => Ok(accepted),
        Ok(Err(error)) => Err(tls::reason(&error)),
        Err(_) => Err("too_slow"),
    }
}

/// A connection whose PROXY header, if any, has been read.
struct Announced {
    tcp: Tcp,
    peer: SocketAddr,
    // Whom alone a proxy connects for.
    is_for: Option<IpAddr>,
}

/// Reads the PROXY header of a trusted peer; none if it is wrong or missing.
async fn announced<D: Door>(
    mut tcp: tokio::net::TcpStream,
    peer: SocketAddr,
    listener: &Listener,
    door: &Arc<D>,
) -> Option<Announced> {
    let written = |tcp, early| {
        let tcp = Tcp::new(tcp, early, listener.timeouts.write.0);
        tcp.at_least(Least::of_answers(listener))
    };
    let plain = |tcp, early| Some(Announced { tcp: written(tcp, early), peer, is_for: None });
    match (listener.proxy_protocol, door.trusts(peer.ip())) {
        (Mode::Off, _) | (Mode::Accept, false) => return plain(tcp, Bytes::new()),
        (Mode::Require, false) => return None,
        (Mode::Accept | Mode::Require, true) => {}
    }
    let mut early = BytesMut::new();
    let read = async {
        loop {
            match proxy_protocol::parse(&early) {
                Ok(Parsed::Incomplete) if tcp.read_buf(&mut early).await? > 0 => {}
                Ok(Parsed::Incomplete) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(parsed) => return Ok(parsed),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    };
    let parsed = timeout(listener.timeouts.header.0, read).await;
    match parsed {
        Ok(Ok(Parsed::Complete { used, source })) => {
            early.advance(used);
            let tcp = written(tcp, early.freeze());
            Some(match source {
                Source::Local => Announced { tcp, peer, is_for: None },
                Source::Addresses { source, .. } => {
                    Announced { tcp, peer: source, is_for: Some(source.ip()) }
                }
            })
        }
        Ok(Ok(_)) if listener.proxy_protocol == Mode::Accept => plain(tcp, early.freeze()),
        Ok(Ok(_)) => None,
        Ok(Err(error)) => {
            ::log::debug!("the PROXY header of {peer}: {error}");
            None
        }
        Err(_) => None,
    }
}
