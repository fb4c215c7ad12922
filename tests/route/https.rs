//! `https_redirect`: a listener that sends every request to https.

use super::ask;
use crate::support::{Client, Edge};

const SITE: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], https_redirect: on }
  - { address: '127.0.0.1:{port2}', protocols: [h1, h2c], https_redirect: 8443 }
routes:
  - { match: { path: /route }, respond: { body: plain } }
";

#[tokio::test(flavor = "multi_thread")]
async fn every_request_is_sent_to_https() {
    let edge = Edge::start(SITE);
    for (request, location) in [
        ("GET a.example/route?q=1", "https://a.example/route?q=1"),
        ("GET A.Example:8080/", "https://a.example/"),
        ("GET [2001:db8::1]:8080/x", "https://[2001:db8::1]/x"),
        ("POST a.example/nowhere?", "https://a.example/nowhere?"),
        ("HEAD a.example//evil.example/%7ex", "https://a.example/evil.example/~x"),
    ] {
        for answer in ask(&edge, request).await {
            // 308 keeps the method, so that a form is not lost.
            let told = (answer.status, answer.header("location"));
            assert_eq!(told, (308, Some(location)), "{request}");
        }
    }
    let to_port = "GET /x HTTP/1.1\r\nhost: a.example:8080\r\n\r\n";
    let answer = Client::ask(edge.addr2(), to_port).await;
    assert_eq!(answer.header("location"), Some("https://a.example:8443/x"));
    assert!(edge.stop().iter().all(|record| record["status"] == 308));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_there_is_not_answered_in_the_clear() {
    let edge = Edge::start(SITE);
    // Without a host there is nowhere to go.
    let answer = Client::ask(edge.addr(), "GET /route HTTP/1.0\r\n\r\n").await;
    assert_eq!((answer.status, answer.header("location")), (400, None));
    // RFC 9110 §7.1: the target of `OPTIONS *` is the host, without a path.
    let options = "OPTIONS * HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let answer = Client::ask(edge.addr(), options).await;
    assert_eq!((answer.status, answer.header("location")), (308, Some("https://a.example")));
    let climbing = "GET /../x HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), climbing).await.status, 400);
}
