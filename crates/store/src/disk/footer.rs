//! The bytes at both ends of a segment: the opening, which names store and salt, and the
//! footer, which lists all records so that a start need not read them.

use crate::clock::Moment;

use super::record::{Header, Kind, Malformed, UNIT, long, word};

pub(crate) const OPENING: usize = 64;
pub(crate) const LINE: usize = 40;
/// The footer's own end, the last bytes of a sealed segment.
pub(crate) const TRAILER: usize = 64;

/// Says what is a segment, and in which version.
const SEGMENT: &[u8; 8] = b"TGseg\0\0\x01";
const FOOTER: &[u8; 8] = b"TGend\0\0\x01";

/// The first bytes of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// Of the generation that the segment belongs to.
    pub(crate) store: u128,
    pub(crate) salt: u64,
}

impl Opening {
    pub(crate) fn encode(&self) -> [u8; OPENING] {
        let mut out = Vec::with_capacity(OPENING);
        out.extend_from_slice(SEGMENT);
        out.extend_from_slice(&self.store.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        checked(out)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let bytes = check(bytes, SEGMENT)?;
        let store = u128::from(long(bytes, 8)?) | u128::from(long(bytes, 16)?) << 64;
        Ok(Self { store, salt: long(bytes, 24)? })
    }
}

/// One record, as the footer and the index know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    /// Half of the hash of the key.
    pub(crate) tag: u64,
    pub(crate) stamp: u64,
    /// Where in the segment, and how long, in units of records.
    pub(crate) at: u32,
    pub(crate) len: u32,
    /// Seconds since 1970, rounded up.
    pub(crate) keep_until: u32,
    pub(crate) kind: Kind,
    pub(crate) created: Moment,
}

impl Line {
    /// Of a record that lies there.
    pub(crate) fn of(header: &Header, at: u64) -> Self {
        let keep_until_s = header.keep_until.millis().div_ceil(1000);
        Self {
            tag: header.hash as u64,
            stamp: header.stamp,
            at: (at / UNIT) as u32,
            len: (header.record_len() / UNIT) as u32,
            keep_until: u32::try_from(keep_until_s).unwrap_or(u32::MAX),
            kind: header.kind,
            created: header.created,
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.tag.to_le_bytes());
        out.extend_from_slice(&self.stamp.to_le_bytes());
        let kind: u32 = match self.kind {
            Kind::Object => 1,
            Kind::Tomb => 2,
        };
        for part in [self.at, self.len, self.keep_until, kind] {
            out.extend_from_slice(&part.to_le_bytes());
        }
        out.extend_from_slice(&self.created.millis().to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let kind = match word(bytes, 28)? {
            1 => Kind::Object,
            2 => Kind::Tomb,
            _ => return Err(Malformed),
        };
        Ok(Self {
            tag: long(bytes, 0)?,
            stamp: long(bytes, 8)?,
            at: word(bytes, 16)?,
            len: word(bytes, 20)?,
            keep_until: word(bytes, 24)?,
            kind,
            created: Moment::from_millis(long(bytes, 32)?),
        })
    }
}

/// The end of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trailer {
    pub(crate) salt: u64,
    /// Bytes of opening and records: where the lines begin.
    pub(crate) records_end: u64,
    pub(crate) lines: u32,
    pub(crate) lines_crc: u32,
    /// Of all records: no purge before it concerns the segment.
    pub(crate) oldest: Moment,
    /// No segment that began before this one was sealed has a higher number.
    pub(crate) until: u64,
}

impl Trailer {
    pub(crate) fn encode(&self) -> [u8; TRAILER] {
        let mut out = Vec::with_capacity(TRAILER);
        out.extend_from_slice(FOOTER);
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.records_end.to_le_bytes());
        out.extend_from_slice(&self.lines.to_le_bytes());
        out.extend_from_slice(&self.lines_crc.to_le_bytes());
        out.extend_from_slice(&self.oldest.millis().to_le_bytes());
        out.extend_from_slice(&self.until.to_le_bytes());
        checked(out)
    }

    /// `size` is that of the file, which must be what the trailer says.
    pub(crate) fn decode(bytes: &[u8], salt: u64, size: u64) -> Result<Self, Malformed> {
        let bytes = check(bytes, FOOTER)?;
        let trailer = Self {
            salt: long(bytes, 8)?,
            records_end: long(bytes, 16)?,
            lines: word(bytes, 24)?,
            lines_crc: word(bytes, 28)?,
            oldest: Moment::from_millis(long(bytes, 32)?),
            until: long(bytes, 40)?,
        };
        let expected = trailer.records_end.checked_add(footer_len(u64::from(trailer.lines)));
        if trailer.salt == salt && expected == Some(size) { Ok(trailer) } else { Err(Malformed) }
    }
}

