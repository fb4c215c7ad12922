//! Answers that an operator wrote.

use super::ask;
use crate::support::{Client, Edge};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
routes:
  - match: { path: /ping }
    respond: { status: 200, body: \"pong\\n\", content_type: text/x-pong }
  - match: { path: /bare }
    respond: {}
  - match: { path: /teapot }
    respond: { status: 418, body: short and stout }
  - match: { path: /nothing }
    respond: { status: 204 }
  - match: { path: /gone }
    respond: { status: 410 }
    headers: { response: { set: { x-why: sold } } }
";

#[tokio::test(flavor = "multi_thread")]
async fn status_body_and_type_are_as_written() {
    let edge = Edge::start(SITE);
    let text = Some("text/plain; charset=utf-8");
    for (path, status, body, media_type) in [
        ("/ping", 200, "pong\n", Some("text/x-pong")),
        ("/bare", 200, "", None),
        ("/teapot", 418, "short and stout", text),
        ("/nothing", 204, "", None),
        ("/gone", 410, "", None),
    ] {
        let length = (status != 204).then(|| body.len().to_string());
        for method in ["GET", "POST", "HEAD"] {
            for answer in ask(&edge, &format!("{method} a.example{path}")).await {
                assert_eq!(answer.status, status, "{method} {path}");
                assert_eq!(answer.header("content-type"), media_type, "{method} {path}");
                assert_eq!(answer.header("content-length"), length.as_deref(), "{answer:?}");
                assert_eq!(answer.header("x-why").is_some(), path == "/gone");
                let expected = if method == "HEAD" { "" } else { body };
                assert_eq!(answer.text(), expected, "{method} {path}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_on_after_each_of_them() {
    let edge = Edge::start(SITE);
    let mut client = Client::connect(edge.addr()).await;
    for path in ["/ping", "/nothing", "/bare", "/teapot", "/ping"] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nhost: a.example\r\n\r\n")).await;
        client.response_head().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n")).await;
        assert_ne!(client.response().await.header("connection"), Some("close"), "{path}");
    }
    // HTTP/1.0 keeps a connection only if it is asked to.
    let keep = "GET /ping HTTP/1.0\r\nconnection: keep-alive\r\n\r\n";
    let mut client = Client::connect(edge.addr()).await;
    for _ in 0..2 {
        client.send(keep).await;
        assert_eq!(client.response().await.text(), "pong\n");
    }
    client.send("GET /ping HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.response().await.text(), "pong\n");
    client.expect_closed().await;
    assert_eq!(edge.stop().len(), 13);
}
