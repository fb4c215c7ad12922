//! Who waits within one bound, and who is refused by it.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::time::Instant;

use crate::listen::Beat;
use crate::units::nanos;

use super::bound::{Bound, CALM, Judge, Now};
use super::shed::Priority;
use super::uploads::Uploads;

/// How often a bound is looked at, at most.
const STEP: Duration = Duration::from_millis(100);

/// A bound, and the requests within it.
// Two lines of cache: what one worker counts slows nobody else down.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Gate {
    name: Arc<str>,
    bound: Bound,
    began: Instant,
    // Requests whose answers are awaited, those of them of high priority, and
    // those that still arrive.
    waiting: AtomicUsize,
    high: AtomicUsize,
    uploads: Uploads,
    // When to look next, in nanoseconds after `began`.
    look_at: AtomicU64,
    // Of a worker, in nanoseconds: how late it is.
    late: AtomicU64,
    is_shedding: AtomicBool,
    // Since the last look.
    refused: AtomicUsize,
    look: Mutex<Look>,
}

/// What only who looks at a bound sees.
#[derive(Debug)]
struct Look {
    judge: Judge,
    refused_at: Instant,
    // Since the last judgement, and since shedding began.
    refused: usize,
    refused_in_all: usize,
}

impl Gate {
    /// A gate for so many requests.
    pub(super) fn fixed(name: &str, most: usize, now: Instant) -> Arc<Gate> {
        Gate::new(name, Bound::fixed(most), Duration::ZERO, now)
    }

    /// One behind which answers begin after `latency`.
    pub(super) fn of_answers(name: &str, latency: Duration, now: Instant) -> Arc<Gate> {
        Gate::new(name, Bound::of_answers(latency), latency, now)
    }

    /// One behind which a worker is late by no more than `latency`.
    pub(super) fn of_worker(name: &str, latency: Duration, now: Instant) -> Arc<Gate> {
        Gate::new(name, Bound::of_worker(latency), latency, now)
    }

    /// One without a bound, of a worker that nobody minds to be late.
    pub(super) fn open(name: &str, now: Instant) -> Arc<Gate> {
        Gate::new(name, Bound::none(), Duration::ZERO, now)
    }

