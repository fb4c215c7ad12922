//! A record as one JSON object a line.
//!
//! A line is pure ASCII whatever a client sent: quotes, control bytes and
//! everything beyond ASCII are escaped, so that neither a parser nor a
//! terminal can be led astray. Text reads back exactly; a byte that is no
//! UTF-8 reads back as `\xHH`.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use super::cache::CacheUse;
use super::record::{Findings, Record};
use super::secrets;
use super::text::{Moment, cut, decimal, escape, millis};
use crate::networks::write_address;

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends the line of `record`. What is not known is left out.
pub(super) fn write(line: &mut Vec<u8>, record: &Record<'_>) {
    begin(line, record.time);
    span(line, "duration_ms", Some(record.duration));
    ip(line, "client_ip", record.client_ip);
    ip(line, "peer_ip", record.peer_ip);
    text(line, "country", record.country);
    number(line, "asn", record.asn);
    text(line, "listener", Some(record.listener));
    text(line, "protocol", Some(record.protocol.as_str()));
    if let Some(tls) = &record.tls {
        text(line, "tls_version", Some(tls.version));
        text(line, "tls_cipher", Some(tls.cipher));
        text(line, "sni", tls.sni);
    }
    text(line, "method", Some(record.method));
    text(line, "host", Some(record.host));
    masked(line, "path", Some(record.path), record.secrets);
    masked(line, "query", record.query, record.secrets);
    number(line, "status", Some(record.status));
    number(line, "bytes_in", Some(record.bytes_in));
    number(line, "bytes_out", Some(record.bytes_out));
    text(line, "route", record.route);
    text(line, "upstream", record.upstream);
    text(line, "server", record.server);
    number(line, "attempts", Some(record.attempts));
    number(line, "upstream_status", record.upstream_status);
    span(line, "connect_ms", record.connect);
    span(line, "first_byte_ms", record.first_byte);
    masked(line, "referer", record.referer, record.secrets);
    text(line, "user_agent", record.user_agent);
    text(line, "request_id", Some(record.request_id));
    text(line, "user", record.user);
    if let Some(found) = record.findings.filter(|found| !found.rules.is_empty()) {
        findings(line, &found);
    }
    if let Some(cause) = &record.refusal {
        text(line, "refusal", Some(cause.tag));
        text(line, "room", Some(cause.room.as_str()));
        text(line, "rule", cause.rule);
    }
    text(line, "cache", record.cache.map(CacheUse::result));
    text(line, "error", record.error);
    end(line);
}

/// The score and the rules that matched.
pub(super) fn findings(line: &mut Vec<u8>, found: &Findings<'_>) {
    let rules: Vec<String> = found.rules.iter().map(u32::to_string).collect();
    let (score, rules) = (found.score, rules.join(","));
    line.extend_from_slice(format!(",\"waf_score\":{score},\"waf_rules\":[{rules}]").as_bytes());
}

/// The beginning of a line, with its first field.
pub(super) fn begin(line: &mut Vec<u8>, time: SystemTime) {
    line.extend_from_slice(b"{\"time\":\"");
    Moment::of(time).rfc3339(line);
    line.push(b'"');
}

pub(super) fn end(line: &mut Vec<u8>) {
    line.extend_from_slice(b"}\n");
}

