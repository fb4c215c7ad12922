//! The proxy itself: the real binary, started on a configuration.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;
use serde_yaml::Value as Yaml;
use tempfile::TempDir;

use super::{DEADLINE, Response, poll, ports};

/// What a test's own configuration is laid over.
const DEFAULTS: &str = "
server:
  threads: 2
  drain: 5s
  # Few enough for the descriptors that any machine allows.
  connections: 1024
  pid_file: '{dir}/run/tidegate.pid'
  upgrade_sock: '{dir}/run/tidegate.sock'
admin: { listen: '127.0.0.1:{admin}', token: '{token}' }
log: { level: debug, access: { to: '{dir}/access.log', format: json } }
# Tests of the rules name their profile.
defaults: { waf: off }
";

/// A running proxy; it is killed when this is dropped.
///
/// In its configuration `{port}`, `{port2}`, `{tls_port}` and `{admin}` are
/// ports of 127.0.0.1 and `{dir}` is a folder of its own. What a test writes
/// is merged over [`DEFAULTS`], key by key.
pub(crate) struct Edge {
    child: Child,
    dir: TempDir,
    places: Vec<(String, String)>,
    ports: [u16; 4],
    token: String,
}

impl Edge {
    /// Starts the proxy and waits until it is there.
    pub(crate) fn start(yaml: &str) -> Edge {
        Edge::start_with(yaml, &[])
    }

    /// The same, with more places to fill: `("origin", &origin.addr)`.
    pub(crate) fn start_with(yaml: &str, places: &[(&str, &dyn Display)]) -> Edge {
        Edge::start_as(yaml, places, spawn)
    }

    /// The same, with this as its standard error; [`Edge::stderr`] is empty then.
    pub(crate) fn start_saying_to(
        stderr: impl Into<Stdio>,
        yaml: &str,
        places: &[(&str, &dyn Display)],
    ) -> Edge {
        Edge::start_as(yaml, places, |dir, _| {
            command(dir).stdout(Stdio::null()).stderr(stderr).spawn().unwrap()
        })
    }

