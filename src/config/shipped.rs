//! Holds `conf/tidegate.yaml` to the code: it shows every key there is, with
//! its default, and says what it means.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;
use serde_yaml::Value as Yaml;

use super::schema::Shape;
use super::*;

const SHIPPED: &str = include_str!("../../conf/tidegate.yaml");

fn load(text: &str) -> Config {
    let loader = Loader { environment: &|_| None, not_yet: &[], not_empty: &[] };
    let loaded = loader.load_str("conf/tidegate.yaml", text);
    let built = loaded.and_then(|loaded| loaded.build(|_| Ok(())));
    built.unwrap_or_else(|report| panic!("{report}")).0
}

/// Whether a line is a key that is not used: `#key: value`.
fn is_unused_key(line: &str) -> bool {
    let rest = line.trim_start().strip_prefix('#');
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(' '))
}

/// The file with all its keys in use.
fn all_in_use() -> String {
    let line = |line: &str| {
        let line = if is_unused_key(line) { line.replacen('#', "", 1) } else { line.to_owned() };
        // `include` is gone before the schema is asked.
        if line.starts_with("include:") { String::new() } else { line + "\n" }
    };
    SHIPPED.lines().map(line).collect()
}

/// Every key by its path, `*` for names and `[]` for items, with its default.
fn keys(schema: &Schema, shape: Shape<'_>, at: &str, found: &mut BTreeMap<String, Json>) {
    for shape in schema.alternatives(shape) {
        for key in shape.keys() {
            let path = below(at, key);
            let value = shape.key(key).expect("a key of its own");
            keys(schema, value, &path, found);
            found.insert(path, value.default().cloned().unwrap_or_default());
        }
        if shape.holds_names()
            && let Some(value) = shape.other_key("1")
        {
            keys(schema, value, &below(at, "*"), found);
        }
        if shape.accepts("array") {
            keys(schema, shape.item(0), &format!("{at}[]"), found);
        }
    }
}

/// Every written key by its path, with the values it was read as.
fn written(
    schema: &Schema,
    shape: Shape<'_>,
    value: (&Yaml, &Json),
    at: &str,
    found: &mut BTreeMap<String, Vec<Json>>,
) {
    for shape in schema.alternatives(shape) {
        match value {
            (Yaml::Mapping(entries), Json::Object(read)) => {
                for (key, entry) in entries {
                    // A number is a status or its like: a name, not a key.
                    let Some(key) = key.as_str() else { continue };
                    let Some(read) = read.get(key) else { continue };
                    let (path, shape) = match shape.key(key) {
                        Some(own) => (below(at, key), own),
                        None => match shape.other_key(key) {
                            Some(other) => (below(at, "*"), other),
                            None => continue,
                        },
                    };
                    found.entry(path.clone()).or_default().push(read.clone());
                    written(schema, shape, (entry, read), &path, found);
                }
            }
            (Yaml::Sequence(items), Json::Array(read)) => {
                for (index, pair) in items.iter().zip(read).enumerate() {
                    written(schema, shape.item(index), pair, &format!("{at}[]"), found);
                }
            }
            _ => {}
        }
    }
}

fn below(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// All keys with their defaults, and all that are written with their values.
fn both() -> (BTreeMap<String, Json>, BTreeMap<String, Vec<Json>>) {
    let schema = Schema::of::<Config>();
    let mut there = BTreeMap::new();
    keys(&schema, schema.root(), "", &mut there);
    let text = all_in_use();
    let yaml: Yaml = serde_yaml::from_str(&text).expect("YAML");
    let read = serde_json::to_value(load(&text)).expect("JSON");
    let mut shown = BTreeMap::new();
    written(&schema, schema.root(), (&yaml, &read), "", &mut shown);
    (there, shown)
}

#[test]
fn the_shipped_file_loads() {
    let config = load(SHIPPED);
    assert_eq!(config.server, Config::default().server);
    assert_eq!(config.defaults, Config::default().defaults);
}

#[test]
fn every_key_is_shown() {
    let (there, shown) = both();
    let missing: Vec<&String> = there.keys().filter(|key| !shown.contains_key(*key)).collect();
    assert!(missing.is_empty(), "conf/tidegate.yaml does not show {missing:#?}");
}

#[test]
fn every_default_is_shown() {
    let (there, shown) = both();
    let is_value = |default: &Json| match default {
        Json::Null | Json::Object(_) => false,
        Json::String(text) => !text.is_empty(),
        Json::Array(items) => !items.is_empty(),
        Json::Bool(_) | Json::Number(_) => true,
    };
    let wrong: BTreeSet<String> = there
        .iter()
        .filter(|(key, default)| {
            let values = shown.get(*key);
            is_value(default) && values.is_none_or(|values| !values.contains(default))
        })
        .map(|(key, default)| format!("{key}: {default}"))
        .collect();
    assert!(wrong.is_empty(), "conf/tidegate.yaml does not show these defaults: {wrong:#?}");
}

#[test]
fn every_key_is_explained() {
    let is_prose = |line: &str| line.trim_start().starts_with("# ");
    let lines: Vec<&str> = SHIPPED.lines().collect();
    let bare = lines.windows(2).zip(2..).filter_map(|(pair, number)| {
        let is_key = !pair[1].is_empty() && !is_prose(pair[1]) && pair[1] != "#";
        (is_key && !is_prose(pair[0])).then(|| format!("{number}: {}", pair[1]))
    });
    let bare: Vec<String> = bare.collect();
    assert!(bare.is_empty(), "without a comment above it: {bare:#?}");
}
