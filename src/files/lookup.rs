//! Which file a name stands for: itself, an index, a smaller copy, a fallback.
//!
//! Everything here blocks on the disk.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::name::Name;
use super::open::{Found, Opened, Root};
use super::{Config, Missing};
use crate::encoding::{Accepted, Coding};
use crate::fault::{Faults, KeyPath};

/// A folder and the rules for names in it.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    index: Vec<PathBuf>,
    fallback: Option<PathBuf>,
}

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Target {
    File(Representation),
    /// A folder with an index, asked for without the `/` that its links need.
    AddSlash,
}

/// A file in the coding that suits the client best.
#[derive(Debug)]
pub(super) struct Representation {
    pub opened: Opened,
    /// The name of the file, not of its encoded copy.
    pub name: PathBuf,
    pub coding: Option<Coding>,
    /// Whether another client may get another coding.
    pub is_negotiated: bool,
}

impl Folder {
    pub(super) fn new(config: &Config) -> Result<Folder, Faults> {
        let mut faults = Faults::none();
        let root = faults.collect("root", open_root(&config.root));
        let mut index = Vec::with_capacity(config.index.len());
        for (item, text) in config.index.iter().enumerate() {
            match Name::from_config(text) {
                Some(name) if name.components().count() == 1 => index.push(name),
                _ => faults.add(
                    KeyPath::root().child("index").child(item),
                    format!("`{text}` is no name of a file that may be served"),
                ),
            }
        }
        let fallback = config
            .fallback
            .as_deref()
            .and_then(|text| faults.collect("fallback", find_fallback(root.as_ref(), text)));
        faults.into_result(|| Some(Folder { root: config.root.clone(), index, fallback }))
    }

    /// Finds what to send for a name.
    pub(super) fn find(&self, name: &Name, accepted: Accepted) -> Result<Target, Missing> {
        let root = Root::open(&self.root)?;
        let (opened, name) = match (self.find_named(&root, name), &self.fallback) {
            (Ok(Named::AddSlash), _) => return Ok(Target::AddSlash),
            (Ok(Named::File(opened, name)), _) => (opened, name),
            (Err(Missing::NotFound), Some(fallback)) => {
                let Found::File(opened) = root.find(fallback)? else {
                    return Err(Missing::NotFound);
                };
                (opened, fallback.clone())
            }
            (Err(missing), _) => return Err(missing),
        };
        Ok(Target::File(choose_coding(&root, opened, name, accepted)))
    }

    fn find_named(&self, root: &Root<'_>, name: &Name) -> Result<Named, Missing> {
        if name.is_folder {
            return self.find_index(root, &name.path);
        }
        if name.path.as_os_str().is_empty() {
            return self.find_index(root, &name.path).map(|_| Named::AddSlash);
        }
        match root.find(&name.path)? {
            Found::File(opened) => Ok(Named::File(opened, name.path.clone())),
            Found::Folder => self.find_index(root, &name.path).map(|_| Named::AddSlash),
        }
    }

    fn find_index(&self, root: &Root<'_>, folder: &Path) -> Result<Named, Missing> {
        for index in &self.index {
            let path = folder.join(index);
            match root.find(&path) {
                Ok(Found::File(opened)) => return Ok(Named::File(opened, path)),
                Ok(Found::Folder) | Err(Missing::NotFound) => {}
                Err(missing) => return Err(missing),
            }
        }
        Err(Missing::NotFound)
    }
}

enum Named {
    File(Opened, PathBuf),
    AddSlash,
}

fn open_root(path: &Path) -> Result<Root<'_>, Faults> {
    if path.as_os_str().is_empty() {
        return Err(Faults::one("is missing: which folder is served?"));
    }
    Root::open(path)
        .map_err(|error| Faults::one(format!("`{}` is no folder: {error}", path.display())))
}

/// Checks a fallback, as far as that goes without a folder.
fn find_fallback(root: Option<&Root<'_>>, text: &str) -> Result<PathBuf, Faults> {
    let Some(name) = Name::from_config(text) else {
        return Err(Faults::one(format!("`{text}` is no name of a file that may be served")));
    };
    match root.map(|root| root.find(&name)) {
        None | Some(Ok(Found::File(_))) => Ok(name),
        Some(Ok(Found::Folder)) => Err(Faults::one(format!("`{text}` is a folder"))),
        Some(Err(missing)) => Err(Faults::one(format!("`{text}` below root: {missing}"))),
    }
}

/// Looks for encoded copies beside a file, and picks the one wanted most.
fn choose_coding(
    root: &Root<'_>,
    plain: Opened,
    name: PathBuf,
    accepted: Accepted,
) -> Representation {
    let mut copies = Vec::new();
    for coding in Coding::ALL {
        // A copy that cannot be read is as good as none: the plain file can.
        if let Ok(Found::File(opened)) = root.find(&copy_name(&name, coding)) {
            copies.push((coding, opened));
        }
    }
    let is_negotiated = !copies.is_empty();
    let offered: Vec<Coding> = copies.iter().map(|(coding, _)| *coding).collect();
    let chosen = accepted.choose(&offered);
    let copy = copies.into_iter().find(|(coding, _)| Some(*coding) == chosen);
    let (coding, opened) = match copy {
        Some((coding, opened)) => (Some(coding), opened),
        None => (None, plain),
    };
    Representation { opened, name, coding, is_negotiated }
}

/// The name of an encoded copy: `app.js.br`.
fn copy_name(name: &Path, coding: Coding) -> PathBuf {
    let mut copy: OsString = name.as_os_str().to_owned();
    copy.push(match coding {
        Coding::Zstd => ".zst",
        Coding::Brotli => ".br",
        Coding::Gzip => ".gz",
    });
    copy.into()
}
