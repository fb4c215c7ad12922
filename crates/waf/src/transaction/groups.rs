//! The values of each group of conditions, gathered at most once in a phase.

use crate::operator::ByteSet;
use crate::rules::{BaseId, Group, GroupId, RuleSet};
use crate::transaction::collections::Item;
use crate::transaction::resolve::resolve;
use crate::transaction::state::State;

/// No rule: exclusions of a single rule do not concern a group.
const NO_RULE: usize = usize::MAX;

/// What was gathered in this phase.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Option<Gathered>>,
    bases: Vec<Option<Base>>,
    items: Vec<Item>,
    /// For what was gathered the operators that one of its values may match.
    candidates: Vec<u64>,
}

/// Where the items and the candidates of a group are.
#[derive(Debug, Clone, Copy)]
struct Gathered {
    start: usize,
    end: usize,
    row: usize,
}

/// Values as they are, before any transformation.
#[derive(Debug, Clone, Copy)]
struct Base {
    start: usize,
    end: usize,
    /// The bytes that one of them has.
    present: ByteSet,
    /// With its candidates, once they were asked for.
    unchanged: Option<Gathered>,
}

impl Groups {
    /// Forgets what an earlier phase gathered.
    pub(crate) fn reset(&mut self, rules: &RuleSet) {
        self.groups.clear();
        self.groups.resize(rules.grouping.groups.len(), None);
        self.bases.clear();
        self.bases.resize(rules.grouping.bases.len(), None);
        self.items.clear();
        self.candidates.clear();
    }

    /// The values of a group, transformed, and the operators that one of them may match.
    pub(crate) fn gather(
        &mut self,
        id: GroupId,
        rules: &RuleSet,
        state: &mut State,
    ) -> (&[Item], &[u64]) {
        let gathered = match self.groups.get(id.0 as usize).copied().flatten() {
            Some(gathered) => gathered,
            None => self.collect(id, rules, state),
        };
        let Gathered { start, end, row } = gathered;
        let items = self.items.get(start..end).unwrap_or_default();
        let row = self.candidates.get(row..row + rules.gate.words());
        (items, row.unwrap_or_default())
    }

    fn collect(&mut self, id: GroupId, rules: &RuleSet, state: &mut State) -> Gathered {
        let Some(group) = rules.grouping.groups.get(id.0 as usize) else {
            return Gathered { start: 0, end: 0, row: usize::MAX };
        };
        let base = self.base(group.base, rules, state);
        let may_change =
            rules.chain(group.chain).is_some_and(|chain| chain.may_change(base.present));
        let gathered = match (may_change, base.unchanged) {
            (true, _) => self.transform(*group, base, rules, state),
            (false, Some(unchanged)) => unchanged,
            (false, None) => self.unchanged(group.base, base, rules, state),
        };
        if let Some(place) = self.groups.get_mut(id.0 as usize) {
            *place = Some(gathered);
        }
        gathered
    }

    fn base(&mut self, id: BaseId, rules: &RuleSet, state: &mut State) -> Base {
        if let Some(base) = self.bases.get(id.0 as usize).copied().flatten() {
            return base;
        }
        let start = self.items.len();
        if let Some(targets) = rules.grouping.bases.get(id.0 as usize) {
            resolve(targets, NO_RULE, rules, state, &mut self.items);
        }
        let items = self.items.get(start..).unwrap_or_default().iter();
        let present = items.map(|item| state.values.present(item.value));
        let present = present.fold(ByteSet::EMPTY, ByteSet::or);
        let base = Base { start, end: self.items.len(), present, unchanged: None };
        if let Some(place) = self.bases.get_mut(id.0 as usize) {
            *place = Some(base);
        }
        base
    }

    /// The values of a base as they are, for every chain that changes none of them.
    fn unchanged(
        &mut self,
        id: BaseId,
        base: Base,
        rules: &RuleSet,
        state: &mut State,
    ) -> Gathered {
        let row = self.judge(base.start, rules, state, base.end);
        let gathered = Gathered { start: base.start, end: base.end, row };
        if let Some(place) = self.bases.get_mut(id.0 as usize) {
            *place = Some(Base { unchanged: Some(gathered), ..base });
        }
        gathered
    }

    fn transform(
        &mut self,
        group: Group,
        base: Base,
        rules: &RuleSet,
        state: &mut State,
    ) -> Gathered {
        let start = self.items.len();
        for index in base.start..base.end {
            let Some(&item) = self.items.get(index) else { break };
            let value = match rules.chain(group.chain) {
                Some(chain) => state.values.transform(item.value, group.chain, chain),
                None => item.value,
            };
            self.items.push(Item { value, ..item });
        }
        let end = self.items.len();
        Gathered { start, end, row: self.judge(start, rules, state, end) }
    }

    /// Where the operators are that one of the items from `start` to `end` may match.
    fn judge(&mut self, start: usize, rules: &RuleSet, state: &mut State, end: usize) -> usize {
        let row = self.candidates.len();
        self.candidates.resize(row + rules.gate.words(), 0);
        let union = self.candidates.get_mut(row..).unwrap_or_default();
        for item in self.items.get(start..end).unwrap_or_default() {
            let candidates = state.values.candidates(item.value, &rules.gate);
            for (all, word) in union.iter_mut().zip(candidates) {
                *all |= word;
            }
        }
        row
    }
}
