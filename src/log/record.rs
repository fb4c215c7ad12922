//! One request as it is remembered, and the closed sets that figures need.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::cache::CacheUse;
use super::matches::Matched;

/// What is known of a request once it is over.
///
/// Built once, read by the access log and the metrics, and gone. Bytes that a
/// client chose are bytes: they may be anything, the readers escape them.
/// `Authorization`, `Cookie` and bodies have no field and never get one.
#[derive(Debug, Clone)]
pub(crate) struct Record<'a> {
    /// When the first byte of the request arrived.
    pub time: SystemTime,
    /// From then until the last byte was sent, or the client left.
    pub duration: Duration,
    /// Who asked, as trusted proxies tell it.
    pub client_ip: IpAddr,
    /// The other end of the connection.
    pub peer_ip: IpAddr,
    /// Where the client is from, where its route asks: two letters.
    pub country: Option<&'a str>,
    /// The autonomous system of the client, where its route asks.
    pub asn: Option<u32>,
    /// The address of the listener, as configured.
    pub listener: &'a str,
    pub protocol: Protocol,
    pub tls: Option<Tls<'a>>,
    /// Empty if the head was not understood that far; so are host and path.
    pub method: &'a [u8],
    pub host: &'a [u8],
    /// As the client wrote it, without its query; see [`split_target`].
    pub path: &'a [u8],
    /// As the client wrote it; the readers mask well-known secrets.
    pub query: Option<&'a [u8]>,
    /// Names of query parameters whose values are masked as well.
    pub secrets: &'a [String],
    /// What the client got; 0 if nothing was sent.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    pub route: Option<&'a str>,
    pub upstream: Option<&'a str>,
    /// The server that was asked last.
    pub server: Option<&'a str>,
    /// How often a server was asked; 0 for an answer of our own.
    pub attempts: u32,
    /// How each attempt that failed did so.
    pub failures: &'a [Failure],
    /// What the server answered, before it was changed or replaced.
    pub upstream_status: Option<u16>,
    /// How long the last new connection to a server took.
    pub connect: Option<Duration>,
    /// From the last attempt's start to the first byte of its answer.
    pub first_byte: Option<Duration>,
    pub referer: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    pub request_id: &'a str,
    /// Who asked, if they proved who they are.
    pub user: Option<&'a str>,
    /// What rules against attacks found.
    pub findings: Option<Findings<'a>>,
    /// Why it was refused, if it was.
    pub refusal: Option<Cause<'a>>,
    /// What the cache did, where the route has one.
    pub cache: Option<CacheUse>,
    /// What went wrong, for the operator; holds no secrets.
    pub error: Option<&'a str>,
}

/// What rules against attacks found in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Findings<'a> {
    pub score: i64,
    /// The ids of the rules, in the order in which they matched.
    pub rules: &'a [u32],
    /// The same rules with what they matched, if they were against the request.
    pub matches: &'a [Matched],
    /// Why the request would have been refused, had the rules not only detected.
    pub detected: Option<Detected<'a>>,
}

/// Why a request would have been refused, in the words of [`Cause`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Detected<'a> {
    pub tag: &'static str,
    pub rule: Option<&'a str>,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause<'a> {
    /// Who refused it.
    pub room: Room,
    /// A word of a closed set: `no_route`.
    pub tag: &'static str,
    /// What of the configuration it was refused by: the name of a limit.
    pub rule: Option<&'a str>,
    pub blame: Blame,
}

/// Whose doing it is that a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The client's, which is for the security log.
    Client,
    /// That of the site and its servers, or of all clients together.
    Site,
}

/// The rooms that refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Room {
    Listen,
    Sanitise,
    Client,
    Route,
    Access,
    Limit,
    Waf,
    Cache,
    Files,
    Balance,
    Upstream,
    Proxy,
}

impl Room {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Room::Listen => "listen",
            Room::Sanitise => "sanitise",
            Room::Client => "client",
            Room::Route => "route",
            Room::Access => "access",
            Room::Limit => "limit",
            Room::Waf => "waf",
            Room::Cache => "cache",
            Room::Files => "files",
            Room::Balance => "balance",
            Room::Upstream => "upstream",
            Room::Proxy => "proxy",
        }
    }
}

/// The TLS side of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tls<'a> {
    pub version: &'a str,
    pub cipher: &'a str,
    pub sni: Option<&'a str>,
}

/// The protocol of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http10,
    Http11,
    Http2,
}

impl Protocol {
    pub(crate) const ALL: [Protocol; 3] = [Protocol::Http10, Protocol::Http11, Protocol::Http2];

    /// As nginx and Apache write it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Protocol::Http10 => "HTTP/1.0",
            Protocol::Http11 => "HTTP/1.1",
            Protocol::Http2 => "HTTP/2.0",
        }
    }
}

/// Methods as metrics know them: a client cannot invent a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Method {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
    Options,
    Connect,
    Trace,
    Purge,
    Other,
}

