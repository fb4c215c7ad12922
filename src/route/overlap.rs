//! Routes that get in each other's way: faults that no single route shows.

use std::collections::{BTreeSet, HashMap};

use crate::fault::{Faults, KeyPath};

use super::criteria::Criteria;
use super::host::HostPattern;
use super::path::PathKey;

/// Finds names given twice, matches given twice, and routes that others always
/// outrank as far as their words prove it. A route with faults of its own is `None`.
pub(super) fn faults(names: &[Option<&str>], routes: &[Option<Criteria>]) -> Faults {
    let mut faults = same_names(names);
    let rivals = Rivals::new(routes);
    for (index, route) in routes.iter().enumerate() {
        let Some(route) = route else { continue };
        let match_of = |index: usize| KeyPath::root().child(index).child("match");
        let at = match_of(index);
        let called = |other: usize| called(names, other);
        let twin = route.hosts.iter().find_map(|host| Some((host, rivals.twin(index, host)?)));
        if let Some((host, other)) = twin {
            let what = format!("the same match as {} ({host}); keep one", called(other));
            faults.add_beside(at, vec![match_of(other)], what);
            continue;
        }
        let first = |host| rivals.always_first(index, host);
        if let Some(others) = route.hosts.iter().map(first).collect::<Option<Vec<_>>>() {
            let others: BTreeSet<usize> = others.into_iter().collect();
            let first: Vec<String> = others.iter().copied().map(called).collect();
            let what = format!("never used: {} always comes first", first.join(" and "));
            faults.add_beside(at, others.into_iter().map(match_of).collect(), what);
        }
    }
    faults
}

/// The routes as their rivals see them; those that ask the same come together.
struct Rivals<'r> {
    routes: &'r [Option<Criteria>],
    by_path: HashMap<(&'r HostPattern, PathKey<'r>), Vec<usize>>,
    /// Prefixes that take every request below them.
    open_prefixes: HashMap<&'r HostPattern, Vec<(usize, &'r str)>>,
}

impl<'r> Rivals<'r> {
    fn new(routes: &'r [Option<Criteria>]) -> Self {
        let mut by_path: HashMap<_, Vec<usize>> = HashMap::new();
        let mut open_prefixes: HashMap<_, Vec<_>> = HashMap::new();
        for (index, route) in routes.iter().enumerate() {
            let Some(route) = route else { continue };
            let key = route.path.key();
            for host in &route.hosts {
                by_path.entry((host, key)).or_default().push(index);
                if let PathKey::Prefix(prefix) = key
                    && route.conditions.count() == 0
                {
                    open_prefixes.entry(host).or_default().push((index, prefix));
                }
            }
        }
        Rivals { routes, by_path, open_prefixes }
    }

    /// An earlier route that asks exactly the same at this host.
    fn twin(&self, index: usize, host: &'r HostPattern) -> Option<usize> {
        let conditions = &self.routes[index].as_ref()?.conditions;
        self.earlier(index, host).find(|(_, other)| other.conditions == *conditions).map(|(i, _)| i)
    }

    /// A route that wins at this host whenever the one at `index` matches.
    fn always_first(&self, index: usize, host: &'r HostPattern) -> Option<usize> {
        let route = self.routes[index].as_ref()?;
        // One with fewer conditions loses, one with more cannot be implied.
        let same_path = self
            .earlier(index, host)
            .find(|(_, other)| {
                other.conditions.count() == route.conditions.count()
                    && route.conditions.imply(&other.conditions)
            })
            .map(|(other, _)| other);
        let prefixes = self.open_prefixes.get(host).map(Vec::as_slice).unwrap_or_default();
        let outranking = || {
            let covers = |(_, prefix): &&(usize, &str)| route.path.is_below_prefix(prefix);
            prefixes.iter().find(covers).map(|(other, _)| *other)
        };
        same_path.or_else(outranking)
    }

    /// The routes before this one with the same path at this host.
    fn earlier(
        &self,
        index: usize,
        host: &'r HostPattern,
    ) -> impl Iterator<Item = (usize, &'r Criteria)> {
        let key = self.routes[index].as_ref().map(|route| (host, route.path.key()));
        let same_path = key.and_then(|key| self.by_path.get(&key));
        let same_path = same_path.map(Vec::as_slice).unwrap_or_default();
        same_path
            .iter()
            .take_while(move |other| **other < index)
            .filter_map(|other| Some((*other, self.routes[*other].as_ref()?)))
    }
}

fn same_names(names: &[Option<&str>]) -> Faults {
    let mut faults = Faults::none();
    let mut seen: HashMap<&str, usize> = HashMap::new();
    for (index, name) in names.iter().enumerate() {
        let Some(name) = name else { continue };
        if let Some(other) = seen.get(name) {
            let name_of = |index: usize| KeyPath::root().child(index).child("name");
            let what = format!("`{name}` is already the name of routes[{other}]");
            faults.add_beside(name_of(index), vec![name_of(*other)], what);
        } else {
            seen.insert(name, index);
        }
    }
    faults
}

