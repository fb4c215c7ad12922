//! Who is asking: the address behind trusted proxies, and what servers are told of it.
//!
//! A header that names a client is believed only if a trusted proxy sent it.
//! Where its address is registered is looked up for those who ask. What a client
//! may do is for later rooms.

mod forwarded;
mod geo;
mod outgoing;
mod request_id;

use std::net::IpAddr;

use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::listen::Channel;
use crate::networks::{ClientKey, Network, Networks};

use self::forwarded::Behind;

pub(crate) use self::forwarded::{RealIpHeader, TwoClients};
pub(crate) use self::geo::{Config as GeoConfig, Country, Geo, Place};
pub(crate) use self::outgoing::Outgoing;
pub(crate) use self::request_id::{RequestId, X_REQUEST_ID};

/// The section `clients`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    /// Networks whose X-Forwarded-For, Forwarded and PROXY header are believed.
    pub trusted_proxies: Vec<Network>,
    /// Which field of theirs tells who asks: either, x_forwarded_for, forwarded.
    pub real_ip_header: RealIpHeader,
    /// Databases that tell where an address is registered.
    pub geo: GeoConfig,
}

/// Tells clients from the proxies in front of us.
#[derive(Debug)]
pub(crate) struct Clients {
    trusted_proxies: Networks,
    real_ip_header: RealIpHeader,
    geo: Geo,
}

impl Clients {
    pub(crate) fn new(config: &Config) -> Result<Self, Faults> {
        let geo = Geo::new(&config.geo).map_err(|found| found.under("geo"))?;
        let trusted_proxies = Networks::new(&config.trusted_proxies);
        Ok(Clients { trusted_proxies, real_ip_header: config.real_ip_header, geo })
    }

    /// Where addresses are registered.
    pub(crate) fn geo(&self) -> &Geo {
        &self.geo
    }

    /// Whether `address` is that of a trusted proxy.
    pub(crate) fn trust(&self, address: IpAddr) -> bool {
        self.trusted_proxies.contains(address)
    }

    /// The client of a request that came from `peer`.
    pub(crate) fn identify(&self, peer: IpAddr, headers: &HeaderMap) -> Result<Client, TwoClients> {
        let peer = peer.to_canonical();
        let peer_trusted = self.trust(peer);
        let Behind { address, is_in_x_forwarded_for } = match peer_trusted {
            true => {
                let (trusted, field) = (&self.trusted_proxies, self.real_ip_header);
                forwarded::client_behind(peer, headers, trusted, field)?
            }
            false => Behind { address: peer, is_in_x_forwarded_for: false },
        };
        let network = ClientKey::from(address);
        Ok(Client { address, network, peer, peer_trusted, is_in_x_forwarded_for })
    }

    /// The id of a request from `peer`: that of a trusted proxy, or a new one.
    pub(crate) fn request_id(&self, peer: IpAddr, headers: &HeaderMap) -> RequestId {
        let kept = if self.trust(peer) { RequestId::kept(headers) } else { None };
        kept.unwrap_or_else(RequestId::new)
    }
}

/// The client of one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Client {
    /// Who asks, by the word of the trusted proxies, if there are any.
    pub address: IpAddr,
    pub network: ClientKey,
    /// Who opened the connection: the client, or the proxy nearest to us.
    pub peer: IpAddr,
    pub peer_trusted: bool,
    // Whether X-Forwarded-For, as it came, leads to `address`.
    is_in_x_forwarded_for: bool,
}

impl Client {
    /// Nobody: who asks on behalf of everybody. Where a proxy is trusted, it still
    /// says by which scheme and host.
    pub(crate) fn nobody(peer_trusted: bool) -> Self {
        let address = IpAddr::from([0, 0, 0, 0]);
        Client {
            address,
            network: ClientKey::from(address),
            peer: address,
            peer_trusted,
            is_in_x_forwarded_for: false,
        }
    }

    /// What the server is told: `host` is the Host that the client sent, port included.
    pub(crate) fn outgoing(&self, headers: &HeaderMap, host: &str, channel: Channel) -> Outgoing {
        Outgoing::new(self, headers, host, channel)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    pub(super) fn clients() -> Clients {
        clients_by(RealIpHeader::default())
    }

    pub(super) fn clients_by(real_ip_header: RealIpHeader) -> Clients {
        let networks = ["10.0.0.0/8", "2001:db8:ffff::/48"];
        let trusted_proxies = networks.iter().map(|text| text.parse().expect("good")).collect();
        let config = Config { trusted_proxies, real_ip_header, ..Config::default() };
        Clients::new(&config).expect("good")
    }

    /// Headers written as `name: value` lines.
    pub(super) fn headers(lines: &[&str]) -> HeaderMap {
        let fields = lines.iter().map(|line| {
            let (name, value) = line.split_once(": ").expect("a colon");
            let name: HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"))
        });
        fields.collect()
    }

    pub(super) fn identify(peer: &str, lines: &[&str]) -> Client {
        let peer = peer.parse().expect("an address");
        clients().identify(peer, &headers(lines)).expect("one client")
    }

    #[test]
    fn believes_nothing_from_strangers() {
        let lines = ["x-forwarded-for: 192.0.2.1", "forwarded: for=192.0.2.1"];
        for peer in ["203.0.113.9", "2001:db8::1"] {
            let client = identify(peer, &lines);
            assert_eq!(client.address.to_string(), peer);
            assert!(!client.peer_trusted);
        }
        let client = identify("10.0.0.1", &lines);
        assert_eq!(client.address.to_string(), "192.0.2.1");
        assert!(client.peer_trusted);
        assert_eq!(client.peer.to_string(), "10.0.0.1");
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        let client = identify("::ffff:10.0.0.1", &["x-forwarded-for: ::ffff:192.0.2.1"]);
        assert_eq!(client.peer.to_string(), "10.0.0.1");
        assert_eq!(client.address.to_string(), "192.0.2.1");
        assert_eq!(client.network.to_string(), "192.0.2.1");
    }

    #[test]
    fn reads_its_section() {
        let config: Config =
            serde_yaml::from_str("trusted_proxies: [10.0.0.0/8, '::1']").expect("good");
        assert_eq!(config.trusted_proxies.len(), 2);
        assert_eq!(serde_yaml::from_str::<Config>("{}").expect("good"), Config::default());
        for bad in ["trusted_proxies: [10.0.0.1/8]", "trusted_proxys: []", "real_ip_header: x"] {
            assert!(serde_yaml::from_str::<Config>(bad).is_err(), "{bad}");
        }
    }
}
