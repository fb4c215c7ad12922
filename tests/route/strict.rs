//! What `strict` of a listener lets servers see.

use crate::support::origin::Request;
use crate::support::{Client, Edge, H2Client, Origin};

const PATHS: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], strict: { path: normal } }
  - { address: '127.0.0.1:{port2}', protocols: [h1, h2c], strict: { path: raw } }
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - match: { path_prefix: /a/ }
    upstream: app
    headers: { request: { set: { x-route: a } } }
  - match: { path_prefix: /cut/ }
    upstream: app
    rewrite: { strip_prefix: /cut }
  - upstream: app
";

#[tokio::test(flavor = "multi_thread")]
async fn servers_get_the_path_that_routes_matched_or_the_one_written() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(PATHS, &[("origin", &origin.addr)]);
    for (written, normal, route) in [
        ("/a/b?x=%7e//", "/a/b?x=%7e//", Some("a")),
        ("/x/../a/./b?", "/a/b?", Some("a")),
        ("//a///b/", "/a/b/", Some("a")),
        ("/%61/caf%c3%a9", "/a/caf%C3%A9", Some("a")),
        ("/a/%2Bx+%20", "/a/%2Bx+%20", Some("a")),
        ("/a/..", "/", None),
    ] {
        for (addr, expected) in [(edge.addr(), normal), (edge.addr2(), written)] {
            let request = format!("GET {written} HTTP/1.1\r\nhost: a.example\r\n\r\n");
            let h1 = Client::ask(addr, request).await;
            let absolute = format!("http://a.example{written}");
            let request = format!("GET {absolute} HTTP/1.1\r\nhost: a.example\r\n\r\n");
            let proxied = Client::ask(addr, request).await;
            let h2 = H2Client::connect(addr).await.get(&absolute).await.response;
            for answer in [h1, proxied, h2] {
                let seen = Request::echoed(&answer);
                assert_eq!(seen.target(), expected, "{written}");
                // The route is that of the normal form in either case.
                assert_eq!(seen.header("x-route"), route, "{written}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewritten_path_is_normal_in_either_case() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(PATHS, &[("origin", &origin.addr)]);
    for addr in [edge.addr(), edge.addr2()] {
        let request = "GET /x/../cut//b/%7Ec HTTP/1.1\r\nhost: a.example\r\n\r\n";
        assert_eq!(Client::ask(addr, request).await.status, 400, "both .. and //");
        let request = "GET /cut/./b/%7Ec HTTP/1.1\r\nhost: a.example\r\n\r\n";
        assert_eq!(Request::echoed(&Client::ask(addr, request).await).target(), "/b/~c");
    }
}

const UNDERSCORES: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], strict: { underscores: refuse } }
  - { address: '127.0.0.1:{port2}', protocols: [h1, h2c], strict: { underscores: drop } }
  - { address: '127.0.0.1:{tls_port}', protocols: [h1, h2c], strict: { underscores: pass } }
upstreams: { app: { servers: ['{origin}'] } }
routes: [{ upstream: app }]
";

#[tokio::test(flavor = "multi_thread")]
async fn names_with_underscores_are_refused_dropped_or_passed() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(UNDERSCORES, &[("origin", &origin.addr)]);
    let request = "GET / HTTP/1.1\r\nhost: a.example\r\nx_forwarded_for: 1.2.3.4\r\n\
                   X_A: 1\r\nx_a: 2\r\nx-b: 3\r\n\r\n";
    let h2 = || http::Request::get("http://a.example/").header("x_a", "1").header("x-b", "3");
    for (addr, expected) in
        [(edge.addr(), None), (edge.addr2(), Some(0)), (edge.tls_addr(), Some(1))]
    {
        let h1 = Client::ask(addr, request).await;
        let mut client = H2Client::connect(addr).await;
        let h2 = client.ask(h2().body(()).unwrap(), "").await.unwrap().response;
        for (answer, times) in [(h1, 2), (h2, 1)] {
            let Some(expected) = expected else {
                assert_eq!(answer.status, 400);
                continue;
            };
            let seen = Request::echoed(&answer);
            assert_eq!(seen.all("x_a").count(), expected * times, "{}", seen.head);
            assert_eq!(seen.header("x-b"), Some("3"));
            assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
        }
    }
    // Without underscores nothing is refused.
    let plain = "GET / HTTP/1.1\r\nhost: a.example\r\nx-b: 3\r\n\r\n";
    assert_eq!(Client::ask(edge.addr(), plain).await.status, 200);
}
