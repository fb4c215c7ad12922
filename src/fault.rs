//! What is wrong with a configuration, and at which key.
//!
//! Rooms report faults by key; only `config` knows the files and lines behind
//! the keys. A room checks everything it was given and returns all its faults.

use std::borrow::Borrow;
use std::fmt;

/// One step on the way from the root of the file to a value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Key(String),
    Item(usize),
}

impl From<&str> for Step {
    fn from(key: &str) -> Self {
        Step::Key(key.to_owned())
    }
}

impl From<usize> for Step {
    fn from(item: usize) -> Self {
        Step::Item(item)
    }
}

/// The way from the root of the file to a value: `routes[2].match.hosts[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyPath(Vec<Step>);

impl KeyPath {
    pub(crate) fn root() -> Self {
        KeyPath::default()
    }

    pub(crate) fn child(&self, step: impl Into<Step>) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.into());
        KeyPath(steps)
    }

    /// The way to what is at `way` of the value.
    pub(crate) fn then(&self, way: &KeyPath) -> Self {
        KeyPath(self.0.iter().chain(&way.0).cloned().collect())
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.0
    }

    /// The way to what the value is a part of; none for the root.
    pub(crate) fn parent(&self) -> Option<KeyPath> {
        let (_, way) = self.0.split_last()?;
        Some(KeyPath(way.to_vec()))
    }
}

/// A set of paths can be asked for the steps of one.
impl Borrow<[Step]> for KeyPath {
    fn borrow(&self) -> &[Step] {
        &self.0
    }
}

impl<S: Into<Step>> FromIterator<S> for KeyPath {
    fn from_iter<I: IntoIterator<Item = S>>(steps: I) -> Self {
        KeyPath(steps.into_iter().map(Into::into).collect())
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            match step {
                Step::Key(key) if index == 0 => write!(f, "{key}")?,
                Step::Key(key) => write!(f, ".{key}")?,
                Step::Item(item) => write!(f, "[{item}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong, and the key it is wrong at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub at: KeyPath,
    pub what: String,
    /// What else it is about: where the operator looks next.
    pub others: Vec<KeyPath>,
}

/// Everything that is wrong with a part of the configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// No fault so far.
    pub(crate) fn none() -> Self {
        Faults::default()
    }

    /// A single fault of the value itself.
    pub(crate) fn one(what: impl Into<String>) -> Self {
        Faults::none().with(KeyPath::root(), what)
    }

    /// A single fault of the value under `step`.
    pub(crate) fn at(step: impl Into<Step>, what: impl Into<String>) -> Self {
        Faults::one(what).under(step)
    }

    /// Several faults of the value itself.
    pub(crate) fn each(whats: impl IntoIterator<Item = String>) -> Self {
        whats.into_iter().fold(Faults::none(), |faults, what| faults.with(KeyPath::root(), what))
    }

    /// Adds a fault at a path below the value.
    pub(crate) fn with(mut self, at: KeyPath, what: impl Into<String>) -> Self {
        self.add(at, what);
        self
    }

    /// Adds a fault at a path below the value.
    pub(crate) fn add(&mut self, at: KeyPath, what: impl Into<String>) {
        self.add_beside(at, Vec::new(), what);
    }

    /// Adds a fault that `others` have a part in, which are below the value, too.
    pub(crate) fn add_beside(
        &mut self,
        at: KeyPath,
        others: Vec<KeyPath>,
        what: impl Into<String>,
    ) {
        let what = what.into();
        self.0.push(Fault { at, what, others });
    }

    /// Adds every fault of `other`.
    pub(crate) fn extend(&mut self, other: Faults) {
        self.0.extend(other.0);
    }

    /// Keeps a good value; moves the faults of a bad one here, under `step`.
    pub(crate) fn collect<T>(
        &mut self,
        step: impl Into<Step>,
        result: Result<T, Faults>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(faults) => {
                self.extend(faults.under(step));
                None
            }
        }
    }

    /// The same faults, seen from one level further up.
    pub(crate) fn under(mut self, step: impl Into<Step>) -> Self {
        let step = step.into();
        for fault in &mut self.0 {
            for path in [&mut fault.at].into_iter().chain(&mut fault.others) {
                path.0.insert(0, step.clone());
            }
        }
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter()
    }

    /// The value if nothing was wrong, else every fault.
    ///
    /// `build` returns `None` only where a part of it was a fault.
    pub(crate) fn into_result<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Faults> {
        if !self.is_empty() {
            return Err(self);
        }
        build().ok_or_else(|| Faults::one("a part is missing, yet no fault was reported"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_read_as_operators_write_them() {
        let path = KeyPath::root().child("routes").child(2).child("match").child("hosts").child(0);
        assert_eq!(path.to_string(), "routes[2].match.hosts[0]");
    }

    #[test]
    fn collect_puts_faults_under_their_key() {
        let mut faults = Faults::none();
        assert_eq!(faults.collect("weight", Ok(3)), Some(3));
        let bad: Result<u32, Faults> = Err(Faults::at("path", "is empty"));
        assert_eq!(faults.collect("health", bad), None);
        let all: Vec<String> = faults.iter().map(|f| f.at.to_string()).collect();
        assert_eq!(all, ["health.path"]);
    }
}
