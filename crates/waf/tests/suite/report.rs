//! What is told of a run: every stage is counted as something, and every fault named.

use std::fmt;
use std::io::Write;

use crate::case::Stage;
use crate::known::Override;

/// Told though the test passes; what is printed otherwise, only failures show.
pub(crate) fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").expect("a test has a place to speak");
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    passed: usize,
    failed: Vec<String>,
    overridden: Vec<String>,
    left_to_parsers: usize,
}

impl Tally {
    /// Counts a stage with its faults; with None it was not for rules to judge.
    pub(crate) fn add(&mut self, stage: &Stage, faults: Option<Vec<String>>, known: &[Override]) {
        match faults {
            None => self.left_to_parsers += 1,
            Some(faults) if faults.is_empty() => self.passed += 1,
            Some(_) if known.iter().any(|known| known.stage == stage.name) => {
                self.overridden.push(stage.name.clone());
            }
            Some(faults) => {
                self.failed.push(format!("{} ({}): {}", stage.name, stage.file, faults.join("; ")))
            }
        }
    }

    pub(crate) fn is_clean(&self, known: &[Override]) -> bool {
        self.failed.is_empty() && self.needless(known).next().is_none()
    }

    pub(crate) fn faults(&self, known: &[Override]) -> String {
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
        write!(
            f,
            "{} stages passed, {} failed, {} overridden; {} more are for a parser of HTTP",
            self.passed,
            self.failed.len(),
            self.overridden.len(),
            self.left_to_parsers
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::case::{Expected, Stage};
    use crate::exchange::Exchange;
    use crate::known::Override;

    #[track_caller]
    fn check(faults: Option<&[&str]>, known: &[&str], is_clean: bool, expected: &str) {
        let stage = Stage {
            name: "1-1".to_owned(),
            file: "f".to_owned(),
            exchange: Exchange::default(),
            expected: Expected::default(),
        };
        let known = known.iter().map(|stage| (*stage).to_owned());
        let known: Vec<Override> =
            known.map(|stage| Override { stage, reason: "r".to_owned() }).collect();
        let mut tally = Tally::default();
        let faults = faults.map(|faults| faults.iter().map(|f| (*f).to_owned()).collect());
        tally.add(&stage, faults, &known);
        assert_eq!(tally.is_clean(&known), is_clean, "{tally}");
        assert!(tally.faults(&known).contains(expected), "{}", tally.faults(&known));
    }

    #[test]
    fn only_what_fails_is_excused() {
        check(Some(&[]), &[], true, "0 faults");
        check(None, &[], true, "0 faults");
        check(Some(&["a", "b"]), &[], false, "1-1 (f): a; b");
        check(Some(&["a"]), &["1-1"], true, "0 faults");
        check(Some(&[]), &["1-1"], false, "1-1: needs no exception (r)");
        check(Some(&["a"]), &["1-1", "2-2"], false, "2-2: needs no exception");
    }
}
