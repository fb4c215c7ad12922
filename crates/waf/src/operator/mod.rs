//! How rules look at values: operators, compiled from what was parsed.
//!
//! An operator says whether one value matches and what it captures. Negation, macros in arguments
//! and what follows a match are left to the engine. Any value is safe, and takes linear time.

mod byte_set;
mod pcre;
mod literals;
mod needs;
mod captures;
mod backtrack;
mod lanes;
mod automaton;
mod pattern;
mod cache;
mod text;
mod number;
mod phrases;
mod network;
mod encoding;
mod identity;
mod sql;
mod markup;
mod injection;
mod compile;
mod selector;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod vectors;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod chance;

use std::sync::Arc;

use crate::operator::identity::Check;
use crate::operator::network::Networks;
use crate::operator::pattern::Pattern;
use crate::operator::phrases::Phrases;
use crate::operator::text::{Comparison, Text};
use crate::parse;

pub(crate) use crate::operator::byte_set::ByteSet;
pub(crate) use crate::operator::cache::Cache;
pub(crate) use crate::operator::captures::Captures;
pub(crate) use crate::operator::compile::{Compiler, Known};
pub(crate) use crate::operator::needs::Needs;
pub(crate) use crate::operator::number::{Relation, read as read_number};
pub(crate) use crate::operator::pattern::Groups;
pub(crate) use crate::operator::selector::compile_selector;
#[cfg(test)]
pub(crate) use crate::operator::{
    chance::{expression, value},
    fixture::Dice,
};

/// An operator, compiled.
#[derive(Debug)]
pub(crate) struct Operator {
    kind: Kind,
    // Invariant: Some for the kinds that take an argument for each value.
    argument: Option<parse::Template>,
}

#[derive(Debug)]
enum Kind {
    Always,
    Never,
    Pattern(Arc<Pattern>),
    /// All matches are captured, not only the first.
    EachPattern(Arc<Pattern>),
    Phrases(Arc<Phrases>),
    Text(Box<Text>),
    /// With a text that is expanded for each transaction.
    Expanded(Comparison),
    Number(Relation, i64),
    ExpandedNumber(Relation),
    Network(Arc<Networks>),
    /// Any other byte matches.
    Bytes(ByteSet),
    UrlEncoding,
    Utf8Encoding,
    Sqli,
    Xss,
    Identity(Check, Arc<Pattern>),
    /// One for each value that the argument can have.
    Chosen(Box<[(Box<[u8]>, Operator)]>),
}

impl Operator {
    /// Whichever of `choices` stands beside what `argument` then is.
    pub(crate) fn choice(argument: parse::Template, choices: Vec<(Vec<u8>, Self)>) -> Self {
        let choices = choices.into_iter().map(|(value, one)| (value.into_boxed_slice(), one));
        Self { kind: Kind::Chosen(choices.collect()), argument: Some(argument) }
    }

    /// Compiles what was parsed; `groups` says what the rule asks of a match.
    ///
    /// # Errors
    /// If it is an operator or expression that cannot be enforced, or its data cannot be read.
    pub(crate) fn compile(
        tree: &parse::Operator,
        groups: Groups,
        compiler: &mut Compiler<'_>,
    ) -> Result<Self, parse::Fault> {
        compiler.compile(tree, groups)
    }

    /// The argument, if it has macros: its expansion goes with each value.
    pub(crate) fn argument(&self) -> Option<&parse::Template> {
        self.argument.as_ref()
    }

    /// Whether `value` matches; a negation is the engine's.
    pub(crate) fn is_match(&self, value: &[u8], argument: &[u8], cache: &mut Cache) -> bool {
        match &self.kind {
            Kind::Always => true,
            Kind::Never => false,
            Kind::Pattern(pattern) | Kind::EachPattern(pattern) => pattern.is_match(value, cache),
            Kind::Phrases(phrases) => phrases.is_match(value),
            Kind::Text(text) => text.find(value).is_some(),
            Kind::Expanded(comparison) => comparison.find(value, argument).is_some(),
            Kind::Number(relation, bound) => relation.holds(number::read(value), *bound),
            Kind::ExpandedNumber(relation) => {
                relation.holds(number::read(value), number::read(argument))
            }
            Kind::Network(networks) => networks.contains(value),
            Kind::Bytes(allowed) => encoding::outside(*allowed, value).is_some(),
            Kind::UrlEncoding => encoding::is_url_broken(value),
            Kind::Utf8Encoding => encoding::is_utf8_broken(value),
            Kind::Sqli => injection::sql(value).is_some(),
            Kind::Xss => injection::is_xss(value),
            Kind::Identity(check, pattern) => check.find(pattern, value, cache).is_some(),
            Kind::Chosen(choices) => {
                let found = chosen(choices, argument);
                found.is_some_and(|operator| operator.is_match(value, &[], cache))
            }
        }
    }

