//! What the operator wrote, checked and put into the rooms' own types.
//!
//! Reads the file and what it includes, replaces variables, and holds the
//! result against the JSON Schema of the configuration. Every fault is
//! reported with its file, line and column. What the values mean, and whether
//! they fit together, is for the rooms.

mod check;
mod environment;
mod include;
mod merge;
mod not_yet;
mod parse;
mod scalar;
mod schema;
mod sections;
mod source;
mod tree;
mod written;

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use serde_path_to_error::{Segment, Track};

use crate::fault::{KeyPath, Step};

pub(crate) use environment::Environment;
pub(crate) use sections::{Config, Listener, Route, Server};
pub(crate) use source::{Report, Source};
pub(crate) use written::Written;

use include::Files;
use schema::Schema;
use tree::{Finding, Node};

/// A configuration without faults of its own, and where it was written.
#[derive(Debug)]
pub(crate) struct Loaded<T> {
    pub config: T,
    pub source: Source,
}

/// What a load depends on besides the file.
#[derive(Clone, Copy)]
pub(crate) struct Loader<'a> {
    pub environment: &'a Environment<'a>,
    /// Keys refused as not supported yet: `waf`, `routes[].access`, `upstreams.*.discover`.
    pub not_yet: &'a [&'a str],
}

impl Loader<'_> {
    /// Loads a file; the report holds every fault.
    pub(crate) fn load<T>(&self, file: &Path) -> Result<Loaded<T>, Report>
    where
        T: DeserializeOwned + JsonSchema,
    {
        self.finish(|files| files.first(file))
    }

    /// Loads a text that goes by `name` in faults; includes are relative to that name.
    pub(crate) fn load_str<T>(&self, name: &str, text: &str) -> Result<Loaded<T>, Report>
    where
        T: DeserializeOwned + JsonSchema,
    {
        self.finish(|files| files.text(&name.into(), text))
    }

    fn finish<T>(&self, read: impl FnOnce(&mut Files<'_>) -> Node) -> Result<Loaded<T>, Report>
    where
        T: DeserializeOwned + JsonSchema,
    {
        let schema = Schema::of::<T>();
        let mut files = Files::new(&schema, self.environment);
        let root = read(&mut files);
        let Files { secrets, mut findings, .. } = files;
        let value = check::check(&root, &schema, self.not_yet, &mut findings);
        let source = Source::new(root, secrets);
        if !findings.is_empty() {
            return Err(Report::new(findings, source.secrets()));
        }
        match deserialize(value) {
            Ok(config) => Ok(Loaded { config, source }),
            Err((at, what)) => {
                let finding = Finding { place: source.locate(&at), at, what };
                Err(Report::new(vec![finding], source.secrets()))
            }
        }
    }
}

/// Says that `name` is none of the `known` ones, and which was probably meant.
pub(crate) fn unknown<'s>(what: &str, name: &str, known: impl Iterator<Item = &'s str>) -> String {
    let meant = check::suggest::suggest(name, known);
    format!("there is no {what} `{name}`{}", check::suggest::hint(meant))
}

/// Makes the value, or says where it went wrong and how.
fn deserialize<T: DeserializeOwned>(value: Json) -> Result<T, (KeyPath, String)> {
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

#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
