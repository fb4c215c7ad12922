//! What a rule that matched tells about itself and about what it saw.

use crate::parse::{Phase, Place, RuleId, Severity};
use crate::rules::{Rule, RuleSet, Text};
use crate::transaction::collections::Item;
use crate::transaction::mask::{expand_masked, hides};
use crate::transaction::state::State;

/// Values shown for one match.
const HITS: usize = 16;
/// Bytes shown of a value, and of a text with macros.
const SHOWN: usize = 512;
/// So many of them stand before what matched, where the value is longer.
const BEFORE: usize = 128;

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    pub id: RuleId,
    pub phase: Phase,
    pub place: Place,
    pub message: Vec<u8>,
    /// Whether the message is the same whatever matched.
    pub is_message_fixed: bool,
    pub data: Vec<u8>,
    pub severity: Option<Severity>,
    pub tags: Vec<Vec<u8>>,
    pub version: Vec<u8>,
    /// Whether it belongs in logs for operators.
    pub is_logged: bool,
    /// Whether it belongs in the audit record.
    pub is_audited: bool,
    /// The values that matched, at most 16.
    pub hits: Vec<Hit>,
    /// What it added to elements of TX: a score, for example.
    pub added: Vec<(Vec<u8>, i64)>,
}

/// A value that a rule matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// As rules write it, for example `ARGS:q`.
    pub name: Vec<u8>,
    /// After transformations, at most 512 bytes of it; empty if a rule masks it.
    pub value: Vec<u8>,
    /// How many bytes of it stand before those, and how many it has in all.
    pub offset: usize,
    pub length: usize,
    /// Where in `value` what matched begins; 0 where the operator does not tell.
    pub start: usize,
    pub is_masked: bool,
}

/// A value that the rule under evaluation matched, from `start` on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) item: Item,
    pub(crate) start: usize,
}

pub(crate) fn tell(
    rule: &Rule,
    phase: Phase,
    rules: &RuleSet,
    state: &State,
    hits: &[Seen],
) -> Match {
    let hides_values = rule.about.is_masked || hits.iter().any(|seen| hides(seen.item, state));
    let shown = |text: &Text| {
        let mut out = Vec::new();
        expand_masked(text, SHOWN, hides_values, rules, state, &mut out);
        out
    };
    let about = &rule.about;
    Match {
        id: rule.id,
        phase,
        place: rule.place.clone(),
        message: about.message.as_ref().map_or_else(Vec::new, shown),
        is_message_fixed: about.message.as_ref().is_none_or(|text| text.literal().is_some()),
        data: about.data.as_ref().map_or_else(Vec::new, shown),
        severity: about.severity,
        tags: about.tags.iter().map(shown).collect(),
        version: about.version.to_vec(),
        is_logged: about.is_logged,
        is_audited: about.is_audited && state.is_audited,
        hits: hits.iter().take(HITS).map(|seen| hit(*seen, about.is_masked, state)).collect(),
        added: state.added.iter().map(|(to, sum)| (rules.names.name(*to).to_vec(), *sum)).collect(),
    }
}

fn hit(seen: Seen, is_rule_masked: bool, state: &State) -> Hit {
    let name = state.full_name(seen.item);
    let is_masked = is_rule_masked || hides(seen.item, state);
    let text = state.text_of(seen.item);
    let (length, is_short) = (text.len(), text.len() <= SHOWN);
    let offset = if is_short { 0 } else { seen.start.saturating_sub(BEFORE).min(length - SHOWN) };
    let text = text.get(offset..).unwrap_or_default();
    let value = if is_masked { &[][..] } else { text.get(..SHOWN).unwrap_or(text) };
    let start = if is_masked { 0 } else { seen.start - offset };
    Hit { name, value: value.to_vec(), offset, length, start, is_masked }
}
