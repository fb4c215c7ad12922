//! A whole body, in as few parts as is worth it.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

/// What a part needs besides its bytes.
pub(crate) const PART_BYTES: u64 = 64;

/// Small parts are copied together up to this length.
const PACKED_BYTES: usize = 64 << 10;

/// All bytes of a body. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) enum Parts {
    One(Bytes),
    Many(Arc<[Bytes]>),
}

impl Parts {
    pub(crate) fn of(mut parts: Vec<Bytes>) -> Self {
        match parts.len() {
            0 | 1 => Self::One(parts.pop().unwrap_or_default()),
            _ => Self::Many(parts.into()),
        }
    }

    pub(crate) fn as_slice(&self) -> &[Bytes] {
        match self {
            Self::One(part) => std::slice::from_ref(part),
            Self::Many(parts) => parts,
        }
    }

    // O(parts): a MiB has 16 of them at most times.
    pub(crate) fn len(&self) -> u64 {
        self.as_slice().iter().map(|part| part.len() as u64).sum()
    }

    pub(crate) fn weight(&self) -> u64 {
        self.len() + self.as_slice().len() as u64 * PART_BYTES
    }

    /// The bytes from `position` on that lie together, at most up to `end`.
    pub(crate) fn at(&self, position: u64, end: u64) -> Option<Bytes> {
        let mut start = 0;
        for part in self.as_slice() {
            let next = start + part.len() as u64;
            if position < next {
                return Some(cut(part, start, position, end));
            }
            start = next;
        }
        None
    }
}

/// The bytes of a part that starts at `start`, from `position` until `end`.
pub(super) fn cut(part: &Bytes, start: u64, position: u64, end: u64) -> Bytes {
    let index = |position: u64| usize::try_from(position - start).unwrap_or(usize::MAX);
    let until = index(end.max(position)).min(part.len());
    part.slice(index(position).min(until)..until)
}

/// The same bytes in memory of their own: others may hold a large buffer of
/// which these are a few bytes.
pub(super) fn exact(bytes: Bytes) -> Bytes {
    match bytes.try_into_mut() {
        Ok(own) if own.capacity() - own.len() <= own.len() / 8 => own.freeze(),
        Ok(own) => Bytes::copy_from_slice(&own),
        Err(shared) => Bytes::copy_from_slice(&shared),
    }
}

/// Whether many small parts should rather be fewer.
pub(super) fn is_scattered(parts: usize, bytes: u64) -> bool {
    let packed = PACKED_BYTES as u64;
    parts > 1 && (bytes <= packed || bytes / (parts as u64) < packed / 8)
}

/// Copies parts together.
pub(super) fn pack(parts: &[Bytes]) -> Vec<Bytes> {
    let mut left: usize = parts.iter().map(Bytes::len).sum();
    let mut packed = Vec::with_capacity(left.div_ceil(PACKED_BYTES));
    let mut block = BytesMut::with_capacity(left.min(PACKED_BYTES));
    for mut part in parts.iter().map(|part| &part[..]) {
        while !part.is_empty() {
            let (fits, rest) = part.split_at(part.len().min(PACKED_BYTES - block.len()));
            block.extend_from_slice(fits);
            left -= fits.len();
            part = rest;
            if block.len() == PACKED_BYTES {
                let next = BytesMut::with_capacity(left.min(PACKED_BYTES));
                packed.push(std::mem::replace(&mut block, next).freeze());
            }
        }
    }
    if !block.is_empty() {
        packed.push(block.freeze());
    }
    packed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_bytes_do_not_hold_a_large_buffer() {
        let large = Bytes::from(vec![7; 1 << 16]);
        let few = exact(large.slice(10..20));
        assert_eq!(few, vec![7; 10]);
        let mut slack = BytesMut::with_capacity(1 << 16);
        slack.extend_from_slice(&[7; 100]);
        let few = exact(slack.freeze()).try_into_mut().unwrap();
        assert_eq!(few.capacity(), 100);
        let own = Bytes::from(vec![7; 100]);
        let at = own.as_ptr();
        assert_eq!(exact(own).as_ptr(), at, "what is exact is not copied");
    }

    #[test]
    fn packing_changes_no_byte_whatever_the_parts() {
        let mut random = fastrand::Rng::with_seed(3);
        for _ in 0..50 {
            let parts: Vec<_> = (0..random.usize(0..60))
                .map(|_| (0..random.usize(0..9000)).map(|_| random.u8(..)).collect::<Bytes>())
                .collect();
            let packed = pack(&parts);
            assert_eq!(packed.concat(), parts.concat());
            let short = packed.iter().rev().skip(1).filter(|part| part.len() < PACKED_BYTES);
            assert_eq!(short.count(), 0);
        }
    }

    #[test]
    fn bytes_are_found_by_their_position() {
        let parts = Parts::of(vec!["abc".into(), "de".into(), "fgh".into()]);
        assert_eq!(parts.at(0, 8).unwrap(), "abc");
        assert_eq!(parts.at(4, 8).unwrap(), "e");
        assert_eq!(parts.at(5, 6).unwrap(), "f");
        assert_eq!(parts.at(8, 9), None);
        assert_eq!(Parts::of(Vec::new()).at(0, 1), None);
        assert_eq!((parts.len(), parts.weight()), (8, 8 + 3 * PART_BYTES));
    }
}
