//! Bans in a file beside the socket of upgrades: whoever kills the process
//! lets nobody in.
//!
//! The file is of the process that serves. One that has handed over, or given
//! its sockets up, goes on banning for as long as it drains; what it finds out
//! is in a second file, from which the next one takes it.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

use crate::limit::{Ledger, Told};
use crate::networks::Network;
use crate::site::State;

use super::aside::Aside;
use super::owner::Owner;

/// The format of the file. A new one gets a new number.
const VERSION: u32 = 1;
/// How often bans are written, if there are new ones, and looked for.
const KEEP: Duration = Duration::from_secs(5);
/// The most that is read: more than there may be bans.
const MOST: u64 = 16 << 20;
/// The most late bans that wait to be taken; those found out first go.
const MOST_LATE: usize = 50_000;

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
    /// What a process has found out that does not serve any more.
    late: PathBuf,
    owner: Owner,
}

impl BanFile {
    pub(crate) fn beside(upgrade_sock: &Path, owner: Owner) -> Self {
        let path = upgrade_sock.with_file_name("bans.json");
        BanFile { path, late: upgrade_sock.with_file_name("bans.late.json"), owner }
    }

    /// Has a process that takes over from nobody know who was banned.
    pub(crate) fn read(&self, ledger: &Ledger) {
        for path in [&self.path, &self.late] {
            self.learn(path, ledger);
        }
    }

    fn learn(&self, path: &Path, ledger: &Ledger) {
        match self.bans(path, now()) {
            Ok(bans) => ledger.learn(&bans),
            Err(error) => ::log::warn!("who was banned is not known: {error:#}"),
        }
    }

