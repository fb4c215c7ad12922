//! Looks through a long value in several places at once.
//!
//! A step of an automaton waits for the step before, but not for those in other pieces of the
//! value. The state in which a piece begins is known only once the piece before it is read, so it
//! is guessed: it is where the automaton is that read a few bytes before the piece, as most
//! expressions soon forget what they saw. Where the piece before ends in another state, the guess
//! was wrong, and what was read from it on counts for nothing: no verdict is made of a guess.
//!
//! J. Holub and S. Stekr, "On Parallel Implementations of Deterministic Finite Automata", CIAA 2009.

use std::ops::Range;

use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::{Anchored, Input};

const LANES: usize = 4;
/// Bytes before a piece that are read for a guess.
const AHEAD: usize = 32;
/// Bytes that each lane reads, those ahead among them: at least, to begin with, and at most.
const LEAST: usize = 96;
const FIRST: usize = 512;
const MOST: usize = 4_096;
/// After so many times that all guesses were wrong, there are no more.
const WRONG: usize = 4;

/// Nothing was found out: the value does not suit, or states had to be dropped.
pub(crate) struct Left;

/// Where the first match in `input` ends, or any, if that is enough.
pub(crate) fn end(dfa: &DFA, cache: &mut Cache, input: &Input<'_>) -> Result<Option<usize>, Left> {
    let is_whole = input.end() == input.haystack().len() && input.get_anchored() == Anchored::No;
    // These read few bytes.
    let is_skipping = dfa.get_config().get_prefilter().is_some();
    let is_anchored = dfa.get_nfa().is_always_start_anchored();
    if !is_whole || is_skipping || is_anchored || input.get_span().len() < LANES * LEAST {
        return Err(Left);
    }
    let state = dfa.start_state_forward(cache, input).map_err(|_| Left)?;
    cache.search_start(0);
    let (value, at) = (input.haystack(), input.start());
    let mut search = Search { dfa, cache, value, at, state, read: 0 };
    let found = search.run(input.get_earliest());
    let read = search.read;
    cache.search_finish(read);
    found
}

struct Search<'a> {
    dfa: &'a DFA,
    cache: &'a mut Cache,
    value: &'a [u8],
    at: usize,
    /// In which a search is that read all before `at`: no guess.
    state: LazyStateID,
    /// Bytes that were read, some of them twice.
    read: usize,
}

