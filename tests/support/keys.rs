//! `tests/keys.txt`: every key of the configuration, and how it is tested.

/// The table, as it is in the project.
pub(crate) const TABLE: &str = include_str!("../keys.txt");

/// One key and what is said of it.
#[derive(Debug, Default)]
pub(crate) struct Key<'a> {
    /// `upstreams.*.servers[].address`; `*` is a name, `[]` an item.
    pub(crate) path: &'a str,
    /// Tests that show what it does.
    pub(crate) shown_by: Vec<Test<'a>>,
    /// Values that are refused.
    pub(crate) bad: Vec<Bad<'a>>,
    pub(crate) line: usize,
}

/// A test by its file and its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Test<'a> {
    pub(crate) file: &'a str,
    pub(crate) name: &'a str,
}

/// A line of YAML, and what `-t` says of it: `1:20: key.path: what is wrong`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bad<'a> {
    pub(crate) yaml: &'a str,
    pub(crate) said: &'a str,
}

/// Reads a table; the error is the number of a line that says nothing.
pub(crate) fn read(table: &str) -> Result<Vec<Key<'_>>, usize> {
    let mut keys: Vec<Key<'_>> = Vec::new();
    for (line, text) in (1..).zip(table.lines()) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if !text.starts_with(' ') {
            keys.push(Key { path: text, line, ..Key::default() });
            continue;
        }
        let key = keys.last_mut().ok_or(line)?;
        let (word, value) = text.trim().split_once(' ').ok_or(line)?;
        let value = value.trim_start();
        match (word, key.bad.last_mut()) {
            ("shown", _) => {
                let (file, name) = value.split_once(": ").ok_or(line)?;
                key.shown_by.push(Test { file, name });
            }
            ("bad", _) => key.bad.push(Bad { yaml: value, said: "" }),
            ("said", Some(bad)) if bad.said.is_empty() => bad.said = value,
            _ => return Err(line),
        }
    }
    Ok(keys)
}
