//! How many requests may wait: a fixed number, or one that is found by how
//! long answers take.
//!
//! One that is found is none at all until answers take longer than can be
//! borne. It is then as many requests as are answered within that time, which
//! by Little's law is how many may wait for no one to wait longer. So servers
//! are asked as much as they can do, and what is more is refused instead of
//! queued. While requests are refused, it grows as long as answers are in time.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::time::Instant;

/// Fewer answers do not say how long answers take.
const FEWEST_ANSWERS: u64 = 16;
/// The same of a worker's beats, which come evenly.
const FEWEST_BEATS: u64 = 4;
/// How long is waited for so many; at least twice what can be borne.
const PATIENCE: Duration = Duration::from_secs(5);
/// No answer counts as later than so many times what can be borne: a few that
/// take for ever say little of the others.
const LATEST: u32 = 2;
/// Fewer requests that wait at a time are no crowd, however long they take.
const CROWD: usize = 8;
/// A bound that is found is not below this, so that something tells when to
/// raise it.
const LEAST: usize = 2;
/// No bound.
const NONE: usize = usize::MAX;

/// What tells how long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// Nobody; the bound is fixed.
    Never,
    /// Requests that are answered.
    ByAnswers,
    /// A worker, of how late it is.
    ByBeats,
}

/// The bound, and what has been heard since it was last judged.
#[derive(Debug)]
pub(super) struct Bound {
    told: Told,
    number: AtomicUsize,
    // How often it was changed.
    changes: AtomicUsize,
    // Nanoseconds; no answer counts as later.
    latest: AtomicU64,
    // The most that waited at a time.
    most: AtomicUsize,
    // What tells, and the nanoseconds that it took.
    told_times: AtomicU64,
    took: AtomicU64,
    // Answers, and those of them to requests let in under the bound as it is.
    answers: AtomicU64,
    recent: AtomicU64,
}

/// What only who judges a bound needs.
#[derive(Debug)]
pub(super) struct Judge {
    since: Instant,
    // What can be borne, as configured.
    latency: Duration,
    // How long answers take whatever the load; fades.
    usual: Duration,
    // Answers in a second before there was a bound.
    rate: f64,
}

/// What a bound is judged by, besides what it has heard.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) at: Instant,
    pub(super) waiting: usize,
    /// Requests refused since the last judgement.
    pub(super) refused: usize,
    /// Whether none was for long.
    pub(super) is_calm: bool,
}

/// What was heard since the last judgement.
#[derive(Debug, Clone, Copy)]
struct Heard {
    since: Duration,
    is_enough: bool,
    mean: Duration,
    // Answers in a second.
    rate: f64,
}

impl Bound {
    /// So many requests.
    pub(super) fn fixed(most: usize) -> Bound {
        Bound::new(Told::Never, most, Duration::ZERO)
    }

    /// So many that answers begin after `latency`.
    pub(super) fn of_answers(latency: Duration) -> Bound {
        Bound::new(Told::ByAnswers, NONE, latency)
    }

    /// So many that a worker is late by no more than `latency`.
    pub(super) fn of_worker(latency: Duration) -> Bound {
        Bound::new(Told::ByBeats, NONE, latency)
    }

    fn new(told: Told, number: usize, latency: Duration) -> Bound {
        Bound {
            told,
            number: AtomicUsize::new(number),
            changes: AtomicUsize::new(0),
            latest: AtomicU64::new(nanos(latency * LATEST)),
            most: AtomicUsize::new(0),
            told_times: AtomicU64::new(0),
            took: AtomicU64::new(0),
            answers: AtomicU64::new(0),
            recent: AtomicU64::new(0),
        }
    }

    /// The most requests; more than there ever are, where there is no bound.
    pub(super) fn number(&self) -> usize {
        self.number.load(Relaxed)
    }

    /// The most requests, if there is a bound.
    pub(super) fn get(&self) -> Option<usize> {
        Some(self.number()).filter(|number| *number != NONE)
    }

    /// How often it was changed so far.
    pub(super) fn changes(&self) -> usize {
        self.changes.load(Relaxed)
    }

    /// Hears that so many wait.
    pub(super) fn crowd(&self, waiting: usize) {
        if waiting > self.most.load(Relaxed) {
            self.most.fetch_max(waiting, Relaxed);
        }
    }

    /// Hears of an answer to a request that was let in after so many changes.
    pub(super) fn answered(&self, took: Duration, changes: usize) {
        if self.told == Told::Never {
            return;
        }
        self.answers.fetch_add(1, Relaxed);
        if changes == self.changes() {
            self.recent.fetch_add(1, Relaxed);
        }
        if self.told == Told::ByAnswers {
            self.note(took);
        }
    }

    /// Hears of a request that no server answered. That tells nothing of servers
    /// unless it waited for too long; a worker is done with it.
    pub(super) fn given_up(&self, waited: Duration, changes: usize) {
        let is_overdue = nanos(waited * LATEST) > self.latest.load(Relaxed);
        if is_overdue || self.told == Told::ByBeats {
            self.answered(waited, changes);
        }
    }

