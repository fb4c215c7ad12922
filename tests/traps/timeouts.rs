//! A server that is too slow is a 504, wherever it is slow.

use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use super::GET;
use crate::support::{Authority, Client, Edge, H2Client, Origin, within};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams:
  app:
    servers: ['{origin}']
    retries: { attempts: 1 }
    timeouts: { connect: 300ms, first_byte: 300ms, between_bytes: 300ms }
    {upstream}
routes: [{ upstream: app }]
";

async fn check_504(edge: &Edge) {
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    let mut client = H2Client::connect(edge.addr()).await;
    assert_eq!(client.get("http://a.example/").await.response.status, 504);
    for record in edge.access_log(2) {
        let told = (record["status"].as_u64(), record["refusal"].as_str());
        assert_eq!(told, (Some(504), Some("server_too_slow")), "{record}");
        assert_eq!(record["attempts"], 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_accept_is_504() {
    // A full backlog: the kernel lets further connections wait.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let addr = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    let short = std::time::Duration::from_millis(200);
    while let Ok(stream) = tokio::time::timeout(short, TcpStream::connect(addr)).await {
        waiting.push(stream.unwrap());
        assert!(waiting.len() < 64, "the backlog has an end");
    }
    check_504(&Edge::start_with(SITE, &[("upstream", &""), ("origin", &addr)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_shake_hands_is_504() {
    let origin = Origin::scripted(|mut conn| async move { conn.closed().await }).await;
    let tls = "tls: { sni: a.example, verify: false }";
    check_504(&Edge::start_with(SITE, &[("upstream", &tls), ("origin", &origin.addr)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_may_take_as_long_as_it_is_told_to() {
    let certs = Authority::new();
    let acceptor = tokio_rustls::TlsAcceptor::from(certs.server(&["a.example"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        // Longer than the second that is the default.
        tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
        let mut stream = acceptor.accept(stream).await.unwrap();
        stream.read_u8().await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        stream.flush().await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.ok();
    });
    let site = SITE.replace("connect: 300ms", "connect: 15s");
    let tls = "tls: { sni: a.example, verify: false }";
    let edge = Edge::start_with(&site, &[("upstream", &tls), ("origin", &addr)]);
    assert_eq!(Client::ask(edge.addr(), GET).await.text(), "ok");
    serving.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_504() {
    let origin = Origin::scripted(|mut conn| async move { conn.closed().await }).await;
    check_504(&Edge::start_with(SITE, &[("upstream", &""), ("origin", &origin.addr)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_within_its_head_is_504() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-").await;
        conn.closed().await;
    })
    .await;
    check_504(&Edge::start_with(SITE, &[("upstream", &""), ("origin", &origin.addr)])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_within_its_body_ends_the_answer() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
        conn.closed().await;
    })
    .await;
    let edge = Edge::start_with(SITE, &[("upstream", &""), ("origin", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send(GET).await;
    assert_eq!(client.response_head().await.status, 200);
    // Cut off, so that nobody takes it for whole.
    assert_eq!(client.read_to_end().await, b"abc");
    let mut client = H2Client::connect(edge.addr()).await;
    let request = http::Request::get("http://a.example/").body(()).unwrap();
    assert!(client.ask(request, "").await.is_err());
    let records: Vec<Json> = edge.access_log(2);
    for record in records {
        assert_eq!(record["status"], 200);
        assert!(record["error"].is_string(), "{record}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_the_answer_while_the_request_is_open() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.head().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc").await;
        conn.closed().await;
    })
    .await;
    let edge = Edge::start_with(SITE, &[("upstream", &""), ("origin", &origin.addr)]);
    let mut h1 = Client::connect(edge.addr()).await;
    h1.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\na").await;
    assert_eq!(h1.response_head().await.status, 200);
    assert_eq!(h1.read_to_end().await, b"abc");
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = http::Request::post("http://a.example/").body(()).unwrap();
    let (answer, mut body) = h2.open(request, false).await;
    body.send_data(bytes::Bytes::from_static(b"a"), false).unwrap();
    assert!(crate::support::h2_client::whole(answer).await.is_err());
    for record in edge.access_log(2) {
        assert_eq!(
            (&record["status"], &record["refusal"]),
            (&200.into(), &"server_too_slow".into())
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_early_may_listen_for_long() {
    let origin = Origin::scripted(|mut conn| async move {
        let head = conn.head().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").await;
        let mut body = Vec::new();
        while !body.ends_with(b"z") && !body.ends_with(b"z\r\n") {
            let Some(some) = conn.some().await else { return };
            body.extend(some);
        }
        conn.send("ok").await;
        drop(head);
    })
    .await;
    // In all it takes longer than the server may be silent; between two bytes
    // there is room for a machine that stops for seconds.
    let site = SITE.replace("300ms", "7s");
    let edge = Edge::start_with(&site, &[("upstream", &""), ("origin", &origin.addr)]);
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut h1 = Client::connect(edge.addr()).await;
    h1.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 8\r\n\r\n").await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = http::Request::post("http://a.example/").body(()).unwrap();
    let (answer, mut body) = h2.open(request, false).await;
    for byte in ["a", "b", "c", "d", "e", "f", "g", "z"] {
        tick.tick().await;
        h1.send(byte).await;
        body.send_data(byte.into(), false).unwrap();
    }
    assert_eq!(h1.response().await.text(), "ok");
    body.send_data(bytes::Bytes::new(), true).unwrap();
    assert_eq!(crate::support::h2_client::whole(answer).await.unwrap().response.text(), "ok");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_no_slow_server() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(SITE, &[("upstream", &""), ("origin", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\n").await;
    // Longer than any timeout of the server in all.
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(200));
    for byte in b"abcd" {
        tick.tick().await;
        client.send([*byte]).await;
    }
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_moves_after_the_answer_began_is_no_silence() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.head().await;
        conn.send("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await;
        let body = conn.take(4).await.unwrap_or_default();
        conn.send(body).await;
    })
    .await;
    let edge = Edge::start_with(SITE, &[("upstream", &""), ("origin", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 4\r\n\r\n").await;
    assert_eq!(client.response_head().await.status, 200);
    // Longer than `between_bytes` in all.
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(200));
    for byte in b"abcd" {
        tick.tick().await;
        client.send([*byte]).await;
    }
    assert_eq!(client.take(4).await, b"abcd");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_slowly_is_no_silent_server() {
    const LENGTH: usize = 6 << 20;
    let origin = Origin::scripted(|mut conn| async move {
        conn.request().await;
        conn.send(format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n")).await;
        for _ in 0..LENGTH >> 16 {
            conn.send([b'x'; 1 << 16]).await;
        }
        conn.closed().await;
    })
    .await;
    let site = SITE.replace("300ms", "100ms");
    let edge = Edge::start_with(&site, &[("upstream", &""), ("origin", &origin.addr)]);
    // What a piece takes to be written is longer than the server may be silent.
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(250));
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut h1 = Client::over(socket.connect(edge.addr()).await.unwrap());
    h1.send(GET).await;
    assert_eq!(h1.response_head().await.status, 200);
    for taken in 0..LENGTH >> 18 {
        tick.tick().await;
        assert!(h1.take_or_closed(1 << 18).await.is_some(), "ended after {taken}");
    }
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = http::Request::get("http://a.example/").body(()).unwrap();
    let (answer, _stream) = h2.open(request, true).await;
    let mut body = answer.await.unwrap().into_body();
    for _ in 0..8 {
        tick.tick().await;
        // As much as the window of a stream holds.
        let mut taken = 0;
        while taken < 65_535 {
            let piece = within("a piece", body.data()).await.unwrap().unwrap();
            taken += piece.len();
        }
        body.flow_control().release_capacity(taken).unwrap();
    }
}
