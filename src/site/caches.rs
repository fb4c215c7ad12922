//! Which profile of the cache each route has.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cache::{self, Named, Profile};
use crate::config::{self, Config, Route};
use crate::fault::{Faults, KeyPath};
use crate::waf;

use super::names;

/// The profiles of a site, by name.
pub(super) type Caches = BTreeMap<String, Arc<Profile>>;

/// Builds every profile that somebody wrote; the standard one need not be written.
pub(super) fn build(config: &Config) -> Result<Caches, Faults> {
    let mut faults = Faults::none();
    config.cache.check().map_err(|found| faults.extend(found)).ok();
    let mut built = Caches::new();
    let standard = Default::default();
    let mut all: BTreeMap<&str, _> = BTreeMap::from([(cache::STANDARD, &standard)]);
    all.extend(config.cache.profiles.iter().map(|(name, written)| (name.as_str(), written)));
    let mut of_profiles = Faults::none();
    for (name, written) in all {
        of_profiles.collect(name, names::check(name));
        if name == "off" {
            of_profiles.extend(Faults::at(name, "is what routes without a cache say"));
        }
        if let Some(profile) = of_profiles.collect(name, Profile::new(written)) {
            built.insert(name.to_owned(), Arc::new(profile));
        }
    }
    faults.extend(of_profiles.under("profiles"));
    faults.into_result(|| Some(built))
}

/// Whether `defaults` name a profile that there is.
pub(super) fn check_defaults(config: &Config) -> Result<(), Faults> {
    check(&config.defaults.cache, config)
}

/// The profile of a route, if it has one; nothing where profiles have faults,
/// which are reported where they are.
pub(super) fn of_route(
    route: &Route,
    config: &Config,
    built: Option<&Caches>,
) -> Result<Option<Option<Arc<Profile>>>, Faults> {
    if let Some(own) = &route.cache {
        check(own, config)?;
        if *own != Named::Off {
            check_use(route, config)?;
        }
    }
    // What `defaults` say is for routes that ask servers.
    let asks_servers = route.upstream.is_some() || !route.upstreams.is_empty();
    Ok(match route.cache.as_ref().unwrap_or(&config.defaults.cache) {
        Named::Off => Some(None),
        Named::Profile(_) if !asks_servers => Some(None),
        Named::Profile(name) => built.and_then(|built| built.get(name).cloned().map(Some)),
    })
}

/// Whether a cache does anything on that route.
fn check_use(route: &Route, config: &Config) -> Result<(), Faults> {
    let does_something = route.upstream.is_some() || !route.upstreams.is_empty();
    let answers = route.redirect.is_some() || route.respond.is_some() || route.files.is_some();
    if answers && !does_something {
        return Err(Faults::one("keeps what servers answer; this route asks none"));
    }
    let judge = route.waf.as_ref().unwrap_or(&config.defaults.waf);
    if let waf::Named::Profile(name) = judge
        && config.waf.get(name).is_some_and(|judge| judge.responses.0)
    {
        let what = format!("answers that `waf.{name}` judges are not kept; switch one of them off");
        return Err(Faults::one(what));
    }
    Ok(())
}

fn check(named: &Named, config: &Config) -> Result<(), Faults> {
    let Named::Profile(name) = named else {
        return Ok(());
    };
    if name == cache::STANDARD || config.cache.profiles.contains_key(name) {
        return Ok(());
    }
    let names = config.cache.profiles.keys().map(String::as_str).chain([cache::STANDARD]);
    let what = config::unknown("profile", name, names);
    Err(Faults::none().with(KeyPath::root(), what))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(yaml: &str) -> Config {
        serde_yaml::from_str(yaml).expect("well-formed")
    }

    #[test]
    fn a_route_has_its_own_profile_or_that_of_defaults() {
        let routes = "routes: [{ upstream: a }, { upstream: a, cache: off }, { upstream: a, cache: standard },
            { upstream: a, cache: own }, { respond: {} }, { upstreams: { a: 1 } }]";
        let cached = |defaults: &str| {
            let profiles = "cache: { profiles: { own: { ttl: 1m } } }";
            let written = written(&format!("{profiles}\n{defaults}\n{routes}"));
            let built = build(&written).expect("good");
            let of = |route| of_route(route, &written, Some(&built)).expect("good").expect("built");
            written.routes.iter().map(|route| of(route).is_some()).collect::<Vec<_>>()
        };
        assert_eq!(cached("defaults: {}"), [false, false, true, true, false, false]);
        assert_eq!(cached("defaults: { cache: own }"), [true, false, true, true, false, true]);
    }

    #[test]
    fn a_cache_that_would_keep_nothing_is_a_fault() {
        let all = "waf: { strict: { responses: true } }
routes: [{ respond: {}, cache: standard }, { upstream: a, waf: strict, cache: standard },
  { upstream: a, cache: standart }, { waf: strict, upstream: a, cache: off }]";
        let written = written(all);
        let said: Vec<String> = written
            .routes
            .iter()
            .map(|route| match of_route(route, &written, None) {
                Ok(_) => String::new(),
                Err(faults) => faults.iter().map(|fault| fault.what.clone()).collect(),
            })
            .collect();
        assert!(said[0].contains("this route asks none"), "{said:?}");
        assert!(said[1].contains("`waf.strict` judges"), "{said:?}");
        assert!(said[2].contains("did you mean `standard`?"), "{said:?}");
        assert_eq!(said[3], "");
        let unknown = self::written("defaults: { cache: standart }");
        assert!(check_defaults(&unknown).is_err());
    }

    #[test]
    fn faults_are_at_their_keys() {
        for (section, at) in [
            ("memory: 1KiB", "memory"),
            ("disks: [{ path: a, size: 1MiB }, { path: a, size: 1KiB }]", "disks[1].size"),
            ("profiles: { off: {} }", "profiles.off"),
            ("profiles: { 'a b': {} }", "profiles.a b"),
            ("profiles: { a: { ttl: 0s } }", "profiles.a.ttl"),
        ] {
            let found = build(&written(&format!("cache: {{ {section} }}"))).expect_err(section);
            let found: Vec<String> = found.iter().map(|fault| fault.at.to_string()).collect();
            assert_eq!(found.first().map(String::as_str), Some(at), "{found:?}");
        }
    }
}
