//! `scripts/upgrade.sh`: a new process, or the old one and the reason.

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
    let mut old = folder.start(&["-c", "tidegate.yaml"]);
    old.await_listening(loopback(port), &folder);
    expect_answer(port).await;
    let pid = Pid::from_child(&old.0);
    check_failures(&folder, &config, port, pid).await;

    let (code, said) = upgrade(&folder, &["-b", BINARY]);
    let new = Daemon::named(&folder, Some(pid));
    assert_eq!(code, 0, "{said}");
    let done = format!("done: process {} serves", new.pid().as_raw_nonzero());
    assert!(said.contains(&done), "{said}");
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
