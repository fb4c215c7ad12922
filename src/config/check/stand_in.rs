//! What stands in for a value that has a fault and cannot be left out.

use serde_json::{Map, Number, Value as Json};

use super::formats::Format;
use crate::config::schema::{Schema, Shape};

/// The most levels of a stand-in.
const MAX_LEVELS: usize = 8;

/// The least that the schema takes. What it means is of no interest: nothing is
/// said of it.
pub(in crate::config) fn stand_in(schema: &Schema, shape: Shape<'_>) -> Json {
    of_shape(schema, shape, MAX_LEVELS)
}

fn of_shape(schema: &Schema, shape: Shape<'_>, levels: usize) -> Json {
    let shapes = schema.alternatives(shape);
    let of_kind = |kind: &str| shapes.iter().find(|shape| shape.accepts(kind));
    if levels == 0 || of_kind("null").is_some() {
        return Json::Null;
    }
    if let Some(word) = shapes.iter().find_map(|shape| shape.words().first().copied()) {
        return word.clone();
    }
    let format = shapes.iter().find_map(|shape| Format::find(shape.format()?));
    if let Some(format) = format {
        return Json::from(format.example);
    }
    if of_kind("string").is_some() {
        return Json::from("");
    }
    if of_kind("boolean").is_some() {
        return Json::from(false);
    }
    if let Some(shape) = of_kind("integer").or_else(|| of_kind("number")) {
        return Json::Number(shape.number("minimum").cloned().unwrap_or_else(|| Number::from(0)));
    }
    if of_kind("array").is_some() {
        return Json::Array(Vec::new());
    }
    let Some(mapping) = of_kind("object") else { return Json::Null };
    let own = |key| Some((String::from(key), of_shape(schema, mapping.key(key)?, levels - 1)));
    Json::Object(mapping.required().filter_map(own).collect::<Map<_, _>>())
}
