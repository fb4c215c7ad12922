//! The file that names the process: there while it runs, and no longer.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, getpid, test_kill_process};

use crate::control::Owner;

/// Whom it names is no secret.
const MODE: u32 = 0o644;

/// The pid file, and whom it named before.
#[derive(Debug, Clone)]
pub(super) struct PidFile {
    path: PathBuf,
    owner: Owner,
    before: Option<Pid>,
}

impl PidFile {
    /// Looks whom it names, which may be the process that this one is to replace.
    pub(super) fn new(path: &Path, owner: Owner) -> Self {
        PidFile { path: path.to_owned(), owner, before: named(path) }
    }

    /// Has the file name this process, and belong to its owner.
    pub(super) fn write(&self) -> Result<()> {
        self.replace(getpid())
            .with_context(|| format!("cannot write the pid file {}", self.path.display()))
    }

    /// For the end of this process: takes the file away, unless it names another
    /// by now. If this one never served, the one before it is named again.
    pub(super) fn leave(&self, has_served: bool) {
        if named(&self.path) != Some(getpid()) {
            return;
        }
        let before = self.before.filter(|before| !has_served && is_alive(*before));
        let left = match before {
            Some(before) => self.replace(before).or_else(|_| self.overwrite(&line(before))),
            // In a folder where the user of a daemon may not do so, the file is theirs.
            None => std::fs::remove_file(&self.path).or_else(|_| self.overwrite("")),
        };
        if let Err(error) = left {
            ::log::warn!("the pid file {} stays as it is: {error}", self.path.display());
        }
    }

    /// For the process that serves on after all, whoever wrote the file meanwhile.
    pub(super) fn keeper(&self) -> Box<dyn Fn() + Send + Sync> {
        let file = self.clone();
        Box::new(move || file.name_again())
    }

    fn name_again(&self) {
        if named(&self.path) == Some(getpid()) {
            return;
        }
        if let Err(error) = self.replace(getpid()).or_else(|_| self.overwrite(&line(getpid()))) {
            ::log::warn!("the pid file {} names another: {error}", self.path.display());
        }
    }

    fn replace(&self, pid: Pid) -> std::io::Result<()> {
        self.owner.replace(&self.path, MODE, &line(pid))
    }

    fn overwrite(&self, text: &str) -> std::io::Result<()> {
        let no_link = OFlags::NOFOLLOW.bits().cast_signed();
        let mut options = File::options();
        let file = options.write(true).truncate(true).custom_flags(no_link).open(&self.path);
        file?.write_all(text.as_bytes())
    }
}

fn line(pid: Pid) -> String {
    format!("{}\n", pid.as_raw_nonzero())
}

/// The process that a file names.
fn named(path: &Path) -> Option<Pid> {
    Pid::from_raw(std::fs::read_to_string(path).ok()?.trim().parse().ok()?)
}

fn is_alive(pid: Pid) -> bool {
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is left of a file that held `before`, once a process that wrote
    /// it is gone; `meanwhile` is what somebody else wrote.
    #[track_caller]
    fn check(before: &str, has_served: bool, meanwhile: Option<&str>, expected: Option<&str>) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tidegate.pid");
        if !before.is_empty() {
            fs::write(&path, before).expect("written");
        }
        let file = PidFile::new(&path, Owner::new(None).expect("ours"));
        file.write().expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), format!("{}\n", std::process::id()));
        if let Some(text) = meanwhile {
            fs::write(&path, text).expect("written");
        }
        file.leave(has_served);
        assert_eq!(fs::read_to_string(&path).ok().as_deref(), expected, "{before:?}");
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), expected.iter().count());
    }

    #[test]
    fn it_goes_with_the_process_that_it_names() {
        check("", true, None, None);
        check("1\n", true, None, None);
        check("", false, None, None);
        check("", true, Some("1\n"), Some("1\n"));
        check("", true, Some("nonsense"), Some("nonsense"));
    }

    #[test]
    fn no_link_is_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        fs::write(at("other"), "kept").expect("written");
        for name in ["tidegate.pid", "tidegate.pid.new"] {
            std::os::unix::fs::symlink(at("other"), at(name)).expect("made");
        }
        let file = PidFile::new(&at("tidegate.pid"), Owner::new(None).expect("ours"));
        file.write().expect("written");
        assert_eq!(fs::read_to_string(at("other")).expect("there"), "kept");
        assert!(fs::symlink_metadata(at("tidegate.pid")).expect("there").is_file());
    }

    #[test]
    fn a_process_that_never_served_gives_the_name_back() {
        check("1\n", false, None, Some("1\n"));
        // Nobody has this number: it is beyond the most that Linux gives.
        check("4194305\n", false, None, None);
    }
}
