//! Bans in a file beside the socket of upgrades: whoever kills the process
//! lets nobody in.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::limit::{Ledger, Told};

use super::owner::Owner;

/// The format of the file. A new one gets a new number.
const VERSION: u32 = 1;
/// The most that is read: more than there may be bans.
const MOST: u64 = 16 << 20;

/// What is written.
#[derive(Debug, Serialize, Deserialize)]
struct Written {
    version: u32,
    /// When, in seconds since 1970.
    at: u64,
    bans: Vec<Told>,
}

/// Where bans are kept.
#[derive(Debug, Clone)]
pub(crate) struct BanFile {
    path: PathBuf,
    owner: Owner,
}

impl BanFile {
    pub(crate) fn beside(upgrade_sock: &Path, owner: Owner) -> Self {
        BanFile { path: upgrade_sock.with_file_name("bans.json"), owner }
    }

    /// Has a process that takes over from nobody know who was banned.
    pub(crate) fn read(&self, ledger: &Ledger) {
        match self.bans(now()) {
            Ok(bans) => ledger.learn(&bans),
            Err(error) => {
                ::log::warn!("who was banned is not read from {}: {error:#}", self.path.display());
            }
        }
    }

    /// Replaces the file; blocks.
    pub(super) fn write(&self, ledger: &Ledger) -> io::Result<()> {
        let written = Written { version: VERSION, at: now(), bans: ledger.bans() };
        let text = serde_json::to_string(&written)?;
        self.owner.replace(&self.path, 0o600, &text)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn bans(&self, now: u64) -> Result<Vec<Told>> {
        // Neither a link nor a pipe is what a process made.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        ensure!(self.owner.has_alone(&file.metadata()?), "others may write it");
        let mut text = String::new();
        file.take(MOST).read_to_string(&mut text)?;
        let written: Written = serde_json::from_str(&text).context("it cannot be read")?;
        let version = written.version;
        ensure!(version == VERSION, "it is of version {version}, and we read {VERSION}");
        let since = now.saturating_sub(written.at);
        let passed = |mut told: Told| {
            told.ends_in = told.ends_in.saturating_sub(since);
            told.forgotten_in = told.forgotten_in.saturating_sub(since);
            told
        };
        Ok(written.bans.into_iter().map(passed).collect())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::time::Duration;

    use super::*;

    fn file() -> (tempfile::TempDir, BanFile) {
        let dir = tempfile::tempdir().expect("a folder");
        let owner = Owner::new(None).expect("ours");
        let file = BanFile::beside(&dir.path().join("tidegate.sock"), owner);
        (dir, file)
    }

    fn networks(ledger: &Ledger) -> Vec<String> {
        ledger.bans().iter().map(|told| told.network.to_string()).collect()
    }

    #[test]
    fn a_process_knows_the_bans_of_one_that_was_killed() {
        let (_dir, file) = file();
        let (old, new) = (Ledger::default(), Ledger::default());
        file.read(&old);
        assert!(old.bans().is_empty(), "there is no file yet");
        for (network, seconds) in [("192.0.2.1/32", 60), ("2001:db8::/64", 3600)] {
            let period = Duration::from_secs(seconds);
            old.ban(network.parse().expect("good"), period).expect("room for it");
        }
        file.write(&old).expect("written");
        file.read(&new);
        assert_eq!(networks(&new), ["2001:db8::/64", "192.0.2.1/32"]);
        let mode = fs::metadata(file.path()).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // What has ended meanwhile is over.
        let later = file.bans(now() + 100).expect("good");
        let left: Vec<bool> = later.iter().map(|told| told.ends_in > 0).collect();
        assert_eq!(left, [true, false]);
    }

    #[test]
    fn a_file_that_is_not_ours_is_left() {
        let (_dir, file) = file();
        let ledger = Ledger::default();
        let network = "192.0.2.1".parse().expect("good");
        ledger.ban(network, Duration::from_secs(60)).expect("room for it");
        file.write(&ledger).expect("written");
        let good = fs::read_to_string(file.path()).expect("text");
        for bad in ["", "{}", &good.replace("\"version\":1", "\"version\":2")] {
            fs::write(file.path(), bad).expect("ours");
            assert!(file.bans(now()).is_err(), "{bad}");
        }
        fs::write(file.path(), &good).expect("ours");
        assert!(file.bans(now()).is_ok());
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o646)).expect("ours");
        assert!(file.bans(now()).is_err(), "others may write it");
    }
}
