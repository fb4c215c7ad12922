//! Bodies of requests: too large, and slow.

use std::io::Write as _;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use crate::support::app;
use crate::support::h2_client::{next, whole};
use crate::support::origin::{self, Conn};
use crate::support::{Client, Edge, H2Client, H2Origin, Origin, curl, within};

/// Pieces of a megabyte: twelve are more than the 10 MiB of a body.
static PIECE: [u8; 1 << 20] = [b'x'; 1 << 20];

/// A server that reads whatever comes.
async fn hungry() -> Origin {
    Origin::scripted(|mut conn: Conn| async move {
        while conn.request().await.is_some() {
            conn.send(origin::ok("read it all")).await;
        }
    })
    .await
}

fn refusals(edge: Edge) -> Vec<String> {
    let records = edge.stop();
    records.iter().map(|record| format!("{} {}", record["status"], record["refusal"])).collect()
}

/// Sends a head and then pieces without end; what the proxy said to that.
async fn send_on(addr: SocketAddr, head: &str, piece: &[u8]) -> u16 {
    let (read, mut write) = TcpStream::connect(addr).await.unwrap().into_split();
    write.write_all(head.as_bytes()).await.unwrap();
    // It never stops by itself: only the other end can make it.
    let sending = async { while write.write_all(piece).await.is_ok() {} };
    let reading = async {
        let mut client = Client::over(tokio::io::join(read, tokio::io::sink()));
        client.response().await.status
    };
    let mut reading = std::pin::pin!(reading);
    tokio::select! {
        status = &mut reading => return status,
        () = sending => {}
    }
    // Cut off while it sent: the answer is there to be read all the same.
    reading.await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_its_limit_is_413_while_it_is_still_being_sent() {
    let origin = hungry().await;
    let edge = app::start("{ servers: ['{0}'] }", &[("0", &origin.addr)]);
    let head = "POST / HTTP/1.1\r\nhost: a.example\r\n";
    let early = format!("{head}content-length: 20000000000\r\n\r\n");
    assert_eq!(send_on(edge.addr(), &early, &PIECE).await, 413);
    assert_eq!(origin.connections(), 0, "what is known too large goes nowhere");
    let late = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let piece = [b"100000\r\n".as_slice(), &PIECE, b"\r\n"].concat();
    assert_eq!(send_on(edge.addr(), &late, &piece).await, 413);
    assert_eq!(origin.requests(), 0, "no server saw a whole request");
    assert_eq!(refusals(edge), ["413 \"body_too_large\""; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_its_limit_is_413_over_h2() {
    let origin = hungry().await;
    let edge = app::start("{ servers: ['{0}'] }", &[("0", &origin.addr)]);
    for length in [Some("20000000000"), None] {
        let mut client = H2Client::connect(edge.addr()).await;
        let request = Request::post("http://a.example/");
        let request = match length {
            Some(length) => request.header("content-length", length),
            None => request,
        };
        let (answer, mut body) = client.open(request.body(()).unwrap(), false).await;
        let sending = async {
            loop {
                body.reserve_capacity(PIECE.len());
                let Some(Ok(room)) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await else {
                    return std::future::pending().await;
                };
                if body
                    .send_data(Bytes::from_static(&PIECE[..room.min(PIECE.len())]), false)
                    .is_err()
                {
                    return std::future::pending().await;
                }
            }
        };
        let answer = tokio::select! {
            answer = whole(answer) => answer.unwrap().response,
            () = sending => unreachable!("it waits for the answer"),
        };
        assert_eq!(answer.status, 413, "{length:?}");
        // RFC 9113 §8.1: the client is to stop, and keep the answer.
        let reset = std::future::poll_fn(|cx| body.poll_reset(cx));
        assert_eq!(within("a reset", reset).await.unwrap(), h2::Reason::NO_ERROR);
        // Only that stream ends.
        assert_eq!(client.get("http://a.example/").await.response.status, 200);
    }
    assert_eq!(refusals(edge), ["413 \"body_too_large\"", "200 null"].repeat(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_told_that_its_upload_is_too_large() {
    let origin = hungry().await;
    let edge = app::start("{ servers: ['{0}'] }", &[("0", &origin.addr)]);
    let mut file = tempfile::NamedTempFile::new().unwrap();
    for _ in 0..30 {
        file.write_all(&PIECE).unwrap();
    }
    let data = format!("@{}", file.path().display());
    let url = format!("http://{}/", edge.addr());
    let said = ["-o", "/dev/null", "-w", "%{http_code}", "--data-binary", &data, &url];
    for how in [
        &["-H", "Expect:"][..],
        &["-H", "Expect:", "-H", "Transfer-Encoding: chunked"],
        &["-H", "Expect: 100-continue"],
    ] {
        let ran = curl(&[how, &said].concat());
        // curl may add that it could not send all: what counts is that it knows why.
        assert_eq!(ran.stdout, "413", "{how:?}: {ran:?}");
    }
    assert_eq!(origin.requests(), 0);
}

/// This curl (7.88) loses an answer over h2 when its stream is reset before all
/// is sent.
#[test]
fn curl_over_h2_may_send_on_to_learn_why() {
    let edge = Edge::start(
        "listeners: [{ address: '127.0.0.1:{port}', protocols: [h2c] }]\n\
         routes: [{ respond: {}, limits: { body: 64KiB } }]",
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&PIECE).unwrap();
    let data = format!("@{}", file.path().display());
    let url = format!("http://{}/", edge.addr());
    for _ in 0..5 {
        let how = ["--http2-prior-knowledge", "-o", "/dev/null", "-w", "%{http_code}"];
        let ran = curl(&[&how[..], &["--data-binary", &data, &url]].concat());
        assert_eq!(ran.good().stdout, "413");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_just_its_limit_passes() {
    let origin = hungry().await;
    let site = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c], limits: { body: 2MiB } }]
upstreams: { app: { servers: ['{0}'] } }
routes: [{ upstream: app }]
";
    let edge = Edge::start_with(site, &[("0", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    let limit = 2 << 20;
    client
        .send(format!("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: {limit}\r\n\r\n"))
        .await;
    for _ in 0..2 {
        client.send(&PIECE).await;
    }
    assert_eq!(client.response().await.text(), "read it all");
    let mut client = H2Client::connect(edge.addr()).await;
    let (answer, mut body) =
        client.open(Request::post("http://a.example/").body(()).unwrap(), false).await;
    for piece in 1..=2 {
        body.send_data(Bytes::from_static(&PIECE), piece == 2).unwrap();
    }
    assert_eq!(whole(answer).await.unwrap().response.text(), "read it all");
    assert_eq!(origin.requests(), 2);
}

/// The longest that servers may be silent in the tests below; no machine is so
/// busy that one which answers at once takes as long.
const TIMEOUTS: &str = "timeouts: { first_byte: 2s, between_bytes: 2s }";

/// Silence of the client that is longer than a server's may be.
async fn silence() {
    tokio::time::sleep(Duration::from_millis(2500)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_take_its_time_over_h1() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let origin = Origin::scripted(move |mut conn: Conn| {
        let told = told.clone();
        async move {
            conn.head().await;
            for _ in 0..2 {
                told.send(conn.take(1).await).unwrap();
            }
            conn.send(origin::ok("thanks")).await;
        }
    })
    .await;
    let app = format!("{{ servers: ['{{0}}'], {TIMEOUTS} }}");
    let edge = app::start(&app, &[("0", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\n").await;
    for byte in ["a", "b"] {
        silence().await;
        client.send(byte).await;
        // It is passed on at once, not when all is there.
        let seen = within("the byte at the server", tells.recv()).await.unwrap();
        assert_eq!(seen.as_deref(), Some(byte.as_bytes()));
    }
    assert_eq!(client.response().await.text(), "thanks");
}

#[tokio::test(flavor = "multi_thread")]
async fn how_long_a_client_uploads_is_no_measure_of_the_server() {
    let origin = Origin::ok().await;
    let edge = app::start("{ servers: ['{0}'] }", &[("0", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 2\r\n\r\n").await;
    origin.await_heads(&["/"]);
    let began = std::time::Instant::now();
    for byte in ["a", "b"] {
        silence().await;
        client.send(byte).await;
    }
    let uploaded = began.elapsed().as_secs_f64() * 1000.0;
    assert_eq!(client.response().await.status, 200);
    // The server was there all the time, and answered as soon as it could.
    let measured = app::servers(&edge)[0]["ewma_ms"].as_f64().unwrap();
    assert!(measured < uploaded, "{measured} ms, and {uploaded} ms of upload");
    let first_byte = edge.stop()[0]["first_byte_ms"].as_f64().unwrap();
    assert!(first_byte < uploaded, "{first_byte} ms, and {uploaded} ms of upload");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_take_its_time_over_h2() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let origin = H2Origin::scripted(move |mut call| {
        let told = told.clone();
        async move {
            while let Ok(Some(piece)) = next(call.request.body_mut()).await {
                told.send(piece).unwrap();
            }
            call.answer("thanks");
        }
    })
    .await;
    let app = format!("{{ servers: ['{{0}}'], protocol: h2c, {TIMEOUTS} }}");
    let edge = app::start(&app, &[("0", &origin.addr)]);
    let mut client = H2Client::connect(edge.addr()).await;
    let (answer, mut body) =
        client.open(Request::post("http://a.example/").body(()).unwrap(), false).await;
    for byte in ["a", "b"] {
        silence().await;
        body.send_data(Bytes::from(byte), byte == "b").unwrap();
        let seen = within("the byte at the server", tells.recv()).await.unwrap();
        assert_eq!(seen, byte);
    }
    assert_eq!(whole(answer).await.unwrap().response.text(), "thanks");
}
