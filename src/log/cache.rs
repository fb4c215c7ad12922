//! What the cache did for requests, and its figures.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGaugeVec, Opts};

use super::record::Record;
use super::traffic::NAMED_WELL;

/// Where the store keeps what it has.
const TIERS: [&str; 2] = ["memory", "disk"];

/// What the cache did for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheUse {
    /// The answer was stored, and where.
    Memory,
    Disk,
    /// The answer is that to another request, which was on its way.
    Collapsed,
    /// What was stored is stale, and was sent all the same.
    Stale,
    /// The server said that what is stored is good still.
    Revalidated,
    /// The server's answer is stored now.
    Miss,
    /// The server's answer is not stored.
    Pass,
}

impl CacheUse {
    pub(crate) const ALL: [CacheUse; 7] = [
        CacheUse::Memory,
        CacheUse::Disk,
        CacheUse::Collapsed,
        CacheUse::Stale,
        CacheUse::Revalidated,
        CacheUse::Miss,
        CacheUse::Pass,
    ];

    pub(crate) fn result(self) -> &'static str {
        match self {
            CacheUse::Memory | CacheUse::Disk => "hit",
            CacheUse::Collapsed => "collapsed",
            CacheUse::Stale => "stale",
            CacheUse::Revalidated => "revalidated",
            CacheUse::Miss => "miss",
            CacheUse::Pass => "pass",
        }
    }

    /// Where the answer comes from.
    pub(crate) fn source(self) -> &'static str {
        match self {
            CacheUse::Memory => "memory",
            CacheUse::Disk => "disk",
            CacheUse::Stale | CacheUse::Revalidated => "store",
            CacheUse::Collapsed => "fill",
            CacheUse::Miss | CacheUse::Pass => "server",
        }
    }
}

/// What became of a fetch of what no client had asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prefetched {
    Stored,
    /// It was there, or came by then.
    Fresh,
    NotStored,
    /// It was not begun, as too many were on their way.
    OverBudget,
}

impl Prefetched {
    fn result(self) -> &'static str {
        match self {
            Prefetched::Stored => "stored",
            Prefetched::Fresh => "fresh",
            Prefetched::NotStored => "not_stored",
            Prefetched::OverBudget => "over_budget",
        }
    }
}

/// What requests found, and what is kept.
#[derive(Debug)]
pub(crate) struct CacheMetrics {
    requests: [IntCounter; CacheUse::ALL.len()],
    by_result: IntCounterVec,
    fetches: IntCounter,
    prefetches: IntCounterVec,
    bytes: IntGaugeVec,
    objects: IntGaugeVec,
}

/// How much a tier of the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Holding {
    pub bytes: u64,
    pub objects: u64,
}

impl CacheMetrics {
    pub(super) fn new() -> Self {
        let by_result = IntCounterVec::new(
            Opts::new(
                "tidegate_cache_requests_total",
                "Requests on routes with a cache, by what became of them and where from.",
            ),
            &["result", "source"],
        )
        .expect(NAMED_WELL);
        let gauge = |name, help| IntGaugeVec::new(Opts::new(name, help), &["tier"]);
        CacheMetrics {
            requests: CacheUse::ALL
                .map(|used| by_result.with_label_values(&[used.result(), used.source()])),
            by_result,
            fetches: IntCounter::new(
                "tidegate_cache_background_fetches_total",
                "Fetches beside clients that were sent what was stale.",
            )
            .expect(NAMED_WELL),
            prefetches: IntCounterVec::new(
                Opts::new(
                    "tidegate_cache_prefetches_total",
                    "Fetches of what clients will ask for next, by what became of them.",
                ),
                &["result"],
            )
            .expect(NAMED_WELL),
            bytes: gauge("tidegate_cache_size_bytes", "Bytes that are kept.").expect(NAMED_WELL),
            objects: gauge("tidegate_cache_objects", "Responses that are kept.").expect(NAMED_WELL),
        }
    }

    pub(super) fn count(&self, record: &Record<'_>) {
        if let Some(used) = record.cache {
            self.requests[used as usize].inc();
        }
    }

    /// A fetch that no client waits for.
    pub(crate) fn fetched(&self) {
        self.fetches.inc();
    }

    /// A fetch of what no client has asked for.
    pub(crate) fn prefetched(&self, became: Prefetched) {
        self.prefetches.with_label_values(&[became.result()]).inc();
    }

    /// What memory and disks hold.
    pub(crate) fn set(&self, holdings: [Holding; TIERS.len()]) {
        for (tier, holding) in TIERS.into_iter().zip(holdings) {
            let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            self.bytes.with_label_values(&[tier]).set(signed(holding.bytes));
            self.objects.with_label_values(&[tier]).set(signed(holding.objects));
        }
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.by_result.clone()),
            Box::new(self.fetches.clone()),
            Box::new(self.prefetches.clone()),
            Box::new(self.bytes.clone()),
            Box::new(self.objects.clone()),
        ]
    }
}
