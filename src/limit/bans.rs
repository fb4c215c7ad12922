//! Who is shut out for a while, and what that takes.
//!
//! A ban lasts longer each time, and is remembered for a while after it has
//! ended. 10,000 of them are asked as fast as one.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::table::Moment;
use crate::networks::Network;
use crate::units::nanos;

/// The most bans that are remembered, some 8 MiB. Beyond it, those that have
/// ended go first, and then those that would be forgotten the soonest.
const MOST: usize = 50_000;
/// The most of them by operators, which never go: there is room for others.
const MOST_OF_OPERATORS: usize = MOST / 2;
/// How many go at once, so that making room is rare.
const ROOM: usize = MOST / 16;
/// The least time between two lines of the log about bans.
const QUIET: u64 = 1_000_000_000;

/// How long bans last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lasts {
    /// The first one; each further one lasts twice as long as the one before.
    pub(crate) first: Duration,
    /// The longest, and how long it takes to forget that there was one.
    pub(crate) longest: Duration,
}

/// Why somebody is banned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// For what was done wrong in any room.
    Offences,
    /// For going on beyond a rate limit.
    RateLimit,
    /// An operator said so.
    Operator,
}

impl Reason {
    /// As operators read it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Reason::Offences => "offences",
            Reason::RateLimit => "rate_limit",
            Reason::Operator => "operator",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Reason::Offences => "offences",
            Reason::RateLimit => "a rate limit",
            Reason::Operator => "an operator's word",
        })
    }
}

/// One ban as it is told: to operators, and to the next process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Told {
    pub(crate) network: Network,
    /// Seconds until it ends, 0 for one that is only remembered.
    pub(crate) ends_in: u64,
    /// Seconds until it is forgotten.
    pub(crate) forgotten_in: u64,
    pub(crate) reason: Reason,
    /// How often the network has been banned.
    pub(crate) times: u32,
}

/// Operators have banned as many as they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("operators have banned {} networks already, the most there may be", MOST_OF_OPERATORS)]
pub(crate) struct TooMany;

/// All bans there are.
#[derive(Debug, Default)]
pub(crate) struct Bans {
    held: RwLock<Held>,
    // How many are held, for those who need not look.
    count: AtomicUsize,
    changes: AtomicU64,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Held {
    by_network: HashMap<Network, Ban>,
    // How many networks there are of each length, IPv4 and IPv6 apart.
    // Invariant: no entry is 0. One look-up each; most often there are two.
    lengths: BTreeMap<(bool, u8), usize>,
    // Invariant: at most `MOST_OF_OPERATORS`, the bans whose reason they are.
    by_operators: usize,
}

#[derive(Debug, Clone, Copy)]
struct Ban {
    ends: Moment,
    forgotten: Moment,
    reason: Reason,
    times: u32,
}

#[derive(Debug, Default)]
struct Said {
    next: Moment,
    unsaid: usize,
}

impl Bans {
    /// Whether `address` is in a network that is banned.
    pub(super) fn hold(&self, address: IpAddr, now: Moment) -> bool {
        !self.are_none() && self.held().holds(address, now)
    }

