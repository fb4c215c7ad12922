//! A writer of small databases in MaxMind's format (version 2.0): a binary tree
//! over the bits of an address, and what each network is.

/// What is said of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    Country(&'static str),
    Asn(u32),
}

/// A database of `kind`, such as `GeoLite2-Country`; a network that is within
/// another one may come before or after it.
pub(crate) fn database(kind: &str, networks: &[(&str, Entry)]) -> Vec<u8> {
    let mut tree = Tree { nodes: vec![[Record::Empty; 2]] };
    let mut data = Vec::new();
    let mut networks: Vec<_> = networks.iter().map(|(text, entry)| (bits(text), entry)).collect();
    // The longest last: they take their part of those that hold them.
    networks.sort_by_key(|((_, prefix), _)| *prefix);
    for ((address, prefix), entry) in networks {
        tree.insert(address, prefix, data.len());
        write_entry(&mut data, entry);
    }
    let count = tree.nodes.len();
    let mut out = Vec::new();
    for record in tree.nodes.iter().flatten() {
        let value = match record {
            Record::Empty => count,
            Record::Node(node) => *node,
            Record::Data(at) => count + SEPARATOR + at,
        };
        out.extend_from_slice(&u32::try_from(value).unwrap().to_be_bytes());
    }
    out.extend_from_slice(&[0; SEPARATOR]);
    out.extend_from_slice(&data);
    out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
    write_metadata(&mut out, kind, u32::try_from(count).unwrap());
    out
}

const SEPARATOR: usize = 16;

#[derive(Debug, Clone, Copy)]
enum Record {
    Empty,
    Node(usize),
    /// Where in the data its entry begins.
    Data(usize),
}

struct Tree {
    nodes: Vec<[Record; 2]>,
}

impl Tree {
    fn insert(&mut self, address: u128, prefix: u32, data: usize) {
        let mut node = 0;
        for depth in 0..prefix {
            let side = (address >> (127 - depth) & 1) as usize;
            if depth + 1 == prefix {
                self.nodes[node][side] = Record::Data(data);
                return;
            }
            node = match self.nodes[node][side] {
                Record::Node(next) => next,
                held => {
                    let next = self.nodes.len();
                    self.nodes.push([held; 2]);
                    self.nodes[node][side] = Record::Node(next);
                    next
                }
            };
        }
    }
}

/// The bits of a network and how many count; IPv4 is the end of `::/96`.
fn bits(network: &str) -> (u128, u32) {
    let (address, prefix) = network.split_once('/').unwrap();
    let prefix: u32 = prefix.parse().unwrap();
    match address.parse().unwrap() {
        std::net::IpAddr::V4(v4) => (u128::from(v4.to_bits()), prefix + 96),
        std::net::IpAddr::V6(v6) => (v6.to_bits(), prefix),
    }
}

fn write_entry(out: &mut Vec<u8>, entry: &Entry) {
    match entry {
        Entry::Country(code) => {
            map(out, 1);
            text(out, "country");
            map(out, 1);
            text(out, "iso_code");
            text(out, code);
        }
        Entry::Asn(number) => {
            map(out, 2);
            text(out, "autonomous_system_number");
            number_of(out, UINT32, *number);
            text(out, "autonomous_system_organization");
            text(out, "Example");
        }
    }
}

fn write_metadata(out: &mut Vec<u8>, kind: &str, nodes: u32) {
    map(out, 9);
    for (key, size, value) in [
        ("binary_format_major_version", UINT16, 2),
        ("binary_format_minor_version", UINT16, 0),
        ("ip_version", UINT16, 6),
        ("record_size", UINT16, 32),
        ("node_count", UINT32, nodes),
        ("build_epoch", UINT64, 1_700_000_000),
    ] {
        text(out, key);
        number_of(out, size, value);
    }
    text(out, "database_type");
    text(out, kind);
    text(out, "description");
    map(out, 1);
    text(out, "en");
    text(out, "made by a test");
    text(out, "languages");
    control(out, ARRAY, 0);
}

const TEXT: u8 = 2;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const UINT64: u8 = 9;
const ARRAY: u8 = 11;

/// The byte, or bytes, before a value: what it is, and how large.
fn control(out: &mut Vec<u8>, kind: u8, size: usize) {
    let (short, long) = if size < 29 { (size, None) } else { (29, Some(size - 29)) };
    let short = u8::try_from(short).unwrap();
    // Kinds beyond 7 have a byte of their own.
    out.push(if kind > MAP { short } else { kind << 5 | short });
    out.extend((kind > MAP).then(|| kind - MAP));
    out.extend(long.map(|long| u8::try_from(long).unwrap()));
}

fn map(out: &mut Vec<u8>, pairs: usize) {
    control(out, MAP, pairs);
}

fn text(out: &mut Vec<u8>, text: &str) {
    control(out, TEXT, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn number_of(out: &mut Vec<u8>, kind: u8, value: u32) {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    control(out, kind, bytes.len() - zeros);
    out.extend_from_slice(&bytes[zeros..]);
}
