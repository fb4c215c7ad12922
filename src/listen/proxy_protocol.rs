//! The PROXY protocol, versions 1 and 2: whom a connection is made for.
//!
//! A pure parser over the first bytes of a connection, after the HAProxy
//! specification of 2020/03/05. Whom to believe is the caller's decision.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::units::{self, Word, word};

const V1_START: &[u8] = b"PROXY ";
/// The longest line of version 1, CRLF included (specification §2.1).
const V1_LONGEST: usize = 107;

const V2_START: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const V2_HEADER: usize = 16;
/// The longest rest of a version 2 header: addresses and TLVs. The
/// specification allows 64 KiB; what proxies send fits into one segment.
const V2_LONGEST: usize = 4096;
const TLV_CRC32C: u8 = 0x03;

/// Whether a listener reads PROXY headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Mode {
    #[default]
    Off,
    /// With or without one.
    Accept,
    /// No connection without one.
    Require,
}

impl FromStr for Mode {
    type Err = units::Unreadable;

    fn from_str(text: &str) -> Result<Self, units::Unreadable> {
        match text {
            "off" | "false" => Ok(Mode::Off),
            "accept" => Ok(Mode::Accept),
            "require" => Ok(Mode::Require),
            _ => Err(units::Unreadable(format!("`{text}` is neither off, accept nor require"))),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Off => "off",
            Mode::Accept => "accept",
            Mode::Require => "require",
        })
    }
}

impl Word for Mode {
    const FORMAT: &'static str = "proxy-protocol";
}

word!(Mode);

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The start of a header, or of nothing yet: read on.
    Incomplete,
    /// Something else: no header starts like this.
    NotProxy,
    /// A header of `used` bytes; the connection's own bytes follow.
    Complete { used: usize, source: Source },
}

/// Whom the proxy speaks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Itself (health checks), or a client without an IP address.
    Local,
    Addresses {
        source: SocketAddr,
        destination: SocketAddr,
    },
}

/// A header that starts well and cannot be believed; close the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unreadable(&'static str);

/// Reads a PROXY header from the first bytes of a connection.
///
/// `Incomplete` never outlives 4,112 bytes.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    if bytes.starts_with(V2_START) {
        parse_v2(bytes)
    } else if bytes.starts_with(V1_START) {
        parse_v1(bytes)
    } else if V1_START.starts_with(bytes) || V2_START.starts_with(bytes) {
        Ok(Parsed::Incomplete)
    } else {
        Ok(Parsed::NotProxy)
    }
}

fn parse_v1(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    let window = bytes.get(..V1_LONGEST).unwrap_or(bytes);
    let Some(end) = memchr::memchr(b'\n', window) else {
        return if window.len() < V1_LONGEST {
            Ok(Parsed::Incomplete)
        } else {
            Err(Unreadable("the line does not end within 107 bytes"))
        };
    };
    let line = window
        .get(V1_START.len()..end)
        .and_then(|line| line.strip_suffix(b"\r"))
        .ok_or(Unreadable("the line does not end in CR LF"))?;
    let line = std::str::from_utf8(line).map_err(|_| Unreadable("the line is not ASCII"))?;
    Ok(Parsed::Complete { used: end + 1, source: v1_source(line)? })
}

