//! Which URI a client asks for next: the segment behind the one that it got, by the
//! number in its path, or by what the response says.

use http::HeaderMap;
use regex::Regex;

use super::policy::links::prefetched;
use super::target::Target;

/// What some servers name the next segment in: a path, absolute or beside this one.
const ASSISTS: &str = "cdn-origin-assist-prefetch-path";
/// What one response may name; more would be guessing.
const MOST: usize = 8;
/// Digits of a number that is counted up; a longer one is none.
const DIGITS: usize = 18;

/// The path whose number is one more than this one's, in as many digits at least.
pub(super) fn counted_up(pattern: &Regex, path: &str) -> Option<String> {
    let number = pattern.captures(path)?.get(1)?;
    let width = number.len();
    let value: u64 = crate::units::digits(number.as_str()).filter(|_| width <= DIGITS)?;
    let (before, after) = (path.get(..number.start())?, path.get(number.end()..)?);
    Some(format!("{before}{:0width$}{after}", value + 1))
}

/// What a response names, of its own origin: paths with queries, as yet with the dots in
/// them.
pub(super) fn named(response: &HeaderMap, target: &Target<'_>) -> Vec<String> {
    let assists = response.get_all(ASSISTS).into_iter().filter_map(|line| line.to_str().ok());
    let references = prefetched(response).chain(assists).take(MOST);
    references.filter_map(|reference| target.follow(reference)).collect()
}

#[cfg(test)]
mod tests {
    use http::header::LINK;
    use http::{HeaderName, HeaderValue};

    use super::super::target::Scheme;
    use super::*;

    #[test]
    fn a_number_is_counted_up_in_as_many_digits() {
        let pattern = Regex::new(r"/seg-(.*)\.ts$").expect("a regex");
        let long = format!("/seg-{}.ts", "9".repeat(18));
        let longer = format!("/seg-1{}.ts", "0".repeat(18));
        for (path, expected) in [
            ("/a/seg-1.ts", Some("/a/seg-2.ts")),
            ("/a/seg-009.ts", Some("/a/seg-010.ts")),
            ("/1/seg-99.ts", Some("/1/seg-100.ts")),
            ("/a/seg-.ts", None),
            ("/a/seg-x.ts", None),
            ("/a/seg-1.ts/b", None),
            (&*long, Some(&*longer)),
            (&*longer, None),
        ] {
            assert_eq!(counted_up(&pattern, path).as_deref(), expected, "{path}");
        }
        // A group that takes no part.
        let pattern = Regex::new(r"^/a|/b-(\d+)$").expect("a regex");
        assert_eq!(counted_up(&pattern, "/a"), None);
    }

    #[test]
    fn a_response_names_what_is_of_its_origin_and_not_too_much() {
        let target = Target {
            scheme: Scheme::Http,
            host: "a.example",
            port: None,
            path: "/v/1.ts",
            query: None,
        };
        let lines = |name: HeaderName, lines: &[&'static str]| {
            lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line))).collect()
        };
        let check = |fields: Vec<(HeaderName, HeaderValue)>, expected: &[&str]| {
            assert_eq!(named(&fields.into_iter().collect(), &target), expected);
        };
        check(lines(LINK, &["<2.ts>; rel=prefetch"]), &["/v/2.ts"]);
        let others =
            "<http://b.example/2.ts>; rel=prefetch, <https://a.example/2.ts>; rel=prefetch";
        check(lines(LINK, &[others, "<//a.example/3.ts?x>; rel=prefetch"]), &["/3.ts?x"]);
        let assists = HeaderName::from_static(ASSISTS);
        check(lines(assists.clone(), &["/v/4.ts", "5.ts"]), &["/v/4.ts", "/v/5.ts"]);
        check(lines(assists, &["x"; 20]), &["/v/x"; MOST]);
    }
}
