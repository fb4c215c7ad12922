//! How the server is asked whether a stored response is good still, and which
//! stored response its answer is about (RFC 9111 §4.3.1, §4.3.4).

use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, PROXY_AUTHORIZATION, RANGE,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::dates;
use super::etag::{Tag, matches_strongly, matches_weakly};
use tidegate_store::Moment;

/// What of a client's request is about its own copy, not about ours.
const OF_THE_CLIENT: [HeaderName; 6] =
    [IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE, IF_RANGE, RANGE];

/// Makes a request ask for the whole of a new response.
pub(crate) fn ask_for_all(request: &mut HeaderMap) {
    for name in &OF_THE_CLIENT {
        request.remove(name);
    }
}

/// Makes a request ask whether the stored response is good still; without a
/// validator it asks for all. `now` is when that is.
pub(crate) fn ask_about(request: &mut HeaderMap, stored: &HeaderMap, now: Moment) {
    ask_for_all(request);
    if let Some(tag) = stored.get(ETAG).filter(|tag| Tag::read(tag.as_bytes()).is_some()) {
        request.insert(IF_NONE_MATCH, tag.clone());
    }
    // As it was sent (RFC 9110 §13.1.3), yet only what servers can read.
    let modified = stored.get(LAST_MODIFIED);
    if let Some(date) = modified.filter(|date| dates::parse(date.as_bytes(), now).is_some()) {
        request.insert(IF_MODIFIED_SINCE, date.clone());
    }
}

/// Takes from a copy of a client's request who that client is, before the copy
/// is sent for everybody: fields that the response depends on stay.
pub(crate) fn make_anonymous(request: &mut HeaderMap, vary: &[HeaderName]) {
    for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION] {
        if !vary.contains(&name) {
            request.remove(name);
        }
    }
}

/// Fields by which some servers take a request for another one than its line says.
const OVERRIDES: [HeaderName; 8] = [
    HeaderName::from_static("x-http-method-override"),
    HeaderName::from_static("x-http-method"),
    HeaderName::from_static("x-method-override"),
    HeaderName::from_static("x-original-url"),
    HeaderName::from_static("x-original-uri"),
    HeaderName::from_static("x-rewrite-url"),
    HeaderName::from_static("x-original-host"),
    HeaderName::from_static("x-host"),
];

/// Takes from a request what would make it one that its key does not name; fields
/// that are in the key stay.
pub(crate) fn make_literal(request: &mut HeaderMap, keyed: &[HeaderName]) {
    for name in OVERRIDES.iter().filter(|name| !keyed.contains(name)) {
        request.remove(name);
    }
}

/// Whether a 304 is about this stored response (§4.3.4). One without
/// validators is about what we asked about.
pub(crate) fn is_about(not_modified: &HeaderMap, stored: &HeaderMap) -> bool {
    match (not_modified.get(ETAG), stored.get(ETAG)) {
        (Some(new), Some(old)) => matches_weakly(new.as_bytes(), old.as_bytes()),
        // What had no tag when we asked cannot have been found by one.
        (Some(new), None) => Tag::read(new.as_bytes()).is_none_or(|tag| tag.is_weak),
        (None, _) => {
            let (new, old) = (not_modified.get(LAST_MODIFIED), stored.get(LAST_MODIFIED));
            new.is_none() || old.is_none() || new == old
        }
    }
}

/// What the answer to a HEAD says about a stored response (§4.3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Head {
    /// It is good still, with the fields of the answer.
    Updates,
    /// It is stale.
    Outdates,
    Nothing,
}

/// Judges a stored response by the answer to a HEAD for its URI.
pub(crate) fn by_head(status: StatusCode, head: &HeaderMap, stored: &HeaderMap) -> Head {
    match status.as_u16() {
        200 if is_same(head, stored) => Head::Updates,
        // What is gone was deleted.
        200 | 404 | 410 => Head::Outdates,
        _ => Head::Nothing,
    }
}

