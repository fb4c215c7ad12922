//! Any bytes, for every reader of what strangers send, and what must hold then.
//!
//! Each function says whether its reader took the bytes, and panics where one
//! of its promises is broken. `tests` drives them with the same bytes in every
//! run; the targets in `fuzz/` with what a fuzzer finds.

mod cached;
mod listed;
mod passes;
mod pieces;
mod proofs;
mod reference;
mod streams;
mod words;

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version, header};

use crate::access::Shown;
use crate::client::{self, Clients};
use crate::config::{Config, Written};
use crate::encoding::{Accepted, Coding, weighted};
use crate::listen::{Parsed, Source, parse_proxy_header};
use crate::ranges::{Selection, select};
use crate::sanitise::{self, Body, Escapes, Head, Strict, host_and_port};

pub use self::cached::cached;
pub use self::passes::{challenge, cookie};
pub use self::pieces::{chunks, h2_frames};
pub use self::proofs::{jwt, signed_link};
pub use self::words::{networks, units};

/// More bytes than a PROXY header may have (`listen`).
const LONGEST_PROXY_HEADER: usize = 4112;

/// The head of a request in HTTP/1, to the empty line that ends it.
pub fn head(bytes: &[u8]) -> bool {
    let Ok(framing) = sanitise::judge(bytes) else {
        return false;
    };
    let read = reference::Request::read(bytes).expect("a good head is lines of ASCII");
    let lengths: Vec<&[u8]> = read.values("content-length").collect();
    let encodings: Vec<&[u8]> = read.values("transfer-encoding").collect();
    match framing.body {
        Body::None => assert!(lengths.is_empty() && encodings.is_empty()),
        Body::Length(length) => {
            assert!(encodings.is_empty(), "a length beside an encoding");
            let is_it = |value: &&[u8]| reference::number(value) == Some(length);
            assert!(!lengths.is_empty() && lengths.iter().all(is_it), "another length");
        }
        Body::Chunked => {
            assert!(lengths.is_empty(), "an encoding beside a length");
            assert!(encodings.len() == 1 && encodings.concat().eq_ignore_ascii_case(b"chunked"));
        }
    }
    assert!(read.values("host").count() <= 1, "two hosts");
    assert!(!framing.upgrade || read.values("upgrade").count() == 1);
    for more in [b"\r\n".as_slice(), b"x", b"\0"] {
        assert!(sanitise::judge(&[bytes, more].concat()).is_err(), "one head, and {more:?}");
    }
    for less in 1..bytes.len().min(8) {
        assert!(sanitise::judge(&bytes[..bytes.len() - less]).is_err(), "a head without its end");
    }
    if let Some(parsed) = read.parsed() {
        check_head(&parsed.method, &parsed.uri, parsed.version, &parsed.headers);
    }
    true
}

/// The path and query of a request.
pub fn target(bytes: &[u8]) -> bool {
    let (Ok(uri), mut headers) = (Uri::try_from(bytes), HeaderMap::new()) else {
        return false;
    };
    headers.insert(header::HOST, HeaderValue::from_static("a.example"));
    check_head(&Method::GET, &uri, Version::HTTP_11, &headers)
}

/// What is read of a request has one reading, and is read the same again.
fn check_head(method: &Method, uri: &Uri, version: Version, headers: &HeaderMap) -> bool {
    let lenient = Strict {
        encoded_slashes: Escapes::Pass,
        double_encoding: Escapes::Pass,
        ..Strict::default()
    };
    let strict = Strict::default();
    check_head_as(method, uri, version, headers, &lenient);
    check_head_as(method, uri, version, headers, &strict)
}

fn check_head_as(
    method: &Method,
    uri: &Uri,
    version: Version,
    headers: &HeaderMap,
    strict: &Strict,
) -> bool {
    let Ok(head) = Head::read(method, uri, version, headers, strict) else {
        return false;
    };
    if !head.host.is_empty() {
        let again = host_and_port(head.host.as_bytes()).expect("a host that was read");
        assert_eq!(again, (head.host.clone(), None), "another host");
    }
    if head.path == "*" {
        assert_eq!(method, Method::OPTIONS);
        return true;
    }
    assert_eq!(head.is_normal, head.path == uri.path());
    assert!(head.path.starts_with('/') && !head.path.contains("//"), "{}", head.path);
    let segments = |path: &str| reference::segments(path);
    assert_eq!(segments(&head.path), segments(uri.path()), "another file");
    assert!(!head.path.split('/').any(|segment| matches!(segment, "." | "..")));

    let normal = Uri::try_from(&*head.path).expect("a normal path");
    let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("a.example"))]);
    let again = Head::read(method, &normal, version, &headers, strict);
    let again = again.expect("what was read once is read again");
    assert!(again.is_normal && again.path == head.path, "{} {}", head.path, again.path);
    true
}

