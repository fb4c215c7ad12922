//! Passive checks: a server that fails real requests in a row is out for a while.
//!
//! As in Envoy, the time out grows with each ejection that follows soon on the
//! last, and only a share of the servers may be out at once; those that active
//! checks found down count as out. Unlike Envoy, the last server that is up is
//! never taken out: a failing answer is no worse than none.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use log::{debug, info};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::config::Outlier;
use super::members::{Member, Members};
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

/// How long a server is out from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Out {
    pub ms: u64,
    /// How many times the first time out the whole of it is.
    pub factor: u64,
}

impl Ejection {
    /// `None` if it is in.
    pub(super) fn known(&self, age_ms: u64) -> Option<Out> {
        let left = self.until.load(Ordering::Relaxed).saturating_sub(age_ms);
        let factor = self.last.lock().unwrap_or_else(PoisonError::into_inner).factor;
        (left > 0).then_some(Out { ms: left, factor })
    }

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
    pub(super) fn fail(&self, server: &Server, members: &Members, now: Instant) {
        let age = server.age_ms(now);
        if server.is_ejected(age) {
            return;
        }
        let errors = server.ejection.errors.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if errors < self.errors {
            return;
        }
        match self.take_out(server, members, now) {
            Some(TakenOut::For(ms)) => {
                info!("{server} failed {errors} times in a row and is out for {ms} ms");
            }
            Some(TakenOut::No { out, servers }) => {
                debug!("{server} stays in: {out} of {servers} are out already");
            }
            None => {}
        }
    }

    /// `None` if it is out already. Leaves telling to the caller: others wait.
    fn take_out(&self, server: &Server, members: &Members, now: Instant) -> Option<TakenOut> {
        let age = server.age_ms(now);
        let _counting = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        if server.ejection.is_out(age) {
            return None;
        }
        if let Err(full) = self.find_room(server, members, now) {
            return Some(full);
        }
        let time_out = self.time_out(&server.ejection, age);
        server.ejection.until.store(age + time_out, Ordering::Relaxed);
        Some(TakenOut::For(time_out))
    }

    /// Whether one more may be out.
    fn find_room(&self, server: &Server, members: &Members, now: Instant) -> Result<(), TakenOut> {
        let (servers, others) = (members.list.len(), members.list.len().saturating_sub(1));
        // Whoever is down by its checks cannot take this one's requests either.
        let is_other_up =
            |other: &&Member| other.server.id() != server.id() && members.is_up(&other.server, now);
        let up = members.list.iter().filter(is_other_up).count();
        let out = others.saturating_sub(up);
        if up == 0 || out >= self.most_out(servers) {
            return Err(TakenOut::No { out, servers });
        }
        Ok(())
    }

