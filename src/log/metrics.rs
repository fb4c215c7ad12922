//! Figures for Prometheus, counted from the same record as the access log.
//!
//! Lives as long as the process: a reload that asks for a name again gets the
//! same counters.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus::{IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

use super::cache::CacheMetrics;
use super::connections::ConnectionMetrics;
use super::family::{Family, register};
use super::limits::{LimitMetrics, RateMetrics};
use super::record::{Method, Protocol, Record};
use super::shed::ShedMetrics;
use super::traffic::{NAMED_WELL, RouteMetrics, UpstreamMetrics};

/// Requests that no route took count under this name.
const UNROUTED: &str = "";
/// The logs whose lost lines are counted.
const ACCESS: &str = "access";
const ERROR: &str = "error";
const SECURITY: &str = "security";

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    named: Mutex<Named>,
    unrouted: Arc<RouteMetrics>,
    requests: [[IntCounter; Method::ALL.len()]; Protocol::ALL.len()],
    refusals: IntCounterVec,
    connections: ConnectionMetrics,
    limits: LimitMetrics,
    lines_dropped: IntCounterVec,
    refusals_skipped: IntCounter,
    shed: ShedMetrics,
    cache: CacheMetrics,
}

/// Counters of lost lines, for who opens the logs.
pub(crate) struct LinesDropped {
    pub(super) access: IntCounter,
    pub(crate) error: IntCounter,
    pub(super) security: IntCounter,
}

