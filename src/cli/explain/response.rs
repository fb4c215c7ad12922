//! An answer in a file, as a server gives it over HTTP/1.1, or as `curl -i` shows it: without
//! its chunks or its coding, though its head has both.

use anyhow::{Context, Result, bail};
use http::{HeaderMap, StatusCode, header};

use crate::waf::WholeAnswer;

use super::request::{read_fields, split_head, unchunk};

/// Reads one answer, and passes over interim heads before it.
pub(super) fn read(text: &[u8]) -> Result<WholeAnswer> {
    let mut text = text.trim_ascii_start();
    loop {
        if text.is_empty() {
            bail!("is empty; write an answer: HTTP/1.1 200 OK, fields, an empty line, a body");
        }
        let (head, rest) = split_head(text)?;
        let mut lines = head.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
        let status = status(lines.next().unwrap_or_default())?;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            text = rest.trim_ascii_start();
            continue;
        }
        let headers = read_fields(lines.filter(|line| !line.is_empty()))?;
        let is_bodiless = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let is_text = !head.contains(&b'\r');
        let body = if is_bodiless { None } else { Some(body(&headers, rest, is_text)?) };
        return Ok(WholeAnswer { status, headers, body });
    }
}

fn status(line: &[u8]) -> Result<StatusCode> {
    let mut words = line.split(|byte| *byte == b' ');
    let is_http = words.next().is_some_and(|version| version.starts_with(b"HTTP/"));
    let status = words.next().filter(|_| is_http);
    let status = status.and_then(|status| StatusCode::from_bytes(status).ok());
    status.context("has no status line; write HTTP/1.1 200 OK")
}

fn body(headers: &HeaderMap, rest: &[u8], is_text: bool) -> Result<Vec<u8>> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Ok(unchunk(rest).unwrap_or_else(|_| rest.to_vec()));
    }
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // That of what was encoded says nothing of what is shown.
    let is_encoded = headers.contains_key(header::CONTENT_ENCODING);
    let Some(length) = length.and_then(|length| length.parse::<usize>().ok()) else {
        // The end of the last line is the text's, not the body's.
        let end = if is_text { rest.strip_suffix(b"\n").unwrap_or(rest) } else { rest };
        return Ok(end.to_vec());
    };
    match rest.split_at_checked(length) {
        Some((body, after)) if after.trim_ascii().is_empty() => Ok(body.to_vec()),
        _ if is_encoded => Ok(rest.to_vec()),
        Some((_, after)) => {
            let more = after.len();
            bail!("has {more} bytes behind its body; write one answer")
        }
        None => {
            let came = rest.len();
            bail!(
                "is cut short: {came} bytes of body, but Content-Length says {length}; without \
                 Content-Length all that is there is taken"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = match read(text.as_bytes()) {
            Ok(WholeAnswer { status, headers, body }) => {
                let body = body.map(|body| String::from_utf8_lossy(&body).into_owned());
                format!("{} {} {body:?}", status.as_u16(), headers.len())
            }
            Err(error) => error.to_string(),
        };
        assert!(said.starts_with(expected), "{text:?}: {said}");
    }

    #[test]
    fn answers_are_read_as_servers_and_people_write_them() {
        check("HTTP/1.1 200 OK\r\na: b\r\ncontent-length: 3\r\n\r\nabc", "200 2 Some(\"abc\")");
        check("HTTP/2 404 \r\n\r\nabc\n", "404 0 Some(\"abc\\n\")");
        check("\nHTTP/1.0 500 No\na: b\n\nabc\n", "500 1 Some(\"abc\")");
        check("HTTP/1.1 204 No\r\n\r\n", "204 0 None");
        check("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nx", "200 0 Some(\"x\")");
        let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        check(&format!("{chunked}3\r\nabc\r\n0\r\n\r\n"), "200 1 Some(\"abc\")");
        check(&format!("{chunked}<p>"), "200 1 Some(\"<p>\")");
        let encoded = "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n";
        check(&format!("{encoded}plain"), "200 2 Some(\"plain\")");
    }

    #[test]
    fn what_is_no_whole_answer_is_said() {
        check("", "is empty; write an answer");
        check("GET / HTTP/1.1\r\n\r\n", "has no status line");
        check("HTTP/1.1 2x0\r\n\r\n", "has no status line");
        check("HTTP/1.1 200 OK\r\n", "is cut short: no empty line");
        let three = "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";
        check(&format!("{three}ab"), "is cut short: 2 bytes of body");
        check(&format!("{three}abcd"), "has 1 bytes behind its body");
    }
}
