//! One client connection as pingora sees it.
//!
//! Beneath pingora's session we coalesce small writes (header and body leave
//! in one segment), hold back what a client pipelined until its turn comes,
//! and let the hooks set a deadline that ends a silent exchange.

mod body;
mod linger;
mod stream;
mod write;

use std::future::Future;
use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use pingora::protocols::raw_connect::ProxyDigest;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, Sleep};

use super::Framing;
use super::chunks::{BadChunks, Chunks};
use super::connection::{CUT, Connection, Exchange};
use super::h2_flood::{Flood, Flooded};
use super::h2_frames::Frames;
use super::pace::Pace;
use super::speed::{Least, Speed, TooSlow};
use super::transport::Transport;

/// Writes up to this many bytes are gathered until a flush.
const COALESCE: usize = 4096;
/// The most that is read ahead of a request whose body has ended.
const AHEAD: usize = 8192;
/// One read of a head or of bytes ahead.
const CHUNK: usize = 8192;
/// Unread bytes of a refused request that are read and dropped: this many
/// reads of this size, so that most uploads end before they look for an answer.
const LINGER_READS: usize = 1024;
const LINGER_BYTES: usize = 16 * 1024;
/// How long, from an answer on, a client may go on to send its request.
pub(crate) const LINGER: Duration = Duration::from_secs(5);

/// How much of what a client sends belongs to the request being served.
#[derive(Debug)]
enum Belongs {
    /// This many bytes; what follows is the next request.
    Bytes(u64),
    /// What its chunks say.
    Chunks(Box<Chunks>),
    /// Everything: a tunnel, or HTTP/2.
    All,
}

impl Belongs {
    fn of_chunks(chunks: Box<Chunks>) -> Self {
        if chunks.is_done() { Belongs::Bytes(0) } else { Belongs::Chunks(chunks) }
    }
}

/// What pingora reads requests from and writes responses to.
pub(super) struct EdgeIo {
    transport: Transport,
    connection: Arc<Connection>,
    exchange: Option<Arc<Exchange>>,
    digest: Option<Arc<ProxyDigest>>,
    // Invariant: at most COALESCE bytes, and what was written while `Exchange::gather` was kept.
    unsent: Vec<u8>,
    // Bytes of the next request. Invariant: at most AHEAD + CHUNK bytes, or what
    // came in one read with the end of a chunked body.
    ahead: BytesMut,
    belongs: Belongs,
    // The last byte of a body, read and not passed on yet.
    end: Option<u8>,
    // Of HTTP/2 alone, which has many exchanges and hence none here.
    frames: Option<Box<Frames>>,
    pace: Arc<Pace>,
    // Of the body that is read.
    speed: Speed,
    alarm: Option<Pin<Box<Sleep>>>,
    // When more of a throttled answer may be written.
    turn: Option<Pin<Box<Sleep>>>,
}

impl EdgeIo {
    pub(super) fn new(transport: Transport, connection: Arc<Connection>) -> Self {
        EdgeIo {
            transport,
            connection,
            exchange: None,
            digest: None,
            unsent: Vec::new(),
            ahead: BytesMut::new(),
            belongs: Belongs::All,
            end: None,
            frames: None,
            pace: Arc::default(),
            speed: Speed::default(),
            alarm: None,
            turn: None,
        }
    }

    /// From here on, what is read belongs to one request, whose head ends at
    /// `end` of `bytes`. What follows it there is kept for the next one.
    pub(super) fn begin_request(
        &mut self,
        bytes: &mut BytesMut,
        end: usize,
        framing: Framing,
    ) -> Result<(), BadChunks> {
        self.belongs = match framing {
            Framing::Open => Belongs::All,
            Framing::Chunked => {
                let mut chunks = Box::<Chunks>::default();
                let (_, body) = bytes.split_at(end);
                self.ahead = bytes.split_off(end + chunks.follow(body)?);
                Belongs::of_chunks(chunks)
            }
            Framing::Length(length) => {
                let come = (bytes.len() - end) as u64;
                let body = come.min(length);
                // At most what was read already, so it fits.
                self.ahead = bytes.split_off(end + body as usize);
                Belongs::Bytes(length - body)
            }
        };
        Ok(())
    }

