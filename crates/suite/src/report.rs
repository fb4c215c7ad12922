//! What is told of a run: every stage is counted as something, and every fault named.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

use crate::case::Stage;
use crate::known::Override;

/// Told though the test passes; what is printed otherwise, only failures show.
pub fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("a test has a place to speak");
}

#[derive(Debug, Default)]
pub struct Tally {
    passed: usize,
    failed: Vec<String>,
    overridden: Vec<String>,
    /// What was not run, by the reason.
    left: BTreeMap<&'static str, usize>,
}

impl Tally {
    /// Counts a stage with its faults.
    pub fn add(&mut self, stage: &Stage, faults: &[String], known: &[Override]) {
        if faults.is_empty() {
            self.passed += 1;
        } else if known.iter().any(|known| known.stage == stage.name) {
            self.overridden.push(stage.name.clone());
        } else {
            self.failed.push(format!("{} ({}): {}", stage.name, stage.file, faults.join("; ")));
        }
    }

    /// Counts a stage that was not run.
    pub fn leave(&mut self, reason: &'static str) {
        *self.left.entry(reason).or_default() += 1;
    }

    pub fn is_clean(&self, known: &[Override]) -> bool {
        self.failed.is_empty() && self.needless(known).next().is_none()
    }

    pub fn faults(&self, known: &[Override]) -> String {
        let needless = self.needless(known);
        let needless =
            needless.map(|known| format!("{}: needs no exception ({})", known.stage, known.reason));
        let faults: Vec<String> = self.failed.iter().cloned().chain(needless).collect();
        format!("{} faults\n  {}", faults.len(), faults.join("\n  "))
    }

    /// Exceptions for what passes, or for no stage at all.
    fn needless<'a>(&'a self, known: &'a [Override]) -> impl Iterator<Item = &'a Override> {
        known.iter().filter(|known| !self.overridden.contains(&known.stage))
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (failed, overridden) = (self.failed.len(), self.overridden.len());
        write!(f, "{} stages passed, {failed} failed, {overridden} overridden", self.passed)?;
        self.left.iter().try_for_each(|(reason, count)| write!(f, "; {count} not run: {reason}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::case::{Expected, Stage};
    use crate::exchange::Exchange;
    use crate::known::Override;

    #[track_caller]
    fn check(faults: &[&str], known: &[&str], is_clean: bool, expected: &str) {
        let stage = Stage {
            name: "1-1".to_owned(),
            file: "f".to_owned(),
            exchange: Exchange::default(),
            wire: Vec::new(),
            expected: Expected::default(),
        };
        let known = known.iter().map(|stage| (*stage).to_owned());
        let known: Vec<Override> =
            known.map(|stage| Override { stage, reason: "r".to_owned() }).collect();
        let mut tally = Tally::default();
        let faults: Vec<String> = faults.iter().map(|fault| (*fault).to_owned()).collect();
        tally.add(&stage, &faults, &known);
        assert_eq!(tally.is_clean(&known), is_clean, "{tally}");
        assert!(tally.faults(&known).contains(expected), "{}", tally.faults(&known));
    }

    #[test]
    fn only_what_fails_is_excused() {
        check(&[], &[], true, "0 faults");
        check(&["a", "b"], &[], false, "1-1 (f): a; b");
        check(&["a"], &["1-1"], true, "0 faults");
        check(&[], &["1-1"], false, "1-1: needs no exception (r)");
        check(&["a"], &["1-1", "2-2"], false, "2-2: needs no exception");
    }

    #[test]
    fn what_is_not_run_is_told_with_the_reason() {
        let mut tally = Tally::default();
        ["a", "b", "a"].into_iter().for_each(|reason| tally.leave(reason));
        let told = "0 stages passed, 0 failed, 0 overridden; 2 not run: a; 1 not run: b";
        assert_eq!(tally.to_string(), told);
    }
}
