//! Reads one scalar as the schema wants it.

use serde_json::{Number, Value as Json};

use super::choose::{expected, is_scalar};
use super::formats::Format;
use super::suggest::{hint, suggest};
use crate::config::scalar::Core;
use crate::config::schema::Shape;
use crate::config::tree::Scalar;

/// The value of a scalar, or what is wrong with it.
///
/// A shape of the scalar's own kind goes before one that takes it as text, so
/// that 8080 is a port where a port or a name is wanted.
pub(super) fn read(scalar: &Scalar, shapes: &[Shape<'_>]) -> Result<Json, String> {
    let word = Word { scalar, core: Core::of(scalar) };
    let mut said = Vec::new();
    for shape in shapes {
        match word.exactly(*shape) {
            Ok(value) => return Ok(value),
            Err(Misfit::Value(what)) => said.push(what),
            Err(Misfit::Kind) => {}
        }
    }
    // 70000 is a bad port rather than a name.
    if said.is_empty()
        && let Some(value) = shapes.iter().find_map(|shape| word.loosely(*shape))
    {
        return Ok(value);
    }
    Err(word.fault(shapes, said))
}

/// Why a scalar is not of a shape.
enum Misfit {
    /// Something else altogether is wanted.
    Kind,
    /// The right kind with a wrong value; the text says what is wrong.
    Value(String),
}

struct Word<'a> {
    scalar: &'a Scalar,
    core: Core,
}

impl Word<'_> {
    /// The value as a shape of the scalar's own kind.
    fn exactly(&self, shape: Shape<'_>) -> Result<Json, Misfit> {
        if self.core == Core::Nothing {
            return if shape.accepts("null") { Ok(Json::Null) } else { Err(Misfit::Kind) };
        }
        let words = shape.words();
        if !words.is_empty() {
            return self.one_of(&words).ok_or(Misfit::Kind);
        }
        if let Some(format) = shape.format().and_then(Format::find) {
            return self.judged(format);
        }
        let number = |number: Option<Number>| match number {
            Some(number) => self.in_range(number, shape),
            None => Err(Misfit::Value(format!("{} is out of range", self.shown()))),
        };
        match self.core {
            Core::Bool(value) if shape.accepts("boolean") => Ok(Json::Bool(value)),
            Core::Integer(value) if shape.accepts("integer") || shape.accepts("number") => {
                number(Number::from_i128(value))
            }
            Core::Float(value) if shape.accepts("number") => number(Number::from_f64(value)),
            Core::Text if shape.accepts("string") => Ok(Json::String(self.scalar.text.clone())),
            _ => Err(Misfit::Kind),
        }
    }

    /// The value where another way of writing it will do.
    fn loosely(&self, shape: Shape<'_>) -> Option<Json> {
        if !shape.words().is_empty() || shape.format().and_then(Format::find).is_some() {
            return None;
        }
        let text = self.scalar.text.as_str();
        match (self.core, text) {
            (Core::Text, "on") if shape.accepts("boolean") => return Some(Json::Bool(true)),
            (Core::Text, "off") if shape.accepts("boolean") => return Some(Json::Bool(false)),
            // `${NAME:-}` is an empty text where one is wanted.
            (Core::Nothing, _) if self.scalar.written.is_none() => return None,
            _ => {}
        }
        // A number or a switch where a text is wanted is that text, digit by digit.
        shape.accepts("string").then(|| Json::String(text.to_owned()))
    }

    fn one_of(&self, words: &[&Json]) -> Option<Json> {
        let is = |text: &str| words.iter().find(|word| word.as_str() == Some(text));
        let word = is(&self.scalar.text).or_else(|| match self.core {
            Core::Bool(true) => is("on"),
            Core::Bool(false) => is("off"),
            Core::Integer(value) => {
                words.iter().find(|word| word.as_i64().map(i128::from) == Some(value))
            }
            _ => None,
        });
        word.map(|word| (*word).clone())
    }

    fn judged(&self, format: Format) -> Result<Json, Misfit> {
        match format.judge(&self.scalar.text) {
            Ok(()) => Ok(Json::String(self.scalar.text.clone())),
            // The format's own words would show parts of the value.
            Err(_) if self.scalar.written.is_some() => {
                Err(Misfit::Value(format!("expected {}, found {}", format.noun, self.shown())))
            }
            Err(what) => Err(Misfit::Value(what)),
        }
    }

    fn in_range(&self, number: Number, shape: Shape<'_>) -> Result<Json, Misfit> {
        let wrong = |how: &str, bound: &Number| {
            Err(Misfit::Value(format!("{} is {how} {bound}", self.shown())))
        };
        match (shape.number("minimum"), shape.most()) {
            (Some(least), _) if less(&number, least) => wrong("less than", least),
            (_, Some(most)) if less(&most, &number) => wrong("more than", &most),
            _ => Ok(Json::Number(number)),
        }
    }

    fn fault(&self, shapes: &[Shape<'_>], mut said: Vec<String>) -> String {
        let wanted: Vec<_> = shapes.iter().copied().filter(|shape| is_scalar(*shape)).collect();
        let known = wanted.iter().flat_map(|shape| shape.words()).filter_map(Json::as_str);
        // A suggestion for a secret would tell much of it.
        let meant = match self.scalar.written {
            None => suggest(&self.scalar.text, known),
            Some(_) => None,
        };
        match said.pop() {
            Some(what) if wanted.len() == 1 || self.core != Core::Text => what,
            _ => {
                let (expected, hint) = (expected(shapes), hint(meant));
                format!("expected {expected}, found {}{hint}", self.shown())
            }
        }
    }

    /// The scalar as a fault may show it.
    fn shown(&self) -> String {
        match &self.scalar.written {
            Some(written) => format!("the value of `{written}`"),
            None if self.core == Core::Nothing => "nothing".to_owned(),
            // Without its quotes it would be something else.
            None if Core::of_plain(&self.scalar.text) != self.core => {
                format!("the string `{}`", self.scalar.text)
            }
            None => format!("`{}`", self.scalar.text),
        }
    }
}

fn less(a: &Number, b: &Number) -> bool {
    match (a.as_i128(), b.as_i128()) {
        (Some(a), Some(b)) => a < b,
        _ => a.as_f64() < b.as_f64(),
    }
}
