//! Clients that move, but too slowly.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// What is asked of clients: 200 B/s, over any stretch longer than this.
const GRACE: Duration = Duration::from_secs(10);

/// A server that reads whatever comes, and answers nothing.
async fn swallow(mut stream: TcpStream) {
    // It ends with the connection.
    tokio::io::copy(&mut stream, &mut tokio::io::sink()).await.ok();
}

const POST: &str = "POST / HTTP/1.1\r\nhost: a.example\r\n";

/// Sends `piece` every 5 s, as a body of 100,000 bytes or in chunks; how long
/// the client was borne, and what it was told then.
async fn upload(head: &str, piece: &str) -> (Duration, String) {
    upload_at("200B/s", head, piece).await
}

/// The same, where clients must move bytes at this rate.
async fn upload_at(rate: &str, head: &str, piece: &str) -> (Duration, String) {
    let mut house = House::with_h1_at(rate, swallow).await;
    let mut client = house.client().await;
    say(&mut client, &format!("{POST}{head}\r\n\r\n")).await;
    let began = Instant::now();
    while began.elapsed() < MINUTES {
        say(&mut client, piece).await;
        pass(5 * SECOND).await;
        if !is_quiet(&client) {
            let told = soon("a head", read_to(&mut client, b"\r\n\r\n")).await;
            return (began.elapsed(), String::from_utf8(told).expect("text"));
        }
    }
    (began.elapsed(), String::new())
}

