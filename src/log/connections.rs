//! Figures of connections, from before there is a request to record.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use super::record::Protocol;
use super::traffic::NAMED_WELL;

/// What became of the connections that arrived.
#[derive(Debug)]
pub(crate) struct ConnectionMetrics {
    open: IntGauge,
    accepted: IntCounter,
    refused: IntCounterVec,
    handshakes_failed: IntCounterVec,
    cut: IntCounterVec,
    sessions: [IntCounter; Protocol::ALL.len()],
    sessions_by_protocol: IntCounterVec,
}

impl ConnectionMetrics {
    pub(super) fn new() -> Self {
        let sessions_by_protocol = by(
            "protocol",
            "tidegate_listen_sessions_total",
            "Connections by the protocol first spoken on them.",
        );
        ConnectionMetrics {
            open: IntGauge::new("tidegate_listen_connections_open", "Open client connections.")
                .expect(NAMED_WELL),
            accepted: IntCounter::new(
                "tidegate_listen_connections_accepted_total",
                "Client connections taken on.",
            )
            .expect(NAMED_WELL),
            refused: by(
                "reason",
                "tidegate_listen_connections_refused_total",
                "Client connections closed at once, by reason.",
            ),
            handshakes_failed: by(
                "reason",
                "tidegate_listen_handshakes_failed_total",
                "TLS handshakes that failed, by reason.",
            ),
            cut: by(
                "reason",
                "tidegate_listen_connections_cut_total",
                "Client connections cut off for what they asked of us, by reason.",
            ),
            sessions: Protocol::ALL
                .map(|protocol| sessions_by_protocol.with_label_values(&[protocol.as_str()])),
            sessions_by_protocol,
        }
    }

    /// A connection was taken on.
    pub(crate) fn accepted(&self) {
        self.accepted.inc();
        self.open.inc();
    }

    /// A connection that was taken on has ended.
    pub(crate) fn closed(&self) {
        self.open.dec();
    }

    /// A connection was closed at once. `reason` is a word of a closed set.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.refused.with_label_values(&[reason]).inc();
    }

    /// A TLS handshake failed. `reason` is a word of a closed set.
    pub(crate) fn handshake_failed(&self, reason: &'static str) {
        self.handshakes_failed.with_label_values(&[reason]).inc();
    }

    /// A connection was cut off. `reason` is a word of a closed set.
    pub(crate) fn cut(&self, reason: &'static str) {
        self.cut.with_label_values(&[reason]).inc();
    }

    /// The first request of a connection came in `protocol`.
    pub(crate) fn speaks(&self, protocol: Protocol) {
        self.sessions[protocol as usize].inc();
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.open.clone()),
            Box::new(self.accepted.clone()),
            Box::new(self.refused.clone()),
            Box::new(self.handshakes_failed.clone()),
            Box::new(self.cut.clone()),
            Box::new(self.sessions_by_protocol.clone()),
        ]
    }
}

fn by(label: &str, name: &str, help: &str) -> IntCounterVec {
    IntCounterVec::new(Opts::new(name, help), &[label]).expect(NAMED_WELL)
}
