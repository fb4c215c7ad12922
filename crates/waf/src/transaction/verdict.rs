//! What the rules of a phase decide.

use crate::parse::{Phase, RuleId};
use crate::transaction::overrun::Overrun;

#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Refuse(Refusal),
    /// Not all could be inspected; what becomes of the transaction is the caller's to say.
    Exceeded(Overrun),
}

/// A rule's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub rule: RuleId,
    pub phase: Phase,
    pub kind: RefusalKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusalKind {
    /// An answer with this status.
    Status(u16),
    Redirect {
        status: u16,
        location: Vec<u8>,
    },
    /// The connection ends without an answer.
    Drop,
}
