//! Reads the first file and every file that it includes.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::environment::{Environment, Secrets, Substitution};
use super::merge::Merge;
use super::parse::parse;
use super::schema::Schema;
use super::tree::{Entry, Finding, Node, Place, Value};
use crate::fault::KeyPath;
use crate::watch::read_file;

const MAX_FILES: usize = 256;
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
/// The most values in all files together.
const MAX_NODES: usize = 200_000;

/// The files read so far and what was found in them.
pub(super) struct Files<'a> {
    pub secrets: Secrets,
    pub findings: Vec<Finding>,
    schema: &'a Schema,
    environment: &'a Environment<'a>,
    nodes_left: usize,
    /// Every file read, by its real path, and the place that named it.
    read: HashMap<PathBuf, Place>,
}

impl<'a> Files<'a> {
    pub(super) fn new(schema: &'a Schema, environment: &'a Environment<'a>) -> Self {
        Files {
            secrets: Secrets::default(),
            findings: Vec::new(),
            schema,
            environment,
            nodes_left: MAX_NODES,
            read: HashMap::new(),
        }
    }

    /// The tree of the first file and all that it includes.
    pub(super) fn first(&mut self, path: &Path) -> Node {
        let name: Arc<str> = path.to_string_lossy().into();
        let place = Place::start_of(&name);
        match self.open(path, &place) {
            Ok(text) => self.text(&name, &text),
            Err(what) => self.broken(place, KeyPath::root(), what),
        }
    }

    /// The tree of a text and all that it includes, seen from `name`.
    pub(super) fn text(&mut self, name: &Arc<str>, text: &str) -> Node {
        let mut root = parse(name, text, &mut self.nodes_left, &mut self.findings);
        let mut substitution = Substitution {
            environment: self.environment,
            secrets: &mut self.secrets,
            findings: &mut self.findings,
        };
        substitution.replace(&mut root, &KeyPath::root());
        let Some(include) = take_include(&mut root) else { return root };
        let folder = Path::new(&**name).parent().unwrap_or_else(|| Path::new(""));
        for included in self.included(include, folder) {
            Merge { schema: self.schema, findings: &mut self.findings }.add(&mut root, included);
        }
        root
    }

    /// The trees that `include` names, in order.
    fn included(&mut self, include: Node, folder: &Path) -> Vec<Node> {
        let at = KeyPath::root().child("include");
        let Value::List(patterns) = include.value else {
            let what = "expected a list of files".to_owned();
            return vec![self.broken(include.place, at, what)];
        };
        let mut trees = Vec::new();
        for (index, pattern) in patterns.into_iter().enumerate() {
            let at = at.child(index);
            let Value::Scalar(scalar) = pattern.value else {
                trees.push(self.broken(pattern.place, at, "expected the name of a file"));
                continue;
            };
            match find(&folder.join(&scalar.text)) {
                Ok(paths) => {
                    for path in paths {
                        trees.push(self.included_file(&path, &pattern.place, &at));
                    }
                }
                Err(what) => trees.push(self.broken(pattern.place, at, what)),
            }
        }
        trees
    }

    fn included_file(&mut self, path: &Path, named_at: &Place, at: &KeyPath) -> Node {
        match self.open(path, named_at) {
            Ok(text) => self.text(&path.to_string_lossy().into(), &text),
            Err(what) => {
                let what = format!("`{}` {what}", path.display());
                self.broken(named_at.clone(), at.clone(), what)
            }
        }
    }

    /// The text of a file that was not read before.
    fn open(&mut self, path: &Path, named_at: &Place) -> Result<String, String> {
        let unreadable = |error: io::Error| format!("cannot be read: {error}");
        let real = path.canonicalize().map_err(unreadable)?;
        if let Some(first) = self.read.get(&real) {
            return Err(format!("is read already; first named at {first}"));
        }
        if self.read.len() == MAX_FILES {
            return Err(format!("is one file too many; at most {MAX_FILES} are read"));
        }
        self.read.insert(real, named_at.clone());
        let bytes = read_file(path, MAX_FILE_BYTES);
        let bytes = bytes.map_err(|what| format!("cannot be read: {what}"))?;
        // What is not UTF-8 becomes U+FFFD, which `parse` refuses at its place.
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn broken(&mut self, place: Place, at: KeyPath, what: impl Into<String>) -> Node {
        let what = what.into();
        self.findings.push(Finding { place: place.clone(), at, what });
        Node::broken(place)
    }
}

/// Takes the key `include` out of the root of a file.
fn take_include(root: &mut Node) -> Option<Node> {
    let Value::Mapping(entries) = &mut root.value else { return None };
    let index = entries.iter().position(|entry| entry.key == "include")?;
    let Entry { node, .. } = entries.remove(index);
    Some(node)
}

/// The files that a pattern names, sorted.
///
/// A name without `*` is taken as it is; a pattern may find nothing.
fn find(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let folder = pattern.parent().unwrap_or_else(|| Path::new(""));
    let name = pattern.file_name().and_then(OsStr::to_str).unwrap_or_default();
    if folder.to_string_lossy().contains('*') {
        return Err("`*` may stand only in the last part of a path".to_owned());
    }
    if !name.contains('*') {
        return Ok(vec![pattern.to_owned()]);
    }
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let unreadable = |error: io::Error| format!("`{}` cannot be read: {error}", folder.display());
    let listing = match here.read_dir() {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut found = Vec::new();
    for file in listing {
        let file = file.map_err(unreadable)?.file_name();
        let path = folder.join(&file);
        if file.to_str().is_some_and(|file| fits(name, file)) && path.is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a file's name fits a pattern; as in a shell, `*` does not find hidden files.
fn fits(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (head, rest) = pattern.split_once('*').unwrap_or((pattern, ""));
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*').filter(|part| !part.is_empty()) {
        match name.split_once(part) {
            Some((_, after)) => name = after,
            None => return false,
        }
    }
    name.ends_with(tail)
}