/// Validators and length that both have are equal.
fn is_same(head: &HeaderMap, stored: &HeaderMap) -> bool {
    let is_equal = |name: &HeaderName| match (head.get(name), stored.get(name)) {
        (Some(new), Some(old)) => new == old,
        _ => true,
    };
    let has_same_tag = match (head.get(ETAG), stored.get(ETAG)) {
        (Some(new), Some(old)) => new == old || matches_strongly(new.as_bytes(), old.as_bytes()),
        _ => true,
    };
    has_same_tag && is_equal(&LAST_MODIFIED) && is_equal(&CONTENT_LENGTH)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const NOW: Moment = Moment::from_millis(784_111_777_000);
    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    fn check_ask(
        stored: &[(&'static str, &'static str)],
        expected: &[(&'static str, &'static str)],
    ) {
        let mut request = headers(&[
            ("if-match", "\"x\""),
            ("if-none-match", "\"x\""),
            ("if-modified-since", DATE),
            ("if-unmodified-since", DATE),
            ("if-range", "\"x\""),
            ("range", "bytes=0-1"),
            ("accept", "x"),
        ]);
        ask_about(&mut request, &headers(stored), NOW);
        let mut expected = headers(expected);
        expected.insert("accept", HeaderValue::from_static("x"));
        assert_eq!(request, expected, "{stored:?}");
    }

    #[test]
    fn a_server_is_asked_by_every_validator_there_is() {
        check_ask(
            &[("etag", "\"a\""), ("last-modified", DATE)],
            &[("if-none-match", "\"a\""), ("if-modified-since", DATE)],
        );
        check_ask(&[("etag", "W/\"a\"")], &[("if-none-match", "W/\"a\"")]);
        check_ask(&[("last-modified", DATE)], &[("if-modified-since", DATE)]);
    }

    #[test]
    fn what_no_server_can_read_is_not_sent() {
        check_ask(&[("etag", "a"), ("last-modified", "yesterday")], &[]);
        check_ask(&[], &[]);
    }

    #[test]
    fn a_304_is_about_the_response_that_it_names() {
        let about = |new: &[(&'static str, &'static str)], old: &[(&'static str, &'static str)]| {
            is_about(&headers(new), &headers(old))
        };
        let (a, b, weak) = (("etag", "\"a\""), ("etag", "\"b\""), ("etag", "W/\"a\""));
        let (date, other) = (("last-modified", DATE), ("last-modified", "x"));
        assert!(about(&[a], &[a]) && about(&[weak], &[a]) && about(&[a], &[weak]));
        assert!(!about(&[b], &[a]));
        assert!(!about(&[a], &[date]), "a strong tag that we never had");
        assert!(about(&[weak], &[date]));
        assert!(about(&[], &[a]) && about(&[], &[date]) && about(&[date], &[date]));
        assert!(!about(&[other], &[date]));
        assert!(about(&[a, other], &[a, date]), "the tag outranks the date");
    }

    #[test]
    fn a_head_is_of_the_same_if_nothing_differs() {
        let stored =
            headers(&[("etag", "\"a\""), ("last-modified", DATE), ("content-length", "3")]);
        for (fields, expected) in [
            (&[][..], true),
            (&[("etag", "\"a\""), ("content-length", "3")], true),
            (&[("etag", "\"b\"")], false),
            (&[("etag", "W/\"a\"")], false),
            (&[("last-modified", "x")], false),
            (&[("content-length", "4")], false),
            (&[("x", "y")], true),
        ] {
            let verdict = if expected { Head::Updates } else { Head::Outdates };
            let found = by_head(StatusCode::OK, &headers(fields), &stored);
            assert_eq!(found, verdict, "{fields:?}");
        }
        let by_status = |status| {
            let status = StatusCode::from_u16(status).expect("a status");
            by_head(status, &HeaderMap::new(), &stored)
        };
        assert_eq!((by_status(410), by_status(404)), (Head::Outdates, Head::Outdates));
        assert_eq!((by_status(503), by_status(302)), (Head::Nothing, Head::Nothing));
    }

    #[test]
    fn what_is_fetched_for_everybody_is_asked_for_by_nobody() {
        let all = headers(&[("authorization", "x"), ("cookie", "a=1"), ("accept", "x")]);
        let mut request = all.clone();
        make_anonymous(&mut request, &[]);
        assert_eq!(request, headers(&[("accept", "x")]));
        let mut request = all;
        make_anonymous(&mut request, &[COOKIE]);
        assert_eq!(request, headers(&[("cookie", "a=1"), ("accept", "x")]));
    }
}
