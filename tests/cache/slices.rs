//! Parts of large files, put together from slices.

use std::sync::Mutex;

use super::*;

const SLICE: usize = 256 << 10;
/// Three slices and a bit.
const TOTAL: usize = 3 * SLICE + 1000;
const PROFILE: &str = "slice: 256KiB";

/// A file of which each byte tells where it is, and of which version.
fn file(version: u8) -> Arc<[u8]> {
    (0..TOTAL).map(|at| (at / 7) as u8 ^ (at >> 8) as u8 ^ version).collect()
}

/// A server of one file in the version that is set; it notes what it was asked for.
struct Files {
    origin: Origin,
    version: Arc<AtomicUsize>,
    ranges: Arc<Mutex<Vec<String>>>,
}

impl Files {
    /// `fields` are those of every answer, one a line.
    async fn new(fields: &'static str) -> Files {
        let version = Arc::new(AtomicUsize::new(0));
        let ranges = Arc::<Mutex<Vec<String>>>::default();
        let (now, noted) = (version.clone(), ranges.clone());
        let origin = Origin::scripted(move |mut conn| {
            let (now, noted) = (now.clone(), noted.clone());
            async move {
                while let Some(request) = conn.request().await {
                    let range = request.header("range").unwrap_or("").to_owned();
                    noted.lock().unwrap().push(range.clone());
                    let version = now.load(Ordering::SeqCst) as u8;
                    let file = file(version);
                    let etag = format!("etag: \"v{version}\"\n{fields}");
                    let (status, body) = match part_of(&range) {
                        None => ("200 OK".to_owned(), &file[..]),
                        Some((first, last)) => {
                            let said = format!("content-range: bytes {first}-{last}/{TOTAL}");
                            (format!("206 Partial Content\r\n{said}"), &file[first..=last])
                        }
                    };
                    conn.send(answer(&status, &etag, "", body.len())).await;
                    conn.send(body).await;
                }
            }
        })
        .await;
        Files { origin, version, ranges }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.ranges.lock().unwrap())
    }
}

fn part_of(range: &str) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<usize>().ok()?.min(TOTAL - 1)))
}

/// What the server is asked for when it is asked for this slice.
fn slice(number: usize) -> String {
    let first = number * SLICE;
    let last = if number == 3 { TOTAL } else { first + SLICE };
    format!("bytes={first}-{}", last - 1)
}

async fn part(edge: &Edge, over: Over, range: &str) -> Response {
    get(edge, over, &path(over), &format!("range: bytes={range}")).await
}

/// What the cache says that it did, but for how long that is good.
#[track_caller]
fn done(answer: &Response) -> String {
    let parts = said(answer).split("; ").filter(|part| !part.starts_with("ttl="));
    parts.collect::<Vec<_>>().join("; ")
}

