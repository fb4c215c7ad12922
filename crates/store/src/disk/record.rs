//! The bytes of one record: a checked header, the head (key, metadata, labels, the checksum of
//! each block of the body), and the body. Whatever bytes are given, decoding never panics and
//! never takes more memory than the bytes given. All numbers are little-endian.

use std::borrow::Cow;

use bytes::Bytes;

use crate::clock::Moment;
use crate::labels::Labels;
use crate::version::{FillId, Version};

/// The unit in which records are placed and counted.
pub(crate) const UNIT: u64 = 64;
/// Each block of a body has its own checksum, so that a range can be checked alone.
pub(crate) const BLOCK: usize = 64 * 1024;
pub(crate) const HEADER: usize = 96;

pub(crate) const MAX_KEY: usize = 64 * 1024;
pub(crate) const MAX_META: usize = 1024 * 1024;
pub(crate) const MAX_SUBJECT: usize = 64 * 1024;
pub(crate) const MAX_TAGS: usize = 4096;
/// Records are counted by 24 bits of units in the index; this is half of what they could say.
pub(crate) const MAX_BODY: u64 = 512 * 1024 * 1024;

const MAGIC: u32 = u32::from_le_bytes(*b"TGr1");

/// What a record says about its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Object,
    /// There is no object of this key, whatever older records say.
    Tomb,
}

/// Bytes that are no record, or not the record that was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed record")]
pub(crate) struct Malformed;

/// The fixed part, which says how long everything else is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) hash: u128,
    /// Of two records of one key the one with the larger stamp counts.
    pub(crate) stamp: u64,
    pub(crate) fill: FillId,
    pub(crate) created: Moment,
    pub(crate) keep_until: Moment,
    pub(crate) key_len: u32,
    pub(crate) meta_len: u32,
    pub(crate) subject_len: u32,
    pub(crate) tags: u32,
    pub(crate) body_len: u64,
    /// CRC-32 of the head after the header.
    pub(crate) head_crc: u32,
}

impl Header {
    /// A header that was written with this salt. The salt is secret and differs by segment, so
    /// that bytes of a body can never pass for a record.
    pub(crate) fn decode(bytes: &[u8], salt: u64) -> Result<Self, Malformed> {
        let fixed = bytes.get(..HEADER).ok_or(Malformed)?;
        let checked = fixed.get(..HEADER - 4).ok_or(Malformed)?;
        if word(fixed, HEADER - 4)? != crc32fast::hash(checked)
            || word(fixed, 0)? != MAGIC
            || long(fixed, 8)? != salt
        {
            return Err(Malformed);
        }
        let kind = match word(fixed, 4)? {
            1 => Kind::Object,
            2 => Kind::Tomb,
            _ => return Err(Malformed),
        };
        let header = Self {
            kind,
            hash: u128::from(long(fixed, 16)?) | u128::from(long(fixed, 24)?) << 64,
            stamp: long(fixed, 32)?,
            created: Moment::from_millis(long(fixed, 40)?),
            keep_until: Moment::from_millis(long(fixed, 48)?),
            body_len: long(fixed, 56)?,
            key_len: word(fixed, 64)?,
            meta_len: word(fixed, 68)?,
            subject_len: word(fixed, 72)?,
            tags: word(fixed, 76)?,
            head_crc: word(fixed, 80)?,
            fill: FillId::from_bits(long(fixed, 84)?),
        };
        if header.bounded() { Ok(header) } else { Err(Malformed) }
    }

