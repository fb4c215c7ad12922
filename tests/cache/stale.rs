//! When what is stale is sent all the same.

use std::sync::atomic::AtomicBool;

use tokio::sync::Notify;

use super::*;
use crate::support::poll;

/// Stale by ten seconds as it comes.
const OLD: &str = "age: 70\netag: \"a\"";

/// A server whose answer is stale as it comes; what it says then is not.
async fn growing_young() -> Origin {
    let is_old = AtomicBool::new(true);
    serving(move |_| match is_old.swap(false, Ordering::SeqCst) {
        true => {
            let fields = "cache-control: max-age=60, stale-while-revalidate=100";
            ok(&format!("{fields}\n{OLD}"), "old")
        }
        false => ok("cache-control: max-age=60\netag: \"b\"", "new"),
    })
    .await
}

/// A server that answers, until it is told to do something else.
struct Turning {
    origin: Origin,
    has_turned: Arc<AtomicBool>,
}

impl Turning {
    async fn new(fields: &str, then: &'static str) -> Turning {
        let fields = format!("{fields}\n{OLD}");
        let has_turned = Arc::new(AtomicBool::new(false));
        let turned = has_turned.clone();
        let origin = Origin::scripted(move |mut conn| {
            let (turned, fields) = (turned.clone(), fields.clone());
            async move {
                while let Some(request) = conn.request().await {
                    let answer = match turned.load(Ordering::SeqCst) {
                        true if then.is_empty() => return,
                        true => then.to_owned(),
                        false => ok(&fields, "old"),
                    };
                    match answer.split_once("\r\n\r\n") {
                        Some((head, _)) if request.line().starts_with("HEAD ") => {
                            conn.send(format!("{head}\r\n\r\n")).await
                        }
                        _ => conn.send(answer).await,
                    };
                }
            }
        })
        .await;
        Turning { origin, has_turned }
    }

    fn turn(&self) {
        self.has_turned.store(true, Ordering::SeqCst);
    }
}

const DOWN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 4\r\n\r\ndown";

async fn after_turn(profile: &str, fields: &str, then: &'static str, over: Over) -> Response {
    asked_after_turn("GET", profile, fields, then, over).await
}

