//! The answer on an h2 stream: interim heads, one head, a body, trailers.

use std::future::poll_fn;
use std::task::Poll;

use bytes::Bytes;
use h2::SendStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, Response, StatusCode, header};
use pingora::http::ResponseHeader;
use pingora::protocols::http::date::get_cached_date;
use pingora::{Error, ErrorType, Result};

/// Interim heads that are passed on. H2 sends them whether or not the client
/// reads, so without a bound a server could fill our memory with them.
const INTERIM: usize = 16;

/// What belongs to an HTTP/1 connection; h2 refuses an answer that has it
/// (RFC 9113 §8.2.2).
const OF_CONNECTIONS: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// Writes an answer.
///
/// If it is dropped unfinished, h2 resets the stream: with `NO_ERROR` where the
/// answer is whole and only the request is not, else with `CANCEL`.
pub(super) struct H2Answer {
    stream: SendResponse<Bytes>,
    // There once the head is written.
    body: Option<SendStream<Bytes>>,
    // Never an interim one.
    head: Option<Box<ResponseHeader>>,
    interim: usize,
    is_ended: bool,
    sent: usize,
}

impl H2Answer {
    pub(super) fn new(stream: SendResponse<Bytes>) -> Self {
        H2Answer { stream, body: None, head: None, interim: 0, is_ended: false, sent: 0 }
    }

    /// Writes a head, interim or not; after `ends` there is nothing more.
    pub(super) async fn write_head(
        &mut self,
        mut head: Box<ResponseHeader>,
        ends: bool,
    ) -> Result<()> {
        if self.head.is_some() || self.is_ended {
            ::log::debug!("a second head is not sent");
            return Ok(());
        }
        for name in &OF_CONNECTIONS {
            head.remove_header(name);
        }
        if head.status.is_informational() {
            return self.write_interim(&head).await;
        }
        // That of the server says how old the answer is (RFC 9110 §6.6.1).
        if !head.headers.contains_key(header::DATE) {
            head.insert_header(header::DATE, get_cached_date())?;
        }
        let response = Response::from_parts(head.as_owned_parts(), ());
        self.body = Some(self.stream.send_response(response, ends).map_err(lost)?);
        self.head = Some(head);
        self.is_ended = ends;
        Ok(())
    }

    async fn write_interim(&mut self, head: &ResponseHeader) -> Result<()> {
        if head.status == StatusCode::SWITCHING_PROTOCOLS {
            return Error::e_explain(ErrorType::InternalError, "h2 switches to no other protocol");
        }
        self.interim += 1;
        if self.interim > INTERIM {
            ::log::debug!("more than {INTERIM} interim answers are not passed on");
            return Ok(());
        }
        // H2 does not look, and would write to a stream that is no more.
        let is_reset = poll_fn(|cx| Poll::Ready(self.stream.poll_reset(cx).is_ready())).await;
        if is_reset {
            let what = "an interim answer to a client that left";
            return Err(Error::explain(ErrorType::WriteError, what).into_down());
        }
        let response = Response::from_parts(head.as_owned_parts(), ());
        self.stream.send_informational(response).map_err(lost)
    }

    /// Writes as much of `data` as the client makes room for, at most `most`, and waits
    /// until that is something; after `ends` there is nothing more. How much it was.
    pub(super) async fn write_body(
        &mut self,
        data: &mut Bytes,
        most: usize,
        ends: bool,
    ) -> Result<usize> {
        if self.is_ended {
            ::log::debug!("what follows the end of an answer is not sent");
            data.clear();
            return Ok(0);
        }
        let Some(body) = self.body.as_mut() else {
            return Error::e_explain(ErrorType::InternalError, "a body before its head");
        };
        if data.is_empty() {
            if ends {
                body.send_data(Bytes::new(), true).map_err(lost)?;
                self.is_ended = true;
            }
            return Ok(0);
        }
        let most = most.min(data.len());
        body.reserve_capacity(most);
        let room = match poll_fn(|cx| body.poll_capacity(cx)).await {
            Some(room) => room.map_err(lost)?,
            None => {
                let what = "the stream has ended";
                return Err(Error::explain(ErrorType::WriteError, what).into_down());
            }
        };
        let piece = data.split_to(room.min(most));
        let taken = piece.len();
        self.sent += taken;
        self.is_ended = ends && data.is_empty();
        if taken > 0 {
            body.send_data(piece, self.is_ended).map_err(lost)?;
        }
        Ok(taken)
    }

