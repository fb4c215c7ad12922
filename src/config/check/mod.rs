//! Holds what was written against the schema: finds every fault, and types the
//! values as the schema wants them.

mod choose;
mod formats;
mod stand_in;
pub(super) mod suggest;
mod word;

use serde_json::{Map, Value as Json};

use super::Loader;
use super::doubt::Doubt;
use super::pattern::Pattern;
use super::schema::{Schema, Shape};
use super::tree::{Entry, Finding, Node, Value};
use crate::fault::KeyPath;
use choose::{Choice, expected};
pub(super) use stand_in::stand_in;
use suggest::{hint, suggest};

/// The value of a tree, as far as one can be made.
///
/// A value with a fault is left out; where it cannot be, another stands in for
/// it. `doubt` knows of both.
pub(super) fn check(
    root: &Node,
    schema: &Schema,
    loader: &Loader<'_>,
    findings: &mut Vec<Finding>,
    doubt: &mut Doubt,
) -> Option<Json> {
    Check { schema, loader, findings, doubt }.value(root, schema.root(), &KeyPath::root())
}

struct Check<'a> {
    schema: &'a Schema,
    loader: &'a Loader<'a>,
    findings: &'a mut Vec<Finding>,
    doubt: &'a mut Doubt,
}

impl<'a> Check<'a> {
    fn value(&mut self, node: &Node, shape: Shape<'a>, at: &KeyPath) -> Option<Json> {
        let value = self.read(node, shape, at);
        if value.is_none() {
            self.doubt.replaced(at.clone());
        }
        value
    }

    fn read(&mut self, node: &Node, shape: Shape<'a>, at: &KeyPath) -> Option<Json> {
        let shapes = self.schema.alternatives(shape);
        let what = match &node.value {
            Value::Broken => return None,
            Value::Scalar(scalar) => match word::read(scalar, &shapes) {
                Ok(value) => return Some(value),
                Err(what) => what,
            },
            Value::List(items) => match choose::for_list(items, &shapes, self.schema) {
                Some(shape) => return self.list(node, items, shape, at),
                None => format!("expected {}, found a list", expected(&shapes)),
            },
            Value::Mapping(entries) => match choose::for_mapping(entries, &shapes, self.schema) {
                Choice::One { shape, others } => {
                    return Some(self.mapping(node, entries, shape, &others, at));
                }
                Choice::Unclear(_) if entries.is_empty() => {
                    format!("expected {}, found an empty mapping", expected(&shapes))
                }
                Choice::Unclear(shapes) => {
                    for entry in entries {
                        self.unknown(entry, &shapes, at);
                    }
                    return None;
                }
                Choice::None => format!("expected {}, found a mapping", expected(&shapes)),
            },
        };
        self.fault(node, at.clone(), what);
        None
    }

    fn list(
        &mut self,
        node: &Node,
        items: &[Node],
        shape: Shape<'a>,
        at: &KeyPath,
    ) -> Option<Json> {
        let told = self.findings.len();
        let (least, most) = (shape.count("minItems"), shape.count("maxItems"));
        if let Some(least) = least.filter(|&least| items.len() < least) {
            self.fault(node, at.clone(), format!("needs at least {}", things(least, "item")));
        }
        if let Some(most) = most.filter(|&most| items.len() > most) {
            self.fault(node, at.clone(), format!("takes at most {}", things(most, "item")));
        }
        if items.is_empty() && is_one_of(self.loader.not_empty, at) {
            let what = "is empty; write at least one, or leave the key out".to_owned();
            self.fault(node, at.clone(), what);
        }
        let is_long_enough = self.findings.len() == told;
        let check = |(index, item)| {
            let shape = shape.item(index);
            let value = self.value(item, shape, &at.child(index));
            // The items after it keep their numbers.
            value.unwrap_or_else(|| stand_in(self.schema, shape))
        };
        let items: Vec<Json> = items.iter().enumerate().map(check).collect();
        is_long_enough.then_some(Json::Array(items))
    }

    fn mapping(
        &mut self,
        node: &Node,
        entries: &[Entry],
        shape: Shape<'a>,
        others: &[Shape<'a>],
        at: &KeyPath,
    ) -> Json {
        let mut values = Map::new();
        let mut meant = Vec::new();
        for entry in entries {
            let key = entry.key.as_str();
            match shape.key(key).or_else(|| shape.other_key(key)) {
                Some(own) => {
                    let value = self.value(&entry.node, own, &at.child(key));
                    // A name stays known to those who ask for it.
                    let is_needed = shape.needs(key);
                    let value = value.or_else(|| is_needed.then(|| stand_in(self.schema, own)));
                    values.extend(value.map(|value| (key.to_owned(), value)));
                }
                None if others.iter().any(|other| other.key(key).is_some()) => {
                    let beside = entries.iter().find(|entry| shape.key(&entry.key).is_some());
                    let beside = beside.map_or("the other keys", |entry| entry.key.as_str());
                    self.key_fault(entry, at, format!("is not allowed beside `{beside}`"));
                }
                None => meant.extend(self.unknown(entry, &[shape], at)),
            }
        }
        for key in &meant {
            self.doubt.misspelt(at.child(*key), values.contains_key(*key));
        }
        for key in shape.required() {
            // A misspelt key is one mistake, not a missing key besides.
            if !entries.iter().any(|entry| entry.key == key) && !meant.contains(&key) {
                self.fault(node, at.child(key), "is missing".to_owned());
            }
            if let Some(own) = shape.key(key).filter(|_| !values.contains_key(key)) {
                self.doubt.replaced(at.child(key));
                values.insert(key.to_owned(), stand_in(self.schema, own));
            }
        }
        Json::Object(values)
    }

    /// Reports a key that no shape has; returns the key that was probably meant.
    fn unknown(&mut self, entry: &Entry, shapes: &[Shape<'a>], at: &KeyPath) -> Option<&'a str> {
        let key = at.child(entry.key.as_str());
        if is_one_of(self.loader.not_yet, &key) {
            self.key_fault(entry, at, "is not supported yet".to_owned());
            return None;
        }
        if shapes.iter().any(|shape| shape.takes_numbers_as_keys()) {
            self.key_fault(entry, at, "is not a number".to_owned());
            return None;
        }
        let meant = suggest(&entry.key, shapes.iter().flat_map(|shape| shape.keys()));
        let hint = hint(meant);
        self.key_fault(entry, at, format!("unknown key{hint}"));
        meant
    }

    fn key_fault(&mut self, entry: &Entry, at: &KeyPath, what: String) {
        let at = at.child(entry.key.as_str());
        self.findings.push(Finding { place: entry.place.clone(), at, what });
    }

    fn fault(&mut self, node: &Node, at: KeyPath, what: String) {
        self.findings.push(Finding { place: node.place.clone(), at, what });
    }
}

fn is_one_of(patterns: &[&str], at: &KeyPath) -> bool {
    patterns.iter().any(|pattern| Pattern::new(pattern).fits(at.steps()))
}

fn things(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
