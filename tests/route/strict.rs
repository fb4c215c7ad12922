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

#[tokio::test(flavor = "multi_thread")]
async fn raw_is_for_servers_alone() {
    const RAW: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], strict: { path: raw } }
  - { address: '127.0.0.1:{port2}', protocols: [h1, h2c], strict: { path: raw }, https_redirect: on }
upstreams: { app: { servers: ['{origin}'], balance: { consistent_hash: uri } } }
routes:
  - { match: { path_prefix: /host/ }, upstream: app, rewrite: { host: b.example } }
  - { match: { path_prefix: /add/ }, upstream: app, rewrite: { add_prefix: /more } }
  - { match: { path_prefix: /path/ }, upstream: app, rewrite: { path: '/at{path}' } }
  - { match: { path_regex: '/([a-z]+)~x' }, upstream: app, rewrite: { regex: '~x', replace: '' } }
  - { match: { path_prefix: /old/ }, redirect: { to: '/new/{rest}' } }
  - { match: { path_prefix: /files/ }, files: { root: '{site}' } }
  - upstream: app
";
    let origin = Origin::echo().await;
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("a~"), "a file").unwrap();
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("site", &site.path().display())];
    let edge = Edge::start_with(RAW, &places);
    // What is made of a path is made of its normal form.
    for (written, seen) in [
        ("/host/./%7e//", "/host/./%7e//"),
        ("/x/../host/%7e?q=//", "/x/../host/%7e?q=//"),
        ("/add/./%7e?q=//", "/more/add/~?q=//"),
        ("//path//%7e", "/at/path/~"),
        ("/./abc%7ex", "/abc"),
    ] {
        for answer in super::ask(&edge, &format!("GET a.example{written}")).await {
            assert_eq!(Request::echoed(&answer).target(), seen, "{written}");
        }
    }
    for answer in super::ask(&edge, "GET a.example/x/../old/./%7e?q=//").await {
        assert_eq!(answer.header("location"), Some("/new/~?q=//"));
    }
    for answer in super::ask(&edge, "GET a.example/x/../files/./a%7E").await {
        assert_eq!(answer.text(), "a file");
    }
    let request = "GET /x/..//%7e HTTP/1.1\r\nhost: a.example\r\n\r\n";
    assert_eq!(Client::ask(edge.addr2(), request).await.status, 400);
    let request = "GET /x/../%7e HTTP/1.1\r\nhost: a.example\r\n\r\n";
    let answer = Client::ask(edge.addr2(), request).await;
    assert_eq!(answer.header("location"), Some("https://a.example/~"));
    // What has no one reading is refused as ever.
    let refused = [
        "/..",
        "/a/../..",
        "/a//../b",
        "/%2e%2e/a",
        "/a/.%2e",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "/%00",
        "/%252e",
        "/..;/a",
        "/%c0%ae",
    ];
    for path in refused {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        assert_eq!(Client::ask(edge.addr(), request).await.status, 400, "{path}");
    }
}

const ESCAPES: &str = "
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c] }
  - address: '127.0.0.1:{port2}'
    protocols: [h1, h2c]
    strict: { encoded_slashes: pass }
  - address: '127.0.0.1:{tls_port}'
    protocols: [h1, h2c]
    strict: { double_encoding: pass }
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - match: { path_prefix: /a/ }
    upstream: app
    headers: { request: { set: { x-route: a } } }
  - match: { path_prefix: /files/ }
    files: { root: '{site}' }
  - upstream: app
";

