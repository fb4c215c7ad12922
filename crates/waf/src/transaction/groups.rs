//! The values of each group of conditions, gathered at most once in a phase.

use crate::rules::{GroupId, RuleSet};
use crate::transaction::collections::Item;
use crate::transaction::resolve::resolve;
use crate::transaction::state::State;

/// No rule: exclusions of a single rule do not concern a group.
const NO_RULE: usize = usize::MAX;

/// What was gathered in this phase.
#[derive(Debug)]
pub(crate) struct Groups {
    gathered: Vec<Option<Gathered>>,
    items: Vec<Item>,
    /// For each gathered group the operators that one of its values may match.
    candidates: Vec<u64>,
}

#[derive(Debug, Clone, Copy)]
struct Gathered {
    start: usize,
    end: usize,
    row: usize,
}

impl Groups {
    pub(crate) fn new(rules: &RuleSet) -> Self {
        Self { gathered: vec![None; rules.groups.len()], items: Vec::new(), candidates: Vec::new() }
    }

    /// The values of a group, transformed, and the operators that one of them may match.
    pub(crate) fn gather(
        &mut self,
        id: GroupId,
        rules: &RuleSet,
        state: &mut State,
    ) -> (&[Item], &[u64]) {
        let words = rules.gate.words();
        let gathered = match self.gathered.get(id.0 as usize).copied().flatten() {
            Some(gathered) => gathered,
            None => {
                let gathered = self.collect(id, rules, state);
                if let Some(place) = self.gathered.get_mut(id.0 as usize) {
                    *place = Some(gathered);
                }
                gathered
            }
        };
        let Gathered { start, end, row } = gathered;
        let items = self.items.get(start..end).unwrap_or_default();
        (items, self.candidates.get(row..row + words).unwrap_or_default())
    }

    fn collect(&mut self, id: GroupId, rules: &RuleSet, state: &mut State) -> Gathered {
        let (start, row) = (self.items.len(), self.candidates.len());
        self.candidates.resize(row + rules.gate.words(), 0);
        if let Some(group) = rules.groups.get(id.0 as usize) {
            resolve(&group.targets, NO_RULE, rules, state, &mut self.items);
            let union = self.candidates.get_mut(row..).unwrap_or_default();
            for item in self.items.get_mut(start..).unwrap_or_default() {
                if let Some(chain) = rules.chain(group.chain) {
                    item.value = state.values.transform(item.value, group.chain, chain);
                }
                let candidates = state.values.candidates(item.value, &rules.gate);
                for (all, word) in union.iter_mut().zip(candidates) {
                    *all |= word;
                }
            }
        }
        Gathered { start, end: self.items.len(), row }
    }
}
