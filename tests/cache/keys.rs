//! Which requests are one.

use super::*;

/// Whether the second of two requests has what was stored for the first.
async fn is_one(profile: &str, first: (&str, &str), second: (&str, &str)) -> bool {
    let origin = numbered("cache-control: max-age=60").await;
    let edge = start(profile, &origin);
    // Whatever each of them speaks.
    get(&edge, Over::H1, first.0, first.1).await;
    let answer = get(&edge, Over::H2, second.0, second.1).await;
    said(&answer).starts_with("tidegate; hit")
}

async fn check(profile: &str, first: &str, second: &str, expected: bool) {
    let found = is_one(profile, (first, ""), (second, "")).await;
    assert_eq!(found, expected, "{profile}: {first} {second}");
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_queries_are_told_apart() {
    check("", "/x?a=1", "/x?a=1", true).await;
    check("", "/x?a=1", "/x?a=2", false).await;
    check("", "/x", "/x?", false).await;
    check("", "/x", "/X", false).await;
    check("", "/x/../y", "/y", true).await;
    check("", "/%78", "/x", true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_counts_of_a_query_the_profile_says() {
    let drop = "key: { query: { drop: [utm_*] } }";
    check(drop, "/x?a=1&utm_b=2", "/x?a=1", true).await;
    check(drop, "/x?a=1&b=2", "/x?a=1", false).await;
    let keep = "key: { query: { keep: [a] } }";
    check(keep, "/x?a=1&b=2", "/x?a=1", true).await;
    check(keep, "/x?a=1", "/x?a=2", false).await;
    check("key: { query: { sort: on } }", "/x?a=1&b=2", "/x?b=2&a=1", true).await;
    check("", "/x?a=1&b=2", "/x?b=2&a=1", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_devices_tell_requests_apart_where_the_profile_says_so() {
    let phone = "user-agent: Mozilla/5.0 (iPhone) Mobile";
    for (profile, fields, expected) in [
        ("", "x-a: 1", true),
        ("key: { headers: [x-a] }", "x-a: 1", false),
        ("", phone, true),
        ("key: { device: on }", phone, false),
    ] {
        assert_eq!(is_one(profile, ("/x", ""), ("/x", fields)).await, expected, "{profile}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_routes_are_told_apart() {
    let origin = numbered("cache-control: max-age=60").await;
    let yaml = site("").replace(
        "routes: [",
        "routes: [{ match: { headers: { x-b: '*' } }, upstream: app, cache: own },",
    );
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    let ask = async |host: &str, fields: &str| {
        let head = format!("GET /x HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n");
        said(&Client::ask(edge.addr(), head).await).starts_with("tidegate; hit")
    };
    assert!(!ask("a.example", "").await);
    assert!(ask("A.example", "").await);
    assert!(ask("a.example:80", "").await);
    assert!(!ask("b.example", "").await);
    assert!(!ask("a.example:81", "").await);
    assert!(!ask("a.example", "x-b: 1\r\n").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_scheme_is_what_the_server_is_told() {
    let origin = numbered("cache-control: max-age=60").await;
    let yaml = format!("{}\nclients: {{ trusted_proxies: [127.0.0.9] }}", site(""));
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    let ask = async |from: &str, proto: &str| {
        let mut client = Client::connect_from(from, edge.addr()).await;
        let head =
            format!("GET /x HTTP/1.1\r\nhost: a.example\r\nx-forwarded-proto: {proto}\r\n\r\n");
        client.send(head).await;
        said(&client.response().await).starts_with("tidegate; hit")
    };
    assert!(!ask("127.0.0.9", "https").await);
    assert!(ask("127.0.0.9", "https").await);
    assert!(!ask("127.0.0.9", "http").await);
    // Nobody else is believed.
    assert!(ask("127.0.0.8", "https").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_of_who_asks_is_not_shared() {
    let origin = numbered("cache-control: max-age=60").await;
    let verdict =
        Origin::answering("HTTP/1.1 200 OK\r\nx-user: ann\r\ncontent-length: 0\r\n\r\n").await;
    let yaml = site("").replace(
        "cache: own }",
        "cache: own, access: { forward: { url: 'http://{verdict}/', headers: [x-user] } } }",
    );
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("verdict", &verdict.addr)];
    let edge = Edge::start_with(&yaml, &places);
    for _ in 0..2 {
        let answer = get(&edge, Over::H1, "/x", "").await;
        assert_eq!(said(&answer), "tidegate; fwd=uri-miss; detail=authorization");
    }
}

/// A server that says what it was asked for.
async fn telling() -> Origin {
    serving(|request| {
        let of = |name| request.header(name).unwrap_or("none").to_owned();
        let told = [of("host"), of("x-forwarded-host"), of("x-http-method-override")];
        ok("cache-control: max-age=60", &told.join(" "))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_for_what_the_key_has() {
    let origin = telling().await;
    let edge = start("", &origin);
    let ask = async |host: &str, path: &str| {
        let mut client = Client::connect(edge.addr()).await;
        let fields =
            "connection: close\r\nx-http-method-override: DELETE\r\nx-original-url: /other";
        client.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{fields}\r\n\r\n")).await;
        client.response().await
    };
    for (index, host) in ["A.example", "a.example.", "a.example:80"].into_iter().enumerate() {
        let path = format!("/{index}");
        let first = ask(host, &path).await;
        assert_eq!(first.text(), "a.example a.example none", "{host}");
        assert!(said(&ask("a.example", &path).await).starts_with("tidegate; hit"), "{host}");
    }
    assert_eq!(ask("a.example:8080", "/x").await.text(), "a.example:8080 a.example:8080 none");
    // What the key has is what the server is to know.
    let edge = start("key: { headers: [x-http-method-override] }", &origin);
    let answer = get(&edge, Over::H2, "/", "x-http-method-override: PUT").await;
    assert_eq!(answer.text(), "a.example a.example PUT");
}
