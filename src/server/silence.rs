//! What is silent for long, on a clock that stands still until a test moves it.
//!
//! All of the path of a request is there (`listen`, pingora, the conductor)
//! and sockets are real, yet one runtime runs client, proxy and server, and
//! every deadline, pingora's too, is on its clock.

mod house;
mod pace;
mod rate;

use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, select};
use h2::RecvStream;
use http::Request;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::yield_now;
use tokio::time::{Instant, advance};

use self::house::House;
use super::*;

const MINUTES: Duration = Duration::from_secs(5 * 60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const SECOND: Duration = Duration::from_secs(1);

/// How far the clock moves at once: not past the answer to pingora's pings.
const STEP: Duration = Duration::from_secs(5);
/// Turns in which all that is ready runs; nothing leaves the machine.
const TURNS: usize = 64;
/// Of the true clock, after which nothing will come any more: a busy machine may take its time to
/// bring bytes from one socket to the other.
const PATIENCE: Duration = Duration::from_secs(20);

/// Lets `span` pass, as it would if nothing else happened.
async fn pass(span: Duration) {
    let end = Instant::now() + span;
    turn().await;
    while Instant::now() < end {
        advance(STEP.min(end - Instant::now())).await;
        turn().await;
    }
}

async fn turn() {
    for _ in 0..TURNS {
        yield_now().await;
    }
}

/// Awaits what must come without any time passing.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let before = Instant::now();
    let waited = std::time::Instant::now();
    let never = async {
        while waited.elapsed() < PATIENCE {
            yield_now().await;
        }
    };
    match select(std::pin::pin!(future), std::pin::pin!(never)).await {
        Either::Left((value, _)) => {
            assert_eq!(Instant::now(), before, "the clock moved by itself");
            value
        }
        Either::Right(_) => panic!("{what} does not come"),
    }
}

async fn say(stream: &mut TcpStream, what: &str) {
    stream.write_all(what.as_bytes()).await.expect("written");
}

/// Everything up to the first `mark`, or to the end.
async fn read_to(stream: &mut TcpStream, mark: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    while !all.ends_with(mark) {
        match stream.read_u8().await {
            Ok(byte) => all.push(byte),
            Err(_) => break,
        }
    }
    all
}

async fn hears(stream: &mut TcpStream, what: &str) {
    let heard = soon(what, read_to(stream, what.as_bytes())).await;
    assert_eq!(String::from_utf8_lossy(&heard), what);
}

/// Whether the connection has ended; what still comes is no end.
async fn has_ended(stream: &mut TcpStream) -> bool {
    turn().await;
    let mut said = [0; 100];
    match futures::poll!(std::pin::pin!(stream.read(&mut said))) {
        std::task::Poll::Pending => false,
        std::task::Poll::Ready(Ok(0) | Err(_)) => true,
        std::task::Poll::Ready(Ok(_)) => panic!("it says {}", String::from_utf8_lossy(&said)),
    }
}

/// Lives for the rest of an hour that began with its last word, and no longer.
async fn check_tunnel(client: &mut TcpStream) {
    pass(HOUR - SECOND).await;
    assert!(!has_ended(client).await, "before its hour");
    pass(2 * SECOND).await;
    assert!(has_ended(client).await, "after its hour");
}

const HANDSHAKE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
     sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test(start_paused = true)]
async fn a_websocket_lives_through_minutes_of_silence() {
    let mut house = House::with_h1(|mut stream| async move {
        say(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n").await;
        say(&mut stream, "upgrade: websocket\r\n\r\n").await;
        let (mut read, mut write) = stream.split();
        // It ends with the connection.
        tokio::io::copy(&mut read, &mut write).await.ok();
    })
    .await;
    let (mut client, head) = house.ask(HANDSHAKE).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    for word in ["one", "two", "three"] {
        say(&mut client, word).await;
        hears(&mut client, word).await;
        pass(MINUTES).await;
    }
    say(&mut client, "four").await;
    hears(&mut client, "four").await;
    check_tunnel(&mut client).await;
}

/// A server of events, one every five minutes, three in all.
async fn events(mut stream: TcpStream) {
    say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await;
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        say(&mut stream, event).await;
        tokio::time::sleep(MINUTES).await;
    }
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn events_may_be_minutes_apart() {
    let mut house = House::with_h1(events).await;
    let (mut client, head) = house.ask("").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // Chunked, for the end is not known.
    for event in ["9\r\ndata: 1\n\n\r\n", "9\r\ndata: 2\n\n\r\n", "9\r\ndata: 3\n\n\r\n"] {
        hears(&mut client, event).await;
        pass(MINUTES).await;
    }
    pass(HOUR - MINUTES - SECOND).await;
    assert!(!has_ended(&mut client).await, "before its hour");
    pass(2 * SECOND).await;
    assert!(has_ended(&mut client).await, "after its hour");
}

async fn next(body: &mut RecvStream) -> Option<Result<Bytes, h2::Error>> {
    soon("a piece", body.data()).await
}

async fn is_silent(body: &mut RecvStream) -> bool {
    turn().await;
    futures::poll!(std::pin::pin!(body.data())).is_pending()
}

#[tokio::test(start_paused = true)]
async fn events_may_be_minutes_apart_over_h2() {
    let mut house = House::with_h1(events).await;
    let send = house.h2_client().await;
    let request = Request::get("http://a.example/").body(()).expect("a request");
    let mut send = soon("room", send.ready()).await.expect("room");
    let (answer, _) = send.send_request(request, true).expect("sent");
    let mut body = soon("a head", answer).await.expect("a head").into_body();
    for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
        assert_eq!(next(&mut body).await.expect("an event").expect("whole"), event);
        pass(MINUTES).await;
    }
    pass(HOUR - MINUTES - SECOND).await;
    assert!(is_silent(&mut body).await, "before its hour");
    pass(2 * SECOND).await;
    assert!(next(&mut body).await.expect("an end").is_err(), "after its hour");
}

