//! Rates of bytes: of the bodies that servers are sent.

use std::time::{Duration, Instant};

use super::*;
use crate::support::{Origin, origin};

fn site(limit: &str) -> String {
    format!(
        "
listeners: [{{ address: '127.0.0.1:{{port}}' }}]
upstreams: {{ app: {{ servers: ['{{app}}'] }} }}
rate_limits: {{ few: {limit} }}
routes: [{{ upstream: app, rate_limits: [few] }}]
"
    )
}

const HEAD: &str = "POST / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3000\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_rate_is_rejected() {
    let app = Origin::answering(origin::ok("ok")).await;
    let limit = "{ count: body_bytes, rate: 1KiB/h, burst: 1KiB }";
    let edge = Edge::start_with(&site(limit), &[("app", &app.addr)]);
    let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
    client.send(HEAD).await;
    client.send([b'x'; 2000]).await;
    // The piece that goes beyond the allowance passes, and the next one waits for it.
    app.await_heads(&["/"]);
    client.send([b'y'; 1000]).await;
    let refused = client.response().await;
    assert_eq!(refused.status, 429);
    assert!(refused.header("ratelimit").unwrap().starts_with("\"few\";r=0;t="));
    // Requests without a body are no business of this limit.
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    let mut other = Client::connect_from("127.0.0.3", edge.addr()).await;
    other.send(HEAD).await;
    other.send([b'x'; 3000]).await;
    assert_eq!(other.response().await.status, 200, "another client");
    let records = edge.stop();
    assert_eq!((&records[0]["refusal"], &records[0]["rule"]), (&"rate".into(), &"few".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_rate_is_read_no_faster() {
    let app = Origin::answering(origin::ok("ok")).await;
    let limit = "{ count: body_bytes, rate: 4KiB/s, burst: 1KiB, over: delay, wait: 1m }";
    let edge = Edge::start_with(&site(limit), &[("app", &app.addr)]);
    let began = Instant::now();
    for _ in 0..3 {
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        client.send(HEAD).await;
        client.send([b'x'; 3000]).await;
        assert_eq!(client.response().await.status, 200);
    }
    // 9000 bytes less the burst and the last piece, which nobody waits for.
    assert!(began.elapsed() >= Duration::from_millis(1100), "{:?}", began.elapsed());
}
