//! Whether a connection of HTTP/1 stays after an answer, what `Connection`
//! says of it, and what becomes of a request that is still being sent.

use std::time::{Duration, Instant};

use http::Request;

use crate::support::{Client, Edge, H2Client, Origin, Response, within};

const SITE: &str = "
listeners:
  - address: '127.0.0.1:{port}'
    protocols: [h1, h2c]
    limits: { body: 20MiB, requests_per_connection: {requests} }
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - { match: { path: / }, upstream: app }
  - { match: { path: /moved }, redirect: { to: /elsewhere } }
  - { match: { path: /pong }, respond: { body: pong } }
  - { match: { path: /small }, respond: { body: small }, limits: { body: 4 } }
  - { match: { path: /get, methods: [GET] }, respond: { body: got } }
";

fn edge(origin: &Origin, requests: u32) -> Edge {
    Edge::start_with(SITE, &[("origin", &origin.addr), ("requests", &requests)])
}

/// Answers as soon as it has a head, and reads on.
async fn early() -> Origin {
    Origin::scripted(|mut conn| async move {
        while conn.head().await.is_some() {
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await;
            conn.closed().await;
        }
    })
    .await
}

fn connection(answer: &Response) -> Option<&str> {
    answer.header("connection")
}

/// Whether a second request is answered on the connection.
async fn is_kept(client: &mut Client) -> bool {
    if client.try_send("GET /pong HTTP/1.1\r\nhost: a.example\r\n\r\n").await.is_err() {
        return false;
    }
    match client.response_or_closed().await {
        Some(answer) => {
            assert_eq!((answer.status, answer.text()), (200, "pong".to_owned()));
            true
        }
        None => false,
    }
}

/// What is sent, what is sent once the answer is there, and whether the
/// connection stays.
type Case = (&'static str, &'static str, bool);

