//! Networks in CIDR notation, sets of them, and what is one client.

mod set;

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use bytes::BufMut;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::units::{Unreadable, digits};

pub(crate) use self::set::Networks;

/// An IPv4 or IPv6 network: `10.0.0.0/8`, `2001:db8::/32`, or one address.
///
/// An IPv4-mapped IPv6 address (`::ffff:10.0.0.1`) counts as its IPv4 address,
/// as sockets that take both families report it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Network {
    // Invariant: bits beyond `prefix` are zero.
    base: u128,
    prefix: u8,
    is_v4: bool,
}

impl Network {
    /// The network of the first `prefix` bits of `address`.
    ///
    /// A prefix longer than the address is the address alone.
    pub(crate) fn new(address: IpAddr, prefix: u8) -> Self {
        let (bits, width, is_v4) = bits_of(address);
        let prefix = prefix.min(width);
        let base = bits & mask(prefix, width);
        Network { base, prefix, is_v4 }
    }

    /// How many bits of its addresses are the same.
    pub(crate) fn prefix(self) -> u8 {
        self.prefix
    }

    pub(crate) fn is_v4(self) -> bool {
        self.is_v4
    }

    /// Whether it is one address alone.
    pub(crate) fn is_one(self) -> bool {
        self.prefix == if self.is_v4 { 32 } else { 128 }
    }

    /// Its first address.
    pub(crate) fn first(self) -> IpAddr {
        match self.is_v4 {
            true => Ipv4Addr::from_bits(self.base as u32).into(),
            false => Ipv6Addr::from_bits(self.base).into(),
        }
    }

    /// One at a time; [`Networks`] finds an address among many.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (bits, width, is_v4) = bits_of(address);
        is_v4 == self.is_v4 && bits & mask(self.prefix, width) == self.base
    }

    /// Its first and its last address, as bits.
    fn range(&self) -> (u128, u128) {
        let width = if self.is_v4 { 32 } else { 128 };
        (self.base, self.base | (mask(width, width) & !mask(self.prefix, width)))
    }
}

impl FromStr for Network {
    type Err = Unreadable;

    fn from_str(text: &str) -> Result<Self, Unreadable> {
        let wrong = || {
            Unreadable(format!("`{text}` is no network; write 10.0.0.0/8, 2001:db8::/32 or ::1"))
        };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let (bits, width, is_v4) = bits_of(address);
        let prefix = match prefix {
            None => Some(width),
            // Its first 96 bits say that it is an IPv4 address.
            Some(prefix) if is_v4 && address.is_ipv6() => {
                digits::<u8>(prefix).and_then(|prefix| prefix.checked_sub(96))
            }
            Some(prefix) => digits(prefix),
        };
        let prefix = prefix.filter(|prefix| *prefix <= width).ok_or_else(wrong)?;
        if bits & mask(prefix, width) != bits {
            return Err(Unreadable(format!(
                "`{text}` has bits set beyond its /{prefix}; write {}",
                Network::new(address, prefix)
            )));
        }
        Ok(Network::new(address, prefix))
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_v4 {
            write!(f, "{}/{}", Ipv4Addr::from(self.base as u32), self.prefix)
        } else {
            write!(f, "{}/{}", Ipv6Addr::from(self.base), self.prefix)
        }
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl Serialize for Network {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Network {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "network".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "format": "network" })
    }
}

/// What limits, bans and stickiness count as one client: an IPv4 address or an
/// IPv6 /64, as whoever has one address of a /64 has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum ClientKey {
    V4(Ipv4Addr),
    /// The first 64 bits.
    V6(u64),
}

impl From<IpAddr> for ClientKey {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => ClientKey::V4(v4),
            IpAddr::V6(v6) => ClientKey::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

impl ClientKey {
    /// All addresses of the client.
    pub(crate) fn network(self) -> Network {
        match self {
            ClientKey::V4(v4) => Network::new(v4.into(), 32),
            ClientKey::V6(_) => Network::new(self.first(), 64),
        }
    }

    /// The address itself, or the first one of the /64.
    pub(crate) fn first(self) -> IpAddr {
        match self {
            ClientKey::V4(v4) => v4.into(),
            ClientKey::V6(prefix) => Ipv6Addr::from_bits(u128::from(prefix) << 64).into(),
        }
    }
}

impl fmt::Display for ClientKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ClientKey::V4(v4) => v4.fmt(f),
            ClientKey::V6(_) => write!(f, "{}/64", self.first()),
        }
    }
}

