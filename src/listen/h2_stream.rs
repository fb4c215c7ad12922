//! One HTTP/2 stream as pingora sees it.
//!
//! Pingora's own h2 session waits for a request body, and for an answer, as
//! long as the client likes. This one is the same session with the deadlines
//! of the exchange, so that h1 and h2 keep the same promises.

use std::future::Future;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use http::HeaderMap;
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::v2::server::HttpSession;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{CUT, Exchange};

/// A stream and the exchange that it carries.
pub(super) struct H2Stream {
    inner: HttpSession,
    exchange: Arc<Exchange>,
    body_timeout: Option<Duration>,
}

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

impl H2Stream {
    pub(super) fn new(inner: HttpSession, exchange: Arc<Exchange>) -> Self {
        H2Stream { inner, exchange, body_timeout: None }
    }
}

/// The outcome of `wait`, unless the exchange's deadline passes first.
async fn before_deadline<T>(
    exchange: &Exchange,
    wait: impl Future<Output = Result<T>>,
) -> Result<T> {
    let mut wait = std::pin::pin!(unless_cut(exchange, wait));
    loop {
        // Hooks move the deadline only between two of these waits.
        let Some(deadline) = exchange.deadline() else {
            return wait.await;
        };
        tokio::select! {
            biased;
            outcome = wait.as_mut() => return outcome,
            () = sleep_until(deadline) => {}
        }
        if exchange.expire(Instant::now()) {
            return Error::e_explain(ErrorType::ReadTimedout, "the exchange stood still");
        }
    }
}

/// The outcome of `wait`, unless it is polled after the exchange was cut.
async fn unless_cut<T>(exchange: &Exchange, wait: impl Future<Output = Result<T>>) -> Result<T> {
    let mut wait = std::pin::pin!(wait);
    std::future::poll_fn(|cx| match wait.as_mut().poll(cx) {
        Poll::Pending if exchange.is_cut() => Poll::Ready(
            Error::e_explain(ErrorType::ConnectionClosed, CUT).map_err(Error::into_down),
        ),
        other => other,
    })
    .await
}

#[async_trait]
impl Session for H2Stream {
    fn req_header(&self) -> &RequestHeader {
        self.inner.req_header()
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        self.inner.req_header_mut()
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        let read = unless_cut(&self.exchange, self.inner.read_body_bytes());
        let Some(patience) = self.body_timeout else {
            return read.await;
        };
        match timeout(patience, read).await {
            Ok(read) => read,
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "reading the request body"),
        }
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.inner.drain_request_body().await
    }

    async fn write_response_header(&mut self, resp: Box<ResponseHeader>, end: bool) -> Result<()> {
        let end = end || self.exchange.head_is_all();
        self.inner.write_response_header(resp, end)
    }

    async fn write_response_header_ref(&mut self, resp: &ResponseHeader, end: bool) -> Result<()> {
        let end = end || self.exchange.head_is_all();
        self.inner.write_response_header_ref(resp, end)
    }

    async fn write_body(&mut self, data: Bytes, end: bool) -> Result<()> {
        unless_cut(&self.exchange, self.inner.write_body(data, end)).await
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.inner.write_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        self.inner.response_duplex_vec(tasks).await
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.body_timeout = timeout;
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.body_timeout
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_write_timeout(timeout);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.inner.get_write_timeout()
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.inner.set_total_drain_timeout(timeout);
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.inner.get_total_drain_timeout()
    }

    fn request_summary(&self) -> String {
        self.inner.request_summary()
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.inner.response_written()
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {
        self.inner.shutdown();
    }

    async fn abandon(&mut self, _ctx: &str) {
        self.inner.shutdown();
    }

    fn is_body_done(&mut self) -> bool {
        self.inner.is_body_done()
    }

    async fn finish(&mut self) -> Result<()> {
        self.inner.finish()
    }

    fn is_body_empty(&mut self) -> bool {
        self.inner.is_body_empty()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.inner.is_body_done() {
            return self.read_body_bytes().await;
        }
        let idle = async {
            let reason = self.inner.idle().await?;
            Error::e_explain(ErrorType::H2Error, format!("the client left: {reason}"))
        };
        before_deadline(&self.exchange, idle).await
    }

    fn body_bytes_sent(&self) -> usize {
        self.inner.body_bytes_sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.inner.body_bytes_read()
    }

    fn digest(&self) -> Option<&Digest> {
        self.inner.digest()
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        self.inner.digest_mut()
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.inner.client_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.inner.server_addr()
    }

    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        self.inner.pseudo_raw_h1_request_header()
    }

    fn enable_retry_buffering(&mut self) {
        self.inner.enable_retry_buffering();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.inner.retry_buffer_truncated()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.inner.get_retry_buffer()
    }

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    // HTTP/2 has no messages beside the body.
    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        None
    }

    fn restore_custom_message_reader(&mut self, _: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
