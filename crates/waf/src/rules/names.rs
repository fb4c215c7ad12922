//! Names of the TX collection: each that rules name is a number at load.

use hashbrown::HashMap;

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
}

impl TxNames {
    pub(crate) fn new() -> Self {
        let mut names = Self { slots: HashMap::new(), names: Vec::new() };
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
    fn captures_have_the_first_slots() {
        let mut names = TxNames::new();
        assert_eq!(names.slot(b"0"), Slot(0));
        assert_eq!(names.slot(b"9"), Slot(9));
    }
}
