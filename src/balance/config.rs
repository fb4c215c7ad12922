//! The words of `upstreams` that say which servers there are and who answers.

use std::sync::Arc;

use pingora::upstreams::peer::HttpPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::server::Server;
use crate::units::{Period, Share, Switch};

/// Makes the peer of a server with the TLS settings and protocol of its upstream.
pub(crate) type MakePeer = dyn Fn(&Server) -> HttpPeer + Send + Sync;

/// What a pool is made of; `upstream` reads the words and fills it in.
#[derive(Clone, Default)]
pub(crate) struct Config {
    pub servers: Vec<ServerConfig>,
    pub required: Switch,
    pub when_none_healthy: WhenNoneHealthy,
    pub balance: Balance,
    pub sticky: Option<Sticky>,
    pub health: Option<Health>,
    pub outlier: Option<Outlier>,
    pub slow_start: Period,
    /// The most requests at once on one server; 0 is no limit.
    pub max_per_server: usize,
    /// How active checks connect; without it they speak plain HTTP.
    pub peer: Option<Arc<MakePeer>>,
}

/// One of `servers`: an address, or an address with a weight and a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Written")]
pub(crate) struct ServerConfig {
    /// host:port, [v6]:port or unix:/path.
    pub address: String,
    /// Its part of the requests, relative to the other servers.
    pub weight: u32,
    /// Asked only while no other server can answer.
    pub backup: Switch,
}

impl Default for ServerConfig {
    fn default() -> Self {
        ServerConfig { address: String::new(), weight: 1, backup: Switch::OFF }
    }
}

impl From<&str> for ServerConfig {
    fn from(address: &str) -> Self {
        ServerConfig { address: address.to_owned(), ..ServerConfig::default() }
    }
}

/// The two ways to write a server.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write host:port, [v6]:port, unix:/path or { address: ... }")]
enum Written {
    Plain(String),
    Full(Full),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Full {
    /// host:port, [v6]:port or unix:/path.
    address: String,
    /// Its part of the requests, relative to the other servers.
    #[serde(default = "one")]
    weight: u32,
    /// Asked only while no other server can answer.
    #[serde(default)]
    backup: Switch,
}

fn one() -> u32 {
    ServerConfig::default().weight
}

impl From<Written> for ServerConfig {
    fn from(written: Written) -> Self {
        match written {
            Written::Plain(address) => ServerConfig::from(address.as_str()),
            Written::Full(Full { address, weight, backup }) => {
                ServerConfig { address, weight, backup }
            }
        }
    }
}

/// What happens to requests while no server is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenNoneHealthy {
    #[default]
    Refuse,
    /// Treat every server as up: better for checks that may be wrong together.
    TryAll,
}

/// How the server of a request is chosen.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Balance {
    /// In turn, by weight.
    #[default]
    RoundRobin,
    /// By chance, by weight.
    Random,
    /// The one of two with fewer requests under way.
    LeastRequests,
    /// The one of two expected to answer sooner.
    PeakEwma,
    /// The same server for the same key while it is up.
    ConsistentHash(Key),
}

/// What `consistent_hash` keeps on one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Key {
    ClientIp,
    Uri,
    Header(String),
    Cookie(String),
}

/// Keeps a client on the server that answered it first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sticky {
    /// The name of the cookie that remembers the server.
    pub cookie: String,
}

/// Active checks: exactly one of http, tcp and grpc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Health {
    /// Ask for a page and judge its status.
    pub http: Option<HttpCheck>,
    /// Only open a connection.
    pub tcp: Option<TcpCheck>,
    /// Ask grpc.health.v1.Health/Check.
    pub grpc: Option<GrpcCheck>,
    /// The time between two checks of a server, give or take a tenth.
    pub interval: Period,
    /// The longest wait for one check as a whole.
    pub timeout: Period,
    /// Good checks in a row that bring a server back.
    pub rise: u32,
    /// Bad checks in a row that take a server out.
    pub fall: u32,
}

impl Default for Health {
    fn default() -> Self {
        Health {
            http: None,
            tcp: None,
            grpc: None,
            interval: Period::from_secs(5),
            timeout: Period::from_secs(1),
            rise: 2,
            fall: 3,
        }
    }
}

/// A check over HTTP, with the protocol and TLS settings of the upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpCheck {
    pub path: String,
    /// The Host to ask for; the server's own address if absent.
    pub host: Option<String>,
    /// The statuses of a healthy server: one, a range, or a list of both.
    pub expect: Expect,
}

impl Default for HttpCheck {
    fn default() -> Self {
        HttpCheck {
            path: "/".to_owned(),
            host: None,
            expect: Expect::Single(Statuses::Range("200-299".to_owned())),
        }
    }
}

/// The statuses that a check expects, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write 200, 200-299 or a list of both")]
pub(crate) enum Expect {
    Single(Statuses),
    List(Vec<Statuses>),
}

/// One status or a range of them, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "write 200 or 200-299")]
pub(crate) enum Statuses {
    One(u16),
    Range(String),
}

/// A check that only connects.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TcpCheck {}

/// A check by the gRPC health checking protocol, over h2c or h2.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GrpcCheck {
    /// The service to ask about; empty asks about the server as a whole.
    pub service: String,
}

/// Passive checks: takes out a server whose answers to real requests fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Outlier {
    /// Failures in a row that take a server out.
    pub errors: u32,
    /// For how long; doubles when it happens again soon, up to ten times as long.
    pub eject: Period,
    /// The largest share of the servers that may be out at once. One of
    /// several always may, unless this is 0%; the only server never is.
    pub max_ejected: Share,
}

impl Default for Outlier {
    fn default() -> Self {
        Outlier { errors: 5, eject: Period::from_secs(10), max_ejected: Share::percent(50) }
    }
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
    fn a_server_is_a_text_or_a_mapping() {
        let plain = ServerConfig::from("127.0.0.1:80");
        check(json!("127.0.0.1:80"), Some(plain.clone()));
        check(json!({ "address": "127.0.0.1:80" }), Some(plain.clone()));
        let full = ServerConfig { weight: 3, backup: Switch::ON, ..plain };
        check(json!({ "address": "127.0.0.1:80", "weight": 3, "backup": true }), Some(full));
        for bad in [json!(80), json!({ "weight": 1 }), json!({ "address": "a:1", "wieght": 1 })] {
            check::<ServerConfig>(bad, None);
        }
    }

    #[test]
    fn a_balance_is_a_word_or_a_hash_with_its_key() {
        check(json!("peak_ewma"), Some(Balance::PeakEwma));
        check(json!({ "consistent_hash": "uri" }), Some(Balance::ConsistentHash(Key::Uri)));
        let header = Key::Header("x-user".to_owned());
        check(
            json!({ "consistent_hash": { "header": "x-user" } }),
            Some(Balance::ConsistentHash(header)),
        );
        for bad in [json!("fastest"), json!("consistent_hash"), json!({ "consistent_hash": "x" })] {
            check::<Balance>(bad, None);
        }
    }

    #[test]
    fn a_check_expects_a_status_a_range_or_a_list() {
        let range = || Statuses::Range("300-399".to_owned());
        check(json!(204), Some(Expect::Single(Statuses::One(204))));
        check(json!("300-399"), Some(Expect::Single(range())));
        check(json!([204, "300-399"]), Some(Expect::List(vec![Statuses::One(204), range()])));
        check::<Expect>(json!({}), None);
        check::<Expect>(json!(-1), None);
    }
}
