//! What words are beside each other.

use super::token::{KEPT, Kind, Token};
use super::words::{may_mean, meaning};

/// Two words that are one word of SQL together.
pub(super) fn merge(first: &Token, second: &Token) -> Option<Token> {
    use Kind::{Bareword, Expression, Function, Keyword, Operator, TransactSql, Type, Union};
    let is_word = |kind| {
        matches!(
            kind,
            Keyword | Bareword | Operator | Union | Function | Expression | TransactSql | Type
        )
    };
    if !is_word(first.kind) || !is_word(second.kind) && second.kind != Kind::Logic {
        return None;
    }
    let (start, end) = (first.text(), second.text());
    let length = start.len() + 1 + end.len();
    if !may_mean(start.first().copied()?, start.get(1).copied().unwrap_or(b' '), length) {
        return None;
    }
    let mut both = [b' '; 2 * KEPT + 1];
    both.get_mut(..start.len())?.copy_from_slice(start);
    both.get_mut(start.len() + 1..length)?.copy_from_slice(end);
    let both = both.get(..length)?;
    let kind = meaning(both);
    if kind == Bareword {
        return None;
    }
    let mut merged = *first;
    merged.kind = kind;
    merged.set_text(both);
    Some(merged)
}

pub(super) fn starts_with_if(token: &Token) -> bool {
    matches!(token.text(), [b'I' | b'i', b'F' | b'f', ..])
}

/// Names that may be columns, and are functions where they are called.
pub(super) fn is_also_function(token: &Token) -> bool {
    const NAMES: [&str; 11] = [
        "USER_ID",
        "USER_NAME",
        "DATABASE",
        "PASSWORD",
        "USER",
        "CURRENT_USER",
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "LOCALTIME",
        "LOCALTIMESTAMP",
    ];
    NAMES.iter().any(|name| token.is_word(name))
}
