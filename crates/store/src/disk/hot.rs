//! What was in memory, told to the next start: the tags of its keys, what would have gone last
//! first. The list says nothing about what the keys were; the records do.
//!
//! ```text
//! magic (8), store (16), lines (4), their CRC (4), 0 (28), CRC (4); then for each key
//! tag (8), turn (4), uses (1), whether in the main queue (1), 0 (2); little-endian
//! ```

use std::cmp::Reverse;

use crate::queue::Rank;

use super::fault::HotFault;
use super::footer::{OPENING, check, checked};
use super::jobs::{Hot, Warm};
use super::platter::Platter;
use super::record::{Malformed, long, word};

const HOT: &[u8; 8] = b"TGhot\0\0\x01";
pub(crate) const NAME: &str = "hot.lst";
const LINE: usize = 16;
/// More are not listed: 4 MiB of file.
pub(crate) const MOST: usize = 256 * 1024;

impl Platter {
    /// Writes the list of what is on this disk.
    pub(crate) fn save_hot(&self, mut hot: Vec<Hot>, writer: u64) -> Result<(), HotFault> {
        hot.sort_unstable_by_key(|hot| Reverse(hot.rank));
        let warm = hot.iter().take(MOST).map(|Hot { key, rank, uses }| Warm {
            tag: self.hash(key.bytes()) as u64,
            rank: *rank,
            uses: *uses,
        });
        let is_here =
            |warm: &Warm| self.holdings.index.peek(warm.tag).is_some_and(|spot| !spot.tomb);
        let lines: Vec<Warm> = warm.filter(is_here).collect();
        let bytes = encode(&lines, self.format.store);
        self.directory.replace(NAME, &bytes, writer).map_err(HotFault::Io)
    }

    /// What the list says that is there.
    pub(crate) fn read_hot(&self) -> Result<Vec<Warm>, HotFault> {
        self.directory.remove_halves().map_err(HotFault::Io)?;
        let most = OPENING + MOST * LINE;
        let Some(bytes) = self.directory.read(NAME, most).map_err(HotFault::Io)? else {
            return Ok(Vec::new());
        };
        decode(&bytes, self.format.store).map_err(|Malformed| HotFault::Malformed)
    }
}

fn encode(lines: &[Warm], store: u128) -> Vec<u8> {
    let mut listed = Vec::with_capacity(lines.len() * LINE);
    for line in lines {
        listed.extend_from_slice(&line.tag.to_le_bytes());
        listed.extend_from_slice(&line.rank.turn.to_le_bytes());
        listed.extend_from_slice(&[line.uses, u8::from(line.rank.is_main), 0, 0]);
    }
    let mut head = Vec::with_capacity(OPENING);
    head.extend_from_slice(HOT);
    head.extend_from_slice(&store.to_le_bytes());
    head.extend_from_slice(&u32::try_from(lines.len()).unwrap_or(u32::MAX).to_le_bytes());
    head.extend_from_slice(&crc32fast::hash(&listed).to_le_bytes());
    let mut out = checked(head).to_vec();
    out.append(&mut listed);
    out
}

fn decode(bytes: &[u8], store: u128) -> Result<Vec<Warm>, Malformed> {
    let head = check(bytes, HOT)?;
    let listed = bytes.get(OPENING..).ok_or(Malformed)?;
    let of = u128::from(long(head, 8)?) | u128::from(long(head, 16)?) << 64;
    let whole = listed.len() == (word(head, 24)? as usize).saturating_mul(LINE);
    if of != store || !whole || word(head, 28)? != crc32fast::hash(listed) {
        return Err(Malformed);
    }
    let line = |line: &[u8]| {
        let [uses, main @ (0 | 1), 0, 0] = word(line, 12)?.to_le_bytes() else {
            return Err(Malformed);
        };
        let rank = Rank { is_main: main == 1, turn: word(line, 8)? };
        Ok(Warm { tag: long(line, 0)?, rank, uses })
    };
    listed.chunks_exact(LINE).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STORE: u128 = 5 << 90 | 3;

    fn lines() -> Vec<Warm> {
        let rank = |n: u64| Rank { is_main: n.is_multiple_of(3), turn: n as u32 };
        (0..20).map(|n| Warm { tag: n << 50 | n, rank: rank(n), uses: n as u8 % 4 }).collect()
    }

    #[test]
    fn a_list_is_read_as_it_was_written_or_not_at_all() {
        for lines in [lines(), Vec::new()] {
            let bytes = encode(&lines, STORE);
            assert_eq!(decode(&bytes, STORE), Ok(lines));
            assert_eq!(decode(&bytes, STORE + 1), Err(Malformed), "it is of another store");
            for bit in 0..bytes.len() * 8 {
                let mut broken = bytes.clone();
                broken[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&broken, STORE), Err(Malformed), "bit {bit}");
            }
            for len in 0..bytes.len() {
                assert_eq!(decode(&bytes[..len], STORE), Err(Malformed), "length {len}");
            }
            assert_eq!(decode(&[&bytes[..], &[0; LINE]].concat(), STORE), Err(Malformed));
        }
    }
}
