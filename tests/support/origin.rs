//! Servers behind the proxy that do exactly what a test tells them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::client::Io;
use super::response::{Response, find};
use super::{poll, within};

/// A server; it and its connections end when this is dropped.
pub(crate) struct Origin {
    pub(crate) addr: SocketAddr,
    seen: Arc<Seen>,
    task: JoinHandle<()>,
}

/// What a server has seen.
#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    ended: AtomicUsize,
    requests: AtomicUsize,
    /// The bytes of each connection, in the order they were opened.
    bytes: Mutex<Vec<Vec<u8>>>,
}

impl Origin {
    /// Runs `script` on each connection; the connection closes when it ends.
    pub(crate) async fn scripted<F, S>(script: S) -> Origin
    where
        S: Fn(Conn) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Origin::serve(None, script).await
    }

    /// The same over TLS; a failed handshake is a connection without bytes.
    pub(crate) async fn scripted_tls<F, S>(config: Arc<ServerConfig>, script: S) -> Origin
    where
        S: Fn(Conn) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Origin::serve(Some(TlsAcceptor::from(config)), script).await
    }

    /// Gives every request these bytes, on connections that are kept.
    pub(crate) async fn answering(answer: impl AsRef<[u8]>) -> Origin {
        let answer: Arc<[u8]> = answer.as_ref().into();
        Origin::scripted(move |mut conn| {
            let answer = answer.clone();
            async move {
                while conn.request().await.is_some() {
                    conn.send(&answer).await;
                }
            }
        })
        .await
    }

    /// Answers every request 200 with a short body.
    pub(crate) async fn ok() -> Origin {
        Origin::answering(ok("ok")).await
    }

    /// Answers every request with its own head; see [`Request::echoed`].
    pub(crate) async fn echo() -> Origin {
        Origin::scripted(|mut conn| async move {
            while let Some(request) = conn.request().await {
                conn.send(ok(&request.head)).await;
            }
        })
        .await
    }

    async fn serve<F, S>(tls: Option<TlsAcceptor>, script: S) -> Origin
    where
        S: Fn(Conn) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let script = Arc::new(script);
        let task = tokio::spawn(accept(listener, tls, seen.clone(), move |conn| script(conn)));
        Origin { addr, seen, task }
    }

    pub(crate) fn connections(&self) -> usize {
        self.seen.connections.load(Ordering::SeqCst)
    }

    /// Ends it; nobody listens any more, and its connections are closed, when this returns.
    pub(crate) async fn end(mut self) {
        self.task.abort();
        assert!((&mut self.task).await.unwrap_err().is_cancelled());
        // Each of them has it, too.
        poll("its connections to end", || (Arc::strong_count(&self.seen) == 1).then_some(()));
    }

    /// Waits until this many connections have ended, and all that came on them was read.
    pub(crate) fn await_ended(&self, count: usize) {
        poll(&format!("the end of {count} connections"), || {
            (self.seen.ended.load(Ordering::SeqCst) >= count).then_some(())
        });
    }

    /// Requests read to their end by [`Conn::request`].
    pub(crate) fn requests(&self) -> usize {
        self.seen.requests.load(Ordering::SeqCst)
    }

    /// Waits until this many requests were read.
    pub(crate) fn await_requests(&self, count: usize) {
        poll(&format!("{count} requests at the server"), || {
            (self.requests() >= count).then_some(())
        });
    }

    /// Waits until the heads of these targets have arrived.
    pub(crate) fn await_heads(&self, targets: &[&str]) {
        for target in targets {
            poll(&format!("the head of {target}"), || {
                self.received_text().contains(&format!(" {target} HTTP/")).then_some(())
            });
        }
    }

    /// The bytes that each connection sent.
    pub(crate) fn received(&self) -> Vec<Vec<u8>> {
        self.seen.bytes.lock().unwrap().clone()
    }

    /// The bytes of all connections as text.
    pub(crate) fn received_text(&self) -> String {
        String::from_utf8_lossy(&self.received().concat()).into_owned()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A 200 of this body, with its length.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn accept<F, S>(listener: TcpListener, tls: Option<TlsAcceptor>, seen: Arc<Seen>, script: S)
where
    S: Fn(Conn) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    // Its tasks end with it.
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let index = seen.connections.fetch_add(1, Ordering::SeqCst);
        seen.bytes.lock().unwrap().push(Vec::new());
        let (tls, seen, script) = (tls.clone(), seen.clone(), script.clone());
        connections.spawn(async move {
            let Some(stream) = secure(stream, tls).await else {
                return;
            };
            script(Conn { stream, index, seen: seen.clone(), read: Vec::new() }).await;
            seen.ended.fetch_add(1, Ordering::SeqCst);
        });
    }
}

