//! A client that sends exactly the bytes it is told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::FutureExt as _;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::response::{Response, find};
use super::within;

/// Any byte stream.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// One connection and what was read from it but not used yet.
pub(crate) struct Client {
    stream: Box<dyn Io>,
    read: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(addr: SocketAddr) -> Client {
        Client::of(TcpStream::connect(addr).await)
    }

    /// One that is reset at once is one that has ended.
    fn of(connected: io::Result<TcpStream>) -> Client {
        match connected {
            Ok(stream) => Client::over(stream),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Client::over(tokio::io::empty())
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Connects from another address of loopback, such as 127.0.0.9.
    pub(crate) async fn connect_from(from: &str, addr: SocketAddr) -> Client {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        Client::of(socket.connect(addr).await)
    }

    /// Connects and ends the TLS handshake for `name`.
    pub(crate) async fn tls(addr: SocketAddr, config: Arc<ClientConfig>, name: &str) -> Client {
        Client::over(tls(addr, config, name).await.unwrap())
    }

    pub(crate) fn over(stream: impl Io + 'static) -> Client {
        Client { stream: Box::new(stream), read: Vec::new() }
    }

    /// Sends one request on a new connection; its answer.
    pub(crate) async fn ask(addr: SocketAddr, request: impl AsRef<[u8]>) -> Response {
        let mut client = Client::connect(addr).await;
        client.send(request).await;
        client.response().await
    }

    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    /// Sends to a peer that may have closed already.
    pub(crate) async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("a write", async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        })
        .await
    }

    /// Ends the sending half.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next answer, informational ones included, with its body.
    pub(crate) async fn response(&mut self) -> Response {
        let response = self.response_head().await;
        self.body_of(response).await
    }

    /// The next answer; none if the peer closes without a word.
    pub(crate) async fn response_or_closed(&mut self) -> Option<Response> {
        let head = self.head_or_closed().await?;
        Some(self.body_of(head).await)
    }

    /// The next head; none if the peer closes without a word.
    pub(crate) async fn head_or_closed(&mut self) -> Option<Response> {
        if self.read.is_empty() && self.more().await == 0 {
            return None;
        }
        Some(self.response_head().await)
    }

    /// The next head; its body, if it has one, is still to be read.
    pub(crate) async fn response_head(&mut self) -> Response {
        let head = self.read_to(b"\r\n\r\n").await;
        Response::head(&head)
    }

    async fn body_of(&mut self, mut response: Response) -> Response {
        let is_bodiless = response.status < 200 || matches!(response.status, 204 | 304);
        response.body = if is_bodiless {
            Vec::new()
        } else if response.header("transfer-encoding").is_some() {
            assert_eq!(response.header("transfer-encoding"), Some("chunked"));
            self.chunks().await
        } else if let Some(length) = response.header("content-length") {
            self.take(length.parse().unwrap()).await
        } else {
            self.read_to_end().await
        };
        response
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.read_to(b"\r\n").await;
            let size = String::from_utf8_lossy(&line);
            let size = size.trim().split(';').next().unwrap_or_default().to_owned();
            let size = usize::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("{size:?}"));
            body.extend(self.take(size).await);
            assert_eq!(self.take(2).await, b"\r\n", "the end of a chunk");
            if size == 0 {
                return body;
            }
        }
    }

    /// Exactly `count` bytes.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.take_or_closed(count).await;
        taken.unwrap_or_else(|| panic!("ended after {} of {count} bytes", self.read.len()))
    }

    /// Exactly `count` bytes; none if the peer closes before.
    pub(crate) async fn take_or_closed(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.read.len() < count {
            if self.more().await == 0 {
                return None;
            }
        }
        Some(self.read.drain(..count).collect())
    }

    /// How many bytes more are there by now.
    pub(crate) fn at_hand(&mut self) -> usize {
        while self
            .stream
            .read_buf(&mut self.read)
            .now_or_never()
            .is_some_and(|read| read.is_ok_and(|count| count > 0))
        {}
        self.read.len()
    }

    /// Everything up to and with `end`.
    pub(crate) async fn read_to(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = find(&self.read, end) {
                return self.read.drain(..at + end.len()).collect();
            }
            let got = self.more().await;
            let so_far = String::from_utf8_lossy(&self.read);
            assert!(got > 0, "ended before {:?}: {so_far:?}", String::from_utf8_lossy(end));
        }
    }

    /// Everything until the peer closes; a reset counts as closed.
    pub(crate) async fn read_to_end(&mut self) -> Vec<u8> {
        while self.more().await > 0 {}
        std::mem::take(&mut self.read)
    }

    /// Asserts that the peer closes and says nothing more.
    pub(crate) async fn expect_closed(&mut self) {
        let rest = self.read_to_end().await;
        assert!(rest.is_empty(), "{:?}", String::from_utf8_lossy(&rest));
    }

    async fn more(&mut self) -> usize {
        let read = within("bytes", self.stream.read_buf(&mut self.read)).await;
        read.unwrap_or(0)
    }
}

/// A TLS stream to `addr`, or why the handshake failed.
pub(crate) async fn tls(
    addr: SocketAddr,
    config: Arc<ClientConfig>,
    name: &str,
) -> io::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let stream = TcpStream::connect(addr).await?;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    within("a TLS handshake", TlsConnector::from(config).connect(name, stream)).await
}
