//! Operators that compare a value with one text: @contains, @streq, @within and the like.

use std::ops::Range;

use memchr::memmem::{self, Finder};

use crate::operator::byte_set::ByteSet;
use crate::operator::needs::Needs;

/// How a value and a text are compared. Letters of different case differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparison {
    BeginsWith,
    Contains,
    /// What stands before and behind the text is no letter, digit or underscore.
    ContainsWord,
    EndsWith,
    Equals,
    /// The value stands in the text.
    Within,
}

/// A comparison with a text that is known when rules are loaded.
#[derive(Debug)]
pub(crate) struct Text {
    comparison: Comparison,
    finder: Finder<'static>,
}

impl Text {
    pub(crate) fn new(comparison: Comparison, text: &[u8]) -> Self {
        Self { comparison, finder: Finder::new(text).into_owned() }
    }

    pub(crate) fn find(&self, value: &[u8]) -> Option<Range<usize>> {
        let text = self.finder.needle();
        if self.comparison == Comparison::Contains {
            return self.finder.find(value).map(|at| at..at + text.len());
        }
        self.comparison.find(value, text)
    }

    pub(crate) fn needs(&self) -> Needs {
        let text = self.finder.needle();
        match self.comparison {
            _ if text.is_empty() => Needs::nothing(),
            // The empty value stands in any text, so that nothing is needed.
            Comparison::Within => Needs::nothing(),
            Comparison::BeginsWith
            | Comparison::Contains
            | Comparison::ContainsWord
            | Comparison::EndsWith
            | Comparison::Equals => Needs::one_of(std::iter::once(text)),
        }
    }
}

impl Comparison {
    /// Where in `value` the match is. An empty text matches any value, but @streq only its like.
    pub(crate) fn find(self, value: &[u8], text: &[u8]) -> Option<Range<usize>> {
        let whole = 0..value.len();
        match self {
            Self::BeginsWith => value.starts_with(text).then_some(0..text.len()),
            Self::EndsWith => value.ends_with(text).then(|| value.len() - text.len()..value.len()),
            Self::Equals => (value == text).then_some(whole),
            Self::Within => memmem::find(text, value).map(|_| whole),
            Self::Contains => memmem::find(value, text).map(|at| at..at + text.len()),
            Self::ContainsWord => find_word(value, text),
        }
    }
}

/// Linear, overlaps included: a macro may let a client choose both.
fn find_word(value: &[u8], text: &[u8]) -> Option<Range<usize>> {
    const WORD: ByteSet =
        ByteSet::of(b"0123456789_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
    if text.is_empty() {
        return Some(0..0);
    }
    let is_edge = |at: Option<usize>| {
        at.and_then(|at| value.get(at)).is_none_or(|byte| !WORD.contains(*byte))
    };
    let borders = borders(text);
    let mut matched = 0;
    for (at, byte) in value.iter().enumerate() {
        matched = longer(text, &borders, matched, *byte);
        if matched < text.len() {
            continue;
        }
        let start = at + 1 - matched;
        if is_edge(start.checked_sub(1)) && is_edge(Some(at + 1)) {
            return Some(start..at + 1);
        }
        matched = borders.last().copied().unwrap_or(0);
    }
    None
}

/// For each start of `text`, the longest proper start that is also its end (Knuth, Morris, Pratt).
fn borders(text: &[u8]) -> Vec<usize> {
    let mut borders = Vec::with_capacity(text.len());
    for byte in text {
        let border = match borders.last() {
            Some(border) => longer(text, &borders, *border, *byte),
            None => 0,
        };
        borders.push(border);
    }
    borders
}

/// How much of `text` ends at `byte`, if `matched` ended before it.
fn longer(text: &[u8], borders: &[usize], mut matched: usize, byte: u8) -> usize {
    loop {
        if text.get(matched) == Some(&byte) {
            return matched + 1;
        }
        match matched.checked_sub(1).and_then(|last| borders.get(last)) {
            Some(border) => matched = *border,
            None => return 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(comparison: Comparison, text: &[u8], value: &[u8], expected: Option<Range<usize>>) {
        assert_eq!(Text::new(comparison, text).find(value), expected);
        assert_eq!(comparison.find(value, text), expected);
        let needs = Text::new(comparison, text).needs();
        assert!(expected.is_none() || needs.are_met(value), "{needs:?}");
    }

    #[test]
    fn texts_are_found() {
        check(Comparison::Contains, b"bc", b"abcd", Some(1..3));
        check(Comparison::Contains, b"bc", b"aBcd", None);
        check(Comparison::BeginsWith, b"ab", b"abcd", Some(0..2));
        check(Comparison::BeginsWith, b"bc", b"abcd", None);
        check(Comparison::EndsWith, b"cd", b"abcd", Some(2..4));
        check(Comparison::EndsWith, b"bc", b"abcd", None);
        check(Comparison::Equals, b"abcd", b"abcd", Some(0..4));
        check(Comparison::Equals, b"abcd", b"abcde", None);
        check(Comparison::Within, b"GET POST", b"POST", Some(0..4));
        check(Comparison::Within, b"GET POST", b"post", None);
    }

    #[test]
    fn empty_texts_match() {
        check(Comparison::Contains, b"", b"ab", Some(0..0));
        check(Comparison::ContainsWord, b"", b"ab", Some(0..0));
        check(Comparison::EndsWith, b"", b"ab", Some(2..2));
        check(Comparison::Equals, b"", b"", Some(0..0));
        check(Comparison::Equals, b"", b"a", None);
        check(Comparison::Within, b"ab", b"", Some(0..0));
    }

    #[test]
    fn words_stand_between_other_bytes() {
        check(Comparison::ContainsWord, b"or", b"for or", Some(4..6));
        check(Comparison::ContainsWord, b"or", b"or_ 1or or2 ors", None);
        check(Comparison::ContainsWord, b"or", b"\xe4or\xe4", Some(1..3));
        check(Comparison::ContainsWord, b"aa", b"aaa aa", Some(4..6));
        check(Comparison::ContainsWord, b"-", b"a -b", None);
        check(Comparison::ContainsWord, b"a-a", b"a-a-a1a-a-a", Some(0..3));
        check(Comparison::ContainsWord, b"a-a-", b"a-a-a-a- ", Some(4..8));
        check(Comparison::ContainsWord, b"abab", b"ababab abab", Some(7..11));
    }
}
