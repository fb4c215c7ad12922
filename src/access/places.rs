//! Where clients may come from: countries, and numbers of autonomous systems.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The sections `access.countries` and `access.asns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config<T> {
    /// Those that may; empty is every one. Who is of none known may not then.
    pub allow: Vec<T>,
    /// Those that may not, whatever else is said.
    pub deny: Vec<T>,
}

impl<T> Default for Config<T> {
    fn default() -> Self {
        Config { allow: Vec::new(), deny: Vec::new() }
    }
}

/// The places of one kind that a route takes.
#[derive(Debug)]
pub(super) struct Places<T> {
    // Invariant: both are sorted.
    allow: Vec<T>,
    deny: Vec<T>,
}

impl<T: Ord + Copy> Places<T> {
    pub(super) fn new(config: &Config<T>) -> Self {
        let mut places = Places { allow: config.allow.clone(), deny: config.deny.clone() };
        places.allow.sort_unstable();
        places.deny.sort_unstable();
        places
    }

    /// Whether it is of any interest where a client is from.
    pub(super) fn ask(&self) -> bool {
        !self.allow.is_empty() || !self.deny.is_empty()
    }

    /// Whether a client from there may pass; none is from nowhere that is known.
    pub(super) fn take(&self, place: Option<T>) -> bool {
        let is_among =
            |places: &[T]| place.is_some_and(|place| places.binary_search(&place).is_ok());
        !is_among(&self.deny) && (self.allow.is_empty() || is_among(&self.allow))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(allow: &[u32], deny: &[u32], expected: [bool; 4]) {
        let places = Places::new(&Config { allow: allow.to_vec(), deny: deny.to_vec() });
        let found = [None, Some(1), Some(2), Some(3)].map(|place| places.take(place));
        assert_eq!(found, expected, "{allow:?} {deny:?}");
        assert_eq!(places.ask(), expected != [true; 4]);
    }

    #[test]
    fn deny_wins_and_allow_refuses_the_rest() {
        check(&[], &[], [true, true, true, true]);
        check(&[2, 1], &[], [false, true, true, false]);
        check(&[], &[3, 1], [true, false, true, false]);
        check(&[1, 2], &[2], [false, true, false, false]);
    }
}
