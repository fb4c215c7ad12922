//! What a disk holds: the segments that can be read, the index into them, and how much of each
//! segment the index still points to.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use parking_lot::RwLock;

use crate::clock::Moment;

use super::footer::Line;
use super::index::{Index, Put};
use super::record::Kind;
use super::segment::Segment;
use super::table::Spot;

pub(crate) struct Holdings {
    pub(crate) index: Index,
    segments: RwLock<HashMap<u32, Arc<Segment>>>,
    next: AtomicU32,
}

impl Holdings {
    pub(crate) fn new() -> Self {
        Self { index: Index::new(), segments: RwLock::default(), next: AtomicU32::new(0) }
    }

    /// A number that no segment of this process has had. One a segment, so it does not run out.
    pub(crate) fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn add(&self, segment: Arc<Segment>) {
        self.segments.write().insert(segment.id, segment);
    }

    /// Who reads from it goes on; the bytes go with the last of them.
    pub(crate) fn drop_segment(&self, segment: &Segment) {
        self.segments.write().remove(&segment.id);
    }

    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().values().cloned().collect()
    }

    /// Where an object is, which counts as a use of it.
    pub(crate) fn find(&self, tag: u64) -> Option<(Arc<Segment>, Spot)> {
        let spot = self.index.find(tag)?;
        let segment = self.segments.read().get(&spot.segment)?.clone();
        Some((segment, spot))
    }

    /// Where a record is, tombs too unless they are owed; not a use.
    pub(crate) fn locate(&self, tag: u64) -> Option<(Arc<Segment>, Spot)> {
        let spot = self.index.peek(tag)?;
        let segment = self.segments.read().get(&spot.segment)?.clone();
        Some((segment, spot))
    }

    /// Takes a record that is on the disk into account.
    pub(crate) fn publish(&self, segment: &Segment, line: &Line) {
        let put = self.index.put(spot_of(segment, line));
        self.count(segment, line.len, put);
    }

    /// Takes all records of a segment into account.
    pub(crate) fn publish_all(&self, segment: &Segment, mut lines: Vec<Line>) {
        lines.sort_unstable_by_key(|line| line.tag);
        let spots = lines.iter().map(|line| spot_of(segment, line));
        self.index.put_all(spots, |spot, put| self.count(segment, spot.len, put));
    }

    /// The records in a segment that the index points to, where the segment itself does not say.
    /// O(all entries).
    pub(crate) fn lines_of(&self, segment: &Segment) -> Vec<Line> {
        self.index.lying_in(segment.id).iter().map(line_of).collect()
    }

    /// Makes a tomb of an object if `which` says so; its record is owed.
    pub(crate) fn entomb(&self, tag: u64, which: impl FnOnce(&Spot) -> bool) -> bool {
        let entombed = self.index.entomb(tag, which);
        if let Some(old) = entombed {
            self.lose(&old);
        }
        entombed.is_some()
    }

    /// Whether the key has a tomb without a record.
    pub(crate) fn owes(&self, tag: u64) -> bool {
        self.index.peek(tag).is_some_and(|spot| spot.is_owed())
    }

    /// Hides all older records of a key; false if they are hidden already.
    pub(crate) fn hide(&self, tag: u64, stamp: u64) -> bool {
        match self.index.hide(tag, stamp) {
            Put::New => true,
            Put::Older(_) => false,
            Put::Replaced(old) => {
                self.lose(&old);
                true
            }
        }
    }

    /// What lies there is about to go, and what it hides is to stay hidden.
    pub(crate) fn uproot(&self, spot: &Spot) {
        if self.index.uproot(spot) {
            self.lose(spot);
        }
    }

    /// Points to the copy of a record, unless the key has a newer one by now.
    pub(crate) fn relocate(&self, from: &Spot, segment: &Segment, line: &Line, frequency: u8) {
        let to = Spot { segment: segment.id, at: line.at, len: line.len, frequency, ..*from };
        if self.index.relocate(from, to) {
            segment.gain(line.len);
            self.lose(from);
        }
    }

    pub(crate) fn forget(&self, spot: &Spot) {
        if self.index.forget(spot) {
            self.lose(spot);
        }
    }

    fn count(&self, segment: &Segment, len: u32, put: Put) {
        match put {
            Put::New => segment.gain(len),
            // It has to stay for as long as this one is there.
            Put::Older(newer) => {
                if let Some(newer) = self.segments.read().get(&newer.segment) {
                    newer.reach(segment.name.seq);
                }
            }
            Put::Replaced(old) => {
                segment.gain(len);
                self.lose(&old);
            }
        }
    }

    fn lose(&self, spot: &Spot) {
        if let Some(segment) = self.segments.read().get(&spot.segment) {
            segment.lose(spot.len);
        }
    }
}

fn line_of(spot: &Spot) -> Line {
    Line {
        tag: spot.tag,
        stamp: spot.stamp,
        at: spot.at,
        len: spot.len,
        keep_until: spot.keep_until,
        kind: if spot.tomb { Kind::Tomb } else { Kind::Object },
        created: Moment::default(),
    }
}

fn spot_of(segment: &Segment, line: &Line) -> Spot {
    let tomb = line.kind == Kind::Tomb;
    Spot {
        tag: line.tag,
        stamp: line.stamp,
        segment: segment.id,
        at: line.at,
        len: line.len,
        keep_until: line.keep_until,
        frequency: 0,
        tomb,
        shadows: tomb,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Device;
    use super::super::file::File;
    use super::super::name::{Name, Queue};
    use super::super::record::UNIT;
    use super::*;

    fn segment(holdings: &Holdings, seq: u64) -> Arc<Segment> {
        let memory = rustix::fs::memfd_create("segment", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let file = File::new(memory, Device::default());
        let name = Name { seq, writer: 1, queue: Queue::Main };
        let segment = Arc::new(Segment::new(holdings.number(), name, 0, file, 4096));
        holdings.add(segment.clone());
        segment
    }

    fn line(tag: u64, stamp: u64, kind: Kind) -> Line {
        let created = Moment::default();
        Line { tag, stamp, at: 1, len: 2, keep_until: 0, kind, created }
    }

    #[test]
    fn what_was_moved_counts_where_it_is_and_once() {
        let holdings = Holdings::new();
        let (from, to) = (segment(&holdings, 3), segment(&holdings, 4));
        let object = line(7, 20, Kind::Object);
        holdings.publish(&from, &object);
        let known = holdings.index.peek(7).unwrap();
        for _ in 0..2 {
            holdings.relocate(&known, &to, &object, 0);
            assert_eq!((from.live(), to.live()), (0, 2 * UNIT));
        }
        holdings.forget(&known);
        assert!(holdings.index.peek(7).is_some(), "it lies there no more");
        holdings.forget(&holdings.index.peek(7).unwrap());
        assert_eq!((holdings.index.len(), to.live()), (0, 0));
    }

    #[test]
    fn a_record_reaches_the_older_ones_of_its_key_that_are_seen_later() {
        let holdings = Holdings::new();
        let newer = segment(&holdings, 3);
        newer.seal(4096, 3);
        holdings.publish(&newer, &line(7, 20, Kind::Tomb));
        holdings.publish(&segment(&holdings, 5), &line(7, 10, Kind::Object));
        assert_eq!(newer.until(), 5);
        holdings.publish_all(&segment(&holdings, 9), vec![line(7, 11, Kind::Object)]);
        assert_eq!(newer.until(), 9);
    }
}