    /// What a match leaves in TX:0 to TX:9; None if `value` does not match.
    pub(crate) fn captures(
        &self,
        value: &[u8],
        argument: &[u8],
        cache: &mut Cache,
    ) -> Option<Captures> {
        match &self.kind {
            Kind::Pattern(pattern) => {
                pattern.find(value, 0, cache).map(|found| Captures::groups(found.groups()))
            }
            Kind::EachPattern(pattern) => pattern.find_each(value, cache).map(Captures::groups),
            Kind::Phrases(phrases) => phrases.find(value).map(Captures::whole),
            Kind::Text(text) => text.find(value).map(Captures::whole),
            Kind::Expanded(comparison) => comparison.find(value, argument).map(Captures::whole),
            Kind::Sqli => injection::sql(value).map(|print| Captures::fingerprint(&print)),
            Kind::Xss => injection::is_xss(value).then(|| Captures::whole(0..value.len())),
            Kind::Identity(check, pattern) => {
                let found = check.find(pattern, value, cache)?;
                Some(Captures::groups(found.groups()))
            }
            Kind::Chosen(choices) => chosen(choices, argument)?.captures(value, &[], cache),
            Kind::Always
            | Kind::Never
            | Kind::Number(..)
            | Kind::ExpandedNumber(_)
            | Kind::Network(_)
            | Kind::Bytes(_)
            | Kind::UrlEncoding
            | Kind::Utf8Encoding => self.is_match(value, argument, cache).then(Captures::nothing),
        }
    }

    /// Whether one pass over a value tells, a step or two for each byte.
    pub(crate) fn is_scan(&self) -> bool {
        matches!(&self.kind, Kind::Pattern(pattern) if !pattern.is_tried_out())
    }

    /// What any value that matches has, before a negation.
    pub(crate) fn needs(&self) -> Needs {
        match &self.kind {
            Kind::Pattern(pattern) | Kind::EachPattern(pattern) | Kind::Identity(_, pattern) => {
                pattern.needs().clone()
            }
            Kind::Phrases(phrases) => phrases.needs(),
            Kind::Text(text) => text.needs(),
            Kind::Bytes(allowed) => Needs::byte_of(allowed.not()),
            Kind::UrlEncoding => Needs::byte_of(ByteSet::of(b"%")),
            Kind::Utf8Encoding => Needs::byte_of(ByteSet::range(0x80..=0xff)),
            Kind::Never => Needs::byte_of(ByteSet::EMPTY),
            Kind::Network(_) => Needs::byte_of(ByteSet::of(b".:")),
            Kind::Always
            | Kind::Chosen(_)
            | Kind::Expanded(_)
            | Kind::Number(..)
            | Kind::ExpandedNumber(_)
            | Kind::Sqli => Needs::nothing(),
            Kind::Xss => Needs::byte_of(injection::MARKUP),
        }
    }

    /// How it compares numbers, and with which: None is that of its argument.
    pub(crate) fn compares(&self) -> Option<(Relation, Option<i64>)> {
        match &self.kind {
            Kind::Number(relation, bound) => Some((*relation, Some(*bound))),
            Kind::ExpandedNumber(relation) => Some((*relation, None)),
            _ => None,
        }
    }
}

