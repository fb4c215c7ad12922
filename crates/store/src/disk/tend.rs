//! Keeping up with the directory: what a start finds there, what other processes write, seal,
//! evict and leave behind when they end.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rustix::io::Errno;

use super::fault::Trouble;
use super::file::File;
use super::footer::{Line, OPENING};
use super::name::{Name, State};
use super::outage::MOST_ERRORS;
use super::platter::Platter;
use super::record::{Kind, UNIT};
use super::scan::{self, Scan};
use super::segment::{Active, Segment};
use super::table::Spot;

/// Threads that a start reads footers with.
const MOST_READERS: usize = 8;

/// A segment that another process is writing.
pub(crate) struct Peer {
    segment: Arc<Segment>,
    found: Scan,
    /// Lines that the index was told.
    shown: usize,
}

/// What a file turned out to be.
enum Learned {
    /// Taken into account, or of no use.
    Settled,
    Peer(Peer),
    /// The device does not give it.
    Unreadable,
}

/// What other processes write.
#[derive(Default)]
pub(crate) struct Watch {
    peers: HashMap<Name, Peer>,
    /// What could not be read, which is not tried again. Older records of its keys count then.
    unreadable: HashMap<Name, State>,
    /// The highest number of any segment.
    pub(crate) seq: u64,
}

impl Watch {
    /// Learns all segments at a start, several at a time.
    pub(crate) fn recover(platter: &Platter) -> Result<Self, Errno> {
        let listed = platter.directory.list()?;
        let seq = listed.iter().map(|(name, _)| name.seq).max().unwrap_or(0);
        let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(MOST_READERS));
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Ok(Self { seq, ..Self::default() }));
        let learn = || {
            while let Some((name, state)) = listed.get(next.fetch_add(1, Ordering::Relaxed)) {
                match (platter.learn(name, *state, seq), &mut *found.lock()) {
                    (Ok(learned), Ok(watch)) => watch.take(*name, *state, learned),
                    (Err(errno), failed @ Ok(_)) => *failed = Err(errno),
                    _ => {}
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..threads {
                scope.spawn(learn);
            }
            learn();
        });
        let watch = found.into_inner()?;
        // Some lie on bad sectors. That many, or all, are a bad disk.
        let unreadable = watch.unreadable.len();
        let bad =
            unreadable >= MOST_ERRORS as usize || unreadable > 0 && unreadable == listed.len();
        if bad { Err(Errno::IO) } else { Ok(watch) }
    }

    /// Removes what could not be read: only the process that evicts.
    pub(crate) fn remove_unreadable(&mut self, platter: &Platter) -> Result<(), Errno> {
        for (name, state) in &self.unreadable {
            if *state == State::Sealed {
                platter.directory.remove(name, *state)?;
                platter.counters.evicted_segments.one();
            }
        }
        self.unreadable.retain(|_, state| *state != State::Sealed);
        Ok(())
    }

    /// Brings the index up to date with the directory.
    pub(crate) fn follow(&mut self, platter: &Platter, own: &[u32]) -> Result<(), Errno> {
        let listed = platter.directory.list()?;
        self.seq = listed.iter().map(|(name, _)| name.seq).fold(self.seq, u64::max);
        let mut known: HashSet<Name> =
            platter.holdings.segments().iter().map(|segment| segment.name).collect();
        for (name, state) in &listed {
            if let Some(seen) = self.unreadable.get_mut(name) {
                *seen = *state;
            } else if known.insert(*name) {
                let learned = platter.learn(name, *state, self.seq)?;
                self.take(*name, *state, learned);
            }
        }
        for (name, peer) in std::mem::take(&mut self.peers) {
            let learned = platter.keep_up(peer, self.seq)?;
            self.take(name, State::Open, learned);
        }
        let there: HashSet<Name> = listed.into_iter().map(|(name, _)| name).collect();
        self.unreadable.retain(|name, _| there.contains(name));
        for segment in platter.holdings.segments() {
            if own.contains(&segment.id) || there.contains(&segment.name) {
                continue;
            }
            // It may have been renamed while the folder was read.
            let gone =
                |state| Ok(!platter.directory.leads_to(&segment.name, state, &segment.file)?);
            if gone(State::Open)? && gone(State::Sealed)? {
                self.peers.remove(&segment.name);
                platter.withdraw(&segment);
            }
        }
        Ok(())
    }

    fn take(&mut self, name: Name, state: State, learned: Learned) {
        match learned {
            Learned::Settled => {}
            Learned::Peer(peer) => drop(self.peers.insert(name, peer)),
            Learned::Unreadable => drop(self.unreadable.insert(name, state)),
        }
    }
}

impl Platter {
    /// Takes a file into account that was not known before.
    fn learn(&self, name: &Name, state: State, until: u64) -> Result<Learned, Errno> {
        self.unless_unreadable(self.learn_file(name, state, until))
    }

    /// An error that is one of the device is a matter of this one segment.
    fn unless_unreadable(&self, learned: Result<Learned, Errno>) -> Result<Learned, Errno> {
        match learned {
            Err(errno) if Trouble::from(errno) == Trouble::Out => {
                self.read_failed(errno);
                Ok(Learned::Unreadable)
            }
            other => other,
        }
    }

    fn learn_file(&self, name: &Name, state: State, until: u64) -> Result<Learned, Errno> {
        let file = match self.directory.open_segment(name, state) {
            Ok(file) => file,
            // Renamed or evicted meanwhile: the next look will tell.
            Err(Errno::NOENT | Errno::LOOP) => return Ok(Learned::Settled),
            Err(errno) => return Err(errno),
        };
        let salt = scan::opening(&file, self.format.store)?;
        match (state, salt) {
            (State::Sealed, Some(salt)) => self.learn_sealed(name, salt, file, until),
            (State::Open, Some(salt)) => self.learn_open(name, salt, file, until),
            _ => {
                // Not made to the end, or of another store. Whoever makes it holds its lock.
                if file.lock()? && self.directory.leads_to(name, state, &file)? {
                    self.directory.remove(name, state)?;
                }
                Ok(Learned::Settled)
            }
        }
    }

