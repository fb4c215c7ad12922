//! The one thread that writes to a disk: it takes jobs in their order, shows a record when it is
//! written, and looks after the directory in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::clock::Moment;

use super::directory::{Guest, Lease};
use super::evict::no_room;
use super::fault::Trouble;
use super::figures::Health;
use super::footer::Line;
use super::jobs::{Entry, Job, Next};
use super::name::{Name, Queue};
use super::platter::Platter;
use super::record::{Content, Draft};
use super::segment::{self, Active, Segment};
use super::tend::Watch;

/// Files of an old generation that are removed at a time.
const OLD_FILES: usize = 64;
/// Segments that go when the device has no room.
pub(crate) const FREED: usize = 2;
const ATTEMPTS: u32 = 3;

pub(crate) struct Writer {
    pub(crate) platter: Arc<Platter>,
    small: Option<Active>,
    main: Option<Active>,
    watch: Watch,
    /// Names this process in the names of segments.
    writer: u64,
    lease: Option<Lease>,
    /// Without the lease, what tells who has it of this process.
    guest: Option<Guest>,
    /// Another process is to evict from now on.
    retired: bool,
    /// A segment is being emptied: what is carried over may take the spare one.
    pub(crate) evicting: bool,
    /// Files of an old generation may be left.
    old: bool,
    tended: Instant,
}

impl Writer {
    pub(crate) fn new(platter: Arc<Platter>, watch: Watch, guest: Guest) -> Self {
        let mut writer = Self {
            platter,
            small: None,
            main: None,
            watch,
            writer: segment::random(),
            lease: None,
            guest: Some(guest),
            retired: false,
            evicting: false,
            old: true,
            tended: Instant::now(),
        };
        let taken = writer.take_lease();
        writer.note(taken.map(drop));
        writer
    }

    /// Works until the jobs are closed and done, then seals what it has.
    pub(crate) fn run(mut self) {
        loop {
            let patience = self.platter.options.tend.saturating_sub(self.tended.elapsed());
            if patience.is_zero() {
                self.tend();
            }
            match self.platter.jobs.next(patience.max(Duration::from_millis(1))) {
                Next::Job(job) => self.perform(job),
                Next::Idle => {}
                Next::Closed => break,
            }
        }
        for queue in [Queue::Small, Queue::Main] {
            let sealed = self.seal(queue);
            self.note(sealed);
        }
    }

    /// Whether this process is the one that evicts; it asks for it where nobody is.
    pub(crate) fn take_lease(&mut self) -> Result<bool, Trouble> {
        if self.lease.is_none() && !self.retired {
            // A directory without a lock is one without eviction, until it has one.
            let lease = self.platter.directory.lease().ok().flatten();
            if lease.is_some() {
                // What the process before has moved: tombs must not go before it.
                self.follow()?;
            }
            self.lease = lease;
        }
        self.platter.counters.evicts.set(u64::from(self.lease.is_some()));
        self.guest = match self.lease {
            Some(_) => None,
            // Where that fails it is tried again.
            None => self.guest.take().or_else(|| self.platter.directory.guest().ok()),
        };
        Ok(self.lease.is_some())
    }

    fn follow(&mut self) -> Result<(), Trouble> {
        let own: Vec<u32> =
            [&self.small, &self.main].into_iter().flatten().map(|own| own.segment.id).collect();
        Ok(self.watch.follow(&self.platter, &own)?)
    }

    /// A segment of the queue with room for a record.
    pub(crate) fn ready(&mut self, queue: Queue, len: u64) -> Result<&mut Active, Trouble> {
        let active = self.active(queue).take();
        let active = match active {
            Some(active) if active.has_room(len) => active,
            full => {
                *self.active(queue) = full;
                self.seal(queue)?;
                self.begin(queue)?
            }
        };
        Ok(self.active(queue).insert(active))
    }

    fn perform(&mut self, job: Job) {
        let health = self.platter.counters.health();
        let done = match job {
            Job::Write { tag, .. } if health != Health::Working => {
                self.platter.counters.skipped.one();
                self.give_up(tag);
                Ok(())
            }
            Job::Write { tag, hash, entry } => {
                let written = self.write(tag, hash, &entry);
                if written.is_err() {
                    self.platter.counters.skipped.one();
                    self.give_up(tag);
                }
                written
            }
            Job::Rewrite { tag, of, entry } if health != Health::Out => {
                self.rewrite(tag, of, &entry)
            }
            // It is validated again when it is found.
            Job::Rewrite { .. } => Ok(()),
            Job::Bury { tag } if health == Health::Working => self.bury(tag),
            Job::Bury { .. } => Ok(()),
            Job::Flush(reply) => {
                self.tend();
                // Who asked may be gone.
                reply.send(self.paid()).ok();
                Ok(())
            }
            Job::SaveHot(hot, reply) => {
                // Who asked may be gone.
                reply.send(self.platter.save_hot(hot, self.writer)).ok();
                Ok(())
            }
            Job::ReadHot(reply) => {
                reply.send(self.platter.read_hot()).ok();
                Ok(())
            }
            Job::Retry => {
                self.retry();
                Ok(())
            }
            Job::Retire => {
                self.retired = true;
                // Before: whoever gets the lease knows of this process.
                self.guest = self.platter.directory.guest().ok();
                self.lease = None;
                self.take_lease().map(drop)
            }
        };
        // Whatever was not shown will not be.
        self.platter.jobs.settle(|_| ());
        self.note(done);
    }

    fn note(&self, done: Result<(), Trouble>) {
        if let Err(trouble) = done {
            self.platter.write_failed(trouble);
        }
    }