    /// Puts bytes back that were read to tell the protocol of a plain connection.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        if let Transport::Plain(tcp) = &mut self.transport {
            tcp.unread(bytes);
        }
    }

    /// From here on HTTP/2 is read, within the bounds of the listener. Once it
    /// is flooded, nothing more is read.
    pub(super) fn follow_frames(&mut self) -> Flooded {
        let resets = self.connection.resets_per_minute();
        let frames = Frames::new(&self.connection.listener, resets, Instant::now());
        self.frames.insert(Box::new(frames)).flooded().clone()
    }

    /// Lets the hooks find `exchange` through pingora's session.
    pub(super) fn carry(&mut self, exchange: &Arc<Exchange>) {
        self.digest = Some(exchange.digest());
        self.exchange = Some(exchange.clone());
    }

    /// What an exchange keeps whose client does not read.
    pub(super) fn pace(&self) -> &Arc<Pace> {
        &self.pace
    }

    /// Whether the client may still be sending what nobody will read.
    fn is_unread(&self) -> bool {
        match &self.frames {
            Some(frames) => frames.is_flooded(),
            None => self.exchange.is_some() && !matches!(self.belongs, Belongs::Bytes(0)),
        }
    }

    /// Gives the memory back that only a request needs.
    pub(super) fn rest(&mut self) {
        self.pace.forget();
        self.unsent = Vec::new();
        self.exchange = None;
        self.digest = None;
        self.alarm = None;
        self.turn = None;
        self.belongs = Belongs::All;
        self.end = None;
        self.speed = Speed::default();
    }

    /// What has been read of the next request already.
    pub(super) fn take_ahead(&mut self) -> BytesMut {
        std::mem::take(&mut self.ahead)
    }

    /// Reads once, appending to `head`; 0 is the end of the stream.
    pub(super) async fn read_more(&mut self, head: &mut BytesMut) -> io::Result<usize> {
        std::future::poll_fn(|cx| poll_append(&mut self.transport, cx, head)).await
    }

    /// Writes an answer and closes, waiting until the client has it.
    ///
    /// Closing while unread bytes wait would reset the connection and may
    /// destroy the answer (RFC 9112 §9.6), so the rest is read and dropped;
    /// the caller bounds the time.
    pub(super) async fn answer_and_close(&mut self, answer: &[u8]) -> io::Result<()> {
        self.write_all(answer).await?;
        AsyncWriteExt::shutdown(self).await?;
        let mut dropped = BytesMut::new();
        for _ in 0..LINGER_READS {
            dropped.clear();
            if self.read_more(&mut dropped).await? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// The request has been read to its end: notice that the client leaves,
    /// and keep what it sends for its next request.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.ahead.len() < AHEAD {
            if ready!(poll_append(&mut self.transport, cx, &mut self.ahead))? == 0 {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    fn is_watched(&self) -> bool {
        self.exchange.as_ref().is_some_and(|exchange| exchange.is_watched())
    }

    /// Ready once the client has left. None of its request is read: of what
    /// waits to be read, the end shows at the end of the watch.
    fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.belongs {
            Belongs::Bytes(0) => self.poll_ahead(cx),
            _ => self.transport.poll_left(cx),
        }
    }

    fn poll_all(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let Some(frames) = &mut self.frames else {
            return self.transport.poll_read(cx, buf);
        };
        if !frames.is_flooded() {
            ready!(self.transport.poll_read(cx, buf))?;
            let (_, come) = buf.filled().split_at(before);
            frames.follow(come, Instant::now());
            blame(frames, &self.connection);
        }
        if frames.is_flooded() {
            // Who serves the streams is told, and ends the connection.
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }

    /// What is asked of who sends the body that is read now.
    fn least(&self) -> Option<Least> {
        let is_body = matches!(self.belongs, Belongs::Bytes(1..) | Belongs::Chunks(_));
        let exchange = self.exchange.as_ref().filter(|_| is_body)?;
        let least = Least::of_bodies(&self.connection.listener)?;
        (!exchange.is_open_ended() && !exchange.is_watched()).then_some(least)
    }

    fn check_cut(&self) -> io::Result<()> {
        match &self.exchange {
            Some(exchange) if exchange.is_cut() => Err(io::Error::other(CUT)),
            _ => Ok(()),
        }
    }

    /// When the client, or the server for it, must have moved.
    fn deadline(&self) -> Option<Instant> {
        match &self.exchange {
            Some(exchange) => exchange.deadline().into_iter().chain(self.late_at()).min(),
            None => self.frames.as_ref()?.deadline(),
        }
    }

    /// When the client will have been too slow to send a body.
    fn late_at(&self) -> Option<Instant> {
        self.speed.late_at(self.least()?)
    }

    fn expire(&self, now: Instant) -> bool {
        match &self.exchange {
            Some(exchange) => exchange.expire(now),
            None => self.deadline().is_some_and(|deadline| deadline <= now),
        }
    }

    /// Ready with an error once the exchange is cut or a deadline has passed.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check_cut()?;
        while let Some(deadline) = self.deadline() {
            let alarm =
                self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            // A deadline that moved on is looked at when the old one rings:
            // re-arming a timer for every chunk would cost more than it gives.
            if alarm.deadline() > deadline {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(cx));
            if self.late_at().is_some_and(|late| late <= Instant::now()) {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, TooSlow)));
            }
            if self.expire(Instant::now()) {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm = None;
        }
        Poll::Pending
    }
}