    pub(crate) fn encode(&self, salt: u64) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(&MAGIC.to_le_bytes());
        let kind: u32 = match self.kind {
            Kind::Object => 1,
            Kind::Tomb => 2,
        };
        out.extend_from_slice(&kind.to_le_bytes());
        out.extend_from_slice(&salt.to_le_bytes());
        out.extend_from_slice(&self.hash.to_le_bytes());
        out.extend_from_slice(&self.stamp.to_le_bytes());
        out.extend_from_slice(&self.created.millis().to_le_bytes());
        out.extend_from_slice(&self.keep_until.millis().to_le_bytes());
        out.extend_from_slice(&self.body_len.to_le_bytes());
        for part in [self.key_len, self.meta_len, self.subject_len, self.tags, self.head_crc] {
            out.extend_from_slice(&part.to_le_bytes());
        }
        out.extend_from_slice(&self.fill.bits().to_le_bytes());
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        let mut fixed = [0; HEADER];
        fixed.copy_from_slice(&out);
        fixed
    }

    /// Where the body begins: the bytes of header and head.
    pub(crate) fn head_len(&self) -> usize {
        HEADER
            + self.key_len as usize
            + self.meta_len as usize
            + self.subject_len as usize
            + 8 * self.tags as usize
            + 4 * self.blocks()
    }

    /// What the record takes in its segment.
    pub(crate) fn record_len(&self) -> u64 {
        (self.head_len() as u64 + self.body_len).next_multiple_of(UNIT)
    }

    pub(crate) fn version(&self) -> Version {
        Version { fill: self.fill, created: self.created }
    }

    fn blocks(&self) -> usize {
        self.body_len.div_ceil(BLOCK as u64) as usize
    }

    fn bounded(&self) -> bool {
        self.key_len as usize <= MAX_KEY
            && self.meta_len as usize <= MAX_META
            && self.subject_len as usize <= MAX_SUBJECT
            && self.tags as usize <= MAX_TAGS
            && self.body_len <= MAX_BODY
    }
}

/// Header and head, checked.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) header: Header,
    pub(crate) key: Bytes,
    pub(crate) meta: Bytes,
    pub(crate) labels: Labels,
    blocks: Box<[u32]>,
}

impl Head {
    /// `bytes` begin at the header and are at least `header.head_len()` long.
    pub(crate) fn decode(header: Header, bytes: &Bytes) -> Result<Self, Malformed> {
        let end = header.head_len();
        let head = bytes.get(HEADER..end).ok_or(Malformed)?;
        if crc32fast::hash(head) != header.head_crc {
            return Err(Malformed);
        }
        let mut at = HEADER;
        let mut next = |len: usize| {
            let part = at..at + len;
            at += len;
            part
        };
        let key = bytes.slice(next(header.key_len as usize));
        let meta = bytes.slice(next(header.meta_len as usize));
        let subject = bytes.slice(next(header.subject_len as usize));
        let tags = bytes.slice(next(8 * header.tags as usize));
        let blocks = bytes.slice(next(4 * header.blocks()));
        let labels = Labels {
            subject: Box::from(subject.as_ref()),
            tags: tags.chunks_exact(8).map(|tag| long(tag, 0)).collect::<Result<_, _>>()?,
        };
        let blocks = blocks.chunks_exact(4).map(|crc| word(crc, 0)).collect::<Result<_, _>>()?;
        Ok(Self { header, key, meta, labels, blocks })
    }

    /// Whether these are the bytes of the body from block `first` on.
    pub(crate) fn holds(&self, first: usize, bytes: &[u8]) -> bool {
        self.intact(first, bytes) == bytes.len()
    }

    /// How many bytes, from block `first` on, are in blocks that are as they were written.
    pub(crate) fn intact(&self, first: usize, bytes: &[u8]) -> usize {
        let fits = |(n, block): &(usize, &[u8])| {
            self.blocks.get(first + n).is_some_and(|crc| *crc == crc32fast::hash(block))
        };
        bytes.chunks(BLOCK).enumerate().take_while(fits).map(|(_, block)| block.len()).sum()
    }
}

/// The body of a record that is to be written.
#[derive(Clone, Copy)]
pub(crate) enum Content<'a> {
    Bytes(&'a [Bytes]),
    /// That of this record, as it is.
    Copied(&'a Head),
}

/// What is written before a body.
pub(crate) struct Draft<'a> {
    pub(crate) kind: Kind,
    pub(crate) hash: u128,
    pub(crate) stamp: u64,
    pub(crate) fill: FillId,
    pub(crate) created: Moment,
    pub(crate) keep_until: Moment,
    pub(crate) key: &'a [u8],
    pub(crate) meta: &'a [u8],
    pub(crate) labels: &'a Labels,
    pub(crate) body: Content<'a>,
}