    /// Takes what a process has found out after it had handed over; blocks.
    fn take_late(&self, ledger: &Ledger) {
        // Under a name of our own, nobody replaces it between two steps.
        let taken = self.late.with_extension("taken");
        match std::fs::rename(&self.late, &taken) {
            Ok(()) => {
                self.learn(&taken, ledger);
                std::fs::remove_file(&taken).ok();
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => ::log::warn!("{} cannot be taken: {error}", self.late.display()),
        }
    }

    /// Leaves bans to the next process, besides those that it has not taken yet;
    /// blocks.
    fn leave(&self, found: Vec<Told>) -> io::Result<()> {
        let mut late = self.bans(&self.late, now()).unwrap_or_default();
        late.extend(found);
        late.drain(..late.len().saturating_sub(MOST_LATE));
        self.replace(&self.late, late)
    }

    /// Replaces the file; blocks.
    fn write(&self, ledger: &Ledger) -> io::Result<()> {
        self.replace(&self.path, ledger.bans())
    }

    fn replace(&self, path: &Path, bans: Vec<Told>) -> io::Result<()> {
        let text = serde_json::to_string(&Written { version: VERSION, at: now(), bans })?;
        self.owner.replace(path, 0o600, &text)
    }

    fn bans(&self, path: &Path, now: u64) -> Result<Vec<Told>> {
        let Some(text) = self.owner.read_private(path, MOST)? else {
            return Ok(Vec::new());
        };
        let unreadable = || format!("{} is no list of bans", path.display());
        let written: Written = serde_json::from_str(&text).with_context(unreadable)?;
        let (path, version) = (path.display(), written.version);
        ensure!(version == VERSION, "{path} is of version {version}, and we read {VERSION}");
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
    /// Whether the file is another process's, or may be.
    is_left: AtomicBool,
    /// What others know: how often each network had been banned.
    told: Mutex<HashMap<Network, u32>>,
    // Two at the same time would write the same file.
    one_at_a_time: Mutex<()>,
}

impl Keeper {
    pub(super) fn new(kept: Arc<KeptBans>) -> Self {
        // Not at once: the process before may still be writing the file.
        let mut look = interval_at(Instant::now() + KEEP, KEEP);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Keeper { kept, look, aside: Aside::default() }
    }

    /// Waits until there is to be a look at whether bans have changed.
    pub(super) async fn due(&mut self) {
        self.look.tick().await;
    }

    /// Writes them if they have, and takes those that come late.
    pub(super) fn keep(&mut self) {
        let kept = self.kept.clone();
        self.aside.begin(move || kept.keep());
    }
}

impl KeptBans {
    pub(crate) fn new(file: BanFile, state: Arc<State>) -> Arc<Self> {
        Arc::new(KeptBans {
            file,
            state,
            changes: AtomicU64::new(0),
            is_failing: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
            told: Mutex::default(),
            one_at_a_time: Mutex::default(),
        })
    }

    /// Notes that the next process learns of all bans that there are now.
    pub(super) fn tell(&self) {
        let known = self.state.ledger.bans().into_iter().map(|ban| (ban.network, ban.times));
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = known.collect();
    }

    /// Leaves the file to the next process: what it was not told is left to it
    /// from here on.
    pub(super) fn leave(&self) {
        if !self.is_left.swap(true, Ordering::Relaxed) {
            // What is in the file is nothing that the next one has read.
            self.changes.store(u64::MAX, Ordering::Relaxed);
        }
    }

    fn keep(&self) {
        match (self.is_left.load(Ordering::Relaxed), self.state.is_draining()) {
            (true, _) => self.write(),
            (false, false) => {
                self.file.take_late(&self.state.ledger);
                self.write();
            }
            // The file is being left.
            (false, true) => {}
        }
    }

    fn is_behind(&self) -> bool {
        self.changes.load(Ordering::Relaxed) != self.state.ledger.ban_changes()
    }

    /// Writes bans that are not in a file; blocks. Those that could not be
    /// written are behind still.
    pub(super) fn write(&self) {
        let _one = self.one_at_a_time.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_behind() {
            return;
        }
        // Asked first: what comes meanwhile is written the next time.
        let changes = self.state.ledger.ban_changes();
        let (path, done) = match self.is_left.load(Ordering::Relaxed) {
            true => (&self.file.late, self.write_late()),
            false => (&self.file.path, self.file.write(&self.state.ledger)),
        };
        let path = path.display();
        match done {
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

    fn write_late(&self) -> io::Result<()> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let bans = self.state.ledger.bans().into_iter();
        let found = bans.filter(|ban| told.get(&ban.network) != Some(&ban.times));
        let found: Vec<Told> = found.collect();
        if found.is_empty() {
            return Ok(());
        }
        let known: Vec<_> = found.iter().map(|ban| (ban.network, ban.times)).collect();
        self.file.leave(found)?;
        told.extend(known);
        Ok(())
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
        let later = file.bans(&file.path, now() + 100).expect("good");
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
        let bans = || file.bans(&file.path, now());
        for bad in ["", "{}", &good.replace("\"version\":1", "\"version\":2")] {
            fs::write(&file.path, bad).expect("ours");
            assert!(bans().is_err(), "{bad}");
        }
        fs::write(&file.path, &good).expect("ours");
        assert!(bans().is_ok());
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o646)).expect("ours");
        assert!(bans().is_err(), "others may write it");
    }

    fn state() -> Arc<State> {
        let metrics = Metrics::new();
        let config = serde_yaml::from_str("access: { to: off }").expect("well-formed");
        let owner = rustix::process::geteuid();
        let (logs, _) = Logs::open(&config, owner, &metrics).expect("no log");
        State::new(metrics, logs, Ledger::default(), crate::cache::Vault::small())
    }

    fn ban(ledger: &Ledger, address: &str) {
        let network = address.parse().expect("good");
        ledger.ban(network, Duration::from_secs(60)).expect("room for it");
    }

    #[test]
    fn what_a_process_bans_after_it_has_handed_over_reaches_the_next_one_once() {
        let (dir, file) = file();
        let [old, new] = [(), ()].map(|()| KeptBans::new(file.clone(), state()));
        let late = dir.path().join("bans.late.json");
        ban(&old.state.ledger, "192.0.2.1");
        old.keep();
        // Handed over, and banned, and written, before the next one has taken over.
        old.tell();
        new.state.ledger.learn(&old.state.ledger.bans());
        ban(&old.state.ledger, "192.0.2.2");
        old.keep();
        old.leave();
        old.write();
        let written = fs::read_to_string(&file.path).expect("text");
        let by_old = fs::read_to_string(&late).expect("text");
        assert!(by_old.contains("192.0.2.2") && !by_old.contains("192.0.2.1"), "{by_old}");
        // While it drains, it bans once more; nothing has been taken yet.
        ban(&old.state.ledger, "192.0.2.3");
        old.keep();
        new.keep();
        assert_eq!(networks(&new.state.ledger).len(), 3);
        assert!(!late.exists());
        let by_new = fs::read_to_string(&file.path).expect("text");
        assert!(by_new != written && by_new.contains("192.0.2.3"), "{by_new}");
        // What the next one decides is not undone by what the old one has said before.
        new.state.ledger.lift("192.0.2.2".parse().expect("good"));
        ban(&old.state.ledger, "192.0.2.4");
        old.write();
        old.write();
        new.keep();
        assert_eq!(networks(&new.state.ledger).len(), 3);
        assert!(!by_new.contains("192.0.2.4") && !late.exists());
        let last = fs::read_to_string(&file.path).expect("text");
        assert!(last.contains("192.0.2.4") && !last.contains("192.0.2.2"), "{last}");
    }

    #[test]
    fn late_bans_wait_for_a_process_that_starts() {
        let (_dir, file) = file();
        let old = KeptBans::new(file.clone(), state());
        ban(&old.state.ledger, "192.0.2.1");
        old.tell();
        old.write();
        old.leave();
        ban(&old.state.ledger, "192.0.2.2");
        old.write();
        let new = Ledger::default();
        file.read(&new);
        assert_eq!(networks(&new).len(), 2);
        assert!(new.ban_changes() > 0, "they are to be written");
    }

    #[tokio::test]
    async fn bans_that_could_not_be_written_are_written_later() {
        let (dir, file) = file();
        let state = state();
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
