//! Which profile judges the requests of each route.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

use crate::config;
use crate::fault::{Faults, KeyPath};
use crate::waf::{self, Named, Profile};

use super::names;

/// The profiles of a site, by name; none is behind one that is off.
pub(super) type Profiles = BTreeMap<String, Option<Arc<Profile>>>;

/// What a configuration says of profiles.
///
/// It is beside the configuration, where a test that needs it puts it, and goes
/// into its sections when the rules of the engine act.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(super) struct Written {
    waf: BTreeMap<String, waf::Config>,
    defaults: Chosen,
    routes: Vec<Chosen>,
    #[serde(skip)]
    fault: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
struct Chosen {
    waf: Option<Named>,
}

impl Default for Written {
    fn default() -> Self {
        let defaults = Chosen { waf: Some(Named::Off) };
        Written { waf: BTreeMap::new(), defaults, routes: Vec::new(), fault: None }
    }
}

impl Written {
    /// What the environment names, for tests alone; no profile acts without it.
    pub(super) fn find() -> Written {
        let Some(path) = std::env::var_os("TIDEGATE_UNFINISHED_WAF") else {
            return Written::default();
        };
        let Ok(text) = std::fs::read_to_string(path) else {
            return Written::default();
        };
        serde_yaml::from_str(&text).unwrap_or_else(|error| Written {
            fault: Some(error.to_string()),
            ..Written::default()
        })
    }

    /// Every profile, and the one that there is without being written.
    fn all(&self) -> BTreeMap<&str, waf::Config> {
        let mut all: BTreeMap<&str, waf::Config> = BTreeMap::new();
        all.insert(waf::STANDARD, waf::Config::default());
        all.extend(self.waf.iter().map(|(name, config)| (name.as_str(), config.clone())));
        all
    }

    /// The profile that a route names, or `defaults` for it.
    fn named(&self, index: usize) -> Option<&Named> {
        let own = self.routes.get(index).and_then(|route| route.waf.as_ref());
        own.or(self.defaults.waf.as_ref())
    }
}

pub(super) fn build(written: &Written) -> Result<Profiles, Faults> {
    let mut faults = Faults::each(written.fault.clone());
    let mut built = Profiles::new();
    for (name, config) in &written.all() {
        faults.collect(*name, names::check(name));
        if *name == "off" {
            faults.extend(Faults::at(*name, "is what routes without a profile say"));
        }
        if let Some(profile) = faults.collect(*name, Profile::new(config)) {
            built.insert((*name).to_owned(), profile.map(Arc::new));
        }
    }
    faults.into_result(|| Some(built))
}

/// Whether `defaults` name a profile that there is.
pub(super) fn check_defaults(written: &Written) -> Result<(), Faults> {
    written.defaults.waf.as_ref().map_or(Ok(()), |named| check(named, written))
}

/// The profile of a route, if it has one; nothing where profiles have faults,
/// which are reported where they are.
pub(super) fn of_route(
    index: usize,
    written: &Written,
    built: Option<&Profiles>,
) -> Result<Option<Option<Arc<Profile>>>, Faults> {
    if let Some(own) = written.routes.get(index).and_then(|route| route.waf.as_ref()) {
        check(own, written)?;
    }
    let default = Named::default();
    Ok(match written.named(index).unwrap_or(&default) {
        Named::Off => Some(None),
        Named::Profile(name) => built.and_then(|built| built.get(name).cloned()),
    })
}

fn check(named: &Named, written: &Written) -> Result<(), Faults> {
    let Named::Profile(name) = named else {
        return Ok(());
    };
    let all = written.all();
    match all.contains_key(name.as_str()) {
        true => Ok(()),
        false => {
            let what = config::unknown("profile", name, all.keys().copied());
            Err(Faults::none().with(KeyPath::root(), what))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(yaml: &str) -> Written {
        serde_yaml::from_str(yaml).expect("well-formed")
    }

    /// The routes that a profile judges.
    fn judged(yaml: &str) -> Vec<bool> {
        let written = written(yaml);
        let built = build(&written).expect("good");
        let of = |index| of_route(index, &written, Some(&built)).expect("good").expect("built");
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
        let said = of_route(0, &written, None).expect_err("unknown");
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
