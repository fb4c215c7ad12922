//! The same server for the same key, while it is up and not overloaded.
//!
//! Weighted rendezvous hashing: every server draws a number from the key and
//! its id, and the best one wins. A server that comes takes only the keys it
//! wins, one that goes leaves only its own; nothing is kept between requests.

use std::net::IpAddr;

use super::random;
use crate::balance::Ask;
use crate::balance::config::Key;
use crate::balance::hash;
use crate::balance::members::{Candidates, Member};
use crate::balance::sticky::cookie;
use crate::networks::ClientKey;

/// A server may have this many times its fair share of the requests under way
/// before its keys go to their next server (Mirrokni et al., bounded loads).
const LOAD_BOUND: f64 = 1.25;
/// And this many whatever its share: a fair share of little is less than the
/// few requests that one browser sends at once.
const ALWAYS_ROOM: f64 = 16.0;

/// A request without the key goes anywhere. O(n).
pub(super) fn choose(key: &Key, ask: &Ask<'_>, candidates: &Candidates<'_>) -> usize {
    let Some(key) = hash_of(key, ask) else { return random::choose(candidates) };
    let (mut load, mut weights) = (1, 0);
    for (_, member) in candidates.iter() {
        load += member.server.in_flight();
        weights += candidates.weight(member);
    }
    let load_per_weight = LOAD_BOUND * load as f64 / weights as f64;
    let has_room = |member: &Member| {
        let most = (load_per_weight * candidates.weight(member) as f64).ceil().max(ALWAYS_ROOM);
        (member.server.in_flight() as f64) < most
    };
    candidates
        .iter()
        .filter(|(_, member)| has_room(member))
        .map(|(at, member)| (at, draw(key, member) / candidates.weight(member) as f64))
        .min_by(|(_, one), (_, other)| one.total_cmp(other))
        // Requests that end meanwhile cannot take all room, but may in theory come.
        .map_or_else(|| random::choose(candidates), |(at, _)| at)
}

/// Exponentially distributed over keys: the smallest, divided by the weights, is
/// each server's in proportion to its weight.
fn draw(key: u64, member: &Member) -> f64 {
    // 52 bits and a half: never 0 or 1, so that the logarithm is finite and not 0.
    let uniform = ((hash::mix(key ^ member.server.id().0) >> 12) as f64 + 0.5) / 2f64.powi(52);
    -uniform.ln()
}

fn hash_of(key: &Key, ask: &Ask<'_>) -> Option<u64> {
    match key {
        Key::ClientIp => Some(hash_of_client(ask.client)),
        Key::Uri => Some(hash::hash(&[ask.target.as_bytes()])),
        Key::Header(name) => {
            ask.headers.get(name.as_str()).map(|value| hash::hash(&[value.as_bytes()]))
        }
        Key::Cookie(name) => cookie(ask.headers, name).map(|value| hash::hash(&[value])),
    }
}

