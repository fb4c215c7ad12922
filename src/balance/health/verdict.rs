//! What active checks make of a server: up until several failed in a row.
//!
//! The first check of all decides alone: of a server that never passed one,
//! nothing speaks against a failure (as in HAProxy).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// The standing of one server in its checks.
#[derive(Debug)]
pub(in crate::balance) struct Verdict {
    healthy: AtomicBool,
    streak: Mutex<Streak>,
}

/// The checks in a row that speak against the present standing.
#[derive(Debug, Default)]
struct Streak {
    /// Whether there was a check so far, here or in the process before.
    is_checked: bool,
    against: usize,
    /// What was wrong at the last check.
    why: Option<String>,
}

impl Default for Verdict {
    fn default() -> Self {
        Verdict { healthy: AtomicBool::new(true), streak: Mutex::default() }
    }
}

impl Verdict {
    pub(in crate::balance) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }

    /// What was wrong at the last check, if anything was.
    pub(in crate::balance) fn why(&self) -> Option<String> {
        self.streak.lock().unwrap_or_else(PoisonError::into_inner).why.clone()
    }

    /// Adds a check; `true` if it changed the standing.
    ///
    /// `turn` checks in a row that speak against the standing change it; the
    /// very first one does alone.
    pub(in crate::balance) fn observe(&self, result: Result<(), String>, turn: usize) -> bool {
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = result.is_ok();
        let turn = if streak.is_checked { turn } else { 1 };
        streak.is_checked = true;
        streak.why = result.err();
        if is_good == self.is_healthy() {
            streak.against = 0;
            return false;
        }
        streak.against += 1;
        if streak.against < turn {
            return false;
        }
        streak.against = 0;
        self.healthy.store(is_good, Ordering::Relaxed);
        true
    }

    /// What is known: nothing before the first check.
    pub(in crate::balance) fn known(&self) -> Option<Result<(), String>> {
        let streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        if !streak.is_checked {
            return None;
        }
        let why = || streak.why.clone().unwrap_or_default();
        Some(if self.is_healthy() { Ok(()) } else { Err(why()) })
    }

    /// Goes on from what another process knew.
    pub(in crate::balance) fn learn(&self, known: Result<(), String>) {
        let mut streak = self.streak.lock().unwrap_or_else(PoisonError::into_inner);
        self.healthy.store(known.is_ok(), Ordering::Relaxed);
        *streak = Streak { is_checked: true, against: 0, why: known.err() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks (`+` good, `-` bad) with fall 3 and rise 2, and the standing after each.
    fn check(checks: &str, expected: &str) {
        let verdict = Verdict::default();
        let standings: String = checks
            .chars()
            .map(|check| {
                let (result, turn) = match check {
                    '+' => (Ok(()), 2),
                    _ => (Err("refused".to_owned()), 3),
                };
                verdict.observe(result, turn);
                if verdict.is_healthy() { 'U' } else { 'd' }
            })
            .collect();
        assert_eq!(standings, expected, "{checks}");
    }

    #[test]
    fn only_checks_in_a_row_change_the_standing() {
        check("+---", "UUUd");
        check("+--+--+", "UUUUUUU");
        check("+---++", "UUUddU");
        check("+---+-++", "UUUddddU");
        check("+++", "UUU");
    }

    #[test]
    fn the_first_check_decides_alone() {
        check("-", "d");
        check("-++", "ddU");
        check("-++--", "ddUUU");
    }

    #[test]
    fn goes_on_from_what_was_known() {
        let before = Verdict::default();
        assert_eq!(before.known(), None);
        before.observe(Err("refused".to_owned()), 3);
        let verdict = Verdict::default();
        verdict.learn(before.known().expect("a check"));
        assert!(!verdict.is_healthy());
        assert_eq!(verdict.why().as_deref(), Some("refused"));
        verdict.observe(Ok(()), 2);
        assert!(!verdict.is_healthy(), "one good check is no rise");
        let verdict = Verdict::default();
        verdict.learn(Ok(()));
        verdict.observe(Err("refused".to_owned()), 3);
        assert!(verdict.is_healthy(), "one bad check is no fall");
    }

    #[test]
    fn says_why_until_a_check_is_good() {
        let verdict = Verdict::default();
        verdict.observe(Ok(()), 2);
        assert!(!verdict.observe(Err("refused".to_owned()), 2));
        assert_eq!(verdict.why().as_deref(), Some("refused"));
        assert!(verdict.observe(Err("timed out".to_owned()), 2));
        assert_eq!(verdict.why().as_deref(), Some("timed out"));
        verdict.observe(Ok(()), 2);
        assert_eq!(verdict.why(), None);
    }
}
