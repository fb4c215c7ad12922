//! A server that speaks HTTP/2 and does what a test tells it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::client::Io;
use super::h2_client::next;

/// A server; it and its connections end when this is dropped.
pub(crate) struct H2Origin {
    pub(crate) addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

/// A request and the way to answer it.
pub(crate) struct Call {
    pub(crate) request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
}

impl H2Origin {
    /// Runs `script` on each request, without TLS.
    pub(crate) async fn scripted<F, S>(script: S) -> H2Origin
    where
        S: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        H2Origin::serve(None, script).await
    }

    /// The same over TLS; a client that does not ask for h2 is turned away.
    pub(crate) async fn scripted_tls<F, S>(config: Arc<ServerConfig>, script: S) -> H2Origin
    where
        S: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let mut config = (*config).clone();
        config.alpn_protocols = vec![b"h2".to_vec()];
        H2Origin::serve(Some(TlsAcceptor::from(Arc::new(config))), script).await
    }

    async fn serve<F, S>(tls: Option<TlsAcceptor>, script: S) -> H2Origin
    where
        S: Fn(Call) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let task = tokio::spawn(async move {
            let mut running = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let (tls, script) = (tls.clone(), script.clone());
                running.spawn(async move {
                    match tls {
                        None => connection(stream, script).await,
                        Some(acceptor) => {
                            if let Ok(stream) = acceptor.accept(stream).await {
                                connection(stream, script).await;
                            }
                        }
                    }
                });
            }
        });
        H2Origin { addr, connections, task }
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn connection<F, S>(stream: impl Io + 'static, script: S)
where
    S: Fn(Call) -> F,
    F: Future<Output = ()> + Send + 'static,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    let mut calls = JoinSet::new();
    // A connection that breaks is no fault of the server.
    while let Some(Ok((request, respond))) = connection.accept().await {
        calls.spawn(script(Call { request, respond }));
    }
}

impl Call {
    /// Reads the request to its end: its body and its trailers.
    pub(crate) async fn whole(&mut self) -> (Vec<u8>, Option<HeaderMap>) {
        let mut body = Vec::new();
        while let Ok(Some(piece)) = next(self.request.body_mut()).await {
            body.extend_from_slice(&piece);
        }
        let trailers = self.request.body_mut().trailers().await;
        (body, trailers.unwrap_or_default())
    }

    /// Sends the head of an answer; its body follows.
    pub(crate) fn begin(&mut self, response: Response<()>) -> SendStream<Bytes> {
        self.respond.send_response(response, false).unwrap()
    }

    /// Sends the head of an answer that ends with it.
    pub(crate) fn only_head(&mut self, response: Response<()>) {
        self.respond.send_response(response, true).unwrap();
    }

    /// Answers 200 with this body.
    pub(crate) fn answer(&mut self, body: impl Into<Bytes>) {
        self.begin(Response::new(())).send_data(body.into(), true).unwrap();
    }

    /// Ends the stream without an answer.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.respond.send_reset(reason);
    }
}
