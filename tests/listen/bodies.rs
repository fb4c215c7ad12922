//! Bodies that are slow, waited for, or not read; and HTTP/1.0.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;

use super::{edge, outcomes};
use crate::support::h2_client::{interim, next, whole};
use crate::support::tools::Ran;
use crate::support::{Authority, Client, Edge, H2Client, Origin, curl, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_answered_408() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]\n    timeouts: { body: 300ms }");
    let began = Instant::now();

    for (head, part) in [
        ("content-length: 10", "abc"),
        ("transfer-encoding: chunked", "3\r\nabc\r\n"),
        ("transfer-encoding: chunked", "3\r\na"),
        // No field of a head makes a body wait for longer over h1.
        ("upgrade: x\r\ncontent-length: 9", ""),
        ("connection: upgrade\r\nupgrade: websocket\r\ncontent-length: 9", "abc"),
    ] {
        let mut client = Client::connect(edge.addr()).await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a.example\r\n{head}\r\n\r\n{part}")).await;
        assert_eq!(client.response().await.status, 408, "{head}");
        client.expect_closed().await;
    }
    let grpc = "content-type: application/grpc\r\ncontent-length: 9";
    let grpc = format!("POST / HTTP/1.1\r\nhost: a.example\r\n{grpc}\r\n\r\n");
    // It is no call over HTTP/1, and refused as all else.
    let answer = Client::ask(edge.addr(), grpc).await;
    assert_eq!((answer.status, answer.header("grpc-status")), (408, None));
    edge.access_log(6);
    let mut h2 = H2Client::connect(edge.addr()).await;
    let (answer, mut body) =
        h2.open(Request::post("http://a.example/").body(()).unwrap(), false).await;
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    assert_eq!(whole(answer).await.unwrap().response.status, 408);
    drop(h2);
    assert!(began.elapsed() < Duration::from_secs(30), "each takes so long by default");

    assert_eq!(outcomes(&edge.stop()), [(408, "body_too_slow"); 7]);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_take_long_while_it_moves() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "timeouts: { body: 2s }");
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 8\r\n\r\n").await;
    // In all it takes twice as long as it may be silent.
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    for byte in b"12345678" {
        tick.tick().await;
        client.send([*byte]).await;
    }
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_given_up() {
    let (told, mut tells) = tokio::sync::mpsc::unbounded_channel();
    let origin = Origin::scripted(move |mut conn| {
        let told = told.clone();
        async move {
            conn.request().await;
            conn.send("HTTP/1.1 200 OK\r\ncontent-length: 9000000000\r\n\r\n").await;
            while conn.send([b'x'; 65536]).await {}
            told.send(()).unwrap();
        }
    })
    .await;
    let edge = edge(&origin, "protocols: [h1, h2c]\n    timeouts: { write: 300ms }");

    let began = Instant::now();
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /h1 HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    within("the server to be let go", tells.recv()).await.unwrap();
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = Request::get("http://a.example/h2").body(()).unwrap();
    // The window of the stream stays as it is, so that nothing more may come.
    let (_answer, _body) = h2.open(request, true).await;
    within("the server to be let go", tells.recv()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(30), "either takes so long by default");

    let records = edge.access_log(2);
    for (record, path) in records.iter().zip(["/h1", "/h2"]) {
        assert_eq!((record["path"].as_str(), record["status"].as_u64()), (Some(path), Some(200)));
        assert!(record["error"].is_string(), "{record}");
    }
    drop((client, h2));
    assert_eq!(edge.stop().len(), 2);
}

/// Pingora bounds neither the writes of heads nor those of flushes.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_no_heads_is_given_up() {
    const REDIRECTS: &str = "
listeners:
  - address: '127.0.0.1:{port}'
    timeouts: { write: 300ms }
    limits: { requests_per_connection: 1000000 }
routes:
  - redirect: { to: /elsewhere }
    headers: { response: { set: { x-long: '{long}' } } }