    /// Hears how late its worker is.
    pub(super) fn beat(&self, late: Duration) {
        if self.told == Told::ByBeats {
            self.note(late);
        }
    }

    fn note(&self, took: Duration) {
        self.took.fetch_add(nanos(took).min(self.latest.load(Relaxed)), Relaxed);
        self.told_times.fetch_add(1, Relaxed);
    }

    /// Finds the bound anew, unless it has yet to be heard how long is waited;
    /// whether what was heard is dealt with.
    pub(super) fn judge(&self, judge: &mut Judge, now: &Now) -> bool {
        let since = now.at.saturating_duration_since(judge.since);
        let (heard, bearable) = (self.heard(since), judge.bearable());
        let is_over = since >= PATIENCE.max(bearable * LATEST);
        if self.told == Told::Never || since < bearable || !(heard.is_enough || is_over) {
            return false;
        }
        self.decide(judge, now, &heard);
        judge.since = now.at;
        judge.usual = judge.usual.mul_f64(0.998);
        self.latest.store(nanos(judge.bearable() * LATEST), Relaxed);
        self.most.store(now.waiting, Relaxed);
        for counter in [&self.told_times, &self.took, &self.answers, &self.recent] {
            counter.store(0, Relaxed);
        }
        true
    }

    fn decide(&self, judge: &mut Judge, now: &Now, heard: &Heard) {
        let (number, bearable) = (self.number(), judge.bearable());
        let is_late = heard.mean > bearable;
        if number == NONE {
            let most = self.most.load(Relaxed);
            if heard.is_enough && is_late && most > CROWD {
                judge.rate = heard.rate;
                self.narrow(most, heard, bearable);
            }
        } else if now.is_calm {
            self.set(NONE);
        } else if is_late && now.refused > 0 && heard.answers_less_than(judge.rate) {
            // Fewer wait, fewer are answered, and still late: it is not the load
            // that makes them so. Little's law says how late they are.
            let late = match self.told {
                Told::ByAnswers => Duration::from_secs_f64(number as f64 / heard.rate),
                Told::Never | Told::ByBeats => heard.mean,
            };
            judge.usual = (late + late / 2).max(bearable);
            self.set(NONE);
        } else if is_late && heard.is_enough && now.waiting <= number {
            // Before that, what was too much is still being answered.
            self.narrow(number, heard, bearable);
        } else if !is_late && now.refused > 0 && self.is_settled() {
            let factor = if heard.mean * 2 < bearable { 2.0 } else { 1.05 };
            self.set(scaled(number, factor).max(number + 1));
        }
    }

    fn heard(&self, since: Duration) -> Heard {
        let times = self.told_times.load(Relaxed);
        let fewest = if self.told == Told::ByBeats { FEWEST_BEATS } else { FEWEST_ANSWERS };
        let mean = self.took.load(Relaxed).checked_div(times).unwrap_or(0);
        let answers = self.answers.load(Relaxed) as f64;
        Heard {
            since,
            is_enough: times >= fewest,
            mean: Duration::from_nanos(mean),
            rate: answers / since.as_secs_f64().max(f64::MIN_POSITIVE),
        }
    }

    /// Whether what was heard is of the bound as it is.
    fn is_settled(&self) -> bool {
        self.told == Told::ByBeats || self.recent.load(Relaxed) >= FEWEST_BEATS
    }

    /// Sets a number that can be borne, unless it is more than `before`.
    fn narrow(&self, before: usize, heard: &Heard, bearable: Duration) {
        let bearable = bearable.as_secs_f64();
        let borne = match self.told {
            Told::ByAnswers => scaled(1, (heard.rate * bearable).ceil()) + 1,
            // Of a worker it is not known how much of the waiting is for it.
            Told::Never | Told::ByBeats => scaled(before, bearable / heard.mean.as_secs_f64()),
        };
        // What is heard under a bound is less sure than what is without.
        let least = if self.get().is_some() { scaled(before, 0.7) } else { 0 };
        // A worker is not late for so few that are no crowd.
        let fewest = if self.told == Told::ByBeats { CROWD } else { LEAST };
        let borne = borne.max(least).max(fewest);
        if borne < before {
            self.set(borne);
        }
    }

    fn set(&self, number: usize) {
        self.number.store(number, Relaxed);
        self.changes.fetch_add(1, Relaxed);
    }
}

impl Judge {
    pub(super) fn new(latency: Duration, now: Instant) -> Judge {
        Judge { since: now, latency, usual: Duration::ZERO, rate: 0.0 }
    }

    fn bearable(&self) -> Duration {
        self.latency.max(self.usual)
    }
}

impl Heard {
    /// Whether there are a good deal fewer answers than at `rate`, and not by
    /// chance, which is two times the root of their number.
    fn answers_less_than(&self, rate: f64) -> bool {
        let since = self.since.as_secs_f64();
        let expected = rate * since;
        self.rate > 0.0 && self.rate * since < 0.7 * expected - 2.0 * expected.sqrt()
    }
}

/// `number` times `factor`, rounded down.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of requests")]
fn scaled(number: usize, factor: f64) -> usize {
    (number as f64 * factor) as usize
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
