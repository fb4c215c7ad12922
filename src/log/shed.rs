//! Figures of load shedding.

use prometheus::core::Collector;
use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::traffic::NAMED_WELL;

/// The priorities of routes, and the kinds of bounds, in the order in which
/// figures of them are given.
const PRIORITIES: [&str; 3] = ["low", "normal", "high"];
const BOUNDS: [&str; 3] = ["queue", "worker", "upstream"];

/// What was refused for the load, and how much is let in.
#[derive(Debug, Clone)]
pub(crate) struct ShedMetrics {
    refused: [IntCounter; PRIORITIES.len()],
    refused_by_priority: IntCounterVec,
    bounds: IntGaugeVec,
    waiting: IntGauge,
    routes: IntGauge,
}

impl ShedMetrics {
    pub(super) fn new() -> Self {
        let refused_by_priority = IntCounterVec::new(
            Opts::new(
                "tidegate_limit_shed_total",
                "Requests refused for the load, by the priority of their routes.",
            ),
            &["priority"],
        )
        .expect(NAMED_WELL);
        let bounds = IntGaugeVec::new(
            Opts::new(
                "tidegate_limit_shed_bound",
                "How many requests may wait at present, by what bounds them; not shown without a bound.",
            ),
            &["bound"],
        )
        .expect(NAMED_WELL);
        let gauge = |name, help| IntGauge::new(name, help).expect(NAMED_WELL);
        ShedMetrics {
            refused: PRIORITIES.map(|name| refused_by_priority.with_label_values(&[name])),
            refused_by_priority,
            bounds,
            waiting: gauge(
                "tidegate_limit_shed_waiting",
                "Requests that wait for an answer behind one bound, at most.",
            ),
            routes: gauge(
                "tidegate_limit_shed_routes",
                "Routes that requests are refused of for the load.",
            ),
        }
    }

    /// Counts a refusal by the place of its priority: low, normal, high.
    pub(crate) fn refused(&self, priority: usize) {
        if let Some(counter) = self.refused.get(priority) {
            counter.inc();
        }
    }

    /// How many may wait by the queue, a worker and an upstream, where there is
    /// a bound.
    pub(crate) fn set_bounds(&self, bounds: [Option<usize>; BOUNDS.len()]) {
        for (name, bound) in BOUNDS.into_iter().zip(bounds) {
            match bound {
                Some(bound) => self.bounds.with_label_values(&[name]).set(signed(bound)),
                // That there was none does not matter.
                None => drop(self.bounds.remove_label_values(&[name])),
            }
        }
    }

    /// How many requests wait, and of how many routes requests are refused.
    pub(crate) fn set_waiting(&self, waiting: usize, routes: usize) {
        self.waiting.set(signed(waiting));
        self.routes.set(signed(routes));
    }

    pub(super) fn collectors(&self) -> Vec<Box<dyn Collector>> {
        vec![
            Box::new(self.refused_by_priority.clone()),
            Box::new(self.bounds.clone()),
            Box::new(self.waiting.clone()),
            Box::new(self.routes.clone()),
        ]
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
