//! Which hosts a TLS connection stands for: the one that its client asked for,
//! and those that the certificate names which it was shown.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Tls;
use super::clients::Mode;
use super::handshake::Facts;

/// The request is for a host that its connection does not stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request is for another host than its TLS connection")]
pub(crate) struct WrongHost;

/// What a certificate says whose it is. A common name does not count, as for
/// browsers (RFC 9525 §2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Names {
    /// In lower case; wildcards as written.
    pub(super) dns: Vec<String>,
    pub(super) addresses: Vec<IpAddr>,
}

impl Names {
    /// Whether a host is one of these; a wildcard stands for one label
    /// (RFC 9525 §6.3).
    // O(n); n is what one certificate names, and is looked through only for another host than
    // the one of the handshake.
    fn cover(&self, host: &str) -> bool {
        if let Some(address) = address(host) {
            return self.addresses.contains(&address);
        }
        let parent = host.split_once('.').map(|(_, parent)| parent);
        self.dns.iter().any(|name| match name.strip_prefix("*.") {
            Some(below) => parent == Some(below),
            None => name == host,
        })
    }
}

impl Tls {
    /// Whether a request for `host` may come over a connection of these facts
    /// (RFC 9110 §15.5.20).
    ///
    /// `host` is in lower case, without port and trailing dot; empty if the
    /// request names none.
    pub(in crate::listen) fn check_host(&self, facts: &Facts, host: &str) -> Result<(), WrongHost> {
        let is_asked_for = match facts.sni.as_deref() {
            Some(sni) => sni == host,
            // No client can ask for an address (RFC 6066 §3).
            None if self.requires_clients() => address(host).is_some(),
            None => true,
        };
        if is_asked_for || host.is_empty() || facts.names.cover(host) {
            Ok(())
        } else {
            Err(WrongHost)
        }
    }

    fn requires_clients(&self) -> bool {
        self.config.client_auth.as_ref().is_some_and(|auth| auth.mode == Mode::Require)
    }
}

/// The address that a host is, if it is no name.
fn address(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cover_themselves_and_wildcards_one_label() {
        let names = Names {
            dns: ["a.test", "*.b.test"].map(str::to_owned).to_vec(),
            addresses: ["192.0.2.1", "2001:db8::1"].map(|ip| ip.parse().expect("one")).to_vec(),
        };
        for (host, expected) in [
            ("a.test", true),
            ("x.b.test", true),
            ("192.0.2.1", true),
            ("[2001:db8::1]", true),
            ("[2001:db8:0:0::1]", true),
            ("x.a.test", false),
            ("b.test", false),
            ("x.y.b.test", false),
            ("xb.test", false),
            ("test", false),
            ("192.0.2.2", false),
            ("[2001:db8::2]", false),
            ("2001:db8::1", false),
            ("", false),
        ] {
            assert_eq!(names.cover(host), expected, "{host}");
        }
        assert!(!Names::default().cover("a.test"));
    }

    #[test]
    fn a_wildcard_covers_no_address() {
        let names = Names { dns: vec!["*.0.0.1".to_owned()], addresses: Vec::new() };
        assert!(!names.cover("127.0.0.1"));
    }
}
