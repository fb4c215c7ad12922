//! A request in a file, as a client would send it over HTTP/1.1, or as people
//! keep it: with lines that end as those of texts do, and nobody counting bytes.

use anyhow::{Context, Result, bail};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};

use crate::sanitise::{Body, Malformed, judge};

/// A head as it came, and what stands behind it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Raw {
    /// From its first byte to the empty line at its end.
    pub(super) head: Vec<u8>,
    pub(super) rest: Vec<u8>,
    /// Its lines were those of a text.
    pub(super) is_text: bool,
}

/// A request that can be judged.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    /// As it was written, whatever its form.
    pub(super) target: String,
    pub(super) uri: Uri,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    /// None without one.
    pub(super) body: Option<Vec<u8>>,
    /// It asks for a WebSocket.
    pub(super) is_upgrade: bool,
}

impl Raw {
    /// Finds the head of a request.
    pub(super) fn split(text: &[u8]) -> Result<Raw> {
        let blank = text.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let text = text.get(blank..).unwrap_or_default();
        if text.is_empty() {
            bail!(
                "is empty; write a line of the security log, or a request: GET / HTTP/1.1, \
                 fields, an empty line, a body"
            );
        }
        let (head, rest) = split_head(text)?;
        let is_text = !head.contains(&b'\r');
        let head = as_http_1(if is_text { with_crlf(head) } else { head.to_vec() });
        Ok(Raw { head, rest: rest.to_vec(), is_text })
    }

    /// Reads the request, if its head has one reading.
    pub(super) fn read(mut self) -> Result<Result<Request, Malformed>> {
        let framing = match judge(&self.head) {
            Ok(framing) => framing,
            Err(malformed) => return Ok(Err(malformed)),
        };
        if self.is_text && !self.rest.contains(&b'\r') && self.is_multipart() {
            self.rest = with_crlf(&self.rest);
        }
        let body = match framing.body {
            Body::None if self.rest.trim_ascii().is_empty() => None,
            Body::None => {
                self.count_body();
                Some(self.rest.clone())
            }
            Body::Length(length) => Some(self.body(length)?),
            Body::Chunked => Some(unchunk(&self.rest)?),
        };
        let (line, fields) = self.lines()?;
        let mut words = line.split(' ');
        let [Some(method), Some(target), Some(version)] =
            [words.next(), words.next(), words.next()]
        else {
            bail!("has no request line: GET / HTTP/1.1");
        };
        let version = if version == "HTTP/1.0" { Version::HTTP_10 } else { Version::HTTP_11 };
        Ok(Ok(Request {
            method: method.parse().context("the method")?,
            target: target.to_owned(),
            uri: target.parse().with_context(|| format!("the target `{target}`"))?,
            version,
            headers: fields,
            body,
            is_upgrade: framing.upgrade,
        }))
    }

    fn is_multipart(&self) -> bool {
        let head = self.head.to_ascii_lowercase();
        memchr::memmem::find(&head, b"\r\ncontent-type: multipart/").is_some()
    }

    /// Says in the head how long the body is, which nobody has said.
    fn count_body(&mut self) {
        if self.is_text {
            // The end of the last line is the text's, not the body's.
            let end = self.rest.strip_suffix(b"\n").unwrap_or(&self.rest);
            let end = end.strip_suffix(b"\r").unwrap_or(end).len();
            self.rest.truncate(end);
        }
        let length = self.rest.len();
        let fields = self.head.len().saturating_sub(2);
        self.head.truncate(fields);
        self.head.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
    }

    fn body(&self, length: u64) -> Result<Vec<u8>> {
        let came = self.rest.len();
        let Some((body, after)) =
            usize::try_from(length).ok().and_then(|length| self.rest.split_at_checked(length))
        else {
            bail!(
                "is cut short: {came} bytes of body, but Content-Length says {length}; without \
                 Content-Length all that is there is taken"
            );
        };
        if !after.trim_ascii().is_empty() {
            let more = after.len();
            bail!("has {more} bytes behind its body; write one request at a time");
        }
        Ok(body.to_vec())
    }

    /// The request line and the fields of a head that has one reading.
    fn lines(&self) -> Result<(&str, HeaderMap)> {
        let mut lines = self.head.split(|byte| *byte == b'\n').map(|line| line.trim_ascii());
        let first = str::from_utf8(lines.next().unwrap_or_default()).context("the request line")?;
        let fields = read_fields(lines.take_while(|line| !line.is_empty()))?;
        Ok((first, fields))
    }
}

/// A head of HTTP/1, up to its empty line, and what follows it.
pub(super) fn split_head(text: &[u8]) -> Result<(&[u8], &[u8])> {
    let mut start = 0;
    for end in memchr::memchr_iter(b'\n', text).map(|at| at + 1) {
        if let b"\n" | b"\r\n" = text.get(start..end).unwrap_or_default() {
            return Ok(text.split_at(end));
        }
        start = end;
    }
    bail!("is cut short: no empty line ends its header fields")
}

/// The fields of a head, one a line.
pub(super) fn read_fields<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Result<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in lines {
        let colon = memchr::memchr(b':', line).context("has a field without a colon")?;
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or_default().trim_ascii();
        let name = HeaderName::from_bytes(name).context("the name of a field")?;
        let value = HeaderValue::from_bytes(value).with_context(|| format!("{name}"))?;
        fields.append(name, value);
    }
    Ok(fields)
}

