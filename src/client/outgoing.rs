//! What the server is told of the client, in place of what the client said.

use std::net::IpAddr;

use bytes::{BufMut, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::Client;
use super::forwarded::X_FORWARDED_FOR;
use crate::listen::Channel;
use crate::networks::write_address;
use crate::sanitise::is_host;
use crate::values::only;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Room for an IPv6 address, its quotes and brackets.
const MAX_NODE: usize = 43;

/// The headers that replace those of the same names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outgoing {
    /// What a trusted proxy sent and the peer, or the peer alone.
    pub x_forwarded_for: HeaderValue,
    pub x_forwarded_proto: HeaderValue,
    /// Absent if HTTP/1.0 named no host.
    pub x_forwarded_host: Option<HeaderValue>,
    /// One element of RFC 7239, for the client.
    pub forwarded: HeaderValue,
}

impl Outgoing {
    pub(super) fn new(client: &Client, headers: &HeaderMap, host: &str, channel: Channel) -> Self {
        let kept = |name: HeaderName| match client.peer_trusted {
            true => only(headers.get_all(name)),
            false => None,
        };
        let x_forwarded_proto = kept(X_FORWARDED_PROTO)
            .and_then(|value| scheme(value.as_bytes()))
            .unwrap_or(match channel {
                Channel::Plain => "http",
                Channel::Tls => "https",
            });
        let x_forwarded_host =
            kept(X_FORWARDED_HOST).filter(|value| is_host(value.as_bytes())).cloned().or_else(
                || is_host(host.as_bytes()).then(|| HeaderValue::from_str(host).ok()).flatten(),
            );
        // Both values share one buffer.
        let mut buffer = BytesMut::with_capacity(capacity(client, headers, &x_forwarded_host));
        write_x_forwarded_for(&mut buffer, client, headers);
        let x_forwarded_for = value(&mut buffer);
        write_forwarded(&mut buffer, client, &x_forwarded_host, x_forwarded_proto);
        let forwarded = value(&mut buffer);
        let x_forwarded_proto = HeaderValue::from_static(x_forwarded_proto);
        Outgoing { x_forwarded_for, x_forwarded_proto, x_forwarded_host, forwarded }
    }

    /// Writes them over what the request says.
    pub(crate) fn write(self, request: &mut HeaderMap) {
        request.insert(X_FORWARDED_FOR, self.x_forwarded_for);
        request.insert(X_FORWARDED_PROTO, self.x_forwarded_proto);
        match self.x_forwarded_host {
            Some(host) => request.insert(X_FORWARDED_HOST, host),
            None => request.remove(X_FORWARDED_HOST),
        };
        request.insert(header::FORWARDED, self.forwarded);
    }
}

