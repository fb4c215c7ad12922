//! How a connection to a server is made: protocol, timeouts, pool.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pingora::protocols::ALPN;
use pingora::protocols::l4::ext::TcpKeepalive;
use pingora::protocols::l4::socket::SocketAddr;
use pingora::upstreams::peer::{HttpPeer, PeerOptions, Tracer, Tracing};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::units::{OrOff, Period};

use super::tls::{Tls, TlsParts};

/// The protocol spoken with servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Protocol {
    #[default]
    H1,
    H2,
    H2c,
}

/// The key `timeouts` of an upstream; none applies to tunnels but `connect`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Timeouts {
    /// Until the connection stands, TLS included.
    pub(crate) connect: Period,
    /// From the request sent to the first byte of the answer.
    pub(crate) first_byte: Period,
    /// Between two reads of the answer, or two writes of the request.
    pub(crate) between_bytes: Period,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Period::from_secs(1),
            first_byte: Period::from_secs(30),
            between_bytes: Period::from_secs(30),
        }
    }
}

/// The key `connections` of an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Connections {
    /// Open connections kept for the next request, in all.
    pub(crate) idle: usize,
    /// How long they are kept.
    pub(crate) idle_timeout: OrOff<Period>,
    /// Requests at the same time to one server, of all workers; 0 is no bound.
    /// Over HTTP/1 these are its busy connections; idle ones are not counted.
    pub(crate) max_per_server: usize,
}

impl Default for Connections {
    fn default() -> Self {
        Connections {
            idle: 128,
            idle_timeout: OrOff::Set(Period::from_secs(60)),
            max_per_server: 0,
        }
    }
}

/// What a request needs of its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// A request and its answer.
    Exchange,
    /// A gRPC call: either side may rightly be silent for long.
    Call,
    /// A WebSocket: HTTP/1 whatever the upstream's protocol.
    Upgrade,
}

/// What connections that are not shared with others add to the key of their pool.
const UPGRADE: u64 = 1;
const CALL: u64 = 2;
const ALONE: u64 = 3;

/// Where none are kept, connections are closed this soon after use.
const CLOSE_AT_ONCE: Duration = Duration::from_millis(1);
/// How long connections over the bound on idle ones are kept: just so long
/// that requests which come one after the other use them again.
const CLOSE_SOON: Duration = Duration::from_secs(1);
/// How often an h2 connection is asked whether it lives. Nothing else tells:
/// one deadline of one request must not end the connection of all others. After
/// pingora's 5 s without an answer it is closed and leaves the pool.
const H2_PING: Duration = Duration::from_secs(5);
/// The same for calls: servers of gRPC close a connection that pings more than
/// once in five minutes ("too_many_pings"), and every silent stream with it.
const CALL_PING: Duration = Duration::from_secs(310);
/// A silent connection is probed after so long, and is dead after as many
/// probes: about 30 s, the least that a firewall keeps a silent connection.
const PROBE_AFTER: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(5);
const PROBES: usize = 3;
/// What was sent must reach the server within this time, however short the
/// timeouts: a lost packet alone must not end a connection.
const LEAST_UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// Streams at the same time on one h2 connection to a server.
const H2_STREAMS: usize = 100;
/// What a server may send ahead of a slow client on one stream; pingora's 8 MiB
/// would let slow clients hold that much each.
const H2_STREAM_WINDOW: u32 = 256 << 10;
/// The same for a connection: as much as all its streams together, so that slow
/// clients do not use up the window of the others.
const H2_CONNECTION_WINDOW: u32 = H2_STREAMS as u32 * H2_STREAM_WINDOW;

/// Makes pingora's peers for the servers of one upstream.
#[derive(Debug)]
pub(crate) struct Connector {
    protocol: Protocol,
    tls: Option<TlsParts>,
    timeouts: Timeouts,
    connections: Connections,
    // Pingora's pool looks neither at the CA nor at the protocol.
    group: u64,
    open: Open,
    in_use: Arc<AtomicUsize>,
    // Connections that were made for one request each.
    alone: AtomicU64,
}