#[tokio::test(start_paused = true)]
async fn a_call_lives_through_minutes_of_silence() {
    let mut house = House::with_echo_over_h2().await;
    let send = house.h2_client().await;
    let request = Request::post("http://a.example/").header("content-type", "application/grpc");
    let request = request.header("te", "trailers").body(()).expect("a request");
    let mut send = soon("room", send.ready()).await.expect("room");
    let (answer, mut say) = send.send_request(request, false).expect("sent");
    let mut body = soon("a head", answer).await.expect("a head").into_body();
    for word in ["one", "two", "three"] {
        say.send_data(word.into(), false).expect("said");
        assert_eq!(next(&mut body).await.expect("a word").expect("whole"), word);
        pass(MINUTES).await;
    }
    say.send_data("four".into(), false).expect("said");
    assert_eq!(next(&mut body).await.expect("a word").expect("whole"), "four");
    pass(HOUR - SECOND).await;
    assert!(is_silent(&mut body).await, "before its hour");
    pass(2 * SECOND).await;
    assert!(next(&mut body).await.expect("an end").is_err(), "after its hour");
}

#[tokio::test(start_paused = true)]
async fn a_long_poll_waits_as_long_as_its_first_byte_may_take() {
    let mut house = House::with_h1(|mut stream| async move {
        tokio::time::sleep(MINUTES).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nnews").await;
        // The next one comes over the same connection, and is never answered.
        std::future::pending().await
    })
    .await;
    let mut client = house.client().await;
    say(&mut client, "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    pass(MINUTES - SECOND).await;
    assert!(!has_ended(&mut client).await, "before the news");
    pass(2 * SECOND).await;
    let head = soon("a head", read_to(&mut client, b"\r\n\r\n")).await;
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    hears(&mut client, "news").await;

    say(&mut client, "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    pass(2 * MINUTES - SECOND).await;
    assert!(!has_ended(&mut client).await, "before its ten minutes");
    pass(2 * SECOND).await;
    let head = soon("a head", read_to(&mut client, b"\r\n\r\n")).await;
    assert!(head.starts_with(b"HTTP/1.1 504 "), "{}", String::from_utf8_lossy(&head));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_stream_must_not_be_silent() {
    let mut house = House::with_h1(|mut stream| async move {
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
        std::future::pending().await
    })
    .await;
    let (mut client, head) = house.ask("").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    hears(&mut client, "half").await;
    pass(9 * SECOND).await;
    assert!(!has_ended(&mut client).await, "before between_bytes");
    pass(2 * SECOND).await;
    assert!(has_ended(&mut client).await, "after between_bytes");
}

#[tokio::test(start_paused = true)]
async fn a_client_must_not_be_silent_within_its_body() {
    // The client is the one to be waited for.
    let mut house = House::with_h1_at("off", hear).await;
    let mut client = house.client().await;
    let head = "GET / HTTP/1.1\r\nhost: a.example\r\ncontent-length: 100\r\n\r\n";
    say(&mut client, head).await;
    for _ in 0..40 {
        say(&mut client, "x").await;
        pass(9 * SECOND).await;
        assert!(!has_ended(&mut client).await, "it moves, for minutes");
    }
    pass(2 * SECOND).await;
    let head = soon("a head", read_to(&mut client, b"\r\n\r\n")).await;
    assert!(head.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&head));
}

/// A server that answers nothing, whatever comes.
async fn hear(stream: TcpStream) {
    let _open = stream;
    std::future::pending().await
}

/// A server that answers every request at once.
async fn ok(mut stream: TcpStream) {
    loop {
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        if read_to(&mut stream, b"\r\n\r\n").await.is_empty() {
            return;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_closed() {
    let mut house = House::with_h1(ok).await;
    let (mut client, _) = house.ask("").await;
    hears(&mut client, "ok").await;
    pass(9 * SECOND).await;
    assert!(!has_ended(&mut client).await, "before idle");
    pass(2 * SECOND).await;
    assert!(has_ended(&mut client).await, "after idle");
}

#[tokio::test(start_paused = true)]
async fn before_the_end_an_idle_connection_has_a_last_chance() {
    let mut house = House::with_h1(ok).await;
    let (mut silent, _) = house.ask("").await;
    hears(&mut silent, "ok").await;
    let (mut kept, head) = house.ask("").await;
    hears(&mut kept, "ok").await;
    assert!(!head.to_ascii_lowercase().contains("connection: close"), "{head}");

    house.closing.send_replace(true);
    pass(Duration::from_millis(400)).await;
    assert!(!has_ended(&mut silent).await, "at once");
    say(&mut kept, "GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    let head = soon("a head", read_to(&mut kept, b"\r\n\r\n")).await;
    let head = String::from_utf8(head).expect("text").to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 200 ") && head.contains("connection: close"), "{head}");
    hears(&mut kept, "ok").await;
    assert!(has_ended(&mut kept).await, "it was told so");
    pass(Duration::from_millis(200)).await;
    assert!(has_ended(&mut silent).await, "after its last chance");
}