    fn start_as(
        yaml: &str,
        places: &[(&str, &dyn Display)],
        spawn: impl FnOnce(&Path, &[&str]) -> Child,
    ) -> Edge {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("www")).unwrap();
        let ports = ports::free::<4>();
        let names = ["port", "port2", "tls_port", "admin"];
        // What a test gives comes first: it may have places of its own.
        let mut places: Vec<(String, String)> =
            places.iter().map(|(name, value)| pair(name, value)).collect();
        places.extend(names.iter().zip(ports).map(|(name, port)| pair(name, &port)));
        places.push(pair("dir", &dir.path().display()));
        // Its name is nobody else's.
        let token = format!("token-of{}", dir.path().display());
        places.push(pair("token", &token));
        write_config(dir.path(), yaml, &places);
        let mut edge = Edge { child: spawn(dir.path(), &[]), dir, places, ports, token };
        edge.await_ready();
        edge
    }

    /// Waits until the admin listener answers.
    fn await_ready(&mut self) {
        poll("the proxy to start", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the proxy did not start: {status}\n{}", self.stderr());
            }
            self.ask_admin("GET", "/api/config").filter(|answer| answer.status == 200).map(drop)
        })
    }

    /// The listener at `{port}`.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.at(0)
    }

    /// The listener at `{port2}`.
    pub(crate) fn addr2(&self) -> SocketAddr {
        self.at(1)
    }

    /// The listener at `{tls_port}`.
    pub(crate) fn tls_addr(&self) -> SocketAddr {
        self.at(2)
    }

    /// The admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.at(3)
    }

    fn at(&self, index: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[index]))
    }

    /// The folder `{dir}`; the proxy runs in it. What it may serve is in `www`.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The token of the admin listener.
    pub(crate) fn token(&self) -> &str {
        &self.token
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Replaces the configuration file; nothing reads it before a reload.
    pub(crate) fn write_config(&self, yaml: &str) {
        write_config(self.dir(), yaml, &self.places);
    }

    /// Another process on the same file, with more arguments; see `-u`, `-t`.
    pub(crate) fn spawn_beside(&self, arguments: &[&str]) -> Child {
        spawn(self.dir(), arguments)
    }

    /// What `GET path` of the admin listener says, shown the token.
    pub(crate) fn admin_get(&self, path: &str) -> Response {
        self.ask_admin("GET", path).expect("the admin listener answers")
    }

    /// What `POST path` of the admin listener says, shown the token.
    pub(crate) fn admin_post(&self, path: &str) -> Response {
        self.ask_admin("POST", path).expect("the admin listener answers")
    }

    fn ask_admin(&self, method: &str, path: &str) -> Option<Response> {
        let mut stream = TcpStream::connect(self.admin()).ok()?;
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let host = self.admin();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
             content-length: 0\r\nauthorization: Bearer {}\r\n\r\n",
            self.token
        );
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        (!answer.is_empty()).then(|| Response::whole(&answer))
    }

    /// The value of a metric, `name{label="value"}` as /metrics writes it.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.admin_get("/metrics").text();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or(0.0)
    }

    /// Waits until a metric has this value.
    pub(crate) fn await_metric(&self, series: &str, expected: f64) {
        poll(&format!("{series} to be {expected}"), || {
            (self.metric(series) == expected).then_some(())
        });
    }

    /// Waits until `count` requests are logged; all records so far.
    pub(crate) fn access_log(&self, count: usize) -> Vec<Json> {
        poll(&format!("{count} access records"), || {
            let records = self.records();
            (records.len() >= count).then_some(records)
        })
    }

    /// Ends the proxy with SIGTERM; every record it ever wrote.
    ///
    /// The log is whole once the process is gone, so that "exactly one
    /// record" needs no guess about how long to wait for a second one.
    pub(crate) fn stop(mut self) -> Vec<Json> {
        self.signal(Signal::TERM);
        let status = self.wait_exit();
        assert!(status.success(), "{status}\n{}", self.stderr());
        self.records()
    }

    /// Every record so far, without waiting for more.
    pub(crate) fn records(&self) -> Vec<Json> {
        let text = fs::read_to_string(self.dir().join("access.log")).unwrap_or_default();
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap());
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        whole.lines().map(parse).collect()
    }

    /// What the proxy has written to standard error.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.dir().join("stderr")).unwrap_or_default()
    }

    /// Waits until standard error holds `text`.
    pub(crate) fn await_stderr(&self, text: &str) {
        poll(&format!("`{text}` in standard error"), || self.stderr().contains(text).then_some(()));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the process has ended.
    pub(crate) fn wait_exit(&mut self) -> ExitStatus {
        poll("the proxy to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the proxy's standard error ---\n{}", self.stderr());
        }
        // It may have ended already; either way it is gone after this.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn pair(name: &str, value: &dyn Display) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn spawn(dir: &Path, arguments: &[&str]) -> Child {
    let stderr = File::options().create(true).append(true).open(dir.join("stderr")).unwrap();
    command(dir).args(arguments).stdout(stderr.try_clone().unwrap()).stderr(stderr).spawn().unwrap()
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.args(["-c", "tidegate.yaml"]).current_dir(dir).stdin(Stdio::null());
    command
}

/// Writes `yaml`, its places filled, over the defaults.
fn write_config(dir: &Path, yaml: &str, places: &[(String, String)]) {
    let fill = |text: &str| {
        let fill = |text: String, (name, value): &(String, String)| {
            text.replace(&format!("{{{name}}}"), value)
        };
        places.iter().fold(text.to_owned(), fill)
    };
    let mut config: Yaml = serde_yaml::from_str(&fill(DEFAULTS)).unwrap();
    let filled = fill(yaml);
    let own: Yaml = serde_yaml::from_str(&filled).unwrap_or_else(|e| panic!("{e}:\n{filled}"));
    merge(&mut config, own);
    fs::write(dir.join("tidegate.yaml"), serde_yaml::to_string(&config).unwrap()).unwrap();
}

fn merge(under: &mut Yaml, over: Yaml) {
    match (under, over) {
        (Yaml::Mapping(under), Yaml::Mapping(over)) => {
            for (key, value) in over {
                merge(under.entry(key).or_insert(Yaml::Null), value);
            }
        }
        (under, over) => *under = over,
    }
}