/// Whether the client has been told nothing.
fn is_quiet(client: &TcpStream) -> bool {
    let mut space = [0; 1];
    let peeked = std::pin::pin!(client.peek(&mut space));
    futures::FutureExt::now_or_never(peeked).is_none()
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_is_408() {
    for (head, piece) in
        [("content-length: 100000", "x"), ("transfer-encoding: chunked", "1\r\nx\r\n")]
    {
        let (borne, told) = upload(head, piece).await;
        assert!(told.starts_with("HTTP/1.1 408 "), "{head}: {told:?} after {borne:?}");
        assert!(told.to_ascii_lowercase().contains("connection: close"), "{told}");
        assert!(borne >= GRACE && borne <= GRACE + 10 * SECOND, "{borne:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_as_fast_as_asked_is_borne_for_minutes() {
    let (borne, told) = upload("content-length: 100000", &"x".repeat(1000)).await;
    assert_eq!((borne, told.as_str()), (MINUTES, ""));
}

#[tokio::test(start_paused = true)]
async fn how_fast_a_body_must_come_is_what_the_listener_says() {
    for (rate, bytes, is_borne) in
        [("off", 1, true), ("300B/s", 1000, false), ("100B/s", 1000, true), ("100B/s", 250, false)]
    {
        let piece = "x".repeat(bytes);
        let (borne, told) = upload_at(rate, "content-length: 100000", &piece).await;
        assert_eq!(told.is_empty(), is_borne, "{rate}: {told:?} after {borne:?}");
        assert!(is_borne || told.starts_with("HTTP/1.1 408 "), "{told}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_its_answer_is_not_slow() {
    let mut house = House::with_h1(swallow).await;
    let mut client = house.client().await;
    say(&mut client, &format!("{POST}content-length: 4\r\n\r\nbody")).await;
    pass(MINUTES).await;
    assert!(is_quiet(&client));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_drips_over_h2_is_408() {
    let mut house = House::with_h1(swallow).await;
    let send = house.h2_client().await;
    let mut send = soon("room", send.ready()).await.expect("room");
    let request = Request::post("http://a.example/").body(()).expect("a request");
    let (answer, mut body) = send.send_request(request, false).expect("sent");
    let mut answer = std::pin::pin!(answer);
    let began = Instant::now();
    while began.elapsed() < MINUTES {
        body.send_data("x".into(), false).expect("sent");
        pass(5 * SECOND).await;
        if let std::task::Poll::Ready(told) = futures::poll!(answer.as_mut()) {
            assert_eq!(told.expect("an answer").status(), 408);
            break;
        }
    }
    let borne = began.elapsed();
    assert!(borne >= GRACE && borne <= GRACE + 10 * SECOND, "{borne:?}");
}

/// A frame of stream 1 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    let stream = if kind == SETTINGS { 0 } else { 1 };
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_HEADERS: u8 = 4;

#[tokio::test(start_paused = true)]
async fn a_body_that_comes_as_fast_as_asked_over_h2_is_borne_for_minutes() {
    let come = Arc::<AtomicUsize>::default();
    let counted = come.clone();
    let mut house = House::with_h1(move |mut stream| {
        let come = counted.clone();
        async move {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut piece).await {
                come.fetch_add(read, Ordering::Relaxed);
            }
        }
    })
    .await;
    let mut client = house.client().await;
    say(&mut client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    // POST, http, /, and the authority as a literal (RFC 7541 appendix A).
    let head = [&[0x83, 0x86, 0x84, 0x01, 9][..], b"a.example"].concat();
    let begun = [frame(SETTINGS, 0, &[]), frame(HEADERS, END_HEADERS, &head)].concat();
    client.write_all(&begun).await.expect("written");
    let began = Instant::now();
    for pieces in 1.. {
        client.write_all(&frame(DATA, 0, &[b'x'; 1000])).await.expect("written");
        let arrived = async {
            while come.load(Ordering::Relaxed) <= 1000 * pieces {
                yield_now().await;
            }
        };
        soon("a piece at the server", arrived).await;
        if began.elapsed() >= MINUTES {
            break;
        }
        pass(5 * SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_is_not_waited_for_to_send() {
    // Much beside the buffers of the kernel, which tells of nothing less.
    const PIECE: usize = 4 << 20;
    let mut house = House::with_h1(|mut stream| async move {
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
        // Until the test ends.
        while stream.write_all(&[b'x'; 65536]).await.is_ok() {}
    })
    .await;
    let mut client = house.client().await;
    say(&mut client, &format!("{POST}content-length: 100000\r\n\r\nx")).await;
    let head = soon("a head", read_to(&mut client, b"\r\n\r\n")).await;
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    let (began, mut piece) = (Instant::now(), vec![0; PIECE]);
    while began.elapsed() < MINUTES {
        let read = soon("a piece", client.read_exact(&mut piece)).await;
        read.unwrap_or_else(|error| panic!("{error} after {:?}", began.elapsed()));
        pass(5 * SECOND).await;
    }
}

/// Reads an answer over h2, `window` bytes every 5 s; how long that is borne.
async fn download_over_h2(window: usize) -> Duration {
    let mut house = House::with_h1(|mut stream| async move {
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n").await;
        say(&mut stream, &"x".repeat(100_000)).await;
        std::future::pending().await
    })
    .await;
    let mut options = h2::client::Builder::new();
    options.initial_window_size(u32::try_from(window).expect("small"));
    let send = house.h2_client_of(options).await;
    let request = Request::get("http://a.example/").body(()).expect("a request");
    let mut send = soon("room", send.ready()).await.expect("room");
    let (answer, _) = send.send_request(request, true).expect("sent");
    let mut body = soon("a head", answer).await.expect("a head").into_body();
    let began = Instant::now();
    while began.elapsed() < MINUTES {
        let mut read = 0;
        while read < window {
            let Ok(piece) = next(&mut body).await.expect("no end") else {
                return began.elapsed();
            };
            read += piece.len();
        }
        pass(5 * SECOND).await;
        body.flow_control().release_capacity(read).expect("held");
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_read_in_drips_over_h2_is_broken_off() {
    let borne = download_over_h2(10).await;
    assert!(borne >= GRACE && borne <= GRACE + 10 * SECOND, "{borne:?}");
    assert_eq!(download_over_h2(1000).await, MINUTES);
}
