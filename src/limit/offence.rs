//! What clients do wrong, and how much of it they may.

use super::bans::Lasts;
use super::config::BansConfig;
use super::table::Moment;
use crate::fault::Faults;
use crate::networks::Networks;
use crate::units::{Period, nanos};

/// The weight of one grave offence; lesser ones are fractions of it.
const GRAVE: u16 = 10;
/// The most grave offences that a ban may take: their weights fit 16 bits.
const MOST_AFTER: u32 = 6000;

/// Something wrong that a client did.
///
/// Each could happen to anybody once. What it weighs is chosen so that those
/// to whom it does happen stay far below any sensible `bans.after`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offence {
    /// Sent what no honest software sends: a request with two readings, or a
    /// puzzle that it has not solved.
    Malformed,
    /// Showed credentials that are wrong.
    Credentials,
    /// Sent what rules took for an attack, and now and then are wrong.
    Blocked,
    /// Asked for what it may not have.
    Forbidden,
    /// Asked more than it may.
    Exceeded,
    /// Sent a head that is too large, or too slowly.
    Head,
    /// Asked for what is not there, as scanners do by the thousand and
    /// visitors of a site with dead links now and then.
    NotFound,
    /// Asked for a path with two readings, as any page may have a browser do.
    Path,
}

impl Offence {
    /// As metrics name it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Offence::Malformed => "malformed",
            Offence::Credentials => "credentials",
            Offence::Blocked => "blocked",
            Offence::Forbidden => "forbidden",
            Offence::Exceeded => "exceeded",
            Offence::Head => "head",
            Offence::NotFound => "not_found",
            Offence::Path => "path",
        }
    }

    /// In tenths of a grave one.
    fn weight(self) -> u16 {
        match self {
            Offence::Malformed => GRAVE,
            Offence::Head | Offence::Blocked => 5,
            // A page that is open with a token that has expired asks on and on.
            Offence::Credentials => 4,
            Offence::Forbidden | Offence::Exceeded => 2,
            Offence::NotFound | Offence::Path => 1,
        }
    }
}

/// What bans a client, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BanRule {
    // In tenths of a grave offence.
    after: u16,
    pub(super) within: Moment,
    pub(super) lasts: Lasts,
}

impl BanRule {
    /// `after` is 1 to [`MOST_AFTER`], as [`BanRule::check`] makes sure.
    pub(super) fn new(after: u32, within: Period, first: Period, longest: Period) -> Self {
        let after = u16::try_from(after.saturating_mul(GRAVE.into())).unwrap_or(u16::MAX);
        let lasts = Lasts { first: first.0, longest: longest.0 };
        BanRule { after, within: nanos(within.0), lasts }
    }

    /// Whether offences of so much weight are enough.
    pub(super) fn is_reached(&self, weight: u16) -> bool {
        weight >= self.after
    }

    /// What is wrong with `after`, if anything.
    pub(super) fn check(after: u32) -> Result<(), Faults> {
        if after > MOST_AFTER {
            return Err(Faults::at("after", format!("must be at most {MOST_AFTER}")));
        }
        Ok(())
    }
}

/// How much an offence weighs against a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weighed {
    /// By the table above.
    As(Offence),
    /// One of those that the rule is about.
    InFull,
}

impl Weighed {
    pub(super) fn weight(self) -> u16 {
        match self {
            Weighed::As(offence) => offence.weight(),
            Weighed::InFull => GRAVE,
        }
    }
}

/// The section `bans` as it runs.
#[derive(Debug)]
pub(crate) struct BanPolicy {
    /// None where offences ban nobody.
    pub(super) rule: Option<BanRule>,
    /// Those who are banned for good.
    pub(super) list: Networks,
}

impl BanPolicy {
    pub(crate) fn new(config: &BansConfig) -> Result<Self, Faults> {
        config.check()?;
        let rule = BanRule::new(config.after, config.within, config.r#for, config.longest);
        let list = Networks::new(&config.list);
        Ok(BanPolicy { rule: (config.after > 0).then_some(rule), list })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_with_dead_links_is_no_scanner() {
        let rule = BanRule::new(20, Period::from_secs(600), Period::default(), Period::default());
        let reached = |offence: Offence, times| rule.is_reached(offence.weight() * times);
        assert!(!reached(Offence::NotFound, 199) && reached(Offence::NotFound, 200));
        assert!(!reached(Offence::Malformed, 19) && reached(Offence::Malformed, 20));
        assert!(!reached(Offence::Head, 39) && reached(Offence::Head, 40));
        assert!(!reached(Offence::Credentials, 49) && reached(Offence::Credentials, 50));
        for lesser in [Offence::Forbidden, Offence::Exceeded] {
            assert!(!reached(lesser, 99) && reached(lesser, 100));
        }
        assert!(rule.is_reached(Weighed::InFull.weight() * 20));
    }
}
