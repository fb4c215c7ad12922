//! `-d`: in the background, with a pid file and logs.

use super::*;

/// A daemon; it is killed when this is dropped.
pub(super) struct Daemon<'a> {
    pub(super) folder: &'a Folder,
    pub(super) pid: Pid,
}

impl<'a> Daemon<'a> {
    fn start(folder: &'a Folder, arguments: &[&str]) -> Daemon<'a> {
        // Who is not left alone in the end never went into the background.
        let status = folder.start(arguments).wait_exit();
        assert!(status.success(), "{status}: {}", folder.read("out"));
        Daemon::named(folder, None)
    }

    /// The one that the pid file names, once that is another than `before`.
    pub(super) fn named(folder: &'a Folder, before: Option<Pid>) -> Daemon<'a> {
        let named = || folder.pid("run/tidegate.pid").filter(|pid| Some(*pid) != before);
        Daemon { folder, pid: poll("its pid file", named) }
    }

    pub(super) fn pid(&self) -> Pid {
        self.pid
    }

    /// A file of `/proc/PID`; empty once the process is gone.
    fn proc(&self, file: &str) -> String {
        let path = format!("/proc/{}/{file}", self.pid.as_raw_nonzero());
        fs::read_to_string(path).unwrap_or_default()
    }

    /// The fields of `/proc/PID/status`.
    fn status(&self, field: &str) -> Option<String> {
        let text = self.proc("status");
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    }

    fn is_running(&self) -> bool {
        self.status("State").is_some_and(|state| !state.starts_with('Z'))
    }

    pub(super) fn signal(&self, signal: Signal) {
        kill_process(self.pid, signal).unwrap();
    }

    pub(super) fn wait_end(&self) {
        poll("the daemon to end", || (!self.is_running()).then_some(()));
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the error log ---\n{}", self.folder.read("error.log"));
        }
        if self.is_running() {
            kill_process(self.pid, Signal::KILL).ok();
        }
    }
}

pub(super) fn config(port: u16, admin: u16, server: &str) -> String {
    format!(
        "server: {{ error_log: error.log{server} }}\n\
         admin: {{ listen: '127.0.0.1:{admin}' }}\n\
         log: {{ access: {{ to: access.log }} }}\n\
         listeners: [{{ address: '127.0.0.1:{port}' }}]\n\
         routes: [{{ respond: {{ status: 200, body: hello }} }}]\n"
    )
}

/// Asks once: a daemon serves from the moment that its start has ended.
pub(super) async fn expect_answer(port: u16) {
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
}

/// The session of a process, 0 if its leader is in another namespace: the system
/// call has no other word for that, and no type for the word.
fn session(stat: &str) -> String {
    // The name of the program is in parentheses, and may hold anything.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split_whitespace().nth(3).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_writes_its_pid_and_logs_and_ends_by_sigterm() {
    for (key, option) in [(", threads: 1", &["-d"][..]), (", daemon: on", &[])] {
        let [port, admin] = ports::free();
        let folder = Folder::with(&config(port, admin, key));
        let daemon = Daemon::start(&folder, &[&["-c", "tidegate.yaml"], option].concat());
        expect_answer(port).await;
        // It has left the terminal and the session it was started in.
        let ours = fs::read_to_string("/proc/self/stat").unwrap();
        assert_ne!(session(&daemon.proc("stat")), session(&ours));
        assert_ne!(daemon.status("PPid").unwrap(), std::process::id().to_string());
        daemon.signal(Signal::TERM);
        daemon.wait_end();
        assert!(folder.read("error.log").contains("draining"), "{}", folder.read("error.log"));
        let access = folder.read("access.log");
        assert_eq!(access.lines().count(), 1, "{access}");
        assert!(!folder.path().join("run/tidegate.pid").exists());
    }
}

#[test]
fn who_starts_a_daemon_that_cannot_serve_hears_so() {
    let [port, admin] = ports::free();
    let folder = Folder::with(&config(port, admin, ", daemon: on, threads: 24"));
    // Too few descriptors for so many workers.
    let mut command = Command::new("prlimit");
    command.args(["--nofile=80", BINARY, "-c", "tidegate.yaml"]).current_dir(folder.path());
    let (code, said) = ran(&mut command);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("the daemon ended before it served"), "{said}");
    poll("the daemon to say why", || {
        folder.read("error.log").contains("nothing was served").then_some(())
    });
    poll("the pid file to go", || (!folder.path().join("run/tidegate.pid").exists()).then_some(()));
}

