//! What a stored response becomes when its server says that it is good still
//! (RFC 9111 §3.2, §4.3.4, §4.3.5).

use http::header::{AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, SET_COOKIE};
use http::{HeaderMap, HeaderName, Method};

use super::conditional::Stored;
use super::dates;
use super::rules::{Rules, Strictness};
use super::storable::Unstored;
use super::strip::{is_of_the_way, nominated};
use super::terms::{Answer, Terms, judge};
use tidegate_store::Moment;

/// Fields that tell how to read the stored body: a 304 has no other body for them.
const OF_THE_BODY: [HeaderName; 3] = [CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE];

/// A stored response after its server was asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refreshed {
    pub headers: HeaderMap,
    /// Whether it may be kept, and for what: a 304 may say `no-store`.
    pub terms: Result<Terms, Unstored>,
}

/// Joins a stored response with the 304 about it, or with the answer to a HEAD
/// for the same representation; `request` was the client's.
pub(crate) fn refreshed(
    stored: &Stored<'_>,
    request: &HeaderMap,
    update: Answer<'_>,
    rules: &Rules,
) -> Refreshed {
    let mut headers = merged(stored.headers, update.headers, update.received, rules);
    // It is as old as the answer about it.
    if let Some(age) = update.headers.get(AGE) {
        headers.insert(AGE, age.clone());
    }
    let answer = Answer { status: stored.status, headers: &headers, ..update };
    let terms = judge(&Method::GET, request, answer, rules);
    headers.remove(AGE);
    Refreshed { headers, terms }
}

/// The stored fields with those of the update in place of their namesakes.
fn merged(stored: &HeaderMap, update: &HeaderMap, received: Moment, rules: &Rules) -> HeaderMap {
    let mut merged = stored.clone();
    let nominated = nominated(update);
    // A cookie in a 304 is for who asked; stored, it would be for everybody.
    let is_safe = rules.strictness == Strictness::Safe;
    let is_kept_out = |name: &HeaderName| {
        OF_THE_BODY.contains(name)
            || *name == AGE
            || is_of_the_way(name, &nominated)
            || is_safe && *name == SET_COOKIE
            || *name == ETAG && loses_strength(stored, update)
    };
    for name in update.keys().filter(|name| !is_kept_out(name)) {
        merged.remove(name);
        for value in update.get_all(name) {
            merged.append(name.clone(), value.clone());
        }
    }
    // The date it had would make it as old as it was.
    if dates::field(update, &DATE, received).is_none() {
        merged.insert(DATE, dates::write(received));
    }
    merged
}

