//! Targets of a link to the items that it judges.

use crate::parse::Variable;
use crate::rules::{
    ATTRIBUTES, Element, RuleSet, Slot, TEXT, Targets, Which, has_names_in_any_case,
};
use crate::transaction::collections::Item;
use crate::transaction::expand;
use crate::transaction::state::State;
use crate::transaction::tx::TxValue;

/// The items of `targets`, in the order in which they are written.
pub(crate) fn resolve(
    targets: &Targets,
    rule: usize,
    rules: &RuleSet,
    state: &mut State,
    out: &mut Vec<Item>,
) {
    for target in &targets.inspected {
        let start = out.len();
        elements(&target.element, rules, state, out);
        let items = out.get_mut(start..).unwrap_or_default();
        let kept = partition(items, |item| {
            targets.excluded.iter().any(|element| contains(element, item, rules, state))
        });
        let kept = leave_out(rule, rules, state, items.get_mut(..kept).unwrap_or_default());
        out.truncate(start + kept);
        if target.is_counted {
            let count = out.len() - start;
            out.truncate(start);
            let value = state.values.intern(count.to_string().as_bytes());
            out.push(Item { variable: target.element.variable, name: None, value });
        }
    }
}

/// Moves what a `ctl` excludes from a rule to the end; says how many items are left.
#[must_use]
pub(crate) fn leave_out(rule: usize, rules: &RuleSet, state: &State, items: &mut [Item]) -> usize {
    if !state.curtailed.contains(rule) {
        return items.len();
    }
    partition(items, |item| {
        state.exclusions(rules, rule).any(|element| contains(element, item, rules, state))
    })
}

/// Moves the items that are out to the end, and keeps the order of the others.
fn partition(items: &mut [Item], is_out: impl Fn(Item) -> bool) -> usize {
    let mut kept = 0;
    for index in 0..items.len() {
        let is_kept = items.get(index).is_some_and(|item| !is_out(*item));
        if is_kept {
            items.swap(kept, index);
            kept += 1;
        }
    }
    kept
}

/// Whether an item is of an element.
pub(crate) fn contains(element: &Element, item: Item, rules: &RuleSet, state: &State) -> bool {
    if element.variable != item.variable {
        return false;
    }
    let name = state.name_of(item);
    match &element.which {
        Which::All => true,
        Which::Key(key) if has_names_in_any_case(element.variable) => {
            name.eq_ignore_ascii_case(key)
        }
        Which::Key(key) => name == &**key,
        Which::Slot(slot) => name.eq_ignore_ascii_case(rules.names.name(*slot)),
        Which::Regex(pattern) => pattern.regex.is_match(name),
        Which::Text => name == TEXT,
        Which::Attributes => name == ATTRIBUTES,
    }
}

/// All items of an element.
pub(crate) fn elements(element: &Element, rules: &RuleSet, state: &mut State, out: &mut Vec<Item>) {
    let variable = element.variable;
    match variable {
        Variable::Tx => tx(&element.which, rules, state, out),
        Variable::MatchedVar => out.extend(state.last_match()),
        Variable::MatchedVars | Variable::MatchedVarsNames | Variable::MatchedVarName => {
            matched(element, rules, state, out);
        }
        Variable::HighestSeverity => {
            let value = state.values.intern(&worst(state));
            out.push(Item { variable, name: None, value });
        }
        Variable::Rule => {
            if let Which::Key(key) = &element.which {
                let told = about_rule(key, usize::MAX, rules, state);
                let (name, value) = (state.values.intern(key), state.values.intern(&told));
                out.push(Item { variable, name: Some(name), value });
            }
        }
        _ => {
            let items = stored(variable, state);
            out.extend(items.filter(|item| {
                matches!(element.which, Which::All) || contains(element, *item, rules, state)
            }));
        }
    }
}

fn tx(which: &Which, rules: &RuleSet, state: &mut State, out: &mut Vec<Item>) {
    match which {
        Which::Slot(slot) => push_slot(*slot, rules, state, out),
        Which::Regex(pattern) => {
            for slot in &pattern.slots {
                push_slot(*slot, rules, state, out);
            }
            let made = state.tx.made().filter(|(name, _)| pattern.regex.is_match(*name));
            let made: Vec<_> = made.map(|(name, value)| (name.to_vec(), value)).collect();
            for (name, value) in made {
                push_tx(&name, value, state, out);
            }
        }
        _ => {
            let all = state.tx.elements(&rules.names);
            let all: Vec<_> = all.map(|(name, value)| (name.to_vec(), value)).collect();
            for (name, value) in all {
                push_tx(&name, value, state, out);
            }
        }
    }
}

