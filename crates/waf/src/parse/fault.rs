//! What is wrong in rule text, where, and what would be right.

use crate::parse::ids::RuleId;
use crate::parse::place::Place;
use crate::parse::text::Part;

/// A fault of one directive; the directive is not in the tree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct Fault {
    pub place: Place,
    /// The rule that is lost, where its id could be read: a skip list goes by it.
    pub rule: Option<RuleId>,
    pub problem: Problem,
}

impl Fault {
    pub(crate) fn new(place: Place, problem: Problem) -> Self {
        Self { place, rule: None, problem }
    }

    pub(crate) fn at(part: Part<'_>, problem: Problem) -> Self {
        Self::new(part.place(), problem)
    }

    /// `what` is not what it must be; `want` completes "write …".
    pub(crate) fn wrong(part: Part<'_>, what: &'static str, want: &'static str) -> Self {
        Self::at(part, Problem::Wrong { what, got: part.shown(), want })
    }

    pub(crate) fn too_many(part: Part<'_>, what: &'static str, limit: usize) -> Self {
        Self::at(part, Problem::TooMany { what, limit })
    }

    pub(crate) fn with_rule(mut self, rule: Option<RuleId>) -> Self {
        self.rule = self.rule.or(rule);
        self
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("unknown {what} `{name}`{advice}")]
    Unknown { what: &'static str, name: String, advice: String },
    #[error("{name} is not supported: {reason}")]
    Refused { name: String, reason: &'static str },
    #[error("{what} cannot be `{got}`: write {want}")]
    Wrong { what: &'static str, got: String, want: &'static str },
    #[error("{name} needs an argument: write {want}")]
    Missing { name: String, want: &'static str },
    #[error("{name} takes no argument, but has `{got}`")]
    Extra { name: &'static str, got: String },
    #[error("{name} has {got} arguments: write {want}")]
    Arguments { name: &'static str, got: usize, want: &'static str },
    #[error("{quote} is not closed: write {quote} at the end, and \\{quote} for one inside")]
    Unclosed { quote: char },
    #[error("`{got}` follows a closing quote: write \\{quote} for a quote inside the text")]
    AfterQuote { quote: char, got: String },
    #[error("`{got}` follows an action: write a comma before it, or the value in single quotes")]
    NoComma { got: String },
    #[error("`{got}` stands inside a rule: a comment cannot, move it before the rule")]
    CommentInside { got: String },
    #[error("blanks follow the backslash: delete them, else the line is not continued")]
    BlanksAfterBackslash,
    #[error("the rule has no id: write id:NUMBER in its actions")]
    NoId,
    #[error("the chain has no end: a SecRule must follow, or delete the action chain")]
    ChainWithoutEnd,
    #[error("{action} stands in a later rule of a chain: write it in the first one")]
    InLink { action: &'static str },
    #[error("this id is used before, at {first}: every rule needs its own")]
    SameId { first: Place },
    #[error("no SecMarker `{name}` follows: write one, or correct the name")]
    NoMarker { name: String },
    #[error("the rule inspects nothing: name a variable without ! before it")]
    NothingInspected,
    #[error("more than {limit} {what}")]
    TooMany { what: &'static str, limit: usize },
    #[error("a regular expression is not supported: {why}")]
    Expression { why: String },
    #[error("cannot read {path}: {why}")]
    Unreadable { path: String, why: String },
    #[error("no file matches {path}: correct the path, or write IncludeOptional")]
    NothingIncluded { path: String },
    #[error("{path} includes itself")]
    Cycle { path: String },
}

/// Something that is accepted and does not do what its writer may expect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {notice}")]
pub struct Warning {
    pub place: Place,
    pub notice: Notice,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Notice {
    #[error("{name} has no effect: {reason}")]
    Unused { name: &'static str, reason: &'static str },
    #[error("{name} has only a part of its effect: {reason}")]
    Partly { name: &'static str, reason: &'static str },
    #[error("no rule before this line is meant: correct it, or move it behind the rules")]
    NoRule,
    #[error("this line belongs to the comment above, which ends in a backslash")]
    Commented,
    #[error("skipped: {0}")]
    Skipped(Problem),
}
