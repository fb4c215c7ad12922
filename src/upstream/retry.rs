//! When a failed attempt may be made again on another server.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::units::Share;

/// The key `retries` of an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Attempts in all, the first one included.
    pub(crate) attempts: u32,
    /// What is tried again: connect, timeout and statuses of servers.
    pub(crate) on: Vec<Reason>,
    /// How large a share of an upstream's requests may be retries.
    pub(crate) budget: Share,
}

impl Default for Config {
    fn default() -> Self {
        let statuses = [502, 503, 504].into_iter().map(Reason::Status);
        Config {
            attempts: 2,
            on: [Reason::Failure(Failure::Connect), Reason::Failure(Failure::Timeout)]
                .into_iter()
                .chain(statuses)
                .collect(),
            budget: Share::percent(20),
        }
    }
}

/// What an attempt may fail with and be made again.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(untagged)]
pub(crate) enum Reason {
    Failure(Failure),
    Status(u16),
}

/// A failure to get any answer.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Failure {
    /// No connection: refused, unreachable, or the connection broke before an answer.
    Connect,
    /// No connection or no answer in time.
    Timeout,
}

/// How an attempt failed, as far as trying again is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failed {
    /// No connection came about: the server has not seen the request.
    Unconnected { timed_out: bool },
    /// The connection broke, or the answer could not be read.
    Broken,
    /// No answer within `timeouts.first_byte`.
    Unanswered,
    /// The server answered with this status.
    Status(u16),
}

/// Whether a request may be sent to a second server after a first has seen it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replay {
    Safe,
    Unsafe,
}

/// The retry policy of an upstream.
#[derive(Debug)]
pub(crate) struct Retries {
    attempts: u32,
    reasons: BTreeSet<Reason>,
}

/// The most attempts that may be configured.
const MOST_ATTEMPTS: u32 = 10;

impl Retries {
    pub(crate) fn new(config: &Config) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        if !(1..=MOST_ATTEMPTS).contains(&config.attempts) {
            let what = format!("must be 1 (no retries) to {MOST_ATTEMPTS}");
            faults.extend(Faults::at("attempts", what));
        }
        for (index, reason) in config.on.iter().enumerate() {
            if let Reason::Status(status) = reason
                && !(400..=599).contains(status)
            {
                let what = format!("{status} is no error status; write one of 400 to 599");
                faults.extend(Faults::at(index, what).under("on"));
            }
        }
        let reasons = config.on.iter().copied().collect();
        faults.into_result(|| Some(Retries { attempts: config.attempts, reasons }))
    }

    /// Whether a status of a server is one that is tried again.
    pub(crate) fn lists_status(&self, status: u16) -> bool {
        self.reasons.contains(&Reason::Status(status))
    }

    /// Whether to try again after `made` attempts, the budget aside.
    ///
    /// A request that no server has seen may always be sent again; one that a
    /// server may have acted on only if its method is idempotent (RFC 9110
    /// §9.2.2) and its body can be sent once more.
    pub(crate) fn allow(&self, failed: Failed, made: u32, replay: Replay) -> bool {
        if made >= self.attempts {
            return false;
        }
        let is_listed = |failure| self.reasons.contains(&Reason::Failure(failure));
        match failed {
            Failed::Unconnected { timed_out: false } => is_listed(Failure::Connect),
            Failed::Unconnected { timed_out: true } => is_listed(Failure::Timeout),
            _ if replay == Replay::Unsafe => false,
            Failed::Broken => is_listed(Failure::Connect),
            Failed::Unanswered => is_listed(Failure::Timeout),
            Failed::Status(status) => self.lists_status(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(yaml: &str) -> Result<Retries, Faults> {
        Retries::new(&serde_yaml::from_str(yaml).expect("well-formed"))
    }

    #[test]
    fn unseen_requests_are_sent_again_whatever_the_method() {
        let retries = retries("{}").expect("good");
        assert!(retries.allow(Failed::Unconnected { timed_out: false }, 1, Replay::Unsafe));
        assert!(retries.allow(Failed::Unconnected { timed_out: true }, 1, Replay::Unsafe));
        for failed in [Failed::Broken, Failed::Unanswered, Failed::Status(503)] {
            assert!(retries.allow(failed, 1, Replay::Safe), "{failed:?}");
            assert!(!retries.allow(failed, 1, Replay::Unsafe), "{failed:?}");
        }
    }

    #[test]
    fn attempts_are_counted_the_first_included() {
        let twice = retries("{ attempts: 3 }").expect("good");
        assert!(twice.allow(Failed::Broken, 2, Replay::Safe));
        assert!(!twice.allow(Failed::Broken, 3, Replay::Safe));
        let never = retries("{ attempts: 1 }").expect("good");
        assert!(!never.allow(Failed::Broken, 1, Replay::Safe));
    }

    #[test]
    fn only_what_is_listed_is_tried_again() {
        let retries = retries("{ on: [connect, 500] }").expect("good");
        assert!(retries.allow(Failed::Status(500), 1, Replay::Safe));
        assert!(!retries.allow(Failed::Status(503), 1, Replay::Safe));
        assert!(!retries.allow(Failed::Unanswered, 1, Replay::Safe));
        assert!(!retries.allow(Failed::Unconnected { timed_out: true }, 1, Replay::Safe));
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let at = |yaml| {
            let faults = retries(yaml).expect_err("a fault");
            faults.iter().map(|fault| fault.at.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(at("{ attempts: 0 }"), ["attempts"]);
        assert_eq!(at("{ attempts: 11, on: [200] }"), ["attempts", "on[0]"]);
    }
}