/// The tag is the one we have, but weak: ranges could not be joined any more.
fn loses_strength(stored: &HeaderMap, update: &HeaderMap) -> bool {
    let (Some(old), Some(new)) = (stored.get(ETAG), update.get(ETAG)) else { return false };
    new.as_bytes().strip_prefix(b"W/") == Some(old.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderValue, StatusCode};

    use super::*;

    const RECEIVED: Moment = Moment::from_millis(784_111_777_000);
    const NOW: (&str, &str) = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name: HeaderName = name.parse().expect("a name");
            headers.append(name, HeaderValue::from_str(value).expect("a value"));
        }
        headers
    }

    fn check(stored: &[(&str, &str)], update: &[(&str, &str)], expected: &[(&str, &str)]) {
        let merged = merged(&headers(stored), &headers(update), RECEIVED, &Rules::default());
        assert_eq!(merged, headers(expected), "{stored:?} {update:?}");
    }

    #[test]
    fn every_field_of_a_304_replaces_its_namesakes() {
        for name in [
            "cache-control",
            "clear-site-data",
            "content-foo",
            "content-location",
            "content-security-policy",
            "content-type",
            "etag",
            "expires",
            "last-modified",
            "surrogate-key",
            "vary",
            "x-frame-options",
            "x-test",
        ] {
            check(&[NOW, (name, "1")], &[NOW, (name, "2")], &[NOW, (name, "2")]);
            check(&[NOW], &[NOW, (name, "2")], &[NOW, (name, "2")]);
            check(&[NOW, (name, "1")], &[NOW], &[NOW, (name, "1")]);
        }
        check(
            &[NOW, ("x-a", "1"), ("x-a", "2"), ("x-b", "1")],
            &[NOW, ("x-a", "3"), ("x-a", "4")],
            &[NOW, ("x-a", "3"), ("x-a", "4"), ("x-b", "1")],
        );
    }

    #[test]
    fn what_the_body_is_stays_as_it_was() {
        for name in ["content-length", "content-encoding", "content-range"] {
            check(&[NOW, (name, "1")], &[NOW, (name, "2")], &[NOW, (name, "1")]);
            check(&[NOW], &[NOW, (name, "2")], &[NOW]);
        }
    }

    #[test]
    fn what_is_about_the_way_is_not_merged() {
        let update = [NOW, ("connection", "X-A"), ("x-a", "2"), ("keep-alive", "1"), ("age", "5")];
        check(&[NOW, ("x-a", "1")], &update, &[NOW, ("x-a", "1")]);
        check(&[NOW], &[NOW, ("transfer-encoding", "chunked"), ("te", "x")], &[NOW]);
    }

    #[test]
    fn a_304_dates_the_response_anew() {
        let old = ("date", "Sun, 06 Nov 1994 08:00:00 GMT");
        check(&[old], &[], &[NOW]);
        check(&[old], &[("date", "nonsense")], &[NOW]);
        let own = ("date", "Sun, 06 Nov 1994 08:49:30 GMT");
        check(&[old], &[own], &[own]);
    }

    #[test]
    fn a_cookie_of_a_304_is_for_who_asked() {
        let cookie = ("set-cookie", "a=2");
        check(&[NOW], &[NOW, cookie], &[NOW]);
        let rfc = Rules { strictness: Strictness::Rfc, ..Rules::default() };
        let merged = merged(&headers(&[NOW]), &headers(&[NOW, cookie]), RECEIVED, &rfc);
        assert_eq!(merged, headers(&[NOW, cookie]));
    }

    /// What a 304 makes of a response that was stored a minute ago.
    fn refresh(stored: &[(&str, &str)], update: &[(&str, &str)], rules: &Rules) -> Refreshed {
        let minute = Duration::from_secs(60);
        let (stored, update) = (headers(stored), headers(update));
        let received = RECEIVED.before(minute);
        let stored = Stored { status: StatusCode::NOT_FOUND, headers: &stored, received };
        let status = StatusCode::NOT_MODIFIED;
        let update = Answer { status, headers: &update, asked: RECEIVED, received: RECEIVED };
        refreshed(&stored, &HeaderMap::new(), update, rules)
    }

    #[test]
    fn a_304_makes_a_response_as_young_as_itself() {
        let old = ("date", "Sun, 06 Nov 1994 08:48:37 GMT");
        let stored = [old, ("cache-control", "max-age=30"), ("etag", "\"a\"")];
        let ttl = |update: &[(&str, &str)]| {
            let refreshed = refresh(&stored, update, &Rules::default());
            assert!(!refreshed.headers.contains_key(AGE));
            refreshed.terms.expect("stored").ttl(RECEIVED)
        };
        assert_eq!(ttl(&[]), 30);
        assert_eq!(ttl(&[NOW]), 30);
        assert_eq!(ttl(&[NOW, ("age", "10")]), 20);
        assert_eq!(ttl(&[NOW, ("cache-control", "max-age=99")]), 99);
        assert_eq!(ttl(&[NOW, ("cdn-cache-control", "max-age=98")]), 98);
    }

    #[test]
    fn a_304_may_end_the_storing_of_a_response() {
        let stored = [NOW, ("cache-control", "max-age=30"), ("etag", "\"a\"")];
        for (field, why) in [
            (("cache-control", "no-store"), Unstored::NoStore),
            (("cache-control", "private"), Unstored::Private),
            (("vary", "*"), Unstored::Vary),
        ] {
            let refreshed = refresh(&stored, &[NOW, field], &Rules::default());
            assert_eq!(refreshed.terms, Err(why), "{field:?}");
        }
    }

    #[test]
    fn a_tag_does_not_lose_its_strength() {
        check(&[NOW, ("etag", "\"a\"")], &[NOW, ("etag", "W/\"a\"")], &[NOW, ("etag", "\"a\"")]);
        check(&[NOW, ("etag", "W/\"a\"")], &[NOW, ("etag", "\"a\"")], &[NOW, ("etag", "\"a\"")]);
    }
}