";
    let edge = Edge::start_with(REDIRECTS, &[("long", &"x".repeat(8000))]);
    let mut client = Client::connect(edge.addr()).await;
    let requests = "HEAD / HTTP/1.1\r\nhost: a.example\r\n\r\n".repeat(100);
    // It ends with its connection: a write that nobody reads would wait for ever.
    while client.try_send(&requests).await.is_ok() {}
    let ended = "tidegate_listen_connections_open";
    edge.await_metric(ended, 0.0);
    let records = edge.stop();
    let (last, served) = records.split_last().unwrap();
    assert!(served.iter().all(|record| record["status"] == 308));
    assert_eq!(outcomes(std::slice::from_ref(last)), [(0, "")], "{last}");
    assert!(last["error"].as_str().unwrap().contains("WriteError"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn chunks_that_cannot_be_read_are_answered_400() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "");
    let bodies = [
        "ZZ\r\n",
        "-1\r\n",
        "3\r\nabcX\r\n0\r\n\r\n",
        "3\r\nabc\r\nsecret\r\n",
        "ffffffffffffffffff\r\n",
        "3\nabc\n0\n\n",
        // Pingora would read these to an end.
        "3\r\nabc\r\n\r\n\r\n",
        "3 \r\nabc\r\n0\r\n\r\n",
        "3;secret\nabc\r\n0\r\n\r\n",
        "0\r\ncontent-length: 7\r\n\r\n",
        "0\r\nGET /secret HTTP/1.1\r\nhost: a.example\r\n\r\n",
    ];
    let extended = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(17_000));
    let bodies = bodies.into_iter().chain([&*extended]);
    let mut refused = 0;
    for body in bodies {
        let mut client = Client::connect(edge.addr()).await;
        let head = "POST / HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n";
        client.send([head, body].concat()).await;
        let answer = client.response().await;
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{body:?}");
        client.expect_closed().await;
        // And once a server has been asked.
        let head = head.replace("POST /", &format!("POST /{refused}/"));
        let mut client = Client::connect(edge.addr()).await;
        client.send(&head).await;
        origin.await_heads(&[&format!("/{refused}/")]);
        client.send(body).await;
        assert_eq!(client.response().await.status, 400, "{body:?}");
        client.expect_closed().await;
        refused += 2;
    }
    // The connection of a broken one serves nobody else.
    assert_eq!(
        Client::ask(edge.addr(), "GET /next HTTP/1.1\r\nhost: a.example\r\n\r\n").await.status,
        200
    );
    let records = edge.stop();
    let (last, broken) = records.split_last().unwrap();
    assert_eq!(outcomes(broken), vec![(400, "chunks"); refused]);
    assert_eq!(last["status"], 200);
    // What a body says is not for the log.
    assert!(broken.iter().all(|record| !record.to_string().contains("secret")));
    assert_eq!(origin.requests(), 1, "{}", origin.received_text());
    assert!(origin.received().pop().unwrap().starts_with(b"GET /next "));
}

/// Sends five bytes with curl, which waits for 100 longer than it may run.
fn curl_expecting(url: &str, arguments: &[&str]) -> Ran {
    let expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "60", "--data", "12345"];
    curl(&[&expect[..], arguments, &[url]].concat()).good()
}