    fn write(&mut self, tag: u64, hash: u128, entry: &Entry) -> Result<(), Trouble> {
        let (queue, stamp) = self.place(tag, entry.created);
        let draft = entry.draft(hash, stamp);
        let (segment, line) = self.append(queue, &draft)?;
        self.platter.counters.written.one();
        self.platter.counters.written_bytes.add(draft.record_len());
        self.show(tag, &segment, &line)
    }

    /// Where an object goes that is written now, and its stamp.
    pub(crate) fn place(&self, tag: u64, created: Moment) -> (Queue, u64) {
        self.platter.note(created);
        let known = self.platter.holdings.locate(tag);
        let main = known.as_ref().is_some_and(|(segment, _)| segment.name.queue == Queue::Main);
        let early = self.platter.ghost.recall(tag);
        if early {
            self.platter.counters.ghost_hits.one();
        }
        let last = self.platter.holdings.index.peek(tag);
        // What takes the place of another was asked for twice.
        let again = last.is_some_and(|spot| spot.is_owed());
        let queue = if main || early || again { Queue::Main } else { Queue::Small };
        // Of what is written for a key the last counts, whatever the clock did meanwhile.
        let after = last.map_or(0, |spot| spot.stamp.saturating_add(1));
        (queue, (created.millis() << 16).max(after))
    }

    /// Shows what was written, unless it was removed meanwhile.
    pub(crate) fn show(&mut self, tag: u64, segment: &Segment, line: &Line) -> Result<(), Trouble> {
        let shown = self.platter.jobs.settle(|removed| {
            if !removed {
                self.platter.holdings.publish(segment, line);
            }
            !removed
        });
        if shown { Ok(()) } else { self.bury_unseen(tag, line.stamp) }
    }

    pub(crate) fn append(
        &mut self,
        queue: Queue,
        draft: &Draft<'_>,
    ) -> Result<(Arc<Segment>, Line), Trouble> {
        match self.append_once(queue, draft) {
            Err(Trouble::Full) if !self.evicting => {
                self.platter.counters.full.one();
                self.free(FREED)?;
                self.append_once(queue, draft)
            }
            other => other,
        }
    }

    fn append_once(
        &mut self,
        queue: Queue,
        draft: &Draft<'_>,
    ) -> Result<(Arc<Segment>, Line), Trouble> {
        let active = self.ready(queue, draft.record_len())?;
        let segment = active.segment.clone();
        // What is too long was refused before it was queued.
        let (header, head) = draft.encode(segment.salt).ok_or(Trouble::Full)?;
        // Nobody asks for anything else: what is copied is not in memory.
        let Content::Bytes(body) = draft.body else { return Err(Trouble::Full) };
        let line = active.append(&header, &head, body)?;
        Ok((segment, line))
    }

    fn begin(&mut self, queue: Queue) -> Result<Active, Trouble> {
        if !self.evicting {
            self.make_room()?;
        }
        let Platter { directory, holdings, format, segment, .. } = &*self.platter;
        for attempt in 1..=ATTEMPTS {
            self.watch.seq += 1;
            let name = Name { seq: self.watch.seq, writer: self.writer, queue };
            match Active::create(directory, holdings.number(), name, format.store, *segment) {
                Ok(active) => {
                    holdings.add(active.segment.clone());
                    return Ok(active);
                }
                // Another process took it for one that was left behind half made.
                Err(Errno::AGAIN | Errno::NOENT) if attempt < ATTEMPTS => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Err(Trouble::Out)
    }

    /// Ends the segment that is written to. Without room for its footer it is lost.
    fn seal(&mut self, queue: Queue) -> Result<(), Trouble> {
        let Some(active) = self.active(queue).take() else { return Ok(()) };
        match active.seal(&self.platter.directory, self.watch.seq) {
            Ok(true) => Ok(()),
            Ok(false) => {
                self.platter.forget_lines(&active.segment, &[]);
                Ok(())
            }
            Err(errno) => {
                let name = &active.segment.name;
                self.platter.directory.remove(name, active.segment.state()).ok();
                self.platter.uproot_lines(&active.segment, active.lines(), |spot| spot.shadows);
                self.platter.forget_lines(&active.segment, active.lines());
                if no_room(errno) { Ok(()) } else { Err(errno.into()) }
            }
        }
    }

    /// Tries a disk that is out.
    fn retry(&mut self) {
        let now = self.platter.now();
        let directory = &self.platter.directory;
        let proven = directory.is_in_place().and_then(|()| directory.prove(self.writer));
        let health = match proven.map_err(Trouble::from) {
            Ok(()) => Health::Working,
            Err(Trouble::Full) => Health::Full,
            Err(Trouble::Out) => {
                self.platter.counters.errors.one();
                self.platter.outage.go_on(now);
                return;
            }
        };
        // What fails from now on is told again.
        self.platter.outage.end(now);
        self.platter.counters.back(health);
        self.tend();
    }

    /// Keeps up with other processes, and with what cannot be done at once.
    fn tend(&mut self) {
        self.tended = Instant::now();
        if self.platter.counters.health() == Health::Out {
            return;
        }
        let done = self.tend_once();
        self.note(done);
    }

    fn tend_once(&mut self) -> Result<(), Trouble> {
        self.follow()?;
        if self.take_lease()? {
            self.watch.remove_unreadable(&self.platter)?;
            self.make_room()?;
            if self.old {
                // What cannot be removed now is tried again after the next start.
                self.old = self.platter.directory.remove_old(OLD_FILES).unwrap_or(false);
            }
        }
        if self.platter.counters.health() == Health::Full {
            self.ready(Queue::Small, 0)?.probe()?;
            self.platter.counters.turn(Health::Working);
        }
        self.pay()
    }

    fn active(&mut self, queue: Queue) -> &mut Option<Active> {
        match queue {
            Queue::Small => &mut self.small,
            Queue::Main => &mut self.main,
        }
    }
}
