//! `timeouts.total`: the longest that a request may take, whoever is slow.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value as Json;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::app::{GET, servers};
use crate::support::h2_client::whole;
use crate::support::h2_origin::Call;
use crate::support::{Client, Edge, H2Client, H2Origin, Origin, within};

/// Nothing else ends a request of these tests soon.
const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams:
  app:
    servers: ['{origin}']
    timeouts: { connect: 30s, first_byte: {first_byte}, between_bytes: 30s }
    retries: { attempts: 10, budget: 100% }
defaults: { timeouts: { total: 500ms } }
routes:
  - upstream: app
  - { match: { path_prefix: /off }, upstream: app, timeouts: { total: off } }
  - { match: { path_prefix: /own }, upstream: app, timeouts: { total: 20s } }
  - { match: { path_prefix: /files/ }, files: { root: '{dir}/www' } }
";

fn edge(origin: SocketAddr) -> Edge {
    Edge::start_with(SITE, &[("origin", &origin), ("first_byte", &"30s")])
}

/// Longer than `total`, and still no sign of a hanging test.
async fn longer() {
    tokio::time::sleep(Duration::from_millis(800)).await;
}

/// Reads a request and never answers.
async fn silent() -> Origin {
    Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.closed().await;
    })
    .await
}

fn outcomes(records: &[Json]) -> Vec<(u64, &str)> {
    let mut outcomes = Vec::new();
    for record in records {
        outcomes.push((record["status"].as_u64().unwrap(), record["refusal"].as_str().unwrap()));
    }
    outcomes
}

