//! A list of networks as it is written, asked one network after the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reference::number;

/// A network as it is written. An IPv4 address within IPv6 is an IPv4 address.
#[derive(Debug)]
pub(super) enum Listed {
    V4(u32, u32),
    V6(u128, u32),
}

/// The networks of a list; none if one of its lines is no network.
pub(super) fn networks(text: &str) -> Option<Vec<Listed>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = text.split('\n').map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(Listed::read).collect()
}

impl Listed {
    fn read(line: &str) -> Option<Listed> {
        let (address, prefix) = match line.split_once('/') {
            Some((address, prefix)) => (address, Some(number(prefix.as_bytes())?)),
            None => (line, None),
        };
        let address: IpAddr = address.parse().ok()?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix =
            u32::try_from(prefix.unwrap_or(width)).ok().filter(|p| u64::from(*p) <= width)?;
        let listed = match address.to_canonical() {
            // Of 128 bits, the first 96 say that it is IPv4.
            IpAddr::V4(v4) if address.is_ipv6() => {
                Listed::V4(v4.to_bits(), prefix.checked_sub(96)?)
            }
            IpAddr::V4(v4) => Listed::V4(v4.to_bits(), prefix),
            IpAddr::V6(v6) => Listed::V6(v6.to_bits(), prefix),
        };
        (listed.first() == listed.base()).then_some(listed)
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        match (self, address.to_canonical()) {
            (Listed::V4(base, prefix), IpAddr::V4(v4)) => {
                (0..*prefix).all(|bit| (base ^ v4.to_bits()) << bit >> 31 == 0)
            }
            (Listed::V6(base, prefix), IpAddr::V6(v6)) => {
                (0..*prefix).all(|bit| (base ^ v6.to_bits()) << bit >> 127 == 0)
            }
            _ => false,
        }
    }

    /// Its ends, and what lies beyond them.
    pub(super) fn around(&self) -> [IpAddr; 4] {
        let (first, last) = (self.first(), self.last());
        let at = |bits: u128| -> IpAddr {
            match self {
                Listed::V4(..) => Ipv4Addr::from_bits(bits as u32).into(),
                Listed::V6(..) => Ipv6Addr::from_bits(bits).into(),
            }
        };
        [at(first.wrapping_sub(1)), at(first), at(last), at(last.wrapping_add(1))]
    }

    fn base(&self) -> u128 {
        match self {
            Listed::V4(base, _) => (*base).into(),
            Listed::V6(base, _) => *base,
        }
    }

    fn first(&self) -> u128 {
        self.last() - self.beyond()
    }

    fn last(&self) -> u128 {
        self.base() | self.beyond()
    }

    /// The bits that its prefix does not say, all of them ones.
    fn beyond(&self) -> u128 {
        match self {
            Listed::V4(_, prefix) => (1 << (32 - prefix)) - 1,
            Listed::V6(_, 0) => u128::MAX,
            Listed::V6(_, prefix) => (1 << (128 - prefix)) - 1,
        }
    }
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listed::V4(base, prefix) => write!(f, "{}/{prefix}", Ipv4Addr::from_bits(*base)),
            Listed::V6(base, prefix) => write!(f, "{}/{prefix}", Ipv6Addr::from_bits(*base)),
        }
    }
}
