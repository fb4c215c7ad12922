//! What the server is asked instead of what the client asked.
//!
//! A rewrite works on the path in normal form and results in one, so a server
//! can read it in no other way than the rooms that judged it.

use regex::{Captures, Regex};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::sanitise::Head;

use super::path::{self, Matched};
use super::template::{Part, Piece, Placeholders, Template, is_path_template, pieces, push_query};
use super::{Match, host, normal};

/// A regex that matches more often than this replaces no further.
const MAX_REPLACEMENTS: usize = 100;

/// Changes of path and host on the way to the server. The query is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// First segments to take away; a path without them stays as it is.
    pub strip_prefix: Option<String>,
    /// Segments to put before the path, after `strip_prefix`.
    pub add_prefix: Option<String>,
    /// The new path, with `{path}`, `{rest}`, `{host}`, `{1}` (a group of path_regex),
    /// and a query if it has one, as in a redirect.
    pub path: Option<String>,
    /// Parts of the path to replace.
    pub regex: Option<String>,
    /// What to replace them with; `{1}` is a group of `regex`.
    pub replace: Option<String>,
    /// The Host that the server sees.
    pub host: Option<String>,
}

/// Rewrites requests of one route.
#[derive(Debug, Clone)]
pub(crate) struct Rewrite {
    change: Option<Change>,
    host: Option<String>,
}

#[derive(Debug, Clone)]
enum Change {
    /// Without a last slash; empty changes nothing.
    Prefix {
        strip: String,
        add: String,
    },
    Path(Template),
    Replace {
        regex: Regex,
        with: Vec<Piece>,
    },
}

impl Rewrite {
    /// `on` is the match of the same route, whose groups `path` may use.
    pub(crate) fn new(config: &Config, on: &Match) -> Result<Self, Faults> {
        let mut faults = conflicts(config);
        let change = read_change(config, on).map_err(|found| faults.extend(found)).ok();
        let host = match &config.host {
            Some(host) => {
                faults.collect("host", host::authority(host).map_err(Faults::one)).map(Some)
            }
            None => Some(None),
        };
        faults.into_result(|| Some(Rewrite { change: change?, host: host? }))
    }

    /// The Host to send, with its port if one was written; `None` keeps the client's.
    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// The path and query to ask the server for.
    ///
    /// `None` if this rewrite leaves paths alone, and for `OPTIONS *`. Else an origin-form target
    /// (RFC 9112 §3.2.1), which starts with exactly one `/`, also where the path
    /// of this request does not change; `strict.path: raw` has no say in it.
    pub(crate) fn target(&self, head: &Head<'_>, matched: &Matched) -> Option<String> {
        let change = self.change.as_ref().filter(|_| head.path.starts_with('/'))?;
        let mut target = String::new();
        match change {
            Change::Path(template) => {
                template.fill(&mut target, head, matched);
                return Some(target);
            }
            Change::Prefix { strip, add } => {
                let path = path::after_prefix(&head.path, strip).unwrap_or(&head.path);
                target.push_str(add);
                target.push('/');
                target.push_str(path.trim_start_matches('/'));
            }
            Change::Replace { regex, with } => {
                let path = regex.replacen(&head.path, MAX_REPLACEMENTS, |found: &Captures<'_>| {
                    replacement(with, found)
                });
                target.push_str(&normal::normal(&path));
            }
        }
        push_query(&mut target, head.query);
        Some(target)
    }
}

fn replacement(with: &[Piece], found: &Captures<'_>) -> String {
    let text_of = |piece| match piece {
        &Piece::Group(number) => found.get(number).map_or("", |group| group.as_str()),
        Piece::Literal(text) => text,
        _ => "",
    };
    with.iter().map(text_of).collect()
}

fn conflicts(config: &Config) -> Faults {
    let mut faults = Faults::none();
    if *config == Config::default() {
        faults.extend(Faults::one(
            "it changes nothing; write strip_prefix, add_prefix, path, regex and replace, or host",
        ));
    }
    let prefix = config.strip_prefix.is_some() || config.add_prefix.is_some();
    let replaces = config.regex.is_some() || config.replace.is_some();
    if config.path.is_some() && (prefix || replaces) {
        faults.extend(Faults::at("path", "it is the whole new path; nothing else can change it"));
    }
    if prefix && replaces {
        faults.extend(Faults::at("regex", "it excludes strip_prefix and add_prefix"));
    }
    match (&config.regex, &config.replace) {
        (Some(_), None) => faults.extend(Faults::at("regex", "it needs replace")),
        (None, Some(_)) => faults.extend(Faults::at("replace", "it needs regex")),
        _ => {}
    }
    faults
}

