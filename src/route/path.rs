//! The path of a route, and the way from a request's path to its routes.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use regex::{Captures, Regex, RegexBuilder};

use super::criteria::Criteria;

/// The compiled size of a regex: far more than one for paths needs.
const MAX_REGEX: usize = 1 << 20;

/// What a route asks of the path.
#[derive(Debug, Clone)]
pub(super) enum PathPattern {
    Exact(String),
    Prefix(String),
    Regex { written: String, regex: Arc<Regex> },
    Any,
}

impl PathPattern {
    /// Reads a regex that must match the whole path; the error says what is wrong.
    pub(super) fn regex(written: &str) -> Result<Self, String> {
        // Alone first: `a)|(b` is no regex, but would be one between the anchors.
        compile(written)?;
        if never_matches(written) {
            return Err(format!(
                "`{written}` must match the whole path, which starts with `/`; write `/…` or `.*{written}`"
            ));
        }
        let regex = Arc::new(compile(&format!(r"\A(?:{written})\z"))?);
        Ok(PathPattern::Regex { written: written.to_owned(), regex })
    }

    /// What the operator wrote: two patterns with one key are the same.
    pub(super) fn key(&self) -> PathKey<'_> {
        match self {
            PathPattern::Exact(path) => PathKey::Exact(path),
            PathPattern::Prefix(prefix) => PathKey::Prefix(prefix),
            PathPattern::Regex { written, .. } => PathKey::Regex(written),
            PathPattern::Any => PathKey::Any,
        }
    }

    /// Whether a prefix outranks this pattern and plainly has all its paths.
    pub(super) fn is_below_prefix(&self, prefix: &str) -> bool {
        match self {
            PathPattern::Exact(_) | PathPattern::Prefix(_) => false,
            PathPattern::Any => prefix == "/",
            PathPattern::Regex { written, .. } => {
                // What follows the literal is unknown: `/api` may go on as `/apix`.
                let below = after_prefix(literal_start(written), prefix);
                prefix == "/" || below.is_some_and(|b| prefix.ends_with('/') || !b.is_empty())
            }
        }
    }

    pub(super) fn matched(&self) -> Matched {
        match self {
            PathPattern::Exact(path) => Matched::Prefix(path.len()),
            PathPattern::Prefix(prefix) => Matched::Prefix(prefix.len()),
            PathPattern::Regex { regex, .. } => Matched::Regex(Arc::clone(regex)),
            PathPattern::Any => Matched::Prefix(0),
        }
    }
}

/// A [`PathPattern`] as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum PathKey<'a> {
    Exact(&'a str),
    Prefix(&'a str),
    Regex(&'a str),
    Any,
}

/// Which part of the path a route matched; valid for the path it was found by.
#[derive(Debug, Clone)]
pub(crate) enum Matched {
    /// This many bytes from the start.
    Prefix(usize),
    Regex(Arc<Regex>),
}

impl Matched {
    /// What follows the matched part, without leading slashes.
    pub(crate) fn rest<'p>(&self, path: &'p str) -> &'p str {
        match self {
            Matched::Prefix(len) => path.get(*len..).unwrap_or_default().trim_start_matches('/'),
            Matched::Regex(_) => "",
        }
    }

    /// The groups of the regex, found anew: few routes ask for them.
    pub(super) fn captures<'p>(&self, path: &'p str) -> Option<Captures<'p>> {
        match self {
            Matched::Prefix(_) => None,
            Matched::Regex(regex) => regex.captures(path),
        }
    }
}

/// The routes of one host by path.
#[derive(Debug, Default)]
pub(super) struct Paths {
    exact: HashMap<String, Group>,
    prefixes: Prefixes,
    regexes: Vec<(Arc<Regex>, Group)>,
    any: Group,
}

/// Routes with the same host and path, those with more conditions first.
type Group = Vec<usize>;

