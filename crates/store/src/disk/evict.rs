//! Making room: S3-FIFO with segments for entries. The oldest segment of a queue goes as a whole,
//! and what was used in it is carried over first. Only the process with the lease does so.

use std::sync::Arc;

use rustix::io::Errno;

use super::fault::Trouble;
use super::figures::Health;
use super::name::{Queue, State};
use super::platter::Platter;
use super::record::{HEADER, Header, Kind, UNIT};
use super::scan;
use super::segment::Segment;
use super::table::Spot;
use super::writer::Writer;

/// A segment of which less than this is alive goes before its turn, in percent.
const LOW: u64 = 20;
/// So many segments in a row may carry objects over without a gain in room; then none is.
const PATIENCE: u32 = 4;
/// There may be so many times the segments that fit if all are full.
const CROWD: u64 = 2;

/// How much is done for the objects of a segment that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Used ones are carried over.
    CarryOver,
    /// Room is needed now.
    Drop,
}

/// What becomes of one record of a segment that goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Carry {
        frequency: u8,
    },
    /// It goes, but an older record of its key must not come back.
    Bury,
    Drop,
}

fn judge(spot: &Spot, queue: Queue, care: Care, older: bool, now_s: u64) -> Fate {
    let used = spot.frequency > 0 && now_s <= u64::from(spot.keep_until);
    if used && !spot.tomb && care == Care::CarryOver {
        let frequency = match queue {
            Queue::Small => 0,
            Queue::Main => spot.frequency - 1,
        };
        return Fate::Carry { frequency };
    }
    if older && (spot.tomb || spot.shadows) { Fate::Bury } else { Fate::Drop }
}

impl Writer {
    /// Evicts until a new segment is within the capacity. One more is always spare, for what
    /// is carried over.
    pub(crate) fn make_room(&mut self) -> Result<(), Trouble> {
        let segment = self.platter.segment;
        let most = self.platter.options.capacity.saturating_sub(2 * segment);
        let mut patience = PATIENCE;
        // Each turn removes a segment.
        while self.platter.size() > most || self.platter.crowded() {
            if !self.take_lease()? {
                // The process that evicts will; until then this one may take the spare.
                let over = self.platter.size() > most + 2 * segment;
                return if over { Err(Trouble::Full) } else { Ok(()) };
            }
            let Some(victim) = self.platter.victim() else { return Err(Trouble::Full) };
            let care = if patience > 0 { Care::CarryOver } else { Care::Drop };
            patience = patience.saturating_sub(1);
            self.evict(&victim, care)?;
        }
        Ok(())
    }

    /// Evicts so many segments at once, because the device has no room.
    pub(crate) fn free(&mut self, segments: usize) -> Result<(), Trouble> {
        for _ in 0..segments {
            if !self.take_lease()? {
                break;
            }
            let Some(victim) = self.platter.victim() else { break };
            self.evict(&victim, Care::Drop)?;
        }
        Ok(())
    }

    fn evict(&mut self, victim: &Arc<Segment>, care: Care) -> Result<(), Trouble> {
        self.evicting = true;
        let emptied = self.empty(victim, care);
        self.evicting = false;
        emptied
    }

    fn empty(&mut self, victim: &Arc<Segment>, care: Care) -> Result<(), Trouble> {
        let lines = match scan::list(&victim.file, victim.salt) {
            Ok(listing) => listing.lines,
            Err(errno) => {
                self.platter.read_failed(errno);
                self.platter.holdings.lines_of(victim)
            }
        };
        let older = self.platter.older_than(victim);
        let now_s = self.platter.now().millis() / 1000;
        let queue = victim.name.queue;
        for line in &lines {
            if self.platter.counters.health() == Health::Out {
                return Err(Trouble::Out);
            }
            let spot = self.platter.holdings.index.peek(line.tag);
            let Some(spot) = spot.filter(|spot| spot.lies(victim.id, line.at)) else { continue };
            let carried = match judge(&spot, queue, care, older, now_s) {
                Fate::Carry { frequency } => self.carry(victim, &spot, frequency),
                Fate::Bury | Fate::Drop => Ok(false),
            };
            match carried {
                Ok(true) => continue,
                Err(Trouble::Out) => return Err(Trouble::Out),
                // It is none, or there was no room to carry it.
                Ok(false) | Err(Trouble::Full) => {}
            }
            if judge(&spot, queue, Care::Drop, older, now_s) == Fate::Bury {
                self.platter.holdings.uproot(&spot);
                // Without room the tomb is owed, as is that of what was removed meanwhile.
                if let Err(Trouble::Out) = self.bury(spot.tag) {
                    return Err(Trouble::Out);
                }
            } else {
                self.platter.holdings.forget(&spot);
            }
            self.platter.counters.evicted_objects.one();
            if queue == Queue::Small && !spot.tomb {
                self.platter.ghost.remember(spot.tag);
            }
        }
        self.platter.directory.remove(&victim.name, State::Sealed)?;
        self.platter.forget_lines(victim, &lines);
        self.platter.counters.evicted_segments.one();
        Ok(())
    }

