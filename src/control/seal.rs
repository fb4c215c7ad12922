//! What passes of the challenge are sealed with, kept in a file: so a process
//! that takes over or starts again knows the passes of the one before, and so
//! does every machine that has a copy.

use std::path::Path;

use anyhow::{Context, Result};

use crate::access::Seal;

use super::owner::Owner;

/// Bytes read of the file; one that is made has 65.
const LONGEST: u64 = 256;

/// The seal of the file, or a new one in it.
///
/// One that others could know, or that cannot be read, stays where it is for
/// the operator to look at, and everybody solves puzzles anew.
pub(crate) fn find_seal(path: &Path, owner: Owner) -> Seal {
    find(path, owner).unwrap_or_else(|error| {
        ::log::warn!("passes of the challenge end with this process: {error:#}");
        Seal::random()
    })
}

fn find(path: &Path, owner: Owner) -> Result<Seal> {
    let Some(text) = owner.read_private(path, LONGEST)? else {
        return make(path, owner);
    };
    Seal::of(text.trim_end()).with_context(|| {
        format!("{} does not hold 64 hexadecimal digits; remove or replace it", path.display())
    })
}

fn make(path: &Path, owner: Owner) -> Result<Seal> {
    let (seal, text) = Seal::make();
    owner
        .replace(path, 0o600, &format!("{text}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(seal)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn us() -> Owner {
        Owner::new(None).expect("ours")
    }

    #[test]
    fn a_seal_is_made_once_and_found_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("challenge.key");
        find(&path, us()).expect("made");
        let text = fs::read_to_string(&path).expect("readable");
        assert!(Seal::of(text.trim_end()).is_some(), "{text}");
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        find(&path, us()).expect("found");
        assert_eq!(fs::read_to_string(&path).expect("readable"), text);
    }

    #[test]
    fn a_file_that_is_no_secret_is_left_and_not_used() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("challenge.key");
        let refused = |what: &str| {
            let before = fs::read(&path).ok();
            assert!(find(&path, us()).is_err(), "{what}");
            assert_eq!(fs::read(&path).ok(), before, "{what}");
        };
        find(&path, us()).expect("made");
        let good = fs::read_to_string(&path).expect("readable");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
        refused("others may read it");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
        fs::write(&path, good.get(1..).expect("digits")).expect("writable");
        refused("too short");
        fs::rename(&path, dir.path().join("other")).expect("moved");
        symlink("other", &path).expect("linked");
        refused("a link");
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        refused("a folder");
        let nowhere = dir.path().join("none/challenge.key");
        assert!(find(&nowhere, us()).is_err());
        find_seal(&nowhere, us());
    }
}
