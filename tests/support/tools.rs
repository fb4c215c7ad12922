//! Real clients, run as an operator would run them.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::DEADLINE;

/// Runs `curl` quietly, with a time limit; its answer is on standard output.
pub(crate) fn curl(arguments: &[&str]) -> Ran {
    let limit = DEADLINE.as_secs().to_string();
    let fixed = ["--silent", "--show-error", "--noproxy", "*", "--max-time", &limit];
    run("curl", "curl", &[&fixed, arguments].concat(), "")
}

/// Runs `openssl s_client`, sends it `input` and ends it.
pub(crate) fn s_client(arguments: &[&str], input: &str) -> Ran {
    run("openssl", "openssl", &[&["s_client"], arguments].concat(), input)
}

/// What a tool said.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// The same, after making sure that all went well.
    #[track_caller]
    pub(crate) fn good(self) -> Ran {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// Standard output and standard error.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a tool of a Debian package, at most until the deadline.
pub(crate) fn run(tool: &str, package: &str, arguments: &[&str], input: &str) -> Ran {
    let limit = DEADLINE.as_secs().to_string();
    let child = Command::new("timeout")
        .args([&limit, tool])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap_or_else(|error| panic!("timeout (coreutils): {error}"));
    // A tool may end before it has read all: that is seen in what it says.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    assert_ne!(status.code(), Some(127), "{tool} is missing: apt-get install {package}");
    assert_ne!(status.code(), Some(124), "{tool} {arguments:?} took {DEADLINE:?}");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ran { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
}

/// A load generator under way; it is killed when this is dropped.
pub(crate) struct Load(std::process::Child);

impl Load {
    /// `wrk` with 16 connections on one URL for some seconds.
    pub(crate) fn wrk(seconds: u32, url: &str) -> Load {
        Load::start("wrk", &["-t1", "-c16", &format!("-d{seconds}s"), "--timeout", "10s", url])
    }

    /// `h2load` with 8 clients of 4 streams on one URL for some seconds.
    pub(crate) fn h2load(seconds: u32, url: &str) -> Load {
        Load::start("h2load", &["-c8", "-m4", &format!("--duration={seconds}"), url])
    }

    fn start(tool: &str, arguments: &[&str]) -> Load {
        let child = Command::new(tool)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Load(child.unwrap_or_else(|error| panic!("{tool} (wrk, nghttp2-client): {error}")))
    }

    /// Tells it to stop, and to say how it went.
    pub(crate) fn interrupt(&self) {
        kill_process(Pid::from_child(&self.0), Signal::INT).unwrap();
    }

    /// Waits for its end; what it said.
    pub(crate) fn said(mut self) -> String {
        let mut said = String::new();
        let (stdout, stderr) = (self.0.stdout.take().unwrap(), self.0.stderr.take().unwrap());
        std::io::Read::read_to_string(&mut { stdout }, &mut said).unwrap();
        std::io::Read::read_to_string(&mut { stderr }, &mut said).unwrap();
        said
    }

    /// Waits for the end of `wrk`; how many requests it made, none of which
    /// failed.
    pub(crate) fn wrk_requests(self) -> u64 {
        let said = self.said();
        assert!(!said.contains("Socket errors") && !said.contains("Non-2xx"), "{said}");
        let line = said.lines().find(|line| line.contains(" requests in "));
        let count = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        count.filter(|count| *count > 0).unwrap_or_else(|| panic!("no requests: {said}"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // It may have ended already; either way it is gone after this.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
