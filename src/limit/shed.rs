//! How much in all: whether there is room for one more request, by the priority
//! of its route, before those that are under way suffer.
//!
//! A request holds a [`Slot`] from when it is let in until its answer begins:
//! what takes long after that (a download, a tunnel, a stream) keeps nobody
//! waiting. What waits for servers stands within the bound of all requests, if
//! there is one, and within one that is found by how soon the servers of its
//! upstream answer; and all of it within one that is found by how late its
//! worker is. What is answered at once is let in always: to refuse it would
//! cost as much.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::fault::Faults;
use crate::listen::Beat;
use crate::log::ShedMetrics;
use crate::units::{Count, OrOff, Period};

use super::gate::{Body, Gate, Stay};
use super::hold::Hold;

/// How often a worker says how late it is.
const PULSE: Duration = Duration::from_millis(10);
/// A shorter latency could not be told from the steps of clocks.
const SHORTEST: Duration = Duration::from_millis(5);
/// Whom we refuse at the same time comes back at different ones, in seconds.
const RETRY_AFTER: u8 = 3;

/// The section `server.shed`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// The most requests that wait for answers of servers.
    pub(crate) queue: OrOff<Count>,
    /// How long an upstream may take to answer, and a worker be late.
    pub(crate) latency: OrOff<Period>,
}

impl Config {
    pub(crate) fn check(&self) -> Result<(), Faults> {
        let mut faults = Faults::none();
        if self.queue == OrOff::Set(Count(0)) {
            faults.extend(Faults::at("queue", "must be more than 0; write off for no bound"));
        }
        if self.latency.set().is_some_and(|latency| latency.0 < SHORTEST) {
            faults.extend(Faults::at("latency", "must be 5ms or longer; write off for no bound"));
        }
        faults.into_result(|| Some(()))
    }
}

/// The keys `priority` of a route and of `defaults`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Priority {
    Low,
    #[default]
    Normal,
    High,
}

impl Priority {
    /// The part of a bound that this priority may fill, one at least.
    pub(super) fn part_of(self, bound: usize) -> usize {
        let tenths = match self {
            Priority::Low => 6,
            Priority::Normal => 8,
            Priority::High => return bound,
        };
        // In this order, for there may be no bound.
        (bound / 10 * tenths + bound % 10 * tenths / 10).max(1)
    }
}

/// All bounds of a process; there is none where nothing is configured.
#[derive(Debug)]
pub(crate) struct Shed {
    queue: Option<Arc<Gate>>,
    workers: Vec<Worker>,
    latency: Option<Duration>,
    metrics: ShedMetrics,
    refusals: AtomicU8,
}

/// What bounds one worker; nothing, without a latency.
#[derive(Debug)]
struct Worker {
    gate: Arc<Gate>,
    hold: Hold,
}

/// What asks to be let in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival<'a> {
    pub(crate) priority: Priority,
    /// The index of the worker that serves it.
    pub(crate) worker: usize,
    pub(crate) body: Body,
    pub(crate) waits: Waits<'a>,
}

/// For whom a request waits.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Waits<'a> {
    /// For its worker alone.
    ForUs,
    /// For a server of the upstream with this gate, if it has one.
    ForServers(Option<&'a Arc<Gate>>),
}

/// Why there is no room.
#[derive(Debug, Clone)]
pub(crate) struct Crowded {
    /// For whom too many wait.
    pub(crate) rule: Arc<str>,
    /// Seconds after which it may be tried again.
    pub(crate) retry_after: u8,
    /// How long the refusal is to be held back.
    pub(crate) pause: Option<Duration>,
}

impl Shed {
    pub(crate) fn new(config: &Config, workers: usize, metrics: ShedMetrics) -> Option<Arc<Shed>> {
        if *config == Config::default() {
            return None;
        }
        let now = Instant::now();
        let latency = config.latency.set().map(|latency| latency.0);
        let worker = |index| {
            let name = format!("worker {index}");
            let gate = match latency {
                Some(latency) => Gate::of_worker(&name, latency, now),
                None => Gate::open(&name, now),
            };
            Worker { gate, hold: Hold::new(now) }
        };
        Some(Arc::new(Shed {
            queue: config.queue.set().map(|Count(most)| Gate::fixed("any server", most, now)),
            workers: (0..workers).map(worker).collect(),
            latency,
            metrics,
            refusals: AtomicU8::new(0),
        }))
    }

    /// A bound for those who wait for a server of an upstream; to be kept for
    /// as long as the upstream has this name.
    pub(crate) fn gate(&self, upstream: &str) -> Option<Arc<Gate>> {
        let name = format!("upstream {upstream}");
        Some(Gate::of_answers(&name, self.latency?, Instant::now()))
    }

