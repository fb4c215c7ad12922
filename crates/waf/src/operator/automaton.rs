//! An expression as automata, of which no more is kept than matching needs.
//!
//! Whether a value matches, and where a match ends, is found by states that are made as values
//! come. Where it begins is asked of few values, those that match. In a short piece it is found by
//! trying; in a longer one by an automaton that reads backwards, made when it is first needed.

use regex_automata::hybrid::dfa;
use regex_automata::nfa::thompson::backtrack::{self, BoundedBacktracker};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{self, NFA, WhichCaptures};
use regex_automata::util::prefilter::Prefilter;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::literal::Extractor;
use regex_syntax::hir::{Hir, Look};

use crate::operator::{lanes, pcre};

/// Bytes of one automaton; the largest of CRS 4.28 has less than a tenth.
pub(crate) const NFA_BYTES: usize = 10 << 20;
/// Bytes of states that are made while matching, for one automaton, thread and direction.
const STATES_BYTES: usize = 1 << 20;
/// Pairs of a state and a place that are tried out at most, rather than read backwards.
const TRIED: usize = 1 << 15;
/// Beginnings of matches that are worth being looked for by themselves, all at once.
const BEGINNINGS: usize = 64;
/// Bytes of what one automaton needs by the way that are kept for the next.
const KEPT: usize = 512 << 10;

#[expect(clippy::disallowed_types, reason = "it is of one automaton, and no global")]
type Later<T> = std::sync::OnceLock<T>;

/// The place of one end of a group.
pub(crate) type Slot = Option<NonMaxUsize>;

/// It needs more than NFA_BYTES.
#[derive(Debug)]
pub(crate) struct TooLarge;

#[derive(Debug)]
pub(crate) struct Automaton {
    nfa: NFA,
    // None where even few states need more than STATES_BYTES.
    forward: Option<dfa::DFA>,
    backward: Later<Option<dfa::DFA>>,
    /// What `backward` is made of.
    written: Box<[u8]>,
}

/// States of an automaton that one thread made.
pub(crate) struct States {
    forward: Option<dfa::Cache>,
    backward: Option<dfa::Cache>,
}

/// What trying needs, of any automaton.
#[derive(Default)]
pub(crate) struct Trials {
    backtrack: Option<backtrack::Cache>,
    threads: Option<pikevm::Cache>,
}

/// It would have to make states again and again.
struct GaveUp;

impl Automaton {
    /// `hir` is the tree of what is `written`, without marks.
    pub(crate) fn new(written: &[u8], hir: &Hir, which: WhichCaptures) -> Result<Self, TooLarge> {
        let nfa = compile(hir, config().which_captures(which)).ok_or(TooLarge)?;
        let beginnings = beginnings(hir);
        let config = states()
            .match_kind(MatchKind::LeftmostFirst)
            .specialize_start_states(beginnings.is_some())
            .prefilter(beginnings);
        let forward = dfa::Builder::new().configure(config).build_from_nfa(nfa.clone()).ok();
        Ok(Self { nfa, forward, backward: Later::new(), written: written.into() })
    }

    /// Slots for the ends of all groups.
    pub(crate) fn slots(&self) -> usize {
        self.nfa.group_info().slot_len()
    }

    pub(crate) fn states(&self) -> States {
        let forward = self.forward.as_ref().map(dfa::DFA::create_cache);
        States { forward, backward: None }
    }

