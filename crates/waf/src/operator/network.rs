//! Lists of addresses and networks: @ipMatch and @ipMatchFromFile.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Addresses and networks. Invariant: sorted ranges that do not meet, so that one search finds.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// Err has the entry that is neither an address nor a network.
    pub(crate) fn read<'a>(entries: impl Iterator<Item = &'a [u8]>) -> Result<Self, &'a [u8]> {
        let mut all = Self { v4: Vec::new(), v6: Vec::new() };
        for entry in entries {
            all.add(entry).ok_or(entry)?;
        }
        all.v4 = merged(all.v4);
        all.v6 = merged(all.v6);
        Ok(all)
    }

    /// Text that is no address is in no network.
    pub(crate) fn contains(&self, value: &[u8]) -> bool {
        let address = std::str::from_utf8(value).ok().and_then(|text| text.parse::<IpAddr>().ok());
        match address {
            Some(IpAddr::V4(address)) => holds(&self.v4, address.to_bits()),
            Some(IpAddr::V6(address)) => holds(&self.v6, address.to_bits()),
            None => false,
        }
    }

    fn add(&mut self, entry: &[u8]) -> Option<()> {
        let text = std::str::from_utf8(entry).ok()?;
        let (address, prefix) = match text.split_once('/') {
            None => (text, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        match address.parse().ok()? {
            IpAddr::V4(address) => {
                let hosts = 32 - bits(prefix, 32, true)?;
                let mask = u32::MAX.checked_shl(hosts).unwrap_or(0);
                let first = Ipv4Addr::to_bits(address) & mask;
                self.v4.push((first, first | !mask));
            }
            IpAddr::V6(address) => {
                let hosts = 128 - bits(prefix, 128, false)?;
                let mask = u128::MAX.checked_shl(hosts).unwrap_or(0);
                let first = Ipv6Addr::to_bits(address) & mask;
                self.v6.push((first, first | !mask));
            }
        }
        Some(())
    }
}

/// How many bits of an address name its network: `8`, or `255.0.0.0`.
fn bits(prefix: Option<&str>, most: u32, may_be_mask: bool) -> Option<u32> {
    let Some(prefix) = prefix else { return Some(most) };
    if may_be_mask && let Ok(mask) = prefix.parse::<Ipv4Addr>() {
        let ones = mask.to_bits().leading_ones();
        return (mask.to_bits().count_ones() == ones).then_some(ones);
    }
    let plain = prefix.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| prefix.parse().ok()).flatten().filter(|bits| *bits <= most)
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if first <= before.1 => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn holds<T: Ord + Copy>(ranges: &[(T, T)], address: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= address);
    let found = after.checked_sub(1).and_then(|at| ranges.get(at));
    found.is_some_and(|(_, last)| address <= *last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &str) -> Result<Networks, String> {
        let entries = list.split(',').map(|entry| entry.trim().as_bytes());
        Networks::read(entries).map_err(|entry| String::from_utf8_lossy(entry).into_owned())
    }

    fn check(list: &str, address: &str, expected: bool) {
        assert_eq!(networks(list).unwrap().contains(address.as_bytes()), expected, "{address}");
    }

    #[test]
    fn addresses_are_found_in_networks() {
        check("10.0.0.0/8, ::1", "10.255.0.1", true);
        check("10.0.0.0/8, ::1", "11.0.0.0", false);
        check("10.0.0.0/8, ::1", "9.255.255.255", false);
        check("10.0.0.0/8, ::1", "::1", true);
        check("10.0.0.0/8, ::1", "::2", false);
        check("10.1.2.3/255.255.0.0", "10.1.255.255", true);
        check("0.0.0.0/0", "255.255.255.255", true);
        check("0.0.0.0/0", "::", false);
        check("::/0", "ffff::", true);
        check("2001:db8::/33", "2001:db8:7fff::", true);
        check("2001:db8::/33", "2001:db8:8000::", false);
        check("10.0.0.5/32,10.0.0.0/8,10.0.0.9", "10.200.0.1", true);
    }

    #[test]
    fn text_that_is_no_address_is_in_none() {
        check("0.0.0.0/0,::/0", "", false);
        check("0.0.0.0/0,::/0", "1.2.3", false);
        check("0.0.0.0/0,::/0", "1.2.3.4 ", false);
        check("0.0.0.0/0,::/0", "example.org", false);
    }

    #[test]
    fn refuses_what_is_no_network() {
        for wrong in [
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/",
            "10.0.0/8",
            "a",
            "1.2.3.4/255.0.255.0",
            "10.0.0.0/+8",
        ] {
            assert_eq!(networks(&format!("::1,{wrong}")), Err(wrong.to_owned()));
        }
    }
}
