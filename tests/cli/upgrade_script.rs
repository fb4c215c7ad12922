//! `scripts/upgrade.sh`: a new process, or the old one and the reason.

use std::os::unix::net::UnixListener;

use rustix::io::{FdFlags, fcntl_setfd};

use super::daemon::{Daemon, config, expect_answer};
use super::*;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/upgrade.sh");

/// Runs the script to its end: the exit code, and what it and the new process
/// said, which may hold its output open for as long as it runs.
fn upgrade(folder: &Folder, arguments: &[&str]) -> (i32, String) {
    let out = File::create(folder.path().join("upgrade")).unwrap();
    let mut command = Command::new("bash");
    command.arg(SCRIPT).args(arguments).current_dir(folder.path()).stdin(Stdio::null());
    command.stdout(out.try_clone().unwrap()).stderr(out);
    let mut script = Running(command.spawn().unwrap());
    let status = script.wait_exit();
    (status.code().unwrap(), folder.read("upgrade"))
}

/// A process that serves.
async fn start(folder: &Folder, port: u16) -> Running {
    let mut started = folder.start(&["-c", "tidegate.yaml"]);
    started.await_listening(loopback(port), folder);
    expect_answer(port).await;
    started
}

/// What is wrong with a file, and the reason that the script gives for it.
fn bad_files(config: &str, taken: SocketAddr) -> [(String, String); 2] {
    [
        ("listeners: nonsense\n".to_owned(), "listeners: expected a list".to_owned()),
        // Known only once the sockets have been handed over.
        (
            config.replace("listeners: [", &format!("listeners: [{{ address: '{taken}' }}, ")),
            format!("{taken}: the address is in use by another process"),
        ),
    ]
}

