//! A file of users: a line `name:hash` for each, as htpasswd writes them.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;

use super::password::Hash;
use crate::watch::{Holdings, read_text};

/// The largest file that is read: some 10,000 users.
const LARGEST: u64 = 1 << 20;
/// The longest name, in bytes.
const LONGEST_NAME: usize = 255;
/// Of the faults of one file, so many are told.
const MOST_TOLD: usize = 10;

/// Who may sign in. Invariant: not empty.
#[derive(Debug)]
pub(super) struct Users {
    by_name: ByName,
    // Those of all users. What stands in for the hash of a name that there is
    // not is one of them, always the same for a name: who measures how long it
    // takes sees what some user takes, and not whether the name is one.
    decoys: Box<[Arc<Hash>]>,
    choice: RandomState,
}

impl Users {
    /// Reads a file; each fault names it, and the line.
    pub(super) fn read(path: &Path) -> Result<Users, Vec<String>> {
        let named = |what: String| vec![format!("`{}`: {what}", path.display())];
        let text = read_text(path, LARGEST).map_err(named)?;
        let faults = |found: Vec<(usize, String)>| -> Vec<String> {
            let lines = found.into_iter().take(MOST_TOLD);
            lines.map(|(line, what)| format!("{}:{line}: {what}", path.display())).collect()
        };
        let by_name = parse(&text).map_err(faults)?;
        if by_name.is_empty() {
            return Err(named("has no user; write lines like name:hash".to_owned()));
        }
        let decoys = by_name.values().cloned().collect();
        Ok(Users { by_name, decoys, choice: RandomState::new() })
    }

    /// The hash of a user, or one that stands in for it.
    pub(super) fn find(&self, name: &str) -> Found<'_> {
        match self.by_name.get_key_value(name) {
            Some((_, hash)) => Found { hash, is_known: true },
            None => Found { hash: self.decoy(name), is_known: false },
        }
    }

    fn decoy(&self, name: &str) -> &Arc<Hash> {
        let drawn = self.choice.hash_one(name) as usize % self.decoys.len();
        &self.decoys[drawn]
    }
}

impl Holdings for Users {
    fn told(&self) -> String {
        format!("{} users", self.by_name.len())
    }

    fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

type ByName = HashMap<Box<str>, Arc<Hash>>;

/// What is verified for a name.
pub(super) struct Found<'a> {
    pub(super) hash: &'a Arc<Hash>,
    pub(super) is_known: bool,
}

/// The users, or every line that is none.
fn parse(text: &str) -> Result<ByName, Vec<(usize, String)>> {
    let mut by_name = ByName::new();
    let mut faults = Vec::new();
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
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
        if by_name.insert(name.into(), Arc::new(hash)).is_some() {
            faults.push((number, format!("`{name}` is there twice")));
        }
    }
    if faults.is_empty() { Ok(by_name) } else { Err(faults) }
}

fn parse_line(line: &str) -> Result<(&str, Hash), String> {
    let (name, hash) = line.split_once(':').ok_or("is no user; write name:hash")?;
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        return Err(format!("a name has 1 to {LONGEST_NAME} bytes and no control characters"));
    }
    let hash = Hash::read(hash).map_err(|unusable| format!("the hash of `{name}` {unusable}"))?;
    Ok((name, hash))
}

#[cfg(test)]
mod tests {
    use std::fs;

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
        // Editors write a mark before the first name.
        check(&format!("\u{feff}ann:{HASH}\nann:{HASH}"), &["F:2: `ann` is there twice"]);
        check(&format!("# staff\n\nann:{HASH}\nbob marley:{HASH}\r\n"), &[]);
    }

    #[test]
    fn a_name_without_a_user_takes_what_some_user_takes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users");
        let slow = HASH.replace("$04$", "$06$");
        let lines = ["ann", "bob"].map(|name| format!("{name}:{HASH}\n{name}-slow:{slow}\n"));
        fs::write(&path, lines.concat()).expect("a file");
        let users = Users::read(&path).expect("users");
        let names: Vec<String> = (0..200).map(|number| format!("nobody{number}")).collect();
        let cost = |name: &String| {
            let found = users.find(name);
            assert!(!found.is_known);
            found.hash.text() == slow
        };
        let slow_ones = names.iter().filter(|name| cost(name)).count();
        // All the same is as likely as 200 tosses of a coin.
        assert!((1..200).contains(&slow_ones), "{slow_ones}");
        assert_eq!(slow_ones, names.iter().filter(|name| cost(name)).count(), "each its own");
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
        check(&"#".repeat(LARGEST as usize + 1), &["`F`: is larger than 1 MiB"]);
        let folder = tempfile::tempdir().expect("a folder");
        let of_folder = Users::read(folder.path()).expect_err("a folder");
        assert!(of_folder[0].ends_with("is no regular file"), "{of_folder:?}");
        assert!(Users::read(&folder.path().join("none")).is_err());
    }
}
