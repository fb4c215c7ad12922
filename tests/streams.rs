//! Answers that go on for long: WebSockets, event streams and long polls.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{SinkExt as _, StreamExt as _};
use http::Request;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use crate::support::client::tls as tls_to;
use crate::support::h2_client::next;
use crate::support::origin::{self, Conn};
use crate::support::response::find;
use crate::support::websocket::{self, WebSocket, echoes, heard};
use crate::support::{Authority, Client, Edge, H2Client, Origin, within};

/// Every time-out but `tunnel` is shorter than the silences of these tests, and
/// longer than a busy machine makes anybody wait. Silences of minutes, and what
/// ends them, are tested on a clock that stands still: `src/server/silence.rs`.
const SITE: &str = "
listeners:
  - address: '127.0.0.1:{port}'
    protocols: [h1, h2c]
    timeouts: { header: 2s, body: 2s, idle: 2s, tunnel: {tunnel} }
upstreams:
  app:
    servers: ['{origin}']
    timeouts: { first_byte: 20s, between_bytes: 2s }
routes: [{ upstream: app, compress: { types: ['text/*'] } }]
";

fn edge(origin: SocketAddr, tunnel: &str) -> Edge {
    Edge::start_with(SITE, &[("origin", &origin), ("tunnel", &tunnel)])
}

/// Silence longer than any time-out that does not apply to streams.
async fn silence() {
    tokio::time::sleep(Duration::from_millis(2500)).await;
}

async fn websocket(edge: &Edge) -> WebSocket {
    websocket::over(TcpStream::connect(edge.addr()).await.unwrap(), "ws://a.example/chat").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_carries_messages_both_ways_and_outlives_silence() {
    let server = Origin::scripted(websocket::echo).await;
    let edge = edge(server.addr, "15m");
    let mut socket = websocket(&edge).await;
    for message in [
        Message::text("hello"),
        Message::binary(vec![7; 1 << 20]),
        Message::text("a".repeat(70_000)),
    ] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(heard(&mut socket).await, message);
    }
    socket.send(Message::Ping("are you there?".into())).await.unwrap();
    assert_eq!(heard(&mut socket).await, Message::Pong("are you there?".into()));

    silence().await;
    echoes(&mut socket, "still here").await;

    let bye = CloseFrame { code: CloseCode::Away, reason: "bye".into() };
    socket.close(Some(bye.clone())).await.unwrap();
    assert_eq!(heard(&mut socket).await, Message::Close(Some(bye)));
    assert!(within("the end", socket.next()).await.is_none());
    drop(socket);
    let records = edge.stop();
    assert_eq!(records.len(), 1);
    assert_eq!((&records[0]["status"], &records[0]["path"]), (&101.into(), &"/chat".into()));
    assert!(records[0]["bytes_out"].as_u64().unwrap() > 1 << 20, "{}", records[0]);
}

/// TLS for clients, and whatever `{words}` ask for to servers.
const SECURE: &str = "
listeners:
  - address: '127.0.0.1:{tls_port}'
    tls: { certificates: [{ cert: '{certs}/a.pem', key: '{certs}/a.key' }] }
upstreams:
  app: { servers: ['{origin}'], {words} }
