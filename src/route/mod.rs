//! Decides which rules apply to a request: finds its route.
//!
//! Of all routes that match, the most specific one wins: first by host (exact,
//! then the longest wildcard, then any host), then by path (exact, then the
//! longest prefix, then regexes in their order, then no path at all), then by
//! the number of conditions, then by the order in the file. A route whose host
//! matches but whose path or conditions do not is no obstacle: the next one is
//! tried. What a route does with a request is for later rooms; only its
//! rewrite and its redirect, which need to know what matched, live here.
//!
//! Cost of a look-up, with nothing allocated: one hash per label of the host; at
//! each host pattern that matches, one hash and one binary search of the path
//! and a step per prefix nested around it; regexes one by one, and only once no
//! exact path or prefix took the request; then the conditions of each candidate.

use std::collections::BTreeMap;

use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::sanitise::Head;

use criteria::Criteria;
use host::Hosts;

mod condition;
mod criteria;
mod host;
mod normal;
mod overlap;
mod path;
mod redirect;
mod rewrite;
mod template;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod request;

pub(crate) use self::condition::read_methods;
pub(crate) use host::read_host;
pub(crate) use normal::decoded;
pub(crate) use path::Matched;
pub(crate) use redirect::{Config as RedirectConfig, Redirect};
pub(crate) use rewrite::{Config as RewriteConfig, Rewrite};

/// Which requests a route is for. What is not given matches everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Match {
    /// `example.com`, `*.example.com` (every name below it, but not itself), an
    /// IPv4 address, or an IPv6 address in brackets.
    pub hosts: Vec<String>,
    /// The whole path.
    pub path: Option<String>,
    /// The path's first segments: `/api/` takes `/api/x`; `/api` takes `/api`
    /// and `/api/x`, but not `/apix`.
    pub path_prefix: Option<String>,
    /// A regular expression for the whole path.
    pub path_regex: Option<String>,
    /// The methods; `GET` takes `HEAD` too.
    pub methods: Vec<String>,
    /// Header fields that have this value; `*` is any value.
    pub headers: BTreeMap<String, String>,
    /// Query parameters that have this value, percent-decoded; `*` is any value.
    pub query: BTreeMap<String, String>,
}

/// One route as [`Router::new`] takes it.
#[derive(Debug, Clone)]
pub(crate) struct Rule<'a, T> {
    pub name: Option<&'a str>,
    pub when: &'a Match,
    pub then: T,
}

/// Finds the route of a request.
#[derive(Debug)]
pub(crate) struct Router<T> {
    hosts: Hosts,
    routes: Vec<Route<T>>,
}

/// The route of a request, and what of its path matched.
#[derive(Debug)]
pub(crate) struct Found<'r, T> {
    pub route: &'r T,
    pub matched: Matched,
}

/// Why no route takes a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoRoute {
    #[error("no route matches")]
    Unknown,
    /// Other methods would have found a route: `allow`, sorted by name.
    #[error("no route takes this method here")]
    Method { allow: Vec<Method> },
}

impl<T> Router<T> {
    /// Builds the router; faults are under `[index].name` and `[index].match`.
    pub(crate) fn new(rules: Vec<Rule<'_, T>>) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let names: Vec<Option<&str>> = rules.iter().map(|rule| rule.name).collect();
        let criteria: Vec<Option<Criteria>> = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| {
                let compiled = Criteria::new(rule.when).map_err(|faults| faults.under("match"));
                faults.collect(index, compiled)
            })
            .collect();
        faults.extend(overlap::faults(&names, &criteria));
        faults.into_result(|| {
            let criteria: Vec<Criteria> = criteria.into_iter().collect::<Option<_>>()?;
            let hosts = Hosts::new(&criteria);
            let routes = criteria.into_iter().zip(rules);
            let routes = routes.map(|(criteria, rule)| Route { criteria, target: rule.then });
            Some(Router { hosts, routes: routes.collect() })
        })
    }

    /// Finds the most specific route that takes the request.
    pub(crate) fn find(&self, head: &Head<'_>) -> Result<Found<'_, T>, NoRoute> {
        let host = host::canonical(&head.host);
        self.candidates(&host, &head.path)
            .find(|route| route.criteria.conditions.hold(head))
            .map(|route| Found { route: &route.target, matched: route.criteria.path.matched() })
            .ok_or_else(|| self.missing(&host, head))
    }

    /// Where the most specific route leads that has the host and the path, whatever
    /// else it asks for.
    pub(crate) fn first_at(&self, host: &str, path: &str) -> Option<&T> {
        self.candidates(&host::canonical(host), path).next().map(|route| &route.target)
    }

    /// The routes whose host and path match, the most specific first.
    fn candidates<'r>(&'r self, host: &str, path: &str) -> impl Iterator<Item = &'r Route<T>> {
        let indices = self.hosts.levels(host).flat_map(move |paths| paths.candidates(path));
        indices.filter_map(|index| self.routes.get(index))
    }

    fn missing(&self, host: &str, head: &Head<'_>) -> NoRoute {
        let mut allow: Vec<Method> = self
            .candidates(host, &head.path)
            .filter(|route| route.criteria.conditions.hold_but_for_method(head))
            .flat_map(|route| route.criteria.conditions.methods())
            .cloned()
            .collect();
        if allow.is_empty() {
            return NoRoute::Unknown;
        }
        allow.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        allow.dedup();
        NoRoute::Method { allow }
    }
}