impl Search<'_> {
    fn run(&mut self, is_earliest: bool) -> Result<Option<usize>, Left> {
        let (mut steps, mut wrong) = (FIRST, 0);
        while wrong < WRONG && !self.state.is_tagged() {
            let left = self.value.len() - self.at;
            steps = steps.min((left + (LANES - 1) * AHEAD) / LANES);
            if steps < LEAST {
                break;
            }
            let right = self.together(steps)?;
            steps = if right == LANES { MOST.min(2 * steps) } else { FIRST };
            wrong = if right > 1 { 0 } else { wrong + 1 };
        }
        self.alone(is_earliest)
    }

    /// Reads on in each lane; how many of them were in the right state. Each begins AHEAD bytes
    /// before the end of the one before.
    fn together(&mut self, steps: usize) -> Result<usize, Left> {
        let (value, at) = (self.value, self.at);
        let pieces: [&[u8]; LANES] = std::array::from_fn(|lane| {
            let start = at + lane * (steps - AHEAD);
            value.get(start..start + steps).unwrap_or_default()
        });
        let mut states = [self.state; LANES];
        let mut done = self.each(&mut states, pieces, 0..AHEAD)?;
        let guessed = states;
        if done == AHEAD {
            done = self.each(&mut states, pieces, AHEAD..steps)?;
        }
        [self.state, ..] = states;
        self.at += done;
        if done < steps {
            return Ok(0);
        }
        let mut right = 1;
        for (guess, state) in guessed.into_iter().zip(states).skip(1) {
            if guess != self.state {
                break;
            }
            self.state = state;
            self.at += steps - AHEAD;
            right += 1;
        }
        Ok(right)
    }

    /// Reads these bytes of each piece, up to where a state tells more than to go on.
    fn each(
        &mut self,
        states: &mut [LazyStateID; LANES],
        pieces: [&[u8]; LANES],
        bytes: Range<usize>,
    ) -> Result<usize, Left> {
        let clears = self.cache.clear_count();
        let mut done = bytes.start;
        while done < bytes.end {
            let rest = pieces.map(|piece| piece.get(done..bytes.end).unwrap_or_default());
            let known = self.known(states, rest);
            self.read += LANES * known;
            done += known;
            if done == bytes.end {
                break;
            }
            self.cache.search_update(self.read);
            let mut next = *states;
            for (state, piece) in next.iter_mut().zip(pieces) {
                let byte = *piece.get(done).ok_or(Left)?;
                *state = self.dfa.next_state(self.cache, *state, byte).map_err(|_| Left)?;
                if self.cache.clear_count() != clears {
                    // The states of the other lanes are others now.
                    return Err(Left);
                }
                if state.is_tagged() {
                    return Ok(done);
                }
            }
            *states = next;
            done += 1;
            self.read += LANES;
        }
        Ok(done)
    }

    /// Reads on while each state is known and tells no more than to go on; how many bytes of each.
    fn known<const N: usize>(&self, states: &mut [LazyStateID; N], pieces: [&[u8]; N]) -> usize {
        let (dfa, cache) = (self.dfa, &*self.cache);
        let length = pieces.iter().map(|piece| piece.len()).min().unwrap_or_default();
        let pieces = pieces.map(|piece| &piece[..length]);
        let mut now = *states;
        let mut done = 0;
        while done < length {
            let next: [LazyStateID; N] = std::array::from_fn(|lane| {
                dfa.next_state_untagged(cache, now[lane], pieces[lane][done])
            });
            if next.iter().fold(false, |is_tagged, state| is_tagged | state.is_tagged()) {
                break;
            }
            now = next;
            done += 1;
        }
        *states = now;
        done
    }

    /// Reads on to the first match, or to the end.
    fn alone(&mut self, is_earliest: bool) -> Result<Option<usize>, Left> {
        let mut end = None;
        while self.at < self.value.len() {
            if !self.state.is_tagged() {
                let mut state = [self.state];
                let rest = self.value.get(self.at..).unwrap_or_default();
                let known = self.known(&mut state, [rest]);
                [self.state] = state;
                self.at += known;
                self.read += known;
            }
            let Some(byte) = self.value.get(self.at) else { break };
            self.cache.search_update(self.read);
            let next = self.dfa.next_state(self.cache, self.state, *byte).map_err(|_| Left)?;
            if next.is_match() {
                // It ended before this byte.
                end = Some(self.at);
                if is_earliest {
                    return Ok(end);
                }
            } else if next.is_dead() {
                return Ok(end);
            } else if next.is_quit() {
                return Err(Left);
            }
            self.state = next;
            self.at += 1;
            self.read += 1;
        }
        let last = self.dfa.next_eoi_state(self.cache, self.state).map_err(|_| Left)?;
        Ok(if last.is_match() { Some(self.value.len()) } else { end })
    }
}

#[cfg(test)]
mod tests {
    use regex_automata::MatchKind;
    use regex_automata::hybrid::dfa;
    use regex_automata::nfa::thompson;

    use super::*;
    use crate::operator::fixture::Dice;
    use crate::operator::pcre;

    struct Pattern {
        written: &'static str,
        dfa: DFA,
        /// Of lanes, and of one search behind another.
        caches: [Cache; 2],
    }

    impl Pattern {
        fn new(written: &'static str) -> Self {
            Self::with(written, dfa::Config::new())
        }

        fn with(written: &'static str, config: dfa::Config) -> Self {
            let hir = pcre::parse(written.as_bytes()).unwrap().hir;
            let utf8 = thompson::Config::new().utf8(false);
            let nfa = thompson::Compiler::new().configure(utf8).build_from_hir(&hir).unwrap();
            let config = config.match_kind(MatchKind::LeftmostFirst);
            let dfa = dfa::Builder::new().configure(config).build_from_nfa(nfa).unwrap();
            let caches = [dfa.create_cache(), dfa.create_cache()];
            Self { written, dfa, caches }
        }

        /// Whether lanes say anything, which is what one search after another finds.
        fn check(&mut self, value: &[u8], start: usize) -> bool {
            let Self { written, dfa, caches: [of_lanes, of_one] } = self;
            let is_told = [true, false].map(|is_earliest| {
                let input = Input::new(value).range(start..).earliest(is_earliest);
                let Ok(found) = end(dfa, of_lanes, &input) else { return false };
                let expected = dfa.try_search_fwd(of_one, &input).unwrap();
                let expected = expected.map(|half| half.offset());
                let about = (&written, value.len(), start, is_earliest);
                assert_eq!(found, expected, "{about:?}: {}", value.escape_ascii());
                true
            });
            is_told == [true; 2]
        }

        /// How many bytes lanes read of a value without a match.
        fn read(&mut self, value: &[u8]) -> usize {
            let Self { dfa, caches: [cache, _], .. } = self;
            let state = dfa.start_state_forward(cache, &Input::new(value)).ok().unwrap();
            cache.search_start(0);
            let mut search = Search { dfa, cache, value, at: 0, state, read: 0 };
            assert!(matches!(search.run(true), Ok(None)));
            search.read
        }
    }