    /// Whether nobody is, so that no clock need be asked.
    pub(super) fn are_none(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Bans `network`, longer than the last time; says for how long.
    ///
    /// One that is banned already is not banned anew: what was under way when
    /// it was is the same incident, and an operator's word stands.
    pub(super) fn ban(
        &self,
        network: Network,
        lasts: Lasts,
        reason: Reason,
        now: Moment,
    ) -> Option<Duration> {
        let mut held = self.held_mut();
        let before = held.by_network.get(&network).filter(|ban| ban.forgotten > now);
        if before.is_some_and(|ban| ban.ends > now) {
            return None;
        }
        let times = before.map_or(0, |ban| ban.times).saturating_add(1);
        let doubled = lasts.first.saturating_mul(1 << (times - 1).min(31));
        let period = doubled.min(lasts.longest.max(lasts.first));
        let ends = now.saturating_add(nanos(period));
        let forgotten = ends.saturating_add(nanos(lasts.longest));
        held.put(network, Ban { ends, forgotten, reason, times }, now);
        self.changed(&held);
        Some(period)
    }

    /// Bans `network` for as long as an operator says.
    pub(super) fn ban_for(
        &self,
        network: Network,
        period: Duration,
        now: Moment,
    ) -> Result<(), TooMany> {
        let mut held = self.held_mut();
        if !held.may_add_by_operator(network) {
            return Err(TooMany);
        }
        let times = held.by_network.get(&network).map_or(0, |ban| ban.times);
        let ends = now.saturating_add(nanos(period));
        let times = times.saturating_add(1);
        let ban = Ban { ends, forgotten: ends, reason: Reason::Operator, times };
        held.put(network, ban, now);
        self.changed(&held);
        Ok(())
    }

    /// Forgets that `network` was ever banned; whether it was.
    pub(super) fn lift(&self, network: Network) -> bool {
        let mut held = self.held_mut();
        let was = held.take(&network).is_some();
        self.changed(&held);
        was
    }

    /// Drops what is to be forgotten; how many bans hold.
    pub(super) fn tidy(&self, now: Moment) -> usize {
        if self.are_none() {
            return 0;
        }
        // Requests ask beside this; only what takes bans away keeps them waiting.
        let held = self.held();
        let holding = held.by_network.values().filter(|ban| ban.ends > now).count();
        let old = held.by_network.iter().filter(|(_, ban)| ban.forgotten <= now);
        let old: Vec<Network> = old.map(|(network, _)| *network).collect();
        drop(held);
        if !old.is_empty() {
            let mut held = self.held_mut();
            for network in &old {
                // It may have been banned again meanwhile.
                if held.by_network.get(network).is_some_and(|ban| ban.forgotten <= now) {
                    held.take(network);
                }
            }
            self.count.store(held.by_network.len(), Ordering::Relaxed);
        }
        holding
    }

    /// Every ban, those that end last first.
    pub(super) fn list(&self, now: Moment) -> Vec<Told> {
        let mut told = self.told(now);
        told.sort_unstable_by_key(|told| (std::cmp::Reverse(told.ends_in), told.network));
        told
    }

    /// Takes over what another process knew; what is known here already stays,
    /// unless the network was banned there again since.
    pub(super) fn learn(&self, told: &[Told], now: Moment) {
        let mut held = self.held_mut();
        let mut is_changed = false;
        let moment = |secs: u64| now.saturating_add(secs.saturating_mul(1_000_000_000));
        for told in told.iter().take(MOST).filter(|told| told.forgotten_in > 0) {
            let is_news = held.by_network.get(&told.network).is_none_or(|known| {
                let stands = known.is_by_operator() && told.reason != Reason::Operator;
                known.times < told.times && !stands
            });
            let may_be = told.reason != Reason::Operator || held.may_add_by_operator(told.network);
            if is_news && may_be {
                is_changed = true;
                let (ends, forgotten) = (moment(told.ends_in), moment(told.forgotten_in));
                let (reason, times) = (told.reason, told.times);
                held.put(told.network, Ban { ends, forgotten, reason, times }, now);
            }
        }
        if is_changed {
            self.changed(&held);
        }
    }

    /// How many bans have come since a line was written, if it is time for one:
    /// an attack is no reason to fill a disk.
    pub(super) fn may_say(&self, now: Moment) -> Option<usize> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.unsaid += 1;
        if now < said.next {
            return None;
        }
        said.next = now.saturating_add(QUIET);
        Some(std::mem::take(&mut said.unsaid))
    }