#[derive(Debug)]
struct Route<T> {
    criteria: Criteria,
    target: T,
}

#[cfg(test)]
mod tests {
    use super::request::Request;
    use super::*;

    /// Routes as YAML, each `{ name, match }`.
    fn router(routes: &str) -> Result<Router<String>, Faults> {
        #[derive(Deserialize)]
        struct Written {
            name: Option<String>,
            #[serde(default, rename = "match")]
            when: Match,
        }
        let routes: Vec<Written> = serde_yaml::from_str(routes).expect("test routes");
        let rule = |route: &'_ Written| route.name.clone().unwrap_or_default();
        let rules = routes.iter().map(|route| Rule {
            name: route.name.as_deref(),
            when: &route.when,
            then: rule(route),
        });
        Router::new(rules.collect())
    }

    /// Sends each request, such as `GET a.test/x?q=1`, and compares the route's name.
    #[track_caller]
    fn check(routes: &str, expected: &[(&str, &str)]) {
        let router = router(routes).expect("good routes");
        for (request, name) in expected {
            let request = Request::new(request);
            let found = router.find(&request.head()).map(|found| found.route.as_str());
            assert_eq!(found, Ok(*name), "{request:?}");
        }
    }

    #[track_caller]
    fn check_missing(routes: &str, request: &str, expected: &NoRoute) {
        let found = router(routes).expect("good routes");
        let found = found.find(&Request::new(request).head()).map(|found| found.route.clone());
        assert_eq!(found.as_ref(), Err(expected), "{request}");
    }

    #[track_caller]
    fn check_faults(routes: &str, expected: &[(&str, &str)]) {
        let faults = router(routes).map(|_| ()).expect_err("faults");
        let faults: Vec<_> = faults.iter().map(|f| (f.at.to_string(), &f.what)).collect();
        let fits = |((at, what), (key, hint)): (&(String, &String), &(&str, &str))| {
            at == key && what.contains(hint)
        };
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        assert!(faults.iter().zip(expected).all(fits), "{faults:#?}");
    }

    #[test]
    fn a_route_without_match_takes_everything() {
        check("[{ name: all }]", &[("GET a.test/", "all"), ("PUT /x?y", "all")]);
    }

    #[test]
    fn the_most_specific_host_wins() {
        let routes = "
            - { name: any }
            - { name: wild, match: { hosts: ['*.test'] } }
            - { name: deep, match: { hosts: ['*.a.test'] } }
            - { name: exact, match: { hosts: [b.a.test, a.test, '[2001:DB8::1]'] } }";
        check(
            routes,
            &[
                ("GET a.test/", "exact"),
                ("GET b.a.test/", "exact"),
                ("GET c.a.test/", "deep"),
                ("GET d.c.a.test/", "deep"),
                ("GET b.test/", "wild"),
                ("GET test/", "any"),
                ("GET xa.other/", "any"),
                ("GET [2001:db8:0::1]/", "exact"),
                ("GET /", "any"),
            ],
        );
    }

    #[test]
    fn the_most_specific_path_wins() {
        let routes = "
            - { name: any }
            - { name: regex, match: { path_regex: '/(a|x|long).*' } }
            - { name: later, match: { path_regex: '/x.*' } }
            - { name: prefix, match: { path_prefix: /a } }
            - { name: below, match: { path_prefix: /a/ } }
            - { name: exact, match: { path: /a/b } }";
        check(
            routes,
            &[
                ("GET a.test/a/b", "exact"),
                ("GET a.test/a/b/", "below"),
                ("GET a.test/a/", "below"),
                ("GET a.test/a", "prefix"),
                ("GET a.test/ab", "regex"),
                ("GET a.test/xy", "regex"),
                ("GET a.test/y", "any"),
                ("GET a.test/A", "any"),
            ],
        );
    }

