//! Which rate limits there are, and which of them each route has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::Changed;
use crate::config::{self, Config};
use crate::fault::{Faults, KeyPath};
use crate::limit::{Limits, Listed, RateLimit};
use crate::log::Metrics;
use crate::sanitise::are_one_name;

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

/// Whether what limits count requests by is still there once they are let in.
///
/// Limits come before access: they would count by what clients write where
/// `access` puts what it has verified.
pub(super) fn check_fields(config: &Config) -> Result<(), Faults> {
    let mut faults = Faults::none();
    for (name, limit) in &config.rate_limits {
        let Some(field) = limit.unverified_field() else { continue };
        let listing = config.routes.iter().enumerate();
        let listing = listing.filter(|(_, route)| lists(route, config, name));
        let mut changing: Vec<KeyPath> = Vec::new();
        for at in listing.flat_map(|(index, _)| changes(config, index, field)) {
            if !changing.contains(&at) {
                changing.push(at);
            }
        }
        if !changing.is_empty() {
            let what = format!("counts what clients write in `{field}`, before access changes it");
            let what = format!("{what}; write client_ip, or another field");
            let at = KeyPath::from_iter(["rate_limits", name, "key", "header"]);
            faults.add_beside(at, changing, what);
        }
    }
    faults.into_result(|| Some(()))
}

fn lists(route: &config::Route, config: &Config, limit: &String) -> bool {
    match &route.rate_limits {
        Listed::Names(own) => own.contains(limit) || config.defaults.rate_limits.contains(limit),
        Listed::None(_) => false,
    }
}

/// The keys of `access` that change a field on a route: its own, and those by
/// which the same servers are told something on other routes.
fn changes(config: &Config, index: usize, field: &str) -> Vec<KeyPath> {
    let here = config.routes.get(index).map(upstreams).unwrap_or_default();
    let mut found = Vec::new();
    for (other, route) in config.routes.iter().enumerate() {
        let is_behind = upstreams(route).iter().any(|name| here.contains(name));
        for (changed, at, name) in route.access.changed() {
            let is_here = other == index || (is_behind && changed == Changed::Filled);
            // Names have no case.
            if is_here && are_one_name(&name.to_ascii_lowercase(), &field.to_ascii_lowercase()) {
                let access = KeyPath::root().child("routes").child(other).child("access");
                found.push(access.then(&at));
            }
        }
    }
    found
}

fn upstreams(route: &config::Route) -> Vec<&String> {
    route.upstream.iter().chain(route.upstreams.keys()).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a limit by `x-user` on the first of `routes` is told of these keys.
    #[track_caller]
    fn check(limit: &str, routes: &str, expected: &[&str]) {
        let yaml = format!(
            "{{ rate_limits: {{ few: {limit} }}, upstreams: {{ app: {{ servers: ['127.0.0.1:1'] }}, \
             other: {{ servers: ['127.0.0.1:2'] }} }}, routes: [{routes}] }}"
        );
        let value: serde_yaml::Value = serde_yaml::from_str(&yaml).expect("YAML");
        let config: Config =
            serde_yaml::with::singleton_map_recursive::deserialize(value).expect("well-formed");
        let faults = check_fields(&config).err().unwrap_or_default();
        let found: Vec<String> = faults
            .iter()
            .flat_map(|fault| std::iter::once(&fault.at).chain(&fault.others))
            .map(KeyPath::to_string)
            .collect();
        assert_eq!(found, expected, "{routes}");
    }

    #[test]
    fn limits_count_by_no_field_that_access_changes() {
        const FEW: &str = "{ rate: 1/s, key: { header: X-User } }";
        const AT: &str = "rate_limits.few.key.header";
        let jwt = "jwt: { jwks: keys.json, headers: { x-user: sub } }";
        let forward = "forward: { url: 'http://127.0.0.1:1/', headers: [x-a, x_user] }";
        let basic = "basic: { file: users, pass: off }";
        let limited = |access: &str| format!("{{ upstream: app, rate_limits: [few]{access} }}");
        let free = |to: &str, access: &str| format!("{{ upstream: {to}, access: {{ {access} }} }}");
        let with = |access: &str| limited(&format!(", access: {{ {access} }}"));
        check(FEW, &limited(""), &[]);
        check(FEW, &with(jwt), &[AT, "routes[0].access.jwt.headers.x-user"]);
        check(FEW, &with(forward), &[AT, "routes[0].access.forward.headers[1]"]);
        check(FEW, &with(basic), &[]);
        // On another route to the same servers, too; or to others.
        let behind = format!("{}, {}", limited(""), free("app", jwt));
        check(FEW, &behind, &[AT, "routes[1].access.jwt.headers.x-user"]);
        check(FEW, &format!("{}, {}", limited(""), free("other", jwt)), &[]);
        check(FEW, &free("app", jwt), &[]);
        let hidden = "{ rate: 1/s, key: { header: authorization } }";
        check(hidden, &with(basic), &[AT, "routes[0].access.basic.pass"]);
        check(hidden, &format!("{}, {}", limited(""), free("app", basic)), &[]);
        check(hidden, &with("basic: { file: users }"), &[]);
        // Bodies come after access.
        let bodies = "{ rate: 1MiB/s, count: body_bytes, key: { header: x-user } }";
        check(bodies, &with(jwt), &[]);
        check("{ rate: 1/s, key: { cookie: x-user } }", &with(jwt), &[]);
    }
}
