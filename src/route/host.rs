//! The hosts of a route, and the way from a request's host to its routes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::criteria::Criteria;
use super::path::Paths;

/// One item of `hosts`, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum HostPattern {
    Exact(String),
    /// Every name below this one.
    Wildcard(String),
    Any,
}

impl HostPattern {
    /// Reads an item of `hosts`; the error says what would be right.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() || text == "*" {
            return Err("leave hosts out to match any host".to_owned());
        }
        let lower = without_more(text)?.to_ascii_lowercase();
        if let Some(name) = lower.strip_prefix("*.") {
            if ends_in_number(name) {
                return Err(format!("`{text}`: a wildcard needs a name, not an address"));
            }
            check_name(name)?;
            return Ok(HostPattern::Wildcard(name.to_owned()));
        }
        exact(&lower).map(HostPattern::Exact)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HostPattern::Exact(host) => write!(f, "{host}"),
            HostPattern::Wildcard(parent) => write!(f, "*.{parent}"),
            HostPattern::Any => write!(f, "any host"),
        }
    }
}

/// The routes of every host.
#[derive(Debug)]
pub(super) struct Hosts {
    exact: HashMap<String, Paths>,
    wildcards: HashMap<String, Paths>,
    any: Paths,
}

impl Hosts {
    pub(super) fn new(routes: &[Criteria]) -> Self {
        let mut by_host: HashMap<&HostPattern, Vec<usize>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            for host in &route.hosts {
                by_host.entry(host).or_default().push(index);
            }
        }
        let mut hosts =
            Hosts { exact: HashMap::new(), wildcards: HashMap::new(), any: Paths::default() };
        for (host, indices) in by_host {
            let paths = Paths::new(&indices, routes);
            match host {
                HostPattern::Exact(host) => drop(hosts.exact.insert(host.clone(), paths)),
                HostPattern::Wildcard(name) => drop(hosts.wildcards.insert(name.clone(), paths)),
                HostPattern::Any => hosts.any = paths,
            }
        }
        hosts
    }

    /// The routes that a host may use, the most specific host first.
    pub(super) fn levels<'r>(&'r self, host: &str) -> impl Iterator<Item = &'r Paths> {
        let first = if self.wildcards.is_empty() { None } else { parent(host) };
        let parents = std::iter::successors(first, |name| parent(name));
        let wildcards = parents.filter_map(|name| self.wildcards.get(name));
        self.exact.get(host).into_iter().chain(wildcards).chain([&self.any])
    }
}

/// The host of a request in the spelling of [`HostPattern::Exact`].
///
/// Only an IPv6 address has more than one spelling in lower case.
pub(super) fn canonical(host: &str) -> Cow<'_, str> {
    match ipv6(host) {
        Some(address) => Cow::Owned(format!("[{address}]")),
        None => Cow::Borrowed(host),
    }
}

/// Reads a host without a port: a name in lower case, or an address in the
/// spelling of its kind; the error says what would be right.
pub(crate) fn read_host(text: &str) -> Result<String, String> {
    exact(&without_more(text)?.to_ascii_lowercase())
}

/// Reads a host with or without a port, to be sent in a Host field.
pub(super) fn authority(text: &str) -> Result<String, String> {
    let lower = text.to_ascii_lowercase();
    let Some((host, port)) = split_port(&lower) else { return exact(&lower) };
    let digits = Some(port).filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    match digits.and_then(|digits| digits.parse::<u16>().ok()) {
        Some(1..) => Ok(format!("{}:{port}", exact(host)?)),
        _ => Err(format!("`{text}` is no host; write app.internal or app.internal:8080")),
    }
}

/// Reads a name in lower case, or an address in the spelling of its kind.
fn exact(host: &str) -> Result<String, String> {
    if let Some(address) = ipv6(host) {
        return Ok(format!("[{address}]"));
    }
    if host.parse::<Ipv6Addr>().is_ok() {
        return Err(format!("an IPv6 address needs brackets: `[{host}]`"));
    }
    if host.starts_with('[') {
        return Err(format!("`{host}` is no IPv6 address"));
    }
    if ends_in_number(host) && host.parse::<Ipv4Addr>().is_err() {
        return Err(format!("`{host}` is no IPv4 address"));
    }
    check_name(host)?;
    Ok(host.to_owned())
}

