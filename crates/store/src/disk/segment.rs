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
use super::footer::{self, Line, OPENING, Opening, TRAILER, Trailer};
use super::name::{Name, State};
use super::record::{HEADER, Head, Header, UNIT};
use super::table::MAX_LEN;

/// Headers are looked for in windows of so many bytes.
const WINDOW: usize = 256 * 1024;
/// Lines that a footer can have: more do not fit into the largest segment.
const MOST_LINES: u32 = 16 * 1024 * 1024;

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

    /// Whether the device takes and gives bytes: writes once more what the file begins with, and
    /// reads it.
    pub(crate) fn prove(&self, store: u128) -> Result<(), Errno> {
        let Segment { file, salt, .. } = &*self.segment;
        file.write_at(&Opening { store, salt: *salt }.encode(), 0)?;
        file.sync()?;
        file.forget();
        if opening(file, store)? == Some(*salt) { Ok(()) } else { Err(Errno::IO) }
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
        let line = line_of(header, self.tail);
        self.tail += header.record_len();
        self.segment.include(line.created);
        self.lines.push(line);
        line
    }
}

/// The records found in a segment, and where the next one would be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) lines: Vec<Line>,
    pub(crate) end: u64,
}

/// The records of a sealed segment, and [`Segment::until`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) lines: Vec<Line>,
    pub(crate) until: u64,
}

/// Reads the opening: the salt, if it is a segment of this store.
pub(crate) fn opening(file: &File, store: u128) -> Result<Option<u64>, Errno> {
    let mut bytes = [0; OPENING];
    let len = file.read_at(&mut bytes, 0)?;
    let opening = bytes.get(..len).and_then(|bytes| Opening::decode(bytes).ok());
    Ok(opening.filter(|opening| opening.store == store).map(|opening| opening.salt))
}

/// All records of a sealed segment: by its footer, or by themselves if that is damaged.
pub(crate) fn list(file: &File, salt: u64) -> Result<Listing, Errno> {
    match footer(file, salt)? {
        Some(listing) => Ok(listing),
        None => {
            let lines = scan(file, salt, OPENING as u64)?.lines;
            Ok(Listing { lines, until: u64::MAX })
        }
    }
}

/// Records one after the other, up to the first header that is none.
pub(crate) fn scan(file: &File, salt: u64, from: u64) -> Result<Scan, Errno> {
    let size = file.size()?;
    let mut window = Window::default();
    let mut found = Scan { lines: Vec::new(), end: from };
    while let Some(header) = window.header(file, found.end, salt)? {
        let end = found.end + header.record_len();
        if end.next_multiple_of(UNIT) > size.next_multiple_of(UNIT)
            || !placeable(found.end, &header)
        {
            break;
        }
        found.lines.push(line_of(&header, found.end));
        found.end = end;
    }
    Ok(found)
}

/// Drops the last record if it was not written to its end: a process that was killed leaves at
/// most that one behind.
pub(crate) fn drop_torn(file: &File, salt: u64, scan: &mut Scan) -> Result<(), Errno> {
    let Some(last) = scan.lines.last() else { return Ok(()) };
    let at = u64::from(last.at) * UNIT;
    if !whole(file, salt, at)? {
        scan.end = at;
        scan.lines.pop();
    }
    Ok(())
}

/// Whether a record is there in full, head and body.
pub(crate) fn whole(file: &File, salt: u64, at: u64) -> Result<bool, Errno> {
    let mut bytes = vec![0; HEADER];
    let len = file.read_at(&mut bytes, at)?;
    bytes.truncate(len);
    let Ok(header) = Header::decode(&bytes, salt) else { return Ok(false) };
    let len = header.head_len() + usize::try_from(header.body_len).unwrap_or(usize::MAX);
    if at + len as u64 > file.size()? {
        return Ok(false);
    }
    bytes.resize(len, 0);
    if file.read_at(&mut bytes, at)? != len {
        return Ok(false);
    }
    let bytes = Bytes::from(bytes);
    let body = bytes.slice(header.head_len()..);
    Ok(Head::decode(header, &bytes).is_ok_and(|head| head.holds(0, &body)))
}

/// A number that nobody outside can guess.
pub(crate) fn random() -> u64 {
    u128::from_le_bytes(*Seed::random().bytes()) as u64
}

/// Whether the index can say where this is and how long.
fn placeable(at: u64, header: &Header) -> bool {
    at / UNIT <= u64::from(u32::MAX) && header.record_len() / UNIT < u64::from(MAX_LEN)
}

