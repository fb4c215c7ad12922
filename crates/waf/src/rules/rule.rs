//! A rule as it runs: what it looks at, how it judges, what it then does.

use crate::operator::{ByteSet, Operator, Relation};
use crate::parse::{Place, RuleId, Severity};
use crate::rules::chain::ChainId;
use crate::rules::effect::Effect;
use crate::rules::gate::Gated;
use crate::rules::group::{ElementId, GroupId};
use crate::rules::names::Slot;
use crate::rules::target::Targets;
use crate::rules::text::Text;

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) id: RuleId,
    /// Its place among all rules that were written, by which others choose it.
    pub(crate) number: usize,
    pub(crate) place: Place,
    // Invariant: never empty.
    pub(crate) links: Box<[Link]>,
    pub(crate) outcome: Outcome,
    pub(crate) skip: Option<Skip>,
    pub(crate) about: About,
    /// Whether nobody learns what it matched: no log, no macro, no later link.
    pub(crate) is_silent: bool,
}

/// What a rule tells about itself in logs and macros.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) message: Option<Text>,
    pub(crate) data: Option<Text>,
    pub(crate) tags: Vec<Text>,
    pub(crate) severity: Option<Severity>,
    pub(crate) version: Box<[u8]>,
    pub(crate) revision: Box<[u8]>,
    pub(crate) is_logged: bool,
    pub(crate) is_audited: bool,
    /// Whether the values that it matches stay out of every log.
    pub(crate) is_masked: bool,
}

impl About {
    /// Whether a match of the rule is told to anybody.
    pub(crate) fn is_told(&self) -> bool {
        self.is_logged || self.is_audited
    }
}

/// One SecRule or SecAction; all links of a rule must match.
#[derive(Debug)]
pub(crate) struct Link {
    /// None in a SecAction, which always matches.
    pub(crate) condition: Option<Condition>,
    /// What is done for every value that matches, whether or not the links after it match.
    pub(crate) effects: Box<[Effect]>,
}

#[derive(Debug)]
pub(crate) struct Condition {
    pub(crate) targets: Targets,
    pub(crate) operator: Operator,
    pub(crate) is_negated: bool,
    /// The argument of the operator, where it holds macros.
    pub(crate) argument: Option<Text>,
    pub(crate) chain: ChainId,
    /// Those with whom it shares its values.
    pub(crate) group: Option<GroupId>,
    /// Its operator in the gate; None if any value may match.
    pub(crate) gated: Option<Gated>,
    /// Of each of these sets a value has a byte, or its operator does not match.
    pub(crate) needed: Box<[ByteSet]>,
    /// A comparison of one element of TX, in short.
    pub(crate) number: Option<Comparison>,
    /// A comparison of how many there are of an element, in short.
    pub(crate) count: Option<(ElementId, Relation, i64)>,
    /// Judge the value before and after each transformation that changes it.
    pub(crate) is_multi_match: bool,
    /// Whether TX:0 to TX:9 become what matched.
    pub(crate) captures: bool,
}

impl Condition {
    /// Whether the operator may match a value that has these bytes.
    pub(crate) fn may_match(&self, present: ByteSet) -> bool {
        self.needed.iter().all(|set| set.meets(present))
    }
}

/// `TX:name @ge 5`, without a value in between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Comparison {
    pub(crate) slot: Slot,
    /// Whether it is set, as 1 or 0, instead of its value.
    pub(crate) is_counted: bool,
    pub(crate) relation: Relation,
    pub(crate) bound: Bound,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bound {
    Number(i64),
    Slot(Slot),
}

/// What follows from a match, unless the engine only detects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Pass,
    /// An answer with this status.
    Deny(u16),
    /// The connection ends without an answer.
    Drop,
    Redirect {
        status: u16,
        to: Text,
    },
    Allow(crate::parse::Allow),
}

impl Outcome {
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Deny(_) | Self::Drop | Self::Redirect { .. })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// So many rules of the same phase.
    Count(u32),
    /// To this place in the phase's rules.
    To(u32),
}
