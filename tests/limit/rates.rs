//! Rates of requests: whose, how many, and what those over them get.

use std::time::{Duration, Instant};

use super::*;

/// `LIMIT` on `/`; nothing else has a limit.
fn limited(limit: &str) -> Edge {
    Edge::start(&site(limit))
}

fn site(limit: &str) -> String {
    format!(
        "
clients: {{ trusted_proxies: [{PROXY}] }}
listeners: [{{ address: '127.0.0.1:{{port}}' }}]
rate_limits: {{ few: {limit} }}
routes:
  - {{ name: bound, respond: {{}}, rate_limits: [few] }}
  - {{ name: other, match: {{ path: /other }}, respond: {{}}, rate_limits: [few] }}
  - {{ name: free, match: {{ path: /free }}, respond: {{}} }}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_over_a_rate_are_rejected_and_told_when_to_come_back() {
    let edge = limited("{ key: client_ip, rate: 1/h, burst: 2, over: reject }");
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    let allowed = ask(&edge, "127.0.0.2", "/other", "").await;
    assert_eq!((allowed.status, allowed.header("ratelimit")), (200, None));
    let rejected = ask(&edge, "127.0.0.2", "/", "").await;
    assert_eq!(rejected.status, 429);
    let seconds: u64 = rejected.header("retry-after").unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&seconds), "{seconds}");
    let left = format!("\"few\";r=0;t={seconds}");
    assert_eq!(rejected.header("ratelimit"), Some(left.as_str()));
    assert_eq!(rejected.header("ratelimit-policy"), Some("\"few\";q=2;w=7200"));
    assert_eq!(status(&edge, "127.0.0.2", "/free").await, 200);
    assert_eq!(status(&edge, "127.0.0.3", "/").await, 200);
    edge.await_metric("tidegate_limit_rejected_total{limit=\"few\"}", 1.0);
    edge.await_metric("tidegate_limit_keys", 2.0);
    let records = edge.stop();
    let record = records.iter().find(|record| record["status"] == 429).unwrap();
    let cause = ["room", "refusal", "rule"].map(|key| record[key].as_str().unwrap());
    assert_eq!(cause, ["limit", "rate", "few"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowance_is_shared_by_its_key() {
    // Two clients of one /24, one of another; one shows a field and a cookie.
    const SHOWN: &str = "x-user: a\r\ncookie: b=c; id=a\r\n";
    for (key, expected) in [
        ("client_ip", [200, 200, 200, 429, 429]),
        ("client_network", [200, 429, 200, 429, 429]),
        ("route", [200, 429, 429, 429, 429]),
        ("{ header: x-user }", [200, 200, 200, 200, 429]),
        ("{ cookie: id }", [200, 200, 200, 200, 429]),
    ] {
        let edge = limited(&format!("{{ key: {key}, rate: 1/h }}"));
        let clients = [
            ("127.0.0.2", ""),
            ("127.0.0.3", ""),
            ("127.0.1.2", ""),
            ("127.0.0.2", SHOWN),
            ("127.0.0.3", SHOWN),
        ];
        let mut found = [0; 5];
        for (found, (from, fields)) in found.iter_mut().zip(clients) {
            *found = ask(&edge, from, "/", fields).await.status;
        }
        assert_eq!(found, expected, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_the_one_behind_a_trusted_proxy() {
    let edge = limited("{ rate: 1/h }");
    for (client, expected) in [
        ("192.0.2.1", 200),
        ("192.0.2.2", 200),
        ("192.0.2.1", 429),
        ("2001:db8::1", 200),
        ("2001:db8::2", 429),
    ] {
        assert_eq!(behind(&edge, client, "/").await, expected, "{client}");
    }
    let forged = "x-forwarded-for: 192.0.2.9\r\n";
    let statuses = [
        ask(&edge, "127.0.0.2", "/", "").await.status,
        ask(&edge, "127.0.0.2", "/", forged).await.status,
    ];
    assert_eq!(statuses, [200, 429], "who is no proxy speaks for nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_has_the_limits_of_defaults_besides_its_own_or_none() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
rate_limits:
  all: { key: client_ip, rate: 4/h }
  own: { key: client_ip, rate: 1/h }
defaults: { rate_limits: [all] }
routes:
  - { respond: {} }
  - { match: { path: /own }, respond: {}, rate_limits: [own] }
  - { match: { path: /free }, respond: {}, rate_limits: none }
",
    );
    // What `own` refuses takes nothing of `all`.
    for (path, expected) in [
        ("/own", 200),
        ("/own", 429),
        ("/own", 429),
        ("/", 200),
        ("/", 200),
        ("/", 200),
        ("/", 429),
        ("/free", 200),
    ] {
        assert_eq!(status(&edge, "127.0.0.2", path).await, expected, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_access_refuses_counts_too() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
rate_limits: { guesses: { rate: 2/h } }
routes: [{ respond: {}, access: { allow: [10.0.0.0/8] }, rate_limits: [guesses] }]
",
    );
    for expected in [403, 403, 429] {
        assert_eq!(status(&edge, "127.0.0.2", "/").await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_delayed_until_it_is_their_turn() {
    let edge = limited("{ rate: 2/s, burst: 1, over: delay, wait: 1m }");
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    }
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    assert!(edge.metric("tidegate_limit_delayed_total{limit=\"few\"}") >= 1.0);
    // Whose turn would come too late is rejected at once.
    let edge = limited("{ rate: 1/h, burst: 1, over: delay, wait: 10s }");
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 429);
    // By default it would wait for more than four seconds.
    let edge = limited("{ rate: 13/min, burst: 1, over: delay, wait: 100ms }");
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 429);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_says_what_is_left_or_none_does() {
    let edge = limited("{ rate: 1/h, burst: 2, headers: all }");
    let allowed = ask(&edge, "127.0.0.2", "/", "").await;
    assert!(allowed.header("ratelimit").unwrap().starts_with("\"few\";r=1;t="), "{allowed:?}");
    assert_eq!(allowed.header("ratelimit-policy"), Some("\"few\";q=2;w=7200"));
    // Answers that other rooms give say it as well, and one of the limit says it once.
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
rate_limits: { few: { rate: 1/h, burst: 2, headers: all } }
routes: [{ respond: {}, access: { allow: [10.0.0.0/8] }, rate_limits: [few] }]
",
    );
    for (expected, left) in [(403, 1), (403, 0), (429, 0)] {
        let refused = ask(&edge, "127.0.0.2", "/", "").await;
        let said: Vec<&str> = refused.all("ratelimit").collect();
        assert_eq!((refused.status, said.len()), (expected, 1));
        assert!(said[0].starts_with(&format!("\"few\";r={left};t=")), "{said:?}");
    }
    let edge = limited("{ rate: 1/h, headers: none }");
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    let rejected = ask(&edge, "127.0.0.2", "/", "").await;
    assert_eq!((rejected.status, rejected.header("ratelimit")), (429, None));
    assert!(rejected.header("retry-after").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_keeps_what_was_taken_of_limits_that_stay_the_same() {
    let edge = limited("{ rate: 1/h, burst: 1 }");
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    for (limit, expected) in
        [("{ rate: 1/h, burst: 1, headers: all }", 429), ("{ rate: 1/h, burst: 2 }", 200)]
    {
        edge.write_config(&site(limit));
        assert_eq!(edge.admin_post("/api/reload").status, 200);
        assert_eq!(status(&edge, "127.0.0.2", "/").await, expected, "{limit}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn preflights_count_as_well() {
    let edge = Edge::start(
        "
listeners: [{ address: '127.0.0.1:{port}' }]
rate_limits: { few: { rate: 1/h, burst: 2 } }
routes: [{ respond: {}, rate_limits: [few], cors: { origins: [https://a.example] } }]
",
    );
    for expected in [204, 204, 429] {
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        let fields = "origin: https://a.example\r\naccess-control-request-method: GET\r\n";
        client.send(format!("OPTIONS / HTTP/1.1\r\nhost: a.example\r\n{fields}\r\n")).await;
        assert_eq!(client.response().await.status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_a_key_twice_counts_by_client() {
    for (key, [one, two]) in [
        ("{ header: x-user }", ["x-user: a\r\nx-user: b\r\n", "x-user: a\r\nx-user: c\r\n"]),
        ("{ cookie: id }", ["cookie: id=b; id=a\r\n", "cookie: id=c; id=a\r\n"]),
    ] {
        let edge = limited(&format!("{{ key: {key}, rate: 1/h }}"));
        assert_eq!(ask(&edge, "127.0.0.2", "/", one).await.status, 200, "{key}");
        assert_eq!(ask(&edge, "127.0.0.2", "/", two).await.status, 429, "{key}");
        assert_eq!(status(&edge, "127.0.0.2", "/").await, 429, "{key}");
    }
}
