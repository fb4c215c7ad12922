//! The reviewed lists beside this file: where a test is wrong for the engine, and where
//! libmodsecurity is known to be wrong.

use std::path::Path;

use serde_yaml::Value;
use tidegate_suite::known::Override;

/// Rules that decisions are compared by: the version of CRS, and the paranoia level.
pub(crate) type Rules = (u8, u8);

/// A fault of libmodsecurity, and the stages in which it shows.
pub(crate) struct Cause {
    reason: String,
    /// Directives that make it right, before the rules of CRS and after them.
    pub(crate) mended_before: Option<String>,
    pub(crate) mended_after: Option<String>,
    fails: Vec<String>,
    fails_mended: Vec<String>,
    differs: Vec<(Rules, Vec<String>)>,
}

impl Cause {
    /// The stages whose own expectation it does not meet.
    pub(crate) fn failing(&self) -> impl Iterator<Item = Override> {
        self.overrides(&self.fails)
    }

    /// The same where all faults are mended that can be.
    pub(crate) fn failing_mended(&self) -> impl Iterator<Item = Override> {
        let is_mended = self.mended_before.is_some() || self.mended_after.is_some();
        let left = if is_mended { &[][..] } else { &self.fails };
        self.overrides(left).chain(self.overrides(&self.fails_mended))
    }

    /// The stages that it decides or scores otherwise.
    pub(crate) fn differing(&self, rules: Rules) -> impl Iterator<Item = Override> {
        let stages = self.differs.iter().filter(move |(of, _)| *of == rules);
        stages.flat_map(|(_, stages)| self.overrides(stages))
    }

    fn overrides(&self, stages: &[String]) -> impl Iterator<Item = Override> {
        stages.iter().map(|stage| Override { stage: stage.clone(), reason: self.reason.clone() })
    }
}

pub(crate) fn overrides() -> Vec<Override> {
    tidegate_suite::known::overrides(include_str!("overrides.yaml"))
}

pub(crate) fn causes() -> Vec<Cause> {
    let list: Value = serde_yaml::from_str(include_str!("oracle_faults.yaml")).unwrap();
    list.as_sequence().into_iter().flatten().map(cause).collect()
}

fn cause(entry: &Value) -> Cause {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let with = text("mended_with");
    let is_there = with.as_ref().is_none_or(|file| Path::new(file).is_file());
    let differs_still = with.is_none() || !is_there;
    Cause {
        reason: entry["cause"].as_str().unwrap().to_owned(),
        mended_before: text("mended_before").filter(|_| is_there),
        mended_after: text("mended_after").filter(|_| is_there),
        fails: stages(entry, "fails"),
        fails_mended: stages(entry, "fails_mended"),
        differs: [
            ((4, 1), "differs_at_1"),
            ((4, 2), "differs_at_2"),
            ((4, 3), "differs_at_3"),
            ((4, 4), "differs_at_4"),
            ((3, 1), "differs_by_3_at_1"),
            ((3, 2), "differs_by_3_at_2"),
        ]
        .into_iter()
        .filter(|_| differs_still)
        .map(|(rules, key)| (rules, stages(entry, key)))
        .collect(),
    }
}

fn stages(entry: &Value, key: &str) -> Vec<String> {
    let stages = entry.get(key).and_then(Value::as_sequence).into_iter().flatten();
    stages.map(|stage| stage.as_str().unwrap().to_owned()).collect()
}
