//! Expressions that are made at random match the same by automata and by trying out.

use std::ops::Range;

use super::*;
use crate::operator::backtrack::{self, Program};

/// What an automaton finds of a tree without marks.
fn of_automaton(hir: &Hir, value: &[u8]) -> Option<Vec<Option<(usize, usize)>>> {
    use regex_automata::meta::{Config, Regex};

    let config = Config::new().utf8_empty(false);
    let regex = Regex::builder().configure(config).build_from_hir(hir).unwrap();
    let mut captures = regex.create_captures();
    regex.captures(value, &mut captures);
    let group = |index| captures.get_group(index).map(|span| (span.start, span.end));
    captures.is_match().then(|| (0..4).map(group).collect())
}

/// What is found of a tree by trying it out.
fn of_trying(hir: &Hir, value: &[u8]) -> Option<Vec<Option<(usize, usize)>>> {
    let program = Program::compile(hir).unwrap();
    let attempt = backtrack::search(&program, value, 0, 0, Some);
    assert!(!attempt.is_undecided);
    let pair = |range: &Option<Range<usize>>| range.as_ref().map(|one| (one.start, one.end));
    attempt.found.map(|groups| groups.iter().take(4).map(pair).collect())
}

const PATTERNS: [&str; 24] = [
    "a", "b", "c", "ab", "[ab]", "[bc]", "[^a]", "(", "(?:", ")", ")", ")", "*", "+", "?", "*?",
    "+?", "{2}", "|", "|", "^", "$", r"\b", ".",
];

fn made(dice: &mut Dice, parts: &[&str], most: usize) -> Vec<u8> {
    let parts: Vec<&str> =
        (0..1 + dice.roll(most)).map(|_| parts[dice.roll(parts.len())]).collect();
    parts.concat().into_bytes()
}

#[test]
fn trying_out_finds_what_automata_find() {
    let mut dice = Dice::new(7);
    let mut matched = 0;
    for _ in 0..20_000 {
        let pattern = made(&mut dice, &PATTERNS, 9);
        // A group that a round left unset is forgotten by PCRE in places alone, by automata never.
        let Ok((hir, None)) = read(&pattern) else { continue };
        for _ in 0..4 {
            let value = made(&mut dice, &["a", "b", "c", "ab"], 6);
            let (expected, found) = (of_automaton(&hir, &value), of_trying(&hir, &value));
            matched += usize::from(found.is_some());
            let told = (pattern.escape_ascii(), value.escape_ascii());
            assert_eq!(found, expected, "{} on {}", told.0, told.1);
        }
    }
    assert!(matched > 5_000, "{matched}");
}

#[test]
fn what_is_settled_matches_as_it_is_written() {
    let mut dice = Dice::new(3);
    let parts = [&PATTERNS[..], &["++", "*+", "*+", "?+", "{1,2}+", "(?>"]].concat();
    let (mut settled, mut matched) = (0, 0);
    for _ in 0..60_000 {
        let pattern = made(&mut dice, &parts, 9);
        let Ok((written, None)) = read(&pattern) else { continue };
        if !marks::are_in(&written) {
            continue;
        }
        let parsed = parse(&pattern).unwrap();
        settled += usize::from(parsed.marked.is_none());
        for _ in 0..4 {
            let value = made(&mut dice, &["a", "b", "c", "ab"], 6);
            let expected = of_trying(&written, &value);
            let found = match &parsed.marked {
                None => of_automaton(&parsed.hir, &value),
                Some(marked) => of_trying(marked, &value),
            };
            matched += usize::from(found.is_some());
            let told = (pattern.escape_ascii(), value.escape_ascii());
            assert_eq!(found, expected, "{} on {}", told.0, told.1);
            // What is looked for before it is tried out.
            assert!(found.is_none() || of_automaton(&parsed.hir, &value).is_some());
        }
    }
    assert!(settled > 1_000 && matched > 1_000, "{settled} {matched}");
}