fn hash_of_client(client: IpAddr) -> u64 {
    match ClientKey::from(client).first() {
        IpAddr::V4(v4) => hash::hash(&[&v4.octets()]),
        IpAddr::V6(v6) => hash::hash(&[&v6.octets()]),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::{COOKIE, USER_AGENT};

    use super::*;
    use crate::balance::trial::{CLIENT, even, number, pick, pool, weighted};
    use crate::balance::{Balance, Config, Lease, Pool};

    const KEYS: usize = 10_000;

    fn by_uri() -> Balance {
        Balance::ConsistentHash(Key::Uri)
    }

    fn pick_for(pool: &Pool, target: &str) -> Lease {
        let ask = Ask { client: CLIENT, target, headers: &HeaderMap::new(), tried: &[] };
        pool.pick(&ask).expect("a server is up")
    }

    /// The server of each of many keys.
    fn owners(config: &Config) -> Vec<usize> {
        let pool = pool(config);
        (0..KEYS).map(|key| number(&pick_for(&pool, &format!("/{key}")))).collect()
    }

    fn keys_of(server: usize, owners: &[usize]) -> usize {
        owners.iter().filter(|owner| **owner == server).count()
    }

    #[test]
    fn an_eleventh_server_takes_only_its_share_of_keys() {
        let before = owners(&even(by_uri(), 10));
        let after = owners(&even(by_uri(), 11));
        let moved: Vec<_> = before.iter().zip(&after).filter(|(old, new)| old != new).collect();
        assert!(moved.iter().all(|(_, new)| **new == 11), "a key moved between old servers");
        let share = moved.len() * 100 / KEYS;
        assert!((7..=15).contains(&share), "{share} %");
    }

    #[test]
    fn keys_follow_the_weights() {
        let owners = owners(&weighted(by_uri(), &[1, 1, 2]));
        let [one, _, double] = [1, 2, 3].map(|server| keys_of(server, &owners));
        assert!((2350..=2650).contains(&one), "{one}");
        assert!((4800..=5200).contains(&double), "{double}");
    }

    #[test]
    fn a_popular_key_does_not_overload_its_server() {
        let pool = pool(&even(by_uri(), 4));
        let leases: Vec<_> = (0..400).map(|_| pick_for(&pool, "/popular")).collect();
        let owner = number(&leases[0]);
        let loads = [1, 2, 3, 4]
            .map(|server| leases.iter().filter(|lease| number(lease) == server).count());
        assert!(loads.iter().all(|load| *load <= 126), "{loads:?}");
        assert!(loads[owner - 1] >= 124, "{loads:?}");
    }

    #[test]
    fn a_key_stays_while_there_is_little_to_do() {
        let pool = pool(&even(by_uri(), 4));
        let leases: Vec<_> = (0..16).map(|_| pick_for(&pool, "/browser")).collect();
        let owners: Vec<_> = leases.iter().map(number).collect();
        assert_eq!(owners, [owners[0]; 16]);
    }

    /// The hashes of requests from a client, for a target, with two headers.
    fn hash_for(key: &Key, client: &str, target: &str, agent: &str, cookie: &str) -> Option<u64> {
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, agent.parse().expect("header text"));
        headers.insert(COOKIE, cookie.parse().expect("header text"));
        let client = client.parse().expect("an address");
        hash_of(key, &Ask { client, target, headers: &headers, tried: &[] })
    }

    #[test]
    fn each_key_depends_on_its_part_of_the_request() {
        let all = [
            Key::ClientIp,
            Key::Uri,
            Key::Header("user-agent".to_owned()),
            Key::Cookie("user".to_owned()),
        ];
        for (part, key) in all.iter().enumerate() {
            let base = hash_for(key, "10.0.0.1", "/", "x", "user=1");
            let changed = [
                hash_for(key, "10.0.0.2", "/", "x", "user=1"),
                hash_for(key, "10.0.0.1", "/?a", "x", "user=1"),
                hash_for(key, "10.0.0.1", "/", "y", "user=1"),
                hash_for(key, "10.0.0.1", "/", "x", "user=2"),
            ];
            for (index, hash) in changed.iter().enumerate() {
                assert_eq!(*hash != base, index == part, "{key:?}, part {index}");
            }
        }
    }

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_network() {
        let hash = |client| hash_for(&Key::ClientIp, client, "/", "", "");
        assert_eq!(hash("2001:db8::1"), hash("2001:db8::2"));
        assert_ne!(hash("2001:db8::1"), hash("2001:db8:0:1::1"));
        assert_eq!(hash("::ffff:10.0.0.1"), hash("10.0.0.1"));
    }

    #[test]
    fn a_request_without_the_key_goes_anywhere() {
        let key = Key::Header("x-user".to_owned());
        let pool = pool(&even(Balance::ConsistentHash(key), 2));
        let first = (0..100).filter(|_| number(&pick(&pool).expect("up")) == 1).count();
        assert!((20..80).contains(&first), "{first}");
    }
}
