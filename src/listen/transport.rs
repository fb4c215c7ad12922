//! The bytes of a connection, with TLS or without.

use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};
use tokio_rustls::server::TlsStream;

use super::speed::{Least, Speed, TooSlow};

/// A TCP connection, and what was read of it before its protocol was known.
#[derive(Debug)]
pub(super) struct Tcp {
    stream: TcpStream,
    early: Bytes,
    stall: Stall,
}

impl Tcp {
    /// A write that does not move for `patience` fails.
    pub(super) fn new(stream: TcpStream, early: Bytes, patience: Duration) -> Self {
        let speed = Speed::default();
        Tcp {
            stream,
            early,
            stall: Stall { patience, since: None, least: None, speed, alarm: None },
        }
    }

    /// What is written must be taken at this rate at least.
    pub(super) fn at_least(mut self, least: Option<Least>) -> Self {
        self.stall.least = least;
        self
    }

    /// Puts bytes back that were read to tell the protocol.
    pub(super) fn unread(&mut self, bytes: Bytes) {
        self.early = bytes;
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.early.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let n = self.early.len().min(buf.remaining());
        buf.put_slice(&self.early.split_to(n));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let me = &mut *self;
        let written = Pin::new(&mut me.stream).poll_write(cx, buf);
        me.stall.bound(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let me = &mut *self;
        let written = Pin::new(&mut me.stream).poll_write_vectored(cx, bufs);
        me.stall.bound(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// How long the socket has taken nothing of a write, or too little.
///
/// Pingora bounds its writes of bodies alone, neither those of heads nor
/// flushes; here, under TLS too, nothing is written past the bound.
#[derive(Debug)]
struct Stall {
    patience: Duration,
    // None while writes move.
    since: Option<Instant>,
    least: Option<Least>,
    speed: Speed,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Stall {
    /// The outcome of a write; a failure once it has stood still too long, or
    /// writes are taken too slowly.
    fn bound(
        &mut self,
        written: Poll<io::Result<usize>>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(outcome) = &written {
            self.since = None;
            if let (Ok(bytes), Some(least)) = (outcome, self.least) {
                self.speed.moved(*bytes, least);
            }
            return written;
        }
        let stands_until = *self.since.get_or_insert_with(Instant::now) + self.patience;
        let late_at = self.least.map(|least| self.speed.wait(least));
        let deadline = late_at.unwrap_or(stands_until).min(stands_until);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        // An alarm of an earlier stall is looked at when it rings: re-arming it
        // for every write would cost more than it gives.
        loop {
            ready!(alarm.as_mut().poll(cx));
            let now = Instant::now();
            if now >= stands_until {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            if now >= deadline {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, TooSlow)));
            }
            alarm.as_mut().reset(deadline);
        }
    }
}

#[derive(Debug)]
pub(super) enum Transport {
    Plain(Tcp),
    Tls(Box<TlsStream<Tcp>>),
}

impl Transport {
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    pub(super) fn poll_write_both(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let both = [io::IoSlice::new(first), io::IoSlice::new(second)];
        match self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, &both),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, &both),
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}

impl Transport {
    /// Forgets how slowly the client took what was written.
    pub(super) fn forgive(&mut self) {
        self.tcp().stall.speed = Speed::default();
    }

    /// Ready once the client sends no more, whatever is still to be read. It
    /// wakes whoever waits only while there is nothing to be read.
    pub(super) fn poll_left(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &self.tcp().stream;
        ready!(stream.poll_read_ready(cx))?;
        let state = pin!(stream.ready(Interest::READABLE));
        match ready!(state.poll(cx))?.is_read_closed() {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn tcp(&mut self) -> &mut Tcp {
        match self {
            Transport::Plain(tcp) => tcp,
            Transport::Tls(tls) => tls.get_mut().0,
        }
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Transport::Plain(tcp) => tcp.stream.as_fd(),
            Transport::Tls(tls) => tls.get_ref().0.stream.as_fd(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::super::listener::{Config, Listener};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// Our end of a connection, and the client's.
    async fn pair() -> (Tcp, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        (Tcp::new(stream, Bytes::new(), PATIENCE), client)
    }

    /// Writes until the write fails; why it did.
    async fn fill(tcp: &mut Tcp) -> io::Error {
        loop {
            if let Err(error) = tcp.write_all(&[b'x'; 1 << 16]).await {
                return error;
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_stands_still_fails() {
        let (mut tcp, _client) = pair().await;
        let began = Instant::now();
        assert_eq!(fill(&mut tcp).await.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() >= PATIENCE);
        // And whatever is tried after it, at once.
        let late = Instant::now();
        assert_eq!(fill(&mut tcp).await.kind(), io::ErrorKind::TimedOut);
        assert!(late.elapsed() < PATIENCE);
    }

    /// Writes for two minutes to who reads 2 MiB every five seconds; why that
    /// failed, if it did.
    async fn drip(rate: &str) -> Option<io::Error> {
        let (mut tcp, mut client) = pair().await;
        // Nothing else is to end it.
        tcp.stall.patience = 60 * PATIENCE;
        let limits = format!("{{ address: '127.0.0.1:1', limits: {{ min_rate: {rate} }} }}");
        let config: Config<()> = serde_yaml::from_str(&limits).unwrap();
        let listener = Listener::new(&config).unwrap();
        let mut tcp = tcp.at_least(Least::of_answers(&listener));
        let reader = async {
            let mut taken = vec![0; 2 << 20];
            for _ in 0..24 {
                tokio::time::sleep(Duration::from_secs(5)).await;
                client.read_exact(&mut taken).await.unwrap();
            }
        };
        tokio::select! {
            error = fill(&mut tcp) => Some(error),
            () = reader => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_that_are_taken_too_slowly_fail() {
        let why = |error: &io::Error| error.get_ref().is_some_and(|why| why.is::<TooSlow>());
        assert!(drip("1MiB/s").await.as_ref().is_some_and(why));
        assert!(drip("10KiB/s").await.is_none());
        assert!(drip("off").await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_that_moves_may_take_long() {
        let (mut tcp, mut client) = pair().await;
        assert_eq!(fill(&mut tcp).await.kind(), io::ErrorKind::TimedOut);
        // What has stood still moves on once the client reads.
        let mut taken = vec![0; 1 << 16];
        let reader = async {
            let mut all = 0;
            while all < 32 << 20 {
                all += client.read(&mut taken).await.unwrap();
            }
        };
        let writer = async {
            for _ in 0..16 {
                tokio::time::sleep(PATIENCE / 2).await;
                tcp.write_all(&vec![b'x'; 2 << 20]).await.unwrap();
            }
        };
        tokio::join!(reader, writer);
        assert_eq!(fill(&mut tcp).await.kind(), io::ErrorKind::TimedOut);
    }
}
