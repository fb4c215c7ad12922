//! The admin listener: who may ask, and what it says.

use serde_json::Value as Json;

use crate::support::{Client, Edge, Origin, Response, poll, ports};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}' }]
routes: [{ respond: { status: 200 } }]
";

/// Asks with these fields besides Host and the end of the connection.
async fn ask(edge: &Edge, line: &str, fields: &str) -> Response {
    let host = edge.admin();
    ask_as(edge, &host.to_string(), line, fields).await
}

async fn ask_as(edge: &Edge, host: &str, line: &str, fields: &str) -> Response {
    let head = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{fields}\r\n");
    Client::ask(edge.admin(), head).await
}

fn bearer(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_health_and_metrics_are_open() {
    let edge = Edge::start(SITE);
    let token = edge.token();
    for (path, text) in [("/healthz", "ok\n"), ("/readyz", "ready\n")] {
        let answer = ask(&edge, &format!("GET {path}"), "").await;
        assert_eq!((answer.status, answer.text().as_str()), (200, text));
        let mut client = Client::connect(edge.admin()).await;
        let head =
            format!("HEAD {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", edge.admin());
        client.send(head).await;
        let answer = Response::whole(&client.read_to_end().await);
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
    }
    let metrics = ask(&edge, "GET /metrics", "").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(metrics.text().contains("# TYPE tidegate_proxy_requests_total counter"));
    for line in [
        "GET /api/config",
        "GET /api/upstreams",
        "POST /api/reload",
        "POST /healthz",
        "GET /",
        "GET /healthz/",
        "GET /none",
    ] {
        for fields in [
            String::new(),
            bearer("wrong-token-0123456789abcd"),
            bearer(token.strip_prefix("t").unwrap()),
            bearer(&format!("{token}x")),
            bearer(""),
            format!("authorization: Basic {token}\r\n"),
            format!("authorization: {token}\r\n"),
        ] {
            let answer = ask(&edge, line, &fields).await;
            assert_eq!(answer.status, 401, "{line} {fields}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"tidegate\""));
            assert!(!answer.text().contains(token));
        }
    }
    assert!(!edge.stderr().contains("reloaded"));
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_and_methods_that_are_not_there_are_told() {
    let edge = Edge::start(SITE);
    for (line, status, allow) in [
        ("GET /none", 404, None),
        ("POST /api/none", 404, None),
        ("GET /healthz/", 404, None),
        ("POST /healthz", 405, Some("GET, HEAD")),
        ("DELETE /metrics", 405, Some("GET, HEAD")),
        ("PUT /readyz", 405, Some("GET, HEAD")),
        ("POST /api/config", 405, Some("GET")),
        ("DELETE /api/upstreams", 405, Some("GET")),
        ("GET /api/reload", 405, Some("POST")),
        ("PUT /api/reload", 405, Some("POST")),
    ] {
        let answer =
            ask(&edge, line, &format!("{}content-length: 0\r\n", bearer(edge.token()))).await;
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{line}");
    }
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_in_a_browser_cannot_drive_it() {
    let edge = Edge::start(SITE);
    let port = edge.admin().port();
    let token = bearer(edge.token());
    // A name of the attacker's that resolves to loopback, and its like.
    for host in [
        format!("evil.example:{port}"),
        "evil.example".to_owned(),
        format!("localhost.evil.example:{port}"),
        format!("evil.example@127.0.0.1:{port}"),
        "127.0.0.1".to_owned(),
        format!("127.0.0.1:{}", port.wrapping_add(1)),
        format!("0.0.0.0:{port}"),
        String::new(),
    ] {
        for line in ["GET /healthz", "GET /api/config", "POST /api/reload"] {
            let answer = ask_as(&edge, &host, line, &token).await;
            assert!(matches!(answer.status, 400 | 421), "{line} {host}: {}", answer.status);
        }
    }
    for host in [format!("127.0.0.1:{port}"), format!("localhost:{port}"), format!("[::1]:{port}")]
    {
        assert_eq!(ask_as(&edge, &host, "GET /healthz", "").await.status, 200, "{host}");
        let own = format!("{token}origin: http://{host}\r\ncontent-length: 0\r\n");
        assert_eq!(ask_as(&edge, &host, "POST /api/reload", &own).await.status, 200, "{host}");
    }
    // A form or a script of another site; also one that has got at the token.
    for origin in [
        "http://evil.example".to_owned(),
        format!("http://evil.example:{port}"),
        format!("https://127.0.0.1:{port}"),
        format!("http://127.0.0.1:{}", port.wrapping_add(1)),
        "http://127.0.0.1".to_owned(),
        format!("http://127.0.0.1:{port}.evil.example"),
        "null".to_owned(),
        String::new(),
    ] {
        for line in ["POST /api/reload", "GET /api/config", "GET /metrics"] {
            let fields = format!("{token}origin: {origin}\r\ncontent-length: 0\r\n");
            assert_eq!(ask(&edge, line, &fields).await.status, 403, "{line} {origin:?}");
        }
    }
    let answer = ask(&edge, "GET /healthz", "").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("x-frame-options"), Some("DENY"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn listed_names_are_hosts_on_every_address() {
    let listed = "admin: { listen: '0.0.0.0:{admin}', hosts: [Edge.internal, '203.0.113.5'] }\n";
    let edge = Edge::start(&format!("{listed}{SITE}"));
    let port = edge.admin().port();
    let token = bearer(edge.token());
    for (host, status) in [
        (format!("edge.internal:{port}"), 200),
        // Another port leads here.
        ("edge.internal".to_owned(), 200),
        ("EDGE.internal:30080".to_owned(), 200),
        ("203.0.113.5:30080".to_owned(), 200),
        (format!("127.0.0.1:{port}"), 200),
        (format!("198.51.100.7:{port}"), 200),
        ("198.51.100.7:1".to_owned(), 421),
        (format!("evil.example:{port}"), 421),
        (format!("edge.internal.evil.example:{port}"), 421),
        (format!("0.0.0.0:{port}"), 421),
    ] {
        for line in ["GET /healthz", "GET /api/config", "POST /api/reload"] {
            let fields = format!("{token}content-length: 0\r\n");
            assert_eq!(ask_as(&edge, &host, line, &fields).await.status, status, "{line} {host}");
        }
        let https = format!("{token}origin: https://{host}\r\ncontent-length: 0\r\n");
        let expected = match status {
            200 if host.to_ascii_lowercase().starts_with("edge") || host.starts_with("203") => 200,
            200 => 403,
            other => other,
        };
        let answer = ask_as(&edge, &host, "POST /api/reload", &https).await;
        assert_eq!(answer.status, expected, "https://{host}");
    }
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn where_others_can_ask_reading_needs_the_token_too() {
    let edge = Edge::start(&format!("admin: {{ listen: '0.0.0.0:{{admin}}' }}\n{SITE}"));
    for path in ["/healthz", "/readyz", "/metrics"] {
        let answer = ask(&edge, &format!("GET {path}"), "").await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"tidegate\""));
        let answer = ask(&edge, &format!("GET {path}"), &bearer(edge.token())).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (200, None), "{path}");
    }
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_is_told_with_who_asked() {
    let edge = Edge::start(SITE);
    assert_eq!(edge.admin_post("/api/reload").status, 200);
    edge.await_stderr("reloaded the site");
    edge.write_config(&SITE.replace("status: 200", "status: 999"));
    assert_eq!(edge.admin_post("/api/reload").status, 422);
    edge.await_stderr("asked for a reload, refused");
    let audit: Vec<String> = edge
        .stderr()
        .lines()
        .filter_map(|line| Some(line.split_once("tidegate::control::admin: admin: ")?.1.to_owned()))
        .collect();
    assert_eq!(audit.len(), 2, "{audit:#?}");
    assert!(audit.iter().all(|line| line.starts_with("127.0.0.1:")), "{audit:#?}");
    assert!(audit[1].contains("routes[0].respond.status"), "{audit:#?}");
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_configuration_is_shown_without_secrets() {
    let headers = "{ request: { set: { x-key: tell-nobody }, add: { x-add: tell-nobody } }, \
                     response: { set: { x-shown: to-all } } }";
    let headers = format!("{SITE}defaults: {{ headers: {headers} }}\n");
    let route = "routes: [{ match: { path: /app }, upstream: app, headers: { request: \
                 { set: { authorization: tell-nobody }, remove: [x-debug] } } }, {";
    let app = "upstreams: { app: { servers: ['127.0.0.1:1'] } }\n";
    let edge = Edge::start(&headers.replace("routes: [{", &format!("{app}{route}")));
    let answer = edge.admin_get("/api/config");
    assert!(!answer.text().contains("tell-nobody"), "{}", answer.text());
    let config: Json = serde_json::from_slice(&answer.body).unwrap();
    let (defaults, route) = (&config["defaults"]["headers"], &config["routes"][0]["headers"]);
    assert_eq!(route["request"]["set"]["authorization"], "***");
    assert_eq!(route["request"]["remove"][0], "x-debug");
    assert_eq!(
        (&defaults["request"]["set"]["x-key"], &defaults["request"]["add"]["x-add"]),
        (&"***".into(), &"***".into())
    );
    assert_eq!(defaults["response"]["set"]["x-shown"], "to-all");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert!(!answer.text().contains(edge.token()));
    let config: Json = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(config["listeners"][0]["address"], format!("{}", edge.addr()));
    assert_eq!(config["server"]["connections_per_client"], 1024, "defaults are shown");
    assert_eq!(config["routes"][1]["respond"]["status"], 200);
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_shown_with_their_health_and_why() {
    let good = Origin::ok().await;
    let failing = Origin::answering("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n").await;
    let closed = format!("127.0.0.1:{}", ports::free::<1>()[0]);
    let site = "
listeners: [{ address: '127.0.0.1:{port}' }]
upstreams:
  app:
    required: true
    servers:
      - { address: '{good}', weight: 3 }
      - { address: '{failing}', backup: true }
      - '{closed}'
    health: { http: { path: /healthz }, interval: 100ms, fall: 1 }
routes: [{ upstream: app }]
";
    let edge = Edge::start_with(
        site,
        &[("good", &good.addr), ("failing", &failing.addr), ("closed", &closed)],
    );
    let servers = poll("two unhealthy servers", || {
        let status: Json = serde_json::from_slice(&edge.admin_get("/api/upstreams").body).unwrap();
        let servers = status["app"].as_array().unwrap().clone();
        let down = servers.iter().filter(|server| server["healthy"] == false).count();
        (down == 2).then_some(servers)
    });
    assert_eq!(servers[0]["name"], good.addr.to_string());
    assert_eq!((&servers[0]["healthy"], &servers[0]["why"]), (&true.into(), &Json::Null));
    assert_eq!((&servers[0]["weight"], &servers[1]["backup"]), (&3.into(), &true.into()));
    assert!(servers[1]["why"].as_str().unwrap().contains("500"), "{servers:#?}");
    assert!(servers[2]["why"].as_str().unwrap().contains("refused"), "{servers:#?}");
    assert_eq!(edge.admin_get("/readyz").status, 200);
    drop(good);
    poll("the last server to fail", || (edge.admin_get("/readyz").status == 503).then_some(()));
    assert_eq!(edge.admin_get("/readyz").text(), "no server: app\n");
    assert_eq!(edge.admin_get("/healthz").status, 200, "alive, though not ready");
    edge.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn its_heads_have_bounds_too() {
    let edge = Edge::start(SITE);
    let long = "x".repeat(70_000);
    let many = "x: y\r\n".repeat(200);
    let host = edge.admin();
    for head in [
        format!("GET /{long} HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nx: {long}\r\n\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n{many}\r\n"),
        format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nhost: evil.example\r\n\r\n"),
        "GET /healthz HTTP/1.1\r\n\r\n".to_owned(),
        format!("GET http://evil.example/healthz HTTP/1.1\r\nhost: {host}\r\n\r\n"),
        format!(
            "POST /api/reload HTTP/1.1\r\nhost: {host}\r\n{}content-length: 4\r\n\
             transfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            bearer(edge.token())
        ),
        format!(
            "GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\n\
             upgrade: websocket\r\n\r\n"
        ),
    ] {
        let mut client = Client::connect(edge.admin()).await;
        client.try_send(&head).await.ok();
        let answer = Response::whole(&client.read_to_end().await);
        let shown: String = head.chars().take(60).collect();
        assert!((400..500).contains(&answer.status), "{shown}: {}", answer.status);
    }
    assert!(!edge.stderr().contains("reloaded"));
    assert_eq!(edge.admin_get("/healthz").status, 200);
    edge.stop();
}