/// The first bytes of a connection that may begin with a PROXY header.
pub fn proxy_header(bytes: &[u8]) -> bool {
    match parse_proxy_header(bytes) {
        Ok(Parsed::Complete { used, source }) => {
            assert!(used <= bytes.len().min(LONGEST_PROXY_HEADER));
            if let Source::Addresses { source, destination } = source {
                assert_eq!(source.is_ipv4(), destination.is_ipv4());
            }
            let (own, _) = bytes.split_at(used);
            for after in [b"".as_slice(), b"GET / HTTP/1.1\r\n", b"\r\n\0"] {
                let again = parse_proxy_header(&[own, after].concat());
                assert_eq!(again, Ok(Parsed::Complete { used, source }), "what follows counts");
            }
            for length in (0..used).step_by(1 + used / 64) {
                let part = parse_proxy_header(&own[..length]);
                assert!(
                    !matches!(part, Ok(Parsed::Complete { .. } | Parsed::NotProxy)),
                    "{part:?}"
                );
            }
            true
        }
        Ok(Parsed::Incomplete) => {
            assert!(bytes.len() < LONGEST_PROXY_HEADER, "it would be read without end");
            false
        }
        Ok(Parsed::NotProxy) | Err(_) => {
            // No byte that comes later makes it one.
            let more = parse_proxy_header(&[bytes, b"\r\n".as_slice()].concat());
            assert!(!matches!(more, Ok(Parsed::Complete { .. })), "{more:?}");
            false
        }
    }
}

/// The text of a configuration without includes.
pub fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    if text.contains("include") {
        return false;
    }
    let Ok(config) = load(text).inspect_err(|report| assert!(!report.is_empty(), "no reason"))
    else {
        return false;
    };
    let mut shown = serde_json::to_value(&config).expect("a configuration is data");
    leave_out_empty_lists(&mut shown);
    let shown = shown.to_string();
    // A `$` would be replaced once more.
    if !shown.contains('$') {
        let again = load(&shown).unwrap_or_else(|report| panic!("{shown}\n{report}"));
        assert!(again == config, "{shown}");
    }
    true
}

