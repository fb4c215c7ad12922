//! Any bytes for the reader of segments, and what must hold then. A fuzzer does not find a
//! checksum or a salt, so those are put right where something looks like a record or a footer.

use bytes::Bytes;
use rustix::fs::MemfdFlags;

use super::fault::Device;
use super::file::File;
use super::footer::{LINE, OPENING, Opening, TRAILER};
use super::record::{BLOCK, HEADER, Head, Header, Kind, UNIT, word};
use super::scan;

const STORE: u128 = 7;
const SALT: u64 = 0x0102_0304_0506_0708;
/// Longer ones say nothing new.
const LONGEST: usize = 64 * 1024;

/// A segment without its opening. Whether anything in it was taken for a record.
///
/// What is listed lies one after the other and within the file, and what is read of it is what
/// its checksums say, and is written the same again.
pub fn segment(bytes: &[u8]) -> bool {
    let opening = Opening { store: STORE, salt: SALT }.encode();
    let mut bytes = [&opening, bytes.get(..LONGEST).unwrap_or(bytes)].concat();
    mend(&mut bytes);
    let fd = rustix::fs::memfd_create("segment", MemfdFlags::CLOEXEC).expect("memory for a file");
    let file = File::new(fd, Device::default());
    file.write_at(&bytes, 0).expect("room in memory");
    let salt = scan::opening(&file, STORE).expect("memory is read");
    assert_eq!(salt, Some(SALT), "the opening is ours");
    let bytes = Bytes::from(bytes);

    let found = scan::scan(&file, SALT, OPENING as u64).expect("memory is read");
    let mut end = OPENING as u64;
    for line in &found.lines {
        assert_eq!(u64::from(line.at) * UNIT, end, "they lie one after the other");
        end += u64::from(line.len) * UNIT;
        read(&bytes, line.at, &file);
    }
    assert_eq!(found.end, end);
    assert!(end <= (bytes.len() as u64).next_multiple_of(UNIT), "they lie within the file");
    // A footer may say what it likes: what is read then is checked again.
    let listed = scan::list(&file, SALT).expect("memory is read");
    for line in &listed.lines {
        read(&bytes, line.at, &file);
    }
    !found.lines.is_empty()
}

/// Reads what an index would be led to.
fn read(bytes: &Bytes, at: u32, file: &File) {
    let at = u64::from(at) * UNIT;
    let whole = scan::whole(file, SALT, at).expect("memory is read");
    let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    let bytes = bytes.slice(start..);
    let Ok(header) = Header::decode(&bytes, SALT) else {
        assert!(!whole);
        return;
    };
    assert_eq!(Header::decode(&header.encode(SALT), SALT), Ok(header.clone()));
    assert!(header.record_len() >= HEADER as u64 && header.record_len().is_multiple_of(UNIT));
    let body_len = header.body_len;
    let body_at = header.head_len();
    let Ok(head) = Head::decode(header, &bytes) else {
        assert!(!whole);
        return;
    };
    let parts = head.key.len() + head.meta.len() + head.labels.subject.len();
    assert!(HEADER + parts + 8 * head.labels.tags.len() <= body_at);
    let body = bytes.get(body_at..body_at + body_len as usize);
    let right = body.is_some_and(|body| head.holds(0, body));
    assert_eq!(whole, right, "it is whole if its body is what its checksums say");
    if let Some(body) = body.filter(|body| right && body.len() > BLOCK) {
        assert!(head.holds(1, &body[BLOCK..]), "a block is checked alone");
    }
}

