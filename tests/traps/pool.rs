//! Connections to servers are kept for those that would have made the same.

use std::sync::Arc;

use futures::future::join_all;
use tokio::net::TcpListener;
use tokio::sync::Barrier;

use super::GET;
use crate::support::origin::ok;
use crate::support::{Authority, Client, Edge, Origin, within};

const SITE: &str = "
server: { threads: 1 }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams:
  a: { servers: ['{origin}'], tls: { sni: a.example, ca: '{certs}/ca.pem' } }
  b: { servers: ['{origin}'], tls: { sni: b.example, ca: '{certs}/ca.pem' } }
  unverified: { servers: ['{origin}'], tls: { sni: a.example, verify: false } }
  other_ca: { servers: ['{origin}'], tls: { sni: a.example, ca: '{others}/ca.pem' } }
  other_name: { servers: ['{origin}'], tls: { sni: c.example, ca: '{certs}/ca.pem' } }
  with_cert:
    servers: ['{origin}']
    tls:
      sni: a.example
      ca: '{certs}/ca.pem'
      cert: '{certs}/me.pem'
      key: '{certs}/me.key'
routes:
  - { match: { path: /a }, upstream: a }
  - { match: { path: /b }, upstream: b }
  - { match: { path: /unverified }, upstream: unverified }
  - { match: { path: /other_ca }, upstream: other_ca }
  - { match: { path: /other_name }, upstream: other_name }
  - { match: { path: /with_cert }, upstream: with_cert }
";

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_with_other_tls_settings_never_share_a_connection() {
    let (certs, others) = (Authority::new(), Authority::new());
    certs.write("me", &["me.example"]);
    let server = certs.server(&["a.example", "b.example"]);
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let origin = Origin::scripted_tls(server, move |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(answer).await;
        }
    })
    .await;
    let places: [(&str, &dyn std::fmt::Display); 3] = [
        ("origin", &origin.addr),
        ("certs", &certs.dir().display()),
        ("others", &others.dir().display()),
    ];
    let edge = Edge::start_with(SITE, &places);

    // The connection that nobody verified is there first.
    let good = ["/unverified", "/a", "/b", "/with_cert"];
    for _ in 0..3 {
        for path in good {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x.example\r\n\r\n");
            assert_eq!(Client::ask(edge.addr(), request).await.status, 200, "{path}");
        }
        for path in ["/other_ca", "/other_name"] {
            let request = format!("GET {path} HTTP/1.1\r\nhost: x.example\r\n\r\n");
            assert_eq!(Client::ask(edge.addr(), request).await.status, 502, "{path}");
        }
    }
    let used: Vec<String> = origin
        .received()
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .filter(|text| !text.is_empty())
        .collect();
    // One connection each, and each used for its own upstream alone.
    assert_eq!(used.len(), good.len(), "{used:?}");
    for (text, path) in used.iter().zip(good) {
        assert_eq!(text.matches(&format!("GET {path} HTTP/1.1")).count(), 3, "{text}");
        assert_eq!(text.matches("GET ").count(), 3, "{text}");
    }
}

/// One worker, whose pool every request finds.
const ONE_POOL: &str = "
server: { threads: 1 }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams:
  app:
    servers: ['{origin}']
    retries: { attempts: 1 }
    outlier: ~
    {upstream}
routes: [{ upstream: app }]
";

/// Speaks HTTP/2; its first connection answers once and then is dead: it stays
/// open, and nobody reads it.
async fn dying(listener: TcpListener) {
    let mut connections = tokio::task::JoinSet::new();
    for index in 0.. {
        let (stream, _) = listener.accept().await.unwrap();
        connections.spawn(async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut answered = 0;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if index == 0 && answered == 1 {
                    return std::future::pending().await;
                }
                respond.send_response(http::Response::new(()), true).unwrap();
                answered += 1;
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2_connection_that_is_dead_is_left() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(dying(listener));
    let upstream = "protocol: h2c\n    timeouts: { first_byte: 200ms }";
    let edge = Edge::start_with(ONE_POOL, &[("origin", &addr), ("upstream", &upstream)]);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 200);
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 504);
    within("another connection", async {
        while Client::ask(edge.addr(), GET).await.status != 200 {}
    })
    .await;
    assert_eq!(Client::ask(edge.addr(), GET).await.status, 200);
    server.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_at_the_same_path_wants_another_connection() {
    let (certs, others) = (Authority::new(), Authority::new());
    let origin = Origin::scripted_tls(certs.server(&["a.example"]), |mut conn| async move {
        while conn.request().await.is_some() {
            conn.send(ok("ok")).await;
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ca.pem");
    let trust = |authority: &Authority| std::fs::copy(authority.ca(), &path).unwrap();
    trust(&certs);
    let upstream = format!("tls: {{ sni: a.example, ca: '{}' }}", path.display());
    let edge = Edge::start_with(ONE_POOL, &[("origin", &origin.addr), ("upstream", &upstream)]);
    for (authority, expected) in [(&certs, 200), (&others, 502), (&certs, 200)] {
        trust(authority);
        assert_eq!(edge.admin_post("/api/reload").status, 200);
        assert_eq!(Client::ask(edge.addr(), GET).await.status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_requests_at_once_than_may_be_idle_use_connections_again() {
    const CLIENTS: usize = 200;
    const ROUNDS: usize = 5;
    // Answers only when all requests of a round are there.
    let round = Arc::new(Barrier::new(CLIENTS));
    let origin = Origin::scripted(move |mut conn| {
        let round = round.clone();
        async move {
            while conn.request().await.is_some() {
                round.wait().await;
                conn.send(ok("ok")).await;
            }
        }
    })
    .await;
    let upstream = "connections: { idle: 128 }";
    let edge = Edge::start_with(ONE_POOL, &[("origin", &origin.addr), ("upstream", &upstream)]);
    let client = async || {
        let mut client = Client::connect(edge.addr()).await;
        for _ in 0..ROUNDS {
            client.send(GET).await;
            assert_eq!(client.response().await.status, 200);
        }
    };
    join_all((0..CLIENTS).map(|_| client())).await;
    assert_eq!(origin.requests(), CLIENTS * ROUNDS);
    // Even if each round came so late that what is over the bound is closed.
    let opened = origin.connections();
    assert!(opened < CLIENTS * ROUNDS / 2, "{opened} connections");
}
