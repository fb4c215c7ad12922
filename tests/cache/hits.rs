//! What is fresh is sent without asking anybody, and says so.

use http::Response as HttpResponse;

use super::*;
use crate::support::H2Origin;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_fresh_is_not_asked_for_again() {
    let origin = numbered("cache-control: max-age=60\nx-a: b").await;
    let edge = start("", &origin);
    for over in BOTH {
        let first = get(&edge, over, &path(over), "").await;
        assert_eq!(said(&first), "tidegate; fwd=uri-miss; ttl=60; stored", "{first:?}");
        assert_eq!(first.header("age"), None);
        for _ in 0..2 {
            let hit = get(&edge, over, &path(over), "").await;
            assert!(said(&hit).starts_with("tidegate; hit; ttl="), "{hit:?}");
            assert_eq!((hit.status, hit.text()), (200, first.text()));
            assert_eq!((hit.header("x-a"), age(&hit)), (Some("b"), Some(0)));
            assert_eq!(hit.header("content-length"), Some("1"));
        }
    }
    assert_eq!(origin.requests(), 2);
    let records = edge.stop();
    // Workers write theirs in any order.
    let attempts_of = |word: &str| {
        let of = records.iter().filter(|record| record["cache"] == word);
        of.map(|record| record["attempts"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(attempts_of("miss"), [1, 1]);
    assert_eq!(attempts_of("hit"), [0, 0, 0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_old_is_older_still() {
    let origin = numbered("cache-control: max-age=100\nage: 40").await;
    let edge = start("", &origin);
    for over in BOTH {
        let first = get(&edge, over, &path(over), "").await;
        assert_eq!(said(&first), "tidegate; fwd=uri-miss; ttl=60; stored");
        assert_eq!(age(&first), Some(40));
        let hit = get(&edge, over, &path(over), "").await;
        assert_eq!(age(&hit), Some(40));
        assert_eq!(said(&hit), "tidegate; hit; ttl=60");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_those_of_what_is_stored() {
    let origin = numbered("cache-control: max-age=60\nx-a: b").await;
    let edge = start("", &origin);
    for over in BOTH {
        // Nothing is stored: the server is asked for a head, and not for a body.
        let head = send(&edge, over, "HEAD", &path(over), "").await;
        assert_eq!((head.status, said(&head)), (200, "tidegate; fwd=uri-miss"));
        get(&edge, over, &path(over), "").await;
        let asked = origin.requests();
        let head = send(&edge, over, "HEAD", &path(over), "").await;
        assert!(said(&head).starts_with("tidegate; hit"), "{head:?}");
        assert_eq!((head.header("content-length"), head.header("x-a")), (Some("1"), Some("b")));
        assert_eq!(origin.requests(), asked);
    }
    assert!(origin.received_text().contains("HEAD /H1 HTTP/1.1\r\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_it_is_told_so_by_the_cache() {
    let fields =
        "cache-control: max-age=60\netag: \"a\"\nlast-modified: Sun, 06 Nov 1994 08:49:37 GMT
        content-type: text/plain";
    let origin = numbered(fields).await;
    let edge = start("", &origin);
    for over in BOTH {
        // Also the first, for whom the whole is fetched.
        let first = get(&edge, over, &path(over), "if-none-match: W/\"a\", \"b\"").await;
        assert_eq!((first.status, first.text().as_str()), (304, ""), "{first:?}");
        for (condition, status) in [
            ("if-none-match: \"a\"", 304),
            ("if-none-match: *", 304),
            ("if-none-match: \"b\"", 200),
            ("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", 304),
            ("if-modified-since: Sun, 06 Nov 1994 08:49:36 GMT", 200),
            ("if-none-match: \"b\"\nif-modified-since: Sun, 06 Nov 1994 08:49:37 GMT", 200),
            ("if-match: \"a\"", 200),
            ("if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT", 200),
        ] {
            let answer = get(&edge, over, &path(over), condition).await;
            assert_eq!(answer.status, status, "{condition}");
            assert!(said(&answer).starts_with("tidegate; hit"), "{condition}: {answer:?}");
            assert_eq!(answer.header("etag"), Some("\"a\""));
            let has_body = status == 200;
            assert_eq!(answer.header("content-length").is_some(), has_body, "{condition}");
            assert_eq!(answer.header("content-type").is_some(), has_body, "{condition}");
        }
    }
    assert_eq!(origin.requests(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_another_version_asks_the_server() {
    let fields = "cache-control: max-age=60\netag: \"a\"
        last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let origin = serving(move |request| {
        let conditions = [request.header("if-match"), request.header("if-unmodified-since")];
        match conditions {
            [None, None] => ok(fields, "x"),
            _ => answer("412 Precondition Failed", "", "", 0),
        }
    })
    .await;
    let edge = start("", &origin);
    for over in BOTH {
        get(&edge, over, &path(over), "").await;
        for condition in ["if-match: \"b\"", "if-unmodified-since: Sun, 06 Nov 1994 08:49:36 GMT"] {
            let another = get(&edge, over, &path(over), condition).await;
            assert_eq!((another.status, said(&another)), (412, "tidegate; fwd=request"));
            assert!(said(&get(&edge, over, &path(over), "").await).starts_with("tidegate; hit"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_have_a_say_only_where_the_profile_says_so() {
    let fields = "cache-control: max-age=60\nage: 30\netag: \"a\"";
    let origin = numbered(fields).await;
    let edge = start("", &origin);
    for over in BOTH {
        get(&edge, over, &path(over), "").await;
        for wish in ["no-cache", "no-store", "max-age=0", "min-fresh=50", "only-if-cached"] {
            let hit = get(&edge, over, &path(over), &format!("cache-control: {wish}")).await;
            assert!(said(&hit).starts_with("tidegate; hit"), "{wish}: {hit:?}");
        }
    }
    let edge = start("client_directives: on", &origin);
    for over in BOTH {
        let nothing = get(&edge, over, &path(over), "cache-control: only-if-cached").await;
        assert_eq!(nothing.status, 504);
        get(&edge, over, &path(over), "").await;
        for (wish, expected) in [
            ("only-if-cached", "tidegate; hit"),
            ("max-age=40", "tidegate; hit"),
            ("min-fresh=20", "tidegate; hit"),
            ("no-cache", "tidegate; fwd=request"),
            ("max-age=20", "tidegate; fwd=request"),
            ("min-fresh=50", "tidegate; fwd=request"),
        ] {
            let answer = get(&edge, over, &path(over), &format!("cache-control: {wish}")).await;
            assert!(said(&answer).starts_with(expected), "{wish}: {answer:?}");
        }
    }
    let records = edge.stop();
    assert!(records.iter().any(|record| record["refusal"] == "not_stored"));
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_are_heeded_may_take_what_is_stale() {
    let origin = numbered("cache-control: max-age=60\nage: 70\netag: \"a\"").await;
    for (profile, wish, expected) in [
        ("", "max-stale=20", "tidegate; fwd=stale"),
        ("client_directives: on", "max-stale=20", "tidegate; hit; ttl=-10"),
        ("client_directives: on", "max-stale", "tidegate; hit; ttl=-10"),
        ("client_directives: on", "max-stale=5", "tidegate; fwd=stale"),
    ] {
        let edge = start(profile, &origin);
        for over in BOTH {
            get(&edge, over, &path(over), "").await;
            let answer = get(&edge, over, &path(over), &format!("cache-control: {wish}")).await;
            assert!(said(&answer).starts_with(expected), "{profile} {wish}: {answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_per_client_is_added_after_the_cache() {
    let origin = numbered("cache-control: max-age=60").await;
    let yaml =
        site("").replace("cache: own", "cache: own, headers: { response: { set: { x-own: a } } }");
    let yaml = yaml.replace("outlier: ~", "outlier: ~, sticky: { cookie: s }");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    for over in BOTH {
        let first = get(&edge, over, &path(over), "").await;
        assert!(first.header("set-cookie").is_some_and(|cookie| cookie.starts_with("s=")));
        let hit = get(&edge, over, &path(over), "").await;
        assert_eq!((hit.header("set-cookie"), hit.header("x-own")), (None, Some("a")));
        assert_eq!(hit.header("via"), Some("1.1 tidegate"));
        assert_ne!(hit.header("x-request-id"), first.header("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_ask_gets_nothing_that_is_stored() {
    let origin = numbered("cache-control: max-age=60").await;
    let yaml = site("").replace("cache: own", "cache: own, access: { deny: [127.0.0.8] }");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    get(&edge, Over::H1, "/x", "").await;
    let mut client = Client::connect_from("127.0.0.8", edge.addr()).await;
    client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(client.response().await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_date_is_that_of_the_server() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let fields = "cache-control: max-age=3000000000\ndate: Sun, 06 Nov 1994 08:49:37 GMT";
    let origin = numbered(fields).await;
    let edge = start("", &origin);
    for over in BOTH {
        for _ in 0..2 {
            let answer = get(&edge, over, &path(over), "").await;
            assert_eq!(answer.header("date"), Some(date), "{over:?}");
        }
        let pass = send(&edge, over, "OPTIONS", &path(over), "").await;
        assert_eq!(pass.header("date"), Some(date), "{over:?}");
    }
    assert_eq!(origin.requests(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_of_http2_are_kept_and_asked_too() {
    let origin = H2Origin::scripted(|mut call| async move {
        call.whole().await;
        let head =
            HttpResponse::builder().header("cache-control", "max-age=60").header("etag", "\"a\"");
        let old = if call.request.uri().path() == "/old" { "70" } else { "0" };
        let head = head.header("age", old);
        if call.request.headers().contains_key("if-none-match") {
            return call.only_head(head.status(304).body(()).unwrap());
        }
        call.begin(head.body(()).unwrap()).send_data("whole".into(), true).unwrap();
    })
    .await;
    let yaml = site("").replace("outlier: ~", "outlier: ~, protocol: h2c");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    for over in BOTH {
        get(&edge, over, &path(over), "").await;
        let hit = get(&edge, over, &path(over), "").await;
        assert_eq!((hit.text().as_str(), said(&hit)), ("whole", "tidegate; hit; ttl=60"));
        get(&edge, over, "/old", "").await;
        let validated = get(&edge, over, "/old", "").await;
        assert_eq!(validated.text(), "whole");
        assert!(
            said(&validated).starts_with("tidegate; fwd=stale; fwd-status=304"),
            "{validated:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_body_says_nothing_of_one() {
    let origin =
        serving(|_| "HTTP/1.1 204 No Content\r\ncache-control: max-age=60\r\n\r\n".to_owned())
            .await;
    let edge = start("statuses: { 204: 60s }", &origin);
    for (over, expected) in [(Over::H1, "fwd=uri-miss"), (Over::H1, "hit"), (Over::H2, "hit")] {
        let answer = get(&edge, over, "/", "").await;
        assert_eq!((answer.status, answer.header("content-length")), (204, None), "{over:?}");
        assert_eq!(said(&answer).split("; ").nth(1), Some(expected));
    }
    assert_eq!(origin.requests(), 1);
}
