//! The URI that a request is for, as the cache knows it.

use std::fmt;

/// How a client came: the two are two sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    fn find(name: &str) -> Option<Self> {
        [Scheme::Http, Scheme::Https]
            .into_iter()
            .find(|scheme| scheme.name().eq_ignore_ascii_case(name))
    }
}

/// A URI in its normal form, in parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub scheme: Scheme,
    /// In lower case, without a port.
    pub host: &'a str,
    /// The port that the client wrote; the scheme's, if it wrote none.
    pub port: Option<u16>,
    /// It starts with `/`.
    pub path: &'a str,
    /// As written, without `?`.
    pub query: Option<&'a str>,
}

impl Target<'_> {
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or_else(|| self.scheme.port())
    }

    /// `https://example.com:443`: the site that may speak for this URI (RFC 9110 §4.3.1).
    pub(crate) fn origin(&self) -> String {
        format!("{}://{}:{}", self.scheme.name(), self.host, self.port())
    }

    /// What a reference in a response leads to, if that is of the same origin:
    /// path and query, as yet with the dots in the path (RFC 3986 §5.2.2).
    pub(super) fn follow(&self, reference: &str) -> Option<String> {
        let reference = reference.trim().split('#').next().unwrap_or_default();
        let rest = match with_scheme(reference) {
            Some((scheme, rest)) => {
                Scheme::find(scheme).filter(|scheme| *scheme == self.scheme)?;
                // `https:path` is of no use to anybody.
                rest.starts_with("//").then_some(rest)?
            }
            None => reference,
        };
        if let Some(rest) = rest.strip_prefix("//") {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let (authority, rest) = rest.split_at(end);
            self.is_at(authority).then_some(())?;
            let slash = if rest.starts_with('/') { "" } else { "/" };
            return Some(format!("{slash}{rest}"));
        }
        Some(match rest.chars().next() {
            None => self.to_string(),
            Some('/') => rest.to_owned(),
            Some('?') => format!("{}{rest}", self.path),
            Some(_) => {
                let folder = self.path.rfind('/').and_then(|end| self.path.get(..=end));
                format!("{}{rest}", folder.unwrap_or("/"))
            }
        })
    }

    fn is_at(&self, authority: &str) -> bool {
        let authority = authority.rsplit('@').next().unwrap_or_default();
        let colon =
            authority.rfind(':').filter(|colon| !authority.split_at(*colon).1.contains(']'));
        let (host, port) = match colon {
            Some(colon) => authority.split_at(colon),
            None => (authority, ""),
        };
        let port = match port.trim_start_matches(':') {
            "" => Some(self.scheme.port()),
            port => port.parse().ok(),
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        host.eq_ignore_ascii_case(self.host) && port == Some(self.port())
    }
}

/// The path, and the query after `?`.
impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.path)?;
        match self.query {
            Some(query) => write!(f, "?{query}"),
            None => Ok(()),
        }
    }
}

/// The scheme of an absolute reference, and the rest of that.
fn with_scheme(reference: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = reference.split_once(':')?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target<'_> = Target {
        scheme: Scheme::Https,
        host: "example.com",
        port: None,
        path: "/a/b",
        query: Some("c=d"),
    };

    fn check(reference: &str, expected: Option<&str>) {
        assert_eq!(TARGET.follow(reference).as_deref(), expected, "{reference}");
    }

    #[test]
    fn references_lead_to_where_rfc_3986_says() {
        for (reference, expected) in [
            ("/x", "/x"),
            ("/x?y#z", "/x?y"),
            ("x", "/a/x"),
            ("../x", "/a/../x"),
            ("./x:y", "/a/./x:y"),
            ("?y", "/a/b?y"),
            ("", "/a/b?c=d"),
            ("#z", "/a/b?c=d"),
            (" /x ", "/x"),
            ("https://example.com/x", "/x"),
            ("HTTPS://EXAMPLE.com:443/x?y", "/x?y"),
            ("https://example.com", "/"),
            ("https://example.com?y", "/?y"),
            ("https://me@example.com./x", "/x"),
            ("//example.com/x", "/x"),
            ("//example.com:/x", "/x"),
        ] {
            check(reference, Some(expected));
        }
    }

    #[test]
    fn references_to_other_origins_lead_nowhere() {
        for reference in [
            "http://example.com/x",
            "https://example.com:8443/x",
            "https://other.com/x",
            "https://example.com.other/x",
            "//other.com/x",
            "//example.com@other.com/x",
            "mailto:x@example.com",
            "https:x",
            "https://example.com:x/x",
            "https://[::1]/x",
        ] {
            check(reference, None);
        }
    }

    #[test]
    fn an_origin_has_its_port() {
        assert_eq!(TARGET.origin(), "https://example.com:443");
        let other = Target { scheme: Scheme::Http, host: "[::1]", port: Some(8080), ..TARGET };
        assert_eq!(other.origin(), "http://[::1]:8080");
        assert_eq!(other.follow("http://[::1]:8080/x").as_deref(), Some("/x"));
        assert_eq!(other.follow("http://[::1]/x"), None);
    }
}