fn chosen<'a>(choices: &'a [(Box<[u8]>, Operator)], argument: &[u8]) -> Option<&'a Operator> {
    let found = choices.iter().find(|(value, _)| **value == *argument);
    found.map(|(_, operator)| operator)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::{Macro, OperatorName as Name, Piece, Variable};

    /// Whether it matches, and what TX:0 and so on become.
    fn check(name: Name, argument: &str, value: &[u8], expected: Option<&[&[u8]]>) {
        let operator = fixture::compile(name, argument.as_bytes()).unwrap();
        let mut cache = Cache::new();
        let captures = operator.captures(value, b"", &mut cache);
        assert_eq!(captures.is_some(), operator.is_match(value, b"", &mut cache));
        assert!(captures.is_none() || operator.needs().are_met(value), "{:?}", operator.needs());
        let found = captures.as_ref().map(|captures| {
            (0..10).map_while(|index| captures.get(index, value)).collect::<Vec<_>>()
        });
        assert_eq!(found.as_deref(), expected, "{name:?} {argument}");
    }

    #[test]
    fn matches_are_captured() {
        check(Name::Rx, "a(b)(c)?", b"xab", Some(&[b"ab", b"b"]));
        check(Name::Rx, "a(b)?(c)", b"xac", Some(&[b"ac", b"", b"c"]));
        check(Name::RxGlobal, "a(.)", b"abac", Some(&[b"ab", b"b", b"ac", b"c"]));
        check(Name::Pm, "x Union", b"a UNION", Some(&[b"UNION"]));
        check(Name::Contains, "b", b"abc", Some(&[b"b"]));
        check(Name::StrMatch, "|62|c", b"abc", Some(&[b"bc"]));
        check(Name::StrEq, "abc", b"abc", Some(&[b"abc"]));
        check(Name::Within, "abc,abd", b"abd", Some(&[b"abd"]));
        check(Name::DetectSqli, "", b"1' or '1'='1", Some(&[b"s&sos"]));
        check(Name::DetectSqli, "", b"word", None);
        check(Name::DetectXss, "", b"<script>", Some(&[b"<script>"]));
        check(Name::VerifyCc, r"\d{16}", b"a 4111111111111111", Some(&[b"4111111111111111"]));
    }

    #[test]
    fn other_matches_leave_tx_as_it_is() {
        check(Name::Eq, "5", b"5", Some(&[]));
        check(Name::Lt, "5", b"", Some(&[]));
        check(Name::UnconditionalMatch, "", b"", Some(&[]));
        check(Name::NoMatch, "", b"a", None);
        check(Name::IpMatch, "10.0.0.0/8", b"10.1.1.1", Some(&[]));
        check(Name::ValidateByteRange, "32-126", b"a\n", Some(&[]));
        check(Name::ValidateByteRange, "32-126", b"ab", None);
        check(Name::ValidateUrlEncoding, "", b"%4", Some(&[]));
        check(Name::ValidateUtf8Encoding, "", b"\xe4", Some(&[]));
    }

    #[test]
    fn groups_of_an_expression_clear_the_others() {
        let captures = |name, argument: &[u8], value: &[u8]| {
            let operator = fixture::compile(name, argument).unwrap();
            operator.captures(value, b"", &mut Cache::new()).unwrap()
        };
        assert!(captures(Name::Rx, b"a", b"a").clears());
        assert!(!captures(Name::Pm, b"a", b"a").clears());
    }

    #[test]
    fn macros_are_expanded_for_each_value() {
        let mut tree = fixture::tree(Name::Within, b"GET ", std::path::Path::new("f"));
        let piece = Macro { place: tree.place.clone(), variable: Variable::Tx, key: None };
        tree.argument.pieces.push(Piece::Macro(piece));
        let compile = |tree: &parse::Operator| {
            let mut known = Known::default();
            let mut compiler = Compiler::new(&parse::NoFiles, &mut known);
            Operator::compile(tree, Groups::Whole, &mut compiler)
        };
        let within = compile(&tree).unwrap();
        let mut cache = Cache::new();
        assert_eq!(within.argument(), Some(&tree.argument));
        assert!(within.is_match(b"POST", b"GET POST", &mut cache));
        assert!(!within.is_match(b"PUT", b"GET POST", &mut cache));
        tree.name = Name::Ge;
        let ge = compile(&tree).unwrap();
        assert!(ge.is_match(b"15", b"9", &mut cache));
        tree.name = Name::Rx;
        assert!(compile(&tree).is_err());
    }
}
