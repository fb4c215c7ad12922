//! The way of a request through proxies, read from the nearest one back.
//!
//! Most proxies write one of X-Forwarded-For and Forwarded (RFC 7239), and pass
//! a client's own other one on untouched. Which one they write is for the
//! operator to say; unsaid, the two must not contradict each other. They are
//! never mixed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName, HeaderValue, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::networks::Networks;
use crate::sanitise::is_token;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// More proxies than any request passes.
const MAX_HOPS: usize = 50;

/// Which field of trusted proxies tells who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RealIpHeader {
    /// The one that there is; where both are, they must agree.
    #[default]
    Either,
    XForwardedFor,
    Forwarded,
}

/// Two fields name two clients, and one of them may be made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TwoClients;

/// Who is behind trusted proxies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Behind {
    pub(super) address: IpAddr,
    /// Whether X-Forwarded-For leads there, so that others may read it, too.
    pub(super) is_in_x_forwarded_for: bool,
}

/// How far a field leads, and why no further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// To an address that is not trusted.
    Client(IpAddr),
    /// To a hop that cannot be read; this is the one before it.
    Lost(IpAddr),
    /// To its end: it names trusted proxies alone, or nobody.
    Proxies(IpAddr),
}

/// The first address before `peer` that is not trusted; else the farthest that can be read.
pub(super) fn client_behind(
    peer: IpAddr,
    headers: &HeaderMap,
    trusted: &Networks,
    real_ip_header: RealIpHeader,
) -> Result<Behind, TwoClients> {
    let x_forwarded_for = || by_x_forwarded_for(peer, headers, trusted).address();
    let forwarded = || by_forwarded(peer, headers, trusted).address();
    Ok(match real_ip_header {
        RealIpHeader::XForwardedFor => {
            Behind { address: x_forwarded_for(), is_in_x_forwarded_for: true }
        }
        // The other one may be the client's own.
        RealIpHeader::Forwarded => Behind { address: forwarded(), is_in_x_forwarded_for: false },
        RealIpHeader::Either => {
            let first = by_x_forwarded_for(peer, headers, trusted);
            let address = agreed(peer, first, by_forwarded(peer, headers, trusted))?;
            Behind { address, is_in_x_forwarded_for: address == first.address() }
        }
    })
}

/// Where both ways lead, or the one that leads to somebody.
///
/// The field that the nearest proxy writes names whoever came to it, if that is
/// no proxy of ours. So one that ends among proxies takes nothing from the other.
fn agreed(peer: IpAddr, first: Way, second: Way) -> Result<IpAddr, TwoClients> {
    match (first, second) {
        _ if first.address() == second.address() => Ok(first.address()),
        (Way::Proxies(one), Way::Proxies(other)) => Ok(if one == peer { other } else { one }),
        (Way::Proxies(_), other) | (other, Way::Proxies(_)) => Ok(other.address()),
        (Way::Client(_) | Way::Lost(_), Way::Client(_) | Way::Lost(_)) => Err(TwoClients),
    }
}

fn by_x_forwarded_for(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> Way {
    // A field without a value is as good as none.
    if lines(headers, X_FORWARDED_FOR).all(|line| line.trim_ascii().is_empty()) {
        return Way::Proxies(peer);
    }
    let lines = lines(headers, X_FORWARDED_FOR);
    let entries = lines.flat_map(|line| line.rsplit(|byte| *byte == b','));
    walk(peer, trusted, entries.map(read_entry))
}

fn by_forwarded(peer: IpAddr, headers: &HeaderMap, trusted: &Networks) -> Way {
    let names_nobody = |line: &[u8]| !line.windows(4).any(|s| s.eq_ignore_ascii_case(b"for="));
    if lines(headers, header::FORWARDED).all(names_nobody) {
        return Way::Proxies(peer);
    }
    let elements = lines(headers, header::FORWARDED).flat_map(Elements::from_the_right);
    walk(peer, trusted, elements.map(read_element))
}

/// The lines of a field, the last one first.
fn lines(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    headers.get_all(name).into_iter().rev().map(HeaderValue::as_bytes)
}

/// Follows `hops`, the nearest first, up to one that is unreadable or not trusted.
fn walk(peer: IpAddr, trusted: &Networks, hops: impl Iterator<Item = Option<IpAddr>>) -> Way {
    let mut nearest = peer;
    for hop in hops.take(MAX_HOPS) {
        let Some(address) = hop else { return Way::Lost(nearest) };
        nearest = address.to_canonical();
        if !trusted.contains(nearest) {
            return Way::Client(nearest);
        }
    }
    Way::Proxies(nearest)
}

impl Way {
    fn address(self) -> IpAddr {
        match self {
            Way::Client(address) | Way::Lost(address) | Way::Proxies(address) => address,
        }
    }
}

/// An entry of X-Forwarded-For: an address, perhaps with a port.
fn read_entry(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry.trim_ascii()).ok()?;
    match text.parse::<Ipv6Addr>() {
        Ok(address) => Some(IpAddr::V6(address)),
        Err(_) => read_node(text),
    }
}