    /// Takes `server` out as another process had, if our own rules allow it.
    pub(super) fn learn(&self, server: &Server, members: &Members, out: Out, now: Instant) {
        let age = server.age_ms(now);
        let _counting = self.ejecting.lock().unwrap_or_else(PoisonError::into_inner);
        if out.ms == 0 || self.find_room(server, members, now).is_err() {
            return;
        }
        let factor = out.factor.clamp(1, LONGEST);
        let until = age + out.ms.min(LONGEST * self.eject_ms);
        let mut last = server.ejection.last.lock().unwrap_or_else(PoisonError::into_inner);
        *last = Last { until, factor };
        server.ejection.until.store(until, Ordering::Relaxed);
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

/// What came of a failure too many.
enum TakenOut {
    /// Out for so many milliseconds.
    For(u64),
    /// Not out: so many others are.
    No { out: usize, servers: usize },
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::balance::trial::{counts, even, number, pick, pool};
    use crate::balance::{Balance, Config, Outcome, Pool};
    use crate::units::Share;

    const NONE: [usize; 0] = [];
    const SECOND: Duration = Duration::from_secs(1);

    /// Out for ten seconds after three failures in a row.
    fn config(servers: usize, max_ejected: u8) -> Config {
        let outlier =
            Outlier { errors: 3, max_ejected: Share::percent(max_ejected), ..Outlier::default() };
        Config { outlier: Some(outlier), ..even(Balance::RoundRobin, servers) }
    }

    /// Lets requests come until `server` was asked once.
    fn report(pool: &Pool, server: usize, outcome: Outcome) {
        for _ in 0..100 {
            let mut lease = pick(pool).expect("a server is up");
            if number(&lease) == server {
                return lease.report(outcome);
            }
        }
        panic!("server {server} is out");
    }

    fn fail(pool: &Pool, server: usize, times: usize) {
        for _ in 0..times {
            report(pool, server, Outcome::Failed);
        }
    }

    fn out(pool: &Pool) -> Vec<usize> {
        let status = pool.status().into_iter().zip(1..);
        status.filter(|(server, _)| server.ejected).map(|(_, number)| number).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn failures_in_a_row_take_a_server_out_for_a_while() {
        let pool = pool(&config(2, 50));
        fail(&pool, 1, 2);
        assert_eq!(out(&pool), NONE);
        fail(&pool, 1, 1);
        assert_eq!(out(&pool), [1]);
        assert_eq!(counts(&pool, 10), [0, 10]);
        advance(10 * SECOND - Duration::from_millis(1)).await;
        assert_eq!(counts(&pool, 10), [0, 10]);
        advance(Duration::from_millis(1)).await;
        assert_eq!(out(&pool), NONE);
        assert_eq!(counts(&pool, 10), [5, 5]);
        // It starts anew: one more failure is not the third.
        fail(&pool, 1, 2);
        assert_eq!(out(&pool), NONE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_forgives_failures() {
        let pool = pool(&config(2, 50));
        fail(&pool, 1, 2);
        report(&pool, 1, Outcome::Answered(SECOND));
        fail(&pool, 1, 2);
        assert_eq!(out(&pool), NONE);
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_first_report_of_a_lease_counts() {
        let pool = pool(&config(2, 50));
        let mut lease = pick(&pool).expect("up");
        for _ in 0..10 {
            lease.report(Outcome::Failed);
        }
        assert_eq!(out(&pool), NONE);
        assert_eq!(pool.status().iter().map(|server| server.failures).sum::<u64>(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_time_out_doubles_up_to_ten_times() {
        let pool = pool(&config(2, 50));
        for seconds in [10, 20, 40, 80, 100, 100] {
            fail(&pool, 1, 3);
            advance(seconds * SECOND - Duration::from_millis(1)).await;
            assert_eq!(out(&pool), [1], "before {seconds} s");
            advance(Duration::from_millis(1)).await;
            assert_eq!(out(&pool), NONE, "after {seconds} s");
        }
        advance(101 * SECOND).await;
        fail(&pool, 1, 3);
        advance(10 * SECOND).await;
        assert_eq!(out(&pool), NONE);
    }

    /// Every server but the last fails; how many are out then.
    fn check(servers: usize, max_ejected: u8, expected: usize) {
        let pool = pool(&config(servers, max_ejected));
        for server in 1..servers.max(2) {
            fail(&pool, server, 3);
        }
        assert_eq!(out(&pool).len(), expected, "{servers} servers, {max_ejected} %");
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_share_of_the_servers_is_out_at_once() {
        check(10, 50, 5);
        check(10, 30, 3);
        check(5, 50, 2);
        check(3, 100, 2);
        // One of several may always be out, unless none may.
        check(2, 10, 1);
        check(2, 0, 0);
        check(1, 100, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_share_has_room_again_when_one_is_back() {
        let pool = pool(&config(3, 40));
        fail(&pool, 1, 3);
        fail(&pool, 2, 3);
        assert_eq!(out(&pool), [1]);
        advance(10 * SECOND).await;
        fail(&pool, 2, 1);
        assert_eq!(out(&pool), [2]);
    }
}
