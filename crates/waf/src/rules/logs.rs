//! What rules of phase 5 have to see, if anybody hears of them at all.

use crate::parse::Variable;
use crate::rules::effect::{Change, Effect};
use crate::rules::rule::{Link, Rule};
use crate::rules::text::{Piece, Text};

/// When rules of phase 5 have all that they look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logs {
    /// None of them says anything, or hides something; what else they do nobody sees.
    Silent,
    /// Once nothing more is to be judged.
    Judged,
    /// Once there is an answer, judged or not.
    Answered,
}

impl Logs {
    /// `rules` are those of phase 5.
    pub(crate) fn of<'a>(mut rules: impl Iterator<Item = &'a Rule> + Clone) -> Self {
        let masks = |link: &Link| link.effects.iter().any(Effect::masks);
        let is_heard = |rule: &Rule| rule.about.is_told() || rule.links.iter().any(masks);
        if !rules.clone().any(is_heard) {
            return Self::Silent;
        }
        match rules.any(looks_at_answer) {
            true => Self::Answered,
            false => Self::Judged,
        }
    }
}

fn looks_at_answer(rule: &Rule) -> bool {
    let about = &rule.about;
    let mut texts = about.message.iter().chain(&about.data).chain(&about.tags);
    texts.any(quotes_answer) || rule.links.iter().any(link_looks_at_answer)
}

fn link_looks_at_answer(link: &Link) -> bool {
    let looks = link.condition.as_ref().is_some_and(|condition| {
        let mut targets = condition.targets.inspected.iter();
        targets.any(|target| is_of_answer(target.element.variable))
            || condition.argument.as_ref().is_some_and(quotes_answer)
    });
    looks
        || link.effects.iter().any(|effect| match effect {
            Effect::SetTx {
                change: Change::Set(text) | Change::Add(text) | Change::Subtract(text),
                ..
            } => quotes_answer(text),
            _ => false,
        })
}

fn quotes_answer(text: &Text) -> bool {
    let mut pieces = text.pieces.iter();
    pieces.any(|piece| matches!(piece, Piece::Variable(variable, _) if is_of_answer(*variable)))
}

/// What the head of an answer says; its body is there only where it was judged.
const fn is_of_answer(variable: Variable) -> bool {
    use Variable as V;
    matches!(
        variable,
        V::ResponseContentLength
            | V::ResponseContentType
            | V::ResponseHeaders
            | V::ResponseHeadersNames
            | V::ResponseProtocol
            | V::ResponseStatus
            | V::StatusLine
    )
}