impl Paths {
    /// Sorts the routes at `indices`, which are in the order of the file.
    pub(super) fn new(indices: &[usize], routes: &[Criteria]) -> Self {
        let mut indices = indices.to_vec();
        indices.sort_by_key(|&index| (Reverse(routes[index].conditions.count()), index));
        let mut paths = Paths::default();
        let mut prefixes: HashMap<&str, Group> = HashMap::new();
        let mut regexes: HashMap<&str, (Arc<Regex>, Group)> = HashMap::new();
        for index in indices {
            let group = match &routes[index].path {
                PathPattern::Exact(path) => paths.exact.entry(path.clone()).or_default(),
                PathPattern::Prefix(prefix) => prefixes.entry(prefix).or_default(),
                PathPattern::Regex { written, regex } => {
                    let new = || (Arc::clone(regex), Group::new());
                    &mut regexes.entry(written).or_insert_with(new).1
                }
                PathPattern::Any => &mut paths.any,
            };
            group.push(index);
        }
        paths.prefixes = Prefixes::new(prefixes);
        paths.regexes = regexes.into_values().collect();
        paths.regexes.sort_by_key(|(_, group)| group.iter().min().copied());
        paths
    }

    /// The routes whose path matches, the most specific first.
    pub(super) fn candidates(&self, path: &str) -> impl Iterator<Item = usize> {
        let exact = self.exact.get(path).into_iter();
        let regexes = self.regexes.iter().filter(move |(regex, _)| regex.is_match(path));
        exact
            .chain(self.prefixes.of(path))
            .chain(regexes.map(|(_, group)| group))
            .chain([&self.any])
            .flatten()
            .copied()
    }
}

/// Prefixes in byte order, each linked to the longest one that it starts with.
///
/// All prefixes of a path are then on one chain, which begins at the last one
/// that does not sort after the path.
#[derive(Debug, Default)]
struct Prefixes(Vec<Prefix>);

#[derive(Debug)]
struct Prefix {
    text: String,
    group: Group,
    // Invariant: less than the own index, so a chain ends.
    parent: Option<usize>,
}

impl Prefixes {
    fn new(groups: HashMap<&str, Group>) -> Self {
        let mut groups: Vec<_> = groups.into_iter().collect();
        groups.sort_unstable_by_key(|(text, _)| *text);
        let mut prefixes: Vec<Prefix> = Vec::with_capacity(groups.len());
        for (text, group) in groups {
            let mut parent = prefixes.len().checked_sub(1);
            while let Some(index) = parent
                && !text.starts_with(&prefixes[index].text)
            {
                parent = prefixes[index].parent;
            }
            prefixes.push(Prefix { text: text.to_owned(), group, parent });
        }
        Prefixes(prefixes)
    }

    /// The groups whose prefix the path has, the longest prefix first.
    fn of<'r>(&'r self, path: &str) -> impl Iterator<Item = &'r Group> {
        let last = self.0.partition_point(|prefix| prefix.text.as_str() <= path).checked_sub(1);
        std::iter::successors(last.and_then(|index| self.0.get(index)), |prefix| {
            prefix.parent.and_then(|index| self.0.get(index))
        })
        .filter(move |prefix| after_prefix(path, &prefix.text).is_some())
        .map(|prefix| &prefix.group)
    }
}

/// What follows a prefix that ends where a segment of the path ends.
pub(super) fn after_prefix<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    let after = path.strip_prefix(prefix)?;
    let is_whole = prefix.ends_with('/') || after.is_empty() || after.starts_with('/');
    is_whole.then_some(after)
}

/// Compiles a regex of the configuration within bounds.
pub(super) fn compile(written: &str) -> Result<Regex, String> {
    RegexBuilder::new(written).size_limit(MAX_REGEX).dfa_size_limit(MAX_REGEX).build().map_err(
        |error| {
            // A syntax error is drawn over several lines; the last one names it.
            let text = error.to_string();
            let last = text.lines().last().unwrap_or_default();
            format!("`{written}` is no regex: {}", last.trim_start_matches("error: "))
        },
    )
}