async fn asked_after_turn(
    method: &str,
    profile: &str,
    fields: &str,
    then: &'static str,
    over: Over,
) -> Response {
    let server = Turning::new(fields, then).await;
    let edge = start(profile, &server.origin);
    get(&edge, over, "/x", "").await;
    server.turn();
    send(&edge, over, method, "/x", "").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_is_told_that_its_connection_ends_behind_it() {
    for then in [DOWN, ""] {
        let server = Turning::new("cache-control: max-age=60", then).await;
        let edge = start("", &server.origin);
        let mut client = Client::connect(edge.addr()).await;
        let mut ask = async || {
            client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
            client.response().await
        };
        assert_eq!(ask().await.header("connection"), Some("keep-alive"));
        server.turn();
        let answer = ask().await;
        assert_eq!(answer.text(), "old");
        assert_eq!(answer.header("connection"), Some("close"));
        client.expect_closed().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stands_in_for_a_server_that_fails() {
    for over in BOTH {
        let answer = after_turn("", "cache-control: max-age=60", DOWN, over).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
        assert_eq!(said(&answer), "tidegate; fwd=stale; fwd-status=503; ttl=-10");
        assert_eq!(age(&answer), Some(70));
    }
    for (profile, fields, is_stale) in [
        ("", "cache-control: max-age=60, stale-if-error=100", true),
        ("", "cache-control: max-age=60, stale-if-error=5", false),
        ("", "cache-control: max-age=60, must-revalidate", false),
        ("", "cache-control: max-age=60, proxy-revalidate", false),
        ("", "cache-control: s-maxage=60", false),
        ("", "cache-control: no-cache, max-age=60", false),
        ("stale_if_error: 5s", "cache-control: max-age=60", false),
        ("policy: strict_rfc", "cache-control: max-age=60", false),
        ("policy: strict_rfc", "cache-control: max-age=60, stale-if-error=100", true),
    ] {
        for over in BOTH {
            let answer = after_turn(profile, fields, DOWN, over).await;
            assert_eq!(answer.status == 200, is_stale, "{profile} {fields}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stands_in_for_a_server_that_cannot_be_reached() {
    for over in BOTH {
        let answer = after_turn("", "cache-control: max-age=60", "", over).await;
        assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
        assert_eq!(said(&answer), "tidegate; fwd=stale; ttl=-10");
    }
    for (profile, fields, is_stale) in [
        ("policy: strict_rfc", "cache-control: max-age=60", true),
        ("", "cache-control: max-age=60, must-revalidate", false),
        ("", "cache-control: max-age=60, proxy-revalidate", false),
        ("", "cache-control: s-maxage=60", false),
        ("", "cache-control: no-cache, max-age=60", false),
        ("stale_if_error: 0s", "cache-control: max-age=60", false),
    ] {
        for over in BOTH {
            let answer = after_turn(profile, fields, "", over).await;
            assert_eq!(answer.status == 200, is_stale, "{profile} {fields}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn its_head_stands_in_as_well() {
    for over in BOTH {
        for (then, expected) in [
            (DOWN, "tidegate; fwd=stale; fwd-status=503; ttl=-10"),
            ("", "tidegate; fwd=stale; ttl=-10"),
        ] {
            let fields = "cache-control: max-age=60\nx-of: it";
            let head = asked_after_turn("HEAD", "", fields, then, over).await;
            assert_eq!((head.status, said(&head)), (200, expected), "{head:?}");
            assert_eq!(head.header("content-length"), Some("3"));
            assert_eq!((head.header("x-of"), age(&head)), (Some("it"), Some(70)));
            assert!(head.body.is_empty());
        }
    }
    for (profile, fields, then, status) in [
        ("", "cache-control: max-age=60, must-revalidate", DOWN, 503),
        ("", "cache-control: max-age=60, must-revalidate", "", 502),
        ("stale_if_error: 0s", "cache-control: max-age=60", "", 502),
        ("", "cache-control: max-age=60", "HTTP/1.1 404 Not Found\r\n\r\n", 404),
    ] {
        let head = asked_after_turn("HEAD", profile, fields, then, Over::H1).await;
        assert_eq!(head.status, status, "{profile} {fields}: {head:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_sent_while_a_new_one_is_fetched_once() {
    let go = Arc::new(Notify::new());
    let waits = go.clone();
    let origin = Origin::scripted(move |mut conn| {
        let go = waits.clone();
        async move {
            while let Some(request) = conn.request().await {
                let is_first = request.header("if-none-match").is_none();
                if is_first {
                    let fields = "cache-control: max-age=60, stale-while-revalidate=100";
                    conn.send(ok(&format!("{fields}\n{OLD}"), "old")).await;
                } else {
                    go.notified().await;
                    conn.send(ok("cache-control: max-age=60\netag: \"b\"", "new")).await;
                }
            }
        }
    })
    .await;
    let edge = start("", &origin);
    let secret = "authorization: Basic eDp5\ncookie: a=b";
    get(&edge, Over::H1, "/x?q=1", "").await;
    for over in [Over::H1, Over::H2, Over::H1] {
        let stale = get(&edge, over, "/x?q=1", secret).await;
        assert_eq!((stale.text().as_str(), said(&stale)), ("old", "tidegate; hit; ttl=-10"));
    }
    origin.await_requests(2);
    go.notify_one();
    poll("the new one", || {
        let metric = "tidegate_cache_background_fetches_total";
        (edge.metric(metric) == 1.0).then_some(())
    });
    let new = get(&edge, Over::H2, "/x?q=1", "").await;
    assert_eq!((new.text().as_str(), said(&new)), ("new", "tidegate; hit; ttl=60"));
    assert_eq!(origin.requests(), 2);
    // It is nobody's request.
    let asked = origin.received_text();
    assert!(asked.contains("GET /x?q=1 HTTP/1.1\r\n"), "{asked}");
    for who in ["authorization", "cookie", "127.0.0.1\r\nx-forwarded-proto: https"] {
        assert!(!asked.contains(who), "{who}: {asked}");
    }
    assert_eq!(asked.matches("x-forwarded-for: ").count(), 1, "{asked}");
    assert_eq!(edge.stop().len(), 5);
}

/// Who asks for everybody has no body, and so may find another variant than its client did.
#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_beside_that_finds_what_is_fresh_asks_nobody_and_breaks_nothing() {
    let is_fresh = AtomicBool::new(true);
    let origin = serving(move |_| match is_fresh.swap(false, Ordering::SeqCst) {
        true => ok("cache-control: max-age=60\nvary: content-length", "for all"),
        false => {
            let fields = "cache-control: max-age=60, stale-while-revalidate=100";
            ok(&format!("{fields}\nvary: content-length\n{OLD}"), "old")
        }
    })
    .await;
    let mut edge = start("", &origin);
    assert_eq!(get(&edge, Over::H1, "/x", "").await.text(), "for all");
    for fetches in [0.0, 1.0, 2.0] {
        assert_eq!(get(&edge, Over::H1, "/x", "content-length: 0").await.text(), "old");
        edge.await_metric("tidegate_cache_background_fetches_total", fetches);
    }
    assert_eq!(origin.requests(), 2);
    edge.signal(rustix::process::Signal::TERM);
    assert!(edge.wait_exit().success());
    assert!(!edge.stderr().contains("panicked"), "{}", edge.stderr());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_one_is_fetched_as_a_proxy_says_that_it_was_asked_for() {
    let origin = growing_young().await;
    let yaml = format!("{}\nclients: {{ trusted_proxies: [127.0.0.1] }}", site(""));
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    let fields = "x-forwarded-proto: https\nx-forwarded-host: b.example\nx-real-ip: 192.0.2.7";
    let fields = format!("{fields}\nx-forwarded-for: 192.0.2.7");
    get(&edge, Over::H1, "/x", &fields).await;
    assert_eq!(get(&edge, Over::H1, "/x", &fields).await.text(), "old");
    poll("the new one", || {
        let metric = "tidegate_cache_background_fetches_total";
        (edge.metric(metric) == 1.0).then_some(())
    });
    let new = get(&edge, Over::H1, "/x", &fields).await;
    assert_eq!((new.text().as_str(), said(&new)), ("new", "tidegate; hit; ttl=60"));
    let asked = origin.received_text();
    assert_eq!(asked.matches("x-forwarded-proto: https\r\n").count(), 2, "{asked}");
    assert_eq!(asked.matches("x-forwarded-host: b.example\r\n").count(), 2, "{asked}");
    assert_eq!(asked.matches("192.0.2.7").count(), 3, "of one request: {asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_may_send_it_while_a_new_one_is_fetched() {
    let server = Turning::new("cache-control: max-age=60", DOWN).await;
    let edge = start("stale_while_revalidate: 1m", &server.origin);
    get(&edge, Over::H1, "/x", "").await;
    let stale = get(&edge, Over::H1, "/x", "").await;
    assert_eq!(said(&stale), "tidegate; hit; ttl=-10");
    server.origin.await_requests(2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_is_asked_before_it_stands_in() {
    let down = Origin::answering(DOWN).await;
    let server = Turning::new("cache-control: max-age=60", "").await;
    let yaml = site("").replace("'{origin}'", "'{origin}', '{down}'").replace(
        "retries: { attempts: 1 }",
        "retries: { attempts: 2, on: [503], budget: 100% }, balance: round_robin",
    );
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &server.origin.addr), ("down", &down.addr)];
    let edge = Edge::start_with(&yaml, &places);
    for _ in 0..4 {
        let answer = get(&edge, Over::H1, "/x", "").await;
        assert_eq!(answer.text(), "old");
        assert!(!said(&answer).contains("fwd-status=503"), "{answer:?}");
    }
    assert!(down.requests() > 0);
}
