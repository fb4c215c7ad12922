//! Active checks: asks every server again and again how it is.
//!
//! Servers start healthy, unless the process before knew better; the first check
//! of all decides alone. From then on `fall` bad checks in a row take one out,
//! `rise` good ones bring it back. The checks speak pingora's `HealthCheck`; TCP's is
//! pingora's own. Its HTTP check has one host and one SNI for all servers, so
//! ours asks each server by its own peer.

mod expect;
mod grpc;
mod http;
#[cfg(test)]
mod tests;
mod verdict;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::http::HeaderValue;
use ::http::uri::PathAndQuery;
use futures::{StreamExt, stream};
use log::{info, warn};
use pingora::lb::health_check::{HealthCheck, TcpHealthCheck};
use pingora::lb::{Backend, Extensions};
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::HttpPeer;
use pingora::{Error, ErrorType};
use tokio::time::{Instant, timeout};

use self::expect::Expected;
use self::grpc::GrpcProbe;
use self::http::HttpProbe;
pub(super) use self::verdict::Verdict;
use super::config::{GrpcCheck, Health, HttpCheck, MakePeer};
use super::members::Members;
use super::server::Server;
use crate::fault::Faults;

/// Servers checked at the same time.
const AT_ONCE: usize = 32;
/// An interval is this much shorter or longer, so that edges do not ask in step.
const JITTER: f64 = 0.1;
/// The kind of pingora errors that say what was wrong with an answer.
const UNHEALTHY: ErrorType = ErrorType::Custom("unhealthy");

/// How the servers of a pool are checked.
#[derive(Clone)]
pub(super) struct Checks {
    kind: Kind,
    interval: Duration,
    timeout: Duration,
    rise: usize,
    fall: usize,
    peer: Option<Arc<MakePeer>>,
}

#[derive(Debug, Clone)]
enum Kind {
    Http { path: PathAndQuery, host: Option<HeaderValue>, expected: Expected },
    Tcp,
    Grpc { service: String },
}

impl Checks {
    /// Faults are relative to `health`.
    pub(super) fn new(config: &Health, peer: Option<Arc<MakePeer>>) -> Result<Checks, Faults> {
        let mut faults = Faults::none();
        let kind = Kind::new(config).map_err(|bad| faults.extend(bad)).ok();
        for (key, period) in [("interval", config.interval), ("timeout", config.timeout)] {
            if period.0.is_zero() {
                faults.extend(Faults::at(key, "is 0; write a duration like 1s"));
            }
        }
        for (key, count) in [("rise", config.rise), ("fall", config.fall)] {
            if count == 0 {
                faults.extend(Faults::at(key, "is 0; write how many checks in a row"));
            }
        }
        faults.into_result(|| {
            Some(Checks {
                kind: kind?,
                interval: config.interval.0,
                timeout: config.timeout.0,
                rise: config.rise as usize,
                fall: config.fall as usize,
                peer,
            })
        })
    }
}

impl fmt::Debug for Checks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Checks").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Kind {
    fn new(config: &Health) -> Result<Kind, Faults> {
        match (&config.http, &config.tcp, &config.grpc) {
            (Some(http), None, None) => Kind::http(http).map_err(|faults| faults.under("http")),
            (None, Some(_), None) => Ok(Kind::Tcp),
            (None, None, Some(GrpcCheck { service })) => {
                Ok(Kind::Grpc { service: service.clone() })
            }
            (None, None, None) => Err(Faults::one("says not how; write http, tcp: {} or grpc: {}")),
            _ => Err(Faults::one("says more than one of http, tcp and grpc; keep one")),
        }
    }

    fn http(config: &HttpCheck) -> Result<Kind, Faults> {
        let mut faults = Faults::none();
        let path = PathAndQuery::try_from(config.path.as_str())
            .ok()
            .filter(|_| config.path.starts_with('/'))
            .ok_or_else(|| Faults::one(format!("`{}` is no path; write /healthz", config.path)));
        let path = faults.collect("path", path);
        let host = config.host.as_ref().map(|host| {
            ::http::uri::Authority::try_from(host.as_str())
                .ok()
                .and_then(|_| HeaderValue::try_from(host).ok())
                .ok_or_else(|| Faults::one(format!("`{host}` is no host; write app.internal")))
        });
        let host = faults.collect("host", host.transpose());
        let expected = faults.collect("expect", Expected::new(&config.expect));
        faults.into_result(|| Some(Kind::Http { path: path?, host: host?, expected: expected? }))
    }
}

