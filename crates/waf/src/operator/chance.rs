//! Expressions and values that chance makes: however one is matched, it is what trying every way
//! finds, and the value has what the expression needs.

use std::ops::Range;
use std::sync::Arc;

use regex_automata::Input;
use regex_automata::nfa::thompson::pikevm::PikeVM;
use regex_automata::nfa::thompson::{self, WhichCaptures};

use super::cache::Cache;
use super::captures::SLOTS;
use super::fixture::Dice;
use super::pattern::{Groups, Pattern};
use super::pcre;

const ATOMS: [&str; 16] = [
    "a",
    "b",
    "ab",
    "foo",
    "bar",
    "Sel",
    r"\xff",
    r"\xe9\x80",
    " ",
    r"\n",
    "'",
    "0x",
    "-",
    "ba",
    "A",
    "z",
];
const CLASSES: [&str; 11] =
    ["[ab]", "[^a]", "[a-f]", r"\w", r"\W", r"\d", r"\s", ".", r"[^\n]", r"[\x80-\xff]", "[^-]"];
const LOOKS: [&str; 7] = ["^", "$", r"\b", r"\B", r"\A", r"\z", r"\Z"];
const TIMES: [&str; 10] = ["*", "+", "?", "*?", "+?", "??", "{2}", "{1,3}", "{0,20}", "{3,}?"];
const FLAGS: [&str; 6] = ["", "", "", "(?i)", "(?m)", "(?si)"];

/// What values are made of: mostly what expressions ask for.
const PIECES: [&[u8]; 17] = [
    b"a",
    b"b",
    b"ab",
    b"foo",
    b"FOO",
    b"bar",
    b"Sel",
    b"sEL",
    b"\xff",
    b"\xe9\x80",
    b" ",
    b"\n",
    b"'",
    b"0x",
    b"-",
    b"ba",
    b"zz9_",
];

/// An expression, as rules write them.
pub(crate) fn expression(dice: &mut Dice) -> String {
    format!("{}{}", FLAGS[dice.roll(FLAGS.len())], part(dice, 3))
}

fn part(dice: &mut Dice, depth: usize) -> String {
    let kind = if depth == 0 { dice.roll(6) } else { dice.roll(14) };
    match kind {
        0..=2 => ATOMS[dice.roll(ATOMS.len())].to_owned(),
        3 | 4 => CLASSES[dice.roll(CLASSES.len())].to_owned(),
        5 => LOOKS[dice.roll(LOOKS.len())].to_owned(),
        6..=9 => (0..2 + dice.roll(3)).map(|_| part(dice, depth - 1)).collect(),
        10 | 11 => {
            let all: Vec<_> = (0..2 + dice.roll(3)).map(|_| part(dice, depth - 1)).collect();
            format!("{}{})", ["(", "(?:"][dice.roll(2)], all.join("|"))
        }
        _ => format!("(?:{}){}", part(dice, depth - 1), TIMES[dice.roll(TIMES.len())]),
    }
}

/// A value of so many bytes.
pub(crate) fn value(dice: &mut Dice, length: usize) -> Vec<u8> {
    let mut value = Vec::with_capacity(length);
    // Runs of one piece are what guesses of states live on.
    let (mostly, often) = (PIECES[dice.roll(PIECES.len())], dice.roll(8));
    while value.len() < length {
        let piece = if dice.roll(8) < often { mostly } else { PIECES[dice.roll(PIECES.len())] };
        value.extend_from_slice(piece);
    }
    value.truncate(length);
    value
}

/// Every way at once.
struct Reference {
    threads: PikeVM,
    /// The group that is what matched.
    whole: usize,
}

impl Reference {
    fn new(written: &str) -> Self {
        let parsed = pcre::parse(written.as_bytes()).expect("sound");
        let config = thompson::Config::new().utf8(false).which_captures(WhichCaptures::All);
        let nfa = thompson::Compiler::new().configure(config).build_from_hir(&parsed.hir).unwrap();
        let whole = parsed.whole.map_or(0, |index| index as usize);
        Self { threads: PikeVM::new_from_nfa(nfa).unwrap(), whole }
    }

    /// The first match at `start` or later, up to its last group that took part.
    fn find(&self, value: &[u8], start: usize) -> Option<Vec<Range<usize>>> {
        let mut slots = vec![None; self.threads.get_nfa().group_info().slot_len()];
        let input = Input::new(value).range(start..);
        self.threads.search_slots(&mut self.threads.create_cache(), &input, &mut slots)?;
        let group = |number: usize| {
            Some(slots.get(2 * number)?.as_ref()?.get()..slots.get(2 * number + 1)?.as_ref()?.get())
        };
        let mut groups: Vec<_> = (0..SLOTS).map(group).collect();
        groups[0] = group(self.whole).or_else(|| group(0));
        let count = groups.iter().rposition(Option::is_some)? + 1;
        Some(groups.into_iter().take(count).map(Option::unwrap_or_default).collect())
    }
}

/// Lengths of values: few bytes, about as many as are read in pieces, and several rounds of those.
const LENGTHS: [Range<usize>; 5] = [0..3, 3..40, 380..390, 600..900, 1_940..2_100];

#[test]
fn every_way_to_match_says_the_same() {
    let mut dice = Dice::new(11);
    let mut cache = Cache::new();
    let (mut matches, mut judged) = (0, 0);
    for number in 0..240 {
        let written = expression(&mut dice);
        let compile = |groups, number| {
            Pattern::compile(written.as_bytes(), groups, number).map(Arc::new).ok()
        };
        let (Some(whole), Some(all)) =
            (compile(Groups::Whole, 2 * number), compile(Groups::All, 2 * number + 1))
        else {
            continue;
        };
        assert!(!all.is_tried_out(), "{written}");
        let reference = Reference::new(&written);
        for round in 0..10 {
            let lengths = LENGTHS[if number % 4 == 0 { round % 5 } else { round % 3 }].clone();
            let length = lengths.start + dice.roll(lengths.len());
            let value = value(&mut dice, length);
            let start = if round % 2 == 0 { 0 } else { dice.roll(length + 1) };
            let about = || format!("{written} from {start}: {}", value.escape_ascii());
            let expected = reference.find(&value, start);
            let groups = |pattern: &Arc<Pattern>, cache: &mut Cache| {
                Some(pattern.find(&value, start, cache)?.groups().collect::<Vec<_>>())
            };
            assert_eq!(groups(&all, &mut cache), expected, "{}", about());
            let first = expected.as_ref().and_then(|groups| groups.first().cloned());
            let found = whole.find(&value, start, &mut cache).map(|found| found.whole());
            assert_eq!(found, first, "{}", about());
            let is_match = match start {
                0 => expected.is_some(),
                _ => reference.find(&value, 0).is_some(),
            };
            for pattern in [&whole, &all] {
                assert_eq!(pattern.is_match(&value, &mut cache), is_match, "{}", about());
            }
            assert!(!is_match || all.needs().are_met(&value), "{}: {:?}", about(), all.needs());
            matches += usize::from(is_match);
            judged += 1;
        }
    }
    assert!(matches > judged / 4 && matches < judged * 3 / 4, "{matches} of {judged}");
}
