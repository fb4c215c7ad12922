//! What logs are told of rules that matched: of each a little, and of few.

use tidegate_waf::{Hit, Match, Transaction};

use crate::log::{Excerpt, Matched};

/// Rules that are told of one request, and values of each.
const MOST_RULES: usize = 16;
const MOST_VALUES: usize = 3;
/// Bytes of a value, of them before what matched, and of a name or a message.
const MOST_BYTES: usize = 160;
const BEFORE: usize = 40;
const MOST_NAME: usize = 128;
/// What stands before the name of a value that an earlier link of a rule matched.
const AGAIN: &[u8] = b"MATCHED_VARS:";
/// What an answer must not tell its client is told to no log.
const BODY_OF_ANSWER: &[u8] = b"RESPONSE_BODY";

/// The rules that are for the audit log, in their order.
pub(super) fn matches(engine: &Transaction) -> Vec<Matched> {
    let audited = engine.matches().iter().filter(|found| found.is_audited);
    audited.take(MOST_RULES).map(|found| matched(found, engine)).collect()
}

fn matched(found: &Match, engine: &Transaction) -> Matched {
    Matched {
        id: found.id.0,
        message: found.message.iter().take(MOST_NAME).copied().collect(),
        is_message_fixed: found.is_message_fixed,
        severity: found.severity.map(|severity| severity.name()),
        score: score(found, engine),
        values: own_hits(found).take(MOST_VALUES).map(excerpt).collect(),
    }
}

/// The values that a rule matched, each once: those that a later link matched
/// again are left out.
pub(super) fn own_hits(found: &Match) -> impl Iterator<Item = &Hit> {
    let is_first = |hit: &Hit| !hit.name.starts_with(AGAIN);
    let has_first = found.hits.iter().any(is_first);
    found.hits.iter().filter(move |hit| is_first(hit) || !has_first)
}

/// The names of the values that the last link of a rule matched, as far as it
/// looks at those of links before it; else of all.
pub(super) fn decisive_names(found: &Match) -> Vec<&[u8]> {
    let again = found.hits.iter().filter_map(|hit| hit.name.strip_prefix(AGAIN));
    let mut names: Vec<&[u8]> = again.collect();
    if names.is_empty() {
        names = found.hits.iter().map(|hit| &*hit.name).collect();
    }
    let mut once: Vec<&[u8]> = Vec::with_capacity(names.len());
    for name in names {
        if !once.contains(&name) {
            once.push(name);
        }
    }
    once
}

/// What a rule added to the score of the request, or of its answer.
pub(super) fn score(found: &Match, engine: &Transaction) -> i64 {
    let level = engine.tx_number("blocking_paranoia_level");
    let scores = found.added.iter().filter(|(name, _)| is_score(name, level));
    scores.map(|(_, added)| *added).max().unwrap_or(0)
}

/// Whether a name of TX is a score that decides: not one of a level that only detects.
fn is_score(name: &[u8], level: Option<i64>) -> bool {
    let is_score = memchr::memmem::find(name, b"anomaly_score").is_some();
    let own = match name {
        [.., b'_', b'p', b'l', digit @ b'1'..=b'4'] => i64::from(digit - b'0'),
        _ => 0,
    };
    is_score && level.is_none_or(|level| own <= level)
}

fn excerpt(hit: &Hit) -> Excerpt {
    if hit.name.starts_with(BODY_OF_ANSWER) {
        let name = hit.name.iter().take(MOST_NAME).copied().collect();
        return Excerpt { name, value: Vec::new(), is_masked: true, is_cut: [false; 2] };
    }
    let value = &*hit.value;
    let start = if value.len() <= MOST_BYTES { 0 } else { hit.start.saturating_sub(BEFORE) };
    let start = on_character(value, start.min(value.len().saturating_sub(MOST_BYTES)));
    let end = on_character(value, (start + MOST_BYTES).min(value.len()));
    Excerpt {
        name: hit.name.iter().take(MOST_NAME).copied().collect(),
        value: value.get(start..end).unwrap_or_default().to_vec(),
        is_masked: hit.is_masked,
        is_cut: match hit.is_masked {
            true => [false; 2],
            false => [hit.offset + start > 0, hit.offset + end < hit.length],
        },
    }
}

/// The last place up to `at` where no character of text is cut.
fn on_character(value: &[u8], at: usize) -> usize {
    const LONGEST: usize = 4;
    let is_inner = |at: &usize| value.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let mut places = (at.saturating_sub(LONGEST - 1)..=at).rev();
    places.find(|at| !is_inner(at)).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hit(value: &str, start: usize) -> Hit {
        Hit {
            name: b"ARGS:q".to_vec(),
            value: value.as_bytes().to_vec(),
            offset: 0,
            length: value.len(),
            start,
            is_masked: false,
        }
    }

    #[track_caller]
    fn check(value: &str, start: usize, expected: &str, is_cut: [bool; 2]) {
        let excerpt = excerpt(&hit(value, start));
        let shown = String::from_utf8(excerpt.value).expect("whole characters");
        assert_eq!((shown.as_str(), excerpt.is_cut), (expected, is_cut));
    }

    #[test]
    fn an_excerpt_has_what_matched_and_no_half_character() {
        let (x, y) = ("x".repeat(200), "y".repeat(200));
        check("short", 3, "short", [false, false]);
        check(&x, 0, &"x".repeat(160), [false, true]);
        let value = format!("{x}!{y}");
        check(&value, 200, &format!("{}!{}", "x".repeat(40), "y".repeat(119)), [true, true]);
        check(&value, 400, &"y".repeat(160), [true, false]);
        // Of two bytes each.
        let umlauts = "ä".repeat(100);
        check(&umlauts, 101, &"ä".repeat(80), [true, false]);
        check(&format!("x{umlauts}"), 0, &format!("x{}", "ä".repeat(79)), [false, true]);
    }

    #[test]
    fn what_an_answer_says_is_not_said_again() {
        let of_answer = Hit { name: b"RESPONSE_BODY".to_vec(), ..hit("an error", 0) };
        let excerpt = excerpt(&of_answer);
        assert!(excerpt.is_masked && excerpt.value.is_empty());
        assert_eq!(excerpt.name, b"RESPONSE_BODY");
    }

    #[test]
    fn what_a_rule_masks_is_not_said_to_be_long() {
        let masked = Hit { value: Vec::new(), length: 9, is_masked: true, ..hit("", 0) };
        assert_eq!(excerpt(&masked).is_cut, [false; 2]);
    }

    #[test]
    fn scores_are_those_of_levels_that_decide() {
        for (name, level, expected) in [
            ("inbound_anomaly_score_pl1", Some(1), true),
            ("inbound_anomaly_score_pl2", Some(1), false),
            ("inbound_anomaly_score_pl2", Some(2), true),
            ("anomaly_score", None, true),
            ("anomaly_score_pl3", None, true),
            ("outbound_anomaly_score_pl1", Some(1), true),
            ("outbound_anomaly_score_pl2", Some(1), false),
            ("sql_injection_score", Some(1), false),
        ] {
            assert_eq!(is_score(name.as_bytes(), level), expected, "{name} {level:?}");
        }
    }
}
