//! Servers that speak HTTP/2: what they refuse, how they go, how they are checked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use h2::Reason;
use http::{Response, Version};
use serde_json::Value as Json;

use crate::retries::kill_one_under_load;
use crate::support::app::{self, await_healthy};
use crate::support::h2_origin::Call;
use crate::support::origin::Conn;
use crate::support::response::find;
use crate::support::{Client, Edge, H2Origin, Nginx, Origin, ports};

const POST: &str = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nabc";

/// Resets every stream for this reason, once its request is there.
async fn resetting(reason: Reason, asked: &Arc<AtomicUsize>) -> H2Origin {
    let asked = asked.clone();
    H2Origin::scripted(move |mut call: Call| {
        let asked = asked.clone();
        async move {
            call.whole().await;
            asked.fetch_add(1, Ordering::SeqCst);
            call.reset(reason);
        }
    })
    .await
}

/// Answers with what it was sent.
async fn echoing() -> H2Origin {
    H2Origin::scripted(|mut call: Call| async move {
        let (body, _) = call.whole().await;
        call.answer(body);
    })
    .await
}

/// Two servers of HTTP/2; the first one is asked first.
fn edge(bad: &dyn std::fmt::Display, good: &H2Origin, settings: &str) -> Edge {
    let app = format!(
        "{{ servers: ['{{bad}}', {{ address: '{{good}}', backup: true }}], protocol: h2c,
            outlier: ~, retries: {{ budget: 100% {settings} }} }}"
    );
    app::start(&app, &[("bad", bad), ("good", &good.addr)])
}

/// Sends this often; the statuses and bodies of the answers.
async fn ask(edge: &Edge, count: usize, request: &str) -> Vec<(u16, String)> {
    let mut answers = Vec::new();
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..count {
        client.send(request).await;
        let answer = client.response().await;
        answers.push((answer.status, answer.text()));
    }
    answers
}

fn echoed(count: usize) -> Vec<(u16, String)> {
    vec![(200, "abc".to_owned()); count]
}

fn attempts(edge: Edge) -> Vec<Json> {
    edge.stop().into_iter().map(|record| record["attempts"].clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_is_tried_elsewhere_whatever_the_method() {
    let asked = Arc::default();
    let (bad, good) = (resetting(Reason::REFUSED_STREAM, &asked).await, echoing().await);
    let edge = edge(&bad.addr, &good, "");
    assert_eq!(ask(&edge, 4, POST).await, echoed(4));
    // Each time it is an attempt, also on a connection that was used before.
    assert_eq!(asked.load(Ordering::SeqCst), 4);
    assert_eq!(attempts(edge), [2, 2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_stream_counts_as_an_attempt() {
    let asked = Arc::default();
    let (bad, good) = (resetting(Reason::REFUSED_STREAM, &asked).await, echoing().await);
    let edge = edge(&bad.addr, &good, ", attempts: 1");
    assert_eq!(ask(&edge, 1, POST).await[0].0, 502);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_failed_is_not_sent_twice() {
    let asked = Arc::default();
    let (bad, good) = (resetting(Reason::INTERNAL_ERROR, &asked).await, echoing().await);
    let edge = edge(&bad.addr, &good, "");
    assert_eq!(ask(&edge, 1, POST).await[0].0, 502);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

/// A frame of HTTP/2 for the whole connection.
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    [&[0, 0, length, kind, flags, 0, 0, 0, 0], payload].concat()
}

/// Says GOAWAY to the first request of each connection, as if `last` were the
/// last stream that it looked at, and closes.
async fn going_away(last: u8) -> Origin {
    Origin::scripted(move |mut conn: Conn| async move {
        let (settings, acknowledged) = (frame(4, 0, &[]), frame(4, 1, &[]));
        conn.send(settings).await;
        // All that the client has to say: a close before would be a reset.
        let mut read = Vec::new();
        while find(&read, b"abc").is_none() || find(&read, &acknowledged).is_none() {
            let Some(bytes) = conn.some().await else { return };
            read.extend_from_slice(&bytes);
        }
        let go_away = frame(7, 0, &[0, 0, 0, last, 0, 0, 0, 0]);
        conn.send([acknowledged, go_away].concat()).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goaway_leaves_out_is_tried_elsewhere_whatever_the_method() {
    let (bad, good) = (going_away(0).await, echoing().await);
    let edge = edge(&bad.addr, &good, "");
    assert_eq!(ask(&edge, 3, POST).await, echoed(3));
    assert_eq!(bad.connections(), 3);
    assert_eq!(attempts(edge), [2, 2, 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goaway_covers_is_not_sent_twice() {
    let (bad, good) = (going_away(1).await, echoing().await);
    let edge = edge(&bad.addr, &good, "");
    assert_eq!(ask(&edge, 1, POST).await[0].0, 502);
    assert_eq!(bad.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_stands_still_is_broken_off() {
    let origin = H2Origin::scripted(|mut call: Call| async move {
        let mut body = call.begin(Response::new(()));
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        std::future::pending().await
    })
    .await;
    let app = "{ servers: ['{server}'], protocol: h2c, timeouts: { between_bytes: 300ms } }";
    let edge = app::start(app, &[("server", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send(app::GET).await;
    let answer = String::from_utf8(client.read_to_end().await).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.contains("half") && !answer.ends_with("0\r\n\r\n"), "{answer}");
    let records = edge.stop();
    assert_eq!(records[0]["upstream_status"], 200, "{records:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn killing_a_server_of_http2_under_load_fails_no_request() {
    let start = || {
        let [port] = ports::free();
        let nginx = Nginx::start(&format!(
            "listen 127.0.0.1:{port} http2; keepalive_requests 1000000;
             location / {{ return 200 'hello'; }}"
        ));
        (nginx, ([127, 0, 0, 1], port).into())
    };
    let ((victim, first), (_other, second)) = (start(), start());
    kill_one_under_load(victim, [first, second], ", protocol: h2c").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_http2_is_checked_in_its_protocol() {
    let is_well = Arc::new(AtomicBool::new(false));
    let standing = is_well.clone();
    let origin = H2Origin::scripted(move |mut call: Call| {
        let standing = standing.clone();
        async move {
            assert_eq!(call.request.version(), Version::HTTP_2);
            assert_eq!(call.request.uri().path(), "/healthz");
            let status = if standing.load(Ordering::SeqCst) { 200 } else { 503 };
            call.only_head(Response::builder().status(status).body(()).unwrap());
        }
    })
    .await;
    let app = "{ servers: ['{server}'], protocol: h2c,
                 health: { http: { path: /healthz }, interval: 20ms, rise: 1, fall: 1 } }";
    let edge = app::start(app, &[("server", &origin.addr)]);
    for expected in [false, true, false] {
        is_well.store(expected, Ordering::SeqCst);
        await_healthy(&edge, 0, expected);
    }
    assert_eq!(app::servers(&edge)[0]["why"], "answered 503");
}
