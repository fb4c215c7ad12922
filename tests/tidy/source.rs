//! The files of the project, as the checks look at them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Entries of the root that hold nothing anybody wrote.
const NOT_OURS: [&str; 3] = ["target", "run", ".git"];
/// The extensions of what somebody wrote; programs and licences have none.
const WRITTEN: [&str; 14] = [
    "rs", "toml", "lock", "md", "yaml", "yml", "sh", "html", "css", "svg", "proto", "js", "txt",
    "py",
];

/// Every text file of the project, by its path from the root.
pub(super) struct House {
    files: BTreeMap<String, File>,
}

impl House {
    pub(super) fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut files = BTreeMap::new();
        gather(root, root, &mut files);
        House { files }
    }

    /// A made-up house, to test the checks with.
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let files = files.iter().map(|(path, text)| ((*path).to_owned(), File::new(path, text)));
        House { files: files.collect() }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &File> {
        self.files.values()
    }

    /// The files below `folder`, which ends in `/`.
    pub(super) fn below(&self, folder: &str) -> impl Iterator<Item = &File> {
        self.all().filter(move |file| file.path.starts_with(folder))
    }

    /// The Rust files of the project.
    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.all().filter(|file| file.path.ends_with(".rs"))
    }

    pub(super) fn get(&self, path: &str) -> Option<&File> {
        self.files.get(path)
    }
}

fn gather(root: &Path, folder: &Path, files: &mut BTreeMap<String, File>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name in UTF-8");
        if NOT_OURS.contains(&name) {
            continue;
        }
        if path.is_dir() {
            gather(root, &path, files);
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if !extension.is_none_or(|extension| WRITTEN.contains(&extension)) {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let relative = path.strip_prefix(root).expect("below the root");
        let relative = relative.to_str().expect("a path in UTF-8");
        files.insert(relative.to_owned(), File::new(relative, &text));
    }
}

/// One file; of Rust also what the compiler reads.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
    /// Without comments; documentation is there as `#[doc]`.
    pub(super) code: Code,
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> Self {
        let mut code = Code(Vec::new());
        if path.ends_with(".rs") {
            let tokens: TokenStream =
                text.parse().unwrap_or_else(|error| panic!("{path} is no Rust: {error}"));
            code.append(tokens);
        }
        File { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// The lines and their numbers.
    pub(super) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Says what is wrong, where.
    pub(super) fn fault(&self, line: usize, what: impl std::fmt::Display) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// The tokens of a file, one after the other; groups by their delimiters.
pub(super) struct Code(Vec<Token>);

pub(super) struct Token {
    pub(super) text: String,
    pub(super) line: usize,
    // Of an opening delimiter, where its group ends.
    end: Option<usize>,
}

impl Code {
    fn append(&mut self, tokens: TokenStream) {
        for tree in tokens {
            let TokenTree::Group(group) = tree else {
                self.push(tree.to_string(), tree.span().start().line);
                continue;
            };
            let (open, close) = match group.delimiter() {
                Delimiter::Parenthesis => ("(", ")"),
                Delimiter::Brace => ("{", "}"),
                Delimiter::Bracket => ("[", "]"),
                Delimiter::None => ("", ""),
            };
            let start = self.0.len();
            self.push(open.to_owned(), group.span_open().start().line);
            self.append(group.stream());
            let end = self.0.len();
            self.push(close.to_owned(), group.span_close().start().line);
            self.0[start].end = Some(end);
        }
    }

    fn push(&mut self, text: String, line: usize) {
        self.0.push(Token { text, line, end: None });
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The text of a token; empty beyond the ends.
    pub(super) fn text(&self, at: usize) -> &str {
        self.0.get(at).map_or("", |token| &token.text)
    }

    pub(super) fn line(&self, at: usize) -> usize {
        self.0.get(at).map_or(0, |token| token.line)
    }

    /// Where the group that opens at `at` ends.
    pub(super) fn end(&self, at: usize) -> Option<usize> {
        self.0.get(at)?.end
    }

    /// Whether the tokens from `at` on are these.
    pub(super) fn reads(&self, at: usize, expected: &[&str]) -> bool {
        expected.iter().enumerate().all(|(offset, text)| self.text(at + offset) == *text)
    }

    /// Where these tokens stand.
    pub(super) fn find<'a>(&'a self, expected: &'a [&str]) -> impl Iterator<Item = usize> + 'a {
        (0..self.len()).filter(move |at| self.reads(*at, expected))
    }

    /// Every path whose first word `is_root`, in `use` groups one each.
    pub(super) fn paths(&self, is_root: impl Fn(&str) -> bool) -> Vec<CodePath> {
        let mut found = Vec::new();
        for at in 0..self.len() {
            let is_first = at < 2 || !self.reads(at - 2, &[":", ":"]);
            if is_first && is_root(self.text(at)) && self.reads(at + 1, &[":", ":"]) {
                self.follow(at, &mut Vec::new(), &mut found);
            }
        }
        found
    }

    fn follow(&self, at: usize, before: &mut Vec<String>, found: &mut Vec<CodePath>) {
        if self.text(at) == "{" {
            let mut item = at + 1;
            while Some(item) < self.end(at) {
                self.follow(item, before, found);
                item = self.after_comma(item, at);
            }
            return;
        }
        before.push(self.text(at).to_owned());
        if self.reads(at + 1, &[":", ":"]) && self.text(at + 3) != "<" {
            self.follow(at + 3, before, found);
        } else {
            found.push(CodePath { at, line: self.line(at), words: before.clone() });
        }
        before.pop();
    }

    /// The token after the next comma of the group that opens at `group`.
    fn after_comma(&self, mut at: usize, group: usize) -> usize {
        let end = self.end(group).unwrap_or(at);
        while at < end && self.text(at) != "," {
            at = self.end(at).unwrap_or(at) + 1;
        }
        at + 1
    }
}

/// A path as code names it: `crate::route::Match`.
#[derive(Debug)]
pub(super) struct CodePath {
    /// The token of its last word.
    pub(super) at: usize,
    pub(super) line: usize,
    pub(super) words: Vec<String>,
}
