//! A configuration with every form that the rooms use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::networks::Network;
use crate::units::{ByteSize, OrOff, Period, Share, Switch};

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Fixture {
    pub(super) server: Server,
    pub(super) clients: Clients,
    pub(super) listeners: Vec<Listener>,
    pub(super) upstreams: BTreeMap<String, Upstream>,
    pub(super) cache: Cache,
    pub(super) routes: Vec<Route>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) threads: Option<u16>,
    pub(super) daemon: bool,
    pub(super) error_log: Option<PathBuf>,
    pub(super) token: String,
    pub(super) key: Option<String>,
    pub(super) drain: Period,
    pub(super) share: Option<Share>,
    pub(super) ratio: f64,
    pub(super) offset: i8,
    pub(super) connections: u64,
    pub(super) watch: Switch,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Clients {
    pub(super) trusted_proxies: Vec<Network>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) address: String,
    #[serde(default)]
    pub(super) protocols: Vec<Protocol>,
    #[serde(default)]
    pub(super) proxy_protocol: ProxyProtocol,
    #[serde(default)]
    pub(super) min_version: Option<TlsVersion>,
    #[serde(default)]
    pub(super) https_redirect: Option<Redirect>,
    #[serde(default)]
    pub(super) timeouts: Timeouts,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    H1,
    H2,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum ProxyProtocol {
    /// Never.
    #[default]
    Off,
    /// If there is one.
    Accept,
    /// Always.
    Require,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
pub(super) enum TlsVersion {
    #[serde(rename = "1.2")]
    Tls12,
    #[serde(rename = "1.3")]
    Tls13,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Redirect {
    Name(String),
    Port(u16),
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Timeouts {
    pub(super) header: Period,
    pub(super) total: OrOff<Period>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Upstream {
    pub(super) servers: Vec<Backend>,
    pub(super) discover: Option<Discover>,
    pub(super) balance: Balance,
    pub(super) health: Option<Health>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Backend {
    Address(String),
    Full(FullBackend),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FullBackend {
    pub(super) address: String,
    #[serde(default)]
    pub(super) weight: u16,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Discover {
    Dns(Dns),
    Srv(Srv),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Dns {
    pub(super) dns: String,
    pub(super) port: u16,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Srv {
    pub(super) srv: String,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Balance {
    #[default]
    RoundRobin,
    Random,
    ConsistentHash(HashBy),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum HashBy {
    ClientIp,
    Uri,
    Header(String),
    Cookie(String),
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Health {
    Http { path: String },
    Tcp { rise: u8 },
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Cache {
    pub(super) memory: ByteSize,
    pub(super) disks: Vec<String>,
    pub(super) profiles: BTreeMap<String, Profile>,
}

#[derive(Debug, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Profile {
    pub(super) statuses: BTreeMap<String, Period>,
    pub(super) max_object: OrOff<ByteSize>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Route {
    pub(super) upstream: String,
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) rate_limits: RateLimits,
    #[serde(default)]
    pub(super) range: Option<(u8, u8)>,
    #[serde(default)]
    pub(super) status: Option<Status>,
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum RateLimits {
    None(NoLimits),
    Names(Vec<String>),
}

impl Default for RateLimits {
    fn default() -> Self {
        RateLimits::Names(Vec::new())
    }
}

#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum NoLimits {
    None,
}

/// Says nothing in its schema of what it refuses.
#[derive(Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(try_from = "u16")]
#[schemars(with = "u16")]
pub(super) struct Status(pub(super) u16);

impl TryFrom<u16> for Status {
    type Error = String;

    fn try_from(status: u16) -> Result<Self, String> {
        if status < 600 { Ok(Status(status)) } else { Err(format!("`{status}` is no status")) }
    }
}

/// A text with all of it, and nothing wrong.
pub(super) const GOOD: &str = r#"
server:
  threads: ${TWO}
  daemon: off
  error_log: ~
  token: ${SECRET}
  key: ${UNSET:-}
  drain: 10s
  share: 20%
  ratio: 1
  offset: -3
  connections: 18446744073709551615
  watch: on
clients: { trusted_proxies: [10.0.0.0/8, "::1"] }
listeners:
  - address: 0.0.0.0:8080
    protocols: [h1, h2]
    proxy_protocol: false
    min_version: 1.2
    https_redirect: 8443
    timeouts: &timeouts { header: 10s, total: off }
  - address: 0.0.0.0:8081
    https_redirect: on
    timeouts: *timeouts
upstreams:
  app:
    servers: ["127.0.0.1:1", { address: "127.0.0.1:2", weight: 3 }]
    balance: { consistent_hash: { header: x-user } }
    health: { kind: tcp, rise: 2 }
  other:
    discover: { dns: app.internal, port: 9001 }
    balance: { consistent_hash: uri }
  third: {}
cache:
  memory: 64KiB
  profiles:
    media: { statuses: { 404: 1m }, max_object: false }
routes:
  - upstream: app
    headers: { x-version: 1.20, x-flag: true, x-empty: "" }
    rate_limits: none
    range: [1, 2]
    status: 404
  - upstream: other
    rate_limits: [a, b]
"#;
