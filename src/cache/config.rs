//! The words of `cache`, and of the routes that name its profiles.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, KeyPath};
use crate::networks::Network;
use crate::units::{ByteRate, ByteSize, OrOff, Period, Switch, Unreadable, Word, word};

/// With less, not even a page with its pictures is kept.
const LEAST_MEMORY: ByteSize = ByteSize::kib(64);
/// Eight segments of the least size that the store has.
const LEAST_DISK: ByteSize = ByteSize::kib(512);
/// Each takes threads and descriptors.
const MOST_DISKS: usize = 32;

/// Where answers are kept, and how: the section `cache`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// All that is kept in memory: bodies, heads, names.
    pub memory: ByteSize,
    /// Where it is kept besides, over restarts too.
    pub disks: Vec<DiskConfig>,
    /// Networks that may use PURGE.
    pub purge_from: Vec<Network>,
    /// Named; each acts on the routes that name it.
    pub profiles: BTreeMap<String, ProfileConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            memory: ByteSize::mib(256),
            disks: Vec::new(),
            purge_from: vec![Network::new(IpAddr::from([127, 0, 0, 0]), 8)],
            profiles: BTreeMap::new(),
        }
    }
}

impl Config {
    /// What is wrong with where answers are kept; profiles are looked at one by one.
    pub(crate) fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::none();
        if self.memory < LEAST_MEMORY {
            faults.extend(Faults::at("memory", format!("must be at least {LEAST_MEMORY}")));
        }
        if self.disks.len() > MOST_DISKS {
            faults.extend(Faults::at("disks", format!("has more than {MOST_DISKS} folders")));
        }
        let mut before: Vec<&Path> = Vec::new();
        for (index, disk) in self.disks.iter().enumerate() {
            let at = |key: &str| KeyPath::root().child("disks").child(index).child(key);
            if disk.size.unwrap_or_default() < LEAST_DISK {
                faults.add(at("size"), format!("must be at least {LEAST_DISK}"));
            }
            if disk.path.as_os_str().is_empty() {
                faults.add(at("path"), "is empty; name a folder");
            } else if before.contains(&&*disk.path) {
                faults.add(at("path"), "is named twice");
            }
            before.push(&disk.path);
        }
        faults.into_result(|| Some(()))
    }
}

/// One of `cache.disks`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DiskConfig {
    /// A folder of its own; it is made if need be.
    pub path: PathBuf,
    /// What it may take.
    pub size: Option<ByteSize>,
}

/// Which profile a route has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Named {
    #[default]
    Off,
    Profile(String),
}

/// The profile that need not be written: what servers say.
pub(crate) const STANDARD: &str = "standard";

impl FromStr for Named {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        Ok(match text {
            "off" | "false" => Named::Off,
            name => Named::Profile(name.to_owned()),
        })
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Named::Off => "off",
            Named::Profile(name) => name,
        })
    }
}

impl Word for Named {
    const FORMAT: &'static str = "profile-or-off";
}

word!(Named);

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
    /// Parts of large responses are fetched and kept in pieces of this size.
    pub slice: OrOff<ByteSize>,
    /// What makes two requests different.
    pub key: KeyConfig,
    /// Fetches the next segment of a stream before it is asked for.
    pub prefetch: PrefetchConfig,
    /// How fast each response is sent.
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
            slice: OrOff::Off,
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
    /// A regex for paths with one group: the number that is one more in the next path.
    pub pattern: Option<String>,
    /// Fetches what responses name in `Link` with `rel=prefetch`, of their own origin.
    pub link: Switch,
    /// How many are fetched ahead at once, on each route.
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
