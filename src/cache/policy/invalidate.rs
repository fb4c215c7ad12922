//! Which stored responses the answer to a request that changes something makes
//! worthless (RFC 9111 §4.4).

use http::header::{CONTENT_LOCATION, LOCATION};
use http::{HeaderMap, Method, StatusCode};

use super::super::target::Target;

/// Whether an answer tells that its request may have changed something: its
/// method is not known to be safe, and it is no error.
pub(crate) fn changes(method: &Method, status: StatusCode) -> bool {
    !method.is_safe() && (status.is_success() || status.is_redirection())
}

/// Paths with queries, at the origin of the request, whose stored responses are
/// worthless now; as yet with the dots in the paths.
///
/// What Location and Content-Location name elsewhere is not: a site must not
/// invalidate what is another's.
pub(crate) fn worthless(
    method: &Method,
    target: &Target<'_>,
    status: StatusCode,
    response: &HeaderMap,
) -> Vec<String> {
    if !changes(method, status) {
        return Vec::new();
    }
    let mut found = vec![target.to_string()];
    for name in [LOCATION, CONTENT_LOCATION] {
        let reference = response.get(name).and_then(|value| value.to_str().ok());
        if let Some(place) = reference.and_then(|reference| target.follow(reference))
            && !found.contains(&place)
        {
            found.push(place);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::super::super::target::Scheme;
    use super::*;

    const TARGET: Target<'_> = Target {
        scheme: Scheme::Http,
        host: "example.com",
        port: Some(8080),
        path: "/a/b",
        query: Some("c"),
    };

    fn check(method: &str, status: u16, fields: &[(HeaderName, &'static str)], expected: &[&str]) {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let status = StatusCode::from_u16(status).expect("a status");
        let response =
            fields.iter().map(|(n, v)| (n.clone(), HeaderValue::from_static(v))).collect();
        assert_eq!(worthless(&method, &TARGET, status, &response), expected, "{method} {status}");
    }

    #[test]
    fn methods_that_are_not_safe_make_their_target_worthless() {
        for method in ["POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO"] {
            for status in [200, 201, 204, 206, 301, 303, 304] {
                check(method, status, &[], &["/a/b?c"]);
            }
        }
    }

    #[test]
    fn safe_methods_change_nothing() {
        let location = [(LOCATION, "/x")];
        for method in ["GET", "HEAD", "OPTIONS", "TRACE"] {
            check(method, 200, &location, &[]);
        }
    }

    #[test]
    fn errors_change_nothing() {
        let location = [(LOCATION, "/x")];
        for status in [400, 403, 404, 409, 500, 503] {
            check("POST", status, &location, &[]);
        }
    }

    #[test]
    fn places_of_the_same_origin_are_worthless_too() {
        let both = [(LOCATION, "http://example.com:8080/x"), (CONTENT_LOCATION, "y?z")];
        check("POST", 201, &both, &["/a/b?c", "/x", "/a/y?z"]);
        check("POST", 200, &[(LOCATION, "/a/b?c"), (CONTENT_LOCATION, "/x")], &["/a/b?c", "/x"]);
    }

    #[test]
    fn places_of_another_origin_stay() {
        for place in ["http://example.com/x", "https://example.com:8080/x", "//other:8080/x"] {
            check("POST", 200, &[(LOCATION, place), (CONTENT_LOCATION, place)], &["/a/b?c"]);
        }
    }
}
