//! The values of each group of conditions, gathered at most once while they stay the same.

use crate::operator::ByteSet;
use crate::rules::{Block, Chain, ElementId, GroupId, RuleSet, SourceId, add_all, add_candidate};
use crate::transaction::collections::Item;
use crate::transaction::resolve::{elements, version};
use crate::transaction::state::State;
use crate::transaction::values::{ValueId, Values};

/// So many expressions take as long for a value as the gate does, or longer.
const FEW: usize = 3;

/// What was gathered.
#[derive(Debug, Default)]
pub(crate) struct Groups {
    groups: Vec<Option<Union>>,
    sources: Vec<Option<Source>>,
    elements: Vec<Option<Gathered>>,
    items: Vec<Item>,
    /// For sources and groups the operators that one of their values may match.
    candidates: Vec<Block>,
}

/// Where the items of an element are, as they are.
#[derive(Debug, Clone, Copy)]
struct Gathered {
    start: u32,
    end: u32,
    /// Of the variable, when they were gathered.
    version: u32,
    /// The bytes that one of them has.
    present: ByteSet,
}

/// Where the transformed items of a source and its candidates are.
#[derive(Debug, Clone, Copy)]
struct Source {
    start: u32,
    end: u32,
    row: u32,
}

/// Where the candidates of a whole group are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Union {
    row: u32,
    pub(crate) is_empty: bool,
}

impl Groups {
    /// Forgets what has changed since it was gathered.
    pub(crate) fn refresh(&mut self, rules: &RuleSet, state: &State) {
        let grouping = &rules.grouping;
        self.groups.clear();
        self.groups.resize(grouping.groups.len(), None);
        self.sources.resize(grouping.sources.len(), None);
        self.elements.resize(grouping.elements.len(), None);
        let elements = grouping.elements.iter().zip(&grouping.sources_of);
        for (gathered, (element, sources)) in self.elements.iter_mut().zip(elements) {
            if gathered.is_some_and(|held| held.version != version(element.variable, state)) {
                *gathered = None;
                for source in sources {
                    if let Some(source) = self.sources.get_mut(source.0 as usize) {
                        *source = None;
                    }
                }
            }
        }
    }

    /// Forgets everything, but keeps the space.
    pub(crate) fn clear(&mut self) {
        self.groups.clear();
        self.sources.clear();
        self.elements.clear();
        self.items.clear();
        self.candidates.clear();
    }

    /// Bytes that it holds.
    pub(crate) fn space(&self) -> usize {
        self.items.capacity() * size_of::<Item>() + self.candidates.capacity() * size_of::<Block>()
    }

    /// The values of a group together.
    pub(crate) fn union(&mut self, id: GroupId, rules: &RuleSet, state: &mut State) -> Union {
        match self.groups.get(id.0 as usize).copied().flatten() {
            Some(union) => union,
            None => self.unite(id, rules, state),
        }
    }

    /// The operators that one of the values may match.
    pub(crate) fn candidates(&self, union: Union, rules: &RuleSet) -> &[Block] {
        self.row(union.row, rules)
    }

    /// How many items an element has.
    pub(crate) fn count(&mut self, id: ElementId, rules: &RuleSet, state: &mut State) -> usize {
        let Gathered { start, end, .. } = self.element(id, rules, state);
        (end - start) as usize
    }

    /// The items of a source, of which `row` says what one of them may match.
    pub(crate) fn source(
        &mut self,
        id: SourceId,
        rules: &RuleSet,
        state: &mut State,
    ) -> (&[Item], &[Block]) {
        let Source { start, end, row } = self.find(id, rules, state);
        let items = self.items.get(start as usize..end as usize).unwrap_or_default();
        (items, self.row(row, rules))
    }

    fn row(&self, row: u32, rules: &RuleSet) -> &[Block] {
        let start = row as usize;
        self.candidates.get(start..start + rules.gate.blocks()).unwrap_or_default()
    }

    fn unite(&mut self, id: GroupId, rules: &RuleSet, state: &mut State) -> Union {
        let sources = rules.grouping.groups.get(id.0 as usize);
        let sources = sources.map_or(&[][..], |sources| sources);
        let mut union = Union { row: 0, is_empty: true };
        let mut count = 0;
        for source in sources {
            let Source { start, end, row } = self.find(*source, rules, state);
            if start == end {
                continue;
            }
            count += 1;
            match count {
                1 => union = Union { row, is_empty: false },
                2 => union.row = self.copy_of(union.row, rules),
                _ => {}
            }
            if count > 1 {
                self.add(row, union.row, rules);
            }
        }
        if let Some(place) = self.groups.get_mut(id.0 as usize) {
            *place = Some(union);
        }
        union
    }

