//! The words of `rate_limits`, `bans`, and of the routes that list them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::offence::BanRule;
use super::rate::{Amount, Rate};
use crate::fault::Faults;
use crate::networks::Network;
use crate::units::Period;

/// One of `rate_limits`; it acts on the routes that list it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateConfig {
    /// Who shares an allowance.
    #[serde(default)]
    pub key: Key,
    /// What is counted.
    #[serde(default)]
    pub count: Counted,
    /// How fast an allowance fills up: 100/s, 600/min, 10/h, 10MiB/s.
    pub rate: Rate,
    /// The largest allowance; the number of `rate` if absent.
    #[serde(default)]
    pub burst: Option<Amount>,
    /// What happens to a request without an allowance.
    #[serde(default)]
    pub over: Over,
    /// The longest that `over: delay` delays a request, 5s if absent; one that would wait
    /// longer is rejected.
    #[serde(default)]
    pub wait: Option<Period>,
    /// Which answers say in `RateLimit` and `RateLimit-Policy` what is left.
    #[serde(default)]
    pub headers: Shown,
    /// Bans clients, or with `key: client_network` networks, that go on.
    #[serde(default)]
    pub ban: Option<BanConfig>,
}

impl RateConfig {
    /// The field that requests are counted by before anybody has looked at it;
    /// bodies come after that.
    pub(crate) fn unverified_field(&self) -> Option<&str> {
        match (&self.key, self.count) {
            (Key::Header(name), Counted::Requests) => Some(name),
            _ => None,
        }
    }
}

/// Who shares an allowance.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Key {
    /// One client: an IPv4 address or an IPv6 /64.
    #[default]
    ClientIp,
    /// The clients of an IPv4 /24 or an IPv6 /48.
    ClientNetwork,
    /// All requests of a route.
    Route,
    /// Requests with the same value of this field; those without it, or with several, by client.
    Header(String),
    /// Requests with the same value of this cookie; those without it, or with several, by client.
    Cookie(String),
}

/// What a rate counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Counted {
    #[default]
    Requests,
    /// Bytes of the bodies that servers are sent.
    BodyBytes,
}

/// What happens to a request without an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Over {
    /// It is answered with 429.
    #[default]
    Reject,
    /// It waits for its turn.
    Delay,
}

/// Which answers say what is left of an allowance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Shown {
    /// Those that reject a request.
    #[default]
    Rejected,
    /// Every answer of the route.
    All,
    None,
}

/// `rate_limits.*.ban`: bans a client that is rejected again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BanConfig {
    /// Rejected requests of one client within `within`.
    pub after: u32,
    pub within: Period,
    /// How long the first ban lasts; it doubles each time, up to `bans.longest`.
    pub r#for: Period,
}

/// The section `bans`: what clients do wrong in any room, taken together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BansConfig {
    /// Grave offences of one client within `within`; 0 bans nobody.
    pub after: u32,
    pub within: Period,
    /// How long the first ban lasts; it doubles each time.
    pub r#for: Period,
    /// The longest ban, and how long a client must be quiet until its bans are forgotten.
    pub longest: Period,
    /// Networks that are banned for good.
    pub list: Vec<Network>,
}

impl Default for BansConfig {
    fn default() -> Self {
        BansConfig {
            after: 0,
            within: Period::from_secs(600),
            r#for: Period::from_secs(3600),
            longest: Period::from_secs(86_400),
            list: Vec::new(),
        }
    }
}

impl BansConfig {
    pub(super) fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::none();
        faults.extend(BanRule::check(self.after).err().unwrap_or_default());
        not_zero(&mut faults, [("within", self.within), ("for", self.r#for)]);
        if self.longest < self.r#for {
            let (longest, first) = (self.longest, self.r#for);
            let what =
                format!("is {longest} (1d if not written), less than `for`, which is {first}");
            faults.extend(Faults::at("longest", what));
        }
        faults.into_result(|| Some(()))
    }
}

impl BanConfig {
    pub(super) fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::none();
        if self.after == 0 {
            faults.extend(Faults::at("after", "must be more than 0; leave `ban` out for none"));
        }
        faults.extend(BanRule::check(self.after).err().unwrap_or_default());
        not_zero(&mut faults, [("within", self.within), ("for", self.r#for)]);
        faults.into_result(|| Some(()))
    }
}

fn not_zero(faults: &mut Faults, periods: [(&str, Period); 2]) {
    for (key, period) in periods {
        if period.0.is_zero() {
            faults.extend(Faults::at(key, "must be longer than 0"));
        }
    }
}

/// `rate_limits` of a route: names, or `none` of those of `defaults`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write a list of names of rate_limits, or none")]
pub(crate) enum Listed {
    None(NoneAtAll),
    /// Besides those of `defaults`.
    Names(Vec<String>),
}

impl Default for Listed {
    fn default() -> Self {
        Listed::Names(Vec::new())
    }
}

/// The word `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum NoneAtAll {
    None,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check<T>(written: Value, expected: Option<T>)
    where
        T: for<'de> Deserialize<'de> + PartialEq + std::fmt::Debug,
    {
        assert_eq!(serde_json::from_value(written.clone()).ok(), expected, "{written}");
    }

    #[test]
    fn a_rate_limit_needs_a_rate_alone() {
        let config: RateConfig = serde_json::from_value(json!({ "rate": "5/min" })).expect("good");
        assert_eq!((config.key, config.over, config.burst), (Key::ClientIp, Over::Reject, None));
        for bad in [json!({}), json!({ "rate": 5 }), json!({ "rate": "5/min", "brust": 3 })] {
            check::<RateConfig>(bad, None);
        }
        check(json!({ "header": "x-user" }), Some(Key::Header("x-user".to_owned())));
        check(json!("client_network"), Some(Key::ClientNetwork));
    }

    #[test]
    fn a_route_lists_names_or_none() {
        check(json!("none"), Some(Listed::None(NoneAtAll::None)));
        check(json!(["a"]), Some(Listed::Names(vec!["a".to_owned()])));
        check::<Listed>(json!("a"), None);
    }
}
