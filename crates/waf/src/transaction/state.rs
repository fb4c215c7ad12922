//! What a transaction is at one moment: its values, what rules set, what they matched.

use crate::parse::{BodyProcessor, EngineMode, RuleId, Severity, Variable};
use crate::rules::{Element, Mentioned, RuleSet, Rules, Slot};
use crate::transaction::collections::{Collections, Item};
use crate::transaction::overrun::{JUDGED_BYTES, Overrun, VALUE_BYTES};
use crate::transaction::tx::Tx;
use crate::transaction::values::{ValueId, Values};

#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) values: Values,
    pub(crate) collections: Collections,
    pub(crate) tx: Tx,
    /// What the rule that is being evaluated matched so far: MATCHED_VARS.
    pub(crate) matched: Vec<Item>,
    pub(crate) engine: EngineMode,
    pub(crate) is_audited: bool,
    pub(crate) reads_request_body: bool,
    pub(crate) reads_response_body: bool,
    pub(crate) forces_request_body: bool,
    pub(crate) guesses_request_body: bool,
    pub(crate) processor: Option<BodyProcessor>,
    /// Rules that a `ctl` took out.
    pub(crate) removed: Rules,
    /// Elements that a `ctl` took from rules: the rule, the link, the effect that says which.
    pub(crate) excluded: Vec<ExclusionAt>,
    /// The rules that they are taken from.
    pub(crate) curtailed: Rules,
    pub(crate) masked: Vec<(Variable, Box<[u8]>)>,
    pub(crate) worst: Option<Severity>,
    /// How much an `allow` let through so far.
    pub(crate) allowed: Option<crate::parse::Allow>,
    pub(crate) overrun: Option<Overrun>,
    /// The first rule that would have refused the transaction, had it not only detected.
    pub(crate) detected: Option<RuleId>,
    /// What the rule that is being evaluated added to elements of TX, if it tells of itself.
    pub(crate) added: Vec<(Slot, i64)>,
    /// Bytes that operators looked at.
    pub(crate) judged_bytes: usize,
    /// Rules that had to be looked at.
    pub(crate) evaluated: usize,
    mentioned: Mentioned,
    /// The rule that is being evaluated, for the RULE collection.
    pub(crate) current: usize,
}

/// Where in the rule set an exclusion that has come into force is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ExclusionAt {
    pub(crate) rule: usize,
    pub(crate) link: usize,
    pub(crate) effect: usize,
}

impl State {
    /// Begins a transaction, in the space of an earlier one.
    pub(crate) fn begin(&mut self, rules: &RuleSet) {
        let mut held = std::mem::take(self);
        held.values.begin(rules.transformations);
        held.collections.clear();
        held.tx.begin(&rules.names);
        held.matched.clear();
        held.added.clear();
        *self = Self {
            values: held.values,
            collections: held.collections,
            tx: held.tx,
            matched: held.matched,
            added: held.added,
            engine: rules.settings.engine,
            is_audited: true,
            reads_request_body: rules.settings.reads_request_body,
            reads_response_body: rules.settings.reads_response_body,
            mentioned: rules.names.mentioned(),
            ..Self::default()
        };
    }

    /// Bytes that it holds.
    pub(crate) fn space(&self) -> usize {
        self.values.space() + self.collections.space()
    }

    /// Whether a rule looks at a variable.
    pub(crate) fn is_mentioned(&self, variable: Variable) -> bool {
        self.mentioned.contains(variable)
    }

    /// Gives a variable its value, if a rule looks at it.
    pub(crate) fn set(&mut self, variable: Variable, value: &[u8]) {
        if !self.is_mentioned(variable) {
            return;
        }
        let value = self.values.intern(value);
        self.collections.set(variable, value);
    }

    /// Gives a variable a value beside those that it has.
    pub(crate) fn add(&mut self, variable: Variable, value: &[u8]) {
        let value = self.values.intern(value);
        self.collections.add(variable, value);
    }

    /// Adds an element to a collection.
    pub(crate) fn push(&mut self, variable: Variable, name: &[u8], value: &[u8]) {
        let (name, value) = (self.values.intern(name), self.values.intern(value));
        self.collections.push(variable, name, value);
    }

    /// The name of an item as rules write it: `ARGS:q`.
    pub(crate) fn full_name(&self, item: Item) -> Vec<u8> {
        let mut name = item.variable.name().as_bytes().to_vec();
        if let Some(element) = item.name {
            name.push(b':');
            name.extend_from_slice(self.values.bytes(element));
        }
        name
    }

    /// Whether too much work was done to go on.
    pub(crate) fn is_over_budget(&mut self) -> bool {
        let overrun = match (self.values.size(), self.judged_bytes) {
            (VALUE_BYTES.., _) => Overrun::Values,
            (_, JUDGED_BYTES..) => Overrun::Work,
            _ => return false,
        };
        self.overrun = Some(overrun);
        true
    }

    /// Notes that the rule that is being evaluated added to an element of TX.
    pub(crate) fn note_added(&mut self, to: Slot, number: i64) {
        match self.added.iter_mut().find(|(slot, _)| *slot == to) {
            Some((_, sum)) => *sum = sum.saturating_add(number),
            None => self.added.push((to, number)),
        }
    }

    /// What matched last.
    pub(crate) fn last_match(&self) -> Option<Item> {
        self.matched.last().copied()
    }

    /// Whether a `ctl` that ran keeps this rule from an element; and from which.
    pub(crate) fn exclusions<'a>(
        &'a self,
        rules: &'a RuleSet,
        rule: usize,
    ) -> impl Iterator<Item = &'a Element> {
        self.excluded.iter().flat_map(move |at| {
            let effect = rules.effects(at.rule, at.link).and_then(|all| all.get(at.effect));
            effect.map_or(&[][..], |effect| rules.exclusion(effect, rule))
        })
    }

    pub(crate) fn text_of(&self, item: Item) -> &[u8] {
        self.values.bytes(item.value)
    }

    pub(crate) fn name_of(&self, item: Item) -> &[u8] {
        item.name.map_or(&[], |name: ValueId| self.values.bytes(name))
    }
}
