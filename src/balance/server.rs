//! One server: who it is, and what is known of it across pools and reloads.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use pingora::protocols::l4::socket::SocketAddr;
use tokio::time::Instant;

use super::hash;
use super::health::Verdict;
use super::latency::Latency;
use super::outlier::Ejection;

/// The share of its weight that a server has when it comes up.
const FIRST_SHARE: f64 = 0.1;

/// Which server of a pool: a hash of the pool's name and the server's address.
///
/// The same in every process, so that a cookie may name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ServerId(pub(super) u64);

impl ServerId {
    fn new(pool: &str, address: &SocketAddr) -> Self {
        ServerId(hash::hash(&[pool.as_bytes(), address.to_string().as_bytes()]))
    }
}

/// As sticky cookies say it: 16 hexadecimal digits.
impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A server and everything that is known of it.
///
/// Atomics are relaxed throughout: they steer, and guard no other memory.
#[derive(Debug)]
pub(crate) struct Server {
    id: ServerId,
    pool: Arc<str>,
    name: Arc<str>,
    host: Arc<str>,
    address: SocketAddr,
    /// Other times of this server are milliseconds since then: its age.
    born: Instant,
    /// One more than the age at which it last came up; 0 if it always was.
    up_since: AtomicU64,
    in_flight: AtomicUsize,
    requests: AtomicU64,
    failures: AtomicU64,
    pub(super) latency: Latency,
    pub(super) verdict: Verdict,
    pub(super) ejection: Ejection,
}

impl Server {
    /// A server that was always up: nothing slows its start.
    pub(super) fn new(pool: Arc<str>, name: Arc<str>, host: Arc<str>, address: SocketAddr) -> Self {
        Server {
            id: ServerId::new(&pool, &address),
            pool,
            name,
            host,
            address,
            born: Instant::now(),
            up_since: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            requests: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            latency: Latency::default(),
            verdict: Verdict::default(),
            ejection: Ejection::default(),
        }
    }

    pub(crate) fn id(&self) -> ServerId {
        self.id
    }

    /// The address as configured, for logs.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The host part as configured, for TLS: a name, or an IP literal without brackets.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// What a Host header says unless told otherwise.
    pub(crate) fn authority(&self) -> &str {
        match &self.address {
            SocketAddr::Inet(_) => &self.name,
            SocketAddr::Unix(_) => &self.host,
        }
    }

    pub(crate) fn address(&self) -> &SocketAddr {
        &self.address
    }

    /// Whether both are the same server, so that one may stand for the other.
    pub(super) fn is_same(&self, other: &Server) -> bool {
        self.id == other.id && self.name == other.name
    }

    pub(super) fn age_ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.born).as_millis() as u64
    }

    /// Lets the weight grow from a tenth again, as of this age.
    pub(super) fn come_up(&self, age_ms: u64) {
        self.up_since.store(age_ms + 1, Ordering::Relaxed);
    }

    /// The share of its weight that a server has `slow_start` after coming up.
    pub(super) fn share_of_weight(&self, age_ms: u64, slow_start: Duration) -> f64 {
        let Some(since) = self.up_since.load(Ordering::Relaxed).checked_sub(1) else { return 1.0 };
        if slow_start.is_zero() {
            return 1.0;
        }
        let passed = age_ms.saturating_sub(since) as f64 / slow_start.as_millis() as f64;
        passed.clamp(FIRST_SHARE, 1.0)
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts one more request under way, unless there are `most` already.
    pub(super) fn begin(&self, most: Option<usize>) -> bool {
        let one_more = |count| most.is_none_or(|most| count < most).then_some(count + 1);
        let begun =
            self.in_flight.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok();
        if begun {
            self.requests.fetch_add(1, Ordering::Relaxed);
        }
        begun
    }

    pub(super) fn end(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// As log lines say it: `app: server app.internal:80 (10.0.0.1:80)`.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: server {}", self.pool, self.name)?;
        match &self.address {
            SocketAddr::Inet(address) if *address.ip().to_string() != *self.host => {
                write!(f, " ({address})")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str) -> Server {
        let address = SocketAddr::Inet("127.0.0.1:80".parse().expect("good"));
        Server::new("app".into(), format!("{host}:80").into(), host.into(), address)
    }

    #[test]
    fn logs_name_the_address_that_a_name_led_to() {
        assert_eq!(server("127.0.0.1").to_string(), "app: server 127.0.0.1:80");
        assert_eq!(server("localhost").to_string(), "app: server localhost:80 (127.0.0.1:80)");
    }

    #[test]
    fn weight_grows_from_a_tenth_after_coming_up() {
        let server = server("127.0.0.1");
        let slow_start = Duration::from_secs(10);
        assert_eq!(server.share_of_weight(0, slow_start), 1.0);
        server.come_up(5_000);
        for (age, share) in
            [(5_000, 0.1), (5_500, 0.1), (10_000, 0.5), (15_000, 1.0), (99_000, 1.0)]
        {
            assert_eq!(server.share_of_weight(age, slow_start), share, "at {age} ms");
        }
        assert_eq!(server.share_of_weight(5_000, Duration::ZERO), 1.0);
    }

    #[test]
    fn no_more_than_most_are_under_way() {
        let server = server("127.0.0.1");
        assert!(server.begin(Some(1)));
        assert!(!server.begin(Some(1)));
        assert!(server.begin(None));
        server.end();
        server.end();
        assert!(server.begin(Some(1)));
        assert_eq!(server.requests(), 3);
    }
}
