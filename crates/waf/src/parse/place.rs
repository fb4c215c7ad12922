//! Where something stands in the rule files.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// A byte of a rules file. Lines and columns count from one, columns in bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Place {
    pub file: Arc<Path>,
    pub line: u32,
    pub column: u32,
}

impl Place {
    /// For what stands in no file.
    #[must_use]
    pub fn nowhere() -> Self {
        Self { file: Arc::from(Path::new("")), line: 0, column: 0 }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value with the place of its first byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed<T> {
    pub place: Place,
    pub value: T,
}
