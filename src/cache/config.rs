//! The words of `cache.profiles`: what a route's cache keeps, how long, and for whom.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::{ByteRate, ByteSize, OrOff, Period, Switch};

/// One of `cache.profiles`; it acts on the routes that name it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ProfileConfig {
    /// How long a response is fresh if its server does not say; absent, a tenth of
    /// the time since it last changed. Not for errors.
    pub ttl: Option<Period>,
    /// The same by status, errors too; 0s stores none: 404: 1m.
    pub statuses: BTreeMap<String, Period>,
    /// How long a stale response is sent while a new one is fetched, if its server
    /// does not say.
    pub stale_while_revalidate: Period,
    /// How long a stale response stands in for a server that fails or cannot be
    /// reached, if that does not say.
    pub stale_if_error: Period,
    /// Large responses are fetched and kept in pieces of this size.
    pub slice: ByteSize,
    /// What makes two requests different.
    pub key: KeyConfig,
    /// Fetches the next segment of a stream before it is asked for.
    pub prefetch: PrefetchConfig,
    /// How fast a response is sent to one client.
    pub pace: PaceConfig,
    /// What may be stored for several clients.
    pub policy: Policy,
    /// Heeds Cache-Control of clients: no-cache, max-age, only-if-cached and its like.
    pub client_directives: Switch,
    /// Larger responses are not stored.
    pub max_object: ByteSize,
}

impl Default for ProfileConfig {
    fn default() -> Self {
        ProfileConfig {
            ttl: None,
            statuses: BTreeMap::new(),
            stale_while_revalidate: Period::from_secs(0),
            stale_if_error: Period::from_secs(86_400),
            slice: ByteSize::mib(1),
            key: KeyConfig::default(),
            prefetch: PrefetchConfig::default(),
            pace: PaceConfig::default(),
            policy: Policy::Safe,
            client_directives: Switch::OFF,
            max_object: ByteSize::mib(5 * 1024),
        }
    }
}

/// What may be stored for several clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Policy {
    /// No response that sets cookies, unless it says that it is for all.
    #[default]
    Safe,
    /// What RFC 9111 lets be stored, and stale in place of errors only if the server says so.
    StrictRfc,
}

/// `cache.profiles.*.key`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyConfig {
    pub query: QueryConfig,
    /// Fields of requests that responses are told apart by.
    pub headers: Vec<String>,
    /// Phones, tablets and others get responses of their own.
    pub device: Switch,
}

/// `cache.profiles.*.key.query`: names of parameters, or what they begin with: `utm_*`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct QueryConfig {
    /// Only these count.
    pub keep: Option<Vec<String>>,
    /// All but these count.
    pub drop: Vec<String>,
    /// The order of parameters does not count.
    pub sort: Switch,
}

/// `cache.profiles.*.prefetch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PrefetchConfig {
    /// A regex for paths with one group: the number that the next path has one more of.
    pub pattern: Option<String>,
    /// Fetches what responses name in `Link: rel=prefetch`.
    pub link: Switch,
    /// How many are fetched ahead at once.
    pub budget: u32,
}

impl Default for PrefetchConfig {
    fn default() -> Self {
        PrefetchConfig { pattern: None, link: Switch::OFF, budget: 4 }
    }
}

/// `cache.profiles.*.pace`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PaceConfig {
    /// What is sent as fast as can be.
    pub burst: ByteSize,
    /// How fast the rest is sent: 500KiB/s.
    pub rate: OrOff<ByteRate>,
}

impl Default for PaceConfig {
    fn default() -> Self {
        PaceConfig { burst: ByteSize::mib(4), rate: OrOff::Off }
    }
}