    fn new(name: &str, bound: Bound, latency: Duration, now: Instant) -> Arc<Gate> {
        let judge = Judge::new(latency, now);
        Arc::new(Gate {
            name: name.into(),
            bound,
            began: now,
            waiting: AtomicUsize::new(0),
            high: AtomicUsize::new(0),
            uploads: Uploads::default(),
            look_at: AtomicU64::new(nanos(STEP)),
            late: AtomicU64::new(0),
            is_shedding: AtomicBool::new(false),
            refused: AtomicUsize::new(0),
            look: Mutex::new(Look { judge, refused_at: now, refused: 0, refused_in_all: 0 }),
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The most requests that may wait at present, if there is a bound.
    pub(super) fn bound(&self) -> Option<usize> {
        self.bound.get()
    }

    /// The requests that wait for an answer.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Relaxed) + self.uploads.count()
    }

    /// Whether requests were refused in the last seconds.
    pub(super) fn is_shedding(&self) -> bool {
        self.is_shedding.load(Relaxed)
    }

    /// Lets a request in, if there is room for its priority.
    pub(super) fn enter(
        self: &Arc<Self>,
        priority: Priority,
        body: Body,
        now: Instant,
    ) -> Option<Stay> {
        self.look(now);
        // Counted before it is judged, lest two take the last place.
        let (before, upload) = match body {
            Body::Here => (self.waiting.fetch_add(1, Relaxed) + self.uploads.count(), None),
            Body::ToCome => {
                let age = self.age(now);
                (self.uploads.begin(age) + self.waiting.load(Relaxed), Some(age))
            }
        };
        let is_high = priority == Priority::High;
        let high = if is_high { self.high.fetch_add(1, Relaxed) } else { 0 };
        let changes = self.bound.changes();
        let stay = Stay { gate: self.clone(), changes, since: now, upload, is_high };
        if !self.has_room(priority, before, high) {
            self.refused.fetch_add(1, Relaxed);
            return None;
        }
        self.bound.crowd(before + 1);
        Some(stay)
    }

    /// Whether a request would be let in; it is counted as refused if not.
    pub(super) fn would_let_in(&self, priority: Priority, now: Instant) -> bool {
        self.look(now);
        let has_room = self.has_room(priority, self.waiting(), self.high.load(Relaxed));
        if !has_room {
            self.refused.fetch_add(1, Relaxed);
        }
        has_room
    }

    fn has_room(&self, priority: Priority, waiting: usize, high: usize) -> bool {
        // Who was let in before a bound was narrowed takes nothing of the part
        // that is for high priority alone.
        let is_spared = priority == Priority::High && high < self.bound.spared();
        is_spared || waiting < priority.part_of(self.bound.number())
    }

    /// Hears how its worker does.
    pub(super) fn beat(&self, beat: &Beat, now: Instant) {
        // Nobody else writes it.
        let faded = self.late.load(Relaxed) / 4 * 3;
        self.late.store(faded + nanos(beat.late) / 4, Relaxed);
        self.bound.beat(beat);
        self.look(now);
    }

    /// How late its worker is of late.
    pub(super) fn late(&self) -> Duration {
        Duration::from_nanos(self.late.load(Relaxed))
    }

    /// Looks at the bound, if it is time to.
    pub(super) fn look(&self, now: Instant) {
        let age = self.age(now);
        if nanos(age) < self.look_at.load(Relaxed) {
            return;
        }
        // Who comes second need not look.
        let Ok(mut look) = self.look.try_lock() else { return };
        self.look_at.store(nanos(age + STEP), Relaxed);
        self.uploads.forget(age);
        self.count_refused(&mut look, now);
        let calm = look.calm(now);
        let now = Now { at: now, waiting: self.waiting(), refused: look.refused, calm };
        if self.bound.judge(&mut look.judge, &now) {
            look.refused = 0;
        }
    }

    fn count_refused(&self, look: &mut Look, now: Instant) {
        let (name, refused) = (&self.name, self.refused.swap(0, Relaxed));
        look.refused += refused;
        look.refused_in_all += refused;
        if refused > 0 {
            look.refused_at = now;
            if !self.is_shedding.swap(true, Relaxed) {
                let bound = self.bound.number();
                ::log::warn!("shedding load: at most {bound} requests may wait for {name}");
            }
        } else if self.is_shedding() && look.calm(now) >= CALM {
            self.is_shedding.store(false, Relaxed);
            let refused = std::mem::take(&mut look.refused_in_all);
            ::log::warn!("no load is shed for {name} any more; {refused} requests were refused");
        }
    }

    fn age(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }
}

impl Look {
    fn calm(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.refused_at)
    }
}

/// Whether the body of a request has arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    Here,
    ToCome,
}

/// One request's stay within a gate, until this is dropped.
#[derive(Debug)]
pub(super) struct Stay {
    gate: Arc<Gate>,
    // Of the bound, when it was let in.
    changes: usize,
    since: Instant,
    // While its body arrives: the age of the gate when it began.
    upload: Option<Duration>,
    is_high: bool,
}

impl Stay {
    /// How late the worker is whose gate it is.
    pub(super) fn late(&self) -> Duration {
        self.gate.late()
    }

    /// The body is here: what is waited for from now on is the answer.
    pub(super) fn sent(&mut self, now: Instant) {
        if let Some(age) = self.upload.take() {
            self.gate.waiting.fetch_add(1, Relaxed);
            self.gate.uploads.end(age);
            self.since = now;
        }
    }

    /// The answer begins; our worker is `late`.
    pub(super) fn answered(self, late: Duration, now: Instant) {
        let took = now.saturating_duration_since(self.since);
        self.gate.bound.answered(took, late, self.changes);
        self.gate.look(now);
    }

