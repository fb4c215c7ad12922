//! Which fields of a request a response depends on, and whether two requests
//! say the same in them (RFC 9111 §4.1).

use http::header::{
    ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, AUTHORIZATION, COOKIE, REFERER,
    USER_AGENT, VARY,
};
use http::{HeaderMap, HeaderName};

use super::members::{members, split};

/// More names than any response has a reason for; each costs every hit.
const MOST_NAMES: usize = 32;

/// What a response depends on besides its URI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Varying {
    /// These fields, sorted, each once; none if it is the same for everybody.
    By(Vec<HeaderName>),
    /// What no request tells: `*`, a name that is none, or too many names.
    ByAnything,
}

impl Varying {
    /// What all lines of Vary say.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let lines = headers.get_all(VARY).into_iter();
        let names: Option<Vec<HeaderName>> = lines
            .flat_map(|line| members(line.as_bytes()))
            .map(|name| HeaderName::from_bytes(name).ok().filter(|name| name != "*"))
            .collect();
        let Some(mut names) = names else { return Varying::ByAnything };
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names.dedup();
        if names.len() > MOST_NAMES {
            return Varying::ByAnything;
        }
        Varying::By(names)
    }
}

/// What a request says in these fields, such that two requests that differ in
/// it get different responses; names, values and their absence are told apart.
pub(crate) fn variant(names: &[HeaderName], request: &HeaderMap) -> Vec<u8> {
    let mut variant = Vec::new();
    for name in names {
        frame(&mut variant, name.as_str().as_bytes());
        match normalised(name, request) {
            None => variant.push(0),
            Some(value) => {
                variant.push(1);
                frame(&mut variant, &value);
            }
        }
    }
    variant
}

/// Appends bytes after their length, so that nothing that follows is theirs.
pub(in crate::cache) fn frame(to: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_le_bytes());
    to.extend_from_slice(bytes);
}

/// The value of a field, the same for all requests that mean the same by it;
/// `None` where it is not there.
pub(in crate::cache) fn normalised(name: &HeaderName, request: &HeaderMap) -> Option<Vec<u8>> {
    let lines: Vec<&[u8]> =
        request.get_all(name).into_iter().map(|line| line.as_bytes().trim_ascii()).collect();
    if lines.is_empty() {
        return None;
    }
    let value = lines.join(&b", "[..]);
    Some(if [ACCEPT, ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE].contains(name) {
        weighted(name, &value)
    } else if [AUTHORIZATION, COOKIE, REFERER, USER_AGENT].contains(name) {
        // They are no lists: a comma is a part of what they say.
        value
    } else {
        members(&value).collect::<Vec<_>>().join(&b","[..])
    })
}

/// A list of wishes in the order of their weights, in lower case; of equal
/// weights none comes first (RFC 9110 §12.4.2).
fn weighted(name: &HeaderName, value: &[u8]) -> Vec<u8> {
    let mut wishes: Vec<(u16, Vec<u8>)> = members(value).map(wish).collect();
    if *name == ACCEPT_ENCODING {
        without_the_obvious(&mut wishes);
    }
    wishes.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    wishes.dedup();
    let written = wishes.into_iter().map(|(weight, wish)| match weight {
        1000 => wish,
        // No field has a zero byte.
        _ => [&wish[..], format!("\0{weight}").as_bytes()].concat(),
    });
    written.collect::<Vec<_>>().join(&b","[..])
}

/// A wish in thousandths and the rest of it; one that does not read stays whole.
fn wish(member: &[u8]) -> (u16, Vec<u8>) {
    let mut weight = None;
    let mut parts: Vec<Vec<u8>> = Vec::new();
    for part in split(member, b';').map(<[u8]>::trim_ascii) {
        match part {
            [b'q' | b'Q', b'=', value @ ..] if weight.is_none() && !parts.is_empty() => {
                match thousandths(value) {
                    Some(read) => weight = Some(read),
                    None => return (1000, member.to_vec()),
                }
            }
            _ if part.contains(&b'"') => parts.push(part.to_vec()),
            _ => parts.push(part.to_ascii_lowercase()),
        }
    }
    (weight.unwrap_or(1000), parts.join(&b";"[..]))
}

/// `0` to `1` with at most three decimals.
fn thousandths(value: &[u8]) -> Option<u16> {
    let (whole, decimals) = match value {
        [whole] | [whole, b'.'] => (*whole, &[][..]),
        [whole, b'.', decimals @ ..] if decimals.len() <= 3 => (*whole, decimals),
        _ => return None,
    };
    let digit = |byte: u8| byte.is_ascii_digit().then(|| u16::from(byte - b'0'));
    let padded = decimals.iter().copied().chain([b'0'; 3]).take(3);
    let part = padded.map(digit).try_fold(0, |sum, digit| Some(sum * 10 + digit?))?;
    Some(digit(whole)? * 1000 + part).filter(|weight| *weight <= 1000)
}

