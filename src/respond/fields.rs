//! The header fields of a message on its way, whoever keeps them.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Header fields that can be read as a map and changed one at a time.
///
/// A trait, because the proxy keeps more than a map (the case of names) and
/// only its own methods keep both in step.
pub(crate) trait Fields {
    fn map(&self) -> &HeaderMap;

    /// Replaces every field of this name by one.
    fn set(&mut self, name: HeaderName, value: HeaderValue);

    /// Adds a field beside those of this name.
    fn add(&mut self, name: HeaderName, value: HeaderValue);

    /// Removes every field of this name.
    fn remove(&mut self, name: &HeaderName);
}

impl Fields for HeaderMap {
    fn map(&self) -> &HeaderMap {
        self
    }

    fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.insert(name, value);
    }

    fn add(&mut self, name: HeaderName, value: HeaderValue) {
        self.append(name, value);
    }

    fn remove(&mut self, name: &HeaderName) {
        HeaderMap::remove(self, name);
    }
}
