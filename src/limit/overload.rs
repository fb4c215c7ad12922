//! What becomes of a worker that gets more than it can do: clients, a server and
//! the turns of the worker's runtime in simulated time, before the real gates.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, advance};

use crate::listen::Beat;
use crate::log::Metrics;
use crate::units::{Count, OrOff, Period};

use super::gate::{Body, Gate};
use super::shed::{Arrival, Config, Priority, Shed, Slot, Waits};

const MS: Duration = Duration::from_millis(1);
const US: Duration = Duration::from_micros(1);
/// How many tasks a runtime polls before it looks for events, if it has so many.
const TURNS: usize = 61;
/// What is answered later is of no use.
const PATIENCE: Duration = Duration::from_secs(1);
/// Seconds until a load is borne, which do not count.
const WARM: u64 = 3;

/// What takes how long.
#[derive(Debug, Clone, Copy)]
struct Work {
    /// Of the worker: to read a request and judge it, to answer it, to refuse it.
    ask: Duration,
    answer: Duration,
    refuse: Duration,
    /// Of the server, on average.
    server: Duration,
}

/// One that compresses what it answers.
const CPU: Work = Work {
    ask: Duration::from_micros(50),
    answer: Duration::from_micros(3100),
    refuse: Duration::from_micros(15),
    server: MS,
};
/// One that passes bytes on: a refusal takes more than half of what an answer does.
const PLAIN: Work = Work {
    ask: Duration::from_micros(30),
    answer: Duration::from_micros(40),
    refuse: Duration::from_micros(15),
    server: Duration::from_micros(500),
};

/// Who asks.
#[derive(Debug, Clone, Copy)]
enum Load {
    /// So many a second at random moments, answered or not: of ten, one is of
    /// high priority and three of low.
    Open(f64),
    /// So many who ask again as soon as they are told anything, for what has low
    /// priority; beside them a hundred a second for what has high.
    Closed(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Asked(usize),
    ServerAnswers(usize),
    RefusalIsDue(usize),
    Beat,
}

struct Request {
    since: Instant,
    priority: Priority,
    slot: Option<Slot>,
    asks_again: bool,
}

/// What came of a load, after it was borne.
#[derive(Default)]
struct Came {
    answered: usize,
    asked: [usize; 3],
    refused: [usize; 3],
    // How long those of high priority took.
    high: Vec<Duration>,
}

impl Came {
    fn p99(&mut self) -> Duration {
        self.high.sort();
        self.high[self.high.len() * 99 / 100]
    }

    /// Refusals among a hundred of each priority.
    fn refused(&self) -> [usize; 3] {
        [0, 1, 2].map(|priority| 100 * self.refused[priority] / self.asked[priority].max(1))
    }
}

/// A worker, and all that it has to do with.
struct Simulation {
    work: Work,
    shed: Option<Arc<Shed>>,
    gate: Option<Arc<Gate>>,
    random: fastrand::Rng,
    // What happens outside of the worker, and when.
    events: BinaryHeap<Reverse<(Instant, Event)>>,
    // What it knows of, in turn.
    ready: VecDeque<Event>,
    turns: usize,
    requests: Vec<Request>,
    due: Instant,
    idle: Duration,
    counts_from: Instant,
    came: Came,
}

impl Simulation {
    fn new(work: Work, config: &Config) -> Simulation {
        let shed = Shed::new(config, 1, Metrics::new().shed());
        let gate = shed.as_ref().and_then(|shed| shed.gate("app"));
        let now = Instant::now();
        Simulation {
            work,
            shed,
            gate,
            random: fastrand::Rng::with_seed(7),
            events: BinaryHeap::new(),
            ready: VecDeque::new(),
            turns: 0,
            requests: Vec::new(),
            due: now,
            idle: Duration::ZERO,
            counts_from: now,
            came: Came::default(),
        }
    }

