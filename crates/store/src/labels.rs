//! What a purge can find an object by, besides its whole name.

use std::mem::size_of;

use siphasher::sip128::SipHasher13;

/// By what a purge finds an object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Labels {
    /// Such as `example.com/a/b?q`: purged whole or by how it begins, so that
    /// a host is `example.com/`. All variants and slices of a resource share it.
    pub subject: Box<[u8]>,
    /// Each the [`tag`] of a word.
    pub tags: Box<[u64]>,
}

impl Labels {
    /// Bytes on the heap.
    pub fn weight(&self) -> usize {
        self.subject.len() + self.tags.len() * size_of::<u64>()
    }
}

/// The number of a tag: the same in each process and on each disk.
///
/// Two tags with one number are purged together, which costs a fetch.
pub fn tag(word: &[u8]) -> u64 {
    SipHasher13::new_with_key(b"tidegate tag 1\0\0").hash(word).h1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_tag_never_changes() {
        // It is written to disks.
        assert_eq!(tag(b"news"), 0x3113_fd31_c74e_1619);
        assert_ne!(tag(b"news"), tag(b"new"));
    }
}
