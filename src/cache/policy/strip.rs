//! Which fields of a response are not stored, and which are not shown again
//! (RFC 9111 §3.1, RFC 9110 §7.6.1).

use http::header::{
    AGE, CONNECTION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, DATE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};
use http::{HeaderMap, HeaderName};

use crate::values::remove_rare;

use super::dates;
use super::terms::Terms;
use tidegate_store::Moment;

/// What is about one connection, or about the proxy that a response came through.
/// Trailers are not stored, so nothing is to announce them.
const OF_THE_WAY: [HeaderName; 10] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("proxy-authentication-info"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Who a stored response goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Who asked for it first: it gets all that was sent.
    First,
    /// Another, after the server said just now that it is good still.
    Validated,
    /// Another, unasked.
    Hit,
}

/// Takes away what no store may keep. Age goes into [`Terms`], and a response
/// without a Date gets the one it was received at (RFC 9110 §6.6.1).
pub(crate) fn before_storing(response: &mut HeaderMap, received: Moment) {
    remove_of_the_way(response);
    response.remove(AGE);
    if dates::field(response, &DATE, received).is_none() {
        response.insert(DATE, dates::write(received));
    }
}

/// Takes away what is only about the way that a response came.
pub(super) fn remove_of_the_way(response: &mut HeaderMap) {
    for name in nominated(response) {
        response.remove(&name);
    }
    remove_rare(response, &OF_THE_WAY);
}

/// Takes from a stored response what this client is not to see.
pub(crate) fn before_sending(response: &mut HeaderMap, terms: &Terms, shown: Shown) {
    let hidden = match shown {
        Shown::First => return,
        Shown::Validated => &[][..],
        Shown::Hit => terms.unvalidated_fields(),
    };
    for name in hidden.iter().chain(terms.private_fields()) {
        // Where the body ends is for nobody to hide.
        if *name != CONTENT_LENGTH {
            response.remove(name);
        }
    }
}

/// Takes from the fields of a whole response what does not hold for a part of
/// it; the hash of the whole stays (RFC 9530 §2, §3).
pub(crate) fn for_part(response: &mut HeaderMap) {
    for name in ["content-digest", "content-md5"] {
        response.remove(name);
    }
}

/// Takes from the fields of a response what a 304 for it does not say: what its
/// body is (RFC 9110 §15.4.5).
pub(crate) fn for_not_modified(response: &mut HeaderMap) {
    for name in [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE] {
        response.remove(name);
    }
    for_part(response);
}

/// The fields that Connection names, but for the length of the body.
pub(super) fn nominated(response: &HeaderMap) -> Vec<HeaderName> {
    let lines = response.get_all(CONNECTION).into_iter();
    let names = lines.flat_map(|line| super::members::members(line.as_bytes()));
    let names = names.filter_map(|name| HeaderName::from_bytes(name).ok());
    names.filter(|name| *name != CONTENT_LENGTH).collect()
}

/// Whether a field is one of those, in this response.
pub(super) fn is_of_the_way(name: &HeaderName, nominated: &[HeaderName]) -> bool {
    OF_THE_WAY.contains(name) || nominated.contains(name)
}

#[cfg(test)]
mod tests {
    use http::{HeaderValue, Method, StatusCode};

    use super::super::rules::Rules;
    use super::super::terms::{Answer, judge};
    use super::*;

    const RECEIVED: Moment = Moment::from_millis(784_111_777_000);

    fn headers(fields: &[(&str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&str, &str)| {
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        fields.iter().map(field).collect()
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn nothing_about_the_way_is_stored() {
        let mut response = headers(&[
            ("connection", "close, X-A"),
            ("connection", "x-b, Content-Length"),
            ("x-a", "1"),
            ("x-b", "1"),
            ("x-c", "1"),
            ("keep-alive", "1"),
            ("proxy-connection", "1"),
            ("proxy-authenticate", "1"),
            ("proxy-authentication-info", "1"),
            ("proxy-authorization", "1"),
            ("te", "1"),
            ("trailer", "1"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "1"),
            ("content-length", "3"),
            ("age", "5"),
            ("date", "Sun, 06 Nov 1994 08:49:36 GMT"),
            ("set-cookie", "a=1"),
            ("content-security-policy", "x"),
        ]);
        before_storing(&mut response, RECEIVED);
        let expected = ["content-length", "content-security-policy", "date", "set-cookie", "x-c"];
        assert_eq!(names(&response), expected);
        assert_eq!(response[DATE], "Sun, 06 Nov 1994 08:49:36 GMT");
    }

    #[test]
    fn a_response_without_a_date_gets_one() {
        for fields in [&[][..], &[("date", "yesterday")]] {
            let mut response = headers(fields);
            before_storing(&mut response, RECEIVED);
            assert_eq!(response[DATE], "Sun, 06 Nov 1994 08:49:37 GMT");
        }
    }

    #[test]
    fn a_part_and_a_304_do_not_say_what_the_whole_is() {
        let all = headers(&[
            ("content-digest", "x"),
            ("content-length", "3"),
            ("content-location", "/x"),
            ("content-type", "x/y"),
            ("etag", "\"a\""),
            ("repr-digest", "x"),
            ("vary", "x"),
        ]);
        let mut part = all.clone();
        for_part(&mut part);
        let expected =
            ["content-length", "content-location", "content-type", "etag", "repr-digest", "vary"];
        assert_eq!(names(&part), expected);
        let mut not_modified = all;
        for_not_modified(&mut not_modified);
        assert_eq!(names(&not_modified), ["content-location", "etag", "repr-digest", "vary"]);
    }

    #[test]
    fn named_fields_are_for_who_asked() {
        let all = headers(&[
            ("cache-control", "max-age=9, private=\"x-p, content-length\", no-cache=\"x-n\""),
            ("x-p", "1"),
            ("x-n", "1"),
            ("content-length", "1"),
        ]);
        let answer =
            Answer { status: StatusCode::OK, headers: &all, asked: RECEIVED, received: RECEIVED };
        let terms = judge(&Method::GET, &HeaderMap::new(), answer, &Rules::default());
        let terms = terms.expect("stored");
        for (shown, expected) in [
            (Shown::First, &["cache-control", "content-length", "x-n", "x-p"][..]),
            (Shown::Validated, &["cache-control", "content-length", "x-n"]),
            (Shown::Hit, &["cache-control", "content-length"]),
        ] {
            let mut response = all.clone();
            before_sending(&mut response, &terms, shown);
            assert_eq!(names(&response), expected, "{shown:?}");
        }
    }
}