    /// Writes trailers, which end the answer.
    pub(super) fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        if self.is_ended {
            ::log::debug!("trailers after the end of an answer are not sent");
            return Ok(());
        }
        let Some(body) = self.body.as_mut() else {
            return Error::e_explain(ErrorType::InternalError, "trailers before a head");
        };
        body.send_trailers(trailers).map_err(lost)?;
        self.is_ended = true;
        Ok(())
    }

    /// Ends the answer; without a head there is none to end.
    pub(super) fn finish(&mut self) -> Result<()> {
        if let Some(body) = self.body.as_mut()
            && !self.is_ended
        {
            body.send_data(Bytes::new(), true).map_err(lost)?;
            self.is_ended = true;
        }
        Ok(())
    }

    /// Resets the stream, so that what was sent is not taken for the whole.
    pub(super) fn abandon(&mut self) {
        if !self.is_ended {
            self.stream.send_reset(h2::Reason::INTERNAL_ERROR);
        }
    }

    /// Waits until the client gives the stream up; why it did.
    pub(super) async fn given_up(&mut self) -> Result<h2::Reason> {
        let reason = poll_fn(|cx| match self.body.as_mut() {
            Some(body) => body.poll_reset(cx),
            None => self.stream.poll_reset(cx),
        });
        reason.await.map_err(lost)
    }

    /// The head, once it is written.
    pub(super) fn head(&self) -> Option<&ResponseHeader> {
        self.head.as_deref()
    }

    /// Bytes of body sent so far.
    pub(super) fn sent(&self) -> usize {
        self.sent
    }
}

fn lost(error: h2::Error) -> Box<Error> {
    Error::because(ErrorType::WriteError, "writing the answer", error).into_down()
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::time::Duration;

    use http::Request;
    use tokio::io::DuplexStream;

    use super::*;

    /// Both ends of a connection, which move while something is awaited.
    struct Ends {
        client: Pin<Box<h2::client::Connection<DuplexStream, Bytes>>>,
        server: h2::server::Connection<DuplexStream, Bytes>,
    }

    impl Ends {
        async fn moved<T>(&mut self, wait: impl Future<Output = T>) -> T {
            let late = tokio::time::sleep(Duration::from_secs(1));
            tokio::select! {
                done = wait => done,
                () = late => panic!("nothing moves"),
                end = &mut self.client => panic!("the client ended: {end:?}"),
                end = self.server.accept() => panic!("the server ended: {}", end.is_none()),
            }
        }
    }

    /// A stream whose request has not ended, seen from both ends.
    async fn open() -> (Ends, h2::client::ResponseFuture, SendStream<Bytes>, H2Answer) {
        let (near, far) = tokio::io::duplex(1 << 16);
        let (client, server) =
            tokio::join!(h2::client::handshake(near), h2::server::handshake(far));
        let ((mut send, client), mut server) = (client.unwrap(), server.unwrap());
        let mut client = Box::pin(client);
        let request = Request::get("http://a.example/").body(()).unwrap();
        let (answer, stream) = send.send_request(request, false).unwrap();
        let accepted = tokio::select! {
            accepted = server.accept() => accepted.unwrap().unwrap(),
            end = &mut client => panic!("the client ended: {end:?}"),
        };
        (Ends { client, server }, answer, stream, H2Answer::new(accepted.1))
    }

    fn head(status: u16) -> Box<ResponseHeader> {
        Box::new(ResponseHeader::build_no_case(status, Some(0)).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_left_gets_no_interim_answer() {
        let (mut ends, _answer, mut stream, mut written) = open().await;
        assert!(written.write_head(head(103), false).await.is_ok());
        stream.send_reset(h2::Reason::CANCEL);
        let reason = ends.moved(written.given_up()).await;
        assert_eq!(reason.unwrap(), h2::Reason::CANCEL);
        assert!(written.write_head(head(103), false).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_abandoned_is_not_taken_for_whole() {
        let (mut ends, answer, _stream, mut written) = open().await;
        written.write_head(head(200), false).await.unwrap();
        let mut answer = ends.moved(answer).await.unwrap().into_body();
        written.abandon();
        let end = ends.moved(pin!(answer.data())).await.unwrap().unwrap_err();
        assert_eq!(end.reason(), Some(h2::Reason::INTERNAL_ERROR));
    }

    #[tokio::test(start_paused = true)]
    async fn a_switch_of_protocols_is_not_written() {
        let (_ends, _answer, _stream, mut written) = open().await;
        assert!(written.write_head(head(101), false).await.is_err());
        assert!(written.head().is_none());
    }
}
