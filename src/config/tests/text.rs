//! The text of a file: what YAML lets pass, and where things stand in it.

use super::fixture::GOOD;
use super::*;
use crate::fault::KeyPath;

#[test]
fn refuses_what_yaml_would_let_pass() {
    check(
        "server: {}\ncache: { memory: 1, memory: 2 }\nserver: {}\n",
        &[
            "2:21: cache.memory: is given twice; first at t.yaml:2:10",
            "3:1: server: is given twice; first at t.yaml:1:1",
        ],
    );
    check("a: 1\n---\nb: 2\n", &["2:1: a second document starts here; a file holds one"]);
    check(
        "server:\n\tdaemon: on\n",
        &["2:2: tabs disallowed within this context (block indentation)"],
    );
    check(
        "server: { daemon: on\n",
        &["1:21: while parsing a flow mapping, did not find expected ',' or '}'"],
    );
    check("é: \"ü\" x\n", &["1:8: invalid trailing content after double-quoted scalar"]);
    check(
        "server: &s { daemon: on }\ncache:\n  <<: *s\n",
        &["3:3: merge keys (`<<`) are not supported; write the keys out"],
    );
    check(
        "server: { token: !!str 5 }",
        &["1:18: tags are not supported; quote a value to make it a string"],
    );
    check(
        "server: &s { token: *s }",
        &["1:21: the anchor of this alias is not on a whole value before it"],
    );
    check("? [a]\n: b\n", &["1:3: a key must be one word, not a list or a mapping"]);
    check("server: { : b }", &["1:11: a key is missing before the colon"]);
    check("server: {} # \0\nx: y\n", &["1:14: a character here is unprintable or not UTF-8"]);
}

#[test]
fn nesting_and_values_are_bounded() {
    let deep = "[".repeat(100);
    check(&deep, &["1:65: nested deeper than 64 levels"]);
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..9 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        laughs.push_str(&format!("a{n}: &a{n} [{aliases}]\n"));
    }
    let report = load(&laughs).and_then(whole).expect_err("too many");
    assert_eq!(report.lines().len(), 1);
    assert!(report.to_string().ends_with("the configuration has too many values"), "{report}");
}

#[test]
fn locates_any_key_or_its_nearest_parent() {
    let loaded = load("server:\n  drain: 5s\nroutes:\n  - upstream: app\n").expect("good");
    let check = |path: &KeyPath, expected: &str| {
        assert_eq!(loaded.source.locate(path).to_string(), format!("t.yaml:{expected}"), "{path}");
    };
    let root = KeyPath::root();
    check(&root, "1:1");
    check(&root.child("server"), "1:1");
    check(&root.child("server").child("drain"), "2:10");
    check(&root.child("server").child("token"), "1:1");
    check(&root.child("routes").child(0), "4:5");
    check(&root.child("routes").child(0).child("upstream"), "4:15");
    check(&root.child("routes").child(7).child("upstream"), "3:1");
    check(&root.child("cache").child("memory"), "1:1");
}

#[test]
fn a_fault_is_one_line_and_steers_no_terminal() {
    check("\"a\\nb\\e[31m\": x", &["1:1: a\\nb\\u{1b}[31m: unknown key"]);
}

#[test]
fn no_change_of_a_line_panics_or_points_outside_the_file() {
    let lines: Vec<&str> = GOOD.lines().collect();
    let replacements =
        ["", "\t", "- x", "x: [", "  }", "? ", ": ", "&a", "*timeouts", "é: |", "---", "${X", "!t"];
    for index in 0..lines.len() {
        let mut deleted = lines.clone();
        deleted.remove(index);
        positions_exist(&deleted.join("\n"));
        for replacement in replacements {
            let mut replaced = lines.clone();
            replaced[index] = replacement;
            positions_exist(&replaced.join("\n"));
            // The same at the indentation of the line.
            let indent = lines[index].len() - lines[index].trim_start().len();
            let indented = format!("{}{replacement}", " ".repeat(indent));
            replaced[index] = &indented;
            positions_exist(&replaced.join("\n"));
        }
    }
    // Every beginning of the file, as of a copy that was cut short.
    for end in (0..GOOD.len()).filter(|end| GOOD.is_char_boundary(*end)) {
        positions_exist(GOOD.split_at(end).0);
    }
}

fn positions_exist(text: &str) {
    let Err(report) = load(text).and_then(whole) else { return };
    assert!(!report.lines().is_empty());
    for line in report.lines() {
        let mut parts = line.split(':').skip(1).map(|part| part.parse::<usize>().unwrap_or(0));
        let (row, column) = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
        let width = text.lines().nth(row.wrapping_sub(1)).unwrap_or("").chars().count();
        let exists = row >= 1 && row <= text.lines().count().max(1);
        assert!(exists && (1..=width + 1).contains(&column), "{line}\n{text}");
    }
}
