//! Figures of limits: what each rate limit did, and what is remembered for all.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts};

use super::family::Figures;
use super::traffic::NAMED_WELL;

/// The figures of one rate limit.
#[derive(Debug)]
pub(crate) struct RateMetrics {
    rejected: IntCounter,
    delayed: IntCounter,
}

impl RateMetrics {
    fn new(limit: &str) -> Self {
        let counter = |name: &str, help: &str| {
            IntCounter::with_opts(Opts::new(name, help).const_label("limit", limit))
                .expect(NAMED_WELL)
        };
        RateMetrics {
            rejected: counter(
                "tidegate_limit_rejected_total",
                "Requests without an allowance that were rejected.",
            ),
            delayed: counter(
                "tidegate_limit_delayed_total",
                "Requests and pieces of bodies that waited for an allowance.",
            ),
        }
    }

    pub(crate) fn rejected(&self) {
        self.rejected.inc();
    }

    pub(crate) fn delayed(&self) {
        self.delayed.inc();
    }
}

impl Figures for RateMetrics {
    fn named(name: &str) -> Self {
        RateMetrics::new(name)
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![Box::new(self.rejected.clone()), Box::new(self.delayed.clone())]
    }
}

/// What is remembered of keys and clients.
#[derive(Debug)]
pub(crate) struct LimitMetrics {
    keys: IntGauge,
    forgotten: IntGauge,
    waiting: IntGauge,
    bans: IntGauge,
    offences: IntCounterVec,
}

impl LimitMetrics {
    pub(super) fn new() -> Self {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help).expect(NAMED_WELL);
        LimitMetrics {
            keys: gauge("tidegate_limit_keys", "Keys whose allowance is not whole."),
            forgotten: gauge(
                "tidegate_limit_keys_forgotten",
                "Keys forgotten since the start before their allowance was whole.",
            ),
            waiting: gauge("tidegate_limit_waiting", "Requests that wait for an allowance."),
            bans: gauge("tidegate_limit_bans", "Clients and networks that are banned."),
            offences: IntCounterVec::new(
                Opts::new("tidegate_limit_offences_total", "What clients did wrong, by kind."),
                &["offence"],
            )
            .expect(NAMED_WELL),
        }
    }

    pub(crate) fn set(&self, keys: usize, forgotten: u64, waiting: usize, bans: usize) {
        let shown = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.keys.set(shown(keys));
        self.forgotten.set(i64::try_from(forgotten).unwrap_or(i64::MAX));
        self.waiting.set(shown(waiting));
        self.bans.set(shown(bans));
    }

    /// Somebody did wrong. `offence` is a word of a closed set.
    pub(crate) fn offence(&self, offence: &'static str) {
        self.offences.with_label_values(&[offence]).inc();
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.keys.clone()),
            Box::new(self.forgotten.clone()),
            Box::new(self.waiting.clone()),
            Box::new(self.bans.clone()),
            Box::new(self.offences.clone()),
        ]
    }
}
