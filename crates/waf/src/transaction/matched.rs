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

/// A rule that matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Match {
    pub id: RuleId,
    pub phase: Phase,
    pub place: Place,
    pub message: Vec<u8>,
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
}

/// A value that a rule matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// As rules write it, for example `ARGS:q`.
    pub name: Vec<u8>,
    /// After transformations, at most 512 bytes; empty if a rule masks it.
    pub value: Vec<u8>,
    pub is_masked: bool,
}

pub(crate) fn tell(
    rule: &Rule,
    phase: Phase,
    rules: &RuleSet,
    state: &State,
    hits: &[Item],
) -> Match {
    let hides_values = rule.about.is_masked || hits.iter().any(|item| hides(*item, state));
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
        data: about.data.as_ref().map_or_else(Vec::new, shown),
        severity: about.severity,
        tags: about.tags.iter().map(shown).collect(),
        version: about.version.to_vec(),
        is_logged: about.is_logged,
        is_audited: about.is_audited && state.is_audited,
        hits: hits.iter().take(HITS).map(|item| hit(*item, about.is_masked, state)).collect(),
    }
}

fn hit(item: Item, is_rule_masked: bool, state: &State) -> Hit {
    let name = state.full_name(item);
    let is_masked = is_rule_masked || hides(item, state);
    let text = state.text_of(item);
    let value = if is_masked { &[][..] } else { text.get(..SHOWN).unwrap_or(text) };
    Hit { name, value: value.to_vec(), is_masked }
}
