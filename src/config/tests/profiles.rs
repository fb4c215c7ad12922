//! Profiles of the room `waf`, which are no section of the file yet.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::*;
use crate::waf::{Config as Profile, Named, Profile as Built, Shelf};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Sections {
    waf: BTreeMap<String, Profile>,
    defaults: Chosen,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
struct Chosen {
    waf: Named,
}

/// The faults of a profile as printed, without the name of the file.
#[track_caller]
fn check(profile: &str, expected: &[&str]) {
    let loader = Loader { environment: &environment, not_yet: &[], not_empty: &[] };
    let text = format!("waf:\n  a: {profile}\n");
    let loaded = loader.load_str::<Sections>("t.yaml", &text);
    let built = loaded.and_then(|loaded| {
        loaded.build(|config| {
            let mut faults = Faults::none();
            for (name, profile) in &config.waf {
                let built = Built::new(profile, &mut Shelf::default())
                    .map_err(|found| found.under(name.as_str()));
                faults.collect("waf", built);
            }
            faults.into_result(|| Some(()))
        })
    });
    let report = built.err();
    let said = report.as_ref().map(Report::lines).unwrap_or_default();
    let said: Vec<_> = said.iter().map(|line| line.strip_prefix("t.yaml:").unwrap()).collect();
    assert_eq!(said, expected, "{text}");
}

#[test]
fn every_form_of_a_profile_is_read() {
    for profile in [
        "{}",
        "{ rules: builtin, mode: detect, paranoia: 2 }",
        "{ skip: [920100, SecGeoLookupDb], inbound_threshold: 10 }",
        "{ exclude: [{ tag: attack-sqli }, { tag: attack-xss, target: 'ARGS:q', path_prefix: /x }] }",
        "{ body: { inspect: 64KiB, files: stream, over: block } }",
    ] {
        check(profile, &[]);
    }
}

#[test]
fn what_is_wrong_with_a_profile_is_told_at_its_place() {
    for (profile, said) in [
        ("{ mod: block }", "2:8: waf.a.mod: unknown key (did you mean `mode`?)"),
        (
            "{ mode: blok }",
            "2:14: waf.a.mode: expected `block`, `detect` or `off`, found `blok` (did you mean `block`?)",
        ),
        (
            "{ rules: buildin }",
            "2:15: waf.a.rules: expected `builtin` or a mapping, found `buildin` (did you mean `builtin`?)",
        ),
        ("{ rules: { csr: /x } }", "2:17: waf.a.rules.csr: unknown key (did you mean `crs`?)"),
        ("{ rules: {} }", "2:8: waf.a.rules: has no rules; write `crs` or `files`, or builtin"),
        (
            "{ skip: [sec] }",
            "2:15: waf.a.skip[0]: `sec` is no directive; write SecGeoLookupDb or the id of a rule",
        ),
        ("{ paranoia: 5 }", "2:18: waf.a.paranoia: is 5; must be 1 to 4"),
        (
            "{ exclude: [{ tga: x }] }",
            "2:20: waf.a.exclude[0].tga: unknown key (did you mean `tag`?)",
        ),
        (
            "{ exclude: [x] }",
            "2:18: waf.a.exclude[0]: expected a whole number or a mapping, found `x`",
        ),
        (
            "{ body: { inspect: 128 kib } }",
            "2:25: waf.a.body.inspect: `128 kib` is no size; write 512, 64KiB, 10MiB or 2GiB",
        ),
        (
            "{ body: { over: prefix } }",
            "2:22: waf.a.body.over: expected `inspect_prefix`, `block` or `pass`, found `prefix`",
        ),
    ] {
        check(profile, &[said]);
    }
}

#[test]
fn a_route_names_a_profile_or_none() {
    let loader = Loader { environment: &environment, not_yet: &[], not_empty: &[] };
    for (written, expected) in [
        ("{}", Named::Profile("standard".to_owned())),
        ("{ defaults: { waf: off } }", Named::Off),
        ("{ defaults: { waf: strict } }", Named::Profile("strict".to_owned())),
    ] {
        let sections = loader.load_str::<Sections>("t.yaml", written).and_then(whole);
        assert_eq!(sections.unwrap_or_else(|report| panic!("{report}")).defaults.waf, expected);
    }
}
