//! The TX collection: what rules set for each other.

use hashbrown::HashMap;

use crate::operator::read_number;
use crate::rules::{Slot, TxNames};
use crate::transaction::values::{ValueId, Values};

/// Names that rules make at run time, of bytes of the request, are bounded.
const MADE_NAMES: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TxValue {
    Number(i64),
    Text(ValueId),
}

impl TxValue {
    /// As a number: digits at the start count, as in C's atoi.
    pub(crate) fn number(self, values: &Values) -> i64 {
        match self {
            Self::Number(number) => number,
            Self::Text(id) => read_number(values.bytes(id)),
        }
    }

    pub(crate) fn value(self, values: &mut Values) -> ValueId {
        match self {
            Self::Number(number) => values.intern(itoa(number).as_bytes()),
            Self::Text(id) => id,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Tx {
    slots: Vec<Option<TxValue>>,
    /// In the order in which they were made, by lower-case name.
    made: Vec<(Box<[u8]>, Option<TxValue>)>,
    by_name: HashMap<Box<[u8]>, usize>,
}

impl Tx {
    /// Begins anew, in the space that it has.
    pub(crate) fn begin(&mut self, names: &TxNames) {
        self.slots.clear();
        self.slots.resize(names.len(), None);
        self.made.clear();
        self.by_name.clear();
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<TxValue> {
        self.slots.get(slot.index()).copied().flatten()
    }

    pub(crate) fn set(&mut self, slot: Slot, value: Option<TxValue>) {
        if let Some(held) = self.slots.get_mut(slot.index()) {
            *held = value;
        }
    }

    /// An element by a lower-case name that is only known now.
    pub(crate) fn find(&self, name: &[u8], names: &TxNames) -> Option<TxValue> {
        match names.find(name) {
            Some(slot) => self.get(slot),
            None => {
                let made = self.by_name.get(name).and_then(|index| self.made.get(*index));
                made.and_then(|(_, value)| *value)
            }
        }
    }

    /// Sets an element by such a name; false if there are too many of them.
    #[must_use]
    pub(crate) fn set_named(
        &mut self,
        name: &[u8],
        value: Option<TxValue>,
        names: &TxNames,
    ) -> bool {
        if let Some(slot) = names.find(name) {
            self.set(slot, value);
            return true;
        }
        if let Some(index) = self.by_name.get(name) {
            if let Some((_, held)) = self.made.get_mut(*index) {
                *held = value;
            }
            return true;
        }
        if self.made.len() == MADE_NAMES {
            return false;
        }
        self.by_name.insert(name.into(), self.made.len());
        self.made.push((name.into(), value));
        true
    }

    /// The elements whose names were made at run time, in lower case.
    pub(crate) fn made(&self) -> impl Iterator<Item = (&[u8], TxValue)> {
        self.made.iter().filter_map(|(name, value)| Some((&**name, (*value)?)))
    }

    /// Every element that is set, with its name in lower case.
    pub(crate) fn elements<'a>(
        &'a self,
        names: &'a TxNames,
    ) -> impl Iterator<Item = (&'a [u8], TxValue)> {
        let slots = self.slots.iter().enumerate();
        let named = slots.map(|(index, value)| (names.name(Slot(index as u32)), *value));
        let made = self.made.iter().map(|(name, value)| (&**name, *value));
        named.chain(made).filter_map(|(name, value)| Some((name, value?)))
    }
}

/// A number's decimal digits, without allocating.
pub(crate) fn itoa(number: i64) -> Digits {
    let mut digits = Digits { bytes: [0; 20], start: 20 };
    let mut rest = number.unsigned_abs();
    loop {
        digits.push(b'0' + (rest % 10) as u8);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        digits.push(b'-');
    }
    digits
}

/// Up to 19 digits and a sign, filled from the end.
pub(crate) struct Digits {
    bytes: [u8; 20],
    start: usize,
}

impl Digits {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }

    fn push(&mut self, byte: u8) {
        self.start = self.start.saturating_sub(1);
        if let Some(place) = self.bytes.get_mut(self.start) {
            *place = byte;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_whole() {
        for number in [0, 7, -7, 10, 12_345, i64::MAX, i64::MIN] {
            assert_eq!(itoa(number).as_bytes(), number.to_string().as_bytes());
        }
    }

    #[test]
    fn a_made_name_is_found_and_their_number_is_bounded() {
        let mut names = TxNames::new();
        let slot = names.slot(b"known");
        let mut tx = Tx::default();
        tx.begin(&names);
        assert!(tx.set_named(b"known", Some(TxValue::Number(1)), &names));
        assert_eq!(tx.get(slot), Some(TxValue::Number(1)));
        for number in 0..MADE_NAMES {
            let name = format!("made{number}");
            assert!(tx.set_named(name.as_bytes(), Some(TxValue::Number(2)), &names));
        }
        assert!(!tx.set_named(b"one more", Some(TxValue::Number(3)), &names));
        assert_eq!(tx.find(b"made7", &names), Some(TxValue::Number(2)));
        assert_eq!(tx.elements(&names).count(), MADE_NAMES + 1);
    }
}
