//! What of servers' answers is kept, and what is not.

use super::*;

/// Whether the second of two requests is answered by the cache, and what was
/// said to the first.
async fn keeps(profile: &str, fields: &'static str, request: &str) -> (bool, String) {
    let origin = numbered(fields).await;
    let edge = start(profile, &origin);
    let mut kept = Vec::new();
    let mut told = String::new();
    for over in BOTH {
        told = said(&get(&edge, over, &path(over), request).await).to_owned();
        let second = get(&edge, over, &path(over), request).await;
        kept.push(said(&second).starts_with("tidegate; hit"));
    }
    assert_eq!(kept[0], kept[1], "{fields}");
    (kept[0], told)
}

async fn check(fields: &'static str, expected: &str) {
    let (is_kept, told) = keeps("", fields, "").await;
    assert_eq!(is_kept, expected == "kept", "{fields}: {told}");
    if !is_kept {
        assert_eq!(told, format!("tidegate; fwd=uri-miss; detail={expected}"), "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_say_what_is_kept() {
    for (fields, expected) in [
        ("cache-control: max-age=60", "kept"),
        ("cache-control: s-maxage=60, max-age=0", "kept"),
        ("expires: Thu, 01 Jan 2099 00:00:00 GMT", "kept"),
        ("last-modified: Sun, 06 Nov 1994 08:49:37 GMT", "kept"),
        ("cache-control: no-store, max-age=60", "no-store"),
        ("cache-control: private, max-age=60", "private"),
        ("cache-control: max-age=0", "not-reusable"),
        ("x-a: b", "not-reusable"),
        ("cache-control: max-age=60\nvary: *", "vary"),
        ("cache-control: max-age=60\nvary: x-a\nvary: x-b, *", "vary"),
        ("cache-control: max-age=60\nvary: x-forwarded-for", "vary"),
        ("cache-control: max-age=60\nset-cookie: a=b", "set-cookie"),
        ("cache-control: max-age=60, public\nset-cookie: a=b", "kept"),
        ("cache-control: max-age=60\ncontent-type: text/event-stream", "stream"),
        // What is meant for caches like this one outranks what is meant for all.
        ("cache-control: no-store\ncdn-cache-control: max-age=60", "kept"),
        ("cache-control: max-age=60\ncdn-cache-control: no-store", "no-store"),
        ("cdn-cache-control: no-store\ntidegate-cache-control: max-age=60", "kept"),
    ] {
        check(fields, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_credentials_shares_only_what_is_for_all() {
    let authorised = "authorization: Basic eDp5";
    for (fields, expected) in [
        ("cache-control: max-age=60", false),
        ("cache-control: max-age=60, public", true),
        ("cache-control: s-maxage=60", true),
        ("cache-control: max-age=60, must-revalidate", true),
    ] {
        assert_eq!(keeps("", fields, authorised).await.0, expected, "{fields}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn profiles_say_what_servers_leave_open() {
    assert!(keeps("ttl: 1m", "x-a: b", "").await.0);
    assert!(keeps("statuses: { 200: 1m }", "x-a: b", "").await.0);
    assert!(!keeps("ttl: 1m, statuses: { 200: 0s }", "x-a: b", "").await.0);
    assert!(keeps("policy: strict_rfc", "cache-control: max-age=60\nset-cookie: a=b", "").await.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_kept_where_the_profile_or_the_server_says_how_long() {
    for (profile, fields, is_kept) in [
        ("", "x-a: b", false),
        ("ttl: 1m", "x-a: b", false),
        ("statuses: { 404: 1m }", "x-a: b", true),
        ("", "cache-control: max-age=60", true),
    ] {
        let origin = serving(move |_| answer("404 Not Found", fields, "none", 4)).await;
        let edge = start(profile, &origin);
        for over in BOTH {
            get(&edge, over, &path(over), "").await;
            let second = get(&edge, over, &path(over), "").await;
            assert_eq!(second.status, 404);
            assert_eq!(said(&second).starts_with("tidegate; hit"), is_kept, "{profile} {fields}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_longer_body_than_the_profile_takes_is_not_kept() {
    let origin = serving(|_| ok("cache-control: max-age=60", &"x".repeat(2000))).await;
    let edge = start("max_object: 1KB", &origin);
    for over in BOTH {
        for _ in 0..2 {
            let answer = get(&edge, over, &path(over), "").await;
            assert_eq!(answer.body.len(), 2000);
            assert!(said(&answer).contains("fwd="), "{answer:?}");
        }
    }
    assert_eq!(origin.requests(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_way_are_not_kept_and_those_for_one_client_are_not_shown() {
    let fields = "cache-control: max-age=60, private=\"x-private\", no-cache=\"x-unvalidated\"
        connection: x-hop\nx-hop: 1\nx-private: 1\nx-unvalidated: 1\nkeep-alive: 5\nx-a: 1";
    let origin = numbered(fields).await;
    let edge = start("", &origin);
    for over in BOTH {
        let first = get(&edge, over, &path(over), "").await;
        let hit = get(&edge, over, &path(over), "").await;
        assert!(said(&hit).starts_with("tidegate; hit"));
        for (name, of_first, of_hit) in [
            ("x-a", true, true),
            ("x-private", true, false),
            ("x-unvalidated", true, false),
            ("x-hop", false, false),
            ("keep-alive", false, false),
        ] {
            assert_eq!(first.header(name).is_some(), of_first, "{name}");
            assert_eq!(hit.header(name).is_some(), of_hit, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_got_a_cookie_with_what_is_kept_is_the_only_one() {
    let fields = "cache-control: max-age=60, private=\"set-cookie\"\nset-cookie: a=b";
    let origin = numbered(fields).await;
    let edge = start("", &origin);
    for over in BOTH {
        assert_eq!(get(&edge, over, &path(over), "").await.header("set-cookie"), Some("a=b"));
        let hit = get(&edge, over, &path(over), "").await;
        assert!(said(&hit).starts_with("tidegate; hit"), "{hit:?}");
        assert_eq!(hit.header("set-cookie"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_differ_by_the_fields_that_vary_names() {
    let origin = serving(|request| {
        let language = request.header("accept-language").unwrap_or("none").to_owned();
        ok("cache-control: max-age=60\nvary: Accept-Language", &language)
    })
    .await;
    let edge = start("", &origin);
    for over in BOTH {
        for (language, expected, is_hit) in [
            ("accept-language: en", "en", false),
            ("accept-language: de", "de", false),
            ("accept-language: EN", "en", true),
            ("", "none", false),
            ("accept-language: de", "de", true),
            ("", "none", true),
        ] {
            let answer = get(&edge, over, &path(over), language).await;
            assert_eq!(answer.text(), expected, "{language}");
            assert_eq!(
                said(&answer).starts_with("tidegate; hit"),
                is_hit,
                "{language}: {answer:?}"
            );
        }
    }
    let one = get(&edge, Over::H1, "/H1", "accept-language: fr").await;
    assert_eq!(said(&one), "tidegate; fwd=vary-miss; ttl=60; stored");
}

/// One is not kept: that says nothing of the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_variant_that_is_not_kept_ends_nothing_for_the_others() {
    let origin = serving(|request| match request.header("x-a") {
        Some("private") => ok("cache-control: private\nvary: x-a", "x"),
        _ => ok("cache-control: max-age=60\nvary: x-a", "x"),
    })
    .await;
    let edge = start("", &origin);
    for over in BOTH {
        let ask = async |fields| said(&get(&edge, over, &path(over), fields).await);
        ask("").await;
        assert!(ask("").await.starts_with("tidegate; hit"));
        for _ in 0..3 {
            assert!(ask("x-a: private").await.contains("fwd="));
            assert!(ask("").await.starts_with("tidegate; hit"), "{over:?}");
        }
        // Another one is kept, at the latest when it is known that not all are unfit.
        ask("x-a: 1").await;
        ask("x-a: 1").await;
        assert!(ask("x-a: 1").await.starts_with("tidegate; hit"), "{over:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_can_be_sent_the_same_coding_share_it() {
    let origin = serving(|request| {
        let coding = request.header("accept-encoding").unwrap_or("none").to_owned();
        ok("cache-control: max-age=60\nvary: accept-encoding", &coding)
    })
    .await;
    let edge = start("", &origin);
    let first = get(&edge, Over::H1, "/x", "accept-encoding: gzip, deflate, br;q=0.5").await;
    assert_eq!(first.text(), "br, gzip");
    let hit = get(&edge, Over::H2, "/x", "accept-encoding: br, gzip").await;
    assert!(said(&hit).starts_with("tidegate; hit"), "{hit:?}");
    let plain = get(&edge, Over::H1, "/x", "accept-encoding: deflate").await;
    assert_eq!(plain.text(), "identity");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_without_a_cache_keeps_nothing_and_says_nothing() {
    let origin = numbered("cache-control: max-age=60").await;
    let yaml = site("").replace(
        "routes: [",
        "routes: [{ match: { path_prefix: /off }, upstream: app, cache: off },
  { match: { path_prefix: /default }, upstream: app },",
    );
    let yaml = format!("{yaml}\ndefaults: {{ cache: standard }}");
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    for _ in 0..2 {
        let answer = get(&edge, Over::H1, "/off", "").await;
        assert_eq!(answer.header("cache-status"), None);
    }
    assert_eq!(origin.requests(), 2);
    get(&edge, Over::H1, "/default", "").await;
    let hit = get(&edge, Over::H1, "/default", "").await;
    assert!(said(&hit).starts_with("tidegate; hit"), "{hit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_go_to_the_server() {
    let origin = numbered("cache-control: max-age=60").await;
    let edge = start("", &origin);
    get(&edge, Over::H1, "/x", "").await;
    let answer = send(&edge, Over::H1, "OPTIONS", "/x", "").await;
    assert_eq!(said(&answer), "tidegate; fwd=method");
    assert!(said(&get(&edge, Over::H1, "/x", "").await).starts_with("tidegate; hit"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_never_kept_as_the_whole() {
    let origin = serving(|_| {
        answer(
            "206 Partial Content",
            "cache-control: max-age=60\ncontent-range: bytes 0-0/9",
            "x",
            1,
        )
    })
    .await;
    let edge = start("", &origin);
    for _ in 0..2 {
        let answer = get(&edge, Over::H1, "/x", "").await;
        assert_eq!((answer.status, said(&answer)), (206, "tidegate; fwd=uri-miss; detail=status"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_answers_come_also_with_what_is_kept() {
    let origin = serving(|_| {
        let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>; rel=preload\r\n\r\n";
        format!("{early}{}", ok("cache-control: max-age=60", "x"))
    })
    .await;
    let edge = start("", &origin);
    let mut client = Client::connect(edge.addr()).await;
    client.send("GET /x HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    let early = client.response().await;
    assert_eq!((early.status, early.header("link")), (103, Some("</a>; rel=preload")));
    let answer = client.response().await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "x"));
    let mut client = H2Client::connect(edge.addr()).await;
    let request = HttpRequest::get("http://a.example/y").body(()).unwrap();
    let (mut answer, _) = client.open(request, true).await;
    let early = crate::support::h2_client::interim(&mut answer).await.expect("one");
    assert_eq!(early.status(), 103);
    assert_eq!(crate::support::h2_client::whole(answer).await.unwrap().response.text(), "x");
}
