//! Where every key was written, and faults as operators read them.

use std::collections::HashSet;
use std::fmt;

use super::environment::Secrets;
use super::tree::{Finding, Node, Place, Value};
use crate::fault::{Fault, KeyPath, Step};

/// The most other places that a fault names.
const MOST_OTHERS: usize = 3;

/// The files behind a configuration: finds the place of any key path.
pub(crate) struct Source {
    root: Node,
    secrets: Secrets,
}

impl Source {
    pub(super) fn new(root: Node, secrets: Secrets) -> Self {
        Source { root, secrets }
    }

    /// Where the value of a key was written, or its nearest parent if it was not.
    pub(crate) fn locate(&self, path: &KeyPath) -> Place {
        let mut node = &self.root;
        for step in path.steps() {
            let child = match (&node.value, step) {
                (Value::List(items), Step::Item(index)) => items.get(*index),
                (Value::Mapping(entries), Step::Key(key)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| &entry.node)
                }
                _ => None,
            };
            match child {
                Some(child) => node = child,
                None => break,
            }
        }
        node.place.clone()
    }

    /// The fault of a room, with its place and those of what else it is about.
    pub(super) fn find(&self, fault: &Fault) -> Finding {
        let mut what = fault.what.clone();
        for (index, other) in fault.others.iter().take(MOST_OTHERS).enumerate() {
            what.push_str(if index == 0 { "; see " } else { " and " });
            what.push_str(&self.locate(other).to_string());
        }
        Finding { place: self.locate(&fault.at), at: fault.at.clone(), what }
    }

    pub(super) fn report(&self, findings: Vec<Finding>) -> Report {
        Report::new(findings, &self.secrets)
    }
}

/// Shows no value: some are secrets.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source").field("root", &self.root.place).finish_non_exhaustive()
    }
}

/// Every fault of a configuration, one a line, by file and position.
///
/// `FILE:LINE:COLUMN: key.path: what is wrong (did you mean …?)`
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines.join("\n"))]
pub(crate) struct Report {
    // Invariant: each is one line, and there once.
    lines: Vec<String>,
}

impl Report {
    fn new(mut findings: Vec<Finding>, secrets: &Secrets) -> Self {
        findings.sort_by(|a, b| a.place.cmp(&b.place));
        let lines = findings.iter().map(|finding| {
            let Finding { place, at, what } = finding;
            let what = secrets.hide(what);
            let line = match at.steps() {
                [] => format!("{place}: {what}"),
                _ => format!("{place}: {at}: {what}"),
            };
            one_line(&line)
        });
        let mut lines: Vec<String> = lines.collect();
        let mut seen = HashSet::new();
        lines.retain(|line| seen.insert(line.clone()));
        Report { lines }
    }

    #[cfg(test)]
    pub(crate) fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// Keys and values come from a file: they must not break the line or steer a terminal.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}