/// Puts right the checksums of what begins like a record, a line of a footer, or a trailer.
fn mend(bytes: &mut [u8]) {
    for at in (OPENING..bytes.len()).step_by(UNIT as usize) {
        let Some(record) = bytes.get_mut(at..) else { return };
        if !record.starts_with(b"TGr1") || record.len() < HEADER {
            continue;
        }
        record[8..16].copy_from_slice(&SALT.to_le_bytes());
        sum(record, HEADER);
        if let Ok(header) = Header::decode(record, SALT)
            && header.kind == Kind::Object
            && let Some(head) = record.get(HEADER..header.head_len())
            // Every other one, so that both ways are gone.
            && word(record, 84).is_ok_and(|spare| spare % 2 == 0)
        {
            let crc = crc32fast::hash(head).to_le_bytes();
            record[80..84].copy_from_slice(&crc);
            sum(record, HEADER);
        }
    }
    let Some(at) = bytes.len().checked_sub(TRAILER).filter(|at| *at >= OPENING) else { return };
    let (before, trailer) = bytes.split_at_mut(at);
    if trailer.starts_with(b"TGend") {
        trailer[8..16].copy_from_slice(&SALT.to_le_bytes());
        let lines = usize::from(trailer[24]).min((at - OPENING) / LINE);
        let from = at - lines * LINE;
        trailer[16..24].copy_from_slice(&(from as u64).to_le_bytes());
        trailer[24..28].copy_from_slice(&(lines as u32).to_le_bytes());
        let crc = crc32fast::hash(&before[from..]).to_le_bytes();
        trailer[28..32].copy_from_slice(&crc);
        sum(trailer, TRAILER);
    }
}

/// The last word of so many bytes is the checksum of the rest.
fn sum(bytes: &mut [u8], len: usize) {
    let crc = crc32fast::hash(&bytes[..len - 4]).to_le_bytes();
    bytes[len - 4..len].copy_from_slice(&crc);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::disk::footer::{self, Line};
    use crate::disk::record::{Content, Draft};
    use crate::labels::Labels;

    /// Inputs that a fuzzer found.
    const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus/store_segment");

    /// A good segment without its opening.
    fn good(random: &mut fastrand::Rng) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut lines = Vec::new();
        for n in 0..random.u64(1..6) {
            let len = if random.u8(..20) == 0 { BLOCK + 9 } else { random.usize(..300) };
            let body = [Bytes::from(vec![n as u8; len])];
            let labels = Labels { subject: Box::from(&b"a/b"[..]), tags: Box::from([n, 8]) };
            let draft = Draft {
                kind: if random.u8(..8) == 0 { Kind::Tomb } else { Kind::Object },
                hash: u128::from(n),
                stamp: n,
                fill: crate::version::FillId::from_bits(3),
                created: Moment::from_millis(n),
                keep_until: Moment::from_millis(n),
                key: b"key",
                meta: b"meta",
                labels: &labels,
                body: Content::Bytes(&body),
            };
            let (header, head) = draft.encode(SALT).unwrap();
            let at = (OPENING + bytes.len()) as u64;
            lines.push(Line {
                tag: n,
                stamp: n,
                at: (at / UNIT) as u32,
                len: (header.record_len() / UNIT) as u32,
                keep_until: 1,
                kind: header.kind,
                created: header.created,
            });
            bytes.extend_from_slice(&head);
            bytes.extend_from_slice(&body[0]);
            bytes.resize(bytes.len().next_multiple_of(UNIT as usize), 0);
        }
        let end = (OPENING + bytes.len()) as u64;
        bytes.extend_from_slice(&footer::encode(&lines, SALT, end, 1));
        bytes
    }

    #[test]
    fn a_spoilt_segment_lists_and_reads_what_its_checksums_say() {
        let mut random = fastrand::Rng::with_seed(77);
        let mut taken = 0;
        for _ in 0..4000 {
            let mut bytes = good(&mut random);
            for _ in 0..random.usize(..5) {
                let at = random.usize(..bytes.len());
                match random.u8(..4) {
                    0 => bytes[at] = random.u8(..),
                    1 => bytes[at] = random.choice([0, 1, 0x7f, 0x80, 0xff]).unwrap_or(0),
                    2 => bytes.truncate(at.max(1)),
                    _ => {
                        let from = random.usize(..=at) / 64 * 64;
                        let copied = bytes[from..at].to_vec();
                        bytes.extend_from_slice(&copied);
                    }
                }
            }
            taken += usize::from(segment(&bytes));
        }
        assert!(taken > 2000, "{taken} had records");
        assert!(!segment(b""));
    }

    #[test]
    fn inputs_that_reach_other_code_are_read_again() {
        let mut taken = 0;
        for entry in std::fs::read_dir(KEPT).unwrap() {
            taken += usize::from(segment(&std::fs::read(entry.unwrap().path()).unwrap()));
        }
        assert!(taken > 5, "{taken} had records");
    }
}
