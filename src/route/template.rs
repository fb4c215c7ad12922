//! Templates of paths: `/new/{rest}?from={path}`.
//!
//! What a request puts into a template stays where its placeholder stands: it
//! can change neither the host nor the parameters, nor start a second line.

use regex::Captures;

use crate::fault::Faults;
use crate::sanitise::Head;

use super::path::{self, Matched};
use super::{Match, normal};

/// What a match can fill in besides `{path}`, `{host}` and `{query}`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placeholders {
    pub rest: bool,
    /// The number of the regex's last group.
    pub groups: usize,
}

impl Placeholders {
    pub(super) fn of(on: &Match) -> Self {
        let groups = on.path_regex.as_ref().map_or(0, |written| {
            // A bad regex is the router's to report; blame no group for it.
            path::compile(written).map_or(usize::MAX, |regex| regex.captures_len() - 1)
        });
        Placeholders { rest: on.path_regex.is_none() && on.path.is_none(), groups }
    }
}

/// A path, and a query if the template has one.
#[derive(Debug, Clone)]
pub(super) struct Template {
    path: Vec<Piece>,
    /// Empty drops the query of the request, as nginx reads a last `?`.
    query: Option<Vec<Piece>>,
    has_groups: bool,
}

impl Template {
    /// Reads a template that starts with `/` or `{path}`, or with a `?` alone.
    pub(super) fn new(text: &str, known: Placeholders) -> Result<Self, Faults> {
        let (path, query) = match text.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (text, None),
        };
        let mut faults = Faults::none();
        let mut pieces_of = |text, part| match pieces(text, part, known) {
            Ok(pieces) => pieces,
            Err(found) => {
                faults.extend(found);
                Vec::new()
            }
        };
        let path = pieces_of(path, Part::Path);
        let query = query.map(|query| pieces_of(query, Part::Query));
        let has_groups =
            path.iter().chain(query.iter().flatten()).any(|piece| matches!(piece, Piece::Group(_)));
        faults.into_result(|| Some(Template { path, query, has_groups }))
    }

    /// Appends the filled template: a path in normal form, and the query.
    pub(super) fn fill(&self, out: &mut String, head: &Head<'_>, matched: &Matched) {
        let captures = if self.has_groups { matched.captures(&head.path) } else { None };
        let text_of = |piece| text_of(piece, head, matched, captures.as_ref());
        let path: String = self.path.iter().map(text_of).collect();
        out.push_str(&normal::normal(&path));

        let Some(pieces) = &self.query else { return push_query(out, head.query) };
        let mut query = String::new();
        for piece in pieces {
            match piece {
                Piece::Literal(text) => query.push_str(text),
                Piece::Query => normal::push_query(&mut query, text_of(piece)),
                _ => normal::push_value(&mut query, text_of(piece)),
            }
        }
        let is_placed = pieces.is_empty() || pieces.contains(&Piece::Query);
        if let Some(own) = head.query.filter(|_| !is_placed) {
            query.push('&');
            normal::push_query(&mut query, own);
        }
        let query = query.trim_matches('&');
        if !query.is_empty() {
            out.push('?');
            out.push_str(query);
        }
    }
}

/// Whether a template fills to a path: it starts with one `/`, or with `{path}`.
pub(super) fn is_path_template(text: &str) -> bool {
    (text.starts_with('/') && !text.starts_with("//")) || text.starts_with("{path}")
}

/// Appends the query of the request, if there is one.
pub(super) fn push_query(out: &mut String, query: Option<&str>) {
    if let Some(query) = query {
        out.push('?');
        normal::push_query(out, query);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    Path,
    Rest,
    Host,
    Query,
    Group(usize),
}

/// Where a piece stands, which decides what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Host,
    Path,
    Query,
    /// What a rewrite puts in place of the parts that its regex matches.
    Replacement,
}

/// Splits a text into its placeholders and what is between them.
pub(super) fn pieces(text: &str, part: Part, known: Placeholders) -> Result<Vec<Piece>, Faults> {
    let mut faults = Faults::none();
    if let Some(number) = foreign_group(text) {
        faults.extend(Faults::one(format!("write a group of a regex as `{{{number}}}`")));
        return Err(faults);
    }
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (literal, tail) = match rest.split_once('{') {
            Some((literal, tail)) => (literal, Some(tail)),
            None => (rest, None),
        };
        if let Err(what) = check_literal(literal, part) {
            faults.extend(Faults::one(what));
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        let Some(tail) = tail else { break };
        let Some((name, after)) = tail.split_once('}') else {
            faults.extend(Faults::one("a `{` is never closed; write %7B for the character"));
            break;
        };
        match placeholder(name, part, known) {
            Ok(piece) => pieces.push(piece),
            Err(what) => faults.extend(Faults::one(what)),
        }
        rest = after;
    }
    faults.into_result(|| Some(pieces))
}

/// What a piece stands for, as the request spells it.
pub(super) fn text_of<'a>(
    piece: &'a Piece,
    head: &'a Head<'_>,
    matched: &Matched,
    captures: Option<&Captures<'a>>,
) -> &'a str {
    match piece {
        Piece::Literal(text) => text,
        Piece::Path => &head.path,
        Piece::Rest => matched.rest(&head.path),
        Piece::Host => &head.host,
        Piece::Query => head.query.unwrap_or_default(),
        Piece::Group(number) => {
            captures.and_then(|captures| captures.get(*number)).map_or("", |group| group.as_str())
        }
    }
}

