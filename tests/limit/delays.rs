//! Who waits for an allowance: for how long, and whether its client still does.

use std::time::{Duration, Instant};

use http::Request;
use serde_json::Value as Json;

use super::*;
use crate::support::{H2Client, Origin, app, origin, within};

/// `LIMIT` in front of `app`, and nothing that takes longer than `total`.
fn site(limit: &str, total: &str) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:{{port}}', protocols: [h1, h2c] }}]
upstreams: {{ app: {{ servers: ['{{app}}'] }} }}
rate_limits: {{ few: {limit} }}
defaults: {{ timeouts: {{ total: {total} }} }}
routes:
  - {{ upstream: app, rate_limits: [few], cors: {{ origins: [https://a.example] }} }}
"
    )
}

async fn start(limit: &str, total: &str) -> (Origin, Edge) {
    let app = Origin::answering(origin::ok("ok")).await;
    let edge = Edge::start_with(&site(limit, total), &[("app", &app.addr)]);
    (app, edge)
}

const PREFLIGHT: &str = "OPTIONS / HTTP/1.1\r\nhost: a.example\r\norigin: https://a.example\r\n\
                         access-control-request-method: PUT\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_would_wait_beyond_the_total_is_rejected_and_takes_nothing() {
    let (_app, edge) = start("{ rate: 1/s, burst: 1, over: delay, wait: 1m }", "300ms").await;
    let began = Instant::now();
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    let mut h2 = H2Client::connect_from("127.0.0.2", edge.addr()).await;
    let mut rejected = 0;
    while began.elapsed() < Duration::from_millis(500) {
        let mut h1 = Client::connect_from("127.0.0.2", edge.addr()).await;
        h1.send(if rejected % 2 == 0 { app::GET } else { PREFLIGHT }).await;
        let answers = [h1.response().await, h2.get("http://a.example/").await.response];
        for answer in answers {
            assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
        }
        rejected += 1;
    }
    assert!(rejected > 2, "each at once, {rejected} so far");
    // It is as if nobody had asked meanwhile.
    let next = async {
        while status(&edge, "127.0.0.2", "/").await != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within("its turn", next).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let records = edge.stop();
    let mut rejected = records.iter().filter(|record| record["status"] == 429);
    assert!(rejected.all(|record| record["refusal"] == "rate"));
}

/// Waits until so many have had to wait.
fn await_delayed(edge: &Edge, count: usize) {
    edge.await_metric("tidegate_limit_delayed_total{limit=\"few\"}", count as f64);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_and_leaves_is_not_run_and_makes_room() {
    let limit = "{ key: route, rate: 1/min, burst: 1, over: delay, wait: 1m }";
    let (app, edge) = start(limit, "off").await;
    assert_eq!(status(&edge, "127.0.0.3", "/").await, 200);
    let requests = [
        "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 20000\r\n\r\nhi",
        "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n",
        PREFLIGHT,
    ];
    for (before, request) in (0..).zip(requests) {
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        client.send(request).await;
        await_delayed(&edge, before + 1);
        drop(client);
        edge.access_log(before + 2);
    }
    let mut h2 = H2Client::connect_from("127.0.0.2", edge.addr()).await;
    for (before, is_whole) in [(5, true), (6, false)] {
        let request = Request::post("http://a.example/").body(()).unwrap();
        let (_answer, mut stream) = h2.open(request, is_whole).await;
        await_delayed(&edge, before + 1);
        stream.send_reset(h2::Reason::CANCEL);
        edge.access_log(before + 2);
    }
    let mut records = edge.stop();
    records.retain(|record| record["client_ip"] == "127.0.0.2");
    assert_eq!(records.len(), 7);
    for record in records {
        assert_eq!((&record["status"], &record["refusal"]), (&0.into(), &Json::Null), "{record}");
        let error = record["error"].as_str().unwrap();
        assert!(error.starts_with("Downstream"), "{error}");
    }
    assert_eq!(app.requests(), 1, "{}", app.received_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_a_body_behind_is_not_run_when_its_turn_comes() {
    let limit = "{ key: route, rate: 2/s, burst: 1, over: delay, wait: 1m }";
    let (app, edge) = start(limit, "off").await;
    assert_eq!(status(&edge, "127.0.0.3", "/").await, 200);
    let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
    client.send("POST /left HTTP/1.1\r\nhost: a.example\r\ncontent-length: 5000\r\n\r\n").await;
    await_delayed(&edge, 1);
    // Nobody reads it yet.
    client.send([b'x'; 4000]).await;
    client.finish().await;
    drop(client);
    edge.access_log(2);
    assert_eq!(status(&edge, "127.0.0.3", "/").await, 200);
    assert!(!app.received_text().contains("/left"), "{}", app.received_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_comes_while_its_head_waits_arrives_whole() {
    let limit = "{ key: route, rate: 2/s, burst: 1, over: delay, wait: 1m }";
    let (app, edge) = start(limit, "off").await;
    assert_eq!(status(&edge, "127.0.0.3", "/").await, 200);
    for (before, head) in [(0, "content-length: 20"), (1, "transfer-encoding: chunked")] {
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a.example\r\n{head}\r\n\r\n")).await;
        await_delayed(&edge, before + 1);
        let body = "5\r\nbody!\r\n0\r\n\r\nhello";
        // With a length it is all body, in chunks there is more behind it.
        client.send(body.get(..if head.starts_with('c') { 20 } else { 15 }).unwrap()).await;
        assert_eq!(client.response().await.status, 200, "{head}");
    }
    assert_eq!(app.requests(), 3);
    assert!(
        app.received_text().contains("5\r\nbody!\r\n0\r\n\r\nhello"),
        "{}",
        app.received_text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_would_wait_beyond_the_total_end_there() {
    let limit = "{ count: body_bytes, rate: 4KiB/s, burst: 1KiB, over: delay, wait: 1m }";
    let (_app, edge) = start(limit, "1s").await;
    let began = Instant::now();
    let mut h1 = Client::connect_from("127.0.0.2", edge.addr()).await;
    h1.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100000\r\n\r\n").await;
    let mut h2 = H2Client::connect_from("127.0.0.3", edge.addr()).await;
    let request = Request::post("http://a.example/").body(()).unwrap();
    let (answer, mut stream) = h2.open(request, false).await;
    // The first piece passes, the next ones would have to wait for it.
    for _ in 0..3 {
        h1.send([b'x'; 20_000]).await;
        stream.send_data(vec![b'x'; 20_000].into(), false).unwrap();
        tokio::task::yield_now().await;
    }
    let answer = within("an answer", answer).await.unwrap();
    assert_eq!((answer.status(), h1.response().await.status), (504.try_into().unwrap(), 504));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    for record in edge.stop() {
        assert_eq!(record["refusal"], "took_too_long", "{record}");
    }
}
