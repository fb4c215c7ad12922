//! What stays out of logs: values that rules mask, and whatever may hold one of them.

use crate::parse::Variable;
use crate::rules::{Piece, RuleSet, Text};
use crate::transaction::collections::Item;
use crate::transaction::expand::{element, expand_piece};
use crate::transaction::state::State;
use crate::transaction::tx::TxValue;

/// Stands in a text for what is masked.
const MASK: &[u8] = b"***";

/// A text for logs; `hides_values`: the rule masks whatever it matched.
pub(crate) fn expand_masked(
    text: &Text,
    hides_values: bool,
    rules: &RuleSet,
    state: &State,
    out: &mut Vec<u8>,
) {
    for piece in &text.pieces {
        if is_hidden(piece, hides_values, state) {
            out.extend_from_slice(MASK);
        } else {
            expand_piece(piece, rules, state, out);
        }
    }
}

/// Whether a value must not be shown, nor what was cut out of it.
pub(crate) fn hides(item: Item, state: &State) -> bool {
    use Variable as V;
    if state.masked.is_empty() {
        return false;
    }
    let is_masked = |variable: Variable, name: &[u8]| {
        let mut masked = state.masked.iter();
        masked.any(|(of, key)| *of == variable && name.eq_ignore_ascii_case(key))
    };
    match item.variable {
        V::Args | V::ArgsGet | V::ArgsPost => is_masked(V::Args, state.name_of(item)),
        V::RequestHeaders => is_masked(V::RequestHeaders, state.name_of(item)),
        V::RequestCookies => is_masked(V::RequestHeaders, b"cookie"),
        V::QueryString
        | V::RequestBody
        | V::RequestLine
        | V::RequestUri
        | V::RequestUriRaw
        | V::MatchedVars => true,
        // What rules copied may be of anything; a number tells nothing.
        V::Tx => !state.text_of(item).iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

fn is_hidden(piece: &Piece, hides_values: bool, state: &State) -> bool {
    let is_plain = state.masked.is_empty() && !hides_values;
    let hidden = |item: Option<Item>| item.is_some_and(|item| hides_values || hides(item, state));
    match piece {
        Piece::Bytes(_) => false,
        _ if is_plain => false,
        Piece::Tx(slot) => matches!(state.tx.get(*slot), Some(TxValue::Text(_))),
        Piece::Variable(variable, _) if tells_no_value(*variable) => false,
        Piece::Variable(Variable::MatchedVar, _) => hidden(state.last_match()),
        Piece::Variable(variable, Some(key)) => hidden(element(*variable, key, state)),
        Piece::Variable(..) => true,
    }
}

/// Variables that hold nothing that a client wrote, or only what is no secret.
const fn tells_no_value(variable: Variable) -> bool {
    use Variable as V;
    matches!(
        variable,
        V::HighestSeverity
            | V::MatchedVarName
            | V::RemoteAddr
            | V::RemotePort
            | V::ReqbodyProcessor
            | V::RequestMethod
            | V::RequestProtocol
            | V::ResponseStatus
            | V::ServerAddr
            | V::ServerName
            | V::ServerPort
            | V::TimeEpoch
            | V::UniqueId
    )
}
