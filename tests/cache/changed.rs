//! What a request changes is worthless from then on.

use super::*;

/// Keeps what is asked for, and answers changes with these fields.
async fn changing(fields: &'static str, status: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    serving(move |request| match request.line().starts_with("GET ") {
        true => {
            let body = count.fetch_add(1, Ordering::SeqCst).to_string();
            ok("cache-control: max-age=60\ncache-groups: \"a\"", &body)
        }
        false => answer(status, fields, "", 0),
    })
    .await
}

/// Whether what is stored for this path is still used after a change.
async fn survives(origin: &Origin, over: Over, method: &str, changed: &str, path: &str) -> bool {
    let edge = start("", origin);
    get(&edge, over, path, "").await;
    assert!(said(&get(&edge, over, path, "").await).starts_with("tidegate; hit"));
    send(&edge, over, method, changed, "").await;
    said(&get(&edge, over, path, "").await).starts_with("tidegate; hit")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_makes_what_is_stored_for_its_uri_worthless() {
    let origin = changing("", "200 OK").await;
    for over in BOTH {
        for method in ["POST", "PUT", "DELETE", "PATCH", "MKCOL"] {
            assert!(!survives(&origin, over, method, "/x", "/x").await, "{method}");
        }
    }
    assert!(survives(&origin, Over::H1, "POST", "/y", "/x").await);
    assert!(survives(&origin, Over::H1, "OPTIONS", "/x", "/x").await);
    let failing = changing("", "404 Not Found").await;
    assert!(survives(&failing, Over::H1, "POST", "/x", "/x").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_does_with_what_its_answer_names_of_the_same_origin() {
    for (fields, survives_) in [
        ("location: /x", false),
        ("content-location: http://a.example/x", false),
        ("location: http://a.example/./y/../x", false),
        ("location: http://b.example/x", true),
        ("location: https://a.example/x", true),
    ] {
        let origin = changing(fields, "201 Created").await;
        for over in BOTH {
            assert_eq!(survives(&origin, over, "POST", "/new", "/x").await, survives_, "{fields}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_makes_groups_of_its_origin_worthless() {
    let origin = changing("cache-group-invalidation: \"a\"", "204 No Content").await;
    for over in BOTH {
        assert!(!survives(&origin, over, "POST", "/new", "/x").await);
    }
    let other = changing("cache-group-invalidation: \"b\"", "204 No Content").await;
    assert!(survives(&other, Over::H2, "DELETE", "/new", "/x").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_variants_go_and_on_other_routes_too() {
    let origin = serving(|request| match request.line().starts_with("GET ") {
        true => ok("cache-control: max-age=60\nvary: x-a", request.header("x-a").unwrap_or("")),
        false => answer("200 OK", "", "", 0),
    })
    .await;
    let yaml = site("key: { device: on }").replace(
        "routes: [",
        "routes: [{ match: { path_prefix: /, methods: [POST] }, upstream: app },",
    );
    let edge = Edge::start_with(&yaml, &[("origin", &origin.addr)]);
    let phone = "x-a: 3\nuser-agent: Mozilla/5.0 (iPhone) Mobile";
    for fields in ["x-a: 1", "x-a: 2", phone] {
        get(&edge, Over::H1, "/x", fields).await;
        let hit = get(&edge, Over::H1, "/x", fields).await;
        assert!(said(&hit).starts_with("tidegate; hit"), "{fields}: {hit:?}");
    }
    send(&edge, Over::H1, "POST", "/x", "").await;
    for fields in ["x-a: 1", "x-a: 2", phone] {
        let answer = get(&edge, Over::H1, "/x", fields).await;
        assert!(said(&answer).contains("fwd="), "{fields}: {answer:?}");
    }
}
