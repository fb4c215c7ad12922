//! What of a query counts: the parameters that a profile keeps or drops, in
//! their order or without one.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// A name of parameters, or what such names begin with: `utm_*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Pattern {
    Exact(String),
    Prefix(String),
}

impl Pattern {
    /// Reads `name` or `name*`; what is wrong with another.
    pub(crate) fn read(text: &str) -> Result<Self, &'static str> {
        let (name, is_prefix) = match text.strip_suffix('*') {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err("`*` may only be at its end");
        }
        if name.contains(['&', '=', '#']) {
            return Err("no name of a parameter has `&`, `=` or `#`");
        }
        match (name, is_prefix) {
            ("", false) => Err("is empty"),
            (name, true) => Ok(Pattern::Prefix(name.to_owned())),
            (name, false) => Ok(Pattern::Exact(name.to_owned())),
        }
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Pattern::Exact(exact) => name == exact.as_bytes(),
            Pattern::Prefix(prefix) => name.starts_with(prefix.as_bytes()),
        }
    }
}

/// Which parameters count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All but these.
    Drop(Vec<Pattern>),
    /// These alone.
    Keep(Vec<Pattern>),
}

/// How a query is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub choice: Choice,
    /// Parameters are sorted by name; those of one name stay in their order.
    pub sort: bool,
}

impl Default for Query {
    /// As it is written.
    fn default() -> Self {
        Query { choice: Choice::Drop(Vec::new()), sort: false }
    }
}

impl Query {
    /// What counts of a query, without `tokens`; `None` if nothing is left of it.
    pub(crate) fn kept<'q>(&self, query: Option<&'q str>, tokens: &[&str]) -> Option<Cow<'q, str>> {
        let query = query?;
        let drops_none = matches!(&self.choice, Choice::Drop(dropped) if dropped.is_empty());
        if drops_none && tokens.is_empty() && !self.sort {
            return Some(Cow::Borrowed(query));
        }
        let mut parameters: Vec<(Cow<'_, [u8]>, &str)> = query
            .split('&')
            .map(|parameter| (name(parameter), parameter))
            .filter(|(name, _)| self.counts(name, tokens))
            .collect();
        // A query of which nothing was taken is another than none, even if it is empty.
        if parameters.is_empty() {
            return None;
        }
        if self.sort {
            parameters.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let kept: Vec<&str> = parameters.into_iter().map(|(_, parameter)| parameter).collect();
        Some(Cow::Owned(kept.join("&")))
    }

    fn counts(&self, name: &[u8], tokens: &[&str]) -> bool {
        if tokens.iter().any(|token| token.as_bytes() == name) {
            return false;
        }
        match &self.choice {
            Choice::Drop(dropped) => !dropped.iter().any(|pattern| pattern.matches(name)),
            Choice::Keep(kept) => kept.iter().any(|pattern| pattern.matches(name)),
        }
    }
}

/// The name of a parameter as a server reads it.
fn name(parameter: &str) -> Cow<'_, [u8]> {
    let name = parameter.split('=').next().unwrap_or_default();
    if name.contains('+') {
        let name = name.replace('+', " ");
        return Cow::Owned(percent_decode_str(&name).collect());
    }
    percent_decode_str(name).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterns(patterns: &[&str]) -> Vec<Pattern> {
        patterns.iter().map(|text| Pattern::read(text).expect("a pattern")).collect()
    }

    fn check(query: &Query, written: &str, expected: Option<&str>) {
        assert_eq!(query.kept(Some(written), &[]).as_deref(), expected, "{query:?} {written}");
    }

    #[test]
    fn a_query_counts_as_it_is_written() {
        let query = Query::default();
        for written in ["", "a", "b=1&a=2", "a=1&&", "%61=1", "utm_x=1"] {
            check(&query, written, Some(written));
        }
        assert_eq!(query.kept(None, &["sig"]), None);
    }

    #[test]
    fn what_is_dropped_does_not_count() {
        let query =
            Query { choice: Choice::Drop(patterns(&["utm_*", "fbclid"])), ..Query::default() };
        check(&query, "a=1&utm_source=x&b=2&fbclid=y", Some("a=1&b=2"));
        check(&query, "utm_=&utm_a", None);
        check(&query, "utm%5Fsource=x&f%62clid", None);
        check(&query, "UTM_source=x", Some("UTM_source=x"));
        check(&query, "xutm_a=1&fbclids=2&utm=3", Some("xutm_a=1&fbclids=2&utm=3"));
        check(&query, "", Some(""));
    }

    #[test]
    fn what_is_kept_counts_alone() {
        let query = Query { choice: Choice::Keep(patterns(&["id", "p*"])), ..Query::default() };
        check(&query, "x=1&id=2&page=3&p=4", Some("id=2&page=3&p=4"));
        check(&query, "i%64=2&x", Some("i%64=2"));
        check(&query, "x=1", None);
        check(&query, "", None);
        let none = Query { choice: Choice::Keep(Vec::new()), ..Query::default() };
        check(&none, "a=1", None);
        let all = Query { choice: Choice::Drop(patterns(&["*"])), ..Query::default() };
        check(&all, "a=1", None);
    }

    #[test]
    fn sorted_parameters_of_one_name_stay_in_their_order() {
        let query = Query { sort: true, ..Query::default() };
        check(&query, "b=1&a=2&b=0&%61=1&c", Some("a=2&%61=1&b=1&b=0&c"));
        check(&query, "b+x=1&b%20w=2", Some("b%20w=2&b+x=1"));
        check(&query, "", Some(""));
    }

    #[test]
    fn patterns_have_a_star_at_their_end_or_none() {
        for bad in ["", "a*b", "*a", "**", "a&b", "a=", "#"] {
            assert!(Pattern::read(bad).is_err(), "{bad}");
        }
        assert_eq!(Pattern::read("a*"), Ok(Pattern::Prefix("a".to_owned())));
        assert_eq!(Pattern::read("a"), Ok(Pattern::Exact("a".to_owned())));
    }
}
