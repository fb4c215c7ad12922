//! The judge of raw HTTP/1 heads: where the head ends, where its body ends, and
//! whom it is for, by every parser's reading.
//!
//! It sees the bytes before any parser may repair them. The path is judged
//! later, by [`uri`](super::uri); the number and size of headers by `listen`.

use super::bytes::{TOKEN, is_token, is_value};
use super::host::Authority;
use super::malformed::Malformed;
use super::request_line::RequestLine;

/// More options than any client sends; the bound that Pingora has too.
const MAX_CONNECTION_OPTIONS: usize = 9;

/// The longest body there can be: files and most parsers count in `i64`.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// What follows a head on its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Framing {
    pub body: Body,
    /// The head is a WebSocket handshake (RFC 6455 §4.1). Every other wish to
    /// upgrade, h2c among them, is void.
    pub upgrade: bool,
}

/// How the end of a request body is found (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Length(u64),
    Chunked,
}

/// Judges a head: its first byte to the empty line that ends it.
pub(crate) fn judge(raw: &[u8]) -> Result<Framing, Malformed> {
    let (line, mut rest) = split_line(raw)?;
    let line = RequestLine::read(line)?;
    let mut fields = Fields::default();
    loop {
        let (field, after) = split_line(rest)?;
        rest = after;
        if field.is_empty() {
            break;
        }
        let (name, value) = split_field(field)?;
        fields.note(name, value)?;
    }
    if !rest.is_empty() {
        return Err(Malformed::HeadEnd);
    }
    fields.check_host(&line)?;
    fields.framing(&line)
}

/// A line without its CRLF, and what follows.
fn split_line(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = memchr::memchr2(b'\r', b'\n', bytes).ok_or(Malformed::HeadEnd)?;
    match bytes.split_at(end) {
        (line, [b'\r', b'\n', rest @ ..]) => Ok((line, rest)),
        (_, [b'\n', ..]) => Err(Malformed::BareLf),
        (_, [b'\r']) => Err(Malformed::HeadEnd),
        _ => Err(Malformed::BareCr),
    }
}

/// The name and the value of a header line, the value with its white space.
fn split_field(line: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let end = line.iter().position(|byte| !TOKEN.contains(*byte)).ok_or(Malformed::HeaderName)?;
    let (name, value) = match line.split_at(end) {
        ([], [b' ' | b'\t', ..]) => return Err(Malformed::FoldedLine),
        (_, [b' ' | b'\t', ..]) => return Err(Malformed::SpaceInName),
        (name @ [_, ..], [b':', value @ ..]) => (name, value),
        _ => return Err(Malformed::HeaderName),
    };
    if !is_value(value) {
        return Err(Malformed::HeaderValue);
    }
    Ok((name, value))
}

/// The headers that frame a message, as far as they have been read.
#[derive(Default)]
struct Fields<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    is_chunked: bool,
    connection_options: usize,
    connection_names_upgrade: bool,
    upgrade: Option<Upgrade>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    WebSocket,
    Other,
}

