//! A check by the gRPC health checking protocol (grpc.health.v1.Health/Check).
//!
//! Its two messages have one field each, so they are written out here:
//! `HealthCheckRequest { string service = 1; }` and
//! `HealthCheckResponse { ServingStatus status = 1; }`.

use async_trait::async_trait;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HOST, TE, USER_AGENT};
use pingora::connectors::http::Connector;
use pingora::http::RequestHeader;
use pingora::lb::Backend;
use pingora::lb::health_check::HealthCheck;
use pingora::protocols::http::client::HttpSession;
use pingora::protocols::http::v2::client::Http2Session;

use super::http::{AGENT, connector};
use super::{Peers, Turns, unhealthy};

const PATH: &[u8] = b"/grpc.health.v1.Health/Check";
/// Field 1 of the request: a string.
const SERVICE_TAG: u8 = 1 << 3 | 2;
/// Field 1 of the answer: a number.
const STATUS_TAG: u64 = 1 << 3;
/// `ServingStatus::SERVING`.
const SERVING: u64 = 1;
/// Before each message: whether it is compressed (1 byte), and its length (4).
const PREFIX: usize = 5;
/// The answer has 7 bytes; more than this is no answer.
const MOST_BODY: usize = 4096;

pub(super) struct GrpcProbe {
    question: Bytes,
    peers: Peers,
    turns: Turns,
    connector: Connector,
}

impl GrpcProbe {
    pub(super) fn new(service: &str, peers: Peers, turns: Turns) -> Self {
        GrpcProbe { question: question(service), peers, turns, connector: connector() }
    }

    async fn ask(&self, session: &mut Http2Session, host: &str) -> pingora::Result<()> {
        let mut request = RequestHeader::build("POST", PATH, None)?;
        request.insert_header(HOST, host)?;
        request.insert_header(CONTENT_TYPE, "application/grpc")?;
        request.insert_header(TE, "trailers")?;
        request.insert_header(USER_AGENT, AGENT)?;
        session.write_request_header(Box::new(request), false)?;
        session.write_request_body(self.question.clone(), true).await
    }
}

#[async_trait]
impl HealthCheck for GrpcProbe {
    async fn check(&self, target: &Backend) -> pingora::Result<()> {
        let (server, mut peer) = self.peers.find(target)?;
        peer.options.set_http_version(2, 2);
        let (HttpSession::H2(mut session), _) = self.connector.get_http_session(&peer).await?
        else {
            return unhealthy("does not speak HTTP/2".to_owned());
        };
        self.ask(&mut session, server.authority()).await?;
        session.read_response_header().await?;
        if let Some(head) = session.response_header() {
            if head.status != 200 {
                return unhealthy(format!("answered {}", head.status.as_u16()));
            }
            // An error may come without a body: its trailers are the head then.
            if let Some(status) = grpc_status(&head.headers).filter(|status| status != "0") {
                return unhealthy(format!("answered grpc-status {status}"));
            }
        }
        let mut answer = BytesMut::new();
        while let Some(part) = session.read_response_body().await? {
            if answer.len() + part.len() > MOST_BODY {
                return unhealthy("answered too much".to_owned());
            }
            answer.extend_from_slice(&part);
        }
        let trailers = session.read_trailers().await?.unwrap_or_default();
        match grpc_status(&trailers).as_deref() {
            Some("0") => {}
            Some(status) => return unhealthy(format!("answered grpc-status {status}")),
            None => return unhealthy("answered without grpc-status".to_owned()),
        }
        match serving_status(&answer) {
            Some(SERVING) => Ok(()),
            Some(status) => unhealthy(format!("says {}", name_of(status))),
            None => unhealthy("answered what is no HealthCheckResponse".to_owned()),
        }
    }

    fn health_threshold(&self, success: bool) -> usize {
        self.turns.threshold(success)
    }
}

fn grpc_status(headers: &HeaderMap) -> Option<String> {
    Some(headers.get("grpc-status")?.to_str().ok()?.to_owned())
}

/// The request with its prefix; no service is the empty message.
fn question(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(SERVICE_TAG);
        put_varint(&mut message, service.len() as u64);
        message.put_slice(service.as_bytes());
    }
    let mut question = BytesMut::with_capacity(PREFIX + message.len());
    question.put_u8(0);
    question.put_u32(message.len() as u32);
    question.put(message);
    question.freeze()
}

/// The status in an answer: fields may be left out (0), repeated, or unknown.
fn serving_status(answer: &[u8]) -> Option<u64> {
    let (prefix, mut message) = answer.split_first_chunk::<PREFIX>()?;
    let [compressed, length @ ..] = *prefix;
    if compressed != 0 || u32::from_be_bytes(length) as usize != message.len() {
        return None;
    }
    let mut status = 0;
    while !message.is_empty() {
        match take_varint(&mut message)? {
            STATUS_TAG => status = take_varint(&mut message)?,
            tag => skip(tag, &mut message)?,
        }
    }
    Some(status)
}

/// Passes over a field of another version of the message.
fn skip(tag: u64, message: &mut &[u8]) -> Option<()> {
    let length = match tag & 7 {
        0 => return take_varint(message).map(drop),
        1 => 8,
        2 => usize::try_from(take_varint(message)?).ok()?,
        5 => 4,
        _ => return None,
    };
    *message = message.split_at_checked(length)?.1;
    Some(())
}

fn put_varint(into: &mut BytesMut, mut number: u64) {
    while number >= 0x80 {
        into.put_u8(number as u8 | 0x80);
        number >>= 7;
    }
    into.put_u8(number as u8);
}

/// Seven bits a byte, the lowest first; all but the last have the high bit set.
fn take_varint(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn name_of(status: u64) -> String {
    match status {
        0 => "UNKNOWN".to_owned(),
        2 => "NOT_SERVING".to_owned(),
        3 => "SERVICE_UNKNOWN".to_owned(),
        other => format!("status {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_as_protobuf_writes_it() {
        assert_eq!(question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    fn check(answer: &[u8], expected: Option<u64>) {
        assert_eq!(serving_status(answer), expected, "{answer:?}");
    }

    #[test]
    fn reads_answers() {
        check(&[0, 0, 0, 0, 2, 0x08, 1], Some(1));
        check(&[0, 0, 0, 0, 2, 0x08, 2], Some(2));
        check(&[0, 0, 0, 0, 0], Some(0));
        // Unknown fields of each wire type stand before it.
        check(&[0, 0, 0, 0, 4, 0x10, 7, 0x08, 1], Some(1));
        check(&[0, 0, 0, 0, 6, 0x12, 2, 9, 9, 0x08, 1], Some(1));
        check(&[0, 0, 0, 0, 7, 0x15, 1, 2, 3, 4, 0x08, 1], Some(1));
    }

    #[test]
    fn refuses_answers_that_are_none() {
        check(&[], None);
        check(&[0, 0, 0, 0, 2, 0x08], None);
        check(&[1, 0, 0, 0, 2, 0x08, 1], None);
        check(&[0, 0, 0, 0, 1, 0x08], None);
        check(&[0, 0, 0, 0, 3, 0x12, 9, 1], None);
        check(&[0, 0, 0, 0, 2, 0x0c, 1], None);
        check(&[&[0, 0, 0, 0, 12, 0x08][..], &[0xff; 11]].concat(), None);
    }
}
