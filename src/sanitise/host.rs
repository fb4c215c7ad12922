//! The host and port of an authority, read so that every server reads the same.
//!
//! Narrower than RFC 3986 §3.2: no user name, no escapes, no empty labels, no
//! empty or padded port.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::bytes::NAME;
use super::malformed::Malformed;

/// The longest name that DNS can hold.
const MAX_NAME: usize = 253;

/// An authority with one reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Authority<'a> {
    /// As written, without a trailing dot; an IPv6 address keeps its brackets.
    host: &'a str,
    pub(super) port: Option<u16>,
}

impl<'a> Authority<'a> {
    pub(super) fn read(text: &'a [u8]) -> Result<Self, Malformed> {
        // Nearly all are; it is read three times for each request.
        Self::read_name(text).map_or_else(|| Self::read_any(text), Ok)
    }

    /// A sound name and its port, in one pass.
    fn read_name(text: &'a [u8]) -> Option<Self> {
        let end = text.iter().position(|byte| !NAME.contains(*byte)).unwrap_or(text.len());
        let (host, port) = str::from_utf8(text).ok()?.split_at_checked(end)?;
        Some(Authority { host: read_name(host).ok()?, port: read_port(port).ok()? })
    }

    fn read_any(text: &'a [u8]) -> Result<Self, Malformed> {
        if memchr::memchr(b'@', text).is_some() {
            return Err(Malformed::Userinfo);
        }
        let text = str::from_utf8(text).map_err(|_| Malformed::Host)?;
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']').ok_or(Malformed::Host)?;
                address.parse::<Ipv6Addr>().map_err(|_| Malformed::Host)?;
                // The brackets belong to the host again.
                let (host, _) = text.split_at(address.len() + 2);
                (host, port)
            }
            None => {
                let end = memchr::memchr(b':', text.as_bytes()).unwrap_or(text.len());
                let (name, port) = text.split_at(end);
                (read_name(name)?, port)
            }
        };
        Ok(Authority { host, port: read_port(port)? })
    }

    /// The host in lower case; borrowed if it is written so.
    pub(super) fn host(&self) -> Cow<'a, str> {
        if self.host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(self.host.to_ascii_lowercase())
        } else {
            Cow::Borrowed(self.host)
        }
    }
}

/// Whether `text` is a host, with or without a port.
pub(crate) fn is_host(text: &[u8]) -> bool {
    Authority::read(text).is_ok()
}

/// A host in lower case, without its trailing dot, and the port after it.
pub(crate) fn host_and_port(text: &[u8]) -> Option<(Cow<'_, str>, Option<u16>)> {
    let authority = Authority::read(text).ok()?;
    Some((authority.host(), authority.port))
}

/// The name without its trailing dot.
fn read_name(name: &str) -> Result<&str, Malformed> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let bytes = name.as_bytes();
    let has_empty_label = bytes.first() == Some(&b'.')
        || bytes.last() == Some(&b'.')
        || bytes.windows(2).any(|pair| pair == b"..");
    if !NAME.covers(bytes) || has_empty_label || name.len() > MAX_NAME {
        return Err(Malformed::Host);
    }
    Ok(name)
}

/// The port after its colon, if there is any.
fn read_port(text: &str) -> Result<Option<u16>, Malformed> {
    if text.is_empty() {
        return Ok(None);
    }
    let digits = text.strip_prefix(':').ok_or(Malformed::Host)?;
    // `parse` takes a plus sign, and leading zeros are octal to some.
    if !digits.starts_with(|first: char| matches!(first, '1'..='9')) {
        return Err(Malformed::Port);
    }
    digits.parse().map(Some).map_err(|_| Malformed::Port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(&str, Option<u16>), Malformed>) {
        let found = Authority::read(text.as_bytes());
        let found = found.map(|authority| (authority.host(), authority.port));
        let expected = expected.map(|(host, port)| (Cow::from(host), port));
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn reads_names_and_addresses() {
        check("example.com", Ok(("example.com", None)));
        check("EXAMPLE.com:8080", Ok(("example.com", Some(8080))));
        check("example.com.", Ok(("example.com", None)));
        check("example.com.:443", Ok(("example.com", Some(443))));
        check("my_host-1", Ok(("my_host-1", None)));
        check("203.0.113.9:1", Ok(("203.0.113.9", Some(1))));
        check("[2001:DB8::1]", Ok(("[2001:db8::1]", None)));
        check("[::1]:65535", Ok(("[::1]", Some(65535))));
        check(&"a".repeat(253), Ok((&"a".repeat(253), None)));
    }

    #[test]
    fn borrows_a_host_in_lower_case() {
        let authority = Authority::read(b"example.com.:80").expect("good");
        assert!(matches!(authority.host(), Cow::Borrowed("example.com")));
    }

    #[test]
    fn refuses_hosts_with_another_reading() {
        for text in [
            "",
            ".",
            "..",
            ".a",
            "a..b",
            "a..",
            ":80",
            "a b",
            "a,b",
            "a/b",
            "a\\b",
            "a%2eb",
            "a#b",
            "a?b",
            "[::1",
            "::1",
            "[]",
            "[::1]x",
            "[fe80::1%eth0]",
            "[v1.a]",
            "[127.0.0.1]",
            "a[b]",
            "caf\u{e9}.fr",
            "a\tb",
            "a\0",
            "a=b",
        ] {
            check(text, Err(Malformed::Host));
        }
        check(&"a".repeat(254), Err(Malformed::Host));
        assert_eq!(Authority::read(b"a\xff"), Err(Malformed::Host));
    }

    #[test]
    fn refuses_user_names() {
        check("user@example.com", Err(Malformed::Userinfo));
        check("user:secret@example.com:80", Err(Malformed::Userinfo));
        check("@example.com", Err(Malformed::Userinfo));
    }

    #[test]
    fn refuses_ports_with_another_reading() {
        for port in ["", "0", "080", "65536", "+80", "-1", "8 0", "80:80", "http", "0x50"] {
            check(&format!("example.com:{port}"), Err(Malformed::Port));
            check(&format!("[::1]:{port}"), Err(Malformed::Port));
        }
    }
}
