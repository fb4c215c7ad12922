//! One rate limit as it runs: whose allowance, how fast it fills, what is said.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::config::{Counted, Key, Over, RateConfig, Shown};
use super::offence::BanRule;
use super::rate::Rate;
use super::table::{Ahead, KeyHash, Moment, Table, TooEarly};
use crate::fault::Faults;
use crate::log::RateMetrics;
use crate::networks::{ClientKey, Network};
use crate::units::{ByteSize, Period, nanos};
use crate::values::{self, only};

/// The longest that an allowance may take to fill up: its moments fit 64 bits,
/// and who is over it is not shut out for good.
const LONGEST: Duration = Duration::from_secs(366 * 86_400);
/// The longest that a request may be made to wait, and how long it is where
/// nothing is written.
const WAIT: Period = Period::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// The largest piece in which a body comes.
const PIECE: ByteSize = ByteSize::kib(64);
/// What one network is, of IPv4 and of IPv6: what a provider gives one site.
const V4_NETWORK: u8 = 24;
const V6_NETWORK: u8 = 48;
/// What to write for a limit that bans.
const CLIENT_KEYS: &str = "write `key: client_ip` or `key: client_network`";

/// A rate limit.
#[derive(Debug)]
pub(crate) struct RateLimit {
    pub(crate) name: Arc<str>,
    pub(super) count: Counted,
    key: Key,
    rate: Rate,
    burst: u64,
    wait: u64,
    shown: Shown,
    pub(super) ban: Option<BanRule>,
    pub(super) metrics: Arc<RateMetrics>,
    // The same for the same name and parameters, so that a reload changes nothing.
    scope: u64,
}

/// What of a request its allowances depend on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ask<'a> {
    pub address: IpAddr,
    pub client: ClientKey,
    pub who: Who,
    pub route: &'a str,
    pub headers: &'a HeaderMap,
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// One client.
    Client,
    /// A trusted proxy that names nobody it asks for.
    Proxy,
}

/// What was taken of an allowance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken {
    pub(super) key: KeyHash,
    pub(super) cost: u64,
    ahead: u64,
}

