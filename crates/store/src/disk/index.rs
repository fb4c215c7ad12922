//! Where the newest record of each key is: 256 shards, each under its own lock, which a find
//! takes for reading only. Keys are known by half of their hash here; the record has the rest.

use parking_lot::RwLock;

use super::table::{Slot, Spot, Table};

const SHARDS: usize = 256;

pub(crate) struct Index {
    // Invariant: SHARDS of them, one for each first byte of a tag.
    shards: Box<[RwLock<Table>]>,
}

/// What became of a spot that was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    New,
    Replaced(Spot),
    /// The index knows this newer one of the key.
    Older(Spot),
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| RwLock::default()).collect() }
    }

    /// Where the object is, which counts as a use of it. `None` for one that was removed.
    pub(crate) fn find(&self, tag: u64) -> Option<Spot> {
        let shard = self.shard(tag).read();
        let slot = shard.get(tag)?;
        let spot = slot.spot();
        if spot.tomb {
            return None;
        }
        slot.raise();
        Some(spot)
    }

    /// What is known of a key, tombs too, without counting as a use.
    pub(crate) fn peek(&self, tag: u64) -> Option<Spot> {
        self.shard(tag).read().get(tag).map(Slot::spot)
    }

    /// Takes a record into account. Of two with the same stamp the later one counts: it is a
    /// copy, and the other is about to go.
    pub(crate) fn put(&self, spot: Spot) -> Put {
        put(&mut self.shard(spot.tag).write(), spot)
    }

    /// Takes many records into account, in the order of their tags: then a shard is locked, and
    /// its memory gone through, once.
    pub(crate) fn put_all(
        &self,
        spots: impl Iterator<Item = Spot>,
        mut then: impl FnMut(&Spot, Put),
    ) {
        let mut spots = spots.peekable();
        while let Some(first) = spots.peek().map(|spot| spot.tag >> 56) {
            let mut shard = self.shard(first << 56).write();
            while let Some(spot) = spots.next_if(|spot| spot.tag >> 56 == first) {
                let done = put(&mut shard, spot);
                then(&spot, done);
            }
        }
    }

    /// Moves an entry that is still where it was; false if it is not.
    pub(crate) fn relocate(&self, from: &Spot, to: Spot) -> bool {
        let mut shard = self.shard(from.tag).write();
        match shard.get(from.tag).map(Slot::spot) {
            Some(known) if known.lies(from.segment, from.at) && known.stamp == from.stamp => {
                shard.insert(to);
                true
            }
            _ => false,
        }
    }

    /// Forgets an entry that is still where it was.
    pub(crate) fn forget(&self, spot: &Spot) -> bool {
        let mut shard = self.shard(spot.tag).write();
        match shard.get(spot.tag).map(Slot::spot) {
            Some(known) if known.lies(spot.segment, spot.at) && known.stamp == spot.stamp => {
                shard.remove(spot.tag).is_some()
            }
            _ => false,
        }
    }

    /// Makes a tomb of an object if `which` says so, and tells what it was before. The tomb is
    /// owed until its own record is written.
    pub(crate) fn entomb(&self, tag: u64, which: impl FnOnce(&Spot) -> bool) -> Option<Spot> {
        let mut shard = self.shard(tag).write();
        let known = shard.get(tag)?.spot();
        if known.tomb || !which(&known) {
            return None;
        }
        shard.insert(Spot::tomb(tag, known.stamp.saturating_add(1)));
        Some(known)
    }

    /// Hides all older records of a key, known or not, by a tomb that is owed then.
    pub(crate) fn hide(&self, tag: u64, stamp: u64) -> Put {
        let mut shard = self.shard(tag).write();
        let known = shard.get(tag).map(Slot::spot);
        if let Some(known) = known.filter(|known| known.stamp >= stamp) {
            return Put::Older(known);
        }
        shard.insert(Spot::tomb(tag, stamp));
        known.map_or(Put::New, Put::Replaced)
    }

    /// Has a tomb be owed for what is still where it was: it is about to go from there.
    pub(crate) fn uproot(&self, spot: &Spot) -> bool {
        let mut shard = self.shard(spot.tag).write();
        match shard.get(spot.tag).map(Slot::spot) {
            Some(known) if known.lies(spot.segment, spot.at) && known.stamp == spot.stamp => {
                // A tomb stays what it is; an object is hidden by it.
                let stamp = spot.stamp.saturating_add(u64::from(!known.tomb));
                shard.insert(Spot::tomb(spot.tag, stamp));
                true
            }
            _ => false,
        }
    }

    /// How many tombs have no record yet.
    pub(crate) fn owed(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().owed()).sum()
    }

    /// The keys of tombs that have no record yet, of one shard that has some. O(its entries).
    pub(crate) fn some_owed(&self) -> Vec<u64> {
        let shards = self.shards.iter().map(|shard| shard.read());
        let owing = shards.into_iter().find(|shard| shard.owed() > 0);
        let spots = owing.iter().flat_map(|shard| shard.iter());
        spots.filter(Spot::is_owed).map(|spot| spot.tag).collect()
    }

    /// All that lies in a segment. O(all entries).
    pub(crate) fn lying_in(&self, segment: u32) -> Vec<Spot> {
        let mut found = Vec::new();
        for shard in &self.shards {
            found.extend(shard.read().iter().filter(|spot| spot.segment == segment));
        }
        found
    }

    /// Forgets all that lies in a segment: for one whose own list is lost. O(all entries).
    pub(crate) fn sweep(&self, segment: u32) {
        for shard in &self.shards {
            let mut shard = shard.write();
            let gone: Vec<u64> =
                shard.iter().filter(|spot| spot.segment == segment).map(|spot| spot.tag).collect();
            for tag in gone {
                shard.remove(tag);
            }
        }
    }

    /// Entries, those of removed keys included.
    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().len()).sum()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.read().bytes()).sum()
    }

    fn shard(&self, tag: u64) -> &RwLock<Table> {
        // The first byte of a tag is a number below SHARDS.
        &self.shards[(tag >> 56) as usize]
    }
}