impl Connector {
    /// Reads certificates and keys; `name` keeps upstreams' pools apart.
    pub(crate) fn new(
        name: &str,
        protocol: Protocol,
        tls: Option<&Tls>,
        timeouts: &Timeouts,
        connections: &Connections,
    ) -> Result<Self, Faults> {
        let mut faults = Faults::none();
        for (key, period) in [
            ("connect", timeouts.connect),
            ("first_byte", timeouts.first_byte),
            ("between_bytes", timeouts.between_bytes),
        ] {
            if period.0.is_zero() {
                faults.extend(Faults::at(key, "must be longer than 0").under("timeouts"));
            }
        }
        if protocol == Protocol::H2 && tls.is_none() {
            faults.extend(Faults::at("protocol", "h2 needs tls; without it write h2c"));
        }
        if protocol == Protocol::H2c && tls.is_some() {
            faults.extend(Faults::at("protocol", "h2c is h2 without tls; with it write h2"));
        }
        let parts = tls.map(|tls| faults.collect("tls", TlsParts::new(tls)));
        faults.into_result(|| {
            let tls = parts.map_or(Some(None), |parts| parts.map(Some))?;
            let mut hasher = DefaultHasher::new();
            (name, protocol, &tls).hash(&mut hasher);
            Some(Connector {
                protocol,
                tls,
                timeouts: timeouts.clone(),
                connections: connections.clone(),
                group: hasher.finish(),
                open: Open::default(),
                in_use: Arc::default(),
                alone: AtomicU64::new(0),
            })
        })
    }

    /// A peer for one request to a server; `host` is what its certificate
    /// must say unless `tls.sni` says otherwise.
    pub(crate) fn peer(&self, address: SocketAddr, host: &str, need: Need) -> HttpPeer {
        let mut options = PeerOptions::new();
        options.connection_timeout = Some(self.timeouts.connect.0);
        options.total_connection_timeout = Some(self.timeouts.connect.0);
        // Pingora has one timeout for every read, and it runs while the client
        // still sends. Silence of servers is the deadline of the exchange.
        options.read_timeout = None;
        options.write_timeout = match need {
            Need::Exchange => Some(self.timeouts.between_bytes.0),
            Need::Call | Need::Upgrade => None,
        };
        options.tcp_keepalive = Some(self.keepalive(need));
        options.h2_ping_interval = Some(match need {
            Need::Exchange | Need::Upgrade => H2_PING,
            Need::Call => CALL_PING,
        });
        options.idle_timeout = self.idle_timeout();
        options.max_h2_streams = H2_STREAMS;
        options.h2_stream_window_size = Some(H2_STREAM_WINDOW);
        options.h2_connection_window_size = Some(H2_CONNECTION_WINDOW);
        options.alpn = match (self.protocol, need) {
            (Protocol::H1, _) | (_, Need::Upgrade) => ALPN::H1,
            (Protocol::H2 | Protocol::H2c, _) => ALPN::H2,
        };
        options.tracer = Some(Tracer(Box::new(self.open.clone())));
        let mut sni = String::new();
        let mut client_cert_key = None;
        if let Some(tls) = &self.tls {
            sni = tls.sni.clone().unwrap_or_else(|| host.to_owned());
            client_cert_key = tls.client.clone();
            options.verify_cert = tls.verify;
            options.verify_hostname = tls.verify;
            options.ca = tls.ca.clone();
        }
        // Connections differ by what they are for, too.
        let kind = match need {
            Need::Exchange => 0,
            Need::Upgrade => UPGRADE,
            Need::Call => CALL,
        };
        HttpPeer {
            _address: address,
            scheme: pingora::upstreams::peer::Scheme::from_tls_bool(self.tls.is_some()),
            sni,
            proxy: None,
            client_cert_key,
            group_key: self.group.wrapping_add(kind),
            options,
        }
    }

    /// Has a connection made for this request alone.
    pub(crate) fn anew(&self, peer: &mut HttpPeer) {
        // One that was just used waits in a pool for a moment, too.
        let number = self.alone.fetch_add(1, Ordering::Relaxed);
        peer.group_key = peer.group_key.wrapping_add(ALONE + number);
        peer.options.idle_timeout = Some(CLOSE_AT_ONCE);
    }

    /// Counts one more request on a connection, until that is dropped.
    pub(crate) fn begin(&self) -> InUse {
        self.in_use.fetch_add(1, Ordering::Relaxed);
        InUse(self.in_use.clone())
    }

    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    pub(crate) fn timeouts(&self) -> &Timeouts {
        &self.timeouts
    }

    /// Connections to the servers of this upstream that are open now.
    pub(crate) fn open_connections(&self) -> usize {
        self.open.count.load(Ordering::Relaxed)
    }