fn scheme(value: &[u8]) -> Option<&'static str> {
    ["http", "https"].into_iter().find(|scheme| value.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// Enough for both values, so that the buffer need not grow.
fn capacity(client: &Client, headers: &HeaderMap, host: &Option<HeaderValue>) -> usize {
    const WORDS: usize = ", for=;host=\"\";proto=https".len();
    let lines = headers.get_all(X_FORWARDED_FOR).iter();
    let old = if client.is_in_x_forwarded_for {
        lines.map(|line| line.len() + ", ".len()).sum()
    } else {
        0
    };
    old + 3 * MAX_NODE + host.as_ref().map_or(0, HeaderValue::len) + WORDS
}

fn write_x_forwarded_for(out: &mut BytesMut, client: &Client, headers: &HeaderMap) {
    if client.is_in_x_forwarded_for {
        let lines = headers.get_all(X_FORWARDED_FOR).into_iter().map(HeaderValue::as_bytes);
        for line in lines.filter(|line| !line.trim_ascii().is_empty()) {
            out.put_slice(line);
            out.put_slice(b", ");
        }
    } else if client.address != client.peer {
        // The way was told in Forwarded; who reads the other header must not lose it.
        write_address(out, client.address);
        out.put_slice(b", ");
    }
    write_address(out, client.peer);
}

fn write_forwarded(out: &mut BytesMut, client: &Client, host: &Option<HeaderValue>, proto: &str) {
    let (open, close): (&[u8], &[u8]) = match client.address {
        IpAddr::V4(_) => (b"for=", b""),
        // A colon makes the value no token (RFC 7239 §6).
        IpAddr::V6(_) => (b"for=\"[", b"]\""),
    };
    out.put_slice(open);
    write_address(out, client.address);
    out.put_slice(close);
    if let Some(host) = host {
        // A colon or bracket makes the value no token; nothing in a host needs escapes.
        let host = host.as_bytes();
        let quote: &[u8] = if memchr::memchr2(b':', b'[', host).is_some() { b"\"" } else { b"" };
        for part in [b";host=", quote, host, quote] {
            out.put_slice(part);
        }
    }
    out.put_slice(b";proto=");
    out.put_slice(proto.as_bytes());
}

/// Takes what was written as a header value.
fn value(buffer: &mut BytesMut) -> HeaderValue {
    let bytes = buffer.split().freeze();
    HeaderValue::from_maybe_shared(bytes).expect("made of addresses, hosts and header values")
}

#[cfg(test)]
mod tests {
    use super::super::tests::{headers, identify};
    use super::*;

    /// The four values, one a line.
    fn check(peer: &str, lines: &[&str], host: &str, expected: [&str; 4]) {
        let client = identify(peer, lines);
        let out = client.outgoing(&headers(lines), host, Channel::Tls);
        let host = out.x_forwarded_host.unwrap_or(HeaderValue::from_static(""));
        let found = [out.x_forwarded_for, out.x_forwarded_proto, host, out.forwarded];
        let found = found.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        assert_eq!(found, expected, "{peer} {lines:?}");
    }

    const SPOOFED: [&str; 4] = [
        "x-forwarded-for: 192.0.2.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: b",
        "forwarded: for=192.0.2.1;host=c",
    ];

    #[test]
    fn drops_what_strangers_say() {
        check(
            "203.0.113.9",
            &SPOOFED,
            "a",
            ["203.0.113.9", "https", "a", "for=203.0.113.9;host=a;proto=https"],
        );
        check(
            "2001:db8::1",
            &[],
            "a:8443",
            ["2001:db8::1", "https", "a:8443", "for=\"[2001:db8::1]\";host=\"a:8443\";proto=https"],
        );
    }

    #[test]
    fn keeps_what_trusted_proxies_say() {
        check(
            "10.0.0.1",
            &SPOOFED,
            "a",
            ["192.0.2.1, 10.0.0.1", "http", "b", "for=192.0.2.1;host=b;proto=http"],
        );
        check(
            "10.0.0.1",
            &["x-forwarded-for: 192.0.2.9, 192.0.2.1", "x-forwarded-for: 10.0.0.2"],
            "[::1]",
            [
                "192.0.2.9, 192.0.2.1, 10.0.0.2, 10.0.0.1",
                "https",
                "[::1]",
                "for=192.0.2.1;host=\"[::1]\";proto=https",
            ],
        );
        check("10.0.0.1", &[], "a", ["10.0.0.1", "https", "a", "for=10.0.0.1;host=a;proto=https"]);
    }

    #[test]
    fn tells_the_client_of_forwarded_in_both_headers() {
        check(
            "10.0.0.1",
            &["forwarded: for=\"[2001:db8::1]:80\";proto=http"],
            "a",
            ["2001:db8::1, 10.0.0.1", "https", "a", "for=\"[2001:db8::1]\";host=a;proto=https"],
        );
    }

    #[test]
    fn an_x_forwarded_for_that_does_not_lead_to_the_client_is_not_passed_on() {
        for line in ["x-forwarded-for: ", "x-forwarded-for: 10.0.0.5"] {
            let expected =
                ["192.0.2.1, 10.0.0.1", "https", "a", "for=192.0.2.1;host=a;proto=https"];
            check("10.0.0.1", &["forwarded: for=192.0.2.1", line], "a", expected);
        }
        let expected = ["10.0.0.1", "https", "a", "for=10.0.0.1;host=a;proto=https"];
        check("10.0.0.1", &["x-forwarded-for: "], "a", expected);
    }

    #[test]
    fn replaces_nonsense_even_from_trusted_proxies() {
        for line in [
            "x-forwarded-proto: gopher",
            "x-forwarded-proto: http, https",
            "x-forwarded-host: b\";for=x",
            "x-forwarded-host: b, c",
            "x-forwarded-host: ",
        ] {
            let expected = ["10.0.0.1", "https", "a", "for=10.0.0.1;host=a;proto=https"];
            check("10.0.0.1", &[line], "a", expected);
        }
        let twice = ["x-forwarded-host: b", "x-forwarded-host: c"];
        check(
            "10.0.0.1",
            &twice,
            "a",
            ["10.0.0.1", "https", "a", "for=10.0.0.1;host=a;proto=https"],
        );
    }

    #[test]
    fn leaves_out_a_host_that_is_none() {
        check("192.0.2.1", &[], "", ["192.0.2.1", "https", "", "for=192.0.2.1;proto=https"]);
        check("192.0.2.1", &[], "a\"b", ["192.0.2.1", "https", "", "for=192.0.2.1;proto=https"]);
    }

    #[test]
    fn its_buffer_does_not_grow() {
        let lines = ["x-forwarded-for: 192.0.2.1", "x-forwarded-for: 2001:db8:ffff::1"];
        let long = "2001:db8:ffff:1111:2222:3333:4444:5555";
        for (peer, lines) in [(long, &lines[..]), ("192.0.2.1", &[]), (long, &[])] {
            let client = identify(peer, lines);
            let headers = headers(lines);
            let host = Some(HeaderValue::from_static("[::1]:80"));
            let mut buffer = BytesMut::with_capacity(capacity(&client, &headers, &host));
            let room = buffer.capacity();
            write_x_forwarded_for(&mut buffer, &client, &headers);
            write_forwarded(&mut buffer, &client, &host, "https");
            assert_eq!(buffer.capacity(), room, "{peer}");
        }
    }
}
