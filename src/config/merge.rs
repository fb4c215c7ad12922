//! Puts the files of one configuration together.
//!
//! Sections of settings are merged key by key, lists are joined in the order
//! of reading, and a name or a setting given in two files is a fault.

use std::collections::HashMap;

use super::parse::given_twice;
use super::schema::{Schema, Shape};
use super::tree::{Entry, Finding, Node, Value};
use crate::fault::KeyPath;

pub(super) struct Merge<'a> {
    pub schema: &'a Schema,
    pub findings: &'a mut Vec<Finding>,
}

impl Merge<'_> {
    /// Adds the root of another file to the first one's.
    pub(super) fn add(&mut self, into: &mut Node, from: Node) {
        match (&mut into.value, from.value) {
            (Value::Mapping(into), Value::Mapping(from)) => {
                self.mappings(into, from, Some(self.schema.root()), &KeyPath::root());
            }
            // What it would have said is missed by those who ask for it: see `doubt`.
            (_, Value::Broken | Value::Mapping(_)) => {}
            _ => {
                let what = "an included file must be a mapping".to_owned();
                self.findings.push(Finding { place: from.place, at: KeyPath::root(), what });
            }
        }
    }

    fn mappings(
        &mut self,
        into: &mut Vec<Entry>,
        from: Vec<Entry>,
        shape: Option<Shape<'_>>,
        at: &KeyPath,
    ) {
        let shape = shape.and_then(|shape| {
            self.schema.alternatives(shape).into_iter().find(|shape| shape.accepts("object"))
        });
        let names = shape.is_some_and(Shape::holds_names);
        let known: HashMap<String, usize> =
            into.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect();
        for entry in from {
            let Some(old) = known.get(&entry.key).and_then(|&index| into.get_mut(index)) else {
                into.push(entry);
                continue;
            };
            let at = at.child(entry.key.as_str());
            match (&mut old.node.value, entry.node.value) {
                (Value::Mapping(old), Value::Mapping(new)) if !names => {
                    self.mappings(old, new, shape.and_then(|shape| shape.key(&entry.key)), &at);
                }
                (Value::List(old), Value::List(new)) if !names => old.extend(new),
                _ => {
                    let what = given_twice(&old.place);
                    self.findings.push(Finding { place: entry.place, at, what });
                }
            }
        }
    }
}
