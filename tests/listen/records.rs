//! Every request ends in exactly one access record.

use std::collections::BTreeMap;

use http::Request;

use super::edge;
use crate::support::{Client, H2Client, Origin};

/// How many records each path has, by the end.
const EXPECTED: [(&str, u32); 17] = [
    // Three heads without a path: BAD, GET, and CONNECT over h2.
    ("", 3),
    ("/closes", 1),
    ("/garbage", 1),
    ("/good", 1),
    ("/h2_closes", 1),
    ("/h2_good", 1),
    ("/h2_odd", 1),
    ("/h2_reset", 1),
    ("/h2_trace", 1),
    ("/half", 1),
    ("/hangs", 1),
    ("/in_body", 1),
    ("/in_head", 1),
    ("/p1", 1),
    ("/p2", 1),
    ("/slow", 1),
    ("/trace", 1),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_request_ends_in_exactly_one_record() {
    let origin = Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            match request.target() {
                "/closes" | "/h2_closes" => return,
                "/hangs" => return conn.closed().await,
                "/half" => {
                    conn.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await;
                    return;
                }
                "/garbage" => {
                    conn.send("this is not HTTP\r\n\r\n").await;
                    return;
                }
                _ => conn.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await,
            };
        }
    })
    .await;
    let listener = "protocols: [h1, h2c]\n    timeouts: { header: 500ms, body: 500ms }";
    let edge = edge(&origin, listener);
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");

    for path in ["/good", "/closes", "/garbage"] {
        Client::ask(edge.addr(), request(path)).await;
    }
    let mut half = Client::connect(edge.addr()).await;
    half.send(request("/half")).await;
    half.read_to_end().await;
    // The client leaves: before the answer, in the head, in the body.
    let mut leaves = Client::connect(edge.addr()).await;
    leaves.send(request("/hangs")).await;
    let mut in_head = Client::connect(edge.addr()).await;
    in_head.send("GET /in_head HTTP/1.1\r\nhost").await;
    let mut in_body = Client::connect(edge.addr()).await;
    in_body.send("POST /in_body HTTP/1.1\r\nhost: a.example\r\ncontent-length: 9\r\n\r\n1").await;
    origin.await_heads(&["/hangs", "/in_body"]);
    drop((leaves, in_head, in_body));
    // And what never gets that far.
    for refused in
        ["BAD\r\n\r\n", "GET /slow HTTP/1.1\r\n", "TRACE /trace HTTP/1.1\r\nhost: a\r\n\r\n"]
    {
        Client::ask(edge.addr(), refused).await;
    }
    let mut pipelined = Client::connect(edge.addr()).await;
    pipelined.send([request("/p1"), request("/p2"), "GET\r\n\r\n".into()].concat()).await;
    pipelined.read_to_end().await;

    h2_requests(edge.addr(), &origin).await;

    let mut seen = BTreeMap::new();
    for record in edge.stop() {
        *seen.entry(record["path"].as_str().unwrap().to_owned()).or_insert(0) += 1;
    }
    assert_eq!(seen, EXPECTED.map(|(path, count)| (path.to_owned(), count)).into());
}

async fn h2_requests(addr: std::net::SocketAddr, origin: &Origin) {
    let mut client = H2Client::connect(addr).await;
    for path in ["/h2_good", "/h2_closes"] {
        client.get(&format!("http://a.example{path}")).await;
    }
    let trace = Request::builder().method("TRACE").uri("http://a.example/h2_trace");
    client.ask(trace.body(()).unwrap(), "").await.unwrap();
    let request = Request::post("http://a.example/h2_reset").body(()).unwrap();
    let (_answer, mut stream) = client.open(request, false).await;
    origin.await_heads(&["/h2_reset"]);
    stream.send_reset(h2::Reason::CANCEL);
    let odd = Request::get("http://user@a.example/h2_odd").body(()).unwrap();
    assert_eq!(client.ask(odd, "").await.unwrap().response.status, 400);
    let connect = Request::connect("a.example:443").body(()).unwrap();
    assert_eq!(client.ask(connect, "").await.unwrap().response.status, 405);
}
