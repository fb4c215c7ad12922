//! Purges on a disk: records of 64 bytes, added at the end by every process
//! that has the file open, and read by all of them.
//!
//! Writers take turns (`flock`), readers do not wait for them. A file grown
//! too long is written anew and renamed over the old one.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::Manner;
use super::table::{Mark, Record};
use crate::clock::Moment;

const RECORD_BYTES: usize = 64;
const MAGIC: &[u8; 4] = b"TGPL";
const VERSION: u8 = 1;
/// Where the checksum (CRC-32) of the bytes before it stands.
const SUM_AT: usize = RECORD_BYTES - 4;

/// A file shorter than this is not written anew.
const SHORT_BYTES: u64 = 1024 * RECORD_BYTES as u64;
/// Records for each that still counts, before a file is written anew.
const MOST_IDLE: u64 = 4;
/// A file longer than this was not written by us.
const MOST_BYTES: u64 = 1 << 26;
/// How often a file may be renamed away while it is waited for.
const MOST_TRIES: usize = 16;

/// A file of purges.
pub(super) struct Log {
    path: PathBuf,
    file: File,
    read: u64,
    /// There was something that cannot be read, and it is there still.
    is_spoilt: bool,
}

/// What was read.
#[derive(Default)]
pub(super) struct Read {
    pub(super) records: Vec<Record>,
    /// There were records, but nobody knows which.
    pub(super) unreadable: bool,
}

impl Log {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), file: open(path)?, read: 0, is_spoilt: false })
    }

    /// Reads what was added since the last time; by whomever.
    pub(super) fn read(&mut self) -> io::Result<Read> {
        if !self.is_current()? {
            // What the new file lacks was in the table of who wrote it, and
            // so in ours or of no use.
            self.file = open(&self.path)?;
            self.read = 0;
        }
        self.read_on()
    }

    /// Whether there is something to read, as far as the file itself says. Never waits.
    pub(super) fn has_news(&self) -> bool {
        self.file.metadata().is_ok_and(|file| {
            // Another file has its name by now.
            let is_replaced = file.nlink() == 0;
            is_replaced || file.len() - file.len() % RECORD_BYTES as u64 != self.read
        })
    }

    /// True once after something could not be read.
    pub(super) fn take_spoilt(&mut self) -> bool {
        std::mem::take(&mut self.is_spoilt)
    }

    /// Adds records, and waits until the disk has them.
    pub(super) fn append(&mut self, records: &[Record]) -> io::Result<()> {
        let bytes: Vec<u8> = records.iter().flat_map(encode).collect();
        let _turn = self.take_turn()?;
        let length = self.file.metadata()?.len();
        let torn = length % RECORD_BYTES as u64;
        if torn != 0 {
            // Someone died while writing, and so has acknowledged nothing.
            self.file.set_len(length - torn)?;
        }
        self.file.write_all(&bytes)?;
        self.file.sync_data()
    }

    /// Writes the file anew, as `live` tells when it has heard what it did not
    /// know yet.
    pub(super) fn compact(
        &mut self,
        live: impl FnOnce(&[Record]) -> Vec<Record>,
    ) -> io::Result<()> {
        let _turn = self.take_turn()?;
        let unread = self.read_on()?;
        let bytes: Vec<u8> = live(&unread.records).iter().flat_map(encode).collect();
        let new = self.path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, &self.path)?;
        if let Some(directory) = self.path.parent().filter(|path| !path.as_os_str().is_empty()) {
            File::open(directory)?.sync_all()?;
        }
        self.file = open(&self.path)?;
        self.read = bytes.len() as u64;
        Ok(())
    }

    pub(super) fn is_worth_compacting(&self, live: usize) -> bool {
        let length = self.file.metadata().map_or(0, |metadata| metadata.len());
        let live = (live as u64).saturating_mul(RECORD_BYTES as u64);
        length > SHORT_BYTES && length > live.saturating_mul(MOST_IDLE)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn read_on(&mut self) -> io::Result<Read> {
        let length = self.file.metadata()?.len();
        let whole = length - length % RECORD_BYTES as u64;
        let mut found = Read::default();
        if whole < self.read || whole - self.read > MOST_BYTES {
            self.read = whole;
            self.is_spoilt = true;
            found.unreadable = true;
            return Ok(found);
        }
        let unread = usize::try_from(whole - self.read).unwrap_or(usize::MAX);
        let mut bytes = vec![0; unread];
        self.file.read_exact_at(&mut bytes, self.read)?;
        for record in bytes.as_chunks::<RECORD_BYTES>().0 {
            match decode(record) {
                Some(record) => found.records.push(record),
                None => found.unreadable = true,
            }
        }
        self.read = whole;
        self.is_spoilt |= found.unreadable;
        Ok(found)
    }

    /// Waits until no other writes, and has the file that is there then.
    fn take_turn(&mut self) -> io::Result<Turn> {
        for _ in 0..MOST_TRIES {
            let file = self.file.try_clone()?;
            rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
            let turn = Turn(file);
            if self.is_current()? {
                return Ok(turn);
            }
            self.file = open(&self.path)?;
            self.read = 0;
        }
        Err(io::Error::other("written anew too often"))
    }

    fn is_current(&self) -> io::Result<bool> {
        let ours = self.file.metadata()?;
        match std::fs::metadata(&self.path) {
            Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(fault) => Err(fault),
        }
    }
}

/// While it lives no other writes.
struct Turn(File);

