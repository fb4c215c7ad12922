//! A record in the combined format of nginx and Apache.
//!
//! Escapes as nginx does: quotes, backslashes, control bytes and everything
//! beyond ASCII become `\xHH`. The time is UTC.

use super::record::Record;
use super::secrets;
use super::text::{Moment, cut, decimal, escape, padded};
use crate::networks::write_address;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// Appends the line of `record`.
pub(super) fn write(line: &mut Vec<u8>, record: &Record<'_>) {
    write_address(line, record.client_ip);
    line.extend_from_slice(b" - ");
    match record.user {
        Some(user) if !user.is_empty() => name(line, user.as_bytes()),
        _ => line.push(b'-'),
    }
    line.extend_from_slice(b" [");
    Moment::of(record.time).common_log(line);
    line.extend_from_slice(b"] \"");
    request(line, record);
    line.extend_from_slice(b"\" ");
    padded(line, record.status.into(), 3);
    line.push(b' ');
    decimal(line, record.bytes_out);
    line.extend_from_slice(b" \"");
    match record.referer {
        Some(referer) if !referer.is_empty() => masked(line, referer, record.secrets),
        _ => line.push(b'-'),
    }
    line.extend_from_slice(b"\" \"");
    match record.user_agent {
        Some(user_agent) if !user_agent.is_empty() => text(line, user_agent),
        _ => line.push(b'-'),
    }
    line.extend_from_slice(b"\"\n");
}

/// The request line, or `-` if there was none to speak of.
fn request(line: &mut Vec<u8>, record: &Record<'_>) {
    if record.method.is_empty() {
        line.push(b'-');
        return;
    }
    text(line, record.method);
    line.push(b' ');
    masked(line, record.path, record.secrets);
    if let Some(query) = record.query {
        line.push(b'?');
        masked(line, query, record.secrets);
    }
    line.push(b' ');
    line.extend_from_slice(record.protocol.as_str().as_bytes());
}

/// A name, which ends at the first space for those who read the line.
fn name(line: &mut Vec<u8>, user: &[u8]) {
    let (shown, rest) = cut(user);
    for part in shown.split_inclusive(|byte| *byte == b' ') {
        match part.strip_suffix(b" ") {
            Some(part) => {
                escape(line, part, odd);
                line.extend_from_slice(b"\\x20");
            }
            None => escape(line, part, odd),
        }
    }
    line.extend_from_slice(rest);
}

fn text(line: &mut Vec<u8>, field: &[u8]) {
    let (shown, rest) = cut(field);
    escape(line, shown, odd);
    line.extend_from_slice(rest);
}

fn masked(line: &mut Vec<u8>, field: &[u8], secrets: &[String]) {
    let (shown, rest) = cut(field);
    secrets::mask(shown, secrets, |piece| escape(line, piece, odd));
    line.extend_from_slice(rest);
}

fn odd(line: &mut Vec<u8>, run: &[u8]) {
    for byte in run {
        let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
        line.extend_from_slice(&[b'\\', b'x', HEX[high], HEX[low]]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::Protocol;
    use crate::log::record::tests::plain;
    use crate::log::text::FIELD_LIMIT;

    fn check(record: &Record<'_>, expected: &str) {
        let mut line = Vec::new();
        write(&mut line, record);
        assert_eq!(String::from_utf8(line).expect("ASCII"), format!("{expected}\n"));
    }

    #[test]
    fn writes_what_nginx_writes() {
        check(
            &plain(),
            "203.0.113.9 - - [10/Oct/2000:20:55:36 +0000] \"GET /x HTTP/1.1\" 200 123 \
             \"https://example.com/\" \"curl/8.5.0\"",
        );
        let bare = Record {
            client_ip: "2001:db8::1".parse().expect("an address"),
            protocol: Protocol::Http2,
            query: Some(b"q=1&password=x"),
            referer: None,
            user_agent: Some(b""),
            ..plain()
        };
        check(
            &bare,
            "2001:db8::1 - - [10/Oct/2000:20:55:36 +0000] \
             \"GET /x?q=1&password=*** HTTP/2.0\" 200 123 \"-\" \"-\"",
        );
    }

    #[test]
    fn a_session_in_a_path_is_not_shown() {
        let record = Record { path: b"/cart;jsessionid=8A3/x", referer: None, ..plain() };
        check(
            &record,
            "203.0.113.9 - - [10/Oct/2000:20:55:36 +0000] \
             \"GET /cart;jsessionid=*** HTTP/1.1\" 200 123 \"-\" \"curl/8.5.0\"",
        );
    }

    #[test]
    fn who_signed_in_is_one_word() {
        let record = Record { user: Some("cap'n \"hook\""), ..plain() };
        check(
            &record,
            "203.0.113.9 - cap'n\\x20\\x22hook\\x22 [10/Oct/2000:20:55:36 +0000] \
             \"GET /x HTTP/1.1\" 200 123 \"https://example.com/\" \"curl/8.5.0\"",
        );
    }

    #[test]
    fn a_request_without_a_head_has_a_line() {
        let record =
            Record { method: b"", path: b"", status: 0, bytes_out: 0, referer: None, ..plain() };
        check(
            &record,
            "203.0.113.9 - - [10/Oct/2000:20:55:36 +0000] \"-\" 000 0 \"-\" \"curl/8.5.0\"",
        );
    }

    #[test]
    fn hostile_bytes_cannot_leave_their_field() {
        let record = Record {
            method: b"G\"T",
            path: b"/\" 200 1 \"\\\r\n\x1b[2J\x7f\xff\xc3\xa9",
            referer: Some(b"\"\n127.0.0.1 - - ["),
            user_agent: Some(b"\x00'"),
            ..plain()
        };
        check(
            &record,
            concat!(
                r#"203.0.113.9 - - [10/Oct/2000:20:55:36 +0000] "G\x22T "#,
                r#"/\x22 200 1 \x22\x5C\x0D\x0A\x1B[2J\x7F\xFF\xC3\xA9 HTTP/1.1" 200 123 "#,
                r#""\x22\x0A127.0.0.1 - - [" "\x00'""#
            ),
        );
    }

    #[test]
    fn long_fields_are_cut() {
        let path = "a".repeat(FIELD_LIMIT + 1);
        let shown = "a".repeat(FIELD_LIMIT);
        check(
            &Record { path: path.as_bytes(), ..plain() },
            &format!(
                "203.0.113.9 - - [10/Oct/2000:20:55:36 +0000] \"GET {shown}... HTTP/1.1\" 200 123 \
                 \"https://example.com/\" \"curl/8.5.0\""
            ),
        );
    }
}
