//! Macros to the bytes that they stand for.

use crate::parse::Variable;
use crate::rules::{Piece, RuleSet, Text, has_names_in_any_case};
use crate::transaction::collections::Item;
use crate::transaction::resolve;
use crate::transaction::state::State;
use crate::transaction::tx::{TxValue, itoa};

/// A macro that names nothing stands for nothing, as in ModSecurity.
pub(crate) fn expand(text: &Text, rules: &RuleSet, state: &State, out: &mut Vec<u8>) {
    expand_some(text, usize::MAX, rules, state, out);
}

/// The same, but no more than `most` bytes are written, or looked at.
pub(crate) fn expand_some(
    text: &Text,
    most: usize,
    rules: &RuleSet,
    state: &State,
    out: &mut Vec<u8>,
) {
    for piece in &text.pieces {
        expand_piece(piece, most.saturating_sub(out.len()), rules, state, out);
    }
}

/// Writes no more than `most` bytes.
pub(crate) fn expand_piece(
    piece: &Piece,
    most: usize,
    rules: &RuleSet,
    state: &State,
    out: &mut Vec<u8>,
) {
    let mut put = |bytes: &[u8]| out.extend_from_slice(bytes.get(..most).unwrap_or(bytes));
    match piece {
        Piece::Bytes(bytes) => put(bytes),
        Piece::Tx(slot) => match state.tx.get(*slot) {
            Some(TxValue::Number(number)) => put(itoa(number).as_bytes()),
            Some(TxValue::Text(id)) => put(state.values.bytes(id)),
            None => {}
        },
        Piece::Variable(Variable::MatchedVar, _) => {
            put(state.last_match().map_or(&[], |item| state.text_of(item)));
        }
        Piece::Variable(Variable::MatchedVarName, _) => {
            put(&state.last_match().map_or_else(Vec::new, |item| state.full_name(item)));
        }
        Piece::Variable(Variable::HighestSeverity, _) => put(&resolve::worst(state)),
        Piece::Variable(Variable::Rule, Some(key)) => {
            put(&resolve::about_rule(key, most, rules, state));
        }
        Piece::Variable(variable, None) => {
            let item = resolve::stored(*variable, state).next();
            put(item.map_or(&[], |item| state.text_of(item)));
        }
        Piece::Variable(variable, Some(key)) => {
            put(element(*variable, key, state).map_or(&[], |item| state.text_of(item)));
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