    /// How often somebody was banned or let in.
    pub(super) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Relaxed)
    }

    /// Every ban, in no order; requests wait while they are copied, no longer.
    fn told(&self, now: Moment) -> Vec<Told> {
        let held = self.held();
        let seconds = |moment: Moment| moment.saturating_sub(now).div_ceil(1_000_000_000);
        let told = held.by_network.iter().filter(|(_, ban)| ban.forgotten > now);
        let told = told.map(|(network, ban)| Told {
            network: *network,
            ends_in: seconds(ban.ends),
            forgotten_in: seconds(ban.forgotten),
            reason: ban.reason,
            times: ban.times,
        });
        told.collect()
    }

    fn changed(&self, held: &Held) {
        self.count.store(held.by_network.len(), Ordering::Relaxed);
        self.changes.fetch_add(1, Ordering::Relaxed);
    }

    fn held(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn held_mut(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn holds(&self, address: IpAddr, now: Moment) -> bool {
        let is_v4 = address.to_canonical().is_ipv4();
        let lengths = self.lengths.range((is_v4, 0)..=(is_v4, u8::MAX));
        lengths
            .map(|((_, length), _)| Network::new(address, *length))
            .any(|network| self.by_network.get(&network).is_some_and(|ban| ban.ends > now))
    }

    fn may_add_by_operator(&self, network: Network) -> bool {
        let before = self.by_network.get(&network);
        self.by_operators < MOST_OF_OPERATORS || before.is_some_and(Ban::is_by_operator)
    }

    fn put(&mut self, network: Network, ban: Ban, now: Moment) {
        if self.by_network.len() >= MOST && !self.by_network.contains_key(&network) {
            self.make_room(now);
        }
        self.by_operators += usize::from(ban.is_by_operator());
        match self.by_network.insert(network, ban) {
            None => *self.lengths.entry(length(network)).or_insert(0) += 1,
            Some(before) => self.by_operators -= usize::from(before.is_by_operator()),
        }
    }

    fn take(&mut self, network: &Network) -> Option<Ban> {
        let ban = self.by_network.remove(network)?;
        self.by_operators -= usize::from(ban.is_by_operator());
        let length = length(*network);
        if let Some(count) = self.lengths.get_mut(&length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&length);
            }
        }
        Some(ban)
    }

    fn make_room(&mut self, now: Moment) {
        let worth = |ban: &Ban| (ban.ends > now, ban.is_by_operator(), ban.forgotten);
        let least = self.by_network.iter().map(|(network, ban)| (worth(ban), *network));
        let mut least: Vec<_> = least.collect();
        least.select_nth_unstable(ROOM);
        for (_, network) in least.iter().take(ROOM) {
            self.take(network);
        }
    }
}

impl Ban {
    fn is_by_operator(&self) -> bool {
        self.reason == Reason::Operator
    }
}

