//! To a server and back: retries, time-outs, and streams that are silent.

use std::sync::Arc;

use rustix::process::Signal;
use tokio::sync::Notify;

use crate::support::origin::ok;
use crate::support::{Client, Edge, H2Client, Origin, ports};

fn config(upstream: &str) -> String {
    format!(
        "listeners: [{{ address: '127.0.0.1:{{port}}', protocols: [h1, h2c],
  timeouts: {{ tunnel: 20s, body: 20s }} }}]
upstreams: {{ app: {{ {upstream} }} }}
routes: [{{ upstream: app }}]"
    )
}

fn request(method: &str, path: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nhost: a.example\r\ncontent-length: 0\r\n\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_is_tried_elsewhere_whatever_the_method() {
    let origin = Origin::ok().await;
    let [closed] = ports::free::<1>();
    let upstream = format!("servers: ['127.0.0.1:{closed}', '{}'], outlier: ~", origin.addr);
    let edge = Edge::start(&config(&upstream));
    for method in ["GET", "POST", "GET", "POST"] {
        assert_eq!(Client::ask(edge.addr(), request(method, "/")).await.status, 200, "{method}");
    }
    let attempts: Vec<_> = edge.stop().iter().map(|r| r["attempts"].as_u64().unwrap()).collect();
    assert_eq!(attempts.iter().sum::<u64>(), 6, "{attempts:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_statuses_are_tried_elsewhere_for_get_alone() {
    let bad = "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n";
    let (bad, good) = (Origin::answering(bad).await, Origin::answering(ok("good")).await);
    let upstream = format!("servers: ['{}', '{}'], outlier: ~", bad.addr, good.addr);
    let edge = Edge::start(&config(&upstream));
    for _ in 0..4 {
        assert_eq!(Client::ask(edge.addr(), request("GET", "/")).await.status, 200);
    }
    let mut statuses = Vec::new();
    for _ in 0..2 {
        statuses.push(Client::ask(edge.addr(), request("POST", "/")).await.status);
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 503]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_costs_504() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let upstream = format!(
        "servers: ['{}'], timeouts: {{ first_byte: 300ms, between_bytes: 20s }}",
        origin.addr
    );
    let edge = Edge::start(&config(&upstream));
    assert_eq!(Client::ask(edge.addr(), request("GET", "/h1")).await.status, 504);
    let mut h2 = H2Client::connect(edge.addr()).await;
    assert_eq!(h2.get("http://a.example/h2").await.response.status, 504);
    let [closed] = ports::free::<1>();
    drop(h2);
    for record in edge.stop() {
        assert_eq!(record["refusal"], "server_too_slow", "{record}");
        assert_eq!(record["attempts"], 2, "a GET is tried once more: {record}");
    }
    let edge = Edge::start(&config(&format!("servers: ['127.0.0.1:{closed}']")));
    assert_eq!(Client::ask(edge.addr(), request("GET", "/")).await.status, 502);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_take_longer_than_the_server_to_answer() {
    let origin = Origin::ok().await;
    let upstream = format!(
        "servers: ['{}'], timeouts: {{ first_byte: 400ms, between_bytes: 400ms }}",
        origin.addr
    );
    let edge = Edge::start(&config(&upstream));
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\n").await;
    // Time passes for the proxy only while its other clients are served: each
    // of these takes two attempts of 400 ms.
    let slow = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let timeouts = "timeouts: { first_byte: 400ms, between_bytes: 400ms }";
    let other = Edge::start(&config(&format!("servers: ['{}'], {timeouts}", slow.addr)));
    assert_eq!(Client::ask(other.addr(), request("GET", "/")).await.status, 504);
    client.send("body").await;
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_streams_live_as_long_as_tunnels() {
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            let Some(request) = conn.request().await else { return };
            if request.target() == "/socket" {
                conn.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n").await;
                conn.send("connection: upgrade\r\n\r\n").await;
                while let Some(bytes) = conn.some().await {
                    conn.send([b"echo ", bytes.as_slice()].concat()).await;
                }
                return;
            }
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
            conn.send(head).await;
            conn.send("data: 1\n\n").await;
            go.notified().await;
            conn.send("data: 2\n\n").await;
        }
    })
    .await;
    let timeouts = "timeouts: { first_byte: 300ms, between_bytes: 300ms }";
    let edge = Edge::start(&config(&format!("servers: ['{}'], {timeouts}", origin.addr)));
    let mut socket = Client::connect(edge.addr()).await;
    let handshake = "GET /socket HTTP/1.1\r\nhost: a.example\r\nupgrade: websocket\r\n\
                     connection: upgrade\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.send(handshake).await;
    assert_eq!(socket.response_head().await.status, 101);
    let mut events = Client::connect(edge.addr()).await;
    events.send("GET /events HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    events.read_to(b"data: 1\n\n").await;

    // Longer than `between_bytes`: a request that is given up after it, twice.
    let silent = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await;
    let other = Edge::start(&config(&format!("servers: ['{}'], {timeouts}", silent.addr)));
    assert_eq!(Client::ask(other.addr(), request("GET", "/")).await.status, 504);

    go.notify_one();
    events.read_to(b"data: 2\n\n").await;
    socket.send("hello").await;
    assert_eq!(socket.take(10).await, b"echo hello");
    drop((socket, events));
    edge.signal(Signal::TERM);
}
