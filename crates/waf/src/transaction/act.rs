//! What a match does at once: setvar, ctl, masks.

use crate::operator::read_number;
use crate::parse::Variable;
use crate::rules::{Change, Ctl, Effect, Key, RuleSet, Text};
use crate::transaction::expand::expand;
use crate::transaction::overrun::Overrun;
use crate::transaction::state::{ExclusionAt, State};
use crate::transaction::tx::{self, TxValue};

/// The effects of one link for one value that matched.
pub(crate) fn act(rule: usize, link: usize, rules: &RuleSet, state: &mut State) {
    let Some(effects) = rules.effects(rule, link) else { return };
    for (effect, one) in effects.iter().enumerate() {
        match one {
            Effect::SetTx { key, change } => {
                if let (Key::Slot(slot), Change::Add(text)) = (key, change)
                    && rules.rules.get(rule).is_some_and(|rule| rule.about.is_told())
                {
                    state.note_added(*slot, number_of(text, rules, state));
                }
                set_tx(key, change, rules, state);
            }
            Effect::Ctl(ctl) => control(ctl, ExclusionAt { rule, link, effect }, state),
            Effect::MaskArgument(name) => mask(Variable::Args, name, state),
            Effect::MaskHeader(name) => mask(Variable::RequestHeaders, name, state),
        }
    }
}

fn mask(variable: Variable, name: &[u8], state: &mut State) {
    if !state.masked.iter().any(|(of, masked)| *of == variable && **masked == *name) {
        state.masked.push((variable, name.into()));
    }
}

fn set_tx(key: &Key, change: &Change, rules: &RuleSet, state: &mut State) {
    // A text that holds itself may grow with every value that matches.
    if state.is_over_budget() {
        return;
    }
    let mut name = Vec::new();
    let held = match key {
        Key::Slot(slot) => state.tx.get(*slot),
        Key::Named(text) => {
            expand(text, rules, state, &mut name);
            name.make_ascii_lowercase();
            state.tx.find(&name, &rules.names)
        }
    };
    let held_number = || held.map_or(0, |held| held.number(&state.values));
    let value = match change {
        Change::Unset => None,
        Change::SetNumber(number) => Some(TxValue::Number(*number)),
        Change::Set(text) => Some(value_of(text, rules, state)),
        // Counters never go below zero, as in ModSecurity 2.
        Change::Add(text) => {
            let sum = held_number().saturating_add(number_of(text, rules, state));
            Some(TxValue::Number(sum.max(0)))
        }
        Change::Subtract(text) => {
            let difference = held_number().saturating_sub(number_of(text, rules, state));
            Some(TxValue::Number(difference.max(0)))
        }
    };
    match key {
        Key::Slot(slot) => state.tx.set(*slot, value),
        Key::Named(_) => {
            if !state.tx.set_named(&name, value, &rules.names) {
                state.overrun.get_or_insert(Overrun::Names);
            }
        }
    }
}

fn value_of(text: &Text, rules: &RuleSet, state: &mut State) -> TxValue {
    if let Some(value) = text.slot().and_then(|slot| state.tx.get(slot)) {
        return value;
    }
    let mut bytes = Vec::new();
    let bytes = match text.literal() {
        Some(literal) => literal,
        None => {
            expand(text, rules, state, &mut bytes);
            &bytes
        }
    };
    // Only what reads back the same is kept as a number.
    let number = read_number(bytes);
    if tx::itoa(number).as_bytes() == bytes {
        return TxValue::Number(number);
    }
    TxValue::Text(state.values.intern(bytes))
}

fn number_of(text: &Text, rules: &RuleSet, state: &State) -> i64 {
    if let Some(slot) = text.slot() {
        return state.tx.get(slot).map_or(0, |value| value.number(&state.values));
    }
    if let Some(literal) = text.literal() {
        return read_number(literal);
    }
    let mut bytes = Vec::new();
    expand(text, rules, state, &mut bytes);
    read_number(&bytes)
}

fn control(ctl: &Ctl, at: ExclusionAt, state: &mut State) {
    match ctl {
        Ctl::Audit(on) => state.is_audited = *on,
        Ctl::Engine(mode) => state.engine = *mode,
        Ctl::ForceRequestBody(on) => state.forces_request_body = *on,
        Ctl::GuessRequestBody(on) => state.guesses_request_body = *on,
        Ctl::RequestBodyAccess(on) => state.reads_request_body = *on,
        Ctl::ResponseBodyAccess(on) => state.reads_response_body = *on,
        Ctl::RequestBodyProcessor(processor) => {
            state.processor = Some(*processor);
            state.set(Variable::ReqbodyProcessor, processor.name().as_bytes());
        }
        Ctl::Remove(rules) => state.removed.add(rules),
        Ctl::Exclude(rules, _) => {
            if !state.excluded.contains(&at) {
                state.excluded.push(at);
                state.curtailed.add(rules);
            }
        }
    }
}
