//! What `server`, `admin` and `log` do to the process, seen from outside.

use std::os::unix::fs::FileTypeExt as _;

use super::*;
use crate::support::{Authority, Edge};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { status: 200 } }]
";

/// The threads of a process that serve connections, the admin listener's one among them.
fn workers(edge: &Edge) -> usize {
    let threads = fs::read_dir(format!("/proc/{}/task", edge.pid().as_raw_nonzero())).unwrap();
    let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")));
    // A thread may end between two looks.
    names.filter(|name| name.as_ref().is_ok_and(|name| name.starts_with("worker-"))).count()
}

#[test]
fn there_are_as_many_workers_as_threads() {
    for threads in [1, 3] {
        let edge = Edge::start(&format!("server: {{ threads: {threads} }}\n{SITE}"));
        poll("its workers", || (workers(&edge) == threads + 1).then_some(()));
    }
}

/// A file that listens at `port` and is told where to keep its files.
fn told(port: u16, admin: u16, server: &str) -> String {
    format!(
        "server: {{ {server} }}\n\
         admin: {{ listen: '127.0.0.1:{admin}' }}\n\
         log: {{ access: {{ to: off }} }}\n\
         listeners: [{{ address: '127.0.0.1:{port}' }}]\n\
         routes: [{{ respond: {{ status: 200, body: hello }} }}]\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_where_the_process_is_told_to_keep_them() {
    let [port, admin] = ports::free();
    let files = "pid_file: state/pid, upgrade_sock: private/meet.sock, error_log: own/error.log";
    let folder = Folder::with(&told(port, admin, files));
    for made in ["state", "own"] {
        fs::create_dir(folder.path().join(made)).unwrap();
    }
    let mut running = folder.start(&["-c", "tidegate.yaml"]);
    running.await_listening(loopback(port), &folder);
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
    assert_eq!(folder.read("state/pid"), format!("{}\n", running.0.id()));
    assert!(folder.read("own/error.log").contains(" INFO "), "{}", folder.read("own/error.log"));
    assert_eq!(folder.read("out"), "", "all is in the error log");
    assert!(folder.path().join("private/admin.token").exists(), "beside the socket");

    // The new process waits at the socket, and the old one finds it there.
    let socket = folder.path().join("private/meet.sock");
    let new = folder.command(&["-c", "tidegate.yaml", "-u"]).spawn().unwrap();
    let mut new = Running(new);
    poll("the socket", || {
        fs::metadata(&socket).is_ok_and(|found| found.file_type().is_socket()).then_some(())
    });
    running.signal(Signal::QUIT);
    assert!(running.wait_exit().success());
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
    assert_eq!(folder.read("state/pid"), format!("{}\n", new.0.id()));
    new.signal(Signal::TERM);
    assert!(new.wait_exit().success());
    for unasked in ["run", "error.log"] {
        assert!(!folder.path().join(unasked).exists(), "{unasked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_start_makes_the_folder_of_its_own_files() {
    let [port, admin] = ports::free();
    let folder = Folder::with(&told(port, admin, "error_log: run/error.log"));
    let mut running = folder.start(&["-c", "tidegate.yaml"]);
    running.await_listening(loopback(port), &folder);
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
    running.signal(Signal::TERM);
    assert!(running.wait_exit().success());
    let said = folder.read("run/error.log");
    assert!(said.contains("draining"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_error_log_says_as_much_as_its_level() {
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    // Told at the start, as a warning.
    let key = certs.dir().join("a.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let site = "
listeners:
  - address: '127.0.0.1:{tls_port}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
routes: [{ respond: { status: 200 } }]
log: { level: {level} }
";
    let words = [" ERROR ", " WARN ", " INFO ", " DEBUG "];
    for (shown, level) in ["error", "warn", "info", "debug"].into_iter().enumerate() {
        let certs = certs.dir().display();
        let mut edge = Edge::start_with(site, &[("level", &level), ("certs", &certs)]);
        // No handshake: something for debugging.
        let mut client = Client::connect(edge.tls_addr()).await;
        client.send("nonsense\r\n\r\n").await;
        client.read_to_end().await;
        fs::write(edge.dir().join("tidegate.yaml"), "routes: [").unwrap();
        edge.signal(Signal::HUP);
        edge.await_stderr("not reloaded");
        edge.signal(Signal::TERM);
        assert!(edge.wait_exit().success());
        let said = edge.stderr();
        let found: Vec<_> = words.into_iter().filter(|word| said.contains(word)).collect();
        assert_eq!(found, words[..=shown], "{level}:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn access_lines_go_where_they_are_told_to() {
    let places = ["stdout", "stderr", "access.log"];
    for to in ["stdout", "stderr", "off", "access.log"] {
        let [port, admin] = ports::free();
        let file = told(port, admin, "").replace("to: off", &format!("to: {to}"));
        let folder = Folder::with(&file);
        let mut command = folder.command(&["-c", "tidegate.yaml"]);
        let stream = |name: &str| File::create(folder.path().join(name)).unwrap();
        command.stdout(stream("stdout")).stderr(stream("stderr"));
        let mut running = Running(command.spawn().unwrap());
        running.await_listening(loopback(port), &folder);
        assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
        running.signal(Signal::TERM);
        assert!(running.wait_exit().success());
        for place in places {
            let text = folder.read(place);
            let lines = text.lines().filter(|line| line.contains("\"host\":\"a.example\"")).count();
            assert_eq!(lines, usize::from(place == to), "{to}, {place}:\n{text}");
        }
        assert_eq!(folder.path().join("access.log").exists(), to == "access.log");
    }
}

/// Whether the process has a handler for SIGTERM, and would not just die of it.
fn handles_sigterm(running: &Running) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let mask = u64::from_str_radix(caught.trim(), 16).unwrap();
    mask & 1 << (Signal::TERM.as_raw() - 1) != 0
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_is_answered_even_if_the_process_is_told_to_end_as_it_starts() {
    for _ in 0..10 {
        let [port, admin] = ports::free();
        let folder = Folder::with(&told(port, admin, "threads: 1"));
        let mut running = folder.start(&["-c", "tidegate.yaml"]);
        // The socket is there before anybody accepts.
        running.await_listening(loopback(port), &folder);
        let mut client = Client::connect(loopback(port)).await;
        client.send(ASK).await;
        poll("a handler", || handles_sigterm(&running).then_some(()));
        running.signal(Signal::TERM);
        assert_eq!(client.response().await.text(), "hello");
        assert!(running.wait_exit().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pid_file_goes_with_the_process_that_it_names() {
    for signal in [Signal::TERM, Signal::INT] {
        let [port, admin] = ports::free();
        let folder = Folder::with(&told(port, admin, "threads: 1"));
        let mut running = folder.start(&["-c", "tidegate.yaml"]);
        running.await_listening(loopback(port), &folder);
        assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
        assert_eq!(folder.pid("run/tidegate.pid"), Some(Pid::from_child(&running.0)));
        // Another one has written its own since.
        folder.write("run/other.pid", "1\n");
        fs::rename(folder.path().join("run/tidegate.pid"), folder.path().join("run/kept")).unwrap();
        let files = [("kept", "tidegate.pid", false), ("other.pid", "tidegate.pid", true)];
        let (from, to, is_left) = files[usize::from(signal == Signal::INT)];
        let at = |name: &str| folder.path().join("run").join(name);
        fs::rename(at(from), at(to)).unwrap();
        running.signal(signal);
        assert!(running.wait_exit().success());
        assert_eq!(at(to).exists(), is_left, "{signal:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_named_by_the_pid_file_handles_its_signals() {
    for signal in [Signal::TERM, Signal::INT, Signal::HUP] {
        let [port, admin] = ports::free();
        let folder = Folder::with(&told(port, admin, "threads: 1"));
        let mut running = folder.start(&["-c", "tidegate.yaml"]);
        poll("the pid file", || folder.pid("run/tidegate.pid"));
        running.signal(signal);
        if signal == Signal::HUP {
            running.await_listening(loopback(port), &folder);
            assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
            running.signal(Signal::TERM);
        }
        assert!(running.wait_exit().success(), "{signal:?}");
        assert!(!folder.path().join("run/tidegate.pid").exists(), "{signal:?}");
    }
}

/// Starts with a soft and a hard limit of file descriptors; what it says at the start.
async fn said_with(limits: &str, server: &str) -> String {
    let [port, admin] = ports::free();
    let folder = Folder::with(&told(port, admin, &format!("threads: 1{server}")));
    let out = File::create(folder.path().join("out")).unwrap();
    let mut command = Command::new("prlimit");
    command.arg(format!("--nofile={limits}")).args([BINARY, "-c", "tidegate.yaml"]);
    command.current_dir(folder.path()).stdout(out.try_clone().unwrap()).stderr(out);
    let mut running = Running(command.spawn().unwrap());
    running.await_listening(loopback(port), &folder);
    let of_process = fs::read_to_string(format!("/proc/{}/limits", running.0.id())).unwrap();
    let line = of_process.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let found: Vec<&str> = line.split_whitespace().skip(3).take(2).collect();
    let hard = limits.split(':').nth(1).unwrap();
    assert_eq!(found, [hard, hard]);
    assert_eq!(Client::ask(loopback(port), ASK).await.text(), "hello");
    running.signal(Signal::TERM);
    assert!(running.wait_exit().success());
    folder.read("out")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_descriptors_is_raised_and_told_if_it_is_too_low() {
    let said = said_with("64:700", ", connections: 1000").await;
    let expected =
        "700 file descriptors are too few for server.connections: 1000, which may take 2362";
    assert!(said.contains(expected), "{said}");
    assert!(said.contains("write server.connections: 169"), "{said}");
    let said = said_with("64:700", ", connections: 169").await;
    assert!(!said.contains("descriptors"), "{said}");
}
