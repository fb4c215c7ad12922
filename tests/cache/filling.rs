//! Many who ask for the same, while it is on its way.

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::*;

const HEAD: &str = "HTTP/1.1 200 OK\r\ncache-control: max-age=60\r\ncontent-length: 8\r\n\r\n";

/// A server that sends half a body, and goes on when it is told to: by `rest`.
async fn halting(go: &Arc<Notify>, rest: &'static str) -> Origin {
    let go = go.clone();
    Origin::scripted(move |mut conn| {
        let go = go.clone();
        async move {
            while conn.request().await.is_some() {
                conn.send(format!("{HEAD}half")).await;
                go.notified().await;
                if rest.is_empty() {
                    return;
                }
                conn.send(rest).await;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn many_misses_are_one_fetch() {
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            while conn.request().await.is_some() {
                go.notified().await;
                conn.send(ok("cache-control: max-age=60", "x")).await;
            }
        }
    })
    .await;
    let edge = Arc::new(start("", &origin));
    let mut asked = JoinSet::new();
    for index in 0..50 {
        let edge = edge.clone();
        asked.spawn(async move { get(&edge, BOTH[index % 2], "/x", "").await });
    }
    // All have come, and one of them has gone on.
    edge.await_metric("tidegate_listen_connections_open", 50.0);
    origin.await_requests(1);
    go.notify_one();
    let answers = asked.join_all().await;
    assert!(answers.iter().all(|answer| answer.text() == "x"));
    assert_eq!(origin.requests(), 1);
    let collapsed = answers.iter().filter(|answer| said(answer).contains("; collapsed")).count();
    assert!(collapsed > 0, "{:?}", answers.iter().map(said).collect::<Vec<_>>());
    assert_eq!(answers.iter().filter(|answer| said(answer).contains("; stored")).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_read_along_before_it_is_whole() {
    let go = Arc::new(Notify::new());
    let origin = halting(&go, "more").await;
    let edge = start("", &origin);
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(edge.addr()).await;
        client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        let head = client.response_head().await;
        assert_eq!((head.status, head.header("content-length")), (200, Some("8")));
        assert_eq!(client.take(4).await, b"half");
        readers.push(client);
    }
    assert_eq!(origin.requests(), 1);
    go.notify_one();
    for mut client in readers {
        assert_eq!(client.take(4).await, b"more");
    }
    assert_eq!(get(&edge, Over::H2, "/x", "").await.text(), "halfmore");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_is_an_error_to_all_and_not_kept() {
    let go = Arc::new(Notify::new());
    let origin = halting(&go, "").await;
    let edge = start("", &origin);
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect(edge.addr()).await;
        client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        assert_eq!(client.response_head().await.status, 200);
        assert_eq!(client.take(4).await, b"half");
        readers.push(client);
    }
    let mut h2 = H2Client::connect(edge.addr()).await;
    let request = HttpRequest::get("http://a.example/x").body(()).unwrap();
    let (answer, _) = h2.open(request, true).await;
    let (head, mut body) = crate::support::within("a head", answer).await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    assert_eq!(body.data().await.unwrap().unwrap(), "half");
    go.notify_one();
    for mut client in readers {
        client.expect_closed().await;
    }
    assert!(crate::support::within("the end", body.data()).await.is_none_or(|end| end.is_err()));
    assert!(!body.is_end_stream() || body.data().await.is_some_and(|end| end.is_err()));
    // The next one asks anew.
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(said(&client.response_head().await), "tidegate; fwd=uri-miss; ttl=60; stored");
    assert_eq!(origin.requests(), 2);
}

/// An answer whose head and end come at once: nobody has seen any of it.
#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_off_at_once_is_asked_for_again() {
    let count = AtomicUsize::new(0);
    let count = Arc::new(count);
    let origin = Origin::scripted(move |mut conn| {
        let count = count.clone();
        async move {
            while conn.request().await.is_some() {
                if count.fetch_add(1, Ordering::SeqCst) == 0 {
                    conn.send(format!("{HEAD}half")).await;
                    return;
                }
                conn.send(format!("{HEAD}halfmore")).await;
            }
        }
    })
    .await;
    let yaml = site("").replace("attempts: 1", "attempts: 2, budget: 100%");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    // Broken off, or whole from the second attempt: never half of it for the whole.
    if let Some(head) = client.head_or_closed().await
        && head.status == 200
    {
        let body = client.take_or_closed(8).await;
        assert!(body.is_none_or(|body| body == b"halfmore"));
    }
    assert_eq!(get(&edge, Over::H2, "/x", "").await.text(), "halfmore");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_leaves_the_fetch_to_others() {
    let go = Arc::new(Notify::new());
    let origin = halting(&go, "more").await;
    let edge = start("", &origin);
    let mut first = Client::connect(edge.addr()).await;
    first.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(first.response_head().await.status, 200);
    let mut second = Client::connect(edge.addr()).await;
    second.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(second.response_head().await.status, 200);
    drop(first);
    // Each worker has had its turn since, and has seen that.
    for _ in 0..4 {
        assert_eq!(get(&edge, Over::H1, "/a%2f", "").await.status, 400);
    }
    go.notify_one();
    assert_eq!(second.take(8).await, b"halfmore");
    assert_eq!(get(&edge, Over::H1, "/x", "").await.text(), "halfmore");
    assert_eq!(origin.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_kept_holds_nobody_up() {
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            while let Some(request) = conn.request().await {
                if request.target() == "/x?slow" {
                    go.notified().await;
                }
                conn.send(ok("cache-control: no-store", "x")).await;
            }
        }
    })
    .await;
    let edge = start("key: { query: { drop: [slow] } }", &origin);
    assert_eq!(get(&edge, Over::H1, "/x", "").await.text(), "x");
    // Known not to be kept, it is not waited for.
    let mut slow = Client::connect(edge.addr()).await;
    slow.send("GET /x?slow HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    origin.await_requests(2);
    assert_eq!(get(&edge, Over::H2, "/x", "").await.text(), "x");
    go.notify_one();
    assert_eq!(slow.response().await.text(), "x");
}