fn put(shard: &mut Table, mut spot: Spot) -> Put {
    let Some(known) = shard.get(spot.tag).map(Slot::spot) else {
        shard.insert(spot);
        return Put::New;
    };
    if known.stamp > spot.stamp {
        shard.insert(Spot { shadows: true, ..known });
        return Put::Older(known);
    }
    spot.frequency = spot.frequency.max(known.frequency);
    spot.shadows |= known.shadows || !known.lies(spot.segment, spot.at);
    shard.insert(spot);
    Put::Replaced(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(tag: u64, stamp: u64, segment: u32) -> Spot {
        Spot {
            tag,
            stamp,
            segment,
            at: 1,
            len: 3,
            keep_until: 0,
            frequency: 0,
            tomb: false,
            shadows: false,
        }
    }

    #[test]
    fn the_newest_record_of_a_key_counts_in_whatever_order_they_come() {
        let index = Index::new();
        assert_eq!(index.put(spot(7, 20, 1)), Put::New);
        assert!(matches!(index.put(spot(7, 10, 2)), Put::Older(newer) if newer.segment == 1));
        let known = index.peek(7).unwrap();
        assert_eq!((known.segment, known.shadows), (1, true));
        assert!(matches!(index.put(spot(7, 30, 3)), Put::Replaced(old) if old.segment == 1));
        let known = index.peek(7).unwrap();
        assert_eq!((known.segment, known.shadows), (3, true));
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one() {
        let (once, single) = (Index::new(), Index::new());
        let mut random = fastrand::Rng::with_seed(2);
        let mut spots: Vec<Spot> =
            (0..2000).map(|n| spot(random.u64(..500) << 55, random.u64(..50), n)).collect();
        spots.sort_by_key(|spot| (spot.tag, spot.stamp));
        let mut puts = Vec::new();
        once.put_all(spots.iter().copied(), |_, put| puts.push(put));
        assert_eq!(puts, spots.iter().map(|spot| single.put(*spot)).collect::<Vec<_>>());
        assert_eq!(once.len(), single.len());
    }

    #[test]
    fn a_copy_takes_the_place_of_what_it_was_copied_from() {
        let index = Index::new();
        index.put(spot(7, 20, 1));
        assert!(matches!(index.put(spot(7, 20, 2)), Put::Replaced(_)));
        assert_eq!(index.peek(7).unwrap().segment, 2);
    }

    #[test]
    fn a_record_that_is_read_twice_shadows_nothing() {
        let index = Index::new();
        index.put(spot(7, 20, 1));
        index.put(spot(7, 20, 1));
        assert!(!index.peek(7).unwrap().shadows);
    }

    #[test]
    fn a_removed_key_is_not_found_and_an_older_record_does_not_bring_it_back() {
        let index = Index::new();
        index.put(spot(7, 20, 1));
        assert_eq!(index.entomb(7, |_| true).map(|spot| spot.segment), Some(1));
        assert_eq!(index.find(7), None);
        assert!(matches!(index.put(spot(7, 20, 2)), Put::Older(_)));
        assert_eq!(index.find(7), None);
        index.put(spot(7, 22, 2));
        assert!(index.find(7).is_some());
    }

    #[test]
    fn what_moved_meanwhile_is_neither_moved_nor_forgotten() {
        let index = Index::new();
        let old = spot(7, 20, 1);
        index.put(old);
        index.put(spot(7, 21, 2));
        assert!(!index.relocate(&old, spot(7, 20, 3)));
        assert!(!index.forget(&old));
        assert_eq!(index.peek(7).unwrap().segment, 2);
    }

    #[test]
    fn a_find_is_a_use_and_a_peek_is_none() {
        let index = Index::new();
        index.put(spot(7, 20, 1));
        index.peek(7);
        assert_eq!(index.find(7).unwrap().frequency, 0);
        assert_eq!(index.find(7).unwrap().frequency, 1);
    }

    #[test]
    fn a_sweep_forgets_one_segment() {
        let index = Index::new();
        for tag in 0..5000_u64 {
            index.put(spot(tag.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1, (tag % 2) as u32));
        }
        index.sweep(1);
        assert_eq!(index.len(), 2500);
    }

    #[test]
    fn an_object_takes_at_most_64_bytes_of_memory() {
        let index = Index::new();
        let mut random = fastrand::Rng::with_seed(8);
        for objects in [60_000, 75_000, 100_000, 130_000] {
            while index.len() < objects {
                index.put(spot(random.u64(..), 1, 1));
            }
            let each = index.bytes() as f64 / objects as f64;
            println!("{objects} objects: {each:.1} bytes each");
            assert!(each <= 64.0, "{each} bytes with {objects} objects");
        }
    }
}
