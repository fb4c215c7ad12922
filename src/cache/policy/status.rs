//! What the cache did, as clients and operators read it: Cache-Status (RFC 9211).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

const FIELD: HeaderName = HeaderName::from_static("cache-status");
/// Which cache it is that speaks.
const NAME: &str = "tidegate";
/// The longest key that is shown; longer ones would be most of a head.
const LONGEST_KEY: usize = 256;

/// Bytes that hold most values, so that each is one allocation.
const USUAL_LENGTH: usize = 64;

/// Why a request went on to the server (§2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(test), expect(dead_code, reason = "some are for slices, which are to come"))]
pub(crate) enum Forward {
    /// The route has no cache, or the request is not for one.
    Bypass,
    /// Its method is not answered by caches.
    Method,
    /// Nothing is stored for its URI.
    UriMiss,
    /// What is stored for its URI is for other requests.
    VaryMiss,
    /// Nothing was found, and why is not known.
    Miss,
    /// What is stored is fresh, yet the request asks for better.
    Request,
    Stale,
    /// A part of what it asks for is stored.
    Partial,
}

impl Forward {
    const fn token(self) -> &'static str {
        match self {
            Forward::Bypass => "bypass",
            Forward::Method => "method",
            Forward::UriMiss => "uri-miss",
            Forward::VaryMiss => "vary-miss",
            Forward::Miss => "miss",
            Forward::Request => "request",
            Forward::Stale => "stale",
            Forward::Partial => "partial",
        }
    }
}

/// Where the answer came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Stored,
    /// The server was asked; its status, if that is not the answer's, as a 304
    /// in whose place a stored response goes.
    Forwarded(Forward, Option<StatusCode>),
}

/// What the cache did for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheStatus<'a> {
    pub source: Source,
    /// Seconds that the answer is fresh for; less than zero if it is stale.
    pub ttl: Option<i64>,
    /// The answer was stored.
    pub stored: bool,
    /// It waited for the answer to another request.
    pub collapsed: bool,
    /// What it is stored under, where that may be told.
    pub key: Option<&'a str>,
    /// A word of ours about it: a token.
    pub detail: Option<&'static str>,
}

impl CacheStatus<'_> {
    pub(crate) fn new(source: Source) -> Self {
        CacheStatus { source, ttl: None, stored: false, collapsed: false, key: None, detail: None }
    }

    /// Adds it to a response, after what caches nearer to the server said (§2).
    pub(crate) fn add_to(&self, response: &mut HeaderMap) {
        let value = HeaderValue::try_from(self.text()).expect("structured fields are ASCII");
        response.append(FIELD, value);
    }

    fn text(&self) -> String {
        let mut text = String::with_capacity(USUAL_LENGTH);
        text.push_str(NAME);
        match self.source {
            Source::Stored => text.push_str("; hit"),
            Source::Forwarded(why, status) => {
                text.extend(["; fwd=", why.token()]);
                if let Some(status) = status {
                    text.extend(["; fwd-status=", status.as_str()]);
                }
            }
        }
        if let Some(ttl) = self.ttl {
            text.extend(["; ttl=", itoa::Buffer::new().format(ttl)]);
        }
        // These two are about a request that went on (§2.4, §2.6).
        if self.source != Source::Stored {
            for (is_so, name) in [(self.stored, "stored"), (self.collapsed, "collapsed")] {
                if is_so {
                    text.extend(["; ", name]);
                }
            }
        }
        if let Some(key) = self.key {
            text.push_str("; key=");
            push_string(&mut text, key);
        }
        if let Some(detail) = self.detail {
            text.extend(["; detail=", detail]);
        }
        text
    }
}

/// Writes a String of structured fields; what cannot stand in one is a `?`.
fn push_string(text: &mut String, said: &str) {
    text.push('"');
    for c in said.chars().take(LONGEST_KEY) {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            ' '..='~' => text.push(c),
            _ => text.push('?'),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: &CacheStatus<'_>, expected: &str) {
        assert_eq!(status.text(), expected);
    }

    #[test]
    fn a_hit_tells_how_long_it_is_fresh() {
        let hit = CacheStatus { ttl: Some(376), ..CacheStatus::new(Source::Stored) };
        check(&hit, "tidegate; hit; ttl=376");
        check(&CacheStatus { ttl: Some(-4), ..hit }, "tidegate; hit; ttl=-4");
        check(&CacheStatus { stored: true, collapsed: true, ..hit }, "tidegate; hit; ttl=376");
    }

    #[test]
    fn what_went_on_tells_why_and_what_came_of_it() {
        let miss = CacheStatus::new(Source::Forwarded(Forward::UriMiss, None));
        check(&miss, "tidegate; fwd=uri-miss");
        check(
            &CacheStatus { stored: true, ttl: Some(60), ..miss },
            "tidegate; fwd=uri-miss; ttl=60; stored",
        );
        check(&CacheStatus { collapsed: true, ..miss }, "tidegate; fwd=uri-miss; collapsed");
        let stale = Source::Forwarded(Forward::Stale, Some(StatusCode::NOT_MODIFIED));
        check(&CacheStatus::new(stale), "tidegate; fwd=stale; fwd-status=304");
        for (why, word) in [
            (Forward::Bypass, "bypass"),
            (Forward::Method, "method"),
            (Forward::VaryMiss, "vary-miss"),
            (Forward::Miss, "miss"),
            (Forward::Request, "request"),
            (Forward::Partial, "partial"),
        ] {
            let status = CacheStatus::new(Source::Forwarded(why, None));
            check(&status, &format!("tidegate; fwd={word}"));
        }
    }

    #[test]
    fn details_are_words_and_keys_are_quoted() {
        let hit = CacheStatus::new(Source::Stored);
        check(&CacheStatus { detail: Some("memory"), ..hit }, "tidegate; hit; detail=memory");
        let key = "https://example.com/\"a\\é";
        check(
            &CacheStatus { key: Some(key), ..hit },
            "tidegate; hit; key=\"https://example.com/\\\"a\\\\?\"",
        );
        let long = "x".repeat(LONGEST_KEY + 1);
        let shown = CacheStatus { key: Some(&long), ..hit }.text();
        assert_eq!(shown.len(), "tidegate; hit; key=\"\"".len() + LONGEST_KEY);
    }

    #[test]
    fn it_comes_after_what_other_caches_said() {
        let mut response = HeaderMap::from_iter([(FIELD, HeaderValue::from_static("far; hit"))]);
        CacheStatus::new(Source::Stored).add_to(&mut response);
        let lines: Vec<_> = response.get_all(FIELD).iter().collect();
        assert_eq!(lines, ["far; hit", "tidegate; hit"]);
    }
}
