//! Space that transactions leave to those after them, so that few allocate anything.

use std::any::Any;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// Spaces that are kept; as many transactions may end at once without losing theirs.
const KEPT: usize = 32;

/// What transactions left; its type is theirs.
#[derive(Default)]
pub(crate) struct Spares(Mutex<Vec<Box<dyn Any + Send>>>);

impl Spares {
    /// A used one, or a new one.
    pub(crate) fn take<T: Any + Send + Default>(&self) -> Box<T> {
        let left = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        left.and_then(|space| space.downcast().ok()).unwrap_or_default()
    }

    pub(crate) fn give<T: Any + Send>(&self, space: Box<T>) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if left.len() < KEPT {
            left.push(space);
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

    #[test]
    fn what_was_given_is_taken_and_no_more_is_kept_than_the_bound() {
        let spares = Spares::default();
        spares.give(Box::new(vec![7_u8]));
        assert_eq!(*spares.take::<Vec<u8>>(), [7]);
        assert!(spares.take::<Vec<u8>>().is_empty());
        for _ in 0..2 * KEPT {
            spares.give(Box::new(vec![7_u8]));
        }
        let found = (0..2 * KEPT).filter(|_| !spares.take::<Vec<u8>>().is_empty());
        assert_eq!(found.count(), KEPT);
    }
}