/// What is refused need not be said where nothing else lets it in (RFC 9110
/// §12.5.3), and `x-gzip` is gzip (§8.4.1.3).
fn without_the_obvious(wishes: &mut Vec<(u16, Vec<u8>)>) {
    for (_, coding) in wishes.iter_mut() {
        if *coding == b"x-gzip" {
            *coding = b"gzip".to_vec();
        }
    }
    let lets_any_in = wishes.iter().any(|(weight, coding)| coding == b"*" && *weight > 0);
    if !lets_any_in {
        let is_always_in = |coding: &[u8]| coding == b"identity" || coding == b"*";
        wishes.retain(|(weight, coding)| *weight > 0 || is_always_in(coding));
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn request(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    fn check(name: &'static str, one: &[&'static str], other: &[&'static str], is_same: bool) {
        let value = |lines: &[&'static str]| {
            let fields: Vec<_> = lines.iter().map(|line| (name, *line)).collect();
            variant(&[HeaderName::from_static(name)], &request(&fields))
        };
        assert_eq!(value(one) == value(other), is_same, "{name}: {one:?} {other:?}");
    }

    fn by(names: &[&'static str]) -> Varying {
        Varying::By(names.iter().map(|name| HeaderName::from_static(name)).collect())
    }

    #[test]
    fn a_star_anywhere_is_everything() {
        for lines in
            [&["*"][..], &["*, foo"], &["foo, *"], &["foo", "*"], &["*", "*"], &[", *"], &["\t* ,"]]
        {
            let fields: Vec<_> = lines.iter().map(|line| ("vary", *line)).collect();
            assert_eq!(Varying::read(&request(&fields)), Varying::ByAnything, "{lines:?}");
        }
        for broken in ["foo bar", "foo;q=1", "\"foo\""] {
            assert_eq!(
                Varying::read(&request(&[("vary", broken)])),
                Varying::ByAnything,
                "{broken}"
            );
        }
    }

    #[test]
    fn several_lines_are_one_list_in_any_case_and_order() {
        let fields = [("vary", "Foo,,  BAR,"), ("vary", "foo, a")];
        assert_eq!(Varying::read(&request(&fields)), by(&["a", "bar", "foo"]));
        assert_eq!(Varying::read(&request(&[])), by(&[]));
        assert_eq!(Varying::read(&request(&[("vary", "")])), by(&[]));
    }

    #[test]
    fn there_is_an_end_to_names() {
        let read = |count: usize| {
            let names: Vec<String> = (0..count).map(|number| format!("x{number}")).collect();
            let value = HeaderValue::from_str(&names.join(",")).expect("a value");
            Varying::read(&HeaderMap::from_iter([(VARY, value)]))
        };
        assert!(matches!(read(MOST_NAMES), Varying::By(_)));
        assert_eq!(read(MOST_NAMES + 1), Varying::ByAnything);
    }

    #[test]
    fn a_field_that_is_absent_is_not_one_that_is_empty() {
        check("foo", &[], &[""], false);
        check("foo", &[], &[], true);
        check("foo", &["1"], &["2"], false);
        check("foo", &["1"], &["1"], true);
        check("foo", &["a"], &["A"], false);
    }

    #[test]
    fn values_are_told_apart_by_the_field_they_are_in() {
        let names = [HeaderName::from_static("a"), HeaderName::from_static("b")];
        let variant = |fields: &[(&'static str, &'static str)]| variant(&names, &request(fields));
        assert_ne!(variant(&[("a", "1")]), variant(&[("b", "1")]));
        assert_ne!(variant(&[("a", "1"), ("b", "23")]), variant(&[("a", "12"), ("b", "3")]));
        assert_eq!(variant(&[("b", "1"), ("c", "2")]), variant(&[("b", "1"), ("c", "3")]));
    }

    #[test]
    fn space_and_lines_do_not_matter_in_lists() {
        check("foo", &["1, 2"], &["1,2"], true);
        check("foo", &["1, 2"], &["  1 ,\t2 "], true);
        check("foo", &["1, 2"], &["1", "2"], true);
        check("foo", &["1, 2"], &["2, 1"], false);
        check("foo", &["\"1, 2\""], &["\"1,2\""], false);
        check("user-agent", &["A (b, c)"], &["A (b,c)"], false);
        check("cookie", &["a=1,2"], &["a=1, 2"], false);
    }

    #[test]
    fn wishes_of_one_weight_have_no_order() {
        check("accept-language", &["en, de"], &["de, en"], true);
        check("accept-language", &["EN, De"], &["en,de"], true);
        check("accept-language", &["en;q=0.5, de"], &["de, en;q=0.50"], true);
        check("accept-language", &["en;q=0.5, de"], &["de, en ; Q=0.500"], true);
        check("accept-language", &["en;q=1, de"], &["de;q=1.000, en"], true);
        check("accept-language", &["en;q=0.5, de"], &["en, de;q=0.5"], false);
        check("accept-language", &["en"], &["en-GB"], false);
        check("accept-language", &["en;q=2"], &["en"], false);
        check("accept-language", &["en;q=2"], &["en;q=0.002"], false);
        check(
            "accept",
            &["text/html;level=1;q=0.5, */*"],
            &["*/*, TEXT/html; level=1 ;q=0.5"],
            true,
        );
        check("accept", &["a/b;x=\"Y\""], &["a/b;x=\"y\""], false);
    }

    #[test]
    fn encodings_are_the_same_if_the_same_may_be_sent() {
        check("accept-encoding", &["gzip, deflate, br"], &["br;q=1,deflate,GZIP"], true);
        check("accept-encoding", &["x-gzip"], &["gzip"], true);
        check("accept-encoding", &["gzip, br;q=0"], &["gzip"], true);
        check("accept-encoding", &["gzip, identity;q=0"], &["gzip"], false);
        check("accept-encoding", &["*, br;q=0"], &["*"], false);
        check("accept-encoding", &["gzip, *;q=0"], &["gzip"], false);
        check("accept-encoding", &["gzip"], &["gzip, foo"], false);
        check("accept-encoding", &[""], &[], false);
    }
}
