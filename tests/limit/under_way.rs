//! How many requests may be under way at the same time.

use http::Request;

use super::*;
use crate::support::{H2Client, Origin, origin, within};

/// A server that never answers.
async fn silent() -> Origin {
    Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await
}

fn site(more: &str) -> String {
    format!(
        "
clients: {{ trusted_proxies: [{PROXY}] }}
listeners: [{{ address: '127.0.0.1:{{port}}', protocols: [h1, h2c] }}]
upstreams: {{ silent: {{ servers: ['{{silent}}'] }}, app: {{ servers: ['{{app}}'] }} }}
routes:
  - {{ upstream: silent, limits: {{ {more} }} }}
  - {{ match: {{ path: /free }}, upstream: app }}
"
    )
}

/// A request that nobody answers.
async fn open(edge: &Edge, from: &str, fields: &str) -> Client {
    let mut client = Client::connect_from(from, edge.addr()).await;
    client.send(format!("GET / HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_no_more_requests_under_way_than_it_may() {
    let (silent, app) = (silent().await, Origin::answering(origin::ok("ok")).await);
    let edge =
        Edge::start_with(&site("concurrency: 2"), &[("silent", &silent.addr), ("app", &app.addr)]);
    let first = open(&edge, "127.0.0.2", "").await;
    let _second = open(&edge, "127.0.0.3", "").await;
    silent.await_requests(2);
    let refused = ask(&edge, "127.0.0.4", "/", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(status(&edge, "127.0.0.4", "/free").await, 200);
    // Whoever leaves makes room.
    drop(first);
    edge.access_log(3);
    let _third = open(&edge, "127.0.0.4", "").await;
    silent.await_requests(3);
    let records = edge.access_log(3);
    let refused = records.iter().find(|record| record["status"] == 503).unwrap();
    assert_eq!(refused["refusal"], "concurrency");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_leaves_room_for_others_on_a_route() {
    let (silent, app) = (silent().await, Origin::answering(origin::ok("ok")).await);
    let edge = Edge::start_with(
        &site("concurrency_per_client: 1"),
        &[("silent", &silent.addr), ("app", &app.addr)],
    );
    let _first = open(&edge, "127.0.0.2", "").await;
    silent.await_requests(1);
    let refused = ask(&edge, "127.0.0.2", "/", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    let named = "x-forwarded-for: 127.0.0.2\r\n";
    assert_eq!(ask(&edge, PROXY, "/", named).await.status, 429, "the same client");
    let _others = [
        open(&edge, "127.0.0.3", "").await,
        // A proxy that names nobody brings many.
        open(&edge, PROXY, "").await,
        open(&edge, PROXY, "").await,
    ];
    silent.await_requests(4);
    assert_eq!(edge.access_log(2)[0]["refusal"], "concurrency_per_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_has_no_more_requests_under_way_over_all_its_connections() {
    let (silent, app) = (silent().await, Origin::answering(origin::ok("ok")).await);
    let yaml = format!("server: {{ requests_per_client: 3 }}\n{}", site(""));
    let edge = Edge::start_with(&yaml, &[("silent", &silent.addr), ("app", &app.addr)]);
    let mut held = Vec::new();
    for streams in [2, 1] {
        let mut client = H2Client::connect(edge.addr()).await;
        let mut open = Vec::new();
        for _ in 0..streams {
            let request = Request::get("http://a.example/").body(()).unwrap();
            open.push(client.open(request, true).await);
        }
        held.push((client, open));
    }
    silent.await_requests(3);
    let refused = ask(&edge, "127.0.0.1", "/free", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(status(&edge, "127.0.0.2", "/free").await, 200, "another client");
    assert_eq!(edge.access_log(2)[0]["refusal"], "requests_per_client");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_an_allowance_keeps_nobody_out() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
rate_limits: { slow: { rate: 1/min, burst: 1, over: delay, wait: 1m } }
routes: [{ respond: {}, rate_limits: [slow], limits: { concurrency: 1 } }]
",
    );
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    let _waits = open(&edge, "127.0.0.2", "").await;
    edge.await_metric("tidegate_limit_waiting", 1.0);
    assert_eq!(status(&edge, "127.0.0.3", "/").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_with_a_connection_of_their_own_leave_room_for_requests() {
    const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    // What never ends, one way or the other.
    let endless = Origin::scripted(|mut conn| async move {
        let Some(request) = conn.request().await else { return };
        let head = match request.header("upgrade") {
            Some(_) => "101 Switch\r\nconnection: upgrade\r\nupgrade: websocket",
            None => "200 OK\r\ncontent-type: text/event-stream",
        };
        conn.send(format!("HTTP/1.1 {head}\r\n\r\n")).await;
        conn.closed().await;
    })
    .await;
    let app = Origin::answering(origin::ok("ok")).await;
    let yaml = format!("server: {{ requests_per_client: 2 }}\n{}", site(""));
    let edge = Edge::start_with(&yaml, &[("silent", &endless.addr), ("app", &app.addr)]);
    let mut held = Vec::new();
    for (fields, expected) in [(UPGRADE, 101), ("", 200)] {
        for _ in 0..3 {
            let mut client = open(&edge, "127.0.0.2", fields).await;
            assert_eq!(client.response_head().await.status, expected);
            held.push(client);
        }
    }
    assert_eq!(status(&edge, "127.0.0.2", "/free").await, 200);
    // Streams of HTTP/2 and those behind a proxy have no connection that would be counted.
    let mut h2 = H2Client::connect(edge.addr()).await;
    let mut streams = Vec::new();
    for expected in [200, 200, 429] {
        let request = Request::get("http://a.example/").body(()).unwrap();
        let (answer, _) = h2.open(request, true).await;
        let (head, body) = within("an answer", answer).await.unwrap().into_parts();
        assert_eq!(head.status, expected);
        streams.push(body);
    }
    for expected in [101, 101, 429] {
        let named = format!("x-forwarded-for: 192.0.2.1\r\n{UPGRADE}");
        let mut client = open(&edge, PROXY, &named).await;
        assert_eq!(client.response_head().await.status, expected);
        held.push(client);
    }
}
