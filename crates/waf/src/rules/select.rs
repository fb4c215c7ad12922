//! Which rules a removal or an update means: by id, by tag, by message.

use regex_automata::meta::Regex;

use crate::parse::{self, Action, Fault, IdRange, Place, RuleId};
use crate::rules::target;

/// Rules chosen by what they say of themselves.
pub(crate) enum Selected {
    Ids(Vec<IdRange>),
    Tags(Vec<Regex>),
    Messages(Vec<Regex>),
}

impl Selected {
    pub(crate) fn new(selection: &parse::Selection, place: &Place) -> Result<Self, Fault> {
        Ok(match selection {
            parse::Selection::Ids(ranges) => Self::Ids(ranges.clone()),
            parse::Selection::Tags(patterns) => Self::Tags(compile(patterns, place)?),
            parse::Selection::Messages(patterns) => Self::Messages(compile(patterns, place)?),
        })
    }

    pub(crate) fn by_tag(pattern: &[u8], place: &Place) -> Result<Self, Fault> {
        Ok(Self::Tags(vec![target::compile(pattern, place)?]))
    }

    pub(crate) fn by_message(pattern: &[u8], place: &Place) -> Result<Self, Fault> {
        Ok(Self::Messages(vec![target::compile(pattern, place)?]))
    }

    pub(crate) fn contains(&self, rule: &parse::Rule) -> bool {
        match self {
            Self::Ids(ranges) => ranges.iter().any(|range| range_contains(*range, rule.id)),
            Self::Tags(patterns) => texts(rule).any(|action| match action {
                Action::Tag(tag) => matches(patterns, tag),
                _ => false,
            }),
            Self::Messages(patterns) => texts(rule).any(|action| match action {
                Action::Msg(message) => matches(patterns, message),
                _ => false,
            }),
        }
    }
}

pub(crate) fn range_contains(range: IdRange, id: RuleId) -> bool {
    (range.first..=range.last).contains(&id)
}

fn compile(patterns: &[Vec<u8>], place: &Place) -> Result<Vec<Regex>, Fault> {
    patterns.iter().map(|pattern| target::compile(pattern, place)).collect()
}

/// What the starter says; a chain has its tags and its message there.
fn texts(rule: &parse::Rule) -> impl Iterator<Item = &Action> {
    rule.links.iter().take(1).flat_map(|link| &link.actions).map(|action| &action.value)
}

/// Macros count as nothing: which rules are meant is settled at load.
fn matches(patterns: &[Regex], text: &parse::Template) -> bool {
    let mut bytes = Vec::new();
    for piece in &text.pieces {
        if let parse::Piece::Text(text) = piece {
            bytes.extend_from_slice(text);
        }
    }
    patterns.iter().any(|pattern| pattern.is_match(&bytes))
}
