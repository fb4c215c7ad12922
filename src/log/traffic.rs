//! Figures of one route and of one upstream: what a request adds to.
//!
//! A handle is made once for a name when a site is built; counting is then a
//! few atomic additions, without a look-up. Label values come from the
//! configuration or from closed sets, never from a client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Histogram, HistogramOpts, IntCounter, IntGauge, Opts};

use super::family::Figures;
use super::record::{Failure, Record};

/// Why making a metric of ours cannot fail.
pub(super) const NAMED_WELL: &str = "names and labels are constants that Prometheus allows";

/// Upper bounds of durations, in seconds: from a cache hit to a slow report.
const BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Statuses with a counter of their own; all others share their class's.
const STATUSES: [u16; 46] = [
    101, 200, 201, 202, 203, 204, 205, 206, 207, 300, 301, 302, 303, 304, 307, 308, 400, 401, 402,
    403, 404, 405, 406, 407, 408, 409, 410, 411, 412, 413, 414, 415, 416, 417, 421, 422, 425, 426,
    428, 429, 431, 500, 501, 502, 503, 504,
];
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// The figures of one route.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    requests: Statuses,
    duration: Histogram,
    received: IntCounter,
    sent: IntCounter,
}

/// The figures of one upstream.
#[derive(Debug)]
pub(crate) struct UpstreamMetrics {
    responses: Statuses,
    attempts: IntCounter,
    retries: IntCounter,
    failures: [IntCounter; Failure::ALL.len()],
    connect: Histogram,
    first_byte: Histogram,
    servers: IntGauge,
    healthy: IntGauge,
}

impl RouteMetrics {
    fn new(route: &str) -> Self {
        let subject = Subject { label: "route", name: route };
        RouteMetrics {
            requests: subject.statuses("tidegate_route_requests_total", "Requests by answer."),
            duration: subject
                .histogram("tidegate_route_duration_seconds", "From first byte in to last out."),
            received: subject
                .counter("tidegate_route_received_bytes_total", "Bytes of request bodies."),
            sent: subject.counter("tidegate_route_sent_bytes_total", "Bytes of answers' bodies."),
        }
    }

    pub(super) fn count(&self, record: &Record<'_>) {
        self.requests.inc(record.status);
        observe(&self.duration, record.duration);
        self.received.inc_by(record.bytes_in);
        self.sent.inc_by(record.bytes_out);
    }
}

impl Figures for RouteMetrics {
    fn named(name: &str) -> Self {
        RouteMetrics::new(name)
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.requests.clone()),
            Box::new(self.duration.clone()),
            Box::new(self.received.clone()),
            Box::new(self.sent.clone()),
        ]
    }
}

impl UpstreamMetrics {
    fn new(upstream: &str) -> Self {
        let subject = Subject { label: "upstream", name: upstream };
        UpstreamMetrics {
            responses: subject
                .statuses("tidegate_upstream_responses_total", "Answers of servers by status."),
            attempts: subject
                .counter("tidegate_upstream_attempts_total", "Requests sent to servers."),
            retries: subject.counter(
                "tidegate_upstream_retries_total",
                "Attempts after the first one of a request.",
            ),
            failures: Failure::ALL.map(|failure| subject.failures(failure)),
            connect: subject
                .histogram("tidegate_upstream_connect_seconds", "Time of new connections."),
            first_byte: subject.histogram(
                "tidegate_upstream_first_byte_seconds",
                "From an attempt's start to the first byte of its answer.",
            ),
            servers: subject.gauge("tidegate_balance_servers", "Servers known."),
            healthy: subject.gauge("tidegate_balance_servers_healthy", "Servers in rotation."),
        }
    }

    /// How many servers the upstream has, and how many of them are in rotation.
    pub(crate) fn set_servers(&self, servers: usize, healthy: usize) {
        self.servers.set(i64::try_from(servers).unwrap_or(i64::MAX));
        self.healthy.set(i64::try_from(healthy).unwrap_or(i64::MAX));
    }

    pub(super) fn count(&self, record: &Record<'_>) {
        let attempts = u64::from(record.attempts);
        self.attempts.inc_by(attempts);
        self.retries.inc_by(attempts.saturating_sub(1));
        for failure in record.failures {
            self.failures[*failure as usize].inc();
        }
        if let Some(status) = record.upstream_status {
            self.responses.inc(status);
        }
        if let Some(connect) = record.connect {
            observe(&self.connect, connect);
        }
        if let Some(first_byte) = record.first_byte {
            observe(&self.first_byte, first_byte);
        }
    }
}

