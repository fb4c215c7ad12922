//! An HTTP/2 client on one connection.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request};
use rustls::ClientConfig;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::client::{Io, tls};
use super::response::Response;
use super::within;

/// A connection; its driver ends with it.
pub(crate) struct H2Client {
    send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

/// An answer and the trailers after it.
#[derive(Debug)]
pub(crate) struct H2Response {
    pub(crate) response: Response,
    pub(crate) trailers: Option<HeaderMap>,
}

impl H2Client {
    /// Speaks h2 at once, with prior knowledge.
    pub(crate) async fn connect(addr: SocketAddr) -> H2Client {
        H2Client::over(TcpStream::connect(addr).await.unwrap()).await
    }

    pub(crate) async fn connect_from(from: &str, addr: SocketAddr) -> H2Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(from.parse().unwrap(), 0)).unwrap();
        H2Client::over(socket.connect(addr).await.unwrap()).await
    }

    pub(crate) async fn tls(addr: SocketAddr, config: Arc<ClientConfig>, name: &str) -> H2Client {
        let stream = tls(addr, config, name).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        H2Client::over(stream).await
    }

    pub(crate) async fn over(stream: impl Io + 'static) -> H2Client {
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        H2Client { send, driver: tokio::spawn(connection) }
    }

    /// Opens a stream; `is_end` if no body follows.
    pub(crate) async fn open(
        &mut self,
        request: Request<()>,
        is_end: bool,
    ) -> (ResponseFuture, SendStream<Bytes>) {
        let mut ready = within("room for a stream", self.send.clone().ready()).await.unwrap();
        ready.send_request(request, is_end).unwrap()
    }

    /// Sends a request with this body; its whole answer.
    pub(crate) async fn ask(
        &mut self,
        request: Request<()>,
        body: impl Into<Bytes>,
    ) -> Result<H2Response, h2::Error> {
        let body = body.into();
        let (answer, mut stream) = self.open(request, body.is_empty()).await;
        if !body.is_empty() {
            stream.send_data(body, true)?;
        }
        whole(answer).await
    }

    /// Asks for a path of a host.
    pub(crate) async fn get(&mut self, url: &str) -> H2Response {
        let request = Request::get(url).body(()).unwrap();
        self.ask(request, Bytes::new()).await.unwrap()
    }

    /// Waits until the other end takes no more streams.
    pub(crate) async fn refused(&mut self) -> h2::Error {
        let refused = async {
            loop {
                match self.send.clone().ready().await {
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => return error,
                }
            }
        };
        within("streams to be refused", refused).await
    }

    /// Waits until the connection has ended.
    pub(crate) async fn closed(mut self) -> Result<(), h2::Error> {
        drop(self.send.clone());
        within("the h2 connection to end", &mut self.driver).await.unwrap()
    }
}

impl Drop for H2Client {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// The next interim answer; none when it is the final one's turn.
pub(crate) async fn interim(answer: &mut ResponseFuture) -> Option<http::Response<()>> {
    let next = std::future::poll_fn(|cx| answer.poll_informational(cx));
    within("an interim answer", next).await.map(Result::unwrap)
}

/// Everything of an answer.
pub(crate) async fn whole(answer: ResponseFuture) -> Result<H2Response, h2::Error> {
    let (head, mut body) = within("an h2 answer", answer).await?.into_parts();
    let headers = head.headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let mut response = Response {
        status: head.status.as_u16(),
        headers: headers.collect(),
        ..Response::default()
    };
    while let Some(piece) = next(&mut body).await? {
        response.body.extend_from_slice(&piece);
    }
    let trailers = within("trailers", body.trailers()).await?;
    Ok(H2Response { response, trailers })
}

/// The next piece of a body, its window given back.
pub(crate) async fn next(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(piece) = within("h2 data", body.data()).await else {
        return Ok(None);
    };
    let piece = piece?;
    body.flow_control().release_capacity(piece.len())?;
    Ok(Some(piece))
}
