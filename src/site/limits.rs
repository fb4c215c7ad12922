//! Which rate limits there are, and which of them each route has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{self, Config};
use crate::fault::{Faults, KeyPath};
use crate::limit::{Limits, Listed, RateLimit};
use crate::log::Metrics;

use super::names;

/// The rate limits of a site, by name.
pub(super) type RateLimits = BTreeMap<String, Arc<RateLimit>>;

pub(super) fn build(config: &Config, metrics: &Metrics) -> Result<RateLimits, Faults> {
    let mut faults = Faults::none();
    let mut built = RateLimits::new();
    for (name, written) in &config.rate_limits {
        faults.collect(name.as_str(), names::check(name));
        let limit = RateLimit::new(name, written, config.bans.longest, metrics.rate_limit(name));
        if let Some(limit) = faults.collect(name.as_str(), limit) {
            built.insert(name.clone(), Arc::new(limit));
        }
    }
    faults.into_result(|| Some(built))
}

/// Whether every name that `defaults` list is that of a rate limit.
pub(super) fn check_defaults(config: &Config) -> Result<(), Faults> {
    check(&config.defaults.rate_limits, config).map_err(|found| found.under("rate_limits"))
}

/// What a route allows; `built` is none where rate limits have faults, which
/// are reported where they are.
pub(super) fn of_route(
    route: &config::Route,
    config: &Config,
    built: Option<&RateLimits>,
) -> Result<Option<Limits>, Faults> {
    let mut faults = Faults::none();
    let written = &route.limits;
    let bounds = [
        ("concurrency", written.concurrency),
        ("concurrency_per_client", written.concurrency_per_client),
    ];
    for (key, _) in bounds.iter().filter(|(_, most)| *most == Some(0)) {
        faults.add(KeyPath::root().child("limits").child(*key), "must be more than 0");
    }
    let mut names: Vec<&String> = Vec::new();
    if let Listed::Names(own) = &route.rate_limits {
        faults.collect("rate_limits", check(own, config));
        names.extend(config.defaults.rate_limits.iter().chain(own));
    }
    // Listed twice, it would take twice.
    names.sort();
    names.dedup();
    faults.into_result(|| {
        let limits = names.iter().map(|name| built?.get(*name).cloned());
        let limits: Option<Vec<Arc<RateLimit>>> = limits.collect();
        let [(_, concurrency), (_, per_client)] = bounds;
        Some(limits.map(|limits| Limits::new(limits, concurrency, per_client)))
    })
}

fn check(names: &[String], config: &Config) -> Result<(), Faults> {
    let mut faults = Faults::none();
    for (index, name) in names.iter().enumerate() {
        if !config.rate_limits.contains_key(name) {
            let known = config.rate_limits.keys().map(String::as_str);
            faults.extend(Faults::at(index, config::unknown("rate limit", name, known)));
        }
    }
    faults.into_result(|| Some(()))
}