fn line_of(header: &Header, at: u64) -> Line {
    Line {
        tag: header.hash as u64,
        stamp: header.stamp,
        at: (at / UNIT) as u32,
        len: (header.record_len() / UNIT) as u32,
        keep_until: u32::try_from(header.keep_until.millis().div_ceil(1000)).unwrap_or(u32::MAX),
        kind: header.kind,
        created: header.created,
    }
}

fn footer(file: &File, salt: u64) -> Result<Option<Listing>, Errno> {
    let size = file.size()?;
    let Some(at) = size.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut bytes = [0; TRAILER];
    if file.read_at(&mut bytes, at)? != TRAILER {
        return Ok(None);
    }
    let Ok(trailer) = Trailer::decode(&bytes, salt, size) else { return Ok(None) };
    if trailer.lines > MOST_LINES {
        return Ok(None);
    }
    let mut bytes = vec![0; trailer.lines as usize * footer::LINE];
    if file.read_at(&mut bytes, trailer.records_end)? != bytes.len() {
        return Ok(None);
    }
    let lines = footer::decode(&bytes, &trailer).ok();
    Ok(lines.map(|lines| Listing { lines, until: trailer.until }))
}

/// A part of a file in memory, so that small records do not cost a call each.
#[derive(Default)]
struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    fn header(&mut self, file: &File, at: u64, salt: u64) -> Result<Option<Header>, Errno> {
        let inside = at >= self.at && at + HEADER as u64 <= self.at + self.bytes.len() as u64;
        if !inside {
            self.bytes.resize(WINDOW, 0);
            let len = file.read_at(&mut self.bytes, at)?;
            self.bytes.truncate(len);
            self.at = at;
        }
        let from = usize::try_from(at - self.at).unwrap_or(usize::MAX);
        let header = self.bytes.get(from..).unwrap_or_default();
        Ok(Header::decode(header, salt).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;
    use std::path::Path;

    use super::super::fault::Device;
    use super::super::name::Queue;
    use super::super::record::{Content, Draft, Kind};
    use super::*;
    use crate::labels::Labels;

    const STORE: u128 = 77;
    const LIMIT: u64 = 64 * 1024;
    const NAME: Name = Name { seq: 1, writer: 2, queue: Queue::Small };

    fn place(path: &Path) -> (Directory, Active) {
        let (directory, _) = Directory::open(path, 1, Device::default()).unwrap();
        let active = Active::create(&directory, 3, NAME, STORE, LIMIT).unwrap();
        (directory, active)
    }

    fn body(n: u8) -> Vec<Bytes> {
        vec![Bytes::from(vec![n; 100 + 7 * usize::from(n)])]
    }

    fn append(active: &mut Active, n: u8) -> Line {
        let body = body(n);
        let labels = Labels::default();
        let draft = Draft {
            kind: Kind::Object,
            hash: u128::from(n),
            stamp: u64::from(n),
            created: Moment::from_millis(u64::from(n) + 5),
            keep_until: Moment::from_millis(1_001),
            key: &[n],
            meta: b"m",
            labels: &labels,
            body: Content::Bytes(&body),
        };
        let (header, head) = draft.encode(active.segment.salt).unwrap();
        active.append(&header, &head, &body).unwrap()
    }

    fn on_disk(path: &Path, state: State) -> std::path::PathBuf {
        path.join("seg").join(NAME.path(state))
    }

    fn read(file: &Path) -> File {
        let file = std::fs::OpenOptions::new().read(true).write(true).open(file).unwrap();
        File::new(file.into(), Device::default())
    }

    #[test]
    fn a_segment_is_found_by_scan_while_open_and_by_footer_when_sealed() {
        let home = tempfile::tempdir().unwrap();
        let (directory, mut active) = place(home.path());
        let lines: Vec<Line> = (0..9).map(|n| append(&mut active, n)).collect();
        let salt = active.segment.salt;
        let open = read(&on_disk(home.path(), State::Open));
        assert_eq!(opening(&open, STORE).unwrap(), Some(salt));
        assert_eq!(opening(&open, STORE + 1).unwrap(), None);
        assert_eq!(open.size().unwrap(), LIMIT, "the room was taken");
        let found = scan(&open, salt, OPENING as u64).unwrap();
        assert_eq!(found.lines, lines);
        let later = scan(&open, salt, u64::from(lines[4].at) * UNIT).unwrap();
        assert_eq!(later.lines, lines[4..]);
        assert_eq!(footer(&open, salt).unwrap(), None);

        active.seal(&directory, 4).unwrap();
        let sealed = read(&on_disk(home.path(), State::Sealed));
        assert_eq!(footer(&sealed, salt).unwrap(), Some(Listing { lines, until: 4 }));
        assert_eq!(sealed.size().unwrap(), active.segment.size());
        assert!(active.segment.sealed());
        assert!(sealed.lock().unwrap(), "the lock is given up");
        assert_eq!(active.segment.span().unwrap().end, Moment::from_millis(13));
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

    /// Neither a scan nor a footer may panic, or list what was never written.
    #[test]
    fn a_damaged_segment_lists_only_what_was_written() {
        let home = tempfile::tempdir().unwrap();
        let (directory, mut active) = place(home.path());
        let lines: Vec<Line> = (0..30).map(|n| append(&mut active, n)).collect();
        active.seal(&directory, 4).unwrap();
        let good = std::fs::read(on_disk(home.path(), State::Sealed)).unwrap();
        let mut random = fastrand::Rng::with_seed(21);
        let damaged = home.path().join("damaged");
        for round in 0..3000 {
            let mut bytes = good.clone();
            if round % 3 == 0 {
                bytes.truncate(random.usize(..bytes.len()));
            } else {
                for _ in 0..random.usize(1..4) {
                    let at = random.usize(..bytes.len());
                    bytes[at] ^= 1 << random.u8(..8);
                }
            }
            std::fs::write(&damaged, &bytes).unwrap();
            let file = read(&damaged);
            if let Some(salt) = opening(&file, STORE).unwrap() {
                let found = list(&file, salt).unwrap().lines;
                assert!(found.iter().all(|line| lines.contains(line)), "round {round}");
            }
        }
    }

    #[test]
    fn the_record_that_was_being_written_is_dropped() {
        let home = tempfile::tempdir().unwrap();
        let (_, mut active) = place(home.path());
        let lines: Vec<Line> = (0..3).map(|n| append(&mut active, n)).collect();
        let salt = active.segment.salt;
        let path = on_disk(home.path(), State::Open);
        let file = read(&path);
        let mut found = scan(&file, salt, OPENING as u64).unwrap();
        drop_torn(&file, salt, &mut found).unwrap();
        assert_eq!(found.lines, lines, "nothing is torn");
        let body_at = u64::from(lines[2].at) * UNIT + HEADER as u64 + 20;
        std::fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .write_all_at(&[0], body_at)
            .unwrap();
        drop_torn(&file, salt, &mut found).unwrap();
        assert_eq!(found.lines, lines[..2]);
        assert_eq!(found.end, u64::from(lines[2].at) * UNIT);
    }

    #[test]
    fn a_body_that_looks_like_a_record_is_none() {
        let home = tempfile::tempdir().unwrap();
        let (_, mut active) = place(home.path());
        let labels = Labels::default();
        let draft = |body| Draft {
            kind: Kind::Object,
            hash: 1,
            stamp: 1,
            created: Moment::default(),
            keep_until: Moment::default(),
            key: b"forged",
            meta: b"",
            labels: &labels,
            body: Content::Bytes(body),
        };
        // Whoever sends a body does not know the salt.
        let (_, forged) = draft(&[]).encode(0).unwrap();
        let body = vec![Bytes::from(forged.repeat(20))];
        let (header, head) = draft(&body).encode(active.segment.salt).unwrap();
        let line = active.append(&header, &head, &body).unwrap();
        let file = read(&on_disk(home.path(), State::Open));
        let salt = active.segment.salt;
        for at in line.at..line.at + line.len {
            let found = scan(&file, salt, u64::from(at) * UNIT).unwrap();
            assert_eq!(found.lines.len(), usize::from(at == line.at));
        }
    }

    #[test]
    fn a_failed_write_leaves_no_record() {
        let home = tempfile::tempdir().unwrap();
        let device = Device::default();
        let (directory, _) = Directory::open(home.path(), 1, device.clone()).unwrap();
        let mut active = Active::create(&directory, 3, NAME, STORE, LIMIT).unwrap();
        let first = append(&mut active, 1);
        device.break_writes(Errno::IO);
        let body = body(2);
        let labels = Labels::default();
        let draft = Draft {
            kind: Kind::Object,
            hash: 2,
            stamp: 2,
            created: Moment::default(),
            keep_until: Moment::default(),
            key: b"b",
            meta: b"",
            labels: &labels,
            body: Content::Bytes(&body),
        };
        let (header, head) = draft.encode(active.segment.salt).unwrap();
        assert_eq!(active.append(&header, &head, &body), Err(Errno::IO));
        device.mend();
        let second = append(&mut active, 3);
        assert_eq!(second.at, first.at + first.len, "its place is used again");
    }
}
