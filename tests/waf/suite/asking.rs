//! Every stage as a request of a client, over HTTP/1 or HTTP/2.

use std::net::SocketAddr;

use bytes::Bytes;
use futures::future::join_all;
use http::header::CONTENT_LENGTH;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use tidegate_suite::case::Stage;
use tidegate_suite::exchange::Exchange;

use crate::support::{Client, H2Client, Response};

/// So many clients ask at the same time, each one request after the other.
const CLIENTS: usize = 8;

/// What a client heard; nothing where the connection or stream ended without an answer.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) status: u16,
    pub(super) request_id: Option<String>,
}

/// What was not asked, or what was heard.
pub(super) type Asked = Result<Heard, &'static str>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    H1,
    H2,
}

impl Over {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Over::H1 => "h1",
            Over::H2 => "h2",
        }
    }

    /// Asks everything; what came of it, in the order of the stages.
    pub(super) async fn ask_all(self, addr: SocketAddr, stages: &[Stage]) -> Vec<Asked> {
        let share = stages.len().div_ceil(CLIENTS).max(1);
        let ask = |stages| async move {
            match self {
                Over::H1 => ask_h1(addr, stages).await,
                Over::H2 => ask_h2(addr, stages).await,
            }
        };
        join_all(stages.chunks(share).map(ask)).await.into_iter().flatten().collect()
    }
}

impl From<&Response> for Heard {
    fn from(response: &Response) -> Self {
        let request_id = response.header("x-request-id").map(str::to_owned);
        Heard { status: response.status, request_id }
    }
}

/// On a connection each, as most of the tests ask to close it.
async fn ask_h1(addr: SocketAddr, stages: &[Stage]) -> Vec<Asked> {
    let mut asked = Vec::new();
    for stage in stages {
        let mut client = Client::connect(addr).await;
        // It may be refused before it is whole.
        client.try_send(&stage.wire).await.ok();
        let answer = answer(&mut client, &stage.exchange).await;
        asked.push(Ok(answer.as_ref().map(Heard::from).unwrap_or_default()));
    }
    asked
}

/// The whole answer, whose end rules may have to see; none if there is none.
async fn answer(client: &mut Client, exchange: &Exchange) -> Option<Response> {
    loop {
        let answer = match exchange.method == b"HEAD" {
            true => client.head_or_closed().await?,
            false => client.response_or_closed().await?,
        };
        if answer.status >= 200 {
            return Some(answer);
        }
    }
}

async fn ask_h2(addr: SocketAddr, stages: &[Stage]) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut client = H2Client::connect(addr).await;
    for stage in stages {
        let (request, body) = match expressed(&stage.exchange) {
            Ok(request) => request,
            Err(reason) => {
                asked.push(Err(reason));
                continue;
            }
        };
        asked.push(Ok(match client.ask(request, body).await {
            Ok(answer) => Heard::from(&answer.response),
            Err(_) => {
                client = H2Client::connect(addr).await;
                Heard::default()
            }
        }));
    }
    asked
}

/// The request in HTTP/2, or what of it HTTP/2 or its clients cannot say.
fn expressed(exchange: &Exchange) -> Result<(Request<()>, Bytes), &'static str> {
    if exchange.protocol != b"HTTP/1.1" {
        return Err("of another version than HTTP/1.1");
    }
    let method = Method::from_bytes(&exchange.method).ok();
    let method =
        method.filter(|method| *method != Method::CONNECT).ok_or("a method of h1 alone")?;
    let mut request = Request::builder().method(method).uri(target(exchange)?);
    for (name, value) in &exchange.headers {
        let name = HeaderName::from_bytes(name).map_err(|_| "a name that is none in h2")?;
        let value = HeaderValue::from_bytes(value).map_err(|_| "a value that is none in h2")?;
        match name.as_str() {
            // What means the connection alone, which in h2 says it otherwise (RFC 9113 §8.2.2).
            "host" | "keep-alive" | "proxy-connection" => {}
            "connection" if matches!(value.as_bytes(), b"close" | b"keep-alive") => {}
            "connection" | "transfer-encoding" | "upgrade" | "te" => {
                return Err("a field of connections of h1");
            }
            "content-length" if value.as_bytes() != length(exchange) => {
                return Err("a body of another length than it says");
            }
            _ => request = request.header(name, value),
        }
    }
    let request = request.body(()).map_err(|_| "no request of h2")?;
    let lengths = request.headers().get_all(CONTENT_LENGTH).iter().count();
    match lengths {
        0 if !exchange.body.is_empty() => Err("a body of another length than it says"),
        0 | 1 => Ok((request, Bytes::from(exchange.body.clone()))),
        _ => Err("two lengths"),
    }
}

fn length(exchange: &Exchange) -> Vec<u8> {
    exchange.body.len().to_string().into_bytes()
}

fn target(exchange: &Exchange) -> Result<Uri, &'static str> {
    let hosts = exchange.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(b"host"));
    let [(_, host)] = hosts.collect::<Vec<_>>()[..] else {
        return Err("not one Host");
    };
    let uri = [b"http://", &host[..], &exchange.target].concat();
    let uri =
        Uri::from_maybe_shared(Bytes::from(uri)).map_err(|_| "a target that is none in h2")?;
    let is_same =
        uri.path_and_query().is_some_and(|path| path.as_str().as_bytes() == exchange.target);
    let is_host = uri.authority().is_some_and(|name| name.as_str().as_bytes() == host);
    match is_same && is_host {
        true => Ok(uri),
        false => Err("a target that is none in h2"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(request: &[u8], expected: Result<&str, &str>) {
        let exchange = tidegate_suite::framing::parse(request);
        let expressed = expressed(&exchange).map(|(request, body)| {
            format!("{} {} {:?} {body:?}", request.method(), request.uri(), request.headers())
        });
        assert_eq!(expressed.as_deref().map_err(|reason| *reason), expected);
    }

    #[test]
    fn says_in_h2_what_means_the_same_there() {
        check(
            b"POST /a?b HTTP/1.1\r\nHost: c\r\nConnection: close\r\nX: y\r\n\
              Content-Length: 1\r\n\r\nd",
            Ok(r#"POST http://c/a?b {"x": "y", "content-length": "1"} b"d""#),
        );
        check(b"GET / HTTP/1.0\r\nHost: c\r\n\r\n", Err("of another version than HTTP/1.1"));
        check(b"GET / HTTP/1.1\r\n\r\n", Err("not one Host"));
        check(b"GET /#a HTTP/1.1\r\nHost: c\r\n\r\n", Err("a target that is none in h2"));
        check(
            b"GET / HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\na",
            Err("a body of another length than it says"),
        );
    }
}