    /// Bears a load for so many seconds, of which the first do not count.
    async fn bear(&mut self, load: Load, seconds: u64, warm: u64) -> Came {
        let start = Instant::now();
        let end = start + Duration::from_secs(seconds);
        self.counts_from = start + Duration::from_secs(warm);
        self.requests.clear();
        self.events.clear();
        self.ready.clear();
        let rate = match load {
            Load::Open(rate) => rate,
            Load::Closed(clients) => {
                for _ in 0..clients {
                    let at = start + (10 * MS).mul_f64(self.random.f64());
                    self.ask(at, Priority::Low, true);
                }
                100.0
            }
        };
        let mut next = start;
        while next < end {
            next += Duration::from_secs_f64(-(1.0 - self.random.f64()).ln() / rate);
            let priority = match (load, self.random.u8(0..10)) {
                (Load::Closed(_), _) | (_, 0) => Priority::High,
                (_, 1..4) => Priority::Low,
                _ => Priority::Normal,
            };
            self.ask(next, priority, false);
        }
        self.happens(start + MS, Event::Beat);
        self.due = start + MS;
        while Instant::now() < end {
            self.turn().await;
        }
        std::mem::take(&mut self.came)
    }

    /// One turn of a runtime of one thread, as tokio's: it polls what is ready,
    /// and looks for events when that is done, or after a number of turns.
    async fn turn(&mut self) {
        let now = Instant::now();
        if self.ready.is_empty() || self.turns == TURNS {
            self.turns = 0;
            while let Some(Reverse((at, event))) = self.events.peek().copied() {
                if at > now && self.ready.is_empty() {
                    self.idle += at - now;
                    return advance(at - now).await;
                }
                if at > now {
                    break;
                }
                self.events.pop();
                self.ready.push_back(event);
            }
        }
        self.turns += 1;
        match self.ready.pop_front() {
            Some(Event::Asked(id)) => self.judge(id).await,
            Some(Event::ServerAnswers(id)) => self.answer(id).await,
            Some(Event::RefusalIsDue(id)) => self.refuse(id).await,
            Some(Event::Beat) => self.beat(now),
            None => {}
        }
    }

    fn beat(&mut self, now: Instant) {
        let beat = Beat { late: now - self.due, idle: std::mem::take(&mut self.idle) };
        if let Some(shed) = &self.shed {
            shed.beat(0, &beat);
        }
        // A timer's steps are of a millisecond.
        self.due = now + 11 * MS;
        self.happens(self.due, Event::Beat);
    }

    async fn judge(&mut self, id: usize) {
        advance(self.work.ask).await;
        let (now, priority) = (Instant::now(), self.requests[id].priority);
        let counts = usize::from(now >= self.counts_from);
        self.came.asked[priority as usize] += counts;
        let waits = Waits::ForServers(self.gate.as_ref());
        let arrival = Arrival { priority, worker: 0, body: Body::Here, waits };
        match self.shed.as_ref().map(|shed| shed.enter(&arrival)).transpose() {
            Ok(slot) => {
                self.requests[id].slot = slot;
                let server = self.work.server.mul_f64(0.5 + self.random.f64());
                self.happens(now + server, Event::ServerAnswers(id));
            }
            Err(crowded) => {
                self.came.refused[priority as usize] += counts;
                match crowded.pause {
                    Some(pause) => self.happens(now + pause, Event::RefusalIsDue(id)),
                    None => self.refuse(id).await,
                }
            }
        }
    }

    async fn answer(&mut self, id: usize) {
        if let Some(slot) = self.requests[id].slot.take() {
            slot.answered();
        }
        advance(self.work.answer).await;
        let (now, request) = (Instant::now(), &self.requests[id]);
        let took = now - request.since;
        if now >= self.counts_from {
            self.came.answered += usize::from(took <= PATIENCE);
            if request.priority == Priority::High {
                self.came.high.push(took);
            }
        }
        self.ask_again(id);
    }

    async fn refuse(&mut self, id: usize) {
        advance(self.work.refuse).await;
        self.ask_again(id);
    }

