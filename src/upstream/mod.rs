//! How servers are talked to: connections, what they are told, and retries.
//!
//! Which server is asked is for `balance`; what the client sees of the answer
//! for `respond`.

mod connect;
pub(crate) mod framing;
pub(crate) mod headers;
mod retry;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use pingora::upstreams::peer::HttpPeer;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::balance::{self, Budget, Pool, Server};
use crate::fault::Faults;
use crate::limit::Gate;
use crate::log::UpstreamMetrics;
use crate::units::{Period, Switch};

use self::connect::Connector;

pub(crate) use self::connect::{Connections, InUse, Need, Protocol, Timeouts};
pub(crate) use self::retry::{Config as RetryConfig, Failed, Replay, Retries};
pub(crate) use self::tls::Tls;

/// One entry of `upstreams`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) servers: Vec<balance::ServerConfig>,
    /// Not ready while no server of this upstream is up.
    pub(crate) required: Switch,
    pub(crate) when_none_healthy: balance::WhenNoneHealthy,
    pub(crate) balance: balance::Balance,
    pub(crate) sticky: Option<balance::Sticky>,
    pub(crate) tls: Option<Tls>,
    /// What is spoken with servers: h1, h2 (with tls) or h2c.
    pub(crate) protocol: Protocol,
    pub(crate) health: Option<balance::Health>,
    /// Takes out servers that fail requests; `~` leaves all in.
    pub(crate) outlier: Option<balance::Outlier>,
    /// How long a server that comes back is spared.
    pub(crate) slow_start: Period,
    pub(crate) retries: RetryConfig,
    pub(crate) timeouts: Timeouts,
    pub(crate) connections: Connections,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            servers: Vec::new(),
            required: Switch::default(),
            when_none_healthy: balance::WhenNoneHealthy::default(),
            balance: balance::Balance::default(),
            sticky: None,
            tls: None,
            protocol: Protocol::default(),
            health: None,
            // Without it a dead server would use up the budget for retries.
            outlier: Some(balance::Outlier::default()),
            slow_start: Period::default(),
            retries: RetryConfig::default(),
            timeouts: Timeouts::default(),
            connections: Connections::default(),
        }
    }
}

/// An upstream that is ready to be asked.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: Arc<str>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) budget: Budget,
    pub(crate) retries: Retries,
    pub(crate) metrics: Arc<UpstreamMetrics>,
    /// Where requests for it may be too many.
    pub(crate) gate: Option<Arc<Gate>>,
    connector: Arc<Connector>,
}

impl Upstream {
    /// Checks everything; `previous` is the upstream of this name before a
    /// reload, whose servers keep what is known of them.
    pub(crate) fn new(
        name: &str,
        config: &Config,
        previous: Option<&Upstream>,
        metrics: Arc<UpstreamMetrics>,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        let retries = faults.collect("retries", Retries::new(&config.retries));
        let connector = Connector::new(
            name,
            config.protocol,
            config.tls.as_ref(),
            &config.timeouts,
            &config.connections,
        );
        let connector = connector.map(Arc::new).map_err(|found| faults.extend(found)).ok();
        let pool_config = balance::Config {
            servers: config.servers.clone(),
            required: config.required,
            when_none_healthy: config.when_none_healthy,
            balance: config.balance.clone(),
            sticky: config.sticky.clone(),
            health: config.health.clone(),
            outlier: config.outlier.clone(),
            slow_start: config.slow_start,
            max_per_server: config.connections.max_per_server,
            peer: connector.clone().map(check_peer),
        };
        let pool = Pool::new(name, &pool_config, previous.map(|upstream| &*upstream.pool));
        let pool = pool.map(Arc::new).map_err(|found| faults.extend(found)).ok();
        faults.into_result(|| {
            Some(Upstream {
                name: name.into(),
                pool: pool?,
                budget: Budget::new(config.retries.budget),
                retries: retries?,
                metrics,
                gate: None,
                connector: connector?,
            })
        })
    }

    /// The same behind a gate.
    pub(crate) fn behind(self, gate: Option<Arc<Gate>>) -> Self {
        Upstream { gate, ..self }
    }

    /// How pingora is to connect to `server`, and the use of that connection;
    /// `tunnel` is how long a write of a call or a tunnel may take.
    pub(crate) fn peer(&self, server: &Server, need: Need, tunnel: Duration) -> (HttpPeer, InUse) {
        let in_use = self.connector.begin();
        let mut peer = self.connector.peer(server.address().clone(), server.host(), need);
        if need != Need::Exchange {
            // Pingora looks at no deadline of ours while it waits for a write.
            peer.options.write_timeout = Some(tunnel);
        }
        (peer, in_use)
    }

    /// Lets an attempt, which is given no longer, hang neither on its
    /// connection nor on a write, where nobody looks at the clock of the request.
    pub(crate) fn hurry(peer: &mut HttpPeer, left: Duration) {
        let options = &mut peer.options;
        for timeout in [
            &mut options.connection_timeout,
            &mut options.total_connection_timeout,
            &mut options.write_timeout,
        ] {
            *timeout = Some(timeout.map_or(left, |timeout| timeout.min(left)));
        }
    }

    /// Lets no server close the connection just as it is used: for a request that
    /// could not be sent again.
    pub(crate) fn anew(&self, peer: &mut HttpPeer) {
        self.connector.anew(peer);
    }

    /// What is spoken with its servers, WebSockets aside.
    pub(crate) fn protocol(&self) -> Protocol {
        self.connector.protocol()
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        self.connector.timeouts()
    }
}

/// Health checks connect as requests do.
fn check_peer(connector: Arc<Connector>) -> Arc<balance::MakePeer> {
    Arc::new(move |server: &Server| {
        connector.peer(server.address().clone(), server.host(), Need::Exchange)
    })
}
