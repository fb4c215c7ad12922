//! Names of the TX collection, each a number at load, and the variables that rules mention.

use hashbrown::HashMap;

use crate::parse::Variable;

/// What `capture` fills: TX:0 to TX:9, the first slots.
pub(crate) const CAPTURES: usize = 10;

/// The place of a TX element whose name stands in the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Slot(pub(crate) u32);

impl Slot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Every name of TX that rules mention, in lower case: they are the same in any case.
#[derive(Debug)]
pub(crate) struct TxNames {
    slots: HashMap<Box<[u8]>, Slot>,
    names: Vec<Box<[u8]>>,
    mentioned: Mentioned,
}

/// Variables that rules look at; others need no value.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mentioned([u64; 4]);

impl Mentioned {
    pub(crate) fn contains(self, variable: Variable) -> bool {
        let number = variable as usize;
        self.0.get(number / 64).is_some_and(|word| word & 1 << (number % 64) != 0)
    }

    fn insert(&mut self, variable: Variable) {
        let number = variable as usize;
        if let Some(word) = self.0.get_mut(number / 64) {
            *word |= 1 << (number % 64);
        }
    }
}

impl TxNames {
    pub(crate) fn new() -> Self {
        let mut names =
            Self { slots: HashMap::new(), names: Vec::new(), mentioned: Mentioned::default() };
        for number in 0..CAPTURES {
            names.slot(number.to_string().as_bytes());
        }
        names
    }

    /// The slot of a name, a new one at its first mention.
    pub(crate) fn slot(&mut self, name: &[u8]) -> Slot {
        let name = name.to_ascii_lowercase().into_boxed_slice();
        if let Some(slot) = self.slots.get(&name) {
            return *slot;
        }
        // The parser bounds directives, so that this fits by far.
        let slot = Slot(self.names.len() as u32);
        self.names.push(name.clone());
        self.slots.insert(name, slot);
        slot
    }

    /// Notes that rules look at a variable.
    pub(crate) fn mention(&mut self, variable: Variable) {
        self.mentioned.insert(variable);
    }

    pub(crate) fn mentioned(&self) -> Mentioned {
        self.mentioned
    }

    pub(crate) fn find(&self, lower_case: &[u8]) -> Option<Slot> {
        self.slots.get(lower_case).copied()
    }

    pub(crate) fn name(&self, slot: Slot) -> &[u8] {
        self.names.get(slot.index()).map_or(&[], |name| name)
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_slot_in_any_case() {
        let mut names = TxNames::new();
        let slot = names.slot(b"Anomaly_Score");
        assert_eq!(names.slot(b"ANOMALY_score"), slot);
        assert_eq!(names.find(b"anomaly_score"), Some(slot));
        assert_eq!(names.name(slot), b"anomaly_score");
        assert_eq!(names.find(b"another"), None);
    }

    #[test]
    fn only_what_is_mentioned_is_mentioned() {
        let mut names = TxNames::new();
        names.mention(Variable::Xml);
        names.mention(Variable::Args);
        for (variable, expected) in
            [(Variable::Xml, true), (Variable::Args, true), (Variable::Time, false)]
        {
            assert_eq!(names.mentioned().contains(variable), expected, "{variable:?}");
        }
    }

    #[test]
    fn captures_have_the_first_slots() {
        let mut names = TxNames::new();
        assert_eq!(names.slot(b"0"), Slot(0));
        assert_eq!(names.slot(b"9"), Slot(9));
    }
}
