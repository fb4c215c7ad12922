//! The rules of one phase, in their order.

use crate::operator::{Cache, Captures};
use crate::parse::{Allow, EngineMode, Phase, Variable};
use crate::rules::{
    Bound, CAPTURES, Check, Comparison, Condition, GroupId, Instruction, Outcome, RuleSet, Skip,
    Slot, is_candidate,
};
use crate::transaction::act::act;
use crate::transaction::collections::Item;
use crate::transaction::expand::expand;
use crate::transaction::groups::Groups;
use crate::transaction::mask::mask_told;
use crate::transaction::matched::{Match, Seen, tell};
use crate::transaction::overrun::Overrun;
use crate::transaction::resolve::{contains, leave_out, resolve};
use crate::transaction::state::State;
use crate::transaction::tx::TxValue;
use crate::transaction::values::ValueId;
use crate::transaction::verdict::{Refusal, RefusalKind};

/// One run through the rules of a phase.
pub(crate) struct Run<'a> {
    pub(crate) rules: &'a RuleSet,
    pub(crate) state: &'a mut State,
    pub(crate) cache: &'a mut Cache,
    pub(crate) matches: &'a mut Vec<Match>,
    pub(crate) groups: &'a mut Groups,
    pub(crate) scratch: &'a mut Scratch,
}

/// Kept between rules for its space.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    items: Vec<Item>,
    argument: Vec<u8>,
    /// What the rule under evaluation matched.
    hits: Vec<Seen>,
}

