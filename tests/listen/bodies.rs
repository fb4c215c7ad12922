//! Bodies that are slow, waited for, or not read; and HTTP/1.0.

use bytes::Bytes;
use http::Request;

use super::{edge, outcomes};
use crate::support::h2_client::{next, whole};
use crate::support::tools::Ran;
use crate::support::{Client, Edge, H2Client, Origin, curl, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_is_answered_408() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]\n    timeouts: { body: 300ms }");

    for (head, part) in [
        ("content-length: 10", "abc"),
        ("transfer-encoding: chunked", "3\r\nabc\r\n"),
        ("transfer-encoding: chunked", "3\r\na"),
    ] {
        let mut client = Client::connect(edge.addr()).await;
        client.send(format!("POST / HTTP/1.1\r\nhost: a.example\r\n{head}\r\n\r\n{part}")).await;
        assert_eq!(client.response().await.status, 408, "{head}");
        client.expect_closed().await;
    }
    let mut h2 = H2Client::connect(edge.addr()).await;
    let (answer, mut body) =
        h2.open(Request::post("http://a.example/").body(()).unwrap(), false).await;
    body.send_data(Bytes::from_static(b"abc"), false).unwrap();
    assert_eq!(whole(answer).await.unwrap().response.status, 408);
    drop(h2);

    assert_eq!(outcomes(&edge.stop()), [(408, "body_too_slow"); 4]);
    assert_eq!(origin.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_take_long_while_it_moves() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "timeouts: { body: 500ms }");
    let mut client = Client::connect(edge.addr()).await;
    client.send("POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 8\r\n\r\n").await;
    // In all it takes twice as long as it may be silent.
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(125));
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

    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /h1 HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    within("the server to be let go", tells.recv()).await.unwrap();
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = Request::get("http://a.example/h2").body(()).unwrap();
    // The window of the stream stays as it is, so that nothing more may come.
    let (_answer, _body) = h2.open(request, true).await;
    within("the server to be let go", tells.recv()).await.unwrap();

    let records = edge.access_log(2);
    for (record, path) in records.iter().zip(["/h1", "/h2"]) {
        assert_eq!((record["path"].as_str(), record["status"].as_u64()), (Some(path), Some(200)));
        assert!(record["error"].is_string(), "{record}");
    }
    drop((client, h2));
    assert_eq!(edge.stop().len(), 2);
}

/// Sends five bytes with curl, which waits for 100 longer than it may run.
fn curl_expecting(edge: &Edge, arguments: &[&str]) -> Ran {
    let expect = ["-H", "Expect: 100-continue", "--expect100-timeout", "60", "--data", "12345"];
    curl(&[&expect[..], arguments, &[&format!("http://{}/", edge.addr())]].concat()).good()
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_works_on_h1() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "");
    let ran = curl_expecting(&edge, &["-v"]);
    assert_eq!(ran.stdout, "ok");
    assert!(ran.stderr.contains("< HTTP/1.1 100 Continue"), "{}", ran.stderr);
    assert_eq!(outcomes(&edge.stop()), [(200, "")]);
    // The expectation was met on the way: the server need not know of it.
    assert!(!origin.received_text().to_lowercase().contains("expect:"));
    assert!(origin.received_text().ends_with("\r\n\r\n12345"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_refused_is_not_asked_for() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "limits: { body: 4 }");
    let ran = curl_expecting(&edge, &["-o", "/dev/null", "-w", "%{http_code} %{size_upload}"]);
    assert_eq!(ran.stdout, "413 0");
    assert_eq!(outcomes(&edge.stop()), [(413, "body_too_large")]);
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn expect_100_continue_does_not_stop_a_body_on_h2() {
    let origin = Origin::ok().await;
    let edge = edge(&origin, "protocols: [h1, h2c]");
    // The last word on how long to wait for 100 is curl's: it does not come.
    let h2 = ["--http2-prior-knowledge", "--expect100-timeout", "0.1"];
    assert_eq!(curl_expecting(&edge, &h2).stdout, "ok");
    assert!(!origin.received_text().to_lowercase().contains("expect:"));
    assert!(origin.received_text().ends_with("12345"));
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
