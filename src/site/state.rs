//! What outlives every reload: figures, the logs, and who is connected.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cache::Vault;
use crate::limit::{Figures, Ledger, Offence};
use crate::listen::{Event, Listener};
use crate::log::{Holding, Logs, Metrics, Protocol, Record, UpstreamMetrics};
use crate::networks::ClientKey;
use crate::waf::Memory;

use super::{Route, Site};

/// The state of the process, besides the site.
pub(crate) struct State {
    pub(crate) metrics: Metrics,
    pub(crate) logs: Logs,
    pub(crate) ledger: Ledger,
    /// What is kept of bodies until they are judged.
    pub(crate) held: Arc<Memory>,
    /// What is kept of answers; pingora asks it for as long as the process lives.
    pub(crate) vault: &'static Vault,
    // The process is about to end: no longer ready.
    draining: AtomicBool,
}

impl State {
    pub(crate) fn new(
        metrics: Metrics,
        logs: Logs,
        ledger: Ledger,
        vault: &'static Vault,
    ) -> Arc<Self> {
        Arc::new(State {
            metrics,
            logs,
            ledger,
            held: Arc::default(),
            vault,
            draining: AtomicBool::new(false),
        })
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

    /// Remembers what a client did wrong. A trusted proxy is never banned: it
    /// does what its clients do.
    pub(crate) fn penalise(&self, site: &Site, address: IpAddr, offence: Offence) {
        if !site.clients.trust(address) {
            self.ledger.penalise(&site.bans, ClientKey::from(address), offence);
            self.metrics.limits().offence(offence.as_str());
        }
    }

    /// Drops what has become worthless of clients, and sets the figures.
    pub(crate) fn tidy(&self) {
        let Figures { bans, keys, forgotten, waiting } = self.ledger.tidy();
        self.metrics.limits().set(keys, forgotten, waiting, bans);
    }

    /// Sets the figures of what is kept of answers.
    pub(crate) fn weigh(&self) {
        let figures = self.vault.store.figures();
        let memory =
            Holding { bytes: figures.memory.bytes, objects: figures.memory.objects as u64 };
        let disks = figures.disks.iter();
        let disk = Holding {
            bytes: disks.clone().map(|disk| disk.live_bytes).sum(),
            objects: disks.map(|disk| disk.objects).sum(),
        };
        self.metrics.cache().set([memory, disk]);
    }

    pub(crate) fn count(&self, _listener: &Listener, event: Event) {
        let connections = self.metrics.connections();
        match event {
            Event::Accepted => connections.accepted(),
            Event::Closed => connections.closed(),
            Event::SpeaksH1 => connections.speaks(Protocol::Http11),
            Event::SpeaksH2 => connections.speaks(Protocol::Http2),
            Event::Banned => connections.refused("banned"),
            Event::Full => connections.refused("full"),
            Event::ProxyHeader => connections.refused("proxy_header"),
            Event::Handshake(reason) => connections.handshake_failed(reason),
            Event::Cut(reason) => connections.cut(reason),
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
