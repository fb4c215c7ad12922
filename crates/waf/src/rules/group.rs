//! Conditions that judge the same values: the same targets under the same transformations.
//!
//! Their values are gathered once in a phase, and what the gate says of all of them at once lets
//! most rules be passed over without a look at any value.

use hashbrown::HashMap;

use crate::parse::Variable;
use crate::rules::chain::ChainId;
use crate::rules::rule::Condition;
use crate::rules::target::{Element, Targets, Which};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupId(pub(crate) u32);

/// Targets that several groups have, under different transformations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BaseId(pub(crate) u32);

#[derive(Debug, Clone, Copy)]
pub(crate) struct Group {
    pub(crate) base: BaseId,
    pub(crate) chain: ChainId,
}

/// Every group of a rule set.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    pub(crate) groups: Vec<Group>,
    pub(crate) bases: Vec<Targets>,
    known: HashMap<(BaseId, ChainId), GroupId>,
    known_bases: HashMap<Vec<u8>, BaseId>,
}

impl Grouping {
    /// The group of a condition; None if its values may change within a phase, or are numbers.
    pub(crate) fn find(&mut self, condition: &Condition) -> Option<GroupId> {
        if condition.is_multi_match {
            return None;
        }
        let (base, chain) = (self.base(&condition.targets)?, condition.chain);
        if let Some(id) = self.known.get(&(base, chain)) {
            return Some(*id);
        }
        let id = GroupId(self.groups.len() as u32);
        self.groups.push(Group { base, chain });
        self.known.insert((base, chain), id);
        Some(id)
    }

    fn base(&mut self, targets: &Targets) -> Option<BaseId> {
        let key = key(targets)?;
        if let Some(id) = self.known_bases.get(&key) {
            return Some(*id);
        }
        let id = BaseId(self.bases.len() as u32);
        self.bases.push(targets.clone());
        self.known_bases.insert(key, id);
        Some(id)
    }
}

/// What tells targets apart.
fn key(targets: &Targets) -> Option<Vec<u8>> {
    let mut key = Vec::new();
    for target in &targets.inspected {
        if target.is_counted || changes_within_a_phase(target.element.variable) {
            return None;
        }
        write(&target.element, &mut key);
    }
    key.push(b'!');
    for element in &targets.excluded {
        write(element, &mut key);
    }
    Some(key)
}

fn write(element: &Element, key: &mut Vec<u8>) {
    key.push(element.variable as u8);
    let (kind, bytes): (u8, &[u8]) = match &element.which {
        Which::All => (0, &[]),
        Which::Key(name) => (1, name),
        Which::Slot(slot) => (2, &slot.0.to_le_bytes()),
        Which::Regex(pattern) => (3, &pattern.written),
        Which::Text => (4, &[]),
        Which::Attributes => (5, &[]),
    };
    key.push(kind);
    key.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    key.extend_from_slice(bytes);
}

const fn changes_within_a_phase(variable: Variable) -> bool {
    use Variable as V;
    matches!(
        variable,
        V::Tx
            | V::Rule
            | V::HighestSeverity
            | V::MatchedVar
            | V::MatchedVarName
            | V::MatchedVars
            | V::MatchedVarsNames
            | V::ReqbodyProcessor
    )
}
