//! What is stale is asked about, and what the server says of it is joined with
//! what is stored.

use super::*;

/// Gives a whole answer, and 304 with these fields to who has it already.
async fn validating(whole: &'static str, not_modified: &'static str) -> Origin {
    serving(move |request| {
        let has_it = request.header("if-none-match").is_some()
            || request.header("if-modified-since").is_some();
        match has_it {
            true => {
                let fields: String =
                    not_modified.lines().map(|line| format!("{}\r\n", line.trim())).collect();
                format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n")
            }
            false => ok(whole, "whole"),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_304_makes_what_is_stored_fresh_and_its_fields_new() {
    let whole = "cache-control: max-age=60\nage: 70\netag: \"a\"\nx-a: old\nx-b: old
        last-modified: Sun, 06 Nov 1994 08:49:37 GMT";
    let origin = validating(whole, "cache-control: max-age=100\nx-a: new\netag: \"a\"").await;
    let edge = start("", &origin);
    for over in BOTH {
        get(&edge, over, &path(over), "").await;
        let validated = get(&edge, over, &path(over), "").await;
        assert_eq!(said(&validated), "tidegate; fwd=stale; fwd-status=304; ttl=100");
        for answer in [validated, get(&edge, over, &path(over), "").await] {
            assert_eq!((answer.status, answer.text().as_str()), (200, "whole"));
            assert_eq!((answer.header("x-a"), answer.header("x-b")), (Some("new"), Some("old")));
            assert_eq!(age(&answer), Some(0));
        }
        let hit = get(&edge, over, &path(over), "").await;
        assert_eq!(said(&hit), "tidegate; hit; ttl=100");
    }
    assert_eq!(origin.requests(), 4);
    let asked = origin.received_text();
    assert!(asked.contains("if-none-match: \"a\"\r\n"), "{asked}");
    assert!(asked.contains("if-modified-since: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), "{asked}");
    let records = edge.stop();
    // Workers write theirs in any order.
    assert!(records.iter().any(|record| record["cache"] == "revalidated"), "{records:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_of_clients_are_held_against_what_was_validated() {
    let whole = "cache-control: max-age=60\nage: 70\netag: \"a\"";
    let origin = validating(whole, "etag: \"a\"\ncache-control: max-age=0").await;
    let edge = start("", &origin);
    for over in BOTH {
        get(&edge, over, &path(over), "").await;
        for (condition, status) in [
            ("if-none-match: \"a\"", 304),
            ("if-none-match: \"b\"", 200),
            ("if-match: \"a\"", 200),
            ("if-match: \"b\"", 412),
            ("if-unmodified-since: Sun, 06 Nov 1994 08:49:37 GMT", 412),
        ] {
            let answer = get(&edge, over, &path(over), condition).await;
            assert_eq!(answer.status, status, "{condition}: {answer:?}");
            assert_eq!(answer.text(), if status == 200 { "whole" } else { "" }, "{condition}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_304_forbids_to_keep_is_sent_once_more_and_asked_for_again() {
    let whole = "cache-control: max-age=60\nage: 70\netag: \"a\"";
    let origin = validating(whole, "cache-control: no-store\netag: \"a\"").await;
    let edge = start("", &origin);
    for over in BOTH {
        get(&edge, over, &path(over), "").await;
        let validated = get(&edge, over, &path(over), "").await;
        assert_eq!((validated.status, validated.text().as_str()), (200, "whole"));
        let expected = "tidegate; fwd=stale; fwd-status=304; detail=no-store";
        assert_eq!(said(&validated), expected);
        let again = get(&edge, over, &path(over), "").await;
        assert!(said(&again).contains("fwd="), "{again:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_answer_takes_the_place_of_the_stale_one() {
    let origin = numbered("cache-control: max-age=60\nage: 70\netag: \"a\"").await;
    let edge = start("", &origin);
    for over in BOTH {
        let first = get(&edge, over, &path(over), "").await;
        let second = get(&edge, over, &path(over), "").await;
        assert_eq!(said(&second), "tidegate; fwd=stale; ttl=-10; stored");
        assert_ne!(second.text(), first.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cache_is_asked_about_each_time() {
    let whole = "cache-control: no-cache\netag: \"a\"";
    let origin = validating(whole, "etag: \"a\"").await;
    let edge = start("", &origin);
    for over in BOTH {
        for _ in 0..3 {
            let answer = get(&edge, over, &path(over), "").await;
            assert_eq!(answer.text(), "whole");
            assert!(said(&answer).contains("fwd="), "{answer:?}");
        }
    }
    assert_eq!(origin.requests(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_to_a_head_tells_of_what_is_stored() {
    let origin = serving(|request| {
        let is_head = request.line().starts_with("HEAD ");
        let tag = if is_head && request.target() == "/new" { "b" } else { "a" };
        let age = if is_head { 0 } else { 70 };
        let fields = format!("cache-control: max-age=60\nage: {age}\netag: \"{tag}\"");
        answer("200 OK", &fields, if is_head { "" } else { "whole" }, 5)
    })
    .await;
    for over in BOTH {
        let edge = start("", &origin);
        for path in ["/same", "/new"] {
            get(&edge, over, path, "").await;
            let head = send(&edge, over, "HEAD", path, "").await;
            assert_eq!((head.status, said(&head)), (200, "tidegate; fwd=stale"));
        }
        let same = get(&edge, over, "/same", "").await;
        assert_eq!(said(&same), "tidegate; hit; ttl=60");
        let new = get(&edge, over, "/new", "").await;
        assert!(said(&new).starts_with("tidegate; fwd=uri-miss"), "{new:?}");
    }
}