fn read_change(config: &Config, on: &Match) -> Result<Option<Change>, Faults> {
    let mut faults = Faults::none();
    if let Some(path) = &config.path {
        let template = read_path(path, on);
        let template = faults.collect("path", template);
        return faults.into_result(|| template.map(Change::Path).map(Some));
    }
    if let (Some(regex), Some(replace)) = (&config.regex, &config.replace) {
        let regex = faults.collect("regex", path::compile(regex).map_err(Faults::one));
        let groups = regex.as_ref().map_or(usize::MAX, |regex| regex.captures_len() - 1);
        let known = Placeholders { rest: false, groups };
        let with = faults.collect("replace", pieces(replace, Part::Replacement, known));
        return faults.into_result(|| Some(Some(Change::Replace { regex: regex?, with: with? })));
    }
    let strip = config.strip_prefix.as_deref().map(|prefix| read_strip(prefix, on));
    let strip = faults.collect("strip_prefix", strip.transpose());
    let add = faults.collect("add_prefix", config.add_prefix.as_deref().map(segments).transpose());
    faults.into_result(|| match (strip?, add?) {
        (None, None) => Some(None),
        (strip, add) => Some(Some(Change::Prefix {
            strip: strip.unwrap_or_default(),
            add: add.unwrap_or_default(),
        })),
    })
}

fn read_path(path: &str, on: &Match) -> Result<Template, Faults> {
    if !is_path_template(path) {
        return Err(Faults::one("a path starts with one `/`, or with `{path}`"));
    }
    Template::new(path, Placeholders::of(on))
}

/// Refuses a prefix that no path of the route can have.
fn read_strip(prefix: &str, on: &Match) -> Result<String, Faults> {
    let strip = segments(prefix)?;
    let fits = |path: &str| path::after_prefix(path, &strip).is_some();
    let is_possible = match (&on.path, &on.path_prefix) {
        (Some(path), _) => fits(path),
        (_, Some(start)) => fits(start) || path::after_prefix(&strip, start).is_some(),
        (None, None) => true,
    };
    if !is_possible {
        return Err(Faults::one(format!("no path of this route starts with `{prefix}`")));
    }
    Ok(strip)
}

