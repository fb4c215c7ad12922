//! One HTTP/2 stream as pingora sees it: a session of ours.
//!
//! Pingora's own waits for a request body, and for an answer, as long as the
//! client likes, and writes no interim answers. This one has the deadlines of
//! the exchange, so that h1 and h2 keep the same promises.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, StatusCode, Version};
use pingora::http::{RequestHeader, ResponseHeader};
use pingora::protocols::Digest;
use pingora::protocols::http::HttpTask;
use pingora::protocols::http::custom::CustomMessageWrite;
use pingora::protocols::http::custom::server::Session;
use pingora::protocols::http::v1::client::http_req_header_to_wire;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::{Error, ErrorType, Result};
use tokio::time::timeout;

use super::connection::{Exchange, STAND_IN};
use super::h2::Streams;
use super::h2_answer::H2Answer;
use super::h2_body::H2Body;
use super::h2_wait::{before_deadline, step, turn, unless_cut, within};
use super::io::LINGER;
use super::listener::Listener;
use super::pace::Pace;
use super::speed::{Least, Speed};

/// A request, its answer, and the exchange that they are.
pub(super) struct H2Stream {
    request: RequestHeader,
    body: H2Body,
    // The end of the body, which was kept from who read it, is still to be told.
    owes_end: bool,
    answer: H2Answer,
    exchange: Arc<Exchange>,
    shared: Shared,
    // Of the client's sending, and of its taking.
    sends: Speed,
    takes: Speed,
    digest: Digest,
    body_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    drain_timeout: Option<Duration>,
}

/// What others know of a stream, and of those beside it.
pub(super) struct Shared {
    pub(super) pace: Arc<Pace>,
    pub(super) streams: Arc<Streams>,
}

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

impl H2Stream {
    pub(super) fn new(
        head: Parts,
        body: RecvStream,
        answer: SendResponse<Bytes>,
        exchange: Arc<Exchange>,
        shared: Shared,
    ) -> Self {
        H2Stream {
            body: H2Body::new(body, &head.headers),
            owes_end: false,
            request: head.into(),
            answer: H2Answer::new(answer),
            digest: Digest { proxy_digest: Some(exchange.digest()), ..Digest::default() },
            exchange,
            shared,
            sends: Speed::default(),
            takes: Speed::default(),
            body_timeout: None,
            write_timeout: None,
            drain_timeout: None,
        }
    }

    /// Whether a client may be waiting for 100 before it sends its body.
    fn is_body_awaited(&self) -> bool {
        self.body.read() == 0 && !self.body.is_done()
    }

    /// What is asked of this client, with all that it does beside.
    fn least(&self, of: impl Fn(&Listener) -> Option<Least>) -> Option<Least> {
        if self.exchange.is_open_ended() {
            return None;
        }
        Some(of(&self.exchange.connection.listener)?.among(self.shared.streams.active()))
    }
}

