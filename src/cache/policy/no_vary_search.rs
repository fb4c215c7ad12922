//! Which parameters of a query a response does not depend on: No-Vary-Search
//! (draft-ietf-httpbis-no-vary-search-04).

use http::HeaderMap;
use percent_encoding::percent_decode;

use super::structured::{Item, Member, dictionary};
use super::vary::frame;

const FIELD: &str = "no-vary-search";

/// How queries differ that get different responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Search {
    parameters: Parameters,
    is_order_significant: bool,
}

/// The parameters that count.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Parameters {
    /// All but these.
    AllBut(Vec<String>),
    /// These alone.
    Only(Vec<String>),
}

impl Search {
    /// What a response says; `None` if queries must be equal byte by byte.
    pub(crate) fn read(response: &HeaderMap) -> Option<Self> {
        let mut read =
            Search { parameters: Parameters::AllBut(Vec::new()), is_order_significant: true };
        let members = dictionary(response, FIELD)?;
        let find = |key: &str| members.iter().find(|(name, _)| name == key).map(|(_, value)| value);
        match find("key-order") {
            Some(Member::Item(Item::Boolean(is_free))) => read.is_order_significant = !is_free,
            Some(_) => return None,
            None => {}
        }
        let is_all = match find("params") {
            Some(Member::Item(Item::Boolean(is_all))) => *is_all,
            Some(Member::Inner(names)) => {
                read.parameters = Parameters::AllBut(keys(names)?);
                false
            }
            Some(Member::Item(_)) => return None,
            None => false,
        };
        if is_all {
            read.parameters = Parameters::Only(Vec::new());
        }
        match find("except") {
            Some(Member::Inner(names)) if is_all => {
                read.parameters = Parameters::Only(keys(names)?);
            }
            Some(_) => return None,
            None => {}
        }
        let says_nothing = read.is_order_significant
            && matches!(&read.parameters, Parameters::AllBut(names) if names.is_empty());
        (!says_nothing).then_some(read)
    }

    /// What is left of a query, the same for all that get the same response.
    pub(crate) fn reduced(&self, query: Option<&str>) -> Vec<u8> {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let mut pairs: Vec<(String, String)> = pairs
            .map(|pair| {
                let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                (decoded(name), decoded(value))
            })
            .filter(|(name, _)| self.counts(name))
            .collect();
        if !self.is_order_significant {
            // Those of one name stay in their order. Code points order as code
            // units do but for some beyond the first plane; any order will do.
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let mut reduced = Vec::new();
        for (name, value) in &pairs {
            frame(&mut reduced, name.as_bytes());
            frame(&mut reduced, value.as_bytes());
        }
        reduced
    }

    /// Bytes of all that it names.
    pub(crate) fn length(&self) -> usize {
        self.names().map(String::len).sum()
    }

    /// Appends what it says, such that nothing that follows is a part of it.
    pub(crate) fn write(&self, to: &mut Vec<u8>) {
        let is_only = matches!(self.parameters, Parameters::Only(_));
        to.extend_from_slice(&[u8::from(is_only), u8::from(self.is_order_significant)]);
        let mut names = Vec::new();
        self.names().for_each(|name| frame(&mut names, name.as_bytes()));
        frame(to, &names);
    }

    fn names(&self) -> impl Iterator<Item = &String> {
        let (Parameters::AllBut(names) | Parameters::Only(names)) = &self.parameters;
        names.iter()
    }

    fn counts(&self, name: &str) -> bool {
        match &self.parameters {
            Parameters::AllBut(names) => !names.iter().any(|other| other == name),
            Parameters::Only(names) => names.iter().any(|other| other == name),
        }
    }
}

/// Names of parameters; `None` if one is no string.
fn keys(names: &[Item]) -> Option<Vec<String>> {
    let name = |item: &Item| match item {
        Item::String(name) => Some(decoded(name)),
        _ => None,
    };
    names.iter().map(name).collect()
}

/// As forms are decoded: `+` is a space, and what is no UTF-8 is replaced.
fn decoded(text: &str) -> String {
    let text = text.replace('+', " ");
    percent_decode(text.as_bytes()).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn read(field: &'static str) -> Option<Search> {
        let name = HeaderName::from_static(FIELD);
        Search::read(&HeaderMap::from_iter([(name, HeaderValue::from_static(field))]))
    }

    fn check(field: &'static str, one: &str, other: &str, is_same: bool) {
        let search = read(field).expect(field);
        let is_found = search.reduced(Some(one)) == search.reduced(Some(other));
        assert_eq!(is_found, is_same, "{field}: {one} {other}");
    }

    #[test]
    fn what_is_named_does_not_count() {
        check("params", "a=1", "b=2", true);
        check("params=(\"a\")", "a=1&b=2", "b=2&a=3", true);
        check("params=(\"a\")", "a=1&b=2", "b=3", false);
        check("params, except=(\"x\")", "x=1&a=1", "a=2&x=1", true);
        check("params, except=(\"x\")", "x=1", "x=2", false);
        check("params, except=()", "x=1", "x=2", true);
        check("params=?1;a=b, unknown=1", "a=1", "b=2", true);
    }

    #[test]
    fn order_counts_unless_it_is_said_not_to() {
        check("key-order", "a=1&b=2", "b=2&a=1", true);
        check("key-order", "a=1&a=2", "a=2&a=1", false);
        check("key-order", "a=1", "a=2", false);
        check("params=(\"x\")", "a=1&b=2", "b=2&a=1", false);
        check("params=(\"x\"), key-order", "b=2&x=3&a=1", "a=1&b=2", true);
    }

    #[test]
    fn parameters_are_read_as_forms_are() {
        for (one, other) in [
            ("a=x", "%61=%78"),
            ("a=x&&&&", "a=x"),
            ("a=", "a"),
            ("a=%20", "a=+"),
            ("a=%f6", "a=%ef%bf%bd"),
            ("", "&"),
        ] {
            check("key-order", one, other, true);
        }
        check("params=(\"%C3%A9+x\")", "%c3%A9%20x=1", "", true);
        check("key-order", "a=b&c=d", "a=b%26c=d", false);
        let search = read("key-order").expect("it reads");
        assert_eq!(search.reduced(None), search.reduced(Some("")));
    }

    #[test]
    fn what_does_not_read_and_what_says_nothing_is_none() {
        for field in [
            "",
            "unknown-key",
            "key-order=\"not a boolean\"",
            "params=\"not a boolean or inner list\"",
            "params=(not-a-string)",
            "params=(\"a\"), except=(\"x\")",
            "params=(), except=()",
            "params=?0, except=(\"x\")",
            "params, except=(not-a-string)",
            "params, except=\"not an inner list\"",
            "params, except=?1",
            "except=(\"x\")",
            "except=()",
            "params=?0",
            "params=()",
            "key-order=?0",
            "params=(\"a\"",
        ] {
            assert_eq!(read(field), None, "{field}");
        }
        assert_eq!(Search::read(&HeaderMap::new()), None);
    }
}
