//! What routes and upstreams may be called: their names stand in logs, in labels
//! of metrics and in the admin API, where an odd one would have to be quoted.

use std::collections::HashMap;

use crate::config;
use crate::fault::{Faults, KeyPath};

/// The most letters of a name.
const LONGEST: usize = 64;

/// Whether something may be called so.
pub(super) fn check(name: &str) -> Result<(), Faults> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let letters = name.chars().count();
    if letters == 0 {
        Err(Faults::one("is empty; a name has letters, digits, `-`, `_` or `.`"))
    } else if letters > LONGEST {
        Err(Faults::one(format!("has {letters} letters; a name has at most {LONGEST}")))
    } else if !name.chars().all(is_plain) {
        let what = format!("`{name}` is no name; a name has letters, digits, `-`, `_` or `.`");
        Err(Faults::one(what))
    } else {
        Ok(())
    }
}

/// The name of every route; one without is called by its place.
pub(super) fn of_routes(routes: &[config::Route]) -> Result<Vec<String>, Faults> {
    let mut faults = Faults::none();
    let names: Vec<String> = routes
        .iter()
        .enumerate()
        .map(|(index, route)| route.name.clone().unwrap_or_else(|| format!("route-{index}")))
        .collect();
    let unnamed =
        routes.iter().zip(&names).enumerate().filter(|(_, (route, _))| route.name.is_none());
    let unnamed: HashMap<&str, usize> =
        unnamed.map(|(index, (_, name))| (name.as_str(), index)).collect();
    for (index, route) in routes.iter().enumerate() {
        let Some(name) = &route.name else { continue };
        faults.collect(index, check(name).map_err(|found| found.under("name")));
        if let Some(other) = unnamed.get(name.as_str()) {
            let at = KeyPath::root().child(index).child("name");
            let what = format!("`{name}` is what routes[{other}] is called without a name");
            faults.add_beside(at, vec![KeyPath::root().child(*other)], what);
        }
    }
    faults.into_result(|| Some(names))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_name(name: &str, expected: Option<&str>) {
        let said = check(name).err().map(|faults| {
            faults.iter().map(|fault| fault.what.clone()).collect::<Vec<_>>().join("\n")
        });
        let is_right = match (&said, expected) {
            (Some(said), Some(expected)) => said.contains(expected),
            (said, expected) => said.is_none() && expected.is_none(),
        };
        assert!(is_right, "{name:?}: {said:?}");
    }

    #[test]
    fn names_are_plain_and_short() {
        for name in ["a", "app-1", "shop.example", "A_b", "7", "-", &"n".repeat(64)] {
            check_name(name, None);
        }
        check_name("", Some("is empty"));
        check_name(&"n".repeat(65), Some("has 65 letters"));
        for odd in [" ", "a b", "a/b", "a\"", "a\n", "é", "a,b", "a:b", "a{b}"] {
            check_name(odd, Some("is no name"));
        }
    }
}
