//! The rules of a phase in short: what passes over most of them without a look at the rule.

use crate::operator::Relation;
use crate::rules::gate::Gated;
use crate::rules::group::{ElementId, GroupId};
use crate::rules::rule::{Comparison, Condition, Rule};

/// A rule, and what its first link needs in order to match.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Instruction {
    pub(crate) check: Check,
    /// Its index in the rule set.
    pub(crate) rule: u32,
    /// Its place among all rules that were written.
    pub(crate) number: u32,
}

/// It may say yes to what does not match, and never no to what does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Check {
    /// The rule itself is to be asked.
    Nothing,
    Number(Comparison, bool),
    /// How many there are of an element, and whether the comparison is negated.
    Count(ElementId, Relation, i64, bool),
    /// There is a value at all.
    Values(GroupId),
    /// The gate lets a value through.
    Gate(GroupId, Gated),
}

impl Instruction {
    pub(crate) fn new(index: usize, rule: &Rule) -> Self {
        let condition = rule.links.first().and_then(|link| link.condition.as_ref());
        // The parser bounds rules, so that both fit by far.
        let (rule, number) = (index as u32, rule.number as u32);
        Self { check: condition.map_or(Check::Nothing, Check::of), rule, number }
    }
}

impl Check {
    fn of(condition: &Condition) -> Self {
        if let Some(comparison) = condition.number {
            return Self::Number(comparison, condition.is_negated);
        }
        if let Some((element, relation, bound)) = condition.count {
            return Self::Count(element, relation, bound, condition.is_negated);
        }
        match (condition.group, condition.gated) {
            (Some(group), Some(gated)) if !condition.is_negated => Self::Gate(group, gated),
            (Some(group), _) => Self::Values(group),
            (None, _) => Self::Nothing,
        }
    }
}