/// A server that was told the length takes the last byte for the end.
#[tokio::test(flavor = "multi_thread")]
async fn trailers_over_h2_neither_frame_nor_route() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h2c]");
    let mut client = H2Client::connect(edge.addr()).await;
    let mut expected = Vec::new();
    for (name, status) in [
        ("content-length", 400),
        ("host", 400),
        ("x-forwarded-for", 400),
        ("cookie", 400),
        ("x-sum", 200),
    ] {
        for length in [None, Some(5)] {
            let mut request = Request::post("http://a.example/");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let (answer, mut body) = client.open(request.body(()).unwrap(), false).await;
            body.send_data(Bytes::from_static(b"12345"), false).unwrap();
            let trailers = [(name.parse().unwrap(), "5".parse().unwrap())];
            body.send_trailers(http::HeaderMap::from_iter(trailers)).unwrap();
            assert_eq!(whole(answer).await.unwrap().response.status, status, "{name} {length:?}");
            expected.push((u64::from(status), if status == 400 { "trailers" } else { "" }));
            edge.access_log(expected.len());
        }
    }
    assert_eq!(outcomes(&edge.stop()), expected);
    assert_eq!(origin.requests(), 2, "{}", origin.received_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_works_on_h1_and_h2() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]");
    for (spoken, version) in [("--http1.1", "HTTP/1.1"), ("--http2-prior-knowledge", "HTTP/2")] {
        let ran = curl_expecting(&format!("http://{}/", edge.addr()), &["-v", spoken]);
        assert_eq!(ran.stdout, "ok");
        assert!(ran.stderr.contains(&format!("< {version} 100")), "{}", ran.stderr);
        assert!(origin.received_text().ends_with("\r\n\r\n12345"));
    }
    assert_eq!(outcomes(&edge.stop()), [(200, ""); 2]);
    // The expectation was met on the way: the server need not know of it.
    assert!(!origin.received_text().to_lowercase().contains("expect:"));
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_works_on_h2_over_tls() {
    let origin = Origin::ok().await;
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let tls = format!(
        "tls: {{ certificates: [{{ cert: '{0}/a.pem', key: '{0}/a.key' }}] }}",
        certs.dir().display()
    );
    let edge = edge(&origin, &tls);
    let (port, ca) = (edge.addr().port(), certs.ca().display().to_string());
    let to = format!("a.example:{port}:127.0.0.1");
    let arguments = ["-v", "--http2", "--cacert", &ca, "--resolve", &to];
    let ran = curl_expecting(&format!("https://a.example:{port}/"), &arguments);
    assert_eq!(ran.stdout, "ok");
    assert!(ran.stderr.contains("< HTTP/2 100"), "{}", ran.stderr);
    assert!(ran.stderr.contains("< HTTP/2 200"), "{}", ran.stderr);
    assert!(origin.received_text().ends_with("12345"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_refused_is_not_asked_for() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]\n    limits: { body: 4 }");
    let said = ["-o", "/dev/null", "-w", "%{http_code} %{size_upload}"];
    let ran = curl_expecting(&format!("http://{}/", edge.addr()), &said);
    assert_eq!(ran.stdout, "413 0");
    // This curl (7.88) may lose an answer over h2 whose stream is reset with it,
    // whoever the server is.
    let mut client = H2Client::connect(edge.addr()).await;
    let request = Request::post("http://a.example/").header("expect", "100-continue");
    let request = request.header("content-length", "5").body(()).unwrap();
    let (mut answer, mut body) = client.open(request, false).await;
    assert!(interim(&mut answer).await.is_none());
    assert_eq!(whole(answer).await.unwrap().response.status, 413);
    let reset = std::future::poll_fn(|cx| body.poll_reset(cx));
    assert_eq!(within("a reset", reset).await.unwrap(), h2::Reason::NO_ERROR);
    assert_eq!(outcomes(&edge.stop()), [(413, "body_too_large"); 2]);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_client_gets_no_chunks() {
    let chunked =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let origin = Origin::answering(chunked).await;
    let edge = edge(&origin, "");

    for head in [
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.0\r\nhost: a.example\r\nconnection: keep-alive\r\n\r\n",
    ] {
        let mut client = Client::connect(edge.addr()).await;
        client.send(head).await;
        let answer = client.response_head().await;
        assert_eq!(answer.header("transfer-encoding"), None, "{answer:?}");
        assert_ne!(answer.header("connection"), Some("keep-alive"), "{answer:?}");
        assert_eq!(client.read_to_end().await, b"abcde");
        edge.access_log(1);
    }
    let answer = Client::ask(edge.addr(), "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(
        (answer.header("transfer-encoding"), answer.text().as_str()),
        (Some("chunked"), "abcde")
    );
    let protocols: Vec<_> = edge.stop().iter().map(|record| record["protocol"].clone()).collect();
    assert_eq!(protocols, ["HTTP/1.0", "HTTP/1.0", "HTTP/1.1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_h2_body_is_read_as_it_comes() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.head().await;
        conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        while let Some(some) = conn.some().await {
            let text = String::from_utf8(some).unwrap();
            conn.send(format!("{:x}\r\n{text}\r\n", text.len())).await;
            if text.ends_with("0\r\n\r\n") {
                conn.send("0\r\n\r\n").await;
            }
        }
    })
    .await;
    let edge = edge(&origin, "protocols: [h1, h2c]");
    let mut client = H2Client::connect(edge.addr()).await;
    let request = Request::post("http://a.example/").body(()).unwrap();
    let (answer, mut body) = client.open(request, false).await;
    let mut answer = within("the head", answer).await.unwrap().into_body();
    for piece in ["one", "two"] {
        body.send_data(Bytes::from_static(piece.as_bytes()), false).unwrap();
        let echoed = next(&mut answer).await.unwrap().unwrap();
        assert_eq!(echoed, format!("3\r\n{piece}\r\n"));
    }
    body.send_data(Bytes::new(), true).unwrap();
    assert_eq!(next(&mut answer).await.unwrap().unwrap(), "0\r\n\r\n");
    while let Some(rest) = next(&mut answer).await.unwrap() {
        assert!(rest.is_empty(), "{rest:?}");
    }
}