fn length(network: Network) -> (bool, u8) {
    (network.is_v4(), network.prefix())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const LASTS: Lasts = Lasts { first: Duration::from_secs(10), longest: Duration::from_secs(35) };

    fn network(text: &str) -> Network {
        text.parse().expect("a network")
    }

    fn holds(bans: &Bans, address: &str, second: u64) -> bool {
        bans.hold(address.parse().expect("an address"), second * SECOND)
    }

    fn ban(bans: &Bans, text: &str, second: u64) -> u64 {
        let period = bans.ban(network(text), LASTS, Reason::Offences, second * SECOND);
        period.map_or(0, |period| period.as_secs())
    }

    fn operator_bans(bans: &Bans, network: Network, secs: u64, second: u64) {
        let period = Duration::from_secs(secs);
        bans.ban_for(network, period, second * SECOND).expect("room for it");
    }

    fn address(n: usize) -> IpAddr {
        IpAddr::from((n as u32).to_be_bytes())
    }

    #[test]
    fn a_ban_ends_and_lasts_longer_the_next_time() {
        let bans = Bans::default();
        assert!(!holds(&bans, "192.0.2.1", 0));
        assert_eq!(ban(&bans, "192.0.2.1", 0), 10);
        for (second, expected) in [(0, true), (9, true), (10, false)] {
            assert_eq!(holds(&bans, "192.0.2.1", second), expected, "{second} s");
        }
        assert!(!holds(&bans, "192.0.2.2", 0));
        assert_eq!(ban(&bans, "192.0.2.1", 20), 20);
        assert_eq!(ban(&bans, "192.0.2.1", 50), 35, "never longer than the longest");
        assert_eq!(bans.list(60 * SECOND)[0].times, 3);
    }

    #[test]
    fn a_ban_is_forgotten_after_a_quiet_while() {
        let bans = Bans::default();
        ban(&bans, "192.0.2.1", 0);
        assert_eq!(bans.tidy(44 * SECOND), 0, "it has ended");
        assert_eq!(bans.list(44 * SECOND).len(), 1, "it is remembered");
        bans.tidy(45 * SECOND);
        assert!(bans.list(45 * SECOND).is_empty() && bans.are_none());
        assert_eq!(ban(&bans, "192.0.2.1", 46), 10, "as if it were the first");
        // Not tidied, it is forgotten all the same.
        assert_eq!(ban(&bans, "192.0.2.1", 200), 10);
    }

    #[test]
    fn networks_of_any_length_are_banned_and_let_in_again() {
        let bans = Bans::default();
        for text in ["192.0.2.0/24", "2001:db8::/64", "198.51.100.7"] {
            operator_bans(&bans, network(text), 60, 0);
        }
        for (address, expected) in [
            ("192.0.2.200", true),
            ("::ffff:192.0.2.200", true),
            ("192.0.3.1", false),
            ("2001:db8::9", true),
            ("2001:db8:0:1::9", false),
            ("198.51.100.7", true),
            ("198.51.100.8", false),
        ] {
            assert_eq!(holds(&bans, address, 1), expected, "{address}");
        }
        assert!(bans.lift(network("192.0.2.0/24")) && !bans.lift(network("192.0.2.0/24")));
        assert!(!holds(&bans, "192.0.2.200", 1) && holds(&bans, "198.51.100.7", 1));
        assert_eq!(bans.held().lengths.len(), 2);
        assert_eq!(bans.changes(), 5, "three came, and it was asked for two to go");
    }

    #[test]
    fn what_is_known_here_stays_whatever_another_process_knew() {
        let bans = Bans::default();
        bans.ban_for(network("192.0.2.1"), Duration::from_secs(60), 0).expect("room");
        let reason = Reason::Offences;
        let told = |text, ends_in, forgotten_in| Told {
            network: network(text),
            ends_in,
            forgotten_in,
            reason,
            times: 1,
        };
        bans.learn(&[told("192.0.2.1", 5, 5), told("192.0.2.2", 0, 0)], 0);
        assert!(holds(&bans, "192.0.2.1", 59));
        assert_eq!(bans.held().by_network.len(), 1, "what is forgotten is not learnt");
        assert_eq!(bans.changes(), 1, "nothing was learnt");
        let again = Told { times: 2, ..told("192.0.2.1", 5, 5) };
        bans.learn(&[again], 0);
        assert!(holds(&bans, "192.0.2.1", 59), "an operator's word stands");
        bans.learn(&[told("192.0.2.2", 5, 5)], 0);
        assert_eq!(bans.changes(), 2, "what is learnt is to be kept, too");
        let again = Told { times: 2, ..told("192.0.2.2", 50, 50) };
        bans.learn(&[again], 0);
        assert!(holds(&bans, "192.0.2.2", 49), "it was banned again");
    }

    #[test]
    fn nobody_is_banned_anew_while_a_ban_holds() {
        let bans = Bans::default();
        let banned = [(0, 10), (1, 0), (9, 0), (10, 20), (11, 0), (30, 35)];
        for (second, expected) in banned {
            assert_eq!(ban(&bans, "192.0.2.1", second), expected, "{second} s");
        }
        assert_eq!(bans.list(31 * SECOND)[0].times, 3);
        assert_eq!(bans.changes(), 3);
    }

    #[test]
    fn an_offence_does_not_change_what_an_operator_said() {
        let bans = Bans::default();
        operator_bans(&bans, network("192.0.2.1"), 600, 0);
        assert_eq!(ban(&bans, "192.0.2.1", 1), 0);
        assert_eq!(bans.list(SECOND)[0].reason, Reason::Operator);
        operator_bans(&bans, network("192.0.2.1"), 5, 2);
        assert_eq!(ban(&bans, "192.0.2.1", 3), 0, "nor make it longer");
        assert!(!holds(&bans, "192.0.2.1", 7), "an operator may");
    }

    #[test]
    fn beyond_the_most_those_forgotten_soonest_go() {
        let bans = Bans::default();
        for n in 0..MOST + 1 {
            let period = Duration::from_secs(10 + n as u64);
            let lasts = Lasts { first: period, longest: period };
            bans.ban(Network::new(address(n), 32), lasts, Reason::Offences, 0);
        }
        assert_eq!(bans.held().by_network.len(), MOST + 1 - ROOM);
        assert!(!bans.hold(address(ROOM - 1), 1) && bans.hold(address(ROOM), 1));
        assert!(bans.hold(address(MOST), 1), "the new one is there");
        assert_eq!(bans.held().lengths.values().sum::<usize>(), MOST + 1 - ROOM);
    }

    #[test]
    fn bans_by_operators_and_those_that_hold_go_last() {
        let bans = Bans::default();
        let network = |n: usize| Network::new(address(n), 32);
        for n in 0..MOST_OF_OPERATORS {
            operator_bans(&bans, network(n), 20, 0);
        }
        let more = bans.ban_for(network(MOST), Duration::from_secs(20), 0);
        assert_eq!(more, Err(TooMany));
        operator_bans(&bans, network(0), 20, 0);
        let first = |secs| Lasts { first: Duration::from_secs(secs), ..LASTS };
        for n in MOST_OF_OPERATORS..MOST {
            // The last of them end soon, and are remembered for longer than all others.
            let lasts = if n >= MOST - ROOM { first(1) } else { first(10) };
            let longest = Duration::from_secs(if n >= MOST - ROOM { 90 } else { 30 });
            bans.ban(network(n), Lasts { longest, ..lasts }, Reason::Offences, 0);
        }
        let ban = |n| bans.ban(network(n), first(10), Reason::Offences, 2 * SECOND);
        assert!(ban(MOST).is_some());
        let holding = |of: std::ops::Range<usize>| of.filter(|n| bans.hold(address(*n), 1)).count();
        let others = MOST - MOST_OF_OPERATORS - ROOM;
        assert_eq!(holding(MOST - ROOM..MOST), 0, "those that have ended");
        assert_eq!(holding(MOST_OF_OPERATORS..MOST - ROOM), others, "those that hold");
        for n in MOST + 1..MOST + 1 + ROOM {
            assert!(ban(n).is_some());
        }
        assert_eq!(holding(MOST_OF_OPERATORS..MOST - ROOM), others - ROOM, "no others are left");
        assert_eq!(holding(0..MOST_OF_OPERATORS), MOST_OF_OPERATORS);
        assert!(bans.lift(network(0)));
        operator_bans(&bans, network(0), 20, 3);
        assert_eq!(bans.held().by_operators, MOST_OF_OPERATORS);
    }

    #[test]
    fn bans_of_another_process_are_no_more_than_there_may_be() {
        let bans = Bans::default();
        let told: Vec<Told> = (0..MOST_OF_OPERATORS + 2)
            .map(|n| Told {
                network: Network::new(address(n), 32),
                ends_in: 60,
                forgotten_in: 60,
                reason: Reason::Operator,
                times: 1,
            })
            .collect();
        bans.learn(&told, SECOND);
        assert_eq!(bans.list(SECOND).len(), MOST_OF_OPERATORS);
        assert_eq!(bans.tidy(61 * SECOND), 0);
        assert_eq!((bans.held().by_operators, bans.are_none()), (0, true));
    }

    #[test]
    fn ten_thousand_are_told_to_the_next_process() {
        let (old, new) = (Bans::default(), Bans::default());
        for n in 0..10_000_u32 {
            let address = IpAddr::from((0x0a00_0000 + n).to_be_bytes());
            old.ban(Network::new(address, 32), LASTS, Reason::RateLimit, SECOND);
        }
        let told = serde_json::to_vec(&old.list(SECOND)).expect("plain values");
        assert!(told.len() < 2 << 20, "{} bytes", told.len());
        let told: Vec<Told> = serde_json::from_slice(&told).expect("its own words");
        assert_eq!(told.len(), 10_000);
        // Another process has another clock.
        new.learn(&told, 100 * SECOND);
        assert!(holds(&new, "10.0.39.15", 109) && !holds(&new, "10.0.39.15", 110));
        assert!(!holds(&new, "10.0.39.16", 109));
        assert_eq!(ban(&new, "10.0.39.15", 120), 20, "the first one counts");
    }

    #[test]
    fn bans_are_said_once_a_second_with_their_number() {
        let bans = Bans::default();
        let said = |second: u64| bans.may_say(second * SECOND);
        assert_eq!([said(1), said(1), said(1), said(2)], [Some(1), None, None, Some(3)]);
    }
}