    /// As different in what they remember, and for how long, as can be.
    const PATTERNS: [&str; 24] = [
        "foo.*bar",
        "foo[^x]*bar",
        "<[^>]*on",
        "'[^']*'[^']*or",
        "a(?:[^a]{7})*b",
        "a[^a]{30}b",
        "a[^a]{33}b",
        "b+(a|c)*bb",
        "(?:a|ab)(?:c|bcd)(d*)a",
        r"\bfoo\b",
        r"\Bfoo\B",
        r"\bbar$",
        "bar$",
        r"\w+$",
        "(?m)^bar",
        "(?m)foo$",
        "(?m)^.{40,}$",
        "(?:^|b)a{5}",
        "(?:^foo|bar$)",
        r"(a[^\n]*b){2}",
        "(?i)FOO[^a]*(d)",
        "a*?(b{4}|$)",
        "x?",
        "abcd|bcda|a{9}",
    ];

    fn random(dice: &mut Dice, letters: &[u8], length: usize) -> Vec<u8> {
        (0..length).map(|_| letters[dice.roll(letters.len())]).collect()
    }

    #[test]
    fn random_values_are_judged_as_in_one_lane() {
        let mut dice = Dice::new(5);
        let all: Vec<u8> = (0..=255).collect();
        for written in PATTERNS {
            let mut pattern = Pattern::new(written);
            let mut told = 0;
            for round in 0..60 {
                let letters = [b"abcdfor<'>\n ", b"ab ab ab abfoo".as_slice(), &all][round % 3];
                let length = LANES * LEAST + dice.roll([700, 5_000, 70_000][round / 3 % 3]);
                let value = random(&mut dice, letters, length);
                let start = if round % 2 == 0 { 0 } else { dice.roll(length) };
                told += usize::from(pattern.check(&value, start));
            }
            assert!(told >= 30, "{written}: {told}");
        }
    }

    #[test]
    fn a_match_is_found_wherever_it_stands() {
        let mut dice = Dice::new(5);
        for written in PATTERNS {
            let mut pattern = Pattern::new(written);
            for filler in [&b"x"[..], b" x\n", b"foo ", b"<a '"] {
                for length in [600, 2_100] {
                    let plain = filler.repeat(length / filler.len());
                    assert!(pattern.check(&plain, 0), "{written}");
                    for text in [&b" foo bar"[..], b"bar", b"aaaaaaaaa", b"'>on'or"] {
                        let mut value = plain.clone();
                        let at = dice.roll(7) + 1;
                        for at in (at..plain.len() - text.len()).step_by(at) {
                            value[at..at + text.len()].copy_from_slice(text);
                            pattern.check(&value, 0);
                            value[at..at + text.len()].copy_from_slice(&plain[at..at + text.len()]);
                        }
                        let start = plain.len() - text.len();
                        value[start..].copy_from_slice(text);
                        pattern.check(&value, 0);
                    }
                }
            }
        }
    }

    /// Where pieces begin and end in a value, if all guesses are right.
    fn edges(length: usize) -> Vec<usize> {
        let (mut edges, mut at, mut most) = (Vec::new(), 0, FIRST);
        loop {
            let steps = most.min((length - at + (LANES - 1) * AHEAD) / LANES);
            if steps < LEAST {
                return edges;
            }
            let starts = (0..LANES).map(|lane| at + lane * (steps - AHEAD));
            edges.extend(starts.flat_map(|start| [start, start + AHEAD, start + steps]));
            at += LANES * (steps - AHEAD) + AHEAD;
            most = MOST.min(2 * most);
        }
    }

