//! Patterns of key paths: `waf`, `routes[].access`, `upstreams.*.discover`.

use crate::fault::Step;

/// A path in which `*` is any name, `[]` any item of a list; empty, it is the root.
pub(super) struct Pattern<'p>(Vec<Part<'p>>);

#[derive(Clone, Copy)]
enum Part<'p> {
    Key(&'p str),
    Name,
    Item,
}

impl<'p> Pattern<'p> {
    pub(super) fn new(written: &'p str) -> Self {
        let mut parts = Vec::new();
        for word in written.split('.').filter(|word| !word.is_empty()) {
            let key = word.trim_end_matches("[]");
            parts.push(if key == "*" { Part::Name } else { Part::Key(key) });
            parts.extend(word.matches("[]").map(|_| Part::Item));
        }
        Pattern(parts)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it is the path of exactly this value.
    pub(super) fn fits(&self, steps: &[Step]) -> bool {
        steps.len() == self.len() && self.is_below(steps)
    }

    /// Whether it is the path of this value, or of a part of it.
    pub(super) fn is_below(&self, steps: &[Step]) -> bool {
        steps.len() <= self.len() && self.0.iter().zip(steps).all(|(part, step)| part.takes(step))
    }
}

impl Part<'_> {
    fn takes(self, step: &Step) -> bool {
        match (self, step) {
            (Part::Key(key), Step::Key(name)) => key == name,
            (Part::Name, Step::Key(_)) | (Part::Item, Step::Item(_)) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::KeyPath;

    fn check(pattern: &str, at: KeyPath, expected: bool) {
        assert_eq!(Pattern::new(pattern).fits(at.steps()), expected, "{pattern} {at}");
    }

    #[test]
    fn patterns_find_names_and_items() {
        let access = || KeyPath::root().child("routes").child(3).child("access");
        check("waf", KeyPath::root().child("waf"), true);
        check("waf", KeyPath::root().child("log").child("waf"), false);
        check("waf", KeyPath::root().child("waf").child("x"), false);
        check("routes[].access", access(), true);
        check("routes.access", access(), false);
        check("routes[].access", access().child("x"), false);
        let discover = KeyPath::root().child("upstreams").child("app").child("discover");
        check("upstreams.*.discover", discover.clone(), true);
        check("upstreams.*.*", discover.clone(), true);
        check("upstreams.discover", discover, false);
        check("", KeyPath::root(), true);
    }

    #[test]
    fn patterns_are_below_what_their_values_are_a_part_of() {
        let route = KeyPath::root().child("routes").child(3);
        for above in [KeyPath::root(), route.clone(), route.child("match")] {
            assert!(Pattern::new("routes[].match").is_below(above.steps()), "{above}");
        }
        for other in [route.child("name"), route.child("match").child("path")] {
            assert!(!Pattern::new("routes[].match").is_below(other.steps()), "{other}");
        }
    }
}