async fn check(edge: &Edge, (now, later, stays): Case) {
    let mut client = Client::connect(edge.addr()).await;
    client.send(now.replace("HTTP/1.1\r\n", "HTTP/1.1\r\nhost: a.example\r\n")).await;
    let mut answer = client.response().await;
    if answer.status == 100 {
        client.send(later).await;
        answer = client.response().await;
    } else if !later.is_empty() {
        client.try_send(later).await.ok();
    }
    let said = if stays { "keep-alive" } else { "close" };
    assert_eq!(connection(&answer), Some(said), "{now:?}: {answer:?}");
    assert_eq!(is_kept(&mut client).await, stays, "{now:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_says_what_becomes_of_the_connection() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, 100);
    let cases: [Case; 21] = [
        ("GET / HTTP/1.1\r\n\r\n", "", true),
        ("GET /moved HTTP/1.1\r\n\r\n", "", true),
        ("GET / HTTP/1.1\r\nconnection: close\r\n\r\n", "", false),
        ("GET /pong HTTP/1.1\r\nconnection: keep-alive, close\r\n\r\n", "", false),
        ("GET / HTTP/1.1\r\nconnection: x-mine\r\nconnection: Close\r\n\r\n", "", false),
        // A body that nobody reads: here already, about to come, or long.
        ("POST /moved HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", "", true),
        ("POST /pong HTTP/1.1\r\ncontent-length: 3\r\n\r\na", "bc", true),
        ("POST /get HTTP/1.1\r\ncontent-length: 3\r\n\r\na", "bc", true),
        ("POST /small HTTP/1.1\r\ncontent-length: 5\r\n\r\na", "bcde", true),
        ("POST /pong HTTP/1.1\r\ncontent-length: 65537\r\n\r\n", "abc", false),
        ("POST / HTTP/1.1\r\ncontent-length: 90000000\r\n\r\n", "abc", false),
        ("POST /moved HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "", false),
        // Who waits for 100 may send its body after a final answer, or not.
        ("POST /pong HTTP/1.1\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n", "", false),
        ("POST / HTTP/1.1\r\ncontent-length: 3\r\nexpect: 100-continue\r\n\r\n", "abc", true),
        // A body that a server has read.
        ("POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc", "", true),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "", true),
        // HTTP/1.0 closes unless it is asked not to.
        ("GET / HTTP/1.0\r\n\r\n", "", false),
        ("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", "", true),
        ("POST /moved HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na", "", true),
        (
            "POST /pong HTTP/1.0\r\nconnection: keep-alive\r\ncontent-length: 99999\r\n\r\na",
            "",
            false,
        ),
        ("GET /none HTTP/1.0\r\nhost: a.example\r\nconnection: keep-alive\r\n\r\n", "", true),
    ];
    for case in cases {
        check(&edge, case).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_request_of_a_connection_is_told_so() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, 2);
    for path in ["/", "/moved", "/none"] {
        for version in ["1.0", "1.1"] {
            let mut client = Client::connect(edge.addr()).await;
            for said in ["keep-alive", "close"] {
                let head = format!("GET {path} HTTP/{version}\r\nhost: a.example\r\n");
                client.send(format!("{head}connection: keep-alive\r\n\r\n")).await;
                assert_eq!(connection(&client.response().await), Some(said), "{path} {version}");
            }
            client.expect_closed().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_answers_a_request_still_being_sent_ends_its_connection() {
    let origin = early().await;
    let edge = edge(&origin, 100);
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 1000000\r\n\r\nabc").await;
    let answer = client.response().await;
    assert_eq!((answer.text(), connection(&answer)), ("early".to_owned(), Some("close")));
}

/// Sends a byte now and then; how long until the connection was gone.
async fn drip(client: &mut Client) -> Duration {
    let began = Instant::now();
    let dripping = async {
        while client.try_send("x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    within("a client that drips to be cut off", dripping).await;
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_drips_after_its_answer_is_cut_off() {
    let [origin, early] = [Origin::ok().await, early().await];
    let [edge, edge_of_early] = [edge(&origin, 100), edge(&early, 100)];
    let cut = |to: std::net::SocketAddr, path: &'static str, length: u32, status: u16| async move {
        let mut client = Client::connect(to).await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: a.example\r\n");
        client.send(format!("{head}content-length: {length}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, status, "{path}");
        drip(&mut client).await
    };
    tokio::join!(
        cut(edge.addr(), "/small", 90_000_000, 413),
        cut(edge.addr(), "/get", 1000, 405),
        cut(edge.addr(), "/get", 1_000_000, 405),
        cut(edge.addr(), "/moved", 1000, 308),
        cut(edge_of_early.addr(), "/", 1000, 200),
    );
    for edge in [edge, edge_of_early] {
        edge.await_metric("tidegate_listen_connections_open", 0.0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_drips_after_its_answer_is_reset() {
    let early = early().await;
    let edge = edge(&early, 100);
    let mut client = H2Client::connect(edge.addr()).await;
    let mut answers = Vec::new();
    for path in ["/", "/moved"] {
        let request = Request::post(format!("http://a.example{path}")).body(()).unwrap();
        answers.push(client.open(request, false).await);
    }
    for (answer, mut body) in answers {
        assert!(crate::support::h2_client::whole(answer).await.is_ok());
        let dripping = async {
            while body.send_data("x".into(), false).is_ok() {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        };
        within("a stream that drips to be reset", dripping).await;
    }
    assert_eq!(client.get("http://a.example/pong").await.response.text(), "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_all_before_it_reads_has_its_answer() {
    const LENGTH: usize = 8 << 20;
    let origin = Origin::ok().await;
    let edge = edge(&origin, 100);
    for (path, status) in [("/small", 413), ("/get", 405), ("/pong", 200)] {
        let mut client = Client::connect(edge.addr()).await;
        let head = format!("POST {path} HTTP/1.1\r\nhost: a.example\r\n");
        client.send(format!("{head}content-length: {LENGTH}\r\n\r\n")).await;
        client.send(vec![b'x'; LENGTH]).await;
        let answer = client.response().await;
        assert_eq!((answer.status, connection(&answer)), (status, Some("close")));
    }
}
