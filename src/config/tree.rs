//! What a file says, before anything is known about its meaning.

use std::fmt;
use std::sync::Arc;

use crate::fault::KeyPath;

/// A position in a file; lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub file: Arc<str>,
    pub line: usize,
    pub column: usize,
}

impl Place {
    pub(super) fn start_of(file: &Arc<str>) -> Self {
        Place { file: Arc::clone(file), line: 1, column: 1 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// One fault with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub place: Place,
    pub at: KeyPath,
    pub what: String,
}

/// A value and the place where its faults are reported.
///
/// That is the value itself for a scalar or an item of a list, and the key for
/// a list, a mapping or nothing at all.
#[derive(Clone)]
pub(super) struct Node {
    pub place: Place,
    pub value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
    /// Could not be read and is reported already: nothing more is said of it.
    Broken,
}

#[derive(Clone)]
pub(super) struct Scalar {
    /// The text without quotes, exactly as written or substituted.
    pub text: String,
    /// Quoted or a block: a string, whatever it looks like.
    pub quoted: bool,
    /// The text as written, where a variable was replaced in it.
    pub written: Option<String>,
}

#[derive(Clone)]
pub(super) struct Entry {
    pub key: String,
    pub place: Place,
    pub node: Node,
}

impl Node {
    pub(super) fn broken(place: Place) -> Self {
        Node { place, value: Value::Broken }
    }

    /// A scalar with a text to point at.
    pub(super) fn is_visible_scalar(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.quoted || !scalar.text.is_empty())
    }

    /// The number of nodes in it, itself included.
    pub(super) fn size(&self) -> usize {
        1 + self.children().map(Node::size).sum::<usize>()
    }

    /// The number of levels in it, itself included.
    pub(super) fn height(&self) -> usize {
        1 + self.children().map(Node::height).max().unwrap_or(0)
    }

    fn children(&self) -> Box<dyn Iterator<Item = &Node> + '_> {
        match &self.value {
            Value::List(items) => Box::new(items.iter()),
            Value::Mapping(entries) => Box::new(entries.iter().map(|entry| &entry.node)),
            Value::Scalar(_) | Value::Broken => Box::new(std::iter::empty()),
        }
    }
}
