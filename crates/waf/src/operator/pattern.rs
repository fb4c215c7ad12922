//! A regular expression, compiled.

use std::ops::Range;
use std::sync::Arc;

use regex_automata::Input;
use regex_automata::nfa::thompson::WhichCaptures;
use regex_automata::util::primitives::NonMaxUsize;

use crate::operator::automaton::{Automaton, NFA_BYTES, TooLarge};
use crate::operator::backtrack::{self, Program};
use crate::operator::cache::Cache;
use crate::operator::captures::SLOTS;
use crate::operator::needs::Needs;
use crate::operator::pcre;

/// Matches after the first that @rxGlobal looks for.
const MATCHES: usize = 100;

/// Which groups of a match are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Groups {
    /// What matched as a whole, TX:0.
    Whole,
    /// TX:0 to TX:9.
    All,
}

/// Why a pattern is not compiled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unmatchable {
    #[error("{why} (byte {at} of it)")]
    Refused { at: usize, why: &'static str },
    #[error("it needs more than {limit} bytes: shorten it, or repeat less")]
    TooLarge { limit: usize },
    #[error("it needs more than {limit} steps to be tried out: shorten it, or repeat less")]
    TooLong { limit: usize },
}

#[derive(Debug)]
pub(crate) struct Pattern {
    number: usize,
    /// It matches wherever the pattern does. If that is to be tried out, it matches elsewhere, too.
    automaton: Automaton,
    tried: Option<Program>,
    /// The group that is what matched.
    whole: usize,
    needs: Needs,
}

impl Pattern {
    /// `number` tells the patterns of a rule set apart.
    pub(crate) fn compile(
        pattern: &[u8],
        groups: Groups,
        number: usize,
    ) -> Result<Self, Unmatchable> {
        let parsed = pcre::parse(pattern)
            .map_err(|refusal| Unmatchable::Refused { at: refusal.at, why: refusal.why })?;
        let needs = Needs::of_pattern(&parsed.hir);
        let tried = parsed.marked.as_ref().map(|marked| {
            Program::compile(marked).ok_or(Unmatchable::TooLong { limit: backtrack::STEPS })
        });
        let tried = tried.transpose()?;
        let needs_groups = groups == Groups::All || parsed.whole.is_some();
        let which = match needs_groups && tried.is_none() {
            true => WhichCaptures::All,
            false => WhichCaptures::Implicit,
        };
        let automaton = Automaton::new(pattern, &parsed.hir, which)
            .map_err(|TooLarge| Unmatchable::TooLarge { limit: NFA_BYTES })?;
        let whole = parsed.whole.map_or(0, |index| index as usize);
        Ok(Self { number, automaton, tried, whole, needs })
    }

    pub(crate) fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn automaton(&self) -> &Automaton {
        &self.automaton
    }

    /// Whether no automaton says all of it.
    pub(crate) fn is_tried_out(&self) -> bool {
        self.tried.is_some()
    }

    pub(crate) fn needs(&self) -> &Needs {
        &self.needs
    }

    pub(crate) fn is_match(self: &Arc<Self>, value: &[u8], cache: &mut Cache) -> bool {
        if let Some(program) = &self.tried {
            return self.try_out(program, value, 0, cache).is_some();
        }
        cache.with(self, value.len(), |states, trials| {
            self.automaton.is_match(value, states, trials)
        })
    }

    /// The first match at `start` or later, up to its last group that took part.
    pub(crate) fn find(
        self: &Arc<Self>,
        value: &[u8],
        start: usize,
        cache: &mut Cache,
    ) -> Option<Found> {
        if let Some(program) = &self.tried {
            return self.try_out(program, value, start, cache);
        }
        let mut slots = [None; 2 * (SLOTS + 1)];
        let wanted = self.automaton.slots().min(slots.len());
        let slots = slots.get_mut(..wanted)?;
        let input = Input::new(value).range(start.min(value.len())..);
        let searched = value.len().saturating_sub(start);
        let is_found = cache.with(self, searched, |states, trials| {
            self.automaton.find(&input, slots, states, trials)
        });
        is_found.then(|| {
            self.found(|group| {
                let start = slots.get(2 * group).copied().flatten()?;
                let end = slots.get(2 * group + 1).copied().flatten()?;
                Some(start.get()..end.get())
            })
        })
    }

    /// None also if that takes more steps than it may; the cache is told.
    fn try_out(
        self: &Arc<Self>,
        program: &Program,
        value: &[u8],
        start: usize,
        cache: &mut Cache,
    ) -> Option<Found> {
        let effort = cache.effort();
        if effort.is_undecided {
            return None;
        }
        let next = |start: usize| {
            let input = Input::new(value).range(start.min(value.len())..);
            let length = value.len().saturating_sub(start);
            let mut slots = [None; 2];
            let is_found = cache.with(self, length, |states, trials| {
                self.automaton.find(&input, &mut slots, states, trials)
            });
            slots.first().copied().flatten().filter(|_| is_found).map(NonMaxUsize::get)
        };
        let attempt = backtrack::search(program, value, start, effort.steps, next);
        cache.took(attempt.steps, attempt.is_undecided);
        let groups = attempt.found?;
        Some(self.found(|group| groups.get(group).cloned().flatten()))
    }

    /// The groups of all matches, behind each other; an empty match counts if it is the first.
    pub(crate) fn find_each(
        self: &Arc<Self>,
        value: &[u8],
        cache: &mut Cache,
    ) -> Option<Vec<Range<usize>>> {
        let first = self.find(value, 0, cache)?;
        let mut groups: Vec<_> = first.groups().collect();
        let mut start = after(&first);
        // Empty matches fill nothing.
        for _ in 0..MATCHES {
            if groups.len() >= SLOTS || start > value.len() {
                break;
            }
            let Some(next) = self.find(value, start, cache) else { break };
            start = after(&next);
            if !next.whole().is_empty() {
                groups.extend(next.groups());
            }
        }
        Some(groups)
    }

    fn found(&self, range: impl Fn(usize) -> Option<Range<usize>>) -> Found {
        let mut found = Found { ranges: [const { 0..0 }; SLOTS], count: 0 };
        for (group, slot) in found.ranges.iter_mut().enumerate() {
            let taken = match group {
                0 => range(self.whole).or_else(|| range(0)),
                _ => range(group),
            };
            if let Some(taken) = taken {
                *slot = taken;
                found.count = group + 1;
            }
        }
        found
    }
}

/// A match and its groups; one that took no part is empty.
#[derive(Debug)]
pub(crate) struct Found {
    ranges: [Range<usize>; SLOTS],
    count: usize,
}

impl Found {
    pub(crate) fn whole(&self) -> Range<usize> {
        self.ranges.first().cloned().unwrap_or_default()
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = Range<usize>> {
        self.ranges.iter().take(self.count).cloned()
    }
}

/// Where to look for the next match.
fn after(found: &Found) -> usize {
    let whole = found.whole();
    whole.end + usize::from(whole.is_empty())
}