impl RateLimit {
    /// `longest` is that of all bans.
    pub(crate) fn new(
        name: &str,
        config: &RateConfig,
        longest: Period,
        metrics: Arc<RateMetrics>,
    ) -> Result<Self, Faults> {
        let mut faults = check(config);
        let ban = config.ban.as_ref().map(|ban| {
            ban.check()?;
            if !config.key.is_of_clients() {
                let what = "would ban clients for what others ask";
                return Err(Faults::one(format!("{what}; {CLIENT_KEYS}")));
            }
            Ok(BanRule::new(ban.after, ban.within, ban.r#for, longest.max(ban.r#for)))
        });
        let ban = faults.collect("ban", ban.transpose());
        faults.into_result(|| {
            let wait = match config.over {
                Over::Reject => 0,
                Over::Delay => nanos(wait_of(config)),
            };
            let (rate, burst) = (config.rate, burst_of(config));
            let (key, count, shown) = (config.key.lower(), config.count, config.headers);
            let mut scope = DefaultHasher::new();
            (name, &key, count, rate, burst).hash(&mut scope);
            Some(RateLimit {
                name: name.into(),
                count,
                key,
                rate,
                burst,
                wait,
                shown,
                ban: ban?,
                metrics,
                scope: scope.finish(),
            })
        })
    }

    /// Takes `amount` of the allowance of a request, and says how long that
    /// must wait: not for longer than `patience`.
    ///
    /// Bodies come in pieces as large as they like: the last one may go beyond
    /// the allowance, and it is the next one that waits for it.
    pub(super) fn take(
        &self,
        table: &Table,
        ask: &Ask<'_>,
        amount: u64,
        patience: Duration,
        now: Moment,
    ) -> Result<Taken, TooEarly> {
        let key = self.hash(table, ask);
        let cost = cost(self.rate, amount);
        let mut most = cost_of_burst(self).saturating_add(self.wait.min(nanos(patience)));
        if self.count == Counted::BodyBytes {
            most = most.saturating_add(cost);
        }
        let Ahead(ahead) = table.take(key, cost, most, now)?;
        Ok(Taken { key, cost, ahead })
    }

    /// How far the allowance of a request is used, taking nothing.
    pub(super) fn look(&self, table: &Table, ask: &Ask<'_>, now: Moment) -> Taken {
        let key = self.hash(table, ask);
        let Ahead(ahead) = table.ahead(key, now);
        Taken { key, cost: 0, ahead }
    }

    /// Whom to ban for going on beyond the allowance of this request: all that
    /// share it, where they are one client or one network.
    pub(super) fn blames(&self, ask: &Ask<'_>) -> Option<Network> {
        match self.key {
            Key::ClientIp => Some(ask.client.network()),
            Key::ClientNetwork => Some(network_of(ask.address)),
            Key::Route | Key::Header(_) | Key::Cookie(_) => None,
        }
    }

    /// Whether one client alone has used up an allowance.
    pub(super) fn is_of_one_client(&self) -> bool {
        self.key == Key::ClientIp
    }

    /// How long what was taken must wait.
    pub(super) fn wait_of(&self, taken: &Taken) -> Duration {
        let ahead = match self.count {
            Counted::Requests => taken.ahead,
            Counted::BodyBytes => taken.ahead - taken.cost,
        };
        Duration::from_nanos(ahead.saturating_sub(cost_of_burst(self)))
    }

    /// `RateLimit` and `RateLimit-Policy` of a request that was let in, if they are to be
    /// shown (draft-ietf-httpapi-ratelimit-headers).
    pub(super) fn shown(&self, taken: impl FnOnce() -> Taken) -> Option<(String, String)> {
        if self.shown != Shown::All {
            return None;
        }
        let taken = taken();
        let left = cost_of_burst(self).saturating_sub(taken.ahead);
        let left = filled(self.rate, left);
        Some((self.said(left, Duration::from_nanos(taken.ahead)), self.policy()))
    }

    /// The same of one that is rejected.
    pub(crate) fn shown_rejected(&self, retry: Duration) -> Option<(String, String)> {
        (self.shown != Shown::None).then(|| (self.said(0, retry), self.policy()))
    }

    fn said(&self, left: u64, until: Duration) -> String {
        format!("\"{}\";r={left};t={}", self.name, whole_seconds(until))
    }

    /// The quota in a window of whole seconds, in which an allowance fills up.
    fn policy(&self) -> String {
        let window = whole_seconds(Duration::from_nanos(cost_of_burst(self))).max(1);
        let in_window = u128::from(self.rate.amount) * u128::from(window)
            / u128::from(self.rate.per.duration().as_secs());
        let unit = match self.count {
            Counted::Requests => "",
            Counted::BodyBytes => ";qu=\"content-bytes\"",
        };
        let most = in_window.max(u128::from(self.burst));
        format!("\"{}\";q={most};w={window}{unit}", self.name)
    }

    fn hash(&self, table: &Table, ask: &Ask<'_>) -> KeyHash {
        let by_client = || table.hash((self.scope, 0, ask.client));
        match &self.key {
            Key::ClientIp => by_client(),
            Key::ClientNetwork => table.hash((self.scope, 1, network_of(ask.address))),
            Key::Route => table.hash((self.scope, 2, ask.route)),
            Key::Header(name) => {
                let values = ask.headers.get_all(name.as_str()).iter();
                match only(values.map(HeaderValue::as_bytes)) {
                    None => by_client(),
                    Some(value) => table.hash((self.scope, 3, value)),
                }
            }
            Key::Cookie(name) => match only(cookies(ask.headers, name.as_bytes())) {
                None => by_client(),
                Some(value) => table.hash((self.scope, 4, value)),
            },
        }
    }
}

impl Key {
    fn wrong(&self) -> Option<Faults> {
        match self {
            Key::Header(name) if HeaderName::try_from(name.as_str()).is_err() => {
                Some(Faults::at("header", format!("`{name}` is no name of a header field")))
            }
            // RFC 6265 §4.1.1: a cookie's name is a token, as a field's is.
            Key::Cookie(name) if HeaderName::try_from(name.as_str()).is_err() => {
                Some(Faults::at("cookie", format!("`{name}` is no name of a cookie")))
            }
            _ => None,
        }
    }

    /// Whether an allowance belongs to one client, or one network of clients.
    fn is_of_clients(&self) -> bool {
        matches!(self, Key::ClientIp | Key::ClientNetwork)
    }

    fn lower(&self) -> Key {
        match self {
            Key::Header(name) => Key::Header(name.to_ascii_lowercase()),
            other => other.clone(),
        }
    }
}

/// The values of all cookies of that name, without the quotes that they may have:
/// servers read both alike, so a client would have two allowances.
pub(crate) fn cookies<'a>(headers: &'a HeaderMap, name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    values::cookies(headers, name).map(|value| {
        let quoted = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
        quoted.unwrap_or(value)
    })
}

/// What is wrong with a rate limit, bans aside.
fn check(config: &RateConfig) -> Faults {
    let mut faults = Faults::none();
    let mut fault = |key: &str, what: String| faults.extend(Faults::at(key, what));
    let of_requests = config.count == Counted::Requests;
    let burst = burst_of(config);
    if of_requests && config.burst.is_some_and(|burst| burst.is_size) {
        fault("burst", "counts bytes; write 100, or `count: body_bytes`".to_owned());
    } else if burst == 0 {
        fault("burst", "must be 1 or more".to_owned());
    } else if cost(config.rate, burst) > nanos(LONGEST) {
        fault("burst", "would take more than a year to fill up".to_owned());
    }
    if of_requests && config.rate.is_size {
        fault("rate", "counts bytes; write 100/s, or `count: body_bytes`".to_owned());
    }
    let wait = wait_of(config);
    if config.over == Over::Reject && config.wait.is_some() {
        fault("wait", "acts only with `over: delay`".to_owned());
    } else if wait.is_zero() || wait > LONGEST_WAIT {
        let most = Period(LONGEST_WAIT);
        fault("wait", format!("must be longer than 0, and {most} at most"));
    }
    let longest = nanos(wait).saturating_add(cost(config.rate, burst));
    let is_delayed = !of_requests && config.over == Over::Delay;
    if is_delayed && cost(config.rate, PIECE.0) > longest {
        let what = "is so slow that a piece of";
        fault(
            "rate",
            format!("{what} {PIECE} has to wait for longer than `wait` and `burst` allow"),
        );
    }
    if let Some(what) = config.key.wrong() {
        faults.extend(what.under("key"));
    }
    faults
}

fn burst_of(config: &RateConfig) -> u64 {
    config.burst.map_or(config.rate.amount, |burst| burst.number)
}

fn wait_of(config: &RateConfig) -> Duration {
    config.wait.unwrap_or(WAIT).0
}

fn network_of(address: IpAddr) -> Network {
    let prefix = if address.is_ipv4() { V4_NETWORK } else { V6_NETWORK };
    Network::new(address, prefix)
}

fn cost_of_burst(limit: &RateLimit) -> u64 {
    cost(limit.rate, limit.burst)
}

/// The nanoseconds in which so much fills up.
fn cost(rate: Rate, amount: u64) -> u64 {
    let nanos = rate.per.duration().as_nanos() * u128::from(amount) / u128::from(rate.amount);
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

/// How much fills up in so many nanoseconds, of which costs lack a part each.
fn filled(rate: Rate, nanos: u64) -> u64 {
    let amount = (u128::from(nanos) + 1) * u128::from(rate.amount) / rate.per.duration().as_nanos();
    u64::try_from(amount).unwrap_or(u64::MAX)
}

/// Rounded up: who comes back after so many seconds comes not too early.
pub(super) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limit::ALLOWANCES;
    use crate::log::Metrics;

    const SECOND: u64 = 1_000_000_000;

    fn metrics() -> Arc<RateMetrics> {
        Metrics::new().rate_limit("a")
    }

    fn limit(yaml: &str) -> RateLimit {
        let value: serde_yaml::Value = serde_yaml::from_str(yaml).expect("YAML");
        let config: RateConfig =
            serde_yaml::with::singleton_map_recursive::deserialize(value).expect("well-formed");
        RateLimit::new("a", &config, Period::from_secs(1), metrics()).expect("good")
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(line).collect()
    }

    fn ask<'a>(address: &str, route: &'a str, headers: &'a HeaderMap) -> Ask<'a> {
        let address: IpAddr = address.parse().expect("good");
        let client = ClientKey::from(address);
        Ask { address, client, who: Who::Client, route, headers }
    }

    /// Whether two requests share an allowance.
    fn share(key: &str, one: Ask<'_>, other: Ask<'_>) -> bool {
        let (table, limit) =
            (Table::new(ALLOWANCES), limit(&format!("{{ key: {key}, rate: 1/s }}")));
        limit.hash(&table, &one) == limit.hash(&table, &other)
    }

    #[test]
    fn an_allowance_is_shared_by_its_key() {
        let none = HeaderMap::new();
        let at = |address| ask(address, "r", &none);
        for (key, one, other, expected) in [
            ("client_ip", "192.0.2.1", "192.0.2.1", true),
            ("client_ip", "192.0.2.1", "192.0.2.2", false),
            ("client_ip", "2001:db8::1", "2001:db8::2", true),
            ("client_ip", "2001:db8::1", "2001:db8:0:1::1", false),
            ("client_network", "192.0.2.1", "192.0.2.2", true),
            ("client_network", "192.0.2.1", "192.0.3.1", false),
            ("client_network", "2001:db8::1", "2001:db8:0:1::1", true),
            ("client_network", "2001:db8::1", "2001:db8:1::1", false),
            ("route", "192.0.2.1", "203.0.113.9", true),
        ] {
            assert_eq!(share(key, at(one), at(other)), expected, "{key} {one} {other}");
        }
        assert!(!share("route", at("192.0.2.1"), ask("192.0.2.1", "s", &none)));
    }

    #[test]
    fn a_request_without_its_field_or_cookie_counts_by_client() {
        let none = HeaderMap::new();
        let given = [
            ("{ header: X-User }", headers(&[("x-user", "a")]), headers(&[("x-user", "b")])),
            (
                "{ cookie: id }",
                headers(&[("cookie", "xid=c; id=a")]),
                headers(&[("cookie", "id=b;xid=c")]),
            ),
            (
                "{ cookie: id }",
                headers(&[("cookie", "idx=a; id=a")]),
                headers(&[("cookie", "idx=a; id=b")]),
            ),
            ("{ cookie: q }", headers(&[("cookie", "q=\"a\"")]), headers(&[("cookie", "q=\"b\"")])),
        ];
        for (key, one, other) in given {
            let (near, far) = ("192.0.2.1", "192.0.2.2");
            assert!(share(key, ask(near, "r", &one), ask(far, "s", &one)), "{key}");
            assert!(!share(key, ask(near, "r", &one), ask(near, "r", &other)), "{key}");
            assert!(share(key, ask(near, "r", &none), ask(near, "r", &none)), "{key}");
            assert!(!share(key, ask(near, "r", &none), ask(far, "r", &none)), "{key}");
        }
        let (plain, quoted) = (headers(&[("cookie", "q=a")]), headers(&[("cookie", "q=\"a\"")]));
        let (near, far) = ("192.0.2.1", "192.0.2.2");
        assert!(share("{ cookie: q }", ask(near, "r", &plain), ask(far, "r", &quoted)));
        let several = headers(&[("x-user", "a"), ("x-user", "b")]);
        assert!(share("{ header: X-User }", ask(near, "r", &several), ask(near, "r", &none)));
    }

    #[test]
    fn requests_over_the_burst_are_rejected_or_delayed() {
        let (none, table) = (HeaderMap::new(), Table::new(ALLOWANCES));
        let ask = ask("192.0.2.1", "r", &none);
        let reject = limit("{ rate: 2/s, burst: 3 }");
        for left in [2, 1, 0] {
            let taken = reject.take(&table, &ask, 1, Duration::MAX, 1).expect("within the burst");
            assert_eq!(reject.wait_of(&taken), Duration::ZERO);
            assert_eq!((cost_of_burst(&reject) - taken.ahead) / taken.cost, left);
        }
        assert_eq!(
            reject.take(&table, &ask, 1, Duration::MAX, 1).unwrap_err(),
            TooEarly(SECOND / 2)
        );
        let delay = limit("{ rate: 2/s, burst: 1, over: delay, wait: 1s }");
        let waits: Vec<u128> = (0..3)
            .map(|_| {
                delay
                    .wait_of(&delay.take(&table, &ask, 1, Duration::MAX, 1).expect("waits"))
                    .as_millis()
            })
            .collect();
        assert_eq!(waits, [0, 500, 1000]);
        assert_eq!(
            delay.take(&table, &ask, 1, Duration::MAX, 1).unwrap_err(),
            TooEarly(SECOND / 2)
        );
    }

    #[test]
    fn the_piece_after_the_one_over_the_burst_waits() {
        let (none, table) = (HeaderMap::new(), Table::new(ALLOWANCES));
        let ask = ask("192.0.2.1", "r", &none);
        let limit = limit("{ count: body_bytes, rate: 64KiB/s, over: delay, wait: 5s }");
        let wait = |bytes| {
            limit.take(&table, &ask, bytes, Duration::MAX, 1).map(|taken| limit.wait_of(&taken))
        };
        assert_eq!(wait(256 << 10), Ok(Duration::ZERO));
        assert_eq!(wait(128 << 10), Ok(Duration::from_secs(3)));
        assert_eq!(wait(64 << 10), Ok(Duration::from_secs(5)));
        assert_eq!(wait(1), Err(TooEarly(SECOND)), "it would wait for more than 5s");
    }

    #[test]
    fn the_same_parameters_are_the_same_limit() {
        let scope = |yaml| limit(yaml).scope;
        let one = scope("{ rate: 2/s, burst: 3 }");
        assert_eq!(one, scope("{ rate: 2/s, burst: 3, over: delay, headers: all }"));
        for other in ["{ rate: 2/s, burst: 4 }", "{ rate: 2/min, burst: 3 }"] {
            assert_ne!(one, scope(other), "{other}");
        }
        let upper = scope("{ rate: 2/s, key: { header: X-User } }");
        assert_eq!(upper, scope("{ rate: 2/s, key: { header: x-user } }"));
        let config: RateConfig = serde_yaml::from_str("{ rate: 2/s, burst: 3 }").expect("good");
        let other = RateLimit::new("b", &config, Period::from_secs(1), metrics()).expect("good");
        assert_ne!(one, other.scope, "another name");
    }

    #[test]
    fn says_what_is_left_in_whole_requests() {
        let none = HeaderMap::new();
        for (yaml, expected) in [
            ("{ rate: 3/s, burst: 2, headers: all }", [1, 0]),
            ("{ rate: 7/s, burst: 9, headers: all }", [8, 7]),
            ("{ rate: 1/h, burst: 3, headers: all }", [2, 1]),
        ] {
            let (limit, table) = (limit(yaml), Table::new(ALLOWANCES));
            let ask = ask("192.0.2.1", "r", &none);
            for left in expected {
                let taken =
                    limit.take(&table, &ask, 1, Duration::MAX, 1).expect("within the burst");
                let (said, _) = limit.shown(|| taken).expect("shown");
                assert!(said.starts_with(&format!("\"a\";r={left};t=")), "{yaml}: {said}");
                assert_eq!(limit.shown(|| limit.look(&table, &ask, 1)).expect("shown").0, said);
            }
        }
    }

    #[test]
    fn says_its_policy_in_whole_seconds() {
        for (yaml, policy) in [
            ("{ rate: 100/s, burst: 200 }", "\"a\";q=200;w=2"),
            ("{ rate: 5/min }", "\"a\";q=5;w=60"),
            ("{ rate: 10/s, burst: 1 }", "\"a\";q=10;w=1"),
            ("{ rate: 100/s, burst: 150 }", "\"a\";q=200;w=2"),
            (
                "{ rate: 1KiB/s, burst: 3KiB, count: body_bytes }",
                "\"a\";q=3072;w=3;qu=\"content-bytes\"",
            ),
        ] {
            assert_eq!(limit(yaml).policy(), policy, "{yaml}");
        }
        let (said, _) = limit("{ rate: 1/s }").shown_rejected(Duration::from_millis(1200)).unwrap();
        assert_eq!(said, "\"a\";r=0;t=2");
        assert!(limit("{ rate: 1/s, headers: none }").shown_rejected(Duration::ZERO).is_none());
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        for (yaml, at) in [
            ("{ rate: 1/s, burst: 0 }", "burst"),
            ("{ rate: 1/d, burst: 400 }", "burst"),
            ("{ rate: 1KiB/s }", "rate"),
            ("{ rate: 1/s, burst: 1KiB }", "burst"),
            ("{ rate: 1/s, burst: 0B }", "burst"),
            ("{ rate: 1/s, wait: 1s }", "wait"),
            ("{ rate: 1/s, over: delay, wait: 0s }", "wait"),
            ("{ count: body_bytes, rate: 10KiB/s, burst: 1KiB, over: delay }", "rate"),
            ("{ rate: 1/s, over: delay, wait: 2m }", "wait"),
            ("{ rate: 1/s, key: { header: 'a b' } }", "key.header"),
            ("{ rate: 1/s, key: { cookie: '' } }", "key.cookie"),
            ("{ rate: 1/s, ban: { after: 0, within: 1s, for: 1s } }", "ban.after"),
            ("{ rate: 1/s, ban: { after: 1, within: 0s, for: 1s } }", "ban.within"),
            ("{ rate: 1/s, key: route, ban: { after: 1, within: 1s, for: 1s } }", "ban"),
            ("{ rate: 1/s, key: { header: a }, ban: { after: 1, within: 1s, for: 1s } }", "ban"),
            ("{ rate: 1/s, key: { cookie: a }, ban: { after: 1, within: 1s, for: 1s } }", "ban"),
        ] {
            let value: serde_yaml::Value = serde_yaml::from_str(yaml).expect("YAML");
            let config: Result<RateConfig, _> =
                serde_yaml::with::singleton_map_recursive::deserialize(value);
            let faults = RateLimit::new("a", &config.expect(yaml), Period::default(), metrics())
                .unwrap_err();
            let found: Vec<String> = faults.iter().map(|fault| fault.at.to_string()).collect();
            assert_eq!(found, [at], "{yaml}");
        }
    }
}