/// A list that chooses nothing may be left out, but not be written.
fn leave_out_empty_lists(shown: &mut serde_json::Value) {
    match shown {
        serde_json::Value::Object(entries) => {
            entries.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
            entries.values_mut().for_each(leave_out_empty_lists);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(leave_out_empty_lists),
        _ => {}
    }
}

fn load(text: &str) -> Result<Config, String> {
    let written = Written::Text { name: "fuzz".to_owned(), text: text.to_owned() };
    let loaded = written.load().and_then(|loaded| loaded.build(|_| Ok(())));
    loaded.map(|(config, ())| config).map_err(|report| report.to_string())
}

/// An Accept-Encoding.
pub fn accept_encoding(bytes: &[u8]) -> bool {
    let Some(headers) = one_field(header::ACCEPT_ENCODING, bytes) else {
        return false;
    };
    let chosen = Accepted::new(&headers).choose(&Coding::ALL);
    let listed = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    if let Some(coding) = chosen {
        let is_it = |name: &str| name == "*" || name.to_ascii_lowercase().ends_with(coding.name());
        let mut listed = weighted(listed.expect("text"));
        assert!(listed.any(|(name, _)| is_it(name)), "{coding:?} was not asked for");
    }
    chosen.is_some()
}

/// An Authorization: a password, or a token.
pub fn authorization(bytes: &[u8]) -> bool {
    let Some(headers) = one_field(header::AUTHORIZATION, bytes) else {
        return false;
    };
    // Nothing is read that the field does not say in full.
    let said = |scheme: usize| bytes.get(scheme..).unwrap_or_default().trim_ascii();
    match Shown::read(&headers) {
        Some(Shown::Password { name, password }) => {
            assert!(!name.contains(':') && !name.chars().any(char::is_control), "{name:?}");
            let shown = [name.as_bytes(), b":", &password].concat();
            assert_eq!(STANDARD.encode(shown).as_bytes(), said("basic".len()));
            true
        }
        Some(Shown::Token { text, signed, signature }) => {
            assert_eq!(text.as_bytes(), said("bearer".len()));
            assert_eq!(text.matches('.').count(), 2);
            let again = [signed, b".", URL_SAFE_NO_PAD.encode(signature).as_bytes()].concat();
            assert_eq!(again, text.as_bytes());
            true
        }
        None => false,
    }
}

/// A Range.
pub fn range(bytes: &[u8]) -> bool {
    let Some(headers) = one_field(header::RANGE, bytes) else {
        return false;
    };
    let mut is_followed = false;
    for length in [0, 1, 10, 1 << 20, u64::MAX] {
        match select(&headers, length) {
            Selection::Whole => {}
            Selection::Unsatisfiable => assert_ne!(length, 0),
            Selection::Spans(spans) => {
                is_followed = true;
                assert!((1..=16).contains(&spans.len()));
                let mut taken: Vec<(u64, u64)> = spans
                    .iter()
                    .map(|span| {
                        assert!(span.length > 0 && span.length <= length - span.first);
                        (span.first, span.first + (span.length - 1))
                    })
                    .collect();
                taken.sort_unstable();
                assert!(taken.windows(2).all(|pair| pair[0].1 < pair[1].0), "{taken:?}");
            }
        }
    }
    is_followed
}

/// What a client may write before the trusted proxy adds its own entry.
pub fn forwarded(bytes: &[u8]) -> bool {
    let proxy: IpAddr = Ipv4Addr::new(10, 0, 0, 1).into();
    let visitor: IpAddr = Ipv4Addr::new(203, 0, 113, 7).into();
    let trusted = vec!["10.0.0.0/8".parse().expect("a network")];
    let clients =
        Clients::new(&client::Config { trusted_proxies: trusted, ..client::Config::default() })
            .expect("clients");
    let address = |peer, headers: &HeaderMap| {
        clients.identify(peer, headers).map(|client| client.address).ok()
    };
    let mut is_believed = false;
    for (name, own) in [
        (HeaderName::from_static("x-forwarded-for"), "203.0.113.7"),
        (header::FORWARDED, "for=203.0.113.7;proto=https"),
        (header::FORWARDED, "proto=https;for=\"203.0.113.7:50000\""),
    ] {
        let Some(headers) = one_field(name.clone(), bytes) else {
            return false;
        };
        assert_eq!(address(visitor, &headers), Some(visitor), "a stranger's word");
        let said = address(proxy, &headers).expect("one field");
        assert_eq!(said, said.to_canonical());
        is_believed |= said != proxy;
        for apart in [", ", ","] {
            let appended = [bytes, apart.as_bytes(), own.as_bytes()].concat();
            let headers = one_field(name.clone(), &appended).expect("a value");
            assert_eq!(address(proxy, &headers), Some(visitor), "the proxy's word");
        }
        let mut lines = headers;
        lines.append(name.clone(), HeaderValue::from_static(own));
        assert_eq!(address(proxy, &lines), Some(visitor), "the proxy's line");
        let other = if name == header::FORWARDED { "x-forwarded-for" } else { "forwarded" };
        let mut both = one_field(HeaderName::from_static(other), bytes).expect("a value");
        both.append(name, HeaderValue::from_static(own));
        let said = address(proxy, &both);
        assert!(said.is_none_or(|said| said == visitor), "the other field: {said:?}");
    }
    is_believed
}

fn one_field(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).ok()?)]))
}

/// A Host, or the authority of a target.
pub fn host(bytes: &[u8]) -> bool {
    let Some((host, port)) = host_and_port(bytes) else {
        return false;
    };
    assert_ne!(port, Some(0));
    assert!(!host.is_empty() && !host.bytes().any(|byte| byte.is_ascii_uppercase()));
    let written = match port {
        Some(port) => format!("{host}:{port}"),
        None => host.clone().into_owned(),
    };
    assert_eq!(host_and_port(written.as_bytes()), Some((host.clone(), port)), "{written}");
    // What the library for addresses reads as one is that very address.
    if let Ok(address) = written.parse::<SocketAddr>() {
        assert_eq!(Some(address.port()), port);
    }
    true
}

/// Bytes of which 1 is the first of `words`, 2 the second, and so on: what is
/// signed, nobody could make up. Beyond the first few, they stay as they are.
fn spell(bytes: &[u8], words: &[&[u8]]) -> Vec<u8> {
    let mut left = 32;
    let mut spelt = Vec::new();
    for byte in bytes {
        match usize::from(*byte).checked_sub(1).and_then(|at| words.get(at)) {
            Some(word) if left > 0 => {
                spelt.extend_from_slice(word);
                left -= 1;
            }
            _ => spelt.push(*byte),
        }
    }
    spelt
}

/// The same bytes with one of them changed, in a few places that are others for
/// other bytes.
fn changed(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let sum =
        bytes.iter().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add((*byte).into()));
    let last = bytes.len().saturating_sub(1);
    [0, sum % (last + 1), (sum / 7) % (last + 1), last].into_iter().map(|at| {
        let mut other = bytes.to_vec();
        other[at] ^= 1;
        other
    })
}
