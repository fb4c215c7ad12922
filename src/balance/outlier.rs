//! Passive checks: a server that fails real requests in a row is out for a while.
//!
//! As in Envoy, the time out grows with each ejection that follows soon on the
//! last, only a share of the servers may be out at once, and active checks have
//! no say in it. Unlike Envoy, the only server of a pool is never taken out:
//! a failing answer is no worse than none.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use log::{debug, info};
use tokio::time::Instant;

use super::config::Outlier;
use super::members::Member;
use super::server::Server;

/// The longest time out, as a multiple of the first. An ejection counts as
/// repeated if it comes within this time after the last one's end.
const LONGEST: u64 = 10;

/// What is known of a server's failures; times are milliseconds of its age.
#[derive(Debug, Default)]
pub(super) struct Ejection {
    /// Failures in a row.
    errors: AtomicU32,
    /// When it may come back; 0 while it is in.
    until: AtomicU64,
    last: Mutex<Last>,
}

/// The last ejection of a server.
#[derive(Debug, Default, Clone, Copy)]
struct Last {
    until: u64,
    factor: u64,
}

impl Ejection {
    pub(super) fn is_out(&self, age_ms: u64) -> bool {
        self.until.load(Ordering::Relaxed) > age_ms
    }

    pub(super) fn forgive(&self) {
        // Most answers follow an answer: do not write what is there.
        if self.errors.load(Ordering::Relaxed) != 0 {
            self.errors.store(0, Ordering::Relaxed);
        }
    }
}

impl Server {
    /// Whether it is taken out; the first to ask after its time lets it back in.
    pub(super) fn is_ejected(&self, age_ms: u64) -> bool {
        let until = self.ejection.until.load(Ordering::Relaxed);
        if until > age_ms || until == 0 {
            return until != 0;
        }
        let back =
            self.ejection.until.compare_exchange(until, 0, Ordering::Relaxed, Ordering::Relaxed);
        if back.is_ok() {
            self.ejection.errors.store(0, Ordering::Relaxed);
            self.come_up(until);
            info!("{self} is back after its time out");
        }
        false
    }
}

/// Takes out the servers of one pool that fail.
#[derive(Debug)]
pub(super) struct Ejector {
    errors: u32,
    eject_ms: u64,
    share: f64,
    /// Held while servers out are counted and one is added.
    ejecting: Mutex<()>,
}

impl Ejector {
    pub(super) fn new(config: &Outlier) -> Self {
        Ejector {
            errors: config.errors,
            eject_ms: config.eject.0.as_millis() as u64,
            share: config.max_ejected.fraction(),
            ejecting: Mutex::new(()),
        }
    }

    /// Counts a failure of `server`, one of `members`, and takes it out if due.
    pub(super) fn fail(&self, server: &Server, members: &[Member], now: Instant) {
        let age = server.age_ms(now);
        if server.is_ejected(age) {
            return;
        }
        let errors = server.ejection.errors.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if errors < self.errors {
            return;
        }
        let _counting = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_out = |server: &Server| server.ejection.is_out(server.age_ms(now));
        let out = members.iter().filter(|member| is_out(&member.server)).count();
        if is_out(server) {
            return;
        }
        if out >= self.most_out(members.len()) {
            debug!("{server} stays in: {out} of {} are out already", members.len());
            return;
        }
        let time_out = self.time_out(&server.ejection, age);
        server.ejection.until.store(age + time_out, Ordering::Relaxed);
        info!("{server} failed {errors} times in a row and is out for {time_out} ms");
    }

    /// How many of `servers` may be out at once.
    fn most_out(&self, servers: usize) -> usize {
        if servers < 2 || self.share == 0.0 {
            return 0;
        }
        ((servers as f64 * self.share) as usize).max(1)
    }

    /// How long an ejection at `age` lasts; remembers it as the last one.
    fn time_out(&self, ejection: &Ejection, age: u64) -> u64 {
        let mut last = ejection.last.lock().unwrap_or_else(PoisonError::into_inner);
        let is_repeated = last.factor > 0 && age <= last.until + LONGEST * self.eject_ms;
        last.factor = if is_repeated { (last.factor * 2).min(LONGEST) } else { 1 };
        let time_out = self.eject_ms * last.factor;
        last.until = age + time_out;
        time_out
    }
}
