//! How long what is kept is fresh, and how old it is.

use super::*;

/// What is said to the first request, and whether the second one finds it.
async fn check(fields: &'static str, expected: &str) {
    let origin = numbered(fields).await;
    let edge = start("", &origin);
    for over in BOTH {
        let first = get(&edge, over, &path(over), "").await;
        let second = get(&edge, over, &path(over), "").await;
        if expected == OLD {
            assert!(said(&first).contains("ttl=-"), "{over:?} {fields}: {first:?}");
            assert!(said(&second).contains("fwd="), "{over:?} {fields}: {second:?}");
            continue;
        }
        let (told, hit) = match expected.strip_prefix("ttl=") {
            Some(_) => (format!("{expected}; stored"), format!("tidegate; hit; {expected}")),
            None => (expected.to_owned(), format!("tidegate; fwd=uri-miss; {expected}")),
        };
        assert_eq!(said(&first), format!("tidegate; fwd=uri-miss; {told}"), "{over:?} {fields}");
        assert_eq!(said(&second), hit, "{over:?} {fields}");
    }
}

const UNFIT: &str = "detail=not-reusable";
/// It is stale as it comes, and at best kept for a server that cannot be reached.
const OLD: &str = "old";

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_said_twice_the_first_counts_and_what_does_not_read_is_stale() {
    for (fields, expected) in [
        ("cache-control: max-age=60, max-age=0", "ttl=60"),
        ("cache-control: max-age=60\ncache-control: max-age=600", "ttl=60"),
        ("cache-control: max-age=0, max-age=60", UNFIT),
        ("cache-control: max-age=6x\nexpires: Thu, 01 Jan 2099 00:00:00 GMT", UNFIT),
        ("cache-control: s-maxage=x, max-age=60", UNFIT),
        ("expires: 0", UNFIT),
        ("expires: 0\nexpires: Thu, 01 Jan 2099 00:00:00 GMT", UNFIT),
        ("cache-control: x=\"no-store, max-age=0\", max-age=60", "ttl=60"),
        ("cache-control: max-age=60, no-store, must-understand", "ttl=60"),
    ] {
        check(fields, expected).await;
    }
}

/// The server's clock is wrong here by years, so that nothing else gives these numbers.
#[tokio::test(flavor = "multi_thread")]
async fn expires_and_last_modified_count_from_date() {
    for (fields, expected) in [
        ("date: Sun, 01 Jan 2090 00:00:00 GMT\nexpires: Sun, 01 Jan 2090 01:00:00 GMT", "ttl=3600"),
        ("expires: Fri, 1 Jan 2090 1:00:00 GMT", UNFIT),
        ("date: sun, 01 jan 2090 00:00:00 gmt\nexpires: Fri, 01 jan 2090 01:00:00 gmt", "ttl=3600"),
        (
            "date: Sun, 01 Jan 2090 00:00:00 GMT\nlast-modified: Sat, 31 Dec 2089 14:00:00 GMT",
            "ttl=3600",
        ),
    ] {
        check(fields, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_in_the_past_and_an_age_are_time_that_is_over() {
    let past = "date: Sun, 06 Nov 1994 08:49:37 GMT";
    for fields in ["cache-control: max-age=60", "expires: Sun, 06 Nov 1994 09:49:37 GMT"] {
        check(format!("{past}\n{fields}").leak(), OLD).await;
    }
    for (fields, expected) in
        [("age: 40\nage: 90", "ttl=60"), ("age: x", "ttl=100"), ("age: 130", OLD)]
    {
        check(format!("cache-control: max-age=100\n{fields}").leak(), expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_has_one_age() {
    let origin = serving(|request| {
        let is_known = request.header("if-none-match").is_some();
        let age = if is_known { 20 } else { 140 };
        let fields = format!("cache-control: max-age=100\netag: \"a\"\nage: {age}");
        match is_known {
            true => answer("304 Not Modified", &fields, "", 1),
            false => ok(&fields, "x"),
        }
    })
    .await;
    let edge = start("", &origin);
    for over in BOTH {
        for (expected, told) in [
            (140, "tidegate; fwd=uri-miss; ttl=-40; stored"),
            (20, "tidegate; fwd=stale; fwd-status=304; ttl=80"),
            (20, "tidegate; hit; ttl=80"),
        ] {
            let answer = get(&edge, over, &path(over), "").await;
            assert_eq!((age(&answer), said(&answer)), (Some(expected), told), "{over:?}");
            assert_eq!((answer.all("age").count(), answer.text().as_str()), (1, "x"), "{over:?}");
        }
    }
}