impl Draft<'_> {
    /// Whether each part is within what a record may hold.
    pub(crate) fn bounded(&self) -> bool {
        self.key.len() <= MAX_KEY
            && self.meta.len() <= MAX_META
            && self.labels.subject.len() <= MAX_SUBJECT
            && self.labels.tags.len() <= MAX_TAGS
            && self.body_len() <= MAX_BODY
    }

    /// What the record will take in its segment.
    pub(crate) fn record_len(&self) -> u64 {
        let blocks = self.body_len().div_ceil(BLOCK as u64);
        let labels = self.labels.subject.len() + 8 * self.labels.tags.len();
        let head = HEADER + self.key.len() + self.meta.len() + labels;
        (head as u64 + 4 * blocks + self.body_len()).next_multiple_of(UNIT)
    }

    /// Header and head; `None` if a part is longer than a record may hold.
    pub(crate) fn encode(&self, salt: u64) -> Option<(Header, Vec<u8>)> {
        if !self.bounded() {
            return None;
        }
        let mut out = vec![0; HEADER];
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.meta);
        out.extend_from_slice(&self.labels.subject);
        for tag in &self.labels.tags {
            out.extend_from_slice(&tag.to_le_bytes());
        }
        for crc in self.body.blocks().iter() {
            out.extend_from_slice(&crc.to_le_bytes());
        }
        let header = Header {
            kind: self.kind,
            hash: self.hash,
            stamp: self.stamp,
            fill: self.fill,
            created: self.created,
            keep_until: self.keep_until,
            key_len: u32::try_from(self.key.len()).ok()?,
            meta_len: u32::try_from(self.meta.len()).ok()?,
            subject_len: u32::try_from(self.labels.subject.len()).ok()?,
            tags: u32::try_from(self.labels.tags.len()).ok()?,
            body_len: self.body_len(),
            head_crc: crc32fast::hash(out.get(HEADER..)?),
        };
        out.get_mut(..HEADER)?.copy_from_slice(&header.encode(salt));
        Some((header, out))
    }

    fn body_len(&self) -> u64 {
        match self.body {
            Content::Bytes(body) => body.iter().map(|chunk| chunk.len() as u64).sum(),
            Content::Copied(head) => head.header.body_len,
        }
    }
}

impl<'a> Content<'a> {
    fn blocks(&self) -> Cow<'a, [u32]> {
        match self {
            Self::Bytes(body) => blocks_of(body).into(),
            Self::Copied(head) => Cow::Borrowed(&head.blocks),
        }
    }
}

/// The checksum of each block of a body that comes in chunks of any length.
fn blocks_of(body: &[Bytes]) -> Vec<u32> {
    let mut crcs = Vec::new();
    let mut crc = crc32fast::Hasher::new();
    let mut filled = 0;
    for chunk in body {
        let mut rest = chunk.as_ref();
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(BLOCK - filled));
            crc.update(now);
            filled += now.len();
            rest = later;
            if filled == BLOCK {
                crcs.push(std::mem::take(&mut crc).finalize());
                filled = 0;
            }
        }
    }
    if filled > 0 {
        crcs.push(crc.finalize());
    }
    crcs
}

pub(crate) fn word(bytes: &[u8], at: usize) -> Result<u32, Malformed> {
    let four = bytes.get(at..at + 4).ok_or(Malformed)?;
    Ok(u32::from_le_bytes(four.try_into().map_err(|_| Malformed)?))
}