/// Bytes of a footer with so many lines.
pub(crate) fn footer_len(lines: u64) -> u64 {
    lines * LINE as u64 + TRAILER as u64
}

pub(crate) fn encode(lines: &[Line], salt: u64, records_end: u64, until: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() * LINE + TRAILER);
    for line in lines {
        line.encode(&mut out);
    }
    let trailer = Trailer {
        salt,
        records_end,
        lines: u32::try_from(lines.len()).unwrap_or(u32::MAX),
        lines_crc: crc32fast::hash(&out),
        oldest: lines.iter().map(|line| line.created).min().unwrap_or_default(),
        until,
    };
    out.extend_from_slice(&trailer.encode());
    out
}

/// The lines of a footer, each of them within the records of its segment.
pub(crate) fn decode(bytes: &[u8], trailer: &Trailer) -> Result<Vec<Line>, Malformed> {
    if bytes.len() != trailer.lines as usize * LINE || crc32fast::hash(bytes) != trailer.lines_crc {
        return Err(Malformed);
    }
    bytes.chunks_exact(LINE).map(Line::decode).collect()
}

/// Fills up to the last word, which is the checksum of the rest: of 64 bytes.
pub(crate) fn checked(mut out: Vec<u8>) -> [u8; OPENING] {
    out.resize(OPENING - 4, 0);
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    let mut fixed = [0; OPENING];
    fixed.copy_from_slice(&out);
    fixed
}

pub(crate) fn check<'a>(bytes: &'a [u8], magic: &[u8; 8]) -> Result<&'a [u8], Malformed> {
    let bytes = bytes.get(..OPENING).ok_or(Malformed)?;
    let sum = crc32fast::hash(bytes.get(..OPENING - 4).ok_or(Malformed)?);
    if bytes.starts_with(magic) && word(bytes, OPENING - 4)? == sum {
        Ok(bytes)
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> Vec<Line> {
        let line = |n: u64| Line {
            tag: n << 50 | n,
            stamp: n,
            at: n as u32 + 1,
            len: 3,
            keep_until: 77,
            kind: if n.is_multiple_of(3) { Kind::Tomb } else { Kind::Object },
            created: Moment::from_millis(1_000 - n),
        };
        (0..20).map(line).collect()
    }

    #[test]
    fn a_footer_is_read_as_it_was_written() {
        let bytes = encode(&lines(), 9, 6400, 12);
        let (body, end) = bytes.split_at(bytes.len() - TRAILER);
        let trailer = Trailer::decode(end, 9, 6400 + bytes.len() as u64).unwrap();
        assert_eq!((trailer.oldest, trailer.until), (Moment::from_millis(981), 12));
        assert_eq!(decode(body, &trailer).unwrap(), lines());
        assert_eq!(bytes.len() as u64, footer_len(20));
    }

    #[test]
    fn every_flipped_bit_of_a_footer_is_seen() {
        let good = encode(&lines(), 9, 6400, 12);
        let size = 6400 + good.len() as u64;
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let (body, end) = bytes.split_at(bytes.len() - TRAILER);
            let read = Trailer::decode(end, 9, size).and_then(|trailer| decode(body, &trailer));
            assert_eq!(read, Err(Malformed), "bit {bit}");
        }
    }

    #[test]
    fn a_footer_of_another_segment_or_length_is_none() {
        let bytes = encode(&lines(), 9, 6400, 12);
        let end = &bytes[bytes.len() - TRAILER..];
        let size = 6400 + bytes.len() as u64;
        assert_eq!(Trailer::decode(end, 8, size), Err(Malformed));
        assert_eq!(Trailer::decode(end, 9, size + 64), Err(Malformed));
        assert_eq!(Trailer::decode(&end[1..], 9, size), Err(Malformed));
    }

    #[test]
    fn an_opening_is_read_as_it_was_written_or_not_at_all() {
        let opening = Opening { store: 5 << 90 | 3, salt: 11 };
        let bytes = opening.encode();
        assert_eq!(Opening::decode(&bytes), Ok(opening));
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes;
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Opening::decode(&broken), Err(Malformed), "bit {bit}");
        }
    }
}
