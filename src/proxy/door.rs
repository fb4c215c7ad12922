//! The conductor before pingora begins: `listen` asks, we answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Version, header};

use crate::client::{RequestId, X_REQUEST_ID};
use crate::limit::Offence;
use crate::listen::{Beat, Channel, Door, Event, Exchange, Framing, HeadFault, Listener, Refused};
use crate::log::{Blame, Cause, Protocol, Record, Room, Tls, split_target, without_user};
use crate::respond::Form;
use crate::sanitise::{self, Body};
use crate::site::{Defaults, Site, State};
use crate::values::only;

use super::refuse::{Refusal, Told};

/// Answers and records what never reaches pingora.
pub(crate) struct FrontDoor {
    site: Arc<ArcSwap<Site>>,
    state: Arc<State>,
}

impl FrontDoor {
    pub(crate) fn new(site: Arc<ArcSwap<Site>>, state: Arc<State>) -> Self {
        FrontDoor { site, state }
    }

    fn refuse(&self, exchange: &Exchange, refusal: &Refusal, head: &[u8]) -> Refused {
        let (id, site) = (RequestId::new(), self.site.load());
        let channel = exchange.connection.channel();
        let Rendered { answer, body } = render(refusal, &id, head, channel, &site.defaults);
        let told = refusal.told();
        self.remember(&site, exchange, told, body, head, &id);
        if let Some(offence) = told.offence {
            self.state.penalise(&site, exchange.connection.peer.ip(), offence);
        }
        Refused(answer)
    }

    /// Records a request of which only the raw head is known; `body` bytes of
    /// answer were sent.
    fn remember(
        &self,
        site: &Site,
        exchange: &Exchange,
        told: Told,
        body: u64,
        head: &[u8],
        id: &RequestId,
    ) {
        exchange.set_recorded();
        let connection = &exchange.connection;
        let duration = exchange.began().elapsed();
        let line = RequestLine::guess(head);
        let (path, query) = split_target(without_user(line.target));
        let host = only_value(head, b"host").unwrap_or_default();
        self.state.remember(
            &Record {
                time: SystemTime::now() - duration,
                duration,
                client_ip: connection.peer.ip(),
                peer_ip: connection.peer.ip(),
                country: None,
                asn: None,
                listener: &connection.listener.name,
                protocol: line.protocol,
                tls: connection.tls.as_ref().map(|tls| Tls {
                    version: tls.version,
                    cipher: tls.cipher,
                    sni: tls.sni.as_deref(),
                }),
                method: line.method,
                host: without_user(host),
                path,
                query,
                secrets: &site.secrets,
                status: told.status,
                bytes_in: 0,
                bytes_out: body,
                route: None,
                upstream: None,
                server: None,
                attempts: 0,
                failures: &[],
                upstream_status: None,
                connect: None,
                first_byte: None,
                referer: only_value(head, b"referer"),
                user_agent: only_value(head, b"user-agent"),
                request_id: id.as_ref(),
                user: None,
                findings: None,
                refusal: Some(Cause {
                    room: told.room,
                    tag: told.tag,
                    rule: None,
                    blame: told.blame,
                }),
                cache: None,
                error: None,
            },
            None,
            None,
        );
    }
}

impl Door for FrontDoor {
    fn judge(&self, exchange: &Exchange, head: &[u8]) -> Result<Framing, Refused> {
        match sanitise::judge(head) {
            Ok(framing) => Ok(match framing.body {
                _ if framing.upgrade => Framing::Open,
                Body::None => Framing::Length(0),
                Body::Length(length) => Framing::Length(length),
                Body::Chunked => Framing::Chunked,
            }),
            Err(cause) => Err(self.refuse(exchange, &Refusal::Malformed(cause), head)),
        }
    }

    fn answer(&self, exchange: &Exchange, fault: HeadFault, so_far: &[u8]) -> Refused {
        self.refuse(exchange, &Refusal::Head(fault), so_far)
    }

    fn lost(&self, exchange: &Exchange) {
        let (room, blame) = (Room::Listen, Blame::Client);
        let told = Told { status: 0, room, tag: "ended_early", blame, offence: None };
        self.remember(&self.site.load(), exchange, told, 0, b"", &RequestId::new());
    }

    fn trusts(&self, peer: IpAddr) -> bool {
        self.site.load().clients.trust(peer)
    }

    fn admits(&self, peer: IpAddr) -> bool {
        let site = self.site.load();
        site.clients.trust(peer) || !self.state.ledger.is_banned(&site.bans, peer)
    }

    fn flooded(&self, peer: IpAddr) {
        self.state.penalise(&self.site.load(), peer, Offence::Malformed);
    }

    fn count(&self, listener: &Listener, event: Event) {
        self.state.count(listener, event);
    }

    fn pulse(&self) -> Option<Duration> {
        self.site.load().shed.as_ref().map(|shed| shed.pulse())
    }

    fn beat(&self, worker: usize, beat: &Beat) {
        if let Some(shed) = &self.site.load().shed {
            shed.beat(worker, beat);
        }
    }
}

/// A whole answer, and how many bytes at its end are the body.
#[derive(Default)]
struct Rendered {
    answer: Bytes,
    body: u64,
}