async fn secure(stream: TcpStream, tls: Option<TlsAcceptor>) -> Option<Box<dyn Io>> {
    match tls {
        None => Some(Box::new(stream)),
        Some(acceptor) => Some(Box::new(acceptor.accept(stream).await.ok()?)),
    }
}

/// One connection of a server.
pub(crate) struct Conn {
    stream: Box<dyn Io>,
    /// Its place among the server's connections, from 0.
    pub(crate) index: usize,
    seen: Arc<Seen>,
    read: Vec<u8>,
}

/// A request as it was written.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// The request line and all fields, with the empty line.
    pub(crate) head: String,
    /// As framed on the wire: with its chunk sizes, if it has any.
    pub(crate) raw_body: Vec<u8>,
}

impl Request {
    /// The head that [`Origin::echo`] has seen.
    #[track_caller]
    pub(crate) fn echoed(answer: &Response) -> Request {
        assert_eq!(answer.status, 200, "{answer:?}");
        Request { head: answer.text(), raw_body: Vec::new() }
    }

    /// The method, the target and the version.
    pub(crate) fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    pub(crate) fn target(&self) -> &str {
        self.line().split(' ').nth(1).unwrap_or_default()
    }

    /// The first value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// Every value of a field.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.head.lines().skip(1).filter_map(move |line| {
            let (other, value) = line.split_once(':')?;
            other.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Conn {
    /// The next request, read to its end; none when the proxy has closed.
    pub(crate) async fn request(&mut self) -> Option<Request> {
        let head = self.head().await?;
        let mut request = Request { head, raw_body: Vec::new() };
        if request.header("transfer-encoding").is_some() {
            request.raw_body = self.read_to(b"0\r\n\r\n").await?;
        } else if let Some(length) = request.header("content-length") {
            request.raw_body = self.take(length.parse().unwrap()).await?;
        }
        self.seen.requests.fetch_add(1, Ordering::SeqCst);
        Some(request)
    }

    /// The next head, its body left unread.
    pub(crate) async fn head(&mut self) -> Option<String> {
        let head = self.read_to(b"\r\n\r\n").await?;
        Some(String::from_utf8(head).expect("a head of ASCII"))
    }

    /// Everything up to and with `end`.
    pub(crate) async fn read_to(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = find(&self.read, end) {
                return Some(self.read.drain(..at + end.len()).collect());
            }
            self.more().await?;
        }
    }

    /// Exactly `count` bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            self.more().await?;
        }
        Some(self.read.drain(..count).collect())
    }

    /// The connection itself, for who speaks something else on it; nothing may
    /// have been read.
    pub(crate) fn into_stream(self) -> Box<dyn Io> {
        assert!(self.read.is_empty(), "{} bytes would be lost", self.read.len());
        self.stream
    }

    /// Whatever comes next.
    pub(crate) async fn some(&mut self) -> Option<Vec<u8>> {
        if self.read.is_empty() {
            self.more().await?;
        }
        Some(std::mem::take(&mut self.read))
    }

    /// Waits until the proxy closes the connection.
    pub(crate) async fn closed(&mut self) {
        while self.more().await.is_some() {}
    }

    /// Sends bytes; a proxy that has gone away is no fault of the server.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        let sent = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        within("a server's write", sent).await.is_ok()
    }

    // A server waits as long as its connection lives: the test has deadlines.
    async fn more(&mut self) -> Option<()> {
        let was = self.read.len();
        let got = self.stream.read_buf(&mut self.read).await.unwrap_or(0);
        let new = &self.read[was..];
        self.seen.bytes.lock().unwrap()[self.index].extend_from_slice(new);
        (got > 0).then_some(())
    }
}
