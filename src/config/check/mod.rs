//! Holds what was written against the schema: finds every fault, and types the
//! values as the schema wants them.

mod choose;
mod formats;
pub(super) mod suggest;
mod word;

use serde_json::{Map, Value as Json};

use super::not_yet;
use super::schema::{Schema, Shape};
use super::tree::{Entry, Finding, Node, Value};
use crate::fault::KeyPath;
use choose::{Choice, expected};
use suggest::{hint, suggest};

/// The value of a tree; of no use if anything was added to `findings`.
pub(super) fn check(
    root: &Node,
    schema: &Schema,
    not_yet: &[&str],
    findings: &mut Vec<Finding>,
) -> Json {
    Check { schema, not_yet, findings }.value(root, schema.root(), &KeyPath::root())
}

struct Check<'a> {
    schema: &'a Schema,
    not_yet: &'a [&'a str],
    findings: &'a mut Vec<Finding>,
}

impl<'a> Check<'a> {
    fn value(&mut self, node: &Node, shape: Shape<'a>, at: &KeyPath) -> Json {
        let shapes = self.schema.alternatives(shape);
        let what = match &node.value {
            Value::Broken => return Json::Null,
            Value::Scalar(scalar) => match word::read(scalar, &shapes) {
                Ok(value) => return value,
                Err(what) => what,
            },
            Value::List(items) => match choose::for_list(items, &shapes, self.schema) {
                Some(shape) => return self.list(node, items, shape, at),
                None => format!("expected {}, found a list", expected(&shapes)),
            },
            Value::Mapping(entries) => match choose::for_mapping(entries, &shapes, self.schema) {
                Choice::One { shape, others } => {
                    return self.mapping(node, entries, shape, &others, at);
                }
                Choice::Unclear(_) if entries.is_empty() => {
                    format!("expected {}, found an empty mapping", expected(&shapes))
                }
                Choice::Unclear(shapes) => {
                    for entry in entries {
                        self.unknown(entry, &shapes, at);
                    }
                    return Json::Null;
                }
                Choice::None => format!("expected {}, found a mapping", expected(&shapes)),
            },
        };
        self.fault(node, at.clone(), what);
        Json::Null
    }

    fn list(&mut self, node: &Node, items: &[Node], shape: Shape<'a>, at: &KeyPath) -> Json {
        let (least, most) = (shape.count("minItems"), shape.count("maxItems"));
        if let Some(least) = least.filter(|&least| items.len() < least) {
            self.fault(node, at.clone(), format!("needs at least {}", things(least, "item")));
        }
        if let Some(most) = most.filter(|&most| items.len() > most) {
            self.fault(node, at.clone(), format!("takes at most {}", things(most, "item")));
        }
        let check = |(index, item)| self.value(item, shape.item(index), &at.child(index));
        Json::Array(items.iter().enumerate().map(check).collect())
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
                Some(shape) => {
                    values.insert(key.to_owned(), self.value(&entry.node, shape, &at.child(key)));
                }
                None if others.iter().any(|other| other.key(key).is_some()) => {
                    let beside = entries.iter().find(|entry| shape.key(&entry.key).is_some());
                    let beside = beside.map_or("the other keys", |entry| entry.key.as_str());
                    self.key_fault(entry, at, format!("is not allowed beside `{beside}`"));
                }
                None => meant.extend(self.unknown(entry, &[shape], at)),
            }
        }
        for key in shape.required() {
            // A misspelt key is one mistake, not a missing key besides.
            if !entries.iter().any(|entry| entry.key == key) && !meant.contains(&key) {
                self.fault(node, at.child(key), "is missing".to_owned());
            }
        }
        Json::Object(values)
    }

    /// Reports a key that no shape has; returns the key that was probably meant.
    fn unknown(&mut self, entry: &Entry, shapes: &[Shape<'a>], at: &KeyPath) -> Option<&'a str> {
        if not_yet::contains(self.not_yet, &at.child(entry.key.as_str())) {
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

fn things(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
