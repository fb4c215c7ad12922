//! The sections of the file: every key there is, each in its room's words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::access;
use crate::cache;
use crate::client;
use crate::files;
use crate::limit;
use crate::listen;
use crate::log;
use crate::respond;
use crate::route;
use crate::sanitise;
use crate::units::{ByteSize, OrOff, Period, Switch};
use crate::upstream;
use crate::waf;

/// The whole file.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) server: Server,
    pub(crate) admin: Admin,
    pub(crate) log: log::Config,
    pub(crate) clients: client::Config,
    pub(crate) listeners: Vec<Listener>,
    pub(crate) upstreams: BTreeMap<String, upstream::Config>,
    /// Named; each acts on the routes that list it.
    pub(crate) rate_limits: BTreeMap<String, limit::RateConfig>,
    pub(crate) bans: limit::BansConfig,
    /// Named; each acts on the routes that name it.
    pub(crate) waf: BTreeMap<String, waf::Config>,
    pub(crate) cache: cache::Config,
    pub(crate) defaults: Defaults,
    pub(crate) routes: Vec<Route>,
}

impl Config {
    /// The same without what only the file may say: the token, what servers are
    /// told in header fields, keys of links, and what may open other servers.
    pub(crate) fn without_secrets(&self) -> Config {
        let mut shown = self.clone();
        shown.admin.token.clear();
        shown.defaults.headers.hide_secrets();
        for route in &mut shown.routes {
            route.headers.hide_secrets();
            route.access.hide_secrets();
        }
        shown
    }
}

/// One entry of `listeners`.
pub(crate) type Listener = listen::Config<sanitise::Strict>;

/// The process: `server`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Server {
    /// Worker threads; the number of cores if absent.
    pub(crate) threads: Option<usize>,
    /// Leaves the terminal and runs in the background.
    pub(crate) daemon: Switch,
    /// Where the process id is written.
    pub(crate) pid_file: PathBuf,
    /// Where a new process takes the sockets over.
    pub(crate) upgrade_sock: PathBuf,
    /// The error log; standard error if absent.
    pub(crate) error_log: Option<PathBuf>,
    /// The user to run as, with `daemon`; only root may change it.
    pub(crate) user: Option<String>,
    /// The group to run as, with `daemon`; only root may change it. The user's own if absent.
    pub(crate) group: Option<String>,
    /// The longest wait for requests in flight at shutdown and upgrade.
    pub(crate) drain: Period,
    /// Open client connections of all listeners.
    pub(crate) connections: usize,
    /// Open connections of one client network.
    pub(crate) connections_per_client: usize,
    /// Requests of one client under way, on all its connections together.
    pub(crate) requests_per_client: u32,
    /// Past which load new requests are refused, by the priority of their routes.
    pub(crate) shed: limit::ShedConfig,
}

impl Server {
    /// The number of workers.
    pub(crate) fn workers(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.threads.unwrap_or_else(cores)
    }
}

impl Default for Server {
    fn default() -> Self {
        Server {
            threads: None,
            daemon: Switch::OFF,
            pid_file: PathBuf::from("run/tidegate.pid"),
            upgrade_sock: PathBuf::from("run/tidegate.sock"),
            error_log: None,
            user: None,
            group: None,
            drain: Period::from_secs(10),
            connections: 65_536,
            connections_per_client: 1024,
            requests_per_client: 512,
            shed: limit::ShedConfig::default(),
        }
    }
}

/// The admin listener: `admin`.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Admin {
    /// Where health, metrics and the API are served, or `off`.
    pub(crate) listen: String,
    /// Names under which it is asked, besides its address and localhost.
    pub(crate) hosts: Vec<String>,
    /// What every change must show; one is made if it is empty.
    pub(crate) token: String,
}

impl Default for Admin {
    fn default() -> Self {
        let listen = "127.0.0.1:9180".to_owned();
        Admin { listen, hosts: Vec::new(), token: String::new() }
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").field("listen", &self.listen).finish_non_exhaustive()
    }
}

/// What every route has unless it says otherwise: `defaults`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Defaults {
    /// Names of rate limits that every route has.
    pub(crate) rate_limits: Vec<String>,
    pub(crate) headers: respond::HeadersConfig,
    pub(crate) compress: Option<respond::CompressConfig>,
    pub(crate) error_pages: respond::ErrorPagesConfig,
    pub(crate) timeouts: RouteTimeouts,
    /// Which requests are refused first when all are too many: low ones.
    pub(crate) priority: limit::Priority,
    /// The rules against attacks: a name of `waf`, or `off`.
    pub(crate) waf: waf::Named,
    /// What the cache does: a name of `cache.profiles`, or `off`.
    pub(crate) cache: cache::Named,
}

/// One entry of `routes`: a match and one action.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Route {
    /// The name in logs and metrics; made of its place if absent.
    pub(crate) name: Option<String>,
    pub(crate) r#match: route::Match,
    /// The upstream that answers.
    pub(crate) upstream: Option<String>,
    /// Several upstreams and their weights.
    pub(crate) upstreams: BTreeMap<String, u32>,
    pub(crate) redirect: Option<route::RedirectConfig>,
    pub(crate) respond: Option<respond::FixedConfig>,
    pub(crate) files: Option<files::Config>,
    pub(crate) rewrite: Option<route::RewriteConfig>,
    /// Who may ask; all that is given must hold.
    pub(crate) access: access::Config,
    /// Names of rate limits, besides those of `defaults`; or `none`.
    pub(crate) rate_limits: limit::Listed,
    /// What pages of other origins may do.
    pub(crate) cors: Option<respond::CorsConfig>,
    pub(crate) headers: respond::HeadersConfig,
    pub(crate) compress: Option<respond::CompressConfig>,
    pub(crate) error_pages: respond::ErrorPagesConfig,
    pub(crate) timeouts: RouteTimeouts,
    pub(crate) limits: RouteLimits,
    /// That of `defaults` if absent.
    pub(crate) priority: Option<limit::Priority>,
    /// That of `defaults` if absent.
    pub(crate) waf: Option<waf::Named>,
    /// That of `defaults` if absent.
    pub(crate) cache: Option<cache::Named>,
}

/// The key `timeouts` of a route and of `defaults`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RouteTimeouts {
    /// From the first byte of a request to the last of its answer, all attempts
    /// together; not for streams. None where nobody says, so that a route can
    /// switch off what `defaults` say.
    pub(crate) total: Option<OrOff<Period>>,
}

/// The key `limits` of a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RouteLimits {
    /// The largest request body; the listener's if absent.
    pub(crate) body: Option<ByteSize>,
    /// Requests under way on this route; no bound if absent.
    pub(crate) concurrency: Option<u32>,
    /// The same of one client.
    pub(crate) concurrency_per_client: Option<u32>,
}
