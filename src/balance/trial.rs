//! Pools and requests for the tests of this room.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use http::HeaderMap;
use http::header::COOKIE;

use super::{Ask, Balance, Config, Lease, NoServer, Pool, ServerConfig, ServerId};
use crate::units::Switch;

pub(super) const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Servers `10.0.0.1:80` and on, one for each weight.
pub(super) fn weighted(balance: Balance, weights: &[u32]) -> Config {
    let server = |(index, weight): (usize, &u32)| ServerConfig {
        weight: *weight,
        ..ServerConfig::from(format!("10.0.0.{}:80", index + 1).as_str())
    };
    let servers = weights.iter().enumerate().map(server).collect();
    Config { servers, balance, ..Config::default() }
}

/// Servers of the same weight.
pub(super) fn even(balance: Balance, servers: usize) -> Config {
    weighted(balance, &vec![1; servers])
}

/// The same with one more, a backup.
pub(super) fn with_backup(mut config: Config) -> Config {
    config.servers.push(ServerConfig { backup: Switch::ON, ..ServerConfig::from("10.0.1.1:80") });
    config
}

pub(super) fn pool(config: &Config) -> Arc<Pool> {
    Arc::new(Pool::new("app", config, None).expect("good words"))
}

/// A request that was nowhere yet.
pub(super) fn pick(pool: &Pool) -> Result<Lease, NoServer> {
    pick_again(pool, &[])
}

pub(super) fn pick_again(pool: &Pool, tried: &[ServerId]) -> Result<Lease, NoServer> {
    pool.pick(&Ask { client: CLIENT, target: "/", headers: &HeaderMap::new(), tried })
}

pub(super) fn pick_with_cookie(pool: &Pool, cookie: &str) -> Lease {
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, cookie.parse().expect("header text"));
    pool.pick(&Ask { client: CLIENT, target: "/", headers: &headers, tried: &[] })
        .expect("a server is up")
}

/// The last number of the server's address: 1 for the first.
pub(super) fn number(lease: &Lease) -> usize {
    let address = lease.server().address().as_inet().expect("an inet server");
    match address.ip() {
        IpAddr::V4(ip) => usize::from(ip.octets()[3]),
        IpAddr::V6(_) => panic!("an IPv4 server"),
    }
}

/// The numbers of the servers of some requests, one after the other.
pub(super) fn numbers(pool: &Pool, requests: usize) -> Vec<usize> {
    (0..requests).map(|_| number(&pick(pool).expect("a server is up"))).collect()
}

/// How often each server answers some requests, one after the other.
pub(super) fn counts<const SERVERS: usize>(pool: &Pool, requests: usize) -> [usize; SERVERS] {
    let mut counts = [0; SERVERS];
    for number in numbers(pool, requests) {
        counts[number - 1] += 1;
    }
    counts
}
