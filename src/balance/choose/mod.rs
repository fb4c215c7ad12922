//! Which of the servers that may answer does.

mod consistent_hash;
mod random;
mod round_robin;
mod two_choices;

use super::Ask;
use super::config::Balance;
use super::members::Candidates;

/// The place of the chosen server in its pool.
pub(super) fn choose(balance: &Balance, ask: &Ask<'_>, candidates: &Candidates<'_>) -> usize {
    match balance {
        Balance::RoundRobin => round_robin::choose(candidates),
        Balance::Random => random::choose(candidates),
        Balance::LeastRequests => two_choices::least_requests(candidates),
        Balance::PeakEwma => two_choices::peak_ewma(candidates),
        Balance::ConsistentHash(key) => consistent_hash::choose(key, ask, candidates),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Duration;

    use futures::future::join_all;
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::balance::trial::{counts, even, number, numbers, pick, pool, weighted};
    use crate::balance::{Outcome, Pool};

    /// Counts answers while clients send one request after another for ten
    /// seconds; a server takes the milliseconds given for it.
    async fn load<const SERVERS: usize>(
        pool: &Pool,
        clients: usize,
        millis: [u64; SERVERS],
    ) -> [usize; SERVERS] {
        let answers = [const { Cell::new(0) }; SERVERS];
        let end = Instant::now() + Duration::from_secs(10);
        let client = async || {
            while Instant::now() < end {
                let mut lease = pick(pool).expect("a server is up");
                let at = number(&lease) - 1;
                let took = Duration::from_millis(millis[at]);
                sleep(took).await;
                lease.report(Outcome::Answered(took));
                answers[at].set(answers[at].get() + 1);
            }
        };
        join_all((0..clients).map(|_| client())).await;
        answers.map(Cell::into_inner)
    }

    #[test]
    fn round_robin_spreads_each_servers_turns() {
        let pool = pool(&weighted(Balance::RoundRobin, &[5, 1, 1]));
        assert_eq!(numbers(&pool, 14), [1, 1, 2, 1, 3, 1, 1, 1, 1, 2, 1, 3, 1, 1]);
    }

    #[test]
    fn random_follows_the_weights() {
        fastrand::seed(7);
        let [one, other] = counts(&pool(&weighted(Balance::Random, &[3, 1])), 10_000);
        assert!((7300..7700).contains(&one), "{one} and {other}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_fast_server_gets_most_requests() {
        for balance in [Balance::LeastRequests, Balance::PeakEwma] {
            let pool = pool(&even(balance.clone(), 2));
            let [fast, slow] = load(&pool, 8, [1, 20]).await;
            let share = fast * 100 / (fast + slow);
            assert!(share >= 80, "{balance:?}: {share} %");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_server_of_many_gets_few_requests() {
        for balance in [Balance::LeastRequests, Balance::PeakEwma] {
            let pool = pool(&even(balance.clone(), 8));
            let answers = load(&pool, 24, [2, 2, 2, 2, 2, 2, 2, 40]).await;
            let share = answers[7] * 100 / answers.iter().sum::<usize>();
            assert!(share <= 3, "{balance:?}: {share} % of {answers:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn peak_ewma_needs_no_concurrency_to_see_who_is_fast() {
        let pool = pool(&even(Balance::PeakEwma, 2));
        let [fast, slow] = load(&pool, 1, [1, 20]).await;
        assert!(slow * 20 < fast, "{fast} and {slow}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_got_faster_is_found_out() {
        let pool = pool(&even(Balance::PeakEwma, 2));
        load(&pool, 1, [10, 20]).await;
        let [one, other] = load(&pool, 1, [10, 1]).await;
        assert!(other > one, "{one} and {other}");
    }

    #[test]
    fn peak_ewma_does_not_fall_for_a_server_that_fails_fast() {
        let pool = pool(&even(Balance::PeakEwma, 2));
        let mut answered = 0;
        for _ in 0..1000 {
            let mut lease = pick(&pool).expect("a server is up");
            let is_good = number(&lease) == 1;
            lease.report(match is_good {
                true => Outcome::Answered(Duration::from_millis(50)),
                false => Outcome::Failed,
            });
            answered += usize::from(is_good);
        }
        assert!(answered > 980, "{answered}");
    }

    #[test]
    fn least_requests_follows_the_weights() {
        for weights in [vec![3, 1], vec![3, 1, 1, 1, 1, 1]] {
            let pool = pool(&weighted(Balance::LeastRequests, &weights));
            let requests = 100 * weights.iter().sum::<u32>() as usize;
            let leases: Vec<_> = (0..requests).map(|_| pick(&pool).expect("up")).collect();
            let first = leases.iter().filter(|lease| number(lease) == 1).count();
            assert!((285..=315).contains(&first), "{first} of {weights:?}");
        }
    }

    #[test]
    fn least_requests_spreads_what_comes_one_by_one() {
        fastrand::seed(7);
        for servers in [3, 6] {
            let counts: [usize; 6] = counts(&pool(&even(Balance::LeastRequests, servers)), 6000);
            let fair = 6000 / servers;
            let is_fair = |count: &usize| (fair - fair / 10..fair + fair / 10).contains(count);
            assert!(counts[..servers].iter().all(is_fair), "{counts:?}");
        }
    }
}