pub(crate) fn long(bytes: &[u8], at: usize) -> Result<u64, Malformed> {
    let eight = bytes.get(at..at + 8).ok_or(Malformed)?;
    Ok(u64::from_le_bytes(eight.try_into().map_err(|_| Malformed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: u64 = 0x5a17_0000_1234_5678;

    fn body(len: usize) -> Vec<Bytes> {
        let whole: Vec<u8> = (0..len).map(|n| (n * 31 + n / 251) as u8).collect();
        whole.chunks(1000).map(Bytes::copy_from_slice).collect()
    }

    fn encoded(body: &[Bytes]) -> Vec<u8> {
        let labels = Labels { subject: Box::from(&b"example.com/a"[..]), tags: Box::from([7, 9]) };
        let draft = Draft {
            kind: Kind::Object,
            hash: 0x0123_4567_89ab_cdef_0011_2233_4455_6677,
            stamp: 42,
            fill: FillId::from_bits(0x0123_4567_89ab_cdef),
            created: Moment::from_millis(1_000),
            keep_until: Moment::from_millis(9_000),
            key: b"https example.com /a",
            meta: b"some metadata",
            labels: &labels,
            body: Content::Bytes(body),
        };
        let (header, mut bytes) = draft.encode(SALT).unwrap();
        assert_eq!(header.record_len(), draft.record_len());
        bytes.extend(body.iter().flatten());
        bytes
    }

    /// Everything that was written, or nothing.
    fn decoded(bytes: &[u8]) -> Result<(Head, Vec<u8>), Malformed> {
        let header = Header::decode(bytes, SALT)?;
        let body_at = header.head_len();
        let body_end = body_at + header.body_len as usize;
        let head = Head::decode(header, &Bytes::copy_from_slice(bytes))?;
        let body = bytes.get(body_at..body_end).ok_or(Malformed)?;
        if head.holds(0, body) { Ok((head, body.to_vec())) } else { Err(Malformed) }
    }

    #[test]
    fn what_was_written_is_read() {
        for len in [0, 1, 999, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17] {
            let chunks = body(len);
            let bytes = encoded(&chunks);
            let (head, read) = decoded(&bytes).unwrap();
            assert_eq!(read, chunks.concat(), "length {len}");
            assert_eq!(head.key.as_ref(), b"https example.com /a");
            assert_eq!(head.meta.as_ref(), b"some metadata");
            assert_eq!(head.labels.subject.as_ref(), b"example.com/a");
            assert_eq!(head.labels.tags.as_ref(), [7, 9]);
            assert_eq!(head.header.stamp, 42);
            assert_eq!(head.header.fill.bits(), 0x0123_4567_89ab_cdef);
            assert_eq!(head.header.created, Moment::from_millis(1_000));
            assert_eq!(head.header.record_len() % UNIT, 0);
            assert!(head.header.record_len() >= bytes.len() as u64);
        }
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = encoded(&body(300));
        for bit in 0..bytes.len() * 8 {
            let mut broken = bytes.clone();
            broken[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decoded(&broken).err(), Some(Malformed), "bit {bit}");
        }
    }

    #[test]
    fn every_truncation_is_seen() {
        let bytes = encoded(&body(300));
        for len in 0..bytes.len() {
            assert_eq!(decoded(&bytes[..len]).err(), Some(Malformed), "length {len}");
        }
    }

    #[test]
    fn a_record_of_another_segment_is_none() {
        assert_eq!(Header::decode(&encoded(&body(10)), SALT + 1), Err(Malformed));
    }

    #[test]
    fn a_header_with_lengths_beyond_the_bounds_is_malformed() {
        let good = Header::decode(&encoded(&body(10)), SALT).unwrap();
        let huge = [
            Header { key_len: MAX_KEY as u32 + 1, ..good.clone() },
            Header { meta_len: u32::MAX, ..good.clone() },
            Header { subject_len: u32::MAX, ..good.clone() },
            Header { tags: u32::MAX, ..good.clone() },
            Header { body_len: u64::MAX, ..good },
        ];
        for header in huge {
            assert_eq!(Header::decode(&header.encode(SALT), SALT), Err(Malformed));
        }
    }

    /// Lengths that lie within the bounds, under a checksum that fits, over bytes that do not:
    /// the reader of a head must not trust them.
    #[test]
    fn random_bytes_never_panic() {
        let mut random = fastrand::Rng::with_seed(5);
        let good = encoded(&body(2000));
        for _ in 0..20_000 {
            let mut bytes = good.clone();
            for _ in 0..random.usize(1..20) {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            bytes.truncate(random.usize(..=bytes.len()));
            let crc_fits = random.bool() && bytes.len() >= HEADER;
            if crc_fits {
                let crc = crc32fast::hash(&bytes[..HEADER - 4]);
                bytes[HEADER - 4..HEADER].copy_from_slice(&crc.to_le_bytes());
            }
            if let Ok((_, read)) = decoded(&bytes) {
                assert_eq!(read, body(2000).concat());
            }
        }
    }
}
