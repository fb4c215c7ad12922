//! The slots of one shard of the index: open addressing in the order of the hash (Robin Hood),
//! grown by a quarter, so that memory per entry stays below 64 bytes at every size. Doubling,
//! as general tables do, would need 75 right after it has grown.

use std::mem::{size_of, take};
use std::sync::atomic::{AtomicU32, Ordering};

/// Slots may be so full before the table grows, in percent.
const FULL: usize = 85;
const FEWEST: usize = 16;

const TAKEN: u32 = 1 << 2;
const SHADOWS: u32 = 1 << 3;
const TOMB: u32 = 1 << 4;
const FREQUENCY: u32 = 3;
const LEN_SHIFT: u32 = 8;
/// Records are shorter than this many units.
pub(crate) const MAX_LEN: u32 = 1 << (32 - LEN_SHIFT);

/// An entry as it lies in memory.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    tag: u64,
    stamp: u64,
    segment: u32,
    at: u32,
    keep_until: u32,
    /// Length in units, flags, and two bits of frequency, which readers raise without a lock.
    rest: AtomicU32,
}

const _: () = assert!(size_of::<Slot>() == 32);

/// Where the newest record of a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) tag: u64,
    pub(crate) stamp: u64,
    pub(crate) segment: u32,
    pub(crate) at: u32,
    pub(crate) len: u32,
    pub(crate) keep_until: u32,
    /// 0 to 3: how often it was found since it was written or carried over.
    pub(crate) frequency: u8,
    /// The key was removed.
    pub(crate) tomb: bool,
    /// An older record of the key may still lie on the disk, so that this one must not vanish
    /// without a tomb: the older one would come back at the next start.
    pub(crate) shadows: bool,
}

/// Where tombs are that have no record yet: in no segment, so that none takes them with it.
const NOWHERE: u32 = u32::MAX;

impl Spot {
    /// Says that there is no object of the key, and has to be written.
    pub(crate) fn tomb(tag: u64, stamp: u64) -> Self {
        Self {
            tag,
            stamp,
            segment: NOWHERE,
            at: 0,
            len: 0,
            keep_until: 0,
            frequency: 0,
            tomb: true,
            shadows: true,
        }
    }

    /// Whether it is a tomb without a record.
    pub(crate) fn is_owed(&self) -> bool {
        self.segment == NOWHERE
    }

    pub(crate) fn lies(&self, segment: u32, at: u32) -> bool {
        self.segment == segment && self.at == at
    }
}

impl From<Spot> for Slot {
    fn from(spot: Spot) -> Self {
        let mut rest = spot.len << LEN_SHIFT | TAKEN | u32::from(spot.frequency) & FREQUENCY;
        if spot.tomb {
            rest |= TOMB;
        }
        if spot.shadows {
            rest |= SHADOWS;
        }
        Self {
            tag: spot.tag,
            stamp: spot.stamp,
            segment: spot.segment,
            at: spot.at,
            keep_until: spot.keep_until,
            rest: AtomicU32::new(rest),
        }
    }
}

impl Slot {
    pub(crate) fn spot(&self) -> Spot {
        let rest = self.rest.load(Ordering::Relaxed);
        Spot {
            tag: self.tag,
            stamp: self.stamp,
            segment: self.segment,
            at: self.at,
            len: rest >> LEN_SHIFT,
            keep_until: self.keep_until,
            frequency: (rest & FREQUENCY) as u8,
            tomb: rest & TOMB != 0,
            shadows: rest & SHADOWS != 0,
        }
    }

    /// Counts a find. Two at once may count as one.
    pub(crate) fn raise(&self) {
        let rest = self.rest.load(Ordering::Relaxed);
        if rest & FREQUENCY < FREQUENCY {
            self.rest.store(rest + 1, Ordering::Relaxed);
        }
    }

    fn taken(&self) -> bool {
        self.rest.load(Ordering::Relaxed) & TAKEN != 0
    }
}

/// The entries whose tags begin with the same eight bits.
#[derive(Debug, Default)]
pub(crate) struct Table {
    /// Invariant: from its home on, no slot before an entry is free or nearer to its own home.
    slots: Vec<Slot>,
    taken: usize,
    /// Tombs without a record.
    owed: usize,
}

impl Table {
    pub(crate) fn insert(&mut self, spot: Spot) {
        self.owed += usize::from(spot.is_owed());
        let known = self.position(spot.tag).and_then(|at| self.slots.get_mut(at));
        if let Some(slot) = known {
            self.owed -= usize::from(slot.spot().is_owed());
            *slot = spot.into();
            return;
        }
        if (self.taken + 1) * 100 > self.slots.len() * FULL {
            self.grow();
        }
        self.place(spot.into());
        self.taken += 1;
    }

