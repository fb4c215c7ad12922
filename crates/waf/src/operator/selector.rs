//! Regular expressions over names: of elements of collections, of tags and messages of rules.

use regex_automata::meta::{Config, Regex};
use regex_automata::nfa::thompson::WhichCaptures;

use crate::operator::pattern::Unmatchable;
use crate::operator::pcre;

/// Bytes of one automaton.
const NFA_BYTES: usize = 1 << 20;

/// Compiles an expression that matches in any case of letters, as ModSecurity 2 does.
pub(crate) fn compile_selector(written: &[u8]) -> Result<Regex, Unmatchable> {
    let parsed = pcre::parse(&[b"(?i)", written].concat())
        .map_err(|refusal| Unmatchable::Refused { at: refusal.at, why: refusal.why })?;
    if parsed.marked.is_some() {
        let why = "names are matched in linear time alone: refer to no group, and look not ahead";
        return Err(Unmatchable::Refused { at: 0, why });
    }
    let config = Config::new()
        .utf8_empty(false)
        .which_captures(WhichCaptures::Implicit)
        .nfa_size_limit(Some(NFA_BYTES))
        .dfa(false)
        .onepass(false);
    Regex::builder()
        .configure(config)
        .build_from_hir(&parsed.hir)
        .map_err(|_| Unmatchable::TooLarge { limit: NFA_BYTES })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_in_any_case_and_anywhere() {
        let selector = compile_selector(b"^__utm|sess.*id").unwrap();
        for (name, expected) in [("__UTMa", true), ("a__utm", false), ("MySessionID", true)] {
            assert_eq!(selector.is_match(name), expected, "{name}");
        }
        assert!(compile_selector(b"(a)\\1").is_err());
    }
}
