//! A set of networks as sorted ranges of addresses.

use std::net::IpAddr;

use super::Network;

/// A set of networks, asked for one address at a time.
///
/// O(log n) per question: it may hold the 100,000 networks of a published list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Networks {
    v4: Ranges<u32>,
    v6: Ranges<u128>,
}

impl Networks {
    pub(crate) fn new(networks: &[Network]) -> Self {
        let of = |is_v4| networks.iter().filter(move |network| network.is_v4 == is_v4);
        let v4 = of(true).map(Network::range).map(|(first, last)| (first as u32, last as u32));
        Networks {
            v4: Ranges::new(v4.collect(), |last| last.checked_add(1)),
            v6: Ranges::new(of(false).map(Network::range).collect(), |last| last.checked_add(1)),
        }
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.v4.contains(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.contains(v6.to_bits()),
        }
    }
}

/// Ranges of addresses of one family.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ranges<A> {
    // Invariant: sorted, and each is beyond the last of the range before.
    firsts: Box<[A]>,
    // Invariant: as many as `firsts`, and none is less than its first.
    lasts: Box<[A]>,
}

impl<A: Ord + Copy> Ranges<A> {
    /// `next` is the address after one, if there is one.
    fn new(mut ranges: Vec<(A, A)>, next: impl Fn(A) -> Option<A>) -> Self {
        ranges.sort_unstable();
        let mut apart: Vec<(A, A)> = Vec::with_capacity(ranges.len());
        for (first, last) in ranges {
            match apart.last_mut() {
                Some((_, end)) if next(*end).is_none_or(|next| first <= next) => {
                    *end = last.max(*end);
                }
                _ => apart.push((first, last)),
            }
        }
        let (firsts, lasts): (Vec<A>, Vec<A>) = apart.into_iter().unzip();
        Ranges { firsts: firsts.into(), lasts: lasts.into() }
    }

    fn contains(&self, address: A) -> bool {
        let after = self.firsts.partition_point(|first| *first <= address);
        let at = after.checked_sub(1).and_then(|before| self.lasts.get(before));
        at.is_some_and(|last| address <= *last)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    /// Asks at both ends of every network, one beyond them, and elsewhere.
    fn check(networks: &[Network], random: &mut fastrand::Rng) {
        let set = Networks::new(networks);
        let ends = networks.iter().flat_map(|network| {
            let (first, last) = network.range();
            let around = [first.wrapping_sub(1), first, last, last.wrapping_add(1)];
            around.map(|bits| match network.is_v4 {
                true => IpAddr::from(Ipv4Addr::from_bits(bits as u32)),
                false => IpAddr::from(Ipv6Addr::from_bits(bits)),
            })
        });
        let v4 = std::iter::repeat_with(|| IpAddr::from(Ipv4Addr::from_bits(random.u32(..))));
        let elsewhere: Vec<IpAddr> = v4.take(64).collect();
        for address in ends.chain(elsewhere) {
            let expected = networks.iter().any(|network| network.contains(address));
            assert_eq!(set.contains(address), expected, "{address} {networks:?}");
        }
    }

    #[test]
    fn a_set_finds_what_its_networks_contain_one_by_one() {
        let mut random = fastrand::Rng::with_seed(3);
        for round in 0..400 {
            // Crowded, so that networks touch, hold and repeat each other.
            let spread = [0xff, 0xffff, u32::MAX][round % 3];
            let network = |_| {
                let bits = random.u32(..) & spread;
                match random.bool() {
                    true => Network::new(Ipv4Addr::from_bits(bits).into(), random.u8(8..=32)),
                    false => {
                        let bits = u128::from(bits) << random.u8(0..=96);
                        Network::new(Ipv6Addr::from_bits(bits).into(), random.u8(8..=128))
                    }
                }
            };
            let networks: Vec<Network> = (0..round % 40).map(network).collect();
            check(&networks, &mut random);
        }
    }

    #[test]
    fn a_set_reaches_to_the_ends_of_both_families() {
        let mut random = fastrand::Rng::with_seed(4);
        for texts in [
            &["0.0.0.0/0"][..],
            &["::/0"],
            &["0.0.0.0/0", "255.255.255.255", "0.0.0.0"],
            &["0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"],
            &["255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"],
            &["10.0.0.0/8", "10.0.0.0/9", "10.128.0.0/9", "11.0.0.0/32"],
        ] {
            let networks: Vec<Network> =
                texts.iter().map(|text| text.parse().expect("a network")).collect();
            check(&networks, &mut random);
        }
    }

    #[test]
    fn mapped_addresses_are_their_ipv4_address() {
        let set = Networks::new(&["10.0.0.0/8".parse().expect("a network")]);
        assert!(set.contains("::ffff:10.1.2.3".parse().expect("an address")));
    }
}
