//! One process takes over from another, and clients do not notice.

use std::fs;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use serde_json::Value as Json;
use tokio::task::JoinHandle;

use crate::support::client::tls;
use crate::support::websocket::{self, echoes, heard};
use crate::support::{Authority, Client, Edge, Load, Nginx, Origin, h2_client, poll};

/// A drain that would last longer than any wait of a test.
const SITE: &str = "
server: { drain: 10m }
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { status: 200, body: one } }]
";

const ASK: &str = "GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n";

/// A process beside the first; it is killed when this is dropped.
struct Next(Child);

impl Next {
    /// Starts one that waits for the sockets of the process before it.
    fn waiting(edge: &Edge) -> Next {
        let next = Next(edge.spawn_beside(&["-u"]));
        poll("the new process to wait", || socket(edge).exists().then_some(()));
        next
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    fn wait_exit(&mut self) -> ExitStatus {
        poll("a process to end", || self.0.try_wait().unwrap())
    }
}

impl Drop for Next {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn socket(edge: &Edge) -> std::path::PathBuf {
    edge.dir().join("run/tidegate.sock")
}

/// How often the error log, which all processes share, says `text`.
fn said(edge: &Edge, text: &str) -> usize {
    edge.stderr().matches(text).count()
}

fn await_said(edge: &Edge, text: &str, times: usize) {
    poll(&format!("{times} times `{text}`"), || (said(edge, text) >= times).then_some(()));
}

/// Connects anew for every request, one after the other, until told to stop;
/// each must be answered.
fn visitors(addr: SocketAddr) -> (Arc<AtomicBool>, JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let until = stop.clone();
    let visits = tokio::spawn(async move {
        let mut count = 0;
        while !until.load(Ordering::SeqCst) {
            assert_eq!(Client::ask(addr, ASK).await.status, 200);
            count += 1;
        }
        count
    });
    (stop, visits)
}

async fn stop((stop, visits): (Arc<AtomicBool>, JoinHandle<usize>)) -> usize {
    stop.store(true, Ordering::SeqCst);
    visits.await.unwrap()
}

/// All that clients may be doing when a process is replaced.
const BUSY: &str = "
server: { drain: 10m }
listeners:
  - { address: '127.0.0.1:{port}', limits: { requests_per_connection: 1000000 } }
  - address: '127.0.0.1:{tls_port}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams: { app: { servers: ['{nginx}'] }, echo: { servers: ['{echo}'] } }
routes:
  - { upstream: app }
  - { match: { path: /ws }, upstream: echo }
";

/// Bytes of the download; at its rate it takes ten seconds.
const DOWNLOAD: usize = 2_000_000;
const RATE: &str = "location /slow { limit_rate 200k; }";

/// Connections that are opened while the process does not run.
const BACKLOG: usize = 30;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_upgrade_under_load_loses_no_request_and_refuses_no_connection() {
    let nginx = Nginx::start(RATE);
    let file: Vec<u8> = (0..DOWNLOAD).map(|n| ((n * n) >> 7) as u8).collect();
    fs::write(nginx.root().join("slow"), &file).unwrap();
    for name in ["index.html", "again"] {
        fs::write(nginx.root().join(name), [b'x'; 1024]).unwrap();
    }
    let echo = Origin::scripted(websocket::echo).await;
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let mut edge = Edge::start_with(
        BUSY,
        &[("nginx", &nginx.addr), ("echo", &echo.addr), ("certs", &certs.dir().display())],
    );
    let download = tokio::spawn(download(edge.addr()));
    let wrk = Load::wrk(9, &format!("http://{}/", edge.addr()));
    let h2load = Load::h2load(9, &format!("https://{}/", edge.tls_addr()));
    let visitors = visitors(edge.addr());
    let h2_visitors = h2_visitors(edge.tls_addr(), certs.client(&["h2"]));
    let tunnel = tokio::net::TcpStream::connect(edge.addr()).await.unwrap();
    let mut tunnel = websocket::over(tunnel, "ws://a.example/ws").await;
    echoes(&mut tunnel, "before").await;
    let open = "tidegate_listen_connections_open";
    poll("the load", || (edge.metric(open) >= 27.0).then_some(()));

    let next = Next::waiting(&edge);
    edge.signal(Signal::STOP);
    let mut backlog = Vec::new();
    for _ in 0..BACKLOG {
        let mut client = Client::connect(edge.addr()).await;
        client.send(ASK).await;
        backlog.push(client);
    }
    edge.signal(Signal::QUIT);
    edge.signal(Signal::CONT);
    edge.await_stderr("the new process serves");
    for mut client in backlog {
        assert_eq!(client.response().await.status, 200);
    }
    assert_eq!(pid_file(&edge), next.0.id());
    poll("the new process's word", || (edge.admin_get("/readyz").status == 200).then_some(()));
    echoes(&mut tunnel, "after").await;

    // The clients of the first run ended with their connections.
    let again = Load::h2load(2, &format!("https://{}/again", edge.tls_addr()));
    let (h2load, again) = (H2Loaded::of(h2load), H2Loaded::of(again));
    assert_eq!(again.failed, 0, "{}", again.said);
    let requests = wrk.wrk_requests();
    let visits = stop(visitors).await + stop(h2_visitors).await;
    assert!(visits > 0);
    assert!(download.await.unwrap() == file, "the download is not what was sent");
    echoes(&mut tunnel, "while the old process drains").await;
    tunnel.close(None).await.unwrap();
    assert!(heard(&mut tunnel).await.is_close());
    drop(tunnel);
    let status = edge.wait_exit();
    assert!(status.success(), "{status}");
    assert!(!edge.stderr().contains("connections are cut"));
    next.signal(Signal::TERM);
    let mut next = next;
    assert!(next.wait_exit().success());
    let records = edge.records();
    check_h2load(&h2load, &records);
    let answers = requests as usize + h2load.succeeded + again.succeeded + visits + BACKLOG + 2;
    let good = records.iter().filter(|r| r["status"] == 200 || r["status"] == 101).count();
    assert!(good >= answers, "{good} records of {answers} answers");
    let is_failed = |r: &&Json| r["status"].as_u64() >= Some(400) || !r["refusal"].is_null();
    let failed: Vec<_> = records.iter().filter(is_failed).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// A client of `h2load` does not connect anew: it ends with the GOAWAY of its
/// connection. What it had queued by then and never sent, it counts as failed;
/// whatever arrived was answered.
fn check_h2load(h2load: &H2Loaded, records: &[Json]) {
    let is_its = |r: &&Json| {
        let agent = r["user_agent"].as_str().unwrap_or_default();
        agent.starts_with("h2load") && r["path"] == "/"
    };
    let arrived: Vec<_> = records.iter().filter(is_its).collect();
    assert!(arrived.iter().all(|r| r["status"] == 200), "{arrived:#?}");
    assert_eq!(arrived.len(), h2load.succeeded, "{}", h2load.said);
}

async fn download(addr: SocketAddr) -> Vec<u8> {
    let mut client = Client::connect(addr).await;
    client.send(ASK.replace("/ ", "/slow ")).await;
    let answer = client.response().await;
    assert_eq!(answer.status, 200);
    answer.body
}

/// Asks on one h2 connection as long as it takes requests, then on the next;
/// each request must be answered.
fn h2_visitors(
    addr: SocketAddr,
    config: Arc<ClientConfig>,
) -> (Arc<AtomicBool>, JoinHandle<usize>) {
    let stop = Arc::new(AtomicBool::new(false));
    let until = stop.clone();
    let visits = tokio::spawn(async move {
        let (mut count, mut connections) = (0, 0);
        while !until.load(Ordering::SeqCst) {
            let stream = tls(addr, config.clone(), "a.example").await.unwrap();
            let (send, connection) = h2::client::handshake(stream).await.unwrap();
            let driver = tokio::spawn(connection);
            connections += 1;
            while let Ok(mut ready) = send.clone().ready().await
                && !until.load(Ordering::SeqCst)
            {
                let request = http::Request::get("https://a.example/").body(()).unwrap();
                // After GOAWAY nothing can be sent on it; what was sent counts.
                let Ok((answer, _)) = ready.send_request(request, true) else {
                    break;
                };
                assert_eq!(h2_client::whole(answer).await.unwrap().response.status, 200);
                count += 1;
            }
            driver.abort();
        }
        assert!(connections > 1, "it was never told to connect anew");
        count
    });
    (stop, visits)
}

/// What `h2load` says about its requests, once it has ended.
struct H2Loaded {
    said: String,
    succeeded: usize,
    failed: usize,
}

impl H2Loaded {
    fn of(load: Load) -> H2Loaded {
        let said = load.said();
        let line = said.lines().find(|line| line.starts_with("requests: "));
        let line = line.unwrap_or_else(|| panic!("no figures: {said}"));
        let count = |what: &str| -> usize {
            let part = line.split([':', ',']).find_map(|part| part.trim().strip_suffix(what));
            part.and_then(|count| count.trim().parse().ok()).unwrap()
        };
        assert_eq!(count("timeout"), 0, "{said}");
        assert_eq!(count("failed"), count("errored"), "{said}");
        let (succeeded, failed) = (count("succeeded"), count("failed"));
        assert!(succeeded > 0, "{said}");
        H2Loaded { succeeded, failed, said }
    }
}

fn pid_file(edge: &Edge) -> u32 {
    fs::read_to_string(edge.dir().join("run/tidegate.pid")).unwrap().trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_took_over_hands_over() {
    let mut edge = Edge::start(SITE);
    let visitors = visitors(edge.addr());
    let mut second = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    assert!(edge.wait_exit().success());
    assert_eq!(pid_file(&edge), second.0.id());

    edge.write_config(&SITE.replace("one", "three"));
    let mut third = Next::waiting(&edge);
    second.signal(Signal::QUIT);
    assert!(second.wait_exit().success());
    assert_eq!(pid_file(&edge), third.0.id());
    assert_eq!(Client::ask(edge.addr(), ASK).await.text(), "three");
    let visits = stop(visitors).await;
    third.signal(Signal::TERM);
    assert!(third.wait_exit().success());
    assert_eq!(edge.records().len(), visits + 1);
    assert!(!socket(&edge).exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go_with_a_new_process() {
    let two = "listeners: [{ address: '127.0.0.1:{port}' }, { address: '127.0.0.1:{port2}' }]";
    let one = "listeners: [{ address: '127.0.0.1:{port}' }]";
    let other = "listeners: [{ address: '127.0.0.1:{tls_port}' }, { address: '127.0.0.1:{port}' }]";
    let mut edge = Edge::start(&SITE.replace(one, two));
    edge.write_config(&SITE.replace(one, other));
    let mut next = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    assert!(edge.wait_exit().success());
    for addr in [edge.addr(), edge.tls_addr()] {
        assert_eq!(Client::ask(addr, ASK).await.status, 200);
    }
    let refused = TcpStream::connect(edge.addr2()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_new_process_cannot_start_the_old_one_serves() {
    let edge = Edge::start(SITE);
    let visitors = visitors(edge.addr());
    // A file with a fault: it does not get as far as waiting.
    edge.write_config(&SITE.replace("status", "statsu"));
    let mut bad = Next(edge.spawn_beside(&["-u"]));
    assert_eq!(bad.wait_exit().code(), Some(1));
    edge.await_stderr("tidegate.yaml:");
    edge.await_stderr("did you mean `status`?");
    assert!(!socket(&edge).exists());

    // An address that is not of this machine shows once the sockets are there.
    let other = "{ address: '127.0.0.1:{port}' }, { address: '192.0.2.1:1' }";
    edge.write_config(&SITE.replace("{ address: '127.0.0.1:{port}' }", other));
    let mut unbound = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    assert_eq!(unbound.wait_exit().code(), Some(1));
    await_said(&edge, "not replaced, this process serves on: ", 1);
    let stderr = edge.stderr();
    let why = stderr.split("serves on: ").nth(1).and_then(|why| why.lines().next()).unwrap();
    assert!(why.contains("the new process could not start: listeners[1]: 192.0.2.1:1: "), "{why}");

    // A token that others could know, and may be in use, is not replaced.
    edge.write_config(&format!("{SITE}\nadmin: {{ token: '' }}"));
    let token = edge.dir().join("run/admin.token");
    fs::write(&token, "0123456789abcdef\n").unwrap();
    fs::set_permissions(&token, fs::Permissions::from_mode(0o640)).unwrap();
    let mut tokenless = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    assert_eq!(tokenless.wait_exit().code(), Some(1));
    await_said(&edge, "not replaced, this process serves on: ", 2);
    edge.await_stderr("run/admin.token says: it has mode 0640");
    assert_eq!(fs::read_to_string(&token).unwrap(), "0123456789abcdef\n");

    // One that dies while it waits leaves a socket that nobody answers at.
    edge.write_config(SITE);
    let mut killed = Next::waiting(&edge);
    killed.signal(Signal::KILL);
    killed.wait_exit();
    edge.signal(Signal::QUIT);
    await_said(&edge, "not replaced, this process serves on: ", 3);
    edge.await_stderr("no new process is waiting for the sockets; start one with -u");

    assert_eq!(edge.admin_get("/readyz").status, 200);
    assert!(stop(visitors).await > 0);
    upgrade(edge).await;
}

/// After whatever was tried before, a real upgrade works.
async fn upgrade(mut edge: Edge) {
    let mut next = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    assert!(edge.wait_exit().success());
    assert_eq!(Client::ask(edge.addr(), ASK).await.status, 200);
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigquit_alone_ends_nothing() {
    let edge = Edge::start(SITE);
    let visitors = visitors(edge.addr());
    edge.signal(Signal::QUIT);
    edge.await_stderr("no new process is waiting for the sockets; start one with -u");
    assert_eq!(edge.admin_get("/readyz").status, 200);
    assert!(stop(visitors).await > 0);
    upgrade(edge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_on_the_socket_is_no_hand_over() {
    let mut edge = Edge::start(SITE);
    // What waits for the sockets is no Tidegate.
    let impostor = UnixListener::bind(socket(&edge)).unwrap();
    fs::write(edge.dir().join("run/tidegate.pid"), "999999\n").unwrap();
    edge.signal(Signal::QUIT);
    let (mut stream, _) = impostor.accept().unwrap();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    edge.await_stderr("this process serves on: the other process sent what is no hand-over");
    drop((impostor, stream));
    // As one that was killed would have left it.
    let named = || fs::read_to_string(edge.dir().join("run/tidegate.pid")).unwrap();
    let ours = format!("{}\n", edge.pid().as_raw_nonzero());
    poll("the pid file to name who serves", || (named() == ours).then_some(()));
    fs::remove_file(socket(&edge)).unwrap();
    assert_eq!(Client::ask(edge.addr(), ASK).await.status, 200);

    // What offers sockets is no Tidegate; the wait goes on.
    let mut next = Next::waiting(&edge);
    // Its file is there from bind on, but refuses until listen.
    let listening = || UnixStream::connect(socket(&edge)).ok();
    let mut stranger = poll("the new process to listen", listening);
    stranger.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    stranger.read_to_end(&mut Vec::new()).ok();
    edge.signal(Signal::QUIT);
    assert!(edge.wait_exit().success());
    assert_eq!(Client::ask(edge.addr(), ASK).await.status, 200);
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
}

/// A process that is handing over, to one that took the sockets and hangs.
fn stuck(edge: &Edge) -> (UnixListener, UnixStream) {
    let hanging = UnixListener::bind(socket(edge)).unwrap();
    edge.signal(Signal::QUIT);
    let (mut stream, _) = hanging.accept().unwrap();
    let mut greeting = [0; 20];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"tidegate handover 1\n");
    (hanging, stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn sigint_ends_a_process_whose_successor_hangs() {
    let mut edge = Edge::start(SITE);
    let _hanging = stuck(&edge);
    edge.signal(Signal::INT);
    assert!(edge.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_drains_a_process_whose_successor_hangs() {
    let mut edge = Edge::start(SITE);
    let mut client = Client::connect(edge.addr()).await;
    let (first, rest) = ASK.split_at(10);
    client.send(first).await;
    edge.await_metric("tidegate_listen_connections_accepted_total", 1.0);
    let (hanging, mut stream) = stuck(&edge);
    edge.signal(Signal::TERM);
    edge.await_stderr("draining 1 connection");
    // The new process holds descriptors of the listening sockets until it reads no more.
    stream.read_to_end(&mut Vec::new()).unwrap();
    drop((hanging, stream));
    poll("the listening socket to refuse", || TcpStream::connect(edge.addr()).err());
    client.send(rest).await;
    assert_eq!(client.response().await.status, 200);
    assert!(edge.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_running_process_the_new_one_waits_and_can_be_interrupted() {
    let mut edge = Edge::start(SITE);
    edge.signal(Signal::TERM);
    assert!(edge.wait_exit().success());
    for (round, signal) in [Signal::INT, Signal::TERM].into_iter().enumerate() {
        // The socket of the one before is dead; that is no reason to give up.
        fs::remove_file(socket(&edge)).ok();
        let mut next = Next::waiting(&edge);
        await_said(&edge, "waiting for the running process: send it SIGQUIT", round + 1);
        assert!(TcpStream::connect(edge.addr()).is_err(), "it has no sockets");
        assert!(next.0.try_wait().unwrap().is_none());
        next.signal(signal);
        // Left alone, it would wait for longer than this does.
        next.wait_exit();
    }
}

/// One server's first check is bad, and further ones get no answer: a process
/// that knows no more than that finds the server up. Requests to /gone of the
/// other upstream's first server end without an answer.
const KNOWN: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams:
  checked:
    servers: ['{ill}', '{well}']
    health: { http: { path: /healthz }, interval: 1h, timeout: 1h, fall: 1 }
  failing:
    servers: ['{gone}', '{well}']
    outlier: { errors: 1, eject: 1h }
routes:
  - { match: { path_prefix: /failing }, upstream: failing }
  - { upstream: checked }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_knows_which_servers_are_down() {
    let ill = Origin::scripted(|mut conn| async move {
        if conn.index == 0 {
            conn.request().await;
            conn.send("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n").await;
        }
        conn.closed().await;
    })
    .await;
    let gone = Origin::scripted(|mut conn| async move { drop(conn.request().await) }).await;
    let well = Origin::ok().await;
    let mut edge =
        Edge::start_with(KNOWN, &[("ill", &ill.addr), ("gone", &gone.addr), ("well", &well.addr)]);
    let first = |edge: &Edge, upstream: &str| {
        let status = edge.admin_get("/api/upstreams");
        serde_json::from_slice::<Json>(&status.body).unwrap()[upstream][0].clone()
    };
    poll("the check", || (first(&edge, "checked")["healthy"] == false).then_some(()));
    let failing = ASK.replace("/ ", "/failing ");
    poll("the failure", || {
        (first(&edge, "failing")["ejected"] == true).then_some(()).or_else(|| {
            let mut client = TcpStream::connect(edge.addr()).unwrap();
            client.write_all(failing.as_bytes()).unwrap();
            client.read_to_end(&mut Vec::new()).unwrap();
            None
        })
    });

    let mut next = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    assert!(edge.wait_exit().success());
    let asked = gone.requests();
    for target in ["/ ", "/failing "] {
        for _ in 0..6 {
            let answer = Client::ask(edge.addr(), ASK.replace("/ ", target)).await;
            assert_eq!(answer.status, 200);
        }
    }
    assert_eq!(gone.requests(), asked, "it is out for an hour");
    assert_eq!(first(&edge, "checked")["why"], "answered 503");
    assert_eq!(first(&edge, "checked")["requests"], 0);
    assert_eq!(first(&edge, "failing")["ejected"], true);
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
    let last = edge.records().split_off(edge.records().len() - 12);
    assert!(last.iter().all(|record| record["attempts"] == 1), "{last:#?}");
}

/// Bans a network for an hour.
async fn ban(edge: &Edge, network: &str) {
    let body = format!("{{\"network\": \"{network}\", \"for\": \"1h\"}}");
    let head = format!(
        "POST /api/bans HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n{body}",
        edge.admin(),
        edge.token(),
        body.len()
    );
    assert_eq!(Client::ask(edge.admin(), head).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_knows_who_was_banned_by_one_that_was_killed() {
    let mut edge = Edge::start(SITE);
    ban(&edge, "127.0.0.7").await;
    let file = edge.dir().join("run/bans.json");
    poll("the bans to be written", || {
        fs::read_to_string(&file).ok().filter(|text| text.contains("127.0.0.7/32"))
    });
    edge.signal(Signal::KILL);
    edge.wait_exit();
    let _next = Next(edge.spawn_beside(&[]));
    poll("the next one", || TcpStream::connect(edge.addr()).ok());
    for (from, is_banned) in [("127.0.0.7", true), ("127.0.0.8", false)] {
        let mut client = Client::connect_from(from, edge.addr()).await;
        client.try_send(ASK).await.ok();
        assert_eq!(client.response_or_closed().await.is_none(), is_banned, "{from}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_bans_are_written_before_a_process_ends() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut edge = Edge::start(SITE);
        // Until it serves, the file may be another one's.
        assert_eq!(Client::ask(edge.addr(), ASK).await.status, 200);
        let file = edge.dir().join("run/bans.json");
        for network in ["127.0.0.7", "127.0.3.0/24"] {
            ban(&edge, network).await;
        }
        edge.signal(signal);
        edge.wait_exit();
        let text = fs::read_to_string(&file).unwrap_or_default();
        assert!(text.contains("127.0.0.7/32") && text.contains("127.0.3.0/24"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_knows_who_is_banned() {
    let mut edge = Edge::start(SITE);
    for network in ["127.0.0.7", "127.0.3.0/24"] {
        ban(&edge, network).await;
    }
    let before = edge.admin_get("/api/bans").text();
    let mut next = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    assert!(edge.wait_exit().success());
    for (from, is_banned) in [("127.0.0.7", true), ("127.0.3.9", true), ("127.0.0.8", false)] {
        let mut client = Client::connect_from(from, edge.addr()).await;
        client.try_send(ASK).await.ok();
        assert_eq!(client.response_or_closed().await.is_none(), is_banned, "{from}");
    }
    let networks = |text: &str| {
        let told: Vec<Json> = serde_json::from_str(text).unwrap();
        told.iter().map(|ban| ban["network"].to_string()).collect::<Vec<_>>()
    };
    assert_eq!(networks(&edge.admin_get("/api/bans").text()), networks(&before));
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_process_learns_whom_the_old_one_bans_while_it_drains() {
    let origin = Origin::ok().await;
    let site = format!(
        "server: {{ drain: 10m }}
bans: {{ after: 1 }}
listeners: [{{ address: '127.0.0.1:{{port}}' }}]
upstreams: {{ app: {{ servers: ['{}'] }} }}
routes: [{{ upstream: app }}]",
        origin.addr
    );
    let mut edge = Edge::start(&site);
    // A body under way keeps the old process until its end, which is a bad one.
    let mut upload = Client::connect_from("127.0.0.7", edge.addr()).await;
    let head = "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n";
    upload.send(format!("{head}1\r\na\r\n")).await;
    poll("the upload to be under way", || (origin.connections() > 0).then_some(()));
    let mut next = Next::waiting(&edge);
    edge.signal(Signal::QUIT);
    edge.await_stderr("draining 1 connections");
    assert!(!edge.admin_get("/api/bans").text().contains("127.0.0.7"));
    upload.send("zzz\r\n").await;
    assert_eq!(upload.response().await.status, 400);
    drop(upload);
    assert!(edge.wait_exit().success());
    poll("the new process to know", || {
        edge.admin_get("/api/bans").text().contains("127.0.0.7/32").then_some(())
    });
    let mut client = Client::connect_from("127.0.0.7", edge.addr()).await;
    client.try_send(ASK).await.ok();
    assert!(client.response_or_closed().await.is_none());
    // So does the one after, whoever ends the new one.
    let folder = edge.dir().join("run");
    poll("the ban to be written", || {
        fs::read_to_string(folder.join("bans.json"))
            .ok()
            .filter(|text| text.contains("127.0.0.7/32"))
    });
    poll("what was late to be taken", || (!folder.join("bans.late.json").exists()).then_some(()));
    next.signal(Signal::TERM);
    assert!(next.wait_exit().success());
}