    /// There will be no answer.
    pub(super) fn given_up(self, late: Duration, now: Instant) {
        if self.upload.is_none() {
            let waited = now.saturating_duration_since(self.since);
            self.gate.bound.given_up(waited, late, self.changes);
        }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        if self.is_high {
            self.gate.high.fetch_sub(1, Relaxed);
        }
        match self.upload {
            Some(age) => self.gate.uploads.end(age),
            None => {
                self.gate.waiting.fetch_sub(1, Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::{BinaryHeap, VecDeque};

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// A number of servers that take work of this length, one at a time each,
    /// from one queue, in simulated time.
    #[derive(Clone, Copy)]
    struct Servers {
        number: usize,
        work: Duration,
        // Whether all work is as long, or exponentially distributed.
        is_even: bool,
    }

    /// What came of a load, of requests of high priority the times they took.
    #[derive(Default)]
    struct Came {
        answered: usize,
        refused: [usize; 3],
        high: Vec<Duration>,
    }

    impl Came {
        fn p99(&self) -> Duration {
            let mut sorted = self.high.clone();
            sorted.sort();
            sorted[sorted.len() * 99 / 100]
        }
    }

    impl Servers {
        /// Answers in a second, at most.
        fn capacity(self) -> f64 {
            self.number as f64 / self.work.as_secs_f64()
        }

        /// Requests at random moments, so many a second, for a minute; of ten, one is of
        /// high priority and three of low. The first `warm` seconds are left out of the times.
        fn bear(self, rate: f64, gate: Option<&Arc<Gate>>, start: Instant, warm: u64) -> Came {
            let mut random = fastrand::Rng::with_seed(7);
            let mut pause = |mean: f64| Duration::from_secs_f64(-mean * (1.0 - random.f64()).ln());
            let mut choice = fastrand::Rng::with_seed(8);
            let (mut came, mut now) = (Came::default(), start);
            let mut next = now + pause(1.0 / rate);
            let mut work = fastrand::Rng::with_seed(9);
            let mut work = || match self.is_even {
                true => self.work,
                false => self.work.mul_f64(-(1.0 - work.f64()).ln()),
            };
            let mut busy: BinaryHeap<Reverse<(Instant, usize)>> = BinaryHeap::new();
            let mut queue = VecDeque::new();
            let mut requests: Vec<(Instant, Priority, Option<Stay>)> = Vec::new();
            while now < start + Duration::from_secs(60) {
                if let Some(Reverse((end, _))) = busy.peek().filter(|Reverse((end, _))| *end < next)
                {
                    now = *end;
                    let Some(Reverse((_, done))) = busy.pop() else { unreachable!() };
                    let (since, priority, stay) = &mut requests[done];
                    came.answered += 1;
                    if *priority == Priority::High && now > start + Duration::from_secs(warm) {
                        came.high.push(now - *since);
                    }
                    stay.take().into_iter().for_each(|stay| stay.answered(Duration::ZERO, now));
                    if let Some(waiting) = queue.pop_front() {
                        busy.push(Reverse((now + work(), waiting)));
                    }
                    continue;
                }
                now = next;
                next += pause(1.0 / rate);
                let priority = match choice.u8(0..10) {
                    0 => Priority::High,
                    1..4 => Priority::Low,
                    _ => Priority::Normal,
                };
                let stay = gate.map(|gate| gate.enter(priority, Body::Here, now));
                if matches!(stay, Some(None)) {
                    came.refused[priority as usize] += 1;
                    continue;
                }
                requests.push((now, priority, stay.flatten()));
                match busy.len() < self.number {
                    true => busy.push(Reverse((now + work(), requests.len() - 1))),
                    false => queue.push_back(requests.len() - 1),
                }
            }
            came
        }
    }

    /// A beat of a worker that has no time to spare.
    fn late(late: Duration) -> Beat {
        Beat { late, idle: Duration::ZERO }
    }

    fn gate(latency: Duration, start: Instant) -> Arc<Gate> {
        Gate::of_answers("the servers", latency, start)
    }

    #[test]
    fn at_three_times_what_servers_can_do_they_do_it() {
        let start = Instant::now();
        for (number, work, is_even) in [
            (1, 20 * MS, true),
            (4, 50 * MS, false),
            (20, 50 * MS, true),
            (20, 50 * MS, false),
            (20, 200 * MS, false),
            (100, 50 * MS, false),
            (50, 1000 * MS, true),
        ] {
            let servers = Servers { number, work, is_even };
            let (capacity, latency) = (servers.capacity(), work * 3 / 2);
            let quiet = servers.bear(capacity / 2.0, None, start, 0);
            let busy = servers.bear(3.0 * capacity, Some(&gate(latency, start)), start, 12);
            let shown = format!("{number} servers, {work:?}, even: {is_even}");
            let good = busy.answered as f64 / 60.0 / capacity;
            assert!(good > 0.9, "{shown}: {good}");
            let (high, before) = (busy.p99(), quiet.p99());
            assert!(high <= 2 * before, "{shown}: {high:?}, {before:?} before");
            let [low, normal, high] = busy.refused;
            assert!(low > normal / 2 && high * 20 < normal, "{shown}: {:?}", busy.refused);
        }
    }

    #[test]
    fn without_a_gate_the_same_load_is_a_queue_without_end() {
        let servers = Servers { number: 20, work: 50 * MS, is_even: true };
        let came = servers.bear(3.0 * servers.capacity(), None, Instant::now(), 12);
        assert!(came.p99() > 200 * servers.work, "{:?}", came.p99());
    }

    #[test]
    fn what_servers_can_do_is_not_refused() {
        let start = Instant::now();
        let servers = Servers { number: 20, work: 50 * MS, is_even: false };
        let came = servers.bear(0.8 * servers.capacity(), Some(&gate(100 * MS, start)), start, 0);
        // Chance alone makes them late for a moment, now and then.
        let refused: usize = came.refused.iter().sum();
        assert!(refused * 500 < came.answered, "{:?}", came.refused);
    }

    #[test]
    fn nothing_is_refused_for_long_that_is_slow_whatever_the_load() {
        let start = Instant::now();
        let servers = Servers { number: 1000, work: 300 * MS, is_even: false };
        let came = servers.bear(1500.0, Some(&gate(100 * MS, start)), start, 0);
        assert!(came.answered > 1500 * 60 * 9 / 10, "{}", came.answered);
    }

    #[test]
    fn a_bound_is_lifted_when_it_is_calm() {
        let start = Instant::now();
        let servers = Servers { number: 20, work: 50 * MS, is_even: true };
        let gate = gate(75 * MS, start);
        servers.bear(3.0 * servers.capacity(), Some(&gate), start, 0);
        assert!(gate.bound().is_some() && gate.is_shedding());
        let later = start + Duration::from_secs(60);
        assert_eq!(gate.waiting(), 0, "whose stay is over has left");
        servers.bear(servers.capacity() / 2.0, Some(&gate), later, 0);
        assert!(gate.bound().is_none() && !gate.is_shedding());
    }

    #[test]
    fn a_late_worker_lets_in_less_until_it_is_on_time() {
        let start = Instant::now();
        let gate = Gate::of_worker("worker 0", 50 * MS, start);
        let enter = |now| gate.enter(Priority::Low, Body::Here, now);
        let held: Vec<Stay> = (0..100).filter_map(|_| enter(start)).collect();
        assert_eq!(held.len(), 100);
        let beat = |number: u32, by| {
            (1..=number).for_each(|at| gate.beat(&late(by), start + at * 100 * MS));
        };
        beat(4, 24 * MS);
        assert_eq!(gate.bound(), None, "it is not late");
        beat(10, 75 * MS / 2);
        assert_eq!(gate.bound(), Some(66));
        assert!(enter(start + 1000 * MS).is_none());
        drop(held);
        assert!(enter(start + 1000 * MS).is_some());
    }

    #[test]
    fn a_bound_grows_by_what_was_let_in_under_it() {
        let start = Instant::now();
        let at = |ms: u32| start + ms * MS;
        let gate = gate(300 * MS, start);
        let enter = |ms| gate.enter(Priority::High, Body::Here, at(ms));
        let answer = |stays: Vec<Stay>, ms| {
            stays.into_iter().for_each(|stay| stay.answered(Duration::ZERO, at(ms)))
        };
        let late: Vec<Stay> = (0..16).filter_map(|_| enter(0)).collect();
        let young: Vec<Stay> = (0..16).filter_map(|_| enter(1000)).collect();
        answer(late, 1010);
        gate.look(at(1100));
        assert_eq!((gate.bound(), young.len()), (Some(6), 16));
        answer(young, 1150);
        let full: Vec<Option<Stay>> = (0..7).map(|_| enter(1160)).collect();
        assert!(full.last().is_some_and(Option::is_none), "one is refused");
        gate.look(at(1500));
        assert_eq!(gate.bound(), Some(6), "those in time were let in before");
        answer(full.into_iter().flatten().collect(), 1510);
        let more: Vec<Stay> = (0..6).filter_map(|_| enter(1550)).collect();
        answer(more, 1560);
        let more: Vec<Stay> = (0..7).filter_map(|_| enter(1570)).collect();
        answer(more, 1580);
        gate.look(at(2000));
        assert!(gate.bound() > Some(6), "{:?}", gate.bound());
    }

    #[test]
    fn many_late_answers_raise_no_bound() {
        let start = Instant::now();
        let at = |ms: u32| start + ms * MS;
        let gate = gate(300 * MS, start);
        let enter = |_| gate.enter(Priority::High, Body::Here, start);
        let mut stays: Vec<Stay> = (0..100).filter_map(enter).collect();
        let rest = stays.split_off(16);
        stays.into_iter().for_each(|stay| stay.answered(Duration::ZERO, at(1010)));
        gate.look(at(1150));
        assert_eq!(gate.bound(), Some(6));
        rest.into_iter().for_each(|stay| stay.answered(Duration::ZERO, at(1500)));
        gate.look(at(1600));
        assert_eq!(gate.bound(), Some(6));
    }

    /// Twenty requests that come at once and end one by one, from 900 ms on.
    fn crowd(gate: &Arc<Gate>, body: Body, start: Instant, end: impl Fn(Stay, Duration, Instant)) {
        let enter = |_| gate.enter(Priority::Normal, body, start).expect("no bound yet");
        let stays: Vec<Stay> = (0..20).map(enter).collect();
        for (stay, at) in stays.into_iter().zip(9_u32..) {
            let now = start + at * 100 * MS;
            end(stay, Duration::ZERO, now);
            gate.look(now);
        }
    }

    #[test]
    fn who_gives_up_tells_how_long_servers_take_only_if_that_was_too_long() {
        let start = Instant::now();
        let late = gate(50 * MS, start);
        crowd(&late, Body::Here, start, Stay::answered);
        assert!(late.bound().is_some(), "a crowd, and late");
        let dead = gate(50 * MS, start);
        crowd(&dead, Body::Here, start, Stay::given_up);
        assert!(dead.bound().is_some(), "nothing is answered");
        let uploads = gate(50 * MS, start);
        crowd(&uploads, Body::ToCome, start, Stay::given_up);
        assert_eq!(uploads.bound(), None, "no server was asked");
        let hasty = gate(50 * MS, start);
        crowd(&hasty, Body::Here, start, |stay, late, now| {
            stay.answered(late, now);
            for _ in 0..100 {
                let stay = hasty.enter(Priority::Normal, Body::Here, now);
                stay.into_iter().for_each(|stay| stay.given_up(late, now + MS));
            }
        });
        assert!(hasty.bound().is_some(), "who gives up at once hides nothing");
    }

    #[test]
    fn how_long_a_client_sends_is_no_time_of_the_server() {
        let start = Instant::now();
        let gate = gate(50 * MS, start);
        crowd(&gate, Body::ToCome, start, |mut stay, late, now| {
            stay.sent(now);
            stay.answered(late, now + 10 * MS);
        });
        assert_eq!(gate.bound(), None);
    }

    #[test]
    fn a_bound_is_lifted_though_nobody_comes_any_more() {
        let start = Instant::now();
        let gate = gate(50 * MS, start);
        crowd(&gate, Body::Here, start, Stay::answered);
        assert!(gate.bound().is_some());
        (1..30).for_each(|second| gate.look(start + second * 1000 * MS));
        assert_eq!(gate.bound(), None);
    }

    #[test]
    fn a_worker_that_is_late_for_others_lets_in_what_comes() {
        let start = Instant::now();
        let gate = Gate::of_worker("worker 0", 50 * MS, start);
        let (mut answered, mut refused) = (0, 0);
        // It is late whatever it lets in; each request waits for five beats.
        let mut waiting = VecDeque::new();
        for beat in 1..600 {
            let now = start + beat * 100 * MS;
            for _ in 0..20 {
                match gate.enter(Priority::Normal, Body::Here, now) {
                    Some(stay) => waiting.push_back((beat, stay)),
                    None => refused += 1,
                }
            }
            while waiting.front().is_some_and(|(since, _)| beat - since >= 5) {
                waiting
                    .pop_front()
                    .into_iter()
                    .for_each(|(_, stay)| stay.answered(Duration::ZERO, now));
                answered += 1;
            }
            gate.beat(&late(if beat < 20 { MS } else { 90 * MS }), now);
        }
        assert!(refused > 0 && refused * 10 < answered, "{refused} of {answered}");
    }

    #[test]
    fn a_worker_with_time_to_spare_refuses_nobody_for_long() {
        let start = Instant::now();
        let gate = Gate::of_worker("worker 0", 50 * MS, start);
        let beat = |at: u32, idle| {
            gate.beat(&Beat { late: 90 * MS, idle }, start + at * 100 * MS);
        };
        let gate = &gate;
        let enter = |at: u32| {
            let now = start + at * 100 * MS;
            std::iter::repeat_with(move || gate.enter(Priority::Normal, Body::Here, now)).take(200)
        };
        let held: Vec<_> = enter(0).collect();
        (1..20).for_each(|at| beat(at, 10 * MS));
        assert_eq!(gate.bound(), None, "it is late, and not for the load");
        (20..40).for_each(|at| beat(at, MS));
        assert!(gate.bound().is_some_and(|bound| bound < 100), "{:?}", gate.bound());
        drop(held);
        for at in 40..60 {
            drop(enter(at).collect::<Vec<_>>());
            beat(at, 60 * MS);
        }
        assert_eq!(enter(60).flatten().count(), 200);
        (60..80).for_each(|at| beat(at, 60 * MS));
        assert_eq!(gate.bound(), None, "nothing was refused for a second");
    }

    #[test]
    fn few_are_no_crowd() {
        let start = Instant::now();
        let gate = gate(50 * MS, start);
        // A crowd that was answered in time is none any more.
        for turn in 0..5 {
            let now = start + turn * 200 * MS;
            let enter = |_| gate.enter(Priority::Low, Body::Here, now).expect("no bound");
            let stays: Vec<Stay> = (0..20).map(enter).collect();
            stays.into_iter().for_each(|stay| stay.answered(Duration::ZERO, now + 10 * MS));
        }
        for turn in 1..100 {
            let now = start + turn * 1000 * MS;
            let enter = |_| gate.enter(Priority::Low, Body::Here, now).expect("no crowd");
            let stays: Vec<Stay> = (0..8).map(enter).collect();
            stays.into_iter().for_each(|stay| stay.answered(Duration::ZERO, now + 900 * MS));
        }
        assert_eq!(gate.bound(), None);
    }

    #[test]
    fn priorities_have_their_parts_of_a_bound() {
        let now = Instant::now();
        for (bound, parts) in [(1, [1, 1, 1]), (2, [1, 1, 2]), (4, [2, 3, 4]), (100, [60, 80, 100])]
        {
            let gate = Gate::fixed("any server", bound, now);
            let mut held = Vec::new();
            for (priority, part) in
                [Priority::Low, Priority::Normal, Priority::High].into_iter().zip(parts)
            {
                held.extend(std::iter::from_fn(|| gate.enter(priority, Body::Here, now)));
                assert_eq!(held.len(), part, "{priority:?} of {bound}");
            }
            assert_eq!(gate.waiting(), bound);
        }
    }

    #[test]
    fn what_was_let_in_before_takes_nothing_from_high_priority() {
        let start = Instant::now();
        let gate = Gate::of_worker("worker 0", 50 * MS, start);
        let enter = |priority| gate.enter(priority, Body::Here, start + 1000 * MS);
        // Those that are over count no more.
        (0..10).for_each(|_| drop(enter(Priority::High)));
        let low: Vec<_> = std::iter::repeat_with(|| enter(Priority::Low)).take(40).collect();
        (11..20).for_each(|at| gate.beat(&late(50 * MS), start + at * 100 * MS));
        assert_eq!((gate.bound(), low.len()), (Some(20), 40));
        assert!(enter(Priority::Normal).is_none());
        let high: Vec<_> = std::iter::from_fn(|| enter(Priority::High)).collect();
        assert_eq!(high.len(), 20, "as many as if nobody else were there");
    }

    #[test]
    fn who_waits_for_a_body_waits_for_nobody_for_long() {
        let start = Instant::now();
        let gate = Gate::fixed("any server", 1, start);
        let mut slow = gate.enter(Priority::High, Body::ToCome, start).expect("room");
        assert!(gate.enter(Priority::High, Body::Here, start + 900 * MS).is_none());
        let later = start + 2000 * MS;
        let other = gate.enter(Priority::High, Body::Here, later).expect("room");
        slow.sent(later);
        assert_eq!(gate.waiting(), 2, "it was let in, and is waited for now");
        drop((slow, other));
        assert_eq!(gate.waiting(), 0);
    }
}
