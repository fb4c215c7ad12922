//! What requests look like: whether rules against attacks let one pass.
//!
//! The rules are those of a profile, which routes name. A body is kept back
//! until as much of it as the profile asks is judged. What the rules mean is for
//! the engine, `crates/waf`; who may ask at all is for `access`.

mod config;
mod inspection;
mod judge;
mod memory;

use std::sync::Arc;

use crate::fault::Faults;
use crate::sanitise::Head;

use self::config::{Body, Mode};
use self::judge::RuleSet;

pub(crate) use self::config::{Config, Named, STANDARD};
pub(crate) use self::inspection::{Coming, Inspection, Step};
pub(crate) use self::memory::Memory;

/// Rules, and what is done by them.
#[derive(Debug)]
pub(crate) struct Profile {
    mode: Mode,
    body: Body,
    rules: Arc<RuleSet>,
}

/// What rules are asked about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub head: &'a Head<'a>,
    /// The target as the server gets it.
    pub target: &'a str,
}

/// Why a request goes no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Blocked {
    /// The rule of this id is against it.
    Rule(Arc<str>),
    /// Its body is larger than what is judged.
    Over,
    /// Its client has as many bytes kept as one may.
    ClientFull,
    /// All clients together have.
    Full,
}

impl Blocked {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Blocked::Rule(_) => "blocked",
            Blocked::Over => "body_over_inspect",
            Blocked::ClientFull => "held_per_client",
            Blocked::Full => "held",
        }
    }

    /// The rule's id.
    pub(crate) fn rule(&self) -> Option<Arc<str>> {
        match self {
            Blocked::Rule(id) => Some(id.clone()),
            Blocked::Over | Blocked::ClientFull | Blocked::Full => None,
        }
    }
}

impl Profile {
    /// The profile; none where it is `off`.
    pub(crate) fn new(config: &Config) -> Result<Option<Profile>, Faults> {
        config.check()?;
        let rules = Arc::new(RuleSet::load(config)?);
        let (mode, body) = (config.mode, config.body);
        Ok((mode != Mode::Off).then_some(Profile { mode, body, rules }))
    }

    /// Judges a head; what follows is judged by what is returned.
    pub(crate) fn inspect(self: &Arc<Self>, asked: &Asked<'_>) -> Result<Inspection, Blocked> {
        Inspection::begin(self.clone(), self.rules.begin(asked))
    }
}
