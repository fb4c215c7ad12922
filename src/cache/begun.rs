//! Who asked a server for what at a moment, first.
//!
//! The store tells what it has under one name apart by when it was asked for: of
//! two that were at the same moment, one is not kept. Else what a server says of
//! the one could be written to the other.

use std::sync::{Mutex, PoisonError};

use tidegate_store::{Key, Moment};

const PARTS: usize = 16;
/// Names in each part, of one millisecond; what comes beyond is not kept.
const MOST: usize = 1024;

/// Remembers the names of the latest moment.
#[derive(Default)]
pub(crate) struct Begun([Mutex<Part>; PARTS]);

#[derive(Default)]
struct Part {
    at: Moment,
    names: Vec<u128>,
}

impl Begun {
    /// Whether nobody before has asked for it at that moment.
    pub(super) fn is_first(&self, key: &Key, at: Moment) -> bool {
        let hash = key.hash();
        let index = (hash >> 64) as usize % PARTS;
        let mut part = self.0[index].lock().unwrap_or_else(PoisonError::into_inner);
        if at > part.at {
            part.at = at;
            part.names.clear();
        }
        let is_first = at == part.at && part.names.len() < MOST && !part.names.contains(&hash);
        if is_first {
            part.names.push(hash);
        }
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::super::Vault;
    use super::*;

    #[test]
    fn one_of_a_moment_is_the_first() {
        let vault = Vault::small();
        let begun = Begun::default();
        let first = |name: &str, at| {
            begun.is_first(&vault.store.key(name.as_bytes()), Moment::from_millis(at))
        };
        assert!(first("a", 5) && !first("a", 5));
        assert!(first("a", 6) && !first("a", 6));
        // Nobody knows any more.
        assert!(!first("a", 5));
        assert!(first("a", 7));
    }
}