fn check_name(name: &str) -> Result<(), String> {
    const MAX_NAME: usize = 253;
    const MAX_LABEL: usize = 63;
    if !name.is_ascii() {
        return Err(format!("write `{name}` in its ASCII form, `xn--…`"));
    }
    if name.contains('*') {
        return Err("a `*` stands only for the first labels: `*.example.com`".to_owned());
    }
    if let Some(without_dot) = name.strip_suffix('.') {
        return Err(format!("write it without the last dot: `{without_dot}`"));
    }
    let is_label = |label: &str| {
        (1..=MAX_LABEL).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    if name.len() > MAX_NAME || !name.split('.').all(is_label) {
        return Err(format!("`{name}` is no host name; write a name like example.com"));
    }
    Ok(())
}

fn without_more(text: &str) -> Result<&str, String> {
    match bare_host(text) {
        bare if bare == text => Ok(text),
        bare => Err(format!("write only the host, without scheme, port or path: `{bare}`")),
    }
}

/// The host within what may have been written as a URL or with a port.
fn bare_host(text: &str) -> &str {
    let text = text.split_once("://").map_or(text, |(_, rest)| rest);
    let text = text.split_once(['/', '?', '#']).map_or(text, |(host, _)| host);
    split_port(text).map_or(text, |(host, _)| host)
}

fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    (!host.contains(':') || host.ends_with(']')).then_some((host, port))
}

fn parent(name: &str) -> Option<&str> {
    name.split_once('.').map(|(_, parent)| parent)
}

/// Whether a host can only be an IPv4 address.
fn ends_in_number(host: &str) -> bool {
    let last = host.rsplit_once('.').map_or(host, |(_, last)| last);
    !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit())
}

fn ipv6(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<HostPattern, &str>) {
        match (HostPattern::parse(text), expected) {
            (Ok(pattern), Ok(expected)) => assert_eq!(pattern, expected, "{text}"),
            (Err(what), Err(hint)) => assert!(what.contains(hint), "{text}: {what}"),
            (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
        }
    }

    fn exactly(host: &str) -> Result<HostPattern, &'static str> {
        Ok(HostPattern::Exact(host.to_owned()))
    }

    fn below(name: &str) -> Result<HostPattern, &'static str> {
        Ok(HostPattern::Wildcard(name.to_owned()))
    }

    #[test]
    fn reads_hosts() {
        check("example.com", exactly("example.com"));
        check("Example.COM", exactly("example.com"));
        check("localhost", exactly("localhost"));
        check("a_b.example.com", exactly("a_b.example.com"));
        check("xn--bcher-kva.example", exactly("xn--bcher-kva.example"));
        check("*.Example.com", below("example.com"));
        check("*.com", below("com"));
        check("192.0.2.7", exactly("192.0.2.7"));
        check("[2001:DB8:0::1]", exactly("[2001:db8::1]"));
    }

    #[test]
    fn says_what_would_be_right() {
        check("", Err("leave hosts out"));
        check("*", Err("leave hosts out"));
        check("https://example.com/", Err("path: `example.com`"));
        check("example.com:8080", Err("path: `example.com`"));
        check("[::1]:80", Err("path: `[::1]`"));
        check("example.com/x", Err("path: `example.com`"));
        check("2001:db8::1", Err("`[2001:db8::1]`"));
        check("[::g]", Err("no IPv6 address"));
        check("bücher.example", Err("xn--"));
        check("example.com.", Err("`example.com`"));
        check("*.", Err("no host name"));
        check("*example.com", Err("`*.example.com`"));
        check("a.*.example.com", Err("`*.example.com`"));
        check("*.*.example.com", Err("`*.example.com`"));
        check("*.0.2.7", Err("not an address"));
        check("192.0.2.256", Err("no IPv4 address"));
        check("192.0.2", Err("no IPv4 address"));
        check("a..example.com", Err("no host name"));
        check("a b.example.com", Err("no host name"));
        check("user@example.com", Err("no host name"));
        check(&format!("{}.example", "a".repeat(64)), Err("no host name"));
    }

    #[test]
    fn a_host_to_send_may_have_a_port() {
        assert_eq!(authority("App.internal:8080").as_deref(), Ok("app.internal:8080"));
        assert_eq!(authority("[::1]:80").as_deref(), Ok("[::1]:80"));
        assert_eq!(authority("app").as_deref(), Ok("app"));
        for bad in ["", "a:0", "a:65536", "a:", "a:+1", "{host}", "a\r\nb", "http://a", "::1"] {
            assert!(authority(bad).is_err(), "{bad}");
        }
    }
}
