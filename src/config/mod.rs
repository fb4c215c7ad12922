//! What the operator wrote, checked and put into the rooms' own types.
//!
//! Reads the file and what it includes, replaces variables, and holds the
//! result against the JSON Schema of the configuration. What the values mean,
//! and whether they fit together, is for the rooms, which judge what can be
//! made of a faulty file, too. Every fault is reported with its file, line and
//! column.

mod check;
mod doubt;
mod environment;
mod include;
mod make;
mod merge;
mod parse;
mod pattern;
mod scalar;
mod schema;
mod sections;
mod source;
mod tree;
mod written;

use std::path::Path;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::fault::Faults;

pub(crate) use environment::Environment;
pub(crate) use sections::{Admin, Config, Listener, Route, RouteTimeouts, Server};
pub(crate) use source::{Report, Source};
pub(crate) use written::Written;

use doubt::Doubt;
use include::Files;
use schema::Schema;
use tree::{Finding, Node};

/// A configuration as far as it can be made, and where it was written.
pub(crate) struct Loaded<T> {
    config: T,
    source: Source,
    // What is wrong with the file; none if the configuration is what was written.
    findings: Vec<Finding>,
    doubt: Doubt,
}

impl<T> Loaded<T> {
    /// What `build` makes of the configuration, and that; the report holds the
    /// faults of the file and those that `build` finds.
    ///
    /// `build` is asked even if the file has faults; what it makes is dropped then.
    pub(crate) fn build<B>(
        self,
        build: impl FnOnce(&T) -> Result<B, Faults>,
    ) -> Result<(T, B), Report> {
        let Loaded { config, source, mut findings, doubt } = self;
        match build(&config) {
            Ok(built) if findings.is_empty() => return Ok((config, built)),
            Ok(_) => {}
            Err(faults) => {
                let new = faults.iter().filter(|fault| !doubt.explains(fault));
                findings.extend(new.map(|fault| source.find(fault)));
            }
        }
        Err(source.report(findings))
    }
}

/// What a load depends on besides the file.
#[derive(Clone, Copy)]
pub(crate) struct Loader<'a> {
    pub environment: &'a Environment<'a>,
    /// Keys refused as not supported yet: `waf`, `routes[].access`, `upstreams.*.discover`.
    pub not_yet: &'a [&'a str],
    /// Lists that may be left out, but not be empty.
    pub not_empty: &'a [&'a str],
}

impl Loader<'_> {
    /// Loads a file; the report holds every fault, if nothing can be made of it.
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
        let mut doubt = Doubt::default();
        let value = check::check(&root, &schema, self, &mut findings, &mut doubt);
        let source = Source::new(root, secrets);
        let mut faults = Faults::none();
        let config = value.and_then(|value| make::make(value, &schema, &mut doubt, &mut faults));
        findings.extend(faults.iter().map(|fault| source.find(fault)));
        findings.iter().for_each(|finding| doubt.told(&finding.at));
        match config {
            Some(config) => Ok(Loaded { config, source, findings, doubt }),
            None => Err(source.report(findings)),
        }
    }
}

/// Says that `name` is none of the `known` ones, and which was probably meant.
pub(crate) fn unknown<'s>(what: &str, name: &str, known: impl Iterator<Item = &'s str>) -> String {
    let meant = check::suggest::suggest(name, known);
    format!("there is no {what} `{name}`{}", check::suggest::hint(meant))
}

#[cfg(test)]
mod shipped;
#[cfg(test)]
mod tests;