/// The same head in the only version that is written as text: browsers copy others so, too.
fn as_http_1(head: Vec<u8>) -> Vec<u8> {
    let end = memchr::memchr(b'\r', &head).unwrap_or(head.len());
    let (line, fields) = head.split_at(end);
    let later = [&b" HTTP/2"[..], b" HTTP/2.0", b" HTTP/3", b" HTTP/3.0"];
    match later.iter().find_map(|version| line.strip_suffix(*version)) {
        Some(line) => [line, b" HTTP/1.1", fields].concat(),
        None => head,
    }
}

/// The same text with lines that end as those of HTTP do.
fn with_crlf(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + text.len() / 16);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => out.extend_from_slice(&[line, b"\r\n"].concat()),
            None => out.extend_from_slice(line),
        }
    }
    out
}

/// The data of a chunked body (RFC 9112 §7.1).
pub(super) fn unchunk(mut rest: &[u8]) -> Result<Vec<u8>> {
    const CUT: &str = "is cut short: its chunked body has no end";
    let mut data = Vec::new();
    loop {
        let end = memchr::memchr(b'\n', rest).context(CUT)?;
        let line = rest.get(..end).unwrap_or_default();
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        let size = str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.context("has a chunk without a size in hexadecimal digits")?;
        rest = rest.get(end + 1..).unwrap_or_default();
        if size == 0 {
            return Ok(data);
        }
        let (chunk, after) = rest.split_at_checked(size).context(CUT)?;
        data.extend_from_slice(chunk);
        let after = after.strip_prefix(b"\r").unwrap_or(after);
        rest = after.strip_prefix(b"\n").context("has a chunk that is longer than it says")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a text: the body, or why there is none.
    fn body_of(text: &str) -> String {
        let read = || Raw::split(text.as_bytes())?.read();
        match read() {
            Err(error) => error.to_string(),
            Ok(Err(malformed)) => malformed.tag().to_owned(),
            Ok(Ok(request)) => match request.body {
                Some(body) => format!("{:?}", String::from_utf8_lossy(&body)),
                None => "none".to_owned(),
            },
        }
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = body_of(text);
        assert!(said.starts_with(expected), "{text:?}: {said}");
    }

    const POST: &str = "POST /a HTTP/1.1\r\nHost: a.example\r\n";

    #[test]
    fn bodies_are_read_as_they_are_framed() {
        check("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "none");
        check(&format!("{POST}Content-Length: 3\r\n\r\nabc"), "\"abc\"");
        check(&format!("{POST}Content-Length: 3\r\n\r\nabc\r\n"), "\"abc\"");
        let chunked = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
        check(&format!("{chunked}3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"), "\"abcde\"");
    }

    #[test]
    fn texts_need_nobody_to_count() {
        check("\nGET / HTTP/1.1\nHost: a\n\n", "none");
        check("GET / HTTP/2\nHost: a\n\n", "none");
        check("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "none");
        check("POST / HTTP/1.1\nHost: a\n\na=b\n", "\"a=b\"");
        check("POST / HTTP/1.1\nHost: a\nContent-Length: 3\n\na=b\n", "\"a=b\"");
        check(&format!("{POST}\r\na=b"), "\"a=b\"");
        let form = "content-type: multipart/form-data; boundary=b\n\n--b\n\nx\n--b--\n";
        check(&format!("POST / HTTP/1.1\nHost: a\n{form}"), "\"--b\\r\\n\\r\\nx\\r\\n--b--\"");
    }

    #[test]
    fn what_is_no_whole_request_is_said() {
        check("", "is empty");
        check(" \r\n", "is empty");
        check("GET / HTTP/1.1\r\nHost: a\r\n", "is cut short: no empty line");
        check(&format!("{POST}Content-Length: 4\r\n\r\nabc"), "is cut short: 3 bytes of body, but");
        check(&format!("{POST}Content-Length: 1\r\n\r\nabc"), "has 2 bytes behind its body");
        let chunked = format!("{POST}Transfer-Encoding: chunked\r\n\r\n");
        check(&format!("{chunked}3\r\nab"), "is cut short: its chunked body");
        check(&format!("{chunked}3\r\nabc\r\n"), "is cut short: its chunked body");
        check(&format!("{chunked}3\r\nabcd\r\n0\r\n\r\n"), "has a chunk that is longer");
        check(&format!("{chunked}x\r\n"), "has a chunk without a size");
    }

    #[test]
    fn the_target_is_as_it_was_written() {
        for (target, path) in [("/x?y", "/x"), ("http://a.example/x?y", "/x"), ("/%41", "/%41")] {
            let text = format!("GET {target} HTTP/1.1\r\nHost: a.example\r\n\r\n");
            let read = Raw::split(text.as_bytes()).and_then(Raw::read).expect("whole");
            let request = read.expect("one reading");
            assert_eq!((request.target.as_str(), request.uri.path()), (target, path));
        }
    }

    #[test]
    fn what_the_proxy_would_not_read_is_not_read() {
        check("GET / HTTP/1.1\r\n\r\n", "no_host");
        check("hello\n\n", "request_line");
        check(&format!("{POST}a b: c\r\n\r\n"), "space_in_name");
    }
}
