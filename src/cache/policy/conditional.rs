//! Whether a client needs the stored response that is the answer to it
//! (RFC 9110 §13, RFC 9111 §4.3.2).

use http::header::{
    DATE, ETAG, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, StatusCode};

use super::etag::{Tag, matches_strongly, tags};
use super::{age, dates};
use tidegate_store::Moment;

/// A date is a strong validator only if it is that much older than the
/// response: two versions in the same second have one date (RFC 9110 §8.8.2.2).
const STRONG_AFTER_MS: u64 = 1_000;

/// What the conditions of a GET or HEAD ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needed {
    Send,
    NotModified,
    /// The client wants another version than the stored one. Whether there is
    /// one only the server knows: it is to be asked (RFC 9111 §4.3.2).
    Another,
}

/// A stored response that a client could get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stored<'a> {
    pub status: StatusCode,
    pub headers: &'a HeaderMap,
    /// When its head came.
    pub received: Moment,
}

impl Stored<'_> {
    /// Judges the conditions of a request in the order of RFC 9110 §13.2.2.
    pub(crate) fn needed_by(self, request: &HeaderMap, now: Moment) -> Needed {
        // What is no success has no versions to choose from (§13.2.1).
        if !self.status.is_success() {
            return Needed::Send;
        }
        let date = |name: &HeaderName| dates::field(request, name, now);
        if request.contains_key(IF_MATCH) {
            if !self.is_named(request, &IF_MATCH, |tag, stored| !tag.is_weak && tag == stored) {
                return Needed::Another;
            }
        } else if date(&IF_UNMODIFIED_SINCE).is_some_and(|since| self.modified() > since) {
            return Needed::Another;
        }
        if request.contains_key(IF_NONE_MATCH) {
            if self.is_named(request, &IF_NONE_MATCH, |tag, stored| tag.opaque == stored.opaque) {
                return Needed::NotModified;
            }
        } else if date(&IF_MODIFIED_SINCE).is_some_and(|since| self.modified() <= since) {
            return Needed::NotModified;
        }
        Needed::Send
    }

    /// Whether a Range counts: the client's part is of this very version.
    /// Tags compare strongly, dates exactly (§13.1.5).
    pub(crate) fn continues(self, request: &HeaderMap, now: Moment) -> bool {
        let Some(condition) = request.get(IF_RANGE).map(http::HeaderValue::as_bytes) else {
            return true;
        };
        if let Some(tag) = self.headers.get(ETAG)
            && matches_strongly(condition, tag.as_bytes())
        {
            return true;
        }
        let modified = dates::field(self.headers, &LAST_MODIFIED, now);
        let is_strong = modified.is_some_and(|modified| {
            let made = dates::field(self.headers, &DATE, now);
            made.is_some_and(|made| made.millis() >= modified.millis() + STRONG_AFTER_MS)
        });
        is_strong && dates::parse(condition, now) == modified
    }

    /// When it last changed; if that is not known, when it was made.
    fn modified(self) -> Moment {
        let modified = dates::field(self.headers, &LAST_MODIFIED, self.received);
        modified.unwrap_or_else(|| age::made_at(self.headers, self.received))
    }

    /// Whether a list of tags has one that matches ours, or is `*`: any version.
    fn is_named(
        self,
        request: &HeaderMap,
        field: &HeaderName,
        matches: impl Fn(&Tag<'_>, &Tag<'_>) -> bool,
    ) -> bool {
        let written = self.headers.get(ETAG).map(|tag| tag.as_bytes().trim_ascii());
        let stored = written.and_then(Tag::read);
        request.get_all(field).into_iter().map(|line| line.as_bytes().trim_ascii()).any(|line| {
            // A tag without quotes is none, yet servers send it and clients send it back.
            let is_sent_back = *field == IF_NONE_MATCH && stored.is_none() && written == Some(line);
            line == b"*"
                || is_sent_back
                || stored.is_some_and(|stored| tags(line).any(|tag| matches(&tag, &stored)))
        })
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const SAME: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    /// A minute after that.
    const RECEIVED: Moment = Moment::from_millis(784_111_837_000);

    type Fields<'a> = &'a [(HeaderName, &'static str)];

    fn headers(fields: Fields<'_>) -> HeaderMap {
        fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect()
    }

    fn check_with(status: u16, stored: Fields<'_>, request: Fields<'_>, expected: Needed) {
        let status = StatusCode::from_u16(status).expect("a status");
        let stored_headers = headers(stored);
        let response = Stored { status, headers: &stored_headers, received: RECEIVED };
        let found = response.needed_by(&headers(request), RECEIVED);
        assert_eq!(found, expected, "{stored:?} {request:?}");
    }

    /// Of a response with a strong tag and a date.
    fn check(request: Fields<'_>, expected: Needed) {
        check_with(200, &[(ETAG, "\"a\""), (LAST_MODIFIED, SAME)], request, expected);
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for same in [
            "\"a\"",
            "W/\"a\"",
            "\"x\", \"a\"",
            "\"a\", \"x\"",
            "\"x\",W/\"y,\" , \"a\",\"z\"",
            "*",
        ] {
            check(&[(IF_NONE_MATCH, same)], Needed::NotModified);
            let weak = [(ETAG, "W/\"a\"")];
            check_with(200, &weak, &[(IF_NONE_MATCH, same)], Needed::NotModified);
        }
        for other in ["\"b\"", "a", "\"a", "w/\"a\"", "", "\"A\""] {
            check(&[(IF_NONE_MATCH, other)], Needed::Send);
        }
        check(&[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, "\"a\"")], Needed::NotModified);
        check_with(200, &[], &[(IF_NONE_MATCH, "\"a\"")], Needed::Send);
        check_with(200, &[(ETAG, "a")], &[(IF_NONE_MATCH, "a")], Needed::NotModified);
        check_with(200, &[(ETAG, "a")], &[(IF_NONE_MATCH, "\"a\"")], Needed::Send);
    }

    #[test]
    fn if_match_compares_strongly() {
        for same in ["\"a\"", "\"b\", \"a\"", "*"] {
            check(&[(IF_MATCH, same)], Needed::Send);
        }
        for other in ["W/\"a\"", "\"b\"", "a", ""] {
            check(&[(IF_MATCH, other)], Needed::Another);
        }
        let weak = [(ETAG, "W/\"a\"")];
        check_with(200, &weak, &[(IF_MATCH, "W/\"a\"")], Needed::Another);
        check_with(200, &weak, &[(IF_MATCH, "\"a\"")], Needed::Another);
        check_with(200, &[], &[(IF_MATCH, "\"a\"")], Needed::Another);
    }

    #[test]
    fn dates_compare_by_the_second_in_any_form() {
        check(&[(IF_MODIFIED_SINCE, SAME)], Needed::NotModified);
        check(&[(IF_MODIFIED_SINCE, AFTER)], Needed::NotModified);
        check(&[(IF_MODIFIED_SINCE, BEFORE)], Needed::Send);
        check(&[(IF_MODIFIED_SINCE, "Sunday, 06-Nov-94 08:49:37 GMT")], Needed::NotModified);
        check(&[(IF_MODIFIED_SINCE, "Sun Nov  6 08:49:37 1994")], Needed::NotModified);
        check(&[(IF_MODIFIED_SINCE, "yesterday")], Needed::Send);
        check(&[(IF_UNMODIFIED_SINCE, SAME)], Needed::Send);
        check(&[(IF_UNMODIFIED_SINCE, BEFORE)], Needed::Another);
        check(&[(IF_UNMODIFIED_SINCE, "yesterday")], Needed::Send);
    }

    #[test]
    fn a_response_without_last_modified_changed_when_it_was_made() {
        let since = |date| [(IF_MODIFIED_SINCE, date)];
        check_with(200, &[(DATE, SAME)], &since(SAME), Needed::NotModified);
        check_with(200, &[(DATE, SAME)], &since(BEFORE), Needed::Send);
        check_with(200, &[], &since(AFTER), Needed::Send);
        check_with(200, &[], &since("Sun, 06 Nov 1994 08:50:37 GMT"), Needed::NotModified);
    }

    #[test]
    fn tags_outrank_dates_and_if_match_comes_first() {
        check(&[(IF_NONE_MATCH, "\"b\""), (IF_MODIFIED_SINCE, AFTER)], Needed::Send);
        check(&[(IF_NONE_MATCH, "\"a\""), (IF_MODIFIED_SINCE, BEFORE)], Needed::NotModified);
        check(&[(IF_MATCH, "\"a\""), (IF_UNMODIFIED_SINCE, BEFORE)], Needed::Send);
        check(&[(IF_MATCH, "\"b\""), (IF_NONE_MATCH, "\"a\"")], Needed::Another);
        check(&[(IF_MATCH, "\"a\""), (IF_NONE_MATCH, "\"a\"")], Needed::NotModified);
        check(&[(IF_UNMODIFIED_SINCE, BEFORE), (IF_NONE_MATCH, "*")], Needed::Another);
    }

    #[test]
    fn what_is_no_success_is_sent_whatever_is_asked() {
        let stored = [(ETAG, "\"a\"")];
        for status in [301, 404, 410, 503] {
            check_with(status, &stored, &[(IF_NONE_MATCH, "\"a\"")], Needed::Send);
            check_with(status, &stored, &[(IF_MATCH, "\"b\"")], Needed::Send);
        }
    }

    #[test]
    fn if_range_needs_this_very_version() {
        let check = |stored: Fields<'_>, condition: &'static str, expected: bool| {
            let headers_of_stored = headers(stored);
            let response =
                Stored { status: StatusCode::OK, headers: &headers_of_stored, received: RECEIVED };
            let request = headers(&[(IF_RANGE, condition)]);
            assert_eq!(response.continues(&request, RECEIVED), expected, "{stored:?} {condition}");
        };
        let strong = [(ETAG, "\"a\""), (LAST_MODIFIED, SAME), (DATE, AFTER)];
        for (condition, expected) in [
            ("\"a\"", true),
            ("W/\"a\"", false),
            ("\"b\"", false),
            ("\"a\", \"b\"", false),
            ("*", false),
            (SAME, true),
            ("Sunday, 06-Nov-94 08:49:37 GMT", true),
            (AFTER, false),
            (BEFORE, false),
            ("", false),
        ] {
            check(&strong, condition, expected);
        }
        check(&[(ETAG, "W/\"a\"")], "W/\"a\"", false);
        check(&[(ETAG, "W/\"a\"")], "\"a\"", false);
        check(&[(LAST_MODIFIED, SAME), (DATE, SAME)], SAME, false);
        check(&[(LAST_MODIFIED, SAME)], SAME, false);
        check(&[], "nonsense", false);
    }

    #[test]
    fn a_range_without_a_condition_counts() {
        let stored = HeaderMap::new();
        let response = Stored { status: StatusCode::OK, headers: &stored, received: RECEIVED };
        assert!(response.continues(&HeaderMap::new(), RECEIVED));
    }
}
