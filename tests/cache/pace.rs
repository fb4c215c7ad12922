//! How fast answers are sent: so much at once, and the rest at a rate.

use std::time::{Duration, Instant};

use futures::FutureExt as _;
use h2::RecvStream;

use super::*;
use crate::support::h2_client::next;

const BURST: usize = 32 << 10;
const TOTAL: usize = 300 << 10;

fn body() -> String {
    (0..TOTAL).map(|at| char::from(b'a' + (at / 7 % 26) as u8)).collect()
}

/// A server of that body, which `/pass` is not kept of, and of a short one at `/marker`.
async fn serve() -> Origin {
    serving(|request| match request.target() {
        "/marker" => ok("cache-control: no-store", "m"),
        "/pass" => ok("cache-control: no-store", &body()),
        _ => match request.header("range").and_then(|range| range.strip_prefix("bytes=")) {
            None => ok("cache-control: max-age=60\netag: \"a\"", &body()),
            Some(range) => {
                let (first, last) = range.split_once('-').unwrap();
                let first: usize = first.parse().unwrap();
                let last = last.parse::<usize>().unwrap().min(TOTAL - 1);
                let said = format!("content-range: bytes {first}-{last}/{TOTAL}");
                let fields = format!("cache-control: max-age=60\netag: \"a\"\n{said}");
                let part: String = body().drain(first..=last).collect();
                answer("206 Partial Content", &fields, &part, part.len())
            }
        },
    })
    .await
}

/// An answer that comes, over either protocol.
enum Coming {
    H1(Client),
    H2 { _client: Box<H2Client>, body: RecvStream },
}

impl Coming {
    async fn ask(edge: &Edge, over: Over, path: &str, range: &str) -> Coming {
        match over {
            Over::H1 => {
                let mut client = Client::connect(edge.addr()).await;
                let range = format!("range: bytes={range}\r\n");
                let range = if range.ends_with("=\r\n") { "" } else { &range };
                client.send(format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n{range}\r\n")).await;
                assert!(client.response_head().await.status < 300);
                Coming::H1(client)
            }
            Over::H2 => {
                let mut client = H2Client::connect(edge.addr()).await;
                let mut request = HttpRequest::get(format!("http://a.example{path}"));
                if !range.is_empty() {
                    request = request.header("range", format!("bytes={range}"));
                }
                let (answer, _) = client.open(request.body(()).unwrap(), true).await;
                let answer = crate::support::within("a head", answer).await.unwrap();
                assert!(answer.status().as_u16() < 300);
                Coming::H2 { _client: Box::new(client), body: answer.into_body() }
            }
        }
    }

    /// At least so many bytes, as soon as they are there.
    async fn take(&mut self, count: usize) -> Vec<u8> {
        match self {
            Coming::H1(client) => client.take(count).await,
            Coming::H2 { body, .. } => {
                let mut read = Vec::new();
                while read.len() < count {
                    read.extend_from_slice(&next(body).await.unwrap().expect("more"));
                }
                read
            }
        }
    }

    /// What more is there by now.
    fn at_hand(&mut self) -> usize {
        match self {
            Coming::H1(client) => client.at_hand(),
            Coming::H2 { body, .. } => {
                let mut count = 0;
                while let Some(Some(Ok(piece))) = body.data().now_or_never() {
                    count += piece.len();
                }
                count
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_burst_comes_at_once_and_the_rest_does_not() {
    let origin = serve().await;
    let edge = start("slice: 256KiB, pace: { burst: 32KiB, rate: 1B/s }", &origin);
    let free = start("slice: 256KiB, pace: { burst: 32KiB }", &origin);
    for over in BOTH {
        let kept = path(over);
        let parts = format!("{kept}-parts");
        // Not kept, sent while it comes, from the cache, and in slices.
        for (path, range) in
            [("/pass", ""), (&*kept, ""), (&*kept, ""), (&*kept, "1-"), (&*parts, "0-")]
        {
            let mut coming = Coming::ask(&edge, over, path, range).await;
            let begun = coming.take(BURST).await;
            let skipped = usize::from(range == "1-");
            assert!(body().as_bytes()[skipped..].starts_with(&begun), "{over:?} {path}");
            // A whole answer later, not much more is there: it would take days.
            assert_eq!(get(&edge, over, "/marker", "").await.text(), "m");
            let more = begun.len() - BURST + coming.at_hand();
            assert!(more < 1000, "{over:?} {path} {range}: {more}");
            // Without the key, all of it is.
            let mut coming = Coming::ask(&free, over, path, range).await;
            coming.take(TOTAL - skipped).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paced_is_whole_and_takes_its_time() {
    let origin = serve().await;
    let edge = start("pace: { burst: 32KiB, rate: 1MiB/s }", &origin);
    for over in BOTH {
        for _ in 0..2 {
            let began = Instant::now();
            let answer = get(&edge, over, &path(over), "").await;
            assert!(answer.body == body().as_bytes(), "{over:?}");
            // All but the burst, and the piece behind it.
            let least = (TOTAL - BURST - (1 << 17)) as u64 * 1000 / (1 << 20);
            assert!(began.elapsed() >= Duration::from_millis(least), "{:?}", began.elapsed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_is_not_waited_for() {
    let origin = serve().await;
    let edge = start("pace: { burst: 32KiB, rate: 16B/s }", &origin);
    for over in BOTH {
        // From the cache: the answer would take hours.
        for _ in 0..2 {
            let mut coming = Coming::ask(&edge, over, &path(over), "").await;
            coming.take(BURST).await;
        }
    }
    assert_eq!(edge.access_log(4).len(), 4);
}
