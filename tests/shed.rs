//! Load shedding: who is refused when all requests together are too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::support::{Client, Edge, H2Client, Origin, Response, origin};

/// A server that holds every answer until `give` has permits for it.
struct Held {
    origin: Origin,
    give: Arc<Semaphore>,
}

impl Held {
    async fn start() -> Held {
        let give = Arc::new(Semaphore::new(0));
        let gate = give.clone();
        let origin = Origin::scripted(move |mut conn| {
            let gate = gate.clone();
            async move {
                while conn.request().await.is_some() {
                    gate.acquire().await.unwrap().forget();
                    conn.send(origin::ok("ok")).await;
                }
            }
        });
        Held { origin: origin.await, give }
    }
}

const SITE: &str = "
server: { threads: 2, shed: {shed} }
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] }, other: { servers: ['{other}'] } }
routes:
  - { name: low, match: { path_prefix: /low }, upstream: app, priority: low }
  - { name: high, match: { path_prefix: /high }, upstream: app, priority: high }
  - { name: other, match: { path_prefix: /other }, upstream: other }
  - { name: fixed, match: { path_prefix: /fixed }, respond: {} }
  - { name: rest, upstream: app }
";

fn edge(shed: &str, origin: &Origin) -> Edge {
    Edge::start_with(SITE, &[("shed", &shed), ("origin", &origin.addr), ("other", &origin.addr)])
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Sends a request that is held, and waits until the server has it.
async fn hold(edge: &Edge, held: &Held, path: &str) -> Client {
    let before = held.origin.requests();
    let mut client = Client::connect(edge.addr()).await;
    client.send(get(path)).await;
    held.origin.await_requests(before + 1);
    client
}

#[track_caller]
fn check_shed(answer: &Response) {
    assert_eq!(answer.status, 503, "{answer:?}");
    let seconds = answer.header("retry-after").unwrap_or_default();
    assert!(["1", "2", "3"].contains(&seconds), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_queue_low_is_refused_first_and_high_last() {
    let held = Held::start().await;
    let edge = edge("{ queue: 4 }", &held.origin);
    let mut clients = vec![hold(&edge, &held, "/low/1").await, hold(&edge, &held, "/low/2").await];
    let mut refused = Client::connect(edge.addr()).await;
    refused.send(get("/low/3")).await;
    check_shed(&refused.response().await);
    clients.push(hold(&edge, &held, "/normal/1").await);
    // The connection stays.
    refused.send(get("/normal/2")).await;
    check_shed(&refused.response().await);
    clients.push(hold(&edge, &held, "/high/1").await);
    refused.send(get("/high/2")).await;
    check_shed(&refused.response().await);
    // What waits for nobody is no queue.
    refused.send(get("/fixed")).await;
    assert_eq!(refused.response().await.status, 200);
    assert_eq!(held.origin.requests(), 4, "the server saw none of the refused");

    held.give.add_permits(6);
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200, "nobody who was let in suffers");
    }
    refused.send(get("/low/4")).await;
    assert_eq!(refused.response().await.status, 200);
    for priority in ["low", "normal", "high"] {
        let series = format!("tidegate_limit_shed_total{{priority=\"{priority}\"}}");
        assert_eq!(edge.metric(&series), 1.0, "{priority}");
    }
    edge.await_metric("tidegate_limit_shed_bound{bound=\"queue\"}", 4.0);
    let said = "shedding load: at most 4 requests may wait for any server";
    edge.await_stderr(said);
    let lines = edge.stderr();
    assert_eq!(lines.matches(said).count(), 1, "{lines}");
    let records = edge.stop();
    let shed: Vec<_> = records.iter().filter(|record| record["status"] == 503).collect();
    assert_eq!(shed.len(), 3, "{records:#?}");
    for record in shed {
        assert_eq!(record["room"], "limit", "{record}");
        assert_eq!(record["refusal"], "shed", "{record}");
        assert_eq!(record["rule"], "any server", "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_route_sheds_browsers_may_be_asked_for_work() {
    let held = Held::start().await;
    let route = "match: { path: /asked }, upstream: app, access: { challenge: shedding }";
    let site = format!("{SITE}  - {{ {route}, priority: high }}\n");
    let places: [(&str, &dyn std::fmt::Display); 3] =
        [("shed", &"{ queue: 2 }"), ("origin", &held.origin.addr), ("other", &held.origin.addr)];
    let edge = Edge::start_with(&site, &places);
    let asked = "GET /asked HTTP/1.1\r\nhost: a\r\naccept: text/html\r\n\r\n";
    held.give.add_permits(1);
    assert_eq!(Client::ask(edge.addr(), asked).await.status, 200, "all is calm");
    let _first = hold(&edge, &held, "/low").await;
    check_shed(&Client::ask(edge.addr(), get("/low")).await);
    edge.await_stderr("shedding load");
    let page = Client::ask(edge.addr(), asked).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.text().contains("very busy"), "{}", page.text());
    assert!(page.header("retry-after").is_some(), "{page:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_about_what_is_refused_for_the_load() {
    let (held, auth) = (Held::start().await, Origin::ok().await);
    let access = format!("access: {{ forward: {{ url: 'http://{}/check' }} }}", auth.addr);
    let site = format!("{SITE}  - {{ match: {{ path: /asked }}, upstream: app, {access} }}\n");
    let places: [(&str, &dyn std::fmt::Display); 3] =
        [("shed", &"{ queue: 1 }"), ("origin", &held.origin.addr), ("other", &held.origin.addr)];
    let edge = Edge::start_with(&site, &places);
    let mut first = hold(&edge, &held, "/high").await;
    check_shed(&Client::ask(edge.addr(), get("/asked")).await);
    assert_eq!(auth.requests(), 0);
    held.give.add_permits(2);
    assert_eq!(first.response().await.status, 200);
    assert_eq!(Client::ask(edge.addr(), get("/asked")).await.status, 200);
    assert_eq!(auth.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_say_what_priority_routes_have() {
    let held = Held::start().await;
    let site = format!("{SITE}\ndefaults: {{ priority: high }}");
    let places: [(&str, &dyn std::fmt::Display); 3] =
        [("shed", &"{ queue: 2 }"), ("origin", &held.origin.addr), ("other", &held.origin.addr)];
    let edge = Edge::start_with(&site, &places);
    let first = hold(&edge, &held, "/low").await;
    check_shed(&Client::ask(edge.addr(), get("/low")).await);
    let second = hold(&edge, &held, "/rest").await;
    check_shed(&Client::ask(edge.addr(), get("/rest")).await);
    held.give.add_permits(2);
    for mut client in [first, second] {
        assert_eq!(client.response().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_one_h2_connection_are_shed_one_by_one() {
    let held = Held::start().await;
    let edge = edge("{ queue: 2 }", &held.origin);
    let mut client = H2Client::connect(edge.addr()).await;
    let request = |path: &str| http::Request::get(format!("http://a{path}")).body(()).unwrap();
    let (first, _) = client.open(request("/high/1"), true).await;
    held.origin.await_requests(1);
    check_shed(&client.get("http://a/low").await.response);
    let (second, _) = client.open(request("/high/2"), true).await;
    held.origin.await_requests(2);
    check_shed(&client.get("http://a/high/3").await.response);
    held.give.add_permits(3);
    for answer in [first, second] {
        let answer = crate::support::h2_client::whole(answer).await.unwrap();
        assert_eq!(answer.response.status, 200);
    }
    assert_eq!(client.get("http://a/low").await.response.status, 200);
}

/// Fields of a WebSocket's handshake, and what a server says to it.
const HANDSHAKE: &str = "connection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_on_after_its_answer_began_keeps_nobody_waiting() {
    let origin = Origin::scripted(|mut conn| async move {
        let request = conn.request().await.unwrap();
        match request.target() {
            "/rest/socket" => conn.send(SWITCHING).await,
            "/rest/stream" => {
                let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n";
                conn.send(head).await
            }
            "/rest/download" => {
                conn.send("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\nfirst").await
            }
            _ => conn.send(origin::ok("ok")).await,
        };
        conn.closed().await;
    });
    let origin = origin.await;
    let edge = edge("{ queue: 1 }", &origin);
    let mut open = Vec::new();
    for path in ["/rest/socket", "/rest/stream", "/rest/download"] {
        let mut client = Client::connect(edge.addr()).await;
        let (handshake, expected) =
            if path == "/rest/socket" { (HANDSHAKE, 101) } else { ("", 200) };
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n{handshake}\r\n")).await;
        assert_eq!(client.response_head().await.status, expected, "{path}");
        open.push(client);
    }
    assert_eq!(Client::ask(edge.addr(), get("/rest/ok")).await.status, 200);
}

/// Asks until the answer is 200; all before are refusals for the load.
async fn ask_until_let_in(edge: &Edge, path: &str) {
    let start = Instant::now();
    loop {
        let answer = Client::ask(edge.addr(), get(path)).await;
        if answer.status == 200 {
            return;
        }
        check_shed(&answer);
        assert!(start.elapsed() < crate::support::DEADLINE, "never let in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_go_away_leave_their_places() {
    let held = Held::start().await;
    let edge = edge("{ queue: 1 }", &held.origin);
    drop(hold(&edge, &held, "/high").await);
    // No server has answered anything, so nothing else made room.
    let mut second = hold_once_let_in(&edge, &held, "/high").await;
    held.give.add_permits(2);
    assert_eq!(second.response().await.status, 200);
    let mut h2 = H2Client::connect(edge.addr()).await;
    let before = held.origin.requests();
    let request = http::Request::get("http://a/high").body(()).unwrap();
    let (answer, _) = h2.open(request, true).await;
    held.origin.await_requests(before + 1);
    check_shed(&Client::ask(edge.addr(), get("/high")).await);
    drop(answer);
    hold_once_let_in(&edge, &held, "/high").await;
}

/// The first request that is held after others were refused for the load.
async fn hold_once_let_in(edge: &Edge, held: &Held, path: &str) -> Client {
    let start = Instant::now();
    let before = held.origin.requests();
    loop {
        let mut client = Client::connect(edge.addr()).await;
        client.send(get(path)).await;
        let is_held = tokio::select! {
            answer = client.response() => {
                check_shed(&answer);
                false
            }
            () = arrived(held, before + 1) => true,
        };
        if is_held {
            return client;
        }
        assert!(start.elapsed() < crate::support::DEADLINE, "never let in");
    }
}

/// Waits, beside others, until the server has so many requests.
async fn arrived(held: &Held, count: usize) {
    while held.origin.requests() < count {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_uploads_do_not_hold_all_places() {
    let origin = Origin::ok().await;
    let edge = edge("{ queue: 1 }", &origin);
    let mut slow = Client::connect(edge.addr()).await;
    slow.send("POST /high HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n").await;
    origin.await_heads(&["/high"]);
    ask_until_let_in(&edge, "/high").await;
    slow.send("hello").await;
    assert_eq!(slow.response().await.status, 200);
    assert_eq!(Client::ask(edge.addr(), get("/high")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_who_waits_and_changes_no_bound() {
    let held = Held::start().await;
    let edge = edge("{ queue: 1 }", &held.origin);
    let mut client = hold(&edge, &held, "/high").await;
    edge.write_config(&format!(
        "{SITE}  - {{ name: new, match: {{ path: /new }}, respond: {{}} }}"
    ));
    edge.signal(Signal::HUP);
    edge.await_stderr("reloaded");
    assert_eq!(Client::ask(edge.addr(), get("/new")).await.status, 200);
    check_shed(&Client::ask(edge.addr(), get("/high")).await);
    held.give.add_permits(2);
    assert_eq!(client.response().await.status, 200);
    assert_eq!(Client::ask(edge.addr(), get("/high")).await.status, 200);
    edge.write_config(&SITE.replace("{shed}", "{ queue: 2 }"));
    edge.signal(Signal::HUP);
    edge.await_stderr("`server` changed, which needs a new process");
}

/// Closed-loop clients, each with a connection of its own, until told to stop.
struct Load {
    clients: JoinSet<()>,
    refused: Arc<AtomicUsize>,
}

impl Load {
    fn start(edge: &Edge, clients: usize, path: &str) -> Load {
        Load::start_with(edge, clients, get(path))
    }

    fn start_with(edge: &Edge, clients: usize, request: String) -> Load {
        let (addr, refused) = (edge.addr(), Arc::new(AtomicUsize::new(0)));
        let mut load = Load { clients: JoinSet::new(), refused: refused.clone() };
        for _ in 0..clients {
            let (refused, request) = (refused.clone(), request.clone());
            load.clients.spawn(async move {
                let mut client = Client::connect(addr).await;
                loop {
                    client.send(&request).await;
                    if client.response().await.status == 503 {
                        refused.fetch_add(1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
            });
        }
        load
    }

    async fn await_refused(&self) {
        let refused = async {
            while self.refused.load(Ordering::SeqCst) == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        crate::support::within("requests to be refused", refused).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_slow_under_load_is_spared_until_it_is_quick() {
    let one_at_a_time = Arc::new(Semaphore::new(1));
    let slow = Origin::scripted(move |mut conn| {
        let turn = one_at_a_time.clone();
        async move {
            while conn.request().await.is_some() {
                let _mine = turn.acquire().await.unwrap();
                tokio::time::sleep(Duration::from_millis(50)).await;
                conn.send(origin::ok("ok")).await;
            }
        }
    });
    let (slow, other) = (slow.await, Origin::ok().await);
    let places: [(&str, &dyn std::fmt::Display); 3] =
        [("shed", &"{ latency: 500ms }"), ("origin", &slow.addr), ("other", &other.addr)];
    let edge = Edge::start_with(SITE, &places);
    let load = Load::start(&edge, 40, "/low");
    load.await_refused().await;
    edge.await_stderr("requests may wait for upstream app");
    assert!(edge.metric("tidegate_limit_shed_bound{bound=\"upstream\"}") < 40.0);
    // `low` and `rest` and `high` share the upstream.
    edge.await_metric("tidegate_limit_shed_routes", 3.0);
    assert_eq!(Client::ask(edge.addr(), get("/other")).await.status, 200);
    assert_eq!(Client::ask(edge.addr(), get("/high")).await.status, 200);
    drop(load);
    edge.await_stderr("no load is shed for upstream app any more");
    edge.await_metric("tidegate_limit_shed_routes", 0.0);
    assert!(!edge.admin_get("/metrics").text().contains("tidegate_limit_shed_bound{"));
}

/// A request whose answer has to be compressed.
fn get_coded(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\naccept-encoding: gzip\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_with_too_much_to_do_refuses_after_a_pause() {
    let text: String = (0..40_000).map(|line| format!("{line}\n")).collect();
    let head = format!("content-type: text/plain\r\ncontent-length: {}\r\n", text.len());
    let answer = Arc::new(format!("HTTP/1.1 200 OK\r\n{head}\r\n{text}"));
    let origin = Origin::scripted(move |mut conn| {
        let answer = answer.clone();
        async move {
            while conn.request().await.is_some() {
                conn.send(&*answer).await;
            }
        }
    });
    let (origin, other) = (origin.await, Origin::ok().await);
    let site = SITE.replace("threads: 2", "threads: 1").replace(
        "/low }, upstream: app,",
        "/low }, upstream: app, compress: { types: [text/*], level: 9 },",
    );
    let places: [(&str, &dyn std::fmt::Display); 3] =
        [("shed", &"{ latency: 20ms }"), ("origin", &origin.addr), ("other", &other.addr)];
    let edge = Edge::start_with(&site, &places);
    let load = Load::start_with(&edge, 40, get_coded("/low"));
    load.await_refused().await;
    edge.await_stderr("requests may wait for worker 0");
    assert_eq!(Client::ask(edge.addr(), get("/high")).await.status, 200);
    let mut h2 = H2Client::connect(edge.addr()).await;
    await_pause(async || Client::ask(edge.addr(), get("/low")).await).await;
    await_pause(async || h2.get("http://a/low").await.response).await;
    drop(load);
    // All at once, though not before what is left is done.
    ask_until_let_in(&edge, "/other").await;
}

/// Asks until a refusal is held back.
async fn await_pause(mut ask: impl AsyncFnMut() -> Response) {
    let start = Instant::now();
    loop {
        let asked = Instant::now();
        let answer = ask().await;
        if answer.status == 503 {
            check_shed(&answer);
            if asked.elapsed() >= Duration::from_millis(500) {
                return;
            }
        }
        assert!(start.elapsed() < crate::support::DEADLINE, "never refused after a pause");
    }
}
