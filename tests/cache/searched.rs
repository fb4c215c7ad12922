//! Queries that differ in what their server says does not count (No-Vary-Search).

use super::purge::purge;
use super::*;

/// A server that says this of all its queries; its answers are numbered.
async fn saying(field: &'static str) -> Origin {
    numbered(format!("cache-control: max-age=60\nno-vary-search: {field}").leak()).await
}

async fn asked(edge: &Edge, over: Over, query: &str) -> (&'static str, String) {
    let answer = get(edge, over, &format!("{}{query}", path(over)), "").await;
    (said(&answer), answer.text())
}

const MISS: &str = "tidegate; fwd=uri-miss; ttl=60; stored";
const HIT: &str = "tidegate; hit; ttl=60";

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_count_is_as_if_it_were_not_there() {
    let origin = saying("params=(\"utm\"), key-order").await;
    let edge = start("", &origin);
    for (over, first) in BOTH.into_iter().zip([0, 3]) {
        let number = |more: usize| (first + more).to_string();
        assert_eq!(asked(&edge, over, "?a=1&b=2&utm=x").await, (MISS, number(0)));
        for query in ["?b=2&a=1", "?utm=y&a=1&b=2", "?a=1&b=2&utm=x", "?%61=1&b=2"] {
            assert_eq!(asked(&edge, over, query).await, (HIT, number(0)), "{query}");
        }
        assert_eq!(asked(&edge, over, "?a=2&utm=x").await, (MISS, number(1)));
        assert_eq!(asked(&edge, over, "?a=2&utm=y").await, (HIT, number(1)));
        assert_eq!(asked(&edge, over, "").await, (MISS, number(2)));
        assert_eq!(asked(&edge, over, "?utm=1").await, (HIT, number(2)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_profile_drops_is_dropped_before() {
    let origin = saying("params=(\"a\")").await;
    let edge = start("key: { query: { drop: [utm_*] } }", &origin);
    assert_eq!(asked(&edge, Over::H1, "?a=1&utm_x=1").await.0, MISS);
    assert_eq!(asked(&edge, Over::H1, "?utm_y=1&a=2").await, (HIT, "0".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_found_by_what_it_says_itself() {
    // Each says of its path what its query has.
    let origin = serving(|request| {
        let target = request.target();
        let said = match target.split_once("say=") {
            Some((_, "all")) => "no-vary-search: params\n",
            Some((_, "a")) => "no-vary-search: params=(\"a\")\n",
            _ => "",
        };
        let status = if target.contains("gone") { "404 Not Found" } else { "200 OK" };
        let fields = format!("{said}cache-control: max-age=60");
        answer(status, &fields, target, target.len())
    })
    .await;
    let edge = start("statuses: { 404: 1m }", &origin);
    for over in BOTH {
        let own = |query: &str| format!("{}{query}", path(over));
        assert_eq!(asked(&edge, over, "?say=all").await, (MISS, own("?say=all")));
        assert_eq!(asked(&edge, over, "?x=1").await, (HIT, own("?say=all")));
        // An error that does not say it says nothing of others, and is kept under no other name.
        let purged = send(&edge, over, "PURGE", &own("?x=9"), "").await;
        assert_eq!(purged.status, 200);
        let gone = asked(&edge, over, "?gone").await;
        assert_eq!(gone, ("tidegate; fwd=uri-miss", own("?gone")));
        // Another one that says nothing has its name for itself alone, from the next time on.
        assert_eq!(asked(&edge, over, "?y=1").await, ("tidegate; fwd=uri-miss", own("?y=1")));
        assert_eq!(asked(&edge, over, "?y=1").await, (MISS, own("?y=1")));
        assert_eq!(asked(&edge, over, "?y=2").await, (MISS, own("?y=2")));
        // And what one says later holds for what comes after it.
        assert_eq!(asked(&edge, over, "?say=a").await, (MISS, own("?say=a")));
        assert_eq!(asked(&edge, over, "?say=a&a=1").await, (HIT, own("?say=a")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_purged_and_made_worthless_by_any_of_its_urls() {
    let origin = saying("params").await;
    let edge = start("", &origin);
    for (over, first) in BOTH.into_iter().zip([0, 6]) {
        let number = |more: usize| (first + more).to_string();
        assert_eq!(asked(&edge, over, "?a").await, (MISS, number(0)));
        assert_eq!(asked(&edge, over, "?b").await, (HIT, number(0)));
        let url = format!("{}?c", path(over));
        assert_eq!(send(&edge, over, "PURGE", &url, "").await.status, 200);
        assert_eq!(asked(&edge, over, "?b").await, (MISS, number(1)));
        assert_eq!(send(&edge, over, "POST", &url, "").await.text(), number(2));
        assert_eq!(asked(&edge, over, "?a").await, (MISS, number(3)));
        let body = format!("{{\"url\": \"http://a.example{url}\"}}");
        assert_eq!(purge(&edge, &body).status, 200);
        assert_eq!(asked(&edge, over, "?b").await, (MISS, number(4)));
        assert_eq!(asked(&edge, over, "?a").await, (HIT, number(4)));
        // Numbers of the two do not meet.
        send(&edge, over, "OPTIONS", &url, "").await;
    }
}
