//! Whose the process is, and what is for its owner alone: the folder in which
//! sockets and the admin token change hands.

use std::fs::{DirBuilder, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown, lchown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use nix::unistd::{Group, User};
use rustix::fs::{Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::geteuid;

/// The user that the process runs as once it serves.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner {
    uid: u32,
}

impl Owner {
    /// The owner of a process that becomes `user`; without one it stays who it is.
    pub(crate) fn new(user: Option<&str>) -> Result<Owner> {
        match user.map(user_named).transpose() {
            Ok(found) => {
                let uid = found.map_or_else(|| geteuid().as_raw(), |found| found.uid.as_raw());
                Ok(Owner { uid })
            }
            Err(what) => bail!("{what}"),
        }
    }

    pub(crate) fn uid(self) -> Uid {
        Uid::from_raw(self.uid)
    }

    /// Makes a folder that only the owner can enter, or checks that it is one.
    pub(crate) fn keep_private(self, folder: &Path) -> Result<()> {
        for missing in missing(folder) {
            let made = DirBuilder::new().mode(0o700).create(missing);
            made.and_then(|()| lchown(missing, Some(self.uid), None))
                .with_context(|| format!("cannot make the folder {}", missing.display()))?;
        }
        let found = std::fs::metadata(folder)
            .with_context(|| format!("cannot look at the folder {}", folder.display()))?;
        let (mode, uid, owner) = (found.mode() & 0o777, found.uid(), self.uid);
        if mode & 0o077 == 0 && uid == owner {
            return Ok(());
        }
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let folder = folder.display();
        bail!(
            "the folder {folder} is not private: whoever can enter it could take the sockets over \
             or read the token; it has mode {mode:04o} and belongs to user {uid}. Give \
             server.upgrade_sock a folder of its own, which is made; a relative one is looked for \
             where the process is started. One that is for nothing else may stay: it is private \
             with mode 0700 and user {owner}"
        )
    }

    /// The text of a file that is for the owner, and root, alone; none if there is
    /// no file. At most `most` bytes are read.
    ///
    /// One that others may read or write, or that cannot be read, is an error
    /// that says what would be right: nobody takes it for none and replaces it.
    pub(super) fn read_private(self, path: &Path, most: u64) -> Result<Option<String>> {
        // Neither a link nor a pipe is what a process made.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => bail!("{} is a link, and must be a file", path.display()),
            Err(error) => bail!("{} cannot be read: {error}", path.display()),
        };
        let context = || format!("{} cannot be read", path.display());
        self.check_private(path, &file.metadata().with_context(context)?)?;
        let mut text = String::new();
        file.take(most).read_to_string(&mut text).with_context(context)?;
        Ok(Some(text))
    }

    fn check_private(self, path: &Path, found: &Metadata) -> Result<()> {
        let (path, owner) = (path.display(), self.uid);
        let (mode, uid) = (found.mode() & 0o7777, found.uid());
        let is_theirs = [owner, geteuid().as_raw()].contains(&uid);
        ensure!(found.is_file(), "{path} is no file");
        ensure!(
            mode == 0o600 && is_theirs,
            "others could know or change what {path} says: it has mode {mode:04o} and belongs to \
             user {uid}. Either remove it, or run `chown {owner} {path} && chmod 0600 {path}`"
        );
        Ok(())
    }

    /// Puts a new file of the owner's in the place of an old one: a reader never
    /// sees half of it, and who had opened the old one cannot read the new one.
    ///
    /// Follows no link at `path`, for root does this in a folder of the user's.
    pub(crate) fn replace(self, path: &Path, mode: u32, text: &str) -> io::Result<()> {
        let fresh = beside(path);
        if let Err(error) = std::fs::remove_file(&fresh)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let mut made = File::options();
        let mut file = made.write(true).create_new(true).mode(mode).open(&fresh)?;
        let mut write = || {
            file.write_all(text.as_bytes())?;
            fchown(&file, Some(self.uid), None)?;
            file.sync_all()?;
            std::fs::rename(&fresh, path)
        };
        write().inspect_err(|_| {
            // What went wrong first is what matters.
            std::fs::remove_file(&fresh).ok();
        })
    }
}

/// Where what replaces a file is written first.
fn beside(path: &Path) -> PathBuf {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    fresh.into()
}

/// The user of this machine with that name, or what is wrong with it.
pub(crate) fn user_named(name: &str) -> Result<User, String> {
    found("user", name, User::from_name(name))
}

/// The group of this machine with that name, or what is wrong with it.
pub(crate) fn group_named(name: &str) -> Result<Group, String> {
    found("group", name, Group::from_name(name))
}