impl Figures for UpstreamMetrics {
    fn named(name: &str) -> Self {
        UpstreamMetrics::new(name)
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        let mut all: Vec<Box<dyn Collector>> = vec![
            Box::new(self.responses.clone()),
            Box::new(self.attempts.clone()),
            Box::new(self.retries.clone()),
            Box::new(self.connect.clone()),
            Box::new(self.first_byte.clone()),
            Box::new(self.servers.clone()),
            Box::new(self.healthy.clone()),
        ];
        for failures in &self.failures {
            all.push(Box::new(failures.clone()));
        }
        all
    }
}

fn observe(histogram: &Histogram, duration: Duration) {
    histogram.observe(duration.as_secs_f64());
}

/// The route or upstream that figures are about.
#[derive(Clone, Copy)]
struct Subject<'a> {
    label: &'static str,
    name: &'a str,
}

impl Subject<'_> {
    fn opts(self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_label(self.label, self.name)
    }

    fn counter(self, name: &str, help: &str) -> IntCounter {
        IntCounter::with_opts(self.opts(name, help)).expect(NAMED_WELL)
    }

    fn gauge(self, name: &str, help: &str) -> IntGauge {
        IntGauge::with_opts(self.opts(name, help)).expect(NAMED_WELL)
    }

    fn histogram(self, name: &str, help: &str) -> Histogram {
        let opts = HistogramOpts::from(self.opts(name, help)).buckets(BUCKETS.to_vec());
        Histogram::with_opts(opts).expect(NAMED_WELL)
    }

    fn failures(self, failure: Failure) -> IntCounter {
        let opts = self
            .opts("tidegate_upstream_failures_total", "Attempts that failed, by kind.")
            .const_label("failure", failure.as_str());
        IntCounter::with_opts(opts).expect(NAMED_WELL)
    }

    fn statuses(self, name: &str, help: &str) -> Statuses {
        let labels = HashMap::from([(self.label.to_owned(), self.name.to_owned())]);
        let desc = Desc::new(name.to_owned(), help.to_owned(), vec!["status".to_owned()], labels)
            .expect(NAMED_WELL);
        let counts = std::array::from_fn(|_| AtomicU64::new(0));
        Statuses(Arc::new(StatusCounts { desc, counts }))
    }
}

/// A counter for each status, shown once it has counted: most never do.
#[derive(Debug, Clone)]
struct Statuses(Arc<StatusCounts>);

#[derive(Debug)]
struct StatusCounts {
    desc: Desc,
    counts: [AtomicU64; STATUSES.len() + CLASSES.len()],
}

impl Statuses {
    fn inc(&self, status: u16) {
        self.0.counts[slot(status)].fetch_add(1, Ordering::Relaxed);
    }

    fn metric(&self, slot: usize, count: u64) -> Metric {
        let mut status = LabelPair::default();
        status.set_name("status".to_owned());
        status.set_value(slot_name(slot));
        let mut labels = self.0.desc.const_label_pairs.clone();
        labels.push(status);
        labels.sort_by(|a, b| a.name().cmp(b.name()));
        let mut counter = Counter::default();
        counter.set_value(count as f64);
        let mut metric = Metric::from_label(labels);
        metric.set_counter(counter);
        metric
    }
}

impl Collector for Statuses {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.0.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let counts = self.0.counts.iter().map(|count| count.load(Ordering::Relaxed)).enumerate();
        let counted = counts.filter(|(_, count)| *count > 0);
        let metrics = counted.map(|(slot, count)| self.metric(slot, count)).collect();
        let mut family = MetricFamily::default();
        family.set_name(self.0.desc.fq_name.clone());
        family.set_help(self.0.desc.help.clone());
        family.set_field_type(MetricType::COUNTER);
        family.set_metric(metrics);
        vec![family]
    }
}

fn slot(status: u16) -> usize {
    STATUSES.binary_search(&status).unwrap_or_else(|_| {
        let class = usize::from(status / 100);
        STATUSES.len() + if class < CLASSES.len() { class } else { 0 }
    })
}

fn slot_name(slot: usize) -> String {
    match STATUSES.get(slot) {
        Some(status) => status.to_string(),
        None => CLASSES[slot - STATUSES.len()].to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, expected: &str) {
        assert_eq!(slot_name(slot(status)), expected, "{status}");
    }

    #[test]
    fn every_status_has_a_place() {
        check(200, "200");
        check(504, "504");
        check(101, "101");
        check(299, "2xx");
        check(418, "4xx");
        check(599, "5xx");
        check(0, "none");
        check(99, "none");
        check(600, "none");
        check(u16::MAX, "none");
        assert!(STATUSES.is_sorted());
    }
}
