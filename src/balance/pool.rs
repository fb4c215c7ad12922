//! The servers of one upstream, from their words to the one that answers.

use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use http::HeaderName;
use log::warn;
use pingora::protocols::l4::socket::SocketAddr;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};

use super::address::Place;
use super::config::{Balance, Config, Key, Outlier, Sticky, WhenNoneHealthy};
use super::entry::Entry;
use super::health::{Checker, Checks};
use super::known::Known;
use super::lease::Lease;
use super::members::{MAX_SERVERS, Member, Members, Rules};
use super::names::{self, Answer, Found, Resolver};
use super::server::Server;
use super::status::ServerStatus;
use super::{Ask, NoServer, ServerId};
use crate::fault::{Faults, KeyPath};

/// The servers of one upstream.
///
/// What is known of a server lives on in the pool that a reload puts in place
/// of this one, as long as its name and address stay.
#[derive(Debug)]
pub(crate) struct Pool {
    name: Arc<str>,
    entries: Vec<Entry>,
    rules: Arc<Rules>,
    checks: Option<Checks>,
    is_required: bool,
    resolver: Resolver,
    /// Held while a new list of members is made.
    found: Mutex<Found>,
    members: ArcSwap<Members>,
    /// Told when there are new members.
    changed: Notify,
}

impl Pool {
    /// Faults are relative to the upstream: `servers[0].address`.
    pub(crate) fn new(
        name: &str,
        config: &Config,
        previous: Option<&Pool>,
    ) -> Result<Pool, Faults> {
        let mut faults = config.balance.faults();
        faults.extend(config.sticky.as_ref().map(Sticky::faults).unwrap_or_default());
        faults.extend(config.outlier.as_ref().map(Outlier::faults).unwrap_or_default());
        let keep = |faults: &mut Faults, bad: Faults| faults.extend(bad);
        let entries = Entry::read_all(&config.servers).map_err(|bad| keep(&mut faults, bad)).ok();
        let checks = config.health.as_ref().map(|health| Checks::new(health, config.peer.clone()));
        let checks = match checks.transpose() {
            Ok(checks) => checks,
            Err(bad) => {
                faults.extend(bad.under("health"));
                None
            }
        };
        let entries = faults.into_result(|| entries)?;
        Ok(Pool::start(name, config, entries, checks, previous))
    }

    /// Where its servers are, equal for two ways to write the same address.
    pub(crate) fn destinations(&self) -> impl Iterator<Item = String> {
        self.entries.iter().map(Entry::destination)
    }

    /// Chooses the server of one attempt.
    pub(crate) fn pick(&self, ask: &Ask<'_>) -> Result<Lease, NoServer> {
        Lease::pick(&self.members.load(), ask)
    }

    /// Whether a request that `tried` some can be answered by another one.
    pub(crate) fn has_other(&self, tried: &[ServerId]) -> bool {
        self.members.load().has_other(tried, Instant::now())
    }

    pub(crate) fn status(&self) -> Vec<ServerStatus> {
        ServerStatus::of_all(&self.members.load())
    }

    /// For the process that replaces this one.
    pub(crate) fn known(&self) -> Vec<Known> {
        Known::of_all(&self.members.load())
    }

    /// Takes over what the process before knew of servers that are here, too.
    pub(crate) fn learn(&self, known: &[Known]) {
        Known::learn(known, &self.members.load());
    }

    /// Whether a request would find a server that is up, or any if that must do.
    pub(crate) fn has_server(&self) -> bool {
        let members = self.members.load();
        let now = Instant::now();
        let any_will_do = members.rules.when_none_healthy == WhenNoneHealthy::TryAll;
        members.list.iter().any(|Member { server, .. }| {
            any_will_do || members.is_up(server, now) || members.is_last_resort(server)
        })
    }

    /// Whether the site is not ready while this pool has no server.
    pub(crate) fn is_required(&self) -> bool {
        self.is_required
    }

    pub(crate) fn needs_resolving(&self) -> bool {
        self.entries.iter().any(|entry| entry.to_resolve().is_some())
    }

    pub(crate) fn checks_health(&self) -> bool {
        self.checks.is_some()
    }