    /// Bytes that it takes.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.nfa.memory_usage() + self.written.len()
    }

    pub(crate) fn is_match(&self, value: &[u8], states: &mut States, trials: &mut Trials) -> bool {
        let input = Input::new(value).earliest(true);
        match self.end(&input, states) {
            Ok(end) => end.is_some(),
            Err(GaveUp) => trials.search(&self.nfa, &input, &mut []),
        }
    }

    /// The first match, whose groups go to `slots`.
    pub(crate) fn find(
        &self,
        input: &Input<'_>,
        slots: &mut [Slot],
        states: &mut States,
        trials: &mut Trials,
    ) -> bool {
        let end = match self.end(input, states) {
            Ok(Some(end)) => end,
            Ok(None) => return false,
            Err(GaveUp) => return trials.search(&self.nfa, input, slots),
        };
        let mut piece = input.clone().range(input.start()..end);
        if self.nfa.states().len().saturating_mul(piece.get_span().len()) > TRIED
            && let Some(start) = self.start(&piece, states)
        {
            if let [first, second] = slots {
                (*first, *second) = (NonMaxUsize::new(start), NonMaxUsize::new(end));
                return true;
            }
            piece = piece.range(start..end).anchored(Anchored::Yes);
        }
        trials.search(&self.nfa, &piece, slots)
    }

    /// Where the first match ends, or any, if that is enough.
    fn end(&self, input: &Input<'_>, states: &mut States) -> Result<Option<usize>, GaveUp> {
        let (Some(dfa), Some(cache)) = (&self.forward, &mut states.forward) else {
            return Err(GaveUp);
        };
        if let Ok(end) = lanes::end(dfa, cache, input) {
            return Ok(end);
        }
        let found = dfa.try_search_fwd(cache, input).map_err(|_| GaveUp)?;
        Ok(found.map(|half| half.offset()))
    }

    /// Where a match begins that ends where `piece` does; None if that is to be found otherwise.
    fn start(&self, piece: &Input<'_>, states: &mut States) -> Option<usize> {
        let dfa = self.backward.get_or_init(|| backward(&self.written)).as_ref()?;
        let cache = states.backward.get_or_insert_with(|| dfa.create_cache());
        let input = piece.clone().anchored(Anchored::Yes).earliest(false);
        let found = dfa.try_search_rev(cache, &input).ok()??;
        Some(found.offset())
    }
}

impl States {
    pub(crate) fn bytes(&self) -> usize {
        let both = [&self.forward, &self.backward];
        both.into_iter().flatten().map(dfa::Cache::memory_usage).sum()
    }
}

impl Trials {
    /// Bytes that are kept.
    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.backtrack.as_ref().map_or(0, backtrack::Cache::memory_usage)
            + self.threads.as_ref().map_or(0, pikevm::Cache::memory_usage)
    }

    /// The first match, whose groups go to `slots`: in linear time, but slowly.
    fn search(&mut self, nfa: &NFA, input: &Input<'_>, slots: &mut [Slot]) -> bool {
        /// In so short a piece all matches are found about as soon as the earliest.
        const SHORT: usize = 128;
        let length = input.get_span().len();
        if !input.get_earliest() || length <= SHORT {
            let Ok(one) = BoundedBacktracker::new_from_nfa(nfa.clone()) else { return false };
            if length <= one.max_haystack_len() {
                let cache = self.backtrack.get_or_insert_with(|| one.create_cache());
                cache.reset(&one);
                // It fails for too long a piece alone.
                return one
                    .try_search_slots(cache, input, slots)
                    .is_ok_and(|found| found.is_some());
            }
        }
        let Ok(one) = PikeVM::new_from_nfa(nfa.clone()) else { return false };
        let cache = self.threads.get_or_insert_with(|| one.create_cache());
        cache.reset(&one);
        let found = one.search_slots(cache, input, slots).is_some();
        self.threads.take_if(|cache| cache.memory_usage() > KEPT);
        found
    }
}

/// None if that takes more than NFA_BYTES.
fn compile(hir: &Hir, config: thompson::Config) -> Option<NFA> {
    thompson::Compiler::new().configure(config).build_from_hir(hir).ok()
}

fn config() -> thompson::Config {
    thompson::Config::new().utf8(false).nfa_size_limit(Some(NFA_BYTES))
}

fn states() -> dfa::Config {
    dfa::Config::new()
        .cache_capacity(STATES_BYTES)
        .minimum_cache_clear_count(Some(3))
        .minimum_bytes_per_state(Some(10))
}

/// Reads from the end of a match to the first place where one begins.
fn backward(written: &[u8]) -> Option<dfa::DFA> {
    let parsed = pcre::parse(written).ok()?;
    let config = config().which_captures(WhichCaptures::None).reverse(true);
    let nfa = compile(&parsed.hir, config)?;
    let states = states().match_kind(MatchKind::All);
    dfa::Builder::new().configure(states).build_from_nfa(nfa).ok()
}

