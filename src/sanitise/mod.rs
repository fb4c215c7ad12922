//! Refuses what two parsers could read differently, before any server sees it.
//!
//! [`judge`] reads the raw bytes of an HTTP/1 head, before a parser may repair
//! them; [`Head::read`] reads what a parser made of a request, in any version.
//! A [`Head`] exists only for a request that has one reading. Who may ask for
//! what, and how much, is for later rooms.

mod bytes;
mod framing;
mod headers;
mod host;
mod malformed;
mod request_line;
mod strict;
mod uri;

use std::borrow::Cow;

use http::uri::{PathAndQuery, Scheme};
use http::{HeaderMap, Method, Uri, Version, header};

use self::host::Authority;
use crate::networks::with_port;

pub(crate) use self::bytes::is_token;
pub(crate) use self::framing::{Body, judge};
pub(crate) use self::headers::{are_one_name, is_forwarding_name};
pub(crate) use self::host::{host_and_port, is_host};
pub(crate) use self::malformed::{Kind, Malformed};
#[cfg(any(test, fuzzing))]
pub(crate) use self::strict::Escapes;
pub(crate) use self::strict::{PathForm, Strict};

/// A request head with one reading: what every later room works on.
#[derive(Debug, Clone)]
pub(crate) struct Head<'a> {
    pub method: &'a Method,
    /// The host asked for: lower case, no port, no trailing dot; an IPv6
    /// address keeps its brackets. Empty if HTTP/1.0 named none.
    pub host: Cow<'a, str>,
    /// The port written after the host, if any.
    pub port: Option<u16>,
    /// The path in its normal form (RFC 3986 §6.2.2): starts with `/`, no dot
    /// segments, no doubled slashes, unreserved characters decoded, others in
    /// upper-case hex. `OPTIONS *` alone has the path `*`.
    pub path: Cow<'a, str>,
    /// The client wrote the path in its normal form.
    pub is_normal: bool,
    /// The query as written, without `?`.
    pub query: Option<&'a str>,
    pub headers: &'a HeaderMap,
    /// The request is a WebSocket handshake. Any other Upgrade is void and must
    /// not reach a server.
    pub upgrade: bool,
}

impl Head<'_> {
    /// The target for the server where it is not the client's own: a server gets
    /// no absolute form, and the path as routes matched it unless told otherwise.
    pub(crate) fn target(&self, written: &Uri, strict: &Strict) -> Option<String> {
        let is_changed = !self.is_normal && strict.path == PathForm::Normal;
        if !is_changed && written.authority().is_none() {
            return None;
        }
        let path = if is_changed { &*self.path } else { written.path() };
        Some(match self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        })
    }

    /// The host with its port, if that was written.
    pub(crate) fn host_and_port(&self) -> String {
        match self.port {
            Some(port) => with_port(&self.host, port),
            None => self.host.to_string(),
        }
    }
}

impl<'a> Head<'a> {
    /// Reads what a parser made of a request.
    ///
    /// The raw bytes of an HTTP/1 head must have passed [`judge`]: their framing
    /// cannot be judged any more. The headers of [`Strict::names_to_drop`] must be gone.
    pub(crate) fn read(
        method: &'a Method,
        uri: &'a Uri,
        version: Version,
        headers: &'a HeaderMap,
        strict: &Strict,
    ) -> Result<Self, Malformed> {
        request_line::check_method(method.as_str().as_bytes())?;
        strict.check_names(headers)?;
        if version >= Version::HTTP_2 {
            headers::check_multiplexed(headers)?;
        }
        let authority = read_authority(uri, version, headers)?;
        let (host, port) = match &authority {
            Some(authority) => (authority.host(), authority.port),
            None => (Cow::Borrowed(""), None),
        };
        let path = read_path(method, uri, version, strict)?;
        let query = uri.query();
        query.map_or(Ok(()), uri::check_query)?;
        let upgrade = version == Version::HTTP_11
            && method == Method::GET
            && headers::ask_for_websocket(headers);
        let is_normal = matches!(path, Cow::Borrowed(_));
        Ok(Head { method, host, port, path, is_normal, query, headers, upgrade })
    }
}

