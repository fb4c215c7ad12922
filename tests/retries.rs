//! Failed attempts are made again where that is safe, and nowhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;
use serde_json::Value as Json;
use tokio::net::TcpSocket;
use tokio::sync::Barrier;

use crate::support::app::{self, GET, servers};
use crate::support::origin::{Conn, ok};
use crate::support::{Client, Edge, Load, Nginx, Origin, poll};

const UNAVAILABLE: &str = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";

/// An address that refuses connections, and stays nobody else's.
fn refusing() -> (TcpSocket, String) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let addr = socket.local_addr().unwrap().to_string();
    (socket, addr)
}

/// Reads requests and never answers.
async fn silent() -> Origin {
    Origin::scripted(|mut conn: Conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await
}

fn request(method: &str, body: &str) -> String {
    let length = body.len();
    format!("{method} / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {length}\r\n\r\n{body}")
}

async fn statuses(edge: &Edge, count: usize, request: &str) -> Vec<u16> {
    let mut client = Client::connect(edge.addr()).await;
    let mut statuses = Vec::new();
    for _ in 0..count {
        client.send(request).await;
        statuses.push(client.response().await.status);
    }
    statuses
}

fn attempts(records: &[Json]) -> Vec<u64> {
    records.iter().map(|record| record["attempts"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_costs_no_request_of_any_method() {
    let (_socket, refusing) = refusing();
    let good = Origin::ok().await;
    let edge = app::start(
        "{ servers: ['{0}', '{1}'], outlier: ~ }",
        &[("0", &refusing), ("1", &good.addr)],
    );
    assert_eq!(statuses(&edge, 10, GET).await, [200; 10]);
    assert_eq!(statuses(&edge, 10, &request("POST", "hello")).await, [200; 10]);
    assert_eq!(good.requests(), 20);
    assert_eq!(good.received_text().matches("\r\n\r\nhello").count(), 10);
    let attempts = attempts(&edge.stop());
    assert_eq!(attempts.iter().sum::<u64>(), 30, "every other one is refused first");
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_tried_elsewhere_and_ends_in_504() {
    let [silent, good] = [silent().await, Origin::ok().await];
    let app = "{ servers: ['{0}', { address: '{1}', backup: true }],
        timeouts: { first_byte: 2s } }";
    let edge = app::start(app, &[("0", &silent.addr), ("1", &good.addr)]);
    assert_eq!(statuses(&edge, 2, GET).await, [200; 2]);
    // The server may have acted on it.
    assert_eq!(Client::ask(edge.addr(), request("POST", "x")).await.status, 504);
    assert_eq!((silent.requests(), good.requests()), (3, 2));

    let app = "{ servers: ['{0}', '{1}'], timeouts: { first_byte: 2s },
        retries: { attempts: 1 } }";
    let other = self::silent().await;
    let edge = app::start(app, &[("0", &silent.addr), ("1", &other.addr)]);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    assert_eq!(silent.requests() - 3 + other.requests(), 1);
    let records = edge.stop();
    assert_eq!(records[0]["refusal"], "server_too_slow");
    assert_eq!(attempts(&records), [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_statuses_are_tried_elsewhere_for_idempotent_methods() {
    let [bad, good] = [Origin::answering(UNAVAILABLE).await, Origin::ok().await];
    let app = "{ servers: ['{0}', { address: '{1}', backup: true }], outlier: ~ }";
    let edge = app::start(app, &[("0", &bad.addr), ("1", &good.addr)]);
    for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"] {
        let mut client = Client::connect(edge.addr()).await;
        client.send(request(method, "")).await;
        assert_eq!(client.response_head().await.status, 200, "{method}");
    }
    for method in ["POST", "PATCH"] {
        assert_eq!(Client::ask(edge.addr(), request(method, "")).await.status, 503, "{method}");
    }
    assert_eq!((bad.requests(), good.requests()), (7, 5));
    drop(edge);

    let app = "{ servers: ['{0}', { address: '{1}', backup: true }], retries: { on: [502] } }";
    let edge = app::start(app, &[("0", &bad.addr), ("1", &good.addr)]);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 503, "503 is not listed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_sent_again_up_to_64_kib() {
    let [bad, good] = [Origin::answering(UNAVAILABLE).await, Origin::ok().await];
    let app = "{ servers: ['{0}', { address: '{1}', backup: true }] }";
    let edge = app::start(app, &[("0", &bad.addr), ("1", &good.addr)]);
    let small = "s".repeat(60 * 1024);
    assert_eq!(Client::ask(edge.addr(), request("PUT", &small)).await.status, 200);
    assert!(good.received_text().ends_with(&small), "the body came whole");
    let large = "l".repeat(65 * 1024);
    assert_eq!(Client::ask(edge.addr(), request("PUT", &large)).await.status, 503);
    assert_eq!((bad.requests(), good.requests()), (2, 1));
    // What no server has seen is no repetition, whatever its size.
    let (_socket, refusing) = refusing();
    let edge = app::start(app, &[("0", &refusing), ("1", &good.addr)]);
    assert_eq!(Client::ask(edge.addr(), request("POST", &large)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_go_to_different_servers_and_end() {
    let bad = join_all((0..4).map(|_| Origin::answering(UNAVAILABLE))).await;
    let app = "{ servers: ['{0}', '{1}', '{2}', '{3}'], retries: { attempts: 3 } }";
    let places: Vec<_> = bad.iter().map(|origin| origin.addr.to_string()).collect();
    let edge = app::start(
        app,
        &[("0", &places[0]), ("1", &places[1]), ("2", &places[2]), ("3", &places[3])],
    );
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 503);
    let mut seen: Vec<_> = bad.iter().map(Origin::requests).collect();
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 1, 1]);
    assert_eq!(attempts(&edge.stop()), [3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_not_asked_twice_while_another_is_up() {
    // By weight alone the bad one would be asked twice nearly always.
    let [bad, good] = [Origin::answering(UNAVAILABLE).await, Origin::ok().await];
    let app = "{ balance: random, retries: { budget: 100% }, outlier: ~,
        servers: [{ address: '{0}', weight: 1000 }, '{1}'] }";
    let edge = app::start(app, &[("0", &bad.addr), ("1", &good.addr)]);
    assert_eq!(statuses(&edge, 30, GET).await, [200; 30]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lone_server_is_asked_again_unless_it_has_answered() {
    let bad = Origin::answering(UNAVAILABLE).await;
    let edge = app::start("{ servers: ['{0}'] }", &[("0", &bad.addr)]);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 503);
    assert_eq!(bad.requests(), 1);
    assert_eq!(attempts(&edge.stop()), [1]);

    let silent = silent().await;
    let app = "{ servers: ['{0}'], timeouts: { first_byte: 500ms } }";
    let edge = app::start(app, &[("0", &silent.addr)]);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    assert_eq!(silent.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_are_out_are_not_asked_for_a_better_answer() {
    let [bad, worse] = [Origin::answering(UNAVAILABLE).await, Origin::answering(UNAVAILABLE).await];
    let app = "{ servers: ['{0}', '{1}'], outlier: { errors: 1, eject: 1h } }";
    let edge = app::start(app, &[("0", &bad.addr), ("1", &worse.addr)]);
    assert_eq!(statuses(&edge, 3, GET).await, [503; 3]);
    assert_eq!(attempts(&edge.stop()), [2, 1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_stay_within_their_budget() {
    let [bad, worse] = [Origin::answering(UNAVAILABLE).await, Origin::answering(UNAVAILABLE).await];
    let app = "{ servers: ['{0}', '{1}'], outlier: ~ }";
    let edge = app::start(app, &[("0", &bad.addr), ("1", &worse.addr)]);
    assert_eq!(statuses(&edge, 50, GET).await, [503; 50]);
    // Ten are free, and a fifth of the requests of the last ten seconds; on a
    // machine so slow that this takes longer, ten more are.
    let retries = bad.requests() + worse.requests() - 50;
    assert!((20..=30).contains(&retries), "{retries}");
    drop(edge);

    let seen = bad.requests() + worse.requests();
    let app = "{ servers: ['{0}', '{1}'], outlier: ~, retries: { budget: 0% } }";
    let edge = app::start(app, &[("0", &bad.addr), ("1", &worse.addr)]);
    assert_eq!(statuses(&edge, 10, GET).await, [503; 10]);
    assert_eq!(bad.requests() + worse.requests() - seen, 10);
}

/// Closes each connection when its second request comes, as a server does
/// whose keep-alive ends at that moment; counts these.
async fn staling(stale: &Arc<AtomicUsize>) -> Origin {
    let counted = stale.clone();
    Origin::scripted(move |mut conn: Conn| {
        let counted = counted.clone();
        async move {
            conn.request().await;
            conn.send(ok("fresh")).await;
            if conn.head().await.is_some() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_connection_is_no_fault_of_the_server() {
    let stale = Arc::new(AtomicUsize::new(0));
    let origin = staling(&stale).await;
    let edge = app::start("{ servers: ['{0}'], outlier: { errors: 1 } }", &[("0", &origin.addr)]);
    // Nobody may send these again, so they fail.
    let mut failed = 0;
    for _ in 0..20 {
        let status = Client::ask(edge.addr(), request("POST", "x")).await.status;
        assert!(matches!(status, 200 | 502), "{status}");
        failed += usize::from(status == 502);
    }
    assert!(failed > 0, "no connection was used again");
    assert_eq!(failed, stale.load(Ordering::SeqCst));
    assert_eq!(servers(&edge)[0]["failures"], 0);
    let records = edge.stop();
    assert_eq!(attempts(&records), [1; 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn after_many_stale_connections_one_is_an_attempt() {
    const CONNECTIONS: usize = 9;
    // All first requests are there at once, each on a connection of its own.
    let all = Arc::new(Barrier::new(CONNECTIONS));
    let origin = Origin::scripted(move |mut conn: Conn| {
        let all = all.clone();
        async move {
            conn.request().await;
            if conn.index < CONNECTIONS {
                all.wait().await;
            }
            conn.send(ok("fresh")).await;
            conn.head().await;
        }
    })
    .await;
    let site = "
server: { threads: 1 }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";
    let edge = Edge::start_with(site, &[("origin", &origin.addr)]);
    join_all((0..CONNECTIONS).map(|_| Client::ask(edge.addr(), GET))).await;
    // Recorded is what has given its connection back.
    edge.access_log(CONNECTIONS);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 200);
    assert_eq!(servers(&edge)[0]["failures"], 1);
    let records = edge.stop();
    assert_eq!(attempts(&records)[CONNECTIONS..], [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_an_attempt_failed_is_forgotten_by_the_next() {
    let (_socket, refusing) = refusing();
    let begins = Origin::scripted(|mut conn: Conn| async move {
        conn.head().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this").await;
        conn.closed().await;
    })
    .await;
    let app = "{ servers: ['{0}', { address: '{1}', backup: true }] }";
    let places: [(&str, &dyn std::fmt::Display); 2] = [("0", &refusing), ("1", &begins.addr)];
    let edge = app::start(app, &places);
    let mut client = Client::connect(edge.addr()).await;
    client.send(GET).await;
    client.read_to(b"only this").await;
    drop(client);
    let record = edge.access_log(1).remove(0);
    assert_eq!((&record["status"], &record["attempts"]), (&200.into(), &2.into()));
    assert_eq!(record["refusal"], Json::Null, "the client went away: {record}");

    let site = "
listeners: [{ address: '127.0.0.1:{port}', timeouts: { body: 200ms } }]
upstreams:
  app: { servers: ['{0}', { address: '{1}', backup: true }] }
routes: [{ upstream: app }]
";
    let waits = Origin::scripted(|mut conn: Conn| async move { conn.closed().await }).await;
    let edge = Edge::start_with(site, &[("0", &refusing), ("1", &waits.addr)]);
    let stalls = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\nab";
    assert_eq!(Client::ask(edge.addr(), stalls).await.status, 408);
    assert_eq!(edge.stop()[0]["refusal"], "body_too_slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_went_stale_costs_no_request() {
    let stale = Arc::new(AtomicUsize::new(0));
    let origin = staling(&stale).await;
    let app = "{ servers: ['{0}'], retries: { attempts: 1 }, outlier: { errors: 1 } }";
    let edge = app::start(app, &[("0", &origin.addr)]);
    assert_eq!(statuses(&edge, 20, GET).await, [200; 20]);
    let stale = stale.load(Ordering::SeqCst);
    assert!(stale > 0, "no connection was used again");
    assert_eq!(servers(&edge)[0]["failures"], 0);
    assert_eq!(attempts(&edge.stop()), [1; 20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_broke_off_is_not_begun_again() {
    let begun = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
    let broken = Origin::scripted(move |mut conn: Conn| async move {
        conn.request().await;
        conn.send(begun).await;
    })
    .await;
    let good = Origin::ok().await;
    let app = "{ servers: ['{0}', { address: '{1}', backup: true }] }";
    let edge = app::start(app, &[("0", &broken.addr), ("1", &good.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send(GET).await;
    let answer = client.read_to_end().await;
    assert!(answer.ends_with(b"\r\n\r\nonly this"), "{}", String::from_utf8_lossy(&answer));
    assert_eq!((broken.requests(), good.requests()), (1, 0));
    let records = edge.stop();
    assert_eq!((&records[0]["status"], &records[0]["bytes_out"]), (&200.into(), &9.into()));
    assert_eq!(records[0]["refusal"], "server_answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_that_are_none_cost_502() {
    for answer in ["", "SSH-2.0-OpenSSH\r\n", "HTTP/1.1 9999 X\r\n\r\n", "HTTP/1.1 200"] {
        let broken = Origin::scripted(move |mut conn: Conn| async move {
            conn.request().await;
            conn.send(answer).await;
        })
        .await;
        let edge = app::start("{ servers: ['{0}'] }", &[("0", &broken.addr)]);
        assert_eq!(Client::ask(edge.addr(), GET).await.status, 502, "{answer:?}");
        let records = edge.stop();
        assert_eq!(records[0]["refusal"], "server_answer", "{answer:?}");
    }
}

/// Kills one of two servers of HTTP/1 under load.
async fn kill_under_load(settings: &str) {
    let page = "location / { return 200 'hello'; keepalive_requests 100000; }";
    let (victim, other) = (Nginx::start(page), Nginx::start(page));
    let addrs = [victim.addr, other.addr];
    kill_one_under_load(victim, addrs, settings).await;
}

/// Kills `victim`, the first of these servers, under load; every request must
/// be answered 200.
pub(crate) async fn kill_one_under_load(victim: Nginx, addrs: [SocketAddr; 2], settings: &str) {
    let app = format!("{{ servers: ['{{0}}', '{{1}}'] {settings} }}");
    let edge = app::start(&app, &[("0", &addrs[0]), ("1", &addrs[1])]);
    let url = format!("http://{}/", edge.addr());
    // Longer than the test takes: it is told when it has seen enough.
    let wrk = Load::wrk(60, &url);
    let requests = |index: usize| servers(&edge)[index]["requests"].as_u64().unwrap();
    poll("load on both servers", || (requests(0) > 100 && requests(1) > 100).then_some(()));
    // Its destructor kills it with SIGKILL.
    drop(victim);
    let before = requests(1);
    poll("load on the other one", || (requests(1) > before + 1000).then_some(()));
    wrk.interrupt();
    wrk.wrk_requests();
    let records = edge.stop();
    // The last request of each of wrk's 16 connections may be cut off by its end.
    let cut_off = records.iter().filter(|record| record["status"] == 0).count();
    let good = records.iter().filter(|record| record["status"] == 200).count();
    assert!(cut_off <= 16 && cut_off + good == records.len(), "{cut_off}, {good}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_server_under_load_fails_no_request() {
    kill_under_load("").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_checked_server_under_load_fails_no_request() {
    kill_under_load(
        ", outlier: ~, retries: { budget: 100% }, health: { tcp: {}, interval: 100ms, fall: 1 }",
    )
    .await;
}
