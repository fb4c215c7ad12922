//! How many requests may wait: a fixed number, or one that is found by how
//! long answers take.
//!
//! One that is found is none at all until answers take longer than can be
//! borne. It is then as many requests as are answered within that time, which
//! by Little's law is how many may wait for no one to wait longer. So servers
//! are asked as much as they can do, and what is more is refused instead of
//! queued. While requests are refused, it grows as long as answers are in time.
//!
//! A worker is late by the work that it has let in, so its bound follows its
//! lateness. Yet it never refuses for long while it has time to spare: if it is
//! late then, it is not for the load. That it is late itself is no fault of
//! servers, whose answers wait for it, too.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

use tokio::time::Instant;

use crate::listen::Beat;
use crate::units::nanos;

/// Fewer answers do not say how long answers take.
const FEWEST_ANSWERS: u64 = 16;
/// Of them to requests that were let in under the bound as it is.
const FEWEST_RECENT: u64 = 4;
/// The same of a worker's beats; when it is very late, they are few.
const FEWEST_BEATS: u64 = 2;
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
/// How often a request waits for a worker: to be let in, and to be answered.
const TURNS: u32 = 2;
/// The part of its time that a worker may be idle while it refuses requests, and
/// the part from which on it refuses for nothing.
const SPARE: f64 = 0.05;
const IDLE: f64 = 0.5;
/// About what a refusal takes of a worker's time.
const REFUSAL: Duration = Duration::from_micros(50);
/// A bound is lifted when nothing was refused for so long; that of a worker that
/// is idle sooner.
pub(super) const CALM: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(1);
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
    // What tells, the nanoseconds that it took, and those of them that a worker
    // of ours was late.
    told_times: AtomicU64,
    took: AtomicU64,
    ours: AtomicU64,
    // Nanoseconds that a worker had nothing to do.
    idle: AtomicU64,
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
    /// How long ago the last one was.
    pub(super) calm: Duration,
}

/// What was heard since the last judgement.
#[derive(Debug, Clone, Copy)]
struct Heard {
    since: Duration,
    is_enough: bool,
    mean: Duration,
    // How late the workers were that heard the answers.
    ours: Duration,
    // Answers in a second.
    rate: f64,
    // The part of its time that a worker had nothing to do.
    idle: f64,
}

impl Bound {
    /// So many requests.
    pub(super) fn fixed(most: usize) -> Bound {
        Bound::new(Told::Never, most, Duration::ZERO)
    }

