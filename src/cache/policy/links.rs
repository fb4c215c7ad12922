//! What a response links to that will be asked for next: `Link` with `rel=prefetch`
//! (RFC 8288 §3).

use http::HeaderMap;
use http::header::LINK;

use super::members::split;

/// The references of such links, as they are written.
pub(in crate::cache) fn prefetched(response: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = response.get_all(LINK).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(links).filter(|(_, parameters)| is_prefetch(parameters)).map(|(to, _)| to)
}

/// The links of a line, with their parameters. What does not read ends it.
fn links(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let text = rest.trim_start_matches([' ', '\t', ',']).strip_prefix('<')?;
        let (reference, after) = text.split_once('>')?;
        let end = split(after.as_bytes(), b',').next().map_or(0, <[u8]>::len);
        let (parameters, next) = after.split_at_checked(end)?;
        rest = next;
        Some((reference, parameters))
    })
}

fn is_prefetch(parameters: &str) -> bool {
    let mut relation = None;
    for parameter in split(parameters.as_bytes(), b';') {
        let Ok(parameter) = str::from_utf8(parameter) else { return false };
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let name = name.trim();
        if name.eq_ignore_ascii_case("anchor") {
            // It is about something else than this response.
            return false;
        }
        // The first counts (§3.3).
        if name.eq_ignore_ascii_case("rel") && relation.is_none() {
            relation = Some(value.trim().trim_matches('"'));
        }
    }
    let mut kinds = relation.unwrap_or_default().split_ascii_whitespace();
    kinds.any(|kind| kind.eq_ignore_ascii_case("prefetch"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn links_lead_where_they_say_and_only_those_that_are_fetched_ahead() {
        for (line, expected) in [
            ("<a>; rel=prefetch", &["a"][..]),
            ("<a>;rel=\"next Prefetch\"", &["a"]),
            ("<a,b;c>; as=video; rel=prefetch, </d>; rel=\"prefetch\"", &["a,b;c", "/d"]),
            ("<a>; title=\"x, <b>; rel=prefetch\"; rel=prefetch", &["a"]),
            (", <>; rel=prefetch ,", &[""]),
            ("<a>; rel=next; rel=prefetch", &[]),
            ("<a>; rel=preload, <b>", &[]),
            ("<a>; rel=prefetch; anchor=\"/c\"", &[]),
            ("a; rel=prefetch, <b>; rel=prefetch", &[]),
            ("<a; rel=prefetch", &[]),
            ("<a>; rel=prefetching", &[]),
        ] {
            let headers = HeaderMap::from_iter([(LINK, HeaderValue::from_static(line))]);
            let found: Vec<&str> = prefetched(&headers).collect();
            assert_eq!(found, expected, "{line}");
        }
    }
}
