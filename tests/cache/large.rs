//! Large files that are asked for whole.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::*;
use crate::support::h2_client::next;
use crate::support::within;

const SLICE: usize = 256 << 10;
/// More than is fetched on for nobody.
const TOTAL: usize = 20 * SLICE + 1000;
const PROFILE: &str = "slice: 256KiB";
const FRESH: &str = "accept-ranges: bytes\ncache-control: max-age=60\netag: \"a\"";

/// A file of which each byte tells where it is.
fn file() -> Arc<[u8]> {
    (0..TOTAL).map(|at| (at / 7) as u8 ^ (at >> 8) as u8).collect()
}

/// A server of one file; it notes what it was asked for. Where it is told to, it pauses in the
/// middle of what it sends whole.
struct Films {
    origin: Origin,
    ranges: Arc<Mutex<Vec<String>>>,
    go: Arc<Notify>,
}

impl Films {
    /// `fields` are those of every answer, one a line; after `pause` bytes a whole one waits.
    async fn new(fields: &'static str, pause: usize) -> Films {
        let (ranges, go) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(Notify::new()));
        let (noted, goes) = (ranges.clone(), go.clone());
        let origin = Origin::scripted(move |mut conn| {
            let (noted, goes) = (noted.clone(), goes.clone());
            async move {
                while let Some(request) = conn.request().await {
                    let range = request.header("range").unwrap_or("").to_owned();
                    noted.lock().unwrap().push(range.clone());
                    let file = file();
                    let Some((first, last)) = part_of(&range) else {
                        conn.send(answer("200 OK", fields, "", TOTAL)).await;
                        conn.send(&file[..pause]).await;
                        if pause < TOTAL {
                            tokio::select! {
                                () = goes.notified() => {}
                                () = conn.closed() => return,
                            }
                        }
                        conn.send(&file[pause..]).await;
                        continue;
                    };
                    let fields = format!("{fields}\ncontent-range: bytes {first}-{last}/{TOTAL}");
                    conn.send(answer("206 Partial Content", &fields, "", last + 1 - first)).await;
                    conn.send(&file[first..=last]).await;
                }
            }
        })
        .await;
        Films { origin, ranges, go }
    }

    /// What it was asked for since, in the order of the file.
    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.ranges.lock().unwrap());
        asked.sort_by_key(|range| part_of(range));
        asked
    }
}

fn part_of(range: &str) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<usize>().ok()?.min(TOTAL - 1)))
}

/// What the server is asked for when it is asked for these slices.
fn slices(numbers: std::ops::RangeInclusive<usize>) -> Vec<String> {
    let slice = |number: usize| {
        let first = number * SLICE;
        format!("bytes={first}-{}", (first + SLICE).min(TOTAL) - 1)
    };
    numbers.map(slice).collect()
}