fn push_slot(slot: Slot, rules: &RuleSet, state: &mut State, out: &mut Vec<Item>) {
    if let Some(value) = state.tx.get(slot) {
        push_tx(rules.names.name(slot), value, state, out);
    }
}

fn push_tx(name: &[u8], value: TxValue, state: &mut State, out: &mut Vec<Item>) {
    let name = state.values.intern(name);
    let value = value.value(&mut state.values);
    out.push(Item { variable: Variable::Tx, name: Some(name), value });
}

/// MATCHED_VARS: what the links before this one matched, each under its full name.
fn matched(element: &Element, rules: &RuleSet, state: &mut State, out: &mut Vec<Item>) {
    let variable = element.variable;
    let from = if variable == Variable::MatchedVarName {
        state.matched.len().saturating_sub(1)
    } else {
        0
    };
    for index in from..state.matched.len() {
        let Some(&item) = state.matched.get(index) else { break };
        let name = state.full_name(item);
        let name = state.values.intern(&name);
        let value = if variable == Variable::MatchedVars { item.value } else { name };
        let item = Item { variable, name: Some(name), value };
        if matches!(element.which, Which::All) || contains(element, item, rules, state) {
            out.push(item);
        }
    }
}

/// The items of a variable that requests and answers fill.
pub(crate) fn stored(variable: Variable, state: &State) -> impl Iterator<Item = Item> {
    let (of, takes_names) = match names_of(variable) {
        Some(of) => (of, true),
        None => (variable, false),
    };
    let items = state.collections.items(of).iter().map(move |item| match takes_names {
        true => Item { variable, name: item.name, value: item.name.unwrap_or(item.value) },
        false => *item,
    });
    items.chain(state.collections.unless_set(variable))
}

/// How often what `stored` finds has changed.
pub(crate) fn version(variable: Variable, state: &State) -> u32 {
    state.collections.version(names_of(variable).unwrap_or(variable))
}

/// The collection whose names a variable holds.
const fn names_of(variable: Variable) -> Option<Variable> {
    Some(match variable {
        Variable::ArgsNames => Variable::Args,
        Variable::ArgsGetNames => Variable::ArgsGet,
        Variable::ArgsPostNames => Variable::ArgsPost,
        Variable::RequestCookiesNames => Variable::RequestCookies,
        Variable::RequestHeadersNames => Variable::RequestHeaders,
        Variable::ResponseHeadersNames => Variable::ResponseHeaders,
        Variable::FilesNames | Variable::MultipartName => Variable::Files,
        _ => return None,
    })
}

/// HIGHEST_SEVERITY: the number of the worst severity so far, 255 if nothing had one.
pub(crate) fn worst(state: &State) -> Vec<u8> {
    let number = state.worst.map_or(255, |severity| severity as u32);
    number.to_string().into_bytes()
}

/// What the rule under evaluation says of itself, texts up to `most` bytes.
pub(crate) fn about_rule(key: &[u8], most: usize, rules: &RuleSet, state: &State) -> Vec<u8> {
    let Some(rule) = rules.rules.get(state.current) else { return Vec::new() };
    let expanded = |text: &Option<crate::rules::Text>| {
        let mut out = Vec::new();
        if let Some(text) = text {
            expand::expand_some(text, most, rules, state, &mut out);
        }
        out
    };
    match key.to_ascii_lowercase().as_slice() {
        b"id" => rule.id.0.to_string().into_bytes(),
        b"msg" => expanded(&rule.about.message),
        b"logdata" => expanded(&rule.about.data),
        b"rev" => rule.about.revision.to_vec(),
        b"ver" => rule.about.version.to_vec(),
        b"severity" => {
            rule.about.severity.map_or_else(Vec::new, |one| (one as u32).to_string().into_bytes())
        }
        _ => Vec::new(),
    }
}
