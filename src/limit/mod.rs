//! How much: whether a client, or all of them, ask too much of a route.
//!
//! A request that passes holds a [`Permit`] until it is over. Who goes on
//! asking too much, or does other wrong, is banned for a while. Whether all
//! requests together are too many is for `shed`. What a client may ask for at
//! all is for `access`.

mod advance;
mod allowance;
mod bans;
mod bound;
mod config;
mod counts;
mod gate;
mod hold;
mod offence;
#[cfg(test)]
mod overload;
mod permit;
mod rate;
mod shed;
mod table;
mod uploads;
mod waiting;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{HeaderName, HeaderValue, header};

use crate::networks::{ClientKey, Network};

pub(crate) use self::advance::Advance;
#[cfg(any(test, fuzzing))]
pub(crate) use self::allowance::cookies;
pub(crate) use self::allowance::{Ask, RateLimit, Who};
pub(crate) use self::bans::{Told, TooMany};
pub(crate) use self::config::{BansConfig, Counted, Listed, RateConfig};
pub(crate) use self::counts::Held;
pub(crate) use self::gate::{Body, Gate};
pub(crate) use self::offence::{BanPolicy, Offence};
pub(crate) use self::permit::{Limits, Permit};
pub(crate) use self::rate::{Amount, Rate};
pub(crate) use self::shed::{Arrival, Config as ShedConfig, Crowded, Priority, Shed, Slot, Waits};

use self::allowance::whole_seconds;
use self::bans::{Bans, Reason};
use self::counts::Counts;
use self::offence::{BanRule, Weighed};
use self::table::{Shards, Table};

/// Places for 4,194,304 keys in 48 MiB at most. 1,000,000 take half of that, and
/// fewer than one in a million of those finds its group full.
const ALLOWANCES: Shards = Shards(8192);
/// Places for the offences of 1,048,576 clients in 12 MiB at most. They are remembered
/// for longer than most allowances, which would have to give way to them.
const OFFENCES: Shards = Shards(2048);
/// How many parts of the table there are, one of which is swept at a time.
const SWEEPS: usize = 16;
/// When to come back where nothing says how long it will take.
const SOON: Duration = Duration::from_secs(1);

/// Why there is no permit.
#[derive(Debug, Clone)]
pub(crate) enum Exceeded {
    /// The client is banned.
    Banned,
    /// A rate limit's allowance is used up.
    Rate { limit: Arc<RateLimit>, retry: Duration },
    /// The client has as many requests under way as one may.
    Client,
    /// The same, on this route.
    ClientOfRoute,
    /// The route has as many requests under way as it may.
    Route,
}

impl Exceeded {
    /// Why, as a word of the log.
    pub(crate) fn tag(&self) -> &'static str {
        match self {
            Exceeded::Banned => "banned",
            Exceeded::Rate { .. } => "rate",
            Exceeded::Client => "requests_per_client",
            Exceeded::ClientOfRoute => "concurrency_per_client",
            Exceeded::Route => "concurrency",
        }
    }

    /// What of the configuration says so, by its name.
    pub(crate) fn rule(&self) -> Option<Arc<str>> {
        match self {
            Exceeded::Rate { limit, .. } => Some(limit.name.clone()),
            _ => None,
        }
    }

    /// Whether the client alone is to blame, and nobody it shares a limit with.
    pub(crate) fn is_its_own(&self) -> bool {
        match self {
            Exceeded::Rate { limit, .. } => limit.is_of_one_client(),
            Exceeded::Client | Exceeded::ClientOfRoute => true,
            Exceeded::Banned | Exceeded::Route => false,
        }
    }

    /// When to come back, if that is worth it.
    fn retry(&self) -> Option<Duration> {
        match self {
            Exceeded::Banned => None,
            Exceeded::Rate { retry, .. } => Some(*retry),
            Exceeded::Client | Exceeded::ClientOfRoute | Exceeded::Route => Some(SOON),
        }
    }

    /// What the answer says: when to come back, and of allowances.
    pub(crate) fn fields(&self) -> Vec<(HeaderName, HeaderValue)> {
        let mut said = match self {
            Exceeded::Rate { limit, retry } => {
                permit::fields(limit.shown_rejected(*retry).as_slice())
            }
            _ => Vec::new(),
        };
        let seconds = self.retry().map(whole_seconds);
        said.extend(seconds.map(|seconds| (header::RETRY_AFTER, seconds.into())));
        said
    }
}

