//! What a client will ask for next is there by then.

use std::sync::Mutex;

use tokio::sync::Notify;

use super::*;

const PATTERN: &str = r"prefetch: { pattern: '/seg-(\d+)\.ts$' }";
const KEPT: &str = "cache-control: max-age=60";

/// A server that notes what it was asked for, and with which cookie.
struct Segments {
    origin: Origin,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Segments {
    async fn new(answer: impl Fn(&Request, usize) -> String + Send + Sync + 'static) -> Segments {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let noted = asked.clone();
        let origin = serving(move |request| {
            let mut noted = noted.lock().unwrap();
            let cookie = request.header("cookie").map(|cookie| format!(" {cookie}"));
            assert_eq!(request.header("range"), None);
            noted.push(format!("{}{}", request.target(), cookie.unwrap_or_default()));
            answer(request, noted.len())
        })
        .await;
        Segments { origin, asked }
    }

    /// Those that are all of the same kind.
    async fn kept() -> Segments {
        Segments::new(|request, _| ok(KEPT, request.target())).await
    }

    fn asked(&self) -> Vec<String> {
        let mut asked = std::mem::take(&mut *self.asked.lock().unwrap());
        asked.sort();
        asked
    }
}

fn await_prefetches(edge: &Edge, result: &str, count: f64) {
    edge.await_metric(&format!("tidegate_cache_prefetches_total{{result=\"{result}\"}}"), count);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_segment_is_there_before_it_is_asked_for() {
    let segments = Segments::kept().await;
    let edge = start(PATTERN, &segments.origin);
    for (index, over) in BOTH.into_iter().enumerate() {
        let path = |number: &str| format!("/{over:?}/seg-{number}.ts?a=b");
        let first = get(&edge, over, &path("009"), "cookie: a=b\ncache-control: no-cache").await;
        assert_eq!(said(&first), "tidegate; fwd=uri-miss; ttl=60; stored");
        await_prefetches(&edge, "stored", 2.0 * index as f64 + 1.0);
        // The client's cookie is its own; and what was fetched ahead has nothing fetched.
        assert_eq!(segments.asked(), [format!("{} a=b", path("009")), path("010")]);
        let next = get(&edge, over, &path("010"), "").await;
        assert_eq!((said(&next), next.text()), ("tidegate; hit; ttl=60", path("010")));
        await_prefetches(&edge, "stored", 2.0 * index as f64 + 2.0);
        assert_eq!(segments.asked(), [path("011")]);
    }
    // A client alone has a record.
    assert_eq!(edge.stop().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_answers_name_is_fetched_where_that_is_asked_for() {
    let segments = Segments::new(|request, _| {
        let own = "<2.ts>; rel=prefetch, </v/./3.ts?x>; rel=\"prefetch\", <4.ts>; rel=next";
        let others = "<http://b.example/5.ts>; rel=prefetch, <//a.example:1/6.ts>; rel=prefetch";
        let assist = "cdn-origin-assist-prefetch-path: /7.ts";
        match request.target() {
            "/v/1.ts" => ok(&format!("{KEPT}\nlink: {own}\nlink: {others}\n{assist}"), "x"),
            _ => ok(KEPT, "x"),
        }
    })
    .await;
    let without = start("prefetch: { pattern: 'x(1)', budget: 8 }", &segments.origin);
    get(&without, Over::H1, "/v/1.ts", "").await;
    let edge = start("prefetch: { link: on, budget: 8 }", &segments.origin);
    for over in BOTH {
        get(&edge, over, "/v/1.ts", "").await;
    }
    await_prefetches(&edge, "stored", 3.0);
    assert_eq!(segments.asked(), ["/7.ts", "/v/1.ts", "/v/1.ts", "/v/2.ts", "/v/3.ts?x"]);
    assert_eq!(said(&get(&edge, Over::H2, "/v/3.ts?x", "").await), "tidegate; hit; ttl=60");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_are_on_their_way_than_the_budget_says() {
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            while let Some(request) = conn.request().await {
                if request.target() == "/2" {
                    go.notified().await;
                }
                let links = "link: </2>; rel=prefetch, </3>; rel=prefetch";
                conn.send(ok(&format!("{KEPT}\n{links}"), "x")).await;
            }
        }
    })
    .await;
    let edge = start("prefetch: { link: on, budget: 1 }", &origin);
    get(&edge, Over::H1, "/1", "").await;
    await_prefetches(&edge, "over_budget", 1.0);
    // It has not become one of those that are not tried again.
    origin.await_heads(&["/2"]);
    go.notify_one();
    await_prefetches(&edge, "stored", 1.0);
    assert!(!origin.received_text().contains("GET /3 "));
    get(&edge, Over::H1, "/1", "").await;
    await_prefetches(&edge, "stored", 2.0);
    assert!(origin.received_text().contains("GET /3 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_to_be_had_is_not_asked_for_again_and_not_kept() {
    let segments = Segments::new(|request, count| match request.target() {
        "/seg-1.ts" => ok(KEPT, "x"),
        // It comes to be only when a client asks.
        _ if count == 2 => answer("404 Not Found", KEPT, "none", 4),
        _ => ok("cache-control: no-store", "there"),
    })
    .await;
    let edge = start(&format!("statuses: {{ 404: 1m }}, {PATTERN}"), &segments.origin);
    for _ in 0..3 {
        get(&edge, Over::H1, "/seg-1.ts", "").await;
        await_prefetches(&edge, "not_stored", 1.0);
    }
    assert_eq!(segments.asked(), ["/seg-1.ts", "/seg-2.ts"]);
    let next = get(&edge, Over::H2, "/seg-2.ts", "").await;
    assert_eq!((next.status, next.text().as_str()), (200, "there"));
    // And what follows an answer that is not kept is not worth asking for.
    assert_eq!(segments.asked(), ["/seg-2.ts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_a_part_or_what_is_for_one_client() {
    let segments =
        Segments::new(|request, _| ok("cache-control: public, max-age=60", request.target())).await;
    let edge = start(PATTERN, &segments.origin);
    for over in BOTH {
        get(&edge, over, "/a/seg-1.ts", "range: bytes=0-1").await;
        get(&edge, over, "/b/seg-1.ts", "authorization: Basic YTpi").await;
        send(&edge, over, "OPTIONS", "/c/seg-1.ts", "").await;
    }
    // What was begun before it would be there, too.
    get(&edge, Over::H1, "/d/seg-1.ts", "").await;
    await_prefetches(&edge, "stored", 1.0);
    let ahead: Vec<String> =
        segments.asked().into_iter().filter(|path| path.ends_with("seg-2.ts")).collect();
    assert_eq!(ahead, ["/d/seg-2.ts"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_is_made_of_is_kept_of_the_client() {
    let segments = Segments::kept().await;
    let edge = start(&format!("key: {{ headers: [cookie] }}, {PATTERN}"), &segments.origin);
    get(&edge, Over::H1, "/seg-1.ts", "cookie: a=b").await;
    await_prefetches(&edge, "stored", 1.0);
    assert_eq!(segments.asked(), ["/seg-1.ts a=b", "/seg-2.ts a=b"]);
    let next = get(&edge, Over::H1, "/seg-2.ts", "cookie: a=b").await;
    assert_eq!(said(&next), "tidegate; hit; ttl=60");
    let other = get(&edge, Over::H1, "/seg-2.ts", "").await;
    assert_eq!(said(&other), "tidegate; fwd=uri-miss; ttl=60; stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_what_is_on_its_way_reads_along() {
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            while let Some(request) = conn.request().await {
                conn.send(answer("200 OK", KEPT, "half", 8)).await;
                if request.target() == "/seg-2.ts" {
                    go.notified().await;
                }
                conn.send("more").await;
            }
        }
    })
    .await;
    let edge = start(PATTERN, &origin);
    get(&edge, Over::H1, "/seg-1.ts", "").await;
    origin.await_heads(&["/seg-2.ts"]);
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /seg-2.ts HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(client.response_head().await.status, 200);
    assert_eq!(client.take(4).await, b"half");
    go.notify_one();
    assert_eq!(client.take(4).await, b"more");
    assert!(!origin.received_text().replacen("GET /seg-2.ts ", "", 1).contains("GET /seg-2.ts "));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_by_cookie_is_that_of_nobody() {
    let segments = Segments::new(|request, _| {
        let whose = request.header("cookie").unwrap_or("nobody").to_owned();
        ok(&format!("{KEPT}\nvary: cookie"), &whose)
    })
    .await;
    let edge = start(PATTERN, &segments.origin);
    get(&edge, Over::H1, "/seg-1.ts", "cookie: a=b").await;
    await_prefetches(&edge, "stored", 1.0);
    let own = get(&edge, Over::H1, "/seg-2.ts", "cookie: a=b").await;
    assert_eq!(
        (said(&own), own.text().as_str()),
        ("tidegate; fwd=vary-miss; ttl=60; stored", "a=b")
    );
    let other = get(&edge, Over::H2, "/seg-2.ts", "").await;
    assert_eq!((said(&other), other.text().as_str()), ("tidegate; hit; ttl=60", "nobody"));
}