/// Whether a regex plainly cannot match a path as a whole.
///
/// Catches the `\.php$` of servers whose regexes need not match from the start.
fn never_matches(written: &str) -> bool {
    let start = written.trim_start_matches('^');
    let mut chars = start.strip_prefix('\\').unwrap_or(start).chars();
    let begins_otherwise = match chars.next() {
        Some(first) if start.starts_with('\\') => matches!(first, '.' | '-'),
        Some(first) => first.is_ascii_alphanumeric(),
        None => false,
    };
    begins_otherwise
        && !chars.next().is_some_and(|next| matches!(next, '?' | '*' | '{'))
        && !written.contains('|')
}

/// Characters that everything a regex matches plainly starts with.
fn literal_start(written: &str) -> &str {
    if written.contains('|') {
        return "";
    }
    let written = written.trim_start_matches('^');
    let is_literal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_');
    let (literal, rest) = match written.find(|c| !is_literal(c)) {
        Some(end) => written.split_at(end),
        None => (written, ""),
    };
    // The character before a quantifier may be missing.
    match rest.starts_with(['?', '*', '{']) {
        true => literal.get(..literal.len().saturating_sub(1)).unwrap_or_default(),
        false => literal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_end_with_a_segment() {
        let check = |path, prefix, expected| assert_eq!(after_prefix(path, prefix), expected);
        check("/api/x", "/api/", Some("x"));
        check("/api/x", "/api", Some("/x"));
        check("/api", "/api", Some(""));
        check("/apix", "/api", None);
        check("/api", "/api/", None);
        check("/x", "/", Some("x"));
    }

    #[test]
    fn finds_every_prefix_of_a_path_longest_first() {
        let texts = ["/", "/a", "/a/", "/a/b", "/ab", "/a-b", "/a/b/c/", "/b"];
        let groups = texts.iter().enumerate().map(|(index, text)| (*text, vec![index]));
        let prefixes = Prefixes::new(groups.collect());
        let check = |path: &str, expected: &[&str]| {
            let found: Vec<&str> = prefixes.of(path).map(|group| texts[group[0]]).collect();
            assert_eq!(found, expected, "{path}");
        };
        check("/a/b/c/d", &["/a/b/c/", "/a/b", "/a/", "/a", "/"]);
        check("/a/b/c", &["/a/b", "/a/", "/a", "/"]);
        check("/abc", &["/"]);
        check("/a-b/", &["/a-b", "/"]);
        check("/a", &["/a", "/"]);
        check("*", &[]);
    }

    #[test]
    fn regexes_match_the_whole_path() {
        let check = |written: &str, path: &str, expected: bool| {
            let Ok(PathPattern::Regex { regex, .. }) = PathPattern::regex(written) else {
                panic!("{written}");
            };
            assert_eq!(regex.is_match(path), expected, "{written} {path}");
        };
        check("/a|/b", "/a", true);
        check("/a|/b", "/a/b", false);
        check("^/a$", "/a", true);
        check("/a.*", "/b/a", false);
        check("(?m)/a$", "/a\n/b", false);
        check(r".*\.php", "/x.php", true);
    }

    #[test]
    fn refuses_regexes_that_are_none_or_can_never_match() {
        let check = |written: &str, hint: &str| {
            let what = PathPattern::regex(written).expect_err(written);
            assert!(what.contains(hint), "{what}");
        };
        check("/(a", "unclosed group");
        check("/a)|(/b", "unopened group");
        check("/(a{1000}){1000}", "is no regex");
        check(r"\.php$", "starts with `/`");
        check("api/.*", "starts with `/`");
        assert!(PathPattern::regex("a?/x").is_ok());
        assert!(PathPattern::regex("a|/x").is_ok());
    }
}
