//! Keys of the contract whose rooms are not built yet.

use crate::fault::{KeyPath, Step};

/// Whether a key is one of `patterns`: `waf`, `routes[].access`, `upstreams.*.discover`.
///
/// `*` is any name, `[]` any item of a list.
pub(super) fn contains(patterns: &[&str], at: &KeyPath) -> bool {
    patterns.iter().any(|pattern| fits(pattern, at.steps()))
}

fn fits(pattern: &str, steps: &[Step]) -> bool {
    let mut steps = steps.iter();
    for part in pattern.split('.') {
        let key = part.trim_end_matches("[]");
        let named = match steps.next() {
            Some(Step::Key(name)) => key == "*" || key == name,
            _ => false,
        };
        let items = part.matches("[]").count();
        if !named || !steps.by_ref().take(items).all(|step| matches!(step, Step::Item(_))) {
            return false;
        }
    }
    steps.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, at: KeyPath, expected: bool) {
        assert_eq!(contains(&[pattern], &at), expected, "{pattern} {at}");
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
    }
}
