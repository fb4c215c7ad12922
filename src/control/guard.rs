//! Who may ask the admin listener for what.
//!
//! Reading health and metrics on loopback needs no token; everything else
//! does. A page in a browser must not be able to drive it, so Host and Origin
//! are checked on every request.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue, Method, Uri, header};

use crate::config;
use crate::fault::Faults;
use crate::route::read_host;
use crate::sanitise::host_and_port;

use super::token::Token;

/// What a name stands for that a browser never asks DNS for.
const LOOPBACK: &str = "localhost";
/// The port of a Host field without one.
const HTTP: u16 = 80;

/// One request to the admin listener.
pub(super) struct Asked<'a> {
    pub(super) method: &'a Method,
    pub(super) uri: &'a Uri,
    pub(super) headers: &'a HeaderMap,
    pub(super) peer: Option<SocketAddr>,
}

/// Why a request is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Its Host is no name of the listener.
    Host,
    /// Its Origin is another site.
    Origin,
    /// It shows no token, or a wrong one.
    Token,
}

/// The names of `admin.hosts`, in the spelling of Host fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct AdminHosts(Vec<String>);

impl AdminHosts {
    pub(crate) fn new(config: &config::Admin) -> Result<AdminHosts, Faults> {
        let mut faults = Faults::none();
        let hosts = config.hosts.iter().enumerate().filter_map(|(index, written)| {
            let host = if written.contains('*') {
                Err(format!("`{written}`: write every name in full"))
            } else {
                read_host(written)
            };
            let host = host.map_err(Faults::one).map_err(|found| found.under(index));
            faults.collect("hosts", host)
        });
        let hosts = hosts.collect();
        faults.into_result(|| Some(AdminHosts(hosts)))
    }
}

/// The check of every request to the admin listener.
#[derive(Debug)]
pub(crate) struct Guard {
    address: SocketAddr,
    hosts: AdminHosts,
    token: Token,
}

impl Guard {
    pub(crate) fn new(address: SocketAddr, hosts: AdminHosts, token: Token) -> Guard {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        Guard { address, hosts, token }
    }

    /// Who may ask at all.
    pub(super) fn check(&self, asked: &Asked<'_>) -> Result<(), Denied> {
        let host = asked.headers.get(header::HOST).map(HeaderValue::as_bytes);
        // A name that resolves to this address (DNS rebinding) is not ours.
        let host = host.filter(|host| self.is_own(host)).ok_or(Denied::Host)?;
        if let Some(origin) = asked.headers.get(header::ORIGIN)
            && !self.is_same_site(origin.as_bytes(), host)
        {
            return Err(Denied::Origin);
        }
        if self.is_open(asked) {
            return Ok(());
        }
        match shown_token(asked.headers) {
            Some(shown) if self.token.is(shown) => Ok(()),
            _ => Err(Denied::Token),
        }
    }

    /// Whether anybody may ask this: only where nobody from elsewhere can.
    fn is_open(&self, asked: &Asked<'_>) -> bool {
        let is_read = matches!(*asked.method, Method::GET | Method::HEAD);
        let is_local = asked.peer.is_some_and(|peer| peer.ip().to_canonical().is_loopback());
        let is_open = matches!(asked.uri.path(), "/healthz" | "/readyz" | "/metrics");
        is_open && is_read && is_local && self.address.ip().is_loopback()
    }

    /// Whether a Host names this listener: by its address, or as one of `hosts`
    /// with whatever port a way to here may have.
    fn is_own(&self, authority: &[u8]) -> bool {
        let Some((host, port)) = host_and_port(authority) else {
            return false;
        };
        if self.is_listed(&host) {
            return true;
        }
        let is_address = address(&host).is_some_and(|address| self.is_own_address(address));
        port.unwrap_or(HTTP) == self.address.port() && (host == LOOPBACK || is_address)
    }

    fn is_listed(&self, host: &str) -> bool {
        let Ok(host) = read_host(host) else {
            return false;
        };
        self.hosts.0.contains(&host)
    }