#[test]
fn a_daemon_stays_in_its_folder() {
    let [port, admin] = ports::free();
    let folder = Folder::new();
    // A name is looked up by a thread, which is gone before the process goes into the background.
    let named = "upstreams: { app: { servers: ['localhost:1'] } }\n";
    folder.write("conf/edge.yaml", &format!("{}{named}", config(port, admin, "")));
    let daemon = Daemon::start(&folder, &["-c", "conf/edge.yaml", "-d"]);
    // Before that, a signal to reload would end it.
    poll("its signals", || {
        let caught = u64::from_str_radix(&daemon.status("SigCgt")?, 16).ok()?;
        (caught & 1 == 1).then_some(())
    });
    daemon.signal(Signal::HUP);
    let reloaded = ": reloaded";
    poll("the reload", || folder.read("error.log").contains(reloaded).then_some(()));
    daemon.signal(Signal::TERM);
    daemon.wait_end();
}

/// A folder for a daemon that becomes `nobody`.
fn folder_of_nobody(port: u16, admin: u16, server: &str) -> Folder {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root, "only root can become another user; scripts/test.sh has sudo run this test");
    let server = format!(", daemon: on, user: nobody{server}");
    let folder = Folder::with(&config(port, admin, &server));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_of_root_becomes_the_user_it_is_told() {
    // Without a group it gets the user's own: nothing of root is left.
    for group in [", group: nogroup", ""] {
        let [port, admin] = ports::free();
        let folder = folder_of_nobody(port, admin, group);
        let daemon = Daemon::start(&folder, &["-c", "tidegate.yaml"]);
        expect_answer(port).await;
        let nobody = |field: &str| {
            let ids = daemon.status(field).unwrap();
            assert!(ids.split_whitespace().all(|id| id == "65534"), "{field}: {ids}");
        };
        nobody("Uid");
        nobody("Gid");
        nobody("Groups");
        assert_eq!(daemon.status("CapEff").unwrap(), "0000000000000000");
        daemon.signal(Signal::TERM);
        daemon.wait_end();
        assert_eq!(folder.read("access.log").lines().count(), 1);
        assert!(!folder.path().join("run/tidegate.pid").exists());
    }
}

#[test]
fn root_follows_no_link_to_a_log_of_its_user() {
    for log in ["error.log", "access.log"] {
        let [port, admin] = ports::free();
        let folder = folder_of_nobody(port, admin, "");
        std::os::unix::fs::symlink("precious", folder.path().join(log)).unwrap();
        let (code, said) = folder.run(&["-c", "tidegate.yaml"]);
        let said = said + &folder.read("error.log");
        assert_eq!(code, 1, "{said}");
        for part in [log, "root opens no such file for server.user: a link is on the way"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!folder.path().join("precious").exists(), "{said}");
    }
}

