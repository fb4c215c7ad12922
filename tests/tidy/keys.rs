//! Every key of the configuration has a test that shows what it does, and a
//! bad value that is refused.

use std::collections::BTreeSet;

use serde_yaml::Value as Yaml;

use super::source::{File, House};
use crate::conf::in_use;
use crate::support::keys::{self, Key, Test};

/// Where the table is; `tests/cli/bad_values.rs` tries its bad values.
const TABLE: &str = "tests/keys.txt";
/// Where all keys are: `src/config/shipped.rs` holds it to the schema.
const SHIPPED: &str = "conf/tidegate.yaml";
/// The ends of the paths of mappings whose keys are names.
const NAMED: [&str; 10] = [
    "upstreams",
    "rate_limits",
    "waf",
    "cache.profiles",
    "statuses",
    ".headers",
    ".query",
    ".set",
    ".add",
    "error_pages",
];
/// Of those that end so, the ones whose keys are keys.
const NOT_NAMED: [&str; 3] = ["routes[].headers", "defaults.headers", "cache.profiles.*.key.query"];

pub(super) fn untested(house: &House) -> Vec<String> {
    let table = house.get(TABLE).expect(TABLE);
    let shipped = &house.get(SHIPPED).expect(SHIPPED).text;
    let keys = match keys::read(&table.text) {
        Ok(keys) => keys,
        Err(line) => return vec![table.fault(line, "is neither a key nor something said of one")],
    };
    let there = keys_of(shipped);
    let mut faults = Vec::new();
    let mut listed = BTreeSet::new();
    for key in &keys {
        if !there.contains(key.path) {
            faults.push(table.fault(key.line, format!("there is no key `{}`", key.path)));
        }
        if !listed.insert(key.path) {
            faults.push(table.fault(key.line, format!("`{}` is listed twice", key.path)));
        }
        faults.extend(gaps(key, &there).into_iter().map(|what| table.fault(key.line, what)));
        let missing = key.shown_by.iter().filter(|test| !is_test(house, test));
        faults.extend(missing.map(|Test { file, name }| {
            table.fault(key.line, format!("`{}`: {file} has no test `{name}`", key.path))
        }));
    }
    let missing = there.iter().filter(|key| !listed.contains(key.as_str()));
    faults.extend(missing.map(|key| table.fault(1, format!("`{key}` is not listed"))));
    faults
}

/// What is not said of a key.
fn gaps(key: &Key<'_>, there: &BTreeSet<String>) -> Vec<String> {
    let path = key.path;
    let is_section = there.iter().any(|other| {
        let below = other.strip_prefix(path);
        below.is_some_and(|rest| rest.starts_with(['.', '[']))
    });
    let mut gaps = Vec::new();
    // A section does what the keys below it do.
    if key.shown_by.is_empty() && !is_section {
        gaps.push(format!("no test shows what `{path}` does"));
    }
    if key.bad.is_empty() {
        gaps.push(format!("`{path}` has no bad value"));
    }
    for bad in &key.bad {
        let named = bad.said.split(": ").nth(1).map(pattern).unwrap_or_default();
        if !named.starts_with(path) {
            gaps.push(format!("`{}` is no bad value of `{path}`: {}", bad.yaml, bad.said));
        }
    }
    gaps
}

/// The path of a fault with `*` for names and `[]` for items.
fn pattern(at: &str) -> String {
    let mut pattern = at.replacen("upstreams.app.", "upstreams.*.", 1);
    pattern = pattern.replacen("rate_limits.few.", "rate_limits.*.", 1);
    pattern = pattern.replacen("waf.own.", "waf.*.", 1);
    pattern = pattern.replacen("cache.profiles.own.", "cache.profiles.*.", 1);
    while let Some((start, end)) = pattern.find(|c: char| c.is_ascii_digit()).and_then(|digit| {
        let start = pattern.get(..digit)?.strip_suffix('[')?.len() + 1;
        Some((start, start + pattern.get(start..)?.find(']')?))
    }) {
        pattern.replace_range(start..end, "");
    }
    pattern
}

/// Every key that the shipped file shows, used or not.
fn keys_of(shipped: &str) -> BTreeSet<String> {
    let text = in_use(shipped, |_| true);
    let yaml: Yaml = serde_yaml::from_str(&text).unwrap_or_else(|e| panic!("{SHIPPED}: {e}"));
    let mut found = BTreeSet::new();
    gather(&yaml, "", &mut found);
    found
}