    /// Looks up every name once. One without an answer keeps its last addresses.
    pub(crate) async fn resolve(&self) {
        let answers = self.resolver.look_up(&self.entries).await;
        self.settle(answers);
    }

    /// Looks names up again and again; ends only by being dropped.
    pub(crate) async fn keep_resolved(self: Arc<Self>) {
        loop {
            sleep(names::PERIOD).await;
            self.resolve().await;
        }
    }

    /// Checks servers again and again, at once first; ends only by being dropped.
    pub(crate) async fn keep_checked(self: Arc<Self>) {
        let Some(checks) = &self.checks else { return std::future::pending().await };
        let checker = Checker::new(checks);
        loop {
            let next = Instant::now() + checker.pause();
            checker.check(&self.members.load_full()).await;
            tokio::select! {
                () = sleep_until(next) => {}
                // New servers are checked at once too.
                () = self.changed.notified() => {}
            }
        }
    }

    /// Adds a check of the server at `index`.
    #[cfg(test)]
    pub(super) fn judge(&self, index: usize, result: Result<(), String>) {
        let members = self.members.load();
        members.list.get(index).expect("such a server").server.verdict.observe(result, 1);
    }

    fn start(
        name: &str,
        config: &Config,
        entries: Vec<Entry>,
        checks: Option<Checks>,
        previous: Option<&Pool>,
    ) -> Pool {
        let name: Arc<str> = name.into();
        let found = match previous {
            Some(old) => Found::new(&entries, Some((&old.entries, &old.found()))),
            None => Found::new(&entries, None),
        };
        let old = previous.map(|old| old.members.load_full());
        let rules = Arc::new(Rules::new(config));
        let list = gather(&name, &entries, &found, old.as_deref());
        let members = ArcSwap::from_pointee(Members { rules: rules.clone(), list });
        Pool {
            name,
            entries,
            rules,
            checks,
            is_required: config.required.0,
            resolver: Resolver::system(),
            found: Mutex::new(found),
            members,
            changed: Notify::new(),
        }
    }

