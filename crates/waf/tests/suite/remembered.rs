//! What libmodsecurity said to the same requests by the same rules, kept in cargo's folder of
//! temporary files: it takes half a minute to hear it again.

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::rules::{Setup, Source};

/// Where an answer goes that is not known yet; None where it cannot be known what answered.
pub(crate) struct Memory(Option<PathBuf>);

impl Memory {
    pub(crate) fn keep(self, lines: Vec<String>) -> Vec<String> {
        if let Some(path) = self.0 {
            let own = own_file();
            std::fs::write(&own, lines.join("\n")).unwrap();
            std::fs::rename(own, path).unwrap();
        }
        lines
    }
}

pub(crate) fn lines(
    program: &Path,
    setup: &Setup,
    requests: &[String],
) -> Result<Vec<String>, Memory> {
    let Some(library) = library_of(program) else { return Err(Memory(None)) };
    let mut hasher = DefaultHasher::new();
    program.hash(&mut hasher);
    (library.len(), library.modified().unwrap()).hash(&mut hasher);
    requests.hash(&mut hasher);
    setup.scores.hash(&mut hasher);
    for source in &setup.sources {
        match source {
            Source::Text(text) => text.hash(&mut hasher),
            Source::File(path) => hash_rules(path, &mut hasher),
        }
    }
    let path = file(&format!("verdicts-{:x}", hasher.finish()));
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
        Err(_) => Err(Memory(Some(path))),
    }
}

/// Phrases of @pmFromFile lie beside the rules, so the folder counts as well.
fn hash_rules(path: &Path, hasher: &mut DefaultHasher) {
    path.hash(hasher);
    std::fs::read(path).unwrap().hash(hasher);
    let Some(folder) = path.parent() else { return };
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(Result::unwrap).collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata().unwrap();
        (entry.file_name(), metadata.len(), metadata.modified().unwrap()).hash(hasher);
    }
}

fn library_of(program: &Path) -> Option<Metadata> {
    let output = Command::new("ldd").arg(program).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let line = text.lines().find(|line| line.contains("libmodsecurity"))?;
    let path = line.split_whitespace().find(|word| word.starts_with('/'))?;
    std::fs::metadata(path).ok()
}

pub(crate) fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Tests run at once and in several processes: each writes its own file, and moves it then.
pub(crate) fn own_file() -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id());
    let digits: String = thread.chars().filter(char::is_ascii_digit).collect();
    file(&format!("own-{}-{digits}", std::process::id()))
}