/// Counts streams that were opened for nothing with the client's others.
fn blame(frames: &mut Frames, connection: &Connection) {
    let wasted = frames.take_wasted();
    if wasted > 0 && !connection.seat().may_reset(wasted, connection.resets_per_minute()) {
        frames.flood(Flood::Resets);
    }
}

/// Reads once into the end of `into` without holding a buffer while waiting.
fn poll_append(
    transport: &mut Transport,
    cx: &mut Context<'_>,
    into: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    let mut space = [MaybeUninit::<u8>::uninit(); CHUNK];
    let mut buf = ReadBuf::uninit(&mut space);
    ready!(transport.poll_read(cx, &mut buf))?;
    into.extend_from_slice(buf.filled());
    Poll::Ready(Ok(buf.filled().len()))
}

impl AsyncRead for EdgeIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = &mut *self;
        // Who reads waits for no write.
        me.pace.forget();
        // Pingora does not flush within a body of known length; but it listens
        // to the client whenever the server has nothing more for now.
        if !me.unsent.is_empty()
            && let Poll::Ready(Err(error)) = me.poll_send(cx)
        {
            return Poll::Ready(Err(error));
        }
        let (before, least) = (buf.filled().len(), me.least());
        let read = match &me.belongs {
            _ if me.is_watched() => me.poll_left(cx),
            _ if me.end.is_some() => me.poll_end(cx, buf),
            Belongs::All => me.poll_all(cx, buf),
            Belongs::Chunks(_) => me.poll_chunks(cx, buf),
            Belongs::Bytes(0) => me.poll_ahead(cx),
            Belongs::Bytes(left) => {
                let left = *left;
                me.poll_length(left, cx, buf)
            }
        };
        match (read, least) {
            (Poll::Pending, least) => {
                if let Some(least) = least {
                    me.speed.wait(least);
                }
                me.poll_alarm(cx)
            }
            (ready, Some(least)) => {
                me.speed.moved(buf.filled().len() - before, least);
                ready
            }
            (ready, None) => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpStream;

    use futures::FutureExt;
    use futures::future::join;
    use tokio::io::AsyncReadExt;
    use tokio::sync::mpsc;
    use tokio::task::JoinSet;

    use super::super::listener::{Config, Listener};
    use super::super::pace::Paced;
    use super::super::seats::{Bounds, Seats, Who};
    use super::super::transport::Tcp;
    use super::*;

    /// Our end of a connection on which a request runs, and the client's end.
    pub(super) async fn asked() -> (Arc<Seats>, EdgeIo, Arc<Exchange>, TcpStream) {
        let accepting = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(accepting.local_addr().unwrap()).await.unwrap();
        let (stream, peer) = accepting.accept().await.unwrap();
        let seats = Seats::new(Bounds { connections: 1, per_client: 1 });
        let seat = seats.take(peer.ip(), Who::Client).unwrap();
        let config = Config::<()> { address: "127.0.0.1:1".into(), ..Config::default() };
        let listener = Arc::new(Listener::new(&config).unwrap());
        let connection = Connection::new(listener, peer, None, seat);
        let tcp = Tcp::new(stream, Bytes::new(), LINGER);
        let mut io = EdgeIo::new(Transport::Plain(tcp), connection.clone());
        let exchange = Exchange::new(connection, Instant::now());
        io.carry(&exchange);
        (seats, io, exchange, client)
    }

    /// Has an answer written for a moment that a client takes as far as it goes;
    /// how much of what the server sends meanwhile is read.
    async fn read_beside(framing: Framing, takes: usize) -> usize {
        const ANSWER: usize = 8 << 20;
        let (_seats, mut io, exchange, mut client) = asked().await;
        io.begin_request(&mut BytesMut::new(), 0, framing).unwrap();
        let pace = io.pace().clone();
        let (server, mut sent) = mpsc::unbounded_channel();
        let write = async { io.write_all(&vec![b'x'; ANSWER]).await };
        let mut read = 0;
        let reads = async {
            // What a server sends comes when the answer has begun.
            tokio::task::yield_now().await;
            while read < 100 && sent.recv().await.is_some() {
                read += 1;
            }
        };
        (0..100).for_each(|piece| server.send(piece).unwrap());
        let answered = Box::pin(join(write, reads));
        let taken = async {
            let mut bytes = vec![0; takes];
            client.read_exact(&mut bytes).await.unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        tokio::select! {
            biased;
            _ = Paced::new(answered, pace, exchange) => {}
            () = taken => {}
        }
        read
    }

    #[tokio::test]
    async fn a_server_is_read_at_the_pace_of_its_client() {
        assert_eq!(read_beside(Framing::Length(0), 0).await, 0);
        assert_eq!(read_beside(Framing::Length(0), 8 << 20).await, 100);
        // Who still sends may be heard before it reads.
        assert_eq!(read_beside(Framing::Length(1), 0).await, 100);
        assert_eq!(read_beside(Framing::Open, 0).await, 100);
    }

    #[tokio::test]
    async fn what_is_gathered_waits_for_no_client() {
        // More than sockets take.
        const HEAD: usize = 16 << 20;
        let (_seats, mut io, exchange, mut client) = asked().await;
        io.begin_request(&mut BytesMut::new(), 0, Framing::Length(0)).unwrap();
        let head = vec![b'x'; HEAD];
        let gathered = exchange.leaving.gather();
        let written = async {
            io.write_all(&head).await?;
            io.flush().await
        };
        written.now_or_never().expect("no client is waited for").unwrap();
        drop(gathered);
        let mut client_side = JoinSet::new();
        client_side.spawn(async move {
            let mut bytes = vec![0; HEAD + 4];
            client.read_exact(&mut bytes).await.map(|_| bytes)
        });
        io.write_all(b"body").await.unwrap();
        io.flush().await.unwrap();
        let taken = client_side.join_next().await.unwrap().unwrap();
        assert!(taken.unwrap().ends_with(b"xbody"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_lingers_keeps_its_seat() {
        let (seats, io, exchange, client) = asked().await;
        // Its body may still come, so the descriptor stays; and so does the seat.
        drop((io, exchange));
        assert_eq!(seats.taken(), 1);
        drop(client);
        seats.all_free().await;
    }
}
