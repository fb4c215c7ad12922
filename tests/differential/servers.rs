//! Six real servers, each of which writes down every request that it sees.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::support::{poll, ports};

/// Which software it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Nginx,
    Apache,
    HaProxy,
    Node,
    Gunicorn,
    Uvicorn,
}

impl Kind {
    /// Its file, under the name that it has in the folder, and the text.
    fn file(self) -> (&'static str, &'static str) {
        match self {
            Kind::Nginx => ("nginx.conf", include_str!("origin/nginx.conf")),
            Kind::Apache => ("apache.conf", include_str!("origin/apache.conf")),
            Kind::HaProxy => ("haproxy.cfg", include_str!("origin/haproxy.cfg")),
            Kind::Node => ("node.js", include_str!("origin/node.js")),
            Kind::Gunicorn => ("wsgi.py", include_str!("origin/wsgi.py")),
            Kind::Uvicorn => ("asgi.py", include_str!("origin/asgi.py")),
        }
    }

    /// The program and its arguments.
    fn command(self, at: SocketAddr, dir: &Path) -> (&'static str, Vec<String>) {
        let port = at.port();
        let (program, arguments) = match self {
            Kind::Nginx => ("nginx", format!("-c {0}/nginx.conf -p {0}", dir.display())),
            Kind::Apache => ("apache2", format!("-X -f {}/apache.conf", dir.display())),
            Kind::HaProxy => ("haproxy", "-db -f haproxy.cfg".to_owned()),
            Kind::Node => ("node", "--max-http-header-size=131072 node.js".to_owned()),
            Kind::Gunicorn => (
                "gunicorn",
                format!(
                    "--bind {at} --worker-class gthread --threads 4 --keep-alive 60 --log-level debug \
                     --limit-request-line 0 --limit-request-field_size 0 wsgi:app"
                ),
            ),
            Kind::Uvicorn => (
                "uvicorn",
                format!(
                    "--host 127.0.0.1 --port {port} --lifespan off --no-access-log \
                     --timeout-keep-alive 60 asgi:app"
                ),
            ),
        };
        (program, arguments.split_whitespace().map(str::to_owned).collect())
    }

    /// What it says of bytes that are no request to it, where it makes no line of them.
    fn complaint(self) -> Option<&'static str> {
        match self {
            Kind::Gunicorn => Some("Invalid request from"),
            Kind::Uvicorn => Some("Invalid HTTP request received"),
            Kind::Nginx | Kind::Apache | Kind::HaProxy | Kind::Node => None,
        }
    }
}

/// A running server; it and its children are killed when this is dropped.
pub(super) struct Server {
    pub(super) kind: Kind,
    pub(super) addr: SocketAddr,
    child: Child,
    dir: TempDir,
}

impl Server {
    /// Starts one; Apache and HAProxy ask `backend` for the answers.
    pub(super) fn start(kind: Kind, backend: SocketAddr) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let [port, port2] = ports::free();
        let addr = SocketAddr::from(([127, 0, 0, 1], port));
        let (name, text) = kind.file();
        let text = text
            .replace("@dir@", &dir.path().display().to_string())
            .replace("@port@", &port.to_string())
            .replace("@port2@", &port2.to_string())
            .replace("@backend@", &backend.to_string());
        fs::write(dir.path().join(name), text).unwrap();
        let (program, arguments) = kind.command(addr, dir.path());
        let said = |name| File::create(dir.path().join(name)).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let child = Command::new(program)
            .args(&arguments)
            .current_dir(dir.path())
            .env("PATH", format!("{path}:/usr/sbin"))
            .stdin(Stdio::null())
            .stdout(said("stdout"))
            .stderr(said("stderr"))
            .process_group(0)
            .spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{program}: {error}; scripts/setup.sh test installs what is missing")
        });
        let mut server = Server { kind, addr, child, dir };
        server.await_ready();
        server
    }

    /// The lines that it has written so far, one for each request.
    pub(super) fn lines(&self) -> Vec<Line> {
        let file = if self.kind == Kind::HaProxy { "stdout" } else { "seen" };
        let text = self.read(file);
        let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap());
        let lines = whole.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| Line::read(self.kind, line)).collect()
    }

    /// What it said of bytes that are no request to it.
    pub(super) fn complaints(&self) -> Vec<String> {
        let Some(complaint) = self.kind.complaint() else { return Vec::new() };
        let text = self.read("stderr");
        text.lines().filter(|line| line.contains(complaint)).map(str::to_owned).collect()
    }

    fn await_ready(&mut self) {
        poll("a server to start", || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("{:?}: {status}: {}", self.kind, self.said());
            }
            TcpStream::connect(self.addr).is_ok().then_some(())
        });
    }

    fn said(&self) -> String {
        ["stdout", "stderr", "error.log"].map(|file| self.read(file)).concat()
    }

    fn read(&self, file: &str) -> String {
        let bytes = fs::read(self.dir.path().join(file)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- what {:?} said ---\n{}", self.kind, self.said());
        }
        // They may have ended already; either way they are gone after this.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

/// A request as a server saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// What the request says that it is; empty if that was not understood.
    pub(super) case: String,
    pub(super) method: String,
    /// As it was written.
    pub(super) target: String,
    /// What the server made of the path: decoded.
    pub(super) path: String,
    pub(super) host: String,
    pub(super) body: String,
    /// `200` if the server found it whole and good.
    pub(super) status: String,
}

impl Line {
    fn read(kind: Kind, text: &str) -> Line {
        // Apache escapes as C does.
        let text =
            if kind == Kind::Apache { text.replace("\\x", "\\u00") } else { text.to_owned() };
        let json: Json = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        let field = |name: &str| match json[name].as_str() {
            None | Some("-") => String::new(),
            Some(value) => value.to_owned(),
        };
        let mut target = field("target");
        // What may hold any byte comes in hex where a server's escapes cannot say it.
        let text_or_hex = |text, hex| match &*field(hex) {
            "" => field(text),
            digits => unhex(digits),
        };
        let (mut path, body) = (text_or_hex("path", "hexpath"), text_or_hex("body", "hex"));
        if kind == Kind::Apache {
            target = field("line").split(' ').nth(1).unwrap_or_default().to_owned();
            path = utf8(path.chars().map(|byte| u8::try_from(u32::from(byte)).unwrap()));
        }
        if target == "*" {
            // To some that is a path, to others it has none.
            path.clone_from(&target);
        }
        Line {
            case: field("case"),
            method: field("method"),
            target,
            path,
            host: field("host"),
            body,
            status: field("status"),
        }
    }
}

fn unhex(digits: &str) -> String {
    let pairs = digits.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).unwrap());
    utf8(pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()))
}

fn utf8(bytes: impl Iterator<Item = u8>) -> String {
    String::from_utf8_lossy(&bytes.collect::<Vec<_>>()).into_owned()
}