#[track_caller]
fn check_whole(answer: &Response) {
    assert_eq!((answer.status, answer.body.len()), (200, TOTAL));
    assert_eq!(answer.header("content-range"), None);
    assert_eq!(answer.header("accept-ranges"), Some("bytes"));
    assert!(answer.body[..] == file()[..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_whole_is_kept_in_slices() {
    let films = Films::new(FRESH, TOTAL).await;
    let edge = start(PROFILE, &films.origin);
    for over in BOTH {
        let first = get(&edge, over, &path(over), "").await;
        check_whole(&first);
        assert_eq!(said(&first), "tidegate; fwd=uri-miss; ttl=60; stored");
        let again = get(&edge, over, &path(over), "").await;
        check_whole(&again);
        assert_eq!(said(&again), "tidegate; hit; ttl=60");
        let part = get(&edge, over, &path(over), "range: bytes=600000-600009").await;
        assert_eq!(part.body[..], file()[600_000..600_010]);
        assert_eq!(said(&part), "tidegate; hit; ttl=60");
        assert_eq!(films.asked(), [""]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_whole_only_what_is_missing_is_asked_for() {
    let films = Films::new(FRESH, TOTAL).await;
    let edge = start(PROFILE, &films.origin);
    for over in BOTH {
        for range in ["bytes=300000-800000", "bytes=5000000-5000001"] {
            get(&edge, over, &path(over), &format!("range: {range}")).await;
        }
        let there = [slices(1..=3), slices(19..=19)].concat();
        assert_eq!(films.asked(), there);
        check_whole(&get(&edge, over, &path(over), "").await);
        let missing = [slices(0..=0), slices(4..=18), slices(20..=20)].concat();
        assert_eq!(films.asked(), missing);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_fetched_on_for_a_client_that_has_left() {
    const SENT: usize = 3 * SLICE + SLICE / 2;
    let films = Films::new(FRESH, SENT).await;
    let edge = start(PROFILE, &films.origin);
    for (count, over) in BOTH.into_iter().enumerate() {
        match over {
            Over::H1 => {
                let mut client = Client::connect(edge.addr()).await;
                client.send("GET /H1 HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
                client.response_head().await;
                client.take(SENT - SLICE / 4).await;
            }
            Over::H2 => {
                let mut client = H2Client::connect(edge.addr()).await;
                let request = HttpRequest::get("http://a.example/H2").body(()).unwrap();
                let (answer, _) = client.open(request, true).await;
                let mut body = within("a head", answer).await.unwrap().into_body();
                let mut got = 0;
                while got < SENT - SLICE / 4 {
                    got += next(&mut body).await.unwrap().unwrap().len();
                }
            }
        }
        films.origin.await_ended(count + 1);
        assert_eq!(films.asked(), [""]);
        // What was whole by then is there.
        check_whole(&get(&edge, over, &path(over), "").await);
        assert_eq!(films.asked(), slices(3..=20));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_the_head_of_the_whole_shares_slices() {
    let films = Films::new(FRESH, SLICE).await;
    let edge = start(PROFILE, &films.origin);
    let ask = async || {
        let mut client = Client::connect(edge.addr()).await;
        client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        client
    };
    let mut first = ask().await;
    first.response_head().await;
    let mut others = Vec::new();
    for _ in 0..4 {
        others.push(ask().await);
    }
    for client in &mut others {
        check_whole(&client.response().await);
    }
    films.go.notify_one();
    assert!(first.take(TOTAL).await[..] == file()[..]);
    let asked = films.asked();
    let mut once = asked.clone();
    once.dedup();
    assert_eq!(asked, once, "nothing twice");
    assert_eq!(asked.iter().filter(|range| range.is_empty()).count(), 1);
}

/// Whoever asks while nobody knows how long the answer will be waits for it, and hears of slices.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_before_there_is_a_head_shares_slices() {
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let waits = waits.clone();
        async move {
            while let Some(request) = conn.request().await {
                let range = request.header("range").unwrap_or("").to_owned();
                let Some((first, last)) = part_of(&range) else {
                    waits.notified().await;
                    conn.send(answer("200 OK", FRESH, "", TOTAL)).await;
                    conn.send(&file()[..]).await;
                    continue;
                };
                let fields = format!("{FRESH}\ncontent-range: bytes {first}-{last}/{TOTAL}");
                conn.send(answer("206 Partial Content", &fields, "", last + 1 - first)).await;
                conn.send(&file()[first..=last]).await;
            }
        }
    })
    .await;
    let edge = start(PROFILE, &origin);
    let mut clients = Vec::new();
    for _ in 0..4 {
        let mut client = Client::connect(edge.addr()).await;
        client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        clients.push(client);
    }
    origin.await_requests(1);
    edge.await_metric("tidegate_listen_connections_open", 4.0);
    go.notify_one();
    for client in &mut clients {
        check_whole(&client.response().await);
    }
    let wholes = origin.received_text().matches("GET /x ").count()
        - origin.received_text().matches("range: bytes=").count();
    assert_eq!(wholes, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_parts_or_no_version_is_stored_whole() {
    for fields in [
        "cache-control: max-age=60\netag: \"a\"",
        "accept-ranges: none\ncache-control: max-age=60\netag: \"a\"",
        "accept-ranges: bytes\ncache-control: max-age=60",
        "accept-ranges: bytes\ncache-control: max-age=60\netag: W/\"a\"",
        "accept-ranges: bytes\ncache-control: max-age=60\netag: \"a\"\nvary: accept-encoding",
    ] {
        let films = Films::new(fields, TOTAL).await;
        let yaml = site(PROFILE).replace("16MiB", "64MiB");
        let edge = Edge::start_with(&yaml, &[("origin", &films.origin.addr)]);
        get(&edge, Over::H1, "/x", "").await;
        let again = get(&edge, Over::H1, "/x", "").await;
        assert_eq!((again.body.len(), said(&again)), (TOTAL, "tidegate; hit; ttl=60"), "{fields}");
        edge.await_metric("tidegate_cache_objects{tier=\"memory\"}", 1.0);
        assert_eq!(films.asked(), [""], "{fields}");
    }
}

/// Slices are of no use where none is asked for.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_slices_are_asked_for_of_is_kept_whole() {
    let film = "x".repeat(TOTAL);
    let origin = serving(move |request| match request.target() {
        "/film" => ok(FRESH, &film),
        _ => ok("cache-control: no-store", "0123456789"),
    })
    .await;
    let yaml = site(PROFILE).replace("16MiB", "64MiB");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    for number in 0..3 {
        let part = get(&edge, Over::H1, &format!("/{number}"), "range: bytes=2-4").await;
        assert_eq!((part.status, part.text().as_str()), (206, "234"));
    }
    for expected in ["tidegate; fwd=uri-miss; ttl=60; stored", "tidegate; hit; ttl=60"] {
        let whole = get(&edge, Over::H1, "/film", "").await;
        assert_eq!((whole.status, whole.body.len()), (200, TOTAL));
        assert_eq!(said(&whole), expected);
    }
    assert_eq!(origin.received_text().matches("GET /film").count(), 1);
}