impl Method {
    pub(crate) const ALL: [Method; 11] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Connect,
        Method::Trace,
        Method::Purge,
        Method::Other,
    ];

    pub(crate) fn of(method: &[u8]) -> Self {
        match method {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"PATCH" => Method::Patch,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            b"PURGE" => Method::Purge,
            _ => Method::Other,
        }
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Patch => "PATCH",
            Method::Delete => "DELETE",
            Method::Options => "OPTIONS",
            Method::Connect => "CONNECT",
            Method::Trace => "TRACE",
            Method::Purge => "PURGE",
            Method::Other => "other",
        }
    }
}

/// How an attempt at a server failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No connection: refused, unreachable.
    Connect,
    /// Too slow: to connect, to its first byte, or between bytes.
    Timeout,
    /// The TLS handshake, or the server's certificate.
    Tls,
    /// It ended the connection before its answer did.
    Closed,
    /// Its answer could not be understood.
    Protocol,
}

impl Failure {
    pub(crate) const ALL: [Failure; 5] =
        [Failure::Connect, Failure::Timeout, Failure::Tls, Failure::Closed, Failure::Protocol];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Failure::Connect => "connect",
            Failure::Timeout => "timeout",
            Failure::Tls => "tls",
            Failure::Closed => "closed",
            Failure::Protocol => "protocol",
        }
    }
}

/// Path and query of a request target, however odd the target is.
pub(crate) fn split_target(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', target) {
        None => (target, None),
        Some(at) => {
            let (path, query) = target.split_at(at);
            (path, query.strip_prefix(b"?"))
        }
    }
}

/// A refused target or a host without the user that it names, and all before
/// that. A password that was not encoded may hold any byte, so nothing up to the
/// last `@` is safe to show, unless it is a path.
pub(crate) fn without_user(text: &[u8]) -> &[u8] {
    match memchr::memrchr(b'@', text) {
        Some(at) if !text.starts_with(b"/") => text.get(at + 1..).unwrap_or_default(),
        _ => text,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;
    use std::time::UNIX_EPOCH;

    use super::*;

    /// A plain request, for tests to change what they are about.
    pub(in crate::log) fn plain() -> Record<'static> {
        Record {
            time: UNIX_EPOCH + Duration::from_millis(971_211_336_042),
            duration: Duration::from_micros(12_345),
            client_ip: Ipv4Addr::new(203, 0, 113, 9).into(),
            peer_ip: Ipv4Addr::new(10, 0, 0, 1).into(),
            country: None,
            asn: None,
            listener: "0.0.0.0:8443",
            protocol: Protocol::Http11,
            tls: None,
            method: b"GET",
            host: b"example.com",
            path: b"/x",
            query: None,
            secrets: &[],
            status: 200,
            bytes_in: 0,
            bytes_out: 123,
            route: Some("static"),
            upstream: Some("app"),
            server: Some("127.0.0.1:9001"),
            attempts: 1,
            failures: &[],
            upstream_status: Some(200),
            connect: None,
            first_byte: Some(Duration::from_millis(7)),
            referer: Some(b"https://example.com/"),
            user_agent: Some(b"curl/8.5.0"),
            request_id: "0123456789abcdef",
            user: None,
            findings: None,
            refusal: None,
            cache: None,
            error: None,
        }
    }

    #[test]
    fn splits_targets_at_the_first_question_mark() {
        assert_eq!(split_target(b"/a"), (&b"/a"[..], None));
        assert_eq!(split_target(b"/a?"), (&b"/a"[..], Some(&b""[..])));
        assert_eq!(split_target(b"/a?b?c"), (&b"/a"[..], Some(&b"b?c"[..])));
        assert_eq!(split_target(b""), (&b""[..], None));
    }

    #[test]
    fn users_of_targets_and_hosts_are_left_out() {
        for (text, expected) in [
            ("http://ann:pw@a.example/x", "a.example/x"),
            ("http://ann:p@w@a.example", "a.example"),
            ("ann:pw@a.example:443", "a.example:443"),
            ("ann@a.example", "a.example"),
            ("http://ann:pa/ss@a.example/x", "a.example/x"),
            ("http://ann:pa?ss@a.example/x?y", "a.example/x?y"),
            ("http://ann:pa#ss@a.example/", "a.example/"),
            ("http://a/nn:p?w@a.example/", "a.example/"),
            ("ann:pa/ss@a.example:443", "a.example:443"),
            ("http://a.example/@x", "x"),
            ("/x://ann:pw@a", "/x://ann:pw@a"),
            ("/@x", "/@x"),
            ("//ann@a/x", "//ann@a/x"),
            ("*", "*"),
            ("", ""),
        ] {
            assert_eq!(without_user(text.as_bytes()), expected.as_bytes(), "{text}");
        }
    }

    #[test]
    fn labels_stand_at_their_own_place() {
        for (at, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, at);
            assert_eq!(Method::of(method.as_str().as_bytes()), method);
        }
        for (at, protocol) in Protocol::ALL.into_iter().enumerate() {
            assert_eq!(protocol as usize, at);
        }
        for (at, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, at);
        }
        assert_eq!(Method::of(b"get"), Method::Other);
    }
}