/// The `for` of an element of Forwarded, if the whole element is well formed.
fn read_element(element: &[u8]) -> Option<IpAddr> {
    let mut rest = element.trim_ascii();
    let mut address = None;
    loop {
        match rest {
            [] => return address,
            [b';', after @ ..] => rest = after.trim_ascii_start(),
            _ => {
                let (name, value, after) = split_pair(rest)?;
                if name.eq_ignore_ascii_case(b"for") {
                    let node = read_node(str::from_utf8(value).ok()?)?;
                    if address.replace(node).is_some() {
                        return None;
                    }
                }
                rest = after;
            }
        }
    }
}

/// The name and value of a parameter, and the rest: nothing, or from a `;` on.
///
/// No value that proxies write needs a backslash; without one, a quoted value
/// has the same ends from whichever side it is read.
fn split_pair(text: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let (name, value) = split_at_byte(text, b'=')?;
    let (value, after) = match value {
        [b'"', quoted @ ..] => {
            let (value, after) = split_at_byte(quoted, b'"')?;
            (!value.contains(&b'\\')).then_some((value, after.trim_ascii_start()))?
        }
        _ => {
            let (value, after) = value.split_at(memchr::memchr(b';', value).unwrap_or(value.len()));
            let value = value.trim_ascii_end();
            is_token(value).then_some((value, after))?
        }
    };
    let is_good = is_token(name) && matches!(after, [] | [b';', ..]);
    is_good.then_some((name, value, after))
}

/// Both sides of the first `byte`.
fn split_at_byte(text: &[u8], byte: u8) -> Option<(&[u8], &[u8])> {
    let (before, after) = text.split_at(memchr::memchr(byte, text)?);
    Some((before, &after[1..]))
}

/// An IPv4 address, or an IPv6 address in brackets, perhaps with a port; `None`
/// for what is hidden (`unknown`, `_name`) or malformed.
fn read_node(text: &str) -> Option<IpAddr> {
    let (address, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (IpAddr::V6(address.parse().ok()?), port)
        }
        None => {
            let (address, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (IpAddr::V4(address.parse::<Ipv4Addr>().ok()?), port)
        }
    };
    is_port(port).then_some(address)
}

