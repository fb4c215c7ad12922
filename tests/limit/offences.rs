//! What clients do wrong in any room counts together.

use std::time::Duration;

use serde_json::Value as Json;

use super::*;
use crate::support::{Origin, poll};

fn site(bans: &str) -> String {
    format!(
        "
clients: {{ trusted_proxies: [{PROXY}] }}
listeners: [{{ address: '127.0.0.1:{{port}}' }}]
bans: {bans}
routes:
  - {{ match: {{ path: / }}, respond: {{}} }}
  - {{ match: {{ path: /closed }}, respond: {{}}, access: {{ allow: [10.0.0.0/8] }} }}
"
    )
}

/// A head with two readings.
const MALFORMED: &str =
    "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n";

async fn offend(edge: &Edge, from: &str) -> u16 {
    let mut client = Client::connect_from(from, edge.addr()).await;
    client.send(MALFORMED).await;
    client.response().await.status
}

async fn is_closed(edge: &Edge, from: &str) -> bool {
    try_ask(edge, from, "/", "").await.is_none()
}

/// The bans there are, as `network: how often`.
fn bans(edge: &Edge) -> Vec<String> {
    let told: Vec<Json> = serde_json::from_slice(&edge.admin_get("/api/bans").body).unwrap();
    told.iter()
        .map(|ban| format!("{} {}", ban["network"].as_str().unwrap(), ban["times"]))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_heads_and_scans_get_a_client_banned() {
    let edge = Edge::start(&site("{ after: 3, within: 10m, for: 1h }"));
    for _ in 0..3 {
        assert_eq!(offend(&edge, "127.0.0.2").await, 400);
    }
    assert!(is_closed(&edge, "127.0.0.2").await);
    // A few dead links are nothing; a scan is.
    for _ in 0..29 {
        assert_eq!(status(&edge, "127.0.0.3", "/none").await, 404);
    }
    assert_eq!(status(&edge, "127.0.0.3", "/").await, 200);
    assert_eq!(status(&edge, "127.0.0.3", "/none").await, 404);
    // The record comes after the answer.
    edge.await_metric("tidegate_limit_bans", 2.0);
    assert!(is_closed(&edge, "127.0.0.3").await);
    // All of them together, and what is refused by `access`.
    for (path, expected, times) in [("/none", 404, 18), ("/closed", 403, 1)] {
        for _ in 0..times {
            assert_eq!(status(&edge, "127.0.0.4", path).await, expected);
        }
    }
    assert_eq!(offend(&edge, "127.0.0.4").await, 400);
    edge.await_metric("tidegate_limit_bans", 3.0);
    let offences = ["malformed", "not_found", "forbidden"].map(|offence| {
        edge.metric(&format!("tidegate_limit_offences_total{{offence=\"{offence}\"}}"))
    });
    assert_eq!(offences, [4.0, 48.0, 1.0]);
    edge.await_stderr("banned, the last 127.0.0.2/32 for 3600 s: offences");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_is_not_banned_for_its_clients() {
    let edge = Edge::start(&site("{ after: 1 }"));
    for _ in 0..3 {
        // Whose they are is not known: the head has no one reading.
        assert_eq!(offend(&edge, PROXY).await, 400);
    }
    for _ in 0..10 {
        assert_eq!(behind(&edge, "192.0.2.1", "/none").await, 404);
    }
    poll("the last record", || (!bans(&edge).is_empty()).then_some(()));
    assert_eq!(behind(&edge, "192.0.2.1", "/none").await, 403);
    assert_eq!(behind(&edge, "192.0.2.2", "/").await, 200);
    assert_eq!(bans(&edge), ["192.0.2.1/32 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_number_nobody_is_banned() {
    let edge = Edge::start(&site("{ after: 0, list: [127.0.0.7] }"));
    for _ in 0..50 {
        assert_eq!(offend(&edge, "127.0.0.2").await, 400);
    }
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_does_not_find_counts_too() {
    let app = Origin::scripted(|mut conn| async move {
        while let Some(request) = conn.request().await {
            let status = request.target().trim_start_matches('/').to_owned();
            conn.send(format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n")).await;
        }
    })
    .await;
    let yaml = "
listeners: [{ address: '127.0.0.1:{port}' }]
bans: { after: 1 }
upstreams: { app: { servers: ['{app}'] } }
routes: [{ upstream: app }]
";
    let edge = Edge::start_with(yaml, &[("app", &app.addr)]);
    // Wrong credentials, as a password that is guessed; asking without is how browsers begin.
    let shown = "authorization: Basic YTpi\r\n";
    for (from, path, fields, times, metric) in [
        ("127.0.0.2", "/404", "", 10, "not_found"),
        ("127.0.0.3", "/401", shown, 3, "credentials"),
        ("127.0.0.4", "/401", "", 20, "malformed"),
        ("127.0.0.5", "/500", "", 20, "malformed"),
    ] {
        for _ in 0..times {
            let answer = ask(&edge, from, path, fields).await;
            assert_eq!(format!("/{}", answer.status), path);
        }
        let series = format!("tidegate_limit_offences_total{{offence=\"{metric}\"}}");
        let expected = if metric == "malformed" { 0 } else { times };
        edge.await_metric(&series, f64::from(expected));
    }
    assert_eq!(bans(&edge), ["127.0.0.2/32 1", "127.0.0.3/32 1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_under_way_at_a_ban_bans_nobody_anew() {
    let edge = Edge::start(&site("{ after: 1, within: 10m, for: 1h }"));
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = Client::connect_from("127.0.0.2", edge.addr()).await;
        // So that it has been accepted.
        client.send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
        clients.push(client);
    }
    for mut client in clients {
        client.send(MALFORMED).await;
        client.response().await;
    }
    assert_eq!(bans(&edge), ["127.0.0.2/32 1"]);
}

/// How long two bans last that follow each other, as the error log says it.
async fn banned_twice(keys: &str, seconds: [u64; 2]) {
    let edge = Edge::start(&site(&format!("{{ after: 1, within: 10m, {keys} }}")));
    for seconds in seconds {
        poll("the ban before to end", || bans(&edge).is_empty().then_some(()));
        assert_eq!(offend(&edge, "127.0.0.2").await, 400);
        edge.await_stderr(&format!("1 clients banned, the last 127.0.0.2/32 for {seconds} s"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_lasts_twice_as_long_the_next_time_up_to_the_longest() {
    banned_twice("for: 1s, longest: 1h", [1, 2]).await;
    banned_twice("for: 2s, longest: 3s", [2, 3]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn offences_further_apart_than_the_window_are_not_added() {
    let edge = Edge::start(&site("{ after: 2, within: 100ms, for: 1h }"));
    for _ in 0..5 {
        assert_eq!(offend(&edge, "127.0.0.2").await, 400);
        // It is this time that counts, and nothing else tells that it has passed.
        tokio::time::sleep(Duration::from_millis(101)).await;
    }
    assert_eq!(status(&edge, "127.0.0.2", "/").await, 200);
    assert!(bans(&edge).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_many_use_up_together_is_nobodys_offence() {
    for (key, is_banned) in
        [("client_ip", true), ("client_network", false), ("route", false), ("{ cookie: a }", false)]
    {
        let edge = Edge::start(&format!(
            "
listeners: [{{ address: '127.0.0.1:{{port}}' }}]
bans: {{ after: 1, for: 1h }}
rate_limits: {{ few: {{ rate: 1/h, key: {key} }} }}
routes: [{{ respond: {{}}, rate_limits: [few] }}]
"
        ));
        // They weigh a fifth each.
        for expected in [200, 429, 429, 429, 429, 429] {
            let answer = ask(&edge, "127.0.0.2", "/", "cookie: a=b\r\n").await;
            assert_eq!(answer.status, expected, "{key}");
        }
        // What was wrong is noted before the record is written.
        edge.access_log(6);
        assert_eq!(!bans(&edge).is_empty(), is_banned, "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_are_refused_get_no_visitor_banned() {
    let edge = Edge::start(&site("{ after: 2, within: 10m, for: 1h }"));
    let links = ["/a%2Fb", "/caf%E9", "/sale-50%", "/a%5Cb", "/a%2520b", "/%00", "/..;/a", "/a%0d"];
    for link in links {
        assert_eq!(status(&edge, "127.0.0.2", link).await, 400, "{link}");
    }
    let series = "tidegate_limit_offences_total{offence=\"path\"}";
    edge.await_metric(series, 8.0);
    assert!(bans(&edge).is_empty());
    // A scan is one all the same.
    for _ in 0..12 {
        assert_eq!(status(&edge, "127.0.0.2", "/a%2Fb").await, 400);
    }
    edge.await_metric(series, 20.0);
    assert_eq!(bans(&edge), ["127.0.0.2/32 1"]);
}
