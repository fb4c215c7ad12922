//! What a server is asked instead of what the client asked.

use super::ask;
use crate::support::origin::Request;
use crate::support::{Client, Edge, Origin};

const SITE: &str = "
listeners: [{ address: '127.0.0.1:{port}', protocols: [h1, h2c] }]
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - match: { path_prefix: /strip }
    upstream: app
    rewrite: { strip_prefix: /strip }
  - match: { path_prefix: /add/ }
    upstream: app
    rewrite: { add_prefix: /v1 }
  - match: { path_prefix: /both/ }
    upstream: app
    rewrite: { strip_prefix: /both, add_prefix: /v1/x }
  - match: { path: /one }
    upstream: app
    rewrite: { path: /index.html }
  - match: { path_prefix: /rest/ }
    upstream: app
    rewrite: { path: '/new/{rest}' }
  - match: { path_prefix: /ask/ }
    upstream: app
    rewrite: { path: '/app?p={path}&h={host}' }
  - match: { path_prefix: /forget/ }
    upstream: app
    rewrite: { path: '/all?' }
  - match: { path_regex: '/u/([^/]+)/(.*)' }
    upstream: app
    rewrite: { path: '/{2}/by/{1}' }
  - match: { path_prefix: /img/ }
    upstream: app
    rewrite: { regex: '/([0-9]+)x([0-9]+)/', replace: '/{2}/{1}/' }
  - match: { path_prefix: /host/ }
    upstream: app
    rewrite: { host: 'app.internal:8080' }
  - upstream: app
";

async fn start() -> (Origin, Edge) {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    (origin, edge)
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_are_asked_for_the_rewritten_path() {
    let (_origin, edge) = start().await;
    let mut paths = Vec::new();
    for (asked, expected) in [
        ("/strip/a/b?q=1&r=/strip/x", "/a/b?q=1&r=/strip/x"),
        ("/strip/", "/"),
        ("/strip", "/"),
        ("/strip/strip/x", "/strip/x"),
        ("/add/x/?", "/v1/add/x/?"),
        ("/both/", "/v1/x/"),
        ("/both/y?q", "/v1/x/y?q"),
        ("/one?q=1", "/index.html?q=1"),
        ("/rest/a%20b/c", "/new/a%20b/c"),
        ("/rest/", "/new/"),
        ("/ask/x&y=z?q=1", "/app?p=/ask/x%26y%3Dz&h=a.example&q=1"),
        ("/forget/x?q=1", "/all"),
        ("/u/ann/p/1?q", "/p/1/by/ann?q"),
        ("/img/a/10x20/b/3x4/c", "/img/a/20/10/b/4/3/c"),
        ("/img/plain", "/img/plain"),
        ("/host/x?q", "/host/x?q"),
        ("/else?q", "/else?q"),
    ] {
        for answer in ask(&edge, &format!("GET a.example{asked}")).await {
            assert_eq!(Request::echoed(&answer).target(), expected, "{asked}");
            paths.push(asked.split('?').next().unwrap());
        }
    }
    // The log has what the clients asked for.
    let records = edge.stop();
    let mut logged: Vec<_> = records.iter().map(|r| r["path"].as_str().unwrap()).collect();
    logged.sort_unstable();
    paths.sort_unstable();
    assert_eq!(logged, paths);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_client_makes_a_path_that_starts_like_a_host_or_climbs() {
    let (_origin, edge) = start().await;
    for (asked, expected) in [
        ("/strip//evil.example/x", "/evil.example/x"),
        ("/strip/./x", "/x"),
        ("/rest//evil.example", "/new/evil.example"),
        ("/u/x//evil.example", "/evil.example/by/x"),
        ("/img/%31x2/", "/img/2/1/"),
    ] {
        for answer in ask(&edge, &format!("GET a.example{asked}")).await {
            assert_eq!(Request::echoed(&answer).target(), expected, "{asked}");
        }
    }
    for asked in ["/strip/../../x", "/rest/%2e%2e/x", "/u/..%2f/x", "/img/%0d%0ax:%20y"] {
        for answer in ask(&edge, &format!("GET a.example{asked}")).await {
            assert_eq!(answer.status, 400, "{asked}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_get_the_clients_host_unless_a_rewrite_names_another() {
    let (_origin, edge) = start().await;
    for (asked, host) in [
        ("GET A.example:8080/host/x", "app.internal:8080"),
        ("GET a.example:8080/else", "a.example:8080"),
        ("GET a.example/strip/x", "a.example"),
    ] {
        let client = asked.split(['/', ' ']).nth(1).unwrap().to_lowercase();
        for answer in ask(&edge, asked).await {
            let seen = Request::echoed(&answer);
            assert_eq!(seen.all("host").collect::<Vec<_>>(), [host], "{asked}");
            // What the client asked for is told in any case.
            assert_eq!(seen.header("x-forwarded-host"), Some(client.as_str()), "{asked}");
        }
    }
    let old = Client::ask(edge.addr(), "GET /host/x HTTP/1.0\r\n\r\n").await;
    assert_eq!(Request::echoed(&old).header("host"), Some("app.internal:8080"));
    let absolute = "GET http://a.example/strip/x?q HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let seen = Request::echoed(&Client::ask(edge.addr(), absolute).await);
    assert_eq!((seen.target(), seen.header("host")), ("/x?q", Some("a.example")));
}
