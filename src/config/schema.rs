//! The JSON Schema of the configuration, as `schemars` derives it (2020-12).
//!
//! Knows the words that derived schemas use for kinds, keys, choices, ranges
//! and formats. What else a type refuses, it refuses when it is made.

use schemars::JsonSchema;
use serde_json::Value as Json;

/// The most steps from a reference to what it names, and of choices in choices.
const MAX_STEPS: usize = 16;
/// The patterns by which `schemars` describes keys that are numbers.
const NATURAL: &str = r"^\d+$";
const INTEGER: &str = r"^-?\d+$";

/// The schema of a whole configuration.
pub(super) struct Schema(Json);

impl Schema {
    pub(super) fn of<T: JsonSchema>() -> Self {
        Schema(schemars::schema_for!(T).to_value())
    }

    pub(super) fn root(&self) -> Shape<'_> {
        Shape(&self.0)
    }

    /// Every single shape that a value may have; one unless there is a choice.
    pub(super) fn alternatives<'s>(&'s self, shape: Shape<'s>) -> Vec<Shape<'s>> {
        let mut found = Vec::new();
        self.gather(shape, MAX_STEPS, &mut found);
        found
    }

    fn gather<'s>(&'s self, shape: Shape<'s>, steps: usize, found: &mut Vec<Shape<'s>>) {
        let shape = self.resolve(shape);
        let choice = ["anyOf", "oneOf"].iter().find_map(|word| shape.0.get(word)?.as_array());
        match choice {
            Some(choice) if steps > 0 => {
                for alternative in choice {
                    self.gather(Shape(alternative), steps - 1, found);
                }
            }
            _ => found.push(shape),
        }
    }

    /// What the references lead to.
    fn resolve<'s>(&'s self, mut shape: Shape<'s>) -> Shape<'s> {
        for _ in 0..MAX_STEPS {
            let target = shape.text("$ref").and_then(|name| name.strip_prefix('#'));
            match target.and_then(|pointer| self.0.pointer(pointer)) {
                Some(target) => shape = Shape(target),
                None => break,
            }
        }
        shape
    }
}

/// One schema inside the whole: what a value may be.
#[derive(Clone, Copy)]
pub(super) struct Shape<'s>(&'s Json);

impl<'s> Shape<'s> {
    /// Whether it names `kind` (`object`, `string`, ...) or does not restrict the kind.
    pub(super) fn accepts(self, kind: &str) -> bool {
        match self.0.get("type") {
            Some(Json::String(only)) => only == kind,
            Some(Json::Array(kinds)) => kinds.iter().any(|k| k == kind),
            _ => self.words().is_empty(),
        }
    }

    /// The only values that are right; empty where that is not restricted.
    pub(super) fn words(self) -> Vec<&'s Json> {
        match (self.0.get("const"), self.0.get("enum")) {
            (Some(only), _) => vec![only],
            // `null` is a kind, not a word: see `accepts`.
            (None, Some(Json::Array(words))) => words.iter().filter(|w| !w.is_null()).collect(),
            _ => Vec::new(),
        }
    }

    /// The value that stands for an absent one, if the schema tells.
    #[cfg(test)]
    pub(super) fn default(self) -> Option<&'s Json> {
        self.0.get("default")
    }

    pub(super) fn format(self) -> Option<&'s str> {
        self.text("format")
    }

    pub(super) fn number(self, word: &str) -> Option<&'s serde_json::Number> {
        self.0.get(word)?.as_number()
    }

    /// The greatest number; `schemars` leaves that of 32 bits to the format.
    pub(super) fn most(self) -> Option<serde_json::Number> {
        let of_format = || (self.format() == Some("uint32")).then(|| u32::MAX.into());
        self.number("maximum").cloned().or_else(of_format)
    }

    /// A bound such as `minItems`.
    pub(super) fn count(self, word: &str) -> Option<usize> {
        usize::try_from(self.0.get(word)?.as_u64()?).ok()
    }

    /// The keys that a mapping has by name.
    pub(super) fn keys(self) -> impl Iterator<Item = &'s str> {
        let properties = self.0.get("properties").and_then(Json::as_object);
        properties.into_iter().flatten().map(|(key, _)| key.as_str())
    }

    pub(super) fn required(self) -> impl Iterator<Item = &'s str> {
        let required = self.0.get("required").and_then(Json::as_array);
        required.into_iter().flatten().filter_map(Json::as_str)
    }

    /// The shape of the value under a key that the mapping has by name.
    pub(super) fn key(self, key: &str) -> Option<Shape<'s>> {
        self.0.get("properties")?.get(key).map(Shape)
    }

    /// The shape of the value under any other key, if the mapping takes one.
    pub(super) fn other_key(self, key: &str) -> Option<Shape<'s>> {
        for (pattern, shape) in self.patterns() {
            if fits(pattern, key) {
                return Some(Shape(shape));
            }
        }
        match self.0.get("additionalProperties") {
            Some(Json::Bool(false)) => None,
            Some(shape) => Some(Shape(shape)),
            // Serde would ignore an unknown key of a struct that does not deny
            // it; a key that does nothing is never right.
            None if self.0.get("properties").is_some() => None,
            None => Some(Shape(&Json::Bool(true))),
        }
    }

    /// Whether its keys are names that the operator chose, or numbers.
    pub(super) fn holds_names(self) -> bool {
        self.takes_numbers_as_keys()
            || self.0.get("additionalProperties").is_some_and(|shape| *shape != Json::Bool(false))
    }

    pub(super) fn takes_numbers_as_keys(self) -> bool {
        self.patterns().any(|(pattern, _)| [NATURAL, INTEGER].contains(&pattern))
    }

    /// Whether a mapping is not the same without this key: it must be there, or is a name.
    pub(super) fn needs(self, key: &str) -> bool {
        let is_name = self.key(key).is_none() && self.other_key(key).is_some();
        is_name || self.required().any(|required| required == key)
    }

    pub(super) fn item(self, index: usize) -> Shape<'s> {
        let fixed = self.0.get("prefixItems").and_then(|items| items.get(index));
        Shape(fixed.or_else(|| self.0.get("items")).unwrap_or(&Json::Bool(true)))
    }

    fn patterns(self) -> impl Iterator<Item = (&'s str, &'s Json)> {
        let patterns = self.0.get("patternProperties").and_then(Json::as_object);
        patterns.into_iter().flatten().map(|(pattern, shape)| (pattern.as_str(), shape))
    }

    fn text(self, word: &str) -> Option<&'s str> {
        self.0.get(word)?.as_str()
    }
}

/// Whether a key fits a pattern; any but a number's is left to the key's own type.
fn fits(pattern: &str, key: &str) -> bool {
    let digits = match pattern {
        NATURAL => key,
        INTEGER => key.strip_prefix('-').unwrap_or(key),
        _ => return true,
    };
    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
}
