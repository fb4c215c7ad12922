//! What a stored response is for, as purges find it.

use super::key::Shape;
use super::target::{Scheme, Target};
use crate::networks::push_port;

/// A host and what is asked of it: all variants of a response share it, and those
/// of both schemes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    scheme: Scheme,
    port: u16,
    // `host[:port]/path?query`, the port where it is not that of the scheme.
    subject: String,
    // Where the path begins in it.
    path_at: usize,
}

impl Place {
    /// The place of a target whose query counts as `shape` says.
    pub(crate) fn new(target: &Target<'_>, shape: &Shape) -> Self {
        let mut subject = String::with_capacity(96);
        subject.push_str(target.host);
        let port = target.port();
        if port != (Target { port: None, ..*target }).port() {
            push_port(&mut subject, port);
        }
        let path_at = subject.len();
        subject.push_str(target.path);
        if let Some(query) = shape.query.kept(target.query, &[]) {
            subject.push('?');
            subject.push_str(&query);
        }
        Place { scheme: target.scheme, port, subject, path_at }
    }

    pub(crate) fn subject(&self) -> &[u8] {
        self.subject.as_bytes()
    }

    /// The host, and the port if it is not that of the scheme: what all ways of writing it mean.
    pub(crate) fn authority(&self) -> String {
        self.subject.split_at(self.path_at).0.to_owned()
    }

    /// `https://example.com:443`: the site that the response is of.
    pub(crate) fn origin(&self) -> String {
        let (host, _) = self.subject.split_at(self.path_at);
        let end = format!(":{}", self.port);
        let host = host.strip_suffix(&end).unwrap_or(host);
        format!("{}://{host}{end}", self.scheme.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &Target<'_>, subject: &str, origin: &str) {
        let place = Place::new(target, &Shape::default());
        assert_eq!(place.subject(), subject.as_bytes());
        assert_eq!(place.authority(), subject.split('/').next().unwrap_or_default());
        assert_eq!(place.origin(), origin);
    }

    #[test]
    fn a_place_is_a_host_and_what_is_asked_of_it() {
        let target = Target {
            scheme: Scheme::Https,
            host: "a.example",
            port: None,
            path: "/b",
            query: Some("c=d"),
        };
        check(&target, "a.example/b?c=d", "https://a.example:443");
        let same = Target { port: Some(443), query: None, ..target };
        check(&same, "a.example/b", "https://a.example:443");
        let other = Target { port: Some(80), ..same };
        check(&other, "a.example:80/b", "https://a.example:80");
        let plain = Target { scheme: Scheme::Http, host: "[::1]", ..same };
        check(&plain, "[::1]:443/b", "http://[::1]:443");
    }
}