    /// How a connection whose server is gone without a word is noticed.
    fn keepalive(&self, need: Need) -> TcpKeepalive {
        let user_timeout = match need {
            // A server that does not read a tunnel for long is no dead one,
            // and to the kernel looks like it; zero leaves it to the system.
            Need::Upgrade => Duration::ZERO,
            Need::Exchange | Need::Call => self.timeouts.between_bytes.0.max(LEAST_UNACKNOWLEDGED),
        };
        TcpKeepalive { idle: PROBE_AFTER, interval: PROBE_EVERY, count: PROBES, user_timeout }
    }

    // Pingora bounds its pool over all upstreams together, and wants to know
    // before a request what becomes of its connection. One too many is that of
    // a request beside which there are as many as may be kept, or one that
    // finds as many idle.
    fn idle_timeout(&self) -> Option<Duration> {
        let most = self.connections.idle;
        if most == 0 {
            return Some(CLOSE_AT_ONCE);
        }
        let open = self.open_connections();
        let is_one_too_many = match self.protocol {
            Protocol::H1 => {
                let in_use = self.in_use.load(Ordering::Relaxed);
                in_use > most || open.saturating_sub(in_use) >= most
            }
            // A connection has many requests, so theirs say nothing of its use.
            Protocol::H2 | Protocol::H2c => open >= most,
        };
        let kept = self.connections.idle_timeout.set().map(|period| period.0);
        if is_one_too_many {
            return Some(kept.map_or(CLOSE_SOON, |kept| kept.min(CLOSE_SOON)));
        }
        kept
    }
}

/// One request on a connection to a server of an upstream.
#[derive(Debug)]
pub(crate) struct InUse(Arc<AtomicUsize>);

impl Drop for InUse {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts the open connections of one upstream.
#[derive(Debug, Clone, Default)]
struct Open {
    count: Arc<AtomicUsize>,
}

impl Tracing for Open {
    fn on_connected(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn on_disconnected(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn boxed_clone(&self) -> Box<dyn Tracing> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(protocol: Protocol, between_bytes: Duration) -> Connector {
        let timeouts = Timeouts { between_bytes: Period(between_bytes), ..Timeouts::default() };
        Connector::new("app", protocol, None, &timeouts, &Connections::default()).expect("good")
    }

    fn options(connector: &Connector, need: Need) -> PeerOptions {
        let address = SocketAddr::Inet("127.0.0.1:80".parse().expect("good"));
        connector.peer(address, "127.0.0.1", need).options
    }

    #[test]
    fn every_connection_is_asked_whether_it_lives() {
        let connector = connector(Protocol::H2c, Duration::from_millis(1));
        for (need, ping, user_timeout) in [
            (Need::Exchange, H2_PING, LEAST_UNACKNOWLEDGED),
            (Need::Call, CALL_PING, LEAST_UNACKNOWLEDGED),
            (Need::Upgrade, H2_PING, Duration::ZERO),
        ] {
            let options = options(&connector, need);
            assert_eq!(options.h2_ping_interval, Some(ping), "{need:?}");
            let keepalive = options.tcp_keepalive.expect("set");
            assert_eq!((keepalive.idle, keepalive.count), (PROBE_AFTER, PROBES), "{need:?}");
            assert_eq!(keepalive.user_timeout, user_timeout, "{need:?}");
        }
    }

    #[test]
    fn what_is_sent_may_take_as_long_as_a_write() {
        let minute = Duration::from_secs(60);
        let options = options(&connector(Protocol::H1, minute), Need::Exchange);
        assert_eq!(options.write_timeout, Some(minute));
        assert_eq!(options.tcp_keepalive.expect("set").user_timeout, minute);
    }

    #[test]
    fn connections_in_use_are_not_idle() {
        let connector = connector(Protocol::H1, Duration::from_secs(1));
        let most = Connections::default().idle;
        let kept = Connections::default().idle_timeout.set().map(|period| period.0);
        let mut requests: Vec<_> = (0..most).map(|_| connector.begin()).collect();
        (0..2 * most).for_each(|_| connector.open.on_connected());
        // As many in use as idle: one less of either is less than the most.
        assert_eq!(connector.idle_timeout(), Some(CLOSE_SOON));
        connector.open.on_disconnected();
        assert_eq!(connector.idle_timeout(), kept);
        requests.push(connector.begin());
        assert_eq!(connector.idle_timeout(), Some(CLOSE_SOON));
        requests.pop();
        assert_eq!(connector.idle_timeout(), kept);
        requests.pop();
        assert_eq!(connector.idle_timeout(), Some(CLOSE_SOON));
    }
}