    fn learn_sealed(
        &self,
        name: &Name,
        salt: u64,
        file: File,
        until: u64,
    ) -> Result<Learned, Errno> {
        let listing = scan::list(&file, salt)?;
        let size = file.size()?;
        let segment = Arc::new(Segment::new(self.holdings.number(), *name, salt, file, size));
        // Its writer may not have seen what was moved by others.
        segment.seal(size, listing.until.max(until));
        self.holdings.add(segment.clone());
        for line in &listing.lines {
            segment.include(line.created);
        }
        self.holdings.publish_all(&segment, listing.lines);
        Ok(Learned::Settled)
    }

    fn learn_open(&self, name: &Name, salt: u64, file: File, until: u64) -> Result<Learned, Errno> {
        let number = self.holdings.number();
        let segment = Arc::new(Segment::new(number, *name, salt, file, self.segment));
        let found = Scan { lines: Vec::new(), end: OPENING as u64 };
        self.holdings.add(segment.clone());
        self.keep_up(Peer { segment, found, shown: 0 }, until)
    }

    /// What cannot be read of another process is forgotten.
    fn keep_up(&self, peer: Peer, until: u64) -> Result<Learned, Errno> {
        let segment = peer.segment.clone();
        let learned = self.unless_unreadable(self.progress(peer, until))?;
        if let Learned::Unreadable = learned {
            self.forget_lines(&segment, &[]);
        }
        Ok(learned)
    }

    /// Looks at a segment of another process again. Settled when nobody writes it any more.
    fn progress(&self, mut peer: Peer, until: u64) -> Result<Learned, Errno> {
        let Segment { file, name, salt, .. } = &*peer.segment;
        if self.directory.leads_to(name, State::Sealed, file)? {
            let listing = scan::list(file, *salt)?;
            peer.segment.seal(file.size()?, listing.until.max(until));
            self.show(&peer.segment, listing.lines.get(peer.shown..).unwrap_or_default());
            return Ok(Learned::Settled);
        }
        let abandoned = file.lock()? && self.directory.leads_to(name, State::Open, file)?;
        let more = scan::scan(file, *salt, peer.found.end)?;
        peer.found.lines.extend(more.lines);
        peer.found.end = more.end;
        if abandoned {
            self.adopt(peer, until)?;
            return Ok(Learned::Settled);
        }
        // The last one may still be being written, or be written once more after a failure.
        if let Some(last) = peer.found.lines.pop() {
            peer.found.end = u64::from(last.at) * UNIT;
            // A tomb is whole as soon as it has a header, and nobody gives it up.
            if last.kind == Kind::Tomb {
                self.show(&peer.segment, &[last]);
            }
        }
        self.show(&peer.segment, peer.found.lines.get(peer.shown..).unwrap_or_default());
        peer.shown = peer.found.lines.len();
        Ok(Learned::Peer(peer))
    }

    /// Seals what a process left behind that ended without doing so.
    fn adopt(&self, peer: Peer, until: u64) -> Result<(), Errno> {
        let Peer { segment, mut found, shown } = peer;
        scan::drop_torn(&segment.file, segment.salt, &mut found)?;
        self.show(&segment, found.lines.get(shown..).unwrap_or_default());
        let active = Active::adopt(segment.clone(), found.end, found.lines);
        match active.seal(&self.directory, until) {
            Ok(true) => Ok(()),
            // Nothing in it, or no room for the footer.
            Ok(false) | Err(Errno::NOSPC | Errno::DQUOT) => {
                self.directory.remove(&segment.name, State::Open)?;
                // What they hide may be read later, at a start.
                self.uproot_lines(&segment, active.lines(), |_| true);
                self.forget_lines(&segment, active.lines());
                Ok(())
            }
            Err(errno) => Err(errno),
        }
    }

    /// Forgets a segment that another process evicted.
    fn withdraw(&self, segment: &Segment) {
        // Without its list the index is gone through.
        let listing = scan::list(&segment.file, segment.salt);
        let lines = listing.map(|listing| listing.lines).unwrap_or_default();
        self.forget_lines(segment, &lines);
    }

    /// Forgets a segment and everything that the index has in it.
    pub(crate) fn forget_lines(&self, segment: &Segment, lines: &[Line]) {
        for line in lines {
            let spot = self.holdings.index.peek(line.tag);
            if let Some(spot) = spot.filter(|spot| spot.lies(segment.id, line.at)) {
                self.holdings.forget(&spot);
            }
        }
        if segment.live() > 0 {
            self.holdings.index.sweep(segment.id);
        }
        self.holdings.drop_segment(segment);
    }

    /// Has tombs be owed for what is about to be forgotten, and may hide older records.
    pub(crate) fn uproot_lines(
        &self,
        segment: &Segment,
        lines: &[Line],
        may_hide: impl Fn(&Spot) -> bool,
    ) {
        for line in lines {
            let spot = self.holdings.index.peek(line.tag);
            if let Some(spot) = spot.filter(|spot| spot.lies(segment.id, line.at) && may_hide(spot))
            {
                self.holdings.uproot(&spot);
            }
        }
    }

    fn show(&self, segment: &Segment, lines: &[Line]) {
        for line in lines {
            segment.include(line.created);
            self.holdings.publish(segment, line);
        }
    }
}
