//! Which alternative of a choice the operator evidently meant, so that faults
//! are reported from that one alone; and how a choice is put into words.

use serde_json::Value as Json;

use super::formats::Format;
use crate::config::schema::{Schema, Shape};
use crate::config::tree::{Entry, Node, Value};

/// The alternative for a mapping.
pub(super) enum Choice<'s> {
    One {
        shape: Shape<'s>,
        others: Vec<Shape<'s>>,
    },
    /// Nothing written points to one of these.
    Unclear(Vec<Shape<'s>>),
    None,
}

/// Chooses by the keys: an alternative whose tag fits, then the one that knows most.
pub(super) fn for_mapping<'s>(
    entries: &[Entry],
    shapes: &[Shape<'s>],
    schema: &'s Schema,
) -> Choice<'s> {
    let mut left: Vec<_> = shapes.iter().copied().filter(|s| s.accepts("object")).collect();
    if left.is_empty() {
        return Choice::None;
    }
    let score = |shape: &Shape<'s>| {
        let known = entries.iter().filter(|entry| shape.key(&entry.key).is_some()).count();
        let taken = entries.iter().filter(|entry| shape.other_key(&entry.key).is_some()).count();
        let missing =
            shape.required().filter(|key| !entries.iter().any(|entry| entry.key == *key)).count();
        // A key known by name says more than one that is merely taken.
        (tag_fit(entries, *shape, schema), 2 * known + taken, usize::MAX - missing)
    };
    let best = (0..left.len()).rev().max_by_key(|&index| left.get(index).map(score));
    let shape = left.remove(best.unwrap_or_default());
    let (tag, known, missing) = score(&shape);
    let pointed_at = tag > 0 || known > 0 || (entries.is_empty() && missing == usize::MAX);
    if left.is_empty() || pointed_at {
        return Choice::One { shape, others: left };
    }
    left.insert(0, shape);
    Choice::Unclear(left)
}

/// Whether keys that must have one certain value have it: 1 yes, -1 no, 0 there is none.
fn tag_fit(entries: &[Entry], shape: Shape<'_>, schema: &Schema) -> i8 {
    let mut fit = 0;
    for entry in entries {
        let Value::Scalar(scalar) = &entry.node.value else { continue };
        let shapes = shape.key(&entry.key).map(|shape| schema.alternatives(shape));
        let Some([only]) = shapes.as_deref() else { continue };
        if let [Json::String(tag)] = only.words().as_slice() {
            if *tag != scalar.text {
                return -1;
            }
            fit = 1;
        }
    }
    fit
}

/// Chooses the list whose items fit best by their kinds.
pub(super) fn for_list<'s>(
    items: &[Node],
    shapes: &[Shape<'s>],
    schema: &'s Schema,
) -> Option<Shape<'s>> {
    let fitting = |shape: &Shape<'s>| {
        let fits = |(index, item): &(usize, &Node)| {
            let shapes = schema.alternatives(shape.item(*index));
            shapes.iter().any(|shape| takes(*shape, item))
        };
        items.iter().enumerate().filter(fits).count()
    };
    let lists = shapes.iter().copied().filter(|shape| shape.accepts("array"));
    // The last of equals wins in max_by_key; the first is meant.
    lists.rev().max_by_key(fitting)
}

fn takes(shape: Shape<'_>, node: &Node) -> bool {
    match node.value {
        Value::Broken => true,
        Value::List(_) => shape.accepts("array"),
        Value::Mapping(_) => shape.accepts("object"),
        Value::Scalar(_) => is_scalar(shape),
    }
}

/// Whether a shape takes a scalar other than nothing at all.
pub(super) fn is_scalar(shape: Shape<'_>) -> bool {
    !shape.words().is_empty()
        || ["string", "integer", "number", "boolean"].iter().any(|kind| shape.accepts(kind))
}

/// The alternatives in words: "`a`, `b` or a mapping with `c`".
pub(super) fn expected(shapes: &[Shape<'_>]) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut add = |word: String| {
        if !words.contains(&word) {
            words.push(word);
        }
    };
    for shape in shapes {
        for word in shape.words() {
            add(format!("`{}`", plain(word)));
        }
    }
    for shape in shapes.iter().filter(|shape| shape.words().is_empty()) {
        if let Some(format) = shape.format().and_then(Format::find) {
            add(format.noun.to_owned());
            continue;
        }
        for (kind, noun) in [
            ("string", "a string"),
            ("integer", "a whole number"),
            ("number", "a number"),
            ("boolean", "on or off"),
            ("array", "a list"),
        ] {
            if shape.accepts(kind) {
                add(noun.to_owned());
            }
        }
    }
    let mappings: Vec<_> = shapes.iter().filter(|shape| shape.accepts("object")).collect();
    let keys: Vec<_> = mappings.iter().filter_map(|shape| only_key(**shape)).collect();
    match mappings.len() {
        0 => {}
        // Alternatives with one key each are told apart by it.
        count if count == keys.len() => add(format!("a mapping with {}", any_of(&keys))),
        _ => add("a mapping".to_owned()),
    }
    any_of(&words)
}

/// The key in backquotes that makes a mapping, if there is just one such key.
fn only_key(shape: Shape<'_>) -> Option<String> {
    let mut keys = shape.keys();
    let key = keys.next().filter(|key| shape.required().any(|required| required == *key))?;
    keys.next().is_none().then(|| format!("`{key}`"))
}

fn plain(word: &Json) -> String {
    word.as_str().map_or_else(|| word.to_string(), str::to_owned)
}

/// "a", "a or b", "a, b or c".
fn any_of(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
