//! The rules of one phase, in their order.

use crate::operator::{Cache, Captures};
use crate::parse::{Allow, EngineMode, Phase, Variable};
use crate::rules::{
    Bound, CAPTURES, Comparison, Condition, GroupId, Outcome, RuleSet, Skip, Slot, is_candidate,
};
use crate::transaction::act::act;
use crate::transaction::collections::Item;
use crate::transaction::expand::expand;
use crate::transaction::groups::Groups;
use crate::transaction::mask::mask_told;
use crate::transaction::matched::{Match, tell};
use crate::transaction::resolve::{leave_out, resolve};
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
    /// Kept between rules for their space.
    items: Vec<Item>,
    argument: Vec<u8>,
    hits: Vec<Item>,
    groups: &'a mut Groups,
}

impl<'a> Run<'a> {
    pub(crate) fn new(
        rules: &'a RuleSet,
        state: &'a mut State,
        cache: &'a mut Cache,
        matches: &'a mut Vec<Match>,
        groups: &'a mut Groups,
    ) -> Self {
        let (items, argument, hits) = (Vec::new(), Vec::new(), Vec::new());
        groups.reset(rules);
        Self { rules, state, cache, matches, items, argument, hits, groups }
    }

    /// Runs the rules of a phase; a refusal ends it.
    pub(crate) fn phase(&mut self, phase: Phase) -> Option<Refusal> {
        let rules = self.rules;
        let program = rules.phases.get(phase as usize).map_or(&[][..], Vec::as_slice);
        let mut at = 0;
        while let Some(&index) = program.get(at) {
            at += 1;
            if self.state.engine == EngineMode::Off || self.state.is_over_budget() {
                return None;
            }
            let Some(rule) = rules.rules.get(index) else { continue };
            if self.state.removed.contains(rule.number) || !self.matches(index) {
                continue;
            }
            self.log(index, phase);
            if let Some(end) = self.follow(index, phase) {
                return end;
            }
            at = match rule.skip {
                Some(Skip::To(place)) => at.max(place as usize),
                Some(Skip::Count(rules)) => at.saturating_add(rules as usize),
                None => at,
            };
        }
        None
    }

    /// Whether every link matches; effects of those that do are done by then.
    fn matches(&mut self, index: usize) -> bool {
        let Some(rule) = self.rules.rules.get(index) else { return false };
        self.state.matched.clear();
        self.state.current = index;
        self.hits.clear();
        for (link, one) in rule.links.iter().enumerate() {
            let is_match = match &one.condition {
                Some(condition) => self.link(index, link, condition),
                None => {
                    self.act(index, link);
                    true
                }
            };
            if !is_match {
                return false;
            }
        }
        true
    }

    fn link(&mut self, rule: usize, link: usize, condition: &Condition) -> bool {
        let number = self.rules.rules.get(rule).map_or(0, |rule| rule.number);
        if let Some(comparison) = condition.number
            && self.state.excluded.is_empty()
        {
            return self.compare(rule, link, condition, comparison);
        }
        if let Some(group) = condition.group {
            return self.judge_group(rule, link, condition, group);
        }
        let mut items = std::mem::take(&mut self.items);
        items.clear();
        resolve(&condition.targets, number, self.rules, self.state, &mut items);
        let mut is_match = false;
        for item in &items {
            is_match |= match condition.is_multi_match {
                true => self.judge_each_step(rule, link, condition, *item),
                false => {
                    let value = self.transform(item.value, condition);
                    self.judge(rule, link, condition, Item { value, ..*item })
                }
            };
        }
        self.items = items;
        is_match
    }

    /// A comparison of an element of TX: of numbers, where they are numbers.
    fn compare(
        &mut self,
        rule: usize,
        link: usize,
        condition: &Condition,
        comparison: Comparison,
    ) -> bool {
        let State { tx, values, .. } = &mut *self.state;
        let held = tx.get(comparison.slot);
        let value = match (held, comparison.is_counted) {
            (held, true) => TxValue::Number(i64::from(held.is_some())),
            (Some(value), false) => value,
            (None, false) => return false,
        };
        let bound = match comparison.bound {
            Bound::Number(number) => number,
            Bound::Slot(slot) => tx.get(slot).map_or(0, |value| value.number(values)),
        };
        if comparison.relation.holds(value.number(values), bound) == condition.is_negated {
            return false;
        }
        if self.rules.rules.get(rule).is_some_and(|rule| rule.is_silent) {
            self.act(rule, link);
            return true;
        }
        let name = self.rules.names.name(comparison.slot);
        let name = (!comparison.is_counted).then(|| values.intern(name));
        let value = value.value(values);
        self.hit(rule, link, Item { variable: Variable::Tx, name, value });
        true
    }

