//! One file of records: appended to by one writer, sealed with a footer, then never changed.
//! A record counts only after its write has returned, and what a failed write left behind is
//! written over, or hidden by the salt.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;
use rustix::io::Errno;

use crate::clock::Moment;
use crate::key::Seed;

use super::directory::Directory;
use super::file::File;
use super::footer::{self, Line, OPENING, Opening};
use super::name::{Name, State};
use super::record::{HEADER, Header, UNIT};

/// A segment that can be read.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Names it in the index of this process.
    pub(crate) id: u32,
    pub(crate) name: Name,
    pub(crate) salt: u64,
    pub(crate) file: File,
    /// What it takes of the capacity.
    size: AtomicU64,
    /// Bytes of records that the index points to.
    live: AtomicU64,
    sealed: AtomicBool,
    /// See [`Segment::until`].
    until: AtomicU64,
    oldest: AtomicU64,
    newest: AtomicU64,
}

impl Segment {
    pub(crate) fn new(id: u32, name: Name, salt: u64, file: File, size: u64) -> Self {
        Self {
            id,
            name,
            salt,
            file,
            size: AtomicU64::new(size),
            live: AtomicU64::new(0),
            sealed: AtomicBool::new(false),
            until: AtomicU64::new(u64::MAX),
            oldest: AtomicU64::new(u64::MAX),
            newest: AtomicU64::new(0),
        }
    }

    pub(crate) fn seal(&self, size: u64, until: u64) {
        self.size.store(size, Ordering::Relaxed);
        self.until.store(until, Ordering::Relaxed);
        self.sealed.store(true, Ordering::Release);
    }

    /// An older record of a key that is in here is in the segment with that number.
    pub(crate) fn reach(&self, seq: u64) {
        self.until.fetch_max(seq, Ordering::Relaxed);
    }

    pub(crate) fn include(&self, created: Moment) {
        self.oldest.fetch_min(created.millis(), Ordering::Relaxed);
        self.newest.fetch_max(created.millis(), Ordering::Relaxed);
    }

    pub(crate) fn gain(&self, units: u32) {
        self.live.fetch_add(u64::from(units) * UNIT, Ordering::Relaxed);
    }

    pub(crate) fn lose(&self, units: u32) {
        self.live.fetch_sub(u64::from(units) * UNIT, Ordering::Relaxed);
    }

    pub(crate) fn sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub(crate) fn state(&self) -> State {
        if self.sealed() { State::Sealed } else { State::Open }
    }

    pub(crate) fn size(&self) -> u64 {
        self.size.load(Ordering::Relaxed)
    }

    pub(crate) fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// An older record of a key that is in here can be in a segment up to this number; all of
    /// them while it is open.
    pub(crate) fn until(&self) -> u64 {
        self.until.load(Ordering::Relaxed)
    }

    /// When the oldest and the newest of its objects were created.
    pub(crate) fn span(&self) -> Option<Range<Moment>> {
        let oldest = self.oldest.load(Ordering::Relaxed);
        let newest = self.newest.load(Ordering::Relaxed);
        (oldest <= newest).then(|| Moment::from_millis(oldest)..Moment::from_millis(newest))
    }
}

/// A segment that this process appends to.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    /// Where the next record goes.
    tail: u64,
    limit: u64,
    lines: Vec<Line>,
}

impl Active {
    /// Makes the file, whole size at once, and locks it.
    pub(crate) fn create(
        directory: &Directory,
        id: u32,
        name: Name,
        store: u128,
        limit: u64,
    ) -> Result<Self, Errno> {
        let file = directory.create(&name)?;
        let salt = random();
        let made = file
            .allocate(limit)
            .and_then(|()| file.write_at(&Opening { store, salt }.encode(), 0))
            .and_then(|()| directory.rename(&name, State::New, State::Open));
        if let Err(errno) = made {
            // What is left over has no name of a segment, and the error is told below.
            directory.remove(&name, State::New).ok();
            return Err(errno);
        }
        let segment = Arc::new(Segment::new(id, name, salt, file, limit));
        Ok(Self { segment, tail: OPENING as u64, limit, lines: Vec::new() })
    }

    /// Of a segment whose writer is gone, and whose lock is ours now.
    pub(crate) fn adopt(segment: Arc<Segment>, tail: u64, lines: Vec<Line>) -> Self {
        Self { segment, tail, limit: tail, lines }
    }

    /// Whether a record and its line still fit.
    pub(crate) fn has_room(&self, record_len: u64) -> bool {
        let lines = self.lines.len() as u64 + 1;
        self.tail + record_len + footer::footer_len(lines) <= self.limit
    }

    /// Takes the room of the file once more: an error if the device has none.
    pub(crate) fn probe(&self) -> Result<(), Errno> {
        self.segment.file.allocate(self.limit)
    }

    /// Writes a record whose head was made with the salt of this segment.
    pub(crate) fn append(
        &mut self,
        header: &Header,
        head: &[u8],
        body: &[Bytes],
    ) -> Result<Line, Errno> {
        self.segment.file.write_record(head, body, self.tail)?;
        Ok(self.count(header))
    }

