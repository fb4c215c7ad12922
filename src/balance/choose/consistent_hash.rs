//! The same server for the same key, while it is up and not overloaded.
//!
//! Weighted rendezvous hashing: every server draws a number from the key and
//! its id, and the best one wins. A server that comes takes only the keys it
//! wins, one that goes leaves only its own; nothing is kept between requests.

use std::net::{IpAddr, Ipv6Addr};

use super::random;
use crate::balance::Ask;
use crate::balance::config::Key;
use crate::balance::hash;
use crate::balance::members::{Candidates, Member};
use crate::balance::sticky::cookie;

/// A server may have this many times its fair share of the requests under way
/// before its keys go to their next server (Mirrokni et al., bounded loads).
const LOAD_BOUND: f64 = 1.25;

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
        let most = (load_per_weight * candidates.weight(member) as f64).ceil();
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

/// A client is an IPv4 address or an IPv6 /64.
fn hash_of_client(client: IpAddr) -> u64 {
    match client.to_canonical() {
        IpAddr::V4(v4) => hash::hash(&[&v4.octets()]),
        IpAddr::V6(v6) => {
            let network = Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64);
            hash::hash(&[&network.octets()])
        }
    }
}