    fn ask_again(&mut self, id: usize) {
        if self.requests[id].asks_again {
            self.ask(Instant::now() + 50 * US, Priority::Low, true);
        }
    }

    fn ask(&mut self, since: Instant, priority: Priority, asks_again: bool) {
        self.happens(since, Event::Asked(self.requests.len()));
        self.requests.push(Request { since, priority, slot: None, asks_again });
    }

    fn happens(&mut self, at: Instant, event: Event) {
        self.events.push(Reverse((at, event)));
    }
}

fn config(queue: Option<usize>, latency: Option<Duration>) -> Config {
    Config {
        queue: queue.map_or(OrOff::Off, |queue| OrOff::Set(Count(queue))),
        latency: latency.map_or(OrOff::Off, |latency| OrOff::Set(Period(latency))),
    }
}

/// The most answers in a second.
fn peak(work: Work) -> f64 {
    1.0 / (work.ask + work.answer).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn at_three_times_what_a_worker_can_do_it_does_it() {
    for (work, latency) in [
        (CPU, 15 * MS),
        (Work { server: 5 * MS, ..CPU }, 17 * MS),
        (Work { answer: 1500 * US, ..CPU }, 10 * MS),
        (Work { answer: 10 * MS, ..CPU }, 50 * MS),
    ] {
        let (peak, shown) = (peak(work), format!("{work:?}, {latency:?}"));
        let mut off = Simulation::new(work, &config(None, None));
        let quiet = off.bear(Load::Open(peak / 2.0), 20, 0).await.p99();
        for queue in [None, Some(32)] {
            let mut simulation = Simulation::new(work, &config(queue, Some(latency)));
            let mut came = simulation.bear(Load::Open(3.0 * peak), 20 + WARM, WARM).await;
            let good = came.answered as f64 / 20.0 / peak;
            assert!(good > 0.9, "{shown}: {good}");
            assert!(came.p99() <= 2 * quiet, "{shown}: {:?}, {quiet:?} before", came.p99());
            let [low, normal, high] = came.refused();
            assert!(low > normal && high <= 3, "{shown}: {:?}", came.refused());
            let servers = simulation.gate.as_ref().and_then(|gate| gate.bound());
            assert_eq!(servers, None, "{shown}: they are not to blame");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_refused_and_asks_again_is_slowed_down() {
    let mut off = Simulation::new(PLAIN, &config(None, None));
    let before = off.bear(Load::Closed(1000), 2, 1).await.p99();
    for (queue, latency, most) in [
        (None, Some(10 * MS), 12),
        (None, Some(5 * MS), 6),
        (Some(32), Some(10 * MS), 3),
        (Some(32), None, 3),
    ] {
        let config = config(queue, latency);
        let mut simulation = Simulation::new(PLAIN, &config);
        let mut came = simulation.bear(Load::Closed(1000), 2 + WARM, WARM).await;
        let good = came.answered as f64 / 2.0 / peak(PLAIN);
        assert!(good > 0.9, "{config:?}: {good}");
        assert!(came.p99() <= most * MS, "{config:?}: {:?}, {before:?} before", came.p99());
        let [_, _, high] = came.refused();
        assert_eq!(high, 0, "{config:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_worker_can_do_is_not_refused_even_just_after_too_much() {
    let peak = peak(CPU);
    let mut simulation = Simulation::new(CPU, &config(None, Some(20 * MS)));
    simulation.bear(Load::Open(3.0 * peak), 10, 0).await;
    let came = simulation.bear(Load::Open(peak / 2.0), 5, 0).await;
    let refused: usize = came.refused.iter().sum();
    assert!(refused * 100 < came.answered, "{:?} of {}", came.refused, came.answered);
    let came = simulation.bear(Load::Open(peak * 0.7), 20, 0).await;
    let refused: usize = came.refused.iter().sum();
    assert!(refused * 500 < came.answered, "{:?} of {}", came.refused, came.answered);
}
