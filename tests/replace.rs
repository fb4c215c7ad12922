//! A process is replaced by a new one, or stays when there is none.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::Signal;

use crate::support::{Client, Edge, Nginx, Origin, poll};

const CONFIG: &str = "
server: { drain: 10m }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

const PING: &str = "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n";

/// Bytes of the download, and how fast it comes: it takes several seconds.
const DOWNLOAD: usize = 1_000_000;
const RATE: &str = "location /slow { limit_rate 200k; }";

/// A process that is ended with the value that started it.
struct Ending(Child);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn tool(name: &str, arguments: &[&str]) -> Child {
    let child = Command::new(name).args(arguments).stdout(Stdio::piped()).spawn();
    child.unwrap_or_else(|error| panic!("{name} is missing (apt-get install {name}): {error}"))
}

fn said(child: Child) -> String {
    let Output { stdout, .. } = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&stdout).into_owned()
}

/// Whether a process waits for the sockets of the running one.
fn await_takeover(edge: &Edge) {
    poll("the new process to wait", || edge.dir().join("run/tidegate.sock").exists().then_some(()));
}

#[test]
fn an_upgrade_under_load_loses_nothing() {
    let nginx = Nginx::start(RATE);
    fs::write(nginx.root().join("1k"), [b'x'; 1024]).unwrap();
    fs::write(nginx.root().join("slow"), vec![b'y'; DOWNLOAD]).unwrap();
    let mut edge = Edge::start_with(CONFIG, &[("origin", &nginx.addr)]);
    let url = |path: &str| format!("http://{}{path}", edge.addr());

    let load = tool("wrk", &["-t1", "-c16", "-d6", &url("/1k")]);
    let slow = ["-s", "--max-time", "30", &url("/slow")];
    let download = tool("curl", &slow);
    let accepted = || edge.metric("tidegate_listen_connections_accepted_total");
    poll("the load", || (accepted() >= 18.0).then_some(()));
    let new = Ending(edge.spawn_beside(&["-u"]));
    await_takeover(&edge);
    edge.signal(Signal::QUIT);
    edge.await_stderr("the new process serves");

    let load = said(load);
    assert!(load.contains("requests in"), "{load}");
    assert!(!load.contains("Socket errors") && !load.contains("Non-2xx"), "{load}");
    assert_eq!(said(download).len(), DOWNLOAD);
    assert!(edge.wait_exit().success(), "{}", edge.stderr());
    // The old one is gone, so this is the new one.
    assert_eq!(edge.admin_get("/readyz").status, 200);
    drop(new);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_new_process_the_old_one_serves_on() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(CONFIG, &[("origin", &origin.addr)]);
    edge.signal(Signal::QUIT);
    edge.await_stderr("this process serves on");
    assert_eq!(Client::ask(edge.addr(), PING).await.status, 200);
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_new_process_fails_the_old_one_serves_on() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(CONFIG, &[("origin", &origin.addr)]);
    edge.write_config("listeners: [{ address: nowhere }]");
    let mut new = Ending(edge.spawn_beside(&["-u"]));
    let ended = poll("the new process to give up", || new.0.try_wait().unwrap());
    assert!(!ended.success());
    edge.await_stderr("listeners[0].address: `nowhere` is no address");

    // An address that is not to be had shows only once the sockets are there.
    edge.write_config("{ listeners: [{ address: '192.0.2.1:1' }], routes: [{ respond: {} }] }");
    let mut new = Ending(edge.spawn_beside(&["-u"]));
    await_takeover(&edge);
    edge.signal(Signal::QUIT);
    edge.await_stderr("this process serves on");
    let ended = poll("the new process to give up", || new.0.try_wait().unwrap());
    assert!(!ended.success());
    assert_eq!(Client::ask(edge.addr(), PING).await.status, 200);
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_ends_requests_and_no_later() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.request().await;
    })
    .await;
    let mut edge = Edge::start_with(CONFIG, &[("origin", &origin.addr)]);
    let mut idle = Client::connect(edge.addr()).await;
    let mut busy = Client::connect(edge.addr()).await;
    busy.send("GET /busy HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    origin.await_requests(1);
    edge.signal(Signal::TERM);
    edge.await_stderr("draining");
    assert_eq!(edge.admin_get("/readyz").status, 503);
    idle.expect_closed().await;
    edge.signal(Signal::INT);
    assert!(edge.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_replaces_routes_or_nothing() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(CONFIG, &[("origin", &origin.addr)]);
    edge.write_config(
        "server: { drain: 10m }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { status: 202 } }]",
    );
    edge.signal(Signal::HUP);
    edge.await_stderr("reloaded");
    assert_eq!(Client::ask(edge.addr(), PING).await.status, 202);
    edge.write_config(
        "server: { drain: 10m }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ upstream: nobody }]",
    );
    let refused = edge.admin_post("/api/reload");
    assert_eq!(refused.status, 422);
    assert!(refused.text().contains("routes[0].upstream: there is no upstream `nobody`"));
    edge.write_config("{ server: { drain: 14s }, routes: [{ respond: {} }] }");
    assert!(edge.admin_post("/api/reload").text().contains("`server` changed"));
    assert_eq!(Client::ask(edge.addr(), PING).await.status, 202);
    edge.stop();
}