/// Checks servers; has connections of its own.
pub(super) struct Checker {
    probe: Box<dyn HealthCheck + Send + Sync>,
    interval: Duration,
    timeout: Duration,
}

impl Checker {
    pub(super) fn new(checks: &Checks) -> Self {
        let Checks { kind, interval, timeout, rise, fall, peer } = checks.clone();
        let turns = Turns { rise, fall };
        let probe: Box<dyn HealthCheck + Send + Sync> = match kind {
            Kind::Tcp => {
                let mut probe = TcpHealthCheck::new();
                probe.consecutive_success = rise;
                probe.consecutive_failure = fall;
                probe.peer_template.options.connection_timeout = Some(timeout);
                probe
            }
            Kind::Http { path, host, expected } => {
                Box::new(HttpProbe::new(path, host, expected, Peers(peer), turns))
            }
            Kind::Grpc { service } => Box::new(GrpcProbe::new(&service, Peers(peer), turns)),
        };
        Checker { probe, interval, timeout }
    }

    /// The time from the start of a round to the next.
    pub(super) fn pause(&self) -> Duration {
        self.interval.mul_f64(1.0 - JITTER + 2.0 * JITTER * fastrand::f64())
    }

    /// Checks every server once.
    pub(super) async fn check(&self, members: &Members) {
        let checks = stream::iter(&members.list);
        checks.for_each_concurrent(AT_ONCE, |member| self.check_one(&member.server)).await;
    }

    async fn check_one(&self, server: &Arc<Server>) {
        let mut ext = Extensions::new();
        ext.insert(server.clone());
        let backend = Backend { addr: server.address().clone(), weight: 1, ext };
        let result = match timeout(self.timeout, self.probe.check(&backend)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(reason(&error)),
            Err(_) => Err(format!("no answer within {} ms", self.timeout.as_millis())),
        };
        self.judge(server, result);
    }

    /// Adds a check to what is known of the server.
    fn judge(&self, server: &Server, result: Result<(), String>) {
        let why = result.as_ref().err().cloned();
        let turn = self.probe.health_threshold(result.is_ok());
        if !server.verdict.observe(result, turn) {
            return;
        }
        match why {
            Some(why) => warn!("{server} is unhealthy: {why}"),
            None => {
                server.come_up(server.age_ms(Instant::now()));
                info!("{server} is healthy again");
            }
        }
    }
}

/// How many checks in a row change a server's standing.
#[derive(Debug, Clone, Copy)]
struct Turns {
    rise: usize,
    fall: usize,
}

impl Turns {
    fn threshold(self, success: bool) -> usize {
        if success { self.rise } else { self.fall }
    }
}

/// Makes the peers that checks connect to.
struct Peers(Option<Arc<MakePeer>>);

impl Peers {
    /// The server that a backend of ours stands for, and its peer.
    fn find<'b>(&self, backend: &'b Backend) -> pingora::Result<(&'b Server, HttpPeer)> {
        let server: &Arc<Server> = backend
            .ext
            .get()
            .ok_or_else(|| Error::explain(ErrorType::InternalError, "a backend without server"))?;
        let mut peer = match &self.0 {
            Some(make) => make(server),
            None => plain(server.address()),
        };
        // One stream a connection: pingora then keeps none of them for later.
        peer.options.max_h2_streams = 1;
        Ok((server, peer))
    }
}

/// A peer without TLS.
fn plain(address: &SocketAddr) -> HttpPeer {
    let unspecified = std::net::SocketAddr::from(([0, 0, 0, 0], 0));
    let mut peer = HttpPeer::new(unspecified, false, String::new());
    peer._address = address.clone();
    peer
}

/// An answer that is not that of a healthy server.
fn unhealthy<T>(what: String) -> pingora::Result<T> {
    Error::e_explain(UNHEALTHY, what)
}

/// What an operator needs to know of a failed check.
fn reason(error: &Error) -> String {
    match &error.context {
        Some(context) if error.etype == UNHEALTHY => context.as_str().to_owned(),
        // The contexts in between tell every option of the connection.
        _ => match error.root_cause().downcast_ref::<Error>() {
            Some(root) => root.etype().as_str().to_owned(),
            None => format!("{}: {}", error.etype().as_str(), error.root_cause()),
        },
    }
}