    /// Judges the values that a group shares; mostly the gate says that none can match.
    fn judge_group(
        &mut self,
        rule: usize,
        link: usize,
        condition: &Condition,
        group: GroupId,
    ) -> bool {
        let (items, candidates) = self.groups.gather(group, self.rules, self.state);
        if let Some(gated) = condition.gated
            && !condition.is_negated
            && !is_candidate(candidates, gated)
        {
            return false;
        }
        let mut own = std::mem::take(&mut self.items);
        own.clear();
        own.extend_from_slice(items);
        let number = self.rules.rules.get(rule).map_or(0, |rule| rule.number);
        let kept = leave_out(number, self.rules, self.state, &mut own);
        own.truncate(kept);
        let mut is_match = false;
        for item in &own {
            is_match |= self.judge(rule, link, condition, *item);
        }
        self.items = own;
        is_match
    }

    /// Judges a value before its transformations, and after each that changes it.
    fn judge_each_step(
        &mut self,
        rule: usize,
        link: usize,
        condition: &Condition,
        item: Item,
    ) -> bool {
        let mut is_match = self.judge(rule, link, condition, item);
        let mut value = item.value;
        let chain = self.rules.chain(condition.chain);
        for step in chain.map_or(&[][..], |chain| &chain.steps) {
            let changed = self.state.values.step(value, *step);
            if changed != value {
                value = changed;
                is_match |= self.judge(rule, link, condition, Item { value, ..item });
            }
        }
        is_match
    }

    fn transform(&mut self, value: ValueId, condition: &Condition) -> ValueId {
        match self.rules.chain(condition.chain) {
            Some(chain) => self.state.values.transform(value, condition.chain, chain),
            None => value,
        }
    }

    fn judge(&mut self, rule: usize, link: usize, condition: &Condition, item: Item) -> bool {
        if let Some(argument) = &condition.argument {
            self.argument.clear();
            expand(argument, self.rules, self.state, &mut self.argument);
        }
        let is_candidate = condition.gated.is_none_or(|gated| {
            is_candidate(self.state.values.candidates(item.value, &self.rules.gate), gated)
        });
        let value = self.state.values.bytes(item.value);
        if is_candidate {
            self.state.judged_bytes = self.state.judged_bytes.saturating_add(value.len());
        }
        let is_match = if !is_candidate {
            false
        } else if condition.captures {
            let captures = condition.operator.captures(value, &self.argument, self.cache);
            if let Some(captures) = &captures {
                self.capture(captures, item.value);
            }
            captures.is_some()
        } else {
            condition.operator.is_match(value, &self.argument, self.cache)
        };
        if is_match == condition.is_negated {
            return false;
        }
        self.hit(rule, link, item);
        true
    }

    /// A value that matches: what the link does about it is done at once.
    fn hit(&mut self, rule: usize, link: usize, item: Item) {
        self.state.matched.push(item);
        self.hits.push(item);
        self.act(rule, link);
    }

    fn act(&mut self, rule: usize, link: usize) {
        let masked = self.state.masked.len();
        act(rule, link, self.rules, self.state);
        if self.state.masked.len() > masked {
            mask_told(self.matches, self.state);
        }
    }

    fn capture(&mut self, captures: &Captures, of: ValueId) {
        let State { values, tx, .. } = &mut *self.state;
        for number in 0..CAPTURES {
            let group = captures.get(number, values.bytes(of)).map(<[u8]>::to_vec);
            if group.is_some() || captures.clears() {
                let value = group.map(|bytes| TxValue::Text(values.intern(&bytes)));
                tx.set(Slot(number as u32), value);
            }
        }
    }

    fn log(&mut self, index: usize, phase: Phase) {
        let Some(rule) = self.rules.rules.get(index) else { return };
        if let Some(severity) = rule.about.severity {
            self.state.worst = Some(self.state.worst.map_or(severity, |worst| worst.min(severity)));
        }
        if rule.about.is_logged || rule.about.is_audited {
            self.matches.push(tell(rule, phase, self.rules, self.state, &self.hits));
        }
    }

    /// What follows from a match: `Some` if the phase ends.
    fn follow(&mut self, index: usize, phase: Phase) -> Option<Option<Refusal>> {
        let rule = self.rules.rules.get(index)?;
        if self.state.engine != EngineMode::On || phase == Phase::Logging {
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
