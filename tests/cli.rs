//! The command line, as an operator uses it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{Client, Origin, poll, ports};

mod attack_script;
mod bad_values;
mod daemon;
mod explain;
mod faults;
mod fixed_ports;
mod process;
mod upgrade_script;

const BINARY: &str = env!("CARGO_BIN_EXE_tidegate");

/// A folder to run in, with what a test puts there.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    /// A folder with `tidegate.yaml`.
    fn with(config: &str) -> Folder {
        let folder = Folder::new();
        folder.write("tidegate.yaml", config);
        folder
    }

    /// A folder with `tidegate.yaml` of a site that answers 200 to everything.
    fn answering(port: u16, admin: u16) -> Folder {
        Folder::with(&format!(
            "admin: {{ listen: '127.0.0.1:{admin}' }}\n\
             listeners: [{{ address: '127.0.0.1:{port}' }}]\n\
             routes: [{{ respond: {{ status: 200 }} }}]\n"
        ))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path().join(name)).unwrap_or_default()
    }

    /// The process that a file names.
    fn pid(&self, name: &str) -> Option<Pid> {
        Pid::from_raw(self.read(name).trim().parse().ok()?)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        command.env_remove("TIDEGATE_TOKEN");
        command
    }

    /// Runs to the end: the exit code, and all that it said.
    fn run(&self, arguments: &[&str]) -> (i32, String) {
        ran(&mut self.command(arguments))
    }

    /// Starts in the background of the test; its output is in `out`.
    fn start(&self, arguments: &[&str]) -> Running {
        let out = File::create(self.path().join("out")).unwrap();
        let mut command = self.command(arguments);
        command.stdout(out.try_clone().unwrap()).stderr(out);
        Running(command.spawn().unwrap())
    }

    /// Every file and folder, with what would show a change.
    fn content(&self) -> BTreeMap<PathBuf, (i64, i64, u64)> {
        let mut found = BTreeMap::new();
        let mut folders = vec![self.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
                let meta = entry.metadata().unwrap();
                found.insert(entry.path(), (meta.mtime(), meta.mtime_nsec(), meta.len()));
                folders.extend(meta.is_dir().then(|| entry.path()));
            }
        }
        found
    }
}

/// Runs to the end, which must come; it says less than a pipe holds.
fn ran(command: &mut Command) -> (i32, String) {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut running = Running(child.unwrap());
    let status = running.wait_exit();
    let mut said = String::new();
    running.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    running.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (status.code().unwrap(), said)
}

/// A process; it is killed when this is dropped.
struct Running(Child);

impl Running {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    fn wait_exit(&mut self) -> ExitStatus {
        poll("a process to end", || self.0.try_wait().unwrap())
    }

