//! The file `FORMAT` of a directory: what everything else in it was written by. Lines that an
//! operator can read, ended by their checksum.

use crate::key::Seed;

/// Raised with any change of what segments hold.
const VERSION: u32 = 2;
const HEADING: &str = "tidegate store";

/// What a generation of segments has in common.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    /// Names the generation: segments of another are not of this store.
    pub(crate) store: u128,
    /// Keys are hashed by it in this directory.
    pub(crate) seed: Seed,
    /// Bytes of a slice of a large object; others would never be found.
    pub(crate) slice: u32,
}

impl Format {
    /// Of a new generation.
    pub(crate) fn new(slice: u32) -> Self {
        let store = u128::from_le_bytes(*Seed::random().bytes());
        Self { store, seed: Seed::random(), slice }
    }

    pub(crate) fn encode(&self) -> String {
        let seed = u128::from_be_bytes(*self.seed.bytes());
        let mut text = format!("{HEADING} {VERSION}\nstore {:032x}\n", self.store);
        text.push_str(&format!("seed {seed:032x}\nslice {}\n", self.slice));
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("crc {crc:08x}\n"));
        text
    }

    /// `None` for anything but the very text that this version writes.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let mut lines = text.lines().skip(1);
        let mut value = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let format = Self {
            store: u128::from_str_radix(value("store")?, 16).ok()?,
            seed: Seed::from_bytes(u128::from_str_radix(value("seed")?, 16).ok()?.to_be_bytes()),
            slice: value("slice")?.parse().ok()?,
        };
        (format.encode() == text).then_some(format)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_is_read_as_it_was_written_or_not_at_all() {
        let format = Format::new(1024 * 1024);
        let text = format.encode();
        assert!(Format::decode(&text) == Some(format));
        let bytes = text.as_bytes();
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.to_vec();
            broken[bit / 8] ^= 1 << (bit % 8);
            let read = std::str::from_utf8(&broken).ok().and_then(Format::decode);
            assert!(read.is_none(), "bit {bit}");
        }
        for len in 0..text.len() {
            let cut = text.get(..len).unwrap();
            assert!(Format::decode(cut).is_none(), "length {len}");
        }
    }

    #[test]
    fn another_version_is_another_format() {
        let text = Format::new(1).encode().replacen("store 2", "store 1", 1);
        let (lines, _) = text.split_once("crc").unwrap();
        let text = format!("{lines}crc {:08x}\n", crc32fast::hash(lines.as_bytes()));
        assert!(Format::decode(&text).is_none());
    }
}