#[async_trait]
impl Session for H2Stream {
    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        let keeps_end = self.exchange.body_end().is_kept();
        if self.owes_end && !keeps_end {
            self.owes_end = false;
            return Ok(None);
        }
        let wait = self.sends.begin(self.least(Least::of_bodies));
        let read = before_deadline(&self.exchange, self.body.next());
        let piece = step(&wait, self.body_timeout, ErrorType::ReadTimedout, read).await?;
        wait.moved(piece.as_ref().map_or(0, Bytes::len));
        self.owes_end = keeps_end && self.body.is_done();
        Ok(piece)
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        self.owes_end = false;
        let drain = unless_cut(&self.exchange, self.body.drain());
        within(self.drain_timeout, ErrorType::ReadTimedout, drain).await
    }

    async fn write_response_header(&mut self, resp: Box<ResponseHeader>, end: bool) -> Result<()> {
        // Who has begun to send, or has nothing to, does not wait (RFC 9110 §10.1.1).
        if resp.status == StatusCode::CONTINUE && !self.is_body_awaited() {
            return Ok(());
        }
        if resp.status == STAND_IN && self.exchange.withholds_head() {
            return Ok(());
        }
        self.answer.write_head(resp, end || self.exchange.head_is_all()).await
    }

    async fn write_response_header_ref(&mut self, resp: &ResponseHeader, end: bool) -> Result<()> {
        self.write_response_header(Box::new(resp.clone()), end).await
    }

    async fn write_body(&mut self, mut data: Bytes, end: bool) -> Result<()> {
        let least = self.least(Least::of_answers);
        let (takes, answer, patience) = (&mut self.takes, &mut self.answer, self.write_timeout);
        let leaving = &self.exchange.leaving;
        let write = async {
            loop {
                let most = match data.is_empty() {
                    true => 0,
                    false => turn(leaving, answer).await?,
                };
                let wait = takes.begin(least);
                let piece = answer.write_body(&mut data, most, end);
                let taken = step(&wait, patience, ErrorType::WriteTimedout, piece).await?;
                wait.moved(taken);
                leaving.sent(taken);
                if data.is_empty() {
                    return Ok(());
                }
            }
        };
        let write = within(self.exchange.left(), ErrorType::WriteTimedout, write);
        let write = unless_cut(&self.exchange, write);
        match leaving.runs_ahead() {
            true => write.await,
            false => self.shared.pace.keep(write).await,
        }
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.answer.write_trailers(trailers)
    }

    async fn response_duplex_vec(&mut self, tasks: Vec<HttpTask>) -> Result<bool> {
        let mut is_end = false;
        for task in tasks {
            is_end |= task.is_end();
            match task {
                HttpTask::Header(head, end) => self.write_response_header(head, end).await?,
                HttpTask::Body(Some(data), end) if !data.is_empty() => {
                    self.write_body(data, end).await?;
                }
                HttpTask::Trailer(Some(trailers)) => self.answer.write_trailers(*trailers)?,
                HttpTask::Body(..) | HttpTask::Trailer(None) | HttpTask::Done => {}
                HttpTask::UpgradedBody(..) => {
                    return Error::e_explain(ErrorType::InternalError, "a tunnel over h2");
                }
                HttpTask::Failed(error) => return Err(error),
            }
        }
        if is_end {
            self.answer.finish()?;
        }
        Ok(is_end)
    }

    fn set_read_timeout(&mut self, timeout: Option<Duration>) {
        self.body_timeout = timeout;
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.body_timeout
    }

    fn set_write_timeout(&mut self, timeout: Option<Duration>) {
        self.write_timeout = timeout;
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.write_timeout
    }

    fn set_total_drain_timeout(&mut self, timeout: Option<Duration>) {
        self.drain_timeout = timeout;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain_timeout
    }

    fn request_summary(&self) -> String {
        format!("{} {}", self.request.method, self.request.uri)
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.answer.head()
    }

    async fn shutdown(&mut self, _code: u32, _ctx: &str) {
        self.answer.abandon();
    }

    async fn abandon(&mut self, _ctx: &str) {
        self.answer.abandon();
    }

    fn is_body_done(&mut self) -> bool {
        self.body.is_done() && !self.owes_end
    }

    async fn finish(&mut self) -> Result<()> {
        self.answer.finish()?;
        // Dropping a stream whose body still comes resets it, and clients lose
        // the answer that says why. As over h1, the rest is read for a while.
        let rest = unless_cut(&self.exchange, self.body.drain());
        if let Ok(Err(error)) = timeout(LINGER, rest).await {
            ::log::debug!("the rest of a request body: {error}");
        }
        Ok(())
    }

    fn is_body_empty(&mut self) -> bool {
        self.body.is_empty()
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        if !no_body_expected && !self.is_body_done() {
            return self.read_body_bytes().await;
        }
        let idle = async {
            let reason = self.answer.given_up().await?;
            Error::e_explain(ErrorType::H2Error, format!("the client left: {reason}"))
        };
        before_deadline(&self.exchange, idle).await
    }

    fn body_bytes_sent(&self) -> usize {
        self.answer.sent()
    }

    fn body_bytes_read(&self) -> usize {
        self.body.read()
    }

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Some(&mut self.digest)
    }

    // Who is at the other end, the exchange knows.
    fn client_addr(&self) -> Option<&SocketAddr> {
        None
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        None
    }

    // To fetch what the client was sent stale. Pingora reads this version alone.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        let mut request = self.request.clone();
        request.set_version(Version::HTTP_11);
        if let (Some(authority), None) = (self.request.uri.authority(), request.headers.get(HOST)) {
            request.insert_header(HOST, authority.as_str()).ok();
        }
        http_req_header_to_wire(&request).unwrap_or_default().freeze()
    }

    fn enable_retry_buffering(&mut self) {
        self.body.keep();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.body.is_lost()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.body.kept()
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
