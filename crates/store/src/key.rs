//! The name of an object: all its bytes, and a hash that finds them quickly.
//!
//! A hash picks the place, the bytes decide: two names with one hash are two
//! objects.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use siphasher::sip128::SipHasher13;

/// What a table hashes names with, so that nobody outside can choose names
/// that all land in one place.
///
/// The table in memory has one of its own for each process. A disk outlives
/// the process: it keeps its own seed, and takes [`Seed::hash`] of
/// [`Key::bytes`] instead of [`Key::hash`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seed([u8; 16]);

/// The name of an object. Cheap to clone.
#[derive(Clone)]
pub struct Key {
    hash: u128,
    bytes: Arc<[u8]>,
}

impl Seed {
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// A seed that nobody can guess.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        let mut filled = 0;
        while filled < bytes.len() {
            let flags = rustix::rand::GetRandomFlags::empty();
            // Interrupted is the one error that the kernel has for 16 bytes.
            filled += rustix::rand::getrandom(&mut bytes[filled..], flags).unwrap_or(0);
        }
        Self(bytes)
    }

    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// SipHash-1-3 with 128 bits, keyed by the seed.
    pub fn hash(&self, bytes: &[u8]) -> u128 {
        SipHasher13::new_with_key(&self.0).hash(bytes).as_u128()
    }

    /// Names an object. The caller frames the parts of a name, so that no two
    /// objects share it.
    pub fn key(&self, bytes: &[u8]) -> Key {
        Key { hash: self.hash(bytes), bytes: bytes.into() }
    }
}

impl Key {
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// By the seed that made the key: nothing to write to a disk.
    pub fn hash(&self) -> u128 {
        self.hash
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.bytes == other.bytes
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.hash);
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.bytes.escape_ascii())
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed(…)")
    }
}

#[cfg(test)]
impl Key {
    /// A key whose hash is chosen, to see what collisions do.
    pub(crate) fn with_hash(hash: u128, bytes: &[u8]) -> Self {
        Self { hash, bytes: bytes.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_one_hash_are_two_names() {
        assert_ne!(Key::with_hash(7, b"a"), Key::with_hash(7, b"b"));
        assert_eq!(Key::with_hash(7, b"a"), Key::with_hash(7, b"a"));
    }

    #[test]
    fn a_hash_depends_on_the_seed_and_stays_as_it_is() {
        let seed = Seed::from_bytes(*b"0123456789abcdef");
        let hash = seed.key(b"example.com/").hash();
        assert_eq!(hash, 0x45f6_c0da_c3f6_727e_7703_669d_d062_1a13, "disks have it");
        assert_ne!(seed.hash(b"example.com/"), Seed::from_bytes([0; 16]).hash(b"example.com/"));
        assert_ne!(Seed::random(), Seed::random());
        assert_eq!(format!("{seed:?}"), "Seed(…)");
    }
}
