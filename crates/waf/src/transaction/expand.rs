//! Macros to the bytes that they stand for.

use crate::parse::Variable;
use crate::rules::{Piece, RuleSet, Text, has_names_in_any_case};
use crate::transaction::collections::Item;
use crate::transaction::resolve;
use crate::transaction::state::State;
use crate::transaction::tx::{TxValue, itoa};

/// A macro that names nothing stands for nothing, as in ModSecurity.
pub(crate) fn expand(text: &Text, rules: &RuleSet, state: &State, out: &mut Vec<u8>) {
    for piece in &text.pieces {
        expand_piece(piece, rules, state, out);
    }
}

pub(crate) fn expand_piece(piece: &Piece, rules: &RuleSet, state: &State, out: &mut Vec<u8>) {
    match piece {
        Piece::Bytes(bytes) => out.extend_from_slice(bytes),
        Piece::Tx(slot) => match state.tx.get(*slot) {
            Some(TxValue::Number(number)) => out.extend_from_slice(itoa(number).as_bytes()),
            Some(TxValue::Text(id)) => out.extend_from_slice(state.values.bytes(id)),
            None => {}
        },
        Piece::Variable(variable, key) => {
            variable_to(*variable, key.as_deref(), rules, state, out);
        }
    }
}

fn variable_to(
    variable: Variable,
    key: Option<&[u8]>,
    rules: &RuleSet,
    state: &State,
    out: &mut Vec<u8>,
) {
    match (variable, key) {
        (Variable::MatchedVar, _) => {
            if let Some(item) = state.last_match() {
                out.extend_from_slice(state.text_of(item));
            }
        }
        (Variable::MatchedVarName, _) => {
            if let Some(item) = state.last_match() {
                out.extend_from_slice(&state.full_name(item));
            }
        }
        (Variable::HighestSeverity, _) => out.extend_from_slice(&resolve::worst(state)),
        (Variable::Rule, Some(key)) => {
            out.extend_from_slice(&resolve::about_rule(key, rules, state));
        }
        (_, None) => {
            let item = resolve::stored(variable, state).next();
            out.extend_from_slice(item.map_or(&[], |item| state.text_of(item)));
        }
        (_, Some(key)) => {
            let item = element(variable, key, state);
            out.extend_from_slice(item.map_or(&[], |item| state.text_of(item)));
        }
    }
}

/// The first element of a collection with this name.
pub(crate) fn element(variable: Variable, key: &[u8], state: &State) -> Option<Item> {
    let in_any_case = has_names_in_any_case(variable);
    resolve::stored(variable, state).find(|item| {
        let name = state.name_of(*item);
        if in_any_case { name.eq_ignore_ascii_case(key) } else { name == key }
    })
}
