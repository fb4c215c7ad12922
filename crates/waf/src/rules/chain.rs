//! Lists of transformations, and the values that they leave as they are.

use crate::operator::ByteSet;
use crate::transform::Transformation;

/// A list of transformations that some rule asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainId(pub(crate) u32);

impl ChainId {
    /// No transformation: the first chain of every rule set.
    pub(crate) const EMPTY: Self = Self(0);
}

#[derive(Debug)]
pub(crate) struct Chain {
    pub(crate) steps: Box<[Step]>,
    /// Without any of these bytes a value stays as it is.
    triggers: ByteSet,
    /// Whether a value may change whatever bytes it has.
    is_always: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) transformation: Transformation,
    /// Its place among the transformations of the rule set.
    pub(crate) number: usize,
    /// None: any value may change.
    triggers: Option<ByteSet>,
}

impl Chain {
    /// `known` are the transformations of the rule set so far.
    pub(crate) fn new(transformations: &[Transformation], known: &mut Vec<Transformation>) -> Self {
        let steps: Box<[Step]> = transformations.iter().map(|one| Step::new(*one, known)).collect();
        let all = steps.iter().filter_map(|step| step.triggers);
        Self {
            triggers: all.fold(ByteSet::EMPTY, ByteSet::or),
            is_always: steps.iter().any(|step| step.triggers.is_none()),
            steps,
        }
    }

    /// Whether it may change a value that has the bytes `present`.
    pub(crate) fn may_change(&self, present: ByteSet) -> bool {
        self.is_always || self.triggers.meets(present)
    }
}

impl Step {
    fn new(transformation: Transformation, known: &mut Vec<Transformation>) -> Self {
        let number = known.iter().position(|one| *one == transformation).unwrap_or_else(|| {
            known.push(transformation);
            known.len() - 1
        });
        let triggers = transformation.triggers().map(|is_trigger| {
            (0..=u8::MAX).filter(|byte| is_trigger(*byte)).fold(ByteSet::EMPTY, ByteSet::with)
        });
        Self { transformation, number, triggers }
    }

    pub(crate) fn may_change(&self, present: ByteSet) -> bool {
        self.triggers.is_none_or(|triggers| triggers.meets(present))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_changes_only_what_has_a_trigger_of_a_step() {
        let mut known = Vec::new();
        let chain = Chain::new(&[Transformation::Lowercase, Transformation::JsDecode], &mut known);
        assert!(!chain.may_change(ByteSet::in_text(b"plain text/?")));
        assert!(chain.may_change(ByteSet::in_text(b"Plain")));
        assert!(chain.may_change(ByteSet::in_text(b"\\x41")));
        assert!(Chain::new(&[Transformation::Length], &mut known).may_change(ByteSet::EMPTY));
        assert!(!Chain::new(&[], &mut known).may_change(ByteSet::ALL));
    }
}
