//! Space that transactions leave to those after them, so that few allocate anything.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Bytes of all spaces that are kept. There are never more of them than transactions were under way
/// at once, each of which had its own.
const MOST: usize = 8 << 20;

/// What transactions left; its type is theirs.
#[derive(Default)]
pub(crate) struct Spares(Mutex<Left>);

#[derive(Default)]
struct Left {
    /// Each with its bytes; the one that was left last is the last.
    spaces: Vec<(Box<dyn Any + Send>, usize)>,
    // Invariant: the sum of theirs.
    bytes: usize,
}

impl Spares {
    /// A used one, or a new one.
    pub(crate) fn take<T: Any + Send + Default>(&self) -> Box<T> {
        let left = {
            let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let last = left.spaces.pop();
            left.bytes -= last.as_ref().map_or(0, |(_, bytes)| *bytes);
            last
        };
        left.and_then(|(space, _)| space.downcast().ok()).unwrap_or_default()
    }

    /// Keeps a space of so many bytes, if there is room for it.
    pub(crate) fn give<T: Any + Send>(&self, space: Box<T>, bytes: usize) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.bytes.saturating_add(bytes) <= MOST {
            left.bytes += bytes;
            left.spaces.push((space, bytes));
        }
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Spares")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of spaces that were left at once those after them find again.
    fn check(given: usize, bytes: usize, expected: usize) {
        let spares = Spares::default();
        for _ in 0..given {
            spares.give(Box::new(vec![7_u8]), bytes);
        }
        let found = (0..given).filter(|_| *spares.take::<Vec<u8>>() == [7]);
        assert_eq!(found.count(), expected, "{given} of {bytes} bytes");
        // All were taken, so that there is room again.
        spares.give(Box::new(vec![8_u8]), MOST);
        assert_eq!(*spares.take::<Vec<u8>>(), [8]);
        assert!(spares.take::<Vec<u8>>().is_empty());
    }

    #[test]
    fn as_many_are_kept_as_were_left_within_a_sum_of_bytes() {
        check(1, 1, 1);
        check(1_000, 4 << 10, 1_000);
        check(40, 256 << 10, 32);
        check(1, MOST + 1, 0);
    }
}