    /// Waits until something listens at `addr`.
    fn await_listening(&mut self, addr: SocketAddr, folder: &Folder) {
        poll(&format!("{addr} to listen"), || {
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("{status}: {}", folder.read("out"));
            }
            std::net::TcpStream::connect(addr).is_ok().then_some(())
        });
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Where a port of loopback is.
fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const ASK: &str = "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";

#[test]
fn help_names_every_option_and_command() {
    let folder = Folder::new();
    let (code, said) = folder.run(&["--help"]);
    assert_eq!(code, 0);
    for word in
        ["--conf", "--test", "--daemon", "--upgrade", "--help", "--version", "demo", "proxy"]
    {
        assert!(said.contains(word), "{word}: {said}");
    }
    let (code, said) = folder.run(&["proxy", "--help"]);
    assert_eq!(code, 0);
    assert!(said.contains("--to") && said.contains("--listen"), "{said}");
    let (code, said) = folder.run(&["--version"]);
    assert_eq!((code, said), (0, format!("tidegate {}\n", env!("CARGO_PKG_VERSION"))));
    for wrong in [&["--nonsense"][..], &["nonsense"], &["proxy"], &["-c"]] {
        let (code, said) = folder.run(wrong);
        assert_eq!(code, 2, "{wrong:?}: {said}");
        assert!(said.starts_with("error: ") && said.contains("--help"), "{said}");
    }
    assert!(folder.content().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn variables_and_includes_reach_the_running_process() {
    let [port, admin] = ports::free();
    let folder = Folder::with(&format!(
        "include: [conf.d/*.yaml]\n\
         admin: {{ listen: '127.0.0.1:{admin}' }}\n\
         listeners: [{{ address: '127.0.0.1:${{PORT}}' }}]\n"
    ));
    let route = "routes: [{ respond: { status: 200, body: '${WORD} ${NONE:-and more}' } }]\n";
    folder.write("conf.d/routes.yaml", route);
    let mut command = folder.command(&["-c", "tidegate.yaml"]);
    // A value is text, whatever YAML it could be.
    command.env("PORT", port.to_string()).env("WORD", "a: {b}' ${PORT}");
    let out = File::create(folder.path().join("out")).unwrap();
    command.stdout(out.try_clone().unwrap()).stderr(out);
    let mut running = Running(command.spawn().unwrap());
    running.await_listening(loopback(port), &folder);
    let answer = Client::ask(loopback(port), ASK).await;
    assert_eq!(answer.text(), "a: {b}' ${PORT} and more");
    running.signal(Signal::TERM);
    assert!(running.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_ends_the_start_and_says_which() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let [admin] = ports::free();
    let folder = Folder::with(&format!(
        "admin: {{ listen: '127.0.0.1:{admin}' }}\n\
         listeners: [{{ address: '{address}' }}]\n\
         routes: [{{ respond: {{ status: 200 }} }}]\n"
    ));
    let (code, said) = folder.run(&["-c", "tidegate.yaml"]);
    assert_eq!(code, 1);
    assert!(said.contains(&address.to_string()) && said.contains("in use"), "{said}");
    assert!(!folder.path().join("run/tidegate.pid").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_one_is_made_for_its_owner_alone() {
    let [port, admin] = ports::free();
    let folder = Folder::answering(port, admin);
    let mut running = folder.start(&["-c", "tidegate.yaml"]);
    running.await_listening(loopback(admin), &folder);
    // It is written once the sockets are there.
    poll("the token", || folder.path().join("run/admin.token").exists().then_some(()));
    let mode =
        |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("run"), mode("run/admin.token")), (0o700, 0o600));
    let token = folder.read("run/admin.token");
    let token = token.trim_end();
    assert!(token.len() >= 32 && token.bytes().all(|b| b.is_ascii_alphanumeric()), "{token:?}");
    for (shown, status) in [("", 401), ("0123456789abcdef0123456789abcdef", 401), (token, 200)] {
        assert_eq!(reload_status(admin, shown).await, status, "{shown}");
    }
    running.signal(Signal::TERM);
    assert!(running.wait_exit().success());
    assert!(!folder.read("out").contains(token), "a secret in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_listener_that_is_off_is_not_there() {
    let [port] = ports::free();
    let site = |status: u16| {
        format!(
            "admin: {{ listen: off }}\nlisteners: [{{ address: '127.0.0.1:{port}' }}]\n\
             routes: [{{ respond: {{ status: {status} }} }}]\n"
        )
    };
    let folder = Folder::with(&site(200));
    let mut running = folder.start(&["-c", "tidegate.yaml"]);
    running.await_listening(loopback(port), &folder);
    // Once it answers, it hears signals.
    assert_eq!(Client::ask(loopback(port), ASK).await.status, 200);
    assert_eq!(listening(&running), [loopback(port)]);
    assert!(!folder.path().join("run/admin.token").exists());

    // All the rest is as ever: reload, upgrade, drain.
    folder.write("tidegate.yaml", &site(204));
    running.signal(Signal::HUP);
    poll("a reload", || folder.read("out").contains("reloaded").then_some(()));
    assert_eq!(Client::ask(loopback(port), ASK).await.status, 204);
    let mut next = folder.start(&["-c", "tidegate.yaml", "-u"]);
    let socket = folder.path().join("run/tidegate.sock");
    poll("a new process to wait", || std::os::unix::net::UnixStream::connect(&socket).ok());
    running.signal(Signal::QUIT);
    assert!(running.wait_exit().success());
    assert_eq!(listening(&next), [loopback(port)]);
    assert_eq!(Client::ask(loopback(port), ASK).await.status, 204);
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
}

/// Every address of IPv4 that a process listens at.
fn listening(running: &Running) -> Vec<SocketAddr> {
    let of_process = format!("/proc/{}", running.0.id());
    let links = fs::read_dir(format!("{of_process}/fd")).unwrap();
    let links = links.filter_map(|link| fs::read_link(link.unwrap().path()).ok());
    let sockets: BTreeSet<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let table = fs::read_to_string(format!("{of_process}/net/tcp")).unwrap();
    let mut found: Vec<SocketAddr> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            let is_ours = sockets.contains(&format!("socket:[{}]", columns[9]));
            let (address, port) = columns[1].split_once(':')?;
            let address = u32::from_str_radix(address, 16).ok()?.to_be();
            let port = u16::from_str_radix(port, 16).ok()?;
            let listens = columns[3] == "0A";
            (is_ours && listens).then(|| SocketAddr::from((address.to_be_bytes(), port)))
        })
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What the admin listener says to a reload, shown a token.
async fn reload_status(admin: u16, token: &str) -> u16 {
    let head = format!(
        "POST /api/reload HTTP/1.1\r\nhost: 127.0.0.1:{admin}\r\ncontent-length: 0\r\n\
         authorization: Bearer {token}\r\nconnection: close\r\n\r\n"
    );
    Client::ask(loopback(admin), head).await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_fails_leaves_the_token_of_the_running_process() {
    let [port, admin] = ports::free();
    let folder = Folder::answering(port, admin);
    let mut running = folder.start(&["-c", "tidegate.yaml"]);
    running.await_listening(loopback(admin), &folder);
    let token =
        poll("its token", || Some(folder.read("run/admin.token")).filter(|t| !t.is_empty()));

    let (code, said) = folder.run(&["-c", "tidegate.yaml"]);
    assert!(code == 1 && said.contains("in use"), "{said}");
    // Nobody sends SIGQUIT to the running process.
    let waits = |folder: &Folder| {
        let socket = folder.path().join("run/tidegate.sock");
        poll("a new process to wait", || std::os::unix::net::UnixStream::connect(&socket).ok());
    };
    let mut unasked = folder.start(&["-c", "tidegate.yaml", "-u"]);
    waits(&folder);
    unasked.signal(Signal::INT);
    unasked.wait_exit();
    assert_eq!(folder.read("run/admin.token"), token);
    assert_eq!(reload_status(admin, token.trim_end()).await, 200);

    // One that takes over goes on with it: nobody has to read the file again.
    let mut next = folder.start(&["-c", "tidegate.yaml", "-u"]);
    waits(&folder);
    running.signal(Signal::QUIT);
    assert!(running.wait_exit().success());
    assert_eq!(folder.read("run/admin.token"), token);
    assert_eq!(reload_status(admin, token.trim_end()).await, 200);
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
}

#[test]
fn a_folder_that_others_can_enter_ends_the_start_with_a_remedy() {
    let folder = Folder::with("listeners: [{ address: '127.0.0.1:0' }]\nroutes: [{ respond: {} }]");
    fs::create_dir(folder.path().join("run")).unwrap();
    fs::set_permissions(folder.path().join("run"), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, said) = folder.run(&["-c", "tidegate.yaml"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("/run is not private"), "{said}");
    assert!(said.contains("Give server.upgrade_sock a folder of its own"), "{said}");
    assert!(!folder.path().join("run/admin.token").exists());
}