/// Every bad file is refused, and the process that runs goes on.
async fn check_failures(folder: &Folder, config: &str, port: u16, old: Pid) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for (bad, reason) in bad_files(config, taken.local_addr().unwrap()) {
        folder.write("tidegate.yaml", &bad);
        let (code, said) = upgrade(folder, &["-b", BINARY]);
        let said = format!("{said}{}", folder.read("error.log"));
        assert_eq!(code, 1, "{said}");
        for part in [&reason, "upgrade: failed: the new process has ended", "serves on"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert_eq!(folder.pid("run/tidegate.pid"), Some(old), "{said}");
        expect_answer(port).await;
    }
    folder.write("tidegate.yaml", config);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_is_replaced_by_the_script_or_serves_on() {
    let [port, admin] = ports::free();
    let config = config(port, admin, "");
    let folder = Folder::with(&config);
    let mut old = start(&folder, port).await;
    let pid = Pid::from_child(&old.0);
    check_failures(&folder, &config, port, pid).await;

    let (code, said) = upgrade(&folder, &["-b", BINARY]);
    let new = Daemon::named(&folder, Some(pid));
    assert_eq!(code, 0, "{said}");
    let done = format!("done: process {} serves", new.pid().as_raw_nonzero());
    assert!(said.contains(&done), "{said}");
    // What the process says is for where the old one said it.
    assert!(said.lines().all(|line| line.starts_with("upgrade: ")), "{said}");
    assert!(old.wait_exit().success());
    expect_answer(port).await;
    new.signal(Signal::TERM);
    new.wait_end();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_is_replaced_by_the_script_or_serves_on() {
    let [port, admin] = ports::free();
    let config = config(port, admin, "");
    let folder = Folder::with(&config);
    assert!(folder.start(&["-d", "-c", "tidegate.yaml"]).wait_exit().success());
    let old = Daemon::named(&folder, None);
    expect_answer(port).await;
    check_failures(&folder, &config, port, old.pid()).await;

    // The program is found by the process that runs.
    let (code, said) = upgrade(&folder, &["run/tidegate.pid"]);
    assert_eq!(code, 0, "{said}");
    let new = Daemon::named(&folder, Some(old.pid()));
    old.wait_end();
    expect_answer(port).await;
    new.signal(Signal::TERM);
    new.wait_end();
}

/// A program that waits for the sockets, as far as the script can see, and does
/// what `then` says once the running process could not hand them over.
fn stand_in(folder: &Folder, then: &str) -> UnixListener {
    let unhanded = "until grep -q 'not replaced' error.log; do sleep 0.02; done";
    folder.write("text", &format!("#!/usr/bin/env bash\n{unhanded}\n{then}\n"));
    // Written by another process: a program that one of ours has open cannot be run.
    let mut install = Command::new("install");
    let (code, said) = ran(install.args(["-m755", "text", "stand-in"]).current_dir(folder.path()));
    assert_eq!(code, 0, "{said}");
    // It is inherited.
    let waits = UnixListener::bind(folder.path().join("waits.sock")).unwrap();
    fcntl_setfd(&waits, FdFlags::empty()).unwrap();
    waits
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_whose_starter_gave_up_is_ended_by_the_script() {
    let [port, admin] = ports::free();
    let folder = Folder::with(&config(port, admin, ""));
    let old = start(&folder, port).await;
    let daemon = "sleep 1000 & echo $! >run/tidegate.pid; echo $! >late; exit 1";
    let _waits = stand_in(&folder, daemon);
    let (code, said) = upgrade(&folder, &["-b", "stand-in"]);
    let late = Daemon { folder: &folder, pid: folder.pid("late").expect(&said) };
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("failed: the new process has ended"), "{said}");
    assert!(said.contains(&format!("process {} serves on", old.0.id())), "{said}");
    late.wait_end();
    expect_answer(port).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_the_old_process_is_not_taken_for_success() {
    let [port, admin] = ports::free();
    let folder = Folder::with(&config(port, admin, ""));
    let mut old = start(&folder, port).await;
    let then = "echo $$ >late; kill -KILL $(cat run/tidegate.pid); exec sleep 1000";
    let _waits = stand_in(&folder, then);
    let (code, said) = upgrade(&folder, &["-b", "stand-in"]);
    let late = Daemon { folder: &folder, pid: folder.pid("late").expect(&said) };
    assert_eq!(code, 1, "{said}");
    let pid = old.0.id();
    for part in ["ended before another one served", "has ended, too"] {
        assert!(said.contains(&format!("process {pid} {part}")), "{said}");
    }
    late.wait_end();
    assert!(!old.wait_exit().success());
}

#[test]
fn the_script_says_u_once() {
    let folder = Folder::new();
    let table: [(&[&str], &str); 8] = [
        (&["-c", "u.yaml", "-u"], "-c u.yaml"),
        (&["--upgrade", "--conf", "u.yaml"], "--conf u.yaml"),
        (&["-uc", "u.yaml"], "-c u.yaml"),
        (&["-udc", "u.yaml"], "-dc u.yaml"),
        (&["-ducu.yaml"], "-dcu.yaml"),
        (&["-cu"], "-cu"),
        (&["-ud"], "-d"),
        (&["-du"], "-d"),
    ];
    for (told, passed_on) in table {
        // Stands there until its input ends, whatever it is told.
        let mut stands = Command::new("bash");
        stands.args(["-c", "read"]).args(told).stdin(Stdio::piped());
        let stands = Running(stands.spawn().unwrap());
        folder.write("run/tidegate.pid", &stands.0.id().to_string());
        let arguments = format!("false -u -c read {passed_on}\n");
        let (code, said) = upgrade(&folder, &["-b", "/bin/false"]);
        assert!(code == 1 && said.contains(&arguments), "{told:?}: {said}");
    }
}

#[test]
fn the_script_says_what_it_was_told_wrong() {
    let folder = Folder::new();
    let (code, said) = upgrade(&folder, &["none.pid"]);
    assert!(code == 1 && said.contains("none.pid names no running process"), "{said}");
    folder.write("run/tidegate.pid", &format!("{}\n", std::process::id()));
    let (code, said) = upgrade(&folder, &["-b", "none"]);
    assert!(code == 1 && said.contains("none is no program"), "{said}");
    for wrong in [&["-x"][..], &["a", "b"]] {
        let (code, said) = upgrade(&folder, wrong);
        assert!(code == 2 && said.contains("scripts/upgrade.sh [-b BINARY] [PID_FILE]"), "{said}");
    }
}
