//! The regression tests that come with the OWASP Core Rule Set, stage by stage in this process,
//! and whether requests are judged as libmodsecurity judges them.
//!
//! TIDEGATE_CRS names a directory with `rules`, `crs-setup.conf.example` and `tests`; the one
//! beside the project is taken otherwise. With TIDEGATE_WAF_ORACLE, libmodsecurity stands in for
//! the engine, so that the runner itself can be judged.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod rules;
mod remembered;
mod oracle;
mod engine;
mod known;
mod builtin;

use tidegate_suite::case::Stage;
use tidegate_suite::known::Override;
use tidegate_suite::outcome::Outcome;
use tidegate_suite::report::{Tally, say};
use tidegate_suite::{case, crs};

use crate::known::Cause;
use crate::oracle::Oracle;
use crate::rules::Setup;

/// The most stages whose expectation may be wrong for the engine.
const OVERRIDES: usize = 10;

/// The driver of libmodsecurity, built; else why there is none is told.
fn oracle() -> Option<Oracle> {
    Oracle::build().map_err(|reason| say(&format!("libmodsecurity: {reason}: not run"))).ok()
}

fn is_for_the_oracle() -> bool {
    std::env::var_os("TIDEGATE_WAF_ORACLE").is_some()
}

fn judge(stages: &[Stage], outcomes: &[Outcome], overrides: &[Override]) -> Tally {
    let mut tally = Tally::default();
    for (stage, outcome) in stages.iter().zip(outcomes) {
        match stage.expected.faults(outcome) {
            Some(faults) => tally.add(stage, &faults, overrides),
            None => tally.leave("for a parser of HTTP"),
        }
    }
    tally
}

#[test]
fn logs_what_every_stage_expects() {
    if is_for_the_oracle() {
        return;
    }
    let Some(directory) = crs() else { return };
    let stages = case::read(&directory.join("tests/regression"));
    let overrides = known::overrides();
    assert!(overrides.len() <= OVERRIDES, "{} overrides", overrides.len());
    let outcomes = engine::judge(&Setup::detecting(&directory), &stages);
    let tally = judge(&stages, &outcomes, &overrides);
    say(&format!("CRS suite: {tally}"));
    assert!(tally.is_clean(&overrides), "{}", tally.faults(&overrides));
}

fn judge_the_oracle(setup: &Setup, mut known: Vec<Override>) {
    let (Some(directory), Some(oracle)) = (crs(), oracle()) else { return };
    let stages = case::read(&directory.join("tests/regression"));
    let outcomes = oracle.judge(setup, &stages);
    known.extend(known::overrides());
    let tally = judge(&stages, &outcomes, &known);
    say(&format!("CRS suite by libmodsecurity: {tally}"));
    assert!(tally.is_clean(&known), "{}", tally.faults(&known));
}

#[test]
fn libmodsecurity_fails_where_it_is_known_to() {
    let Some(directory) = crs().filter(|_| is_for_the_oracle()) else { return };
    let known = known::causes().iter().flat_map(Cause::failing).collect();
    judge_the_oracle(&Setup::detecting(&directory), known);
}

#[test]
fn libmodsecurity_fails_less_when_mended() {
    let Some(directory) = crs().filter(|_| is_for_the_oracle()) else { return };
    let causes = known::causes();
    let known = causes.iter().flat_map(Cause::failing_mended).collect();
    judge_the_oracle(&Setup::detecting(&directory).mended(&causes), known);
}

fn compare(rules: known::Rules) {
    let Some(directory) = crs().filter(|_| !is_for_the_oracle()) else { return };
    let stages = case::read(&directory.join("tests/regression"));
    let (version, level) = rules;
    let setup = match version {
        3 => Setup::of_3(level),
        _ => Some(Setup::blocking(&directory, level)),
    };
    let Some(setup) = setup else { return say("CRS 3 of Debian is not installed: not run") };
    let Some(oracle) = oracle() else { return };
    let ours = engine::judge(&setup, &stages);
    let causes = known::causes();
    let theirs = oracle.judge(&setup.mended(&causes), &stages);
    let known: Vec<Override> = causes.iter().flat_map(|cause| cause.differing(rules)).collect();
    let mut tally = Tally::default();
    for ((stage, ours), theirs) in stages.iter().zip(&ours).zip(&theirs) {
        tally.add(stage, &ours.differences(theirs), &known);
    }
    say(&format!(
        "decisions by CRS {version} at paranoia level {level} against libmodsecurity: {tally}"
    ));
    assert!(tally.is_clean(&known), "{}", tally.faults(&known));
}

#[test]
fn decides_as_libmodsecurity_at_level_1() {
    compare((4, 1));
}

#[test]
fn decides_as_libmodsecurity_at_level_2() {
    compare((4, 2));
}

#[test]
fn decides_as_libmodsecurity_at_level_3() {
    compare((4, 3));
}

#[test]
fn decides_as_libmodsecurity_at_level_4() {
    compare((4, 4));
}

#[test]
fn decides_as_libmodsecurity_by_crs_3() {
    compare((3, 1));
}

#[test]
fn decides_as_libmodsecurity_by_crs_3_at_level_2() {
    compare((3, 2));
}
