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
mod source;
mod tree;

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::fault::{KeyPath, Step};

pub(crate) use environment::Environment;
pub(crate) use source::{Report, Source};

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
        match serde_path_to_error::deserialize(value) {
            Ok(config) => Ok(Loaded { config, source }),
            Err(error) => {
                let at = key_path(error.path());
                let what = reason(error.inner());
                let finding = Finding { place: source.locate(&at), at, what };
                Err(Report::new(vec![finding], source.secrets()))
            }
        }
    }
}

/// The error without the position that `serde_json` made up for a value in memory.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    text.strip_suffix(&position).unwrap_or(&text).to_owned()
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
mod tests;
