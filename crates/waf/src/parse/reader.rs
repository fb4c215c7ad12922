//! Reads files with what they include into one tree; gathers every fault before it gives up.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::parse::bounds::{DIRECTIVES, FILES, INCLUDE_DEPTH, PATH_BYTES, REPORTED};
use crate::parse::chain::Chain;
use crate::parse::directive::{self, Absent, Directive, Statement};
use crate::parse::fault::{Fault, Notice, Problem, Warning};
use crate::parse::files::Files;
use crate::parse::glob;
use crate::parse::lines::Lines;
use crate::parse::place::{Place, Placed};
use crate::parse::text::Part;

/// The directives of all files.
#[derive(Debug, Clone)]
pub struct Tree {
    pub directives: Vec<Placed<Directive>>,
    pub warnings: Vec<Warning>,
    /// Warnings past `bounds::REPORTED`.
    pub more_warnings: usize,
    /// Every file that was read, in order.
    pub files: Vec<Arc<Path>>,
}

/// Why there is no tree, in the order of the files; after `bounds::REPORTED` reading stopped.
#[derive(Debug, Clone)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Reads one rule set from several files or texts.
pub struct Reader<'a> {
    files: &'a dyn Files,
    skip: &'a dyn Fn(&Fault) -> bool,
    tree: Tree,
    faults: Vec<Fault>,
    // The files that include each other, outermost first, by identity.
    within: Vec<PathBuf>,
    chain: Chain,
}

impl<'a> Reader<'a> {
    /// `skip` says which faults only cost their directive; they become warnings.
    #[must_use]
    pub fn new(files: &'a dyn Files, skip: &'a dyn Fn(&Fault) -> bool) -> Self {
        let tree = Tree {
            directives: Vec::new(),
            warnings: Vec::new(),
            more_warnings: 0,
            files: Vec::new(),
        };
        Self { files, skip, tree, faults: Vec::new(), within: Vec::new(), chain: Chain::default() }
    }

    /// Adds a file with what it includes.
    pub fn file(&mut self, path: &Path) {
        let start = Place { file: Arc::from(path), line: 1, column: 1 };
        self.open(path.to_path_buf(), &start);
    }

    /// Adds a text that is named like a file; its includes are relative to that name.
    pub fn text(&mut self, name: &Path, bytes: &[u8]) {
        let file: Arc<Path> = Arc::from(name);
        self.tree.files.push(Arc::clone(&file));
        self.within.push(name.to_path_buf());
        self.lines(&file, bytes);
        self.within.pop();
    }

    /// The tree of all that was added.
    ///
    /// # Errors
    /// If anything was at fault and not to be skipped.
    pub fn finish(self) -> Result<Tree, Faults> {
        if self.faults.is_empty() { Ok(self.tree) } else { Err(Faults(self.faults)) }
    }

    fn open(&mut self, path: PathBuf, from: &Place) {
        let identity = self.files.identity(&path);
        let shown = path.display().to_string();
        if self.within.contains(&identity) {
            return self.report(Fault::new(from.clone(), Problem::Cycle { path: shown }));
        }
        if self.within.len() >= INCLUDE_DEPTH {
            let problem =
                Problem::TooMany { what: "files that include each other", limit: INCLUDE_DEPTH };
            return self.report(Fault::new(from.clone(), problem));
        }
        if self.tree.files.len() >= FILES {
            let problem = Problem::TooMany { what: "rule files", limit: FILES };
            return self.report(Fault::new(from.clone(), problem));
        }
        let file: Arc<Path> = Arc::from(path);
        self.tree.files.push(Arc::clone(&file));
        match self.files.read(&file) {
            Ok(bytes) => {
                self.within.push(identity);
                self.lines(&file, &bytes);
                self.within.pop();
            }
            Err(error) => {
                let problem = Problem::Unreadable { path: shown, why: error.to_string() };
                self.report(Fault::new(from.clone(), problem));
            }
        }
    }

    fn lines(&mut self, file: &Arc<Path>, bytes: &[u8]) {
        let mut lines = Lines::new(Arc::clone(file), bytes);
        let mut warnings = Vec::new();
        while let Some(line) = lines.read(&mut warnings) {
            warnings.drain(..).for_each(|warning| self.warn(warning));
            if self.is_full() {
                return;
            }
            match line {
                Ok(text) => self.line(text.whole()),
                Err(fault) => self.report(fault),
            }
        }
        warnings.drain(..).for_each(|warning| self.warn(warning));
        self.interrupt();
    }

    fn line(&mut self, line: Part<'_>) {
        let statement = match directive::parse(line) {
            Ok(statement) => statement,
            Err(fault) => return self.report(fault),
        };
        if !matches!(statement, Statement::Rule(_)) {
            self.interrupt();
        }
        match statement {
            Statement::Rule(written) => match self.chain.add(written) {
                Some(Ok(rule)) => {
                    let place = rule.place.clone();
                    self.keep(Placed { place, value: Directive::Rule(rule) });
                }
                Some(Err(fault)) => self.report(fault),
                None => {}
            },
            Statement::Directive(directive) => self.keep(directive),
            Statement::Include { place, path, or } => self.include(&place, &path, or),
            Statement::Unused(warning) => self.warn(warning),
        }
    }

    fn include(&mut self, from: &Place, path: &[u8], or: Absent) {
        let shown =
            String::from_utf8_lossy(path.get(..path.len().min(PATH_BYTES)).unwrap_or_default());
        let shown = shown.into_owned();
        if path.len() > PATH_BYTES {
            let problem = Problem::TooMany { what: "bytes in a path", limit: PATH_BYTES };
            return self.report(Fault::new(from.clone(), problem));
        }
        let directory = from.file.parent().unwrap_or_else(|| Path::new(""));
        let pattern = directory.join(OsStr::from_bytes(path));
        let found = match glob::expand(&pattern, self.files) {
            Ok(found) => found,
            Err(error) => {
                let problem = Problem::Unreadable { path: shown, why: error.to_string() };
                return self.report(Fault::new(from.clone(), problem));
            }
        };
        if found.is_empty() && or == Absent::Fault {
            let problem = Problem::NothingIncluded { path: shown };
            return self.report(Fault::new(from.clone(), problem));
        }
        for path in found {
            if self.is_full() {
                return;
            }
            self.open(path, from);
        }
    }

    fn interrupt(&mut self) {
        if let Some(fault) = self.chain.interrupt() {
            self.report(fault);
        }
    }

    fn keep(&mut self, directive: Placed<Directive>) {
        if self.tree.directives.len() >= DIRECTIVES {
            let problem = Problem::TooMany { what: "directives", limit: DIRECTIVES };
            return self.report(Fault::new(directive.place, problem));
        }
        self.tree.directives.push(directive);
    }

    fn report(&mut self, fault: Fault) {
        if (self.skip)(&fault) {
            self.warn(Warning { place: fault.place, notice: Notice::Skipped(fault.problem) });
        } else if !self.is_full() {
            self.faults.push(fault);
        }
    }

    fn warn(&mut self, warning: Warning) {
        if self.tree.warnings.len() < REPORTED {
            self.tree.warnings.push(warning);
        } else {
            self.tree.more_warnings += 1;
        }
    }

    fn is_full(&self) -> bool {
        self.faults.len() >= REPORTED
    }
}
