//! The rules of Tidegate's own: ordinary requests pass, and attacks of the families that they
//! claim are refused, as the tests that come with CRS know them.

mod chance;
mod values;
mod carrier;
mod ordinary;
mod families;

use std::collections::{BTreeMap, BTreeSet};

use tidegate_suite::exchange::Exchange;
use tidegate_suite::outcome::Outcome;
use tidegate_suite::report::say;
use tidegate_suite::{case, crs};

use crate::engine;
use crate::rules::Setup;
use families::{Judged, Reviewed};
use ordinary::{Ordinary, REQUESTS, SEED};
use values::Values;

/// Of the attacks that rules of CRS at level 1 know, so many per cent are refused at least.
const ATTACKS: f64 = 80.0;
/// Of what is no attack, so many at most.
const OTHERS: f64 = 1.0;
/// The most stages that may be taken for attacks though they expect no match.
const REVIEWED: usize = 32;
/// The fewest different values among the ordinary requests.
const DISTINCT: usize = 1_500;

fn judge(level: u8, requests: &[Ordinary]) -> Vec<Outcome> {
    let exchanges: Vec<&Exchange> = requests.iter().map(|one| &one.exchange).collect();
    engine::judge_exchanges(&Setup::builtin(level), &exchanges)
}

/// What was refused, told.
fn refused(requests: &[Ordinary], outcomes: &[Outcome]) -> Vec<String> {
    let refused = requests.iter().zip(outcomes).filter(|(_, outcome)| outcome.is_refused);
    let told = refused.map(|(one, outcome)| {
        let lines = outcome.lines.iter().map(|line| line.escape_ascii().to_string());
        let by = lines.collect::<Vec<_>>().join("; ");
        format!("{} as {:?}: {:?} by {by}", one.kind, one.carrier, one.value)
    });
    told.collect()
}

#[test]
fn ordinary_requests_pass() {
    let values = Values::read();
    let requests = ordinary::requests(&values, SEED, false, REQUESTS);
    let distinct: BTreeSet<&str> = requests.iter().map(|one| one.value.as_str()).collect();
    assert!(distinct.len() >= DISTINCT, "{} distinct values", distinct.len());
    say(&format!("builtin: {}", ordinary::variety(&requests, &values)));
    let refused = refused(&requests, &judge(1, &requests));
    assert!(refused.is_empty(), "{} refused\n  {}", refused.len(), refused.join("\n  "));
}

#[test]
fn what_else_is_refused_is_told() {
    let values = Values::read();
    let requests = ordinary::requests(&values, SEED, false, REQUESTS);
    let strict = refused(&requests, &judge(2, &requests)).len();
    say(&format!("builtin: of these, level 2 refuses {strict}"));
    let beyond = ordinary::requests(&values, SEED, true, 300);
    let outcomes = judge(1, &beyond);
    let mut kinds: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (one, outcome) in beyond.iter().zip(&outcomes) {
        let (refused, all) = kinds.entry(one.kind).or_default();
        *refused += usize::from(outcome.is_refused);
        *all += 1;
    }
    say(&format!("builtin: texts in languages of attacks, refused of all at level 1: {kinds:?}"));
}

#[test]
fn attacks_of_the_claimed_families_are_refused() {
    let Some(directory) = crs() else { return };
    let stages = case::read(&directory.join("tests/regression"));
    let level_1 = families::level_1(&directory);
    let reviewed = families::reviewed();
    assert!(reviewed.len() <= REVIEWED, "{} reviewed", reviewed.len());
    let judge = |setup: &Setup| engine::judge(setup, &stages);
    let theirs = judge(&Setup::blocking(&directory, 1));
    for level in [1, 2] {
        let ours = judge(&Setup::builtin(level));
        let judged = || stages.iter().zip(&ours).zip(&theirs).map(|((a, b), c)| (a, b, c));
        let tallies = families::tally(judged(), &level_1, &reviewed);
        let sum = families::sum(&tallies);
        for tally in tallies.iter().chain([&sum]) {
            say(&format!("builtin at level {level}: {tally}"));
            assert!(level > 1 || tally.attacks.percent() >= ATTACKS, "{tally}");
        }
        if level == 1 {
            let needless = needless(judged(), &reviewed);
            assert!(needless.is_empty(), "not refused by both: {needless:?}");
            let told = harmless_but_refused(judged(), &reviewed);
            assert!(sum.harmless.percent() <= OTHERS, "{sum}\n{}", told.join("\n"));
        }
    }
}

/// Entries of the reviewed list for what is no attack by CRS either, or passes here.
fn needless<'a>(
    judged: impl Iterator<Item = Judged<'a>>,
    reviewed: &'a [Reviewed],
) -> Vec<&'a str> {
    let both = judged.filter(|(stage, ours, theirs)| {
        stage.expected.only_excludes_rules() && ours.is_refused && theirs.is_refused
    });
    let both: BTreeSet<&str> = both.map(|(stage, ..)| stage.name.as_str()).collect();
    let stages = reviewed.iter().map(|one| one.stage.as_str());
    stages.filter(|stage| !both.contains(stage)).collect()
}

/// What is left to be reviewed or mended, with what of it was found.
fn harmless_but_refused<'a>(
    judged: impl Iterator<Item = Judged<'a>>,
    reviewed: &[Reviewed],
) -> Vec<String> {
    let refused = judged.filter(|(stage, ours, _)| {
        families::family(stage).is_some()
            && stage.expected.only_excludes_rules()
            && ours.is_refused
            && !reviewed.iter().any(|one| one.stage == stage.name)
    });
    let told = refused.map(|(stage, ours, theirs)| {
        let lines = ours.lines.iter().map(|line| line.escape_ascii().to_string());
        let by = lines.collect::<Vec<_>>().join("; ");
        let by_crs = if theirs.is_refused { "refused by CRS, too" } else { "CRS lets it pass" };
        format!("{}: {by_crs} ({:?}): {by}", stage.name, theirs.logged)
    });
    told.collect()
}
