//! Which profile judges the requests of each route.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::{self, Config, Route};
use crate::fault::{Faults, KeyPath};
use crate::waf::{self, Named, Profile, Shelf};

use super::names;

/// The profiles of a site, by name; none is behind one that is off.
pub(super) type Profiles = BTreeMap<String, Option<Arc<Profile>>>;

/// Builds every profile that somebody wrote or names; the standard one need not be written.
pub(super) fn build(config: &Config) -> Result<Profiles, Faults> {
    let standard = waf::Config::default();
    let mut all: BTreeMap<&str, &waf::Config> = BTreeMap::new();
    if is_standard_used(config) {
        all.insert(waf::STANDARD, &standard);
    }
    all.extend(config.waf.iter().map(|(name, config)| (name.as_str(), config)));
    let mut faults = Faults::none();
    let (mut built, mut shelf) = (Profiles::new(), Shelf::default());
    for (name, config) in all {
        faults.collect(name, names::check(name));
        if name == "off" {
            faults.extend(Faults::at(name, "is what routes without a profile say"));
        }
        if let Some(profile) = faults.collect(name, Profile::new(config, &mut shelf)) {
            built.insert(name.to_owned(), profile.map(Arc::new));
        }
    }
    faults.into_result(|| Some(built))
}

fn is_standard_used(config: &Config) -> bool {
    let own = config.routes.iter().filter_map(|route| route.waf.as_ref());
    own.chain([&config.defaults.waf]).any(|named| *named == Named::default())
}

/// Whether `defaults` name a profile that there is.
pub(super) fn check_defaults(config: &Config) -> Result<(), Faults> {
    check(&config.defaults.waf, config)
}

/// The profile of a route, if it has one; nothing where profiles have faults,
/// which are reported where they are.
pub(super) fn of_route(
    route: &Route,
    config: &Config,
    built: Option<&Profiles>,
) -> Result<Option<Option<Arc<Profile>>>, Faults> {
    if let Some(own) = &route.waf {
        check(own, config)?;
    }
    Ok(match route.waf.as_ref().unwrap_or(&config.defaults.waf) {
        Named::Off => Some(None),
        Named::Profile(name) => built.and_then(|built| built.get(name).cloned()),
    })
}

fn check(named: &Named, config: &Config) -> Result<(), Faults> {
    let Named::Profile(name) = named else {
        return Ok(());
    };
    if name == waf::STANDARD || config.waf.contains_key(name) {
        return Ok(());
    }
    let names = config.waf.keys().map(String::as_str).chain([waf::STANDARD]);
    let what = config::unknown("profile", name, names);
    Err(Faults::none().with(KeyPath::root(), what))
}

/// What of the rules of a profile does not act, as warnings.
pub(super) fn warnings<'a>(profiles: impl Iterator<Item = &'a Arc<Profile>>) -> Vec<String> {
    let mut warnings = Vec::new();
    for warning in profiles.flat_map(|profile| &profile.warnings) {
        let warning = format!("waf: {warning}");
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(yaml: &str) -> Config {
        serde_yaml::from_str(yaml).expect("well-formed")
    }

    /// The routes that a profile judges.
    fn judged(yaml: &str) -> Vec<bool> {
        let written = written(yaml);
        let built = build(&written).expect("good");
        let of = |index: usize| {
            of_route(&written.routes[index], &written, Some(&built)).expect("good").expect("built")
        };
        (0..written.routes.len()).map(|index| of(index).is_some()).collect()
    }

    #[test]
    fn a_route_has_its_own_profile_or_that_of_defaults() {
        let routes = "routes: [{}, { waf: off }, { waf: standard }, { waf: seen }, { waf: none }]";
        let profiles = "waf: { seen: { mode: detect }, none: { mode: off } }";
        let default = "defaults: {}";
        let judged_of = |more: &str| judged(&format!("{profiles}\n{more}\n{routes}"));
        assert_eq!(judged_of(default), [true, false, true, true, false]);
        let off = "defaults: { waf: off }";
        assert_eq!(judged_of(off), [false, false, true, true, false]);
    }

    #[test]
    fn a_profile_that_nobody_wrote_is_a_fault_that_names_the_nearest() {
        let written = written("waf: { strict: {} }\nroutes: [{ waf: strikt }]");
        let said = of_route(&written.routes[0], &written, None).expect_err("unknown");
        let said: Vec<String> = said.iter().map(|fault| fault.what.clone()).collect();
        assert_eq!(said.len(), 1);
        assert!(said[0].starts_with("there is no profile `strikt`"), "{said:?}");
        assert!(said[0].contains("`strict`"), "{said:?}");
        let written = self::written("defaults: { waf: standart }");
        let said = check_defaults(&written).expect_err("unknown");
        assert!(said.iter().all(|fault| fault.what.contains("`standard`")), "{said:?}");
    }

    #[test]
    fn faults_of_a_profile_are_at_its_keys() {
        for (profile, at) in [
            ("a: { paranoia: 5 }", "a.paranoia"),
            ("a: { rules: { files: [none.conf] } }", "a.rules.files[0]"),
            ("off: {}", "off"),
            ("a b: {}", "a b"),
        ] {
            let found = build(&written(&format!("waf: {{ {profile} }}"))).expect_err(profile);
            let found: Vec<String> = found.iter().map(|fault| fault.at.to_string()).collect();
            assert_eq!(found, [at], "{profile}");
        }
    }
}
