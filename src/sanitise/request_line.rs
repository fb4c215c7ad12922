//! The request line of HTTP/1 (RFC 9112 §3): method, target and version.

use super::bytes::TOKEN;
use super::host::Authority;
use super::malformed::Malformed;
use super::uri;

/// What later checks need to know of a request line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) is_http_11: bool,
    /// The authority of a target in absolute form, as written.
    pub(super) authority: Option<&'a [u8]>,
}

impl<'a> RequestLine<'a> {
    /// Reads `METHOD SP TARGET SP VERSION`, without its line end.
    pub(super) fn read(line: &'a [u8]) -> Result<Self, Malformed> {
        let (method, rest) = split_at_space(line)?;
        let (target, version) = split_at_space(rest)?;
        check_method(method)?;
        let is_http_11 = match version {
            b"HTTP/1.1" => true,
            b"HTTP/1.0" => false,
            [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
                if major.is_ascii_digit() && minor.is_ascii_digit() =>
            {
                return Err(Malformed::Version);
            }
            _ => return Err(Malformed::RequestLine),
        };
        let authority = read_target(method, target)?;
        Ok(RequestLine { method, is_http_11, authority })
    }
}

/// Judges a method; `Ok` says nothing about whether a route allows it.
///
/// Methods are case-sensitive (RFC 9110 §9.1), yet some servers take `get` for
/// `GET`: a method with lower-case letters has two readings.
pub(super) fn check_method(method: &[u8]) -> Result<(), Malformed> {
    if method.eq_ignore_ascii_case(b"CONNECT") {
        return Err(Malformed::Connect);
    }
    if method.eq_ignore_ascii_case(b"TRACE") || method.eq_ignore_ascii_case(b"TRACK") {
        return Err(Malformed::Trace);
    }
    if !TOKEN.covers(method) || method.iter().any(u8::is_ascii_lowercase) {
        return Err(Malformed::Method);
    }
    Ok(())
}

/// Both sides of the first space, neither empty.
fn split_at_space(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let space = memchr::memchr(b' ', line).ok_or(Malformed::RequestLine)?;
    match line.split_at(space) {
        ([], _) | (_, [b' ']) => Err(Malformed::RequestLine),
        (before, after) => Ok((before, &after[1..])),
    }
}

/// Judges the target; the authority if it is in absolute form.
fn read_target<'a>(method: &[u8], target: &'a [u8]) -> Result<Option<&'a [u8]>, Malformed> {
    if target.first() == Some(&b'/') {
        uri::check_bytes(target)?;
        return Ok(None);
    }
    if target == b"*" && method == b"OPTIONS" {
        return Ok(None);
    }
    let rest = strip_scheme(target).ok_or(Malformed::TargetForm)?;
    // A query without a path is lawful, but servers differ in where it starts.
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#' | b'\\'));
    let (authority, path) = rest.split_at(end.unwrap_or(rest.len()));
    Authority::read(authority)?;
    match path.first() {
        None => {}
        Some(b'/') => uri::check_bytes(path)?,
        Some(b'\\') => return Err(Malformed::Backslash),
        Some(_) => return Err(Malformed::TargetForm),
    }
    Ok(Some(authority))
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, expected: Result<(), Malformed>) {
        assert_eq!(RequestLine::read(line.as_bytes()).map(|_| ()), expected, "{line}");
    }

    #[test]
    fn reads_the_three_forms_of_a_target() {
        check("GET / HTTP/1.1", Ok(()));
        check("GET /a?b=%20&c[]=1 HTTP/1.0", Ok(()));
        check("OPTIONS * HTTP/1.1", Ok(()));
        check("M-SEARCH /a HTTP/1.1", Ok(()));
        let line = RequestLine::read(b"GET HTTPS://Example.com:8443/a?b HTTP/1.1").expect("good");
        assert_eq!(line.authority, Some(&b"Example.com:8443"[..]));
        let line = RequestLine::read(b"GET http://example.com HTTP/1.0").expect("good");
        assert_eq!(line.authority, Some(&b"example.com"[..]));
        assert!(!line.is_http_11);
    }

    #[test]
    fn refuses_other_spacing_and_missing_parts() {
        for line in [
            "",
            " ",
            "GET",
            "GET ",
            "GET /",
            "GET / ",
            " GET / HTTP/1.1",
            "GET  / HTTP/1.1",
            "GET /  HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET /a b HTTP/1.1",
            "GET\t/ HTTP/1.1",
            "GET /\tHTTP/1.1",
            "GET / HTTP/1.1\t",
            "GET / http/1.1",
            "GET / HTTP/1",
            "GET / HTTP/1.",
            "GET / HTTP/1.10",
            "GET / HTTP/01.1",
            "GET / HTTP/x.1",
            "GET / HTTPS/1.1",
            "GET / HTTP 1.1",
        ] {
            check(line, Err(Malformed::RequestLine));
        }
    }

    #[test]
    fn tells_other_versions_from_nonsense() {
        for version in ["HTTP/0.9", "HTTP/1.2", "HTTP/2.0", "HTTP/3.0", "HTTP/9.9"] {
            check(&format!("GET / {version}"), Err(Malformed::Version));
        }
    }

    #[test]
    fn refuses_methods() {
        check("CONNECT example.com:443 HTTP/1.1", Err(Malformed::Connect));
        check("connect / HTTP/1.1", Err(Malformed::Connect));
        check("TRACE / HTTP/1.1", Err(Malformed::Trace));
        check("Trace / HTTP/1.1", Err(Malformed::Trace));
        check("TRACK / HTTP/1.1", Err(Malformed::Trace));
        for method in ["get", "Get", "G@T", "GET,", "G\u{e9}T", "G\0T", "\"GET\"", "GET:"] {
            check(&format!("{method} / HTTP/1.1"), Err(Malformed::Method));
        }
    }

    #[test]
    fn refuses_bytes_that_must_be_escaped() {
        for byte in "\"#<>`{}\u{e9}\u{7f}\u{0}\u{1}\t".chars() {
            check(&format!("GET /a{byte} HTTP/1.1"), Err(Malformed::TargetByte));
            check(&format!("GET http://a/{byte} HTTP/1.1"), Err(Malformed::TargetByte));
        }
        for byte in "\"#<>\u{e9}\u{7f}\u{0}\u{1}\t".chars() {
            check(&format!("GET /?a{byte} HTTP/1.1"), Err(Malformed::TargetByte));
        }
        check("GET /a\\b HTTP/1.1", Err(Malformed::Backslash));
        check("GET /?a\\b HTTP/1.1", Err(Malformed::Backslash));
    }

    #[test]
    fn takes_the_bytes_that_browsers_leave_as_they_are() {
        check("GET /a|b^c[1] HTTP/1.1", Ok(()));
        check("GET /?a={b|c}^`d[] HTTP/1.1", Ok(()));
    }

    #[test]
    fn refuses_other_forms_of_a_target() {
        for target in [
            "*",
            "**",
            "*/a",
            "a",
            "?a",
            "#",
            "example.com:443",
            "http:/a",
            "http:a",
            "ftp://a/",
            "ws://a/",
            "javascript:1",
            "http://a?b",
            "http://a#b",
        ] {
            check(&format!("GET {target} HTTP/1.1"), Err(Malformed::TargetForm));
        }
        check("OPTIONS ** HTTP/1.1", Err(Malformed::TargetForm));
        check("GET http:// HTTP/1.1", Err(Malformed::Host));
        check("GET http:///a HTTP/1.1", Err(Malformed::Host));
        check("GET http://u@a/ HTTP/1.1", Err(Malformed::Userinfo));
        check("GET http://a:0/ HTTP/1.1", Err(Malformed::Port));
        check("GET http://a\\b/ HTTP/1.1", Err(Malformed::Backslash));
        check("GET http:\\\\a/ HTTP/1.1", Err(Malformed::TargetForm));
    }
}
