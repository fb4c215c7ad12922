//! Makes the value that a program works with out of one that fits the schema.
//!
//! What the schema cannot say is found here: a value that its type refuses is
//! a fault, and is replaced until the rest can be made.

use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::{Segment, Track};

use super::check::stand_in;
use super::doubt::Doubt;
use super::schema::{Schema, Shape};
use crate::fault::{Faults, KeyPath, Step};

/// The most values replaced; each costs another look at the whole.
const MOST_REPLACED: usize = 256;

/// The value as far as it can be made; adds what its types refuse to `faults`.
pub(super) fn make<T: DeserializeOwned>(
    mut value: Json,
    schema: &Schema,
    doubt: &mut Doubt,
    faults: &mut Faults,
) -> Option<T> {
    for _ in 0..MOST_REPLACED {
        let (mut at, what) = match deserialize(&value) {
            Ok(made) => return Some(made),
            Err(wrong) => wrong,
        };
        match doubt.replaced_at(&at) {
            // What stands in will not do: without all that it is a part of.
            Some(stand_in) => at = stand_in.parent()?,
            None => faults.add(at.clone(), what),
        }
        while replace(&mut value, schema, &at).is_none() {
            at = at.parent()?;
        }
        doubt.replaced(at);
    }
    None
}

/// Makes the value, or says where it went wrong and how.
fn deserialize<T: DeserializeOwned>(value: &Json) -> Result<T, (KeyPath, String)> {
    let value =
        serde_yaml::to_value(value).map_err(|error| (KeyPath::root(), error.to_string()))?;
    let mut track = Track::new();
    // serde_yaml writes an enum's content behind a tag, operators as a mapping.
    let deserializer = serde_path_to_error::Deserializer::new(value, &mut track);
    serde_yaml::with::singleton_map_recursive::deserialize(deserializer)
        .map_err(|error| (key_path(&track.path()), error.to_string()))
}

fn key_path(path: &serde_path_to_error::Path) -> KeyPath {
    let step = |segment: &Segment| match segment {
        Segment::Seq { index } => Some(Step::Item(*index)),
        Segment::Map { key } => Some(Step::Key(key.clone())),
        Segment::Enum { variant } => Some(Step::Key(variant.clone())),
        Segment::Unknown => None,
    };
    path.iter().filter_map(step).collect()
}

/// Leaves out a part of the value, or puts a stand-in there; `None` for the
/// whole, and where the path leads nowhere.
fn replace(value: &mut Json, schema: &Schema, at: &KeyPath) -> Option<()> {
    let (last, way) = at.steps().split_last()?;
    let mut value = value;
    let mut shapes = schema.alternatives(schema.root());
    for step in way {
        shapes = below(schema, &shapes, step);
        value = match (value, step) {
            (Json::Object(entries), Step::Key(key)) => entries.get_mut(key)?,
            (Json::Array(items), Step::Item(index)) => items.get_mut(*index)?,
            _ => return None,
        };
    }
    let shape = below(schema, &shapes, last).first().copied()?;
    match (value, last) {
        (Json::Object(entries), Step::Key(key)) => {
            let old = entries.get_mut(key)?;
            if shapes.iter().any(|shape| shape.needs(key)) {
                *old = stand_in(schema, shape);
            } else {
                entries.remove(key);
            }
        }
        (Json::Array(items), Step::Item(index)) => {
            *items.get_mut(*index)? = stand_in(schema, shape);
        }
        _ => return None,
    }
    Some(())
}

/// What may be one step further down.
fn below<'s>(schema: &'s Schema, shapes: &[Shape<'s>], step: &Step) -> Vec<Shape<'s>> {
    let own = |shape: &Shape<'s>| match step {
        Step::Key(key) => shape.key(key).or_else(|| shape.other_key(key)),
        Step::Item(index) => Some(shape.item(*index)),
    };
    let found = shapes.iter().filter_map(own);
    found.flat_map(|shape| schema.alternatives(shape)).collect()
}