impl Drop for Turn {
    fn drop(&mut self) {
        // The lock goes with the file at the latest.
        flock(&self.0, FlockOperation::Unlock).unwrap_or_default();
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

/// Magic (4), version, kind, manner, 0, moment (8), length (4), 0 (4), hash
/// (16), 0 (20), checksum (4); little-endian.
fn encode(record: &Record) -> [u8; RECORD_BYTES] {
    let (kind, length, hash) = match record.mark {
        Mark::All => (0, 0, 0),
        Mark::Subject(hash) => (1, 0, hash),
        Mark::Prefix { length, hash } => (2, length, hash),
        Mark::Tag(tag) => (3, 0, u128::from(tag)),
    };
    let manner = match record.manner {
        Manner::Hard => 0,
        Manner::Soft => 1,
    };
    let mut bytes = [0; RECORD_BYTES];
    bytes[..4].copy_from_slice(MAGIC);
    bytes[4..7].copy_from_slice(&[VERSION, kind, manner]);
    bytes[8..16].copy_from_slice(&record.at.millis().to_le_bytes());
    bytes[16..20].copy_from_slice(&u32::to_le_bytes(length));
    bytes[24..40].copy_from_slice(&hash.to_le_bytes());
    let sum = crc32fast::hash(&bytes[..SUM_AT]);
    bytes[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<Record> {
    let sum = u32::from_le_bytes(*bytes.last_chunk()?);
    if sum != crc32fast::hash(&bytes[..SUM_AT]) || !bytes.starts_with(MAGIC) || bytes[4] != VERSION
    {
        return None;
    }
    let length = u32::from_le_bytes(*bytes[16..].first_chunk()?);
    let hash = u128::from_le_bytes(*bytes[24..].first_chunk()?);
    let mark = match bytes[5] {
        0 => Mark::All,
        1 => Mark::Subject(hash),
        2 => Mark::Prefix { length, hash },
        3 => Mark::Tag(u64::try_from(hash).ok()?),
        _ => return None,
    };
    let manner = match bytes[6] {
        0 => Manner::Hard,
        1 => Manner::Soft,
        _ => return None,
    };
    let at = Moment::from_millis(u64::from_le_bytes(*bytes[8..].first_chunk()?));
    Some(Record { mark, manner, at })
}

#[cfg(test)]
mod tests {
    use super::super::Target;
    use super::*;

    fn record(target: Target<'_>, millis: u64) -> Record {
        Record { mark: Mark::of(target), manner: Manner::Soft, at: Moment::from_millis(millis) }
    }

    fn some() -> Vec<Record> {
        let targets =
            [Target::All, Target::Subject(b"a/b"), Target::Prefix(b"a/"), Target::Tag(u64::MAX)];
        targets.into_iter().zip(1..).map(|(target, at)| record(target, at)).collect()
    }

    #[test]
    fn a_record_reads_as_it_was_written_and_no_bit_can_change() {
        for record in some() {
            let bytes = encode(&record);
            assert_eq!(decode(&bytes), Some(record));
            for bit in 0..RECORD_BYTES * 8 {
                let mut wrong = bytes;
                wrong[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(decode(&wrong), None, "bit {bit}");
            }
        }
        assert_eq!(decode(&[0; RECORD_BYTES]), None);
    }

    #[test]
    fn each_reader_reads_every_record_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("purge.log");
        let (mut one, mut other) = (Log::open(&path).unwrap(), Log::open(&path).unwrap());
        one.append(&some()).unwrap();
        other.append(&some()[..1]).unwrap();
        for log in [&mut one, &mut other] {
            let read = log.read().unwrap();
            assert_eq!((read.records.len(), read.unreadable), (5, false));
            assert!(log.read().unwrap().records.is_empty());
        }
    }

    #[test]
    fn a_torn_record_is_passed_over_and_then_cut_off() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("purge.log");
        let mut log = Log::open(&path).unwrap();
        log.append(&some()).unwrap();
        File::options().append(true).open(&path).unwrap().write_all(&[7; 63]).unwrap();
        assert_eq!(log.read().unwrap().records, some());
        log.append(&some()[..1]).unwrap();
        let read = Log::open(&path).unwrap().read().unwrap();
        assert_eq!((read.records.len(), read.unreadable), (5, false));
    }

    #[test]
    fn a_file_written_anew_is_followed_and_nothing_of_others_is_lost() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("purge.log");
        let (mut one, mut other) = (Log::open(&path).unwrap(), Log::open(&path).unwrap());
        one.append(&some()).unwrap();
        one.read().unwrap();
        other.append(&[record(Target::Tag(5), 50)]).unwrap();
        one.compact(|learnt| {
            assert_eq!(learnt, [record(Target::Tag(5), 50)]);
            vec![record(Target::Tag(5), 50), record(Target::Tag(6), 60)]
        })
        .unwrap();
        // The other still has the old file: what it writes goes to the new one.
        other.append(&[record(Target::Tag(7), 70)]).unwrap();
        assert_eq!(one.read().unwrap().records, [record(Target::Tag(7), 70)]);
        assert_eq!(other.read().unwrap().records.len(), 3);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 3 * RECORD_BYTES as u64);
    }

    #[test]
    fn what_is_no_record_is_noticed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("purge.log");
        std::fs::write(&path, [1; 200]).unwrap();
        let mut log = Log::open(&path).unwrap();
        assert!(log.read().unwrap().unreadable);
        assert!(!log.read().unwrap().unreadable);
        // Nobody makes it shorter.
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        assert!(log.read().unwrap().unreadable);
    }
}
