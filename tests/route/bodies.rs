//! The largest body of a request is a matter of its route.

use http::Request;

use crate::support::h2_client::whole;
use crate::support::{Client, Edge, H2Client, Origin};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c], limits: { body: 8 } }]
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - { name: small, match: { path: /small }, upstream: app, limits: { body: 4 } }
  - { name: large, match: { path: /large }, upstream: app, limits: { body: 16 } }
  - { name: usual, match: { path: /usual }, upstream: app }
  - { name: fixed, match: { path: /fixed }, respond: { body: fixed }, limits: { body: 4 } }
";

/// What a body of so many bytes is answered: announced and not, over h1 and h2.
async fn statuses(edge: &Edge, path: &str, length: usize) -> [u16; 4] {
    let head = format!("POST {path} HTTP/1.1\r\nhost: a.example\r\n");
    let body = "x".repeat(length);
    let announced = format!("{head}content-length: {length}\r\n\r\n{body}");
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n");
    let chunked = format!("{chunked}{length:x}\r\n{body}\r\n0\r\n\r\n");
    let request = || Request::post(format!("http://a.example{path}"));
    let long = request().header("content-length", length).body(()).unwrap();
    [
        Client::ask(edge.addr(), announced).await.status,
        Client::ask(edge.addr(), chunked).await.status,
        status_over_h2(edge, long, &body).await,
        status_over_h2(edge, request().body(()).unwrap(), &body).await,
    ]
}

async fn status_over_h2(edge: &Edge, request: Request<()>, body: &str) -> u16 {
    let mut client = H2Client::connect(edge.addr()).await;
    let (answer, mut stream) = client.open(request, false).await;
    // The answer may be here before anything is sent.
    stream.send_data(body.to_owned().into(), true).ok();
    whole(answer).await.unwrap().response.status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_may_take_less_or_more_than_its_listener() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    for (path, limit) in [("/small", 4), ("/usual", 8), ("/large", 16)] {
        assert_eq!(statuses(&edge, path, limit).await, [200; 4], "{path}");
        assert_eq!(statuses(&edge, path, limit + 1).await, [413; 4], "{path}");
    }
    assert_eq!(origin.requests(), 12, "no server saw the whole of another one");
    let mut refused = Vec::new();
    for record in edge.stop().into_iter().filter(|record| record["status"] == 413) {
        assert_eq!(record["refusal"], "body_too_large", "{record}");
        refused.push(record["route"].as_str().unwrap().to_owned());
    }
    refused.sort_unstable();
    assert_eq!(refused, [["large"; 4], ["small"; 4], ["usual"; 4]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_announced_too_large_reaches_no_server_and_no_answer() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let post = |path: &str, length: u32| {
        format!("POST {path} HTTP/1.1\r\nhost: a.example\r\ncontent-length: {length}\r\n\r\n")
    };
    // The answer does not wait for the body, which never comes.
    assert_eq!(Client::ask(edge.addr(), post("/small", 5)).await.status, 413);
    assert_eq!(origin.connections(), 0);
    assert_eq!(Client::ask(edge.addr(), post("/fixed", 5)).await.status, 413);
    assert_eq!(Client::ask(edge.addr(), post("/fixed", 4) + "four").await.text(), "fixed");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_server_is_asked_nobody_waits_for_a_body_that_is_not_announced() {
    let origin = Origin::ok().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    // The bound is 4, yet no byte of it is of use to anybody.
    let mut client = Client::connect(edge.addr()).await;
    let head = "POST /fixed HTTP/1.1\r\nhost: a.example\r\ntransfer-encoding: chunked\r\n\r\n";
    client.send(format!("{head}6\r\nlarger\r\n")).await;
    assert_eq!(client.response().await.text(), "fixed");
    // What follows without an end is the end of the connection, not of our memory.
    client.expect_closed().await;
    let mut h2 = H2Client::connect(edge.addr()).await;
    let (answer, _stream) =
        h2.open(Request::post("http://a.example/fixed").body(()).unwrap(), false).await;
    assert_eq!(whole(answer).await.unwrap().response.status, 200);
    assert!(edge.stop().iter().all(|record| record["status"] == 200));
}
