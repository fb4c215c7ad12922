//! Whether large files are good still: it is asked for all of their slices at once.

use std::sync::Mutex;

use tokio::sync::Semaphore;

use super::*;
use crate::support::within;

const TOTAL: usize = 3 * (256 << 10) + 1000;
const PROFILE: &str = "slice: 256KiB";
const STALE: &str = "cache-control: max-age=60\nage: 70";

/// What a server says to who asks whether its file is good still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Yes,
    Another,
    Down,
}

/// A server whose file is stale as it comes, by these fields, and fresh once it was asked about.
struct Server {
    origin: Origin,
    /// The ranges of those who asked about it, and of the others.
    news: Arc<Mutex<Vec<String>>>,
    parts: Arc<Mutex<Vec<String>>>,
    /// How many may hear about it.
    may: Arc<Semaphore>,
}

fn file(says: Says) -> Vec<u8> {
    let version = u8::from(says == Says::Another);
    (0..TOTAL).map(|at| (at / 7) as u8 ^ (at >> 8) as u8 ^ version).collect()
}

async fn start_saying(fields: &'static str, says: Says) -> (Server, Edge) {
    let (news, parts) =
        (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
    let (may, has_asked) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
    let (news_, parts_, may_) = (news.clone(), parts.clone(), may.clone());
    let origin = Origin::scripted(move |mut conn| {
        let (news, parts, may, has_asked) =
            (news_.clone(), parts_.clone(), may_.clone(), has_asked.clone());
        async move {
            while let Some(request) = conn.request().await {
                let range = request.header("range").unwrap_or("").to_owned();
                let mut now = Says::Yes;
                if request.header("if-none-match") == Some("\"Yes\"") {
                    news.lock().unwrap().push(range.clone());
                    may.acquire().await.unwrap().forget();
                    has_asked.store(1, Ordering::SeqCst);
                    if says == Says::Yes {
                        let fields = "cache-control: max-age=60\r\netag: \"Yes\"\r\n";
                        conn.send(format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n")).await;
                        continue;
                    }
                } else {
                    parts.lock().unwrap().push(range.clone());
                }
                if has_asked.load(Ordering::SeqCst) == 1 {
                    now = says;
                }
                if now == Says::Down {
                    conn.send(answer("503 Service Unavailable", "", "down", 4)).await;
                    continue;
                }
                let fields =
                    if now == Says::Another { "cache-control: max-age=60" } else { fields };
                let (first, last) = range.strip_prefix("bytes=").unwrap().split_once('-').unwrap();
                let (first, last): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
                let last = last.min(TOTAL - 1);
                let said =
                    format!("content-range: bytes {first}-{last}/{TOTAL}\netag: \"{now:?}\"");
                let fields = format!("{said}\n{fields}");
                conn.send(answer("206 Partial Content", &fields, "", last + 1 - first)).await;
                conn.send(&file(now)[first..=last]).await;
            }
        }
    })
    .await;
    let edge = start(PROFILE, &origin);
    let server = Server { origin, news, parts, may };
    // All of it is stored, and is stale.
    let all = get(&edge, Over::H1, "/x", "range: bytes=0-").await;
    assert_eq!((all.status, all.body.len()), (206, TOTAL));
    assert_eq!(server.take().1.len(), 4);
    (server, edge)
}

impl Server {
    /// What it was asked since, about its file and of it.
    fn take(&self) -> (Vec<String>, Vec<String>) {
        let take = |all: &Mutex<Vec<String>>| std::mem::take(&mut *all.lock().unwrap());
        (take(&self.news), take(&self.parts))
    }
}

async fn part(edge: &Edge, over: Over, first: usize) -> Response {
    let range = format!("range: bytes={first}-{}", first + 9);
    get(edge, over, "/x", &range).await
}

#[track_caller]
fn check(answer: &Response, first: usize, of: Says, expected: &str) {
    assert_eq!(answer.status, 206, "{answer:?}");
    assert_eq!(answer.body[..], file(of)[first..first + 10]);
    assert_eq!(said(answer), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_asked_once_for_all_who_want_to_know() {
    let (server, edge) = start_saying(STALE, Says::Yes).await;
    let mut clients = Vec::new();
    for first in [10, 300_000, 600_000, 20] {
        let mut client = Client::connect(edge.addr()).await;
        let range = format!("range: bytes={first}-{}", first + 9);
        client.send(format!("GET /x HTTP/1.1\r\nhost: a.example\r\n{range}\r\n\r\n")).await;
        clients.push((first, client));
    }
    server.origin.await_requests(5);
    server.may.add_permits(8);
    for (first, client) in &mut clients {
        let answer = client.response().await;
        assert_eq!(answer.body[..], file(Says::Yes)[*first..*first + 10]);
    }
    check(&part(&edge, Over::H2, 30).await, 30, Says::Yes, "tidegate; hit; ttl=60");
    // Its head alone, and a byte where there is another.
    assert_eq!(server.take(), (vec!["bytes=0-0".to_owned()], vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_takes_the_place_of_all_slices() {
    let (server, edge) = start_saying(STALE, Says::Another).await;
    server.may.add_permits(8);
    let other = part(&edge, Over::H1, 10).await;
    check(&other, 10, Says::Another, "tidegate; fwd=stale; ttl=60; stored");
    let (news, parts) = server.take();
    assert_eq!((news.len(), parts), (1, vec!["bytes=0-262143".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stale_is_sent_while_it_is_asked_about() {
    let fields = "cache-control: max-age=60, stale-while-revalidate=100\nage: 70";
    for says in [Says::Yes, Says::Another, Says::Down] {
        let (server, edge) = start_saying(fields, says).await;
        for (over, first) in [(Over::H1, 10), (Over::H2, 300_000), (Over::H1, 600_000)] {
            check(&part(&edge, over, first).await, first, Says::Yes, "tidegate; hit; ttl=-10");
        }
        let whole = get(&edge, Over::H1, "/x", "").await;
        assert_eq!((whole.body.len(), said(&whole)), (TOTAL, "tidegate; hit; ttl=-10"));
        server.origin.await_requests(5);
        assert_eq!(server.take(), (vec!["bytes=0-0".to_owned()], vec![]));
        server.may.add_permits(8);
        let (of, expected) = match says {
            Says::Yes => (Says::Yes, "tidegate; hit; ttl=60"),
            Says::Another => (Says::Another, "tidegate; fwd=partial; ttl=60; stored"),
            Says::Down => (Says::Yes, "tidegate; hit; ttl=-10"),
        };
        let heard = async {
            loop {
                let answer = part(&edge, Over::H1, 10).await;
                if said(&answer) != "tidegate; hit; ttl=-10" || says == Says::Down {
                    return answer;
                }
            }
        };
        check(&within("the news", heard).await, 10, of, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stands_in_for_a_server_that_fails() {
    for over in BOTH {
        let (server, edge) = start_saying(STALE, Says::Down).await;
        server.may.add_permits(8);
        let expected = "tidegate; fwd=stale; fwd-status=503; ttl=-10";
        check(&part(&edge, over, 10).await, 10, Says::Yes, expected);
        let whole = get(&edge, over, "/x", "").await;
        assert_eq!((whole.status, whole.body.len(), said(&whole)), (200, TOTAL, expected));
        assert!(whole.body == file(Says::Yes));
        assert_eq!(server.take().1, [""; 0]);
    }
    let strict = "cache-control: max-age=60, must-revalidate\nage: 70";
    let (server, edge) = start_saying(strict, Says::Down).await;
    server.may.add_permits(8);
    assert_eq!(part(&edge, Over::H1, 10).await.status, 503);
}
