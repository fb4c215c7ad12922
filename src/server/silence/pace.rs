//! Answers that are sent at a pace: who waits by our will is not silent.

use super::*;

const BURST: usize = 1024;
/// Bytes a second, and what of them leaves at once.
const RATE: usize = 400;
const PIECE: usize = RATE / 8;
/// How long the rest takes: twice as long as any write may.
const SECONDS: usize = 20;
const TOTAL: usize = BURST + SECONDS * RATE;
const PACE: &str = "{ burst: 1KiB, rate: 400B/s }";

fn body() -> Vec<u8> {
    (0..TOTAL).map(|at| b'a' + (at / 7 % 26) as u8).collect()
}

/// A server of that body, which is kept.
async fn serve(mut stream: TcpStream) {
    let head = format!("cache-control: max-age=600\r\ncontent-length: {TOTAL}\r\n\r\n");
    say(&mut stream, &format!("HTTP/1.1 200 OK\r\n{head}")).await;
    stream.write_all(&body()).await.expect("written");
    std::future::pending().await
}

/// What is there by now.
fn at_hand(client: &TcpStream) -> Vec<u8> {
    let mut read = vec![0; 1 << 20];
    let count = client.try_read(&mut read).unwrap_or(0);
    read.truncate(count);
    read
}

/// Lets a second pass in steps in which a piece leaves each.
async fn pass_second() {
    for _ in 0..8 {
        pass(SECOND / 8).await;
    }
}

#[track_caller]
fn check(read: &[u8], seconds: usize) {
    let expected = (BURST + PIECE + seconds * RATE).min(TOTAL);
    assert!(read.len().abs_diff(expected) <= PIECE, "{} after {seconds} s", read.len());
    assert!(body().starts_with(read));
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_as_long_as_its_pace_says_whatever_a_write_may() {
    let mut house = House::with_h1_paced(PACE, serve).await;
    // From the server, and from the cache.
    for _ in 0..2 {
        let (client, head) = house.ask("").await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        turn().await;
        let mut read = at_hand(&client);
        check(&read, 0);
        for second in 1..=SECONDS {
            pass_second().await;
            read.extend(at_hand(&client));
            check(&read, second);
        }
        assert!(read == body());
    }
}

#[tokio::test(start_paused = true)]
async fn each_stream_has_its_pace() {
    let mut house = House::with_h1_paced(PACE, serve).await;
    let mut send = house.h2_client().await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let request = Request::get("http://a.example/").body(()).expect("a request");
        send = soon("room", send.ready()).await.expect("room");
        let (answer, _) = send.send_request(request, true).expect("sent");
        let body = soon("a head", answer).await.expect("a head").into_body();
        streams.push((body, Vec::new()));
    }
    for second in 0..=SECONDS {
        if second > 0 {
            pass_second().await;
        }
        turn().await;
        for (stream, read) in &mut streams {
            while let std::task::Poll::Ready(Some(piece)) =
                futures::poll!(std::pin::pin!(stream.data()))
            {
                read.extend_from_slice(&piece.expect("whole"));
            }
            check(read, second);
        }
    }
    assert!(streams.iter().all(|(_, read)| *read == body()));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_is_not_waited_for_longer() {
    let mut house =
        House::with_h1_paced("{ burst: 1GiB, rate: 1GiB/s }", |mut stream| async move {
            say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await;
            while stream.write_all(&[b'x'; 1 << 16]).await.is_ok() {}
        })
        .await;
    let (mut client, head) = house.ask("").await;
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // Past the write of ten seconds; what was on its way then is all that there is.
    pass(21 * SECOND).await;
    let ends = async {
        let mut taken = vec![0; 1 << 20];
        while client.read(&mut taken).await.is_ok_and(|count| count > 0) {}
    };
    soon("the end", ends).await;
}