    #[test]
    fn host_counts_before_path_before_conditions_before_order() {
        let routes = "
            - { name: path, match: { path: /a } }
            - { name: host, match: { hosts: [a.test], path_prefix: /a } }
            - { name: one, match: { path_prefix: /c, methods: [GET] } }
            - { name: two, match: { path_prefix: /c, methods: [GET], query: { x: '1' } } }
            - { name: other, match: { path_prefix: /c, query: { y: '1' } } }
            - { name: bare, match: { path_prefix: /c } }";
        check(
            routes,
            &[
                ("GET a.test/a", "host"),
                ("GET b.test/a", "path"),
                ("GET b.test/c?x=1", "two"),
                ("GET b.test/c?x=2&y=1", "one"),
                ("POST b.test/c?x=1&y=1", "other"),
                ("POST b.test/c", "bare"),
            ],
        );
    }

    #[test]
    fn a_better_host_without_the_path_is_no_obstacle() {
        let routes = "
            - { name: exact, match: { hosts: [a.test], path: /a } }
            - { name: wild, match: { hosts: ['*.test'], path_prefix: /w, methods: [PUT] } }
            - { name: any, match: { path_prefix: /w } }";
        check(
            routes,
            &[("PUT a.test/w", "wild"), ("GET a.test/w", "any"), ("GET a.test/a", "exact")],
        );
        check_missing(routes, "GET a.test/b", &NoRoute::Unknown);
    }

    #[test]
    fn get_takes_head_and_nothing_else() {
        let routes = "
            - { name: read, match: { methods: [GET] } }
            - { name: write, match: { methods: [POST], path: /form } }";
        check(routes, &[("GET /", "read"), ("HEAD /", "read"), ("POST /form", "write")]);
        let allow = |methods: &[Method]| NoRoute::Method { allow: methods.to_vec() };
        check_missing(routes, "POST /", &allow(&[Method::GET, Method::HEAD]));
        let all = allow(&[Method::GET, Method::HEAD, Method::POST]);
        check_missing(routes, "OPTIONS /form", &all);
    }

    #[test]
    fn a_method_is_wrong_only_where_all_else_is_right() {
        let routes = "
            - { name: a, match: { path: /a, methods: [GET], query: { x: '1' } } }
            - { name: b, match: { path: /b, methods: [PUT] } }";
        check_missing(routes, "POST /a", &NoRoute::Unknown);
        let allow = vec![Method::GET, Method::HEAD];
        check_missing(routes, "POST /a?x=1", &NoRoute::Method { allow });
    }

    #[test]
    fn tells_what_matched() {
        let routes = "
            - { name: p, match: { path_prefix: /p } }
            - { name: e, match: { path: /e } }
            - { name: r, match: { path_regex: '/r/(.*)' } }
            - { name: any }";
        let router = router(routes).expect("good routes");
        let check = |request: &str, rest: &str, group: Option<&str>| {
            let request = Request::new(request);
            let head = request.head();
            let matched = router.find(&head).expect("a route").matched;
            let captures = matched.captures(&head.path);
            assert_eq!(matched.rest(&head.path), rest, "{request:?}");
            assert_eq!(captures.and_then(|c| Some(c.get(1)?.as_str())), group, "{request:?}");
        };
        check("GET /p/x/y", "x/y", None);
        check("GET /p//x", "x", None);
        check("GET /p", "", None);
        check("GET /e", "", None);
        check("GET /r/x", "", Some("x"));
        check("GET /z/x", "z/x", None);
    }

    #[test]
    fn reports_every_fault_at_its_key() {
        check_faults(
            "
            - { match: { hosts: ['a.test:80', a.test, A.test], path: a, path_prefix: b } }
            - { match: { path: /a/../b, methods: [get, 'P T', GET, GET] } }
            - { match: { path_prefix: '/api/*', headers: { host: a, 'x y': b, X-A: '1', x-a: '2', x-b: ' 1' } } }
            - { match: { path_regex: '(', query: { '': x } } }",
            &[
                ("[0].match.hosts[0]", "`a.test`"),
                ("[0].match.hosts[2]", "twice"),
                ("[0].match", "path and path_prefix"),
                ("[1].match.path", "`/b`"),
                ("[1].match.methods[0]", "`GET`"),
                ("[1].match.methods[1]", "no method"),
                ("[1].match.methods[3]", "twice"),
                ("[2].match.path_prefix", "no wildcard"),
                ("[2].match.headers.host", "hosts"),
                ("[2].match.headers.x y", "no name"),
                ("[2].match.headers.x-a", "twice"),
                ("[2].match.headers.x-b", "spaces"),
                ("[3].match.path_regex", "unclosed"),
                ("[3].match.query", "name"),
            ],
        );
    }
}