fn gather(yaml: &Yaml, at: &str, found: &mut BTreeSet<String>) {
    match yaml {
        Yaml::Mapping(entries) => {
            let holds_names = NAMED.iter().any(|end| at.ends_with(end)) && !NOT_NAMED.contains(&at);
            for (key, value) in entries {
                if holds_names {
                    gather(value, &format!("{at}.*"), found);
                    continue;
                }
                let key = key.as_str().expect("a key is a word");
                let path = if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") };
                gather(value, &path, found);
                found.insert(path);
            }
        }
        Yaml::Sequence(items) => {
            items.iter().for_each(|item| gather(item, &format!("{at}[]"), found));
        }
        _ => {}
    }
}

fn is_test(house: &House, test: &Test<'_>) -> bool {
    house.get(test.file).is_some_and(|file| has_test(file, test.name))
}

/// Whether a function of this name is a test.
fn has_test(file: &File, name: &str) -> bool {
    let code = &file.code;
    code.find(&["#", "["]).any(|at| {
        let (open, Some(close)) = (at + 1, code.end(at + 1)) else { return false };
        let is_test =
            code.reads(open + 1, &["test"]) || code.reads(open + 1, &["tokio", ":", ":", "test"]);
        let function = close + 1 + usize::from(code.text(close + 1) == "async");
        is_test && code.reads(function, &["fn", name])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "a:\n  # Text.\n  b: 1\n  #list: [{ c: 1 }]\nupstreams: { x: { d: 2 } }\n";
    const CODE: &str = "#[test]\nfn one() {}\n#[tokio::test(flavor = \"x\")]\nasync fn two() {}\n\
                        fn no_test() {}";
    const GOOD: &str = "
# A comment.
a
    bad a: 1
    said 1:1: a: no
a.b
    shown tests/t.rs: one
    bad a: { b: x }
    said 1:1: a.b: no
a.list
    bad x
    said 1:1: a.list: no
a.list[].c
    shown tests/t.rs: two
    bad x
    said 1:1: a.list[12].c: no
upstreams
    bad x
    said 1:1: upstreams: no
upstreams.*.d
    shown tests/t.rs: one
    bad x
    said 1:1: upstreams.app.d: no
";

    #[track_caller]
    fn check(table: &str, expected: &[&str]) {
        let house = House::of(&[(SHIPPED, CONF), (TABLE, table), ("tests/t.rs", CODE)]);
        let found = untested(&house);
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (fault, part) in found.iter().zip(expected) {
            assert!(fault.contains(part), "{part}: {fault}");
        }
    }

    #[test]
    fn finds_keys_that_no_test_is_named_for() {
        check(GOOD, &[]);
        check(&GOOD.replace("a.b\n", "a.x\n"), &["no key `a.x`", "is no bad", "`a.b` is not"]);
        check(
            &GOOD.replace("    shown tests/t.rs: two\n", ""),
            &["no test shows what `a.list[].c`"],
        );
        check(&format!("{GOOD}a\n    bad a: 1\n    said 1:1: a: no\n"), &["`a` is listed twice"]);
    }

    #[test]
    fn finds_tests_that_are_none() {
        for none in ["tests/t.rs: no_test", "tests/t.rs: three", "tests/u.rs: two"] {
            let table = GOOD.replace("tests/t.rs: two", none);
            let name = none.split(": ").nth(1).unwrap();
            check(&table, &[&format!("has no test `{name}`")]);
        }
    }

    #[test]
    fn finds_bad_values_that_are_missing_or_of_another_key() {
        let none = GOOD.replace("    bad a: 1\n    said 1:1: a: no\n", "");
        check(&none, &["`a` has no bad value"]);
        check(
            &GOOD.replace("said 1:1: a.b: no", "said 1:1: a.c: no"),
            &["is no bad value of `a.b`"],
        );
        check(&GOOD.replace("    said 1:1: a.b: no\n", ""), &["is no bad value of `a.b`"]);
        check(
            &GOOD.replace("shown tests/t.rs: one", "shows it"),
            &["tests/keys.txt:7: is neither"],
        );
    }
}
