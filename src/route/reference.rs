//! Holds the router to the plainest reading of its rules: every rule against
//! every request, and a comparison of what makes them specific.

use std::cmp::Reverse;
use std::collections::HashMap;

use fastrand::Rng;
use http::Method;
use regex::Regex;

use crate::fault::{Faults, Step};

use super::request::Request;
use super::{Match, NoRoute, Router, Rule};

const HOSTS: [&str; 8] =
    ["a.test", "x.a.test", "b.test", "192.0.2.1", "*.test", "*.a.test", "*.x.a.test", "[::1]"];
const PATHS: [&str; 9] = ["/", "/a", "/a/", "/a/b", "/a/b/", "/ab", "/b", "/a/b/c", "/a-b"];
const REGEXES: [&str; 5] = ["/a.*", "/[ab]/?.*", ".*b", "/a/b.*", "/a(/b)?"];
const METHODS: [&str; 4] = ["GET", "HEAD", "POST", "PUT"];
const ROUNDS: usize = 1500;

#[test]
fn finds_what_the_plain_reading_finds() {
    let mut rng = Rng::with_seed(0x7469_6465);
    let regexes: HashMap<&str, Regex> = REGEXES
        .iter()
        .map(|text| (*text, Regex::new(&format!("^(?:{text})$")).expect("a regex")))
        .collect();
    let (mut found, mut missed, mut wrong_method, mut never_used) = (0, 0, 0, 0);
    for _ in 0..ROUNDS {
        let requests: Vec<Request> = (0..12).map(|_| any_request(&mut rng)).collect();
        let mut rules: Vec<Match> = (0..rng.usize(1..16)).map(|_| any_rule(&mut rng)).collect();
        let router = loop {
            let faults = match router(&rules) {
                Ok(router) => break router,
                Err(faults) => faults,
            };
            let fault = faults.iter().next().expect("a fault");
            let Some(Step::Item(index)) = fault.at.steps().first() else { panic!("{fault:?}") };
            if fault.what.contains("never used") {
                let winner = |request: &Request| plain_reading(&rules, &regexes, request);
                assert!(requests.iter().all(|r| winner(r) != Some(*index)), "{:?}", rules[*index]);
                never_used += 1;
            }
            rules.remove(*index);
        };
        for request in &requests {
            let expected = plain_reading(&rules, &regexes, request);
            match router.find(&request.head()) {
                Ok(route) => {
                    assert_eq!(Some(*route.route), expected, "{request:?} {rules:#?}");
                    found += 1;
                }
                Err(NoRoute::Unknown) => {
                    assert_eq!(expected, None, "{request:?} {rules:#?}");
                    assert!(allowed(&rules, &regexes, request).is_empty(), "{request:?}");
                    missed += 1;
                }
                Err(NoRoute::Method { allow }) => {
                    assert_eq!(expected, None, "{request:?} {rules:#?}");
                    assert_eq!(allow, allowed(&rules, &regexes, request), "{request:?}");
                    wrong_method += 1;
                }
            }
        }
    }
    // The generator must reach every kind of outcome often, else it proves little.
    for count in [found, missed, wrong_method, never_used] {
        assert!(count > 300, "{found} {missed} {wrong_method} {never_used}");
    }
}

fn router(rules: &[Match]) -> Result<Router<usize>, Faults> {
    let rules = rules.iter().enumerate();
    Router::new(rules.map(|(then, when)| Rule { name: None, when, then }).collect())
}

/// The rule that the contract names, by comparing all rules that match.
fn plain_reading(
    rules: &[Match],
    regexes: &HashMap<&str, Regex>,
    request: &Request,
) -> Option<usize> {
    let mut ranks = Vec::new();
    for (index, rule) in rules.iter().enumerate() {
        if !conditions_hold(rule, request) {
            continue;
        }
        let hosts: Vec<Option<&String>> = match rule.hosts.as_slice() {
            [] => vec![None],
            hosts => hosts.iter().map(Some).collect(),
        };
        for host in hosts {
            let host_rank = match host {
                None => (0, 0),
                Some(host) if *host == request.host => (2, 0),
                Some(host) => match host.strip_prefix('*') {
                    Some(end) if request.host.ends_with(end) => (1, end.len()),
                    _ => continue,
                },
            };
            let path_rank = if let Some(path) = &rule.path {
                (*path == request.path).then_some((3, 0))
            } else if let Some(prefix) = &rule.path_prefix {
                let slashed = format!("{}/", prefix.trim_end_matches('/'));
                let matches = request.path == *prefix || request.path.starts_with(&slashed);
                matches.then_some((2, prefix.len()))
            } else if let Some(regex) = &rule.path_regex {
                let is_same = |other: &Match| {
                    let same_host =
                        host.map_or(other.hosts.is_empty(), |h| other.hosts.contains(h));
                    same_host && other.path_regex.as_ref() == Some(regex)
                };
                let first = rules.iter().position(is_same).expect("itself at least");
                let matches = regexes[regex.as_str()].is_match(&request.path);
                matches.then_some((1, usize::MAX - first))
            } else {
                Some((0, 0))
            };
            let count =
                usize::from(!rule.methods.is_empty()) + rule.headers.len() + rule.query.len();
            if let Some(path_rank) = path_rank {
                ranks.push((host_rank, path_rank, count, Reverse(index)));
            }
        }
    }
    ranks.into_iter().max().map(|(_, _, _, Reverse(index))| index)
}