    /// Refuses a request that would not be let in, before any work goes into it.
    pub(crate) fn check(&self, arrival: &Arrival<'_>) -> Result<(), Crowded> {
        let now = Instant::now();
        let mut gates = self.gates(arrival).into_iter().flatten();
        match gates.find(|gate| !gate.would_let_in(arrival.priority, now)) {
            Some(gate) => Err(self.refuse(arrival, gate, now)),
            None => Ok(()),
        }
    }

    /// Lets a request in, or not.
    pub(crate) fn enter(&self, arrival: &Arrival<'_>) -> Result<Slot, Crowded> {
        let now = Instant::now();
        let mut slot = Slot::default();
        for (gate, stay) in self.gates(arrival).into_iter().zip(&mut slot.stays) {
            let Some(gate) = gate else { continue };
            *stay = gate.enter(arrival.priority, arrival.body, now);
            if stay.is_none() {
                return Err(self.refuse(arrival, gate, now));
            }
        }
        Ok(slot)
    }

    /// What a request has to pass, the worker's gate last.
    fn gates<'a>(&'a self, arrival: &Arrival<'a>) -> [Option<&'a Arc<Gate>>; 3] {
        let [upstream, queue] = self.gates_of_servers(arrival.waits);
        let worker = self.workers.get(arrival.worker);
        [upstream, queue, worker.map(|worker| &worker.gate)]
    }

    fn gates_of_servers<'a>(&'a self, waits: Waits<'a>) -> [Option<&'a Arc<Gate>>; 2] {
        match waits {
            Waits::ForUs => [None, None],
            Waits::ForServers(upstream) => [upstream, self.queue.as_ref()],
        }
    }

    fn refuse(&self, arrival: &Arrival<'_>, gate: &Gate, now: Instant) -> Crowded {
        self.metrics.refused(arrival.priority as usize);
        let turn = self.refusals.fetch_add(1, Ordering::Relaxed);
        let worker = self.workers.get(arrival.worker);
        Crowded {
            rule: gate.name().clone(),
            retry_after: 1 + turn % RETRY_AFTER,
            pause: worker.and_then(|worker| worker.hold.pause(now)),
        }
    }

    fn worker_gates(&self) -> impl Iterator<Item = &Arc<Gate>> {
        self.workers.iter().map(|worker| &worker.gate)
    }

    /// How often a worker is to say how late it is.
    pub(crate) fn pulse(&self) -> Duration {
        PULSE
    }

    /// Hears how a worker does.
    pub(crate) fn beat(&self, worker: usize, beat: &Beat) {
        if let Some(worker) = self.workers.get(worker) {
            let now = Instant::now();
            worker.hold.beat(beat.idle, now);
            worker.gate.beat(beat, now);
        }
    }

    /// Whether requests are refused that wait for the same as these.
    pub(crate) fn is_shedding(&self, waits: Waits<'_>) -> bool {
        let of_servers = self.gates_of_servers(waits).into_iter().flatten();
        self.worker_gates().chain(of_servers).any(|gate| gate.is_shedding())
    }

    /// Sets the figures, and notices that nothing happens any more; to be called
    /// once in a while. `routes` of the site are shed at present.
    pub(crate) fn look<'a>(&self, upstreams: impl Iterator<Item = &'a Arc<Gate>>, routes: usize) {
        let now = Instant::now();
        let upstreams: Vec<&Arc<Gate>> = upstreams.collect();
        let gates =
            || self.queue.iter().chain(self.worker_gates()).chain(upstreams.iter().copied());
        gates().for_each(|gate| gate.look(now));
        let least = |gates: &mut dyn Iterator<Item = &Arc<Gate>>| {
            gates.filter_map(|gate| gate.bound()).min()
        };
        self.metrics.set_bounds([
            least(&mut self.queue.iter()),
            least(&mut self.worker_gates()),
            least(&mut upstreams.iter().copied()),
        ]);
        let waiting = gates().map(|gate| gate.waiting()).max().unwrap_or(0);
        self.metrics.set_waiting(waiting, routes);
    }
}

/// The right of one request to be waited for; it ends when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    stays: [Option<Stay>; 3],
}

impl Slot {
    /// The body of the request is here.
    pub(crate) fn sent(&mut self) {
        let now = Instant::now();
        self.stays.iter_mut().flatten().for_each(|stay| stay.sent(now));
    }

    /// The answer of a server begins.
    pub(crate) fn answered(mut self) {
        let (late, now) = (self.late(), Instant::now());
        for stay in &mut self.stays {
            if let Some(stay) = stay.take() {
                stay.answered(late, now);
            }
        }
    }

    /// How late our worker is, which is no server's fault.
    fn late(&self) -> Duration {
        let [_, _, worker] = &self.stays;
        worker.as_ref().map_or(Duration::ZERO, Stay::late)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let late = self.late();
        for stay in &mut self.stays {
            if let Some(stay) = stay.take() {
                stay.given_up(late, Instant::now());
            }
        }
    }
}