fn found<T>(kind: &str, name: &str, found: nix::Result<Option<T>>) -> Result<T, String> {
    match found {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(format!("there is no {kind} `{name}` on this machine; write its name")),
        Err(error) => Err(format!("the {kind} `{name}` cannot be looked up: {error}")),
    }
}

/// The folder that a file is in.
pub(crate) fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The folders on the way to `folder` that are not there, the outermost first.
fn missing(folder: &Path) -> Vec<&Path> {
    let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let mut missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
    missing.reverse();
    missing
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn us() -> Owner {
        Owner::new(None).expect("ours")
    }

    #[test]
    fn folders_are_made_for_the_owner_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("a/run");
        us().keep_private(&folder).expect("made");
        for made in [folder.as_path(), &dir.path().join("a")] {
            assert_eq!(fs::metadata(made).expect("there").mode() & 0o777, 0o700);
        }
        us().keep_private(&folder).expect("it is private");
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused_with_a_remedy() {
        let dir = tempfile::tempdir().expect("a directory");
        for mode in [0o755, 0o770, 0o701] {
            fs::set_permissions(dir.path(), Permissions::from_mode(mode)).expect("ours");
            let refused = us().keep_private(dir.path()).expect_err("open").to_string();
            assert!(refused.contains(&format!("has mode {mode:04o}")), "{refused}");
            assert!(refused.contains("it is private with mode 0700"), "{refused}");
        }
        fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).expect("ours");
        let somebody = Owner { uid: geteuid().as_raw() + 1 };
        let refused = somebody.keep_private(dir.path()).expect_err("not theirs").to_string();
        assert!(refused.contains(&format!("and user {}", somebody.uid)), "{refused}");
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_no_link_is_followed() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |name: &str| dir.path().join(name);
        fs::write(at("other"), "kept").expect("written");
        for name in ["edge.1", "edge.1.new"] {
            std::os::unix::fs::symlink(at("other"), at(name)).expect("made");
        }
        // Another file, whose name differs in what looks like an extension.
        fs::write(at("edge.new"), "kept").expect("written");
        us().replace(&at("edge.1"), 0o600, "text").expect("replaced");
        for (name, text) in [("other", "kept"), ("edge.new", "kept"), ("edge.1", "text")] {
            assert_eq!(fs::read_to_string(at(name)).expect("there"), text, "{name}");
        }
        let found = fs::symlink_metadata(at("edge.1")).expect("there");
        assert!(found.is_file() && found.mode() & 0o777 == 0o600, "{found:?}");
        assert!(!at("edge.1.new").exists());
    }

    #[test]
    fn what_others_could_know_is_no_private_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("secret");
        let read = || us().read_private(&path, 4).map_err(|error| error.to_string());
        assert_eq!(read(), Ok(None));
        us().replace(&path, 0o600, "text and more").expect("written");
        assert_eq!(read(), Ok(Some("text".to_owned())));
        for mode in [0o640, 0o604, 0o400, 0o4600] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).expect("ours");
            let refused = read().expect_err("open");
            assert!(refused.contains(&format!("has mode {mode:04o}")), "{refused}");
            assert!(refused.contains("chmod 0600"), "{refused}");
        }
        fs::rename(&path, dir.path().join("other")).expect("moved");
        std::os::unix::fs::symlink("other", &path).expect("linked");
        assert!(read().expect_err("a link").ends_with("is a link, and must be a file"));
        fs::remove_file(&path).expect("removed");
        fs::create_dir(&path).expect("made");
        assert!(read().expect_err("a folder").ends_with("is no file"));
        let below = us().read_private(&dir.path().join("other/file"), 4);
        assert!(below.expect_err("no folder").to_string().contains("cannot be read: "));
    }

    #[test]
    fn what_could_not_replace_a_file_is_not_left_behind() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("edge");
        fs::create_dir(&path).expect("made");
        us().replace(&path, 0o600, "text").expect_err("a folder is in the way");
        assert_eq!(fs::read_dir(dir.path()).expect("there").count(), 1);
    }

    #[test]
    fn users_and_groups_are_known_by_name() {
        assert_eq!(Owner::new(Some("root")).expect("everywhere").uid, 0);
        assert_eq!(group_named("root").expect("everywhere").gid.as_raw(), 0);
        for name in ["nobody at all", "65534"] {
            let what = format!("there is no user `{name}` on this machine; write its name");
            assert_eq!(Owner::new(Some(name)).expect_err("unknown").to_string(), what);
            assert_eq!(group_named(name), Err(what.replace("user", "group")));
        }
    }

    #[test]
    fn a_bare_name_is_in_the_folder_of_the_process() {
        assert_eq!(folder_of(Path::new("tidegate.sock")), Path::new("."));
        assert_eq!(folder_of(Path::new("run/tidegate.sock")), Path::new("run"));
    }
}