    /// Writes a head before a body that lies in a segment from there on.
    pub(crate) fn copy(
        &mut self,
        header: &Header,
        head: &[u8],
        source: &Segment,
        from: u64,
    ) -> Result<Line, Errno> {
        let to = self.tail + head.len() as u64;
        self.segment.file.copy_from(&source.file, from, to, header.body_len)?;
        self.segment.file.write_at(head, self.tail)?;
        Ok(self.count(header))
    }

    /// Copies a record of another segment as it is, but for the salt.
    pub(crate) fn carry(
        &mut self,
        header: &Header,
        source: &Segment,
        from: u64,
    ) -> Result<Line, Errno> {
        let rest = header.head_len() as u64 + header.body_len - HEADER as u64;
        let (from, to) = (from + HEADER as u64, self.tail + HEADER as u64);
        self.segment.file.copy_from(&source.file, from, to, rest)?;
        self.segment.file.write_at(&header.encode(self.segment.salt), self.tail)?;
        Ok(self.count(header))
    }

    /// Writes the footer and gives the file its final name; false without records, when nothing
    /// is kept. `until` is the highest number of any segment so far.
    pub(crate) fn seal(&self, directory: &Directory, until: u64) -> Result<bool, Errno> {
        let Segment { file, name, salt, .. } = &*self.segment;
        if self.lines.is_empty() {
            directory.remove(name, State::Open)?;
            return Ok(false);
        }
        let footer = footer::encode(&self.lines, *salt, self.tail, until);
        let size = self.tail + footer.len() as u64;
        file.write_at(&footer, self.tail)?;
        file.truncate(size)?;
        file.sync()?;
        directory.rename(name, State::Open, State::Sealed)?;
        file.unlock()?;
        self.segment.seal(size, until);
        Ok(true)
    }

    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    fn count(&mut self, header: &Header) -> Line {
        let line = Line::of(header, self.tail);
        self.tail += header.record_len();
        self.segment.include(line.created);
        self.lines.push(line);
        line
    }
}

/// A number that nobody outside can guess.
pub(crate) fn random() -> u64 {
    u128::from_le_bytes(*Seed::random().bytes()) as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use super::super::fault::Device;
    use super::super::name::Queue;
    use super::super::record::{Content, Draft, Kind};
    use super::*;
    use crate::labels::Labels;

    pub(crate) const STORE: u128 = 77;
    pub(crate) const LIMIT: u64 = 64 * 1024;
    const NAME: Name = Name { seq: 1, writer: 2, queue: Queue::Small };

    pub(crate) fn place(path: &Path) -> (Directory, Active) {
        let (directory, _) = Directory::open(path, 1, Device::default()).unwrap();
        let active = Active::create(&directory, 3, NAME, STORE, LIMIT).unwrap();
        (directory, active)
    }

    /// Appends an object of that key and body.
    pub(crate) fn write(
        active: &mut Active,
        key: &[u8],
        n: u8,
        body: &[Bytes],
    ) -> Result<Line, Errno> {
        let labels = Labels::default();
        let draft = Draft {
            kind: Kind::Object,
            hash: u128::from(n),
            stamp: u64::from(n),
            fill: crate::version::FillId::from_bits(3),
            created: Moment::from_millis(u64::from(n) + 5),
            keep_until: Moment::from_millis(1_001),
            key,
            meta: b"m",
            labels: &labels,
            body: Content::Bytes(body),
        };
        let (header, head) = draft.encode(active.segment.salt).unwrap();
        active.append(&header, &head, body)
    }

    pub(crate) fn append(active: &mut Active, n: u8) -> Line {
        let body = vec![Bytes::from(vec![n; 100 + 7 * usize::from(n)])];
        write(active, &[n], n, &body).unwrap()
    }

    pub(crate) fn on_disk(path: &Path, state: State) -> std::path::PathBuf {
        path.join("seg").join(NAME.path(state))
    }

    #[test]
    fn a_footer_always_fits_behind_the_last_record() {
        let home = tempfile::tempdir().unwrap();
        let (directory, mut active) = place(home.path());
        let mut appended = 0;
        while active.has_room(1024) {
            append(&mut active, 5);
            appended += 1;
        }
        active.seal(&directory, 4).unwrap();
        assert!(appended > 100);
        assert!(active.segment.size() <= LIMIT);
    }

    #[test]
    fn an_empty_segment_is_not_kept() {
        let home = tempfile::tempdir().unwrap();
        let (directory, active) = place(home.path());
        active.seal(&directory, 4).unwrap();
        assert_eq!(directory.list().unwrap(), []);
    }

    #[test]
    fn a_failed_write_leaves_no_record() {
        let home = tempfile::tempdir().unwrap();
        let device = Device::default();
        let (directory, _) = Directory::open(home.path(), 1, device.clone()).unwrap();
        let mut active = Active::create(&directory, 3, NAME, STORE, LIMIT).unwrap();
        let first = append(&mut active, 1);
        device.break_writes(Errno::IO);
        assert_eq!(write(&mut active, b"b", 2, &["body".into()]), Err(Errno::IO));
        device.mend();
        let second = append(&mut active, 3);
        assert_eq!(second.at, first.at + first.len, "its place is used again");
    }
}