/// What finds where matches may begin, if it is much faster than the automaton.
fn beginnings(hir: &Hir) -> Option<Prefilter> {
    if hir.properties().look_set_prefix().contains(Look::Start) {
        return None;
    }
    let mut texts = Extractor::new().extract(hir);
    texts.optimize_for_prefix_by_preference();
    let texts = texts.literals().filter(|texts| texts.len() <= BEGINNINGS)?;
    Prefilter::new(MatchKind::LeftmostFirst, texts).filter(Prefilter::is_fast)
}

#[cfg(test)]
mod tests {
    use regex_automata::meta;

    use super::*;
    use crate::operator::fixture::Dice;

    /// What the engine that chooses among all engines finds, is found here, in pieces of any
    /// length, by states that were made for other values; how often something is.
    fn check(pattern: &str, letters: &[u8], lengths: &[usize], rounds: usize) -> usize {
        let hir = pcre::parse(pattern.as_bytes()).unwrap().hir;
        let automaton = Automaton::new(pattern.as_bytes(), &hir, WhichCaptures::All).unwrap();
        let config = meta::Config::new().utf8_empty(false);
        let all = meta::Regex::builder().configure(config).build_from_hir(&hir).unwrap();
        let (mut states, mut trials) = (automaton.states(), Trials::default());
        let mut dice = Dice::new(5);
        let mut matches = 0;
        for length in lengths.iter().cycle().take(rounds) {
            let value: Vec<u8> = (0..*length).map(|_| letters[dice.roll(letters.len())]).collect();
            let start = dice.roll(length / 4 + 1);
            let input = Input::new(&value).range(start..);
            for count in [2, automaton.slots()] {
                let (mut found, mut expected) = (vec![None; count], vec![None; count]);
                let is_found = automaton.find(&input, &mut found, &mut states, &mut trials);
                let is_expected = all.search_slots(&input, &mut expected).is_some();
                assert_eq!(is_found, is_expected, "{pattern}: {}", value.escape_ascii());
                if is_found {
                    assert_eq!(found, expected, "{pattern}: {}", value.escape_ascii());
                    matches += 1;
                }
            }
            let is_match = automaton.is_match(&value, &mut states, &mut trials);
            assert_eq!(is_match, all.is_match(&value), "{pattern}: {}", value.escape_ascii());
        }
        matches
    }

    #[test]
    fn finds_what_another_engine_finds() {
        for pattern in [
            "b+(a|c)*b",
            "(a)|(ab)(c)?|b",
            "(?:a|ab)(?:c|bcd)(d*)",
            "^(a+)b",
            "(b.*a)$",
            r"\b(a+)\b",
            "a*",
            "(a*?)(b|$)",
            "abcd|bcda",
            "(?i)ABC[^a]*(d)",
            r"(a[^\n]*b){2}",
        ] {
            // Short ones are tried out, the last is read backwards.
            assert!(check(pattern, b"abcdA-", &[0, 3, 40, 8_000], 300) > 0, "{pattern}");
            // One that asks for the beginning of a value is hardly ever there.
            check(pattern, b"abcdA- \n.,", &[400, 1_000, 70_000], 30);
        }
    }

    #[test]
    fn finds_the_same_when_states_are_too_many() {
        // Nearly each byte of random text makes another state.
        let pattern = "a.{60}(b).{20}c{7}";
        assert!(check(pattern, b"abc", &[200, 30_000], 12) > 0);
        let hir = pcre::parse(pattern.as_bytes()).unwrap().hir;
        let automaton = Automaton::new(pattern.as_bytes(), &hir, WhichCaptures::Implicit).unwrap();
        let mut dice = Dice::new(5);
        let value: Vec<u8> = (0..60_000).map(|_| b"ab"[dice.roll(2)]).collect();
        let end = automaton.end(&Input::new(&value), &mut automaton.states());
        assert!(matches!(end, Err(GaveUp)));
    }
}
