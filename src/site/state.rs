//! What outlives every reload: figures, the logs, and who is connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::listen::{Event, Listener};
use crate::log::{Logs, Metrics, Protocol, Record, UpstreamMetrics};

use super::Route;

/// The state of the process, besides the site.
pub(crate) struct State {
    pub(crate) metrics: Metrics,
    pub(crate) logs: Logs,
    // The process is about to end: no longer ready.
    draining: AtomicBool,
}

impl State {
    pub(crate) fn new(metrics: Metrics, logs: Logs) -> Arc<Self> {
        Arc::new(State { metrics, logs, draining: AtomicBool::new(false) })
    }

    /// Gives a request's record to all its readers.
    pub(crate) fn remember(
        &self,
        record: &Record<'_>,
        route: Option<&Route>,
        upstream: Option<&UpstreamMetrics>,
    ) {
        self.logs.write(record);
        self.metrics.count(record, route.map(|route| &*route.metrics), upstream);
    }

    pub(crate) fn count(&self, _listener: &Listener, event: Event) {
        let connections = self.metrics.connections();
        match event {
            Event::Accepted => connections.accepted(),
            Event::Closed => connections.closed(),
            Event::SpeaksH1 => connections.speaks(Protocol::Http11),
            Event::SpeaksH2 => connections.speaks(Protocol::Http2),
            Event::Full => connections.refused("full"),
            Event::ProxyHeader => connections.refused("proxy_header"),
            Event::Handshake(reason) => connections.handshake_failed(reason),
        }
    }

    /// Says that the process is to end: it is not ready from here on.
    pub(crate) fn begin_draining(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}