    /// Copies a record to the main queue. False if it is not what it should be.
    fn carry(&mut self, from: &Segment, spot: &Spot, frequency: u8) -> Result<bool, Trouble> {
        let at = u64::from(spot.at) * UNIT;
        let mut bytes = [0; HEADER];
        let len = match from.file.read_at(&mut bytes, at) {
            Ok(len) => len,
            Err(errno) => {
                self.platter.read_failed(errno);
                return Ok(false);
            }
        };
        let header = bytes.get(..len).map(|bytes| Header::decode(bytes, from.salt));
        let header = match header {
            Some(Ok(header)) if header.kind == Kind::Object && header.hash as u64 == spot.tag => {
                header
            }
            _ => {
                self.platter.counters.damaged.one();
                return Ok(false);
            }
        };
        let active = self.ready(Queue::Main, header.record_len())?;
        let segment = active.segment.clone();
        let line = match active.carry(&header, from, at) {
            Ok(line) => line,
            Err(errno) => return self.platter.copy_failed(errno, from, at, header.record_len()),
        };
        self.platter.holdings.relocate(spot, &segment, &line, frequency);
        self.platter.counters.carried.one();
        self.platter.counters.carried_bytes.add(header.record_len());
        Ok(true)
    }
}

impl Platter {
    /// A copy failed: false if that was what it was copied from, else the trouble.
    pub(crate) fn copy_failed(
        &self,
        errno: Errno,
        from: &Segment,
        at: u64,
        len: u64,
    ) -> Result<bool, Trouble> {
        let trouble = Trouble::from(errno);
        let given = if trouble == Trouble::Out { from.file.gives(at, len) } else { Ok(()) };
        match given {
            Ok(()) => Err(trouble),
            Err(errno) => {
                self.read_failed(errno);
                Ok(false)
            }
        }
    }

    /// What all segments take.
    pub(crate) fn size(&self) -> u64 {
        self.holdings.segments().iter().map(|segment| segment.size()).sum()
    }

    /// Whether there are too many segments, as many short lives of a process leave behind. Each
    /// takes a descriptor.
    fn crowded(&self) -> bool {
        self.holdings.segments().len() as u64 > self.options.capacity / self.segment * CROWD
    }

    /// Which segment goes next.
    fn victim(&self) -> Option<Arc<Segment>> {
        let all = self.holdings.segments();
        if self.crowded() {
            let sealed = all.into_iter().filter(|segment| segment.sealed());
            return sealed.min_by_key(|segment| (segment.size(), segment.name.seq));
        }
        let small = all.iter().filter(|segment| segment.name.queue == Queue::Small);
        let small: u64 = small.map(|segment| segment.size()).sum();
        let limit = self.options.capacity / 100 * u64::from(self.options.small_percent);
        let sealed: Vec<_> = all.into_iter().filter(|segment| segment.sealed()).collect();
        let low = sealed.iter().filter(|segment| segment.live() * 100 < segment.size() * LOW);
        if let Some(segment) = low.min_by_key(|segment| segment.live()) {
            return Some(segment.clone());
        }
        let oldest = |queue| {
            let waiting = sealed.iter().filter(move |segment| segment.name.queue == queue);
            waiting.min_by_key(|segment| (segment.name.seq, segment.name.writer)).cloned()
        };
        let queues =
            if small > limit { [Queue::Small, Queue::Main] } else { [Queue::Main, Queue::Small] };
        queues.into_iter().find_map(oldest)
    }
}

/// Whether an error of a write means that there is no room.
pub(crate) fn no_room(errno: Errno) -> bool {
    Trouble::from(errno) == Trouble::Full
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spot(frequency: u8, tomb: bool, shadows: bool) -> Spot {
        Spot {
            tag: 1,
            stamp: 1,
            segment: 1,
            at: 1,
            len: 1,
            keep_until: 100,
            frequency,
            tomb,
            shadows,
        }
    }

    #[test]
    fn what_was_used_is_carried_over_and_the_rest_goes() {
        let fate = |spot, queue| judge(&spot, queue, Care::CarryOver, true, 100);
        assert_eq!(fate(spot(0, false, false), Queue::Small), Fate::Drop);
        assert_eq!(fate(spot(2, false, false), Queue::Small), Fate::Carry { frequency: 0 });
        assert_eq!(fate(spot(2, false, false), Queue::Main), Fate::Carry { frequency: 1 });
        assert_eq!(fate(spot(0, false, false), Queue::Main), Fate::Drop);
    }

    #[test]
    fn nothing_is_carried_over_after_its_time_or_in_need() {
        let used = spot(3, false, false);
        assert_eq!(judge(&used, Queue::Small, Care::CarryOver, false, 101), Fate::Drop);
        assert_eq!(judge(&used, Queue::Small, Care::Drop, false, 1), Fate::Drop);
    }

    #[test]
    fn what_hides_an_older_record_leaves_a_tomb() {
        let fate = |spot, older| judge(&spot, Queue::Main, Care::CarryOver, older, 1);
        assert_eq!(fate(spot(0, false, true), true), Fate::Bury);
        assert_eq!(fate(spot(0, false, true), false), Fate::Drop);
        assert_eq!(fate(spot(0, true, true), true), Fate::Bury);
        assert_eq!(fate(spot(3, true, true), false), Fate::Drop);
    }
}