/// Appends an address as `Display` writes it; IPv4, which most requests write
/// several times, without the cost of formatting.
pub(crate) fn write_address(out: &mut impl BufMut, address: IpAddr) {
    match address {
        IpAddr::V4(v4) => {
            for (index, octet) in v4.octets().into_iter().enumerate() {
                if index > 0 {
                    out.put_u8(b'.');
                }
                if octet >= 100 {
                    out.put_u8(b'0' + octet / 100);
                }
                if octet >= 10 {
                    out.put_u8(b'0' + octet / 10 % 10);
                }
                out.put_u8(b'0' + octet % 10);
            }
        }
        IpAddr::V6(v6) => out.put_slice(v6.to_string().as_bytes()),
    }
}

/// A host and its port, as an authority has them (RFC 3986 §3.2).
pub(crate) fn with_port(host: &str, port: u16) -> String {
    let mut text = String::with_capacity(host.len() + ":65535".len());
    text.push_str(host);
    push_port(&mut text, port);
    text
}

/// Appends `:port`.
pub(crate) fn push_port(text: &mut String, port: u16) {
    text.push(':');
    text.push_str(itoa::Buffer::new().format(port));
}

/// The address as bits, its width, and whether it is IPv4.
fn bits_of(address: IpAddr) -> (u128, u8, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), 32, true),
        IpAddr::V6(v6) => (v6.to_bits(), 128, false),
    }
}

fn mask(prefix: u8, width: u8) -> u128 {
    let ones = u128::MAX >> (128 - u32::from(width));
    ones & ones.checked_shl(u32::from(width - prefix)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_is_an_ipv4_address_or_an_ipv6_64() {
        let key = |address: &str| ClientKey::from(address.parse::<IpAddr>().expect("good"));
        assert_eq!(key("2001:db8:1:2::3"), key("2001:db8:1:2:ffff::"));
        assert_ne!(key("2001:db8:1:2::3"), key("2001:db8:1:3::3"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        assert_eq!(key("2001:db8:1:2::3").to_string(), "2001:db8:1:2::/64");
        assert_eq!(key("2001:db8:1:2::3").first().to_string(), "2001:db8:1:2::");
        assert_eq!(key("::ffff:192.0.2.1").first().to_string(), "192.0.2.1");
    }

    #[test]
    fn writes_addresses_as_display_does() {
        let every_octet = (0..=255).map(|octet| IpAddr::from([octet, 0, 255, octet]));
        let others = ["::1", "2001:db8::ff", "::ffff:10.0.0.1"].map(|v6| v6.parse().expect("good"));
        for address in every_octet.chain(others) {
            let mut out = Vec::new();
            write_address(&mut out, address);
            assert_eq!(String::from_utf8(out).expect("text"), address.to_string());
        }
    }

    fn check(network: &str, address: &str, expected: bool) {
        let network: Network = network.parse().expect("a network");
        let address: IpAddr = address.parse().expect("an address");
        assert_eq!(network.contains(address), expected, "{network} {address}");
    }

    #[test]
    fn contains_by_prefix() {
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("0.0.0.0/0", "203.0.113.9", true);
        check("0.0.0.0/0", "2001:db8::1", false);
        check("::/0", "2001:db8::1", true);
        check("::/0", "10.0.0.1", false);
        check("2001:db8::/32", "2001:db8:1::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("127.0.0.1", "127.0.0.1", true);
        check("127.0.0.1", "127.0.0.2", false);
    }

    #[test]
    fn mapped_addresses_are_their_ipv4_address() {
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("::/0", "::ffff:10.1.2.3", false);
        check("::ffff:10.0.0.0/104", "10.1.2.3", true);
        check("::ffff:10.0.0.0/104", "11.1.2.3", false);
        check("::ffff:0:0/96", "203.0.113.9", true);
        check("::ffff:10.1.2.3", "10.1.2.3", true);
    }

    #[test]
    fn refuses_what_is_no_network() {
        for bad in [
            "",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::1/129",
            "example.com",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/-8",
            "::ffff:10.0.0.0/8",
            "::ffff:10.0.0.0/95",
            "::ffff:10.0.0.0/129",
        ] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
