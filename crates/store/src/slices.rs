//! Names of the slices of a large object. The object itself is one without a body, whose metadata
//! says how long it is, by what it is told from other versions, and which version it is: slices
//! are found through it alone, so that those of two versions never mix.

use crate::key::{Key, Seed};

/// What a name of ours begins with, and none of a caller's.
const OURS: u8 = 0xff;

/// One version of a large object: another one has slices of its own, and the old ones are left
/// to go.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Version(u64);

impl Version {
    /// One that nothing else has.
    pub fn random() -> Self {
        Self(u128::from_le_bytes(*Seed::random().bytes()) as u64)
    }

    /// As it was written with the object.
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    pub const fn number(self) -> u64 {
        self.0
    }
}

impl Seed {
    /// Names slice `n` of a version of an object.
    pub fn slice(&self, of: &Key, version: Version, n: u64) -> Key {
        let name = of.bytes();
        let mut bytes = Vec::with_capacity(17 + name.len());
        bytes.push(OURS);
        // Of one length each, behind which the rest is the name of the object.
        bytes.extend_from_slice(&version.0.to_le_bytes());
        bytes.extend_from_slice(&n.to_le_bytes());
        bytes.extend_from_slice(name);
        self.key(&bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_slices_share_a_name_with_each_other_or_with_an_object() {
        let seed = Seed::from_bytes([1; 16]);
        let mut seen = HashSet::new();
        // Names that look like the numbers before them.
        let names: [&[u8]; 6] = [b"", b"\0", b"\x01", b"\x01\0\0\0\0\0\0\0", b"a", b"a\0"];
        for name in names {
            let key = seed.key(name);
            for version in [0, 1, 256, u64::MAX] {
                for n in [0, 1, 256, u64::MAX] {
                    let slice = seed.slice(&key, Version::from_number(version), n);
                    assert!(seen.insert(slice.bytes().to_vec()), "{name:?} {version} {n}");
                    assert!(slice.bytes().starts_with(&[255]), "no name of a caller begins so");
                }
            }
            assert!(seen.insert(name.to_vec()), "{name:?}");
        }
        assert_ne!(Version::random(), Version::random());
    }
}
