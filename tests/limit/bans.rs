//! Who is shut out, and how operators see and change it.

use serde_json::{Value as Json, json};

use super::*;
use crate::support::{H2Client, poll};

/// Sends a request with this body to the admin listener; what it answers.
async fn admin(edge: &Edge, line: &str, body: &str) -> Response {
    let head = format!(
        "{line} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {}\r\n\
         content-length: {}\r\n\r\n{body}",
        edge.admin(),
        edge.token(),
        body.len()
    );
    Client::ask(edge.admin(), head).await
}

async fn banned(edge: &Edge) -> Vec<Json> {
    let answer = admin(edge, "GET /api/bans", "").await;
    assert_eq!(answer.status, 200);
    serde_json::from_slice(&answer.body).unwrap()
}

/// Whether a connection from here is closed without a word.
async fn is_closed(edge: &Edge, from: &str) -> bool {
    try_ask(edge, from, "/", "").await.is_none()
}

const SITE: &str = "
clients: { trusted_proxies: [127.0.0.9] }
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
rate_limits:
  few: { rate: 1/h, burst: 1, ban: { after: 3, within: 10m, for: 1h } }
routes:
  - { respond: {} }
  - { match: { path: /few }, respond: {}, rate_limits: [few] }
";

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_on_beyond_a_rate_limit_is_shut_out() {
    let edge = Edge::start(SITE);
    let mut early = Client::connect_from("127.0.0.5", edge.addr()).await;
    let mut early_h2 = H2Client::connect_from("127.0.0.5", edge.addr()).await;
    assert_eq!(early_h2.get("http://a.example/").await.response.status, 200);
    for expected in [200, 429, 429, 429] {
        assert_eq!(status(&edge, "127.0.0.5", "/few").await, expected);
    }
    assert!(is_closed(&edge, "127.0.0.5").await);
    // A connection from before is told, and closed; one of a proxy stays.
    early.send("GET / HTTP/1.1\r\nhost: a.example\r\n\r\n").await;
    assert_eq!(early.response().await.status, 403);
    early.expect_closed().await;
    assert_eq!(early_h2.get("http://a.example/").await.response.status, 403);
    early_h2.closed().await.expect("a goodbye");
    let mut proxy = Client::connect_from(PROXY, edge.addr()).await;
    for (client, expected) in [("127.0.0.5", 403), ("127.0.0.6", 200)] {
        let named = format!("x-forwarded-for: {client}\r\n");
        proxy.send(format!("GET / HTTP/1.1\r\nhost: a.example\r\n{named}\r\n")).await;
        assert_eq!(proxy.response().await.status, expected, "{client}");
    }
    assert_eq!(status(&edge, "127.0.0.6", "/").await, 200);
    // A client behind a proxy is banned as any other, and the proxy never.
    for expected in [200, 429, 429, 429, 403] {
        assert_eq!(behind(&edge, "192.0.2.1", "/few").await, expected);
    }
    for expected in [200, 429, 429, 429, 429] {
        assert_eq!(status(&edge, PROXY, "/few").await, expected);
    }
    assert_eq!(status(&edge, PROXY, "/").await, 200);
    edge.await_metric("tidegate_limit_bans", 2.0);
    assert!(edge.metric("tidegate_listen_connections_refused_total{reason=\"banned\"}") >= 1.0);
    edge.await_stderr("banned, the last 127.0.0.5/32 for 3600 s: a rate limit");
    let bans = banned(&edge).await;
    let told = bans.iter().find(|ban| ban["network"] == "127.0.0.5/32").unwrap();
    assert_eq!((&told["reason"], &told["times"]), (&json!("rate_limit"), &json!(1)));
    let records = edge.stop();
    assert_eq!(records.iter().filter(|record| record["refusal"] == "banned").count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_networks_are_shut_out_but_no_trusted_proxy() {
    let edge = Edge::start(
        "
clients: { trusted_proxies: [127.0.1.9] }
listeners: [{ address: '127.0.0.1:{port}' }]
bans: { list: [127.0.1.0/24, '2001:db8::/32'] }
routes: [{ respond: {} }]
",
    );
    assert!(is_closed(&edge, "127.0.1.1").await);
    assert_eq!(status(&edge, "127.0.2.1", "/").await, 200);
    assert_eq!(status(&edge, "127.0.1.9", "/").await, 200);
    for (client, expected) in [("127.0.1.1", 403), ("2001:db8::1", 403), ("192.0.2.1", 200)] {
        let fields = format!("x-forwarded-for: {client}\r\n");
        assert_eq!(ask(&edge, "127.0.1.9", "/", &fields).await.status, expected, "{client}");
    }
    let expected = json!([
        { "network": "127.0.1.0/24", "reason": "list", "times": 1 },
        { "network": "2001:db8::/32", "reason": "list", "times": 1 },
    ]);
    assert_eq!(Json::from(banned(&edge).await), expected);
    // Only the file lets them in again; a ban of their own besides stays until then.
    let line = "DELETE /api/bans/127.0.1.0/24";
    let body = "{\"network\": \"127.0.1.0/24\"}";
    assert_eq!(admin(&edge, "POST /api/bans", body).await.status, 200);
    for _ in 0..2 {
        let answer = admin(&edge, line, "").await;
        assert_eq!((answer.status, answer.text().contains("is in `bans.list`")), (409, true));
        let after = banned(&edge).await;
        assert_eq!(after[2]["reason"], "operator", "nothing is done behind a refusal: {after:?}");
    }
    assert_eq!(admin(&edge, "DELETE /api/bans/127.0.1.1", "").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_bans_and_change_them() {
    let edge = Edge::start(SITE);
    assert!(banned(&edge).await.is_empty());
    for (body, network) in [
        ("{\"network\": \"127.0.3.0/24\", \"for\": \"2h\"}", "127.0.3.0/24"),
        ("{\"network\": \"2001:db8::/64\"}", "2001:db8::/64"),
        ("{\"network\": \"127.0.0.7\"}", "127.0.0.7/32"),
    ] {
        assert_eq!(admin(&edge, "POST /api/bans", body).await.status, 200);
        edge.await_stderr(&format!("banned {network} for "));
    }
    let told = banned(&edge).await;
    assert_eq!((told.len(), &told[0]["network"]), (3, &json!("127.0.3.0/24")), "the longest");
    assert_eq!((&told[0]["reason"], &told[0]["times"]), (&json!("operator"), &json!(1)));
    assert!(told[0]["until"].as_str().unwrap().ends_with('Z'));
    assert!(is_closed(&edge, "127.0.3.200").await && is_closed(&edge, "127.0.0.7").await);
    assert_eq!(behind(&edge, "2001:db8::9", "/").await, 403);
    // A reload changes nothing.
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    assert!(is_closed(&edge, "127.0.3.200").await);
    for line in ["DELETE /api/bans/127.0.3.0/24", "DELETE /api/bans/2001:db8::%2F64"] {
        assert_eq!(admin(&edge, line, "").await.status, 200, "{line}");
        assert_eq!(admin(&edge, line, "").await.status, 404, "{line}");
    }
    edge.await_stderr("let 127.0.3.0/24 in again");
    let inner = admin(&edge, "DELETE /api/bans/127.0.0.7", "").await;
    assert_eq!(inner.status, 200);
    let (wide, inner) = ("{\"network\": \"127.0.0.6/31\"}", "DELETE /api/bans/127.0.0.7");
    assert_eq!(admin(&edge, "POST /api/bans", wide).await.status, 200);
    let told = admin(&edge, inner, "").await;
    assert_eq!(told.status, 404);
    assert_eq!(told.text(), "127.0.0.7/32 is not banned by itself, but 127.0.0.6/31 is\n");
    assert_eq!(status(&edge, "127.0.3.200", "/").await, 200);
    assert_eq!(behind(&edge, "2001:db8::9", "/").await, 200);
    assert!(is_closed(&edge, "127.0.0.7").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_ban_is_refused() {
    let edge = Edge::start(SITE);
    let long = format!("{{\"network\": \"127.0.0.7\", \"for\": \"{}\"}}", "1".repeat(5000));
    for (line, body, status) in [
        ("POST /api/bans", "", 422),
        ("POST /api/bans", "{}", 422),
        ("POST /api/bans", "{\"network\": \"127.0.0.1/8\"}", 422),
        ("POST /api/bans", "{\"network\": \"127.0.0.7\", \"for\": \"1\"}", 422),
        ("POST /api/bans", "{\"network\": \"127.0.0.7\", \"for\": \"0s\"}", 422),
        ("POST /api/bans", "{\"network\": \"127.0.0.7\", \"times\": 1}", 422),
        ("POST /api/bans", "{\"network\": \"0.0.0.0/0\"}", 422),
        ("POST /api/bans", "{\"network\": \"127.0.0.9\"}", 422),
        ("POST /api/bans", &long, 413),
        ("DELETE /api/bans/a", "", 422),
        ("DELETE /api/bans/127.0.0.7", "", 404),
        ("DELETE /api/bans", "", 405),
        ("PUT /api/bans", "", 405),
        ("GET /api/bans/127.0.0.7", "", 405),
        ("GET /api/bans/", "", 404),
    ] {
        assert_eq!(admin(&edge, line, body).await.status, status, "{line} {body:.60}");
    }
    let open = format!("GET /api/bans HTTP/1.1\r\nhost: {}\r\n\r\n", edge.admin());
    assert_eq!(Client::ask(edge.admin(), open).await.status, 401);
    assert!(banned(&edge).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ban_ends() {
    let edge = Edge::start(SITE);
    let body = "{\"network\": \"127.0.0.7\", \"for\": \"1s\"}";
    assert_eq!(admin(&edge, "POST /api/bans", body).await.status, 200);
    poll("the ban to end", || edge.admin_get("/api/bans").text().starts_with("[]").then_some(()));
    assert_eq!(status(&edge, "127.0.0.7", "/").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_shares_an_allowance_is_shut_out_together() {
    let yaml = SITE.replace("{ rate: 1/h,", "{ key: client_network, rate: 1/h,");
    let edge = Edge::start(&yaml);
    for (from, expected) in
        [("127.0.0.5", 200), ("127.0.0.6", 429), ("127.0.0.5", 429), ("127.0.0.7", 429)]
    {
        assert_eq!(status(&edge, from, "/few").await, expected, "{from}");
    }
    for from in ["127.0.0.5", "127.0.0.8"] {
        assert!(is_closed(&edge, from).await, "{from}");
    }
    assert_eq!(status(&edge, "127.0.1.5", "/few").await, 200);
    assert_eq!(status(&edge, PROXY, "/").await, 200, "a trusted proxy");
    assert_eq!(banned(&edge).await[0]["network"], "127.0.0.0/24");
}

#[tokio::test(flavor = "multi_thread")]
async fn bans_that_could_not_be_written_are_written_later() {
    let edge = Edge::start(SITE);
    let file = edge.dir().join("run/bans.json");
    // What is no file cannot be replaced by one.
    std::fs::remove_file(&file).ok();
    std::fs::create_dir(&file).unwrap();
    let body = "{\"network\": \"127.0.0.7\", \"for\": \"1h\"}";
    assert_eq!(admin(&edge, "POST /api/bans", body).await.status, 200);
    edge.await_stderr("bans are not written to ");
    std::fs::remove_dir(&file).unwrap();
    poll("the file of bans", || {
        std::fs::read_to_string(&file).ok().filter(|text| text.contains("127.0.0.7/32"))
    });
    assert_eq!(edge.stderr().matches("bans are not written").count(), 1);
}
