//! What a segment has: by its footer, by its records one after the other, or as far as a process
//! came that was killed.

use bytes::Bytes;
use rustix::io::Errno;

use super::file::File;
use super::footer::{self, Line, OPENING, Opening, TRAILER, Trailer};
use super::record::{HEADER, Head, Header, UNIT};
use super::table::MAX_LEN;

/// Headers are looked for in windows of so many bytes.
const WINDOW: usize = 256 * 1024;
/// Lines that a footer can have: more do not fit into the largest segment.
const MOST_LINES: u32 = 16 * 1024 * 1024;

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
        found.lines.push(Line::of(&header, found.end));
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

/// Whether the index can say where this is and how long.
fn placeable(at: u64, header: &Header) -> bool {
    at / UNIT <= u64::from(u32::MAX) && header.record_len() / UNIT < u64::from(MAX_LEN)
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
    use super::super::name::State;
    use super::super::record::{Content, Draft, Kind};
    use super::super::segment::tests::{LIMIT, STORE, append, on_disk, place, write};
    use super::*;
    use crate::clock::Moment;
    use crate::labels::Labels;

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
        let forged = Draft {
            kind: Kind::Object,
            hash: 1,
            stamp: 1,
            fill: crate::version::FillId::from_bits(3),
            created: Moment::default(),
            keep_until: Moment::default(),
            key: b"forged",
            meta: b"",
            labels: &labels,
            body: Content::Bytes(&[]),
        };
        // Whoever sends a body does not know the salt.
        let (_, forged) = forged.encode(0).unwrap();
        let line = write(&mut active, b"real", 1, &[Bytes::from(forged.repeat(20))]).unwrap();
        let file = read(&on_disk(home.path(), State::Open));
        let salt = active.segment.salt;
        for at in line.at..line.at + line.len {
            let found = scan(&file, salt, u64::from(at) * UNIT).unwrap();
            assert_eq!(found.lines.len(), usize::from(at == line.at));
        }
    }
}