fn conditions_hold(rule: &Match, request: &Request) -> bool {
    let takes = |method: &String| {
        *method == request.method.as_str() || (method == "GET" && request.method == Method::HEAD)
    };
    let header = |(name, value): (&String, &String)| {
        let mut values = request.headers.get_all(name.as_str()).iter();
        values.any(|found| value == "*" || found == value.as_str())
    };
    let parameter = |(name, value): (&String, &String)| {
        let query = request.query.as_deref().unwrap_or_default();
        query.split('&').any(|pair| match value.as_str() {
            "*" => pair.starts_with(&format!("{name}=")),
            value => pair == format!("{name}={value}"),
        })
    };
    (rule.methods.is_empty() || rule.methods.iter().any(takes))
        && rule.headers.iter().all(header)
        && rule.query.iter().all(parameter)
}

/// The methods with which the request would find a rule.
fn allowed(rules: &[Match], regexes: &HashMap<&str, Regex>, request: &Request) -> Vec<Method> {
    let methods = METHODS.iter().map(|method| method.parse().expect("a method"));
    let with = |method: &Method| Request { method: method.clone(), ..request.clone() };
    methods.filter(|method| plain_reading(rules, regexes, &with(method)).is_some()).collect()
}

fn any_rule(rng: &mut Rng) -> Match {
    let mut rule = Match::default();
    if rng.bool() {
        let count = rng.usize(1..3);
        let hosts = rng.choose_multiple(HOSTS, count);
        rule.hosts = hosts.into_iter().map(str::to_owned).collect();
    }
    match rng.u8(..8) {
        0 | 1 => rule.path = any(rng, &PATHS),
        2 | 3 => rule.path_prefix = any(rng, &PATHS),
        4 => rule.path_prefix = Some("/".to_owned()),
        5 | 6 => rule.path_regex = any(rng, &REGEXES),
        _ => {}
    }
    if rng.u8(..3) == 0 {
        let count = rng.usize(1..3);
        let methods = rng.choose_multiple(METHODS, count);
        rule.methods = methods.into_iter().map(str::to_owned).collect();
    }
    for conditions in [&mut rule.headers, &mut rule.query] {
        for name in ["x", "y"] {
            if rng.u8(..5) == 0 {
                conditions.insert(name.to_owned(), any(rng, &["1", "2", "*"]).expect("a value"));
            }
        }
    }
    rule
}

fn any_request(rng: &mut Rng) -> Request {
    let method = any(rng, &METHODS).expect("a method");
    let hosts = ["a.test", "b.test", "x.a.test", "y.x.a.test", "192.0.2.1", "[::1]", "other", ""];
    let host = any(rng, &hosts).expect("a host");
    let path = any(rng, &["/c", "/a/b/c/d", "/abc", "/bb", "/a//b"]).filter(|_| rng.bool());
    let path = path.or_else(|| any(rng, &PATHS)).expect("a path");
    let query = any(rng, &["", "?x=1", "?x=2&y=1", "?y=2&x=1&x=2", "?x=3"]).expect("a query");
    let request = Request::new(&format!("{method} {host}{path}{query}"));
    match rng.u8(..4) {
        0 => request,
        1 => request.with("x", "1"),
        2 => request.with("x", "3").with("y", "2"),
        _ => request.with("x", "2").with("x", "1"),
    }
}

fn any(rng: &mut Rng, words: &[&str]) -> Option<String> {
    rng.choice(words).map(|word| (*word).to_owned())
}