#[tokio::test(flavor = "multi_thread")]
async fn escapes_that_servers_may_read_again_are_refused_or_passed() {
    let origin = Origin::echo().await;
    let site = tempfile::tempdir().unwrap();
    std::fs::create_dir(site.path().join("a")).unwrap();
    std::fs::write(site.path().join("a/b"), "a file").unwrap();
    let places: [(&str, &dyn std::fmt::Display); 2] =
        [("origin", &origin.addr), ("site", &site.path().display())];
    let edge = Edge::start_with(ESCAPES, &places);
    let (strict, slashes, escapes) = (edge.addr(), edge.addr2(), edge.tls_addr());
    for (addr, path, expected) in [
        (strict, "/a%2fb", Err(400)),
        (strict, "/a%252fb", Err(400)),
        // To routes it is no slash, and is spelled in one way.
        (slashes, "/a%2fb", Ok(("/a%2Fb", None))),
        (slashes, "/a/b%2Fc/./d", Ok(("/a/b%2Fc/d", Some("a")))),
        (slashes, "/a%252fb", Err(400)),
        // Dots stay what they are to a server that decodes first.
        (slashes, "/a/x%2f..%2fy", Err(400)),
        (slashes, "/a/..%2F", Err(400)),
        (slashes, "/a/../x%2Fy", Err(400)),
        // No name of a file has a slash.
        (slashes, "/files/a%2Fb", Err(404)),
        (escapes, "/a%252fb", Ok(("/a%252fb", None))),
        (escapes, "/a/%252E%252e/x", Ok(("/a/%252E%252e/x", Some("a")))),
        (escapes, "/a%2fb", Err(400)),
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        let h1 = Client::ask(addr, request).await;
        let url = format!("http://a.example{path}");
        let h2 = H2Client::connect(addr).await.get(&url).await.response;
        for answer in [h1, h2] {
            match expected {
                Err(status) => assert_eq!(answer.status, status, "{path}"),
                Ok((target, route)) => {
                    let seen = Request::echoed(&answer);
                    assert_eq!((seen.target(), seen.header("x-route")), (target, route), "{path}");
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_browsers_leave_as_it_is_goes_on_as_uris_spell_it() {
    let origin = Origin::echo().await;
    let edge = Edge::start_with(PATHS, &[("origin", &origin.addr)]);
    for written in ["/a/[slug]|^?q=[|]^", "/a/%5Bslug%5d%7c%5E?q=[|]^"] {
        let request = format!("GET {written} HTTP/1.1\r\nhost: a.example\r\n\r\n");
        let seen = Request::echoed(&Client::ask(edge.addr(), &request).await);
        assert_eq!(seen.target(), "/a/%5Bslug%5D%7C%5E?q=[|]^");
        let seen = Request::echoed(&Client::ask(edge.addr2(), &request).await);
        assert_eq!(seen.target(), written);
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
    let request = "GET / HTTP/1.1\r\nhost: a.example\r\nx_mine_for: 1.2.3.4\r\n\
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

/// The fields of a request as a server of CGI or WSGI reads them.
fn folded(seen: &Request) -> std::collections::BTreeMap<String, Vec<&str>> {
    let mut environment = std::collections::BTreeMap::<String, Vec<&str>>::new();
    for line in seen.head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(':') {
            let name = name.to_uppercase().replace('-', "_");
            environment.entry(format!("HTTP_{name}")).or_default().push(value.trim());
        }
    }
    environment
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_read_as_ours_are_dropped_even_where_underscores_pass() {
    const SITE: &str = "
clients: { trusted_proxies: ['127.0.0.9/32'] }
listeners:
  - { address: '127.0.0.1:{port}', protocols: [h1, h2c], strict: { underscores: pass } }
upstreams: { app: { servers: ['{origin}'] } }
routes:
  - upstream: app
    headers: { request: { set: { x-env: prod, x_team: us }, add: { x-more: more }, remove: [x-debug] } }
";
    let origin = Origin::echo().await;
    let edge = Edge::start_with(SITE, &[("origin", &origin.addr)]);
    let spoofed = [
        "x_forwarded_for",
        "x-forwarded_proto",
        "x_forwarded-host",
        "x_forwarded_port",
        "x_request_id",
        "x_real_ip",
        "content_length",
        "transfer_encoding",
        "x_env",
        "x-team",
        "x_more",
        "x_debug",
        "proxy",
        "trailer",
    ];
    let lines: String = spoofed.iter().map(|name| format!("{name}: spoofed\r\n")).collect();
    let request = format!("GET / HTTP/1.1\r\nhost: a.example\r\n{lines}auth_token: mine\r\n\r\n");
    let mut answers = Vec::new();
    for from in ["127.0.0.1", "127.0.0.9"] {
        let mut client = Client::connect_from(from, edge.addr()).await;
        client.send(&request).await;
        answers.push(client.response().await);
    }
    let mut h2 = http::Request::get("http://a.example/").header("auth_token", "mine");
    for name in spoofed {
        h2 = h2.header(name, "spoofed");
    }
    let mut client = H2Client::connect(edge.addr()).await;
    answers.push(client.ask(h2.body(()).unwrap(), "").await.unwrap().response);
    for answer in answers {
        let seen = Request::echoed(&answer);
        let environment = folded(&seen);
        assert!(!seen.head.contains("spoofed"), "{}", seen.head);
        for (name, value) in [
            ("HTTP_X_FORWARDED_PROTO", "http"),
            ("HTTP_X_FORWARDED_HOST", "a.example"),
            ("HTTP_X_ENV", "prod"),
            ("HTTP_X_TEAM", "us"),
            ("HTTP_X_MORE", "more"),
            ("HTTP_AUTH_TOKEN", "mine"),
        ] {
            assert_eq!(environment.get(name), Some(&vec![value]), "{}", seen.head);
        }
        for name in ["HTTP_X_FORWARDED_FOR", "HTTP_X_REQUEST_ID"] {
            assert_eq!(environment[name].len(), 1, "{}", seen.head);
        }
        for name in ["HTTP_X_DEBUG", "HTTP_PROXY", "HTTP_TRAILER", "HTTP_X_REAL_IP"] {
            assert_eq!(environment.get(name), None, "{}", seen.head);
        }
    }
}