impl<'a> Fields<'a> {
    fn note(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Malformed> {
        // The length rules nearly every header out without a comparison.
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.note_host(value),
            6 if name.eq_ignore_ascii_case(b"expect") => check_expectation(value.trim_ascii()),
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.note_upgrade(value),
            10 if name.eq_ignore_ascii_case(b"connection") => self.note_connection(value),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.note_length(value),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.note_encoding(value),
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: &'a [u8]) -> Result<(), Malformed> {
        match self.host.replace(trim_spaces(value)) {
            None => Ok(()),
            Some(_) => Err(Malformed::TwoHosts),
        }
    }

    fn note_upgrade(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let is_websocket = value.trim_ascii().eq_ignore_ascii_case(b"websocket");
        self.upgrade = match self.upgrade {
            None if is_websocket => Some(Upgrade::WebSocket),
            _ => Some(Upgrade::Other),
        };
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), Malformed> {
        for option in list(value) {
            self.connection_options += 1;
            if self.connection_options > MAX_CONNECTION_OPTIONS {
                return Err(Malformed::Connection);
            }
            check_option(option)?;
            self.connection_names_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
        Ok(())
    }

    fn note_length(&mut self, value: &[u8]) -> Result<(), Malformed> {
        let length = read_length(trim_spaces(value))?;
        match self.length.replace(length) {
            None => Ok(()),
            Some(_) => Err(Malformed::TwoContentLengths),
        }
    }

    fn note_encoding(&mut self, value: &[u8]) -> Result<(), Malformed> {
        if self.is_chunked {
            return Err(Malformed::TwoTransferEncodings);
        }
        if !trim_spaces(value).eq_ignore_ascii_case(b"chunked") {
            return Err(Malformed::TransferEncoding);
        }
        self.is_chunked = true;
        Ok(())
    }

    /// RFC 9112 §3.2, and stricter: a target in absolute form needs its Host,
    /// letter for letter, in HTTP/1.0 too.
    fn check_host(&self, line: &RequestLine<'_>) -> Result<(), Malformed> {
        let Some(host) = self.host else {
            let is_optional = !line.is_http_11 && line.authority.is_none();
            return if is_optional { Ok(()) } else { Err(Malformed::NoHost) };
        };
        Authority::read(host)?;
        match line.authority {
            Some(authority) if authority != host => Err(Malformed::HostMismatch),
            _ => Ok(()),
        }
    }

    fn framing(&self, line: &RequestLine<'_>) -> Result<Framing, Malformed> {
        let body = match (self.length, self.is_chunked) {
            (Some(_), true) => return Err(Malformed::LengthAndChunked),
            (None, true) if !line.is_http_11 => return Err(Malformed::TransferEncodingInHttp10),
            (None, true) => Body::Chunked,
            (Some(length), false) => Body::Length(length),
            (None, false) => Body::None,
        };
        let upgrade = line.is_http_11
            && line.method == b"GET"
            && self.connection_names_upgrade
            && self.upgrade == Some(Upgrade::WebSocket);
        if upgrade && !matches!(body, Body::None | Body::Length(0)) {
            return Err(Malformed::UpgradeWithBody);
        }
        Ok(Framing { body, upgrade })
    }
}

/// The elements of a list header that are not empty (RFC 9110 §5.6.1).
pub(super) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|element| !element.is_empty())
}

/// A Content-Length in the one way it may be written: digits, no leading zeros.
pub(super) fn read_length(value: &[u8]) -> Result<u64, Malformed> {
    match value {
        b"0" => return Ok(0),
        [b'1'..=b'9', ..] => {}
        _ => return Err(Malformed::ContentLength),
    }
    value
        .iter()
        .try_fold(0_u64, |sum, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            sum.checked_mul(10)?.checked_add(digit)
        })
        .filter(|length| *length <= MAX_LENGTH)
        .ok_or(Malformed::ContentLength)
}

pub(super) fn check_expectation(value: &[u8]) -> Result<(), Malformed> {
    if value.eq_ignore_ascii_case(b"100-continue") { Ok(()) } else { Err(Malformed::Expectation) }
}

/// Judges an option of Connection: proxies remove the headers that it names.
fn check_option(option: &[u8]) -> Result<(), Malformed> {
    const PROTECTED: [&[u8]; 7] = [
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"forwarded",
        b"authorization",
        b"cookie",
        b"x-request-id",
    ];
    const PROTECTED_START: &[u8] = b"x-forwarded-";

    let starts_protected = option
        .split_at_checked(PROTECTED_START.len())
        .is_some_and(|(start, _)| start.eq_ignore_ascii_case(PROTECTED_START));
    if starts_protected
        || option.starts_with(b":")
        || PROTECTED.iter().any(|name| name.eq_ignore_ascii_case(option))
    {
        return Err(Malformed::ProtectedOption);
    }
    if is_token(option) { Ok(()) } else { Err(Malformed::Connection) }
}