    /// Where every address is listened to, any of them is its own: the machine
    /// may be reached by one it does not know, and no name is made of digits.
    fn is_own_address(&self, address: IpAddr) -> bool {
        let own = self.address.ip();
        let is_any = own.is_unspecified() || own.is_loopback() && address.is_loopback();
        !address.is_unspecified() && (is_any || address == own)
    }

    /// Whether an Origin is the site of the Host itself. A listed name may be
    /// reached over TLS that ends on the way.
    fn is_same_site(&self, origin: &[u8], host: &[u8]) -> bool {
        let is_listed = || host_and_port(host).is_some_and(|(host, _)| self.is_listed(&host));
        let authority = match origin.strip_prefix(b"https://") {
            Some(authority) if is_listed() => Some(authority),
            _ => origin.strip_prefix(b"http://"),
        };
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    }
}

/// The address that a host is written as.
fn address(host: &str) -> Option<IpAddr> {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.unwrap_or(host).parse().ok().map(|address: IpAddr| address.to_canonical())
}

/// The token of `Authorization: Bearer`; the scheme's name has no case.
fn shown_token(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn guard(address: &str, hosts: &[&str]) -> Guard {
        let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
        let config = config::Admin { hosts, ..config::Admin::default() };
        let hosts = AdminHosts::new(&config).expect("good names");
        let token = Token::configured(TOKEN).expect("a token");
        Guard::new(address.parse().expect("an address"), hosts, token)
    }

    fn ask(guard: &Guard, peer: &str, path: &str, fields: &[(&str, &str)]) -> Result<(), Denied> {
        let mut request = http::Request::builder().uri(path);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        guard.check(&Asked {
            method: request.method(),
            uri: request.uri(),
            headers: request.headers(),
            peer: Some(peer.parse().expect("a peer")),
        })
    }

    const LOCAL: &str = "127.0.0.1:50000";
    const REMOTE: &str = "192.0.2.9:50000";

    #[test]
    fn only_loopback_itself_is_read_without_a_token() {
        let bearer = format!("Bearer {TOKEN}");
        for (listen, peer, host, open) in [
            ("127.0.0.1:9180", LOCAL, "127.0.0.1:9180", Ok(())),
            ("[::1]:9180", "[::1]:50000", "localhost:9180", Ok(())),
            ("127.0.0.1:9180", "[::ffff:127.0.0.1]:50000", "127.0.0.1:9180", Ok(())),
            // Redirected by the machine itself: it comes from elsewhere.
            ("127.0.0.1:9180", REMOTE, "127.0.0.1:9180", Err(Denied::Token)),
            ("0.0.0.0:9180", REMOTE, "198.51.100.7:9180", Err(Denied::Token)),
            // A proxy beside may speak for somebody from elsewhere.
            ("0.0.0.0:9180", LOCAL, "127.0.0.1:9180", Err(Denied::Token)),
            ("[::]:9180", "[::1]:50000", "[::1]:9180", Err(Denied::Token)),
            ("198.51.100.7:9180", REMOTE, "198.51.100.7:9180", Err(Denied::Token)),
        ] {
            let guard = guard(listen, &[]);
            for path in ["/healthz", "/readyz", "/metrics"] {
                assert_eq!(ask(&guard, peer, path, &[("host", host)]), open, "{listen} {peer}");
                let shown = [("host", host), ("authorization", &bearer)];
                assert_eq!(ask(&guard, peer, path, &shown), Ok(()), "{listen} {peer}");
            }
            let closed = ask(&guard, peer, "/api/config", &[("host", host)]);
            assert_eq!(closed, Err(Denied::Token), "{listen} {peer}");
        }
    }

    fn check_hosts(listen: &str, hosts: &[&str], host: &str, expected: Result<(), Denied>) {
        let fields = [("host", host), ("authorization", "bearer 0123456789abcdef")];
        let guard = guard(listen, hosts);
        assert_eq!(ask(&guard, REMOTE, "/api/config", &fields), expected, "{listen} {host}");
    }

    #[test]
    fn the_address_listened_to_is_a_good_host() {
        for (listen, good) in [
            ("198.51.100.7:9180", &["198.51.100.7:9180", "localhost:9180"][..]),
            ("198.51.100.7:80", &["198.51.100.7", "198.51.100.7:80", "localhost"]),
            ("0.0.0.0:9180", &["198.51.100.7:9180", "127.0.0.1:9180", "[2001:db8::1]:9180"]),
            ("[::]:9180", &["198.51.100.7:9180", "[::ffff:198.51.100.7]:9180", "[::1]:9180"]),
            ("[2001:db8::1]:9180", &["[2001:DB8:0::1]:9180"]),
            ("[::ffff:198.51.100.7]:9180", &["198.51.100.7:9180"]),
        ] {
            for host in good {
                check_hosts(listen, &[], host, Ok(()));
            }
            for host in [
                "evil.example:9180",
                "evil.example",
                "198.51.100.8:9181",
                "0.0.0.0:9180",
                "198.51.100.7.evil.example:9180",
                "localhost.evil.example:9180",
                "3325256711:9180",
                "",
            ] {
                check_hosts(listen, &[], host, Err(Denied::Host));
            }
        }
        check_hosts("198.51.100.7:9180", &[], "198.51.100.8:9180", Err(Denied::Host));
        check_hosts("198.51.100.7:9180", &[], "127.0.0.1:9180", Err(Denied::Host));
    }

    #[test]
    fn listed_names_are_good_hosts() {
        let hosts = ["Edge-1.internal", "203.0.113.5", "[2001:DB8::5]"];
        for listen in ["127.0.0.1:9180", "0.0.0.0:9180", "198.51.100.7:9180"] {
            for host in [
                "edge-1.internal:9180",
                "EDGE-1.internal.:30080",
                "edge-1.internal",
                "203.0.113.5:30080",
                "[2001:db8:0::5]",
            ] {
                check_hosts(listen, &hosts, host, Ok(()));
            }
            for host in ["a.edge-1.internal:9180", "edge-1.internal.evil.example:9180", "internal"]
            {
                check_hosts(listen, &hosts, host, Err(Denied::Host));
            }
        }
    }

    #[test]
    fn an_origin_must_be_the_site_of_the_host() {
        let check = |host: &str, origin: &str, expected| {
            let guard = guard("0.0.0.0:9180", &["edge.internal"]);
            let fields = [("host", host), ("origin", origin), ("authorization", "Bearer x")];
            let found = ask(&guard, REMOTE, "/metrics", &fields);
            assert_eq!(found, Err(expected), "{host} {origin}");
        };
        check("198.51.100.7:9180", "http://198.51.100.7:9180", Denied::Token);
        check("edge.internal:9180", "http://edge.internal:9180", Denied::Token);
        check("edge.internal", "https://edge.internal", Denied::Token);
        // Each is a good host, and yet another site.
        check("198.51.100.7:9180", "http://198.51.100.8:9180", Denied::Origin);
        check("198.51.100.7:9180", "http://edge.internal:9180", Denied::Origin);
        check("edge.internal:9180", "http://edge.internal:9181", Denied::Origin);
        check("198.51.100.7:9180", "https://198.51.100.7:9180", Denied::Origin);
        check("edge.internal", "ftp://edge.internal", Denied::Origin);
        check("edge.internal", "edge.internal", Denied::Origin);
    }

    #[test]
    fn the_scheme_of_the_token_has_no_case_and_no_padding() {
        let guard = guard("198.51.100.7:9180", &[]);
        for (value, expected) in [
            ("Bearer 0123456789abcdef", Ok(())),
            ("BEARER 0123456789abcdef", Ok(())),
            ("Bearer  0123456789abcdef", Err(Denied::Token)),
            ("Bearer0123456789abcdef", Err(Denied::Token)),
            ("Basic 0123456789abcdef", Err(Denied::Token)),
            ("Bearer", Err(Denied::Token)),
        ] {
            let fields = [("host", "198.51.100.7:9180"), ("authorization", value)];
            assert_eq!(ask(&guard, REMOTE, "/metrics", &fields), expected, "{value}");
        }
    }
}