/// Reads the authority of the target, or Host; where both are, they must be equal.
fn read_authority<'a>(
    uri: &'a Uri,
    version: Version,
    headers: &'a HeaderMap,
) -> Result<Option<Authority<'a>>, Malformed> {
    let host = headers::single(headers, &header::HOST, Malformed::TwoHosts)?;
    if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
        return Err(Malformed::TargetForm);
    }
    let target = uri.authority().map(|authority| authority.as_str().as_bytes());
    let text = match (target, host) {
        (Some(target), Some(host)) if target != host.as_bytes() => {
            return Err(Malformed::HostMismatch);
        }
        (Some(text), _) => text,
        (None, Some(host)) => host.as_bytes(),
        (None, None) if version <= Version::HTTP_10 => return Ok(None),
        (None, None) => return Err(Malformed::NoHost),
    };
    Authority::read(text).map(Some)
}

fn read_path<'a>(
    method: &Method,
    uri: &'a Uri,
    version: Version,
    strict: &Strict,
) -> Result<Cow<'a, str>, Malformed> {
    let written = uri.path_and_query().map_or("", PathAndQuery::as_str);
    if version >= Version::HTTP_2 && written.starts_with('?') {
        // A parser fills the path in, yet HTTP/2 has no target without one
        // (RFC 9113 §8.3.1), and a server would get it as it was written.
        return Err(Malformed::TargetForm);
    }
    match uri.path() {
        "*" if method == Method::OPTIONS => Ok(Cow::Borrowed("*")),
        path => uri::normalise(path, strict),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Fields<'a> = [(&'a str, &'a str)];

    /// Reads a head and gives it to `look`.
    fn read<T>(
        method: &str,
        uri: &str,
        version: Version,
        fields: &Fields<'_>,
        look: impl FnOnce(&Head<'_>) -> T,
    ) -> Result<T, Malformed> {
        let mut request = http::Request::builder().method(method).uri(uri).version(version);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let strict = Strict::default();
        Head::read(request.method(), request.uri(), version, request.headers(), &strict)
            .map(|head| look(&head))
    }

    #[test]
    fn servers_get_the_path_as_it_matched_or_as_it_was_written() {
        for (path, target, expected) in [
            (PathForm::Normal, "/a//b?c", Some("/a/b?c")),
            (PathForm::Normal, "/a/b?c", None),
            (PathForm::Normal, "http://a.example:8080/a//b", Some("/a/b")),
            (PathForm::Raw, "/a//b?c", None),
            (PathForm::Raw, "http://a.example:8080/a//b", Some("/a//b")),
        ] {
            let strict = Strict { path, ..Strict::default() };
            let fields = [("host", "a.example:8080")];
            let written: Uri = target.parse().expect("a target");
            let sent = read("GET", target, Version::HTTP_11, &fields, |head| {
                assert_eq!(head.host_and_port(), "a.example:8080");
                head.target(&written, &strict)
            });
            assert_eq!(sent.expect("sound").as_deref(), expected, "{path:?} {target}");
        }
    }

    fn check(
        method: &str,
        uri: &str,
        version: Version,
        fields: &Fields<'_>,
        expected: Result<(), Malformed>,
    ) {
        let found = read(method, uri, version, fields, |_| ());
        assert_eq!(found, expected, "{method} {uri} {version:?} {fields:?}");
    }

    #[test]
    fn reads_host_port_path_and_query() {
        let parts = |head: &Head<'_>| {
            let query = head.query.unwrap_or("none");
            format!("{} {:?} {} {query} {}", head.host, head.port, head.path, head.is_normal)
        };
        let read = |uri, version, fields: &Fields<'_>| {
            read("GET", uri, version, fields, parts).expect("a head")
        };
        let host = &[("host", "Example.COM.:8080")];
        assert_eq!(
            read("/a//b/%7e?c=%7e", Version::HTTP_11, host),
            "example.com Some(8080) /a/b/~ c=%7e false"
        );
        assert_eq!(read("/a", Version::HTTP_10, &[]), " None /a none true");
        assert_eq!(read("https://example.com/?", Version::HTTP_2, &[]), "example.com None /  true");
        assert_eq!(
            read("https://[::1]:1/a", Version::HTTP_2, &[("host", "[::1]:1")]),
            "[::1] Some(1) /a none true"
        );
        assert_eq!(read("/a", Version::HTTP_2, &[("host", "a")]), "a None /a none true");
    }

    #[test]
    fn an_asterisk_is_a_path_for_options_alone() {
        let host = &[("host", "a")];
        let path = read("OPTIONS", "*", Version::HTTP_11, host, |head| head.path.to_string());
        assert_eq!(path.as_deref(), Ok("*"));
        check("GET", "*", Version::HTTP_11, host, Err(Malformed::TargetForm));
    }

    #[test]
    fn only_an_absolute_target_may_leave_the_path_out() {
        check("GET", "http://a?b", Version::HTTP_11, &[], Ok(()));
        check("GET", "http://a?b", Version::HTTP_2, &[], Err(Malformed::TargetForm));
        check("GET", "/?b", Version::HTTP_2, &[("host", "a")], Ok(()));
    }

    #[test]
    fn serves_no_other_scheme() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for (uri, expected) in [
                ("http://a/", Ok(())),
                ("HTTPS://a/", Ok(())),
                ("ftp://a/", Err(Malformed::TargetForm)),
                ("ws://a/", Err(Malformed::TargetForm)),
            ] {
                check("GET", uri, version, &[("host", "a")], expected);
            }
        }
    }

    #[test]
    fn wants_one_host_in_every_version() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for (uri, fields, expected) in [
                ("/", &[][..], Malformed::NoHost),
                ("/", &[("host", "a"), ("host", "a")], Malformed::TwoHosts),
                ("/", &[("host", "u@a")], Malformed::Userinfo),
                ("/", &[("host", "")], Malformed::Host),
                ("http://a/", &[("host", "b")], Malformed::HostMismatch),
                ("http://a/", &[("host", "a:80")], Malformed::HostMismatch),
                ("http://u@a/", &[], Malformed::Userinfo),
            ] {
                check("GET", uri, version, fields, Err(expected));
            }
        }
        check("GET", "/", Version::HTTP_10, &[], Ok(()));
    }

    #[test]
    fn judges_methods_paths_and_headers_in_every_version() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            for (method, uri, fields, expected) in [
                ("TRACE", "http://a/", &[][..], Malformed::Trace),
                ("CONNECT", "a:443", &[], Malformed::Connect),
                ("get", "http://a/", &[], Malformed::Method),
                ("GET", "http://a/%2f", &[], Malformed::EncodedSlash),
                ("GET", "http://a/..", &[], Malformed::AboveRoot),
                ("GET", "http://a/{b}", &[], Malformed::TargetByte),
                ("GET", "http://a/?b\\c", &[], Malformed::Backslash),
                ("GET", "http://a/", &[("x_y", "b")], Malformed::UnderscoreInName),
            ] {
                check(method, uri, version, fields, Err(expected));
            }
        }
    }

    #[test]
    fn http_2_knows_no_connection_headers() {
        let fields = &[("connection", "close")];
        check("GET", "http://a/", Version::HTTP_2, fields, Err(Malformed::ConnectionHeader));
        check("GET", "http://a/", Version::HTTP_3, fields, Err(Malformed::ConnectionHeader));
        check("GET", "http://a/", Version::HTTP_11, fields, Ok(()));
    }

    #[test]
    fn agrees_with_the_judge_of_raw_heads_on_upgrades() {
        for lines in [
            "Connection: upgrade|Upgrade: websocket",
            "Connection: keep-alive|Connection: TE, Upgrade|Upgrade: WebSocket",
            "Upgrade: websocket",
            "Connection: close|Upgrade: websocket",
            "Connection: upgrade|Upgrade: h2c",
            "Connection: upgrade|Upgrade: websocket, h2c",
            "Connection: upgrade|Upgrade: websocket|Upgrade: websocket",
        ] {
            for (method, version, token) in [
                ("GET", Version::HTTP_11, "HTTP/1.1"),
                ("GET", Version::HTTP_10, "HTTP/1.0"),
                ("POST", Version::HTTP_11, "HTTP/1.1"),
            ] {
                let raw = lines.replace('|', "\r\n");
                let raw = format!("{method} / {token}\r\nHost: a\r\n{raw}\r\n\r\n");
                let framing = judge(raw.as_bytes()).expect("a good head");
                let mut fields: Vec<_> =
                    lines.split('|').filter_map(|line| line.split_once(": ")).collect();
                fields.push(("host", "a"));
                let upgrade = read(method, "/", version, &fields, |head| head.upgrade);
                assert_eq!(upgrade, Ok(framing.upgrade), "{raw}");
            }
        }
    }
}
