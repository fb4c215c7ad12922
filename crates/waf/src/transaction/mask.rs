//! What stays out of logs: values that rules mask, and whatever may hold one of them.

use crate::parse::Variable;
use crate::rules::{Piece, RuleSet, Text};
use crate::transaction::collections::Item;
use crate::transaction::expand::{element, expand_piece};
use crate::transaction::matched::Match;
use crate::transaction::state::State;
use crate::transaction::tx::TxValue;

/// Stands in a text for what is masked.
const MASK: &[u8] = b"***";

/// At most `most` bytes of a text for logs; `hides_values`: the rule masks whatever it matched.
pub(crate) fn expand_masked(
    text: &Text,
    most: usize,
    hides_values: bool,
    rules: &RuleSet,
    state: &State,
    out: &mut Vec<u8>,
) {
    for piece in &text.pieces {
        let left = most.saturating_sub(out.len());
        if is_hidden(piece, hides_values, state) {
            out.extend_from_slice(MASK.get(..left).unwrap_or(MASK));
        } else {
            expand_piece(piece, left, rules, state, out);
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

/// Takes out of what was told before what has been masked since.
pub(crate) fn mask_told(matches: &mut [Match], state: &State) {
    let is_masked = |name: &[u8]| {
        let colon = memchr::memchr(b':', name).unwrap_or(name.len());
        let (variable, key) = (name.get(..colon), name.get(colon + 1..).unwrap_or_default());
        let of = match variable {
            Some(b"ARGS" | b"ARGS_GET" | b"ARGS_POST") => Variable::Args,
            Some(b"REQUEST_HEADERS") => Variable::RequestHeaders,
            // The whole request: what of it was masked cannot be told.
            Some(b"QUERY_STRING" | b"REQUEST_BODY" | b"REQUEST_LINE") => return true,
            Some(b"REQUEST_URI" | b"REQUEST_URI_RAW") => return true,
            _ => return false,
        };
        let mut masked = state.masked.iter();
        masked.any(|(variable, masked)| *variable == of && key.eq_ignore_ascii_case(masked))
    };
    for told in matches {
        let mut is_new = false;
        for hit in told.hits.iter_mut().filter(|hit| !hit.is_masked && is_masked(&hit.name)) {
            hit.value.clear();
            hit.start = 0;
            hit.is_masked = true;
            is_new = true;
        }
        if is_new {
            // Texts were made when it matched, of who knows what.
            told.data = MASK.to_vec();
            told.message = MASK.to_vec();
        }
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