impl Run<'_> {
    /// Runs the rules of a phase; a refusal ends it.
    pub(crate) fn phase(&mut self, phase: Phase) -> Option<Refusal> {
        let rules = self.rules;
        self.groups.refresh(rules, self.state);
        let program = rules.phases.get(phase as usize).map_or(&[][..], Vec::as_slice);
        let mut at = 0;
        while let Some(instruction) = program.get(at) {
            at += 1;
            if self.state.engine == EngineMode::Off || self.state.is_over_budget() {
                return None;
            }
            let index = instruction.rule as usize;
            if !self.may_match(instruction) || !self.matches(index) {
                continue;
            }
            self.log(index, phase);
            if let Some(end) = self.follow(index, phase) {
                return end;
            }
            at = match rules.rules.get(index).and_then(|rule| rule.skip) {
                Some(Skip::To(place)) => at.max(place as usize),
                Some(Skip::Count(rules)) => at.saturating_add(rules as usize),
                None => at,
            };
        }
        None
    }

    /// Whether a rule has to be looked at.
    fn may_match(&mut self, instruction: &Instruction) -> bool {
        let number = instruction.number as usize;
        if self.state.removed.contains(number) {
            return false;
        }
        let (rules, state) = (self.rules, &mut *self.state);
        match instruction.check {
            Check::Number(comparison, is_negated) => {
                state.curtailed.contains(number)
                    || compared(comparison, is_negated, state).is_some()
            }
            Check::Count(element, relation, bound, is_negated) => {
                let count = self.groups.count(element, rules, state) as i64;
                state.curtailed.contains(number) || relation.holds(count, bound) != is_negated
            }
            Check::Gate(group, gated) => {
                let union = self.groups.union(group, rules, state);
                !union.is_empty && is_candidate(self.groups.candidates(union, rules), gated)
            }
            Check::Values(group) => !self.groups.union(group, rules, state).is_empty,
            Check::Nothing => true,
        }
    }

    /// Whether every link matches; effects of those that do are done by then.
    fn matches(&mut self, index: usize) -> bool {
        let Some(rule) = self.rules.rules.get(index) else { return false };
        self.state.matched.clear();
        self.state.current = index;
        self.state.evaluated += 1;
        self.scratch.hits.clear();
        self.state.added.clear();
        rule.links.iter().enumerate().all(|(link, one)| match &one.condition {
            Some(condition) => self.link(At { rule: index, number: rule.number, link }, condition),
            None => {
                self.act(At { rule: index, number: rule.number, link });
                true
            }
        })
    }

    fn link(&mut self, at: At, condition: &Condition) -> bool {
        if let Some(comparison) = condition.number
            && !self.state.curtailed.contains(at.number)
        {
            return self.compare(at, condition, comparison);
        }
        let mut items = std::mem::take(&mut self.scratch.items);
        items.clear();
        match condition.group {
            Some(group) => {
                self.gather(group, condition, &mut items);
                let kept = leave_out(at.number, self.rules, self.state, &mut items);
                items.truncate(kept);
            }
            None => resolve(&condition.targets, at.number, self.rules, self.state, &mut items),
        }
        let mut is_match = false;
        for item in &items {
            is_match |= match condition.is_multi_match {
                true => self.judge_each_step(at, condition, *item),
                false if condition.group.is_some() => self.judge(at, condition, *item),
                false => {
                    let value = self.transform(item.value, condition);
                    self.judge(at, condition, Item { value, ..*item })
                }
            };
        }
        self.scratch.items = items;
        is_match
    }

    /// A comparison of an element of TX: of numbers, where they are numbers.
    fn compare(&mut self, at: At, condition: &Condition, comparison: Comparison) -> bool {
        let Some(value) = compared(comparison, condition.is_negated, self.state) else {
            return false;
        };
        if self.rules.rules.get(at.rule).is_some_and(|rule| rule.is_silent) {
            self.act(at);
            return true;
        }
        let values = &mut self.state.values;
        let name = self.rules.names.name(comparison.slot);
        let name = (!comparison.is_counted).then(|| values.intern(name));
        let value = value.value(values);
        self.hit(at, Item { variable: Variable::Tx, name, value }, 0);
        true
    }

    /// The items of a group that the gate lets through.
    fn gather(&mut self, group: GroupId, condition: &Condition, out: &mut Vec<Item>) {
        let gated = condition.gated.filter(|_| !condition.is_negated);
        let sources = self.rules.grouping.groups.get(group.0 as usize);
        for source in sources.map_or(&[][..], |sources| sources) {
            let (items, candidates) = self.groups.source(*source, self.rules, self.state);
            if gated.is_none_or(|gated| is_candidate(candidates, gated)) {
                out.extend_from_slice(items);
            }
        }
    }

    /// Judges a value before its transformations, and after each that changes it.
    fn judge_each_step(&mut self, at: At, condition: &Condition, item: Item) -> bool {
        let mut is_match = self.judge(at, condition, item);
        let mut value = item.value;
        let chain = self.rules.chain(condition.chain);
        for step in chain.map_or(&[][..], |chain| &chain.steps) {
            let changed = self.state.values.step(value, step);
            if changed != value {
                value = changed;
                is_match |= self.judge(at, condition, Item { value, ..item });
            }
        }
        is_match
    }

    fn transform(&mut self, value: ValueId, condition: &Condition) -> ValueId {
        match self.rules.chain(condition.chain) {
            Some(chain) => self.state.values.transform(value, chain),
            None => value,
        }
    }

    fn judge(&mut self, at: At, condition: &Condition, item: Item) -> bool {
        let values = &mut self.state.values;
        let is_candidate = condition.gated.is_none_or(|gated| {
            values.is_long(item.value) && !values.is_gated(item.value)
                || is_candidate(values.candidates(item.value, &self.rules.gate), gated)
        });
        let is_candidate = is_candidate && condition.may_match(values.present(item.value));
        if !is_candidate && !condition.is_negated || self.is_left_out(condition, item) {
            return false;
        }
        if let Some(argument) = &condition.argument {
            self.scratch.argument.clear();
            expand(argument, self.rules, self.state, &mut self.scratch.argument);
        }
        let argument = &self.scratch.argument;
        let value = self.state.values.bytes(item.value);
        if is_candidate {
            self.state.judged_bytes = self.state.judged_bytes.saturating_add(value.len());
        }
        let mut start = 0;
        let is_match = if !is_candidate {
            false
        } else if condition.captures {
            let captures = condition.operator.captures(value, argument, self.cache);
            if let Some(captures) = &captures {
                start = captures.start();
                self.capture(captures, item.value);
            }
            captures.is_some()
        } else {
            condition.operator.is_match(value, argument, self.cache)
        };
        if self.is_undecided() || is_match == condition.is_negated {
            return false;
        }
        self.hit(at, item, start);
        true
    }

    /// Whether the operator gave up on a value; what it did so far counts as work.
    fn is_undecided(&mut self) -> bool {
        let effort = self.cache.forget_effort();
        self.state.judged_bytes = self.state.judged_bytes.saturating_add(effort.steps);
        if effort.is_undecided {
            self.state.overrun.get_or_insert(Overrun::Work);
        }
        effort.is_undecided
    }

    /// Whether the condition does not look at an item of its group.
    fn is_left_out(&self, condition: &Condition, item: Item) -> bool {
        let (rules, state) = (self.rules, &*self.state);
        if condition.group.is_none() {
            // They were left out when the items were found.
            return false;
        }
        condition.targets.excluded.iter().any(|element| contains(element, item, rules, state))
    }

    /// A value that matches, from `start` on: what the link does about it is done at once.
    fn hit(&mut self, at: At, item: Item, start: usize) {
        self.state.matched.push(item);
        self.scratch.hits.push(Seen { item, start });
        self.act(at);
    }

    fn act(&mut self, at: At) {
        let masked = self.state.masked.len();
        act(at.rule, at.link, self.rules, self.state);
        if self.state.masked.len() > masked {
            mask_told(self.matches, self.state);
        }
    }

    fn capture(&mut self, captures: &Captures, of: ValueId) {
        let State { values, tx, .. } = &mut *self.state;
        for number in 0..CAPTURES {
            let group = captures.get(number, values.bytes(of)).map(<[u8]>::to_vec);
            if group.is_some() || captures.clears() {
                let value = group.map(|bytes| TxValue::Text(values.keep(bytes.into())));
                tx.set(Slot(number as u32), value);
            }
        }
    }

    fn log(&mut self, index: usize, phase: Phase) {
        let Some(rule) = self.rules.rules.get(index) else { return };
        if let Some(severity) = rule.about.severity {
            self.state.worst = Some(self.state.worst.map_or(severity, |worst| worst.min(severity)));
        }
        if rule.about.is_told() {
            self.matches.push(tell(rule, phase, self.rules, self.state, &self.scratch.hits));
        }
    }

    /// What follows from a match: `Some` if the phase ends.
    fn follow(&mut self, index: usize, phase: Phase) -> Option<Option<Refusal>> {
        let rule = self.rules.rules.get(index)?;
        if self.state.engine != EngineMode::On || phase == Phase::Logging {
            if phase != Phase::Logging && rule.outcome.is_refusal() {
                self.state.detected.get_or_insert(rule.id);
            }
            return None;
        }
        let kind = match &rule.outcome {
            Outcome::Pass => return None,
            Outcome::Allow(scope) => {
                self.state.allowed = Some(*scope).filter(|scope| *scope != Allow::Phase);
                return Some(None);
            }
            Outcome::Deny(status) => RefusalKind::Status(*status),
            Outcome::Drop => RefusalKind::Drop,
            Outcome::Redirect { status, to } => {
                let mut location = Vec::new();
                expand(to, self.rules, self.state, &mut location);
                RefusalKind::Redirect { status: *status, location }
            }
        };
        Some(Some(Refusal { rule: rule.id, phase, kind }))
    }
}

/// A link of a rule.
#[derive(Clone, Copy)]
struct At {
    rule: usize,
    /// The rule's place among all that were written.
    number: usize,
    link: usize,
}

/// What a comparison found, if it matches.
fn compared(comparison: Comparison, is_negated: bool, state: &State) -> Option<TxValue> {
    let State { tx, values, .. } = state;
    let held = tx.get(comparison.slot);
    let value = match comparison.is_counted {
        true => TxValue::Number(i64::from(held.is_some())),
        false => held?,
    };
    let bound = match comparison.bound {
        Bound::Number(number) => number,
        Bound::Slot(slot) => tx.get(slot).map_or(0, |value| value.number(values)),
    };
    (comparison.relation.holds(value.number(values), bound) != is_negated).then_some(value)
}
