//! Rates of bytes: of the bodies that servers are sent.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use super::*;
use crate::support::{Origin, origin, websocket};

fn site(limit: &str) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:{{port}}' }}]
upstreams: {{ app: {{ servers: ['{{app}}'] }} }}
rate_limits: {{ few: {limit} }}
routes: [{{ upstream: app, rate_limits: [few] }}]
"
    )
}

const HEAD: &str = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3000\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_rate_is_rejected() {
    let app = Origin::answering(origin::ok("ok")).await;
    let limit = "{ count: body_bytes, rate: 1KiB/h, burst: 1KiB }";
    let edge = Edge::start_with(&site(limit), &[("app", &app.addr)]);
    let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
    client.send(HEAD).await;
    client.send([b'x'; 2000]).await;
    // The piece that goes beyond the allowance passes, and the next one waits for it.
    app.await_heads(&["/"]);
    client.send([b'y'; 1000]).await;
    let refused = client.response().await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("ratelimit").unwrap().starts_with("\"few\";r=0;t="));
    // Requests without a body are no business of this limit.
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    let mut other = Client::connect_from("127.0.0.3", edge.addr()).await;
    other.send(HEAD).await;
    other.send([b'x'; 3000]).await;
    assert_eq!(other.response().await.status, 200, "another client");
    let records = edge.stop();
    assert_eq!((&records[0]["refusal"], &records[0]["rule"]), (&"rate".into(), &"few".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_rate_is_read_no_faster() {
    let app = Origin::answering(origin::ok("ok")).await;
    let limit = "{ count: body_bytes, rate: 4KiB/s, burst: 1KiB, over: delay, wait: 1m }";
    let edge = Edge::start_with(&site(limit), &[("app", &app.addr)]);
    let began = Instant::now();
    for _ in 0..3 {
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        client.send(HEAD).await;
        client.send([b'x'; 3000]).await;
        assert_eq!(client.response().await.status, 200);
    }
    // 9000 bytes less the burst and the last piece, which nobody waits for.
    assert!(began.elapsed() >= Duration::from_millis(1100), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_sent_again_counts_once() {
    let failing = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
    let (bad, app) = (Origin::answering(failing).await, Origin::answering(origin::ok("ok")).await);
    let yaml = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{bad}', { address: '{app}', backup: true }], outlier: ~ } }
rate_limits: { few: { count: body_bytes, rate: 1KiB/h, burst: 1KiB } }
routes: [{ upstream: app, rate_limits: [few] }]
";
    let edge = Edge::start_with(yaml, &[("bad", &bad.addr), ("app", &app.addr)]);
    for (length, expected) in [(1000, 200), (20, 200), (1000, 200), (1, 429)] {
        let head = format!("PUT / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {length}\r\n");
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        client.send(format!("{head}\r\n{}", "x".repeat(length))).await;
        assert_eq!(client.response().await.status, expected, "{length}");
    }
    assert!(bad.requests() >= 2 && app.requests() == 3, "each was sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_is_left_for_bodies() {
    let app = Origin::answering(origin::ok("ok")).await;
    let limit = "{ count: body_bytes, rate: 1KiB/h, burst: 4KiB, headers: all }";
    let edge = Edge::start_with(&site(limit), &[("app", &app.addr)]);
    let before = ask(&edge, "127.0.0.2", "/", "").await;
    assert_eq!(before.header("ratelimit"), Some("\"few\";r=4096;t=0"));
    let policy = Some("\"few\";q=4096;w=14400;qu=\"content-bytes\"");
    assert_eq!(before.header("ratelimit-policy"), policy);
    let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
    for left in ["r=1096;t=", "r=0;t="] {
        client.send(HEAD).await;
        client.send([b'x'; 3000]).await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.header("ratelimit-policy")), (200, policy));
        assert!(answer.header("ratelimit").unwrap().contains(left), "{answer:?}");
    }
    client.send(HEAD).await;
    client.send([b'x'; 3000]).await;
    let refused = client.response().await;
    assert_eq!(refused.status, 429);
    // It says so once.
    assert!(refused.header("ratelimit").unwrap().starts_with("\"few\";r=0;t="), "{refused:?}");
    assert_eq!(refused.header("ratelimit-policy"), policy);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_a_websocket_is_no_body() {
    let app = Origin::scripted(websocket::echo).await;
    let limit = "{ count: body_bytes, rate: 1KiB/h, burst: 1KiB }";
    let edge = Edge::start_with(&site(limit), &[("app", &app.addr)]);
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let mut socket = websocket::over(stream, "ws://a.example/").await;
    for _ in 0..4 {
        websocket::echoes(&mut socket, &"x".repeat(2000)).await;
    }
    assert_eq!(edge.metric("tidegate_limit_keys"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_count_by_what_access_found_out() {
    let app = Origin::answering(origin::ok("ok")).await;
    let judge =
        Origin::answering("HTTP/1.1 200 OK\r\nx-user: ann\r\ncontent-length: 0\r\n\r\n").await;
    let yaml = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{app}'] } }
rate_limits: { few: { count: body_bytes, rate: 1KiB/h, burst: 1KiB, key: { header: x-user } } }
routes:
  - upstream: app
    rate_limits: [few]
    access: { forward: { url: 'http://{judge}/', headers: [x-user] } }
";
    let edge = Edge::start_with(yaml, &[("app", &app.addr), ("judge", &judge.addr)]);
    for (from, named, expected) in [("127.0.0.2", "bob", 200), ("127.0.0.3", "eve", 429)] {
        let mut client = Client::connect_from(from, edge.addr()).await;
        let head = format!("POST / HTTP/1.1\r\nhost: a.example\r\nx-user: {named}\r\n");
        client.send(format!("{head}content-length: 2000\r\n\r\n{}", "x".repeat(2000))).await;
        assert_eq!(client.response().await.status, expected, "{named}");
    }
}
