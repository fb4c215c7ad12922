//! Conditions that judge the same values: the same elements under the same transformations.
//!
//! Values are gathered once for an element and a chain, and what the gate says of all of them at
//! once lets most rules be passed over without a look at any value.

use hashbrown::HashMap;

use crate::operator::ByteSet;
use crate::parse::Variable;
use crate::rules::chain::ChainId;
use crate::rules::gate::Gated;
use crate::rules::rule::{Condition, Rule};
use crate::rules::target::{Element, Which};

/// Expressions whose bytes are looked at before the gate is asked.
const FEW: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupId(pub(crate) u32);

/// A variable, or some elements of a collection, as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ElementId(pub(crate) u32);

/// The values of an element as a chain of transformations makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SourceId(pub(crate) u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Source {
    pub(crate) element: ElementId,
    pub(crate) chain: ChainId,
    /// Its values are judged before and after each transformation.
    pub(crate) is_each_step: bool,
    /// The same element without transformations; itself, if there are none.
    pub(crate) plain: SourceId,
}

/// An expression that judges the values of a source.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    pub(crate) gated: Gated,
    /// Of each of these sets a value has a byte, or it does not match.
    needed: Box<[ByteSet]>,
}

impl Expression {
    pub(crate) fn may_match(&self, present: ByteSet) -> bool {
        self.needed.iter().all(|set| set.meets(present))
    }
}

/// Every group of a rule set, and what they have in common.
#[derive(Debug, Default)]
pub(crate) struct Grouping {
    /// Of each group the sources, in the order in which they are inspected.
    pub(crate) groups: Vec<Box<[SourceId]>>,
    pub(crate) sources: Vec<Source>,
    pub(crate) elements: Vec<Element>,
    /// Of each element the sources.
    pub(crate) sources_of: Vec<Vec<SourceId>>,
    /// Of each source the operators that judge it, if they are few: see [`Grouping::settle`].
    pub(crate) few: Vec<Option<Box<[Expression]>>>,
    known: HashMap<Box<[SourceId]>, GroupId>,
    known_sources: HashMap<(ElementId, ChainId, bool), SourceId>,
    known_elements: HashMap<Vec<u8>, ElementId>,
}

impl Grouping {
    /// The group of a condition; None if its values may change within a phase, or are numbers.
    pub(crate) fn find(&mut self, condition: &Condition) -> Option<GroupId> {
        let mut sources = Vec::with_capacity(condition.targets.inspected.len());
        for target in &condition.targets.inspected {
            if target.is_counted || changes_within_a_phase(target.element.variable) {
                return None;
            }
            let element = self.element(&target.element);
            sources.push(self.source(element, condition.chain, condition.is_multi_match));
        }
        if let Some(id) = self.known.get(sources.as_slice()) {
            return Some(*id);
        }
        let id = GroupId(self.groups.len() as u32);
        self.groups.push(sources.clone().into_boxed_slice());
        self.known.insert(sources.into_boxed_slice(), id);
        Some(id)
    }

    /// An element of which only the number is asked; None as above.
    pub(crate) fn counted(&mut self, element: &Element) -> Option<ElementId> {
        (!changes_within_a_phase(element.variable)).then(|| self.element(element))
    }

    /// Notes which sources are judged by a few expressions alone. Where the bytes of a value tell
    /// that hardly any of them matches, the gate need not be asked, which looks for what all others
    /// need as well.
    pub(crate) fn settle(&mut self, rules: &[Rule]) {
        let mut all: Vec<Option<Vec<Expression>>> = vec![Some(Vec::new()); self.sources.len()];
        let links = rules.iter().flat_map(|rule| &rule.links);
        for condition in links.filter_map(|link| link.condition.as_ref()) {
            let group = condition.group.and_then(|group| self.groups.get(group.0 as usize));
            let Some(gated) = condition.gated.filter(|_| !condition.is_negated) else { continue };
            let sources = group.map_or(&[][..], |sources| sources).iter();
            let known = sources.filter_map(|id| Some((*id, self.sources.get(id.0 as usize)?)));
            // What a chain leaves as it is is judged for all chains at once.
            for id in known.flat_map(|(id, source)| [id, source.plain]) {
                let Some(place) = all.get_mut(id.0 as usize) else { continue };
                match place {
                    Some(few) if few.iter().any(|one| one.gated == gated) => {}
                    Some(few) if few.len() < FEW && condition.operator.is_scan() => {
                        few.push(Expression { gated, needed: condition.needed.clone() });
                    }
                    _ => *place = None,
                }
            }
        }
        self.few = all.into_iter().map(|few| few.map(Vec::into_boxed_slice)).collect();
    }

    fn source(&mut self, element: ElementId, chain: ChainId, is_each_step: bool) -> SourceId {
        if let Some(id) = self.known_sources.get(&(element, chain, is_each_step)) {
            return *id;
        }
        let is_plain = chain == ChainId::EMPTY && !is_each_step;
        let plain = (!is_plain).then(|| self.source(element, ChainId::EMPTY, false));
        let id = SourceId(self.sources.len() as u32);
        let plain = plain.unwrap_or(id);
        self.sources.push(Source { element, chain, is_each_step, plain });
        if let Some(sources) = self.sources_of.get_mut(element.0 as usize) {
            sources.push(id);
        }
        self.known_sources.insert((element, chain, is_each_step), id);
        id
    }

    fn element(&mut self, element: &Element) -> ElementId {
        let key = key(element);
        if let Some(id) = self.known_elements.get(&key) {
            return *id;
        }
        let id = ElementId(self.elements.len() as u32);
        self.elements.push(element.clone());
        self.sources_of.push(Vec::new());
        self.known_elements.insert(key, id);
        id
    }
}

/// What tells elements apart.
fn key(element: &Element) -> Vec<u8> {
    let (kind, bytes): (u8, &[u8]) = match &element.which {
        Which::All => (0, &[]),
        Which::Key(name) => (1, name),
        Which::Slot(slot) => (2, &slot.0.to_le_bytes()),
        Which::Regex(pattern) => (3, &pattern.written),
        Which::Text => (4, &[]),
        Which::Attributes => (5, &[]),
    };
    [&[element.variable as u8, kind], bytes].concat()
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
