//! WebSockets: a client, and what a server that says everything again does.

use futures::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use super::client::Io;
use super::origin::Conn;
use super::within;

/// An end of a WebSocket, on whatever carries it.
pub(crate) type WebSocket = WebSocketStream<Box<dyn Io>>;

/// Speaks first, and then says every message again; for [`Origin::scripted`].
///
/// [`Origin::scripted`]: super::Origin::scripted
pub(crate) async fn echo(conn: Conn) {
    let mut socket = accept_async(conn.into_stream()).await.unwrap();
    socket.send(Message::text("welcome")).await.unwrap();
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() || message.is_binary() {
            socket.send(message).await.unwrap();
        }
    }
}

/// The client's end of a WebSocket to [`echo`], which has welcomed it.
pub(crate) async fn over(stream: impl Io + 'static, url: &str) -> WebSocket {
    shake_hands(stream, url.into_client_request().unwrap()).await
}

/// The same, with this Authorization.
pub(crate) async fn signed_in(stream: impl Io + 'static, url: &str, given: &str) -> WebSocket {
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("authorization", given.parse().unwrap());
    shake_hands(stream, request).await
}

async fn shake_hands(stream: impl Io + 'static, request: Request) -> WebSocket {
    let stream: Box<dyn Io> = Box::new(stream);
    let (mut socket, answer) = within("a handshake", client_async(request, stream)).await.unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(heard(&mut socket).await, Message::text("welcome"));
    socket
}

/// The next message.
pub(crate) async fn heard(socket: &mut WebSocket) -> Message {
    within("a message", socket.next()).await.unwrap().unwrap()
}

/// Says something, and hears it again.
pub(crate) async fn echoes(socket: &mut WebSocket, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    assert_eq!(heard(socket).await, Message::text(text));
}