/// What is known of keys and clients; it lives as long as the process.
#[derive(Debug)]
pub(crate) struct Ledger {
    allowances: Table,
    offences: Table,
    counts: Arc<Counts>,
    bans: Bans,
    waiting: AtomicUsize,
}

impl Default for Ledger {
    fn default() -> Self {
        Ledger {
            allowances: Table::new(ALLOWANCES),
            offences: Table::new(OFFENCES),
            counts: Arc::default(),
            bans: Bans::default(),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Ledger {
    /// The right of a client's request to be under way at all.
    pub(crate) fn enter(&self, client: ClientKey, most: u32) -> Result<Held, Exceeded> {
        self.counts.take(client, most).ok_or(Exceeded::Client)
    }

    /// Whether requests and connections of `address` are refused.
    pub(crate) fn is_banned(&self, policy: &BanPolicy, address: IpAddr) -> bool {
        policy.list.contains(address)
            || !self.bans.are_none() && self.bans.hold(address, self.allowances.now())
    }

    /// Remembers an offence, which may be the one that gets its client banned.
    pub(crate) fn penalise(&self, policy: &BanPolicy, client: ClientKey, offence: Offence) {
        if let Some(rule) = &policy.rule {
            let scope = ("offences", client);
            let network = client.network();
            self.weigh(rule, scope, network, Weighed::As(offence), Reason::Offences);
        }
    }

    /// Bans `network` for `period`, as an operator says.
    pub(crate) fn ban(&self, network: Network, period: Duration) -> Result<(), TooMany> {
        self.bans.ban_for(network, period, self.allowances.now())
    }

    /// Lets `network` in again; whether it was banned.
    pub(crate) fn lift(&self, network: Network) -> bool {
        self.bans.lift(network)
    }

    /// Every ban that is remembered.
    pub(crate) fn bans(&self) -> Vec<Told> {
        self.bans.list(self.allowances.now())
    }

    /// How often somebody was banned or let in so far.
    pub(crate) fn ban_changes(&self) -> u64 {
        self.bans.changes()
    }

    /// Takes over bans that another process knew.
    pub(crate) fn learn(&self, told: &[Told]) {
        self.bans.learn(told, self.allowances.now());
    }

    /// Drops what has become worthless; for every second.
    pub(crate) fn tidy(&self) -> Figures {
        self.allowances.sweep(SWEEPS);
        Figures {
            bans: self.bans.tidy(self.allowances.now()),
            keys: self.allowances.keys(),
            forgotten: self.allowances.forgotten(),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// What is to be said of the allowances of a request, taking nothing.
    fn look(&self, limits: &[Arc<RateLimit>], ask: &Ask<'_>) -> Vec<(String, String)> {
        if limits.is_empty() {
            return Vec::new();
        }
        let now = self.allowances.now();
        let shown = |limit: &Arc<RateLimit>| limit.shown(|| limit.look(&self.allowances, ask, now));
        limits.iter().filter_map(shown).collect()
    }

    fn rejected(&self, limit: &RateLimit, ask: &Ask<'_>) {
        limit.metrics.rejected();
        if let (Some(rule), Who::Client) = (&limit.ban, ask.who)
            && let Some(network) = limit.blames(ask)
        {
            let scope = ("limit", &*limit.name, network);
            self.weigh(rule, scope, network, Weighed::InFull, Reason::RateLimit);
        }
    }

    fn weigh(
        &self,
        rule: &BanRule,
        scope: impl std::hash::Hash,
        network: Network,
        weighed: Weighed,
        reason: Reason,
    ) {
        let (key, now) = (self.offences.hash(scope), self.offences.now());
        let weight = self.offences.count(key, weighed.weight(), rule.within, now);
        if !rule.is_reached(weight) {
            return;
        }
        self.offences.forget(key);
        let now = self.allowances.now();
        let Some(period) = self.bans.ban(network, rule.lasts, reason, now) else { return };
        if let Some(bans) = self.bans.may_say(now) {
            let seconds = period.as_secs();
            ::log::warn!("{bans} clients banned, the last {network} for {seconds} s: {reason}");
        }
    }
}

/// What there is to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Figures {
    /// Bans that hold.
    pub(crate) bans: usize,
    /// Keys with an allowance that is not whole.
    pub(crate) keys: usize,
    /// Keys that were forgotten before it was, for want of memory.
    pub(crate) forgotten: u64,
    /// Requests that wait for their turn.
    pub(crate) waiting: usize,
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::waiting::{MOST_OF_CLIENT, MOST_WAITING};
    use super::*;
    use crate::log::Metrics;
    use crate::units::Period;

    fn limits(yaml: &str) -> Limits {
        Limits::new(vec![limit("a", yaml)], Some(20), Some(10))
    }

    fn limit(name: &str, yaml: &str) -> Arc<RateLimit> {
        let config: RateConfig = serde_yaml::from_str(yaml).expect("well-formed");
        let metrics = Metrics::new().rate_limit(name);
        let limit = RateLimit::new(name, &config, Period::from_secs(86_400), metrics);
        Arc::new(limit.expect("good"))
    }

    fn policy(yaml: &str) -> BanPolicy {
        BanPolicy::new(&serde_yaml::from_str(yaml).expect("well-formed")).expect("good")
    }

    fn ask(headers: &HeaderMap, address: [u8; 4], who: Who) -> Ask<'_> {
        let address = IpAddr::from(address);
        Ask { address, client: ClientKey::from(address), who, route: "r", headers }
    }

    /// A permit, once it has been waited for.
    async fn take(limits: &Limits, ledger: &Ledger, ask: &Ask<'_>) -> Result<Permit, Exceeded> {
        let mut advance = limits.take(ledger, ask, Duration::MAX)?;
        advance.come().await;
        limits.permit(ledger, ask, advance)
    }

    fn is_banned(ledger: &Ledger, policy: &BanPolicy, address: [u8; 4]) -> bool {
        ledger.is_banned(policy, IpAddr::from(address))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_over_the_rate_waits_for_its_turn() {
        let (limits, ledger) = (limits("{ rate: 1/s, burst: 1, over: delay }"), Ledger::default());
        let headers = HeaderMap::new();
        let ask = ask(&headers, [192, 0, 2, 1], Who::Client);
        let began = tokio::time::Instant::now();
        for seconds in 0..3 {
            take(&limits, &ledger, &ask).await.expect("a permit");
            assert_eq!(began.elapsed().as_secs(), seconds);
        }
        assert_eq!(ledger.tidy().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_wait_than_may() {
        let (limits, ledger) = (limits("{ rate: 1/s, burst: 1, over: delay }"), Ledger::default());
        let headers = HeaderMap::new();
        let ask = ask(&headers, [192, 0, 2, 1], Who::Client);
        take(&limits, &ledger, &ask).await.expect("a permit");
        ledger.waiting.store(MOST_WAITING, Ordering::Relaxed);
        for _ in 0..10 {
            let refused = take(&limits, &ledger, &ask).await.expect_err("too many wait");
            assert_eq!(refused.retry(), Some(Duration::from_secs(1)), "nothing was taken");
        }
        assert_eq!(ledger.tidy().waiting, MOST_WAITING, "none of them waits");
    }

    #[tokio::test(start_paused = true)]
    async fn one_client_has_its_share_of_those_who_wait() {
        let yaml = "{ rate: 1000/s, burst: 1, key: route, over: delay, wait: 1m }";
        let (limits, ledger) = (limits(yaml), Ledger::default());
        let headers = HeaderMap::new();
        let take =
            |address, who| limits.take(&ledger, &ask(&headers, address, who), Duration::MAX).ok();
        let _first = take([192, 0, 2, 1], Who::Client).expect("of the burst");
        let mut waiting = Vec::new();
        for _ in 0..MOST_OF_CLIENT {
            waiting.push(take([192, 0, 2, 1], Who::Client).expect("it may wait"));
        }
        for _ in 0..10 {
            assert!(take([192, 0, 2, 1], Who::Client).is_none(), "it has its share");
        }
        waiting.push(take([192, 0, 2, 2], Who::Client).expect("another may wait"));
        // A proxy that names nobody brings many.
        for _ in 0..=MOST_OF_CLIENT {
            waiting.push(take([192, 0, 2, 3], Who::Proxy).expect("it may wait"));
        }
        drop(waiting.remove(0));
        assert!(take([192, 0, 2, 1], Who::Client).is_some(), "one of its own has left");
        waiting.clear();
        assert_eq!(ledger.tidy().waiting, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_wait_for_so_long_takes_nothing() {
        let yaml = "{ rate: 1/s, burst: 1, over: delay, wait: 1m }";
        let (limits, ledger) = (limits(yaml), Ledger::default());
        let headers = HeaderMap::new();
        let ask = ask(&headers, [192, 0, 2, 1], Who::Client);
        take(&limits, &ledger, &ask).await.expect("a permit");
        let patience = Duration::from_millis(300);
        for _ in 0..100 {
            let refused = limits.take(&ledger, &ask, patience).expect_err("a second is too long");
            assert_eq!(refused.retry(), Some(Duration::from_millis(700)));
        }
        let began = tokio::time::Instant::now();
        tokio::time::advance(Duration::from_millis(750)).await;
        limits.take(&ledger, &ask, patience).expect("its turn comes soon enough").come().await;
        assert_eq!(began.elapsed().as_millis() / 10, 100, "a second after the first");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_its_wait_has_asked_for_nothing() {
        let yaml = "{ rate: 1/s, burst: 1, over: delay, wait: 1m }";
        let (limits, ledger) = (limits(yaml), Ledger::default());
        let headers = HeaderMap::new();
        let ask = ask(&headers, [192, 0, 2, 1], Who::Client);
        let began = tokio::time::Instant::now();
        take(&limits, &ledger, &ask).await.expect("a permit");
        for _ in 0..20 {
            let mut advance = limits.take(&ledger, &ask, Duration::MAX).expect("it may wait");
            let come = tokio::time::timeout(Duration::from_millis(1), advance.come());
            come.await.expect_err("its client does not wait");
        }
        assert_eq!(ledger.tidy().waiting, 0);
        take(&limits, &ledger, &ask).await.expect("a permit");
        assert_eq!(began.elapsed().as_millis() / 10, 100, "a second after the first");
    }

    #[tokio::test(start_paused = true)]
    async fn of_several_limits_all_are_kept_or_none_is_touched() {
        let ledger = Ledger::default();
        let slower = limit("slower", "{ rate: 6/min, burst: 1, over: delay, wait: 1m }");
        let several = vec![
            limit("slow", "{ rate: 1/s, burst: 1, over: delay, wait: 1m }"),
            slower.clone(),
            limit("few", "{ rate: 1/h, burst: 2 }"),
        ];
        let (limits, headers) = (Limits::new(several, None, None), HeaderMap::new());
        let ask = ask(&headers, [192, 0, 2, 1], Who::Client);
        let began = tokio::time::Instant::now();
        for seconds in [0, 10] {
            take(&limits, &ledger, &ask).await.expect("a permit");
            assert_eq!(began.elapsed().as_secs(), seconds, "the longest wait");
        }
        for _ in 0..10 {
            let refused = take(&limits, &ledger, &ask).await.expect_err("two in an hour");
            assert_eq!(refused.rule().as_deref(), Some("few"));
        }
        let slower = Limits::new(vec![slower], None, None);
        take(&slower, &ledger, &ask).await.expect("a permit");
        assert_eq!(began.elapsed().as_secs(), 20, "who was refused took nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_starts_anew_after_a_ban_and_each_limit_counts_its_own() {
        let (ledger, policy, headers) = (Ledger::default(), policy("{}"), HeaderMap::new());
        let yaml = "{ rate: 1/h, ban: { after: 3, within: 1h, for: 1m } }";
        let [one, other] =
            ["one", "other"].map(|name| Limits::new(vec![limit(name, yaml)], None, None));
        let address = [192, 0, 2, 1];
        let ask = ask(&headers, address, Who::Client);
        let exceed = async |limits: &Limits, times: usize| {
            for _ in 0..times {
                take(limits, &ledger, &ask).await.expect_err("over");
            }
            is_banned(&ledger, &policy, address)
        };
        for limits in [&one, &other] {
            take(limits, &ledger, &ask).await.expect("a permit");
        }
        assert!(!exceed(&one, 2).await && !exceed(&other, 2).await);
        assert!(exceed(&one, 1).await);
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(!exceed(&one, 2).await, "what it was banned for is over");
        assert!(exceed(&one, 1).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_on_beyond_a_rate_limit_is_banned_for_longer_each_time() {
        let limits = limits("{ rate: 1/h, ban: { after: 3, within: 10s, for: 1m } }");
        let (ledger, policy, headers) = (Ledger::default(), policy("{}"), HeaderMap::new());
        let asks = [([192, 0, 2, 1], Who::Client), ([192, 0, 2, 2], Who::Proxy)];
        tokio::time::advance(Duration::from_secs(1)).await;
        for minutes in [1, 2, 4] {
            for (address, who) in asks {
                for _ in 0..3 {
                    assert!(!is_banned(&ledger, &policy, address));
                    drop(take(&limits, &ledger, &ask(&headers, address, who)).await);
                }
                take(&limits, &ledger, &ask(&headers, address, who)).await.expect_err("over");
            }
            assert!(is_banned(&ledger, &policy, [192, 0, 2, 1]), "the fourth was refused");
            assert!(!is_banned(&ledger, &policy, [192, 0, 2, 2]), "a proxy");
            tokio::time::advance(Duration::from_secs(minutes * 60 - 1)).await;
            assert!(is_banned(&ledger, &policy, [192, 0, 2, 1]), "{minutes} min");
            tokio::time::advance(Duration::from_secs(1)).await;
            assert!(!is_banned(&ledger, &policy, [192, 0, 2, 1]), "{minutes} min");
            // Until there is an allowance again.
            tokio::time::advance(Duration::from_secs(4000)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn offences_of_every_kind_count_together() {
        let (ledger, policy) = (Ledger::default(), policy("{ after: 2, within: 10s }"));
        let client = ClientKey::from(IpAddr::from([192, 0, 2, 1]));
        let offend = |offence| ledger.penalise(&policy, client, offence);
        offend(Offence::Malformed);
        tokio::time::advance(Duration::from_secs(11)).await;
        for _ in 0..10 {
            offend(Offence::NotFound);
            assert!(!is_banned(&ledger, &policy, [192, 0, 2, 1]), "the first is forgotten");
        }
        offend(Offence::Malformed);
        assert!(is_banned(&ledger, &policy, [192, 0, 2, 1]));
        assert!(!is_banned(&ledger, &policy, [192, 0, 2, 2]));
        let figures = ledger.tidy();
        assert_eq!((figures.bans, figures.keys), (1, 0), "an offence takes no allowance's place");
    }

    #[test]
    fn listed_networks_are_banned_for_good() {
        let (ledger, policy) = (Ledger::default(), policy("{ list: [192.0.2.0/24] }"));
        assert!(is_banned(&ledger, &policy, [192, 0, 2, 9]));
        assert!(!is_banned(&ledger, &policy, [192, 0, 3, 9]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_finds_no_place_uses_up_no_allowance() {
        let (limits, ledger) = (limits("{ rate: 1/h, burst: 11 }"), Ledger::default());
        let headers = HeaderMap::new();
        let ask = ask(&headers, [192, 0, 2, 1], Who::Client);
        let mut held = Vec::new();
        for _ in 0..10 {
            held.push(take(&limits, &ledger, &ask).await.expect("a permit"));
        }
        for _ in 0..5 {
            let refused = take(&limits, &ledger, &ask).await.expect_err("no place");
            assert_eq!(refused.tag(), "concurrency_per_client");
        }
        held.clear();
        take(&limits, &ledger, &ask).await.expect("the last of the burst");
        assert_eq!(take(&limits, &ledger, &ask).await.expect_err("over").tag(), "rate");
    }

    #[tokio::test]
    async fn requests_under_way_are_bounded_by_route_and_by_client() {
        let (limits, ledger) = (limits("{ rate: 1000/s }"), Ledger::default());
        let headers = HeaderMap::new();
        let mut held = Vec::new();
        for address in [[192, 0, 2, 1], [192, 0, 2, 2]] {
            let ask = ask(&headers, address, Who::Client);
            for _ in 0..10 {
                held.push(take(&limits, &ledger, &ask).await.expect("a permit"));
            }
            let tag = take(&limits, &ledger, &ask).await.expect_err("over").tag();
            let all = if held.len() == 20 { "concurrency" } else { "concurrency_per_client" };
            assert_eq!(tag, all);
        }
        let of_other = Ask { route: "s", ..ask(&headers, [192, 0, 2, 1], Who::Client) };
        take(&limits, &ledger, &of_other).await.expect("another route");
        held.truncate(5);
        take(&limits, &ledger, &ask(&headers, [192, 0, 2, 3], Who::Client))
            .await
            .expect("a permit");
        let proxy = ask(&headers, [192, 0, 2, 1], Who::Proxy);
        for _ in 0..15 {
            held.push(take(&limits, &ledger, &proxy).await.expect("one brings many clients"));
        }
        assert_eq!(take(&limits, &ledger, &proxy).await.expect_err("over").tag(), "concurrency");
    }
}