    pub(crate) fn remove(&mut self, tag: u64) -> Option<Spot> {
        let mut hole = self.position(tag)?;
        let removed = take(self.slots.get_mut(hole)?).spot();
        self.taken -= 1;
        self.owed -= usize::from(removed.is_owed());
        // Those behind move one nearer to their homes. O(n); a handful of slots.
        loop {
            let next = (hole + 1) % self.slots.len();
            let behind = self.slots.get(next)?;
            if !behind.taken() || self.distance(behind.tag, next) == 0 {
                return Some(removed);
            }
            self.slots.swap(hole, next);
            hole = next;
        }
    }

    pub(crate) fn get(&self, tag: u64) -> Option<&Slot> {
        self.slots.get(self.position(tag)?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Spot> {
        self.slots.iter().filter(|slot| slot.taken()).map(Slot::spot)
    }

    pub(crate) fn len(&self) -> usize {
        self.taken
    }

    pub(crate) fn owed(&self) -> usize {
        self.owed
    }

    pub(crate) fn bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
    }

    fn position(&self, tag: u64) -> Option<usize> {
        if self.slots.is_empty() {
            return None;
        }
        let mut at = self.home(tag);
        // Some slot is free, which ends the search.
        for distance in 0..self.slots.len() {
            let slot = self.slots.get(at)?;
            if !slot.taken() || self.distance(slot.tag, at) < distance {
                return None;
            }
            if slot.tag == tag {
                return Some(at);
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
        }
        None
    }

    fn place(&mut self, mut slot: Slot) {
        let mut at = self.home(slot.tag);
        let mut distance = 0;
        for _ in 0..self.slots.len() {
            let there = self.slots.get(at).filter(|there| there.taken());
            let theirs = there.map(|there| self.distance(there.tag, at));
            let Some(there) = self.slots.get_mut(at) else { return };
            match theirs {
                None => {
                    *there = slot;
                    return;
                }
                Some(theirs) if theirs < distance => {
                    std::mem::swap(there, &mut slot);
                    distance = theirs;
                }
                Some(_) => {}
            }
            at = if at + 1 == self.slots.len() { 0 } else { at + 1 };
            distance += 1;
        }
    }

    fn grow(&mut self) {
        let len = (self.slots.len() / 4 * 5).max(FEWEST);
        let mut slots = Vec::with_capacity(len);
        slots.resize_with(len, Slot::default);
        for slot in std::mem::replace(&mut self.slots, slots) {
            if slot.taken() {
                self.place(slot);
            }
        }
    }

    /// The eight bits that chose the shard say nothing here.
    fn home(&self, tag: u64) -> usize {
        let wide = u128::from(tag << 8) * self.slots.len() as u128;
        (wide >> 64) as usize
    }

    fn distance(&self, tag: u64, at: usize) -> usize {
        let home = self.home(tag);
        if at >= home { at - home } else { at + self.slots.len() - home }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn spot(tag: u64, stamp: u64) -> Spot {
        Spot {
            tag,
            stamp,
            segment: 1,
            at: 2,
            len: MAX_LEN - 1,
            keep_until: 4,
            frequency: 0,
            tomb: stamp.is_multiple_of(2),
            shadows: stamp.is_multiple_of(3),
        }
    }

    /// Tags that crowd: a few homes for many entries, the last ones at the end of the slots.
    #[test]
    fn the_table_does_what_a_map_does() {
        let mut random = fastrand::Rng::with_seed(11);
        let mut table = Table::default();
        let mut model: HashMap<u64, Spot> = HashMap::new();
        for step in 0..60_000 {
            let tag = match random.u8(..3) {
                0 => u64::MAX - random.u64(..400),
                1 => random.u64(..200) << 48,
                _ => random.u64(..2000).wrapping_mul(0x9e37_79b9_7f4a_7c15),
            };
            if random.u8(..5) < 3 {
                table.insert(spot(tag, step));
                model.insert(tag, spot(tag, step));
            } else {
                assert_eq!(table.remove(tag), model.remove(&tag), "step {step}");
            }
            assert_eq!(table.get(tag).map(Slot::spot), model.get(&tag).copied());
            assert_eq!(table.len(), model.len());
        }
        let mut left: Vec<_> = table.iter().collect();
        left.sort_by_key(|spot| spot.tag);
        let mut expected: Vec<_> = model.into_values().collect();
        expected.sort_by_key(|spot| spot.tag);
        assert_eq!(left, expected);
    }

    #[test]
    fn an_entry_takes_at_most_64_bytes_at_every_size() {
        let mut random = fastrand::Rng::with_seed(3);
        let mut table = Table::default();
        for n in 1..200_000_usize {
            table.insert(spot(random.u64(..), 1));
            if n >= 100 {
                assert!(table.bytes() <= 64 * n, "{n} entries take {} bytes", table.bytes());
            }
        }
    }

    #[test]
    fn frequency_ends_at_three() {
        let slot = Slot::from(spot(1, 6));
        for expected in [1, 2, 3, 3, 3] {
            slot.raise();
            assert_eq!(slot.spot(), Spot { frequency: expected, ..spot(1, 6) });
        }
    }
}