/// Nothing, `:` and a number, or `:` and a made-up name (RFC 7239 §6).
fn is_port(text: &str) -> bool {
    match text.as_bytes() {
        [] => true,
        [b':', b'_', name @ ..] => is_token(name),
        [b':', digits @ ..] => {
            matches!(digits.len(), 1..=5) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// The elements of a Forwarded line, the last one first.
///
/// Read from the right, what a proxy has added cannot be swallowed by a quote
/// that the client has left open before it.
struct Elements<'a>(Option<&'a [u8]>);

impl<'a> Elements<'a> {
    fn from_the_right(line: &'a [u8]) -> Self {
        Elements(Some(line))
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0?;
        let mut is_quoted = false;
        let comma = line.iter().rposition(|byte| {
            is_quoted ^= *byte == b'"';
            *byte == b',' && !is_quoted
        });
        let (rest, element) = match comma {
            None => (None, line),
            Some(comma) => {
                let (rest, element) = line.split_at(comma);
                (Some(rest), &element[1..])
            }
        };
        self.0 = rest;
        Some(element)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{clients, clients_by, headers, identify};
    use super::*;

    /// Who asks, if the peer is the trusted proxy 10.0.0.1.
    fn check(lines: &[&str], expected: &str) {
        let client = identify("10.0.0.1", lines);
        assert_eq!(client.address.to_string(), expected, "{lines:?}");
    }

    #[test]
    fn finds_the_first_address_that_is_not_trusted() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("192.0.2.9, 192.0.2.1, 10.0.0.2,10.0.0.3", "192.0.2.1"),
            ("10.0.0.4, 192.0.2.1, 10.0.0.2", "192.0.2.1"),
            ("10.0.0.4, 10.0.0.3", "10.0.0.4"),
            ("2001:db8::1", "2001:db8::1"),
            ("2001:db8::1, 2001:db8:ffff::1", "2001:db8::1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
        ] {
            check(&[&format!("x-forwarded-for: {value}")], expected);
        }
    }

    #[test]
    fn stops_at_what_it_cannot_read() {
        for (value, expected) in [
            ("", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
            ("192.0.2.1, unknown", "10.0.0.1"),
            ("192.0.2.1, unknown, 10.0.0.2", "10.0.0.2"),
            ("192.0.2.1,", "10.0.0.1"),
            ("192.0.2.1,, 10.0.0.2", "10.0.0.2"),
            ("192.0.2.1 10.0.0.2", "10.0.0.1"),
            ("192.0.2.256", "10.0.0.1"),
            ("192.0.2.01", "10.0.0.1"),
            ("192.0.2.1:", "10.0.0.1"),
            ("192.0.2.1:x", "10.0.0.1"),
            ("2001:db8::1%eth0", "10.0.0.1"),
            ("[2001:db8::1", "10.0.0.1"),
            ("caf\u{e9}", "10.0.0.1"),
            ("caf\u{e9}, 192.0.2.1", "192.0.2.1"),
        ] {
            check(&[&format!("x-forwarded-for: {value}")], expected);
        }
    }

    #[test]
    fn reads_several_lines_as_one() {
        for (first, last) in [
            ("192.0.2.9", "192.0.2.1"),
            ("192.0.2.9", "192.0.2.1, 10.0.0.2"),
            ("192.0.2.9, 192.0.2.1", "10.0.0.3, 10.0.0.2"),
        ] {
            let first = format!("x-forwarded-for: {first}");
            check(&[&first, &format!("x-forwarded-for: {last}")], "192.0.2.1");
        }
        check(&["forwarded: for=192.0.2.9", "forwarded: for=192.0.2.1, for=10.0.0.3"], "192.0.2.1");
        check(&["forwarded: for=192.0.2.1", "forwarded: for=10.0.0.2, for=10.0.0.3"], "192.0.2.1");
    }

    #[test]
    fn walks_a_bounded_way() {
        let way = |hops| format!("x-forwarded-for: 192.0.2.1{}", ", 10.0.0.2".repeat(hops));
        check(&[&way(49)], "192.0.2.1");
        check(&[&way(50)], "10.0.0.2");
    }

    #[test]
    fn one_field_tells_who_asks_and_the_other_must_not_contradict_it() {
        let peer = "10.0.0.1";
        for (for_, forwarded, expected) in [
            ("192.0.2.1", "for=192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.9, 192.0.2.1", "for=192.0.2.1, for=10.0.0.2", Some("192.0.2.1")),
            ("192.0.2.1", "for=192.0.2.2", None),
            ("192.0.2.2", "for=192.0.2.1", None),
            // What names nobody is no answer.
            ("", "for=192.0.2.1", Some("192.0.2.1")),
            (" \t", "for=192.0.2.1", Some("192.0.2.1")),
            ("10.0.0.2", "for=192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1", "", Some("192.0.2.1")),
            ("192.0.2.1", "proto=https", Some("192.0.2.1")),
            ("192.0.2.1", "for=10.0.0.2", Some("192.0.2.1")),
            ("10.0.0.2", "for=10.0.0.3", Some("10.0.0.2")),
            ("", "for=10.0.0.3", Some("10.0.0.3")),
            // What hides somebody is one.
            ("192.0.2.1", "for=unknown", None),
            ("192.0.2.1", "for=\"_hidden\"", None),
            ("unknown", "for=192.0.2.1", None),
            (",", "for=192.0.2.1", None),
            ("unknown", "for=unknown", Some(peer)),
            ("", "", Some(peer)),
        ] {
            let fields =
                headers(&[&format!("x-forwarded-for: {for_}"), &format!("forwarded: {forwarded}")]);
            let found = clients().identify(peer.parse().expect("good"), &fields);
            let found = found.map(|client| client.address.to_string()).ok();
            assert_eq!(found.as_deref(), expected, "{for_} {forwarded}");
        }
    }

    #[test]
    fn the_field_that_the_operator_names_is_the_only_one() {
        let peer = "10.0.0.1".parse().expect("good");
        for (named, lines, expected) in [
            (RealIpHeader::XForwardedFor, ["192.0.2.1", "for=192.0.2.2"], "192.0.2.1"),
            (RealIpHeader::XForwardedFor, ["", "for=192.0.2.2"], "10.0.0.1"),
            (RealIpHeader::Forwarded, ["192.0.2.1", "for=192.0.2.2"], "192.0.2.2"),
            (RealIpHeader::Forwarded, ["192.0.2.1", ""], "10.0.0.1"),
        ] {
            let [first, second] = lines;
            let fields =
                headers(&[&format!("x-forwarded-for: {first}"), &format!("forwarded: {second}")]);
            let client = clients_by(named).identify(peer, &fields).expect("one client");
            assert_eq!(client.address.to_string(), expected, "{named:?} {lines:?}");
        }
    }

    #[test]
    fn reads_forwarded() {
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            ("For=\"192.0.2.1\"", "192.0.2.1"),
            ("for=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("FOR=\"[2001:DB8::1]\"", "2001:db8::1"),
            ("for=\"192.0.2.1:_port\"", "192.0.2.1"),
            ("by=10.0.0.9;for=192.0.2.1;host=\"a:80\";proto=https", "192.0.2.1"),
            ("for=192.0.2.1 ; proto=https", "192.0.2.1"),
            (";for=192.0.2.1;", "192.0.2.1"),
            ("host=\"a,b;for=192.0.2.9\";for=192.0.2.1", "192.0.2.1"),
            ("for=192.0.2.9, for=192.0.2.1 , for=10.0.0.2", "192.0.2.1"),
            ("for=192.0.2.1;by=\"_a\", for=\"10.0.0.2:1\"", "192.0.2.1"),
        ] {
            check(&[&format!("forwarded: {value}")], expected);
        }
    }

    #[test]
    fn stops_where_forwarded_hides_or_breaks() {
        for value in [
            "for=unknown",
            "for=_hidden",
            "for=\"_hidden\"",
            "proto=https",
            "for=",
            "for=\"\"",
            "for",
            "=192.0.2.1",
            "for =192.0.2.1",
            "for= 192.0.2.1",
            "for=192.0.2.1:80",
            "for=[2001:db8::1]",
            "for=\"2001:db8::1\"",
            "for=\"192.0.2.1",
            "for=192.0.2.1\"",
            "for=\"192.0.2.1\"x",
            "for=\"192.0.2\\.1\"",
            "for=192.0.2.1;for=192.0.2.1",
            "for=192.0.2.1;proto",
            "for=192.0.2.1;proto=a b",
            "for=192.0.2.1 for=192.0.2.2",
        ] {
            check(&[&format!("forwarded: {value}")], "10.0.0.1");
            check(&[&format!("forwarded: for=192.0.2.9, {value}")], "10.0.0.1");
            check(&[&format!("forwarded: {value}, for=10.0.0.2")], "10.0.0.2");
        }
    }

    #[test]
    fn an_open_quote_swallows_nothing_that_a_proxy_added() {
        for value in ["for=\"", "for=192.0.2.9;host=\"", "\"", "for=\\\"", "\"\\"] {
            check(&[&format!("forwarded: {value}, for=192.0.2.1")], "192.0.2.1");
            check(&[&format!("forwarded: {value}, for=192.0.2.1, for=10.0.0.2")], "192.0.2.1");
        }
    }

    #[test]
    fn nothing_a_client_sends_outlives_what_a_proxy_added() {
        const BYTES: &[u8] = b"for=by;,\"\\[]:. _192.0.2.9::1\t\xff";
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..50_000 {
            let count = random.usize(..40);
            let garbage: Vec<u8> =
                std::iter::repeat_with(|| BYTES[random.usize(..BYTES.len())]).take(count).collect();
            for (name, added) in [("x-forwarded-for", "192.0.2.1"), ("forwarded", "for=192.0.2.1")]
            {
                let value = [&garbage[..], b", ", added.as_bytes()].concat();
                let mut headers = HeaderMap::new();
                headers.insert(name, HeaderValue::from_bytes(&value).expect("a value"));
                let client = clients().identify("10.0.0.1".parse().expect("good"), &headers);
                let text = value.escape_ascii();
                let client = client.expect("one field").address.to_string();
                assert_eq!(client, "192.0.2.1", "{name}: {text}");
            }
        }
    }
}