    /// As many as come.
    pub(super) fn none() -> Bound {
        Bound::fixed(NONE)
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
            ours: AtomicU64::new(0),
            idle: AtomicU64::new(0),
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

    /// The most of high priority that are let in whoever was let in before.
    pub(super) fn spared(&self) -> usize {
        match self.told {
            // A late worker has work of lower priority to leave undone.
            Told::ByBeats => self.number(),
            Told::Never | Told::ByAnswers => self.number() / 5,
        }
    }

    /// Hears that so many wait.
    pub(super) fn crowd(&self, waiting: usize) {
        if waiting > self.most.load(Relaxed) {
            self.most.fetch_max(waiting, Relaxed);
        }
    }

    /// Hears of an answer to a request that was let in after so many changes.
    /// A part of what it took may be that our worker is `late`.
    pub(super) fn answered(&self, took: Duration, late: Duration, changes: usize) {
        if self.told == Told::Never {
            return;
        }
        self.answers.fetch_add(1, Relaxed);
        if changes == self.changes() {
            self.recent.fetch_add(1, Relaxed);
        }
        if self.told == Told::ByAnswers {
            self.note(took, late);
        }
    }

    /// Hears of a request that no server answered. That tells nothing of servers
    /// unless it waited for too long; a worker is done with it.
    pub(super) fn given_up(&self, waited: Duration, late: Duration, changes: usize) {
        let servers = waited.saturating_sub(late);
        let is_overdue = nanos(servers * LATEST) > self.latest.load(Relaxed);
        if is_overdue || self.told == Told::ByBeats {
            self.answered(waited, late, changes);
        }
    }

    /// Hears how its worker does.
    pub(super) fn beat(&self, beat: &Beat) {
        if self.told == Told::ByBeats {
            self.note(beat.late, Duration::ZERO);
            self.idle.fetch_add(nanos(beat.idle), Relaxed);
        }
    }

    fn note(&self, took: Duration, ours: Duration) {
        let (latest, ours) = (self.latest.load(Relaxed), nanos(ours));
        self.took.fetch_add(nanos(took).min(latest.saturating_add(ours)), Relaxed);
        self.ours.fetch_add(ours, Relaxed);
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
        let of_times = [&self.told_times, &self.took, &self.ours, &self.idle];
        for counter in of_times.into_iter().chain([&self.answers, &self.recent]) {
            counter.store(0, Relaxed);
        }
        true
    }

    fn decide(&self, judge: &mut Judge, now: &Now, heard: &Heard) {
        let (number, bearable) = (self.number(), self.bearable(judge));
        let (is_late, is_idle) = (heard.mean > bearable, self.is_idle(heard, SPARE));
        if number == NONE {
            let most = self.most.load(Relaxed);
            if heard.is_enough && is_late && most > CROWD && !is_idle {
                judge.rate = heard.rate;
                self.narrow(most, heard, bearable);
            }
        } else if now.calm >= CALM || (now.calm >= REST && self.is_idle(heard, IDLE)) {
            self.set(NONE);
        } else if is_late && now.refused > 0 && heard.answers_less_than(judge.rate, now) {
            // Fewer wait, fewer are answered, and still late: it is not the load
            // that makes them so. Little's law says how late they are.
            let late = match self.told {
                Told::ByAnswers => {
                    Duration::from_secs_f64(number as f64 / heard.rate).saturating_sub(heard.ours)
                }
                Told::Never | Told::ByBeats => heard.mean * TURNS,
            };
            judge.usual = (late + late / 2).max(judge.bearable());
            self.set(NONE);
        } else if is_idle {
            // Late beyond all bounds, it is not kept busy by more.
            let is_void = self.is_idle(heard, IDLE);
            if now.refused > 0 && (is_void || heard.mean <= judge.bearable()) {
                self.widen(number, if is_void { 4.0 } else { 1.5 });
            }
        } else if is_late && heard.is_enough && now.waiting <= number {
            // Before that, what was too much is still being answered.
            self.narrow(number, heard, bearable);
        } else if !is_late && now.refused > 0 && self.is_settled() {
            self.grow(number, heard, bearable);
        }
    }

    fn heard(&self, since: Duration) -> Heard {
        let times = self.told_times.load(Relaxed);
        let fewest = if self.told == Told::ByBeats { FEWEST_BEATS } else { FEWEST_ANSWERS };
        let mean = |sum: &AtomicU64| {
            Duration::from_nanos(sum.load(Relaxed).checked_div(times).unwrap_or(0))
        };
        let (seconds, ours) = (since.as_secs_f64().max(f64::MIN_POSITIVE), mean(&self.ours));
        Heard {
            since,
            is_enough: times >= fewest,
            mean: mean(&self.took).saturating_sub(ours),
            ours,
            rate: self.answers.load(Relaxed) as f64 / seconds,
            idle: Duration::from_nanos(self.idle.load(Relaxed)).as_secs_f64() / seconds,
        }
    }

    /// What can be borne of what is heard.
    fn bearable(&self, judge: &Judge) -> Duration {
        match self.told {
            Told::ByBeats => judge.bearable() / TURNS,
            Told::Never | Told::ByAnswers => judge.bearable(),
        }
    }

    /// Whether a worker had nothing to do for more than this part of its time;
    /// of servers that is not known.
    fn is_idle(&self, heard: &Heard, part: f64) -> bool {
        self.told == Told::ByBeats && heard.idle > part
    }

    /// Whether what was heard is of the bound as it is.
    fn is_settled(&self) -> bool {
        self.told == Told::ByBeats || self.recent.load(Relaxed) >= FEWEST_RECENT
    }

    /// Sets a number that can be borne, unless it is more than `before`.
    fn narrow(&self, before: usize, heard: &Heard, bearable: Duration) {
        let borne = match self.told {
            // Whose answer our worker has not looked at yet waits for no server.
            Told::ByAnswers => {
                let stay = (bearable + heard.ours).as_secs_f64();
                scaled(1, (heard.rate * stay).ceil()) + 1
            }
            // Of a worker it is not known how much of the waiting is for it.
            Told::Never | Told::ByBeats => {
                scaled(before, bearable.as_secs_f64() / heard.mean.as_secs_f64())
            }
        };
        // What is heard under a bound is less sure than what is without.
        let sure = if self.told == Told::ByBeats { 0.5 } else { 0.7 };
        let least = if self.get().is_some() { scaled(before, sure) } else { 0 };
        let borne = borne.max(least).max(LEAST);
        if borne < before {
            self.set(borne);
        }
    }

    /// Sets a larger number, for nothing is late under this one.
    fn grow(&self, number: usize, heard: &Heard, bearable: Duration) {
        let part = heard.mean.as_secs_f64() / bearable.as_secs_f64();
        match self.told {
            // It is late by its bound, which says how far that is off. Near
            // enough is left alone, lest it swings.
            Told::ByBeats if part > 0.8 => {}
            Told::ByBeats => self.widen(number, part.sqrt().recip().min(2.0)),
            _ if part < 0.5 => self.widen(number, 2.0),
            _ => self.widen(number, 1.05),
        }
    }

    fn widen(&self, number: usize, factor: f64) {
        self.set(scaled(number, factor).max(number + 1));
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
    /// chance, which is two times the root of their number, nor for refusals.
    fn answers_less_than(&self, rate: f64, now: &Now) -> bool {
        let since = self.since.as_secs_f64();
        let refusing = REFUSAL.as_secs_f64() * now.refused as f64;
        let expected = rate * (since - refusing).max(0.0);
        self.rate > 0.0 && self.rate * since < 0.7 * expected - 2.0 * expected.sqrt()
    }
}

/// `number` times `factor`, rounded down.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "numbers of requests")]
fn scaled(number: usize, factor: f64) -> usize {
    (number as f64 * factor) as usize
}
