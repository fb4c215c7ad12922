//! What a server of HTTP/1 makes of the bytes of a request: where the body begins and ends.

use crate::exchange::{self, Exchange, Headers};

/// A whole request, as bytes.
pub fn parse(bytes: &[u8]) -> Exchange {
    let (head, body) = split_once(bytes, b"\r\n\r\n").unwrap();
    let (line, fields) = split_once(head, b"\r\n").unwrap_or((head, b""));
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let mut word = || words.next().unwrap_or_default().to_vec();
    let (method, target, protocol) = (word(), word(), word());
    let headers: Headers = fields.split(|byte| *byte == b'\n').filter_map(field).collect();
    let body = framed(&headers, body);
    Exchange { method, target, protocol, headers, body, ..Exchange::default() }
}

fn field(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = split_once(line, b":")?;
    Some((name.to_vec(), trim(value).to_vec()))
}

/// Without the spaces around a value of a field (RFC 9110 §5.5).
pub fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// The body within what follows the head (RFC 9112 §6.3).
pub fn framed(headers: &Headers, rest: &[u8]) -> Vec<u8> {
    if is_chunked(headers) {
        return unchunked(rest);
    }
    let length = length(headers);
    rest.get(..length).unwrap_or(rest).to_vec()
}

pub fn is_chunked(headers: &Headers) -> bool {
    let coding = exchange::field(headers, b"transfer-encoding");
    coding.is_some_and(|value| value.ends_with(b"chunked"))
}

/// The length that a head gives its body; 0 where it gives none.
pub fn length(headers: &Headers) -> usize {
    let length = exchange::field(headers, b"content-length");
    let length = length.and_then(|value| std::str::from_utf8(value).ok());
    length.and_then(|value| value.parse().ok()).unwrap_or(0)
}

fn unchunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some((size, after)) = split_once(rest, b"\r\n") {
        let size = std::str::from_utf8(size).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend(&after[..size]);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    body
}

pub fn split_once<'a>(bytes: &'a [u8], between: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(between.len()).position(|window| window == between)?;
    Some((&bytes[..at], &bytes[at + between.len()..]))
}

#[cfg(test)]
mod tests {
    use super::{framed, parse};

    #[track_caller]
    fn check(headers: &[(&str, &str)], rest: &[u8], expected: &[u8]) {
        let headers = headers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let headers = headers.map(|(name, value)| (name.to_vec(), value.to_vec())).collect();
        assert_eq!(framed(&headers, rest), expected);
    }

    #[test]
    fn a_body_ends_where_its_head_says() {
        check(&[("Content-Length", "3")], b"abcdef", b"abc");
        check(&[("content-length", "9")], b"abc", b"abc");
        check(&[("Content-Length", "x")], b"abc", b"");
        check(&[], b"abc", b"");
        check(
            &[("Transfer-Encoding", "chunked")],
            b"2\r\nab\r\na\r\n0123456789\r\n0\r\n\r\n",
            b"ab0123456789",
        );
    }

    #[test]
    fn reads_a_request_of_bytes() {
        let read = parse(b"POST /a HTTP/1.1\r\nHost:b \r\nContent-Length: 2\r\n\r\n\xff\x00\r\n");
        assert_eq!((&read.method[..], &read.target[..]), (&b"POST"[..], &b"/a"[..]));
        assert_eq!(read.headers[0], (b"Host".to_vec(), b"b".to_vec()));
        assert_eq!(read.body, b"\xff\x00");
    }
}