/// The value without spaces around it. Tabs stay: not every parser skips them,
/// and the headers that frame a message must not depend on it.
fn trim_spaces(mut value: &[u8]) -> &[u8] {
    while let [b' ', rest @ ..] | [rest @ .., b' '] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Framing = Framing { body: Body::None, upgrade: false };

    fn check(head: &str, expected: Result<Framing, Malformed>) {
        assert_eq!(judge(head.as_bytes()), expected, "{}", head.escape_default());
    }

    /// Judges `fields`, joined by `|`, below a good request line and Host.
    fn check_fields(fields: &str, expected: Result<Framing, Malformed>) {
        let fields = fields.replace('|', "\r\n");
        check(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n"), expected);
        // The order of headers must not matter.
        if !matches!(expected, Err(Malformed::FoldedLine)) {
            check(&format!("POST / HTTP/1.1\r\n{fields}\r\nHost: a\r\n\r\n"), expected);
        }
    }

    fn length(length: u64) -> Result<Framing, Malformed> {
        Ok(Framing { body: Body::Length(length), ..NONE })
    }

    #[test]
    fn accepts_what_browsers_send() {
        check(
            "GET /search?q=%C3%A9 HTTP/1.1\r\nHost: www.example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux)\r\n\
             Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8\r\nAccept-Language: en-GB,en;q=0.5\r\n\
             Accept-Encoding: gzip, deflate, br\r\nConnection: keep-alive\r\nCookie: a=b; c=\"d\"\r\n\
             Upgrade-Insecure-Requests: 1\r\nX-Empty:\r\nX-Latin: caf\u{e9}\tau lait\r\n\r\n",
            Ok(NONE),
        );
        check("GET / HTTP/1.0\r\n\r\n", Ok(NONE));
        check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", Ok(NONE));
    }

    #[test]
    fn refuses_line_ends_with_another_reading() {
        for (head, expected) in [
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Malformed::BareLf),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", Malformed::BareLf),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", Malformed::BareLf),
            ("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", Malformed::BareLf),
            ("GET / HTTP/1.1\rHost: a\r\n\r\n", Malformed::BareCr),
            ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", Malformed::BareCr),
            ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", Malformed::BareCr),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n", Malformed::BareCr),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r", Malformed::HeadEnd),
            ("GET / HTTP/1.1\r\nHost: a\r\n", Malformed::HeadEnd),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nX", Malformed::HeadEnd),
            ("GET / HTTP/1.1\r\n\r\nHost: a\r\n\r\n", Malformed::HeadEnd),
            ("", Malformed::HeadEnd),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Malformed::RequestLine),
            ("PRI * HTTP/2.0\r\n\r\n", Malformed::Version),
        ] {
            check(head, Err(expected));
        }
    }

    #[test]
    fn refuses_header_lines_with_another_reading() {
        for (fields, expected) in [
            (" X: b", Malformed::FoldedLine),
            ("\tX: b", Malformed::FoldedLine),
            ("X: a| b", Malformed::FoldedLine),
            (" ", Malformed::FoldedLine),
            ("X : b", Malformed::SpaceInName),
            ("X\t: b", Malformed::SpaceInName),
            ("X Y: b", Malformed::SpaceInName),
            ("Content-Length : 5", Malformed::SpaceInName),
            (": b", Malformed::HeaderName),
            (":", Malformed::HeaderName),
            ("X", Malformed::HeaderName),
            ("X@: b", Malformed::HeaderName),
            ("X\0: b", Malformed::HeaderName),
            ("(X): b", Malformed::HeaderName),
            ("\u{e9}: b", Malformed::HeaderName),
            ("\u{b}X: b", Malformed::HeaderName),
            ("X: a\0b", Malformed::HeaderValue),
            ("X: a\u{7f}", Malformed::HeaderValue),
            ("X:\u{b}", Malformed::HeaderValue),
            ("X: \u{1f}", Malformed::HeaderValue),
            ("Transfer-Encoding: \u{b}chunked", Malformed::HeaderValue),
        ] {
            check_fields(fields, Err(expected));
        }
        check_fields("X:|Y: :|Z:a\tb\u{e9}", Ok(NONE));
        check("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Err(Malformed::FoldedLine));
    }

    #[test]
    fn reads_the_length_of_a_body() {
        check_fields("Content-Length: 0", length(0));
        check_fields("content-LENGTH:5", length(5));
        check_fields("Content-Length:  5  ", length(5));
        check_fields("Content-Length: 9223372036854775807", length(i64::MAX as u64));
        check("POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", length(5));
        check_fields("Transfer-Encoding: chunked", Ok(Framing { body: Body::Chunked, ..NONE }));
        check_fields("transfer-encoding:CHUNKED ", Ok(Framing { body: Body::Chunked, ..NONE }));
    }

    #[test]
    fn refuses_lengths_with_another_reading() {
        for value in [
            "",
            "+5",
            "-5",
            "5,5",
            "5, 5",
            "5 5",
            "0x5",
            "5a",
            "a",
            "05",
            "00",
            "5.0",
            "5;",
            "\t5",
            "5\t",
            "\"5\"",
            "1e3",
            "\u{ff15}",
            "9223372036854775808",
            "18446744073709551616",
            "99999999999999999999999999999999",
        ] {
            check_fields(&format!("Content-Length: {value}"), Err(Malformed::ContentLength));
        }
        check_fields("Content-Length: 5|Content-Length: 5", Err(Malformed::TwoContentLengths));
        check_fields("Content-Length: 5|content-length: 6", Err(Malformed::TwoContentLengths));
    }

    #[test]
    fn refuses_encodings_with_another_reading() {
        for value in [
            "",
            "identity",
            "gzip",
            "xchunked",
            "chunked,",
            ",chunked",
            "chunked, identity",
            "gzip, chunked",
            "chunked, chunked",
            "chunked;q=1",
            "\"chunked\"",
            "\tchunked",
            "chunked\t",
            "chunk",
            "ch\u{fc}nked",
        ] {
            check_fields(&format!("Transfer-Encoding: {value}"), Err(Malformed::TransferEncoding));
        }
        check_fields(
            "Transfer-Encoding: chunked|Transfer-Encoding: chunked",
            Err(Malformed::TwoTransferEncodings),
        );
        check_fields(
            "Content-Length: 5|Transfer-Encoding: chunked",
            Err(Malformed::LengthAndChunked),
        );
        check_fields(
            "Transfer-Encoding: chunked|Content-Length: 0",
            Err(Malformed::LengthAndChunked),
        );
        check(
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err(Malformed::TransferEncodingInHttp10),
        );
    }

    #[test]
    fn wants_one_good_host() {
        for (head, expected) in [
            ("GET / HTTP/1.1\r\n\r\n", Malformed::NoHost),
            ("GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", Malformed::NoHost),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Malformed::Host),
            ("GET / HTTP/1.1\r\nHost: \r\n\r\n", Malformed::Host),
            ("GET / HTTP/1.0\r\nHost:\r\n\r\n", Malformed::Host),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", Malformed::TwoHosts),
            ("GET / HTTP/1.0\r\nHost: a\r\nHOST: b\r\n\r\n", Malformed::TwoHosts),
            ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Malformed::Host),
            ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Malformed::Host),
            ("GET / HTTP/1.1\r\nHost: \ta\r\n\r\n", Malformed::Host),
            ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Malformed::Host),
            ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", Malformed::Port),
            ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Malformed::Userinfo),
            ("GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", Malformed::Port),
            ("GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", Malformed::HostMismatch),
            ("GET http://a/ HTTP/1.1\r\nHost: a:80\r\n\r\n", Malformed::HostMismatch),
            ("GET http://a/ HTTP/1.1\r\nHost: A\r\n\r\n", Malformed::HostMismatch),
            ("GET http://a/ HTTP/1.1\r\n\r\n", Malformed::NoHost),
            ("GET http://a/ HTTP/1.0\r\n\r\n", Malformed::NoHost),
        ] {
            check(head, Err(expected));
        }
        check("GET / HTTP/1.0\r\nHost: a\r\n\r\n", Ok(NONE));
        check("GET / HTTP/1.1\r\nhOST:  [::1]:80 \r\n\r\n", Ok(NONE));
        check("GET http://a:80/ HTTP/1.1\r\nHost: a:80\r\n\r\n", Ok(NONE));
        check("GET https://a HTTP/1.0\r\nHost: a\r\n\r\n", Ok(NONE));
    }

    #[test]
    fn knows_a_websocket_handshake_from_other_upgrades() {
        let upgrade = |method: &str, version: &str, fields: &str| {
            let fields = fields.replace('|', "\r\n");
            judge(format!("{method} / {version}\r\nHost: a\r\n{fields}\r\n\r\n").as_bytes())
                .map(|framing| framing.upgrade)
        };
        for fields in [
            "Connection: Upgrade|Upgrade: websocket",
            "Upgrade: WebSocket|Connection: keep-alive, upgrade",
            "Connection: keep-alive|Connection: UPGRADE|Upgrade: websocket",
            "Connection: upgrade|Upgrade: websocket|Content-Length: 0",
        ] {
            assert_eq!(upgrade("GET", "HTTP/1.1", fields), Ok(true), "{fields}");
            assert_eq!(upgrade("GET", "HTTP/1.0", fields), Ok(false), "{fields}");
            assert_eq!(upgrade("POST", "HTTP/1.1", fields), Ok(false), "{fields}");
        }
        for fields in [
            "Upgrade: websocket",
            "Connection: upgrade",
            "Connection: upgraded|Upgrade: websocket",
            "Connection: Upgrade, HTTP2-Settings|Upgrade: h2c|HTTP2-Settings: AAMAAABk",
            "Connection: upgrade|Upgrade: h2c, websocket",
            "Connection: upgrade|Upgrade: websocket|Upgrade: h2c",
            "Connection: upgrade|Upgrade: h2c|Upgrade: websocket",
            "Connection: upgrade|Upgrade:",
        ] {
            assert_eq!(upgrade("GET", "HTTP/1.1", fields), Ok(false), "{fields}");
        }
        for body in ["Content-Length: 1", "Transfer-Encoding: chunked"] {
            let fields = format!("Connection: upgrade|Upgrade: websocket|{body}");
            assert_eq!(upgrade("GET", "HTTP/1.1", &fields), Err(Malformed::UpgradeWithBody));
        }
    }

    #[test]
    fn refuses_to_have_headers_removed_that_servers_rely_on() {
        for option in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "X-Forwarded-For",
            "x-forwarded-proto",
            "X-Forwarded-",
            "Forwarded",
            "Authorization",
            "Cookie",
            "X-Request-Id",
            ":authority",
            ":",
            "close, host",
            "close,,\thost ,",
        ] {
            check_fields(&format!("Connection: {option}"), Err(Malformed::ProtectedOption));
        }
        for option in ["\"host\"", "a b", "a;b", "(", "caf\u{e9}", "1,2,3,4,5,6,7,8,9,10"] {
            check_fields(&format!("Connection: {option}"), Err(Malformed::Connection));
        }
        check_fields("Connection: 1,2,3,4,5|Connection: 6,7,8,9,10", Err(Malformed::Connection));
        check_fields("Connection: close|Connection: , TE, X-Mine ,", Ok(NONE));
        check_fields("Connection:", Ok(NONE));
    }

    #[test]
    fn knows_one_expectation() {
        check_fields("Expect: 100-continue", Ok(NONE));
        check_fields("expect:100-Continue", Ok(NONE));
        check("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", Ok(NONE));
        for value in ["", "200-ok", "100-continue, x", "100-continue=1", "100", "\"100-continue\""]
        {
            check_fields(&format!("Expect: {value}"), Err(Malformed::Expectation));
        }
    }

    /// A good head with a few bytes changed, some of them to what parsers stumble over.
    fn mutant(random: &mut fastrand::Rng) -> Vec<u8> {
        const HEADS: [&str; 6] = [
            "GET /a/b?c=d HTTP/1.1\r\nHost: example.com\r\nAccept: */*\r\nConnection: close\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: example.com:80\r\nContent-Length: 15\r\nExpect: 100-continue\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: [::1]\r\nX: a\r\n\r\n",
            "GET http://a.b/c HTTP/1.1\r\nHost: a.b\r\n\r\n",
            "GET / HTTP/1.0\r\nUser-Agent: x\r\n\r\n",
            "GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\r\n",
        ];
        const BYTES: &[u8] = b"\r\n\t\0 :,;.-_/%?#*@[]\"'\\\x0b\x7f\x80\xff0159aAhHtT";
        let mut head = HEADS[random.usize(..HEADS.len())].as_bytes().to_vec();
        for _ in 0..random.usize(1..=3) {
            let at = random.usize(..head.len());
            match random.u8(0..5) {
                0 => head[at] ^= 1 << random.u8(0..8),
                1 => head.insert(at, BYTES[random.usize(..BYTES.len())]),
                2 => head[at] = BYTES[random.usize(..BYTES.len())],
                3 => drop(head.remove(at)),
                _ => {
                    // A line of any head, where a line starts.
                    let lines: Vec<_> =
                        HEADS[random.usize(..HEADS.len())].split_inclusive('\n').collect();
                    let line = lines[random.usize(..lines.len())];
                    let start = head[..at].iter().rposition(|byte| *byte == b'\n');
                    let start = start.map_or(0, |end| end + 1);
                    head.splice(start..start, line.bytes());
                }
            }
        }
        head
    }

    #[test]
    fn every_parser_reads_an_accepted_head_alike() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut accepted = 0;
        for _ in 0..200_000 {
            let head = mutant(&mut random);
            if let Ok(framing) = judge(&head) {
                accepted += 1;
                compare_with_httparse(&head, framing);
            }
        }
        assert!(accepted > 20_000, "only {accepted} heads were accepted");
    }

    fn compare_with_httparse(head: &[u8], framing: Framing) {
        let text = head.escape_ascii();
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        assert_eq!(request.parse(head), Ok(httparse::Status::Complete(head.len())), "{text}");

        // A third reading, by nothing but line ends, spaces and colons.
        let lossy = String::from_utf8_lossy(head);
        let mut lines = lossy.strip_suffix("\r\n\r\n").expect("an end").split("\r\n");
        let request_line = lines.next().expect("a request line");
        let version = if request.version == Some(1) { "HTTP/1.1" } else { "HTTP/1.0" };
        let parts = [request.method.expect("a method"), request.path.expect("a target"), version];
        assert_eq!(request_line.split(' ').collect::<Vec<_>>(), parts, "{text}");
        let names: Vec<_> = lines.map(|line| line.split(':').next().expect("a name")).collect();
        let same = request.headers.iter().map(|header| header.name);
        assert!(same.eq(names.iter().copied()), "{text}");

        let values = |name: &str| -> Vec<&[u8]> {
            let same =
                request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case(name));
            same.map(|header| header.value).collect()
        };
        let hosts = values("host").len();
        assert!(hosts == 1 || (hosts == 0 && version == "HTTP/1.0"), "{text}");
        match (framing.body, &values("content-length")[..], &values("transfer-encoding")[..]) {
            (Body::None, [], []) => {}
            (Body::Length(length), [value], []) => {
                assert_eq!(length.to_string().as_bytes(), *value, "{text}");
            }
            (Body::Chunked, [], [value]) => {
                assert!(value.eq_ignore_ascii_case(b"chunked"), "{text}");
            }
            _ => panic!("{framing:?}: {text}"),
        }
        assert!(
            !framing.upgrade || values("upgrade")[0].eq_ignore_ascii_case(b"websocket"),
            "{text}"
        );
    }
}