fn v1_source(line: &str) -> Result<Source, Unreadable> {
    let mut words = line.split(' ');
    let is_v4 = match words.next() {
        // What follows is to be ignored (specification §2.1).
        Some("UNKNOWN") => return Ok(Source::Local),
        Some("TCP4") => true,
        Some("TCP6") => false,
        _ => return Err(Unreadable("the protocol is neither TCP4, TCP6 nor UNKNOWN")),
    };
    let mut address = || {
        let word = words.next().unwrap_or_default();
        let address = if is_v4 {
            word.parse().map(IpAddr::V4).ok()
        } else {
            word.parse().map(IpAddr::V6).ok()
        };
        address.ok_or(Unreadable("an address is not of the protocol"))
    };
    let (source, destination) = (address()?, address()?);
    let mut port = || v1_port(words.next().unwrap_or_default());
    let (source_port, destination_port) = (port()?, port()?);
    if words.next().is_some() {
        return Err(Unreadable("the line has more than addresses and ports"));
    }
    Ok(Source::Addresses {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

/// A decimal port; leading zeros are not permitted (specification §2.1).
fn v1_port(word: &str) -> Result<u16, Unreadable> {
    let is_plain =
        word.bytes().all(|byte| byte.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
    word.parse().ok().filter(|_| is_plain).ok_or(Unreadable("a port is no number"))
}

fn parse_v2(bytes: &[u8]) -> Result<Parsed, Unreadable> {
    let Some((header, rest)) = bytes.split_first_chunk::<V2_HEADER>() else {
        return Ok(Parsed::Incomplete);
    };
    let [.., version_command, family, length_high, length_low] = *header;
    let is_local = match version_command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Unreadable("the version is not 2, or the command unknown")),
    };
    let length = usize::from(u16::from_be_bytes([length_high, length_low]));
    if length > V2_LONGEST {
        return Err(Unreadable("the header is longer than 4 KiB"));
    }
    let Some(body) = rest.get(..length) else {
        return Ok(Parsed::Incomplete);
    };
    let used = V2_HEADER + length;
    if is_local {
        // Everything else is to be ignored, the family too (specification §2.2).
        return Ok(Parsed::Complete { used, source: Source::Local });
    }
    let (source, tlvs) = v2_source(family, body)?;
    check_tlvs(bytes.get(..used).unwrap_or_default(), tlvs)?;
    Ok(Parsed::Complete { used, source })
}

/// The addresses of a version 2 header, and the TLVs behind them.
fn v2_source(family: u8, body: &[u8]) -> Result<(Source, &[u8]), Unreadable> {
    const SHORT: Unreadable = Unreadable("the addresses are cut short");
    match family {
        0x00 => Ok((Source::Local, body)),
        // Streams and datagrams: a proxy may speak for a client of QUIC.
        0x11 | 0x12 => {
            let (block, tlvs) = body.split_first_chunk::<12>().ok_or(SHORT)?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *block;
            let (source, destination) = (Ipv4Addr::new(a, b, c, d), Ipv4Addr::new(e, f, g, h));
            Ok((v2_addresses(source.into(), destination.into(), ports), tlvs))
        }
        0x21 | 0x22 => {
            let (source, rest) = body.split_first_chunk::<16>().ok_or(SHORT)?;
            let (destination, rest) = rest.split_first_chunk::<16>().ok_or(SHORT)?;
            let (ports, tlvs) = rest.split_first_chunk::<4>().ok_or(SHORT)?;
            let (source, destination) = (Ipv6Addr::from(*source), Ipv6Addr::from(*destination));
            Ok((v2_addresses(source.into(), destination.into(), *ports), tlvs))
        }
        0x31 | 0x32 => {
            let (_, tlvs) = body.split_first_chunk::<216>().ok_or(SHORT)?;
            Ok((Source::Local, tlvs))
        }
        _ => Err(Unreadable("the address family is unknown")),
    }
}

fn v2_addresses(source: IpAddr, destination: IpAddr, ports: [u8; 4]) -> Source {
    let [a, b, c, d] = ports;
    Source::Addresses {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    }
}

/// Skips all TLVs but the checksum, which must be right (specification §2.2.4).
fn check_tlvs(header: &[u8], mut tlvs: &[u8]) -> Result<(), Unreadable> {
    const SHORT: Unreadable = Unreadable("a TLV is cut short");
    while !tlvs.is_empty() {
        let ([kind, high, low], rest) = tlvs.split_first_chunk::<3>().ok_or(SHORT)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(SHORT)?;
        if *kind == TLV_CRC32C {
            let expected =
                value.try_into().map_err(|_| Unreadable("a checksum of wrong length"))?;
            let at = header.len() - rest.len() - length;
            if crc32c_without(header, at) != u32::from_be_bytes(expected) {
                return Err(Unreadable("the checksum is wrong"));
            }
        }
        tlvs = rest;
    }
    Ok(())
}

/// The CRC-32C of the header with the four bytes of the checksum at `at` zero.
///
/// Bit by bit: a header is short, and few proxies send a checksum.
fn crc32c_without(header: &[u8], at: usize) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut crc = u32::MAX;
    for (index, byte) in header.iter().enumerate() {
        let byte = if (at..at + 4).contains(&index) { 0 } else { *byte };
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ POLYNOMIAL } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(source: &str, destination: &str) -> Source {
        let parse = |text: &str| text.parse().expect("an address");
        Source::Addresses { source: parse(source), destination: parse(destination) }
    }

    /// A whole header: read with and without bytes behind it, incomplete at every shorter length.
    fn check(header: &[u8], expected: Source) {
        let complete = Ok(Parsed::Complete { used: header.len(), source: expected });
        assert_eq!(parse(header), complete, "{header:?}");
        assert_eq!(parse(&[header, b"GET / HTTP/1.1\r\n"].concat()), complete, "{header:?}");
        for length in 0..header.len() {
            assert_eq!(parse(&header[..length]), Ok(Parsed::Incomplete), "{header:?} {length}");
        }
    }

    fn refuse(header: &[u8]) {
        assert!(parse(header).is_err(), "{header:?}: {:?}", parse(header));
    }

    /// A version 2 header around `body`.
    fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
        let length = u16::try_from(body.len()).expect("short");
        let start = [version_command, family];
        [V2_START, &start[..], &length.to_be_bytes(), body].concat()
    }

    const V4_BODY: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x30, 0x39, 0x01, 0xbb];

    fn v6_body() -> Vec<u8> {
        let source: Ipv6Addr = "2001:db8::1".parse().expect("an address");
        [source.octets(), Ipv6Addr::LOCALHOST.octets()].concat().into_iter().chain([0; 4]).collect()
    }

    #[test]
    fn reads_version_1() {
        check(
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n",
            addresses("192.168.0.1:56324", "192.168.0.11:443"),
        );
        check(
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            addresses("255.255.255.255:65535", "255.255.255.255:65535"),
        );
        let longest = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";
        check(
            format!("PROXY TCP6 {longest} {longest} 65535 65535\r\n").as_bytes(),
            addresses(&format!("[{longest}]:65535"), &format!("[{longest}]:65535")),
        );
        check(b"PROXY TCP6 2001:db8::1 ::1 0 1\r\n", addresses("[2001:db8::1]:0", "[::1]:1"));
        check(b"PROXY UNKNOWN\r\n", Source::Local);
        let worst = format!("PROXY UNKNOWN {longest} {longest} 65535 65535\r\n");
        assert_eq!(worst.len(), V1_LONGEST);
        check(worst.as_bytes(), Source::Local);
    }

    #[test]
    fn refuses_malformed_version_1() {
        for line in [
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
            "PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8 -1 2\r\n",
            "PROXY TCP4 1.2.3.4 5.6.7.8  2\r\n",
            "PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
            "PROXY TCP4 1.2.3.256 5.6.7.8 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n",
            "PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
            "PROXY UNKNOWNX\r\n",
            "PROXY \r\n",
            "PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
        ] {
            refuse(line.as_bytes());
        }
        refuse(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 \xff\r\n");
        refuse(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat());
    }

    #[test]
    fn reads_version_2() {
        let v4 = addresses("192.0.2.1:12345", "198.51.100.2:443");
        check(&v2(0x21, 0x11, &V4_BODY), v4);
        check(&v2(0x21, 0x12, &V4_BODY), v4);
        check(&v2(0x21, 0x21, &v6_body()), addresses("[2001:db8::1]:0", "[::1]:0"));
        check(&v2(0x21, 0x22, &v6_body()), addresses("[2001:db8::1]:0", "[::1]:0"));
        check(&v2(0x21, 0x31, &[b'/'; 216]), Source::Local);
        check(&v2(0x21, 0x32, &[b'/'; 216]), Source::Local);
        check(&v2(0x21, 0x00, &[]), Source::Local);
        check(&v2(0x20, 0x00, &[]), Source::Local);
        check(&v2(0x20, 0xff, b"ignored, whatever it is"), Source::Local);
        let alpn = [&V4_BODY[..], &[0x01, 0, 2, b'h', b'2']].concat();
        check(&v2(0x21, 0x11, &alpn), v4);
    }

    #[test]
    fn refuses_malformed_version_2() {
        refuse(&v2(0x11, 0x11, &V4_BODY));
        refuse(&v2(0x22, 0x11, &V4_BODY));
        refuse(&v2(0x21, 0x11, &V4_BODY[..11]));
        refuse(&v2(0x21, 0x21, &v6_body()[..35]));
        refuse(&v2(0x21, 0x31, &[b'/'; 215]));
        for family in [0x01, 0x10, 0x13, 0x20, 0x30, 0x41, 0xff] {
            refuse(&v2(0x21, family, &[0; 216]));
        }
        for tlv in [&[0x01][..], &[0x01, 0], &[0x01, 0, 1], &[0x03, 0, 1, 0]] {
            refuse(&v2(0x21, 0x11, &[&V4_BODY, tlv].concat()));
        }
        refuse(&v2(0x21, 0x00, &vec![0; V2_LONGEST + 1]));
    }

    #[test]
    fn a_checksum_must_be_right() {
        // The check value of CRC-32C (RFC 3720 B.4 uses the same polynomial).
        assert_eq!(crc32c_without(b"123456789", 9), 0xe306_9283);
        let body = [&V4_BODY[..], &[TLV_CRC32C, 0, 4, 0, 0, 0, 0], &[0x04, 0, 1, 0]].concat();
        let mut header = v2(0x21, 0x11, &body);
        let at = V2_HEADER + V4_BODY.len() + 3;
        let crc = crc32c_without(&header, at);
        header[at..at + 4].copy_from_slice(&crc.to_be_bytes());
        check(&header, addresses("192.0.2.1:12345", "198.51.100.2:443"));
        header[V2_HEADER] ^= 1;
        refuse(&header);
    }

    #[test]
    fn other_protocols_are_not_proxy() {
        let hello = [0x16, 0x03, 0x01, 0x02, 0x00];
        for other in [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0", b"POST", b"\r\nGET", &hello] {
            assert_eq!(parse(other), Ok(Parsed::NotProxy), "{other:?}");
        }
    }

    #[test]
    fn mutations_neither_panic_nor_wait_for_ever() {
        let mut random = fastrand::Rng::with_seed(7);
        let seeds = [
            b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n".to_vec(),
            b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n".to_vec(),
            v2(0x21, 0x11, &[&V4_BODY[..], &[0x01, 0, 2, b'h', b'2']].concat()),
            v2(0x21, 0x21, &v6_body()),
        ];
        for _ in 0..50_000 {
            let mut bytes = seeds[random.usize(..seeds.len())].clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(..bytes.len());
                match random.u8(..3) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes.insert(at, random.u8(..)),
                    _ => bytes.truncate(at + 1),
                }
            }
            if let Ok(Parsed::Complete { used, .. }) = parse(&bytes) {
                assert!(used <= bytes.len());
                // What was read does not depend on what follows.
                assert_eq!(parse(&bytes[..used]), parse(&bytes));
            }
            bytes.resize(V2_HEADER + V2_LONGEST, 0);
            assert_ne!(parse(&bytes), Ok(Parsed::Incomplete), "{bytes:?}");
        }
    }

    #[test]
    fn modes_read_as_they_are_written() {
        let read = |text: &str| serde_yaml::from_str::<Mode>(text).ok();
        for mode in [Mode::Off, Mode::Accept, Mode::Require] {
            assert_eq!(read(&mode.to_string()), Some(mode));
        }
        assert_eq!(read("false"), Some(Mode::Off));
        assert_eq!(read("true"), None);
        assert_eq!(read("on"), None);
    }
}
