//! What operators write: numbers with units, and networks, one a line of a file.

use std::fmt::{Debug, Display};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde_json::Value as Json;

use super::{listed, reference};
use crate::access::parse_list;
use crate::limit::Rate;
use crate::listen::HttpsRedirect;
use crate::networks::Network;
use crate::units::{ByteRate, ByteSize, Count, OrOff, Period, Share, Switch, Unreadable};

/// Networks of a list whose ends are asked for.
const MOST_ASKED: usize = 48;

/// A duration, a size, a rate, a share, or a switch.
pub fn units(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return false;
    };
    let period = same::<Period>(text);
    let millis = reference::amount(text, &reference::SPANS);
    assert_eq!(period.map(|Period(span)| span.as_millis()), millis, "{text}");
    let size = same::<ByteSize>(text);
    let bytes = reference::amount(text, &reference::SIZES);
    assert_eq!(size.map(|ByteSize(bytes)| bytes.into()), bytes, "{text}");
    let count = same::<Count>(text);
    let number = reference::amount(text, &[("", 1)]);
    assert_eq!(count.map(|Count(number)| number as u128), number, "{text}");

    let rate = same::<ByteRate>(text);
    let amount = text.strip_suffix("/s").filter(|amount| amount.ends_with('B'));
    let per_second = amount.and_then(|amount| reference::amount(amount, &reference::SIZES));
    assert_eq!(rate.map(|ByteRate(bytes)| bytes.into()), per_second, "{text}");
    let rate = same::<Rate>(text);
    let written = rate.map(|rate| rate.to_string());
    assert_eq!(written.as_deref().and_then(reference::rate), reference::rate(text), "{text}");

    let share = same::<Share>(text);
    let hundredths = text.strip_suffix('%').and_then(reference::decimal);
    let hundredths = hundredths.filter(|number| *number <= 100.0);
    assert_eq!(share.map(|share| share.fraction() * 100.0), hundredths.map(near), "{text}");
    let switch = same::<Switch>(text);
    let port = same::<HttpsRedirect>(text);
    let number = reference::number(text.as_bytes());
    let is_port = number.is_some_and(|port| (1..=65535).contains(&port));
    assert_eq!(port.is_some(), switch.is_some() || is_port, "{text}");

    let or_off = [
        same::<OrOff<Period>>(text).map(|set| set.set() == period),
        same::<OrOff<ByteSize>>(text).map(|set| set.set() == size),
        same::<OrOff<Count>>(text).map(|set| set.set() == count),
    ];
    assert!(or_off.iter().flatten().all(|is_same| *is_same), "{text}");
    let is_off = matches!(text, "off" | "false");
    assert_eq!(or_off[0].is_some(), is_off || period.is_some(), "{text}");

    let is_any = period.is_some() || size.is_some() || per_second.is_some() || written.is_some();
    is_any || share.is_some() || switch.is_some()
}

/// As a share keeps it: as hundredths, which are divided and multiplied.
fn near(hundredths: f64) -> f64 {
    hundredths / 100.0 * 100.0
}

/// What a text says; what is printed of it says the same, and prints so again.
fn same<T>(text: &str) -> Option<T>
where
    T: FromStr<Err = Unreadable> + Display + Debug + PartialEq + Copy,
{
    let read =
        T::from_str(text).inspect_err(|Unreadable(what)| assert!(what.contains('`'))).ok()?;
    let printed = read.to_string();
    let again = T::from_str(&printed);
    assert_eq!(again.as_ref(), Ok(&read), "{text} printed as {printed}");
    assert_eq!(again.map(|again| again.to_string()), Ok(printed));
    Some(read)
}

/// A file of networks.
pub fn networks(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let expected = listed::networks(&text);
    let found = parse_list("list", bytes);
    let (set, expected) = match (found, expected) {
        (Ok(set), Some(expected)) => (set, expected),
        (Err(why), None) => {
            assert!(why.starts_with("list:"), "{why}");
            return false;
        }
        (found, expected) => panic!("{found:?}, expected {expected:?}"),
    };
    let mut asked = vec![
        Ipv4Addr::UNSPECIFIED.into(),
        Ipv4Addr::BROADCAST.into(),
        Ipv6Addr::UNSPECIFIED.into(),
        IpAddr::from(Ipv6Addr::from_bits(u128::MAX)),
    ];
    for network in expected.iter().take(MOST_ASKED) {
        asked.extend(network.around());
    }
    for address in asked {
        let is_in = expected.iter().any(|network| network.contains(address));
        assert_eq!(set.contains(address), is_in, "{address}");
        if let IpAddr::V4(v4) = address {
            assert_eq!(set.contains(v4.to_ipv6_mapped().into()), is_in, "{address} within IPv6");
        }
    }
    for network in expected.iter().take(MOST_ASKED) {
        let read: Network = network.to_string().parse().expect("a network");
        assert_eq!(read.to_string(), network.to_string());
        let again: Network = serde_json::from_value(Json::String(read.to_string())).expect("text");
        assert_eq!(again, read);
    }
    true
}