/// Moves both logs of a daemon away, and says so.
fn rotate(folder: &Folder, daemon: &Daemon<'_>) {
    for log in ["error.log", "access.log"] {
        let log = folder.path().join(log);
        assert_eq!(fs::metadata(&log).unwrap().uid(), 65534);
        fs::rename(&log, log.with_extension("log.1")).unwrap();
    }
    daemon.signal(Signal::USR1);
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_that_root_made_are_rotated_by_their_user() {
    let [port, admin] = ports::free();
    let folder = folder_of_nobody(port, admin, "");
    std::os::unix::fs::chown(folder.path(), Some(65534), None).unwrap();
    let daemon = Daemon::start(&folder, &["-c", "tidegate.yaml"]);
    rotate(&folder, &daemon);
    let is_there = |log: &str| folder.path().join(log).exists();
    poll("the new files", || (is_there("error.log") && is_there("access.log")).then_some(()));
    expect_answer(port).await;
    daemon.signal(Signal::TERM);
    daemon.wait_end();
    assert!(folder.read("error.log").contains("draining"), "{}", folder.read("error.log"));
    assert!(!folder.read("error.log").contains("old file"), "{}", folder.read("error.log"));
    assert_eq!(folder.read("access.log").lines().count(), 1);
    assert_eq!(folder.read("access.log.1"), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_in_a_folder_of_root_stay_with_their_files_and_say_so_once() {
    let [port, admin] = ports::free();
    let folder = folder_of_nobody(port, admin, "");
    let daemon = Daemon::start(&folder, &["-c", "tidegate.yaml"]);
    rotate(&folder, &daemon);
    let told = || {
        let log = folder.read("error.log.1");
        ["error", "access"].map(|name| {
            let what = format!("the {name} log goes on in its old file: cannot open {name}.log");
            log.matches(&what).count()
        })
    };
    poll("both to say so", || (told() == [1, 1]).then_some(()));
    expect_answer(port).await;
    poll("the line of the request", || (!folder.read("access.log.1").is_empty()).then_some(()));
    // Once it can be done, it is.
    std::os::unix::fs::chown(folder.path(), Some(65534), None).unwrap();
    let is_there = |log: &str| folder.path().join(log).exists();
    poll("the new files", || (is_there("error.log") && is_there("access.log")).then_some(()));
    daemon.signal(Signal::TERM);
    daemon.wait_end();
    assert_eq!(told(), [1, 1]);
    assert!(folder.read("error.log").contains("draining"), "{}", folder.read("error.log"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pid_file_of_root_that_its_daemon_may_not_remove_is_empty_in_the_end() {
    let [port, admin] = ports::free();
    // The folder is root's.
    let folder = folder_of_nobody(port, admin, ", pid_file: tidegate.pid");
    let status = folder.start(&["-c", "tidegate.yaml"]).wait_exit();
    assert!(status.success(), "{status}: {}", folder.read("out"));
    let pid = poll("its pid file", || folder.pid("tidegate.pid"));
    let daemon = Daemon { folder: &folder, pid };
    expect_answer(port).await;
    assert_eq!(fs::metadata(folder.path().join("tidegate.pid")).unwrap().uid(), 65534);
    daemon.signal(Signal::TERM);
    daemon.wait_end();
    assert_eq!(fs::read_to_string(folder.path().join("tidegate.pid")).unwrap(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_of_root_that_became_another_user_is_replaced() {
    let [port, admin] = ports::free();
    let folder = folder_of_nobody(port, admin, ", group: nogroup");
    let daemon = Daemon::start(&folder, &["-c", "tidegate.yaml"]);
    expect_answer(port).await;
    let token = folder.read("run/admin.token");
    for name in ["run", "run/admin.token", "run/tidegate.pid"] {
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().uid(), 65534, "{name}");
    }

    let mut next = folder.start(&["-c", "tidegate.yaml", "-u"]);
    let socket = folder.path().join("run/tidegate.sock");
    poll("the new process to wait", || std::os::unix::net::UnixStream::connect(&socket).ok());
    daemon.signal(Signal::QUIT);
    assert!(next.wait_exit().success(), "{}", folder.read("out"));
    let next = Daemon::named(&folder, Some(daemon.pid()));
    daemon.wait_end();
    expect_answer(port).await;
    assert!(next.status("Uid").unwrap().split_whitespace().all(|id| id == "65534"));
    assert_eq!(folder.read("run/admin.token"), token);
    // The old one left the file alone, and nothing beside it.
    assert_eq!(folder.pid("run/tidegate.pid"), Some(next.pid()));
    assert!(!folder.path().join("run/tidegate.pid.old").exists());
    next.signal(Signal::TERM);
    next.wait_end();
}