    #[test]
    fn a_match_is_found_at_every_edge_of_a_piece() {
        let whole = LANES * (FIRST - AHEAD) + AHEAD;
        for written in ["bar", "foo.*bar", r"\bbar\b", "(?m)^bar$", r"bar\z", "o{9}|r\n", "r$"] {
            let mut pattern = Pattern::new(written);
            for length in [LANES * LEAST, LANES * LEAST + 1, whole - 1, whole, whole + 1, 6_000] {
                let mut plain = vec![b'-'; length];
                plain[..3].copy_from_slice(b"foo");
                for edge in edges(length) {
                    for text in [&b"\nbar\n"[..], b"ooooooooo"] {
                        let first = edge.saturating_sub(text.len() + 1);
                        for at in first..=(edge + 1).min(length - text.len()) {
                            let mut value = plain.clone();
                            value[at..at + text.len()].copy_from_slice(text);
                            assert!(pattern.check(&value, 0), "{written}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn where_no_state_goes_on_nothing_is_found_out() {
        let mut dice = Dice::new(6);
        for written in ["foo.*bar", "bar", r"\bbar"] {
            let config = dfa::Config::new().quit(b'q', true);
            let Pattern { dfa, caches: [mut of_lanes, mut of_one], .. } =
                Pattern::with(written, config);
            let mut told = 0;
            for _ in 0..300 {
                let mut value = vec![b'-'; LANES * LEAST + dice.roll(3_000)];
                for text in [&b"foo"[..], b"bar", b"q"] {
                    let at = dice.roll(value.len() - 3);
                    value[at..at + text.len()].copy_from_slice(text);
                }
                let input = Input::new(&value).earliest(dice.roll(2) == 0);
                let found = end(&dfa, &mut of_lanes, &input).ok();
                let expected = dfa.try_search_fwd(&mut of_one, &input).ok();
                let expected = expected.map(|half| half.map(|half| half.offset()));
                assert_eq!(found, expected, "{written}: {}", value.escape_ascii());
                told += usize::from(found.is_some());
            }
            assert!((10..290).contains(&told), "{written}: {told}");
        }
    }

    #[test]
    fn what_does_not_suit_is_left_to_others() {
        let value = b"-".repeat(5_000);
        let is_left = |written, input: Input<'_>| {
            let Pattern { dfa, caches: [mut cache, _], .. } = Pattern::new(written);
            end(&dfa, &mut cache, &input).is_err()
        };
        assert!(!is_left("ab", Input::new(&value)));
        assert!(!is_left("ab", Input::new(&value[..LANES * LEAST])));
        assert!(is_left("ab", Input::new(&value[..LANES * LEAST - 1])));
        assert!(is_left("ab", Input::new(&value).range(..4_000)));
        assert!(is_left("ab", Input::new(&value).range(4_900..)));
        assert!(is_left("ab", Input::new(&value).anchored(Anchored::Yes)));
        assert!(is_left("^ab|^c", Input::new(&value)));
    }

    #[test]
    fn what_was_seen_long_ago_counts() {
        let mut dice = Dice::new(5);
        for written in ["foo.*bar", "foo[^x]*bar", "a(?:[^a]{7})*b"] {
            let mut pattern = Pattern::new(written);
            for _ in 0..200 {
                let mut value = vec![b'-'; 1_000 + dice.roll(40_000)];
                for text in [&b"foo"[..], b"bar", b"a", b"b", b"x"] {
                    let at = dice.roll(value.len() - 3);
                    value[at..at + text.len()].copy_from_slice(text);
                }
                assert!(pattern.check(&value, 0), "{written}");
            }
        }
    }

    #[test]
    fn what_is_counted_counts_on_in_the_next_piece() {
        let mut dice = Dice::new(5);
        for written in ["a(?:[^a]{2})*b", "a(?:[^a]{3})*b", "a(?:[^a]{5})*b$"] {
            let mut pattern = Pattern::new(written);
            for _ in 0..6_000 {
                let mut value = vec![b'-'; LANES * LEAST + dice.roll(900)];
                value[dice.roll(20)] = b'a';
                for _ in 0..dice.roll(4) {
                    let at = dice.roll(value.len());
                    value[at] = b"abb"[dice.roll(3)];
                }
                assert!(pattern.check(&value, 0), "{written}");
            }
        }
    }

    #[test]
    fn what_is_dropped_on_the_way_is_left_to_others() {
        let mut pattern =
            Pattern::with("a.{9}(b).{7}c", dfa::Config::new().cache_capacity(200_000));
        let mut dice = Dice::new(5);
        let mut told = 0;
        for _ in 0..200 {
            let letters: &[u8] = if dice.roll(4) == 0 { b"ab" } else { b"-a" };
            let length = 500 + dice.roll(9_000);
            let value = random(&mut dice, letters, length);
            told += usize::from(pattern.check(&value, 0));
        }
        assert!(pattern.caches[0].clear_count() > 3);
        assert!((20..180).contains(&told), "{told}");
    }

    #[test]
    fn little_is_read_in_vain() {
        let value = [&b"foo-a"[..], &b"-".repeat(100_000)].concat();
        // A guess is right that begins with what is known of the value.
        for written in ["foo.*bar", "bar", r"\bbar\b"] {
            let read = Pattern::new(written).read(&value);
            assert!(read < value.len() + value.len() / 30, "{written}: {read}");
        }
        // Where none ever is, there are no more.
        let read = Pattern::new("a(?:[^a]{997})*b").read(&value);
        assert!(read < value.len() + WRONG * LANES * FIRST, "{read}");
    }
}