/// A prefix without its last slash: where it ends, a segment ends.
fn segments(prefix: &str) -> Result<String, Faults> {
    normal::check(prefix).map_err(Faults::one)?;
    let segments = prefix.trim_end_matches('/');
    if segments.is_empty() {
        return Err(Faults::one("`/` alone changes nothing"));
    }
    Ok(segments.to_owned())
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::super::request::Request;
    use super::super::{Router, Rule};
    use super::*;

    /// What the server is asked, by a route with this `match` and `rewrite`.
    #[track_caller]
    fn check(on: &str, rewrite: &str, request: &str, expected: Option<&str>) {
        let on: Match = serde_yaml::from_str(on).expect("test match");
        let config: Config = serde_yaml::from_str(rewrite).expect("test rewrite");
        let rewrite = Rewrite::new(&config, &on).expect("a good rewrite");
        let router = Router::new(vec![Rule { name: None, when: &on, then: rewrite }]);
        let router = router.expect("a good route");
        let request = Request::new(request);
        let head = request.head();
        let found = router.find(&head).expect("a route");
        let target = found.route.target(&head, &found.matched);
        assert_eq!(target.as_deref(), expected, "{request:?}");
        if let Some(target) = target {
            assert!(target.starts_with('/') && !target.starts_with("//"), "{target}");
            assert!(target.parse::<PathAndQuery>().is_ok(), "{target}");
        }
    }

    #[test]
    fn strips_and_adds_whole_segments() {
        let strip = "{ strip_prefix: /api }";
        check("{}", strip, "GET /api/x?q=1", Some("/x?q=1"));
        check("{}", strip, "GET /api", Some("/"));
        check("{}", strip, "GET /api/", Some("/"));
        check("{}", strip, "GET /apix", Some("/apix"));
        check("{}", strip, "GET /api//evil.test/x", Some("/evil.test/x"));
        check("{}", "{ strip_prefix: /api/ }", "GET /api/x", Some("/x"));
        check("{}", "{ strip_prefix: /api/ }", "GET /api", Some("/"));
        check("{}", "{ add_prefix: /v1 }", "GET /x/", Some("/v1/x/"));
        check("{}", "{ add_prefix: /v1/ }", "GET /", Some("/v1/"));
        check("{}", "{ strip_prefix: /a, add_prefix: /b }", "GET /a/x?", Some("/b/x?"));
    }

    #[test]
    fn replaces_the_path() {
        check("{}", "{ path: /index.html }", "GET /a/b?q=1", Some("/index.html?q=1"));
        check("{}", "{ path: '/app?p={path}' }", "GET /a&b?q", Some("/app?p=/a%26b&q"));
        check("{ path_prefix: /a }", "{ path: '/b/{rest}' }", "GET /a/x", Some("/b/x"));
        check("{ path_regex: '/u/(.+)' }", "{ path: '/{1}' }", "GET /u//h/x", Some("/h/x"));
    }

    #[test]
    fn replaces_what_a_regex_matches() {
        let swap = "{ regex: '^/u/([^/]+)/(.*)$', replace: '/{2}/{1}' }";
        check("{}", swap, "GET /u/a/b?q", Some("/b/a?q"));
        check("{}", swap, "GET /x", Some("/x"));
        check("{}", "{ regex: _, replace: '-' }", "GET /a_b_c", Some("/a-b-c"));
        check("{}", "{ regex: '^/x', replace: '' }", "GET /x//evil.test", Some("/evil.test"));
        check("{}", "{ regex: '^/x', replace: '' }", "GET /xy", Some("/y"));
        check("{}", "{ regex: '^/x(.*)', replace: '/./{1}' }", "GET /x../y", Some("/y"));
    }

    #[test]
    fn the_server_as_a_whole_has_no_path() {
        let mut request = Request::new("OPTIONS /");
        request.path = "*".to_owned();
        let config = Config { add_prefix: Some("/a".to_owned()), ..Config::default() };
        let rewrite = Rewrite::new(&config, &Match::default()).expect("a good rewrite");
        assert_eq!(rewrite.target(&request.head(), &Matched::Prefix(0)), None);
    }

    #[test]
    fn replacements_are_bounded() {
        let long = format!("GET /{}", "_".repeat(MAX_REPLACEMENTS + 2));
        let expected = format!("/{}__", "-".repeat(MAX_REPLACEMENTS));
        check("{}", "{ regex: _, replace: '-' }", &long, Some(&expected));
    }

    #[test]
    fn a_host_alone_leaves_the_path() {
        check("{}", "{ host: app.internal }", "GET /a", None);
        let config = Config { host: Some("App.internal:80".to_owned()), ..Config::default() };
        let rewrite = Rewrite::new(&config, &Match::default()).expect("a good rewrite");
        assert_eq!(rewrite.host(), Some("app.internal:80"));
    }

    #[test]
    fn refuses_what_contradicts_or_does_nothing() {
        let check = |on: &str, rewrite: &str, expected: &[(&str, &str)]| {
            let on: Match = serde_yaml::from_str(on).expect("test match");
            let config: Config = serde_yaml::from_str(rewrite).expect("test rewrite");
            let faults = Rewrite::new(&config, &on).map(|_| ()).expect_err(rewrite);
            let faults: Vec<_> = faults.iter().map(|f| (f.at.to_string(), &f.what)).collect();
            assert_eq!(faults.len(), expected.len(), "{faults:?}");
            for ((at, what), (key, hint)) in faults.iter().zip(expected) {
                assert!(at == key && what.contains(hint), "{rewrite}: {faults:?}");
            }
        };
        check("{}", "{}", &[("", "changes nothing")]);
        check("{}", "{ path: /a, strip_prefix: /b }", &[("path", "nothing else")]);
        check("{}", "{ path: /a, regex: /b, replace: /c }", &[("path", "nothing else")]);
        check("{}", "{ add_prefix: /a, regex: /b, replace: /c }", &[("regex", "excludes")]);
        check("{}", "{ regex: /a }", &[("regex", "replace")]);
        check("{}", "{ replace: /a }", &[("replace", "regex")]);
        check(
            "{}",
            "{ regex: '(', replace: '{1' }",
            &[("regex", "unclosed group"), ("replace", "never closed")],
        );
        check("{}", "{ regex: (a), replace: '{2}' }", &[("replace", "only 1")]);
        check("{}", "{ regex: (a), replace: '{path}' }", &[("replace", "only groups")]);
        check("{}", "{ path: a }", &[("path", "starts with")]);
        check("{}", "{ path: //a }", &[("path", "starts with")]);
        check("{}", "{ path: '/{1}' }", &[("path", "no regex")]);
        check("{}", "{ path: '/a#b' }", &[("path", "`/a%23b`")]);
        check(
            "{}",
            "{ strip_prefix: a, add_prefix: / }",
            &[("strip_prefix", "`/a`"), ("add_prefix", "nothing")],
        );
        check("{ path_prefix: /v1/ }", "{ strip_prefix: /api }", &[("strip_prefix", "no path")]);
        check("{ path: /v1 }", "{ strip_prefix: /v1/x }", &[("strip_prefix", "no path")]);
        check("{}", "{ host: 'http://a' }", &[("host", "no host")]);
    }
}
