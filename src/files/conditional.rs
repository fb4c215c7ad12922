//! Whether a client needs what it asks for (RFC 9110 §13).

use std::time::SystemTime;

use http::header::{IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE};
use http::{HeaderMap, HeaderName, HeaderValue};

/// What tells this version of a file from every other.
#[derive(Debug, Clone)]
pub(super) struct Validators {
    /// A strong entity tag: starts with a quote.
    pub etag: HeaderValue,
    /// In whole seconds, as HTTP writes time.
    pub modified: SystemTime,
}

/// What the conditions of a GET or HEAD ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    NotModified,
    Failed,
}

/// Judges the conditions of a request in the order of RFC 9110 §13.2.2.
pub(super) fn judge(request: &HeaderMap, current: &Validators) -> Verdict {
    if request.contains_key(IF_MATCH) {
        if !names(request, IF_MATCH, |tag| tag.is_strong && current.etag == tag.opaque) {
            return Verdict::Failed;
        }
    } else if let Some(since) = date(request, IF_UNMODIFIED_SINCE)
        && current.modified > since
    {
        return Verdict::Failed;
    }
    if request.contains_key(IF_NONE_MATCH) {
        if names(request, IF_NONE_MATCH, |tag| current.etag == tag.opaque) {
            return Verdict::NotModified;
        }
    } else if let Some(since) = date(request, IF_MODIFIED_SINCE)
        && current.modified <= since
    {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Whether a Range counts: the client's part is of this very version.
///
/// Tags compare strongly, and a date must be the Last-Modified that we sent.
pub(super) fn is_range_current(request: &HeaderMap, current: &Validators) -> bool {
    let Some(value) = request.get(IF_RANGE) else {
        return true;
    };
    value == current.etag || date(request, IF_RANGE) == Some(current.modified)
}

/// An entity tag with its quotes.
struct Tag<'a> {
    is_strong: bool,
    opaque: &'a str,
}

/// The entity tags of a list, up to the first thing that is none.
struct Tags<'a>(&'a str);

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Tag<'a>> {
        let rest = self.0.trim_start_matches([' ', '\t', ',']);
        let (is_strong, rest) = match rest.strip_prefix("W/") {
            Some(rest) => (false, rest),
            None => (true, rest),
        };
        let closing = rest.strip_prefix('"')?.find('"')? + 1;
        let (opaque, rest) = rest.split_at_checked(closing + 1)?;
        self.0 = rest;
        Some(Tag { is_strong, opaque })
    }
}

/// Whether a list of tags has one that matches, or is `*`: any version.
fn names(request: &HeaderMap, field: HeaderName, matches: impl Fn(&Tag<'_>) -> bool) -> bool {
    let mut lines = request.get_all(field).into_iter().filter_map(|line| line.to_str().ok());
    lines.any(|line| line.trim() == "*" || Tags(line).any(|tag| matches(&tag)))
}

/// The date in a field; `None` where it does not read, as RFC 9110 asks.
fn date(request: &HeaderMap, field: HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(request.get(field)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn current() -> Validators {
        let modified = httpdate::parse_http_date(NOW).expect("a date");
        Validators { etag: HeaderValue::from_static("\"a\""), modified }
    }

    fn request(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect()
    }

    fn check(fields: &[(HeaderName, &'static str)], expected: Verdict) {
        assert_eq!(judge(&request(fields), &current()), expected, "{fields:?}");
    }

    #[test]
    fn if_none_match_compares_weakly() {
        check(&[], Verdict::Send);
        check(&[(IF_NONE_MATCH, "\"a\"")], Verdict::NotModified);
        check(&[(IF_NONE_MATCH, "W/\"a\"")], Verdict::NotModified);
        check(&[(IF_NONE_MATCH, "\"x\", W/\"y,\",\"a\"")], Verdict::NotModified);
        check(&[(IF_NONE_MATCH, "*")], Verdict::NotModified);
        check(&[(IF_NONE_MATCH, "\"b\"")], Verdict::Send);
        check(&[(IF_NONE_MATCH, "a")], Verdict::Send);
        check(&[(IF_NONE_MATCH, "\"a")], Verdict::Send);
        check(&[(IF_NONE_MATCH, "")], Verdict::Send);
    }

    #[test]
    fn if_match_compares_strongly() {
        check(&[(IF_MATCH, "\"a\"")], Verdict::Send);
        check(&[(IF_MATCH, "\"b\", \"a\"")], Verdict::Send);
        check(&[(IF_MATCH, "*")], Verdict::Send);
        check(&[(IF_MATCH, "W/\"a\"")], Verdict::Failed);
        check(&[(IF_MATCH, "\"b\"")], Verdict::Failed);
        check(&[(IF_MATCH, "nonsense")], Verdict::Failed);
    }

    #[test]
    fn dates_compare_by_the_second() {
        check(&[(IF_MODIFIED_SINCE, NOW)], Verdict::NotModified);
        check(&[(IF_MODIFIED_SINCE, AFTER)], Verdict::NotModified);
        check(&[(IF_MODIFIED_SINCE, BEFORE)], Verdict::Send);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], Verdict::Send);
        check(&[(IF_UNMODIFIED_SINCE, NOW)], Verdict::Send);
        check(&[(IF_UNMODIFIED_SINCE, BEFORE)], Verdict::Failed);
        check(&[(IF_UNMODIFIED_SINCE, "yesterday")], Verdict::Send);
    }

    #[test]
    fn tags_outrank_dates_and_if_match_comes_first() {
        check(&[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, AFTER)], Verdict::Send);
        check(&[(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)], Verdict::Send);
        check(&[(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], Verdict::Failed);
        check(&[(IF_MATCH, "\"a\""), (IF_NONE_MATCH, "\"a\"")], Verdict::NotModified);
        check(&[(IF_UNMODIFIED_SINCE, BEFORE), (IF_NONE_MATCH, "*")], Verdict::Failed);
    }

    #[test]
    fn if_range_needs_this_very_version() {
        for (value, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            (NOW, true),
            (AFTER, false),
            (BEFORE, false),
            ("", false),
        ] {
            let request = request(&[(IF_RANGE, value)]);
            assert_eq!(is_range_current(&request, &current()), expected, "{value}");
        }
        assert!(is_range_current(&HeaderMap::new(), &current()));
    }
}
