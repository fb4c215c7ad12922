//! What is never held.

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::mpsc;

use super::*;
use crate::support::h2_client::{next, whole};
use crate::support::websocket::{self, echoes};
use crate::support::{H2Origin, within};

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_call_pass_while_it_goes_on() {
    let (told, mut tells) = mpsc::unbounded_channel();
    let origin = H2Origin::scripted(move |mut call| {
        let told = told.clone();
        async move {
            while let Ok(Some(piece)) = next(call.request.body_mut()).await {
                told.send(piece).unwrap();
            }
            call.answer("done");
        }
    })
    .await;
    let app = format!("{{ servers: ['{}'], protocol: h2c }}", origin.addr);
    let edge = start(&[("app", &app)]);
    let mut client = H2Client::connect(edge.addr()).await;
    let request = Request::post("http://a.example/x").header("content-type", "application/grpc");
    let (answer, mut body) = client.open(request.body(()).unwrap(), false).await;
    for (said, is_last) in [("one attack", false), ("two", true)] {
        body.send_data(Bytes::from(said), is_last).unwrap();
        assert_eq!(within("a message", tells.recv()).await.unwrap(), said);
    }
    assert_eq!(whole(answer).await.unwrap().response.text(), "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_only_says_that_it_is_a_call_is_judged() {
    let origin = mirror().await;
    let edge = before(&origin, "{}");
    let fields = "host: a\r\ncontent-type: application/grpc\r\ncontent-length: 6";
    let request = format!("POST / HTTP/1.1\r\n{fields}\r\n\r\nattack");
    let answer = Client::ask(edge.addr(), request).await;
    // Nor is it refused as calls are: those take HTTP/2.
    assert_eq!((answer.status, answer.header("grpc-status")), (403, None));
    assert_eq!(origin.connections(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_a_tunnel_is_no_body() {
    let origin = Origin::scripted(websocket::echo).await;
    let edge = before(&origin, "{}");
    let stream = TcpStream::connect(edge.addr()).await.unwrap();
    let mut socket = websocket::over(stream, "ws://a.example/chat").await;
    echoes(&mut socket, "attack").await;
    let refused = "GET /attack HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                   sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), refused).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_stream_is_not_held() {
    let origin = Origin::scripted(|mut conn: Conn| async move {
        conn.head().await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        conn.send(format!("{head}data: one\n\n")).await;
        conn.closed().await;
    })
    .await;
    let edge = before(&origin, "{}");
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /events HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert_eq!(client.response_head().await.status, 200);
    client.read_to(b"data: one\n\n").await;
}