/// The answer as bytes of HTTP/1.1; empty where nobody is to be told.
fn render(
    refusal: &Refusal,
    id: &RequestId,
    head: &[u8],
    channel: Channel,
    defaults: &Defaults,
) -> Rendered {
    let status = refusal.told().status;
    if status == 0 {
        return Rendered::default();
    }
    let page = refusal.page(id.as_ref(), wanted_form(head), &defaults.error_pages);
    let mut fields: HeaderMap = page.headers.into_iter().collect();
    fields.insert(header::DATE, date());
    fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
    fields.insert(X_REQUEST_ID, id.to_value());
    defaults.headers.response.apply(&mut fields, channel);

    let reason = page.status.canonical_reason().unwrap_or_default();
    let is_head = RequestLine::guess(head).method == b"HEAD";
    let body = if is_head { Bytes::new() } else { page.body };
    let mut answer = BytesMut::with_capacity(512 + body.len());
    answer.put_slice(format!("HTTP/1.1 {status} {reason}\r\n").as_bytes());
    for (name, value) in &fields {
        answer.put_slice(name.as_str().as_bytes());
        answer.put_slice(b": ");
        answer.put_slice(value.as_bytes());
        answer.put_slice(b"\r\n");
    }
    answer.put_slice(b"\r\n");
    answer.put_slice(&body);
    Rendered { answer: answer.freeze(), body: body.len() as u64 }
}

fn date() -> HeaderValue {
    let date = httpdate::fmt_http_date(SystemTime::now());
    HeaderValue::try_from(date).expect("a date is visible ASCII")
}

/// The form that the client would accept, as far as a head shows it that was
/// not read to its end or not understood; it decides nothing else.
fn wanted_form(head: &[u8]) -> Form {
    let accept = values(head, b"accept").next();
    let accept = accept.and_then(|value| HeaderValue::from_bytes(value).ok());
    let fields: HeaderMap = accept.into_iter().map(|value| (header::ACCEPT, value)).collect();
    Form::wanted(&fields, Version::HTTP_11)
}

/// The value of a field that a refused head shows once; for the log alone.
fn only_value<'a>(head: &'a [u8], name: &'static [u8]) -> Option<&'a [u8]> {
    only(values(head, name))
}

/// The values of a field in the lines of a refused head that have come whole.
fn values<'a>(head: &'a [u8], name: &'static [u8]) -> impl Iterator<Item = &'a [u8]> {
    let whole = memchr::memrchr(b'\n', head).and_then(|end| head.get(..end)).unwrap_or_default();
    let lines = whole.split(|byte| *byte == b'\n').skip(1);
    lines.take_while(|line| !matches!(*line, b"" | b"\r")).filter_map(move |line| {
        let (written, value) = line.split_at_checked(name.len())?;
        let value = value.strip_prefix(b":")?;
        written.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
    })
}

/// What the first line of a refused head says; for the log alone.
struct RequestLine<'a> {
    // Empty, and the target with it, if the line does not begin with a method.
    method: &'a [u8],
    target: &'a [u8],
    protocol: Protocol,
}

impl<'a> RequestLine<'a> {
    fn guess(head: &'a [u8]) -> Self {
        let line = head.split(|b| *b == b'\n').next().unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let mut words = line.splitn(2, |b| *b == b' ');
        let method = words.next().unwrap_or_default();
        let rest = words.next();
        // All up to a version: a password may have spaces, too.
        let end = rest.and_then(|rest| memchr::memmem::rfind(rest, b" HTTP/"));
        let split = rest.and_then(|rest| rest.split_at_checked(end.unwrap_or(rest.len())));
        let split = split.filter(|(_, version)| !version.contains(&b'@'));
        let (target, version) = split.map_or((rest, &b""[..]), |(t, v)| (Some(t), v));
        let is_whole = target.is_some() || line.len() < head.len();
        let (method, target) = match http::Method::from_bytes(method) {
            Ok(_) if is_whole => (method, target.unwrap_or_default()),
            _ => (&b""[..], &b""[..]),
        };
        let is_old = version == b" HTTP/1.0";
        let protocol = if is_old { Protocol::Http10 } else { Protocol::Http11 };
        RequestLine { method, target, protocol }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, line: [&str; 2], host: Option<&str>, agent: Option<&str>) {
        let seen = RequestLine::guess(head.as_bytes());
        assert_eq!([seen.method, seen.target], line.map(str::as_bytes), "{head:?}");
        let field = |name| only_value(head.as_bytes(), name).map(|v| str::from_utf8(v).unwrap());
        assert_eq!((field(b"host"), field(b"user-agent")), (host, agent), "{head:?}");
    }

    #[test]
    fn a_refused_head_says_what_came_whole_and_once() {
        let get = ["GET", "/x"];
        let line = "GET /x HTTP/1.1\r\n";
        check("", ["", ""], None, None);
        check("BAD", ["", ""], None, None);
        check("BAD\r\n\r\n", ["BAD", ""], None, None);
        check("\x16\x03\x01 x\r\nhost: a\r\n", ["", ""], Some("a"), None);
        check("GET /x", get, None, None);
        check("GET /x HTTP/1.0\r\n", get, None, None);
        check("GET /x y HTTP/1.1\r\n", ["GET", "/x y"], None, None);
        check("GET http://a:b HTTP/@c HTTP/1.1\r\n", ["GET", "http://a:b HTTP/@c"], None, None);
        check("GET http://a:b HTTP/@c\r\n", ["GET", "http://a:b HTTP/@c"], None, None);
        check(line, get, None, None);
        check(&format!("{line}host: a"), get, None, None);
        check(&format!("{line}host: a\r\nuser-agent: b"), get, Some("a"), None);
        check(&format!("{line}HOST:a \r\nuser-Agent:\tb c\n"), get, Some("a"), Some("b c"));
        check(&format!("{line}host: a\r\nhost: b\r\n"), get, None, None);
        check(&format!("{line}host : a\r\nxhost: b\r\nhosts: c\r\n"), get, None, None);
        check(&format!("{line}\r\nhost: a\r\n"), get, None, None);
    }
}
