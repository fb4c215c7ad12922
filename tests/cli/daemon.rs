//! `-d`: in the background, with a pid file and logs.

use super::*;

/// A daemon, known by its pid file alone; it is killed when this is dropped.
struct Daemon<'a> {
    folder: &'a Folder,
}

impl<'a> Daemon<'a> {
    fn start(folder: &'a Folder, arguments: &[&str]) -> Daemon<'a> {
        // Who is not left alone in the end never went into the background.
        let status = folder.start(arguments).wait_exit();
        assert!(status.success(), "{status}: {}", folder.read("out"));
        Daemon { folder }
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.folder.read("run/tidegate.pid").trim().parse().ok()?)
    }

    /// The fields of `/proc/PID/status`.
    fn status(&self, field: &str) -> Option<String> {
        let path = format!("/proc/{}/status", self.pid()?.as_raw_nonzero());
        let text = fs::read_to_string(path).ok()?;
        let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        value.map(|value| value.trim().to_owned())
    }

    fn is_running(&self) -> bool {
        self.status("State").is_some_and(|state| !state.starts_with('Z'))
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the error log ---\n{}", self.folder.read("error.log"));
        }
        if self.is_running() {
            kill_process(self.pid().unwrap(), Signal::KILL).ok();
        }
    }
}

fn config(port: u16, admin: u16, server: &str) -> String {
    format!(
        "server: {{ error_log: error.log{server} }}\n\
         admin: {{ listen: '127.0.0.1:{admin}' }}\n\
         log: {{ access: {{ to: access.log }} }}\n\
         listeners: [{{ address: '127.0.0.1:{port}' }}]\n\
         routes: [{{ respond: {{ status: 200, body: hello }} }}]\n"
    )
}

/// Asks once: a daemon serves from the moment that its start has ended.
async fn expect_answer(port: u16) {
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_writes_its_pid_and_logs_and_ends_by_sigterm() {
    for (key, option) in [(", threads: 1", &["-d"][..]), (", daemon: on", &[])] {
        let [port, admin] = ports::free();
        let folder = Folder::with(&config(port, admin, key));
        let daemon = Daemon::start(&folder, &[&["-c", "tidegate.yaml"], option].concat());
        expect_answer(port).await;
        // It has left the terminal and the session it was started in.
        let pid = daemon.pid().unwrap();
        let session = |pid| rustix::process::getsid(pid).unwrap();
        assert_ne!(session(Some(pid)), session(None));
        assert_ne!(daemon.status("PPid").unwrap(), std::process::id().to_string());
        kill_process(pid, Signal::TERM).unwrap();
        poll("the daemon to end", || (!daemon.is_running()).then_some(()));
        assert!(folder.read("error.log").contains("draining"), "{}", folder.read("error.log"));
        let access = folder.read("access.log");
        assert_eq!(access.lines().count(), 1, "{access}");
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
}

/// A folder for a daemon that becomes `nobody`.
fn folder_of_nobody(port: u16, admin: u16) -> Folder {
    let is_root = rustix::process::geteuid().is_root();
    assert!(is_root, "only root can become another user: run this test as root");
    let folder = Folder::with(&config(port, admin, ", daemon: on, user: nobody, group: nogroup"));
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_of_root_becomes_the_user_it_is_told() {
    let [port, admin] = ports::free();
    let folder = folder_of_nobody(port, admin);
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
    kill_process(daemon.pid().unwrap(), Signal::TERM).unwrap();
    poll("the daemon to end", || (!daemon.is_running()).then_some(()));
    assert_eq!(folder.read("access.log").lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_of_root_that_became_another_user_is_replaced() {
    let [port, admin] = ports::free();
    let folder = folder_of_nobody(port, admin);
    let arguments = ["-c", "tidegate.yaml"];
    let daemon = Daemon::start(&folder, &arguments);
    expect_answer(port).await;
    let before = daemon.pid().unwrap();
    let token = folder.read("run/admin.token");
    for name in ["run", "run/admin.token", "run/tidegate.pid"] {
        assert_eq!(fs::metadata(folder.path().join(name)).unwrap().uid(), 65534, "{name}");
    }

    let mut next = folder.start(&["-c", "tidegate.yaml", "-u"]);
    let socket = folder.path().join("run/tidegate.sock");
    poll("the new process to wait", || std::os::unix::net::UnixStream::connect(&socket).ok());
    kill_process(before, Signal::QUIT).unwrap();
    assert!(next.wait_exit().success(), "{}", folder.read("out"));
    assert_ne!(daemon.pid().unwrap(), before);
    let old = format!("/proc/{}/stat", before.as_raw_nonzero());
    poll("the old process to end", || (!Path::new(&old).exists()).then_some(()));
    expect_answer(port).await;
    assert!(daemon.status("Uid").unwrap().split_whitespace().all(|id| id == "65534"));
    assert_eq!(folder.read("run/admin.token"), token);
    kill_process(daemon.pid().unwrap(), Signal::TERM).unwrap();
    poll("the daemon to end", || (!daemon.is_running()).then_some(()));
}