#[track_caller]
fn check(answer: &Response, first: usize, last: usize, version: u8) {
    assert_eq!(answer.status, 206, "{answer:?}");
    let said = format!("bytes {first}-{last}/{TOTAL}");
    assert_eq!(answer.header("content-range"), Some(&*said));
    assert_eq!(answer.header("content-length"), Some(&*(last + 1 - first).to_string()));
    assert!(answer.body[..] == file(version)[first..=last], "{first}-{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_nobody_has_is_asked_for_by_its_slice_alone() {
    let files = Files::new("cache-control: max-age=60").await;
    let edge = start(PROFILE, &files.origin);
    for over in BOTH {
        let first = part(&edge, over, "300000-300099").await;
        check(&first, 300_000, 300_099, 0);
        assert_eq!(files.asked(), ["bytes=262144-524287"]);
        assert_eq!(done(&first), "tidegate; fwd=uri-miss; stored");
        let again = part(&edge, over, "300050-300059").await;
        check(&again, 300_050, 300_059, 0);
        assert_eq!(done(&again), "tidegate; hit");
        assert!(again.header("age").is_some());
        // What is known of the file is known for each of its slices.
        let other = part(&edge, over, "0-9").await;
        check(&other, 0, 9, 0);
        assert_eq!(done(&other), "tidegate; fwd=partial; stored");
        assert_eq!(files.asked(), [slice(0)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_over_many_slices_is_whole_and_each_is_fetched_once() {
    let files = Files::new("cache-control: max-age=60").await;
    let edge = start(PROFILE, &files.origin);
    for over in BOTH {
        let end = part(&edge, over, "-1001").await;
        check(&end, TOTAL - 1001, TOTAL - 1, 0);
        let all = part(&edge, over, "1-").await;
        check(&all, 1, TOTAL - 1, 0);
        let mut asked = files.asked();
        asked.sort();
        // The end of a file is nowhere before its length is known.
        let mut expected: Vec<String> = (0..4).map(slice).collect();
        expected.sort();
        assert_eq!(asked, expected);
        check(&part(&edge, over, "262143-262144").await, SLICE - 1, SLICE, 0);
        let beyond = part(&edge, over, &format!("{TOTAL}-")).await;
        assert_eq!((beyond.status, beyond.body.len()), (416, 0));
        assert_eq!(beyond.header("content-range"), Some(&*format!("bytes */{TOTAL}")));
        let several = part(&edge, over, "0-1,524288-524289").await;
        assert_eq!(several.status, 206);
        let text = String::from_utf8_lossy(&several.body).into_owned();
        assert!(text.contains(&format!("Content-Range: bytes 524288-524289/{TOTAL}")), "{text}");
        assert_eq!(files.asked(), [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_judged_without_the_server() {
    let files = Files::new("cache-control: max-age=60").await;
    let edge = start(PROFILE, &files.origin);
    for over in BOTH {
        check(&part(&edge, over, "0-9").await, 0, 9, 0);
        files.asked();
        let has = "range: bytes=0-9\nif-none-match: \"v0\"";
        assert_eq!(get(&edge, over, &path(over), has).await.status, 304);
        let same = get(&edge, over, &path(over), "range: bytes=5-9\nif-range: \"v0\"").await;
        check(&same, 5, 9, 0);
        assert_eq!(files.asked(), [""; 0]);
        // Another version than the client has: all of it.
        let whole = get(&edge, over, &path(over), "range: bytes=5-9\nif-range: \"v9\"").await;
        assert_eq!((whole.status, whole.body.len()), (200, TOTAL));
        assert!(whole.body[..] == file(0)[..]);
        assert_eq!(files.asked(), [slice(1), slice(2), slice(3)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_never_mixed() {
    let files = Files::new("cache-control: max-age=60").await;
    let edge = start(PROFILE, &files.origin);
    check(&part(&edge, Over::H1, "0-9").await, 0, 9, 0);
    files.version.store(1, Ordering::SeqCst);
    // What is stored is fresh; the rest is of another version.
    let mut client = Client::connect(edge.addr()).await;
    let head = "GET /H1 HTTP/1.1\r\nhost: a.example\r\nrange: bytes=0-\r\n\r\n";
    client.send(head).await;
    let begun = client.response_head().await;
    assert_eq!(begun.header("etag"), Some("\"v0\""));
    let rest = client.read_to_end().await;
    assert!(rest.len() < TOTAL, "it breaks off");
    assert!(rest[..] == file(0)[..rest.len()]);
    // By now that is known.
    check(&part(&edge, Over::H1, "0-9").await, 0, 9, 1);
    check(&part(&edge, Over::H1, "0-").await, 0, TOTAL - 1, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_finds_out_for_all_slices() {
    let files = Files::new("cache-control: max-age=60\nage: 60").await;
    let edge = start(PROFILE, &files.origin);
    check(&part(&edge, Over::H1, "0-").await, 0, TOTAL - 1, 0);
    files.asked();
    let again = part(&edge, Over::H1, "0-").await;
    check(&again, 0, TOTAL - 1, 0);
    assert_eq!(done(&again), "tidegate; fwd=stale");
    assert_eq!(files.asked(), ["bytes=0-0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_hits_all_slices() {
    let files = Files::new("cache-control: max-age=60").await;
    let edge = Edge::start_with(
        &site(PROFILE).replace("cache: { memory", "cache: { purge_from: [127.0.0.0/8], memory"),
        &[("origin", &files.origin.addr)],
    );
    check(&part(&edge, Over::H1, "0-").await, 0, TOTAL - 1, 0);
    files.version.store(1, Ordering::SeqCst);
    files.asked();
    let purged = send(&edge, Over::H1, "PURGE", "/H1", "").await;
    assert!(purged.status < 300, "{purged:?}");
    check(&part(&edge, Over::H1, "600000-600009").await, 600_000, 600_009, 1);
    assert_eq!(files.asked(), [slice(2)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_part_is_fetched_whole() {
    for (status, fields) in [
        // A server that heeds no Range, and files without a version or for some alone.
        ("200 OK", "cache-control: max-age=60\netag: \"a\""),
        ("206 Partial Content", "content-range: bytes 0-9/10\ncache-control: max-age=60"),
        (
            "206 Partial Content",
            "content-range: bytes 0-9/10\ncache-control: max-age=60\netag: \"a\"\nvary: x-a",
        ),
        (
            "206 Partial Content",
            "content-range: bytes 0-9/10\ncache-control: no-store\netag: \"a\"",
        ),
    ] {
        let origin = serving(move |request| match request.header("range") {
            Some(_) => answer(status, fields, "0123456789", 10),
            None => ok("cache-control: max-age=60\netag: \"a\"", "0123456789"),
        })
        .await;
        let edge = start(PROFILE, &origin);
        for over in BOTH {
            for expected in [2, 2] {
                let before = origin.requests();
                let part = get(&edge, over, &path(over), "range: bytes=2-4").await;
                assert_eq!((part.status, part.text().as_str()), (206, "234"), "{status} {fields}");
                assert!(origin.requests() - before <= expected, "{status} {fields}");
            }
        }
        assert_eq!(origin.requests(), 4, "{status} {fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_heeds_no_range_is_soon_asked_for_none() {
    let origin = serving(|_| ok("cache-control: max-age=60\netag: \"a\"", "0123456789")).await;
    let edge = start(PROFILE, &origin);
    for number in 0..10 {
        let part = get(&edge, Over::H1, &format!("/{number}"), "range: bytes=2-4").await;
        assert_eq!((part.status, part.text().as_str()), (206, "234"));
    }
    assert_eq!(origin.received_text().matches("range: bytes=").count(), 3);
    assert_eq!(origin.requests(), 13);
}

/// What is long, and nobody wants, is not read to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_whole_that_is_no_slice_is_left() {
    let origin = Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            let fields = "cache-control: max-age=60\netag: \"a\"";
            conn.send(answer("200 OK", fields, "", TOTAL)).await;
            if request.header("range").is_some() {
                return conn.closed().await;
            }
            conn.send(&file(0)[..]).await;
        }
    })
    .await;
    let edge = start(PROFILE, &origin);
    let part = part(&edge, Over::H1, "10-19").await;
    check(&part, 10, 19, 0);
    origin.await_ended(1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_the_same_slice_reads_along() {
    // More than is gathered before it is sent.
    const HALF: usize = 50_000;
    let go = Arc::new(tokio::sync::Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            while let Some(request) = conn.request().await {
                let (first, last) = part_of(request.header("range").unwrap()).unwrap();
                let fields = format!(
                    "content-range: bytes {first}-{last}/{TOTAL}\netag: \"v0\"
                     cache-control: max-age=60"
                );
                let length = last + 1 - first;
                conn.send(answer("206 Partial Content", &fields, "", length)).await;
                conn.send(&file(0)[first..first + HALF]).await;
                go.notified().await;
                conn.send(&file(0)[first + HALF..=last]).await;
            }
        }
    })
    .await;
    let edge = start(PROFILE, &origin);
    let mut clients = Vec::new();
    for _ in 0..5 {
        let mut client = Client::connect(edge.addr()).await;
        client.send("GET /x HTTP/1.1\r\nhost: a.example\r\nrange: bytes=10-99999\r\n\r\n").await;
        assert_eq!(client.response_head().await.status, 206);
        // What has come is there for all of them.
        assert!(client.take(HALF - 10).await[..] == file(0)[10..HALF]);
        clients.push(client);
    }
    assert_eq!(origin.requests(), 1);
    // The one who began it leaves; it goes on.
    drop(clients.remove(0));
    go.notify_one();
    for mut client in clients {
        assert!(client.take(100_000 - HALF).await[..] == file(0)[HALF..100_000]);
    }
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slice_that_breaks_off_is_an_error_and_is_not_kept() {
    let breaks = Arc::new(AtomicUsize::new(1));
    let left = breaks.clone();
    let origin = Origin::scripted(move |mut conn| {
        let left = left.clone();
        async move {
            while let Some(request) = conn.request().await {
                let (first, last) = part_of(request.header("range").unwrap()).unwrap();
                let fields = format!(
                    "content-range: bytes {first}-{last}/{TOTAL}\netag: \"v0\"
                     cache-control: max-age=60"
                );
                let length = last + 1 - first;
                conn.send(answer("206 Partial Content", &fields, "", length)).await;
                if left.swap(0, Ordering::SeqCst) == 1 {
                    conn.send(&file(0)[first..first + 1000]).await;
                    return;
                }
                conn.send(&file(0)[first..=last]).await;
            }
        }
    })
    .await;
    let edge = start(PROFILE, &origin);
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /x HTTP/1.1\r\nhost: a.example\r\nrange: bytes=0-9999\r\n\r\n").await;
    client.response_head().await;
    assert!(client.read_to_end().await.len() <= 1000);
    let whole = get(&edge, Over::H1, "/x", "range: bytes=0-9999").await;
    check(&whole, 0, 9999, 0);
    assert_eq!(origin.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stored_part_stands_in_for_a_server_that_is_gone() {
    let files = Files::new("cache-control: max-age=60\nage: 60").await;
    let edge = start(PROFILE, &files.origin);
    check(&part(&edge, Over::H1, "0-9").await, 0, 9, 0);
    drop(files);
    check(&part(&edge, Over::H1, "5-9").await, 5, 9, 0);
}

/// What a player asks for that jumps into a film: whatever its length, that is all it costs.
#[tokio::test(flavor = "multi_thread")]
async fn a_mebibyte_of_ten_gigabytes_takes_two_slices() {
    const LONG: u64 = 10 << 30;
    const MEBI: u64 = 1 << 20;
    let byte = |at: u64| (at / 7) as u8 ^ (at >> 20) as u8;
    let ranges = Arc::<Mutex<Vec<String>>>::default();
    let noted = ranges.clone();
    let origin = Origin::scripted(move |mut conn| {
        let noted = noted.clone();
        async move {
            while let Some(request) = conn.request().await {
                let range = request.header("range").unwrap().to_owned();
                noted.lock().unwrap().push(range.clone());
                let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let (first, last): (u64, u64) = (first.parse().unwrap(), last.parse().unwrap());
                let said = format!("content-range: bytes {first}-{last}/{LONG}");
                let fields = format!("etag: \"v0\"\n{said}\ncache-control: max-age=60");
                let body: Vec<u8> = (first..=last).map(byte).collect();
                conn.send(answer("206 Partial Content", &fields, "", body.len())).await;
                conn.send(&body[..]).await;
            }
        }
    })
    .await;
    let edge = start("slice: 1MiB, max_object: 11GiB", &origin);
    for (over, slice) in BOTH.into_iter().zip([5000, 9000]) {
        let first = slice * MEBI + 300_000;
        let last = first + MEBI - 1;
        let part = part(&edge, over, &format!("{first}-{last}")).await;
        assert_eq!(part.status, 206);
        let said = format!("bytes {first}-{last}/{LONG}");
        assert_eq!(part.header("content-range"), Some(&*said));
        assert!(part.body.iter().copied().eq((first..=last).map(byte)));
        let mut asked = std::mem::take(&mut *ranges.lock().unwrap());
        asked.sort();
        let slice = |n: u64| format!("bytes={}-{}", n * MEBI, (n + 1) * MEBI - 1);
        assert_eq!(asked, [slice(first / MEBI), slice(last / MEBI)]);
    }
}
