//! A file of users: a line `name:hash` for each, as htpasswd writes them.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use super::password::Hash;

/// The largest file that is read: some 10,000 users.
const LARGEST: u64 = 1 << 20;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;
/// Of the faults of one file, so many are told.
const MOST_TOLD: usize = 10;

/// Who may sign in. Invariant: not empty.
#[derive(Debug)]
pub(super) struct Users {
    by_name: HashMap<Box<str>, Arc<Hash>>,
    // One of theirs; verifying it takes as long as for a user that there is.
    decoy: Arc<Hash>,
}

impl Users {
    /// Reads a file; each fault names it, and the line.
    pub(super) fn read(path: &Path) -> Result<Users, Vec<String>> {
        let named = |what: String| vec![format!("`{}`: {what}", path.display())];
        let text = read_bounded(path, LARGEST).map_err(named)?;
        let faults = |found: Vec<(usize, String)>| -> Vec<String> {
            let lines = found.into_iter().take(MOST_TOLD);
            lines.map(|(line, what)| format!("{}:{line}: {what}", path.display())).collect()
        };
        let (by_name, first) = parse(&text).map_err(faults)?;
        let Some(decoy) = first else {
            return Err(named("has no user; write lines like name:hash".to_owned()));
        };
        Ok(Users { by_name, decoy })
    }

    /// The hash of a user, or one that stands in for it.
    pub(super) fn find(&self, name: &str) -> Found<'_> {
        match self.by_name.get_key_value(name) {
            Some((_, hash)) => Found { hash, is_known: true },
            None => Found { hash: &self.decoy, is_known: false },
        }
    }
}

/// What is verified for a name.
pub(super) struct Found<'a> {
    pub(super) hash: &'a Arc<Hash>,
    pub(super) is_known: bool,
}

type Parsed = (HashMap<Box<str>, Arc<Hash>>, Option<Arc<Hash>>);

/// The users and the hash of the first, or every line that is none.
fn parse(text: &str) -> Result<Parsed, Vec<(usize, String)>> {
    let mut by_name = HashMap::new();
    let mut first = None;
    let mut faults = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, hash) = match parse_line(line) {
            Ok(user) => user,
            Err(what) => {
                faults.push((number, what));
                continue;
            }
        };
        let hash = Arc::new(hash);
        first.get_or_insert_with(|| hash.clone());
        if by_name.insert(name.into(), hash).is_some() {
            faults.push((number, format!("`{name}` is there twice")));
        }
    }
    if faults.is_empty() { Ok((by_name, first)) } else { Err(faults) }
}

fn parse_line(line: &str) -> Result<(&str, Hash), String> {
    let (name, hash) = line.split_once(':').ok_or("is no user; write name:hash")?;
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {LONGEST_NAME} bytes and no control characters"));
    }
    let hash = Hash::read(hash).map_err(|unusable| format!("the hash of `{name}` {unusable}"))?;
    Ok((name, hash))
}

/// The text of a regular file that is not too large.
pub(super) fn read_bounded(path: &Path, largest: u64) -> Result<String, String> {
    // Asked before it is opened: to open a FIFO is to wait for its writer.
    let found = fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(largest + 1).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() as u64 > largest {
        return Err(format!("is larger than {} KiB", largest / 1024));
    }
    String::from_utf8(bytes).map_err(|_| "is no text in UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$2y$04$N9qo8uLOickgx2ZMRZoMye5LxIOdmkBZduNc1HRtuvNL00ocRV0le";

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        fs::write(&path, text).expect("a file");
        let faults = Users::read(&path).err().unwrap_or_default();
        let at = path.display().to_string();
        let faults: Vec<String> = faults.iter().map(|fault| fault.replace(&at, "F")).collect();
        assert_eq!(faults, expected);
    }

    #[test]
    fn reads_what_htpasswd_writes() {
        check(&format!("# staff\n\nann:{HASH}\nbob marley:{HASH}\r\n"), &[]);
    }

    #[test]
    fn every_fault_has_its_line() {
        check("", &["`F`: has no user; write lines like name:hash"]);
        check("# nobody\n", &["`F`: has no user; write lines like name:hash"]);
        check(
            &format!("ann:{HASH}\nbob\n:{HASH}\nann:{HASH}\ncarl:secret\ndora:$apr1$a$b"),
            &[
                "F:2: is no user; write name:hash",
                "F:3: a name has 1 to 255 bytes and no control characters",
                "F:4: `ann` is there twice",
                "F:5: the hash of `carl` is no hash of argon2 or bcrypt; \
                 make a hash with `tidegate hash-password`",
                "F:6: the hash of `dora` is a hash of MD5, which is guessed at once; \
                 make a hash with `tidegate hash-password`",
            ],
        );
    }

    #[test]
    fn files_are_read_within_a_bound() {
        check(&"#".repeat(LARGEST as usize), &["`F`: has no user; write lines like name:hash"]);
        check(&"#".repeat(LARGEST as usize + 1), &["`F`: is larger than 1024 KiB"]);
        let folder = tempfile::tempdir().expect("a folder");
        let of_folder = Users::read(folder.path()).expect_err("a folder");
        assert!(of_folder[0].ends_with("is no regular file"), "{of_folder:?}");
        assert!(Users::read(&folder.path().join("none")).is_err());
    }
}