/// What is counted by names of the configuration.
#[derive(Debug, Default)]
struct Named {
    routes: Family<RouteMetrics>,
    upstreams: Family<UpstreamMetrics>,
    rate_limits: Family<RateMetrics>,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let requests = IntCounterVec::new(
            Opts::new("tidegate_proxy_requests_total", "Requests by protocol and method."),
            &["protocol", "method"],
        )
        .expect(NAMED_WELL);
        let refusals = IntCounterVec::new(
            Opts::new("tidegate_proxy_refusals_total", "Requests refused, by room and reason."),
            &["room", "refusal"],
        )
        .expect(NAMED_WELL);
        let lines_dropped = IntCounterVec::new(
            Opts::new(
                "tidegate_log_lines_dropped_total",
                "Log lines lost to a full, broken or stuck destination.",
            ),
            &["log"],
        )
        .expect(NAMED_WELL);
        for log in [ACCESS, ERROR, SECURITY] {
            lines_dropped.with_label_values(&[log]);
        }
        let refusals_skipped = IntCounter::new(
            "tidegate_log_refusals_skipped_total",
            "Refusals without a line in the security log: more than it takes per second.",
        )
        .expect(NAMED_WELL);
        let connections = ConnectionMetrics::new();
        let shed = ShedMetrics::new();
        register(&registry, shed.collectors());
        let cache = CacheMetrics::new();
        register(&registry, cache.collectors());
        let limits = LimitMetrics::new();
        register(&registry, connections.collectors());
        register(&registry, limits.collectors());
        register(
            &registry,
            vec![
                Box::new(requests.clone()),
                Box::new(refusals.clone()),
                Box::new(lines_dropped.clone()),
                Box::new(refusals_skipped.clone()),
            ],
        );
        let requests = Protocol::ALL.map(|protocol| {
            Method::ALL
                .map(|method| requests.with_label_values(&[protocol.as_str(), method.as_str()]))
        });
        let mut named = Named::default();
        let unrouted = named.routes.find(UNROUTED, &registry);
        let named = Mutex::new(named);
        Metrics {
            registry,
            named,
            unrouted,
            requests,
            refusals,
            connections,
            limits,
            lines_dropped,
            refusals_skipped,
            shed,
            cache,
        }
    }

    /// The figures of the route `name`, the same for every site that has it.
    pub(crate) fn route(&self, name: &str) -> Arc<RouteMetrics> {
        self.named().routes.find(name, &self.registry)
    }

    /// The figures of the upstream `name`, the same for every site that has it.
    pub(crate) fn upstream(&self, name: &str) -> Arc<UpstreamMetrics> {
        self.named().upstreams.find(name, &self.registry)
    }

    /// The figures of the rate limit `name`, the same for every site that has it.
    pub(crate) fn rate_limit(&self, name: &str) -> Arc<RateMetrics> {
        self.named().rate_limits.find(name, &self.registry)
    }

    /// Drops figures of names that no site has any more; for after a reload.
    ///
    /// Without it, a configuration whose names change would grow without end.
    pub(crate) fn forget_unused(&self) {
        let mut named = self.named();
        named.routes.forget_unused(&self.registry);
        named.upstreams.forget_unused(&self.registry);
        named.rate_limits.forget_unused(&self.registry);
    }

    /// Counts a request: of `route`, unless none took it, and of `upstream` if one was asked.
    pub(crate) fn count(
        &self,
        record: &Record<'_>,
        route: Option<&RouteMetrics>,
        upstream: Option<&UpstreamMetrics>,
    ) {
        let method = Method::of(record.method);
        self.requests[record.protocol as usize][method as usize].inc();
        route.unwrap_or(&self.unrouted).count(record);
        self.cache.count(record);
        if let Some(upstream) = upstream {
            upstream.count(record);
        }
        if let Some(cause) = &record.refusal {
            self.refusals.with_label_values(&[cause.room.as_str(), cause.tag]).inc();
        }
    }

    /// For who sheds load.
    pub(crate) fn shed(&self) -> ShedMetrics {
        self.shed.clone()
    }

    pub(crate) fn cache(&self) -> &CacheMetrics {
        &self.cache
    }

    pub(crate) fn connections(&self) -> &ConnectionMetrics {
        &self.connections
    }

    pub(crate) fn limits(&self) -> &LimitMetrics {
        &self.limits
    }

    /// Lines that were lost, by log.
    pub(crate) fn lines_dropped(&self) -> LinesDropped {
        let of = |log| self.lines_dropped.with_label_values(&[log]);
        LinesDropped { access: of(ACCESS), error: of(ERROR), security: of(SECURITY) }
    }

    /// Refusals without a line in the security log, for want of room.
    pub(super) fn refusals_skipped(&self) -> IntCounter {
        self.refusals_skipped.clone()
    }

    /// Prometheus' text format, `text/plain; version=0.0.4`.
    pub(crate) fn render(&self) -> String {
        TextEncoder::new()
            .encode_to_string(&self.registry.gather())
            .expect("gathered families have names and metrics")
    }

    fn named(&self) -> MutexGuard<'_, Named> {
        self.named.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::log::record::tests::plain;
    use crate::log::record::{Blame, Cause, Failure, Room};

    /// Whether exactly these samples of `name` are shown.
    fn check(metrics: &Metrics, name: &str, expected: &[&str]) {
        let text = metrics.render();
        let shown: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix(name))
            .filter(|rest| rest.starts_with(['{', ' ']))
            .collect();
        assert_eq!(shown, expected, "{text}");
    }

    #[test]
    fn counts_a_request_once_everywhere() {
        let metrics = Metrics::new();
        let (route, upstream) = (metrics.route("static"), metrics.upstream("app"));
        let record = Record {
            bytes_in: 5,
            attempts: 2,
            failures: &[Failure::Timeout],
            connect: Some(Duration::from_millis(3)),
            ..plain()
        };
        metrics.count(&record, Some(&route), Some(&upstream));
        let missing = Record { status: 404, upstream_status: Some(404), ..plain() };
        metrics.count(&missing, Some(&route), Some(&upstream));

        let route = "{route=\"static\"}";
        check(
            &metrics,
            "tidegate_route_requests_total",
            &["{route=\"static\",status=\"200\"} 1", "{route=\"static\",status=\"404\"} 1"],
        );
        check(
            &metrics,
            "tidegate_route_sent_bytes_total",
            &["{route=\"\"} 0", &format!("{route} 246")],
        );
        check(
            &metrics,
            "tidegate_route_received_bytes_total",
            &["{route=\"\"} 0", &format!("{route} 5")],
        );
        check(
            &metrics,
            "tidegate_route_duration_seconds_count",
            &["{route=\"\"} 0", &format!("{route} 2")],
        );
        let upstream = "{upstream=\"app\"}";
        check(&metrics, "tidegate_upstream_attempts_total", &[&format!("{upstream} 3")]);
        check(&metrics, "tidegate_upstream_retries_total", &[&format!("{upstream} 1")]);
        check(&metrics, "tidegate_upstream_connect_seconds_count", &[&format!("{upstream} 1")]);
        check(&metrics, "tidegate_upstream_first_byte_seconds_count", &[&format!("{upstream} 2")]);
        check(
            &metrics,
            "tidegate_upstream_failures_total",
            &[
                "{failure=\"closed\",upstream=\"app\"} 0",
                "{failure=\"connect\",upstream=\"app\"} 0",
                "{failure=\"protocol\",upstream=\"app\"} 0",
                "{failure=\"timeout\",upstream=\"app\"} 1",
                "{failure=\"tls\",upstream=\"app\"} 0",
            ],
        );
        check(
            &metrics,
            "tidegate_upstream_responses_total",
            &["{status=\"200\",upstream=\"app\"} 1", "{status=\"404\",upstream=\"app\"} 1"],
        );
        assert!(
            metrics.render().contains(
                "tidegate_proxy_requests_total{method=\"GET\",protocol=\"HTTP/1.1\"} 2\n"
            )
        );
    }

    #[test]
    fn counts_what_no_route_took() {
        let metrics = Metrics::new();
        let cause = Cause { room: Room::Route, tag: "no_route", rule: None, blame: Blame::Client };
        let record = Record { method: b"BREW", refusal: Some(cause), status: 404, ..plain() };
        metrics.count(&record, None, None);
        check(&metrics, "tidegate_route_requests_total", &["{route=\"\",status=\"404\"} 1"]);
        let refused = "{refusal=\"no_route\",room=\"route\"} 1";
        check(&metrics, "tidegate_proxy_refusals_total", &[refused]);
        assert!(metrics.render().contains("{method=\"other\",protocol=\"HTTP/1.1\"} 1\n"));
        check(&metrics, "tidegate_upstream_attempts_total", &[]);
    }

    #[test]
    fn counters_survive_a_reload() {
        let metrics = Metrics::new();
        let before = metrics.route("static");
        metrics.count(&plain(), Some(&before), None);
        let after = metrics.route("static");
        metrics.count(&plain(), Some(&after), None);
        drop(before);
        metrics.forget_unused();
        check(&metrics, "tidegate_route_requests_total", &["{route=\"static\",status=\"200\"} 2"]);
    }

    #[test]
    fn names_that_are_gone_are_forgotten_and_may_come_back() {
        let metrics = Metrics::new();
        metrics.count(&plain(), Some(&metrics.route("old")), Some(&metrics.upstream("gone")));
        metrics.forget_unused();
        check(&metrics, "tidegate_route_requests_total", &[]);
        check(&metrics, "tidegate_upstream_attempts_total", &[]);
        metrics.count(&plain(), Some(&metrics.route("old")), Some(&metrics.upstream("gone")));
        check(&metrics, "tidegate_route_requests_total", &["{route=\"old\",status=\"200\"} 1"]);
        check(&metrics, "tidegate_upstream_attempts_total", &["{upstream=\"gone\"} 1"]);
        metrics.count(&plain(), Some(&metrics.route("")), None);
        metrics.forget_unused();
        check(&metrics, "tidegate_route_requests_total", &["{route=\"\",status=\"200\"} 1"]);
    }

    #[test]
    fn names_cannot_leave_their_label() {
        let metrics = Metrics::new();
        let route = metrics.route("a\"} 1\nx{y=\"\\");
        metrics.count(&plain(), Some(&route), None);
        check(
            &metrics,
            "tidegate_route_requests_total",
            &["{route=\"a\\\"} 1\\nx{y=\\\"\\\\\",status=\"200\"} 1"],
        );
    }

    #[test]
    fn a_connection_is_open_until_it_is_closed() {
        let metrics = Metrics::new();
        let connections = metrics.connections();
        connections.accepted();
        connections.accepted();
        connections.speaks(Protocol::Http2);
        connections.refused("too_many");
        connections.handshake_failed("no_certificate");
        connections.closed();
        check(&metrics, "tidegate_listen_connections_open", &[" 1"]);
        connections.closed();
        check(&metrics, "tidegate_listen_connections_open", &[" 0"]);
        check(&metrics, "tidegate_listen_connections_accepted_total", &[" 2"]);
        check(&metrics, "tidegate_listen_connections_refused_total", &["{reason=\"too_many\"} 1"]);
        check(
            &metrics,
            "tidegate_listen_handshakes_failed_total",
            &["{reason=\"no_certificate\"} 1"],
        );
        check(
            &metrics,
            "tidegate_listen_sessions_total",
            &[
                "{protocol=\"HTTP/1.0\"} 0",
                "{protocol=\"HTTP/1.1\"} 0",
                "{protocol=\"HTTP/2.0\"} 1",
            ],
        );
    }

    #[test]
    fn shows_servers_and_lost_lines() {
        let metrics = Metrics::new();
        let upstream = metrics.upstream("app");
        upstream.set_servers(3, 2);
        metrics.lines_dropped().access.inc();
        check(&metrics, "tidegate_balance_servers", &["{upstream=\"app\"} 3"]);
        check(&metrics, "tidegate_balance_servers_healthy", &["{upstream=\"app\"} 2"]);
        let lost = ["{log=\"access\"} 1", "{log=\"error\"} 0", "{log=\"security\"} 0"];
        check(&metrics, "tidegate_log_lines_dropped_total", &lost);
    }
}
