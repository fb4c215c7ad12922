//! Bans in a file beside the socket of upgrades: whoever kills the process
//! lets nobody in.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::limit::{Ledger, Told};
use crate::site::State;

use super::aside::Aside;
use super::owner::Owner;

/// The format of the file. A new one gets a new number.
const VERSION: u32 = 1;
/// How often bans are written, if there are new ones.
const KEEP: Duration = Duration::from_secs(5);
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
    fn write(&self, ledger: &Ledger) -> io::Result<()> {
        let written = Written { version: VERSION, at: now(), bans: ledger.bans() };
        let text = serde_json::to_string(&written)?;
        self.owner.replace(&self.path, 0o600, &text)
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

/// Keeps the file true as long as the process serves.
pub(super) struct Keeper {
    kept: Arc<KeptBans>,
    look: Interval,
    aside: Aside,
}

/// What is in the file by now.
pub(crate) struct KeptBans {
    file: BanFile,
    state: Arc<State>,
    /// How often bans had changed.
    changes: AtomicU64,
    /// Whether that it cannot be written has been said.
    is_failing: AtomicBool,
    // Two at the same time would write the same file.
    one_at_a_time: Mutex<()>,
}

impl Keeper {
    pub(super) fn new(kept: Arc<KeptBans>) -> Self {
        let mut look = interval(KEEP);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Keeper { kept, look, aside: Aside::default() }
    }

    /// Waits until there is to be a look at whether bans have changed.
    pub(super) async fn due(&mut self) {
        self.look.tick().await;
    }

    /// Writes them if they have.
    pub(super) fn keep(&mut self) {
        // Who drains may have a successor, whose file it is.
        if self.kept.is_behind() && !self.kept.state.is_draining() {
            let kept = self.kept.clone();
            self.aside.begin(move || kept.write());
        }
    }
}

impl KeptBans {
    pub(crate) fn new(file: BanFile, state: Arc<State>) -> Arc<Self> {
        let (changes, is_failing) = (AtomicU64::new(0), AtomicBool::new(false));
        Arc::new(KeptBans { file, state, changes, is_failing, one_at_a_time: Mutex::default() })
    }

    fn is_behind(&self) -> bool {
        self.changes.load(Ordering::Relaxed) != self.state.ledger.ban_changes()
    }

    /// Writes bans that are not in the file; blocks. Those that could not be
    /// written are behind still.
    pub(super) fn write(&self) {
        let _one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_behind() {
            return;
        }
        // Asked first: what comes meanwhile is written the next time.
        let changes = self.state.ledger.ban_changes();
        let path = self.file.path.display();
        match self.file.write(&self.state.ledger) {
            Ok(()) => {
                self.changes.store(changes, Ordering::Relaxed);
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    ::log::info!("bans are written to {path} again");
                }
            }
            Err(error) if !self.is_failing.swap(true, Ordering::Relaxed) => {
                ::log::error!("bans are not written to {path}, which is tried again: {error}");
            }
            Err(_) => {}
        }
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
    use crate::log::{Logs, Metrics};

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
        let mode = fs::metadata(&file.path).expect("there").permissions().mode();
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
        let good = fs::read_to_string(&file.path).expect("text");
        for bad in ["", "{}", &good.replace("\"version\":1", "\"version\":2")] {
            fs::write(&file.path, bad).expect("ours");
            assert!(file.bans(now()).is_err(), "{bad}");
        }
        fs::write(&file.path, &good).expect("ours");
        assert!(file.bans(now()).is_ok());
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o646)).expect("ours");
        assert!(file.bans(now()).is_err(), "others may write it");
    }

    #[tokio::test]
    async fn bans_that_could_not_be_written_are_written_later() {
        let (dir, file) = file();
        let metrics = Metrics::new();
        let config = serde_yaml::from_str("access: { to: off }").expect("well-formed");
        let owner = rustix::process::geteuid();
        let (logs, _) = Logs::open(&config, owner, &metrics).expect("no log");
        let state = State::new(metrics, logs, Ledger::default());
        let mut keeper = Keeper::new(KeptBans::new(file.clone(), state.clone()));
        let path = dir.path().join("bans.json");
        keeper.keep();
        keeper.aside.done().await;
        assert!(!path.exists(), "there is nothing to write");
        state
            .ledger
            .ban("192.0.2.1".parse().expect("good"), Duration::from_secs(60))
            .expect("room");
        // What it would write first cannot be made.
        let in_the_way = dir.path().join("bans.json.new");
        fs::create_dir(&in_the_way).expect("ours");
        for is_free in [false, false, true] {
            if is_free {
                fs::remove_dir(&in_the_way).expect("ours");
            }
            keeper.keep();
            keeper.aside.done().await;
            assert_eq!(path.exists(), is_free);
        }
        fs::remove_file(&path).expect("ours");
        keeper.keep();
        keeper.aside.done().await;
        assert!(!path.exists(), "nothing has changed");
        // Who drains leaves the file alone.
        state
            .ledger
            .ban("192.0.2.2".parse().expect("good"), Duration::from_secs(60))
            .expect("room");
        state.begin_draining();
        keeper.keep();
        keeper.aside.done().await;
        assert!(!path.exists());
    }
}
