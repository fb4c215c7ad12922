//! What requests look like, and answers where a profile asks for it: whether rules
//! against attacks let one pass.
//!
//! The rules are those of a profile, which routes name. A body is kept back
//! until as much of it as the profile asks is judged. What the rules mean is for
//! the engine, `crates/waf`; who may ask at all is for `access`.

mod config;
mod core_rules;
mod exclusions;
mod rules;
mod told;
mod judge;
mod memory;
mod decode;
mod answer;
mod inspection;
mod explanation;
mod remedy;

use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use http::{HeaderMap, StatusCode, Version};
use tidegate_waf::{Logs, Overrun, RuleSet, Stock};

use crate::fault::Faults;
use crate::log::Matched;
use crate::sanitise::Head;

use self::config::Body;
use self::judge::Judge;

pub(crate) use self::config::{Config, Mode, Named, STANDARD};
pub(crate) use self::explanation::{Explained, Explanation, Judged, Of, Score, Whole, WholeAnswer};
pub(crate) use self::inspection::{Coming, Inspection, Step};
pub(crate) use self::memory::Memory;
pub(crate) use self::remedy::Remedy;

/// Rules, and what is done by them.
#[derive(Debug)]
pub(crate) struct Profile {
    mode: Mode,
    body: Body,
    // Whether answers are judged, too.
    responses: bool,
    // When rules of phase 5 run.
    logs: Logs,
    rules: Arc<RuleSet>,
    /// What of the rules does not act.
    pub warnings: Vec<String>,
}

/// What the rules of profiles that are built together have in common.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Stock);

/// What rules are asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub head: &'a Head<'a>,
    /// The target as the client wrote it, whatever its form.
    pub target: &'a str,
    pub version: Version,
    pub client: SocketAddr,
    pub server: SocketAddr,
    pub request_id: &'a str,
}

/// The head of an answer, as its server sent it, and what follows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered<'a> {
    pub status: StatusCode,
    pub version: Version,
    pub headers: &'a HeaderMap,
    pub body: Coming,
}

/// What rules found in a request, whether or not it went on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    pub score: i64,
    /// The ids of rules that logged, in the order in which they did; the first of them.
    pub rules: Vec<u32>,
    /// What some of them matched; nothing where they let the request pass.
    pub matches: Vec<Matched>,
    /// Why the request would have been refused, had the rules not only detected.
    pub detected: Option<Blocked>,
}

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The rule of this id is against it.
    Rule(Arc<str>),
    /// It has more of this than one may have, so that not all of it was judged.
    Uninspected(Overrun),
    /// Its body is larger than what is judged.
    Over,
    /// Its client has as many bytes kept as one may.
    ClientFull,
    /// All clients together have.
    Full,
    /// The rule of this id is against its answer.
    Answer(Arc<str>),
    /// Its answer needs more work than one may cause.
    AnswerUninspected,
    /// Its answer is larger than what is judged, and the rules refuse such ones.
    AnswerOver,
}

impl Blocked {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Blocked::Rule(_) => "blocked",
            Blocked::Uninspected(_) => "not_inspected",
            Blocked::Over => "body_over_inspect",
            Blocked::ClientFull => "held_per_client",
            Blocked::Full => "held",
            Blocked::Answer(_) => "answer_blocked",
            Blocked::AnswerUninspected => "answer_not_inspected",
            Blocked::AnswerOver => "answer_over_limit",
        }
    }

    /// Whether the rules are against the answer.
    pub(crate) fn is_of_answer(&self) -> bool {
        matches!(self, Blocked::Answer(_) | Blocked::AnswerUninspected | Blocked::AnswerOver)
    }

    /// The rule's id.
    pub(crate) fn rule(&self) -> Option<Arc<str>> {
        match self {
            Blocked::Rule(id) | Blocked::Answer(id) => Some(id.clone()),
            Blocked::Uninspected(_)
            | Blocked::Over
            | Blocked::ClientFull
            | Blocked::Full
            | Blocked::AnswerUninspected
            | Blocked::AnswerOver => None,
        }
    }

    /// The same, as text.
    pub(crate) fn rule_id(&self) -> Option<&str> {
        match self {
            Blocked::Rule(id) | Blocked::Answer(id) => Some(id),
            _ => None,
        }
    }
}

impl Profile {
    /// The profile; none where it is `off`.
    pub(crate) fn new(config: &Config, shelf: &mut Shelf) -> Result<Option<Profile>, Faults> {
        config.check()?;
        // With its thread goes the memory that loading needs besides: a dozen MiB that would
        // else be kept for whatever that thread does next.
        let load = || rules::load(config, &mut shelf.0);
        let loaded = thread::scope(|scope| scope.spawn(load).join());
        let rules::Loaded { set, warnings } = loaded.unwrap_or_else(|why| resume_unwind(why))?;
        let (mode, body, rules) = (config.mode, config.body, Arc::new(set));
        let (responses, logs) = (config.responses.0, rules.logs());
        let profile = Profile { mode, body, responses, logs, rules, warnings };
        Ok((mode != Mode::Off).then_some(profile))
    }

    /// Judges a head; what follows is judged by what is returned.
    pub(crate) fn inspect(
        self: &Arc<Self>,
        asked: &Asked<'_>,
    ) -> (Inspection, Result<(), Blocked>) {
        let mut judge = Judge::new(self.rules.clone(), asked);
        let verdict = judge.request_head(asked);
        (Inspection::new(self.clone(), judge), verdict)
    }
}