routes: [{ upstream: app }]
";

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_over_tls_reaches_servers_of_every_protocol() {
    let certs = Authority::new();
    certs.write("a", &["a.example"]);
    let config = |alpn: &[&str]| {
        let mut config = (*certs.server(&["app.internal"])).clone();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        std::sync::Arc::new(config)
    };
    let plain = Origin::scripted(websocket::echo).await;
    let h1 = Origin::scripted_tls(config(&["http/1.1"]), websocket::echo).await;
    // Asked for h2 it would take it, and understand no word of it.
    let both = Origin::scripted_tls(config(&["h2", "http/1.1"]), websocket::echo).await;
    let tls = "tls: { sni: app.internal, ca: '{certs}/ca.pem' }";
    for (server, words) in [
        (&plain, "protocol: h1".to_owned()),
        (&plain, "protocol: h2c".to_owned()),
        (&h1, tls.to_owned()),
        (&both, format!("protocol: h2, {tls}")),
    ] {
        let places: [(&str, &dyn std::fmt::Display); 3] =
            [("words", &words), ("origin", &server.addr), ("certs", &certs.dir().display())];
        let edge = Edge::start_with(SECURE, &places);
        let config = certs.client(&["http/1.1"]);
        let stream = tls_to(edge.tls_addr(), config, "a.example").await.unwrap();
        let mut socket = websocket::over(stream, "wss://a.example/chat").await;
        echoes(&mut socket, &words).await;
        let large = Message::binary(vec![7; 1 << 20]);
        socket.send(large.clone()).await.unwrap();
        assert_eq!(heard(&mut socket).await, large, "{words}");
        socket.close(None).await.unwrap();
        assert!(heard(&mut socket).await.is_close(), "{words}");
        drop(socket);
        assert_eq!(edge.stop()[0]["status"], 101, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_websockets_at_once_do_not_mix() {
    let server = Origin::scripted(websocket::echo).await;
    let edge = edge(server.addr, "15m");
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(websocket(&edge).await);
    }
    for (index, socket) in sockets.iter_mut().enumerate() {
        socket.send(Message::text(index.to_string())).await.unwrap();
    }
    for (index, socket) in sockets.iter_mut().enumerate() {
        assert_eq!(heard(socket).await, Message::text(index.to_string()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_may_leave_a_websocket_unread_for_long() {
    const MUCH: usize = 16 << 20;
    let server = Origin::scripted(|mut conn: Conn| async move {
        conn.head().await;
        conn.send("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n").await;
        conn.send("connection: upgrade\r\n\r\n").await;
        silence().await;
        if conn.take(MUCH).await.is_some() {
            conn.send("all").await;
        }
    })
    .await;
    let edge = edge(server.addr, "15m");
    let mut client = Client::connect(edge.addr()).await;
    let handshake = "GET / HTTP/1.1\r\nhost: a.example\r\nupgrade: websocket\r\n\
                     connection: upgrade\r\nsec-websocket-version: 13\r\n\
                     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    client.send(handshake).await;
    assert_eq!(client.response_head().await.status, 101);
    // More than the buffers on the way hold.
    client.try_send(vec![b'x'; MUCH]).await.ok();
    assert_eq!(client.take_or_closed(3).await.as_deref(), Some(&b"all"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_that_is_silent_for_too_long_ends() {
    let server = Origin::scripted(websocket::echo).await;
    let edge = edge(server.addr, "3s");
    let mut socket = websocket(&edge).await;
    // What moves lives, however long in all.
    let mut tick = tokio::time::interval(Duration::from_millis(500));
    for _ in 0..8 {
        tick.tick().await;
        echoes(&mut socket, "x").await;
    }
    let end = within("the end", socket.next()).await;
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert_eq!(edge.access_log(1)[0]["status"], 101);
}

/// An event stream whose events are sent when the test says so.
async fn events() -> (Origin, mpsc::UnboundedSender<&'static str>) {
    let (send, receive) = mpsc::unbounded_channel::<&str>();
    let receive = std::sync::Arc::new(tokio::sync::Mutex::new(receive));
    let origin = Origin::scripted(move |mut conn: Conn| {
        let receive = receive.clone();
        async move {
            conn.request().await;
            conn.send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n").await;
            conn.send("cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while let Some(event) = receive.lock().await.recv().await {
                let event = format!("data: {event}\n\n");
                conn.send(format!("{:x}\r\n{event}\r\n", event.len())).await;
                if event.contains("last") {
                    conn.send("0\r\n\r\n").await;
                    return;
                }
            }
        }
    })
    .await;
    (origin, send)
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one_over_h1() {
    let (origin, send) = events().await;
    let edge = edge(origin.addr, "15m");
    let mut client = Client::connect(edge.addr()).await;
    client
        .send("GET /events HTTP/1.1\r\nhost: a.example\r\naccept-encoding: gzip, br, zstd\r\n\r\n")
        .await;
    let head = client.response_head().await;
    assert_eq!((head.status, head.header("content-encoding")), (200, None));
    assert_eq!(head.header("content-type"), Some("text/event-stream"));
    for event in ["first", "second", "third"] {
        // Each one is sent only when those before it have arrived.
        send.send(event).unwrap();
        client.read_to(format!("data: {event}\n\n").as_bytes()).await;
    }
    silence().await;
    send.send("last").unwrap();
    client.read_to(b"data: last\n\n").await;
    client.read_to(b"0\r\n\r\n").await;
    let records = edge.stop();
    assert_eq!(records[0]["error"], serde_json::Value::Null, "{}", records[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one_over_h2() {
    let (origin, send) = events().await;
    let edge = edge(origin.addr, "15m");
    let mut client = H2Client::connect(edge.addr()).await;
    let request = Request::get("http://a.example/events")
        .header("accept-encoding", "gzip, br, zstd")
        .body(())
        .unwrap();
    let (answer, _) = client.open(request, true).await;
    let mut answer = within("the head", answer).await.unwrap();
    assert_eq!(answer.headers().get("content-encoding"), None);
    let mut so_far = Vec::new();
    for event in ["first", "second", "third", "last"] {
        if event == "last" {
            silence().await;
        }
        send.send(event).unwrap();
        let expected = format!("data: {event}\n\n");
        while find(&so_far, expected.as_bytes()).is_none() {
            let piece = next(answer.body_mut()).await.unwrap();
            so_far.extend(piece.unwrap_or_else(|| panic!("ended before {event}")));
        }
    }
    while let Some(piece) = next(answer.body_mut()).await.unwrap() {
        assert!(piece.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_that_is_silent_for_too_long_ends() {
    let (origin, send) = events().await;
    let edge = edge(origin.addr, "3s");
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /events HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    send.send("first").unwrap();
    client.read_to(b"data: first\n\n\r\n").await;
    client.expect_closed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_may_wait_for_its_first_byte() {
    let origin = Origin::scripted(|mut conn: Conn| async move {
        while conn.request().await.is_some() {
            silence().await;
            conn.send(origin::ok("news")).await;
        }
    })
    .await;
    let edge = edge(origin.addr, "200ms");
    let get = "GET /poll HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), get).await.text(), "news");
    let post = "POST /poll HTTP/1.1\r\nhost: a.example\r\ncontent-length: 3\r\n\r\nask";
    assert_eq!(Client::ask(edge.addr(), post).await.text(), "news");
    let mut client = H2Client::connect(edge.addr()).await;
    assert_eq!(client.get("http://a.example/poll").await.response.text(), "news");
    assert_eq!(origin.requests(), 3);
}