    fn copy_of(&mut self, row: u32, rules: &RuleSet) -> u32 {
        let (start, copy) = (row as usize, self.candidates.len());
        let end = (start + rules.gate.blocks()).min(copy);
        self.candidates.extend_from_within(start.min(end)..end);
        copy as u32
    }

    fn add(&mut self, row: u32, to: u32, rules: &RuleSet) {
        for block in 0..rules.gate.blocks() {
            let Some(&added) = self.candidates.get(row as usize + block) else { return };
            add_all(self.candidates.get_mut(to as usize + block..).unwrap_or_default(), &[added]);
        }
    }

    fn find(&mut self, id: SourceId, rules: &RuleSet, state: &mut State) -> Source {
        if let Some(found) = self.sources.get(id.0 as usize).copied().flatten() {
            return found;
        }
        let nothing = Source { start: 0, end: 0, row: 0 };
        let Some(source) = rules.grouping.sources.get(id.0 as usize) else { return nothing };
        let element = self.element(source.element, rules, state);
        let chain = rules.chain(source.chain);
        let chain = chain.filter(|chain| chain.may_change(element.present));
        let found = match chain {
            Some(chain) if source.is_each_step => self.each_step(id, chain, element, rules, state),
            Some(chain) => self.transform(id, chain, element, rules, state),
            None if source.plain != id => self.find(source.plain, rules, state),
            None => self.judge(id, element.start, element.end, rules, state),
        };
        if let Some(place) = self.sources.get_mut(id.0 as usize) {
            *place = Some(found);
        }
        found
    }

    fn element(&mut self, id: ElementId, rules: &RuleSet, state: &mut State) -> Gathered {
        if let Some(found) = self.elements.get(id.0 as usize).copied().flatten() {
            return found;
        }
        let start = self.items.len();
        let mut now = 0;
        if let Some(element) = rules.grouping.elements.get(id.0 as usize) {
            now = version(element.variable, state);
            elements(element, rules, state, &mut self.items);
        }
        let items = self.items.get(start..).unwrap_or_default().iter();
        let present = items.map(|item| state.values.present(item.value));
        let present = present.fold(ByteSet::EMPTY, ByteSet::or);
        let end = self.items.len() as u32;
        let found = Gathered { start: start as u32, end, version: now, present };
        if let Some(place) = self.elements.get_mut(id.0 as usize) {
            *place = Some(found);
        }
        found
    }

    fn transform(
        &mut self,
        id: SourceId,
        chain: &Chain,
        element: Gathered,
        rules: &RuleSet,
        state: &mut State,
    ) -> Source {
        let start = self.items.len();
        for index in element.start..element.end {
            let Some(&item) = self.items.get(index as usize) else { break };
            let value = state.values.transform(item.value, chain);
            self.items.push(Item { value, ..item });
        }
        self.judge(id, start as u32, self.items.len() as u32, rules, state)
    }

    /// What one of the items of a source from `start` to `end` may match.
    fn judge(
        &mut self,
        id: SourceId,
        start: u32,
        end: u32,
        rules: &RuleSet,
        state: &mut State,
    ) -> Source {
        let row = self.candidates.len();
        self.candidates.resize(row + rules.gate.blocks(), [0; 8]);
        let union = self.candidates.get_mut(row..).unwrap_or_default();
        for item in self.items.get(start as usize..end as usize).unwrap_or_default() {
            add_candidates(union, id, item.value, rules, &mut state.values);
        }
        Source { start, end, row: row as u32 }
    }

    /// The same with all that stands between the item and its last transformation.
    fn each_step(
        &mut self,
        id: SourceId,
        chain: &Chain,
        element: Gathered,
        rules: &RuleSet,
        state: &mut State,
    ) -> Source {
        let found = self.judge(id, element.start, element.end, rules, state);
        let union = self.candidates.get_mut(found.row as usize..).unwrap_or_default();
        let items = self.items.get(element.start as usize..element.end as usize);
        for item in items.unwrap_or_default() {
            let mut value = item.value;
            for step in &chain.steps {
                let changed = state.values.step(value, step);
                if changed != value {
                    value = changed;
                    add_candidates(union, id, value, rules, &mut state.values);
                }
            }
        }
        found
    }
}

/// Adds what a value of a source may match to the union of all.
fn add_candidates(
    union: &mut [Block],
    id: SourceId,
    value: ValueId,
    rules: &RuleSet,
    values: &mut Values,
) {
    if let Some(Some(few)) = rules.grouping.few.get(id.0 as usize)
        && !values.is_gated(value)
    {
        let present = values.present(value);
        let able = || few.iter().filter(|one| one.may_match(present));
        let count = able().count();
        if count == 0 || count < FEW && values.is_long(value) {
            able().for_each(|one| add_candidate(union, one.gated));
            return;
        }
    }
    add_all(union, values.candidates(value, &rules.gate));
}
