//! Where a server is, as an operator writes it.

use std::net::{IpAddr, SocketAddr as InetAddr};
use std::os::unix::net::SocketAddr as UnixAddr;
use std::str::FromStr;
use std::sync::Arc;

use pingora::protocols::l4::socket::SocketAddr;

use crate::units::Unreadable;

/// RFC 1035 §2.3.4.
const MAX_NAME: usize = 253;
const MAX_LABEL: usize = 63;

/// `host:port`, `[v6]:port` or `unix:/path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    /// The host part: a name in lower case, an IP literal without brackets, or
    /// `localhost` for a Unix socket.
    pub host: Arc<str>,
    pub place: Place,
}

/// Where the address leads, as far as that is known without asking anyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Fixed(SocketAddr),
    /// A port of the host, whose addresses are found by its name.
    Named(u16),
}

impl FromStr for Address {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(text, path);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            let what =
                format!("must be without `{scheme}://` (TLS is `tls: {{}}` of the upstream)");
            return Err(wrong(text, &what));
        }
        if text.contains('/') {
            return Err(wrong(text, "has a path, which routes have (`rewrite`)"));
        }
        let (host, port) = text.rsplit_once(':').ok_or_else(|| wrong(text, "has no port"))?;
        let port = match port.parse() {
            Ok(0) => return Err(wrong(text, "has port 0, which no server can have")),
            Ok(port) if port_is_plain(text) => port,
            _ => return Err(wrong(text, "has no readable port")),
        };
        if let Some(literal) = host.strip_prefix('[') {
            let literal = literal.strip_suffix(']').ok_or_else(|| wrong(text, "has no `]`"))?;
            let ip = literal.parse().map_err(|_| wrong(text, "is no IPv6 address"))?;
            return Ok(Address::inet(IpAddr::V6(ip), port));
        }
        if host.contains(':') {
            return Err(wrong(text, "is an IPv6 address without brackets"));
        }
        match host.parse() {
            Ok(ip) => Ok(Address::inet(IpAddr::V4(ip), port)),
            Err(_) if is_name(host) => {
                let host = host.to_ascii_lowercase().into();
                Ok(Address { host, place: Place::Named(port) })
            }
            Err(_) => Err(wrong(text, "has no readable host")),
        }
    }
}

impl Address {
    fn inet(ip: IpAddr, port: u16) -> Self {
        let host = ip.to_string().into();
        Address { host, place: Place::Fixed(SocketAddr::Inet(InetAddr::new(ip, port))) }
    }
}

fn unix(text: &str, path: &str) -> Result<Address, Unreadable> {
    if !path.starts_with('/') {
        return Err(wrong(text, "is not an absolute path"));
    }
    let socket = UnixAddr::from_pathname(path)
        .map_err(|_| wrong(text, "is too long for the path of a socket"))?;
    Ok(Address { host: "localhost".into(), place: Place::Fixed(SocketAddr::Unix(socket)) })
}

/// Whether the port has digits only: `parse` would also take `+80`.
fn port_is_plain(text: &str) -> bool {
    text.bytes().rev().take_while(|byte| *byte != b':').all(|byte| byte.is_ascii_digit())
}

/// Whether it can be the name of a host, and not an IPv4 address gone wrong.
fn is_name(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let ends_in_number = host.rsplit('.').next().is_some_and(|last| last.parse::<u64>().is_ok());
    host.len() <= MAX_NAME && host.split('.').all(is_label) && !ends_in_number
}

fn wrong(text: &str, what: &str) -> Unreadable {
    Unreadable(format!("`{text}` {what}; write host:port, [v6]:port or unix:/path"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<(&str, &str)>) {
        let read = text.parse::<Address>().ok().map(|address| {
            let place = match &address.place {
                Place::Fixed(address) => address.to_string(),
                Place::Named(port) => format!("port {port}"),
            };
            (address.host.to_string(), place)
        });
        let expected = expected.map(|(host, place)| (host.to_owned(), place.to_owned()));
        assert_eq!(read, expected, "{text}");
    }

    #[test]
    fn reads_what_operators_write() {
        check("127.0.0.1:80", Some(("127.0.0.1", "127.0.0.1:80")));
        check("[::1]:8080", Some(("::1", "[::1]:8080")));
        check("App.internal:9001", Some(("app.internal", "port 9001")));
        check("under_score:1", Some(("under_score", "port 1")));
        check("app.internal.:1", Some(("app.internal.", "port 1")));
        check("unix:/run/app.sock", Some(("localhost", "/run/app.sock")));
    }

    #[test]
    fn urls_are_told_what_belongs_elsewhere() {
        for (url, said) in [
            ("https://app:443", "must be without `https://` (TLS is `tls: {}` of the upstream)"),
            ("app:3000/api", "has a path, which routes have (`rewrite`)"),
        ] {
            let error = url.parse::<Address>().unwrap_err().to_string();
            assert!(error.starts_with(&format!("`{url}` {said}; write host:port")), "{error}");
        }
    }

    #[test]
    fn refuses_what_leads_nowhere() {
        for bad in [
            "",
            ":80",
            "app",
            "app:",
            "app:0",
            "app:65536",
            "app:+80",
            "app:http",
            "::1:80",
            "[::1]",
            "[::1:80",
            "[127.0.0.1]:80",
            "300.0.0.1:80",
            "1.2.3:80",
            "a b:80",
            "a..b:80",
            "http://app:80",
            "app:80/",
            "unix:",
            "unix:run/app.sock",
        ] {
            check(bad, None);
        }
        check(&format!("unix:/{}", "x".repeat(200)), None);
        check(&format!("{}:80", "x".repeat(64)), None);
    }
}
