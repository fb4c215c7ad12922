//! A set of rules, one bit each.

use crate::parse;
use crate::rules::select::Selected;

/// Rules by their index in the rule set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rules {
    words: Vec<u64>,
}

impl Rules {
    pub(crate) fn selected(rules: &[parse::Rule], selected: &Selected) -> Self {
        let mut set = Self::default();
        for (index, rule) in rules.iter().enumerate() {
            if selected.contains(rule) {
                set.insert(index);
            }
        }
        set
    }

    pub(crate) fn insert(&mut self, index: usize) {
        if self.words.len() <= index / 64 {
            self.words.resize(index / 64 + 1, 0);
        }
        if let Some(word) = self.words.get_mut(index / 64) {
            *word |= 1 << (index % 64);
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, others) in self.words.iter_mut().zip(&other.words) {
            *word |= others;
        }
    }

    pub(crate) fn contains(&self, index: usize) -> bool {
        self.words.get(index / 64).is_some_and(|word| word & 1 << (index % 64) != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_what_was_put_in() {
        let mut set = Rules::default();
        for index in [0, 63, 64, 700] {
            set.insert(index);
        }
        for index in 0..1000 {
            assert_eq!(set.contains(index), [0, 63, 64, 700].contains(&index), "{index}");
        }
        let mut other = Rules::default();
        other.insert(5);
        other.add(&set);
        assert!(other.contains(5) && other.contains(700) && !other.contains(6));
    }
}
