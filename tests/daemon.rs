//! A process in the background: it stays in the folder it was started in, where
//! its relative paths lead somewhere.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::support::ports;

/// The longest wait for anything; only a failing test waits so long.
const DEADLINE: Duration = Duration::from_secs(40);

/// A running daemon; it is killed when this is dropped.
struct Daemon {
    folder: TempDir,
}

impl Daemon {
    fn start(config: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("conf")).expect("a folder");
        fs::write(folder.path().join("conf/edge.yaml"), config).expect("a file");
        let started = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["-c", "conf/edge.yaml", "-d"])
            .current_dir(folder.path())
            .status();
        assert!(started.expect("a process").success());
        let daemon = Daemon { folder };
        daemon.wait("its pid file", || daemon.pid().is_some());
        daemon
    }

    fn pid(&self) -> Option<u32> {
        self.read("run/tidegate.pid").trim().parse().ok()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).unwrap_or_default()
    }

    fn signal(&self, signal: &str) {
        let Some(pid) = self.pid() else { return };
        let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
        assert!(sent.expect("kill (coreutils)").success(), "{signal}");
    }

    fn is_alive(&self) -> bool {
        self.pid().is_some_and(|pid| Path::new(&format!("/proc/{pid}/stat")).exists())
    }

    /// Whether a signal to reload would be heard; before, it would end the process.
    fn hears_hangup(&self) -> bool {
        let status = self.read(&format!("/proc/{}/status", self.pid().unwrap_or_default()));
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught
            .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
            .is_some_and(|mask| mask & 1 == 1)
    }

    #[track_caller]
    fn wait(&self, what: &str, is_there: impl Fn() -> bool) {
        let start = Instant::now();
        while !is_there() {
            let log = self.read("error.log");
            assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {what}\n{log}");
            pause();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "another process is waited for")]
fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.is_alive() {
            self.signal("KILL");
        }
    }
}

#[test]
fn a_daemon_stays_in_its_folder() {
    let [port, admin] = ports::free();
    let daemon = Daemon::start(&format!(
        "server: {{ error_log: error.log, threads: 1 }}\n\
         admin: {{ listen: 127.0.0.1:{admin} }}\n\
         log: {{ access: {{ to: off }} }}\n\
         listeners: [{{ address: 127.0.0.1:{port} }}]\n\
         routes: [{{ respond: {{ body: hi }} }}]\n",
    ));
    daemon.wait("its signals", || daemon.hears_hangup());
    daemon.signal("HUP");
    daemon.wait("the reload", || daemon.read("error.log").contains("tidegate::control: reloaded"));
    daemon.signal("TERM");
    daemon.wait("the end", || !daemon.is_alive());
}