fn placeholder(name: &str, part: Part, known: Placeholders) -> Result<Piece, String> {
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) && part != Part::Host {
        return match name.parse() {
            Ok(number) if (1..=known.groups).contains(&number) => Ok(Piece::Group(number)),
            _ if known.groups == 0 => Err(format!("`{{{name}}}`: there is no regex with groups")),
            _ => Err(format!("`{{{name}}}`: the regex has only {} groups", known.groups)),
        };
    }
    match (name, part) {
        ("host", Part::Host | Part::Path | Part::Query) => Ok(Piece::Host),
        ("path", Part::Path | Part::Query) => Ok(Piece::Path),
        ("rest", Part::Path | Part::Query) if known.rest => Ok(Piece::Rest),
        ("rest", Part::Path | Part::Query) => {
            Err("`{rest}` is what follows the matched path_prefix; match by one".to_owned())
        }
        ("query", Part::Query) => Ok(Piece::Query),
        ("query", Part::Path) => Err("`{query}` may stand only after a `?`".to_owned()),
        _ => Err(format!("`{{{name}}}` is no placeholder here; there are {}", part.placeholders())),
    }
}

fn check_literal(text: &str, part: Part) -> Result<(), String> {
    let right = match part {
        // A host is checked as a whole.
        Part::Host => return Ok(()),
        Part::Path | Part::Replacement => normal::spelled(text),
        Part::Query => {
            let mut right = String::new();
            normal::push_query(&mut right, text);
            right
        }
    };
    if right != text {
        return Err(format!("`{text}` is not in normal form; write `{right}`"));
    }
    Ok(())
}

/// The digit of a group written as in other servers: `$1`, `${1}` or `\1`.
fn foreign_group(text: &str) -> Option<char> {
    text.split(['$', '\\'])
        .skip(1)
        .filter_map(|after| after.trim_start_matches('{').chars().next())
        .find(char::is_ascii_digit)
}

impl Part {
    fn placeholders(self) -> &'static str {
        match self {
            Part::Host => "{host}, and more after a `/`",
            Part::Path => "{path}, {rest}, {host} and {1}",
            Part::Query => "{path}, {rest}, {host}, {query} and {1}",
            Part::Replacement => "only groups of the regex, such as {1}",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::request::Request;
    use super::*;

    const KNOWN: Placeholders = Placeholders { rest: true, groups: 0 };

    #[track_caller]
    fn check(template: &str, request: &str, expected: &str) {
        let request = Request::new(request);
        let template = Template::new(template, KNOWN).expect(template);
        let mut filled = String::new();
        template.fill(&mut filled, &request.head(), &Matched::Prefix("/old".len()));
        assert_eq!(filled, expected, "{request:?}");
    }

    #[test]
    fn fills_placeholders() {
        check("/new/{rest}", "GET a.test/old/x/y", "/new/x/y");
        check("/new/{rest}", "GET a.test/old", "/new/");
        check("{path}", "GET a.test/old/x", "/old/x");
        check("/{host}{path}", "GET a.test/old/x", "/a.test/old/x");
        check("/fixed", "GET a.test/old", "/fixed");
    }

    #[test]
    fn keeps_places_or_drops_the_query() {
        check("/n", "GET /old?a=1", "/n?a=1");
        check("/n?b=2", "GET /old?a=1", "/n?b=2&a=1");
        check("/n?b=2", "GET /old", "/n?b=2");
        check("/n?{query}&b=2", "GET /old?a=1", "/n?a=1&b=2");
        check("/n?{query}&b=2", "GET /old", "/n?b=2");
        check("/n?{query}", "GET /old", "/n");
        check("/n?", "GET /old?a=1", "/n");
    }

    #[test]
    fn values_stay_in_their_parameter() {
        check("/n?from={path}", "GET /old/a&b=c+d%20e?x=1", "/n?from=/old/a%26b%3Dc%2Bd%2520e&x=1");
        check("/n?{query}", "GET /old?a=1\r\nx: y#z", "/n?a=1%0D%0Ax:%20y%23z");
    }

    #[test]
    fn a_filled_path_is_normal() {
        check("/{rest}", "GET /old//evil.test", "/evil.test");
        check("/{rest}", "GET /old/\\evil.test", "/%5Cevil.test");
        check("/x/.{rest}/y", "GET /old/.", "/y");
        check("{path}", "GET //evil.test", "/evil.test");
    }

    #[test]
    fn refuses_what_it_cannot_fill() {
        let check = |template: &str, hint: &str| {
            let faults = Template::new(template, KNOWN).expect_err(template);
            let whats: Vec<&str> = faults.iter().map(|fault| fault.what.as_str()).collect();
            assert!(whats.len() == 1 && whats[0].contains(hint), "{template}: {whats:?}");
        };
        check("/{foo}", "no placeholder");
        check("/{}", "no placeholder");
        check("/{1}", "no regex with groups");
        check("/{0}", "no regex with groups");
        check("/{rest", "never closed");
        check("/rest}", "write `/rest%7D`");
        check("/{query}", "after a `?`");
        check("/$1", "`{1}`");
        check("/${1}", "`{1}`");
        check("/\\2", "`{2}`");
        check("/a b", "write `/a%20b`");
        check("/a?b=\"", "write `b=%22`");
    }
}
