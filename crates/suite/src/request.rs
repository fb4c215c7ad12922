//! The request of a stage, as go-ftw sends it and a server reads it.

use std::collections::BTreeMap;

use serde_yaml::Value;

use crate::exchange::{Exchange, from_base64};
use crate::{backend, form, framing};

const FORM: &str = "application/x-www-form-urlencoded";

/// What passes in a stage as a server reads it, with the answer to it.
pub fn build(input: &Value) -> Exchange {
    let mut exchange = match encoded(input) {
        Some(bytes) => framing::parse(&bytes),
        None => Written::read(input).exchange(),
    };
    exchange.response = backend::respond(&exchange);
    exchange
}

/// The bytes that a client of HTTP/1 sends.
pub fn wire(input: &Value) -> Vec<u8> {
    encoded(input).unwrap_or_else(|| Written::read(input).bytes())
}

fn encoded(input: &Value) -> Option<Vec<u8>> {
    input.get("encoded_request").and_then(Value::as_str).map(from_base64)
}

/// A request that a test writes part by part, completed.
struct Written {
    method: String,
    target: String,
    version: String,
    /// The order of the names is that in which they are sent.
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Written {
    fn read(input: &Value) -> Self {
        let text =
            |key: &str, default: &str| input.get(key).map_or_else(|| default.to_owned(), scalar);
        let method = text("method", "GET");
        let mut headers: BTreeMap<String, String> = BTreeMap::new();
        for (name, value) in input.get("headers").and_then(Value::as_mapping).into_iter().flatten()
        {
            headers.insert(scalar(name), scalar(value));
        }
        let mut body = repeated(&text("data", "")).into_bytes();
        let completes = input.get("autocomplete_headers").and_then(Value::as_bool).unwrap_or(true);
        if completes && !body.is_empty() {
            complete(&mut headers, "Content-Type", FORM);
            if headers["Content-Type"] == FORM {
                body = form::escaped(&body);
            }
        }
        let kind = headers.get("Content-Type");
        if kind.is_some_and(|value| value.starts_with("multipart/form-data;")) {
            body = with_crlf(&body);
        }
        if completes {
            complete(&mut headers, "Connection", "close");
            if !body.is_empty() || has_length(&method) {
                complete(&mut headers, "Content-Length", &body.len().to_string());
            }
        }
        let (target, version) = (text("uri", "/"), text("version", "HTTP/1.1"));
        Written { method, target, version, headers, body }
    }

    fn exchange(self) -> Exchange {
        let headers = self
            .headers
            .into_iter()
            .map(|(name, value)| (name.into_bytes(), framing::trim(value.as_bytes()).to_vec()));
        let headers = headers.collect();
        let body = framing::framed(&headers, &self.body);
        // A request line of two words is that of HTTP/0.9.
        let protocol = if self.version.is_empty() { "HTTP/0.9".to_owned() } else { self.version };
        Exchange {
            method: self.method.into_bytes(),
            target: self.target.into_bytes(),
            protocol: protocol.into_bytes(),
            headers,
            body,
            ..Exchange::default()
        }
    }

    fn bytes(self) -> Vec<u8> {
        let mut head = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }
}

fn complete(headers: &mut BTreeMap<String, String>, name: &str, value: &str) {
    let present = headers.entry(name.to_owned()).or_default();
    if present.is_empty() {
        value.clone_into(present);
    }
}

/// Whether a length is sent with this method though there is no body.
fn has_length(method: &str) -> bool {
    method.starts_with("POST")
        || method.contains("PUT")
        || method.contains("PATCH")
        || method.ends_with("DELETE")
}

fn with_crlf(body: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = body.split(|byte| *byte == b'\n').collect();
    lines.join(&b"\r\n"[..])
}

/// The one template that the tests use: `{{ "1" | repeat 152 }}`.
fn repeated(data: &str) -> String {
    let Some((before, rest)) = data.split_once("{{ \"") else { return data.to_owned() };
    let whole = rest.split_once("\" | repeat ").and_then(|(piece, rest)| {
        let (count, after) = rest.split_once(" }}")?;
        Some((piece, count.parse::<usize>().ok()?, after))
    });
    match whole {
        None => data.to_owned(),
        Some((piece, count, after)) => {
            format!("{before}{}{}", piece.repeat(count), repeated(after))
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        _ => panic!("no scalar: {value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{build, wire};

    #[track_caller]
    fn check(input: &str, headers: &[(&str, &str)], body: &str) {
        let built = build(&serde_yaml::from_str(input).unwrap());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let built_headers: Vec<(String, String)> =
            built.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
        let headers: Vec<(String, String)> =
            headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        assert_eq!(built_headers, headers);
        assert_eq!(text(&built.body), body);
    }

    #[test]
    fn completes_what_a_client_would_send() {
        check("{headers: {Host: a}}", &[("Connection", "close"), ("Host", "a")], "");
        check("{method: PUT}", &[("Connection", "close"), ("Content-Length", "0")], "");
        check(
            "{method: POST, data: 'a=b c'}",
            &[("Connection", "close"), ("Content-Length", "5"), ("Content-Type", super::FORM)],
            "a=b+c",
        );
        check(
            "{data: 'x: 1', headers: {Content-Type: a/b, Content-Length: 2}}",
            &[("Connection", "close"), ("Content-Length", "2"), ("Content-Type", "a/b")],
            "x:",
        );
    }

    #[test]
    fn completes_nothing_where_a_test_says_so() {
        check("{autocomplete_headers: false, data: 'a=b', headers: {A: ' b '}}", &[("A", "b")], "");
    }

    #[test]
    fn lines_of_parts_end_in_crlf() {
        check(
            "{headers: {Content-Type: multipart/form-data; x}, data: \"a\\nb{{ \\\"1\\\" | repeat 3 }}\"}",
            &[
                ("Connection", "close"),
                ("Content-Length", "7"),
                ("Content-Type", "multipart/form-data; x"),
            ],
            "a\r\nb111",
        );
    }

    #[test]
    fn sends_what_is_written_and_completed() {
        let sent = |input: &str| String::from_utf8(wire(&serde_yaml::from_str(input).unwrap()));
        assert_eq!(
            sent("{method: PUT, uri: '/a b', headers: {Host: ' b'}, data: 'x', version: ''}"),
            Ok(format!(
                "PUT /a b \r\nConnection: close\r\nContent-Length: 1\r\nContent-Type: {}\r\n\
                 Host:  b\r\n\r\nx",
                super::FORM
            ))
        );
        assert_eq!(sent("{encoded_request: 'R0VUIC8='}").as_deref(), Ok("GET /"));
    }
}
