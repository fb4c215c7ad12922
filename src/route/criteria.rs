//! A route's [`Match`], read and ready to compare.

use std::collections::HashSet;

use crate::fault::{Faults, KeyPath};

use super::condition::Conditions;
use super::host::HostPattern;
use super::path::PathPattern;
use super::{Match, normal};

#[derive(Debug, Clone)]
pub(super) struct Criteria {
    // Invariant: never empty, no pattern twice; without `hosts` it is any host.
    pub hosts: Vec<HostPattern>,
    pub path: PathPattern,
    pub conditions: Conditions,
}

impl Criteria {
    pub(super) fn new(config: &Match) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let hosts = faults.collect("hosts", read_hosts(&config.hosts));
        let path = read_path(config).map_err(|found| faults.extend(found)).ok();
        let conditions = Conditions::new(config).map_err(|found| faults.extend(found)).ok();
        faults
            .into_result(|| Some(Criteria { hosts: hosts?, path: path?, conditions: conditions? }))
    }
}

fn read_hosts(hosts: &[String]) -> Result<Vec<HostPattern>, Faults> {
    if hosts.is_empty() {
        return Ok(vec![HostPattern::Any]);
    }
    let mut faults = Faults::none();
    let mut seen = HashSet::new();
    let mut patterns = Vec::with_capacity(hosts.len());
    for (index, host) in hosts.iter().enumerate() {
        let pattern = HostPattern::parse(host).map_err(Faults::one);
        let Some(pattern) = faults.collect(index, pattern) else { continue };
        if !seen.insert(pattern.clone()) {
            faults.add(KeyPath::root().child(index), format!("`{host}` is listed twice"));
        }
        patterns.push(pattern);
    }
    faults.into_result(|| Some(patterns))
}

fn read_path(config: &Match) -> Result<PathPattern, Faults> {
    let given: Vec<&str> = [
        ("path", &config.path),
        ("path_prefix", &config.path_prefix),
        ("path_regex", &config.path_regex),
    ]
    .into_iter()
    .filter_map(|(key, value)| value.is_some().then_some(key))
    .collect();
    if given.len() > 1 {
        return Err(Faults::one(format!("{} exclude each other; keep one", given.join(" and "))));
    }
    if let Some(path) = &config.path {
        literal(path).map_err(|what| Faults::at("path", what))?;
        return Ok(PathPattern::Exact(path.clone()));
    }
    if let Some(prefix) = &config.path_prefix {
        literal(prefix).map_err(|what| Faults::at("path_prefix", what))?;
        return Ok(PathPattern::Prefix(prefix.clone()));
    }
    if let Some(regex) = &config.path_regex {
        return PathPattern::regex(regex).map_err(|what| Faults::at("path_regex", what));
    }
    Ok(PathPattern::Any)
}

/// Accepts a path that a request's path in normal form can equal.
fn literal(path: &str) -> Result<(), String> {
    if path.contains('*') {
        return Err(format!(
            "`{path}` has a `*`, which is no wildcard in a path; use path_prefix, or path_regex with `\\*`"
        ));
    }
    normal::check(path)
}
