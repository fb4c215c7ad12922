//! An `Upgrade` field opens no way around the rooms.

use crate::support::origin::ok;
use crate::support::{Client, Edge, Origin};

const SITE: &str = "
server: { threads: 1 }
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - match: { path_prefix: /app }
    upstream: app
    limits: { body: 4 }
  - match: { path: /forbidden }
    respond: { status: 403, body: 'no' }
  - match: { path: /old }
    redirect: { to: /app }
";

const HANDSHAKE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const VOID: &str = "connection: upgrade\r\nupgrade: h2c\r\n";
const BARE: &str = "upgrade: websocket\r\n";

fn edge(origin: &Origin) -> Edge {
    Edge::start_with(SITE, &[("origin", &origin.addr)])
}

fn request(line: &str, fields: &str) -> String {
    format!("{line} HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_room_judges_a_request_with_upgrade() {
    let origin = Origin::ok().await;
    let edge = edge(&origin);
    for fields in [HANDSHAKE, VOID, BARE] {
        for (line, status) in [
            ("GET /forbidden", 403),
            ("GET /old", 308),
            ("GET /nowhere", 404),
            ("GET /app/../../x", 400),
            ("GET /app/%2e%2e/forbidden", 400),
        ] {
            let answer = Client::ask(edge.addr(), request(line, fields)).await;
            assert_eq!(answer.status, status, "{line} {fields}");
        }
        let too_large = request("POST /app", &format!("{fields}content-length: 5\r\n"));
        let answer = Client::ask(edge.addr(), too_large + "abcde").await;
        assert!(matches!(answer.status, 400 | 413), "{fields}: {}", answer.status);
        let chunked = request("POST /app", &format!("{fields}transfer-encoding: chunked\r\n"));
        let answer = Client::ask(edge.addr(), chunked + "5\r\nabcde\r\n0\r\n\r\n").await;
        assert!(matches!(answer.status, 400 | 413), "{fields}: {}", answer.status);
    }
    assert_eq!(origin.requests(), 0, "{}", origin.received_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_that_means_nothing_is_not_passed_on() {
    let origin = Origin::ok().await;
    let edge = edge(&origin);
    for fields in [VOID, BARE] {
        let mut client = Client::connect(edge.addr()).await;
        client.send(request("GET /app", fields)).await;
        assert_eq!(client.response().await.status, 200);
        // The connection goes on as one of HTTP, through all rooms.
        client.send(request("GET /forbidden", "")).await;
        assert_eq!(client.response().await.status, 403);
    }
    let post = request("POST /app", &format!("{VOID}content-length: 3\r\n")) + "abc";
    assert_eq!(Client::ask(edge.addr(), post).await.status, 200);
    let sent = origin.received_text().to_lowercase();
    assert!(!sent.contains("\r\nupgrade:"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_handshake_leaves_no_tunnel() {
    let origin = Origin::answering(ok("no websocket here")).await;
    let edge = edge(&origin);
    let forbidden = request("GET /forbidden", "");

    // What follows a handshake reaches the server as a tunnel or not at all.
    let mut after = Client::connect(edge.addr()).await;
    after.send(request("GET /app/ws", HANDSHAKE)).await;
    assert_eq!(after.response().await.text(), "no websocket here");
    after.try_send(&forbidden).await.ok();
    if let Some(answer) = after.response_or_closed().await {
        assert_eq!(answer.status, 403);
    }
    let mut at_once = Client::connect(edge.addr()).await;
    at_once.send(request("GET /app/ws", HANDSHAKE) + &forbidden).await;
    assert_eq!(at_once.response().await.text(), "no websocket here");
    if let Some(answer) = at_once.response_or_closed().await {
        assert_eq!(answer.status, 403);
    }
    // The server's connection is clean for whoever comes next.
    let next = Client::ask(edge.addr(), request("GET /app/next", "")).await;
    assert_eq!(next.text(), "no websocket here");
    assert!(!origin.received_text().contains("/forbidden"), "{}", origin.received_text());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_accepted_handshake_is_a_tunnel() {
    let origin = Origin::scripted(|mut conn| async move {
        conn.head().await;
        let accept = "connection: upgrade\r\nupgrade: websocket\r\n\
                      sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";
        conn.send(format!("HTTP/1.1 101 Switching Protocols\r\n{accept}\r\n")).await;
        while let Some(some) = conn.some().await {
            conn.send(some).await;
        }
    })
    .await;
    let edge = edge(&origin);
    let mut client = Client::connect(edge.addr()).await;
    client.send(request("GET /app/ws", HANDSHAKE)).await;
    let answer = client.response_head().await;
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
    for bytes in ["GET /forbidden HTTP/1.1\r\n\r\n", "\0\u{1}", "more than four bytes"] {
        client.send(bytes).await;
        assert_eq!(client.take(bytes.len()).await, bytes.as_bytes());
    }
    drop(client);
    let records = edge.stop();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["status"], &records[0]["path"]), (&101.into(), &"/app/ws".into()));
}
