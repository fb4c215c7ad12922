//! What one process tells the next of a pool's servers: the verdict of their
//! checks, and who is out for failing. Figures and load begin anew.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::members::{Member, Members};
use super::outlier::Out;

/// Of a reason, more is not told.
const MOST_REASON: usize = 200;

/// What is known of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    name: String,
    address: String,
    /// The verdict of its checks: good, or what is wrong; absent without checks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    checks: Option<Result<(), String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    out: Option<Out>,
}

impl Known {
    /// Of every server of which something is known.
    pub(super) fn of_all(members: &Members) -> Vec<Known> {
        let now = Instant::now();
        members.list.iter().filter_map(|member| Known::of(members, member, now)).collect()
    }

    /// Has `members` know it, too: servers of the same name and address.
    pub(super) fn learn(known: &[Known], members: &Members) {
        let now = Instant::now();
        // If one is told of twice, the first counts.
        let by_name = known.iter().rev().map(|it| ((it.name.as_str(), it.address.as_str()), it));
        let by_name: HashMap<_, _> = by_name.collect();
        let of = |member: &Member| {
            let address = member.server.address().to_string();
            by_name.get(&(member.server.name(), address.as_str())).copied()
        };
        let pairs: Vec<_> =
            members.list.iter().filter_map(|member| Some((member, of(member)?))).collect();
        if members.rules.has_checks {
            for (member, known) in &pairs {
                if let Some(checks) = &known.checks {
                    member.server.verdict.learn(checks.clone());
                }
            }
        }
        // Last: who may be out depends on who is down.
        if let Some(ejector) = &members.rules.outlier {
            for (member, known) in &pairs {
                if let Some(out) = known.out {
                    ejector.learn(&member.server, members, out, now);
                }
            }
        }
    }

    fn of(members: &Members, member: &Member, now: Instant) -> Option<Known> {
        let server = &member.server;
        let checks = server.verdict.known().filter(|_| members.rules.has_checks);
        let checks =
            checks.map(|checks| checks.map_err(|why| why.chars().take(MOST_REASON).collect()));
        let out = server.ejection.known(server.age_ms(now));
        let out = out.filter(|_| members.rules.outlier.is_some());
        (checks.is_some() || out.is_some()).then(|| Known {
            name: server.name().to_owned(),
            address: server.address().to_string(),
            checks,
            out,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::balance::config::TcpCheck;
    use crate::balance::trial::{even, numbers, pick, pool};
    use crate::balance::{Balance, Config, Health, Outcome, Outlier, Pool};
    use crate::units::Share;

    /// Lets a check find the server with this number down.
    fn fell(pool: &Pool, number: usize) {
        pool.judge(number - 1, Err("refused".to_owned()));
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn config(servers: usize) -> Config {
        let outlier = Outlier { errors: 1, max_ejected: Share::percent(100), ..Outlier::default() };
        let health = Health { tcp: Some(TcpCheck {}), ..Health::default() };
        Config {
            health: Some(health),
            outlier: Some(outlier),
            ..even(Balance::RoundRobin, servers)
        }
    }

    /// What `pool` knows, as the next process reads it.
    fn handed(pool: &Pool) -> Vec<Known> {
        let text = serde_json::to_string(&pool.known()).expect("plain values");
        serde_json::from_str(&text).expect("its own words")
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_process_knows_who_is_down_and_who_is_out() {
        let old = pool(&config(3));
        assert!(old.known().is_empty(), "{:?}", old.known());
        fell(&old, 1);
        let out = pick(&old).map(|mut lease| lease.report(Outcome::Failed));
        out.expect("two are up");
        advance(4 * SECOND).await;
        let new = pool(&config(3));
        new.learn(&handed(&old));
        let standing = |pool: &Pool| {
            let status = pool.status().into_iter();
            status.map(|server| (server.healthy, server.why, server.ejected)).collect::<Vec<_>>()
        };
        assert_eq!(standing(&new), standing(&old));
        assert_eq!(new.status().iter().filter(|server| server.ejected).count(), 1);
        numbers(&new, 10).iter().for_each(|number| assert_eq!(*number, 3));
        // Not for longer than in the old process.
        advance(6 * SECOND - Duration::from_millis(1)).await;
        assert!(new.status().iter().any(|server| server.ejected));
        advance(Duration::from_millis(1)).await;
        assert!(new.status().iter().all(|server| !server.ejected));
    }

    #[tokio::test(start_paused = true)]
    async fn what_no_longer_fits_is_not_learned() {
        let old = pool(&config(3));
        fell(&old, 1);
        pick(&old).expect("up").report(Outcome::Failed);
        let plain = pool(&Config { health: None, outlier: None, ..config(3) });
        plain.learn(&handed(&old));
        assert!(plain.known().is_empty());
        assert!(plain.status().iter().all(|server| server.is_up()));
        // Of two servers, one down: the last one is not out.
        let fewer = pool(&config(2));
        fewer.learn(&handed(&old));
        let up: Vec<bool> = fewer.status().iter().map(|server| server.is_up()).collect();
        assert_eq!(up, [false, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_found_by_name_and_address() {
        let address = |number: usize| format!("10.0.0.{number}:80");
        let known = |name: usize, at: usize, checks: Result<(), &str>| Known {
            name: address(name),
            address: address(at),
            checks: Some(checks.map_err(str::to_owned)),
            out: None,
        };
        let pool = pool(&config(3));
        // The last two are of others: a name that led elsewhere, a second word.
        let down = Err("refused");
        pool.learn(&[known(1, 1, down), known(2, 2, Ok(())), known(3, 1, down), known(2, 2, down)]);
        let healthy: Vec<bool> = pool.status().iter().map(|server| server.healthy).collect();
        assert_eq!(healthy, [false, true, true]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_out_longer_than_our_rules_say() {
        let [one, two] = [1, 2].map(|number| {
            let address = format!("10.0.0.{number}:80");
            let out = Some(Out { ms: u64::MAX, factor: u64::MAX });
            Known { name: address.clone(), address, checks: None, out }
        });
        let pool = pool(&config(2));
        pool.learn(&[one, two]);
        assert_eq!(pool.status().iter().filter(|server| server.ejected).count(), 1);
        advance(101 * SECOND).await;
        assert!(pool.status().iter().all(|server| !server.ejected));
    }
}