const TOO_LONG: (u64, &str) = (504, "took_too_long");

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_is_504_when_time_is_up() {
    let origin = silent().await;
    let edge = edge(origin.addr);
    let answer = Client::ask(edge.addr(), GET).await;
    assert_eq!((answer.status, answer.header("connection")), (504, Some("close")));
    assert!(answer.text().contains("504"), "{}", answer.text());
    let mut client = H2Client::connect(edge.addr()).await;
    assert_eq!(client.get("http://a.example/").await.response.status, 504);
    assert_eq!(outcomes(&edge.access_log(2)), [TOO_LONG; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_had_the_time_is_blamed() {
    let origin = silent().await;
    let edge = edge(origin.addr);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    assert_eq!(servers(&edge)[0]["failures"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_attempts_together_have_the_time() {
    let origin = silent().await;
    let places = [("origin", &origin.addr as &dyn std::fmt::Display), ("first_byte", &"150ms")];
    let edge = Edge::start_with(SITE, &places);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    let mut client = H2Client::connect(edge.addr()).await;
    assert_eq!(client.get("http://a.example/").await.response.status, 504);
    let records = edge.access_log(2);
    assert_eq!(outcomes(&records), [TOO_LONG; 2]);
    for record in records {
        let attempts = record["attempts"].as_u64().unwrap();
        assert!((2..=4).contains(&attempts), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_and_how_much_is_found_out_within_the_time() {
    let (origin, judge) = (Origin::ok().await, silent().await);
    let yaml = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] } }
rate_limits: { slow: { rate: 2/min, burst: 1, over: delay, wait: 1m } }
defaults: { timeouts: { total: 500ms } }
routes:
  - { upstream: app, access: { forward: { url: 'http://{judge}/', timeout: 1m } } }
  - { match: { path: /slow }, upstream: app, rate_limits: [slow] }
";
    let edge = Edge::start_with(yaml, &[("origin", &origin.addr), ("judge", &judge.addr)]);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    let mut client = H2Client::connect(edge.addr()).await;
    // Who would have to wait for longer is told so at once.
    for (path, status) in [("", 504), ("slow", 200), ("slow", 429)] {
        let answer = client.get(&format!("http://a.example/{path}")).await.response;
        assert_eq!(answer.status, status, "{path}");
    }
    let mut records = edge.access_log(4);
    records.retain(|record| record["status"] != 200);
    assert_eq!(outcomes(&records), [TOO_LONG, TOO_LONG, (429, "rate")]);
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_does_not_come_about_is_504() {
    // A full backlog: the kernel lets further connections wait.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let short = Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(short, TcpStream::connect(addr)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "the backlog has an end");
    }
    let edge = edge(addr);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    assert_eq!(outcomes(&edge.access_log(1)), [TOO_LONG]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_drips_is_broken_off() {
    let origin = Origin::scripted(|mut conn| async move {
        let Some(request) = conn.request().await else { return };
        let framing = match request.target() {
            "/chunked" => "transfer-encoding: chunked",
            _ => "content-length: 1000",
        };
        conn.send(format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n")).await;
        let piece = if framing.starts_with('c') { "x" } else { "1\r\nx\r\n" };
        while conn.send(piece).await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let edge = edge(origin.addr);
    for path in ["/", "/chunked"] {
        let mut h1 = Client::connect(edge.addr()).await;
        h1.send(format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n")).await;
        assert_eq!(h1.response_head().await.status, 200);
        let body = h1.read_to_end().await;
        assert!(body.starts_with(b"x") || body.starts_with(b"1\r\nx\r\n"), "{body:?}");
        assert!(body.len() < 1000 && !body.ends_with(b"0\r\n\r\n"), "{body:?}");
        let mut h2 = H2Client::connect(edge.addr()).await;
        let request = Request::get(format!("http://a.example{path}")).body(()).unwrap();
        let error = h2.ask(request, "").await.unwrap_err();
        assert!(error.is_reset() && error.is_remote(), "{error}");
    }
    assert_eq!(outcomes(&edge.access_log(4)), [(200, "took_too_long"); 4]);
    // Who answers is not blamed for how long its answer is.
    assert_eq!(servers(&edge)[0]["failures"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_drips_is_504_and_no_fault_of_the_server() {
    let origin = Origin::ok().await;
    let edge = edge(origin.addr);
    let mut h1 = Client::connect(edge.addr()).await;
    h1.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 1000\r\n\r\n").await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = Request::post("http://a.example/").body(()).unwrap();
    let (answer, mut body) = h2.open(request, false).await;
    let dripping = async {
        loop {
            if h1.try_send("x").await.is_err() {
                break;
            }
            body.send_data(Bytes::from_static(b"x"), false).ok();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let late = async { whole(answer).await.unwrap().response.status };
    let status = tokio::select! {
        status = late => status,
        () = dripping => panic!("cut off without an answer"),
    };
    assert_eq!(status, 504);
    assert_eq!(h1.response().await.status, 504);
    assert_eq!(outcomes(&edge.access_log(2)), [TOO_LONG; 2]);
    // Nor for a client that stops.
    let mut h1 = Client::connect(edge.addr()).await;
    h1.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 1000\r\n\r\nx").await;
    assert_eq!(h1.response().await.status, 504);
    assert_eq!(servers(&edge)[0]["failures"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_is_cut_off() {
    const LENGTH: usize = 64 << 20;
    let origin = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n")).await;
        while conn.send([b'x'; 65536]).await {}
    })
    .await;
    let edge = edge(origin.addr);
    std::fs::write(edge.dir().join("www/big"), vec![b'x'; LENGTH]).unwrap();
    for path in ["/", "/files/big"] {
        let mut h1 = Client::connect(edge.addr()).await;
        h1.send(format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n")).await;
        let mut h2 = H2Client::connect(edge.addr()).await;
        let request = Request::get(format!("http://a.example{path}")).body(()).unwrap();
        let (answer, _stream) = h2.open(request, true).await;
        let mut answer = within("a head", answer).await.unwrap().into_body();
        assert_eq!(h1.response_head().await.status, 200);
        // Each byte that is taken lets the writer move on.
        let records = if path == "/" { 2 } else { 4 };
        while edge.records().len() < records {
            h1.take_or_closed(4096).await;
            if let Ok(Some(Ok(piece))) =
                tokio::time::timeout(Duration::from_millis(20), answer.data()).await
            {
                let few = piece.len().min(4096);
                answer.flow_control().release_capacity(few).unwrap();
            }
        }
        assert!(h1.read_to_end().await.len() < LENGTH);
    }
    assert_eq!(outcomes(&edge.access_log(4)), [(200, "took_too_long"); 4]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_take_longer_than_the_default_says() {
    let origin = Origin::scripted(|mut conn| async move {
        while conn.request().await.is_some() {
            longer().await;
            conn.send(crate::support::origin::ok("at last")).await;
        }
    })
    .await;
    let edge = edge(origin.addr);
    for path in ["/off", "/own"] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        assert_eq!(Client::ask(edge.addr(), request).await.text(), "at last");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_have_no_end() {
    let origin = Origin::scripted(|mut conn| async move {
        let Some(request) = conn.request().await else { return };
        let (head, later) = match request.target() {
            "/events" => ("200 OK\r\ncontent-type: text/event-stream", "data: x\n\n"),
            _ => ("101 Switch\r\nconnection: upgrade\r\nupgrade: websocket", "hello"),
        };
        conn.send(format!("HTTP/1.1 {head}\r\n\r\n")).await;
        longer().await;
        conn.send(later).await;
    })
    .await;
    let edge = edge(origin.addr);
    let mut h1 = Client::connect(edge.addr()).await;
    h1.send("GET /events HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(h1.response().await.text(), "data: x\n\n");
    let mut socket = Client::connect(edge.addr()).await;
    socket
        .send(
            "GET /socket HTTP/1.1\r\nhost: a.example\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        )
        .await;
    assert_eq!(socket.response_head().await.status, 101);
    assert_eq!(socket.take(5).await, b"hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_have_no_end_where_servers_take_them() {
    let calls = H2Origin::scripted(|mut call: Call| async move {
        call.whole().await;
        longer().await;
        call.answer("at last");
    })
    .await;
    let old = silent().await;
    let yaml = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h2c] }]
upstreams: { calls: { servers: ['{calls}'], protocol: h2c }, old: { servers: ['{old}'] } }
defaults: { timeouts: { total: 500ms } }
routes: [{ upstream: calls }, { match: { path: /old }, upstream: old }]
";
    let edge = Edge::start_with(yaml, &[("calls", &calls.addr), ("old", &old.addr)]);
    let mut h2 = H2Client::connect(edge.addr()).await;
    let call = |path: &str| {
        let request = Request::post(format!("http://a.example{path}"));
        request.header("content-type", "application/grpc").body(()).unwrap()
    };
    assert_eq!(h2.ask(call("/"), "x").await.unwrap().response.text(), "at last");
    let refused = h2.ask(call("/old"), "x").await.unwrap().response;
    assert_eq!(refused.header("grpc-status"), Some("14"));
    assert_eq!(edge.stop()[1]["refusal"], "took_too_long");
}