    /// Takes in answers, and new members if they lead elsewhere.
    fn settle(&self, answers: Vec<(usize, Answer)>) {
        let mut found = self.found();
        for (index, answer) in answers {
            if let Some(entry) = self.entries.get(index) {
                found.settle(&self.name, index, entry, answer);
            }
        }
        let old = self.members.load_full();
        let list = gather(&self.name, &self.entries, &found, Some(&old));
        let is_same = list.len() == old.list.len()
            && list.iter().zip(&old.list).all(|(new, old)| Arc::ptr_eq(&new.server, &old.server));
        if !is_same {
            self.members.store(Arc::new(Members { rules: self.rules.clone(), list }));
            self.changed.notify_one();
        }
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The servers of all entries; those that were known stay the same.
fn gather(pool: &Arc<str>, entries: &[Entry], found: &Found, old: Option<&Members>) -> Vec<Member> {
    let old = old.map_or(&[][..], |old| &old.list);
    let mut list: Vec<Member> = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let fixed = match &entry.address.place {
            Place::Fixed(address) => Some(address.clone()),
            Place::Named(_) => None,
        };
        let named = found.addresses(index).iter().copied().map(SocketAddr::Inet);
        for address in fixed.into_iter().chain(named) {
            let new =
                Server::new(pool.clone(), entry.name.clone(), entry.address.host.clone(), address);
            // Two names may lead to the same address: the first one has it.
            if list.iter().any(|member| member.server.id() == new.id()) {
                continue;
            }
            if list.len() == MAX_SERVERS {
                warn!("{pool}: has more than {MAX_SERVERS} servers; the rest is left out");
                return list;
            }
            let known = old.iter().map(|member| &member.server).find(|server| server.is_same(&new));
            let server = known.cloned().unwrap_or_else(|| {
                // Among servers at work, a new one starts slowly.
                if !old.is_empty() {
                    new.come_up(0);
                }
                Arc::new(new)
            });
            list.push(Member {
                server,
                weight: entry.weight,
                is_backup: entry.is_backup,
                turn: AtomicI64::new(0),
            });
        }
    }
    list
}

impl Balance {
    fn faults(&self) -> Faults {
        let at = |key: &str| ["balance", "consistent_hash", key].into_iter().collect::<KeyPath>();
        let (key, wrong) = match self {
            Balance::ConsistentHash(Key::Header(name)) => ("header", not_a_token(name)),
            Balance::ConsistentHash(Key::Cookie(name)) => ("cookie", not_a_token(name)),
            _ => return Faults::none(),
        };
        wrong.map_or_else(Faults::none, |what| Faults::none().with(at(key), what))
    }
}

impl Sticky {
    fn faults(&self) -> Faults {
        let wrong = not_a_token(&self.cookie);
        wrong.map_or_else(Faults::none, |what| Faults::at("cookie", what).under("sticky"))
    }
}

impl Outlier {
    fn faults(&self) -> Faults {
        let mut faults = Faults::none();
        if self.errors == 0 {
            faults.extend(Faults::at("errors", "is 0; write how many failures in a row"));
        }
        if self.eject.0.is_zero() {
            faults.extend(Faults::at("eject", "is 0; write for how long, like 10s"));
        }
        faults.under("outlier")
    }
}

/// What is wrong with the name of a header or a cookie: both are tokens (RFC 9110 §5.6.2).
fn not_a_token(name: &str) -> Option<String> {
    // A header name is exactly a token.
    HeaderName::try_from(name)
        .err()
        .map(|_| format!("`{name}` is no token; write letters, digits and -"))
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::future::ready;
    use std::net::SocketAddr as InetAddr;
    use std::time::Duration;

    use futures::FutureExt;
    use http::HeaderMap;
    use tokio::net::TcpListener;
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::balance::Outcome;
    use crate::balance::config::{Health, HttpCheck, ServerConfig, TcpCheck};
    use crate::balance::trial::{
        CLIENT, counts, even, number, numbers, pick, pick_again, pick_with_cookie, pool, weighted,
        with_backup,
    };
    use crate::listen::Channel;
    use crate::units::{Period, Share};

    /// Lets active checks find the servers with these numbers unhealthy.
    fn fell(pool: &Pool, numbers: &[usize]) {
        for (member, number) in pool.members.load().list.iter().zip(1..) {
            let result = match numbers.contains(&number) {
                true => Err("refused".to_owned()),
                false => Ok(()),
            };
            member.server.verdict.observe(result, 1);
        }
    }

    fn checked(config: Config) -> Config {
        let health = Health { tcp: Some(TcpCheck {}), ..Health::default() };
        Config { health: Some(health), ..config }
    }

    fn id(pool: &Pool, number: usize) -> ServerId {
        pool.members.load().list[number - 1].server.id()
    }

    fn addresses(pool: &Pool) -> Vec<String> {
        pool.status().into_iter().map(|server| server.address).collect()
    }

    fn answer(addresses: &[&str]) -> Answer {
        Ok(addresses.iter().map(|a| a.parse::<InetAddr>().expect("good")).collect())
    }

    fn no_answer() -> Answer {
        Err(std::io::Error::other("refused"))
    }

    #[test]
    fn a_tried_server_is_left_while_another_is_up() {
        let pool = pool(&with_backup(even(Balance::RoundRobin, 2)));
        let (one, two, backup) = (id(&pool, 1), id(&pool, 2), id(&pool, 3));
        for _ in 0..10 {
            let lease = pick_again(&pool, &[one]).expect("up");
            assert_eq!(lease.server().id(), two);
            let lease = pick_again(&pool, &[two, one]).expect("up");
            assert_eq!(lease.server().id(), backup);
            let lease = pick_again(&pool, &[one, two, backup]).expect("up");
            assert_ne!(lease.server().id(), backup);
        }
    }

    #[test]
    fn another_server_is_one_that_is_up_and_not_busy() {
        let config = Config { max_per_server: 1, ..with_backup(even(Balance::RoundRobin, 2)) };
        let pool = pool(&checked(config));
        let (one, two, backup) = (id(&pool, 1), id(&pool, 2), id(&pool, 3));
        assert!(pool.has_other(&[one, two]));
        assert!(!pool.has_other(&[one, two, backup]));
        assert!(pool.has_other(&[one, backup]));
        fell(&pool, &[2]);
        assert!(!pool.has_other(&[one, backup]));
        assert!(pool.has_other(&[two, backup]));
        let busy = pick(&pool).expect("up");
        assert_eq!(busy.server().id(), one);
        assert!(!pool.has_other(&[two, backup]));
    }

    #[test]
    fn a_backup_answers_only_while_no_other_can() {
        let config = Config { max_per_server: 1, ..with_backup(even(Balance::RoundRobin, 2)) };
        let pool = pool(&checked(config));
        assert_eq!(counts(&pool, 10), [5, 5]);
        fell(&pool, &[1]);
        assert_eq!(counts(&pool, 10), [0, 10]);
        let busy = pick(&pool).expect("up");
        assert_eq!(pick(&pool).expect("up").server().name(), "10.0.1.1:80");
        drop(busy);
        fell(&pool, &[1, 2]);
        assert_eq!(pick(&pool).expect("up").server().name(), "10.0.1.1:80");
    }

    #[test]
    fn busy_servers_are_passed_over() {
        for balance in [
            Balance::RoundRobin,
            Balance::Random,
            Balance::LeastRequests,
            Balance::PeakEwma,
            Balance::ConsistentHash(Key::Uri),
        ] {
            let config = Config { max_per_server: 2, ..even(balance, 3) };
            let pool = pool(&config);
            let mut leases: Vec<Lease> = (0..6).map(|_| pick(&pool).expect("room")).collect();
            assert_eq!(pick(&pool).expect_err("none left"), NoServer::AllBusy);
            let freed = number(&leases.remove(3));
            assert_eq!(number(&pick(&pool).expect("room")), freed);
        }
    }

    #[test]
    fn without_a_healthy_server_requests_are_refused_or_try_all() {
        let config = checked(with_backup(even(Balance::RoundRobin, 2)));
        let refusing = pool(&config);
        let trying = pool(&Config { when_none_healthy: WhenNoneHealthy::TryAll, ..config });
        for pool in [&refusing, &trying] {
            fell(pool, &[1, 2, 3]);
        }
        assert_eq!(pick(&refusing).expect_err("none is up"), NoServer::NoneHealthy);
        assert!(!refusing.has_server());
        assert_eq!(counts(&trying, 10), [5, 5]);
        assert!(trying.has_server());
        fell(&refusing, &[1, 2]);
        assert!(refusing.has_server());
    }

    #[test]
    fn without_checks_an_old_verdict_does_not_count() {
        let config = checked(even(Balance::RoundRobin, 2));
        let old = pool(&config);
        fell(&old, &[1]);
        let new = Pool::new("app", &Config { health: None, ..config }, Some(&old)).expect("good");
        assert_eq!(counts(&new, 10), [5, 5]);
    }

    /// Fails requests on whichever server is asked.
    fn fail_requests(pool: &Pool, times: usize) {
        for _ in 0..times {
            pick(pool).expect("a server is up").report(Outcome::Failed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_server_that_is_up_is_not_ejected() {
        let all = Outlier { errors: 1, max_ejected: Share::percent(100), ..Outlier::default() };
        let config = Config { outlier: Some(all), ..even(Balance::RoundRobin, 3) };
        let pool = pool(&checked(config));
        fell(&pool, &[1]);
        fail_requests(&pool, 10);
        let up = pool.status().iter().filter(|server| server.is_up()).count();
        assert_eq!(up, 1, "one is down, one is ejected, one must do");
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_server_that_passes_its_checks_is_better_than_none() {
        let all = Outlier { errors: 1, max_ejected: Share::percent(100), ..Outlier::default() };
        let config = Config { outlier: Some(all), ..even(Balance::RoundRobin, 2) };
        let checked = pool(&checked(config));
        let mut first = pick(&checked).expect("up");
        let ejected = number(&first);
        first.report(Outcome::Failed);
        assert_ne!(number(&pick(&checked).expect("the other one")), ejected);
        fell(&checked, &[3 - ejected]);
        assert!(checked.has_server());
        assert_eq!(number(&pick(&checked).expect("better than none")), ejected);
        fell(&checked, &[1, 2]);
        assert_eq!(pick(&checked).expect_err("both are down"), NoServer::NoneHealthy);
    }

    #[tokio::test(start_paused = true)]
    async fn servers_that_are_down_count_as_ejected() {
        let half = Outlier { errors: 1, max_ejected: Share::percent(50), ..Outlier::default() };
        let config = Config { outlier: Some(half), ..even(Balance::RoundRobin, 4) };
        let pool = pool(&checked(config));
        fell(&pool, &[1, 2]);
        fail_requests(&pool, 10);
        assert!(pool.status().iter().all(|server| !server.ejected), "two of four are out");
        fell(&pool, &[]);
        fail_requests(&pool, 10);
        assert_eq!(pool.status().iter().filter(|server| server.ejected).count(), 2);
    }

    #[test]
    fn a_cookie_keeps_a_client_on_its_server() {
        let sticky = Some(Sticky { cookie: "tg".to_owned() });
        let pool = pool(&checked(Config { sticky, ..even(Balance::RoundRobin, 3) }));
        let set = pick(&pool).expect("up").sticky_cookie(Channel::Plain).expect("a new client");
        let set = set.to_str().expect("text").to_owned();
        let (cookie, rest) = set.split_once(';').expect("attributes");
        assert_eq!(rest, " Path=/; HttpOnly; SameSite=Lax");
        for _ in 0..5 {
            let lease = pick_with_cookie(&pool, cookie);
            assert_eq!(number(&lease), 1);
            assert_eq!(lease.sticky_cookie(Channel::Plain), None);
        }
        fell(&pool, &[1]);
        let lease = pick_with_cookie(&pool, cookie);
        assert_ne!(number(&lease), 1);
        assert!(lease.sticky_cookie(Channel::Plain).is_some_and(|new| new != set));
        // Another process, with the same words, knows the cookie.
        let other = self::pool(&Config {
            sticky: Some(Sticky { cookie: "tg".to_owned() }),
            ..even(Balance::Random, 3)
        });
        assert_eq!(number(&pick_with_cookie(&other, cookie)), 1);
    }

    #[test]
    fn a_cookie_does_not_lead_back_to_a_tried_server() {
        let sticky = Some(Sticky { cookie: "tg".to_owned() });
        let pool = pool(&Config { sticky, ..even(Balance::RoundRobin, 2) });
        let mut headers = HeaderMap::new();
        let cookie = format!("tg={}", id(&pool, 1));
        headers.insert(http::header::COOKIE, cookie.parse().expect("text"));
        let tried = [id(&pool, 1)];
        let ask = Ask { client: CLIENT, target: "/", headers: &headers, tried: &tried };
        assert_eq!(number(&pool.pick(&ask).expect("up")), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_comes_up_gets_its_share_slowly() {
        let outlier = Some(Outlier { errors: 1, ..Outlier::default() });
        let slow_start = Period::from_secs(10);
        let pool = pool(&Config { outlier, slow_start, ..even(Balance::RoundRobin, 2) });
        assert_eq!(counts(&pool, 100), [50, 50], "all are new");
        pick(&pool).expect("up").report(Outcome::Failed);
        advance(Duration::from_secs(10)).await;
        // Turns taken before leave a request or two to the other side.
        for (requests, expected) in [(1100, 100), (900, 300), (100, 50)] {
            let [slow, _] = counts(&pool, requests);
            assert!(slow.abs_diff(expected) <= 2, "{slow} of {requests}");
            advance(Duration::from_secs(5)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_reload_keeps_what_is_known_of_servers() {
        let config = checked(even(Balance::RoundRobin, 2));
        let old = pool(&config);
        fell(&old, &[1]);
        let mut lease = pick(&old).expect("up");
        lease.report(Outcome::Answered(Duration::from_millis(5)));
        let config = checked(Config {
            slow_start: Period::from_secs(10),
            ..weighted(Balance::Random, &[1, 4, 1])
        });
        let new = Pool::new("app", &config, Some(&old)).expect("good words");
        let [one, two, three] = &new.status()[..] else { panic!("three servers") };
        assert_eq!((one.healthy, one.why.as_deref()), (false, Some("refused")));
        assert_eq!((two.weight, two.in_flight, two.requests), (4, 1, 1));
        assert_eq!(two.ewma_ms, Some(5.0));
        assert_eq!((three.healthy, three.requests), (true, 0));
        assert_eq!(id(&new, 2), lease.server().id());
        // The new one starts slowly: a tenth of 1 against 4.
        fastrand::seed(7);
        let [_, _, new_one] = counts::<3>(&new, 1000);
        assert!(new_one < 50, "{new_one}");
        drop(lease);
        assert_eq!(new.status()[1].in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_with_several_addresses_is_several_servers() {
        let servers = vec!["10.0.0.9:80".into(), "app.internal:80".into()];
        let pool = pool(&Config { servers, ..Config::default() });
        assert!(pool.needs_resolving());
        assert_eq!(addresses(&pool), ["10.0.0.9:80"]);
        // Answers rotate and repeat; the first entry that has an address keeps it.
        let found = answer(&["10.0.0.2:80", "10.0.0.1:80", "10.0.0.2:80", "10.0.0.9:80"]);
        pool.settle(vec![(1, found)]);
        assert_eq!(addresses(&pool), ["10.0.0.9:80", "10.0.0.1:80", "10.0.0.2:80"]);
        assert_eq!(pool.status()[1].name, "app.internal:80");
        numbers(&pool, 3);
        pool.settle(vec![(1, answer(&["10.0.0.3:80", "10.0.0.2:80"]))]);
        let status = pool.status();
        let requests: Vec<_> = status.iter().map(|s| (s.address.as_str(), s.requests)).collect();
        assert_eq!(requests, [("10.0.0.9:80", 1), ("10.0.0.2:80", 1), ("10.0.0.3:80", 0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_name_without_an_answer_keeps_its_last_addresses() {
        let config = Config { servers: vec!["app.internal:80".into()], ..Config::default() };
        let pool = pool(&config);
        pool.settle(vec![(0, no_answer())]);
        assert_eq!(pick(&pool).expect_err("no address"), NoServer::NoneHealthy);
        assert!(!pool.has_server());
        pool.settle(vec![(0, answer(&["10.0.0.1:80"]))]);
        pool.settle(vec![(0, no_answer())]);
        pool.settle(vec![(0, answer(&[]))]);
        assert_eq!(addresses(&pool), ["10.0.0.1:80"]);
        let reloaded = Pool::new("app", &config, Some(&pool)).expect("good words");
        assert_eq!(addresses(&reloaded), ["10.0.0.1:80"]);
    }

    #[tokio::test(start_paused = true)]
    async fn names_are_looked_up_again_every_half_minute() {
        let config = Config { servers: vec!["app.internal:80".into()], ..Config::default() };
        let answers = [answer(&["10.0.0.1:80"]), answer(&["10.0.0.2:80"]), no_answer()];
        let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
        let left = answers.clone();
        let mut pool = Pool::new("app", &config, None).expect("good words");
        pool.resolver = Resolver::new(move |name, port| {
            assert_eq!((name.as_str(), port), ("app.internal", 80));
            let answer = answers.lock().expect("no panic").pop_front();
            ready(answer.expect("no more than three look-ups")).boxed()
        });
        let pool = Arc::new(pool);
        pool.resolve().await;
        let seen = async {
            let moment = Duration::from_millis(1);
            sleep(Duration::from_secs(30) - moment).await;
            assert_eq!(addresses(&pool), ["10.0.0.1:80"]);
            sleep(2 * moment).await;
            assert_eq!(addresses(&pool), ["10.0.0.2:80"]);
            // Without an answer, the last one stays.
            sleep(Duration::from_secs(30)).await;
            assert_eq!(addresses(&pool), ["10.0.0.2:80"]);
            assert!(left.lock().expect("no panic").is_empty());
        };
        tokio::select! {
            () = pool.clone().keep_resolved() => unreachable!("it runs for ever"),
            () = seen => {}
        }
    }

    #[tokio::test]
    async fn an_answer_that_changes_nothing_keeps_the_turns() {
        let config = Config { servers: vec!["app.internal:80".into()], ..Config::default() };
        let pool = pool(&config);
        pool.settle(vec![(0, answer(&["10.0.0.1:80", "10.0.0.2:80"]))]);
        let before = pool.members.load_full();
        pool.settle(vec![(0, answer(&["10.0.0.2:80", "10.0.0.1:80"]))]);
        assert!(Arc::ptr_eq(&before, &pool.members.load_full()));
    }

    #[tokio::test]
    async fn finds_the_loopback_by_its_name() {
        let config = Config { servers: vec!["localhost:80".into()], ..Config::default() };
        let pool = pool(&config);
        pool.resolve().await;
        let addresses = addresses(&pool);
        let is_loopback = |a: &String| ["127.0.0.1:80", "[::1]:80"].contains(&a.as_str());
        assert!(!addresses.is_empty() && addresses.iter().all(is_loopback), "{addresses:?}");
        assert_eq!(pick(&pool).expect("up").server().host(), "localhost");
    }

    /// Checks the pool until `seen` ends.
    async fn check_until(pool: &Arc<Pool>, seen: impl Future<Output = ()>) {
        tokio::select! {
            () = pool.clone().keep_checked() => unreachable!("it runs for ever"),
            seen = timeout(Duration::from_secs(30), seen) => seen.expect("checks in time"),
        }
    }

    #[tokio::test]
    async fn checks_servers_at_once_and_new_ones_too() {
        let listen = async || TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let (one, other) = (listen().await, listen().await);
        let at = |listener: &TcpListener| listener.local_addr().expect("bound");
        let health = Health {
            tcp: Some(TcpCheck {}),
            interval: Period::from_secs(3600),
            ..Health::default()
        };
        let servers = vec![at(&one).to_string().as_str().into(), "app.internal:80".into()];
        let pool = pool(&Config { servers, health: Some(health), ..Config::default() });
        let seen = async {
            one.accept().await.expect("a check");
            pool.settle(vec![(1, Ok(vec![at(&other)]))]);
            other.accept().await.expect("a check");
        };
        check_until(&pool, seen).await;
    }

    #[tokio::test]
    async fn checks_servers_again_and_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound").to_string();
        let health = Health {
            tcp: Some(TcpCheck {}),
            interval: Period(Duration::from_millis(1)),
            ..Health::default()
        };
        let servers = vec![address.as_str().into()];
        let pool = pool(&Config { servers, health: Some(health), ..Config::default() });
        let seen = async {
            for _ in 0..3 {
                listener.accept().await.expect("a check");
            }
        };
        check_until(&pool, seen).await;
    }

    fn check(config: &Config, expected: &[&str]) {
        let faults = Pool::new("app", config, None).err().unwrap_or_default();
        let at: Vec<String> = faults.iter().map(|fault| fault.at.to_string()).collect();
        assert_eq!(at, expected);
    }

    #[test]
    fn reports_all_faults_by_their_keys() {
        let health = Health {
            http: Some(HttpCheck {
                path: "healthz".to_owned(),
                host: Some("a b".to_owned()),
                expect: serde_json::from_str("[200, 99]").expect("good"),
            }),
            interval: Period::default(),
            timeout: Period::default(),
            rise: 0,
            fall: 0,
            ..Health::default()
        };
        let outlier =
            Outlier { errors: 0, eject: Period::default(), max_ejected: Share::percent(1) };
        let config = Config {
            servers: vec!["10.0.0.1".into(), ServerConfig::from("10.0.0.2:80")],
            balance: Balance::ConsistentHash(Key::Header("a b".to_owned())),
            sticky: Some(Sticky { cookie: "a=b".to_owned() }),
            health: Some(health),
            outlier: Some(outlier),
            ..Config::default()
        };
        let expected = [
            "balance.consistent_hash.header",
            "sticky.cookie",
            "outlier.errors",
            "outlier.eject",
            "servers[0].address",
            "health.http.path",
            "health.http.host",
            "health.http.expect[1]",
            "health.interval",
            "health.timeout",
            "health.rise",
            "health.fall",
        ];
        check(&config, &expected);
    }

    #[test]
    fn a_check_says_exactly_one_way() {
        let tcp = Health { tcp: Some(TcpCheck {}), ..Health::default() };
        let both = Health { http: Some(HttpCheck::default()), ..tcp.clone() };
        for (health, expected) in
            [(tcp, &[][..]), (both, &["health"][..]), (Health::default(), &["health"][..])]
        {
            check(&Config { health: Some(health), ..even(Balance::Random, 1) }, expected);
        }
    }
}