pub(super) fn name(line: &mut Vec<u8>, name: &str) {
    line.extend_from_slice(b",\"");
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

pub(super) fn number(line: &mut Vec<u8>, key: &str, value: Option<impl Into<u64>>) {
    if let Some(value) = value {
        name(line, key);
        decimal(line, value.into());
    }
}

fn span(line: &mut Vec<u8>, key: &str, value: Option<Duration>) {
    if let Some(value) = value {
        name(line, key);
        millis(line, value);
    }
}

pub(super) fn ip(line: &mut Vec<u8>, key: &str, value: IpAddr) {
    name(line, key);
    line.push(b'"');
    write_address(line, value);
    line.push(b'"');
}

pub(super) fn text<T: AsRef<[u8]> + ?Sized>(line: &mut Vec<u8>, key: &str, value: Option<&T>) {
    if let Some(value) = value {
        let (shown, rest) = cut(value.as_ref());
        name(line, key);
        line.push(b'"');
        escape(line, shown, odd);
        line.extend_from_slice(rest);
        line.push(b'"');
    }
}

/// A text alone, in its quotes.
pub(super) fn quoted(line: &mut Vec<u8>, text: &[u8]) {
    line.push(b'"');
    escape(line, text, odd);
    line.push(b'"');
}

pub(super) fn masked(line: &mut Vec<u8>, key: &str, value: Option<&[u8]>, secrets: &[String]) {
    if let Some(value) = value {
        let (shown, rest) = cut(value);
        name(line, key);
        line.push(b'"');
        secrets::mask(shown, secrets, |piece| escape(line, piece, odd));
        line.extend_from_slice(rest);
        line.push(b'"');
    }
}

/// A run of what JSON or a terminal could mistake for something else.
fn odd(line: &mut Vec<u8>, run: &[u8]) {
    for chunk in run.utf8_chunks() {
        chunk.valid().chars().for_each(|char| escape_char(line, char));
        for byte in chunk.invalid() {
            line.extend_from_slice(b"\\\\x");
            line.extend_from_slice(&hex(*byte));
        }
    }
}

fn escape_char(line: &mut Vec<u8>, char: char) {
    if let '"' | '\\' = char {
        line.extend_from_slice(&[b'\\', char as u8]);
        return;
    }
    for unit in char.encode_utf16(&mut [0; 2]) {
        let [high, low] = unit.to_be_bytes();
        line.extend_from_slice(b"\\u");
        line.extend_from_slice(&hex(high));
        line.extend_from_slice(&hex(low));
    }
}

fn hex(byte: u8) -> [u8; 2] {
    [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::log::record::tests::plain;
    use crate::log::record::{Blame, Cause, Failure, Room, Tls};
    use crate::log::text::FIELD_LIMIT;

    fn line(record: &Record<'_>) -> Vec<u8> {
        let mut line = Vec::new();
        write(&mut line, record);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "one line");
        assert!(line.strip_suffix(b"\n").expect("ends").iter().all(|b| (b' '..=b'~').contains(b)));
        line
    }

    fn check(path: &[u8], expected: &str) {
        let record = Record { path, user_agent: Some(path), referer: Some(path), ..plain() };
        let value: Value = serde_json::from_slice(&line(&record)).expect("JSON");
        for field in ["path", "user_agent", "referer"] {
            assert_eq!(value[field], expected, "{field}");
        }
    }

    #[test]
    fn writes_a_plain_request() {
        let expected = concat!(
            r#"{"time":"2000-10-10T20:55:36.042Z","duration_ms":12.345,"client_ip":"203.0.113.9","#,
            r#""peer_ip":"10.0.0.1","listener":"0.0.0.0:8443","protocol":"HTTP/1.1","#,
            r#""method":"GET","host":"example.com","path":"/x","#,
            r#""status":200,"bytes_in":0,"bytes_out":123,"route":"static","upstream":"app","#,
            r#""server":"127.0.0.1:9001","attempts":1,"upstream_status":200,"first_byte_ms":7.000,"#,
            r#""referer":"https://example.com/","user_agent":"curl/8.5.0","#,
            r#""request_id":"0123456789abcdef"}"#,
            "\n"
        );
        assert_eq!(String::from_utf8_lossy(&line(&plain())), expected);
    }

    #[test]
    fn writes_every_field() {
        let record = Record {
            tls: Some(Tls { version: "TLSv1.3", cipher: "AES", sni: Some("example.com") }),
            client_ip: "2001:db8::1".parse().expect("an address"),
            country: Some("DE"),
            asn: Some(64500),
            query: Some(b"a=1&token=t"),
            connect: Some(Duration::from_millis(3)),
            failures: &[Failure::Connect],
            attempts: 2,
            refusal: Some(Cause {
                room: Room::Limit,
                tag: "rate",
                rule: Some("login"),
                blame: Blame::Client,
            }),
            error: Some("connection refused"),
            ..plain()
        };
        let value: Value = serde_json::from_slice(&line(&record)).expect("JSON");
        let expected = json!({
            "time": "2000-10-10T20:55:36.042Z", "duration_ms": 12.345,
            "client_ip": "2001:db8::1", "peer_ip": "10.0.0.1", "country": "DE", "asn": 64500,
            "listener": "0.0.0.0:8443",
            "protocol": "HTTP/1.1", "tls_version": "TLSv1.3", "tls_cipher": "AES",
            "sni": "example.com", "method": "GET", "host": "example.com", "path": "/x",
            "query": "a=1&token=***", "status": 200, "bytes_in": 0, "bytes_out": 123,
            "route": "static", "upstream": "app", "server": "127.0.0.1:9001", "attempts": 2,
            "upstream_status": 200, "connect_ms": 3.0, "first_byte_ms": 7.0,
            "referer": "https://example.com/", "user_agent": "curl/8.5.0",
            "request_id": "0123456789abcdef", "refusal": "rate", "room": "limit",
            "rule": "login",
            "error": "connection refused",
        });
        assert_eq!(value, expected);
    }

    #[test]
    fn hostile_bytes_cannot_leave_their_field() {
        check(b"/\",\"status\":500,\"x\":\"", "/\",\"status\":500,\"x\":\"");
        check(b"/a\r\n{\"status\":500}\n", "/a\r\n{\"status\":500}\n");
        check(b"/\\\"", "/\\\"");
        check(b"/\\", "/\\");
        check(b"/\x1b[2J\x1b]0;owned\x07\x00\x7f", "/\u{1b}[2J\u{1b}]0;owned\u{7}\0\u{7f}");
    }

    #[test]
    fn text_beyond_ascii_reads_back_exactly() {
        check(
            "/straße/🌊/\u{9b}2J\u{2028}\u{202e}".as_bytes(),
            "/straße/🌊/\u{9b}2J\u{2028}\u{202e}",
        );
    }

    #[test]
    fn bytes_that_are_no_utf8_stay_visible() {
        check(b"/\xc0\xaf..", "/\\xc0\\xaf..");
        check(b"/\xff\"\xed\xa0\x80", "/\\xff\"\\xed\\xa0\\x80");
        check("/é\u{7f}".as_bytes().split_at(2).0, "/\\xc3");
    }

    #[test]
    fn every_byte_makes_a_line_that_parses() {
        let all: Vec<u8> = (0..=255).collect();
        let record = Record { method: &all, host: &all, path: &all, query: Some(&all), ..plain() };
        serde_json::from_slice::<Value>(&line(&record)).expect("JSON");
    }

    #[test]
    fn long_fields_are_cut() {
        let whole = "a".repeat(FIELD_LIMIT);
        check(whole.as_bytes(), &whole);
        check(format!("{whole}b").as_bytes(), &format!("{whole}..."));
        let split = format!("{}é", "a".repeat(FIELD_LIMIT - 1));
        check(split.as_bytes(), &format!("{}\\xc3...", "a".repeat(FIELD_LIMIT - 1)));
    }
}
