//! Chromium, driven through its DevTools protocol as a person would drive it.
//!
//! It reaches nothing but 127.0.0.1: every name leads there.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::{SinkExt as _, StreamExt as _};
use rustix::process::{Pid, Signal, geteuid, kill_process_group};
use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async_with_config, tungstenite};

use super::{DEADLINE, poll, within};

/// A browser with one tab; its processes end when this is dropped.
pub(crate) struct Browser {
    child: Child,
    // Its profile: no browser knows of another.
    dir: TempDir,
    socket: WebSocketStream<TcpStream>,
    tab: String,
    last_id: u64,
}

impl Browser {
    /// Starts it; it trusts every certificate.
    pub(crate) async fn start() -> Browser {
        let dir = tempfile::tempdir().unwrap();
        let child = spawn(&dir);
        let address = poll("Chromium to start", || {
            let text = fs::read_to_string(dir.path().join("DevToolsActivePort")).ok()?;
            let (port, path) = text.trim_end().split_once('\n')?;
            Some((format!("127.0.0.1:{port}"), path.to_owned()))
        });
        let (port, path) = address;
        let stream = TcpStream::connect(&port).await.unwrap();
        // A screenshot is larger than the usual bound.
        let config = tungstenite::protocol::WebSocketConfig::default()
            .max_message_size(None)
            .max_frame_size(None);
        let url = format!("ws://{port}{path}");
        let opened = client_async_with_config(url, stream, Some(config));
        let (socket, _) = within("the DevTools", opened).await.unwrap();
        let mut browser = Browser { child, dir, socket, tab: String::new(), last_id: 0 };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" })).await;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", target).await;
        browser.tab = attached["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Goes to an address, and returns once something of it is there.
    pub(crate) async fn go(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({ "url": url })).await;
        assert_eq!(gone["errorText"], Json::Null, "{url}");
    }

    /// What a script says in the page, promises awaited.
    pub(crate) async fn says(&mut self, script: &str) -> Json {
        self.try_says(script).await.unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// The text of the page, once it has this part.
    pub(crate) async fn await_text(&mut self, part: &str) -> String {
        const TEXT: &str = "document.body ? document.body.innerText : ''";
        let start = Instant::now();
        loop {
            // A page that is left just now has no text.
            let text = self.try_says(TEXT).await.unwrap_or_default();
            let text = text.as_str().unwrap_or_default();
            if text.contains(part) {
                return text.to_owned();
            }
            assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} for {part:?} in {text:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The cookies for an address.
    pub(crate) async fn cookies(&mut self, url: &str) -> Vec<Json> {
        let found = self.call("Network.getCookies", json!({ "urls": [url] })).await;
        found["cookies"].as_array().unwrap().clone()
    }

    /// Lets pages run no scripts; what a test asks is still answered.
    pub(crate) async fn forbid_scripts(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Every node that a screen reader hears of: role, name and properties.
    pub(crate) async fn accessible(&mut self) -> Vec<Json> {
        let tree = self.call("Accessibility.getFullAXTree", json!({})).await;
        let nodes = tree["nodes"].as_array().unwrap().iter();
        nodes.filter(|node| node["ignored"] == false).cloned().collect()
    }

    /// Any command of the protocol; its result.
    pub(crate) async fn call(&mut self, method: &str, parameters: Json) -> Json {
        let done = self.try_call(method, parameters).await;
        done.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn try_says(&mut self, script: &str) -> Result<Json, Json> {
        let asked = json!({ "expression": script, "awaitPromise": true, "returnByValue": true });
        let mut said = self.try_call("Runtime.evaluate", asked).await?;
        match said["exceptionDetails"].take() {
            Json::Null => Ok(said["result"]["value"].take()),
            thrown => Err(thrown),
        }
    }

    async fn try_call(&mut self, method: &str, parameters: Json) -> Result<Json, Json> {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.tab.is_empty() {
            command["sessionId"] = self.tab.clone().into();
        }
        let sent = self.socket.send(Message::text(command.to_string()));
        within("a command", sent).await.unwrap();
        loop {
            let message = within("an answer", self.socket.next()).await.unwrap().unwrap();
            let Ok(text) = message.to_text() else { continue };
            let mut answer: Json = serde_json::from_str(text).unwrap();
            // The rest are events.
            if answer["id"] == self.last_id {
                return match answer["error"].take() {
                    Json::Null => Ok(answer["result"].take()),
                    error => Err(error),
                };
            }
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let said = fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default();
            eprintln!("--- Chromium's standard error ---\n{said}");
        }
        // It may have ended already; either way all of it is gone after this.
        kill_process_group(Pid::from_child(&self.child), Signal::KILL).ok();
        self.child.wait().ok();
    }
}

fn spawn(dir: &TempDir) -> Child {
    let mut command = Command::new("chromium");
    command
        .args(["--headless=new", "--remote-debugging-port=0", "--ignore-certificate-errors"])
        .arg(format!("--user-data-dir={}", dir.path().display()))
        .args(["--host-resolver-rules=MAP * 127.0.0.1", "--no-proxy-server", "--no-first-run"])
        // It asks nobody for anything by itself.
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .args(["--disable-extensions", "--disable-breakpad", "--metrics-recording-only"])
        .args(["--disable-gpu", "--disable-dev-shm-usage", "--lang=en"]);
    if geteuid().is_root() {
        // Its sandbox is not for root.
        command.arg("--no-sandbox");
    }
    let stderr = File::create(dir.path().join("stderr")).unwrap();
    // A group of its own: it has many processes.
    let command = command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
    let child = command.stderr(stderr).spawn();
    child.unwrap_or_else(|error| panic!("chromium: {error}; run `scripts/setup.sh test`"))
}