fn called(names: &[Option<&str>], index: usize) -> String {
    match names.get(index) {
        Some(Some(name)) => format!("routes[{index}] (`{name}`)"),
        _ => format!("routes[{index}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Match;
    use super::*;

    /// Routes as YAML, each a `match`; the faults expected as `index: part of the text`.
    #[track_caller]
    fn check(matches: &str, expected: &[(usize, &str)]) {
        let matches: Vec<Match> = serde_yaml::from_str(matches).expect("test matches");
        let routes: Vec<_> = matches.iter().map(|on| Criteria::new(on).ok()).collect();
        assert!(routes.iter().all(Option::is_some), "a match has faults of its own");
        let faults = faults(&vec![None; routes.len()], &routes);
        let faults: Vec<_> = faults.iter().map(|f| (f.at.to_string(), f.what.clone())).collect();
        assert_eq!(faults.len(), expected.len(), "{faults:#?}");
        for ((at, what), (index, hint)) in faults.iter().zip(expected) {
            assert_eq!(*at, format!("[{index}].match"), "{faults:#?}");
            assert!(what.contains(hint), "{faults:#?}");
        }
    }

    #[test]
    fn the_same_match_twice_is_a_fault() {
        check("[{}, {}]", &[(1, "the same match as routes[0] (any host)")]);
        check("[{ path: /a }, { path: /a }]", &[(1, "routes[0]")]);
        check("[{ path_regex: /a }, { path_regex: /a }]", &[(1, "routes[0]")]);
        check("[{ methods: [GET, PUT] }, { methods: [PUT, HEAD, GET] }]", &[(1, "routes[0]")]);
        check("[{ headers: { A: b } }, { headers: { a: b } }]", &[(1, "routes[0]")]);
        check(
            "[{ hosts: [a.test, b.test] }, { path: /x }, { hosts: [c.test, B.test] }]",
            &[(2, "the same match as routes[0] (b.test)")],
        );
        check("[{ hosts: ['*.a.test'] }, { hosts: ['*.A.test'] }]", &[(1, "(*.a.test)")]);
    }

    #[test]
    fn matches_that_only_look_alike_are_none() {
        check("[{ path: /a }, { path_prefix: /a }, { path_prefix: /a/ }, { path_regex: /a }]", &[]);
        check("[{ path: /a, methods: [GET] }, { path: /a }]", &[]);
        check("[{ path: /a }, { path: /a, methods: [GET] }]", &[]);
        check("[{ query: { a: '1' } }, { query: { a: '2' } }]", &[]);
        check("[{ hosts: [a.test] }, { hosts: ['*.test'] }, {}]", &[]);
    }

    #[test]
    fn a_route_that_never_wins_is_a_fault() {
        check("[{ methods: [GET, PUT] }, { methods: [GET] }]", &[(1, "never used: routes[0]")]);
        check("[{ methods: [GET] }, { methods: [GET, PUT] }]", &[]);
        check("[{ headers: { x: '*' } }, { headers: { x: a } }]", &[(1, "routes[0]")]);
        check("[{ headers: { x: a } }, { headers: { x: '*' } }]", &[]);
        check("[{ query: { x: '*' } }, { headers: { x: a } }]", &[]);
        check("[{ query: { x: '*' } }, { query: { x: a }, methods: [GET] }]", &[]);
        check("[{ query: { x: a } , methods: [GET]}, { query: { x: a } }]", &[]);
        check("[{ methods: [GET] }, { headers: { x: a } }]", &[]);
    }

    #[test]
    fn a_regex_below_a_prefix_never_wins() {
        check("[{ path_regex: /a.* }, { path_prefix: / }]", &[(0, "routes[1]")]);
        check("[{}, { path_prefix: / }]", &[(0, "routes[1]")]);
        check("[{ path_regex: '^/api/v[12]/.*' }, { path_prefix: /api }]", &[(0, "routes[1]")]);
        check("[{ path_regex: '/api/.*' }, { path_prefix: /api/ }]", &[(0, "routes[1]")]);
        check("[{ path_regex: '/api.*' }, { path_prefix: /api }]", &[]);
        check("[{ path_regex: '/api/?x' }, { path_prefix: /api/ }]", &[]);
        check("[{ path_regex: '/api/x|/y' }, { path_prefix: /api/ }]", &[]);
        check("[{ path_regex: '/api/.*' }, { path_prefix: /api/, methods: [GET] }]", &[]);
        check("[{ path: /a }, { path_prefix: /a }, { path_prefix: / }]", &[]);
    }

    #[test]
    fn a_route_reachable_by_one_host_is_none() {
        let cover = "{ hosts: [a.test], path_prefix: / }";
        check(&format!("[{{ hosts: [a.test, b.test] }}, {cover}]"), &[]);
        check(&format!("[{{ hosts: [a.test] }}, {cover}]"), &[(0, "routes[1]")]);
        check(&format!("[{{ hosts: ['*.test'] }}, {cover}]"), &[]);
        check(
            &format!(
                "[{{ hosts: [a.test, b.test] }}, {cover}, {{ hosts: [b.test], path_prefix: / }}]"
            ),
            &[(0, "routes[1] and routes[2]")],
        );
    }

    #[test]
    fn names_are_given_once() {
        let faults = faults(&[Some("a"), None, Some("b"), None, Some("a")], &[]);
        let faults: Vec<_> = faults.iter().map(|f| (f.at.to_string(), f.what.as_str())).collect();
        assert_eq!(faults, [("[4].name".to_owned(), "`a` is already the name of routes[0]")]);
    }
}
